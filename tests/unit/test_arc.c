/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include "arc/arc.h"
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

TEST(basics)
{
	struct arc *a = arc_create(1000);
	struct arc_obj *o = arc_add(a, thing_new(1, 1, 400)), *p;
	struct arc_stats st;

	ok(arc_get(a, 1, 1) == o);
	ok(!arc_get(a, 1, 2) && !arc_get(a, 2, 1));
	ok(arc_add(a, thing_new(1, 1, 400)) == o); /* second comer */
	is_int(alive, 1);
	arc_put(o), arc_put(o), arc_put(o);
	p = arc_add(a, thing_new(2, 1, 500));
	arc_put(p);
	ok(arc_get(a, 2, 1) == p); /* 1 is now the older one, 2 is held */
	arc_put(arc_add(a, thing_new(3, 1, 500)));
	is_int(alive, 2);
	ok(arc_get(a, 3, 1) != NULL);
	arc_get_stats(a, &st);
	is_int(st.evictions, 1);
	is_int(st.bytes, 1000);
	ok(st.hits == 3 && st.misses == 2 && st.cap == 1000);
	arc_put(arc_add(a, thing_new(4, 1, 600))); /* all else is held: no place */
	ok(!arc_get(a, 4, 1));
	arc_put(arc_add(a, thing_new(5, 1, 2000)));
	is_int(alive, 2);
	arc_forget(a, 2, 1);
	ok(!arc_get(a, 2, 1));
	is_int(alive, 2); /* still ours */
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

static unsigned wrong;

static void *worker(void *arg)
{
	struct arc *a = arg;
	static uint64_t next = 1;
	uint64_t seed = __atomic_fetch_add(&next, 77, __ATOMIC_RELAXED);

	for (int i = 0; i < 100000; i++) {
		uint64_t r = tap_rand(&seed), addr = r % 3000;
		struct arc_obj *o = arc_get(a, addr, 5);

		if (!o)
			o = arc_add(a, thing_new(addr, 5, 50000 + r / 5000 % 50000));
		if (((struct thing *)o)->check != (addr ^ 5) || o->addr != addr)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		if (r % 97 == 0)
			arc_forget(a, addr, 5);
		arc_put(o);
	}
	return NULL;
}

TEST(threads)
{
	struct arc *a = arc_create(128 * MiB); /* two shards */
	struct arc_stats st;
	pthread_t th[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, worker, a);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	is_int(wrong, 0);
	arc_get_stats(a, &st);
	ok(st.bytes <= st.cap && st.evictions > 0);
	arc_destroy(a);
	is_int(alive, 0);
}

TAP_MAIN(T(basics), T(threads))
