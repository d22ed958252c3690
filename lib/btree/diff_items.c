/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items in which two trees differ. Each side stands at an entry: a subtree not yet entered, or an item. Two equal
 * pointers are stepped over together; otherwise a subtree is entered when the other side does not lie wholly before it.
 */
#include "btree/btree_impl.h"

struct side {
	struct btree *t; /* opened on the root, for the frames' sake */
	struct bt_path p;
	int top;         /* the frame whose entry we stand at; -1: the root as a whole */
	bool end;
	uint8_t keybuf[KEY_MAX];
};

static int side_open(struct side *x, struct btree_store *s, const struct blkptr *root, struct lcpfs_error *err)
{
	int rc = btree_open(&x->t, s, root, 0, NULL, err);

	if (rc)
		return rc;
	x->t->no_insert = true;
	x->top = -1;
	x->end = bt_root_null(x->t);
	return 0;
}

static void side_close(struct side *x)
{
	bt_path_release(&x->p);
	btree_close(x->t);
}

static bool at_item(const struct side *x)
{
	return x->top >= 0 && !bt_frame_level(&x->p.f[x->top]);
}

static struct bt_key entry_key(const struct side *x)
{
	return x->top < 0 ? bt_key_of("", 0) : bt_frame_key(&x->p.f[x->top], x->p.f[x->top].idx);
}

static const uint8_t *subtree_raw(const struct side *x)
{
	const struct bt_frame *f = &x->p.f[MAX(x->top, 0)];

	return x->top < 0 ? x->t->root_raw : f->c->mem + (size_t)f->idx * PTR_LEN;
}

static unsigned subtree_level(const struct side *x)
{
	return subtree_raw(x)[14] >> 4;
}

static void step(struct side *x)
{
	for (; x->top >= 0; x->top--) {
		struct bt_frame *f = &x->p.f[x->top];

		if (++f->idx < bt_frame_n(f))
			return;
	}
	x->end = true;
}

static int enter(struct side *x, struct lcpfs_error *err)
{
	int rc = bt_frame_enter(x->t, &x->p, (unsigned)(x->top + 1), err);

	if (rc)
		return rc;
	x->top++;
	x->p.f[x->top].idx = 0;
	if (!bt_frame_n(&x->p.f[x->top])) {
		x->top--;
		if (x->top < 0)
			x->end = true;
		else
			step(x);
	}
	return 0;
}

static bool items_equal(const struct bt_item *a, const struct bt_item *b, bool foreign)
{
	if (a->vlen != b->vlen || a->nptr != b->nptr || (foreign && a->nptr) || (a->vlen && memcmp(a->val, b->val, a->vlen)))
		return false;
	for (unsigned i = 0; i < a->nptr; i++) {
		const uint8_t *p = a->ptrs + PTR_LEN * i, *q = b->ptrs + PTR_LEN * i;

		if (ptr_raw_addr(p) != ptr_raw_addr(q) || ptr_raw_birth(p) != ptr_raw_birth(q))
			return false;
	}
	return true;
}

struct diff {
	struct side a, b;
	bool foreign;
	int (*visit)(void *arg, const struct bt_item *ia, const struct bt_item *ib, struct lcpfs_error *err);
	void *arg;
};

/* One side's item is alone. */
static int one_item(struct diff *d, struct side *x, struct lcpfs_error *err)
{
	struct bt_item it;
	int rc;

	bt_frame_item(&x->p.f[x->top], x->keybuf, &it);
	rc = x == &d->a ? d->visit(d->arg, &it, NULL, err) : d->visit(d->arg, NULL, &it, err);
	step(x);
	return rc;
}

static int both_items(struct diff *d, struct lcpfs_error *err)
{
	struct bt_item ia, ib;
	int c, rc = 0;

	bt_frame_item(&d->a.p.f[d->a.top], d->a.keybuf, &ia);
	bt_frame_item(&d->b.p.f[d->b.top], d->b.keybuf, &ib);
	c = bt_bytes_cmp(ia.key, ia.klen, ib.key, ib.klen);
	if (c)
		return one_item(d, c < 0 ? &d->a : &d->b, err);
	if (!items_equal(&ia, &ib, d->foreign))
		rc = d->visit(d->arg, &ia, &ib, err);
	step(&d->a);
	step(&d->b);
	return rc;
}

/* x stands at a subtree, y at an item. */
static int subtree_item(struct diff *d, struct side *x, struct side *y, struct lcpfs_error *err)
{
	struct bt_key low = entry_key(x), key = entry_key(y);

	return bt_key_cmp(&key, &low) < 0 ? one_item(d, y, err) : enter(x, err);
}

static int both_subtrees(struct diff *d, struct lcpfs_error *err)
{
	const uint8_t *ra = subtree_raw(&d->a), *rb = subtree_raw(&d->b);
	unsigned la = subtree_level(&d->a), lb = subtree_level(&d->b);
	struct bt_key ka, kb;
	int c, rc = 0;

	if (!d->foreign && ptr_raw_addr(ra) == ptr_raw_addr(rb) && ptr_raw_birth(ra) == ptr_raw_birth(rb)) {
		step(&d->a);
		step(&d->b);
		return 0;
	}
	if (la != lb)
		return enter(la > lb ? &d->a : &d->b, err);
	ka = entry_key(&d->a);
	kb = entry_key(&d->b);
	c = bt_key_cmp(&ka, &kb);
	if (c <= 0)
		rc = enter(&d->a, err);
	if (!rc && c >= 0)
		rc = enter(&d->b, err);
	return rc;
}

static int diff_step(struct diff *d, struct lcpfs_error *err)
{
	bool ia = !d->a.end && at_item(&d->a), ib = !d->b.end && at_item(&d->b);

	if (d->a.end || d->b.end) {
		struct side *x = d->a.end ? &d->b : &d->a;

		return at_item(x) ? one_item(d, x, err) : enter(x, err);
	}
	if (ia && ib)
		return both_items(d, err);
	if (ia || ib)
		return subtree_item(d, ia ? &d->b : &d->a, ia ? &d->a : &d->b, err);
	return both_subtrees(d, err);
}

int btree_diff_items(struct btree_store *sa, const struct blkptr *a, struct btree_store *sb, const struct blkptr *b, bool foreign,
                     int (*visit)(void *arg, const struct bt_item *ia, const struct bt_item *ib, struct lcpfs_error *err),
                     void *arg, struct lcpfs_error *err)
{
	struct diff d = { .foreign = foreign, .visit = visit, .arg = arg };
	int rc = side_open(&d.a, sa, a, err);

	if (!rc)
		rc = side_open(&d.b, sb, b, err);
	while (!rc && !(d.a.end && d.b.end))
		rc = diff_step(&d, err);
	side_close(&d.a);
	side_close(&d.b);
	return rc;
}
