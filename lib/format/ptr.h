/* SPDX-License-Identifier: Apache-2.0 */
/* The block pointer: 96 bytes, one stride in every tree. */
#ifndef FORMAT_PTR_H
#define FORMAT_PTR_H
#include <stdbool.h>
#include "base/buf.h"
#include "base/le.h"
#include "lcpfs/error.h"

#define PTR_LEN 96u
#define SECTOR 512u
#define DATA_MAX (16u << 20)              /* lsize of any block */
#define STORED_MAX (DATA_MAX + (64u << 10)) /* psize of any block */

enum ptr_kind { PTR_NODE = 1, PTR_DATA = 2, PTR_BLOB = 3 };
enum ptr_flags { PTR_NOPTR = 1, PTR_SHARED = 2, PTR_DDT = 4, PTR_ENC = 8, PTR_INCOMPRESSIBLE = 16, PTR_FLAGS_ALL = 31 };

/*
 * On disk:
 *   offset size field
 *      0    8   addr    chunk id (upper 32 bits) : 512-byte sector within the chunk (lower 32); 0 = null
 *      8    6   birth   txg in which this reference was created
 *     14    1   kind (low 4 bits) | level (high 4 bits; node: 0 = leaf)
 *     15    1   flags   PTR_*
 *     16    4   lsize   decoded length, bytes
 *     20    4   psize   stored length, bytes, exact; the last sector is zero padded
 *     24    1   comp    25 dict   26 csum   27 suite   28 keygen   29..31 zero
 *     32   32   hash    of the psize stored bytes
 *     64   16   siv     80  16  tag     (zero when suite = 0)
 */
struct ptr_disk {
	le64 addr;
	le48 birth;
	uint8_t kind_level, flags;
	le32 lsize, psize;
	uint8_t comp, dict, csum, suite, keygen, zero[3];
	uint8_t hash[32], siv[16], tag[16];
};
_Static_assert(sizeof(struct ptr_disk) == PTR_LEN, "a pointer is 96 bytes");

struct blkptr {
	uint64_t addr, birth;
	uint8_t kind, level, flags;
	uint8_t comp, dict, csum, suite, keygen;
	uint32_t lsize, psize;
	uint8_t hash[32], siv[16], tag[16];
};

static inline bool ptr_is_null(const struct blkptr *p) { return p->addr == 0; }
static inline uint32_t ptr_chunk(const struct blkptr *p) { return (uint32_t)(p->addr >> 32); }
static inline uint32_t ptr_sector(const struct blkptr *p) { return (uint32_t)p->addr; }
static inline uint64_t ptr_addr(uint32_t chunk, uint32_t sector) { return (uint64_t)chunk << 32 | sector; }
/* identity: two pointers are one reference iff both are equal */
static inline bool ptr_same(const struct blkptr *a, const struct blkptr *b) { return a->addr == b->addr && a->birth == b->birth; }
/* identity, straight from the disk form */
static inline uint64_t ptr_raw_addr(const uint8_t *raw) { return le_load(raw, 8); }
static inline uint64_t ptr_raw_birth(const uint8_t *raw) { return le_load(raw + 8, 6); }
/* what a block takes of quotas and counters: psize in whole sectors */
static inline uint64_t ptr_charge(const struct blkptr *p) { return ((uint64_t)p->psize + SECTOR - 1) & ~(uint64_t)(SECTOR - 1); }

void ptr_encode(const struct blkptr *p, uint8_t raw[PTR_LEN]);
/* Every field checked (ranges, unknown flags, zero bytes); a null pointer must be all zero. LCPFS_ECORRUPT, LCPFS_EUNSUP. */
int ptr_decode(struct blkptr *out, const uint8_t raw[PTR_LEN], struct lcpfs_error *err);
void ptr_print(const struct blkptr *p, struct buf *out); /* one line, no newline */
#endif
