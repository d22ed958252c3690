/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include "arc/arc.h"
#include "arc/guard.h"
#include "base/util.h"
#include "tap.h"

struct thing { struct arc_obj obj; uint64_t check; };
static unsigned alive;

static void thing_destroy(struct arc_obj *o)
{
	((struct thing *)o)->check = 0;
	__atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
	free(o);
}

static struct arc_obj *thing_new(uint64_t addr, uint64_t birth, size_t bytes)
{
	struct thing *t = calloc(1, sizeof *t);

	t->obj = (struct arc_obj){ .addr = addr, .birth = birth, .bytes = bytes, .refs = 1, .destroy = thing_destroy };
	t->check = addr ^ birth;
	__atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
	return &t->obj;
}

#define K 1000u /* bytes per unit in these tests: large beside tables and ghosts */
#define CAP (1000 * K)
#define OWN (8 * KiB) /* what an empty cache has for itself, at most */

TEST(basics)
{
	struct arc *a = arc_create(CAP + OWN);
	struct arc_obj *o = arc_add(a, thing_new(1, 1, 400 * K)), *p;
	struct arc_stats st;

	ok(arc_get(a, 1, 1) == o);
	ok(!arc_get(a, 1, 2) && !arc_get(a, 2, 1));
	ok(arc_add(a, thing_new(1, 1, 400 * K)) == o); /* second comer */
	is_int(alive, 1);
	arc_put(o), arc_put(o), arc_put(o);
	p = arc_add(a, thing_new(2, 1, 500 * K));
	arc_put(p);
	ok(arc_get(a, 2, 1) == p);
	arc_put(arc_add(a, thing_new(3, 1, 500 * K))); /* in place of 1: 2 is held */
	is_int(alive, 2);
	ok(arc_get(a, 3, 1) != NULL);
	arc_get_stats(a, &st);
	is_int(st.evictions, 1);
	is_int(st.bytes, CAP);
	is_int(st.ghosts, 1);
	is_int(st.hits, 3);
	is_int(st.misses, 2);
	ok(st.cap == CAP + OWN && st.bytes + st.overhead <= st.cap);
	arc_put(arc_add(a, thing_new(4, 1, 600 * K))); /* all else is held: no place */
	ok(!arc_get(a, 4, 1));
	arc_put(arc_add(a, thing_new(5, 1, 2 * CAP)));
	is_int(alive, 2);
	arc_forget(a, 2, 1);
	ok(!arc_get(a, 2, 1));
	is_int(alive, 2); /* still ours */
	arc_get_stats(a, &st);
	is_int(st.dead, 500 * K);
	arc_hold(p), arc_put(p), arc_put(p);
	is_int(alive, 1);
	p = arc_get(a, 3, 1);
	arc_put(p), arc_put(p);
	arc_forget(a, 3, 1);
	arc_forget(a, 3, 1);
	is_int(alive, 0);
	arc_put(arc_add(NULL, thing_new(6, 1, 10)));
	arc_put(NULL);
	is_int(alive, 0);
	arc_put(arc_add(a, thing_new(7, 1, 10)));
	arc_destroy(a);
	arc_destroy(NULL);
	is_int(alive, 0);
}

/* More at once than a thread has slots, put in another order, and a few twice. */
TEST(many_held)
{
	struct arc *a = arc_create(CAP + OWN);
	struct arc_obj *o[40];

	for (unsigned i = 0; i < 40; i++)
		arc_put(arc_add(a, thing_new(i % 20, 1, 10 * K)));
	for (unsigned i = 0; i < 40; i++)
		o[i] = arc_get(a, i % 20, 1);
	for (unsigned i = 100; i < 1000; i++)
		arc_put(arc_add(a, thing_new(i, 1, 50 * K)));
	for (unsigned i = 0; i < 40; i++)
		ok(o[i] && arc_get(a, i % 20, 1) == o[i]);
	for (unsigned i = 0; i < 40; i++)
		arc_put(o[i * 7 % 40]), arc_put(o[i * 7 % 40]);
	for (unsigned i = 1000; i < 3000; i++) {
		arc_put(arc_get(a, i - 1, 1)); /* both lists are in use */
		arc_put(arc_add(a, thing_new(i, 1, 50 * K)));
	}
	ok(!arc_get(a, 5, 1));
	arc_destroy(a);
	is_int(alive, 0);
}

/* A scan of what is never asked for again leaves alone what was used twice. */
TEST(scan)
{
	struct arc *a = arc_create(CAP + OWN);
	unsigned there = 0;

	for (unsigned i = 0; i < 40; i++) {
		arc_put(arc_add(a, thing_new(i, 1, 10 * K)));
		arc_put(arc_get(a, i, 1));
	}
	for (unsigned i = 1000; i < 20000; i++)
		arc_put(arc_add(a, thing_new(i, 1, 10 * K)));
	for (unsigned i = 0; i < 40; i++) {
		struct arc_obj *o = arc_get(a, i, 1);

		there += o != NULL;
		arc_put(o);
	}
	is_int(there, 40);
	arc_destroy(a);
	is_int(alive, 0);
}

/* Blocks of 4 MiB in the smallest cache there is, some held: the others still take turns. */
TEST(large)
{
	struct arc *a = arc_create(16 * MiB);
	struct arc_obj *held[2];
	struct arc_stats st;

	held[0] = arc_add(a, thing_new(1, 1, 4 * MiB));
	held[1] = arc_add(a, thing_new(2, 1, 4 * MiB));
	for (unsigned i = 3; i < 100; i++) {
		struct arc_obj *o;

		arc_put(arc_add(a, thing_new(i, 1, 4 * MiB)));
		o = arc_get(a, i, 1);
		ok_msg(o != NULL, "block %u is not cached", i);
		arc_put(o);
	}
	ok(arc_get(a, 1, 1) == held[0] && arc_get(a, 2, 1) == held[1]);
	arc_get_stats(a, &st);
	ok(st.bytes + st.overhead <= st.cap);
	for (int i = 0; i < 2; i++)
		arc_put(held[i]), arc_put(held[i]);
	arc_destroy(a);
	is_int(alive, 0);
}

static unsigned wrong;

static void check(struct arc_obj *o, uint64_t addr)
{
	if (((struct thing *)o)->check != (addr ^ 5) || o->addr != addr)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
}

static void *worker(void *arg)
{
	struct arc *a = arg;
	static uint64_t next = 1;
	static struct arc_obj *post[16]; /* references handed from thread to thread */
	uint64_t seed = __atomic_fetch_add(&next, 77, __ATOMIC_RELAXED);

	for (int i = 0; i < 100000; i++) {
		uint64_t r = tap_rand(&seed), addr = r % 10 ? r % 500 : r % 9000;
		struct arc_obj *o = arc_get(a, addr, 5);

		if (!o)
			o = arc_add(a, thing_new(addr, 5, 50000 + r / 5000 % 50000));
		check(o, addr);
		if (r % 97 == 0)
			arc_forget(a, addr, 5);
		if (r % 13 == 0) {
			if (r % 3 == 0)
				arc_hold(o), arc_put(o);
			o = __atomic_exchange_n(&post[r / 13 % 16], o, __ATOMIC_ACQ_REL);
			if (o)
				check(o, o->addr);
		}
		arc_put(o);
	}
	for (int i = 0; i < 16; i++)
		arc_put(__atomic_exchange_n(&post[i], NULL, __ATOMIC_ACQ_REL));
	return NULL;
}

static void run_threads(void *(*fn)(void *), void *arg)
{
	pthread_t th[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, fn, arg);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
}

TEST(threads)
{
	bool plain = guard_plain;

	for (int round = 0; round < 4; round++) {
		struct arc *a = arc_create(round % 2 ? 16 * MiB : 256 * MiB); /* one shard, two shards */
		struct arc_stats st;

		guard_plain = plain && round < 2; /* as where there is no membarrier */
		run_threads(worker, a);
		is_int(wrong, 0);
		arc_get_stats(a, &st);
		ok(st.bytes + st.overhead <= st.cap && (round % 2 == 0 || st.evictions > 0));
		is_int(st.hits + st.misses, 4 * 100000);
		arc_destroy(a);
		is_int(alive, 0);
	}
	guard_plain = plain;
}

/* Each key is loaded by one thread while the others wait; now and then loading fails, and loads nest. */
#define FLIGHTS 2000u
static unsigned loads[FLIGHTS], failed[FLIGHTS], nested_loads;

static struct arc_obj *load(struct arc *a, unsigned k)
{
	struct arc_flight f;
	struct arc_obj *o = arc_begin(a, k, 5, &f);

	if (o)
		return o;
	sched_yield();
	if (k % 10 == 3 && !__atomic_fetch_add(&failed[k], 1, __ATOMIC_RELAXED)) {
		arc_end(a, &f, NULL);
		return NULL;
	}
	if (k % 10 == 4) {
		struct arc_flight g;
		struct arc_obj *in = arc_begin(a, FLIGHTS + k % 7, 5, &g);

		if (!in) {
			in = arc_end(a, &g, thing_new(FLIGHTS + k % 7, 5, 100));
			__atomic_add_fetch(&nested_loads, 1, __ATOMIC_RELAXED);
		}
		check(in, FLIGHTS + k % 7);
		arc_put(in);
	}
	__atomic_add_fetch(&loads[k], 1, __ATOMIC_RELAXED);
	return arc_end(a, &f, thing_new(k, 5, k % 50 == 7 ? 64 * MiB : 500)); /* one that is too large to be cached */
}

static void *loader(void *arg)
{
	for (unsigned k = 0; k < FLIGHTS; k++) {
		struct arc_obj *o = load(arg, k);

		if (o)
			check(o, k);
		arc_put(o);
	}
	return NULL;
}

TEST(flights)
{
	struct arc *a = arc_create(32 * MiB);
	unsigned once = 0, other = 0, fails = 0;

	run_threads(loader, a);
	for (unsigned k = 0; k < FLIGHTS; k++) {
		*(loads[k] == 1 || k % 50 == 7 ? &once : &other) += 1;
		fails += failed[k] != 0;
	}
	is_int(other, 0);
	is_int(wrong, 0);
	is_int(fails, FLIGHTS / 10);
	ok(nested_loads >= 7);
	arc_put(load(NULL, 1));
	arc_destroy(a);
	is_int(alive, 0);
}

TAP_MAIN(T(basics), T(many_held), T(scan), T(large), T(threads), T(flights))
