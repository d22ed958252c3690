/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim: a bitmap of what pointers claim, one window of it at a time. Pages of all chunks are counted through; a window is as many
 * of them as memory allows, and a pool that is larger is walked once per window.
 */
#ifndef CHECK_CLAIM_H
#define CHECK_CLAIM_H
#include "check/check_impl.h"

struct claim_chunk {
	uint32_t id, units, shift;  /* unit = 2^shift sectors */
	uint64_t page0, pages;      /* of the whole */
	uint64_t leaked, lost;      /* units: marked used and not claimed, claimed and marked free */
	uint64_t leaked_at, lost_at;
};
/* One page of the window. The last two are made where blocks may be shared. */
struct claim_page {
	uint8_t claimed[SPACE_PAGE_BYTES];
	uint8_t start[SPACE_PAGE_BYTES]; /* a block begins here; of a node, all it has: nothing may share it */
	uint8_t own[SPACE_PAGE_BYTES];   /* of a block that begins here, the reference that was not made by sharing was seen */
};
struct claims {
	struct claim_chunk *chunk;
	uint32_t n_chunks;
	uint64_t pages, from, to;   /* all; the window */
	bool shares;                /* blocks may have several references */
	struct claim_page **page;   /* of the window; NULL: nothing claimed */
	size_t n_page;
	uint8_t *seen;              /* one bit per page of the window */
};
int claims_init(struct claims *m, const struct check *ck, struct lcpfs_error *err);
void claims_fini(struct claims *m);
int claims_window(struct claims *m, uint64_t from, uint64_t budget, struct lcpfs_error *err);
/* The window ends before page `to`. */
void claims_shrink(struct claims *m, uint64_t to);
struct claim_chunk *claims_chunk(const struct claims *m, uint32_t id);
/* The page that an address lies on, and the address where page `page` begins (UINT64_MAX: beyond the last). */
uint64_t claims_page_of(const struct claims *m, uint64_t addr);
uint64_t claims_addr_of(const struct claims *m, uint64_t page);
/* Is it a range of a chunk, and begins where a block may? */
bool claims_valid(const struct claims *m, const struct blkptr *bp);
/*
 * Claim what lies in the window. CLAIM_AGAIN: the very same place as a data block before it, as sharing makes it. CLAIM_CLASH: some of it was
 * claimed by something else.
 */
enum claim { CLAIM_NEW, CLAIM_AGAIN, CLAIM_CLASH };
int claims_add(struct claims *m, const struct blkptr *bp, enum claim *what, struct lcpfs_error *err);
static inline bool claim_bit(const uint8_t *map, uint32_t i) { return map && map[i >> 3] >> (i & 7) & 1; }
#endif
