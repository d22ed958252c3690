/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache is cut into shards by a hash of the key, each a chained hash table with its own lock, list and share of the cap.
 *
 * Invariants
 *  (1) An object with o->arc set is in exactly one table; its refs go to zero only under its shard's lock.
 *  (2) The list holds exactly the cached objects that nobody holds, most recently used first.
 *  (3) The bytes of a shard never exceed its share: what does not fit beside held objects stays uncached.
 */
#include "arc/arc.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/util.h"

#define SHARDS_MAX 16u
#define SHARD_MIN (64 * MiB) /* several times the largest block */
#define BUCKETS_MIN 256u

struct shard {
	pthread_mutex_t lock;
	struct arc_obj **bucket;
	size_t n_buckets, n_objs, bytes, cap;
	struct arc_obj *newest, *oldest;
	uint64_t hits, misses, evictions;
};

struct arc {
	unsigned n_shards;
	struct shard shard[SHARDS_MAX];
};

static uint64_t key_hash(uint64_t addr, uint64_t birth)
{
	uint64_t h = (addr ^ birth * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;

	h ^= h >> 29;
	h *= 0x94d049bb133111ebull;
	return h ^ h >> 32;
}

static struct shard *shard_of(struct arc *a, uint64_t hash)
{
	return &a->shard[(hash >> 56) & (a->n_shards - 1)];
}

struct arc *arc_create(size_t cap_bytes)
{
	struct arc *a = calloc(1, sizeof *a);

	if (!a)
		return NULL;
	for (a->n_shards = 1; a->n_shards < SHARDS_MAX && cap_bytes / (a->n_shards * 2) >= SHARD_MIN; )
		a->n_shards *= 2;
	for (unsigned i = 0; i < a->n_shards; i++) {
		struct shard *s = &a->shard[i];

		pthread_mutex_init(&s->lock, NULL);
		s->cap = cap_bytes / a->n_shards;
		s->n_buckets = BUCKETS_MIN;
		s->bucket = calloc(s->n_buckets, sizeof *s->bucket);
		if (!s->bucket) {
			a->n_shards = i + 1;
			arc_destroy(a);
			return NULL;
		}
	}
	return a;
}

static void list_remove(struct shard *s, struct arc_obj *o)
{
	*(o->lru_prev ? &o->lru_prev->lru_next : &s->newest) = o->lru_next;
	*(o->lru_next ? &o->lru_next->lru_prev : &s->oldest) = o->lru_prev;
	o->lru_prev = o->lru_next = NULL;
}

static void list_add(struct shard *s, struct arc_obj *o)
{
	o->lru_prev = NULL;
	o->lru_next = s->newest;
	*(s->newest ? &s->newest->lru_prev : &s->oldest) = o;
	s->newest = o;
}

static struct arc_obj **table_slot(struct shard *s, uint64_t hash, uint64_t addr, uint64_t birth)
{
	struct arc_obj **p = &s->bucket[hash & (s->n_buckets - 1)];

	while (*p && ((*p)->addr != addr || (*p)->birth != birth))
		p = &(*p)->hash_next;
	return p;
}

/* Take the object at *slot out of the table; whoever still holds it frees it. */
static struct arc_obj *table_remove(struct shard *s, struct arc_obj **slot)
{
	struct arc_obj *o = *slot;

	*slot = o->hash_next;
	o->hash_next = NULL;
	s->n_objs--;
	s->bytes -= o->bytes;
	__atomic_store_n(&o->arc, NULL, __ATOMIC_RELEASE);
	return o;
}

static void table_grow(struct shard *s)
{
	size_t n = s->n_buckets * 2;
	struct arc_obj **b = calloc(n, sizeof *b), *o;

	if (!b) /* longer chains, nothing worse */
		return;
	for (size_t i = 0; i < s->n_buckets; i++) {
		while ((o = s->bucket[i])) {
			struct arc_obj **to = &b[key_hash(o->addr, o->birth) & (n - 1)];

			s->bucket[i] = o->hash_next;
			o->hash_next = *to;
			*to = o;
		}
	}
	free(s->bucket);
	s->bucket = b;
	s->n_buckets = n;
}

/* Unlink unheld objects until `want` bytes fit; they come back chained by hash_next, to be destroyed without the lock. */
static struct arc_obj *make_room(struct shard *s, size_t want)
{
	struct arc_obj *gone = NULL, *o;

	while (s->oldest && s->bytes + want > s->cap) {
		o = s->oldest;
		list_remove(s, o);
		table_remove(s, table_slot(s, key_hash(o->addr, o->birth), o->addr, o->birth));
		s->evictions++;
		o->hash_next = gone;
		gone = o;
	}
	return gone;
}

static void destroy_chain(struct arc_obj *o)
{
	while (o) {
		struct arc_obj *next = o->hash_next;

		o->destroy(o);
		o = next;
	}
}

void arc_destroy(struct arc *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_shards; i++) {
		struct shard *s = &a->shard[i];

		s->cap = 0;
		destroy_chain(make_room(s, 1));
		assert(s->n_objs == 0);
		free(s->bucket);
		pthread_mutex_destroy(&s->lock);
	}
	free(a);
}

static void ref(struct shard *s, struct arc_obj *o)
{
	if (__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED) == 0)
		list_remove(s, o);
}

struct arc_obj *arc_get(struct arc *a, uint64_t addr, uint64_t birth)
{
	uint64_t h = key_hash(addr, birth);
	struct shard *s = shard_of(a, h);
	struct arc_obj *o;

	pthread_mutex_lock(&s->lock);
	o = *table_slot(s, h, addr, birth);
	if (o) {
		ref(s, o);
		s->hits++;
	} else {
		s->misses++;
	}
	pthread_mutex_unlock(&s->lock);
	return o;
}

struct arc_obj *arc_add(struct arc *a, struct arc_obj *o)
{
	struct arc_obj **slot, *use = o, *gone = NULL;
	struct shard *s;
	uint64_t h;

	o->arc = NULL;
	o->hash_next = o->lru_prev = o->lru_next = NULL;
	if (!a)
		return o;
	h = key_hash(o->addr, o->birth);
	s = shard_of(a, h);
	pthread_mutex_lock(&s->lock);
	slot = table_slot(s, h, o->addr, o->birth);
	if (*slot) {
		use = *slot;
		ref(s, use);
		gone = o;
	} else if (o->bytes <= s->cap) {
		gone = make_room(s, o->bytes);
		if (s->bytes + o->bytes <= s->cap) {
			if (s->n_objs >= s->n_buckets)
				table_grow(s);
			slot = table_slot(s, h, o->addr, o->birth);
			*slot = o;
			s->n_objs++;
			s->bytes += o->bytes;
			o->arc = a;
		}
	}
	pthread_mutex_unlock(&s->lock);
	destroy_chain(gone);
	return use;
}

void arc_hold(struct arc_obj *o)
{
	__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
}

void arc_put(struct arc_obj *o)
{
	struct arc *a;

	if (!o)
		return;
	a = __atomic_load_n(&o->arc, __ATOMIC_ACQUIRE);
	if (a) {
		struct shard *s = shard_of(a, key_hash(o->addr, o->birth));
		bool cached;

		pthread_mutex_lock(&s->lock);
		cached = o->arc != NULL; /* it may have been forgotten meanwhile */
		if (cached && __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0)
			list_add(s, o);
		pthread_mutex_unlock(&s->lock);
		if (cached)
			return;
	}
	if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) == 0)
		o->destroy(o);
}

void arc_forget(struct arc *a, uint64_t addr, uint64_t birth)
{
	uint64_t h = key_hash(addr, birth);
	struct arc_obj **slot, *o = NULL;
	struct shard *s;

	if (!a)
		return;
	s = shard_of(a, h);
	pthread_mutex_lock(&s->lock);
	slot = table_slot(s, h, addr, birth);
	if (*slot) {
		bool held = __atomic_load_n(&(*slot)->refs, __ATOMIC_ACQUIRE) != 0;

		if (!held)
			list_remove(s, *slot);
		o = table_remove(s, slot);
		if (held)
			o = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (o)
		o->destroy(o);
}

void arc_get_stats(struct arc *a, struct arc_stats *out)
{
	*out = (struct arc_stats){ 0 };
	for (unsigned i = 0; i < a->n_shards; i++) {
		struct shard *s = &a->shard[i];

		pthread_mutex_lock(&s->lock);
		out->hits += s->hits;
		out->misses += s->misses;
		out->evictions += s->evictions;
		out->bytes += s->bytes;
		out->cap += s->cap;
		pthread_mutex_unlock(&s->lock);
	}
}
