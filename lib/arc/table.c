/* SPDX-License-Identifier: Apache-2.0 */
/* Cached objects by hash, read without a lock. */
#include "arc/arc_impl.h"
#include <stdlib.h>

struct arc_table *arc_table_new(size_t slots)
{
	struct arc_table *t = calloc(1, sizeof *t + slots * sizeof t->slot[0]);

	if (t)
		t->mask = slots - 1;
	return t;
}

size_t arc_table_bytes(const struct arc_table *t)
{
	size_t n = 0;

	for (; t; t = t->older)
		n += sizeof *t + (t->mask + 1) * sizeof t->slot[0];
	return n;
}

static void set(struct arc_slot *s, uint64_t hash, struct arc_obj *o)
{
	__atomic_store_n(&s->hash, hash, __ATOMIC_RELAXED);
	__atomic_store_n(&s->obj, o, __ATOMIC_RELEASE);
}

void arc_table_add(struct arc_table *t, uint64_t hash, struct arc_obj *o)
{
	size_t i = hash & t->mask;

	while (t->slot[i].obj)
		i = (i + 1) & t->mask;
	set(&t->slot[i], hash, o);
	t->n++;
}

struct arc_table *arc_table_grow(struct arc_table *t)
{
	struct arc_table *b = arc_table_new((t->mask + 1) * 2);

	if (!b)
		return NULL;
	for (size_t i = 0; i <= t->mask; i++)
		if (t->slot[i].obj)
			arc_table_add(b, t->slot[i].hash, t->slot[i].obj);
	for (size_t i = 0; i <= t->mask; i++) /* who still looks there must not find what may go from now on */
		set(&t->slot[i], 0, NULL);
	b->older = t;
	return b;
}

struct arc_obj *arc_table_find(struct arc_table *t, uint64_t hash, uint64_t addr, uint64_t birth)
{
	for (size_t i = hash & t->mask; t->slot[i].obj; i = (i + 1) & t->mask) {
		struct arc_obj *o = t->slot[i].obj;

		if (t->slot[i].hash == hash && o->addr == addr && o->birth == birth)
			return o;
	}
	return NULL;
}

void arc_table_remove(struct arc_table *t, uint64_t hash, struct arc_obj *o)
{
	size_t i = hash & t->mask;

	while (t->slot[i].obj != o)
		i = (i + 1) & t->mask;
	for (size_t j = (i + 1) & t->mask; t->slot[j].obj; j = (j + 1) & t->mask) {
		size_t home = t->slot[j].hash & t->mask;

		if (((j - home) & t->mask) < ((j - i) & t->mask))
			continue; /* its home lies behind the hole */
		set(&t->slot[i], t->slot[j].hash, t->slot[j].obj);
		i = j;
	}
	set(&t->slot[i], 0, NULL);
	t->n--;
}

void arc_table_free(struct arc_table *t)
{
	while (t) {
		struct arc_table *older = t->older;

		free(t);
		t = older;
	}
}
