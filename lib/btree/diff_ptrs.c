/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyless difference of two trees, level by level.
 *
 * At each level the pointers met so far on either side are compared as multisets of (addr, birth). What both have is dropped, with
 * all below it. The rest is told, and its children make up the next level's lists. Once only one tree has anything left, it is
 * walked in depth. At the leaves, one side's pointers become a sorted table against which the other side's leaves stream.
 *
 * Invariants
 *  (1) A child is never younger than its parent, so below birth <= floor nothing can be in only_a: such nodes of a are
 *      descended only for only_b's sake, and of b the other way round.
 *  (2) What lies below a node of one side that cannot be read might be the same as anything that is no younger in the other, so
 *      that is not told any more (`lost`): a block that may be in use must not come out as unused.
 */
#include <stdlib.h>
#include "btree/btree_impl.h"

#define SHARES_MAX 65536u

size_t bt_diff_ids_max = (size_t)4 << 20;

struct id {
	uint64_t addr, birth;
	uint32_t used; /* in the first of equal ones: how many are matched */
};

struct list {
	struct blkptr *v;
	size_t n, cap;
};

struct side {
	struct btree_store *s;
	struct list at[TREE_DEPTH_MAX]; /* differing nodes by level */
	uint64_t floor, lost;           /* births told: above both */
	uint64_t birth;                 /* the root's: nothing is younger */
	int (*tell)(void *arg, const struct blkptr *bp, struct lcpfs_error *err);
	const struct btree_diff_ptrs *d;
	const struct side *other;
};

struct table {
	struct id *v;
	size_t n, cap, max;
	unsigned share, shares; /* only addresses of this share */
};

static bool list_add(struct list *l, const struct blkptr *bp)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct blkptr *p = realloc(l->v, cap * sizeof *p);

		if (!p)
			return false;
		l->v = p;
		l->cap = cap;
	}
	l->v[l->n++] = *bp;
	return true;
}

static void list_clear(struct list *l)
{
	free(l->v);
	*l = (struct list){ 0 };
}

static bool in_share(const struct table *t, uint64_t addr)
{
	return t->shares == 1 || (addr * 0x9e3779b97f4a7c15ull >> 40) % t->shares == t->share;
}

static bool table_add(struct table *t, uint64_t addr, uint64_t birth)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 256;
		struct id *p = realloc(t->v, cap * sizeof *p);

		if (!p)
			return false;
		t->v = p;
		t->cap = cap;
	}
	t->v[t->n++] = (struct id){ .addr = addr, .birth = birth };
	return true;
}

static int id_cmp(const void *x, const void *y)
{
	const struct id *a = x, *b = y;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (a->birth > b->birth) - (a->birth < b->birth);
}

static void table_sort(struct table *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, id_cmp);
}

/* Match one of the table's, each only once. */
static bool table_take(struct table *t, uint64_t addr, uint64_t birth)
{
	const struct id key = { .addr = addr, .birth = birth };
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (id_cmp(&t->v[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == t->n || lo + t->v[lo].used >= t->n || id_cmp(&t->v[lo + t->v[lo].used], &key))
		return false;
	t->v[lo].used++;
	return true;
}

static int tell(const struct side *x, const struct blkptr *bp, struct lcpfs_error *err)
{
	if (!x->tell || bp->birth <= x->floor || bp->birth <= x->other->lost)
		return 0;
	return MIN(x->tell(x->d->arg, bp, err), 0);
}

/* A node of x cannot be read. Fails when nobody is there to hear of it. */
static int lose(struct side *x, const struct blkptr *bp, int rc, const struct lcpfs_error *why, struct lcpfs_error *err)
{
	if (x->d->bad && rc != -LCPFS_ENOMEM) {
		x->lost = MAX(x->lost, bp->birth);
		return x->d->bad(x->d->arg, bp, why);
	}
	if (err)
		*err = *why;
	return rc;
}

/* Drop from x's level what `t`, made of the other side's, has too. */
static void drop_common(struct list *l, struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (!table_take(t, l->v[i].addr, l->v[i].birth))
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

static bool nodes_table(const struct list *l, struct table *t)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!table_add(t, l->v[i].addr, l->v[i].birth))
			return false;
	}
	table_sort(t);
	return true;
}

static int cancel_level(struct list *a, struct list *b, struct lcpfs_error *err)
{
	struct table ta = { .shares = 1 }, tb = { .shares = 1 };
	bool ok = !a->n || !b->n || (nodes_table(a, &ta) && nodes_table(b, &tb));

	if (ok && a->n && b->n) {
		drop_common(a, &tb);
		drop_common(b, &ta);
	}
	free(ta.v);
	free(tb.v);
	return ok ? 0 : lcpfs_nomem(err);
}

static int tell_level(const struct side *x, const struct list *l, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < l->n; i++)
		rc = tell(x, &l->v[i], err);
	return rc;
}

/* Is nothing below this node of x of interest to either side? (1) */
static bool pruned(const struct side *x, const struct blkptr *bp)
{
	return (!x->tell || bp->birth <= x->floor) && (!x->other->tell || bp->birth <= x->other->floor);
}

static bool empty_leaf(const struct blkptr *bp)
{
	return !bp->level && (bp->flags & PTR_NOPTR);
}

/* The pointers of node bp of x. 1: not readable, and told so. */
static int read_ptrs(struct side *x, const struct blkptr *bp, struct bt_ptrs *p, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = bt_ptrs_get(x->s, bp, p, &why);

	if (!rc)
		return 0;
	rc = lose(x, bp, rc, &why, err);
	return rc ? rc : 1;
}

/* The children of x's nodes at this level become the next one's list. */
static int next_level(struct side *x, unsigned level, struct lcpfs_error *err)
{
	struct list *l = &x->at[level], *below = &x->at[level - 1];
	struct blkptr child;
	struct bt_ptrs p;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < l->n; i++) {
		if (pruned(x, &l->v[i]))
			continue;
		rc = read_ptrs(x, &l->v[i], &p, err);
		if (rc)
			continue;
		for (uint32_t k = 0; !rc && k < p.n; k++) {
			rc = ptr_decode(&child, p.raw + (size_t)k * PTR_LEN, err);
			if (!rc && !list_add(below, &child))
				rc = lcpfs_nomem(err);
		}
		bt_ptrs_put(&p);
	}
	list_clear(l);
	return MIN(rc, 0);
}

/* Tell all that is below a node of x; the other tree has nothing left to match it. */
static int stream_below(struct side *x, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct blkptr child;
	struct bt_ptrs p;
	int rc;

	if (pruned(x, bp) || empty_leaf(bp))
		return 0;
	rc = read_ptrs(x, bp, &p, err);
	if (rc)
		return MIN(rc, 0);
	for (uint32_t i = 0; !rc && i < p.n; i++) {
		rc = ptr_decode(&child, p.raw + (size_t)i * PTR_LEN, err);
		if (!rc)
			rc = tell(x, &child, err);
		if (!rc && bp->level)
			rc = stream_below(x, &child, err);
	}
	bt_ptrs_put(&p);
	return rc;
}

/* Call fn for all pointers in x's differing leaves; a leaf that cannot be read is told once. */
static int each_leaf_ptr(struct side *x, int (*fn)(struct side *x, const uint8_t *raw, struct table *t, struct lcpfs_error *err),
                         struct table *t, struct lcpfs_error *err)
{
	struct list *l = &x->at[0];
	struct bt_ptrs p;
	int rc = 0;

	for (size_t i = 0; !rc && i < l->n; i++) {
		if (!l->v[i].kind || empty_leaf(&l->v[i]) || pruned(x, &l->v[i]))
			continue;
		rc = read_ptrs(x, &l->v[i], &p, err);
		if (rc < 0)
			return rc;
		if (rc) {
			l->v[i].kind = 0;
			rc = 0;
			continue;
		}
		for (uint32_t k = 0; !rc && k < p.n; k++)
			rc = fn(x, p.raw + (size_t)k * PTR_LEN, t, err);
		bt_ptrs_put(&p);
	}
	return rc;
}

/* Into the table goes what can have an equal on the other side that would be told. 1: the table is too big. */
static int gather_ptr(struct side *y, const uint8_t *raw, struct table *t, struct lcpfs_error *err)
{
	uint64_t addr = ptr_raw_addr(raw), birth = ptr_raw_birth(raw);
	const struct side *x = y->other;

	if (birth <= x->floor || birth > x->birth || !in_share(t, addr))
		return 0;
	if (!table_add(t, addr, birth))
		return lcpfs_nomem(err);
	return t->n > t->max;
}

static int tell_ptr(struct side *x, const uint8_t *raw, struct table *t, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc;

	if (!in_share(t, ptr_raw_addr(raw)) || table_take(t, ptr_raw_addr(raw), ptr_raw_birth(raw)))
		return 0;
	rc = ptr_decode(&bp, raw, err);
	return rc ? rc : tell(x, &bp, err);
}

/*
 * What the leaves of x have and those of y have not, for one share of the addresses. A table that gets too big is given up for two of
 * half the share each; of no share at all it may be as big as it is.
 */
static int diff_leaves(struct side *x, struct side *y, unsigned share, unsigned shares, struct lcpfs_error *err)
{
	struct table t = { .share = share, .shares = shares, .max = shares < SHARES_MAX ? bt_diff_ids_max : SIZE_MAX };
	int rc;

	if (!x->tell || !x->at[0].n)
		return 0;
	rc = each_leaf_ptr(y, gather_ptr, &t, err);
	if (!rc) {
		table_sort(&t);
		rc = each_leaf_ptr(x, tell_ptr, &t, err);
	}
	free(t.v);
	if (rc != 1)
		return rc;
	rc = diff_leaves(x, y, share, shares * 2, err);
	return rc ? rc : diff_leaves(x, y, share + shares, shares * 2, err);
}

static bool exhausted(const struct side *x, unsigned level)
{
	for (unsigned i = 0; i <= level; i++) {
		if (x->at[i].n)
			return false;
	}
	return true;
}

static int stream_level(struct side *x, unsigned level, struct lcpfs_error *err)
{
	struct list *l = &x->at[level];
	int rc = 0;

	for (size_t i = 0; !rc && i < l->n; i++)
		rc = stream_below(x, &l->v[i], err);
	list_clear(l);
	return rc;
}

static int one_level(struct side *a, struct side *b, unsigned level, struct lcpfs_error *err)
{
	int rc = cancel_level(&a->at[level], &b->at[level], err);

	if (!rc)
		rc = tell_level(a, &a->at[level], err);
	if (!rc)
		rc = tell_level(b, &b->at[level], err);
	if (!rc && level && exhausted(b, level))
		rc = stream_level(a, level, err);
	if (!rc && level && exhausted(a, level))
		rc = stream_level(b, level, err);
	if (!rc && level)
		rc = next_level(a, level, err);
	if (!rc && level)
		rc = next_level(b, level, err);
	return rc;
}

static int add_root(struct side *x, const struct blkptr *root, struct lcpfs_error *err)
{
	if (!root || ptr_is_null(root))
		return 0;
	if (root->kind != PTR_NODE || root->level >= TREE_DEPTH_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "tree root of kind %u, level %u", root->kind, root->level);
	x->birth = root->birth;
	return list_add(&x->at[root->level], root) ? 0 : lcpfs_nomem(err);
}

int btree_diff_ptrs(struct btree_store *s, const struct blkptr *a, const struct blkptr *b, uint64_t floor,
                    const struct btree_diff_ptrs *d, struct lcpfs_error *err)
{
	struct side sa = { .s = s, .d = d, .tell = d->only_a, .floor = floor }, sb = { .s = s, .d = d, .tell = d->only_b };
	int rc;

	sa.other = &sb;
	sb.other = &sa;
	rc = add_root(&sa, a, err);
	if (!rc)
		rc = add_root(&sb, b, err);
	for (unsigned level = TREE_DEPTH_MAX; !rc && level-- > 0; )
		rc = one_level(&sa, &sb, level, err);
	if (!rc)
		rc = diff_leaves(&sa, &sb, 0, 1, err);
	if (!rc)
		rc = diff_leaves(&sb, &sa, 0, 1, err);
	for (unsigned i = 0; i < TREE_DEPTH_MAX; i++) {
		list_clear(&sa.at[i]);
		list_clear(&sb.at[i]);
	}
	return rc;
}
