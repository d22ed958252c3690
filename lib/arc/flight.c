/* SPDX-License-Identifier: Apache-2.0 */
/* One load for all who ask at the same time. */
#include "arc/arc_impl.h"

static struct arc_flight *find_flight(struct shard *s, uint64_t addr, uint64_t birth)
{
	struct arc_flight *f = s->flights;

	while (f && (f->addr != addr || f->birth != birth))
		f = f->next;
	return f;
}

/* The flight's object, referenced; NULL: it failed. */
static struct arc_obj *await(struct shard *s, struct arc_flight *f)
{
	struct arc_waiter w = { .next = f->waiters };

	f->waiters = &w;
	while (!w.done)
		pthread_cond_wait(&s->landed, &s->lock);
	return w.obj;
}

struct arc_obj *arc_begin(struct arc *a, uint64_t addr, uint64_t birth, struct arc_flight *f)
{
	uint64_t h = arc_hash(addr, birth);
	struct arc_flight *other = NULL;
	struct guard *me;
	struct arc_obj *o;
	struct shard *s;

	*f = (struct arc_flight){ .addr = addr, .birth = birth };
	if (!a)
		return NULL;
	o = arc_get(a, addr, birth);
	me = guard_me;
	if (o || !me)
		return o;
	s = arc_shard(a, h);
	pthread_mutex_lock(&s->lock);
	while (!(o = arc_find_locked(s, h, addr, birth)) && (other = find_flight(s, addr, birth)) && !me->leading)
		if ((o = await(s, other)))
			break;
	if (!o && !other) {
		f->leads = true;
		f->next = s->flights;
		s->flights = f;
		me->leading++;
	}
	pthread_mutex_unlock(&s->lock);
	return o;
}

static void land(struct shard *s, struct arc_flight *f, struct arc_obj *o)
{
	struct arc_flight **p = &s->flights;
	struct arc_waiter *next;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	for (struct arc_waiter *w = f->waiters; w; w = next) {
		next = w->next;
		if (o)
			__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
		w->obj = o;
		w->done = true;
	}
	if (f->waiters)
		pthread_cond_broadcast(&s->landed);
}

struct arc_obj *arc_end(struct arc *a, struct arc_flight *f, struct arc_obj *o)
{
	struct arc_obj *gone = NULL;
	struct shard *s;

	if (!a || !f->leads)
		return o ? arc_add(a, o) : NULL;
	s = arc_shard(a, arc_hash(f->addr, f->birth));
	pthread_mutex_lock(&s->lock);
	if (o)
		o = arc_add_locked(a, s, o, &gone);
	land(s, f, o);
	pthread_mutex_unlock(&s->lock);
	guard_me->leading--;
	f->leads = false;
	arc_destroy_chain(gone);
	return o;
}
