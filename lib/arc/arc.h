/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arc: the cache of decoded blocks and nodes, keyed by (addr, birth), with a hard cap. Objects are reference counted by their
 * users; what is held does not go away, what is not held goes by recency. Any thread.
 */
#ifndef ARC_H
#define ARC_H
#include <stddef.h>
#include <stdint.h>

struct arc;
/* The head of every cached object; embed it first. */
struct arc_obj {
	struct arc *arc;      /* NULL: not cached, freed at the last put */
	uint64_t addr, birth;
	size_t bytes;         /* charged size */
	unsigned refs;
	void (*destroy)(struct arc_obj *o);
	struct arc_obj *hash_next, *lru_prev, *lru_next;
};
struct arc_stats { uint64_t hits, misses, evictions, bytes, cap; };

struct arc *arc_create(size_t cap_bytes); /* NULL: out of memory */
void arc_destroy(struct arc *a);          /* nothing may be held */
/* The object with a reference for the caller, or NULL. */
struct arc_obj *arc_get(struct arc *a, uint64_t addr, uint64_t birth);
/*
 * Offer o (refs == 1, the caller's; addr, birth, bytes and destroy set). Returns the object to use from now on, referenced:
 * o itself, or, when another thread was first, the one in the cache (o is then destroyed). a may be NULL: o stays uncached.
 */
struct arc_obj *arc_add(struct arc *a, struct arc_obj *o);
void arc_hold(struct arc_obj *o);
void arc_put(struct arc_obj *o); /* NULL: nothing */
/* The block at addr is no longer what it was (freed and reusable): forget it. */
void arc_forget(struct arc *a, uint64_t addr, uint64_t birth);
void arc_get_stats(struct arc *a, struct arc_stats *out);
#endif
