/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard links. While a file has several names each is also a LINK item under the file; a file with one name has none, its directory is in the inode.
 */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <sys/stat.h>
#include "format/node.h"

int zpl_link_put(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX];

	return btree_put(ds->tree, key, item_key_link(key, ino, dir, name, len), NULL, 0, NULL, 0, 0, err);
}

int zpl_link_del(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err)
{
	uint8_t key[KEY_MAX];
	int rc = btree_del(ds->tree, key, item_key_link(key, ino, dir, name, len), 0, err);

	return rc < 0 ? rc : 0;
}

int zpl_first_link(struct dataset *ds, uint64_t ino, uint64_t *parent, uint8_t *name, size_t *len, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(ds->tree, &c, key, item_key(key, ITEM_LINK, ino), err);

	if (!rc && (c.item.klen < 9 || memcmp(c.item.key, key, 9) != 0))
		rc = 1;
	if (!rc && (c.item.klen <= 17 || c.item.klen > 17 + NAME_MAX_BYTES))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": link item of %u bytes", ino, c.item.klen);
	if (!rc) {
		*parent = be64_load(c.item.key + 9);
		*len = c.item.klen - 17u;
		memcpy(name, c.item.key + 17, *len);
	}
	btree_cursor_close(&c);
	return rc;
}

struct find_ino { uint64_t ino; uint8_t *name; size_t len; };

static int find_ino_visit(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct find_ino *f = arg;

	(void)type, (void)err;
	if (ino != f->ino)
		return 0;
	memcpy(f->name, name, len);
	f->len = len;
	return 1;
}

int zpl_name_in(struct dataset *ds, uint64_t dir, uint64_t ino, uint8_t *name, size_t *len, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct find_ino f = { .ino = ino, .name = name };
	uint64_t there;
	uint8_t type;
	int rc;

	if (z && z->memo_ino == ino && z->memo_dir == dir &&
	    !zpl_entry_get(ds, dir, (const char *)z->memo_name, z->memo_len, &there, &type, NULL) && there == ino) {
		memcpy(name, z->memo_name, z->memo_len);
		*len = z->memo_len;
		return 0;
	}
	rc = zpl_dir_each(ds, dir, NULL, 0, find_ino_visit, &f, err);
	if (!rc && !f.len)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 " has no name in its directory %" PRIu64, ino, dir);
	*len = f.len;
	return rc;
}

/* The first name becomes a LINK item when there is a second. */
static int list_first(struct dataset *ds, uint64_t ino, const struct inode *i, struct lcpfs_error *err)
{
	uint8_t name[NAME_MAX_BYTES + 1];
	size_t len;
	int rc = i->nlink > 1 ? 0 : zpl_name_in(ds, i->parent, ino, name, &len, err);

	return rc || i->nlink > 1 ? rc : zpl_link_put(ds, ino, i->parent, (const char *)name, len, err);
}

int zpl_link(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err)
{
	struct zi *zi;
	struct inode i;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);

	if (!rc)
		rc = zpl_name_check(name, len, err);
	if (!rc)
		rc = zpl_dir_get(ds, dir, &zi, err);
	if (!rc)
		rc = zpl_inode_get(ds, ino, &i, err);
	if (!rc && S_ISDIR(i.mode))
		rc = lcpfs_fail(err, LCPFS_EPERM, "a directory cannot have a second name");
	if (!rc && i.nlink == UINT32_MAX)
		rc = lcpfs_fail(err, LCPFS_ELIMIT, "%u names of one file", i.nlink);
	if (!rc)
		rc = list_first(ds, ino, &i, err);
	if (!rc)
		rc = zpl_entry_put(ds, dir, name, len, ino, i.mode, BT_NEW, err);
	if (rc) {
		if (rc == -LCPFS_EEXIST && i.nlink == 1)
			zpl_links_settle(ds, ino, NULL);
		return zpl_end(ds, mark, rc, err);
	}
	rc = zpl_link_put(ds, ino, dir, name, len, err);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return zpl_end(ds, mark, rc, err);
	zi->i.nlink++;
	if (now)
		zi->i.ctime = *now;
	zi->dirty = true;
	rc = zpl_touch_dir(ds, dir, now, 0, err);
	return zpl_end(ds, mark, rc, err);
}

/* After a name came or went: the parent is that of the first link; a file with one name has no LINK item. */
int zpl_links_settle(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	uint8_t name[NAME_MAX_BYTES];
	uint64_t parent;
	struct zi *zi;
	size_t len;
	int rc = zpl_first_link(ds, ino, &parent, name, &len, err);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return rc;
	zi->i.parent = parent;
	zi->dirty = true;
	return zi->i.nlink == 1 ? zpl_link_del(ds, ino, parent, (const char *)name, len, err) : 0;
}
