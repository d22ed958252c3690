/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dataset of an older root becomes a new one of the present.
 * Its tree is built anew, item by item, with births of now: it shares no node with anything and has no previous snapshot, so it is nobody's past. Data blocks
 * that some tree of the present still has get one more reference; what was freed since is copied, from places that are kept from being overwritten. A block is
 * the same one only if it begins at the same place, is as long, and has the same hash.
 */
#include "base/error.h"
#include "base/util.h"
#include "check/verify.h"
#include "history/history.h"
#include <stdlib.h>
#include <string.h>

/* ---- what the older root has is not overwritten ---- */

static int protect_ptr(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct lcpfs_pool *p = arg;

	return space_protect(p->spa->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), err);
}

int lcpfs_root_protect(struct lcpfs_pool *p, struct lcpfs_pool *old, struct lcpfs_error *err)
{
	int rc = spa_may_write(p->spa, err);

	if (!rc && !old->guarded)
		rc = verify_each_ptr(old->spa, true, false, protect_ptr, p, err);
	if (!rc)
		old->guarded = true;
	return rc;
}

/* ---- which of its data blocks the present has ---- */

struct had { uint64_t addr, tag; };
struct had_table {
	struct had *slot; /* addr 0: empty */
	bool *live;
	size_t cap, n;
};

static uint64_t tag_of(const struct blkptr *bp)
{
	return le_load(bp->hash, 8) ^ (uint64_t)bp->psize << 32;
}

static size_t had_find(const struct had_table *t, uint64_t addr)
{
	size_t i = (size_t)(addr * 0x9e3779b97f4a7c15u >> 20) & (t->cap - 1);

	while (t->slot[i].addr && t->slot[i].addr != addr)
		i = (i + 1) & (t->cap - 1);
	return i;
}

static int had_init(struct had_table *t, size_t bytes, struct lcpfs_error *err)
{
	t->cap = 1024;
	while (t->cap * 2 * (sizeof *t->slot + 1) <= bytes)
		t->cap *= 2;
	t->slot = calloc(t->cap, sizeof *t->slot);
	t->live = calloc(t->cap, 1);
	return t->slot && t->live ? 0 : lcpfs_nomem(err);
}

static void had_fini(struct had_table *t)
{
	free(t->slot);
	free(t->live);
}

/* What does not fit is copied. */
static int had_note(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct had_table *t = arg;
	size_t i;

	(void)err;
	if (bp->kind != PTR_DATA || t->n >= t->cap / 4 * 3)
		return 0;
	i = had_find(t, bp->addr);
	if (!t->slot[i].addr)
		t->n++;
	t->slot[i] = (struct had){ bp->addr, tag_of(bp) };
	return 0;
}

static int had_see(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct had_table *t = arg;
	size_t i;

	(void)err;
	if (bp->kind != PTR_DATA)
		return 0;
	i = had_find(t, bp->addr);
	if (t->slot[i].addr && t->slot[i].tag == tag_of(bp))
		t->live[i] = true;
	return 0;
}

static bool had_live(const struct had_table *t, const struct blkptr *bp)
{
	size_t i = had_find(t, bp->addr);

	return t->slot[i].addr && t->slot[i].tag == tag_of(bp) && t->live[i];
}

/* ---- the copy ---- */

struct branch {
	struct spa *spa;
	struct dataset *from;
	struct had_table had;
	struct btree_store store;
	struct btree_bulk *bulk;
	uint8_t *buf;
	struct lcpfs_branch_stats st;
};

static int write_node(struct btree_store *st, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const uint8_t *body,
                      uint32_t len, struct blkptr *bp, struct lcpfs_error *err)
{
	return zio_write_node(container_of(st, struct branch, store)->spa->zio, true, level, guid, ptrs, nptr, body, len, bp, err);
}

static const struct btree_store_ops write_ops = { .write = write_node };

static int copy_block(struct branch *b, const struct blkptr *old, struct blkptr *bp, struct lcpfs_error *err)
{
	uint8_t *buf = realloc(b->buf, old->psize);
	int rc = buf ? spa_admit(b->spa, ADMIT_NORMAL, old->psize, err) : lcpfs_nomem(err);

	if (buf)
		b->buf = buf;
	if (!rc)
		rc = zio_read_stored(b->from->spa->zio, old, b->buf, err);
	*bp = (struct blkptr){ .kind = PTR_DATA, .lsize = old->lsize, .psize = old->psize, .comp = old->comp, .csum = old->csum };
	memcpy(bp->hash, old->hash, sizeof bp->hash);
	if (!rc)
		rc = zio_write_stored(b->spa->zio, b->buf, bp, err);
	b->st.copied_blocks++;
	b->st.copied_bytes += old->psize;
	return rc;
}

static int take_block(struct branch *b, const struct blkptr *old, struct blkptr *bp, struct lcpfs_error *err)
{
	if (old->kind != PTR_DATA)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not file data", ptr_chunk(old), ptr_sector(old));
	if (!had_live(&b->had, old))
		return copy_block(b, old, bp, err);
	b->st.shared_blocks++;
	b->st.shared_bytes += old->psize;
	return spa_share(b->spa, old, bp, err);
}

static int take_item(struct branch *b, const struct bt_item *it, struct lcpfs_error *err)
{
	struct blkptr old, bp[16];
	int rc = 0;

	for (unsigned i = 0; i < it->nptr && !rc; i++) {
		rc = ptr_decode(&old, it->ptrs + (size_t)i * PTR_LEN, err);
		if (!rc)
			rc = take_block(b, &old, &bp[i], err);
	}
	return rc ? rc : btree_bulk_add(b->bulk, it->key, it->klen, it->val, it->vlen, bp, it->nptr, err);
}

/* Reading the older root's nodes as they are asked for needs no more than its cache. */
static int take_items(struct branch *b, struct dsrec *r, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint64_t n = 0;
	int rc = btree_bulk_create(&b->bulk, &b->store, r->guid, err);

	if (!rc)
		rc = btree_seek(b->from->tree, &c, "", 0, err);
	for (; rc == 0; rc = btree_next(&c, err)) {
		rc = take_item(b, &c.item, err);
		if (!rc && !(++n & 1023))
			rc = spa_admit(b->spa, ADMIT_NORMAL, 1 * MiB, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	if (rc == 1)
		rc = btree_bulk_finish(b->bulk, &r->root, err);
	btree_bulk_destroy(b->bulk);
	r->height = (uint8_t)(ptr_is_null(&r->root) ? 0 : r->root.level + 1);
	return rc;
}

static int take_prop(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	struct dataset *to = arg;

	if (name[0] == '.' || strncmp(name, "hold:", 5) == 0)
		return 0;
	return dmu_prop_set(to->spa, to->rec.id, name, value, err);
}

/* What the present lacks must still be there. Nodes that have pointers were read on the way here. */
static int must_be_whole(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct branch *b = arg;
	uint8_t *buf;
	int rc;

	if (bp->kind == PTR_NODE ? !(bp->flags & PTR_NOPTR) : had_live(&b->had, bp))
		return 0;
	buf = realloc(b->buf, bp->psize);
	if (!buf)
		return lcpfs_nomem(err);
	b->buf = buf;
	rc = zio_read_stored(b->from->spa->zio, bp, buf, err);
	return rc ? lcpfs_within(err, rc, "overwritten since") : 0;
}

static int look(struct branch *b, struct lcpfs_error *err)
{
	struct btree_walk note = { had_note, NULL, &b->had }, whole = { must_be_whole, NULL, b };
	const struct blkptr *root = &b->from->rec.root;
	int rc = had_init(&b->had, b->spa->memory / 8, err);

	if (!rc && !ptr_is_null(root))
		rc = btree_walk_ptrs(&b->from->store, root, &note, err);
	if (!rc)
		rc = verify_each_ptr(b->spa, false, false, had_see, &b->had, err);
	if (!rc && !ptr_is_null(root))
		rc = btree_walk_ptrs(&b->from->store, root, &whole, err);
	return rc;
}

static int make_dataset(struct branch *b, const char *name, bool own_past, struct lcpfs_error *err)
{
	const struct dsrec *o = &b->from->rec;
	struct dataset *ds = NULL;
	int rc = dmu_create(b->spa, name, &ds, err);

	if (rc)
		return rc;
	/* blocks are taken as they are: an abandoned future may have had a form that the present does not know yet */
	if (spa_columns(b->from->spa))
		rc = spa_columns_need(b->spa, err);
	if (own_past)
		ds->rec.family = o->family;
	ds->rec.group = DS_GROUP_NONE;
	ds->rec.ref_psize = o->ref_psize;
	ds->rec.ref_lsize = o->ref_lsize;
	ds->rec.ref_blocks = o->ref_blocks;
	ds->rec.n_inodes = o->n_inodes;
	if (!rc)
		rc = take_items(b, &ds->rec, err);
	if (!rc)
		rc = dmu_prop_each(b->from->spa, o->id, take_prop, ds, err);
	if (!rc)
		rc = dmu_rec_put(b->spa, &ds->rec, err);
	/* its tree was opened empty: the next open reads the root */
	ds->info_dirty = ds->rec_dirty = false;
	dmu_close(ds);
	return spa_spoilt(b->spa, rc, err);
}

int lcpfs_root_branch(struct lcpfs_pool *p, struct lcpfs_pool *old, const char *from, const char *name, struct lcpfs_branch_stats *st,
                      struct lcpfs_error *err)
{
	struct branch b = { .spa = p->spa, .store = { &write_ops, NULL } };
	struct dsrec taken;
	int rc = spa_may_write(p->spa, err);

	if (!rc)
		rc = dmu_open(old->spa, from, &b.from, err);
	if (rc)
		return rc;
	if (!dmu_lookup(p->spa, name, &taken, NULL))
		rc = lcpfs_fail(err, LCPFS_EEXIST, "dataset '%s' already exists", name);
	if (!rc)
		rc = lcpfs_root_protect(p, old, err);
	if (!rc)
		rc = look(&b, err);
	if (!rc)
		rc = make_dataset(&b, name, old->of == p, err);
	dmu_close(b.from);
	had_fini(&b.had);
	free(b.buf);
	if (st)
		*st = b.st;
	return rc;
}
