/* SPDX-License-Identifier: Apache-2.0 */
/* Properties: strings by name, inherited along parents. What a name means is for the layers above. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

static int get_local(struct spa *s, uint64_t id, const char *name, char **value, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[POOL_KEY_MAX];
	int rc = btree_get(s->pool_tree, &c, key, key_u64_str(key, TBL_PROP, id, name, strlen(name)), err);

	if (rc == 0) {
		*value = strndup((const char *)c.item.val, c.item.vlen);
		rc = *value ? 0 : lcpfs_nomem(err);
	}
	btree_cursor_close(&c);
	return rc;
}

static int say_source(struct spa *s, uint64_t id, bool local, char **source, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = 0;

	if (!source)
		return 0;
	if (local) {
		buf_printf(&b, "local");
	} else {
		buf_printf(&b, "inherited from ");
		if (id == DS_ROOT_ID)
			buf_printf(&b, "/");
		rc = dmu_full_name(s, id, &b, err);
	}
	buf_u8(&b, 0);
	*source = (char *)b.data;
	return rc ? rc : b.failed ? lcpfs_nomem(err) : 0;
}

int dmu_prop_get(struct spa *s, uint64_t id, const char *name, char **value, char **source, struct lcpfs_error *err)
{
	uint64_t at = id;

	if (strlen(name) > NAME_MAX_BYTES)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "property name of %zu bytes", strlen(name));
	for (unsigned depth = 0; at && depth < 512; depth++) {
		struct dsrec r;
		int rc = get_local(s, at, name, value, err);

		if (rc < 0)
			return rc;
		if (rc == 0)
			return say_source(s, at, at == id, source, err);
		rc = dmu_rec_get(s, at, &r, err);
		if (rc)
			return rc;
		at = r.parent;
	}
	return -LCPFS_ENOENT;
}

int dmu_prop_set(struct spa *s, uint64_t id, const char *name, const char *value, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];
	size_t klen, n = strlen(name);
	int rc = spa_may_write(s, err);

	if (rc)
		return rc;
	if (!n || n > NAME_MAX_BYTES)
		return lcpfs_fail(err, LCPFS_EINVAL, "property name of %zu bytes", n);
	if (value && strlen(value) > VAL_MAX)
		return lcpfs_fail(err, LCPFS_EINVAL, "the value of '%s' is over 8 KiB", name);
	rc = spa_admit(s, value ? ADMIT_NORMAL : ADMIT_FREEING, 0, err);
	if (rc)
		return rc;
	klen = key_u64_str(key, TBL_PROP, id, name, n);
	s->changed = true;
	if (value)
		return btree_put(s->pool_tree, key, klen, value, strlen(value), NULL, 0, 0, err);
	rc = btree_del(s->pool_tree, key, klen, 0, err);
	return rc < 0 ? rc : 0;
}

int dmu_prop_each(struct spa *s, uint64_t id, int (*visit)(void *arg, const char *name, const char *value, struct lcpfs_error *err),
                  void *arg, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	char name[NAME_MAX_BYTES + 1];
	int rc = btree_seek(s->pool_tree, &c, key, key_u64(key, TBL_PROP, id), err);

	for (; rc == 0; rc = btree_next(&c, err)) {
		char *value;

		if (c.item.klen < 10 || c.item.klen > 9 + NAME_MAX_BYTES || memcmp(c.item.key, key, 9) != 0)
			break;
		memcpy(name, c.item.key + 9, c.item.klen - 9u);
		name[c.item.klen - 9] = 0;
		value = strndup((const char *)c.item.val, c.item.vlen);
		rc = value ? visit(arg, name, value, err) : lcpfs_nomem(err);
		free(value);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	return rc == 1 ? 0 : rc;
}

int prop_drop_all(struct spa *s, uint64_t id, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];
	int rc;

	for (;;) {
		struct bt_cursor c = { 0 };
		size_t klen = key_u64(key, TBL_PROP, id);

		rc = btree_seek(s->pool_tree, &c, key, klen, err);
		if (rc == 0 && c.item.klen > 9 && memcmp(c.item.key, key, 9) == 0) {
			klen = c.item.klen;
			memcpy(key, c.item.key, klen);
		} else if (rc == 0) {
			rc = 1;
		}
		btree_cursor_close(&c);
		if (rc)
			return rc < 0 ? rc : 0;
		rc = btree_del(s->pool_tree, key, klen, 0, err);
		if (rc)
			return rc < 0 ? rc : 0;
	}
}
