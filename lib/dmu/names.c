/* SPDX-License-Identifier: Apache-2.0 */
/* Records and names in the pool tree. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

static int check_levels(const char *name, size_t len, const char *whole, struct lcpfs_error *err)
{
	while (len) {
		const char *slash = memchr(name, '/', len);
		size_t n = slash ? (size_t)(slash - name) : len;

		if (!config_name_ok(name, n, NAME_MAX_BYTES) || (slash && n + 1 == len))
			return lcpfs_fail(err, LCPFS_EINVAL, "bad dataset name '%s': levels are 1-255 bytes of A-Za-z0-9._-+", whole);
		len -= slash ? n + 1 : n;
		name += slash ? n + 1 : n;
	}
	return 0;
}

int ds_name_parse(struct ds_name *out, const char *name, struct lcpfs_error *err)
{
	const char *at = strchr(name, '@'), *slash;
	size_t len = at ? (size_t)(at - name) : strlen(name);
	int rc;

	memset(out, 0, sizeof *out);
	if (len >= sizeof out->parent)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "dataset name of %zu bytes", len);
	rc = check_levels(name, len, name, err);
	if (rc)
		return rc;
	if (at && !config_name_ok(at + 1, strlen(at + 1), NAME_MAX_BYTES - 1))
		return lcpfs_fail(err, LCPFS_EINVAL, "bad snapshot name '%s': 1-254 bytes of A-Za-z0-9._-+", name);
	memcpy(out->dataset, name, len);
	out->is_root = len == 0;
	out->is_snap = at != NULL;
	if (at)
		snprintf(out->snap, sizeof out->snap, "%s", at);
	slash = memrchr(name, '/', len);
	if (slash)
		memcpy(out->parent, name, (size_t)(slash - name));
	slash = slash ? slash + 1 : name;
	memcpy(out->last, slash, len - (size_t)(slash - name));
	return 0;
}

int dmu_rec_get(struct spa *s, uint64_t id, struct dsrec *out, struct lcpfs_error *err)
{
	struct dataset *ds = dmu_find_open(s, id);
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc;

	if (ds) {
		*out = ds->rec;
		return 0;
	}
	rc = btree_get(s->pool_tree, &c, key, key_u64(key, TBL_DS, id), err);
	if (rc == 0)
		rc = dsrec_decode(out, c.item.val, c.item.vlen, c.item.nptr ? c.item.ptrs : NULL, err);
	else if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "dataset %" PRIu64 " has no record", id);
	btree_cursor_close(&c);
	if (!rc && out->id != id)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "record of dataset %" PRIu64 " names itself %" PRIu64, id, out->id);
	return rc;
}

int dmu_prev_get(struct spa *s, uint64_t id, uint64_t below, struct dsrec *out, struct lcpfs_error *err)
{
	int rc = dmu_rec_get(s, id, out, err);

	if (!rc && (out->kind != DS_SNAPSHOT || out->created_txg >= below))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "dataset %" PRIu64 " of txg %" PRIu64 " cannot be the snapshot before txg %" PRIu64, id,
		    out->created_txg, below);
	return rc;
}

int dmu_rec_put(struct spa *s, const struct dsrec *r, struct lcpfs_error *err)
{
	struct dataset *ds = dmu_find_open(s, r->id);
	uint8_t key[9], val[DSREC_LEN];

	if (ds && r != &ds->rec) {
		if (ds->rec.prev_snap != r->prev_snap) {
			free(ds->chain);
			ds->chain = NULL;
		}
		ds->rec = *r;
	}
	s->changed = true;
	dsrec_encode(r, val);
	return btree_put(s->pool_tree, key, key_u64(key, TBL_DS, r->id), val, sizeof val, &r->root, ptr_is_null(&r->root) ? 0 : 1, 0, err);
}

int rec_del(struct spa *s, uint64_t id, struct lcpfs_error *err)
{
	uint8_t key[9];
	int rc = btree_del(s->pool_tree, key, key_u64(key, TBL_DS, id), BT_KEEP_PTRS, err);

	s->changed = true;
	return rc < 0 ? rc : 0;
}

static int put_u64(struct spa *s, const uint8_t *key, size_t klen, uint64_t v, struct lcpfs_error *err)
{
	uint8_t val[8];

	le_store(val, 8, v);
	s->changed = true;
	return btree_put(s->pool_tree, key, klen, val, 8, NULL, 0, 0, err);
}

static int del_key(struct spa *s, const uint8_t *key, size_t klen, struct lcpfs_error *err)
{
	int rc = btree_del(s->pool_tree, key, klen, 0, err);

	s->changed = true;
	return rc < 0 ? rc : 0;
}

int name_put(struct spa *s, uint64_t parent, const char *name, uint64_t id, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];

	return put_u64(s, key, key_u64_str(key, TBL_NAME, parent, name, strlen(name)), id, err);
}

int name_del(struct spa *s, uint64_t parent, const char *name, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];

	return del_key(s, key, key_u64_str(key, TBL_NAME, parent, name, strlen(name)), err);
}

int name_get(struct spa *s, uint64_t parent, const char *name, uint64_t *id, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[POOL_KEY_MAX];
	int rc = btree_get(s->pool_tree, &c, key, key_u64_str(key, TBL_NAME, parent, name, strlen(name)), err);

	if (rc == 0 && c.item.vlen == 8)
		*id = le_load(c.item.val, 8);
	else if (rc == 0)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "name '%s' of %u bytes", name, c.item.vlen);
	else if (rc == 1)
		rc = -LCPFS_ENOENT;
	btree_cursor_close(&c);
	return rc;
}

int name_taken(struct spa *s, uint64_t parent, const char *name, bool *taken, struct lcpfs_error *err)
{
	uint64_t id;
	int rc = name_get(s, parent, name, &id, err);

	*taken = rc == 0;
	return rc == -LCPFS_ENOENT ? 0 : rc;
}

int snaptxg_put(struct spa *s, uint64_t ds, uint64_t txg, uint64_t id, struct lcpfs_error *err)
{
	uint8_t key[17];

	return put_u64(s, key, key_u64_u64(key, TBL_SNAPTXG, ds, txg), id, err);
}

int snaptxg_del(struct spa *s, uint64_t ds, uint64_t txg, struct lcpfs_error *err)
{
	uint8_t key[17];

	return del_key(s, key, key_u64_u64(key, TBL_SNAPTXG, ds, txg), err);
}

/* Visit the NAME items under parent. */
static int each_name(struct spa *s, uint64_t parent, int (*visit)(void *arg, const char *name, uint64_t id, struct lcpfs_error *err),
                     void *arg, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	char name[NAME_MAX_BYTES + 2];
	int rc = btree_seek(s->pool_tree, &c, key, key_u64(key, TBL_NAME, parent), err);

	for (; rc == 0; rc = btree_next(&c, err)) {
		if (c.item.klen < 10 || c.item.klen > 9 + NAME_MAX_BYTES || memcmp(c.item.key, key, 9) != 0) {
			rc = 1;
			break;
		}
		memcpy(name, c.item.key + 9, c.item.klen - 9u);
		name[c.item.klen - 9] = 0;
		rc = visit(arg, name, c.item.vlen == 8 ? le_load(c.item.val, 8) : 0, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	return rc == 1 ? 0 : rc;
}

struct find_name { uint64_t id; struct buf *out; bool found; };

static int match_id(void *arg, const char *name, uint64_t id, struct lcpfs_error *err)
{
	struct find_name *f = arg;

	(void)err;
	if (id != f->id)
		return 0;
	buf_printf(f->out, "%s", name);
	f->found = true;
	return 2;
}

int name_of(struct spa *s, uint64_t parent, uint64_t id, struct buf *out, struct lcpfs_error *err)
{
	struct find_name f = { id, out, false };
	int rc = each_name(s, parent, match_id, &f, err);

	if (rc < 0)
		return rc;
	return f.found ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "dataset %" PRIu64 " has no name under %" PRIu64, id, parent);
}

int dmu_full_name(struct spa *s, uint64_t id, struct buf *out, struct lcpfs_error *err)
{
	struct buf above = { 0 }, part = { 0 };
	struct dsrec r;
	unsigned depth = 0;
	int rc = 0;

	while (id && id != DS_ROOT_ID && !rc) {
		rc = dmu_rec_get(s, id, &r, err);
		if (!rc && ++depth > 512)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "datasets nest in a circle at %" PRIu64, id);
		if (!rc && r.kind == DS_HIDDEN) {
			buf_printf(&part, ".receive-%" PRIu64, id);
			r.parent = DS_ROOT_ID;
		} else if (!rc) {
			rc = name_of(s, r.parent, id, &part, err);
		}
		if (!rc && above.len) {
			if (above.data[0] != '@')
				buf_u8(&part, '/');
			buf_add(&part, above.data, above.len);
		}
		if (!rc && part.failed)
			rc = lcpfs_nomem(err);
		buf_reset(&above);
		buf_add(&above, part.data, part.len);
		buf_reset(&part);
		id = r.parent;
	}
	buf_add(out, above.data, above.len);
	if (!rc && (above.failed || out->failed))
		rc = lcpfs_nomem(err);
	buf_fini(&above);
	buf_fini(&part);
	return rc;
}

/* Id of the dataset "a/b/c". */
static int resolve(struct spa *s, const char *path, uint64_t *id, struct lcpfs_error *err)
{
	char level[NAME_MAX_BYTES + 1];

	*id = DS_ROOT_ID;
	while (*path) {
		size_t n = strcspn(path, "/");
		int rc;

		if (n > NAME_MAX_BYTES)
			return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "dataset name '%s'", path);
		memcpy(level, path, n);
		level[n] = 0;
		rc = name_get(s, *id, level, id, err);
		if (rc)
			return rc;
		path += n + (path[n] == '/');
	}
	return 0;
}

int dmu_lookup(struct spa *s, const char *name, struct dsrec *out, struct lcpfs_error *err)
{
	struct ds_name n;
	uint64_t id = 0;
	int rc = ds_name_parse(&n, name, err);

	if (rc)
		return rc;
	rc = resolve(s, n.dataset, &id, err);
	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "no dataset '%s'", n.dataset);
	if (!rc && n.is_snap)
		rc = name_get(s, id, n.snap, &id, err);
	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "no snapshot '%s'", name);
	return rc ? rc : dmu_rec_get(s, id, out, err);
}

static void new_rec(struct spa *s, struct dsrec *r, uint8_t kind, uint64_t parent)
{
	*r = (struct dsrec){ .id = spa_new_id(s), .kind = kind, .parent = parent, .created_txg = s->txg };
	r->guid = spa_guid(s, "dataset", r->id);
	r->family = r->guid;
	now_get(&r->created_s, &r->created_ns);
}

int dmu_create(struct spa *s, const char *name, struct dataset **out, struct lcpfs_error *err)
{
	struct ds_name n;
	struct dsrec r;
	uint64_t parent = 0;
	bool taken = false;
	int rc = ds_name_parse(&n, name, err);

	if (!rc)
		rc = spa_may_write(s, err);
	if (!rc && n.is_snap)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' names a snapshot, not a dataset", name);
	if (rc)
		return rc;
	if (!n.is_root) {
		rc = resolve(s, n.parent, &parent, err);
		if (rc == -LCPFS_ENOENT)
			return lcpfs_fail(err, LCPFS_ENOENT, "cannot create '%s': no dataset '%s' to hold it", name, n.parent);
		if (!rc)
			rc = name_taken(s, parent, n.last, &taken, err);
		if (taken)
			return lcpfs_fail(err, LCPFS_EEXIST, "dataset '%s' already exists", name);
	}
	if (!rc)
		rc = spa_admit(s, ADMIT_NORMAL, 0, err);
	if (rc)
		return rc;
	new_rec(s, &r, DS_FS, parent);
	if (n.is_root)
		r.id = DS_ROOT_ID;
	rc = n.is_root ? 0 : name_put(s, parent, n.last, r.id, err);
	if (!rc)
		rc = dmu_rec_put(s, &r, err);
	if (!rc)
		rc = dmu_open_id(s, r.id, out, err);
	if (!rc)
		(*out)->info.next_seq = SEQ_FIRST;
	return spa_spoilt(s, rc, err);
}

struct listed { char name[NAME_MAX_BYTES + 1]; struct dsrec rec; };
struct listing { struct spa *s; uint64_t parent; bool snaps; struct listed *e; size_t n, cap; };

static int collect(void *arg, const char *name, uint64_t id, struct lcpfs_error *err)
{
	struct listing *l = arg;
	struct listed *at;
	int rc;

	if ((name[0] == '@') != l->snaps)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct listed *p = realloc(l->e, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		l->e = p;
		l->cap = cap;
	}
	at = &l->e[l->n++];
	snprintf(at->name, sizeof at->name, "%s", name + (name[0] == '@'));
	rc = dmu_rec_get(l->s, id, &at->rec, err);
	/* one parent each and never the root: following children comes to an end */
	if (!rc && (id == DS_ROOT_ID || at->rec.parent != l->parent || (at->rec.kind == DS_SNAPSHOT) != l->snaps))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "'%s' under dataset %" PRIu64 " is dataset %" PRIu64 ", whose record says otherwise", name,
		    l->parent, id);
	return rc;
}

static int by_txg(const void *a, const void *b)
{
	uint64_t x = ((const struct listed *)a)->rec.created_txg, y = ((const struct listed *)b)->rec.created_txg;

	return x < y ? -1 : x > y;
}

int dmu_each(struct spa *s, uint64_t parent, bool snaps,
             int (*visit)(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err), void *arg, struct lcpfs_error *err)
{
	struct listing l = { .s = s, .parent = parent, .snaps = snaps };
	int rc = each_name(s, parent, collect, &l, err);

	if (!rc && snaps && l.n)
		qsort(l.e, l.n, sizeof *l.e, by_txg);
	for (size_t i = 0; i < l.n && !rc; i++)
		rc = visit(arg, l.e[i].name, &l.e[i].rec, err);
	free(l.e);
	return rc;
}

static int rename_snap(struct spa *s, const struct ds_name *a, const struct ds_name *b, struct lcpfs_error *err)
{
	uint64_t ds, id;
	bool taken = false;
	int rc = resolve(s, a->dataset, &ds, err);

	if (!rc)
		rc = name_get(s, ds, a->snap, &id, err);
	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "no snapshot '%s%s'", a->dataset, a->snap);
	if (rc)
		return rc;
	rc = name_taken(s, ds, b->snap, &taken, err);
	if (taken)
		return lcpfs_fail(err, LCPFS_EEXIST, "snapshot '%s%s' already exists", b->dataset, b->snap);
	if (!rc)
		rc = spa_admit(s, ADMIT_NORMAL, 0, err);
	if (rc)
		return rc;
	rc = name_del(s, ds, a->snap, err);
	if (!rc)
		rc = name_put(s, ds, b->snap, id, err);
	return spa_spoilt(s, rc, err);
}

/* Names below a dataset get as much longer as its own: the longest must stay within what a name may have. */
struct longest { struct spa *s; size_t above, max; };

static int measure(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct longest *l = arg, below = { l->s, l->above + 1 + strlen(name), l->max };
	int rc = 0;

	if (below.above > l->max)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "dataset '%s': its name would have over %zu bytes", name, l->max);
	if (r->kind != DS_SNAPSHOT)
		rc = dmu_each(l->s, r->id, false, measure, &below, err);
	return rc;
}

static int rename_head(struct spa *s, const struct ds_name *a, const struct ds_name *b, struct lcpfs_error *err)
{
	size_t len = strlen(a->dataset);
	struct longest l = { s, strlen(b->dataset), DS_NAME_MAX };
	uint64_t from, to, id;
	bool taken = false;
	struct dsrec r;
	int rc = resolve(s, a->parent, &from, err);

	if (!rc)
		rc = name_get(s, from, a->last, &id, err);
	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "no dataset '%s'", a->dataset);
	if (!rc && strncmp(a->dataset, b->dataset, len) == 0 && b->dataset[len] == '/')
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' cannot go below itself", a->dataset);
	if (!rc)
		rc = resolve(s, b->parent, &to, err);
	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "no dataset '%s' to hold '%s'", b->parent, b->dataset);
	if (rc)
		return rc;
	rc = name_taken(s, to, b->last, &taken, err);
	if (taken)
		return lcpfs_fail(err, LCPFS_EEXIST, "dataset '%s' already exists", b->dataset);
	if (!rc)
		rc = dmu_each(s, id, false, measure, &l, err);
	if (!rc)
		rc = dmu_rec_get(s, id, &r, err);
	if (!rc)
		rc = spa_admit(s, ADMIT_NORMAL, 0, err);
	if (rc)
		return rc;
	r.parent = to;
	rc = name_del(s, from, a->last, err);
	if (!rc)
		rc = name_put(s, to, b->last, id, err);
	if (!rc)
		rc = dmu_rec_put(s, &r, err);
	return spa_spoilt(s, rc, err);
}

int dmu_rename(struct spa *s, const char *from, const char *to, struct lcpfs_error *err)
{
	struct ds_name a, b;
	int rc = spa_may_write(s, err);

	if (!rc)
		rc = ds_name_parse(&a, from, err);
	if (!rc)
		rc = ds_name_parse(&b, to, err);
	if (rc)
		return rc;
	if (a.is_snap != b.is_snap || (a.is_snap && strcmp(a.dataset, b.dataset) != 0))
		return lcpfs_fail(err, LCPFS_EINVAL, "cannot rename '%s' to '%s': a snapshot stays with its dataset", from, to);
	if (!a.is_snap && (a.is_root || b.is_root))
		return lcpfs_fail(err, LCPFS_EINVAL, "the root dataset has no name to change");
	rc = a.is_snap ? rename_snap(s, &a, &b, err) : rename_head(s, &a, &b, err);
	return rc ? rc : spa_spoilt(s, dmu_refresh_names(s, err), err);
}
