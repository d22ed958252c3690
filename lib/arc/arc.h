/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arc: the cache of decoded blocks and nodes, keyed by (addr, birth), with a hard cap in bytes that also covers what it remembers
 * of blocks gone by. Objects are reference counted by their users; what is held does not go away. Any thread.
 *
 * What stays is chosen by adaptive replacement: a list of objects used once and one of objects used again, each with a list of
 * ghosts (keys of what was evicted) whose hits move the border between the two. A long scan passes through the first list and
 * leaves the second alone. The lists are clocks (a hit sets a bit, the bit is looked at when an object is about to go), so that a
 * hit writes nothing that others write. On the traces of tests/unit/test_arc.c hit rates are within a percent of the lists of [1].
 *   [1] N. Megiddo, D. S. Modha: ARC: A Self-Tuning, Low Overhead Replacement Cache. FAST 2003.
 *   [2] S. Bansal, D. S. Modha: CAR: Clock with Adaptive Replacement. FAST 2004.
 * Sizes and the target are bytes where the papers count pages.
 */
#ifndef ARC_H
#define ARC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arc;
/* The head of every cached object; embed it first. */
struct arc_obj {
	struct arc *arc;      /* NULL: not cached, freed at the last put */
	uint64_t addr, birth;
	size_t bytes;         /* charged size */
	int refs;             /* references not in a thread's slots (guard.h) */
	uint8_t list, used, dead;
	void (*destroy)(struct arc_obj *o);
	struct arc_obj *prev, *next;
};
struct arc_stats {
	uint64_t hits, misses, evictions, ghost_hits;
	uint64_t bytes, overhead, cap;       /* objects; tables and ghosts; what both together never exceed */
	uint64_t once, again, target, dead;  /* bytes used once, used again, meant for `once`; forgotten but still held */
	uint64_t ghosts;                     /* entries */
};

struct arc *arc_create(size_t cap_bytes); /* NULL: out of memory */
void arc_destroy(struct arc *a);          /* nothing may be held */
/* The object with a reference for the caller, or NULL. No lock is taken when it is there. */
struct arc_obj *arc_get(struct arc *a, uint64_t addr, uint64_t birth);
/*
 * Offer o (refs == 1, the caller's; addr, birth, bytes and destroy set). Returns the object to use from now on, referenced:
 * o itself, or, when another thread was first, the one in the cache (o is then destroyed). a may be NULL: o stays uncached.
 */
struct arc_obj *arc_add(struct arc *a, struct arc_obj *o);
void arc_hold(struct arc_obj *o);
void arc_put(struct arc_obj *o); /* by any thread; NULL: nothing */
/* The block at addr is no longer what it was (freed and reusable): forget it. */
void arc_forget(struct arc *a, uint64_t addr, uint64_t birth);
void arc_get_stats(struct arc *a, struct arc_stats *out);

/*
 * Get or load, one load for all who ask at the same time: arc_begin returns the object as arc_get does, waiting when another
 * thread is loading it; or NULL, and the caller loads it and calls arc_end with what it would have given to arc_add, or with NULL
 * when loading failed (one of those waiting then tries). arc_end returns what arc_add returns. A thread that is loading never
 * waits for another, so loads may nest in any order. a may be NULL.
 */
struct arc_flight { uint64_t addr, birth; bool leads; struct arc_waiter *waiters; struct arc_flight *next; };
struct arc_obj *arc_begin(struct arc *a, uint64_t addr, uint64_t birth, struct arc_flight *f);
struct arc_obj *arc_end(struct arc *a, struct arc_flight *f, struct arc_obj *o);
#endif
