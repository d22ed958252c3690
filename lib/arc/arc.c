/* SPDX-License-Identifier: Apache-2.0 */
#include "arc/arc.h"
#include <assert.h>
#include <stdlib.h>
#include "arc/arc_impl.h"

#define TABLE_MIN 64u
#define GHOST_SHARE 32u    /* of the cap, at most, for ghosts */
#define DEAD_BATCH 16u

static uint32_t numbers_taken; /* bits; the last number is shared by all that come after */

static unsigned number_take(void)
{
	for (unsigned i = 0; i < GUARD_CACHES - 1; i++)
		if (!(__atomic_fetch_or(&numbers_taken, 1u << i, __ATOMIC_RELAXED) & 1u << i))
			return i;
	return GUARD_CACHES - 1;
}

static uint32_t ghosts_max(size_t cap)
{
	uint32_t n = 1;

	while (n < 1u << 24 && n * 2 * GHOST_BYTES <= cap / GHOST_SHARE)
		n *= 2;
	return n;
}

static void count_overhead(struct shard *s)
{
	s->overhead = arc_table_bytes(s->table) + arc_ghosts_bytes(&s->ghosts);
}

/* What is done under it is short, but now and then a barrier: spinning a while beats sleeping and being woken. */
static void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static bool shard_init(struct shard *s, size_t cap)
{
	lock_init(&s->lock);
	pthread_cond_init(&s->landed, NULL);
	s->cap = cap;
	s->table = arc_table_new(TABLE_MIN);
	if (!s->table || !arc_ghosts_init(&s->ghosts, ghosts_max(cap)))
		return false;
	count_overhead(s);
	return true;
}

struct arc *arc_create(size_t cap_bytes)
{
	struct arc *a = calloc(1, sizeof *a);
	unsigned n = 1;
	bool good = a;

	guard_init();
	while (n < SHARDS_MAX && cap_bytes / (n * 2) >= SHARD_MIN)
		n *= 2;
	if (a)
		a->shard = aligned_alloc(64, n * sizeof *a->shard);
	if (!a || !a->shard) {
		free(a);
		return NULL;
	}
	a->number = number_take();
	a->hits_before = guard_hits(a->number);
	for (; a->n_shards < n && good; a->n_shards++) {
		a->shard[a->n_shards] = (struct shard){ 0 };
		good = shard_init(&a->shard[a->n_shards], cap_bytes / n);
	}
	if (good)
		return a;
	arc_destroy(a);
	return NULL;
}

static void shard_fini(struct shard *s)
{
	s->cap = 0;
	arc_destroy_chain(arc_reap(s));
	if (s->table && s->bytes)
		arc_destroy_chain(arc_make_room(s, 1));
	assert(s->bytes == 0 && !s->dead && !s->flights);
	arc_table_free(s->table);
	arc_ghosts_fini(&s->ghosts);
	pthread_cond_destroy(&s->landed);
	pthread_mutex_destroy(&s->lock);
}

void arc_destroy(struct arc *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_shards; i++)
		shard_fini(&a->shard[i]);
	if (a->number < GUARD_CACHES - 1)
		__atomic_fetch_and(&numbers_taken, ~(1u << a->number), __ATOMIC_RELAXED);
	free(a->shard);
	free(a);
}

static inline void mark_used(struct arc_obj *o)
{
	if (!__atomic_load_n(&o->used, __ATOMIC_RELAXED))
		__atomic_store_n(&o->used, 1, __ATOMIC_RELAXED);
}

struct arc_obj *arc_find_locked(struct shard *s, uint64_t hash, uint64_t addr, uint64_t birth)
{
	struct arc_obj *o = arc_table_find(s->table, hash, addr, birth);

	if (o) {
		__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
		mark_used(o);
	}
	return o;
}

static __attribute__((noinline)) struct arc_obj *get_locked(struct shard *s, uint64_t addr, uint64_t birth)
{
	struct arc_obj *o;

	guard_join(); /* without memory for a guard all goes this way */
	pthread_mutex_lock(&s->lock);
	o = arc_find_locked(s, arc_hash(addr, birth), addr, birth);
	*(o ? &s->hits : &s->misses) += 1;
	pthread_mutex_unlock(&s->lock);
	return o;
}

/* The thread's slots are all taken: the reference goes to the object. */
static __attribute__((noinline)) struct arc_obj *spill(struct guard *me, unsigned k, struct arc_obj *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&me->slot[k], NULL, __ATOMIC_RELEASE);
	return o;
}

/* Reference what a table slot showed. NULL: it is not there any more, or another. */
static inline struct arc_obj *grab(struct guard *me, unsigned number, const struct arc_slot *at, struct arc_obj *o, uint64_t addr, uint64_t birth)
{
	unsigned k = 0;

	while (k < GUARD_SLOTS - 1 && guard_slot(me, k))
		k++;
	guard_publish(&me->slot[k], o);
	/* the slot too: an object that was here before in the same memory may just have been cleared out of it */
	if (__atomic_load_n(&at->obj, __ATOMIC_ACQUIRE) != o || guard_slot(me, k) != o || o->addr != addr || o->birth != birth) {
		__atomic_store_n(&me->slot[k], NULL, __ATOMIC_RELEASE);
		return NULL;
	}
	mark_used(o);
	__atomic_store_n(&me->hits[number], me->hits[number] + 1, __ATOMIC_RELAXED);
	return k < GUARD_SLOTS - 1 ? o : spill(me, k, o);
}

struct arc_obj *arc_get(struct arc *a, uint64_t addr, uint64_t birth)
{
	uint64_t h = arc_hash(addr, birth);
	struct shard *s = arc_shard(a, h);
	struct guard *me = guard_me;
	struct arc_table *t = __atomic_load_n(&s->table, __ATOMIC_ACQUIRE);
	struct arc_obj *o = NULL;

	for (size_t i = h & t->mask, n = 0; me && n <= t->mask; i = (i + 1) & t->mask, n++) {
		o = __atomic_load_n(&t->slot[i].obj, __ATOMIC_ACQUIRE);
		if (!o)
			break;
		if (__atomic_load_n(&t->slot[i].hash, __ATOMIC_RELAXED) != h)
			continue;
		o = grab(me, a->number, &t->slot[i], o, addr, birth);
		if (o)
			return o;
		break;
	}
	return get_locked(s, addr, birth);
}

/* Place for o in the table and under the cap? */
static bool admit(struct shard *s, struct arc_obj *o, struct arc_obj **gone)
{
	size_t table = arc_table_full(s->table) ? (s->table->mask + 1) * 2 * sizeof s->table->slot[0] + sizeof *s->table : 0;
	size_t ghosts = arc_ghosts_full(&s->ghosts) ? arc_ghosts_bytes(&s->ghosts) : 0;
	struct arc_table *t;

	if (o->bytes + table + ghosts + s->overhead > s->cap)
		return false;
	*gone = arc_make_room(s, o->bytes + table + ghosts);
	if (s->bytes + s->overhead + o->bytes + table + ghosts > s->cap)
		return false;
	if (table) {
		t = arc_table_grow(s->table);
		if (!t)
			return false;
		__atomic_store_n(&s->table, t, __ATOMIC_RELEASE);
	}
	if (ghosts)
		arc_ghosts_grow(&s->ghosts);
	if (table || ghosts)
		count_overhead(s);
	return true;
}

struct arc_obj *arc_add_locked(struct arc *a, struct shard *s, struct arc_obj *o, struct arc_obj **gone)
{
	uint64_t h = arc_obj_hash(o);
	struct arc_obj *there = arc_find_locked(s, h, o->addr, o->birth);
	unsigned list;

	o->arc = NULL;
	o->prev = o->next = NULL;
	o->used = o->dead = 0;
	if (there) {
		*gone = o;
		return there;
	}
	list = arc_adapt(s, h, o->bytes);
	if (admit(s, o, gone)) {
		o->arc = a;
		s->bytes += o->bytes;
		arc_list_add(s, o, list);
		arc_trim_ghosts(s);
		arc_table_add(s->table, h, o);
	}
	return o;
}

struct arc_obj *arc_add(struct arc *a, struct arc_obj *o)
{
	struct arc_obj *gone = NULL;
	struct shard *s;

	if (!a) {
		o->arc = NULL;
		o->dead = 0;
		return o;
	}
	s = arc_shard(a, arc_obj_hash(o));
	pthread_mutex_lock(&s->lock);
	o = arc_add_locked(a, s, o, &gone);
	pthread_mutex_unlock(&s->lock);
	arc_destroy_chain(gone);
	return o;
}

void arc_hold(struct arc_obj *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
}

static void reap_shard(struct shard *s)
{
	struct arc_obj *gone;

	pthread_mutex_lock(&s->lock);
	gone = arc_reap(s);
	pthread_mutex_unlock(&s->lock);
	arc_destroy_chain(gone);
}

/* Nothing of o may be looked at once the reference is gone. */
static __attribute__((noinline)) void put_slow(struct arc_obj *o, unsigned k)
{
	struct shard *dead = NULL;
	bool cached = o->arc;

	if (cached && __atomic_load_n(&o->dead, __ATOMIC_ACQUIRE))
		dead = arc_shard(o->arc, arc_obj_hash(o));
	if (k < GUARD_SLOTS)
		__atomic_store_n(&guard_me->slot[k], NULL, __ATOMIC_RELEASE);
	else if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0 && !cached)
		o->destroy(o);
	if (dead)
		reap_shard(dead);
}

void arc_put(struct arc_obj *o)
{
	struct guard *me = guard_me;
	unsigned k = me ? 0 : GUARD_SLOTS;

	if (!o)
		return;
	while (k < GUARD_SLOTS && guard_slot(me, k) != o)
		k++;
	if (k < GUARD_SLOTS && !__atomic_load_n(&o->dead, __ATOMIC_ACQUIRE))
		__atomic_store_n(&me->slot[k], NULL, __ATOMIC_RELEASE);
	else
		put_slow(o, k);
}

void arc_forget(struct arc *a, uint64_t addr, uint64_t birth)
{
	uint64_t h = arc_hash(addr, birth);
	struct arc_obj *o, *gone = NULL;
	struct shard *s;

	if (!a)
		return;
	s = arc_shard(a, h);
	pthread_mutex_lock(&s->lock);
	arc_ghost_take(&s->ghosts, h);
	o = arc_table_find(s->table, h, addr, birth);
	if (o) {
		arc_list_remove(s, o);
		arc_table_remove(s->table, h, o);
		__atomic_store_n(&o->dead, 1, __ATOMIC_RELEASE);
		o->next = s->dead;
		s->dead = o;
		s->n_dead++;
		s->dead_bytes += o->bytes;
		if (guard_alone() || s->n_dead % DEAD_BATCH == 0 || s->dead_bytes > s->cap / 64)
			gone = arc_reap(s);
	}
	pthread_mutex_unlock(&s->lock);
	arc_destroy_chain(gone);
}

void arc_get_stats(struct arc *a, struct arc_stats *out)
{
	*out = (struct arc_stats){ .hits = guard_hits(a->number) - a->hits_before };
	for (unsigned i = 0; i < a->n_shards; i++) {
		struct shard *s = &a->shard[i];

		pthread_mutex_lock(&s->lock);
		out->hits += s->hits;
		out->misses += s->misses;
		out->evictions += s->evictions;
		out->ghost_hits += s->ghost_hits;
		out->bytes += s->bytes;
		out->overhead += s->overhead;
		out->cap += s->cap;
		out->once += s->list[ARC_ONCE].bytes;
		out->again += s->list[ARC_AGAIN].bytes;
		out->target += s->target;
		out->dead += s->dead_bytes;
		out->ghosts += s->ghosts.n;
		pthread_mutex_unlock(&s->lock);
	}
}
