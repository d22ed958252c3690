/* SPDX-License-Identifier: Apache-2.0 */
/* Inside space. */
#ifndef SPACE_IMPL_H
#define SPACE_IMPL_H
#include <pthread.h>
#include "space/space.h"

struct page {
	uint8_t used[SPACE_PAGE_BYTES], busy[SPACE_PAGE_BYTES];
	uint32_t too_long;       /* no run of this many units begins and ends here */
	bool dirty;
};

struct chunk {
	uint32_t id, sectors, n_pages, units;
	uint32_t low;            /* every unit below is busy */
	unsigned shift;          /* unit = 2^shift sectors */
	unsigned kinds;          /* SPACE_*; none: only freed from */
	bool look;               /* something came free since it was last found not to be empty */
	struct page **page;
};

struct range { uint64_t addr; uint32_t sectors; };
struct range_list { struct range *r; size_t n, cap; };

struct space {
	pthread_mutex_t lock;
	space_load_fn *load;
	space_peek_fn *peek;
	void *arg;
	struct chunk *chunk;
	uint32_t n_chunks;
	struct range_list freed[2]; /* [0]: since the last commit, [1]: by the last commit */
	struct range_list fresh;    /* allocated and freed since the last commit, to be released (4) */
	struct range_list overlay;  /* nodes of kept space trees on pages not loaded yet */
	uint64_t used_sectors, busy_sectors;
};

static inline bool space_bit(const uint8_t *m, uint32_t i) { return m[i >> 3] >> (i & 7) & 1; }
struct chunk *space_find_chunk(struct space *s, uint32_t id);
int space_load_page(struct space *s, struct chunk *c, uint32_t p, struct page **out, struct lcpfs_error *err);
/* First fit; the units are not marked. LCPFS_ENOSPC when there is no run. */
int space_find(struct space *s, unsigned kinds, uint32_t sectors, struct chunk **in, uint32_t *at, struct lcpfs_error *err);
#endif
