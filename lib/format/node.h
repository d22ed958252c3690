/* SPDX-License-Identifier: Apache-2.0 */
/* The stored node: plaintext header, plaintext pointer array, opaque body; and the body's inside. Does no I/O. */
#ifndef FORMAT_NODE_H
#define FORMAT_NODE_H
#include "base/buf.h"
#include "format/ptr.h"

#define NODE_HDR 64u
#define NODE_MAGIC 0x444f4e4cu       /* 'LNOD' little-endian */
#define NODE_TARGET (32u << 10)      /* pointer array + body are built to this */
#define NODE_LIMIT (64u << 10)       /* and never decode to more */
#define KEY_MAX 300u
#define VAL_MAX (8u << 10)
#define ITEM_PTRS_MAX 15u
#define TREE_DEPTH_MAX 12u
enum { NODE_F_ENC = 2 };
#define FEATURE_COLUMNS "columns"    /* incompat: leaf bodies and tables of packs arranged by columns */

/*
 * Header, 64 bytes:
 *   0 u32 magic 'LNOD'   4 u8 ver (1)  5 u8 level  6 u8 flags (bit1 enc)  7 u8 comp
 *   8 u32 nptr  12 u32 body_stored  16 u32 body_len  20 u64 birth  28 u64 tree_guid (of the writer)  36 u64 seq
 *  44 u32 crc32c of the whole stored node with this field zero (for salvage scans only)
 *  48 u8 cols: 0, or the stored body is arranged by so many columns (node_cols.c)  49..63 zero
 * then nptr pointers of 96 bytes, then body_stored bytes.
 */
struct node_hdr {
	uint8_t level, flags, comp, cols;
	uint32_t nptr, body_stored, body_len;
	uint64_t birth, tree_guid, seq;
	uint32_t crc;
};
void node_hdr_encode(const struct node_hdr *h, uint8_t raw[NODE_HDR]);
/* All fields checked, and that header + pointers + body_stored == stored_len exactly, nptr*96 + body_len <= NODE_LIMIT. */
int node_hdr_decode(struct node_hdr *out, const uint8_t *raw, size_t stored_len, struct lcpfs_error *err);
/*
 * A leaf body arranged by columns: out has room for len + NODE_COLS_MAX, of which len + the result are used; 0: not worth it.
 * And back, exactly len bytes: what is not such an arrangement is CORRUPT (or a body that node_body_decode refuses).
 */
#define NODE_COLS_MAX 64u
unsigned node_cols_encode(const uint8_t *body, size_t len, uint8_t *out);
int node_cols_decode(const uint8_t *cols, unsigned n_cols, uint8_t *body, size_t len, struct lcpfs_error *err);
void node_hdr_print(const struct node_hdr *h, struct buf *out);

/*
 * Body:
 *   u32 nitems, u16 prefix_len, u16 flags (0), u16 low_len, low fence key, prefix bytes,
 *   u32 key_end[nitems]; in leaves also u32 val_end[nitems], whose top 4 bits count the pointers that the item owns;
 *   then all keys (common prefix removed), then (leaves) all values. key_end/val_end count from the start of their area.
 * Leaf: items sorted by key, each consuming its pointers from the array in item order.
 * Interior: nitems == nptr children, key i = separator of child i (the shortest string s with last key of child i-1 < s <=
 * first key of child i); separator 0 is the node's own low fence. The leftmost node of a level has the empty low fence.
 */
struct node_body {
	uint32_t nitems;
	bool leaf;
	const uint8_t *low, *prefix, *key_end, *val_end, *keys, *vals;
	uint16_t low_len, prefix_len;
};
/*
 * Check everything (bounds, ascending ends, keys strictly ascending and >= low fence, key and value limits, pointer counts adding
 * up to nptr, separators) and fill *out with pointers into body, which must outlive it.
 */
int node_body_decode(struct node_body *out, const uint8_t *body, size_t len, bool leaf, uint32_t nptr, struct lcpfs_error *err);

/* Entry i of an end array, little-endian. */
static inline uint32_t node_end_at(const uint8_t *ends, uint32_t i)
{
	const uint8_t *p = ends + 4 * (size_t)i;

	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
#define NODE_VAL_END 0x0fffffffu /* the part of a val_end that is an offset */

struct node_item { /* one item for encoding, or as found */
	const uint8_t *key, *val, *ptrs; /* ptrs: nptr raw pointers */
	uint16_t klen;
	uint32_t vlen;
	uint8_t nptr;
};
/* Item i < nitems as found: key without the prefix, value (interior: none) and pointer count; ptrs is NULL. */
void node_body_item(const struct node_body *b, uint32_t i, struct node_item *out);
/* Append the body of these items to out. The keys' longest common prefix is taken out. */
void node_body_encode(struct buf *out, bool leaf, const uint8_t *low, uint16_t low_len, const struct node_item *items, uint32_t n);
#endif
