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
struct claims {
	struct claim_chunk *chunk;
	uint32_t n_chunks;
	uint64_t pages, from, to;   /* all; the window */
	uint8_t **page;             /* to - from; NULL: nothing claimed */
	uint8_t *seen;              /* one bit per page of the window */
};
int claims_init(struct claims *m, const struct check *ck, struct lcpfs_error *err);
void claims_fini(struct claims *m);
int claims_window(struct claims *m, uint64_t from, uint64_t budget, struct lcpfs_error *err);
struct claim_chunk *claims_chunk(const struct claims *m, uint32_t id);
/* Is it a range of a chunk, and begins where a block may? */
bool claims_valid(const struct claims *m, const struct blkptr *bp);
/* Claim what lies in the window; *twice when some of it was claimed before. */
int claims_add(struct claims *m, const struct blkptr *bp, bool *twice, struct lcpfs_error *err);
static inline bool claim_bit(const uint8_t *map, uint32_t i) { return map && map[i >> 3] >> (i & 7) & 1; }
#endif
