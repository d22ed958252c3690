/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P5: one dataset tree, item by item in key order. Contents come before inodes and inodes before names, so one pass suffices, with a
 * few bytes kept for each inode and each content.
 */
#ifndef CHECK_FSCK_TREE_H
#define CHECK_FSCK_TREE_H
#include "check/check_impl.h"

struct ck_slice { uint64_t data_id, pack_id; uint32_t off, len, charge, refs; };
struct ck_extents { uint64_t data_id, psize, end; uint32_t refs; };
/* seen: names that lead to it; of a directory, subdirectories in it */
struct ck_inode { uint64_t ino, parent; uint32_t nlink, seen; };
enum ck_inode_flags { CI_TYPE = 15, CI_NAMED = 16, CI_GOOD = 32, CI_ON_PATH = 64, CI_LOST = 128 };
/* Names of a file with several: the sums of hashes of its LINK items and of its directory entries must agree. */
struct ck_linked { uint64_t ino, links, dirents; bool parent_seen; };
struct ck_xattrs { uint64_t ino; uint32_t want, seen; };

struct tree_check {
	struct check *ck;
	struct ck_ds *d;
	bool holes;        /* part of the tree is unreadable: absence proves nothing */
	bool partial;      /* a receive under way: only single items are checked */
	bool have_info;
	struct dsinfo info;
	uint64_t top_info, top_rec; /* highest number of the groups that header and record name */

	struct ck_slice *slice; size_t n_slice, cap_slice;
	uint32_t *by_pack;          /* slices ordered by pack and offset; made when the first PACK comes */
	size_t at_pack;             /* how far it is used */
	bool packs_done;
	struct ck_extents *ext; size_t n_ext, cap_ext;
	struct ck_inode *ino; size_t n_ino, cap_ino;
	uint8_t *flags; size_t n_flags, cap_flags; /* of each inode */
	struct ck_linked *linked; size_t n_linked, cap_linked;
	struct ck_xattrs *xattrs; size_t n_xattrs, cap_xattrs;
	uint64_t *orphan; size_t n_orphan, cap_orphan;
	/* for a plan: */
	uint64_t ext_off, ext_birth;  /* the extent before */
	uint64_t bare_ino; uint32_t bare_n; /* an inode that says it has no attributes, and how many it has */
	struct ck_rename { uint64_t ino, dir; enum ck_rename_what { NAME_PARENT, NAME_ONE, NAME_NONE, NAME_LINKS } what; } *rename;
	size_t n_rename, cap_rename;
	size_t near_slice, near_ext, near_ino; /* where ck_find found what was looked for last */
};

/*
 * Index of `id` in an array of n elements of `size` bytes in ascending order of the 64-bit number that each begins with;
 * SIZE_MAX: not there. Numbers are given out in the order in which trees are walked, so that mostly the element after
 * the last one found is meant, and evenly, so that another is not far from where its share of the range says.
 */
static inline __attribute__((always_inline)) size_t ck_find(const void *array, size_t n, size_t size, uint64_t id, size_t *near)
{
	const char *a = array;
	size_t lo = 0, hi = n;

#define ID_AT(i) (*(const uint64_t *)(const void *)(a + (i) * size))
	if (*near + 1 < n && ID_AT(*near + 1) == id)
		return ++*near;
	if (*near < n && ID_AT(*near) == id)
		return *near;
	if (n > 64 && id > ID_AT(0) && id < ID_AT(n - 1)) {
		size_t at = (size_t)((double)(id - ID_AT(0)) / (double)(ID_AT(n - 1) - ID_AT(0)) * (double)(n - 1));

		at = MIN(at, n - 1);
		if (at >= 16 && ID_AT(at - 16) < id)
			lo = at - 15;
		if (n - at > 16 && ID_AT(at + 16) >= id)
			hi = at + 16;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ID_AT(mid) < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo >= n || ID_AT(lo) != id)
		return SIZE_MAX;
#undef ID_AT
	return *near = lo;
}

/* A finding about an inode of this tree (ino 0: none). */
#define TREE_REPORT(t, id, inum, ...) \
	ck_report((t)->ck, id, &(struct ck_where){ .ds = (t)->d, .ino = (inum) }, __VA_ARGS__)
#define TREE_SET(t, id, field, inum, value) ck_plan_set((t)->ck, id, (t)->d, FIX_INODE, field, inum, value)
#define TREE_DEL(t, id, it) ck_plan_del((t)->ck, id, (t)->d, (it)->key, (it)->klen, 0)
void ck_tree_bad_item(struct tree_check *t, const struct bt_item *it, const char *why);
/* A number in use. */
void ck_tree_number(struct tree_check *t, uint64_t n);

/* fsck_content.c */
int ck_content_slice(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_content_extent(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_content_pack(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_content_packs_end(struct tree_check *t, struct lcpfs_error *err); /* no more packs */
struct ck_slice *ck_content_find_slice(struct tree_check *t, uint64_t data_id);
struct ck_extents *ck_content_find_extents(struct tree_check *t, uint64_t data_id);
int ck_content_check_inode(struct tree_check *t, uint64_t ino, const struct inode *i, struct lcpfs_error *err);
void ck_content_check_xattr(struct tree_check *t, const struct bt_item *it);
int ck_content_dataref(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_content_end(struct tree_check *t, struct lcpfs_error *err);

/* repair_content.c: what is to be done about contents */
void plan_slice_del(struct tree_check *t, enum problem_id id, uint64_t data_id);
/* Extents of this content that begin at `from` or later. */
int plan_extents_del(struct tree_check *t, enum problem_id id, uint64_t data_id, uint64_t from, struct lcpfs_error *err);
/* The content goes on beyond the size of its file. */
int plan_extents_cut(struct tree_check *t, uint64_t ino, uint64_t data_id, uint64_t size, struct lcpfs_error *err);
/* The slices first .. last of by_pack, all in this pack: to where its own table has them. */
int plan_repack(struct tree_check *t, uint64_t pack_id, const struct blkptr *bp, size_t first, size_t last, struct lcpfs_error *err);
/* repair_names.c: what is to be done about t->rename, which needs another look at all names. */
int plan_names(struct tree_check *t, struct lcpfs_error *err);

/* fsck_names.c */
int ck_names_inode(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_names_link(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_names_xattr(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_names_dirent(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_names_orphan(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err);
int ck_names_end(struct tree_check *t, struct lcpfs_error *err);
#endif
