/* SPDX-License-Identifier: Apache-2.0 */
/* The table at the begin of a decoded pack. Does no I/O. */
#ifndef FORMAT_PACK_H
#define FORMAT_PACK_H
#include "format/inode.h"

/*
 *   0 u32 magic  4 u32 n, at least 1, then the table of n * PACK_ENT bytes, then the contents in its order, nothing between or behind.
 * 'LPAK': entries of u64 data_id, u32 len. 'LPAC' (feature "columns"): the same arranged by columns, each id less the one before it:
 * n lowest bytes of the differences, n second ones, ..., then n lowest bytes of the lengths, and so on.
 */
#define PACK_MAGIC_COLS 0x4341504cu

struct pack_slot { uint64_t data_id; uint32_t off, len; }; /* off: from the start of the pack */
struct pack_cur {
	const uint8_t *table;
	uint32_t n, i; /* entries, and those passed */
	bool cols;
	uint64_t id, at, end;
};
/* LCPFS_ECORRUPT when there is no table. */
int pack_begin(struct pack_cur *c, const uint8_t *pack, size_t len, struct lcpfs_error *err);
/* The next entry; 1: that was the last, and the pack ends with it. LCPFS_ECORRUPT: it is empty, or does not fit. */
int pack_next(struct pack_cur *c, struct pack_slot *out, struct lcpfs_error *err);

/* Writing: header, then each entry i of n, in order; prev: the id of the one before, 0. */
void pack_header_put(uint8_t *pack, uint32_t n, bool cols);
void pack_entry_put(uint8_t *pack, uint32_t n, uint32_t i, uint64_t prev, uint64_t data_id, uint32_t len, bool cols);
#endif
