/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of the pool tree and the space tree. Does no I/O. */
#ifndef FORMAT_RECORDS_H
#define FORMAT_RECORDS_H
#include "base/buf.h"
#include "format/ptr.h"

/* First byte of a pool-tree key; numbers are never reused. DDT.. are reserved, not built. */
enum pool_table {
	TBL_DS = 0x01,      /* id(8)                  -> dataset record, owns the root pointer (absent: empty tree) */
	TBL_NAME = 0x02,    /* parent(8) name         -> le64 id; a snapshot: parent = its dataset, name "@x" */
	TBL_SNAPTXG = 0x03, /* ds(8) txg(8)           -> le64 snapshot id */
	TBL_DEAD = 0x04,    /* ds(8) upper_txg(8)     -> le64 blocks, le64 psize */
	TBL_PROP = 0x05,    /* ds(8) name             -> value bytes (UTF-8); a hold is "hold:TAG" */
	TBL_FREEQ = 0x06,   /* seq(8)                 -> pending frees */
	TBL_RECV = 0x07,    /* ds(8) ...              -> state of a receive under way */
	TBL_HIST = 0x08,    /* txg(8)                 -> le64 time_s, command text */
	TBL_SCAN = 0x09,    /* 0(8)                   -> what scrubs did; id(8) -> damaged blocks of dataset id */
	TBL_REF = 0x20,     /* addr(8)                -> le64 references beyond the first, u8 flags (0) */
	TBL_DDT = 0x21, TBL_REMAP = 0x22, TBL_KEY = 0x23, TBL_PENDLOG = 0x24, /* reserved */
	TBL_PAGE = 0x40,    /* space tree: chunk(4) page(4) -> page value */
};
#define NAME_MAX_BYTES 255u
#define POOL_KEY_MAX (1 + 8 + 256)

size_t key_u64(uint8_t *key, uint8_t table, uint64_t a);                      /* table, be64 */
size_t key_u64_u64(uint8_t *key, uint8_t table, uint64_t a, uint64_t b);
size_t key_u64_str(uint8_t *key, uint8_t table, uint64_t a, const void *s, size_t len); /* len <= 256 */
size_t key_page(uint8_t *key, uint32_t chunk, uint32_t page);

enum ds_kind { DS_FS = 1, DS_VOLUME = 2, DS_SNAPSHOT = 3, DS_BRANCH = 4, DS_HIDDEN = 5 };
enum ds_state { DS_NORMAL = 0, DS_RECEIVING = 1, DS_DESTROYING = 2 };
#define DS_GROUP_NONE 0xffffffffu
#define DSREC_LEN 224u
#define DS_ROOT_ID 1u

/*
 * Dataset record, 224 bytes then TLVs (kept byte for byte):
 *   0 id  8 guid  16 family  24 u8 kind 25 u8 state 26 u16 flags 28 u32 n_children  32 parent  40 prev_snap  48 prev_snap_txg
 *  56 zero  64 next_hint  72 created_txg  80 i64 created_s  88 u32 group  92 u8 height 93 u8 keygen 94 u16 zero
 *  96 root_auth[16]  112 shape_id[16]  128 ref_psize  136 ref_lsize  144 ref_blocks  152 n_inodes  160 log_seq
 * 168 quota[4] (quota, reservation, refquota, refreservation)  200 u32 created_ns  204 zero[20]
 */
struct dsrec {
	uint64_t id, guid, family;
	uint8_t kind, state;
	uint16_t flags;
	uint32_t n_children;
	uint64_t parent, prev_snap, prev_snap_txg, next_hint, created_txg;
	int64_t created_s;
	uint32_t created_ns, group;
	uint8_t height, keygen;
	uint8_t root_auth[16], shape_id[16];
	uint64_t ref_psize, ref_lsize, ref_blocks, n_inodes, log_seq;
	uint64_t quota[4];
	struct blkptr root; /* stored as the item's pointer; null: empty, no pointer */
};
void dsrec_encode(const struct dsrec *r, uint8_t raw[DSREC_LEN]);
/* `ptr` NULL: the item owns no pointer. */
int dsrec_decode(struct dsrec *out, const uint8_t *raw, size_t len, const uint8_t *ptr, struct lcpfs_error *err);
void dsrec_print(const struct dsrec *r, struct buf *out);

/* REF comes with the incompatible feature of this name. */
#define FEATURE_REF "reflink"
#define REF_LEN 9u
void ref_encode(uint64_t extra, uint8_t val[REF_LEN]);
/* Key and value of an item of TBL_REF. LCPFS_ECORRUPT, or LCPFS_EUNSUP for flags that are not known. */
int ref_decode(uint64_t *extra, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, struct lcpfs_error *err);

/*
 * What scrubs did. Item 0, 80 bytes:
 *   0 u8 version (1)  1 u8 flags  2 zero[6]
 *   8 next  16 txg  24 i64 started_s  32 bytes  40 bad       of the pass under way; next: all blocks below this address are verified
 *  48 done_txg  56 i64 done_s  64 done_bytes  72 done_bad    of the last one that came to the end; txg: what was born later it did not promise
 * Item id of a dataset, 24 bytes: u8 version (1), zero[7], u64 damaged blocks found by the last whole pass, u64 by the one under way.
 */
#define SCANREC_LEN 80u
#define SCANBAD_LEN 24u
enum { SCAN_UNDER_WAY = 1, SCAN_DECODES = 2 /* the pass under way */, SCAN_DONE_DECODED = 4 /* the last whole one */ };
struct scanrec {
	uint8_t flags;
	uint64_t next, txg, bytes, bad, done_txg, done_bytes, done_bad;
	int64_t started_s, done_s;
};
struct scanbad { uint64_t done, now; };
void scanrec_encode(const struct scanrec *r, uint8_t raw[SCANREC_LEN]);
int scanrec_decode(struct scanrec *out, const uint8_t *raw, size_t len, struct lcpfs_error *err);
void scanbad_encode(const struct scanbad *b, uint8_t raw[SCANBAD_LEN]);
int scanbad_decode(struct scanbad *out, const uint8_t *raw, size_t len, struct lcpfs_error *err);

/* One line for any item of the pool or space tree. */
void record_print(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, const uint8_t *ptrs, unsigned nptr, struct buf *out);
#endif
