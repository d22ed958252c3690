/* SPDX-License-Identifier: Apache-2.0 */
#include "check/fsck_tree.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void ck_tree_bad_item(struct tree_check *t, const struct bt_item *it, const char *why)
{
	struct ck_key k = { it->key, it->klen };
	char text[240], *end;
	bool of_inode = it->klen >= 9 && it->key[0] >= ITEM_INODE && it->key[0] <= ITEM_DIRENT;

	ck_range_text(&k, &k, false, text, sizeof text);
	end = strstr(text, " to ");
	if (end)
		*end = 0;
	ck_plan_del(t->ck, P_ITEM_BAD, t->d, it->key, it->klen, BT_KEEP_PTRS);
	TREE_REPORT(t, P_ITEM_BAD, of_inode ? be64_load(it->key + 1) : 0, "%s%s%s", text + strlen("items from "), *why ? ": " : "", why);
}

void ck_tree_number(struct tree_check *t, uint64_t n)
{
	uint64_t seq = n & ((UINT64_C(1) << SEQ_BITS) - 1), group = n >> SEQ_BITS;

	if (t->have_info && group == t->info.group)
		t->top_info = MAX(t->top_info, seq);
	if (group == t->d->rec.group)
		t->top_rec = MAX(t->top_rec, seq);
}

static int on_info(struct tree_check *t, const struct bt_item *it)
{
	struct lcpfs_error why = { 0 };

	if (it->klen != 9 || be64_load(it->key + 1) || it->nptr || dsinfo_decode(&t->info, it->val, it->vlen, &why))
		ck_tree_bad_item(t, it, why.msg);
	else
		t->have_info = true;
	return 0;
}

static int on_item(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct tree_check *t = arg;
	uint8_t type = it->key[0];
	int rc = 0;

	if (type > ITEM_PACK && !t->packs_done)
		rc = ck_content_packs_end(t, err);
	if (rc)
		return rc;
	if (it->klen < 9 || (it->nptr && type != ITEM_EXTENT && type != ITEM_PACK)) {
		ck_tree_bad_item(t, it, it->nptr ? "it owns pointers" : "a short key");
		return 0;
	}
	switch (type) {
	case ITEM_DSINFO: return on_info(t, it);
	case ITEM_SLICE: return ck_content_slice(t, it, err);
	case ITEM_EXTENT: return ck_content_extent(t, it, err);
	case ITEM_PACK: return ck_content_pack(t, it, err);
	case ITEM_INODE: return ck_names_inode(t, it, err);
	case ITEM_LINK: return ck_names_link(t, it, err);
	case ITEM_XATTR: return ck_names_xattr(t, it, err);
	case ITEM_DIRENT: return ck_names_dirent(t, it, err);
	case ITEM_DATAREF: return ck_content_dataref(t, it, err);
	case ITEM_ORPHAN: return ck_names_orphan(t, it, err);
	}
	ck_tree_bad_item(t, it, "of a type that is not known");
	return 0;
}

/* P2 told of it, where it looked: what is below is missed from now on. */
static int on_bad(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                  const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct tree_check *t = arg;
	char range[200];

	(void)err;
	t->holes = true;
	ck_plan_drop(t->ck, ck_problem_of(bp, rc), t->d, bp->level, low->p, low->len);
	if (!t->d->unsound) {
		struct ck_where w = { .ds = t->d, .addr = bp->addr };

		ck_range_text(low, high, false, range, sizeof range);
		ck_report(t->ck, ck_problem_of(bp, rc), &w, "%s, %s", why->msg, range);
	}
	return 0;
}

static void check_counts(struct tree_check *t)
{
	const struct ck_ds *d = t->d;
	const struct dsrec *r = &d->rec;

	if (r->ref_psize != d->ref_psize || r->ref_lsize != d->ref_lsize || r->ref_blocks != d->ref_blocks || r->n_inodes != d->n_inodes) {
		ck_plan_rec(t->ck, P_REF_COUNTS, d, FR_PSIZE, d->ref_psize);
		ck_plan_rec(t->ck, P_REF_COUNTS, d, FR_LSIZE, d->ref_lsize);
		ck_plan_rec(t->ck, P_REF_COUNTS, d, FR_BLOCKS, d->ref_blocks);
		ck_plan_rec(t->ck, P_REF_COUNTS, d, FR_INODES, d->n_inodes);
		TREE_REPORT(t, P_REF_COUNTS, 0, "%" PRIu64 " blocks of %" PRIu64 " (%" PRIu64 ") bytes, %" PRIu64 " inodes; there are %"
		    PRIu64 " of %" PRIu64 " (%" PRIu64 ") and %" PRIu64, r->ref_blocks, r->ref_lsize, r->ref_psize, r->n_inodes,
		    d->ref_blocks, d->ref_lsize, d->ref_psize, d->n_inodes);
	}
	if (t->have_info && t->info.n_files != d->n_inodes) {
		ck_plan_set(t->ck, P_DSINFO_FILES, d, FIX_INFO, FD_FILES, d->n_inodes, 0);
		TREE_REPORT(t, P_DSINFO_FILES, 0, "%" PRIu64 ", counted %" PRIu64, t->info.n_files, d->n_inodes);
	}
}

static void check_info(struct tree_check *t)
{
	uint64_t top = MAX(t->top_info, t->d->rec.group != DS_GROUP_NONE ? t->top_rec : 0);

	if (!t->have_info) {
		ck_plan_set(t->ck, P_DSINFO_MISSING, t->d, FIX_INFO, FD_MAKE, top + 1, 0);
		TREE_REPORT(t, P_DSINFO_MISSING, 0, NULL);
		return;
	}
	if (top < t->info.next_seq)
		return;
	ck_plan_set(t->ck, P_DSINFO_SEQ, t->d, FIX_INFO, FD_SEQ, top + 1, 0);
	TREE_REPORT(t, P_DSINFO_SEQ, 0, "next %" PRIu64 ", in use %" PRIu64, t->info.next_seq, top);
}

static void tree_fini(struct tree_check *t)
{
	free(t->slice);
	free(t->by_pack);
	free(t->ext);
	free(t->ino);
	free(t->flags);
	free(t->linked);
	free(t->xattrs);
	free(t->orphan);
	free(t->rename);
}

static int at_end(struct tree_check *t, struct lcpfs_error *err)
{
	int rc;

	if (t->holes || t->partial)
		return 0;
	check_info(t);
	rc = ck_content_end(t, err);
	if (!rc)
		rc = ck_names_end(t, err);
	check_counts(t);
	return rc;
}

static bool same_tree(const struct ck_ds *d, const struct ck_ds *e)
{
	return e && e != d && e->walked && !e->unsound && !d->unsound && e->rec.group == d->rec.group && !ptr_is_null(&d->rec.root) &&
	    ptr_same(&d->rec.root, &e->rec.root) && memcmp(d->rec.root.hash, e->rec.root.hash, sizeof d->rec.root.hash) == 0;
}

/* A dataset that is just as its snapshot is not gone through again; its record's counters still are its own. */
static bool seen_before(struct check *ck, struct ck_ds *d)
{
	const struct ck_ds *e = ck_ds_by_id(ck, d->rec.prev_snap);

	if (!same_tree(d, e))
		e = ck_ds_by_id(ck, d->rec.next_hint);
	if (!same_tree(d, e))
		return false;
	d->ref_psize = e->ref_psize;
	d->ref_lsize = e->ref_lsize;
	d->ref_blocks = e->ref_blocks;
	d->n_inodes = e->n_inodes;
	return true;
}

int fsck_tree(struct check *ck, struct ck_ds *d, struct lcpfs_error *err)
{
	struct tree_check t = { .ck = ck, .d = d, .partial = d->rec.kind == DS_HIDDEN || d->rec.state == DS_RECEIVING };
	struct ck_walk w = { .item = on_item, .bad = on_bad, .arg = &t };
	int rc = 0;

	if (!t.partial && seen_before(ck, d)) {
		d->walked = true;
		check_counts(&t);
		return 0;
	}
	rc = ck_walk(ck, &d->rec.root, &w, err);
	if (!rc && !t.packs_done)
		rc = ck_content_packs_end(&t, err);
	if (!rc) {
		d->walked = true;
		d->unsound |= t.holes;
		rc = at_end(&t, err);
	}
	tree_fini(&t);
	return rc;
}
