/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hit rates of the cache beside the published lists (ARC of Megiddo and Modha, Fig. 4, one page per block) and beside LRU, on the
 * shapes of traces the literature of replacement uses. The traces are made here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arc/arc.h"
#include "base/util.h"
#include "tap.h"

#define KEYS 65536u
#define PAGE (64 * KiB)
enum { NONE, T1, T2, B1, B2, LISTS };

/* ---- lists of keys ---- */
struct lists { unsigned prev[KEYS], next[KEYS], n[LISTS]; uint8_t on[KEYS]; unsigned head[LISTS], tail[LISTS]; };
#define NIL UINT32_MAX

static void lists_init(struct lists *l)
{
	memset(l, 0, sizeof *l);
	for (int i = 0; i < LISTS; i++)
		l->head[i] = l->tail[i] = NIL;
}

static void detach(struct lists *l, unsigned k)
{
	unsigned w = l->on[k];

	if (w == NONE)
		return;
	*(l->prev[k] != NIL ? &l->next[l->prev[k]] : &l->head[w]) = l->next[k];
	*(l->next[k] != NIL ? &l->prev[l->next[k]] : &l->tail[w]) = l->prev[k];
	l->n[w]--;
	l->on[k] = NONE;
}

static void to_head(struct lists *l, unsigned k, unsigned w)
{
	detach(l, k);
	l->prev[k] = NIL;
	l->next[k] = l->head[w];
	*(l->head[w] != NIL ? &l->prev[l->head[w]] : &l->tail[w]) = k;
	l->head[w] = k;
	l->on[k] = (uint8_t)w;
	l->n[w]++;
}

/* ---- the three caches: is it a hit? ---- */
static struct lists L;
static unsigned c;
static double p;

static bool lru_access(unsigned k)
{
	bool hit = L.on[k] == T1;

	if (!hit && L.n[T1] == c)
		detach(&L, L.tail[T1]);
	to_head(&L, k, T1);
	return hit;
}

static void ref_replace(bool in_b2)
{
	if (L.n[T1] && (L.n[T1] > p || (in_b2 && L.n[T1] == p)))
		to_head(&L, L.tail[T1], B1);
	else
		to_head(&L, L.tail[T2], B2);
}

static bool ref_access(unsigned k)
{
	unsigned w = L.on[k], l1 = L.n[T1] + L.n[B1], all = l1 + L.n[T2] + L.n[B2];

	if (w == T1 || w == T2) {
		to_head(&L, k, T2);
		return true;
	}
	if (w == B1) {
		p = MIN(c, p + MAX((double)L.n[B2] / L.n[B1], 1));
		ref_replace(false);
	} else if (w == B2) {
		p = MAX(0, p - MAX((double)L.n[B1] / L.n[B2], 1));
		ref_replace(true);
	} else if (l1 == c) {
		if (L.n[T1] < c) {
			detach(&L, L.tail[B1]);
			ref_replace(false);
		} else {
			detach(&L, L.tail[T1]);
		}
	} else if (all >= c) {
		if (all == 2 * c)
			detach(&L, L.tail[B2]);
		ref_replace(false);
	}
	to_head(&L, k, w == B1 || w == B2 ? T2 : T1);
	return false;
}

static struct arc *ours;
static uint64_t over;

static void page_destroy(struct arc_obj *o)
{
	free(o);
}

static bool our_access(unsigned k)
{
	struct arc_obj *o = arc_get(ours, k + 1, 9);
	bool hit = o;

	if (!o) {
		o = calloc(1, sizeof *o);
		*o = (struct arc_obj){ .addr = k + 1, .birth = 9, .bytes = PAGE, .refs = 1, .destroy = page_destroy };
		o = arc_add(ours, o);
	}
	arc_put(o);
	return hit;
}

/* ---- traces ---- */
struct trace { unsigned *key; size_t n, cap; uint64_t seed; };

static void put(struct trace *t, unsigned k)
{
	if (t->n == t->cap)
		t->key = realloc(t->key, (t->cap = t->cap ? t->cap * 2 : 4096) * sizeof *t->key);
	t->key[t->n++] = k % KEYS;
}

static unsigned below(struct trace *t, unsigned n)
{
	return (unsigned)(tap_rand(&t->seed) % n);
}

/* Zipf of n keys from `base`: by the cumulative weights. */
static double weight[KEYS];
static double power(double x, unsigned n)
{
	return n ? x * power(x, n - 1) : 1;
}

static void zipf_init(unsigned n, unsigned tenths)
{
	double sum = 0, root = 1;

	for (unsigned i = 0; i < n; i++) {
		for (int newton = 0; newton < 8; newton++) /* from the root of the number before */
			root -= (power(root, 10) - (i + 1)) / (10 * power(root, 9));
		weight[i] = sum += 1 / power(root, tenths);
	}
}

static unsigned zipf(struct trace *t, unsigned n)
{
	double u = (double)(tap_rand(&t->seed) >> 11) / 9007199254740992.0 * weight[n - 1];
	unsigned lo = 0, hi = n - 1;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		*(weight[mid] < u ? &lo : &hi) = weight[mid] < u ? mid + 1 : mid;
	}
	return lo * 40503u % KEYS; /* neighbours in rank are not neighbours in number */
}

static void make_zipf(struct trace *t, unsigned tenths)
{
	zipf_init(20000, tenths);
	for (int i = 0; i < 400000; i++)
		put(t, zipf(t, 20000));
}
static void make_zipf08(struct trace *t) { make_zipf(t, 8); }
static void make_zipf10(struct trace *t) { make_zipf(t, 10); }

/* A loop somewhat larger than the caches beside a hot set: what LIRS's "2-pools" and "glimpse" show of LRU. */
static void make_loop(struct trace *t)
{
	for (int i = 0; i < 300000; i++)
		put(t, below(t, 10) < 6 ? 30000 + below(t, 400) : (unsigned)i % 1300);
}

/* OLTP-like: Zipf requests, now and then a long scan of what is not asked for again. */
static void make_scan(struct trace *t)
{
	unsigned next = 20000;

	zipf_init(5000, 9);
	for (int i = 0; i < 60; i++) {
		for (int j = 0; j < 5000; j++)
			put(t, zipf(t, 5000) % 20000);
		for (int j = 0; j < 2500; j++)
			put(t, 20000 + next++ % 45000);
	}
}

/* Two pools (LRU-K and 2Q papers): pages of a small index and a large table, in turn. */
static void make_pools(struct trace *t)
{
	for (int i = 0; i < 200000; i++) {
		put(t, below(t, 500));
		put(t, 1000 + below(t, 50000));
	}
}

/* Working sets that shift, each with re-use at once and runs of sequential blocks: as traces of workstations have (P1 to P14). */
static void make_phases(struct trace *t)
{
	for (unsigned phase = 0; phase < 24; phase++) {
		unsigned base = phase * 2300, size = 500 + below(t, 1800);

		for (int i = 0; i < 15000; i++) {
			unsigned r = below(t, 10), k = base + (below(t, size) * below(t, size)) / size;

			put(t, r == 0 ? base + 40000 + below(t, 20000) : k);
			for (unsigned run = r == 1 ? 8 : 0; run; run--)
				put(t, base + size + (unsigned)i % 2000 + run);
		}
	}
}

/* Each block a few times in short order, then for long not: correlated references. */
static void make_correlated(struct trace *t)
{
	zipf_init(12000, 7);
	for (int i = 0; i < 100000; i++) {
		unsigned k = zipf(t, 12000), times = 1 + below(t, 4);

		while (times--)
			put(t, k);
	}
}

static double run(const struct trace *t, bool (*touch)(unsigned))
{
	size_t hits = 0;

	for (size_t i = 0; i < t->n; i++)
		hits += touch(t->key[i]);
	return 100.0 * (double)hits / (double)t->n;
}

static double run_ours(const struct trace *t, unsigned pages)
{
	struct arc_stats st;
	double rate;

	ours = arc_create(pages * PAGE + pages * 128 + 16 * KiB); /* tables and ghosts beside the pages */
	rate = run(t, our_access);
	arc_get_stats(ours, &st);
	over += st.bytes + st.overhead > st.cap;
	arc_destroy(ours);
	return rate;
}

static const struct { const char *name; void (*make)(struct trace *t); } shapes[] = {
	{ "loop beside a hot set", make_loop }, { "Zipf 0.8", make_zipf08 }, { "Zipf 1.0", make_zipf10 }, { "scans beside Zipf 0.9", make_scan },
	{ "two pools", make_pools }, { "shifting working sets", make_phases }, { "correlated references", make_correlated },
};

TEST(hit_rates)
{
	static const unsigned sizes[] = { 250, 500, 1000, 2000 };

	printf("# %-24s %6s %7s %7s %7s\n", "trace", "blocks", "LRU", "ARC", "here");
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct trace t = { .seed = 4711 };

		shapes[i].make(&t);
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			double lru, ref, our;

			c = sizes[j];
			lists_init(&L);
			lru = run(&t, lru_access);
			lists_init(&L);
			p = 0;
			ref = run(&t, ref_access);
			our = run_ours(&t, c);
			printf("# %-24s %6u %6.2f%% %6.2f%% %6.2f%%\n", shapes[i].name, c, lru, ref, our);
			ok_msg(our > ref - 1, "%s, %u: %.2f is a percent below the lists' %.2f", shapes[i].name, c, our, ref);
			ok_msg(our >= lru - 0.05, "%s, %u: %.2f below LRU's %.2f", shapes[i].name, c, our, lru);
		}
		free(t.key);
	}
	is_int(over, 0);
}

/* Random sizes, random holds: the cap holds at every step. */
TEST(cap)
{
	struct trace t = { .seed = 99 };
	struct arc_obj *held[32] = { 0 };

	ours = arc_create(8 * MiB);
	for (int i = 0; i < 200000; i++) {
		unsigned k = below(&t, 5000), at = below(&t, 32);
		struct arc_obj *o = arc_get(ours, k, 1);
		struct arc_stats st;

		if (!o) {
			o = calloc(1, sizeof *o);
			*o = (struct arc_obj){ .addr = k, .birth = 1, .bytes = k % 50 ? k : 1 * MiB, .refs = 1, .destroy = page_destroy };
			o = arc_add(ours, o);
		}
		arc_put(held[at]);
		held[at] = o;
		if (i % 7 == 0)
			arc_forget(ours, below(&t, 5000), 1);
		arc_get_stats(ours, &st);
		over += st.bytes + st.overhead > st.cap;
		over += st.once + st.again + st.dead != st.bytes;
	}
	is_int(over, 0);
	for (int i = 0; i < 32; i++)
		arc_put(held[i]);
	arc_destroy(ours);
}

TAP_MAIN(T(hit_rates), T(cap))
