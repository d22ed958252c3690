/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool without what is private: the same datasets and snapshots, files, sizes, times and owners, but no contents, and names that say nothing.
 * Each dataset is built snapshot by snapshot, from the items that differ, so that the new one has a history of the same form.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "history/history.h"
#include "history/scramble.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { XATTR_INLINE = 0 };

struct head { struct dsrec rec; char *name; bool done; };
struct sanitize {
	struct lcpfs_pool *from, *to;
	struct scramble key;
	struct head *heads;
	size_t n;
	struct dataset *src;  /* whose store reads the old trees */
	struct dataset *ds;   /* being filled */
};

/* ---- items ---- */

static int inode_value(const struct sanitize *z, const struct bt_item *it, uint8_t *val, struct lcpfs_error *err)
{
	struct inode i;
	const uint8_t *tlv, *target;
	size_t tlv_len, n;
	int rc = inode_decode(&i, it->val, it->vlen, &tlv, &tlv_len, err);

	if (rc)
		return rc;
	memcpy(val, it->val, it->vlen);
	if (S_ISREG(i.mode)) {
		/* one hole */
		i.flags &= ~(uint32_t)INODE_SLICED;
		i.data_id = i.psize = 0;
		i.rec_shift = 0;
	}
	inode_encode(&i, val);
	target = inode_symlink(tlv, tlv_len, &n);
	if (target) {
		uint8_t *at = val + (target - it->val);

		for (size_t k = 0, len; k < n; k += len + 1) {
			const uint8_t *slash = memchr(at + k, '/', n - k);

			len = slash ? (size_t)(slash - (at + k)) : n - k;
			scramble_name(&z->key, 0, at + k, len);
		}
	}
	return 0;
}

/* ACLs stay: they say no more than owners do. */
static uint32_t xattr_value(const struct bt_item *it, uint8_t *val)
{
	if (it->vlen && it->val[0] == XATTR_INLINE && it->key[9] == XNS_SYSTEM) {
		memcpy(val, it->val, it->vlen);
		return it->vlen;
	}
	/* what was too long for an item becomes one byte */
	memset(val, 0, VAL_MAX);
	return it->vlen && it->val[0] == XATTR_INLINE ? it->vlen : 2;
}

/* The key and value that stand for this item; 1: none does. */
static int translate(const struct sanitize *z, const struct bt_item *it, uint8_t *key, uint8_t *val, uint32_t *vlen, struct lcpfs_error *err)
{
	if (it->klen < 9 || it->klen > KEY_MAX || it->vlen > VAL_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "item key of %u bytes", it->klen);
	memcpy(key, it->key, it->klen);
	memcpy(val, it->val, it->vlen);
	*vlen = it->vlen;
	switch (it->key[0]) {
	case ITEM_DSINFO:
	case ITEM_ORPHAN:
		return 0;
	case ITEM_INODE:
		return inode_value(z, it, val, err);
	case ITEM_LINK:
		if (it->klen > 17)
			scramble_name(&z->key, be64_load(key + 9), key + 17, it->klen - 17u);
		return 0;
	case ITEM_DIRENT:
		scramble_name(&z->key, be64_load(key + 1), key + 9, it->klen - 9u);
		return 0;
	case ITEM_XATTR:
		if (it->klen > 10 && key[9] != XNS_SYSTEM)
			scramble_name(&z->key, 1, key + 10, it->klen - 10u);
		*vlen = xattr_value(it, val);
		return 0;
	default:
		return 1;
	}
}

static int put(struct sanitize *z, const uint8_t *key, size_t klen, const uint8_t *val, uint32_t vlen, struct lcpfs_error *err)
{
	int rc = key[0] == ITEM_DSINFO ? dsinfo_decode(&z->ds->info, val, vlen, err) : 0;

	if (rc)
		return rc;
	if (key[0] != ITEM_INODE)
		return btree_put(z->ds->tree, key, klen, val, vlen, NULL, 0, 0, err);
	rc = btree_put(z->ds->tree, key, klen, val, vlen, NULL, 0, BT_NEW, err);
	if (rc == -LCPFS_EEXIST)
		return btree_put(z->ds->tree, key, klen, val, vlen, NULL, 0, 0, err);
	z->ds->rec.n_inodes += !rc;
	return rc;
}

static int on_item(void *arg, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	struct sanitize *z = arg;
	uint8_t key[KEY_MAX], val[VAL_MAX];
	uint32_t vlen = 0;
	int rc = translate(z, b ? b : a, key, val, &vlen, err);

	if (rc)
		return MIN(rc, 0);
	if (b) {
		rc = put(z, key, b->klen, val, vlen, err);
	} else {
		rc = btree_del(z->ds->tree, key, a->klen, 0, err);
		z->ds->rec.n_inodes -= !rc && key[0] == ITEM_INODE;
	}
	dmu_dirty(z->ds);
	if (rc >= 0 && btree_dirty_bytes(z->ds->tree) > z->to->spa->memory / 4)
		rc = btree_shed(z->ds->tree, z->to->spa->memory / 8, err);
	return MIN(rc, 0);
}

/* The open dataset goes from one state of the source to the next. */
static int advance(struct sanitize *z, const char *name, const struct blkptr *was, const struct dsrec *is, struct lcpfs_error *err)
{
	int rc = dmu_open(z->to->spa, name, &z->ds, err);

	if (rc)
		return rc;
	rc = btree_diff_items(&z->src->store, was, &z->src->store, &is->root, false, on_item, z, err);
	/* numbers stay, so the group that they are given from does */
	z->ds->rec.group = is->group;
	dmu_dirty(z->ds);
	dmu_close(z->ds);
	return rc;
}

/* ---- datasets ---- */

/* "home/ann@mon": each level on its own, so that what lies in one dataset still does. Malloc'ed. */
static char *new_name(const struct sanitize *z, const char *name)
{
	char *out = strdup(name);

	for (size_t at = 0, len; out && out[at]; at += len + (out[at + len] != 0)) {
		len = strcspn(out + at, "/@");
		scramble_name(&z->key, 2, (uint8_t *)out + at, len);
	}
	return out;
}

/* Snapshots of this head on its way back, the newest first; *origin: the snapshot of another dataset that it begins at, id 0: none. */
static int own_path(const struct sanitize *z, const struct head *h, struct dsrec **path, size_t *n, struct dsrec *origin, struct lcpfs_error *err)
{
	struct dsrec r = h->rec;
	int rc = 0;

	*origin = (struct dsrec){ 0 };
	while (!rc && r.prev_snap) {
		uint64_t below = r.kind == DS_SNAPSHOT ? r.created_txg : UINT64_MAX;
		struct dsrec *p;

		rc = dmu_rec_get(z->from->spa, r.prev_snap, &r, err);
		if (!rc && (r.kind != DS_SNAPSHOT || r.created_txg >= below))
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "snapshots of '%s' are out of order", h->name);
		if (rc)
			break;
		if (r.parent != h->rec.id) {
			*origin = r;
			break;
		}
		p = realloc(*path, (*n + 1) * sizeof *p);
		if (!p)
			return lcpfs_nomem(err);
		*path = p;
		p[(*n)++] = r;
	}
	return rc;
}

static int full_name(const struct sanitize *z, uint64_t id, char **out, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = dmu_full_name(z->from->spa, id, &b, err);

	buf_u8(&b, 0);
	if (!rc && !b.failed)
		*out = new_name(z, (const char *)b.data);
	buf_fini(&b);
	return rc ? rc : *out ? 0 : lcpfs_nomem(err);
}

static int make_head(struct sanitize *z, const char *name, const struct dsrec *origin, struct lcpfs_error *err)
{
	struct dataset *ds = NULL;
	char *snap = NULL;
	int rc;

	if (!*name)
		return 0;
	if (origin->id) {
		rc = full_name(z, origin->id, &snap, err);
		if (!rc)
			rc = lcpfs_clone(z->to, snap, name, err);
		free(snap);
		return rc;
	}
	rc = dmu_create(z->to->spa, name, &ds, err);
	if (!rc)
		dmu_close(ds);
	return rc;
}

static int fill_head(struct sanitize *z, const struct head *h, const char *name, const struct dsrec *path, size_t n, const struct dsrec *origin,
                     struct lcpfs_error *err)
{
	const struct blkptr *was = &origin->root;
	int rc = make_head(z, name, origin, err);

	while (!rc && n--) {
		char *snap = NULL;

		rc = advance(z, name, was, &path[n], err);
		if (!rc)
			rc = full_name(z, path[n].id, &snap, err);
		if (!rc)
			rc = lcpfs_snap_create(z->to, (const char *const *)&snap, 1, false, err);
		free(snap);
		was = &path[n].root;
	}
	return rc ? rc : advance(z, name, was, &h->rec, err);
}

/* 1: what it begins at is not there yet. */
static int copy_head(struct sanitize *z, struct head *h, struct lcpfs_error *err)
{
	struct dsrec *path = NULL, origin;
	char *name = new_name(z, h->name);
	size_t n = 0;
	int rc = name ? own_path(z, h, &path, &n, &origin, err) : lcpfs_nomem(err);

	for (size_t i = 0; !rc && origin.id && i < z->n; i++)
		if (z->heads[i].rec.id == origin.parent && !z->heads[i].done)
			rc = 1;
	/* and what it lies in */
	for (size_t i = 0; !rc && i < z->n; i++)
		if (z->heads[i].rec.id == h->rec.parent && h->rec.id != h->rec.parent && !z->heads[i].done)
			rc = 1;
	if (!rc)
		rc = dmu_open_id(z->from->spa, h->rec.id, &z->src, err);
	if (!rc) {
		rc = fill_head(z, h, name, path, n, &origin, err);
		dmu_close(z->src);
		h->done = true;
	}
	free(path);
	free(name);
	return rc;
}

static int on_head(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct sanitize *z = arg;
	struct head *h = realloc(z->heads, (z->n + 1) * sizeof *h);
	int rc;

	if (!h)
		return lcpfs_nomem(err);
	z->heads = h;
	h += z->n;
	*h = (struct head){ .name = strdup(i->name) };
	rc = h->name ? dmu_rec_get(z->from->spa, i->id, &h->rec, err) : lcpfs_nomem(err);
	z->n += h->name != NULL;
	return rc;
}

static int copy_heads(struct sanitize *z, struct lcpfs_error *err)
{
	size_t left = z->n, before = left + 1;
	int rc = 0;

	while (!rc && left && left < before) {
		before = left;
		for (size_t i = 0; !rc && i < z->n; i++) {
			if (z->heads[i].done)
				continue;
			rc = copy_head(z, &z->heads[i], err);
			left -= rc == 0;
			rc = MIN(rc, 0);
		}
	}
	return !rc && left ? lcpfs_fail(err, LCPFS_ECORRUPT, "datasets begin at each other") : rc;
}

/* The root dataset that a new pool has is emptied of what making it put there. */
static int new_pool(struct sanitize *z, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_create_opts o = { .open = { .threads = z->from->spa->threads, .memory_bytes = z->from->spa->memory }, .name = "sanitized" };
	struct lcpfs_open_opts oo = o.open;
	struct lcpfs_pool *p;
	int rc = lcpfs_pool_create(&p, path, &o, err);

	if (!rc) {
		rc = lcpfs_pool_commit(p, err);
		lcpfs_pool_close(p, NULL);
	}
	oo.flags = LCPFS_OPEN_RW;
	return rc ? rc : lcpfs_pool_open(&z->to, path, &oo, err);
}

int lcpfs_sanitize(struct lcpfs_pool *from, const char *path, struct lcpfs_error *err)
{
	struct sanitize z = { .from = from };
	uint8_t seed[32];
	int rc = random_bytes(seed, sizeof seed, err), end;

	scramble_init(&z.key, seed);
	if (!rc)
		rc = lcpfs_dataset_each(from, "", true, false, on_head, &z, err);
	if (!rc)
		rc = new_pool(&z, path, err);
	if (!rc)
		rc = copy_heads(&z, err);
	if (!rc)
		rc = lcpfs_pool_commit(z.to, err);
	end = lcpfs_pool_close(z.to, rc ? NULL : err);
	for (size_t i = 0; i < z.n; i++)
		free(z.heads[i].name);
	free(z.heads);
	memset(seed, 0, sizeof seed);
	memset(&z.key, 0, sizeof z.key);
	return rc ? rc : end;
}
