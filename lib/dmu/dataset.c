/* SPDX-License-Identifier: Apache-2.0 */
/* Open datasets: their trees, what happens when a pointer is given up, and their part of a commit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

static struct zpl_hooks hooks;

void dmu_set_zpl_hooks(const struct zpl_hooks *h)
{
	hooks = *h;
}

static int ds_read(struct btree_store *st, const struct blkptr *bp, uint8_t **pb, uint32_t *n, struct lcpfs_error *err)
{
	return spa_node_read(container_of(st, struct dataset, store)->spa, bp, pb, n, err);
}

static int ds_write_node(struct btree_store *st, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const uint8_t *body,
                         uint32_t len, struct blkptr *bp, struct lcpfs_error *err)
{
	struct dataset *ds = container_of(st, struct dataset, store);

	return zio_write_node(ds->spa->zio, true, level, guid, ptrs, nptr, body, len, bp, err);
}

static int ds_kill(struct btree_store *st, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err)
{
	struct dataset *ds = container_of(st, struct dataset, store);

	(void)owner;
	(void)is_node;
	if (bp->birth > ds->rec.prev_snap_txg)
		return spa_free(ds->spa, bp, err);
	return dead_add(ds, bp, err);
}

static int ds_submit_node(struct btree_store *st, unsigned level, uint64_t guid, const uint8_t *ptrs_body, uint32_t nptr, uint32_t len,
                          zio_done_fn *done, void *arg, struct lcpfs_error *err)
{
	struct dataset *ds = container_of(st, struct dataset, store);

	return zio_submit_node(ds->spa->zio, true, level, guid, ptrs_body, nptr, len, done, arg, err);
}

static const struct btree_store_ops ds_ops = { ds_read, ds_write_node, ds_kill, ds_submit_node };

static struct dataset *of_client(struct spa_client *c) { return container_of(c, struct dataset, client); }

static int ds_write(struct spa_client *c, struct lcpfs_error *err)
{
	struct dataset *ds = of_client(c);
	int rc;

	if (!ds->writable)
		return 0;
	rc = hooks.flush ? hooks.flush(ds, err) : 0;
	if (rc)
		return rc;
	if (!btree_is_dirty(ds->tree) && !ds->rec_dirty)
		return 0;
	rc = btree_write(ds->tree, err);
	if (rc)
		return rc;
	ds->rec_dirty = true; /* until the record names the new root */
	ds->rec.root = *btree_root(ds->tree);
	ds->rec.height = (uint8_t)(ptr_is_null(&ds->rec.root) ? 0 : ds->rec.root.level + 1);
	rc = dead_write(ds, err);
	if (!rc)
		rc = dmu_rec_put(ds->spa, &ds->rec, err);
	if (!rc)
		ds->rec_dirty = false;
	return rc;
}

static uint64_t ds_pending(struct spa_client *c)
{
	return btree_dirty_bytes(of_client(c)->tree);
}

static void ds_free(struct dataset *ds)
{
	if (hooks.close && ds->zpl)
		hooks.close(ds);
	btree_close(ds->tree);
	dead_drop(ds);
	free(ds->chain);
	free(ds->name);
	free(ds);
}

static void ds_close(struct spa_client *c)
{
	ds_free(of_client(c));
}

struct dataset *dmu_find_open(struct spa *s, uint64_t id)
{
	for (struct spa_client *c = s->clients; c; c = c->next)
		if (c->order == id)
			return of_client(c);
	return NULL;
}

static int load_info(struct dataset *ds, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_get(ds->tree, &c, key, item_key(key, ITEM_DSINFO, 0), err);

	if (rc == 0)
		rc = dsinfo_decode(&ds->info, c.item.val, c.item.vlen, err);
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

/* A name for messages, whatever there is. */
static int name_it(struct spa *s, uint64_t id, bool damaged, struct buf *name, struct lcpfs_error *err)
{
	char number[32];
	int rc = dmu_full_name(s, id, name, err);

	if (rc && rc != -LCPFS_ENOMEM && damaged) {
		buf_reset(name);
		buf_add(name, number, (size_t)snprintf(number, sizeof number, "#%" PRIu64, id));
		rc = 0;
	}
	return rc;
}

static int open_rec(struct spa *s, const struct dsrec *r, bool damaged, struct dataset **out, struct lcpfs_error *err)
{
	struct dataset *ds = calloc(1, sizeof *ds);
	struct buf name = { 0 };
	int rc = ds ? 0 : lcpfs_nomem(err);

	if (rc)
		return rc;
	ds->client = (struct spa_client){ .order = r->id, .write = ds_write, .pending = ds_pending, .close = ds_close };
	ds->spa = s;
	ds->rec = *r;
	ds->store = (struct btree_store){ &ds_ops, s->arc };
	ds->writable = s->writable && r->kind != DS_SNAPSHOT;
	ds->refs = 1;
	rc = name_it(s, r->id, damaged, &name, err);
	buf_u8(&name, 0);
	ds->name = (char *)name.data;
	if (!rc)
		rc = name.failed ? lcpfs_nomem(err) : btree_open(&ds->tree, &ds->store, &r->root, r->guid, ds, err);
	if (!rc)
		rc = load_info(ds, err);
	if (rc && rc != -LCPFS_ENOMEM && damaged && ds->tree)
		rc = 0;
	if (rc) {
		ds_free(ds);
		return rc;
	}
	spa_client_add(s, &ds->client);
	*out = ds;
	return 0;
}

static int open_id(struct spa *s, uint64_t id, bool damaged, struct dataset **out, struct lcpfs_error *err)
{
	struct dataset *ds = dmu_find_open(s, id);
	struct dsrec r;
	int rc;

	if (ds) {
		ds->refs++;
		*out = ds;
		return 0;
	}
	rc = dmu_rec_get(s, id, &r, err);
	return rc ? rc : open_rec(s, &r, damaged, out, err);
}

int dmu_open_id(struct spa *s, uint64_t id, struct dataset **out, struct lcpfs_error *err)
{
	return open_id(s, id, false, out, err);
}

int dmu_open_damaged(struct spa *s, uint64_t id, struct dataset **out, struct lcpfs_error *err)
{
	return open_id(s, id, true, out, err);
}

int dmu_open(struct spa *s, const char *name, struct dataset **out, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_lookup(s, name, &r, err);

	if (!rc)
		rc = dmu_open_id(s, r.id, out, err);
	return rc;
}

static bool ds_dirty(const struct dataset *ds)
{
	return ds->writable && (btree_is_dirty(ds->tree) || ds->rec_dirty || ds->info_dirty || ds->zpl);
}

void dmu_close(struct dataset *ds)
{
	if (!ds || --ds->refs || ds_dirty(ds))
		return;
	spa_client_remove(ds->spa, &ds->client);
	ds_free(ds);
}

int dmu_settle(struct spa *s, struct lcpfs_error *err)
{
	return spa_close_txg(s, err);
}

int dmu_settle_head(struct dataset *ds, struct lcpfs_error *err)
{
	int rc = ds->writable ? ds_write(&ds->client, err) : 0;

	return rc ? rc : ds->writable ? zio_wait(ds->spa->zio, err) : 0;
}

int dmu_check_closed(struct spa *s, uint64_t id, const char *name, struct lcpfs_error *err)
{
	struct dataset *ds = dmu_find_open(s, id);

	return ds && ds->refs ? lcpfs_fail(err, LCPFS_EBUSY, "'%s' is open", name) : 0;
}

int dmu_refresh_names(struct spa *s, struct lcpfs_error *err)
{
	int rc = 0;

	for (struct spa_client *c = s->clients; c && !rc; c = c->next) {
		struct dataset *ds = of_client(c);
		struct buf name = { 0 };

		rc = dmu_full_name(s, ds->rec.id, &name, err);
		buf_u8(&name, 0);
		if (!rc && name.failed)
			rc = lcpfs_nomem(err);
		if (rc) {
			buf_fini(&name);
		} else {
			free(ds->name);
			ds->name = (char *)name.data;
		}
	}
	return rc;
}

int dmu_forget(struct spa *s, uint64_t id, const char *name, struct lcpfs_error *err)
{
	struct dataset *ds = dmu_find_open(s, id);
	int rc = dmu_check_closed(s, id, name, err);

	if (!ds || rc)
		return rc;
	spa_client_remove(s, &ds->client);
	ds_free(ds);
	return 0;
}

void dmu_dirty(struct dataset *ds)
{
	ds->rec_dirty = true;
	ds->spa->changed = true;
}

static int fresh_group(struct dataset *ds, uint32_t *group, struct lcpfs_error *err)
{
	static const uint8_t types[] = { ITEM_INODE, ITEM_SLICE, ITEM_EXTENT, ITEM_PACK };
	struct bt_cursor c = { 0 };
	uint8_t key[64], val[8];
	size_t klen;
	uint64_t next = 1;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(types) && rc >= 0; i++) {
		klen = item_key_u64(key, types[i], UINT64_MAX, UINT64_MAX);
		rc = btree_seek_le(ds->tree, &c, key, klen, err);
		if (rc == 0 && c.item.klen >= 9 && c.item.key[0] == types[i])
			next = MAX(next, (be64_load(c.item.key + 1) >> SEQ_BITS) + 1);
	}
	btree_cursor_close(&c);
	klen = key_u64_str(key, TBL_PROP, ds->rec.family, ".next-group", 11);
	if (rc >= 0)
		rc = btree_get(ds->spa->pool_tree, &c, key, klen, err);
	if (rc == 0 && c.item.vlen == 8)
		next = MAX(next, le_load(c.item.val, 8));
	btree_cursor_close(&c);
	if (rc < 0)
		return rc;
	if (next >> (64 - SEQ_BITS))
		return lcpfs_fail(err, LCPFS_ELIMIT, "'%s' has no group of numbers left: send it and receive it anew", ds->name);
	*group = (uint32_t)next;
	le_store(val, 8, next + 1);
	return btree_put(ds->spa->pool_tree, key, klen, val, 8, NULL, 0, 0, err);
}

int dmu_new_number(struct dataset *ds, uint64_t *out, struct lcpfs_error *err)
{
	uint32_t group;
	int rc;

	if (ds->rec.group == DS_GROUP_NONE) {
		rc = fresh_group(ds, &group, err);
		if (rc)
			return rc;
		ds->rec.group = ds->info.group = group;
		ds->info.next_seq = 1;
	}
	if (ds->info.next_seq >> SEQ_BITS)
		return lcpfs_fail(err, LCPFS_ELIMIT, "'%s' has no number left: send it and receive it anew", ds->name);
	*out = INO(ds->rec.group, ds->info.next_seq++);
	ds->info_dirty = ds->rec_dirty = true;
	return 0;
}
