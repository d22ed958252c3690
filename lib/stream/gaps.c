/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An incremental stream without its base, to be looked at: directories that it names things in but does not bring are made up, as are things that
 * it names but does not bring (empty); what it brings without a name appears in the root directory as "#NUMBER".
 */
#include "stream_impl.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct numbers { uint64_t *v; uint8_t *type; size_t n, cap; };

static int add_number(struct numbers *l, uint64_t v, uint8_t type, struct lcpfs_error *err)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		uint64_t *p = realloc(l->v, cap * sizeof *p);
		uint8_t *t = p ? realloc(l->type, cap) : NULL;

		l->v = p ? p : l->v;
		if (!p || !t)
			return lcpfs_nomem(err);
		l->type = t;
		l->cap = cap;
	}
	l->v[l->n] = v;
	l->type[l->n++] = type;
	return 0;
}

static void numbers_fini(struct numbers *l)
{
	free(l->v);
	free(l->type);
}

static bool has_item(struct receiver *r, uint8_t type, uint64_t object)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc = btree_get(r->ds->tree, &c, key, item_key(key, type, object), NULL);

	btree_cursor_close(&c);
	return rc == 0;
}

static int make_inode(struct receiver *r, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct inode i = { .mode = DTTOIF((uint32_t)type) | (type == DT_DIR ? 0755u : 0644u), .nlink = 1, .parent = INO_ROOT, .data_id = ino,
		.gen = 1 };
	uint8_t key[KEY_MAX], raw[INODE_LEN];

	if (type == DT_LNK)
		i.mode = S_IFREG | 0644;
	if (has_item(r, ITEM_INODE, ino))
		return 0;
	inode_encode(&i, raw);
	r->ds->rec.n_inodes++;
	return btree_put(r->ds->tree, key, item_key(key, ITEM_INODE, ino), raw, sizeof raw, NULL, 0, 0, err);
}

/* What the names say: directories they are in, things they name. */
static int collect_names(struct receiver *r, struct numbers *dirs, struct numbers *named, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc = btree_seek(r->ds->tree, &c, key, item_key(key, ITEM_DIRENT, 0), err);

	while (!rc && c.item.key[0] == ITEM_DIRENT) {
		uint64_t dir = stream_key_object(c.item.key);

		if (!dirs->n || dirs->v[dirs->n - 1] != dir)
			rc = add_number(dirs, dir, DT_DIR, err);
		if (!rc)
			rc = add_number(named, le_load(c.item.val, 8), c.item.val[8], err);
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Inodes without a name among `named` (sorted). */
static int collect_nameless(struct receiver *r, const struct numbers *named, struct numbers *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	struct inode i;
	int rc = btree_seek(r->ds->tree, &c, key, item_key(key, ITEM_INODE, 0), err);

	while (!rc && c.item.key[0] == ITEM_INODE) {
		uint64_t ino = stream_key_object(c.item.key);

		rc = inode_decode(&i, c.item.val, c.item.vlen, NULL, NULL, err);
		if (!rc && ino != INO_ROOT && (!named->n || !bsearch(&ino, named->v, named->n, sizeof *named->v, by_value)))
			rc = add_number(out, ino, (uint8_t)IFTODT(i.mode), err);
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static int name_them(struct receiver *r, const struct numbers *l, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < l->n && !rc; i++) {
		uint8_t key[KEY_MAX], val[9];
		char name[32];
		size_t n = (size_t)snprintf(name, sizeof name, "#%" PRIu64, l->v[i]);

		le_store(val, 8, l->v[i]);
		val[8] = l->type[i];
		rc = btree_put(r->ds->tree, key, item_key_str(key, ITEM_DIRENT, INO_ROOT, name, n), val, sizeof val, NULL, 0, 0, err);
	}
	return rc;
}

static int make_info(struct receiver *r, struct lcpfs_error *err)
{
	struct dataset *root;
	uint8_t key[KEY_MAX], raw[DSINFO_LEN];
	int rc;

	if (has_item(r, ITEM_DSINFO, 0))
		return 0;
	rc = dmu_open_id(r->spa, DS_ROOT_ID, &root, err);
	if (rc)
		return rc;
	r->ds->info = root->info;
	dmu_close(root);
	dsinfo_encode(&r->ds->info, raw);
	return btree_put(r->ds->tree, key, item_key(key, ITEM_DSINFO, 0), raw, sizeof raw, NULL, 0, 0, err);
}

int apply_fill_gaps(struct receiver *r, struct lcpfs_error *err)
{
	struct numbers dirs = { 0 }, named = { 0 }, nameless = { 0 };
	int rc = make_info(r, err);

	if (!rc)
		rc = make_inode(r, INO_ROOT, DT_DIR, err);
	if (!rc)
		rc = collect_names(r, &dirs, &named, err);
	for (size_t i = 0; i < dirs.n && !rc; i++)
		rc = make_inode(r, dirs.v[i], DT_DIR, err);
	for (size_t i = 0; i < named.n && !rc; i++)
		rc = make_inode(r, named.v[i], named.type[i], err);
	if (!rc && named.n)
		qsort(named.v, named.n, sizeof *named.v, by_value);
	if (!rc)
		rc = collect_nameless(r, &named, &nameless, err);
	if (!rc)
		rc = name_them(r, &nameless, err);
	numbers_fini(&dirs);
	numbers_fini(&named);
	numbers_fini(&nameless);
	dmu_dirty(r->ds);
	return rc;
}
