/* SPDX-License-Identifier: Apache-2.0 */
/* Walks and differences between the versions of a tree, against brute force. */
#include "btree/btree_impl.h"
#include "memstore.h"

#define VERSIONS 9

struct set { struct blkptr *v; size_t n, cap; };

static int set_add(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct set *s = arg;

	(void)err;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->v = realloc(s->v, s->cap * sizeof *s->v);
	}
	s->v[s->n++] = *bp;
	return 0;
}

static int bp_cmp(const void *x, const void *y)
{
	const struct blkptr *a = x, *b = y;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (a->birth > b->birth) - (a->birth < b->birth);
}

static struct set all_ptrs(struct memstore *ms, const struct blkptr *root)
{
	struct set s = { 0 };
	struct btree_walk w = { .visit = set_add, .arg = &s };

	if (btree_walk_ptrs(&ms->s, root, &w, NULL))
		ok(!"walk");
	if (s.n)
		qsort(s.v, s.n, sizeof *s.v, bp_cmp);
	return s;
}

/* a minus b, above the floor */
static struct set minus(const struct set *a, const struct set *b, uint64_t floor)
{
	struct set s = { 0 };
	size_t k = 0;

	for (size_t i = 0; i < a->n; i++) {
		while (k < b->n && bp_cmp(&b->v[k], &a->v[i]) < 0)
			k++;
		if (k < b->n && !bp_cmp(&b->v[k], &a->v[i]))
			k++;
		else if (a->v[i].birth > floor)
			set_add(&s, &a->v[i], NULL);
	}
	return s;
}

static bool set_equal(struct set *got, const struct set *want)
{
	bool same = got->n == want->n;

	if (got->n)
		qsort(got->v, got->n, sizeof *got->v, bp_cmp);
	for (size_t i = 0; same && i < want->n; i++)
		same = !bp_cmp(&got->v[i], &want->v[i]);
	return same;
}

struct sides { struct set a, b; size_t bad; };

static int on_a(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	return set_add(&((struct sides *)arg)->a, bp, err);
}

static int on_b(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	return set_add(&((struct sides *)arg)->b, bp, err);
}

static int on_bad(void *arg, const struct blkptr *bp, const struct lcpfs_error *why)
{
	(void)bp, (void)why;
	((struct sides *)arg)->bad++;
	return 0;
}

struct history { struct memstore ms; struct blkptr root[VERSIONS]; uint64_t seed; };

/* A few changes, clustered or not; now and then a pointer that another item has too. */
static void change(struct history *h, struct btree *t, unsigned n)
{
	struct blkptr last[2] = { mem_data(&h->ms), mem_data(&h->ms) };
	uint64_t at = tap_rand(&h->seed) % 60000;

	for (unsigned i = 0; i < n; i++) {
		uint64_t r = tap_rand(&h->seed), k = n > 1000 || r % 3 == 0 ? r / 8 % 60000 : at + r / 8 % 200;
		uint8_t key[8], val[60] = { (uint8_t)r };

		be64_store(key, k);
		if (r % 16 < 5) {
			btree_del(t, key, 8, 0, NULL);
			continue;
		}
		if (r % 16 > 6)
			last[0] = mem_data(&h->ms);
		btree_put(t, key, 8, val, r % 60, last, r % 7 ? 1 : r % 2 * 2, 0, NULL);
	}
}

static void make_history(struct history *h, uint64_t seed)
{
	static const unsigned changes[VERSIONS] = { 0, 300, 30000, 5, 200, 2000, 1, 60, 15000 };
	struct btree *t = NULL;

	*h = (struct history){ .seed = seed };
	mem_init(&h->ms, seed % 2 ? 1 << 20 : 0);
	h->ms.keep = UINT64_MAX;
	for (unsigned v = 0; v < VERSIONS; v++) {
		btree_open(&t, &h->ms.s, v ? &h->root[v - 1] : NULL, 1, NULL, NULL);
		change(h, t, changes[v]);
		if (v == 7) { /* and back to a small tree */
			for (uint64_t k = 0; k < 60000; k++) {
				uint8_t key[8];

				be64_store(key, k);
				if (k % 100)
					btree_del(t, key, 8, 0, NULL);
			}
		}
		ok(!btree_write(t, NULL));
		h->root[v] = *btree_root(t);
		btree_close(t);
		h->ms.txg++;
	}
}

static void check_pair(struct history *h, unsigned x, unsigned y, uint64_t floor, int which)
{
	struct set a = all_ptrs(&h->ms, &h->root[x]), b = all_ptrs(&h->ms, &h->root[y]);
	struct set only_a = minus(&a, &b, floor), only_b = minus(&b, &a, 0);
	struct sides got = { 0 };
	struct btree_diff_ptrs d = { which & 1 ? on_a : NULL, which & 2 ? on_b : NULL, NULL, &got };
	int rc = btree_diff_ptrs(&h->ms.s, &h->root[x], &h->root[y], floor, &d, NULL);

	if (!(which & 1))
		only_a.n = 0;
	if (!(which & 2))
		only_b.n = 0;
	ok_msg(!rc && set_equal(&got.a, &only_a) && set_equal(&got.b, &only_b), "versions %u %u floor %d which %d: %zu/%zu %zu/%zu",
	    x, y, (int)floor, which, got.a.n, only_a.n, got.b.n, only_b.n);
	free(a.v), free(b.v), free(only_a.v), free(only_b.v), free(got.a.v), free(got.b.v);
}

TEST(diff_ptrs)
{
	size_t max = bt_diff_ids_max;

	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct history h;

		make_history(&h, seed * 31);
		bt_diff_ids_max = seed == 2 ? 900 : max;
		for (unsigned x = 0; x < VERSIONS; x++) {
			for (unsigned y = 0; y < VERSIONS; y++)
				check_pair(&h, x, y, tap_rand(&h.seed) % 3 ? 0 : tap_rand(&h.seed) % VERSIONS, 1 + (int)((x + y) % 3));
		}
		mem_fini(&h.ms);
	}
	bt_diff_ids_max = max;
}

/* What one unreadable node hides is never told as dropped by the other side. */
TEST(diff_ptrs_damaged)
{
	struct history h;
	struct set a, b, only_a, all_b;
	struct sides none = { 0 };
	size_t wrong = 0, told = 0, bad = 0;

	make_history(&h, 5);
	a = all_ptrs(&h.ms, &h.root[2]);
	b = all_ptrs(&h.ms, &h.root[5]);
	only_a = minus(&a, &b, 0);
	all_b = all_ptrs(&h.ms, &h.root[5]);
	for (size_t i = 0; i < all_b.n; i++) {
		struct sides got = { 0 };
		struct btree_diff_ptrs d = { on_a, on_b, on_bad, &got };
		struct set extra;

		if (all_b.v[i].kind != PTR_NODE)
			continue;
		h.ms.bad_addr = all_b.v[i].addr;
		arc_forget(h.ms.s.arc, all_b.v[i].addr, all_b.v[i].birth);
		wrong += btree_diff_ptrs(&h.ms.s, &h.root[2], &h.root[5], 0, &d, NULL) != 0;
		if (got.a.n)
			qsort(got.a.v, got.a.n, sizeof *got.a.v, bp_cmp);
		extra = minus(&got.a, &only_a, 0);
		wrong += extra.n;
		told += got.a.n;
		bad += got.bad;
		free(extra.v), free(got.a.v), free(got.b.v);
	}
	is_int(wrong, 0);
	ok(told > 0 && bad > 0);
	h.ms.bad_addr = h.root[2].addr;
	arc_forget(h.ms.s.arc, h.root[2].addr, h.root[2].birth);
	is_int(btree_diff_ptrs(&h.ms.s, &h.root[2], &h.root[5], 0, &(struct btree_diff_ptrs){ .only_b = on_b, .arg = &none }, NULL),
	    -LCPFS_ECSUM);
	free(none.b.v);
	is_int(btree_walk_ptrs(&h.ms.s, &h.root[2], &(struct btree_walk){ .visit = set_add, .arg = &a }, NULL), -LCPFS_ECSUM);
	free(a.v), free(b.v), free(only_a.v), free(all_b.v);
	mem_fini(&h.ms);
}

/* The cost follows the change. */
TEST(diff_reads)
{
	struct history h;
	struct btree *t = NULL;
	struct sides got = { 0 };
	struct btree_diff_ptrs d = { on_a, on_b, NULL, &got };
	struct blkptr root;
	size_t before;

	make_history(&h, 8);
	btree_open(&t, &h.ms.s, &h.root[5], 1, NULL, NULL);
	change(&h, t, 1);
	ok(!btree_write(t, NULL));
	root = *btree_root(t);
	btree_close(t);
	before = h.ms.reads;
	ok(!btree_diff_ptrs(&h.ms.s, &h.root[5], &root, 0, &d, NULL));
	ok(h.ms.reads - before <= 20);
	free(got.a.v), free(got.b.v);
	mem_fini(&h.ms);
}

struct items { struct bt_cursor a, b; int ra, rb; bool foreign, wrong; };

static bool equal_items(const struct bt_item *x, const struct bt_item *y)
{
	bool same = x->vlen == y->vlen && x->nptr == y->nptr && !memcmp(x->val, y->val, x->vlen);

	for (unsigned i = 0; same && i < x->nptr; i++)
		same = !memcmp(x->ptrs + PTR_LEN * i, y->ptrs + PTR_LEN * i, 14);
	return same;
}

/* The next difference by brute force: < 0 only in a, > 0 only in b, 0 in both; 2 at the end. */
static int next_difference(struct items *s)
{
	for (;;) {
		int c;

		if (s->ra && s->rb)
			return 2;
		c = s->ra ? 1 : s->rb ? -1 : bt_bytes_cmp(s->a.item.key, s->a.item.klen, s->b.item.key, s->b.item.klen);
		if (c || !equal_items(&s->a.item, &s->b.item) || (s->foreign && s->a.item.nptr))
			return c < 0 ? -1 : c > 0;
		s->ra = btree_next(&s->a, NULL);
		s->rb = btree_next(&s->b, NULL);
	}
}

static bool is_item(const struct bt_item *got, const struct bt_item *want)
{
	return got && got->klen == want->klen && !memcmp(got->key, want->key, got->klen) && equal_items(got, want);
}

static int visit_items(void *arg, const struct bt_item *ia, const struct bt_item *ib, struct lcpfs_error *err)
{
	struct items *s = arg;
	int c = next_difference(s);

	(void)err;
	s->wrong |= c == 2 || (c <= 0 ? !is_item(ia, &s->a.item) : ia != NULL) || (c >= 0 ? !is_item(ib, &s->b.item) : ib != NULL);
	if (!s->ra && c <= 0)
		s->ra = btree_next(&s->a, NULL);
	if (!s->rb && c >= 0)
		s->rb = btree_next(&s->b, NULL);
	return s->wrong ? -LCPFS_EINVAL : 0;
}

TEST(diff_items)
{
	struct history h;

	make_history(&h, 3);
	for (unsigned i = 0; i < VERSIONS * VERSIONS * 2; i++) {
		const struct blkptr *x = &h.root[i % VERSIONS], *y = &h.root[i / VERSIONS % VERSIONS];
		struct items s = { .foreign = i >= VERSIONS * VERSIONS };
		struct btree *a, *b;
		int rc;

		btree_open(&a, &h.ms.s, x, 1, NULL, NULL);
		btree_open(&b, &h.ms.s, y, 1, NULL, NULL);
		s.ra = btree_seek(a, &s.a, "", 0, NULL);
		s.rb = btree_seek(b, &s.b, "", 0, NULL);
		rc = btree_diff_items(&h.ms.s, x, &h.ms.s, y, s.foreign, visit_items, &s, NULL);
		ok_msg(!rc && !s.wrong && next_difference(&s) == 2, "versions %u %u", i % VERSIONS, i / VERSIONS % VERSIONS);
		btree_cursor_close(&s.a);
		btree_cursor_close(&s.b);
		btree_close(a);
		btree_close(b);
	}
	mem_fini(&h.ms);
}

TAP_MAIN(T(diff_ptrs), T(diff_ptrs_damaged), T(diff_reads), T(diff_items))
