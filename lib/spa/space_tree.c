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

static bool is_damage(int rc)
{
	return rc == -LCPFS_EIO || rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT;
}

/* As the newest space tree has it, where that can be read. */
static int tree_page(struct spa *s, uint32_t chunk, uint32_t page, uint8_t *used, struct lcpfs_error *err)
{
	int rc = page_of(s->priv->space_read, chunk, page, used, err);

	if (is_damage(rc))
		memset(used, 0, SPACE_PAGE_BYTES);
	return is_damage(rc) ? 0 : rc;
}

int spa_space_rebuild(struct spa *s, struct lcpfs_error *err)
{
	struct spa_pages *p = &s->priv->pages;
	int rc = spa_pages_scan(s, &vdev_current(s->vdev)->pool_root, s->priv->repair, p, err);

	if (!rc && p->incomplete)
		rc = spa_pages_keep(s, p, tree_page, err);
	s->priv->pages_written = false;
	return rc ? lcpfs_within(err, rc, "the space tree is damaged, and it cannot be made anew (fsck.lcpfs -y might help)") : 0;
}

/* A space tree that cannot be read is no loss: what is used can be found out. */
static int newest_page(struct spa *s, uint32_t chunk, uint32_t page, uint8_t *used, struct lcpfs_error *err)
{
	struct spa_private *p = s->priv;
	struct lcpfs_error why = { 0 };
	int rc = p->pages.valid ? 0 : page_of(p->space_read, chunk, page, used, &why);

	if (is_damage(rc) && s->writable) {
		log_msg(LCPFS_LOG_WARN, "spa", "%s: the space tree is made anew: %s", s->name, why.msg);
		rc = spa_space_rebuild(s, &why);
	}
	if (!rc && p->pages.valid)
		rc = spa_pages_get(&p->pages, chunk, page, used, &why);
	if (rc && err)
		*err = why;
	return rc;
}

/* Before a repair: what the newest space tree calls used may be part of what could still be got out. */
static int old_page(struct spa *s, uint32_t chunk, uint32_t page, uint8_t *busy, struct lcpfs_error *err)
{
	uint8_t old[SPACE_PAGE_BYTES] = { 0 };
	int rc = tree_page(s, chunk, page, old, err);

	for (uint32_t i = 0; !rc && i < SPACE_PAGE_BYTES; i++)
		busy[i] |= old[i];
	return rc;
}

static int load_page(void *arg, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES], uint8_t busy_extra[SPACE_PAGE_BYTES],
                     struct lcpfs_error *err)
{
	struct spa *s = arg;
	struct lcpfs_error why = { 0 };
	int rc = newest_page(s, chunk, page, used, err);

	if (rc)
		return rc;
	rc = s->priv->prev_pages.valid ? spa_pages_get(&s->priv->prev_pages, chunk, page, busy_extra, &why) :
	    page_of(s->priv->space_prev, chunk, page, busy_extra, &why);
	if (!rc && s->priv->repair)
		rc = old_page(s, chunk, page, busy_extra, &why);
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

/* The first word of a page's value counts what is free. */
static int peek_page(void *arg, uint32_t chunk, uint32_t page, uint32_t *n_free, struct lcpfs_error *err)
{
	struct spa *s = arg;
	const struct spa_pages *p = &s->priv->pages;
	const struct spa_page *e;
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc;

	if (p->valid) {
		e = spa_pages_find(p, chunk, page);
		*n_free = e && e->len >= 4 ? (uint32_t)le_load(p->data.data + e->at, 4) : *n_free;
		return 0;
	}
	if (!s->priv->space_read)
		return 0;
	rc = btree_get(s->priv->space_read, &c, key, key_page(key, chunk, page), err);
	if (rc == 0 && c.item.vlen >= 4)
		*n_free = (uint32_t)le_load(c.item.val, 4);
	btree_cursor_close(&c);
	/* what cannot be read shows when the page is loaded */
	return is_damage(rc) ? 0 : MIN(rc, 0);
}

/* Every node of the tree at root, by reading its interior nodes. */
struct overlay { struct spa *s; bool old_only, lost; struct lcpfs_error why; };

static int overlay_node(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct overlay *o = arg;
	int rc = space_overlay(o->s->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), o->old_only, err);

	return rc ? rc : bp->level == 0;
}

static int overlay_old(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct overlay o = { .s = arg, .old_only = true };
	int rc = overlay_node(&o, bp, err);

	return rc < 0 ? rc : 0;
}

static int overlay_newest(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct overlay *o = arg;
	int rc = overlay_node(o, bp, &o->why);

	if (rc == -LCPFS_ECORRUPT)
		o->lost = true;
	else if (rc < 0 && err)
		*err = o->why;
	return rc == -LCPFS_ECORRUPT ? 1 : rc;
}

static int overlay_lost(void *arg, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct overlay *o = arg;

	(void)bp;
	o->lost = true;
	o->why = *why;
	return 0;
}

/*
 * Nodes of the newest tree, then those that only the older one has. Where the newest cannot be read, what is used follows from what is
 * reachable; of the older one all nodes are kept then, also those that both have.
 */
static int overlay_trees(struct spa *s, const struct blkptr *newest, const struct blkptr *prev, struct lcpfs_error *err)
{
	struct overlay o = { .s = s }, old = { .s = s, .old_only = true };
	struct btree_walk w = { overlay_newest, overlay_lost, &o }, wo = { overlay_node, NULL, &old };
	struct btree_diff_ptrs d = { .only_b = overlay_old, .arg = s };
	int rc = btree_walk_ptrs(&s->priv->read_store, newest, &w, &o.why);

	if (rc == -LCPFS_ECORRUPT)
		o.lost = true;
	else if (rc && err)
		*err = o.why;
	rc = rc == -LCPFS_ECORRUPT ? 0 : rc;
	if (!rc && o.lost)
		log_msg(LCPFS_LOG_WARN, "spa", "%s: the space tree is made anew: %s", s->name, o.why.msg);
	if (!rc && prev)
		rc = o.lost ? btree_walk_ptrs(&s->priv->read_store, prev, &wo, err) : btree_diff_ptrs(&s->priv->read_store, newest, prev, 0, &d, err);
	return rc ? rc : o.lost || s->priv->repair ? spa_space_rebuild(s, err) : 0;
}

static int read_node(struct btree_store *st, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err)
{
	return zio_read_node(container_of(st, struct spa_private, read_store)->spa->zio, bp, ptrs_body, nptr, err);
}

static const struct btree_store_ops read_ops = { .read = read_node };

static unsigned kinds_of(const struct cfg_chunk *k)
{
	if (k->state != CHUNK_ACTIVE)
		return SPACE_NONE;
	return k->cls == CLASS_META ? SPACE_META : k->cls == CLASS_DATA ? SPACE_DATA : SPACE_ANY;
}

int spa_sync_chunks(struct spa *s, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	int rc = 0;

	for (uint32_t i = 0; i < c->n_chunks && !rc; i++) {
		const struct cfg_chunk *k = &c->chunks[i];
		uint64_t sectors = (uint64_t)k->col_units * (UNIT / SECTOR);

		if (sectors > UINT32_MAX)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "chunk %u is over 2 TiB", k->id);
		rc = space_set_chunk(s->space, k->id, (uint32_t)sectors, k->ashift, kinds_of(k), err);
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
	spa_pages_drop(&p->pages);
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
	spa_pages_drop(&p->pages);
	spa_pages_drop(&p->prev_pages);
	p->pages_written = false;
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

/* Nodes of the tree given up stay where they are: nothing counts them, and the next open does not know them. */
static int write_anew(struct spa *s, struct lcpfs_error *err)
{
	const struct spa_pages *p = &s->priv->pages;
	size_t share = s->memory / 8;
	int rc;

	btree_close(s->space_tree);
	s->space_tree = NULL;
	rc = btree_open(&s->space_tree, &s->space_store, NULL, 2, s, err);
	for (size_t i = 0; !rc && i < p->n; i++) {
		rc = put_page(s, p->v[i].chunk, p->v[i].page, p->data.data + p->v[i].at, p->v[i].len, err);
		if (!rc && btree_dirty_bytes(s->space_tree) > share)
			rc = btree_shed(s->space_tree, share / 2, err);
	}
	s->priv->pages_written = !rc;
	return rc;
}

int spa_space_write(struct spa *s, struct lcpfs_error *err)
{
	int rc = s->priv->pages.valid && !s->priv->pages_written ? write_anew(s, err) : 0;

	if (!rc)
		rc = space_dirty_pages(s->space, put_page, s, err);
	return rc ? rc : btree_write(s->space_tree, err);
}

/* Pages that have not been loaded are as the published state has them. */
static int recount_page(struct spa *s, const struct spa_pages *now, uint32_t chunk, uint32_t page, struct lcpfs_error *err)
{
	uint8_t want[SPACE_PAGE_BYTES], have[SPACE_PAGE_BYTES] = { 0 };
	int rc = spa_pages_get(now, chunk, page, want, err);

	if (!rc && !space_page_loaded(s->space, chunk, page)) {
		rc = newest_page(s, chunk, page, have, err);
		if (!rc && memcmp(want, have, sizeof have) == 0)
			return 0;
	}
	return rc ? rc : space_set_page(s->space, chunk, page, want, now->incomplete, err);
}

int spa_space_recount(struct spa *s, const struct blkptr *pool_root, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	struct spa_pages now = { 0 };
	int rc = spa_pages_scan(s, pool_root, true, &now, err);

	for (uint32_t i = 0; !rc && i < c->n_chunks; i++) {
		uint64_t units = (uint64_t)c->chunks[i].col_units * (UNIT / SECTOR) >> (c->chunks[i].ashift - 9);

		for (uint32_t p = 0; !rc && p < div_up(units, SPACE_PAGE_UNITS); p++)
			rc = recount_page(s, &now, c->chunks[i].id, p, err);
	}
	spa_pages_drop(&now);
	return rc;
}
