/* SPDX-License-Identifier: Apache-2.0 */
/* P5, contents: slices, packs, extents, and who refers to them. */
#include "check/fsck_tree.h"
#include <inttypes.h>
#include <string.h>

static void count_block(struct tree_check *t, const struct blkptr *bp)
{
	t->d->ref_psize += ptr_charge(bp);
	t->d->ref_lsize += bp->lsize;
	t->d->ref_blocks++;
}

int ck_content_slice(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct ck_slice *to;
	struct slice s;

	if (it->klen != 9 || slice_decode(&s, it->val, it->vlen, &why)) {
		ck_tree_bad_item(t, it, why.msg);
		return 0;
	}
	if (t->n_slice == UINT32_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "too many slices");
	to = CK_PUSH(t->slice, t->n_slice, t->cap_slice);
	if (!to)
		return lcpfs_nomem(err);
	*to = (struct ck_slice){ be64_load(it->key + 1), s.pack_id, s.off, s.len, s.charge, 0 };
	ck_tree_number(t, to->data_id);
	return 0;
}

struct ck_slice *ck_content_find_slice(struct tree_check *t, uint64_t data_id)
{
	size_t i = ck_find(t->slice, t->n_slice, sizeof *t->slice, data_id, &t->near_slice);

	return i == SIZE_MAX ? NULL : &t->slice[i];
}

struct ck_extents *ck_content_find_extents(struct tree_check *t, uint64_t data_id)
{
	size_t i = ck_find(t->ext, t->n_ext, sizeof *t->ext, data_id, &t->near_ext);

	return i == SIZE_MAX ? NULL : &t->ext[i];
}

/* A pool with encryption has a feature that is not known here, and does not open. */
static bool readable(const struct blkptr *bp) { return bp->kind == PTR_DATA && !bp->suite && !bp->dict; }

static bool extent_ok(const struct bt_item *it, struct blkptr *bp)
{
	uint64_t off = it->klen == 17 ? be64_load(it->key + 9) : 0;

	return it->klen == 17 && it->vlen == 4 && it->nptr == 1 && ptr_decode(bp, it->ptrs, NULL) == 0 && readable(bp) &&
	    le_load(it->val, 4) == bp->lsize && off <= (uint64_t)FILE_MAX - bp->lsize;
}

/* A pointer that leads nowhere, or to what another has, goes without giving anything up. */
static void plan_pointer(struct tree_check *t, const struct bt_item *it, const struct blkptr *bp)
{
	if (!ck_addr_ok(t->ck, bp))
		ck_plan_del(t->ck, P_BLOCK_ADDR, t->d, it->key, it->klen, BT_KEEP_PTRS);
	else if (t->ck->n_clash && ck_plan_wants(t->ck, P_BLOCK_SHARED, t->d) && ck_clash_lost(t->ck, bp))
		ck_plan_del(t->ck, P_BLOCK_SHARED, t->d, it->key, it->klen, BT_KEEP_PTRS);
}

/* The one written later is right. */
static void plan_overlap(struct tree_check *t, const struct bt_item *it, const struct blkptr *bp)
{
	uint8_t key[17];

	if (bp->birth > t->ext_birth)
		ck_plan_del(t->ck, P_EXTENT_OVERLAP, t->d, key, item_key_u64(key, ITEM_EXTENT, be64_load(it->key + 1), t->ext_off), 0);
	else
		TREE_DEL(t, P_EXTENT_OVERLAP, it);
}

int ck_content_extent(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	struct ck_extents *e = t->n_ext ? &t->ext[t->n_ext - 1] : NULL;
	uint64_t id = be64_load(it->key + 1), off;
	struct blkptr bp;

	if (!extent_ok(it, &bp)) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	off = be64_load(it->key + 9);
	count_block(t, &bp);
	if (!e || e->data_id != id) {
		e = CK_PUSH(t->ext, t->n_ext, t->cap_ext);
		if (!e)
			return lcpfs_nomem(err);
		*e = (struct ck_extents){ .data_id = id };
		ck_tree_number(t, id);
		if (ck_content_find_slice(t, id))
			TREE_REPORT(t, P_CONTENT_TWICE, 0, "%" PRIu64, id);
	}
	plan_pointer(t, it, &bp);
	if (off < e->end) {
		struct ck_where w = { .ds = t->d, .offset = off, .length = bp.lsize, .addr = bp.addr };

		plan_overlap(t, it, &bp);
		ck_report(t->ck, P_EXTENT_OVERLAP, &w, "content %" PRIu64 " at %" PRIu64, id, off);
	}
	e->psize += ptr_charge(&bp);
	e->end = MAX(e->end, off + bp.lsize);
	t->ext_off = off;
	t->ext_birth = bp.birth;
	return 0;
}

/* ---- packs ---- */

static int by_place(const void *a, const void *b, void *arg)
{
	const struct ck_slice *s = arg, *x = &s[*(const uint32_t *)a], *y = &s[*(const uint32_t *)b];

	if (x->pack_id != y->pack_id)
		return x->pack_id < y->pack_id ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static int index_slices(struct tree_check *t, struct lcpfs_error *err)
{
	t->by_pack = malloc((t->n_slice + 1) * sizeof *t->by_pack);
	if (!t->by_pack)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < t->n_slice; i++)
		t->by_pack[i] = (uint32_t)i;
	qsort_r(t->by_pack, t->n_slice, sizeof *t->by_pack, by_place, t->slice);
	return 0;
}

static const struct ck_slice *next_slice(const struct tree_check *t)
{
	return t->at_pack < t->n_slice ? &t->slice[t->by_pack[t->at_pack]] : NULL;
}

static void no_pack(struct tree_check *t, const struct ck_slice *s)
{
	if (!t->holes && !t->partial) {
		plan_slice_del(t, P_SLICE_NO_PACK, s->data_id);
		TREE_REPORT(t, P_SLICE_NO_PACK, 0, "content %" PRIu64 ", pack %" PRIu64, s->data_id, s->pack_id);
	}
	t->at_pack++;
}

/* The table that a pack itself has, against the slices first .. last that lie in it. */
static bool check_table(struct tree_check *t, uint64_t pack_id, const uint8_t *p, uint32_t len, size_t n_slices)
{
	uint64_t found = 0;
	struct pack_cur c = { 0 };
	struct pack_slot e;
	int rc = pack_begin(&c, p, len, NULL);

	while (!rc && !(rc = pack_next(&c, &e, NULL))) {
		const struct ck_slice *s = ck_content_find_slice(t, e.data_id);

		if (!s || s->pack_id != pack_id)
			continue;
		found++;
		if (s->off != e.off || s->len != e.len)
			rc = -LCPFS_ECORRUPT;
	}
	if (rc >= 0 && found == n_slices)
		return false;
	TREE_REPORT(t, P_PACK_TABLE, 0, "pack %" PRIu64 ": %u entries, of %zu slices it has %" PRIu64, pack_id, c.n, n_slices, found);
	return true;
}

static int check_content(struct tree_check *t, uint64_t pack_id, const struct blkptr *bp, size_t n_slices, bool *bad, struct lcpfs_error *err)
{
	uint8_t *p = malloc(bp->lsize);
	struct lcpfs_error why = { 0 };
	struct ck_where w = { .ds = t->d, .addr = bp->addr, .stays = true };
	int rc = p ? zio_read(t->ck->spa->zio, bp, p, &why) : lcpfs_nomem(&why);

	if (!rc && !t->holes && !t->partial)
		*bad |= check_table(t, pack_id, p, bp->lsize, n_slices);
	free(p);
	if (rc == -LCPFS_ENOMEM)
		return lcpfs_fail(err, LCPFS_ENOMEM, "pack %" PRIu64 ": %s", pack_id, why.msg);
	/* what cannot be read was told by P2; what does not decode only shows here */
	if (rc == -LCPFS_ECORRUPT)
		ck_report(t->ck, P_PACK_TABLE, &w, "pack %" PRIu64 ": %s", pack_id, why.msg);
	return 0;
}

static bool check_slices(struct tree_check *t, uint64_t id, const struct blkptr *bp, uint64_t *n, uint64_t *bytes)
{
	const struct ck_slice *s;
	uint64_t end = 0;
	bool bad = false;

	for (; (s = next_slice(t)) && s->pack_id == id; t->at_pack++) {
		bool out = s->off < PACK_HDR + PACK_ENT || (uint64_t)s->off + s->len > bp->lsize;

		bad |= out || s->off < end;
		if (out)
			TREE_REPORT(t, P_SLICE_RANGE, 0, "content %" PRIu64 ", %u bytes at %u of pack %" PRIu64, s->data_id, s->len, s->off, id);
		if (s->off < end)
			TREE_REPORT(t, P_SLICE_OVERLAP, 0, "content %" PRIu64 " at %u of pack %" PRIu64, s->data_id, s->off, id);
		end = MAX(end, (uint64_t)s->off + s->len);
		*bytes += s->len;
		++*n;
	}
	return bad;
}

static void plan_pack_count(struct tree_check *t, const struct bt_item *it, uint64_t n, uint64_t bytes)
{
	uint8_t val[8];

	le_store(val, 4, bytes);
	le_store(val + 4, 4, n);
	if (n)
		ck_plan_put(t->ck, P_PACK_COUNT, t->d, it->key, it->klen, val, sizeof val, BT_KEEP_PTRS);
	else
		TREE_DEL(t, P_PACK_COUNT, it);
}

int ck_content_pack(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t id = be64_load(it->key + 1), n = 0, bytes = 0;
	const struct ck_slice *s;
	struct blkptr bp;
	int rc = t->by_pack ? 0 : index_slices(t, err);
	size_t first;
	bool bad;

	if (rc)
		return rc;
	if (it->klen != 9 || it->vlen != 8 || it->nptr != 1 || ptr_decode(&bp, it->ptrs, NULL) || !readable(&bp)) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	count_block(t, &bp);
	ck_tree_number(t, id);
	while ((s = next_slice(t)) && s->pack_id < id)
		no_pack(t, s);
	plan_pointer(t, it, &bp);
	first = t->at_pack;
	bad = check_slices(t, id, &bp, &n, &bytes);
	if (!t->holes && !t->partial && (le_load(it->val, 4) != bytes || le_load(it->val + 4, 4) != n)) {
		plan_pack_count(t, it, n, bytes);
		TREE_REPORT(t, P_PACK_COUNT, 0, "pack %" PRIu64 ": %" PRIu64 " bytes in %" PRIu64 ", counted %" PRIu64 " in %" PRIu64, id,
		    le_load(it->val, 4), le_load(it->val + 4, 4), bytes, n);
	}
	rc = t->ck->o->data ? check_content(t, id, &bp, n, &bad, err) : 0;
	if (!rc && bad && !t->holes && ck_plan_wants(t->ck, P_PACK_TABLE, t->d))
		rc = plan_repack(t, id, &bp, first, t->at_pack, err);
	return rc;
}

int ck_content_packs_end(struct tree_check *t, struct lcpfs_error *err)
{
	const struct ck_slice *s;
	int rc = t->by_pack ? 0 : index_slices(t, err);

	while (!rc && (s = next_slice(t)))
		no_pack(t, s);
	t->packs_done = true;
	return rc;
}

/* ---- who refers to contents ---- */

static void check_sliced(struct tree_check *t, uint64_t ino, const struct inode *i, const struct ck_slice *s)
{
	if (!s && !t->holes) {
		TREE_SET(t, P_INODE_NO_SLICE, FI_FLAGS, ino, i->flags & ~(uint32_t)INODE_SLICED);
		TREE_SET(t, P_INODE_NO_SLICE, FI_PSIZE, ino, 0);
		TREE_REPORT(t, P_INODE_NO_SLICE, ino, "content %" PRIu64, i->data_id);
	}
	if (!s)
		return;
	if (s->len != i->size) {
		TREE_SET(t, P_INODE_SIZE, FI_SIZE, ino, s->len);
		TREE_REPORT(t, P_INODE_SIZE, ino, "size %" PRIu64 ", its content has %u bytes", i->size, s->len);
	}
	if (s->charge != i->psize) {
		TREE_SET(t, P_INODE_PSIZE, FI_PSIZE, ino, s->charge);
		TREE_REPORT(t, P_INODE_PSIZE, ino, "%" PRIu64 ", counted %u", i->psize, s->charge);
	}
}

static int check_extents(struct tree_check *t, uint64_t ino, const struct inode *i, const struct ck_extents *e, struct lcpfs_error *err)
{
	uint64_t psize = e ? e->psize : 0;
	int rc = 0;

	if (e && e->end > i->size) {
		rc = plan_extents_cut(t, ino, i->data_id, i->size, err);
		TREE_REPORT(t, P_EXTENT_END, ino, "size %" PRIu64 ", content up to %" PRIu64, i->size, e->end);
	}
	if (psize != i->psize && !t->holes) {
		TREE_SET(t, P_INODE_PSIZE, FI_PSIZE, ino, psize);
		TREE_REPORT(t, P_INODE_PSIZE, ino, "%" PRIu64 ", counted %" PRIu64, i->psize, psize);
	}
	return rc;
}

int ck_content_check_inode(struct tree_check *t, uint64_t ino, const struct inode *i, struct lcpfs_error *err)
{
	struct ck_slice *s = i->data_id ? ck_content_find_slice(t, i->data_id) : NULL;
	struct ck_extents *e = i->data_id ? ck_content_find_extents(t, i->data_id) : NULL;

	if (s)
		s->refs++;
	if (e)
		e->refs++;
	if (t->partial)
		return 0;
	if (s && e && !(i->flags & INODE_SLICED))
		plan_slice_del(t, P_CONTENT_TWICE, i->data_id);
	if (i->flags & INODE_SLICED) {
		check_sliced(t, ino, i, s);
		return s && e ? plan_extents_del(t, P_CONTENT_TWICE, i->data_id, 0, err) : 0;
	}
	if (!s || e)
		return check_extents(t, ino, i, e, err);
	TREE_SET(t, P_INODE_SLICED, FI_FLAGS, ino, i->flags | INODE_SLICED);
	TREE_REPORT(t, P_INODE_SLICED, ino, "content %" PRIu64 " is a slice", i->data_id);
	return 0;
}

/* What there is of the value; 0: nothing, it goes. */
static void plan_value(struct tree_check *t, const struct bt_item *it, uint64_t size)
{
	uint8_t val[17];

	memcpy(val, it->val, sizeof val);
	le_store(val + 9, 8, size);
	if (size)
		ck_plan_put(t->ck, P_XATTR_DATA, t->d, it->key, it->klen, val, sizeof val, 0);
	else
		TREE_DEL(t, P_XATTR_DATA, it);
}

void ck_content_check_xattr(struct tree_check *t, const struct bt_item *it)
{
	uint64_t ino = be64_load(it->key + 1), data_id = le_load(it->val + 1, 8), size = le_load(it->val + 9, 8);
	struct ck_slice *s = ck_content_find_slice(t, data_id);
	struct ck_extents *e = ck_content_find_extents(t, data_id);

	if (s)
		s->refs++;
	if (e)
		e->refs++;
	if (t->partial || (!s && !e && t->holes))
		return;
	/* an all-zero value may be a hole */
	if (s ? s->len != size : e && (e->end > size || size > XATTR_VALUE_MAX)) {
		plan_value(t, it, s ? s->len : e->end);
		TREE_REPORT(t, P_XATTR_DATA, ino, "content %" PRIu64 ", %" PRIu64 " bytes", data_id, size);
	} else if (!s && !e && size <= t->info.slice_max) {
		plan_value(t, it, 0);
		TREE_REPORT(t, P_XATTR_DATA, ino, "no content %" PRIu64, data_id);
	}
}

/* Of a content that nobody has, no number is right. */
static void plan_sharers(struct tree_check *t, uint64_t id, uint32_t refs)
{
	uint8_t key[9], val[8];
	size_t klen = item_key(key, ITEM_DATAREF, id);

	le_store(val, 8, refs ? refs - 1u : 0);
	if (refs > 1)
		ck_plan_put(t->ck, P_DATAREF_COUNT, t->d, key, klen, val, sizeof val, 0);
	else
		ck_plan_del(t->ck, P_DATAREF_COUNT, t->d, key, klen, 0);
}

/* Contents of nothing but holes are not counted: there is nothing of them to lose. */
int ck_content_dataref(struct tree_check *t, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t id = be64_load(it->key + 1), extra = it->vlen == 8 ? le_load(it->val, 8) : 0;
	struct ck_slice *s = ck_content_find_slice(t, id);
	struct ck_extents *e = ck_content_find_extents(t, id);
	uint32_t *refs = s ? &s->refs : e ? &e->refs : NULL;

	(void)err;
	if (it->klen != 9 || !extra) {
		ck_tree_bad_item(t, it, "");
		return 0;
	}
	if (refs && extra + 1 != *refs && !t->holes && !t->partial) {
		TREE_REPORT(t, P_DATAREF_COUNT, 0, "content %" PRIu64 ": %" PRIu64 " more than one, counted %u", id, extra, *refs);
		plan_sharers(t, id, *refs);
	}
	if (refs && *refs)
		*refs = 1;
	return 0;
}

static void check_refs(struct tree_check *t, uint64_t id, uint32_t refs)
{
	if (!refs)
		TREE_REPORT(t, P_CONTENT_ORPHAN, 0, "content %" PRIu64, id);
	if (refs < 2)
		return;
	TREE_REPORT(t, P_DATAREF_COUNT, 0, "content %" PRIu64 ": counted %u, none said to share", id, refs);
	plan_sharers(t, id, refs);
}

int ck_content_end(struct tree_check *t, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < t->n_slice; i++) {
		check_refs(t, t->slice[i].data_id, t->slice[i].refs);
		if (!t->slice[i].refs)
			plan_slice_del(t, P_CONTENT_ORPHAN, t->slice[i].data_id);
	}
	for (size_t i = 0; !rc && i < t->n_ext; i++) {
		check_refs(t, t->ext[i].data_id, t->ext[i].refs);
		if (!t->ext[i].refs)
			rc = plan_extents_del(t, P_CONTENT_ORPHAN, t->ext[i].data_id, 0, err);
	}
	return rc;
}
