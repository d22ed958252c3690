/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. A job's life: submitted (sequence number) -> packed by a worker (compress, hash) -> placed and written in sequence order by
 * whoever completes the next job in order (the drainer), which then calls done. With one thread the submitter does all of it.
 *
 * Placed blocks are gathered in an out buffer while they are contiguous, and written in pieces of up to OUT_BYTES.
 */
#include "zio/zio.h"
#include "zio/zio_impl.h"
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"

void *zio_buf_get(struct zio *z, size_t len)
{
	void *buf = NULL;

	if (len < SPARE_MIN)
		return malloc(len);
	pthread_mutex_lock(&z->ctx_lock);
	for (unsigned i = z->n_spare; i-- > 0 && !buf;) {
		if (z->spare[i].cap < len || z->spare[i].cap / 2 > len)
			continue;
		buf = z->spare[i].buf;
		z->spare_bytes -= z->spare[i].cap;
		z->spare[i] = z->spare[--z->n_spare];
	}
	pthread_mutex_unlock(&z->ctx_lock);
	/* rounded up, so that it fits the next of about this length */
	return buf ? buf : malloc(round_up(len, SPARE_MIN));
}

void zio_buf_put(struct zio *z, void *buf)
{
	size_t cap = buf ? malloc_usable_size(buf) : 0;
	void *old[SPARES + 1] = { buf };
	unsigned n = 1;

	if (cap >= SPARE_MIN && cap <= SPARE_BYTES) {
		pthread_mutex_lock(&z->ctx_lock);
		for (n = 0; z->n_spare == SPARES || z->spare_bytes + cap > SPARE_BYTES; n++) {
			old[n] = z->spare[0].buf;
			z->spare_bytes -= z->spare[0].cap;
			memmove(z->spare, z->spare + 1, --z->n_spare * sizeof z->spare[0]);
		}
		z->spare[z->n_spare].buf = buf;
		z->spare[z->n_spare++].cap = cap;
		z->spare_bytes += cap;
		pthread_mutex_unlock(&z->ctx_lock);
	}
	while (n--)
		free(old[n]);
}

static void job_free(struct zio *z, struct zio_job *j)
{
	zio_buf_put(z, j->is_node ? NULL : j->buf);
	zio_buf_put(z, j->stored);
	free(j->why);
	free(j);
}

static void job_pack_node(struct zio *z, struct codec_ctx *ctx, struct zio_job *j)
{
	const uint8_t *ptrs = j->buf;
	struct lcpfs_error why = { 0 };

	j->stored = malloc(j->len);
	if (j->stored && ctx)
		j->rc = zio_node_pack(z, ctx, &j->h, ptrs, ptrs + (size_t)j->h.nptr * PTR_LEN, j->stored, &j->bp, &why);
	else
		j->rc = lcpfs_nomem(&why);
	if (j->rc && (j->why = malloc(sizeof why)))
		*j->why = why;
}

/* Compress and hash: everything that does not depend on order. */
static void job_pack(struct zio *z, struct codec_ctx *ctx, struct zio_job *j)
{
	uint8_t *data = j->buf;
	size_t n = 0;

	if (j->is_node) {
		job_pack_node(z, ctx, j);
		return;
	}
	data += j->from;
	if (ctx && j->codec.id != CODEC_NONE && j->len > SECTOR) {
		j->stored = zio_buf_get(z, j->from + j->len); /* as long as those that come: they go round together */
		j->codec = codec_choose(j->codec, data, j->len);
		if (j->stored)
			n = codec_compress(ctx, j->codec, data, j->len, j->stored, j->len);
	}
	j->bp.kind = (uint8_t)j->kind;
	j->bp.lsize = (uint32_t)j->len;
	j->bp.csum = z->csum->id;
	if (n) {
		j->bp.comp = j->codec.id;
		j->bp.psize = (uint32_t)n;
		zio_buf_put(z, j->buf);
		j->buf = NULL;
	} else {
		zio_buf_put(z, j->stored);
		if (j->from)
			memmove(j->buf, data, j->len);
		j->stored = j->buf;
		j->buf = NULL;
		j->bp.psize = j->bp.lsize;
	}
	z->csum->digest(j->stored, j->bp.psize, j->bp.hash);
}

void zio_fail(struct zio *z, int rc, const struct lcpfs_error *why)
{
	pthread_mutex_lock(&z->lock);
	if (!z->failed) {
		z->why = *why;
		z->failed = rc;
	}
	pthread_mutex_unlock(&z->lock);
}

/* Without the lock: place the job, unless an earlier failure stands, and tell its owner. */
static void finish(struct zio *z, struct zio_job *j, int failed)
{
	struct lcpfs_error why = { 0 };
	bool alone; /* what failed is of this job only */
	int rc = failed ? failed : j->rc;

	if (!failed && rc)
		why = j->why ? *j->why : (struct lcpfs_error){ .code = rc };
	else if (!rc)
		rc = zio_place(z, &j->bp, j->counted, j->stored, &why);
	alone = j->is_node && (j->rc || rc == -LCPFS_ENOSPC);
	if (rc && !failed && !alone)
		zio_fail(z, rc, &why);
	if (j->done)
		j->done(j->arg, rc, &j->bp, !rc ? NULL : failed || !alone ? &z->why : &why); /* z->why changes no more */
}

/* Called with the lock held; drops it while it places and writes, `draining` keeps others out. */
static void drain(struct zio *z)
{
	if (z->draining)
		return;
	z->draining = true;
	while (z->head && z->head->packed) {
		struct zio_job *j = z->head;
		int failed = z->failed;

		z->head = j->next;
		if (!z->head)
			z->tail = NULL;
		pthread_mutex_unlock(&z->lock);
		finish(z, j, failed);
		pthread_mutex_lock(&z->lock);
		z->in_flight -= j->len;
		z->jobs--;
		pthread_cond_broadcast(&z->room);
		job_free(z, j);
	}
	z->draining = false;
	pthread_cond_broadcast(&z->room);
}

static void worker(void *arg)
{
	struct zio *z = arg;
	struct codec_ctx *ctx = codec_ctx_create();

	pthread_mutex_lock(&z->lock);
	for (;;) {
		struct zio_job *j = z->todo;

		if (!j) {
			if (z->stop)
				break;
			pthread_cond_wait(&z->work, &z->lock);
			continue;
		}
		z->todo = j->next_todo;
		pthread_mutex_unlock(&z->lock);
		job_pack(z, ctx, j);
		pthread_mutex_lock(&z->lock);
		j->packed = true;
		drain(z);
	}
	pthread_mutex_unlock(&z->lock);
	codec_ctx_destroy(ctx);
}

int zio_create(struct zio **out, struct vdev *v, struct space *s, const struct zio_opts *o, struct lcpfs_error *err)
{
	struct zio *z = calloc(1, sizeof *z);
	int rc = 0;

	if (!z)
		return lcpfs_nomem(err);
	z->vdev = v;
	z->space = s;
	z->window = MAX(o->window_bytes, (size_t)(4 * MiB));
	z->csum = hash_by_id(o->csum);
	z->columns = o->columns;
	z->map = o->map;
	z->ctx = codec_ctx_create();
	for (unsigned i = 0; i < ZIO_OUTS; i++)
		z->out[i].buf = malloc(OUT_BYTES);
	pthread_mutex_init(&z->lock, NULL);
	pthread_mutex_init(&z->place_lock, NULL);
	pthread_mutex_init(&z->out_lock, NULL);
	pthread_mutex_init(&z->ctx_lock, NULL);
	pthread_cond_init(&z->work, NULL);
	pthread_cond_init(&z->room, NULL);
	if (!z->ctx || !z->out[0].buf || !z->out[1].buf)
		rc = lcpfs_nomem(err);
	else if (!z->csum)
		rc = lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", o->csum);
	z->want_threads = o->threads > 1 ? MIN(o->threads, ZIO_THREADS_MAX) : 0;
	if (rc) {
		zio_destroy(z);
		return rc;
	}
	*out = z;
	return 0;
}

/* Workers start with the first job, so that a reader has none. */
static int start_workers(struct zio *z, struct lcpfs_error *err)
{
	while (z->n_threads < z->want_threads) {
		int rc = thread_start(&z->thread[z->n_threads], worker, z, err);

		if (rc)
			return rc;
		z->n_threads++;
	}
	return 0;
}

void zio_destroy(struct zio *z)
{
	if (!z)
		return;
	pthread_mutex_lock(&z->lock);
	z->stop = true;
	pthread_cond_broadcast(&z->work);
	pthread_mutex_unlock(&z->lock);
	for (unsigned i = 0; i < z->n_threads; i++)
		thread_join(z->thread[i]);
	codec_ctx_destroy(z->ctx);
	for (struct zio_ctx *c = z->free_ctx; c;) {
		struct zio_ctx *next = c->next;

		zio_ctx_free(c);
		c = next;
	}
	for (unsigned i = 0; i < z->n_spare; i++)
		free(z->spare[i].buf);
	for (unsigned i = 0; i < ZIO_OUTS; i++)
		free(z->out[i].buf);
	pthread_cond_destroy(&z->work);
	pthread_cond_destroy(&z->room);
	pthread_mutex_destroy(&z->lock);
	pthread_mutex_destroy(&z->place_lock);
	pthread_mutex_destroy(&z->out_lock);
	pthread_mutex_destroy(&z->ctx_lock);
	free(z);
}

void zio_set_txg(struct zio *z, uint64_t txg)
{
	z->txg = txg;
}

void zio_set_grow(struct zio *z, int (*grow)(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err), void *arg)
{
	z->grow = grow;
	z->grow_arg = arg;
}

static int fail_again(struct zio *z, struct lcpfs_error *err)
{
	if (err)
		*err = z->why;
	return z->failed;
}

static void enqueue(struct zio *z, struct zio_job *j)
{
	if (z->tail)
		z->tail->next = j;
	else
		z->head = j;
	z->tail = j;
	if (z->todo_tail && z->todo)
		z->todo_tail->next_todo = j;
	else
		z->todo = j;
	z->todo_tail = j;
	z->in_flight += j->len;
	z->jobs++;
	pthread_cond_signal(&z->work);
}

/* Without workers the submitter packs and drains at once. */
static void run_here(struct zio *z, struct zio_job *j)
{
	job_pack(z, z->ctx, j);
	pthread_mutex_lock(&z->lock);
	z->head = z->tail = j;
	j->packed = true;
	z->in_flight += j->len;
	z->jobs++;
	drain(z);
	pthread_mutex_unlock(&z->lock);
}

/* Owns j, also on failure. */
static int job_submit(struct zio *z, struct zio_job *j, struct lcpfs_error *err)
{
	size_t len = j->len;
	int rc = start_workers(z, err);

	if (rc) {
		job_free(z, j);
		return rc;
	}
	if (!z->n_threads && !z->failed) {
		run_here(z, j);
		return 0; /* a failure of its own came through done, as from a thread */
	}
	pthread_mutex_lock(&z->lock);
	while (z->in_flight && z->in_flight + len > z->window)
		pthread_cond_wait(&z->room, &z->lock);
	rc = z->failed ? fail_again(z, err) : 0;
	if (rc)
		job_free(z, j);
	else
		enqueue(z, j);
	pthread_mutex_unlock(&z->lock);
	return rc;
}

int zio_submit(struct zio *z, unsigned kind, struct codec_spec codec, void *buf, size_t len, zio_done_fn *done, void *arg,
               struct lcpfs_error *err)
{
	return zio_submit_from(z, kind, codec, buf, 0, len, done, arg, err);
}

int zio_submit_from(struct zio *z, unsigned kind, struct codec_spec codec, void *buf, size_t from, size_t len, zio_done_fn *done, void *arg,
                    struct lcpfs_error *err)
{
	struct zio_job *j = calloc(1, sizeof *j);

	if (!j) {
		free(buf);
		return lcpfs_nomem(err);
	}
	*j = (struct zio_job){ .kind = kind, .codec = codec, .buf = buf, .from = from, .len = len, .counted = true, .done = done, .arg = arg };
	return job_submit(z, j, err);
}

int zio_submit_node(struct zio *z, bool counted, unsigned level, uint64_t tree_guid, const uint8_t *ptrs_body, uint32_t nptr,
                    uint32_t body_len, zio_done_fn *done, void *arg, struct lcpfs_error *err)
{
	struct zio_job *j = calloc(1, sizeof *j);

	if (!j)
		return lcpfs_nomem(err);
	*j = (struct zio_job){ .kind = PTR_NODE, .is_node = true, .counted = counted, .buf = (void *)ptrs_body, .done = done, .arg = arg,
		.h = { .level = (uint8_t)level, .nptr = nptr, .body_len = body_len, .tree_guid = tree_guid, .birth = z->txg } };
	j->h.seq = ++z->node_seq;
	j->len = zio_node_room(&j->h);
	return job_submit(z, j, err);
}

int zio_idle(struct zio *z, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&z->lock);
	while (z->jobs)
		pthread_cond_wait(&z->room, &z->lock);
	rc = z->failed ? fail_again(z, err) : 0;
	pthread_mutex_unlock(&z->lock);
	return rc;
}

int zio_wait(struct zio *z, struct lcpfs_error *err)
{
	int rc = zio_idle(z, err);

	if (!rc)
		space_release_fresh(z->space);
	return rc;
}

uint64_t zio_in_flight(struct zio *z)
{
	uint64_t n;

	pthread_mutex_lock(&z->lock);
	n = z->in_flight + z->jobs * (64 * KiB); /* each to whole units */
	pthread_mutex_unlock(&z->lock);
	return n;
}
