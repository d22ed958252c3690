/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what the scan found: in the order of addresses, neighbours in one go, on all threads.
 * What is read first is settled when a share is taken, under the lock; so that where a budget ends, all before it is verified.
 */
#include "base/log.h"
#include "check/scan_impl.h"
#include "hash/hash.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define READ_RUN (1u << 20)
#define MAPPED_RUN (4u << 20) /* each window costs the other threads an interrupt when it goes */
#define GAP_SECTORS 64u
#define THREADS_MAX 64u
#define NAP_NS 50000000u

int scan_damage(struct scan *s, const struct blkptr *bp, uint32_t ds, int rc, bool undecoded, const struct lcpfs_error *why)
{
	struct damage *d;

	s->bad++;
	if (s->n_dmg >= DAMAGE_MAX)
		return 0;
	d = CK_PUSH(s->dmg, s->n_dmg, s->cap_dmg);
	if (!d)
		return -LCPFS_ENOMEM;
	*d = (struct damage){ .bp = *bp, .ds = ds, .rc = rc, .undecoded = undecoded };
	snprintf(d->why, sizeof d->why, "%.*s", (int)sizeof d->why - 1, why->msg);
	return 0;
}

static int by_addr(const void *a, const void *b)
{
	const struct scan_entry *x = a, *y = b;

	if (x->bp.addr == y->bp.addr)
		return x->again - y->again;
	return x->bp.addr > y->bp.addr ? 1 : -1;
}

/* Those of which it is known by another one that they are right, or wrong, go. */
static void drop_known(struct queue *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->n; i++) {
		const struct blkptr *bp = &q->e[i].bp, *last = n ? &q->e[n - 1].bp : NULL;

		if (!q->e[i].again || !last || last->addr != bp->addr || last->psize != bp->psize || last->csum != bp->csum ||
		    last->comp != bp->comp || last->lsize != bp->lsize ||
		    memcmp(last->hash, bp->hash, sizeof bp->hash) != 0)
			q->e[n++] = q->e[i];
	}
	q->n = n;
}

void scan_sort(struct queue *q)
{
	if (q->n)
		qsort(q->e, q->n, sizeof *q->e, by_addr);
}

/* How many of the n entries from i on make one read of up to `most` bytes, and how long it is. */
static size_t run_from(const struct queue *q, size_t i, size_t n, size_t most, size_t *bytes)
{
	uint64_t start = q->e[i].bp.addr, end = start + div_up(q->e[i].bp.psize, SECTOR);
	size_t k = i + 1;

	for (; k < i + n; k++) {
		const struct blkptr *bp = &q->e[k].bp;
		uint64_t to = MAX(end, bp->addr + div_up(bp->psize, SECTOR));

		if (bp->addr >> 32 != start >> 32 || bp->addr > end + GAP_SECTORS || (to - start) * SECTOR > most)
			break;
		end = to;
	}
	*bytes = (size_t)(end - start) * SECTOR;
	return k - i;
}

static int verify_hash(const struct blkptr *bp, const uint8_t *stored, struct lcpfs_error *err)
{
	const struct hash_algo *h = hash_by_id(bp->csum);
	uint8_t hash[HASH_LEN];

	if (!h)
		return lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", bp->csum);
	h->digest(stored, bp->psize, hash);
	if (memcmp(hash, bp->hash, HASH_LEN) != 0)
		return lcpfs_fail(err, LCPFS_ECSUM, "block %u:%u (%u bytes): checksum mismatch", ptr_chunk(bp), ptr_sector(bp), bp->psize);
	return 0;
}

/* The last of all: what is stored has the right checksum. */
static int decodes(struct queue *q, const struct blkptr *bp, const uint8_t *stored, bool *undecoded, struct lcpfs_error *err)
{
	int rc = q->s->decode ? zio_try_decode(q->s->ck->spa->zio, bp, stored, err) : 0;

	*undecoded = rc && rc != -LCPFS_ENOMEM;
	return rc;
}

/* Alone, when it cannot be read together with its neighbours. */
static int verify_one(struct queue *q, const struct blkptr *bp, bool *undecoded, struct lcpfs_error *err)
{
	uint8_t *buf = malloc(bp->psize);
	int rc = buf ? zio_read_stored(q->s->ck->spa->zio, bp, buf, err) : lcpfs_nomem(err);

	*undecoded = false;
	if (!rc)
		rc = decodes(q, bp, buf, undecoded, err);
	free(buf);
	return rc;
}

static void verified(struct queue *q, const struct scan_entry *e, int rc, bool undecoded, const struct lcpfs_error *why)
{
	pthread_mutex_lock(&q->lock);
	q->s->blocks += !e->again;
	q->s->bytes += e->again ? 0 : round_up(e->bp.psize, SECTOR);
	if (rc == -LCPFS_ENOMEM || (rc && scan_damage(q->s, &e->bp, e->ds, rc, undecoded, why))) {
		q->stop = true;
		q->rc = lcpfs_nomem(&q->why);
	}
	pthread_mutex_unlock(&q->lock);
}

/* Where there are copies, each is read. */
static bool verify_copies(struct queue *q, const struct scan_entry *e)
{
	struct zio *z = q->s->ck->spa->zio;
	struct lcpfs_error why = { 0 };
	bool noted, undecoded = false;
	struct zio_copies c;
	int rc;

	if (vdev_copies(q->s->ck->spa->vdev, e->bp.addr) < 2 || e->bp.suite)
		return false;
	rc = zio_check_copies(z, &e->bp, q->s->mend, &c, &why);
	pthread_mutex_lock(&q->lock);
	noted = rc || !c.bad || scan_note_copy(q->s, &e->bp, e->ds, &c);
	pthread_mutex_unlock(&q->lock);
	if (!rc && q->s->decode)
		rc = verify_one(q, &e->bp, &undecoded, &why);
	verified(q, e, noted ? rc : lcpfs_nomem(&why), undecoded, &why);
	return true;
}

static void verify_entry(struct queue *q, const struct scan_entry *e, const uint8_t *stored, bool mapped)
{
	struct lcpfs_error why = { 0 };
	bool undecoded = false;
	int rc;

	if (verify_copies(q, e))
		return;
	rc = stored ? verify_hash(&e->bp, stored, &why) : verify_one(q, &e->bp, &undecoded, &why);
	if (!rc && stored)
		rc = decodes(q, &e->bp, stored, &undecoded, &why);
	if (rc && mapped) /* what a window lost shows here */
		rc = verify_one(q, &e->bp, &undecoded, &why);
	verified(q, e, rc, undecoded, &why);
}

static bool verify_mapped(struct queue *q, size_t i, size_t n, size_t bytes)
{
	uint64_t addr = q->e[i].bp.addr;
	struct blockdev_window w;

	if (!q->s->ck->o->map || !vdev_map(q->s->ck->spa->vdev, addr, bytes, &w))
		return false;
	for (size_t k = i; k < i + n; k++)
		verify_entry(q, &q->e[k], w.p + (q->e[k].bp.addr - addr) * SECTOR, true);
	blockdev_unmap(&w);
	return true;
}

struct scratch { uint8_t *p; size_t cap; };

static void verify_read(struct queue *q, size_t i, size_t n, size_t bytes, struct scratch *b)
{
	uint64_t addr = q->e[i].bp.addr;
	bool whole;

	if (bytes > b->cap) {
		free(b->p);
		b->p = malloc(bytes);
		b->cap = b->p ? bytes : 0;
	}
	whole = b->p && !vdev_read(q->s->ck->spa->vdev, addr, b->p, bytes, NULL);
	for (size_t k = i; k < i + n; k++)
		verify_entry(q, &q->e[k], whole ? b->p + (q->e[k].bp.addr - addr) * SECTOR : NULL, false);
}

struct share { size_t i, n, bytes; uint64_t due_ns; };

static void verify_share(struct queue *q, const struct share *t, struct scratch *b)
{
	size_t i = t->i, end = t->i + t->n, n, bytes;

	if (verify_mapped(q, i, t->n, t->bytes))
		return;
	for (; i < end; i += n) {
		n = run_from(q, i, end - i, READ_RUN, &bytes);
		verify_read(q, i, n, bytes, b);
	}
}

/* Shares become smaller towards the end, so that all threads end together; with a limit they take a tenth of a second. */
static size_t share_most(const struct scan *s)
{
	uint64_t most = s->rate ? MIN(MAX(s->rate / 10, (uint64_t)SECTOR), (uint64_t)MAPPED_RUN) : MAPPED_RUN;

	return (size_t)(s->budget_bytes > s->handed ? MIN(most, MAX(s->budget_bytes - s->handed, (uint64_t)SECTOR)) : most);
}

static bool spent(const struct scan *s)
{
	if (!s->handed)
		return false; /* some must be done, or it would never end */
	return (s->budget_bytes && s->handed >= s->budget_bytes) || (s->deadline_ns && ck_now_ns() >= s->deadline_ns);
}

static bool take(struct queue *q, struct share *t)
{
	struct scan *s = q->s;
	bool more;

	pthread_mutex_lock(&q->lock);
	if (!q->stop && q->next < q->n && spent(s)) {
		q->stop = true;
		s->next = q->e[q->next].bp.addr;
	}
	more = !q->stop && q->next < q->n;
	if (more) {
		size_t most = MAX((q->n - q->next) / (2 * s->ck->spa->threads), (size_t)1);

		t->i = q->next;
		t->n = run_from(q, t->i, MIN(most, q->n - t->i), share_most(s), &t->bytes);
		t->due_ns = s->rate ? s->start_ns + (uint64_t)((double)s->handed * 1e9 / (double)s->rate) : 0;
		s->handed += t->bytes;
		q->next += t->n;
	}
	pthread_mutex_unlock(&q->lock);
	return more;
}

static bool stopped(struct queue *q)
{
	bool stop;

	pthread_mutex_lock(&q->lock);
	stop = q->stop && !q->s->next;
	pthread_mutex_unlock(&q->lock);
	return stop;
}

/* Until the share may be read. False: not any more. */
static bool wait_due(struct queue *q, const struct share *t, bool here, int *rc, struct lcpfs_error *err)
{
	uint64_t now;

	while (t->due_ns && (now = ck_now_ns()) < t->due_ns) {
		struct timespec nap = { 0, (long)MIN(t->due_ns - now, (uint64_t)NAP_NS) };

		nanosleep(&nap, NULL);
		if (here && (*rc = ck_tick(q->s->ck, 0, 0, err)))
			return false;
		if (stopped(q))
			return false;
	}
	return true;
}

static void worker(void *arg)
{
	struct queue *q = arg;
	struct scratch b = { 0 };
	struct share t;

	while (take(q, &t) && wait_due(q, &t, false, NULL, NULL))
		verify_share(q, &t, &b);
	free(b.p);
}

/* The caller's share, with a look at its progress hook now and then. */
static int work_here(struct queue *q, struct lcpfs_error *err)
{
	struct scratch b = { 0 };
	struct share t;
	int rc = 0;

	while (!rc && take(q, &t) && wait_due(q, &t, true, &rc, err)) {
		verify_share(q, &t, &b);
		pthread_mutex_lock(&q->lock);
		q->s->ck->bytes = q->s->bytes;
		pthread_mutex_unlock(&q->lock);
		rc = ck_tick(q->s->ck, 0, 0, err);
	}
	free(b.p);
	if (rc) {
		pthread_mutex_lock(&q->lock);
		q->stop = true;
		pthread_mutex_unlock(&q->lock);
	}
	return rc;
}

int scan_drain(struct queue *q, struct lcpfs_error *err)
{
	struct thread *t[THREADS_MAX];
	unsigned n = 0, want = MIN(q->s->ck->spa->threads, THREADS_MAX);
	int rc;

	scan_sort(q);
	drop_known(q);
	q->next = 0;
	while (n + 1 < want && q->n > 64 && thread_start(&t[n], worker, q, NULL) == 0)
		n++;
	rc = work_here(q, err);
	while (n)
		thread_join(t[--n]);
	q->n = 0;
	if (!rc && q->rc) {
		rc = q->rc;
		if (err)
			*err = q->why;
	}
	return rc;
}
