/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors. A path of frames from the root to a leaf; clean nodes in it are held. A new seek keeps the nodes that it meets again, so
 * neither seeking nor moving allocates, and lookups that stay close to each other hardly touch the cache. A lookup that stays in the
 * leaf where the cursor stands looks at nothing else, and at one key only when it asks for the next item.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "btree/btree_impl.h"

struct bt_key bt_frame_key(const struct bt_frame *f, uint32_t i)
{
	const struct bt_ditem *it;

	if (!f->d)
		return bt_clean_key(f->c, i);
	it = &f->d->items[i];
	return bt_key_of(bt_ditem_key(it), it->klen);
}

/* A clean node read through frame at-1 against that one's separator, and the nearest one above it on the right. */
static int check_fences(const struct bt_path *p, unsigned at, struct lcpfs_error *err)
{
	struct bt_key low = bt_key_of("", 0), high;

	if (at)
		low = bt_frame_key(&p->f[at - 1], p->f[at - 1].idx);
	for (unsigned k = at; k-- > 0; ) {
		const struct bt_frame *f = &p->f[k];

		if (f->idx + 1 < bt_frame_n(f)) {
			high = bt_frame_key(f, f->idx + 1);
			return bt_clean_fences(p->f[at].c, &low, &high, err);
		}
	}
	return bt_clean_fences(p->f[at].c, &low, NULL, err);
}

int bt_frame_enter(struct btree *t, struct bt_path *p, unsigned at, struct lcpfs_error *err)
{
	struct bt_frame *f = &p->f[at];
	const uint8_t *raw = t->root_raw;
	uint64_t birth_max = UINT64_MAX;
	unsigned level = raw[14] >> 4;
	struct bt_dnode *d = t->droot;
	int rc;

	if (at && f[-1].d) {
		d = f[-1].d->items[f[-1].idx].child;
		raw = f[-1].d->items[f[-1].idx].mem;
		level = f[-1].d->level - 1u;
	} else if (at) {
		d = NULL;
		raw = f[-1].c->mem + (size_t)f[-1].idx * PTR_LEN;
		level = f[-1].c->level - 1u;
		birth_max = f[-1].c->obj.birth;
	}
	f->d = d;
	if (d || !f->c || f->c->obj.addr != ptr_raw_addr(raw) || f->c->obj.birth != ptr_raw_birth(raw)) {
		bt_node_put(f->c);
		f->c = NULL;
		if (d)
			return 0;
		rc = bt_node_get(t->s, raw, level, birth_max, !t->no_insert, &f->c, err);
		if (rc)
			return rc;
	}
	if (f->c->level != level || f->c->obj.birth > birth_max)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node %" PRIx64 ": used in two places", f->c->obj.addr);
	return check_fences(p, at, err);
}

void bt_path_release(struct bt_path *p)
{
	for (unsigned i = 0; i < TREE_DEPTH_MAX; i++) {
		bt_node_put(p->f[i].c);
		p->f[i] = (struct bt_frame){ 0 };
	}
	p->depth = 0;
	p->at_item = false;
}

void bt_frame_item(const struct bt_frame *f, uint8_t keybuf[KEY_MAX], struct bt_item *out)
{
	const struct bt_clean *c = f->c;
	struct node_item it;

	if (f->d) {
		const struct bt_ditem *d = &f->d->items[f->idx];

		*out = (struct bt_item){ keybuf, bt_ditem_val(d), d->mem, d->klen, d->vlen, d->nptr };
		memcpy(keybuf, bt_ditem_key(d), d->klen);
		return;
	}
	node_body_item(&c->body, f->idx, &it);
	memcpy(keybuf, c->body.prefix, c->body.prefix_len);
	memcpy(keybuf + c->body.prefix_len, it.key, it.klen);
	*out = (struct bt_item){ keybuf, it.val, c->mem, (uint16_t)(c->body.prefix_len + it.klen), it.vlen, it.nptr };
	if (it.nptr)
		out->ptrs += (size_t)c->ptr_at[f->idx] * PTR_LEN;
}

static uint32_t frame_search(const struct bt_frame *f, const uint8_t *key, size_t klen, bool *exact)
{
	return f->d ? bt_dnode_search(f->d, key, klen, exact) : bt_clean_search(f->c, key, klen, exact);
}

enum edge { FIRST, LAST };

/* From frame `at`, already chosen in the frame above, down to the leaf along one edge. */
static int descend_edge(struct btree *t, struct bt_path *p, unsigned at, enum edge e, struct lcpfs_error *err)
{
	for (;; at++) {
		struct bt_frame *f = &p->f[at];
		int rc = bt_frame_enter(t, p, at, err);
		uint32_t n;

		if (rc)
			return rc;
		n = bt_frame_n(f);
		f->idx = e == FIRST || !n ? 0 : n - 1;
		if (!bt_frame_level(f))
			return 0;
	}
}

/* The leaf that has or would have the key; its frame's idx is the number of smaller keys in it. 1: the tree is empty. */
static int descend_key(struct btree *t, struct bt_path *p, const uint8_t *key, size_t klen, bool *exact, struct lcpfs_error *err)
{
	p->depth = 0;
	if (!t->droot && bt_root_null(t))
		return 1;
	for (unsigned at = 0;; at++) {
		struct bt_frame *f = &p->f[at];
		int rc = bt_frame_enter(t, p, at, err);

		if (rc)
			return rc;
		f->idx = frame_search(f, key, klen, exact);
		if (!bt_frame_level(f)) {
			p->depth = at + 1;
			return 0;
		}
		if (!*exact && f->idx)
			f->idx--;
	}
}

/* To the neighbouring leaf that has items; its idx is at the near edge. 1: there is none. */
static int move_leaf(struct btree *t, struct bt_path *p, enum edge toward, struct lcpfs_error *err)
{
	for (;;) {
		unsigned at = p->depth - 1;
		int rc;

		for (;;) {
			if (at-- == 0)
				return 1;
			if (toward == LAST ? p->f[at].idx + 1 < bt_frame_n(&p->f[at]) : p->f[at].idx > 0)
				break;
		}
		p->f[at].idx += toward == LAST ? 1 : UINT32_MAX;
		rc = descend_edge(t, p, at + 1, toward == LAST ? FIRST : LAST, err);
		if (rc || bt_frame_n(&p->f[p->depth - 1]))
			return rc;
	}
}

static int cursor_ready(struct btree *t, struct bt_cursor *c, struct lcpfs_error *err)
{
	if (c->path && c->t != t)
		btree_cursor_close(c);
	c->t = t;
	if (!c->path) {
		c->path = t->spare ? t->spare : calloc(1, sizeof *c->path);
		t->spare = NULL;
		if (!c->path)
			return lcpfs_nomem(err);
		c->path->gen = t->gen;
	}
	if (c->path->gen != t->gen)
		bt_path_release(c->path);
	c->path->gen = t->gen;
	c->path->at_item = false;
	return 0;
}

/* The end of every move: the item, or why there is none. */
static int cursor_done(struct bt_cursor *c, int rc)
{
	struct bt_path *p = c->path;

	if (rc < 0 && p)
		p->depth = 0; /* it may have come half the way */
	if (rc)
		return rc;
	bt_frame_item(&p->f[p->depth - 1], c->keybuf, &c->item);
	p->klen = c->item.klen;
	p->at_item = true;
	return 0;
}

/* Is the key between the first and the last of the leaf where the path stands? Then only that is searched. */
static bool search_here(struct bt_path *p, const struct bt_key *key, bool *exact)
{
	struct bt_frame *f;
	struct bt_key k;
	uint32_t n;

	if (!p->depth)
		return false;
	f = &p->f[p->depth - 1];
	n = bt_frame_n(f);
	if (f->idx + 1 < n) {
		k = bt_frame_key(f, f->idx + 1);
		*exact = bt_key_cmp(&k, key) == 0;
		f->idx += *exact;
		if (*exact)
			return true;
	}
	if (!n)
		return false;
	k = bt_frame_key(f, 0);
	if (bt_key_cmp(&k, key) > 0)
		return false;
	k = bt_frame_key(f, n - 1);
	if (bt_key_cmp(&k, key) < 0)
		return false;
	f->idx = frame_search(f, key->a, key->alen, exact);
	return true;
}

int btree_get(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err)
{
	struct bt_key k = bt_key_of(klen ? key : "", klen);
	bool exact = false;
	int rc = cursor_ready(t, c, err);

	if (!rc && !search_here(c->path, &k, &exact))
		rc = descend_key(t, c->path, k.a, klen, &exact, err);
	return cursor_done(c, rc ? rc : !exact);
}

/* First item >= key, or > key when `after`. */
static int seek(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, bool after, struct lcpfs_error *err)
{
	bool exact = false;
	struct bt_frame *f;
	int rc = cursor_ready(t, c, err);

	if (!rc)
		rc = descend_key(t, c->path, klen ? key : "", klen, &exact, err);
	if (rc)
		return cursor_done(c, rc);
	f = &c->path->f[c->path->depth - 1];
	f->idx += exact && after;
	if (f->idx >= bt_frame_n(f))
		rc = move_leaf(t, c->path, LAST, err);
	return cursor_done(c, rc);
}

int btree_seek(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err)
{
	return seek(t, c, key, klen, false, err);
}

int btree_seek_le(struct btree *t, struct bt_cursor *c, const void *key, size_t klen, struct lcpfs_error *err)
{
	bool exact = false;
	struct bt_frame *f;
	int rc = cursor_ready(t, c, err);

	if (!rc)
		rc = descend_key(t, c->path, klen ? key : "", klen, &exact, err);
	if (rc)
		return cursor_done(c, rc);
	f = &c->path->f[c->path->depth - 1];
	if (!exact && f->idx)
		f->idx--;
	else if (!exact)
		rc = move_leaf(t, c->path, FIRST, err);
	return cursor_done(c, rc);
}

int btree_next(struct bt_cursor *c, struct lcpfs_error *err)
{
	struct bt_path *p = c->path;
	struct bt_frame *f;

	if (!p || !p->at_item)
		return 1;
	if (p->gen != c->t->gen)
		return seek(c->t, c, c->keybuf, p->klen, true, err);
	p->at_item = false;
	f = &p->f[p->depth - 1];
	if (++f->idx < bt_frame_n(f))
		return cursor_done(c, 0);
	return cursor_done(c, move_leaf(c->t, p, LAST, err));
}

void btree_cursor_close(struct bt_cursor *c)
{
	struct bt_path *p = c->path;

	if (!p)
		return;
	bt_path_release(p);
	if (c->t->spare)
		free(p);
	else
		c->t->spare = p;
	c->path = NULL;
	c->t = NULL;
	c->item = (struct bt_item){ 0 };
}
