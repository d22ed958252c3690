/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk on a thread of its own: it lists directories and asks for attributes while the caller works on what came before.
 *
 * Slots go around a ring. Both sides count for themselves and tell the other every BATCH slots, or when they have to wait. What the
 * walk warns of goes through the ring, too, so the caller hears of it in its place and on its own thread. Descriptors under
 * way are bounded by number: a walk that is DESCRIPTORS of them ahead waits.
 *
 * Invariants
 *  (1) tail <= head <= tail + AHEAD_ITEMS. Slots tail..head-1 are the caller's, the others the walk's.
 *  (2) fds counts the descriptors that went into the ring up to and with a slot; fds_gone is that of the last slot given back.
 */
#include "base/error.h"
#include "base/log.h"
#include "host/host_impl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32u
#define DESCRIPTORS 32u

enum kind { ITEM, TOLD, END };
struct told { char *path; int rc; struct lcpfs_error why; };
struct slot {
	enum kind kind;
	uint64_t fds;
	struct told *told; /* TOLD, END */
	struct walk_item it;
};

struct ahead {
	pthread_mutex_t lock;
	pthread_cond_t came, went;
	uint64_t head, tail, fds_gone; /* under the lock, as the flags */
	bool walk_waits, caller_waits, stop, ended;

	/* the walk's own */
	struct walk *walk;
	struct thread *thread;
	uint64_t made, tail_seen, fds, gone_seen;
	struct told *spare; /* for END, so that it can always be told */

	uint64_t taken, head_seen, fds_taken; /* the caller's own */
	struct slot v[AHEAD_ITEMS];
};

int host_ahead_open(struct ahead **out, struct lcpfs_error *err)
{
	struct ahead *a = calloc(1, sizeof *a);

	if (!a)
		return lcpfs_nomem(err);
	a->spare = calloc(1, sizeof *a->spare);
	if (!a->spare) {
		free(a);
		return lcpfs_nomem(err);
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->came, NULL);
	pthread_cond_init(&a->went, NULL);
	a->ended = true;
	*out = a;
	return 0;
}

static bool has_room(const struct ahead *a)
{
	return a->made - a->tail_seen < AHEAD_ITEMS && a->fds - a->gone_seen < DESCRIPTORS;
}

/* Give the caller what was made; `room`: and wait for a free slot. False: the caller is gone. */
static bool publish(struct ahead *a, bool room)
{
	bool stop;

	pthread_mutex_lock(&a->lock);
	a->head = a->made;
	if (a->caller_waits)
		pthread_cond_signal(&a->came);
	for (;;) {
		a->tail_seen = a->tail;
		a->gone_seen = a->fds_gone;
		stop = a->stop;
		if (stop || !room || has_room(a))
			break;
		a->walk_waits = true;
		pthread_cond_wait(&a->went, &a->lock);
	}
	a->walk_waits = false;
	pthread_mutex_unlock(&a->lock);
	return !stop;
}

/* The next slot to fill; NULL: the caller is gone. */
static struct slot *slot_begin(struct ahead *a)
{
	return has_room(a) || publish(a, true) ? &a->v[a->made % AHEAD_ITEMS] : NULL;
}

static bool slot_done(struct ahead *a, struct slot *s, enum kind kind, struct told *told)
{
	s->kind = kind;
	s->told = told;
	s->fds = a->fds;
	a->made++;
	return a->made % BATCH || publish(a, false);
}

void host_ahead_told(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct ahead *a = arg;
	struct told *t = malloc(sizeof *t);
	struct slot *s = slot_begin(a);

	if (t)
		*t = (struct told){ .path = strdup(path), .why = *why };
	if (!t || !t->path || !s) { /* out of memory: the walk will find so, too, or the message alone is lost */
		free(t ? t->path : NULL);
		free(t);
		return;
	}
	slot_done(a, s, TOLD, t);
}

static bool put_item(struct ahead *a, struct walk_item *it)
{
	struct slot *s = slot_begin(a);

	if (!s)
		return false;
	a->fds += it->descriptors;
	s->it = *it;
	walk_item_init(it);
	return slot_done(a, s, ITEM, NULL);
}

static void walk_thread(void *arg)
{
	struct ahead *a = arg;
	struct walk_item it;
	struct slot *s;
	int rc;

	walk_item_init(&it);
	do
		rc = host_walk_next(a->walk, &it, &a->spare->why);
	while (!rc && put_item(a, &it));
	walk_item_fini(&it);
	a->spare->rc = rc;
	s = rc ? slot_begin(a) : NULL;
	if (s) {
		slot_done(a, s, END, a->spare);
		a->spare = NULL;
		publish(a, false);
	}
	pthread_mutex_lock(&a->lock);
	a->ended = true;
	pthread_cond_signal(&a->came);
	pthread_mutex_unlock(&a->lock);
}

int host_ahead_start(struct ahead *a, struct walk *w, struct lcpfs_error *err)
{
	int rc;

	a->walk = w;
	a->ended = false;
	rc = thread_start(&a->thread, walk_thread, a, err);
	if (rc)
		a->ended = true;
	return rc;
}

/* Slots go back to the walk; `more`: and wait for the next. */
static void give_back(struct ahead *a, bool more)
{
	pthread_mutex_lock(&a->lock);
	a->tail = a->taken;
	a->fds_gone = a->fds_taken;
	if (a->walk_waits)
		pthread_cond_signal(&a->went);
	while (more && a->head == a->taken) {
		a->caller_waits = true;
		pthread_cond_wait(&a->came, &a->lock);
	}
	a->caller_waits = false;
	a->head_seen = a->head;
	pthread_mutex_unlock(&a->lock);
}

static void told_free(struct told *t)
{
	if (!t)
		return;
	free(t->path);
	free(t);
}

int host_ahead_next(struct ahead *a, struct walk_item *out, struct warner *w, struct lcpfs_error *err)
{
	for (;;) {
		struct slot *s = &a->v[a->taken % AHEAD_ITEMS];

		if (a->taken == a->head_seen)
			give_back(a, true);
		if (s->kind == END) { /* it stays: who asks again gets the same answer */
			if (err && s->told->rc < 0)
				*err = s->told->why;
			return s->told->rc;
		}
		a->taken++;
		a->fds_taken = s->fds;
		if (s->kind == ITEM) {
			*out = s->it;
			walk_item_init(&s->it);
		} else {
			warner_tell(w, s->told->path, &s->told->why);
			told_free(s->told);
			s->told = NULL;
		}
		if (a->taken % BATCH == 0)
			give_back(a, false);
		if (s->kind == ITEM)
			return 0;
	}
}

void host_ahead_close(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->went);
	while (!a->ended)
		pthread_cond_wait(&a->came, &a->lock);
	pthread_mutex_unlock(&a->lock);
	thread_join(a->thread);
	for (uint64_t i = a->taken; i < a->made; i++) {
		struct slot *s = &a->v[i % AHEAD_ITEMS];

		if (s->kind == ITEM)
			walk_item_fini(&s->it);
		else
			told_free(s->told);
	}
	host_walk_close(a->walk);
	told_free(a->spare);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->came);
	pthread_cond_destroy(&a->went);
	free(a);
}
