/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space tree on disk. Bitmap pages are read from the published trees (never from the one being changed), so that finding
 * room while the space tree itself is written does not re-enter it. A page that was not loaded has not changed.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "spa/spa_impl.h"

static int page_of(struct btree *t, uint32_t chunk, uint32_t page, uint8_t *used, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc;

	if (!t)
		return 0;
	rc = btree_get(t, &c, key, key_page(key, chunk, page), err);
	if (rc == 0)
		rc = space_page_decode(used, c.item.val, c.item.vlen, err);
	btree_cursor_close(&c);
	return rc < 0 ? lcpfs_within(err, rc, "bitmap page %u of chunk %u", page, chunk) : 0;
}

static int load_page(void *arg, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES], uint8_t busy_extra[SPACE_PAGE_BYTES],
                     struct lcpfs_error *err)
{
	struct spa *s = arg;
	struct lcpfs_error why = { 0 };
	int rc = page_of(s->priv->space_read, chunk, page, used, err);

	if (rc)
		return rc;
	rc = page_of(s->priv->space_prev, chunk, page, busy_extra, &why);
	if (!rc || rc == -LCPFS_ENOMEM) {
		if (rc && err)
			*err = why;
		return rc;
	}
	/* what the commit before used is not known: nothing here is taken before the next one is safe */
	log_msg(LCPFS_LOG_WARN, "spa", "%s: free space as the commit before had it: %s", s->name, why.msg);
	memset(busy_extra, 0xff, SPACE_PAGE_BYTES);
	return 0;
}

static int peek_page(void *arg, uint32_t chunk, uint32_t page, uint32_t *n_free, struct lcpfs_error *err)
{
	struct spa *s = arg;
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc;

	if (!s->priv->space_read)
		return 0;
	rc = btree_get(s->priv->space_read, &c, key, key_page(key, chunk, page), err);
	if (rc == 0 && c.item.vlen >= 4)
		*n_free = (uint32_t)le_load(c.item.val, 4);
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

/* Every node of the tree at root, by reading its interior nodes. */
struct overlay { struct spa *s; bool old_only; };

static int overlay_node(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct overlay *o = arg;
	int rc = space_overlay(o->s->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), o->old_only, err);

	return rc ? rc : bp->level == 0;
}

static int overlay_old(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct overlay o = { arg, true };
	int rc = overlay_node(&o, bp, err);

	return rc < 0 ? rc : 0;
}

/* Nodes of the newest tree, then those that only the older one has. */
static int overlay_trees(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err)
{
	struct overlay o = { s, false };
	struct btree_walk w = { overlay_node, NULL, &o };
	struct btree_diff_ptrs d = { .only_b = overlay_old, .arg = s };
	int rc = btree_walk_ptrs(&s->priv->read_store, newest, &w, err);

	if (!rc && prev)
		rc = btree_diff_ptrs(&s->priv->read_store, newest, prev, 0, &d, err);
	return rc;
}

static int read_node(struct btree_store *st, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err)
{
	return zio_read_node(container_of(st, struct spa_private, read_store)->spa->zio, bp, ptrs_body, nptr, err);
}

static const struct btree_store_ops read_ops = { .read = read_node };

int spa_sync_chunks(struct spa *s, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	int rc = 0;

	for (uint32_t i = 0; i < c->n_chunks && !rc; i++) {
		const struct cfg_chunk *k = &c->chunks[i];
		uint64_t sectors = (uint64_t)k->col_units * (UNIT / SECTOR);

		if (sectors > UINT32_MAX)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "chunk %u is over 2 TiB", k->id);
		rc = space_set_chunk(s->space, k->id, (uint32_t)sectors, k->ashift, k->state == CHUNK_ACTIVE, err);
	}
	return rc;
}

int spa_space_open(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err)
{
	struct spa_private *p = s->priv;
	int rc;

	btree_close(p->space_read);
	btree_close(p->space_prev);
	p->space_read = p->space_prev = NULL;
	p->spa = s;
	p->read_store = (struct btree_store){ &read_ops, NULL };
	s->space = space_create(load_page, peek_page, s);
	if (!s->space)
		return lcpfs_nomem(err);
	rc = spa_sync_chunks(s, err);
	if (!rc)
		rc = btree_open(&p->space_read, &p->read_store, newest, 0, NULL, err);
	if (!rc && prev && !ptr_is_null(prev))
		rc = btree_open(&p->space_prev, &p->read_store, prev, 0, NULL, err);
	return rc;
}

int spa_space_overlay(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err)
{
	return overlay_trees(s, newest, s->priv->space_prev ? prev : NULL, err);
}

int spa_space_next(struct spa *s, struct btree **next, struct lcpfs_error *err)
{
	return btree_open(next, &s->priv->read_store, btree_root(s->space_tree), 0, NULL, err);
}

void spa_space_published(struct spa *s, struct btree *next)
{
	struct spa_private *p = s->priv;

	btree_close(p->space_read);
	btree_close(p->space_prev);
	p->space_read = next;
	p->space_prev = NULL;
}

static int put_page(void *arg, uint32_t chunk, uint32_t page, const uint8_t *value, size_t len, struct lcpfs_error *err)
{
	struct spa *s = arg;
	uint8_t key[9];
	size_t klen = key_page(key, chunk, page);
	int rc;

	if (value)
		return btree_put(s->space_tree, key, klen, value, len, NULL, 0, 0, err);
	rc = btree_del(s->space_tree, key, klen, 0, err);
	return rc < 0 ? rc : 0;
}

int spa_space_write(struct spa *s, struct lcpfs_error *err)
{
	int rc = space_dirty_pages(s->space, put_page, s, err);

	return rc ? rc : btree_write(s->space_tree, err);
}

int spa_grow(void *arg, uint32_t sectors, struct lcpfs_error *err)
{
	struct spa *s = arg;
	uint32_t chunk;
	int rc = vdev_grow(s->vdev, (uint64_t)sectors * SECTOR, s->txg, &chunk, err);

	return rc ? rc : spa_sync_chunks(s, err);
}
