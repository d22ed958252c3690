/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and clones: records that share a tree. Both cost the same whatever the dataset holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

static void shape(struct dsrec *r)
{
	struct blake3 b;
	uint8_t raw[16];

	le_store(raw, 8, r->guid);
	le_store(raw + 8, 8, r->created_txg);
	blake3_init(&b);
	blake3_update(&b, raw, 16);
	blake3_update(&b, r->root.hash, 32);
	blake3_final(&b, 0, r->shape_id, 16);
}

int dmu_child_count(struct spa *s, uint64_t snap_id, int delta, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc;

	if (!snap_id)
		return 0;
	rc = dmu_rec_get(s, snap_id, &r, err);
	if (rc)
		return rc;
	if (delta < 0 && !r.n_children)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "snapshot %" PRIu64 ": a successor that it does not count, run fsck", snap_id);
	r.n_children += (uint32_t)delta;
	return dmu_rec_put(s, &r, err);
}

int dmu_next_hint(struct spa *s, uint64_t snap_id, uint64_t next, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc;

	if (!snap_id)
		return 0;
	rc = dmu_rec_get(s, snap_id, &r, err);
	if (rc)
		return rc;
	r.next_hint = next;
	return dmu_rec_put(s, &r, err);
}

/* The record of a snapshot of head h, which takes h's place after h's previous snapshot; everything born until txg belongs to it. */
static int insert_snap(struct spa *s, struct dsrec *h, uint64_t parent, const char *snap, uint64_t guid, uint64_t txg, uint64_t *id,
                       struct lcpfs_error *err)
{
	struct dsrec r = *h;
	int rc;

	r.id = *id = spa_new_id(s);
	r.guid = guid ? guid : spa_guid(s, "snapshot", r.id);
	r.kind = DS_SNAPSHOT;
	r.state = DS_NORMAL;
	r.parent = parent;
	r.n_children = 1;
	r.next_hint = h->id;
	r.created_txg = txg;
	now_get(&r.created_s, &r.created_ns);
	shape(&r);
	rc = name_put(s, parent, snap, r.id, err);
	if (!rc)
		rc = snaptxg_put(s, parent, txg, r.id, err);
	if (!rc)
		rc = dmu_next_hint(s, h->prev_snap, r.id, err);
	if (!rc)
		rc = dead_move(s, h->id, r.id, err);
	if (!rc)
		rc = dmu_rec_put(s, &r, err);
	if (rc)
		return rc;
	h->prev_snap = r.id;
	h->prev_snap_txg = txg;
	return 0;
}

/* After dmu_settle: everything of the head was born at or before s->txg - 1. */
int snapshot_one(struct spa *s, uint64_t head, const char *snap, uint64_t guid, uint64_t *id, struct lcpfs_error *err)
{
	struct dsrec h;
	int rc = dmu_rec_get(s, head, &h, err);

	if (!rc && h.prev_snap_txg == s->txg - 1) {
		rc = dmu_settle(s, err);
		if (!rc)
			rc = dmu_rec_get(s, head, &h, err);
	}
	if (!rc)
		rc = insert_snap(s, &h, head, snap, guid, s->txg - 1, id, err);
	return rc ? rc : dmu_rec_put(s, &h, err);
}

static int check_snap(struct spa *s, const char *name, struct ds_name *n, uint64_t *head, struct lcpfs_error *err)
{
	struct dsrec r;
	bool taken = false;
	int rc = ds_name_parse(n, name, err);

	if (rc)
		return rc;
	if (!n->is_snap)
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot name: write DATASET@NAME", name);
	rc = dmu_lookup(s, n->dataset, &r, err);
	if (!rc)
		rc = name_taken(s, r.id, n->snap, &taken, err);
	if (taken)
		return lcpfs_fail(err, LCPFS_EEXIST, "snapshot '%s' already exists", name);
	*head = r.id;
	return rc;
}

static int by_text(const void *x, const void *y) { return strcmp(*(const char *const *)x, *(const char *const *)y); }

static int check_twice(const char *const *names, size_t n, struct lcpfs_error *err)
{
	const char **v = malloc((n + 1) * sizeof *v);
	int rc = 0;

	if (!v)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < n; i++)
		v[i] = names[i];
	qsort(v, n, sizeof *v, by_text);
	for (size_t i = 1; i < n && !rc; i++)
		if (strcmp(v[i], v[i - 1]) == 0)
			rc = lcpfs_fail(err, LCPFS_EEXIST, "snapshot '%s' is named twice", v[i]);
	free(v);
	return rc;
}

int dmu_snapshot(struct spa *s, const char *const *names, size_t n, struct lcpfs_error *err)
{
	struct ds_name *d = malloc(sizeof *d);
	uint64_t head, id;
	int rc = d ? spa_may_write(s, err) : lcpfs_nomem(err);

	if (!rc)
		rc = check_twice(names, n, err);
	for (size_t i = 0; i < n && !rc; i++)
		rc = check_snap(s, names[i], d, &head, err);
	if (!rc)
		rc = spa_admit(s, ADMIT_NORMAL, n * KiB, err);
	if (!rc)
		rc = dmu_settle(s, err);
	if (rc) {
		free(d);
		return rc;
	}
	for (size_t i = 0; i < n && !rc; i++) {
		rc = check_snap(s, names[i], d, &head, err);
		if (!rc)
			rc = snapshot_one(s, head, d->snap, 0, &id, err);
	}
	free(d);
	return spa_spoilt(s, rc, err);
}

int dmu_clone(struct spa *s, const char *snap, const char *name, struct lcpfs_error *err)
{
	struct dataset *ds = NULL;
	struct dsrec o, *r;
	int rc = dmu_lookup(s, snap, &o, err);

	if (!rc && o.kind != DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot: a clone begins at one", snap);
	if (!rc)
		rc = dmu_create(s, name, &ds, err);
	if (rc)
		return rc;
	r = &ds->rec;
	r->family = o.family;
	r->prev_snap = o.id;
	r->prev_snap_txg = o.created_txg;
	r->group = DS_GROUP_NONE;
	r->root = o.root;
	r->height = o.height;
	r->ref_psize = o.ref_psize;
	r->ref_lsize = o.ref_lsize;
	r->ref_blocks = o.ref_blocks;
	r->n_inodes = o.n_inodes;
	rc = dmu_rec_put(s, r, err);
	if (!rc)
		rc = dmu_child_count(s, o.id, 1, err);
	/* its tree was opened empty: the next open reads the root */
	ds->info_dirty = ds->rec_dirty = false;
	dmu_close(ds);
	return spa_spoilt(s, rc, err);
}

static int find_successor(struct spa *s, const struct dsrec *snap, uint64_t *id, struct dsrec *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(s->pool_tree, &c, key, key_u64(key, TBL_DS, 0), err);

	*id = 0;
	for (; rc == 0 && c.item.key[0] == TBL_DS; rc = btree_next(&c, err)) {
		rc = dsrec_decode(out, c.item.val, c.item.vlen, c.item.nptr ? c.item.ptrs : NULL, err);
		if (rc)
			break;
		if (out->prev_snap == snap->id) {
			*id = out->id;
			break;
		}
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

int dmu_successor(struct spa *s, const struct dsrec *snap, struct dsrec *out, struct lcpfs_error *err)
{
	uint64_t id = 0;
	int rc;

	if (snap->next_hint && dmu_rec_get(s, snap->next_hint, out, NULL) == 0 && out->prev_snap == snap->id)
		return 0;
	rc = find_successor(s, snap, &id, out, err);
	if (!rc && !id)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "snapshot %" PRIu64 ": its successor is missing, run fsck", snap->id);
	return rc ? rc : dmu_rec_get(s, id, out, err);
}

/* Blocks of a tree born after floor, by reading the nodes that hold any. */
static int add_size(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint64_t *v = arg;

	(void)err;
	if (bp->birth <= v[0])
		return 1;
	v[1] += ptr_charge(bp);
	return 0;
}

int dmu_snap_used(struct spa *s, const struct dsrec *snap, uint64_t *bytes, struct lcpfs_error *err)
{
	uint64_t v[2] = { snap->prev_snap_txg, 0 }, blocks;
	struct btree_walk w = { add_size, NULL, v };
	struct dsrec next;
	int rc;

	*bytes = 0;
	if (snap->n_children > 1)
		return 0;
	if (snap->n_children == 0) {
		rc = ptr_is_null(&snap->root) ? 0 : btree_walk_ptrs(&s->pool_store, &snap->root, &w, err);
		*bytes = v[1];
		return rc;
	}
	rc = dmu_successor(s, snap, &next, err);
	return rc ? rc : dmu_dead_sum(s, next.id, snap->prev_snap_txg, snap->created_txg, &blocks, bytes, err);
}
