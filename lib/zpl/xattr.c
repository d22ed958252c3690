/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes: in the tree while they fit an item, else as contents of their own. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include "format/node.h"

#define XATTR_NAME_MAX 255u
enum { IN_ITEM = 0, AS_DATA = 1 };
#define DATA_VAL_LEN 17u

struct xval { bool data; uint64_t data_id, size; const uint8_t *p; };

static int xval_decode(struct xval *x, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t ino = be64_load(it->key + 1);

	if (!it->vlen || it->val[0] > AS_DATA || (it->val[0] == AS_DATA && it->vlen != DATA_VAL_LEN))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": attribute value of %u bytes", ino, it->vlen);
	*x = (struct xval){ .data = it->val[0] == AS_DATA, .size = it->vlen - 1, .p = it->val + 1 };
	if (!x->data)
		return 0;
	x->data_id = le_load(it->val + 1, 8);
	x->size = le_load(it->val + 9, 8);
	if (x->size > XATTR_VALUE_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": attribute of %" PRIu64 " bytes", ino, x->size);
	return 0;
}

static int xkey(uint8_t *key, uint64_t ino, const char *name, size_t *klen, struct lcpfs_error *err)
{
	const char *rest;
	size_t len = strlen(name);
	uint8_t ns;

	if (!len)
		return lcpfs_fail(err, LCPFS_EINVAL, "an attribute without a name");
	if (len > XATTR_NAME_MAX)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "an attribute name of %zu bytes; at most %u", len, XATTR_NAME_MAX);
	ns = xattr_split(name, &rest);
	*klen = item_key_xattr(key, ino, ns, rest, strlen(rest));
	return 0;
}

/* The value, malloc'ed with a NUL after it. An item's bytes are copied before anything may move them. */
static int value_read(struct dataset *ds, const struct xval *x, uint8_t **out, struct lcpfs_error *err)
{
	uint8_t *v = malloc((size_t)x->size + 1);
	int rc = 0;

	if (!v)
		return lcpfs_nomem(err);
	if (x->data && x->size)
		rc = content_read(ds, x->data_id, false, x->size, 0, v, (size_t)x->size, err);
	else if (x->size)
		memcpy(v, x->p, (size_t)x->size);
	if (rc) {
		free(v);
		return rc;
	}
	v[x->size] = 0;
	*out = v;
	return 0;
}

int zpl_xattr_get(struct dataset *ds, uint64_t ino, const char *name, void **value, size_t *len, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX], *v;
	struct xval x;
	size_t klen;
	int rc = xkey(key, ino, name, &klen, err);

	if (!rc)
		rc = btree_get(ds->tree, &c, key, klen, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ENODATA, "no attribute '%s'", name);
	if (!rc)
		rc = xval_decode(&x, &c.item, err);
	if (!rc)
		rc = value_read(ds, &x, &v, err);
	if (!rc) {
		*value = v;
		*len = (size_t)x.size;
	}
	btree_cursor_close(&c);
	return rc;
}

/* What an item holds leaves with it: 0 there was one, 1 none. */
static int item_drop(struct dataset *ds, const uint8_t *key, size_t klen, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct xval x = { .data = false };
	int rc = btree_get(ds->tree, &c, key, klen, err);

	if (!rc)
		rc = xval_decode(&x, &c.item, err);
	btree_cursor_close(&c);
	if (rc)
		return rc;
	rc = x.data ? content_drop(ds, x.data_id, err) : 0;
	return rc ? rc : btree_del(ds->tree, key, klen, 0, err);
}

static int put_records(struct dataset *ds, uint64_t id, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t off = 0; !rc && off < len; ) {
		size_t n = MIN(len - off, ds->info.record_size);

		if (!is_all_zero(p + off, n)) {
			uint8_t *buf = malloc(n);

			if (!buf)
				return lcpfs_nomem(err);
			memcpy(buf, p + off, n);
			rc = job_submit_record(ds, 0, id, off, buf, n, true, err);
		}
		off += n;
	}
	return rc;
}

/* A value too long for an item; val becomes what the item says instead. */
static int put_data(struct dataset *ds, const void *value, size_t len, uint8_t val[DATA_VAL_LEN], struct lcpfs_error *err)
{
	uint64_t id;
	int rc = dmu_new_number(ds, &id, err);

	if (rc)
		return rc;
	val[0] = AS_DATA;
	le_store(val + 1, 8, id);
	le_store(val + 9, 8, len);
	return len <= ds->info.slice_max ? pack_add(ds, id, 0, value, len, err) : put_records(ds, id, value, len, err);
}

static int item_put(struct dataset *ds, const uint8_t *key, size_t klen, const void *value, size_t len, struct lcpfs_error *err)
{
	uint8_t val[VAL_MAX];
	size_t vlen = 1 + len;
	int rc = 0;

	if (len <= XATTR_INLINE_MAX) {
		val[0] = IN_ITEM;
		if (len)
			memcpy(val + 1, value, len);
	} else {
		vlen = DATA_VAL_LEN;
		rc = put_data(ds, value, len, val, err);
	}
	if (!rc)
		rc = btree_put(ds->tree, key, klen, val, vlen, NULL, 0, 0, err);
	/* a content that no item names */
	return rc && len > XATTR_INLINE_MAX ? zpl_lost(ds, rc, err) : rc;
}

static int count(struct dataset *ds, uint64_t ino, int delta, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc) {
		zi->i.n_xattr += (uint32_t)delta;
		zi->dirty = true;
	}
	return rc;
}

int zpl_xattr_set(struct dataset *ds, uint64_t ino, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX];
	struct zi *zi;
	size_t klen;
	bool is_new;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, len, err);

	if (!rc)
		rc = xkey(key, ino, name, &klen, err);
	if (!rc && len > XATTR_VALUE_MAX)
		rc = lcpfs_fail(err, LCPFS_ELIMIT, "attribute '%s' of %zu bytes; at most %zu", name, len, XATTR_VALUE_MAX);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return rc;
	/* a file without any needs no look for an old one */
	is_new = !zi->i.n_xattr;
	if (!is_new) {
		rc = item_drop(ds, key, klen, err);
		is_new = rc == 1;
	}
	if (rc >= 0)
		rc = item_put(ds, key, klen, value, len, err);
	if (!rc && is_new)
		rc = count(ds, ino, 1, err);
	return zpl_end(ds, mark, rc, err);
}

int zpl_xattr_remove(struct dataset *ds, uint64_t ino, const char *name, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX];
	size_t klen;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_FREEING, 0, err);

	if (!rc)
		rc = xkey(key, ino, name, &klen, err);
	if (!rc)
		rc = item_drop(ds, key, klen, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ENODATA, "no attribute '%s'", name);
	if (!rc)
		rc = count(ds, ino, -1, err);
	return zpl_end(ds, mark, rc, err);
}

int zpl_xattr_drop_all(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9], found[KEY_MAX];
	size_t klen = 0;
	int rc = 0;

	while (!rc) {
		rc = btree_seek(ds->tree, &c, key, item_key(key, ITEM_XATTR, ino), err);
		if (!rc && (c.item.klen <= 9 || memcmp(c.item.key, key, 9) != 0))
			rc = 1;
		if (!rc)
			memcpy(found, c.item.key, klen = c.item.klen);
		btree_cursor_close(&c);
		if (!rc)
			rc = item_drop(ds, found, klen, err);
	}
	return rc < 0 ? rc : 0;
}

static int visit_item(struct dataset *ds, const struct bt_item *it, zpl_xattr_visit *visit, void *arg, struct lcpfs_error *err)
{
	char name[KEY_MAX + 16];
	struct xval x;
	uint8_t *v;
	int rc;

	if (it->klen <= 10 || memchr(it->key + 10, 0, it->klen - 10u) ||
	    xattr_join(name, it->key[9], it->key + 10, it->klen - 10u) > XATTR_NAME_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": bad attribute name", be64_load(it->key + 1));
	rc = xval_decode(&x, it, err);
	if (!rc)
		rc = value_read(ds, &x, &v, err);
	if (rc)
		return rc;
	rc = visit(arg, name, v, (size_t)x.size, err);
	free(v);
	return rc;
}

int zpl_xattr_each(struct dataset *ds, uint64_t ino, zpl_xattr_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc;

	for (rc = btree_seek(ds->tree, &c, key, item_key(key, ITEM_XATTR, ino), err); !rc; rc = btree_next(&c, err)) {
		if (c.item.klen <= 9 || memcmp(c.item.key, key, 9) != 0)
			break;
		rc = visit_item(ds, &c.item, visit, arg, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}
