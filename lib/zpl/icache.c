/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes, through a small write-back cache. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "format/node.h"

static void slot_clear(struct zi *e)
{
	free(e->tlv);
	*e = (struct zi){ 0 };
}

static int slot_write(struct dataset *ds, struct zi *e, struct lcpfs_error *err)
{
	uint8_t key[9], raw[INODE_LEN + SYMLINK_MAX + 4], *val = raw;
	size_t klen = item_key(key, ITEM_INODE, e->ino), len = INODE_LEN + e->tlv_len;
	int rc;

	if (len > sizeof raw && !(val = malloc(len)))
		return lcpfs_nomem(err);
	inode_encode(&e->i, val);
	if (e->tlv_len)
		memcpy(val + INODE_LEN, e->tlv, e->tlv_len);
	rc = btree_put(ds->tree, key, klen, val, len, NULL, 0, 0, err);
	if (val != raw)
		free(val);
	if (!rc)
		e->dirty = false;
	return rc;
}

static struct zi *slot_find(struct zpl *z, uint64_t ino)
{
	for (unsigned k = 0; k < ICACHE_N; k++)
		if (z->icache[k].ino == ino) {
			z->icache[k].used = ++z->clock;
			return &z->icache[k];
		}
	return NULL;
}

/* An empty slot: the one used longest ago is written back. */
static int slot_take(struct dataset *ds, struct zi **out, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct zi *e = &z->icache[0];
	int rc;

	for (unsigned k = 1; k < ICACHE_N; k++)
		if (z->icache[k].used < e->used)
			e = &z->icache[k];
	rc = e->dirty ? slot_write(ds, e, err) : 0;
	if (rc)
		return rc;
	slot_clear(e);
	*out = e;
	return 0;
}

static int slot_fill(struct zpl *z, struct zi *e, uint64_t ino, const struct inode *i, const uint8_t *tlv, size_t tlv_len,
                     struct lcpfs_error *err)
{
	if (tlv_len) {
		e->tlv = malloc(tlv_len);
		if (!e->tlv)
			return lcpfs_nomem(err);
		memcpy(e->tlv, tlv, tlv_len);
		e->tlv_len = tlv_len;
	}
	e->ino = ino;
	e->i = *i;
	e->used = ++z->clock;
	return 0;
}

/* From the tree; tlv is good until the tree is looked at again. */
static int tree_get(struct dataset *ds, uint64_t ino, struct inode *i, const uint8_t **tlv, size_t *n, struct lcpfs_error *err)
{
	struct bt_cursor *c = &ds->zpl->at_inode;
	uint8_t key[9];
	int rc = btree_get(ds->tree, c, key, item_key(key, ITEM_INODE, ino), err);

	if (rc == 1)
		return lcpfs_fail(err, LCPFS_ENOENT, "no inode %" PRIu64, ino);
	if (rc)
		return rc;
	rc = inode_decode(i, c->item.val, c->item.vlen, tlv, n, err);
	return rc ? lcpfs_within(err, rc, "inode %" PRIu64, ino) : 0;
}

static int load(struct dataset *ds, struct zi *e, uint64_t ino, struct lcpfs_error *err)
{
	const uint8_t *tlv;
	struct inode i;
	size_t n;
	int rc = tree_get(ds, ino, &i, &tlv, &n, err);

	return rc ? rc : slot_fill(ds->zpl, e, ino, &i, tlv, n, err);
}

int zi_get(struct dataset *ds, uint64_t ino, struct zi **out, struct lcpfs_error *err)
{
	struct zpl *z;
	struct zi *e = NULL;
	int rc = zpl_state(ds, &z, err);

	if (rc)
		return rc;
	if (!ino)
		return lcpfs_fail(err, LCPFS_ENOENT, "no inode 0");
	e = slot_find(z, ino);
	if (!e) {
		rc = slot_take(ds, &e, err);
		if (!rc)
			rc = load(ds, e, ino, err);
	}
	if (!rc)
		*out = e;
	return rc;
}

int zi_new(struct dataset *ds, uint64_t ino, const struct inode *i, const uint8_t *tlv, size_t tlv_len, struct lcpfs_error *err)
{
	struct zpl *z;
	struct zi *e;
	int rc = zpl_state(ds, &z, err);

	if (!rc)
		rc = slot_take(ds, &e, err);
	if (!rc)
		rc = slot_fill(z, e, ino, i, tlv, tlv_len, err);
	if (!rc)
		e->dirty = true;
	return rc;
}

int zi_delete(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct zi *e = slot_find(ds->zpl, ino);
	uint8_t key[9];
	int rc;

	if (e)
		slot_clear(e);
	rc = btree_del(ds->tree, key, item_key(key, ITEM_INODE, ino), 0, err);
	return rc < 0 ? rc : 0;
}

int zi_flush(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;

	for (unsigned k = 0; z && k < ICACHE_N; k++) {
		int rc = z->icache[k].dirty ? slot_write(ds, &z->icache[k], err) : 0;

		if (rc)
			return rc;
	}
	/* whoever flushes may be about to change items by themselves */
	if (z)
		zi_drop_all(z);
	return 0;
}

void zi_drop_all(struct zpl *z)
{
	for (unsigned k = 0; k < ICACHE_N; k++)
		slot_clear(&z->icache[k]);
}

struct charge { uint64_t data_id; int64_t delta; bool owner; };

static void add_psize(void *arg, uint8_t *val, uint32_t vlen)
{
	struct charge *c = arg;

	c->owner = inode_raw_add_psize(val, vlen, c->data_id, c->delta);
}

/* Straight in the tree: reaping must not push the inodes at work out of the cache. */
static int tree_add_psize(struct dataset *ds, uint64_t ino, uint64_t data_id, int64_t delta, bool *owner, struct lcpfs_error *err)
{
	struct charge c = { data_id, delta, false };
	uint8_t key[9];
	int rc = btree_edit(ds->tree, key, item_key(key, ITEM_INODE, ino), add_psize, &c, err);

	*owner = c.owner;
	return rc < 0 ? rc : 0;
}

int zi_add_psize(struct dataset *ds, uint64_t ino, uint64_t data_id, int64_t delta, struct lcpfs_error *err)
{
	struct zi *e = slot_find(ds->zpl, ino);
	bool owner = e && e->i.data_id == data_id;
	int rc = 0;

	if (owner) {
		e->i.psize += (uint64_t)delta;
		e->dirty = true;
	} else if (!e) {
		rc = tree_add_psize(ds, ino, data_id, delta, &owner, err);
	}
	for (struct zpl_writer *w = ds->zpl->writers; w && !owner; w = w->next)
		if (w->data_id == data_id) {
			w->psize += (uint64_t)delta;
			owner = true;
		}
	return rc;
}

/* Who only looks does not push out the inodes at work. */
int zpl_inode_get(struct dataset *ds, uint64_t ino, struct inode *out, struct lcpfs_error *err)
{
	const uint8_t *tlv;
	struct zpl *z;
	struct zi *e;
	size_t n;
	int rc = zpl_state(ds, &z, err);

	if (rc)
		return rc;
	if (!ino)
		return lcpfs_fail(err, LCPFS_ENOENT, "no inode 0");
	e = slot_find(z, ino);
	if (e)
		*out = e->i;
	return e ? 0 : tree_get(ds, ino, out, &tlv, &n, err);
}

int zpl_inode_put(struct dataset *ds, uint64_t ino, const struct inode *i, struct lcpfs_error *err)
{
	uint64_t psize;
	struct zi *e;
	int rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);

	if (!rc)
		rc = zi_get(ds, ino, &e, err);
	if (rc)
		return rc;
	if ((e->i.mode & S_IFMT) != (i->mode & S_IFMT))
		return lcpfs_fail(err, LCPFS_EINVAL, "inode %" PRIu64 ": its type cannot change", ino);
	/* what is charged for the same content follows from its blocks; they may have come back since the caller looked */
	psize = e->i.data_id == i->data_id ? e->i.psize : i->psize;
	e->i = *i;
	e->i.psize = psize;
	e->dirty = true;
	return zpl_end(ds, 0, 0, err);
}

int zpl_readlink(struct dataset *ds, uint64_t ino, char **target, struct lcpfs_error *err)
{
	const uint8_t *p;
	struct zi *e;
	size_t n;
	int rc = zi_get(ds, ino, &e, err);

	if (rc)
		return rc;
	p = inode_symlink(e->tlv, e->tlv_len, &n);
	if (!p)
		return lcpfs_fail(err, LCPFS_EINVAL, "inode %" PRIu64 " is not a symbolic link", ino);
	*target = strndup((const char *)p, n);
	return *target ? 0 : lcpfs_nomem(err);
}
