/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves on their way through the store. They are encoded here, compressed and hashed on the store's threads, placed in the order in which they were
 * sent, and settled here in that order. Which leaves go, and when one is waited for, follows from the tree alone.
 */
#include <pthread.h>
#include <stdlib.h>
#include "btree/btree_impl.h"

#define FLIGHTS 64u

struct flight {
	struct bt_flights *of;
	struct bt_dnode *d;
	uint8_t *mem; /* pointers, body */
	uint32_t body_len;
	bool done;    /* under the lock; as what follows */
	int rc;
	struct blkptr bp;
};
struct bt_flights {
	struct btree *t;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct lcpfs_error why; /* of the first that failed */
	struct flight v[FLIGHTS];
	unsigned first, n;
};

struct bt_flights *bt_flights_create(struct btree *t, struct lcpfs_error *err)
{
	struct bt_flights *f = calloc(1, sizeof *f);

	if (!f) {
		lcpfs_nomem(err);
		return NULL;
	}
	f->t = t;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->came, NULL);
	return f;
}

static void came(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct flight *v = arg;
	struct bt_flights *f = v->of;

	pthread_mutex_lock(&f->lock);
	v->rc = rc;
	if (!rc)
		v->bp = *bp;
	else if (!f->why.code && why)
		f->why = *why;
	v->done = true;
	pthread_cond_signal(&f->came);
	pthread_mutex_unlock(&f->lock);
}

/* The one sent first; who failed stays dirty. */
static int land(struct bt_flights *f, struct lcpfs_error *err)
{
	struct flight *v = &f->v[f->first];

	pthread_mutex_lock(&f->lock);
	while (!v->done)
		pthread_cond_wait(&f->came, &f->lock);
	pthread_mutex_unlock(&f->lock);
	f->first = (f->first + 1) % FLIGHTS;
	f->n--;
	if (v->rc) {
		free(v->mem);
		if (err)
			*err = f->why;
		return v->rc;
	}
	bt_dnode_written(f->t, v->d, v->mem, v->body_len, &v->bp);
	bt_settle(f->t, v->d, &v->bp);
	return 0;
}

int bt_flights_send(struct bt_flights *f, struct bt_dnode *d, struct lcpfs_error *err)
{
	struct btree_store *s = f->t->s;
	int rc = f->n == FLIGHTS ? land(f, err) : 0;
	struct flight *v = &f->v[(f->first + f->n) % FLIGHTS];

	if (rc)
		return rc;
	*v = (struct flight){ .of = f, .d = d };
	rc = bt_dnode_encode(f->t, d, &v->mem, &v->body_len, err);
	if (rc)
		return rc;
	f->n++;
	rc = s->ops->submit(s, d->level, f->t->guid, v->mem, (uint32_t)d->nptr, v->body_len, came, v, err);
	if (rc) {
		f->n--;
		free(v->mem);
	}
	return rc;
}

int bt_flights_end(struct bt_flights *f, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = 0;

	if (!f)
		return 0;
	while (f->n) {
		int one = land(f, &why);

		if (one && !rc) {
			rc = one;
			if (err)
				*err = why;
		}
	}
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->came);
	free(f);
	return rc;
}
