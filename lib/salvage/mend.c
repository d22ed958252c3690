/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not fit together in the new tree
 * A name whose inode is lost gets one made up, if its content or what is below it is there; else the name goes, and is told. A file whose name is
 * lost gets back those that its LINK items say, else "#NUMBER" in lost+found; so do contents whose inode is lost.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "dmu/dmu.h"
#include "salvage/salvage_impl.h"

struct mending {
	struct rebuild *r;
	struct btree *t;
	struct inoset named;  /* inodes that a name leads to */
	struct inoset used;   /* contents that an inode has */
	struct inoset inodes; /* that exist */
	uint64_t lost_found;  /* its inode, 0: not there yet */
};

static uint8_t type_of(uint32_t mode) { return (uint8_t)((mode & S_IFMT) >> 12); }

static int put_inode(struct mending *m, uint64_t ino, const struct inode *in, const uint8_t *tlv, size_t tlv_len, struct lcpfs_error *err)
{
	uint8_t key[9], val[VAL_MAX];

	if (INODE_LEN + tlv_len > sizeof val)
		return 0;
	inode_encode(in, val);
	if (tlv_len)
		memcpy(val + INODE_LEN, tlv, tlv_len);
	return rebuild_put(m->r, key, item_key(key, ITEM_INODE, ino), val, INODE_LEN + tlv_len, NULL, true, err);
}

static int made_up(struct mending *m, uint64_t ino, const struct inode *in, struct lcpfs_error *err)
{
	int rc = put_inode(m, ino, in, NULL, 0, err);

	if (!rc)
		rc = inoset_add(&m->inodes, ino, NULL, err);
	return rc ? rc : inoset_add(&m->r->h->guessed, ino, NULL, err);
}

static int make_dir(struct mending *m, uint64_t ino, struct lcpfs_error *err)
{
	const struct inode in = { .mode = S_IFDIR | 0755, .nlink = 2, .parent = INO_ROOT };

	return inoset_has(&m->inodes, ino) ? 0 : made_up(m, ino, &in, err);
}

static int put_name(struct mending *m, uint64_t dir, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX], val[9];
	int rc;

	le_store(val, 8, ino);
	val[8] = type;
	rc = rebuild_put(m->r, key, item_key_str(key, ITEM_DIRENT, dir, name, len), val, sizeof val, NULL, false, err);
	return rc < 0 ? rc : rc ? 1 : inoset_add(&m->named, ino, NULL, err);
}

/* The inode of lost+found: one that is there, or a new one. */
static int lost_found(struct mending *m, struct lcpfs_error *err)
{
	static const char name[] = "lost+found";
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc;

	if (m->lost_found)
		return 0;
	rc = btree_get(m->t, &c, key, item_key_str(key, ITEM_DIRENT, INO_ROOT, name, sizeof name - 1), err);
	if (!rc && c.item.vlen == 9 && c.item.val[8] == type_of(S_IFDIR))
		m->lost_found = le_load(c.item.val, 8);
	btree_cursor_close(&c);
	if (rc < 0 || m->lost_found)
		return rc;
	rc = make_dir(m, INO_LOST_FOUND, err);
	if (!rc)
		rc = put_name(m, INO_ROOT, name, sizeof name - 1, INO_LOST_FOUND, type_of(S_IFDIR), err);
	if (rc == 1) /* a file has the name */
		rc = put_name(m, INO_ROOT, "lost+found.salvage", 18, INO_LOST_FOUND, type_of(S_IFDIR), err);
	m->lost_found = INO_LOST_FOUND;
	return MIN(rc, 0);
}

static int to_lost_found(struct mending *m, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	char name[40];
	int rc = lost_found(m, err);

	for (unsigned i = 0; !rc && i < 100; i++) {
		int n = i ? snprintf(name, sizeof name, "#%" PRIu64 ".%u", ino, i) : snprintf(name, sizeof name, "#%" PRIu64, ino);

		rc = put_name(m, m->lost_found, name, (size_t)n, ino, type, err);
		if (!rc)
			return inoset_add(&m->r->h->unnamed, ino, NULL, err);
		rc = MIN(rc, 0);
	}
	return rc;
}

static int note_inodes(struct mending *m, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_INODE;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(m->t, &c, &from, 1, err);

	for (; !rc && c.item.key[0] == ITEM_INODE; rc = btree_next(&c, err)) {
		rc = inoset_add(&m->inodes, be64_load(c.item.key + 1), NULL, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : make_dir(m, INO_ROOT, err);
}

/* ---- names ---- */

/* Something is in it? */
static int has_names(struct mending *m, uint64_t dir, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(m->t, &c, key, item_key(key, ITEM_DIRENT, dir), err);

	if (!rc && (c.item.klen < 9 || memcmp(c.item.key, key, 9) != 0))
		rc = 1;
	btree_cursor_close(&c);
	return rc;
}

/* An inode for a name that has none. 1: nothing is left of it. */
static int invent(struct mending *m, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct inode in = { .mode = S_IFREG | 0600, .nlink = 1, .parent = INO_ROOT };
	int rc;

	if (type == type_of(S_IFDIR)) {
		rc = has_names(m, ino, err);
		return rc ? rc : make_dir(m, ino, err);
	}
	if (type != type_of(S_IFREG))
		return 1;
	rc = mend_find_content(m->r, ino, &in, err);
	return rc ? rc : made_up(m, ino, &in, err);
}

static int gone(struct mending *m, uint64_t dir, const uint8_t *name, size_t len, struct lcpfs_error *err)
{
	struct head *h = m->r->h;
	int rc = sal_room(&h->gone, h->n_gone, &h->cap_gone, sizeof *h->gone, err);

	if (rc)
		return rc;
	h->gone[h->n_gone] = (struct noname){ dir, strndup((const char *)name, len) };
	return h->gone[h->n_gone++].name ? 0 : lcpfs_nomem(err);
}

static int mend_name(struct mending *m, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t dir = be64_load(it->key + 1), ino = it->vlen == 9 ? le_load(it->val, 8) : 0;
	uint8_t key[KEY_MAX], type = it->vlen == 9 ? it->val[8] : 0;
	size_t klen = it->klen;
	int rc = 0;

	memcpy(key, it->key, klen);
	if (!ino || !import_name_ok((const char *)key + 9, klen - 9)) {
		rc = btree_del(m->t, key, klen, 0, err);
		return MIN(rc, 0);
	}
	if (!inoset_has(&m->inodes, ino))
		rc = invent(m, ino, type, err);
	if (rc == 1) {
		rc = gone(m, dir, key + 9, klen - 9, err);
		if (!rc)
			rc = btree_del(m->t, key, klen, 0, err);
		return MIN(rc, 0);
	}
	if (!rc)
		rc = make_dir(m, dir, err);
	return rc ? rc : inoset_add(&m->named, ino, NULL, err);
}

static int mend_names(struct mending *m, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_DIRENT;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(m->t, &c, &from, 1, err);

	while (!rc && c.item.key[0] == ITEM_DIRENT) {
		rc = mend_name(m, &c.item, err);
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

/* Names that LINK items tell of and that are not there. */
static int mend_links(struct mending *m, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_LINK;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(m->t, &c, &from, 1, err);

	while (!rc && c.item.key[0] == ITEM_LINK) {
		uint8_t key[KEY_MAX];
		size_t klen = c.item.klen;

		memcpy(key, c.item.key, klen);
		if (klen > 17 && inoset_has(&m->inodes, be64_load(key + 1)) && inoset_has(&m->inodes, be64_load(key + 9)) &&
		    import_name_ok((const char *)key + 17, klen - 17)) {
			rc = put_name(m, be64_load(key + 9), (const char *)key + 17, klen - 17, be64_load(key + 1), type_of(S_IFREG), err);
			rc = MIN(rc, 0);
		}
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

/* ---- inodes ---- */

static int mend_inode(struct mending *m, const struct bt_item *it, struct lcpfs_error *err)
{
	uint64_t ino = be64_load(it->key + 1);
	uint8_t tlvs[VAL_MAX];
	const uint8_t *tlv;
	size_t tlv_len = 0;
	struct inode in;
	bool changed = false;
	int rc = inode_decode(&in, it->val, it->vlen, &tlv, &tlv_len, err);

	if (rc)
		return rc;
	memcpy(tlvs, tlv, tlv_len);
	if (S_ISREG(in.mode))
		rc = mend_content(m->r, ino, &in, &m->used, &changed, err);
	if (!rc && (in.n_xattr || inoset_has(&m->r->h->guessed, ino)))
		rc = mend_xattrs(m->r, ino, &in, &m->used, &changed, err);
	if (!rc && changed)
		rc = put_inode(m, ino, &in, tlvs, tlv_len, err);
	if (!rc && ino != INO_ROOT && !inoset_has(&m->named, ino))
		rc = to_lost_found(m, ino, type_of(in.mode), err);
	return rc;
}

static int mend_inodes(struct mending *m, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_INODE;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(m->t, &c, &from, 1, err);

	while (!rc && c.item.key[0] == ITEM_INODE) {
		rc = mend_inode(m, &c.item, err);
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

/* Contents that no inode has. */
static int mend_contents(struct mending *m, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_SLICE;
	struct bt_cursor c = { 0 };
	uint64_t last = 0;
	int rc = btree_seek(m->t, &c, &from, 1, err);

	while (!rc && c.item.key[0] <= ITEM_EXTENT) {
		struct inode in = { .mode = S_IFREG | 0600, .nlink = 1, .parent = INO_LOST_FOUND };
		uint64_t id = be64_load(c.item.key + 1);
		bool changed = false;

		if (id != last && id && !inoset_has(&m->used, id) && !inoset_has(&m->inodes, id)) {
			rc = mend_find_content(m->r, id, &in, err);
			if (!rc)
				rc = made_up(m, id, &in, err);
			if (!rc)
				rc = mend_content(m->r, id, &in, &m->used, &changed, err);
			if (!rc)
				rc = to_lost_found(m, id, type_of(in.mode), err);
			rc = MIN(rc, 0);
		}
		last = id;
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int by_inode(const void *x, const void *y)
{
	const struct loss *a = x, *b = y;

	return a->of != b->of ? (a->of > b->of) - (a->of < b->of) : (a->off > b->off) - (a->off < b->off);
}

int mend(struct rebuild *r, struct lcpfs_error *err)
{
	struct mending m = { .r = r, .t = r->ds->tree };
	int rc = note_inodes(&m, err);

	if (!rc)
		rc = mend_names(&m, err);
	if (!rc)
		rc = mend_links(&m, err);
	if (!rc)
		rc = mend_inodes(&m, err);
	if (!rc)
		rc = mend_contents(&m, err);
	if (!rc && r->h->n_iloss)
		qsort(r->h->iloss, r->h->n_iloss, sizeof *r->h->iloss, by_inode);
	inoset_fini(&m.named);
	inoset_fini(&m.used);
	inoset_fini(&m.inodes);
	return rc;
}
