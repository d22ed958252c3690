/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard: references without shared writes.
 *
 * A thread that gets an object writes the pointer to a slot of its own and then looks again whether the table still has it; who
 * takes an object out of the table looks at all slots before the memory goes. So the references to an object are o->refs plus the
 * slots that name it, wherever those are: a reference got by one thread may be put by another, which counts o->refs down below
 * zero and leaves the sum right. (Hazard pointers: M. M. Michael, IEEE TPDS 15(6), 2004.)
 *
 * The write to the slot must be visible before the second look. Where membarrier(2) is there, the one who looks at slots makes it
 * so for all threads, and the write is a plain one; elsewhere it is an atomic exchange.
 *
 * Invariants
 *  (1) A slot is set only by its thread; it is cleared by its thread, or by guard_refs's caller when the sum is zero.
 *  (2) Only an object that is in no table is destroyed, and only after guard_barrier() and a sum of zero.
 */
#ifndef ARC_GUARD_H
#define ARC_GUARD_H
#include "arc/arc.h"

#define GUARD_SLOTS 8u /* a cache line; the last one is only for the moment of a get */
#define GUARD_CACHES 8u

struct guard {
	_Alignas(64) struct arc_obj *slot[GUARD_SLOTS];
	uint64_t hits[GUARD_CACHES]; /* by arc->number; only grow */
	unsigned leading;            /* flights of this thread */
	bool in_use;
	struct guard *next;
};
extern _Thread_local struct guard *guard_me __attribute__((tls_model("initial-exec")));
extern bool guard_plain; /* membarrier works: slots are written plainly */

void guard_init(void);
struct guard *guard_join(void); /* this thread's guard; NULL: none to be had, references are counted under the lock then */
/* What this thread took out of tables before is seen by all, and what others have in slots is seen here. false: cannot be had. */
bool guard_barrier(void);
bool guard_alone(void);         /* no other thread has a guard: the barrier costs nothing */
int64_t guard_refs(struct arc_obj *o);
void guard_clear(struct arc_obj *o); /* the sum is zero: no slot names it any longer */
uint64_t guard_hits(unsigned number);

static inline struct arc_obj *guard_slot(const struct guard *me, unsigned k)
{
	return __atomic_load_n(&me->slot[k], __ATOMIC_RELAXED);
}

static inline void guard_publish(struct arc_obj **slot, struct arc_obj *o)
{
	if (guard_plain) {
		__atomic_store_n(slot, o, __ATOMIC_RELEASE); /* after the reads through what it named before */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	} else {
		(void)__atomic_exchange_n(slot, o, __ATOMIC_SEQ_CST);
	}
}
#endif
