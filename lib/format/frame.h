/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: the stream that send writes and receive reads: frames, and what is in each. Does no I/O.
 *
 * A stream is [PACKAGE] and then, once per dataset, BEGIN (ITEMS | EXTENT | PACK | CKPT)* END. Frames count from 0 (seq). The running
 * hash begins as zeros and becomes BLAKE3(running || hash of the frame) with every frame; CKPT and END carry its value before
 * themselves, so a lost, repeated or foreign frame shows, and a sender can go on from 32 bytes.
 *
 * Items come in key order, but for slices: a PACK frame is followed by the SLICE puts that lie in it (and by no others, up to the
 * next PACK, CKPT or END), so groups of slices are ordered by pack. A CKPT stands where all changes up to its key are sent.
 */
#ifndef FORMAT_FRAME_H
#define FORMAT_FRAME_H
#include <stdbool.h>
#include "base/buf.h"
#include "format/node.h"
#include "format/ptr.h"

#define FRAME_MAGIC 0x5254534cu         /* 'LSTR' */
#define FRAME_HDR 40u
#define FRAME_PAYLOAD_MAX (20u << 20)
#define FRAME_MAJOR 1u
#define FRAME_MINOR 0u
#define FRAME_ITEMS_MAX (4u << 20)      /* decoded length of an ITEMS batch */
#define FRAME_NAME_MAX 4096u            /* a full dataset name */

/* Numbers are never reused; r = reserved for raw streams and later parts, not built. */
enum frame_type {
	FRAME_PACKAGE = 1, FRAME_BEGIN = 2, FRAME_KEYS = 3 /* r */, FRAME_DICT = 4 /* r */, FRAME_ITEMS = 5, FRAME_EXTENT = 6,
	FRAME_PACK = 7, FRAME_REF = 8 /* r */, FRAME_OLDMAP = 9 /* r */, FRAME_NODE = 10 /* r */, FRAME_DATA = 11 /* r */,
	FRAME_CKPT = 12, FRAME_END = 13,
};
enum { FRAME_F_CRITICAL = 1 /* a reader that does not know the type refuses the stream */ };

/*
 * Header, 40 bytes: 0 u32 magic  4 u16 type  6 u16 flags  8 u64 seq  16 u64 payload_len
 * 24 u8[16] the first half of BLAKE3(header 0..23 || payload).  Then the payload and zeros up to a multiple of 8.
 */
struct frame_hdr {
	uint16_t type, flags;
	uint64_t seq, len;
	uint8_t hash[16];
};
void frame_hdr_encode(const struct frame_hdr *h, uint8_t raw[FRAME_HDR]);
/* Magic, known flags, len <= FRAME_PAYLOAD_MAX. */
int frame_hdr_decode(struct frame_hdr *out, const uint8_t raw[FRAME_HDR], struct lcpfs_error *err);
static inline uint64_t frame_stored_len(uint64_t payload) { return FRAME_HDR + ((payload + 7) & ~(uint64_t)7); }
const char *frame_type_name(unsigned type); /* "ITEMS", NULL: not known */

struct frame_counts { uint64_t items, blocks, block_bytes; };
/* A place between two frames: everything a sender needs to go on from there. */
struct frame_pos {
	uint64_t seq;              /* of the next frame */
	uint8_t running[32];
	struct frame_counts counts;/* of the dataset under way */
	uint16_t klen;             /* 0: nothing of the dataset is sent */
	uint8_t key[KEY_MAX];      /* changes up to this key are sent */
};
void frame_pos_encode(const struct frame_pos *p, struct buf *out);
int frame_pos_decode(struct frame_pos *out, struct cur *c, struct lcpfs_error *err);

/*
 * PACKAGE: u32 n, n x { u64 from_guid, u64 to_guid, str rel, str snap }; str = u16 length, bytes.
 * rel: name below the package's root, "" = the root.
 */
struct frame_member { uint64_t from, to; char *rel, *snap; };
struct frame_package { uint32_t n; struct frame_member *m; };
void frame_package_encode(const struct frame_package *p, struct buf *out);
int frame_package_decode(struct frame_package *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void frame_package_fini(struct frame_package *p);

/*
 * BEGIN: u16 major, u16 minor, u8 kind, u8[3] 0, u32 flags, u8[16] uuid, u64 from, u64 to, u64 family, u64 est, u64 ckpt_bytes, u32 index, u32 count,
 * i64 created_s, u32 created_ns (of the snapshot),
 * str dataset, str rel, str from_snap, str to_snap, u32 n features { str }, u32 n props { str name, str value }, [pos when resumed].
 * A resumed stream begins with this frame (seq 0, not in the running hash); the next frame is the one of pos.
 */
enum { FRAME_KIND_LOGICAL = 1, FRAME_KIND_RAW = 2 /* r */ };
enum { BEGIN_INCREMENTAL = 1, BEGIN_PROPS = 2, BEGIN_RESUMED = 4, BEGIN_COLUMNS = 8 /* tables of packs may be by columns */, BEGIN_FLAGS_ALL = 15 };
struct frame_prop { char *name, *value; };
struct frame_begin {
	uint16_t major, minor;
	uint8_t kind, uuid[16];
	uint32_t flags, index, count;     /* this is dataset `index` of `count` */
	uint64_t from, to, family, est, ckpt_bytes; /* guids of the snapshots; est: bytes, a guess, 0 = none */
	char *dataset, *rel, *from_snap, *to_snap;
	int64_t created_s;
	uint32_t created_ns, n_props;
	struct frame_prop *props;
	struct frame_pos pos;
};
void frame_begin_encode(const struct frame_begin *b, struct buf *out);
/* Refuses features and versions this one does not know (LCPFS_EUNSUP). */
int frame_begin_decode(struct frame_begin *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void frame_begin_print(const struct frame_begin *b, struct buf *out);
void frame_begin_fini(struct frame_begin *b);

/*
 * ITEMS: u32 n, u32 raw_len, u8 comp, u8[7] 0, then the batch, compressed: n x { u8 op, u16 klen, u16 vlen, key, value }.
 * Keys and values are those of the dataset tree, but: SLICE puts have the value { u32 len, u32 charge }, EXTENT is only deleted, PACK never sent.
 */
#define ITEMS_HDR 16u
enum { ITEM_PUT = 1, ITEM_DEL = 2 };
struct frame_items { uint32_t n, raw_len; uint8_t comp; const uint8_t *data; size_t data_len; };
struct frame_item { uint8_t op; uint16_t klen, vlen; const uint8_t *key, *val; };
void frame_items_encode(const struct frame_items *f, uint8_t raw[ITEMS_HDR]);
int frame_items_decode(struct frame_items *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void frame_item_encode(const struct frame_item *i, struct buf *out);
int frame_item_decode(struct frame_item *out, struct cur *c, struct lcpfs_error *err);

/* PACK: u32 lsize, u32 psize, u8 comp, u8 csum, u8[6] 0, u8[32] hash, then psize stored bytes. EXTENT: u64 data_id, u64 offset, u32 len, u32 0, then as PACK. */
#define PACK_FRAME_HDR 48u
#define EXTENT_FRAME_HDR (24u + PACK_FRAME_HDR)
struct frame_block { uint32_t lsize, psize; uint8_t comp, csum, hash[32]; const uint8_t *data; };
struct frame_extent { uint64_t data_id, off; uint32_t len; struct frame_block b; };
void frame_block_encode(const struct frame_block *b, uint8_t raw[PACK_FRAME_HDR]);
int frame_block_decode(struct frame_block *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void frame_extent_encode(const struct frame_extent *e, uint8_t raw[EXTENT_FRAME_HDR]);
int frame_extent_decode(struct frame_extent *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void frame_block_print(const struct frame_block *b, struct buf *out);

/* CKPT: pos, with seq = its own and the running hash before it. END: the same without key, u32 index. */
void frame_end_encode(uint32_t index, const struct frame_pos *p, struct buf *out);
int frame_end_decode(uint32_t *index, struct frame_pos *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
int frame_ckpt_decode(struct frame_pos *out, const uint8_t *data, size_t len, struct lcpfs_error *err);

/* One line: type, seq, length; details of the payload where it decodes. */
void frame_print(const struct frame_hdr *h, const uint8_t *payload, struct buf *out);
#endif
