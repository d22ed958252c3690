/* SPDX-License-Identifier: Apache-2.0 */
/* The tree against a sorted array, in a store that checks every kill. */
#include <stdio.h>
#include "btree/btree_impl.h"
#include "memstore.h"

struct row { uint8_t key[KEY_MAX], *val; uint32_t klen, vlen, nptr; struct blkptr ptr[ITEM_PTRS_MAX]; };
struct model { struct row **v; size_t n, cap; };

static size_t model_find(const struct model *m, const uint8_t *key, size_t klen, bool *exact)
{
	size_t lo = 0, hi = m->n;

	*exact = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = bt_bytes_cmp(m->v[mid]->key, m->v[mid]->klen, key, klen);

		if (!c)
			*exact = true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void row_free(struct row *r)
{
	free(r->val);
	free(r);
}

static void model_del(struct model *m, size_t i)
{
	row_free(m->v[i]);
	memmove(&m->v[i], &m->v[i + 1], (--m->n - i) * sizeof *m->v);
}

static void model_put(struct model *m, struct row *r)
{
	bool exact;
	size_t i = model_find(m, r->key, r->klen, &exact);

	if (exact) {
		row_free(m->v[i]);
		m->v[i] = r;
		return;
	}
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 64;
		m->v = realloc(m->v, m->cap * sizeof *m->v);
	}
	memmove(&m->v[i + 1], &m->v[i], (m->n++ - i) * sizeof *m->v);
	m->v[i] = r;
}

static void model_fini(struct model *m)
{
	while (m->n)
		row_free(m->v[--m->n]);
	free(m->v);
}

static bool same(const struct row *r, const struct bt_item *it)
{
	uint8_t raw[PTR_LEN];

	if (r->klen != it->klen || r->vlen != it->vlen || r->nptr != it->nptr || memcmp(r->key, it->key, r->klen) ||
	    (r->vlen && memcmp(r->val, it->val, r->vlen)))
		return false;
	for (unsigned i = 0; i < r->nptr; i++) {
		ptr_encode(&r->ptr[i], raw);
		if (memcmp(raw, it->ptrs + PTR_LEN * i, PTR_LEN))
			return false;
	}
	return true;
}

/* A whole scan, from a seek before everything. */
static bool same_all(const struct model *m, struct btree *t)
{
	struct bt_cursor c = { 0 };
	size_t i = 0;
	bool good = true;
	int rc = btree_seek(t, &c, "", 0, NULL);

	for (; !rc && good; i++) {
		good = i < m->n && same(m->v[i], &c.item);
		rc = btree_next(&c, NULL);
	}
	btree_cursor_close(&c);
	return good && rc == 1 && i == m->n;
}

enum keys { SMALL, NUMBERS, DEEP, LONG };
struct plan { const char *name; enum keys keys; unsigned range, vmax, pmax; size_t arc; unsigned ops; };

static size_t make_key(const struct plan *p, uint64_t *seed, uint8_t key[KEY_MAX])
{
	uint64_t r = tap_rand(seed) % p->range;
	size_t n = 0;

	switch (p->keys) {
	case SMALL:
		key[0] = (uint8_t)r;
		key[1] = (uint8_t)(r >> 8);
		return 1 + (r >> 8 != 0);
	case NUMBERS:
		be64_store(key, r);
		return 8;
	case DEEP: /* long common prefixes of many lengths */
		while (r && n < KEY_MAX - 40) {
			memset(key + n, 'a' + (int)(r % 3), 37);
			n += 37;
			r /= 3;
		}
		key[n] = 'x';
		return n + 1;
	case LONG:
		memset(key, 'k', KEY_MAX);
		be64_store(key + (r & 1 ? KEY_MAX - 8 : 0), r);
		return KEY_MAX;
	}
	return 0;
}

static struct row *make_row(const struct plan *p, uint64_t *seed, struct memstore *ms)
{
	struct row *r = calloc(1, sizeof *r);

	r->klen = (uint32_t)make_key(p, seed, r->key);
	r->vlen = (uint32_t)(tap_rand(seed) % (p->vmax + 1));
	if (p->vmax && tap_rand(seed) % 16 == 0)
		r->vlen = p->vmax;
	r->val = malloc(r->vlen + 1);
	memset(r->val, (int)tap_rand(seed), r->vlen);
	r->nptr = (uint32_t)(tap_rand(seed) % (p->pmax + 1));
	for (unsigned i = 0; i < r->nptr; i++)
		r->ptr[i] = mem_data(ms);
	return r;
}

struct run { const struct plan *p; struct memstore ms; struct model m; struct btree *t; uint64_t seed; bool bad; };

static void check(struct run *r, bool cond, const char *what)
{
	if (!cond && !r->bad)
		ok_msg(false, "%s: %s", r->p->name, what);
	r->bad |= !cond;
}

static void do_put(struct run *r)
{
	struct row *row = make_row(r->p, &r->seed, &r->ms);
	bool exact;
	size_t i = model_find(&r->m, row->key, row->klen, &exact);

	if (tap_rand(&r->seed) % 8 == 0) { /* keep the pointers */
		for (unsigned k = 0; k < row->nptr; k++)
			mem_kill(&r->ms.s, NULL, &row->ptr[k], false, NULL);
		row->nptr = 0;
		check(r, btree_put(r->t, row->key, row->klen, row->val, row->vlen, NULL, 0, BT_KEEP_PTRS, NULL) ==
		    (exact ? 0 : -LCPFS_ENOENT), "put, pointers kept");
		if (exact) {
			row->nptr = r->m.v[i]->nptr;
			memcpy(row->ptr, r->m.v[i]->ptr, sizeof row->ptr);
			model_put(&r->m, row);
		} else {
			row_free(row);
		}
		return;
	}
	if (exact && tap_rand(&r->seed) % 4 == 0)
		check(r, btree_put(r->t, row->key, row->klen, "", 0, NULL, 0, BT_NEW, NULL) == -LCPFS_EEXIST, "put of what is there");
	check(r, !btree_put(r->t, row->key, row->klen, row->val, row->vlen, row->ptr, row->nptr, exact ? 0 : BT_NEW, NULL), "put");
	model_put(&r->m, row);
}

static void do_del(struct run *r)
{
	uint8_t key[KEY_MAX];
	size_t klen = make_key(r->p, &r->seed, key), i;
	bool exact, keep = tap_rand(&r->seed) % 8 == 0;

	if (r->m.n && tap_rand(&r->seed) % 4) {
		i = tap_rand(&r->seed) % r->m.n;
		klen = r->m.v[i]->klen;
		memcpy(key, r->m.v[i]->key, klen);
	}
	i = model_find(&r->m, key, klen, &exact);
	check(r, btree_del(r->t, key, klen, keep ? BT_KEEP_PTRS : 0, NULL) == (exact ? 0 : 1), "del");
	if (exact && keep) {
		for (unsigned k = 0; k < r->m.v[i]->nptr; k++)
			mem_kill(&r->ms.s, NULL, &r->m.v[i]->ptr[k], false, NULL);
	}
	if (exact)
		model_del(&r->m, i);
}

/* Lookups beside each other, most of them in one leaf: up, down, the same again, and of what is not there. */
static void look_near(struct run *r, struct bt_cursor *c, size_t i)
{
	for (unsigned k = 0; k < 12 && r->m.n; k++) {
		const struct row *w = r->m.v[MIN(i, r->m.n - 1)];
		uint8_t key[KEY_MAX + 1];

		check(r, !btree_get(r->t, c, w->key, w->klen, NULL) && same(w, &c->item), "get beside the last");
		memcpy(key, w->key, w->klen);
		key[w->klen] = 0;
		if (w->klen < KEY_MAX && k % 3 == 0)
			check(r, btree_get(r->t, c, key, w->klen + 1, NULL) == 1, "get of nothing beside the last");
		i += k < 6 ? 1 : k == 8 ? 0 : (size_t)-3;
		i = i > r->m.n ? 0 : i;
	}
}

static void do_look(struct run *r, struct bt_cursor *c)
{
	uint8_t key[KEY_MAX];
	size_t klen = make_key(r->p, &r->seed, key);
	bool exact;
	size_t i = model_find(&r->m, key, klen, &exact);
	int rc = btree_get(r->t, c, key, klen, NULL);

	check(r, exact ? !rc && same(r->m.v[i], &c->item) : rc == 1, "get");
	look_near(r, c, i);
	rc = btree_seek(r->t, c, key, klen, NULL);
	check(r, i < r->m.n ? !rc && same(r->m.v[i], &c->item) : rc == 1, "seek");
	for (size_t k = i + 1; !rc && k < i + 4; k++) {
		rc = btree_next(c, NULL);
		check(r, k < r->m.n ? !rc && same(r->m.v[k], &c->item) : rc == 1, "next");
	}
	rc = btree_seek_le(r->t, c, key, klen, NULL);
	i += exact;
	check(r, i ? !rc && same(r->m.v[i - 1], &c->item) : rc == 1, "seek_le");
}

/* Write, check what lives, and open again. */
static void do_reopen(struct run *r)
{
	struct blkptr root;

	check(r, !btree_write(r->t, NULL) && !btree_is_dirty(r->t) && btree_dirty_bytes(r->t) == 0, "write");
	root = *btree_root(r->t);
	btree_close(r->t);
	check(r, mem_exact(&r->ms, &root), "what is reachable is what lives");
	r->ms.txg++;
	check(r, !btree_open(&r->t, &r->ms.s, &root, 7, NULL, NULL), "open");
	check(r, same_all(&r->m, r->t), "content after opening");
}

static void do_ops(struct run *r, unsigned ops, unsigned del_weight)
{
	struct bt_cursor c = { 0 };

	for (unsigned i = 0; i < ops && !r->bad; i++) {
		unsigned x = (unsigned)(tap_rand(&r->seed) % 100);

		if (x < 20)
			do_look(r, &c);
		else if (x < 20 + del_weight)
			do_del(r);
		else
			do_put(r);
		if (x == 99 && tap_rand(&r->seed) % 4 == 0)
			check(r, !btree_shed(r->t, btree_dirty_bytes(r->t) / 2, NULL), "shed");
		if (i % 1500 == 1499) {
			check(r, same_all(&r->m, r->t), "content");
			btree_cursor_close(&c);
			do_reopen(r);
		}
	}
	btree_cursor_close(&c);
}

static void run_plan(const struct plan *p, uint64_t seed)
{
	struct run r = { .p = p, .seed = seed };

	mem_init(&r.ms, p->arc);
	btree_open(&r.t, &r.ms.s, NULL, 7, NULL, NULL);
	do_ops(&r, p->ops, 25);
	do_ops(&r, p->ops, 50);
	while (r.m.n && !r.bad)
		do_del(&r);
	do_reopen(&r);
	check(&r, ptr_is_null(btree_root(r.t)) && r.ms.n_live == 0 && r.ms.data_live == 0, "empty at the end");
	ok_msg(!r.bad, "%s, seed %llu", p->name, (unsigned long long)seed);
	btree_close(r.t);
	model_fini(&r.m);
	mem_fini(&r.ms);
}

TEST(random)
{
	static const struct plan plans[] = {
		{ "tiny keys", SMALL, 3000, 0, 0, 1 << 20, 6000 },
		{ "numbers", NUMBERS, 20000, 40, 1, 8 << 20, 9000 },
		{ "numbers, no cache", NUMBERS, 5000, 100, 3, 0, 3000 },
		{ "numbers, small cache", NUMBERS, 5000, 300, 15, 200 << 10, 4000 },
		{ "huge values", NUMBERS, 400, VAL_MAX, ITEM_PTRS_MAX, 4 << 20, 3000 },
		{ "deep prefixes", DEEP, 2000, 60, 2, 4 << 20, 6000 },
		{ "long keys", LONG, 3000, 10, 1, 4 << 20, 6000 },
		{ "long keys, huge values", LONG, 200, VAL_MAX, ITEM_PTRS_MAX, 4 << 20, 2000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		for (uint64_t seed = 1; seed <= 3; seed++)
			run_plan(&plans[i], seed * 77 + i);
	}
}

static struct btree *fresh(struct memstore *ms, size_t arc)
{
	struct btree *t = NULL;

	mem_init(ms, arc);
	ok(!btree_open(&t, &ms->s, NULL, 1, NULL, NULL));
	return t;
}

static void put_number(struct btree *t, uint64_t i, size_t vlen)
{
	uint8_t key[8], val[VAL_MAX] = { 0 };

	be64_store(key, i);
	be64_store(val, i * 3);
	if (btree_put(t, key, 8, val, vlen, NULL, 0, 0, NULL))
		ok(!"put");
}

/* What finds no room stays dirty, what did is not lost: the next attempt completes it. */
TEST(leaves_that_fail_stay)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 4 << 20);
	struct bt_cursor c = { 0 };
	struct lcpfs_error err = { 0 };
	uint64_t n = 0, attempts = 0;
	int rc;

	for (uint64_t i = 0; i < 50000; i++)
		put_number(t, i * 7919 % 50000, 20);
	ms.fail_every = 3;
	is_int(btree_shed(t, btree_dirty_bytes(t) / 2, &err), -LCPFS_ENOSPC);
	is_str(err.msg, "no room");
	while ((rc = btree_write(t, &err)) && attempts < 1000) {
		ok(rc == -LCPFS_ENOSPC && btree_is_dirty(t));
		put_number(t, attempts++, 20);
	}
	is_int(rc, 0);
	ok(attempts && attempts < 1000 && ms.submits > attempts);
	ok(mem_exact(&ms, btree_root(t)) && !ms.wrong_kill);
	for (rc = btree_seek(t, &c, "", 0, NULL); !rc; rc = btree_next(&c, NULL), n++)
		if (be64_load(c.item.key) != n)
			break;
	is_int(n, 50000);
	btree_cursor_close(&c);
	btree_close(t);
	mem_fini(&ms);
}

static void double_it(void *arg, uint8_t *val, uint32_t vlen)
{
	(void)arg;
	if (vlen >= 8)
		be64_store(val, 2 * be64_load(val));
}

TEST(edit_in_place)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 4 << 20);
	struct bt_cursor c = { 0 };
	uint64_t bad = 0, n = 0;
	uint8_t key[8];
	int rc;

	for (uint64_t i = 0; i < 10000; i++)
		put_number(t, i, 20);
	ok(!btree_write(t, NULL));
	be64_store(key, 10000);
	is_int(btree_edit(t, key, 8, double_it, NULL, NULL), 1);
	is_int(btree_edit(t, key, 0, double_it, NULL, NULL), 1);
	ok(!btree_is_dirty(t)); /* what is not there changes nothing */
	for (uint64_t i = 0; i < 10000; i += 3) {
		be64_store(key, i);
		bad += btree_edit(t, key, 8, double_it, NULL, NULL) != 0;
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		for (rc = btree_seek(t, &c, "", 0, NULL); !rc; rc = btree_next(&c, NULL), n++)
			bad += be64_load(c.item.val) != be64_load(c.item.key) * (be64_load(c.item.key) % 3 ? 3 : 6);
		btree_cursor_close(&c);
		ok(!btree_write(t, NULL) && mem_exact(&ms, btree_root(t)) && !ms.wrong_kill);
	}
	is_int(n, 20000);
	is_int(bad, 0);
	btree_close(t);
	mem_fini(&ms);
}

TEST(ascending_fills)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 4 << 20);
	size_t leaves = 0, bytes = 0;

	for (uint64_t i = 0; i < 100000; i++)
		put_number(t, i, 20);
	ok(!btree_write(t, NULL));
	for (size_t i = 0; i < ms.n; i++) {
		leaves += ms.v[i].level == 0;
		bytes += ms.v[i].level == 0 ? ms.v[i].body_len : 0;
	}
	ok_msg(bytes > leaves * NODE_TARGET * 95 / 100, "%zu leaves hold %zu bytes", leaves, bytes);
	ok(mem_exact(&ms, btree_root(t)));
	btree_close(t);
	mem_fini(&ms);
}

/* Each order of deletion leaves an empty tree and nothing behind, with writes in between. */
TEST(delete_orders)
{
	for (int order = 0; order < 3; order++) {
		struct memstore ms;
		struct btree *t = fresh(&ms, 8 << 20);
		uint64_t n = 20000;
		int bad = 0;

		for (uint64_t i = 0; i < n; i++)
			put_number(t, i, 30);
		ok(!btree_write(t, NULL));
		for (uint64_t i = 0; i < n; i++) {
			uint8_t key[8];

			be64_store(key, order == 0 ? i : order == 1 ? n - 1 - i : i * 7919 % n);
			bad += btree_del(t, key, 8, 0, NULL) != 0;
			if (i % 3001 == 0)
				bad += btree_write(t, NULL) || !mem_exact(&ms, btree_root(t));
		}
		is_int(bad, 0);
		ok(!btree_write(t, NULL) && ptr_is_null(btree_root(t)) && ms.n_live == 0 && !ms.wrong_kill);
		btree_close(t);
		mem_fini(&ms);
	}
}

/* The n'th key to delete, of `count` in all. */
static uint64_t nth(unsigned order, uint64_t n, uint64_t count)
{
	switch (order) {
	case 0: return n;
	case 1: return count - 1 - n;
	case 2: return n * 7919 % count;
	case 3: return (n + count / 3) % count;
	default: /* thin out the ends of blocks first, rising, then the rest */
		return n < count / 2 ? n / 250 * 500 + n % 250 : (n - count / 2) / 250 * 500 + 250 + (n - count / 2) % 250;
	}
}

#define TALL 4000u

/* Plain numbers, or a few short keys before a great many with a long common prefix. */
static size_t tall_key(bool plain, uint32_t i, uint8_t key[KEY_MAX])
{
	size_t n = plain ? 0 : i < 12 ? 1 : 280;

	memset(key, i < 12 ? 'a' : 'b', n);
	be32_store(key + n, i);
	return n + 4;
}

/* Does a scan find exactly the keys not yet deleted? */
static bool left_are(struct btree *t, const uint8_t *gone)
{
	struct bt_cursor c = { 0 };
	uint32_t next = 0;
	bool good = true;

	for (int rc = btree_seek(t, &c, "", 0, NULL); good && rc != 1; rc = btree_next(&c, NULL), next++) {
		while (next < TALL && gone[next])
			next++;
		good = !rc && be32_load(c.item.key + c.item.klen - 4) == next && c.item.vlen == VAL_MAX - 500;
	}
	btree_cursor_close(&c);
	while (next < TALL && gone[next])
		next++;
	return good && next == TALL;
}

/* Leaves of three or four items under several interior nodes. Built in order, out of order or in bulk. */
static struct btree *tall_tree(struct memstore *ms, bool plain, unsigned how)
{
	static const uint8_t val[VAL_MAX];
	struct btree *t = NULL;
	struct btree_bulk *b = NULL;
	struct blkptr root = { 0 };
	uint8_t key[KEY_MAX];
	int bad = 0;

	btree_open(&t, &ms->s, NULL, 1, NULL, NULL);
	btree_bulk_create(&b, &ms->s, 1, NULL);
	for (uint32_t i = 0; i < TALL; i++) {
		size_t klen = tall_key(plain, how == 1 ? i * 1237 % TALL : i, key);

		bad += how == 2 ? btree_bulk_add(b, key, klen, val, VAL_MAX - 500, NULL, 0, NULL)
		                : btree_put(t, key, klen, val, VAL_MAX - 500, NULL, 0, 0, NULL);
	}
	bad += btree_bulk_finish(b, &root, NULL) + btree_write(t, NULL);
	btree_bulk_destroy(b);
	if (how == 2) {
		btree_close(t);
		btree_open(&t, &ms->s, &root, 1, NULL, NULL);
	}
	is_int(bad, 0);
	is_int(btree_root(t)->level, 2);
	return t;
}

/* Tall trees taken down in different orders, from clean and from dirty. */
TEST(tall)
{
	for (unsigned run = 0; run < 30; run++) {
		bool plain = run % 2;
		struct memstore ms;
		struct btree *t;
		static uint8_t gone[TALL];
		int bad = 0;

		mem_init(&ms, run % 5 ? 8 << 20 : 0);
		t = tall_tree(&ms, plain, run % 3);
		memset(gone, 0, sizeof gone);
		for (uint32_t i = 0; i < TALL; i++) {
			uint32_t k = (uint32_t)nth(run / 6, i, TALL);
			uint8_t key[KEY_MAX];

			gone[k] = 1;
			bad += btree_del(t, key, tall_key(plain, k, key), 0, NULL) != 0;
			if (i % (run % 4 < 2 ? 197 : 1201) == 5)
				bad += btree_write(t, NULL) || !mem_exact(&ms, btree_root(t)) || !left_are(t, gone);
			else if (i % 301 == 5)
				bad += btree_shed(t, 100000, NULL) || !left_are(t, gone);
		}
		ok_msg(!bad, "run %u: %d wrong", run, bad);
		ok(!btree_write(t, NULL) && ptr_is_null(btree_root(t)) && ms.n_live == 0 && !ms.wrong_kill);
		btree_close(t);
		mem_fini(&ms);
	}
}

TEST(delete_while_iterating)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 1 << 20);
	struct bt_cursor c = { 0 };
	uint64_t seen = 0, bad = 0;
	int rc;

	for (uint64_t i = 0; i < 10000; i++)
		put_number(t, i, 50);
	ok(!btree_write(t, NULL));
	for (rc = btree_seek(t, &c, "", 0, NULL); !rc; rc = btree_next(&c, NULL)) {
		bad += be64_load(c.item.key) != seen;
		if (seen++ % 2)
			bad += btree_del(t, c.item.key, c.item.klen, 0, NULL) != 0;
		else /* a value from the tree itself */
			bad += btree_put(t, c.item.key, c.item.klen, c.item.val, c.item.vlen - 1, NULL, 0, 0, NULL) != 0;
		if (seen % 1000 == 0)
			bad += btree_shed(t, 0, NULL) != 0;
	}
	is_int(rc, 1);
	is_int(seen, 10000);
	is_int(bad, 0);
	seen = 0;
	for (rc = btree_seek(t, &c, "", 0, NULL); !rc; rc = btree_next(&c, NULL), seen += 2)
		bad += be64_load(c.item.key) != seen || c.item.vlen != 49 || be64_load(c.item.val) != seen * 3;
	is_int(seen, 10000);
	is_int(bad, 0);
	is_int(btree_next(&c, NULL), 1);
	btree_cursor_close(&c);
	btree_cursor_close(&c);
	is_int(btree_next(&c, NULL), 1);
	btree_close(t);
	mem_fini(&ms);
}

TEST(arguments)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 0);
	struct bt_cursor c = { 0 };
	static const uint8_t big[VAL_MAX + 1];
	struct blkptr null = { 0 };

	is_int(btree_get(t, &c, "a", 1, NULL), 1);
	is_int(btree_seek_le(t, &c, "a", 1, NULL), 1);
	is_int(btree_next(&c, NULL), 1);
	is_int(btree_del(t, "a", 1, 0, NULL), 1);
	ok(!btree_is_dirty(t));
	is_int(btree_put(t, "", 0, "", 0, NULL, 0, 0, NULL), -LCPFS_ELIMIT);
	is_int(btree_put(t, big, KEY_MAX + 1, "", 0, NULL, 0, 0, NULL), -LCPFS_ELIMIT);
	is_int(btree_put(t, "a", 1, big, VAL_MAX + 1, NULL, 0, 0, NULL), -LCPFS_ELIMIT);
	is_int(btree_put(t, "a", 1, "", 0, &null, 1, 0, NULL), -LCPFS_EINVAL);
	is_int(btree_put(t, "a", 1, "", 0, NULL, 0, 64, NULL), -LCPFS_EINVAL);
	is_int(btree_put(t, "a", 1, "", 0, NULL, 0, BT_KEEP_PTRS, NULL), -LCPFS_ENOENT);
	ok(!btree_put(t, "a", 1, NULL, 0, NULL, 0, BT_NEW, NULL));
	is_int(btree_put(t, "a", 1, NULL, 0, NULL, 0, BT_NEW, NULL), -LCPFS_EEXIST);
	ok(!btree_write(t, NULL));
	is_int(btree_put(t, "a", 1, NULL, 0, NULL, 0, BT_NEW, NULL), -LCPFS_EEXIST);
	is_int(btree_del(t, "b", 1, 0, NULL), 1);
	ok(!btree_is_dirty(t)); /* looking made nothing dirty */
	is_int(btree_del(t, "a", 1, 0, NULL), 0);
	ok(btree_is_dirty(t) && !btree_write(t, NULL) && ptr_is_null(btree_root(t)));
	btree_cursor_close(&c);
	btree_close(t);
	mem_fini(&ms);
}

TEST(bulk)
{
	static const size_t counts[] = { 0, 1, 2, 700, 1000, 200000 };

	for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
		struct memstore ms;
		struct btree *t = fresh(&ms, 0), *u;
		struct btree_bulk *b = NULL;
		struct bt_cursor c = { 0 };
		struct blkptr root;
		size_t seen = 0, bad = 0;

		btree_close(t);
		ok(!btree_bulk_create(&b, &ms.s, 1, NULL));
		for (uint64_t i = 0; i < counts[k]; i++) {
			struct blkptr p = mem_data(&ms);
			uint8_t key[8];

			be64_store(key, i * 5);
			bad += btree_bulk_add(b, key, 8, "value", i % 6, &p, 1, NULL) != 0;
		}
		if (counts[k])
			is_int(btree_bulk_add(b, "\0", 1, "", 0, NULL, 0, NULL), -LCPFS_EINVAL);
		ok(!btree_bulk_finish(b, &root, NULL));
		btree_bulk_destroy(b);
		ok(ptr_is_null(&root) == !counts[k]);
		ok(mem_exact(&ms, &root));
		ok(!btree_open(&u, &ms.s, &root, 1, NULL, NULL));
		for (int rc = btree_seek(u, &c, "", 0, NULL); !rc; rc = btree_next(&c, NULL), seen++)
			bad += be64_load(c.item.key) != seen * 5 || c.item.vlen != seen % 6 || c.item.nptr != 1 ||
			    (uint32_t)ptr_raw_addr(c.item.ptrs) != seen + 1;
		btree_cursor_close(&c);
		is_int(seen, counts[k]);
		for (uint64_t i = 0; i < counts[k]; i += 1 + i / 50) { /* and it takes changes */
			uint8_t key[8];

			be64_store(key, i * 5);
			bad += btree_del(u, key, 8, 0, NULL) != 0;
		}
		is_int(bad, 0);
		ok(!btree_write(u, NULL) && mem_exact(&ms, btree_root(u)));
		btree_close(u);
		mem_fini(&ms);
	}
}

/* A sibling that cannot be read does not stop deletions; what needs it says so. */
TEST(unreadable)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 0);
	struct lcpfs_error err = { 0 };
	struct bt_cursor c = { 0 };
	uint64_t gone = 0, failed = 0, left = 0;
	int rc;

	for (uint64_t i = 0; i < 20000; i++)
		put_number(t, i, 30);
	ok(!btree_write(t, NULL));
	ms.bad_addr = ptr_addr(1, 5); /* some leaf */
	is_int(ms.v[4].level, 0);
	for (uint64_t i = 0; i < 20000; i++) {
		uint8_t key[8];

		be64_store(key, i);
		rc = btree_del(t, key, 8, 0, &err);
		gone += rc == 0;
		failed += rc == -LCPFS_ECSUM;
	}
	ok(failed > 100 && gone + failed == 20000);
	ok(!btree_write(t, NULL) && !ms.wrong_kill);
	rc = btree_seek(t, &c, "", 0, &err);
	is_int(rc, -LCPFS_ECSUM);
	ms.bad_addr = 0;
	for (rc = btree_seek(t, &c, "", 0, &err); !rc; rc = btree_next(&c, &err))
		left++;
	is_int(rc, 1);
	is_int(left, failed);
	btree_cursor_close(&c);
	for (uint64_t i = 0; i < 20000; i++) {
		uint8_t key[8];

		be64_store(key, i);
		btree_del(t, key, 8, 0, NULL);
	}
	ok(!btree_write(t, NULL) && ptr_is_null(btree_root(t)) && ms.n_live == 0);
	btree_close(t);
	mem_fini(&ms);
}

/* The last readable child of a root goes: the root gives way to the one that cannot be read just now. */
TEST(collapse_to_clean)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 0);
	struct bt_cursor c = { 0 };
	uint8_t key[8];
	int rc = 0;

	for (uint64_t i = 0; i < 1000; i++)
		put_number(t, i, 30);
	ok(!btree_write(t, NULL));
	is_int(ms.n, 3);
	ms.bad_addr = ptr_addr(1, 1);
	for (uint64_t i = 1000; i-- > 0; ) {
		be64_store(key, i);
		rc = btree_del(t, key, 8, 0, NULL);
		if (rc)
			break;
	}
	is_int(rc, -LCPFS_ECSUM);
	ok(!btree_write(t, NULL));
	ok(btree_root(t)->addr == ms.bad_addr && btree_root(t)->level == 0);
	ms.bad_addr = 0;
	ok(!btree_seek(t, &c, "", 0, NULL) && be64_load(c.item.key) == 0);
	ok(mem_exact(&ms, btree_root(t)));
	btree_cursor_close(&c);
	btree_close(t);
	mem_fini(&ms);
}

/* Nodes in the wrong place: a parent whose children are swapped, levels, births. */
TEST(misplaced)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 0);
	struct blkptr root;
	uint8_t key[8] = { 0 }, tmp[PTR_LEN], *p;
	struct bt_cursor c = { 0 };

	for (uint64_t i = 0; i < 5000; i++)
		put_number(t, i, 30);
	ms.txg = 5;
	ok(!btree_write(t, NULL));
	root = *btree_root(t);
	btree_close(t);
	is_int(root.level, 1);
	p = mem_at(&ms, root.addr)->mem;
	memcpy(tmp, p, PTR_LEN);
	memcpy(p, p + PTR_LEN, PTR_LEN);
	ok(!btree_open(&t, &ms.s, &root, 1, NULL, NULL));
	is_int(btree_get(t, &c, key, 8, NULL), -LCPFS_ECORRUPT); /* low fence */
	btree_cursor_close(&c);
	memcpy(p, tmp, PTR_LEN);
	p[8] = 6; /* younger than its parent */
	is_int(btree_get(t, &c, key, 8, NULL), -LCPFS_ECORRUPT);
	btree_cursor_close(&c);
	memcpy(p, tmp, PTR_LEN);
	p[14] = PTR_NODE | 1 << 4; /* its parent's level */
	is_int(btree_get(t, &c, key, 8, NULL), -LCPFS_ECORRUPT);
	btree_cursor_close(&c);
	memcpy(p, tmp, PTR_LEN);
	ok(!btree_get(t, &c, key, 8, NULL));
	btree_cursor_close(&c);
	btree_close(t);
	btree_open(&t, &ms.s, NULL, 1, NULL, NULL); /* a leaf that begins alike and goes on beyond its parent's next separator */
	put_number(t, 0, 0);
	put_number(t, 4000, 0);
	ok(!btree_write(t, NULL));
	ptr_encode(btree_root(t), mem_at(&ms, root.addr)->mem);
	btree_close(t);
	ok(!btree_open(&t, &ms.s, &root, 1, NULL, NULL));
	is_int(btree_get(t, &c, key, 8, NULL), -LCPFS_ECORRUPT);
	is_int(btree_put(t, key, 8, "", 0, NULL, 0, 0, NULL), -LCPFS_ECORRUPT);
	btree_cursor_close(&c);
	btree_close(t);
	mem_fini(&ms);
}

static void other_destroy(struct arc_obj *o)
{
	free(o);
}

/* What else the cache holds at a node's address is not taken for a node. */
TEST(foreign_in_cache)
{
	struct memstore ms;
	struct btree *t = fresh(&ms, 1 << 20);
	struct arc_obj *o = calloc(1, sizeof *o);
	struct bt_cursor c = { 0 };
	uint8_t key[8] = { 0 };
	struct blkptr root;

	put_number(t, 0, 10);
	ok(!btree_write(t, NULL));
	root = *btree_root(t);
	arc_forget(ms.s.arc, root.addr, root.birth);
	*o = (struct arc_obj){ .addr = root.addr, .birth = root.birth, .bytes = sizeof *o, .refs = 1, .destroy = other_destroy };
	arc_put(arc_add(ms.s.arc, o));
	ok(!btree_get(t, &c, key, 8, NULL));
	ok(mem_exact(&ms, &root));
	btree_cursor_close(&c);
	btree_close(t);
	mem_fini(&ms);
}

TAP_MAIN(T(random), T(leaves_that_fail_stay), T(edit_in_place), T(ascending_fills), T(delete_orders), T(tall), T(foreign_in_cache),
    T(delete_while_iterating), T(arguments), T(bulk), T(unreadable), T(collapse_to_clean), T(misplaced))
