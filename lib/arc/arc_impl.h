/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the cache.
 *
 * It is cut into shards by a hash of the key, each with its own lock, table, clocks, ghosts and share of the cap. A share is large
 * beside the largest block (SHARD_MIN), so a small cache has one shard; a hit takes no lock, and what a miss does under the lock is
 * small beside the decoding that goes with it.
 *
 * Invariants
 *  (1) An object with o->arc set belongs to the cache: it is in a table and on a clock, or dead and on its shard's dead list; only
 *      the cache destroys it. o->arc never changes again.
 *  (2) s->bytes (objects in the table, or dead) + s->overhead (tables, ghosts) never exceed s->cap: what does not fit beside held
 *      objects stays uncached.
 *  (3) once.bytes + ghosts of it <= cap; all objects and all ghosts together <= 2 cap, in bytes of the objects meant.
 */
#ifndef ARC_IMPL_H
#define ARC_IMPL_H
#include <pthread.h>
#include "arc/arc.h"
#include "arc/guard.h"
#include "base/util.h"

#define SHARDS_MAX 16u
#define SHARD_MIN (128 * MiB) /* 32 of the largest blocks */

enum { ARC_ONCE, ARC_AGAIN, ARC_NOWHERE };

/*
 * table.c: cached objects by hash; open addressing at a load of at most a quarter (a second
 * look is a branch guessed wrong), removal moves entries back. Changed under the
 * shard's lock, read without: a reader may miss what is there, and must look at slot->obj again after it published what it found.
 */
struct arc_slot { uint64_t hash; struct arc_obj *obj; };
struct arc_table { size_t mask, n; struct arc_table *older; struct arc_slot slot[]; };
struct arc_table *arc_table_new(size_t slots);
size_t arc_table_bytes(const struct arc_table *t); /* with the older ones, which readers may still look at */
static inline bool arc_table_full(const struct arc_table *t) { return t->n * 4 > t->mask; }
/* Twice as large with the same objects; t is kept, empty. NULL: out of memory, t stays as it was. */
struct arc_table *arc_table_grow(struct arc_table *t);
struct arc_obj *arc_table_find(struct arc_table *t, uint64_t hash, uint64_t addr, uint64_t birth);
void arc_table_add(struct arc_table *t, uint64_t hash, struct arc_obj *o);
void arc_table_remove(struct arc_table *t, uint64_t hash, struct arc_obj *o);
void arc_table_free(struct arc_table *t);

/* ghost.c: what was evicted, by hash: two lists of 32-byte entries in one array. */
struct arc_ghost { uint64_t hash; uint32_t units, prev, next, chain; uint8_t list; };
#define GHOST_BYTES (sizeof(struct arc_ghost) + 2 * sizeof(uint32_t)) /* with its share of the buckets */
#define GHOST_UNIT 64u /* sizes of ghosts are counted in these */
struct arc_ghosts {
	struct arc_ghost *e; /* [0] is none */
	uint32_t *bucket;
	uint32_t n, size, max, unused;
	struct { uint32_t oldest, newest; uint64_t bytes; } list[2];
};
bool arc_ghosts_init(struct arc_ghosts *g, uint32_t max);
void arc_ghosts_fini(struct arc_ghosts *g);
size_t arc_ghosts_bytes(const struct arc_ghosts *g);
bool arc_ghosts_full(const struct arc_ghosts *g); /* and allowed to grow */
void arc_ghosts_grow(struct arc_ghosts *g);       /* to twice the bytes; without memory it stays */
void arc_ghost_add(struct arc_ghosts *g, unsigned list, uint64_t hash, size_t bytes);
unsigned arc_ghost_take(struct arc_ghosts *g, uint64_t hash); /* removes it; its list, ARC_NOWHERE when there is none */
void arc_ghost_drop_oldest(struct arc_ghosts *g, unsigned list);

struct arc_list { struct arc_obj *oldest, *newest; size_t n, bytes; };
struct arc_waiter { struct arc_obj *obj; bool done; struct arc_waiter *next; };

struct shard {
	_Alignas(64) struct arc_table *table;
	_Alignas(64) pthread_mutex_t lock;
	pthread_cond_t landed;
	size_t cap, target; /* bytes meant for ARC_ONCE */
	size_t bytes, overhead, dead_bytes, n_dead;
	struct arc_list list[2];
	struct arc_obj *dead; /* forgotten while held, chained by next */
	struct arc_ghosts ghosts;
	struct arc_flight *flights;
	uint64_t hits, misses, evictions, ghost_hits; /* hits: those found under the lock */
};

struct arc {
	unsigned n_shards, number; /* number: which of guard->hits counts for it */
	uint64_t hits_before;
	struct shard *shard;
};

static inline uint64_t arc_hash(uint64_t addr, uint64_t birth)
{
	uint64_t h = addr * 0x9e3779b97f4a7c15ull + birth * 0xd1b54a32d192ed03ull;

	return h ^ h >> 32;
}
static inline uint64_t arc_obj_hash(const struct arc_obj *o) { return arc_hash(o->addr, o->birth); }
static inline struct shard *arc_shard(struct arc *a, uint64_t hash) { return &a->shard[(hash >> 56) & (a->n_shards - 1)]; }

/* clock.c; all under the shard's lock */
void arc_list_remove(struct shard *s, struct arc_obj *o);
void arc_list_add(struct shard *s, struct arc_obj *o, unsigned list); /* as the newest */
/* A miss of `hash` is about to be cached: moves the target. Returns the list its object belongs on. */
unsigned arc_adapt(struct shard *s, uint64_t hash, size_t bytes);
/* Evict until `want` bytes fit. What went comes back chained by next, to be destroyed without the lock. */
struct arc_obj *arc_make_room(struct shard *s, size_t want);
void arc_trim_ghosts(struct shard *s);
/* The dead whom nobody holds any longer, chained by next. */
struct arc_obj *arc_reap(struct shard *s);
void arc_destroy_chain(struct arc_obj *o);

/* arc.c; under the lock: counts a hit, references the object for the caller */
struct arc_obj *arc_find_locked(struct shard *s, uint64_t hash, uint64_t addr, uint64_t birth);
/* arc_add under the lock; *gone is what the caller then destroys without it. */
struct arc_obj *arc_add_locked(struct arc *a, struct shard *s, struct arc_obj *o, struct arc_obj **gone);
#endif
