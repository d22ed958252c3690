/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looking up, listing, making, removing. */
#include "zpl/zpl_impl.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "format/node.h"

static int dirent_decode(const struct bt_item *it, uint64_t *ino, uint8_t *type, struct lcpfs_error *err)
{
	if (it->vlen < 9 || !le_load(it->val, 8))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "directory %" PRIu64 ": entry of %u bytes", be64_load(it->key + 1), it->vlen);
	*ino = le_load(it->val, 8);
	*type = it->val[8];
	return 0;
}

static void memo(struct zpl *z, uint64_t dir, const char *name, size_t len, uint64_t ino)
{
	if (!z || len > sizeof z->memo_name)
		return;
	z->memo_ino = ino;
	z->memo_dir = dir;
	z->memo_len = len;
	memcpy(z->memo_name, name, len);
}

/* 1: no such name. */
int zpl_entry_get(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t *ino, uint8_t *type, struct lcpfs_error *err)
{
	uint8_t key[9 + NAME_MAX_BYTES];
	struct bt_cursor *c;
	struct zpl *z;
	int rc = zpl_state(ds, &z, err);

	if (rc)
		return rc;
	c = &z->at_name;
	rc = btree_get(ds->tree, c, key, item_key_str(key, ITEM_DIRENT, dir, name, len), err);
	return rc ? rc : dirent_decode(&c->item, ino, type, err);
}

int zpl_lookup(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t *ino, uint8_t *type, struct lcpfs_error *err)
{
	uint8_t t;
	int rc = zpl_name_check(name, len, err);

	if (!rc)
		rc = zpl_entry_get(ds, dir, name, len, ino, &t, err);
	if (rc == 1)
		return lcpfs_fail(err, LCPFS_ENOENT, "no such file or directory");
	if (!rc) {
		memo(ds->zpl, dir, name, len, *ino);
		if (type)
			*type = t;
	}
	return rc;
}

static int check_entry_name(uint64_t dir, const uint8_t *name, size_t len, struct lcpfs_error *err)
{
	struct lcpfs_error why;

	if (zpl_name_check((const char *)name, len, &why))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "directory %" PRIu64 ": %s", dir, why.msg);
	return 0;
}

/* Names are copied: a visitor may make the cursor's item go away. */
static int visit_entry(const struct bt_item *it, zpl_dir_visit *visit, void *arg, struct lcpfs_error *err)
{
	char name[NAME_MAX_BYTES + 1];
	size_t len = it->klen - 9u;
	uint64_t ino = 0, dir = be64_load(it->key + 1);
	uint8_t type = 0;
	int rc = check_entry_name(dir, it->key + 9, len, err);

	if (!rc)
		rc = dirent_decode(it, &ino, &type, err);
	if (rc)
		return rc;
	memcpy(name, it->key + 9, len);
	name[len] = 0;
	return visit(arg, name, len, ino, type, err);
}

int zpl_dir_each(struct dataset *ds, uint64_t dir, const char *after, size_t after_len, zpl_dir_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9 + NAME_MAX_BYTES + 1];
	size_t klen = item_key(key, ITEM_DIRENT, dir);
	int rc;

	if (after) {
		rc = zpl_name_check(after, after_len, err);
		if (rc)
			return rc;
		/* the smallest key after it */
		klen = item_key_str(key, ITEM_DIRENT, dir, after, after_len);
		key[klen++] = 0;
	}
	for (rc = btree_seek(ds->tree, &c, key, klen, err); !rc; rc = btree_next(&c, err)) {
		if (c.item.klen <= 9 || memcmp(c.item.key, key, 9) != 0)
			break;
		rc = visit_entry(&c.item, visit, arg, err);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

int zpl_dir_empty(struct dataset *ds, uint64_t dir, bool *empty, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(ds->tree, &c, key, item_key(key, ITEM_DIRENT, dir), err);

	if (rc >= 0)
		*empty = rc == 1 || c.item.klen < 9 || memcmp(c.item.key, key, 9) != 0;
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

int zpl_entry_put(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t ino, uint32_t mode, unsigned flags,
                  struct lcpfs_error *err)
{
	uint8_t key[9 + NAME_MAX_BYTES], val[9];
	int rc;

	le_store(val, 8, ino);
	val[8] = (uint8_t)IFTODT(mode);
	rc = btree_put(ds->tree, key, item_key_str(key, ITEM_DIRENT, dir, name, len), val, sizeof val, NULL, 0, flags, err);
	if (rc == -LCPFS_EEXIST)
		return lcpfs_fail(err, LCPFS_EEXIST, "already exists");
	if (!rc)
		memo(ds->zpl, dir, name, len, ino);
	return rc;
}

int zpl_entry_del(struct dataset *ds, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err)
{
	uint8_t key[9 + NAME_MAX_BYTES];
	int rc = btree_del(ds->tree, key, item_key_str(key, ITEM_DIRENT, dir, name, len), 0, err);

	return rc < 0 ? rc : 0;
}

int zpl_dir_get(struct dataset *ds, uint64_t dir, struct zi **zi, struct lcpfs_error *err)
{
	int rc = zi_get(ds, dir, zi, err);

	if (!rc && !S_ISDIR((*zi)->i.mode))
		rc = lcpfs_fail(err, LCPFS_ENOTDIR, "not a directory");
	return rc;
}

int zpl_touch_dir(struct dataset *ds, uint64_t dir, const struct itime *now, int nlink, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = now || nlink ? zi_get(ds, dir, &zi, err) : 0;

	if (rc || (!now && !nlink))
		return rc;
	zi->i.nlink += (uint32_t)nlink;
	if (now)
		zi->i.mtime = zi->i.ctime = *now;
	zi->dirty = true;
	return 0;
}

/* The new inode as it begins, and its symlink TLV. */
static int new_inode(struct dataset *ds, uint64_t dir, uint64_t ino, const struct inode *attr, const char *target, struct lcpfs_error *err)
{
	uint8_t tlv[4 + SYMLINK_MAX];
	struct inode i = *attr;
	size_t n = target ? strlen(target) : 0;

	i.nlink = S_ISDIR(i.mode) ? 2 : 1;
	i.parent = dir;
	i.gen = ds->spa->txg;
	i.data_id = S_ISREG(i.mode) ? ino : 0;
	i.size = n;
	i.psize = 0;
	i.flags &= ~(uint32_t)INODE_SLICED;
	i.rec_shift = 0;
	i.n_xattr = 0;
	le_store(tlv, 2, INODE_TLV_SYMLINK);
	le_store(tlv + 2, 2, n);
	if (n)
		memcpy(tlv + 4, target, n);
	return zi_new(ds, ino, &i, tlv, n ? 4 + n : 0, err);
}

static int check_new(const struct inode *attr, const char *target, struct lcpfs_error *err)
{
	size_t n = target ? strlen(target) : 0;

	if (!IFTODT(attr->mode) || !S_ISLNK(attr->mode) != !target)
		return lcpfs_fail(err, LCPFS_EINVAL, "mode %#o %s a symlink target", attr->mode, target ? "with" : "without");
	if (target && !n)
		return lcpfs_fail(err, LCPFS_EINVAL, "an empty symlink target");
	if (n > SYMLINK_MAX)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "a symlink target of %zu bytes; at most %u", n, SYMLINK_MAX);
	return 0;
}

int zpl_create(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct inode *attr, const char *symlink_target,
               const struct itime *now, uint64_t *ino, struct lcpfs_error *err)
{
	struct zi *zi;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);

	if (!rc)
		rc = zpl_name_check(name, len, err);
	if (!rc)
		rc = check_new(attr, symlink_target, err);
	if (!rc)
		rc = zpl_dir_get(ds, dir, &zi, err);
	if (!rc)
		rc = dmu_new_number(ds, ino, err);
	if (!rc)
		rc = zpl_entry_put(ds, dir, name, len, *ino, attr->mode, BT_NEW, err);
	if (!rc)
		rc = new_inode(ds, dir, *ino, attr, symlink_target, err);
	if (!rc)
		rc = zpl_touch_dir(ds, dir, now, S_ISDIR(attr->mode), err);
	if (!rc)
		zpl_count_inode(ds, 1);
	return zpl_end(ds, mark, rc, err);
}

static int drop_inode(struct dataset *ds, uint64_t ino, const struct inode *i, struct lcpfs_error *err)
{
	int rc = i->n_xattr ? zpl_xattr_drop_all(ds, ino, err) : 0;

	if (open_is(ds->zpl, ino))
		open_forget(ds->zpl);
	if (!rc && S_ISREG(i->mode))
		rc = content_drop(ds, i->data_id, err);
	if (!rc)
		rc = zi_delete(ds, ino, err);
	if (!rc)
		zpl_count_inode(ds, -1);
	return rc;
}

int zpl_drop_name(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t ino, const struct itime *now, struct lcpfs_error *err)
{
	struct zi *zi;
	struct inode i;
	int rc = zi_get(ds, ino, &zi, err);

	/* a damaged tree: a name without an inode can at least be removed */
	if (rc == -LCPFS_ENOENT)
		return zpl_entry_del(ds, dir, name, len, err);
	if (rc)
		return rc;
	if (!S_ISDIR(zi->i.mode) && zi->i.nlink > 1) {
		rc = zpl_link_del(ds, ino, dir, name, len, err);
		if (!rc)
			rc = zi_get(ds, ino, &zi, err);
		if (rc)
			return rc;
		zi->i.nlink--;
		if (now)
			zi->i.ctime = *now;
		zi->dirty = true;
		rc = zpl_links_settle(ds, ino, err);
	} else {
		i = zi->i;
		rc = drop_inode(ds, ino, &i, err);
		if (!rc && S_ISDIR(i.mode))
			rc = zpl_touch_dir(ds, dir, NULL, -1, err);
	}
	return rc ? rc : zpl_entry_del(ds, dir, name, len, err);
}

int zpl_unlink(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err)
{
	uint64_t ino;
	uint8_t type;
	bool empty = true;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_FREEING, 0, err);

	if (!rc)
		rc = zpl_lookup(ds, dir, name, len, &ino, &type, err);
	if (!rc && type == DT_DIR)
		rc = zpl_dir_empty(ds, ino, &empty, err);
	if (!rc && !empty)
		rc = lcpfs_fail(err, LCPFS_ENOTEMPTY, "directory not empty");
	if (!rc)
		rc = zpl_drop_name(ds, dir, name, len, ino, now, err);
	if (!rc)
		rc = zpl_touch_dir(ds, dir, now, 0, err);
	return zpl_end(ds, mark, rc, err);
}
