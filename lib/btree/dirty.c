/* SPDX-License-Identifier: Apache-2.0 */
/* Dirty nodes: their items in a sorted array, each item's bytes in a malloc of its own or in the block copied when the node was read. */
#include <assert.h>
#include <stdlib.h>
#include "btree/btree_impl.h"

#define ITEM_OVERHEAD (sizeof(struct bt_ditem) + 16) /* array entry, malloc */

static void base_put(struct bt_base *b)
{
	if (b && --b->refs == 0)
		free(b);
}

static size_t item_bytes(const struct bt_ditem *it)
{
	return (size_t)it->nptr * PTR_LEN + it->klen + it->vlen;
}

void bt_ditem_fini(struct bt_ditem *it)
{
	if (it->owned)
		free(it->mem);
	*it = (struct bt_ditem){ 0 };
}

bool bt_ditem_make(struct bt_ditem *it, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, unsigned nptr)
{
	*it = (struct bt_ditem){ .vlen = (uint32_t)vlen, .klen = (uint16_t)klen, .nptr = (uint8_t)nptr, .owned = true };
	it->mem = malloc(item_bytes(it) + 1);
	if (!it->mem)
		return false;
	memset(it->mem, 0, (size_t)nptr * PTR_LEN);
	if (klen)
		memcpy(it->mem + PTR_LEN * nptr, key, klen);
	if (vlen)
		memcpy(bt_ditem_val(it), val, vlen);
	return true;
}

static void leaf_unlink(struct btree *t, struct bt_dnode *d)
{
	*(d->older ? &d->older->newer : &t->oldest) = d->newer;
	*(d->newer ? &d->newer->older : &t->newest) = d->older;
	d->older = d->newer = NULL;
}

static void leaf_link(struct btree *t, struct bt_dnode *d)
{
	d->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = d;
	t->newest = d;
}

void bt_leaf_touch(struct btree *t, struct bt_dnode *d)
{
	if (t->newest == d)
		return;
	leaf_unlink(t, d);
	leaf_link(t, d);
}

struct bt_dnode *bt_dnode_new(struct btree *t, unsigned level, const uint8_t *low, uint16_t low_len)
{
	struct bt_dnode *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->level = (uint8_t)level;
	d->low_len = low_len;
	if (low_len)
		memcpy(d->low, low, low_len);
	d->weight = sizeof *d;
	t->dirty_bytes += d->weight;
	if (!level)
		leaf_link(t, d);
	return d;
}

void bt_dnode_free(struct btree *t, struct bt_dnode *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->n; i++) {
		bt_dnode_free(t, d->items[i].child);
		bt_ditem_fini(&d->items[i]);
	}
	if (!d->level)
		leaf_unlink(t, d);
	for (unsigned i = 0; i < BT_HINTS; i++)
		if (t->hint[i].leaf == d)
			t->hint[i].leaf = NULL;
	t->dirty_bytes -= d->weight;
	base_put(d->base);
	free(d->items);
	free(d);
}

void bt_dnode_account(struct btree *t, struct bt_dnode *d, const struct bt_ditem *minus, const struct bt_ditem *plus)
{
	if (minus) {
		size_t w = ITEM_OVERHEAD + item_bytes(minus);

		d->ksum -= minus->klen;
		d->vsum -= minus->vlen;
		d->nptr -= minus->nptr;
		d->weight -= w;
		t->dirty_bytes -= w;
	}
	if (plus) {
		size_t w = ITEM_OVERHEAD + item_bytes(plus);

		d->ksum += plus->klen;
		d->vsum += plus->vlen;
		d->nptr += plus->nptr;
		d->weight += w;
		t->dirty_bytes += w;
	}
}

bool bt_dnode_reserve(struct bt_dnode *d, uint32_t extra)
{
	uint32_t cap = d->cap ? d->cap : 16;
	struct bt_ditem *p;

	if (d->n + extra <= d->cap)
		return true;
	while (cap < d->n + extra)
		cap += cap / 2;
	p = realloc(d->items, cap * sizeof *p);
	if (!p)
		return false;
	d->items = p;
	d->cap = cap;
	return true;
}

void bt_dnode_insert(struct btree *t, struct bt_dnode *d, uint32_t i, const struct bt_ditem *it)
{
	assert(d->n < d->cap && i <= d->n);
	memmove(&d->items[i + 1], &d->items[i], (d->n - i) * sizeof *it);
	d->items[i] = *it;
	d->n++;
	bt_dnode_account(t, d, NULL, it);
}

void bt_dnode_remove(struct btree *t, struct bt_dnode *d, uint32_t i)
{
	bt_dnode_account(t, d, &d->items[i], NULL);
	bt_ditem_fini(&d->items[i]);
	d->n--;
	memmove(&d->items[i], &d->items[i + 1], (d->n - i) * sizeof d->items[0]);
}

/* All bytes of a clean node's items, one behind the other; items point in. */
static uint8_t *copy_items(struct bt_dnode *d, const struct bt_clean *c, uint8_t *to)
{
	const struct node_body *b = &c->body;
	const uint8_t *ptrs = c->mem;
	struct node_item it;

	for (uint32_t i = 0; i < b->nitems; i++) {
		struct bt_ditem *di = &d->items[i];

		node_body_item(b, i, &it);
		*di = (struct bt_ditem){ .mem = to, .vlen = it.vlen, .klen = (uint16_t)(b->prefix_len + it.klen), .nptr = it.nptr };
		memcpy(to, ptrs, (size_t)it.nptr * PTR_LEN);
		ptrs += (size_t)it.nptr * PTR_LEN;
		to += (size_t)it.nptr * PTR_LEN;
		memcpy(to, b->prefix, b->prefix_len);
		memcpy(to + b->prefix_len, it.key, it.klen);
		to += di->klen;
		if (it.vlen)
			memcpy(to, it.val, it.vlen);
		to += it.vlen;
	}
	return to;
}

int bt_dnode_from_clean(struct btree *t, const struct bt_clean *c, struct bt_dnode **out, struct lcpfs_error *err)
{
	const struct node_body *b = &c->body;
	size_t bytes = (size_t)c->nptr * PTR_LEN + (size_t)b->nitems * b->prefix_len + c->body_len;
	struct bt_dnode *d = bt_dnode_new(t, c->level, b->low, b->low_len);

	if (d)
		d->base = malloc(sizeof *d->base + bytes);
	if (!d || !d->base || !bt_dnode_reserve(d, b->nitems + 8)) {
		if (d)
			free(d->base);
		if (d)
			d->base = NULL;
		bt_dnode_free(t, d);
		return lcpfs_nomem(err);
	}
	d->base->refs = 1;
	copy_items(d, c, (uint8_t *)(d->base + 1));
	d->n = b->nitems;
	for (uint32_t i = 0; i < d->n; i++)
		bt_dnode_account(t, d, NULL, &d->items[i]);
	*out = d;
	return 0;
}

uint32_t bt_dnode_search(const struct bt_dnode *d, const uint8_t *key, size_t klen, bool *exact)
{
	uint32_t lo = 0, hi = d->n;

	*exact = false;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct bt_ditem *it = &d->items[mid];
		int c = bt_bytes_cmp(bt_ditem_key(it), it->klen, key, klen);

		if (!c) {
			*exact = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t bt_dnode_index(const struct bt_dnode *d)
{
	bool exact;
	uint32_t i = bt_dnode_search(d->parent, d->low, d->low_len, &exact);

	assert(exact && d->parent->items[i].child == d);
	return i;
}

uint64_t bt_sums_size(const struct bt_sums *s)
{
	uint64_t size = 10 + s->low_len + s->n * (s->leaf ? 8 : 4) + s->ksum + s->vsum + s->nptr * PTR_LEN;

	return s->n ? size - (s->n - 1) * s->prefix : size;
}

uint64_t bt_dnode_size(const struct bt_dnode *d)
{
	struct bt_sums s = { .n = d->n, .ksum = d->ksum, .vsum = d->vsum, .nptr = d->nptr, .low_len = d->low_len, .leaf = !d->level };

	if (d->n) {
		const struct bt_ditem *a = &d->items[0], *z = &d->items[d->n - 1];

		s.prefix = bt_common(bt_ditem_key(a), a->klen, bt_ditem_key(z), z->klen);
	}
	return bt_sums_size(&s);
}

/* Items of another base cannot point into it from here: give each its own memory. */
static bool own_items(struct bt_dnode *d, uint32_t at)
{
	for (uint32_t i = at; i < d->n; i++) {
		struct bt_ditem *it = &d->items[i];
		uint8_t *m;

		if (it->owned)
			continue;
		m = malloc(item_bytes(it) + 1);
		if (!m)
			return false;
		memcpy(m, it->mem, item_bytes(it));
		it->mem = m;
		it->owned = true;
	}
	return true;
}

int bt_dnode_move(struct btree *t, struct bt_dnode *from, uint32_t at, struct bt_dnode *to, struct lcpfs_error *err)
{
	if (from->base && to->n == 0) {
		base_put(to->base);
		to->base = from->base;
		to->base->refs++;
	}
	if (from->base != to->base && !own_items(from, at))
		return lcpfs_nomem(err);
	for (uint32_t i = at; i < from->n; i++) {
		struct bt_ditem *it = &from->items[i];

		bt_dnode_insert(t, to, to->n, it);
		if (it->child)
			it->child->parent = to;
		bt_dnode_account(t, from, it, NULL);
	}
	from->n = at;
	return 0;
}

static bool encode(struct btree *t, const struct bt_dnode *d)
{
	if (t->enc_cap < d->n) {
		struct node_item *p = realloc(t->enc, d->n * sizeof *p);

		if (!p)
			return false;
		t->enc = p;
		t->enc_cap = d->n;
	}
	buf_reset(&t->ptrs);
	buf_reset(&t->body);
	for (uint32_t i = 0; i < d->n; i++) {
		const struct bt_ditem *it = &d->items[i];

		t->enc[i] = (struct node_item){ .key = bt_ditem_key(it), .val = bt_ditem_val(it), .klen = it->klen,
			.vlen = it->vlen, .nptr = it->nptr };
		buf_add(&t->ptrs, it->mem, (size_t)it->nptr * PTR_LEN);
	}
	node_body_encode(&t->body, !d->level, d->low, d->low_len, t->enc, d->n);
	return !t->ptrs.failed;
}

int bt_dnode_encode(struct btree *t, const struct bt_dnode *d, uint8_t **mem, uint32_t *body_len, struct lcpfs_error *err)
{
	if (!encode(t, d) || t->body.failed)
		return lcpfs_nomem(err);
	if (t->ptrs.len + t->body.len > NODE_LIMIT)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a tree node of %zu bytes", t->ptrs.len + t->body.len);
	*mem = malloc(t->ptrs.len + t->body.len);
	if (!*mem)
		return lcpfs_nomem(err);
	if (t->ptrs.len)
		memcpy(*mem, t->ptrs.data, t->ptrs.len);
	memcpy(*mem + t->ptrs.len, t->body.data, t->body.len);
	*body_len = (uint32_t)t->body.len;
	return 0;
}

/* What was just written is likely to be read: let the cache have it. Failing is no loss. */
void bt_dnode_written(struct btree *t, const struct bt_dnode *d, uint8_t *mem, uint32_t body_len, const struct blkptr *bp)
{
	struct bt_clean *n;

	arc_forget(t->s->arc, bp->addr, bp->birth);
	if (!t->s->arc || bt_clean_make(&n, mem, (uint32_t)d->nptr, body_len, d->level, bp->addr, bp->birth, NULL))
		free(mem);
	else
		arc_put(arc_add(t->s->arc, &n->obj));
}

int bt_dnode_write(struct btree *t, struct bt_dnode *d, struct blkptr *bp, struct lcpfs_error *err)
{
	uint8_t *mem;
	uint32_t body_len;
	const uint8_t *body;
	int rc = bt_dnode_encode(t, d, &mem, &body_len, err);

	if (rc)
		return rc;
	body = mem + (size_t)d->nptr * PTR_LEN;
	memset(bp, 0, sizeof *bp);
	rc = t->s->ops->write(t->s, d->level, t->guid, mem, (uint32_t)d->nptr, body, body_len, bp, err);
	if (rc)
		free(mem);
	else
		bt_dnode_written(t, d, mem, body_len, bp);
	return rc;
}
