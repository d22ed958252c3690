/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: what a repair does, as single steps that any state of the pool takes: items put and removed, fields set. A check writes it, apply.c carries
 * it out. It holds as many steps as memory allows: what is left out is found again by the check of the result.
 */
#ifndef CHECK_PLAN_H
#define CHECK_PLAN_H
#include "base/buf.h"
#include "check/problems.h"
#include "format/ptr.h"
#include "lcpfs/check.h"

enum ck_fix_kind {
	FIX_PUT, FIX_DEL,   /* an item; of a put that keeps pointers the item must exist */
	FIX_INODE,          /* ino, field, value; and so on */
	FIX_REC, FIX_INFO,
	FIX_DROP,           /* the node of this level that begins at key, and all below */
	FIX_LOST,           /* ino gets a name in /lost+found, of type `b` */
	FIX_COPY,           /* key: the pointer of a block of which a copy is bad; in place */
};
enum ck_field {
	FI_NLINK, FI_PARENT, FI_SIZE, FI_PSIZE, FI_FLAGS, FI_DATA, FI_XATTRS,
	FR_CHILDREN, FR_HEIGHT, FR_GUID, FR_PARENT, FR_PREV_TXG, FR_PSIZE, FR_LSIZE, FR_BLOCKS, FR_INODES,
	FD_SEQ, FD_FILES, FD_MAKE,
};
struct ck_fix {
	uint8_t kind, field, flags, level;
	uint16_t klen;
	uint32_t vlen;
	uint64_t ds;        /* id; 0: the pool tree */
	uint64_t a, b;
	size_t at;          /* key and value in bytes */
};
struct ck_plan {
	enum lcpfs_repair_class most; /* what may be done */
	struct ck_fix *fix; size_t n, cap, max;
	struct buf bytes;
	bool commit, labels; /* a commit by itself ends some of the problems; and label headers are to be written */
	bool forbidden;      /* writing at all would do what is not allowed */
};
extern size_t ck_plan_most; /* lowered by tests */
void ck_plan_init(struct ck_plan *p, enum lcpfs_repair_class most, size_t budget);
void ck_plan_fini(struct ck_plan *p);

/*
 * A step against problem `id`, when a plan is wanted that has its class. ds NULL: the pool tree, or records in it; of a snapshot no item is changed.
 * flags: of btree_put and btree_del.
 */
struct check;
struct ck_ds;
bool ck_plan_wants(const struct check *ck, enum problem_id id, const struct ck_ds *ds);
void ck_plan_put(struct check *ck, enum problem_id id, const struct ck_ds *ds, const void *key, size_t klen, const void *val, size_t vlen, unsigned flags);
void ck_plan_del(struct check *ck, enum problem_id id, const struct ck_ds *ds, const void *key, size_t klen, unsigned flags);
void ck_plan_drop(struct check *ck, enum problem_id id, const struct ck_ds *ds, unsigned level, const void *key, size_t klen);
void ck_plan_set(struct check *ck, enum problem_id id, const struct ck_ds *ds, enum ck_fix_kind kind, enum ck_field field, uint64_t a, uint64_t b);
/* A field of the record of dataset d, which may be a snapshot's. */
void ck_plan_rec(struct check *ck, enum problem_id id, const struct ck_ds *d, enum ck_field field, uint64_t value);
void ck_plan_copy(struct check *ck, const struct blkptr *bp);
/* Problems of labels, config and space have one remedy each, told of by ck_report. */
void ck_plan_told(struct check *ck, enum problem_id id);
#endif
