/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan: every live block once
 * Each dataset's tree is walked where it is younger than its previous snapshot; what is older belongs to that. Nodes with pointers are
 * read on the way; leaves without, and data, are queued, and when the queue is full read in the order of their addresses, neighbours
 * in one go, on all threads.
 */
#include "base/log.h"
#include "check/check_impl.h"
#include "hash/hash.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define READ_RUN (1u << 20)
#define MAPPED_RUN (4u << 20) /* each window costs the other threads an interrupt when it goes */
#define GAP_SECTORS 64u
#define DAMAGE_MAX 65536u
#define THREADS_MAX 64u

struct entry { struct blkptr bp; uint32_t ds; bool again; }; /* again: of an older snapshot too, and maybe not as there */
struct queue {
	struct scan *s;
	struct entry *e;
	size_t n, cap, max;
	/* while it is worked off */
	pthread_mutex_t lock;
	size_t next;
	bool stop;
	int rc;
	struct lcpfs_error why;
};
struct tree_walk { struct queue *q; uint32_t ds; uint64_t floor; };

static int add_damage(struct scan *s, const struct blkptr *bp, uint32_t ds, int rc, const struct lcpfs_error *why)
{
	struct damage *d;

	s->bad++;
	if (s->n_dmg >= DAMAGE_MAX)
		return 0;
	d = CK_PUSH(s->dmg, s->n_dmg, s->cap_dmg);
	if (!d)
		return -LCPFS_ENOMEM;
	*d = (struct damage){ .bp = *bp, .ds = ds, .rc = rc };
	snprintf(d->why, sizeof d->why, "%.*s", (int)sizeof d->why - 1, why->msg);
	return 0;
}

/* Locked by the caller, where other threads are at work. */
static bool note_copy(struct scan *s, const struct blkptr *bp, uint32_t ds, unsigned bad)
{
	struct copy_damage *d;

	s->bad_copies += (unsigned)__builtin_popcount(bad);
	if (s->n_copy >= DAMAGE_MAX)
		return true;
	d = CK_PUSH(s->copy, s->n_copy, s->cap_copy);
	if (d)
		*d = (struct copy_damage){ *bp, ds, bad };
	return d;
}

int scan_copies(struct scan *s, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err)
{
	struct zio_copies c;
	int rc = zio_check_copies(s->ck->spa->zio, bp, false, &c, err);

	/* what no copy has is found, and told of, by whoever reads it */
	if (rc || !c.bad)
		return rc == -LCPFS_ENOMEM ? rc : 0;
	return note_copy(s, bp, ds, c.bad) ? 0 : lcpfs_nomem(err);
}

static int copy_cmp(const void *a, const void *b)
{
	const struct copy_damage *x = a, *y = b;

	return (x->bp.addr > y->bp.addr) - (x->bp.addr < y->bp.addr);
}

void scan_report_copies(struct scan *s)
{
	if (s->n_copy)
		qsort(s->copy, s->n_copy, sizeof *s->copy, copy_cmp);
	for (size_t i = 0; i < s->n_copy; i++) {
		const struct copy_damage *d = &s->copy[i];
		struct ck_where w = { .ds = d->ds < s->ck->n_ds ? &s->ck->ds[d->ds] : NULL, .addr = d->bp.addr, .length = ptr_charge(&d->bp) };

		/* trees of two commits share nodes */
		if (i && d[-1].bp.addr == d->bp.addr)
			continue;
		ck_report(s->ck, P_BLOCK_COPY, &w, "%u:%u, %u bytes, copy %d, in %s", ptr_chunk(&d->bp), ptr_sector(&d->bp), d->bp.psize,
		    __builtin_ctz(d->bad) + 1, ck_tree_name(s->ck, d->ds));
		ck_plan_copy(s->ck, &d->bp);
	}
}

static int by_addr(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

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
		    memcmp(last->hash, bp->hash, sizeof bp->hash) != 0)
			q->e[n++] = q->e[i];
	}
	q->n = n;
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

/* Alone, when it cannot be read together with its neighbours. */
static int verify_one(struct queue *q, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint8_t *buf = malloc(bp->psize);
	int rc = buf ? zio_read_stored(q->s->ck->spa->zio, bp, buf, err) : lcpfs_nomem(err);

	if (!rc && q->s->decode)
		rc = zio_try_decode(q->s->ck->spa->zio, bp, buf, err);
	free(buf);
	return rc;
}

static void verified(struct queue *q, const struct entry *e, int rc, const struct lcpfs_error *why)
{
	pthread_mutex_lock(&q->lock);
	q->s->blocks += !e->again;
	q->s->bytes += e->again ? 0 : round_up(e->bp.psize, SECTOR);
	if (rc == -LCPFS_ENOMEM || (rc && add_damage(q->s, &e->bp, e->ds, rc, why))) {
		q->stop = true;
		q->rc = lcpfs_nomem(&q->why);
	}
	pthread_mutex_unlock(&q->lock);
}

/* Where there are copies, each is read. */
static bool verify_copies(struct queue *q, const struct entry *e)
{
	struct zio *z = q->s->ck->spa->zio;
	struct lcpfs_error why = { 0 };
	struct zio_copies c;
	bool noted;
	int rc;

	if (vdev_copies(q->s->ck->spa->vdev, e->bp.addr) < 2 || e->bp.suite)
		return false;
	rc = zio_check_copies(z, &e->bp, false, &c, &why);
	pthread_mutex_lock(&q->lock);
	noted = rc || !c.bad || note_copy(q->s, &e->bp, e->ds, c.bad);
	pthread_mutex_unlock(&q->lock);
	if (!rc && q->s->decode)
		rc = verify_one(q, &e->bp, &why);
	verified(q, e, noted ? rc : lcpfs_nomem(&why), &why);
	return true;
}

static void verify_entry(struct queue *q, const struct entry *e, const uint8_t *stored, bool mapped)
{
	struct lcpfs_error why = { 0 };
	int rc;

	if (verify_copies(q, e))
		return;
	rc = stored ? verify_hash(&e->bp, stored, &why) : verify_one(q, &e->bp, &why);
	if (!rc && stored && q->s->decode)
		rc = zio_try_decode(q->s->ck->spa->zio, &e->bp, stored, &why);
	if (rc && mapped) /* what a window lost shows here */
		rc = verify_one(q, &e->bp, &why);
	verified(q, e, rc, &why);
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

struct share { size_t i, n, bytes; };

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

/* Shares become smaller towards the end, so that all threads end together. */
static bool take(struct queue *q, struct share *t)
{
	bool more;

	pthread_mutex_lock(&q->lock);
	more = !q->stop && q->next < q->n;
	if (more) {
		size_t most = MAX((q->n - q->next) / (2 * q->s->ck->spa->threads), (size_t)1);

		t->i = q->next;
		t->n = run_from(q, t->i, MIN(most, q->n - t->i), MAPPED_RUN, &t->bytes);
		q->next += t->n;
	}
	pthread_mutex_unlock(&q->lock);
	return more;
}

static void worker(void *arg)
{
	struct queue *q = arg;
	struct scratch b = { 0 };
	struct share t;

	while (take(q, &t))
		verify_share(q, &t, &b);
	free(b.p);
}

/* The caller's share, with a look at its progress hook now and then. */
static int work_here(struct queue *q, struct lcpfs_error *err)
{
	struct scratch b = { 0 };
	struct share t;
	int rc = 0;

	while (!rc && take(q, &t)) {
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

static int drain(struct queue *q, struct lcpfs_error *err)
{
	struct thread *t[THREADS_MAX];
	unsigned n = 0, want = MIN(q->s->ck->spa->threads, THREADS_MAX);
	int rc;

	if (q->n)
		qsort(q->e, q->n, sizeof *q->e, by_addr);
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

static int push(struct queue *q, const struct blkptr *bp, uint32_t ds, bool again, struct lcpfs_error *err)
{
	struct entry *e;
	int rc = q->n >= q->max ? drain(q, err) : 0;

	if (rc)
		return rc;
	e = CK_PUSH(q->e, q->n, q->cap);
	if (!e)
		return lcpfs_nomem(err);
	*e = (struct entry){ *bp, ds, again };
	return 0;
}

static int claim(struct tree_walk *t, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct scan *s = t->q->s;

	return s->claim ? s->claim(s->arg, bp, t->ds, err) : 0;
}

static int on_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	int rc;

	(void)low, (void)high;
	if (bp->birth <= t->floor)
		return 1;
	rc = claim(t, bp, err);
	if (rc)
		return rc;
	if (!bp->level && (bp->flags & PTR_NOPTR)) {
		rc = t->q->s->verify ? push(t->q, bp, t->ds, false, err) : 0;
		return rc ? rc : 1;
	}
	t->q->s->blocks++;
	t->q->s->bytes += round_up(bp->psize, SECTOR);
	return t->q->s->verify ? scan_copies(t->q->s, bp, t->ds, err) : 0;
}

static int on_bad(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                  const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	struct check *ck = t->q->s->ck;

	(void)low, (void)high;
	if (t->ds < ck->n_ds)
		ck->ds[t->ds].unsound = true;
	if (t->q->s->verify && add_damage(t->q->s, bp, t->ds, rc, why))
		return lcpfs_nomem(err);
	return 0;
}

static int on_ptr(struct tree_walk *t, const uint8_t *raw, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc = ptr_decode(&bp, raw, err);

	if (rc)
		return rc;
	/* what the snapshot before has too is looked at there; but the pointer here may be another one */
	if (bp.birth <= t->floor)
		return t->q->s->claim && t->q->s->verify && t->q->s->data ? push(t->q, &bp, t->ds, true, err) : 0;
	rc = claim(t, &bp, err);
	if (rc)
		return MIN(rc, 0);
	return t->q->s->verify && t->q->s->data ? push(t->q, &bp, t->ds, false, err) : 0;
}

static int on_item(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	int rc = 0;

	/* trees of datasets are walked by their records */
	if (t->ds == CK_POOL && it->key[0] == TBL_DS)
		return 0;
	for (unsigned i = 0; !rc && i < it->nptr; i++)
		rc = on_ptr(t, it->ptrs + (size_t)i * PTR_LEN, err);
	return rc;
}

static int walk_tree(struct queue *q, const struct blkptr *root, uint32_t ds, uint64_t floor, struct lcpfs_error *err)
{
	struct tree_walk t = { q, ds, floor };
	struct ck_walk w = { .node = on_node, .item = on_item, .bad = on_bad, .arg = &t };

	return ck_walk(q->s->ck, root, &w, err);
}

int scan_run(struct scan *s, bool with_space, struct lcpfs_error *err)
{
	struct check *ck = s->ck;
	struct queue q = { .s = s, .max = MAX(ck->budget / sizeof(struct entry), (size_t)1024) };
	int rc;

	pthread_mutex_init(&q.lock, NULL);
	if (ck->o->map)
		blockdev_guard();
	rc = walk_tree(&q, &ck->ub.pool_root, CK_POOL, 0, err);
	if (!rc && with_space)
		rc = walk_tree(&q, &ck->ub.space_root, CK_SPACE, 0, err);
	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		rc = walk_tree(&q, &ck->ds[i].rec.root, (uint32_t)i, ck->ds[i].rec.prev_snap_txg, err);
		if (!rc)
			rc = ck_tick(ck, 1, 0, err);
	}
	if (!rc && s->verify)
		rc = drain(&q, err);
	if (ck->o->map)
		blockdev_unguard();
	free(q.e);
	pthread_mutex_destroy(&q.lock);
	return rc;
}

void scan_fini(struct scan *s)
{
	free(s->dmg);
	free(s->copy);
}
