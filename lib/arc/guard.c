/* SPDX-License-Identifier: Apache-2.0 */
#include "arc/guard.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct guard *guard_me;
bool guard_plain;

static struct guard *guards; /* only grows; a guard whose thread ended is given to the next that comes */
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static bool have_key; /* without one guards of ended threads would add up, so there are none */
static unsigned n_threads;

static bool membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0) == 0;
}

static void leave(void *arg)
{
	struct guard *g = arg;

	guard_me = NULL;
	pthread_mutex_lock(&guards_lock);
	g->in_use = false;
	__atomic_sub_fetch(&n_threads, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&guards_lock);
}

static void init(void)
{
	guard_plain = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	have_key = pthread_key_create(&leave_key, leave) == 0;
}

void guard_init(void)
{
	pthread_once(&once, init);
}

static struct guard *guard_take(void)
{
	struct guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE);

	while (g && g->in_use)
		g = g->next;
	if (g)
		return g;
	g = aligned_alloc(64, sizeof *g);
	if (!g)
		return NULL;
	*g = (struct guard){ .next = guards };
	__atomic_store_n(&guards, g, __ATOMIC_RELEASE);
	return g;
}

struct guard *guard_join(void)
{
	struct guard *g;

	if (guard_me || !have_key)
		return guard_me;
	pthread_mutex_lock(&guards_lock);
	g = guard_take();
	if (g && pthread_setspecific(leave_key, g)) /* it stays free for another */
		g = NULL;
	if (g) {
		g->in_use = true;
		/* after this, what guard_alone's caller took out of tables is seen here, or it sees this thread */
		__atomic_add_fetch(&n_threads, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&guards_lock);
	guard_me = g;
	return g;
}

bool guard_alone(void)
{
	return __atomic_fetch_add(&n_threads, 0, __ATOMIC_SEQ_CST) <= (guard_me != NULL);
}

bool guard_barrier(void)
{
#ifndef __SANITIZE_THREAD__ /* which knows no fences; the atomic in guard_alone does here */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
	if (guard_alone() || !guard_plain)
		return true;
	/* a child of fork(2) has to register again */
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
	    (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

int64_t guard_refs(struct arc_obj *o)
{
	int64_t n = 0;

	/* refs last: a holder may add to it and then clear its slot, never the other way round */
	for (struct guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next)
		for (unsigned i = 0; i < GUARD_SLOTS; i++)
			n += __atomic_load_n(&g->slot[i], __ATOMIC_ACQUIRE) == o;
	return n + __atomic_load_n(&o->refs, __ATOMIC_ACQUIRE);
}

void guard_clear(struct arc_obj *o)
{
	if (__atomic_load_n(&o->refs, __ATOMIC_RELAXED) == 0)
		return;
	for (struct guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next) {
		for (unsigned i = 0; i < GUARD_SLOTS; i++) {
			struct arc_obj *want = o;

			__atomic_compare_exchange_n(&g->slot[i], &want, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		}
	}
}

uint64_t guard_hits(unsigned number)
{
	uint64_t n = 0;

	for (struct guard *g = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); g; g = g->next)
		n += __atomic_load_n(&g->hits[number], __ATOMIC_RELAXED);
	return n;
}
