/* SPDX-License-Identifier: Apache-2.0 */
/* What stays and what goes: two clocks, their ghosts and the border between them. */
#include "arc/arc_impl.h"

void arc_list_remove(struct shard *s, struct arc_obj *o)
{
	struct arc_list *l = &s->list[o->list];

	*(o->prev ? &o->prev->next : &l->oldest) = o->next;
	*(o->next ? &o->next->prev : &l->newest) = o->prev;
	l->n--;
	l->bytes -= o->bytes;
}

void arc_list_add(struct shard *s, struct arc_obj *o, unsigned list)
{
	struct arc_list *l = &s->list[list];

	o->list = (uint8_t)list;
	o->next = NULL;
	o->prev = l->newest;
	*(l->newest ? &l->newest->next : &l->oldest) = o;
	l->newest = o;
	l->n++;
	l->bytes += o->bytes;
}

unsigned arc_adapt(struct shard *s, uint64_t hash, size_t bytes)
{
	uint64_t b1 = s->ghosts.list[ARC_ONCE].bytes, b2 = s->ghosts.list[ARC_AGAIN].bytes, step;
	unsigned l = arc_ghost_take(&s->ghosts, hash);

	if (l == ARC_NOWHERE)
		return ARC_ONCE;
	s->ghost_hits++;
	if (l == ARC_ONCE) {
		step = MAX(bytes, (uint64_t)((double)bytes * (double)b2 / (double)b1));
		s->target = MIN(s->target + step, s->cap);
	} else {
		step = MAX(bytes, (uint64_t)((double)bytes * (double)b1 / (double)b2));
		s->target -= MIN(step, s->target);
	}
	return ARC_AGAIN;
}

void arc_trim_ghosts(struct shard *s)
{
	struct arc_ghosts *g = &s->ghosts;

	while (g->list[ARC_ONCE].oldest && s->list[ARC_ONCE].bytes + g->list[ARC_ONCE].bytes > s->cap)
		arc_ghost_drop_oldest(g, ARC_ONCE);
	while (g->n && s->bytes + g->list[ARC_ONCE].bytes + g->list[ARC_AGAIN].bytes > 2 * s->cap)
		arc_ghost_drop_oldest(g, g->list[ARC_AGAIN].oldest ? ARC_AGAIN : ARC_ONCE);
}

/* The next to go, still in place; NULL: all are held. What was hit meanwhile gets another round, among those used again. */
static struct arc_obj *pick(struct shard *s)
{
	size_t held[2] = { 0 };

	for (;;) {
		unsigned l = s->list[ARC_ONCE].bytes >= MAX(s->target, 1) ? ARC_ONCE : ARC_AGAIN;
		struct arc_obj *o;

		if (held[l] >= s->list[l].n)
			l = !l;
		if (held[l] >= s->list[l].n)
			return NULL;
		o = s->list[l].oldest;
		if (__atomic_load_n(&o->used, __ATOMIC_RELAXED)) {
			__atomic_store_n(&o->used, 0, __ATOMIC_RELAXED);
			arc_list_remove(s, o);
			arc_list_add(s, o, ARC_AGAIN);
		} else if (guard_refs(o)) {
			arc_list_remove(s, o);
			arc_list_add(s, o, l);
			held[l]++;
		} else {
			return o;
		}
	}
}

/* Take at least `want` bytes out of the table, chained by next. */
static struct arc_obj *take_out(struct shard *s, size_t want)
{
	struct arc_obj *chain = NULL, *o;
	size_t got = 0;

	while (got < want && (o = pick(s))) {
		arc_list_remove(s, o);
		arc_table_remove(s->table, arc_obj_hash(o), o);
		got += o->bytes;
		o->next = chain;
		chain = o;
	}
	return chain;
}

/* Those of the chain that are not held after all go to *gone, the others back. Did any go? */
static bool settle(struct shard *s, struct arc_obj *chain, struct arc_obj **gone)
{
	bool sure = guard_barrier(), any = false;

	for (struct arc_obj *o = chain, *next; o; o = next) {
		next = o->next;
		if (!sure || guard_refs(o)) {
			arc_table_add(s->table, arc_obj_hash(o), o);
			arc_list_add(s, o, o->list);
			continue;
		}
		guard_clear(o);
		arc_ghost_add(&s->ghosts, o->list, arc_obj_hash(o), o->bytes);
		s->bytes -= o->bytes;
		s->evictions++;
		o->next = *gone;
		*gone = o;
		any = true;
	}
	return any;
}

struct arc_obj *arc_make_room(struct shard *s, size_t want)
{
	struct arc_obj *gone = NULL, *chain;
	bool any = true;

	if (s->bytes + s->overhead + want > s->cap && s->dead)
		gone = arc_reap(s);
	while (any && s->bytes + s->overhead + want > s->cap) {
		/* beside other threads a barrier is a system call: one for several */
		size_t more = guard_alone() || !guard_plain ? 0 : s->cap / 128;

		chain = take_out(s, s->bytes + s->overhead + want - s->cap + more);
		any = settle(s, chain, &gone);
	}
	return gone;
}

struct arc_obj *arc_reap(struct shard *s)
{
	struct arc_obj *gone = NULL, **p = &s->dead, *o;

	if (!s->dead || !guard_barrier())
		return NULL;
	while ((o = *p)) {
		if (guard_refs(o)) {
			p = &o->next;
			continue;
		}
		*p = o->next;
		guard_clear(o);
		s->bytes -= o->bytes;
		s->dead_bytes -= o->bytes;
		s->n_dead--;
		o->next = gone;
		gone = o;
	}
	return gone;
}

void arc_destroy_chain(struct arc_obj *o)
{
	while (o) {
		struct arc_obj *next = o->next;

		o->destroy(o);
		o = next;
	}
}
