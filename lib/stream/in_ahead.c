/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead.
 * The caller's thread reads frames and takes them, in their order; in between they are checked, by whoever has time: some threads,
 * and the caller when the frame it needs is still unchecked. So what a stream does, and how it fails, is the same for any number.
 *
 * Only frames that say nothing of what follows are read past (ITEMS, EXTENT, PACK). A checkpoint is applied before the next
 * byte is waited for, and nothing behind the last END is touched.
 */
#include "base/log.h"
#include "stream_impl.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#define AHEAD_FRAMES 16u
#define AHEAD_BYTES (8 * MiB)
#define AHEAD_THREADS 7u

struct in_ahead {
	struct in_frame f[AHEAD_FRAMES];
	unsigned first, n;       /* a ring: the oldest, how many */
	size_t bytes;            /* of payloads */
	struct in_scratch mine;  /* of the caller */
	int input;               /* what reading ended with; 1: the input's end */
	struct lcpfs_error why;
	bool whole;

	pthread_mutex_t lock;
	pthread_cond_t work, checked;
	unsigned next, todo;     /* the oldest that nobody checks yet, how many */
	bool stop;
	struct thread *thread[AHEAD_THREADS];
	unsigned n_threads, want_threads;
};

int in_ahead_create(struct stream_in *in, struct lcpfs_error *err)
{
	struct in_ahead *a = calloc(1, sizeof *a);

	if (!a)
		return lcpfs_nomem(err);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->checked, NULL);
	in->ahead = a;
	a->mine.codec = codec_ctx_create();
	return a->mine.codec ? 0 : lcpfs_nomem(err);
}

static void scratch_fini(struct in_scratch *s)
{
	codec_ctx_destroy(s->codec);
	free(s->buf);
}

void in_ahead_destroy(struct in_ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	while (a->n_threads)
		thread_join(a->thread[--a->n_threads]);
	for (unsigned i = 0; i < AHEAD_FRAMES; i++) {
		free(a->f[i].payload);
		free(a->f[i].plain);
		pack_table_fini(&a->f[i].table);
	}
	scratch_fini(&a->mine);
	pthread_cond_destroy(&a->checked);
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* With the lock held, which is dropped while it works: check the oldest that nobody checks. */
static void check_one(struct in_ahead *a, struct in_scratch *s)
{
	struct in_frame *f = &a->f[a->next];

	a->next = (a->next + 1) % AHEAD_FRAMES;
	a->todo--;
	pthread_mutex_unlock(&a->lock);
	in_frame_check(f, s, a->whole);
	pthread_mutex_lock(&a->lock);
	f->checked = true;
	pthread_cond_signal(&a->checked);
}

static void worker(void *arg)
{
	struct in_ahead *a = arg;
	struct in_scratch s = { .codec = codec_ctx_create() };

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (a->todo)
			check_one(a, &s);
		else
			pthread_cond_wait(&a->work, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	scratch_fini(&s);
}

/* The oldest, checked. */
static struct in_frame *oldest(struct in_ahead *a)
{
	struct in_frame *f = &a->f[a->first];

	pthread_mutex_lock(&a->lock);
	while (!f->checked) {
		if (a->todo)
			check_one(a, &a->mine);
		else
			pthread_cond_wait(&a->checked, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return f;
}

/* Threads come with the second frame that waits; where there can be none, the caller checks all. */
static void push(struct in_ahead *a)
{
	a->bytes += a->f[(a->first + a->n) % AHEAD_FRAMES].padded;
	a->n++;
	while (a->n > 1 && a->n_threads < a->want_threads) {
		if (thread_start(&a->thread[a->n_threads], worker, a, NULL))
			a->want_threads = a->n_threads;
		else
			a->n_threads++;
	}
	pthread_mutex_lock(&a->lock);
	a->todo++;
	if (a->n > 1) /* the first is for the caller */
		pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
}

/* Exactly len bytes; 1 when the input is at its end before the first. */
int in_read_all(struct stream_in *in, void *buf, size_t len, struct lcpfs_error *err)
{
	size_t have = 0, got;

	while (have < len) {
		int rc = in->read(in->arg, (uint8_t *)buf + have, len - have, &got, err);

		if (rc)
			return rc;
		if (!got)
			return have ? lcpfs_fail(err, LCPFS_ETRUNC, "stream: ends inside frame %" PRIu64, in->read_seq) : 1;
		if (got > len - have)
			return lcpfs_fail(err, LCPFS_EINVAL, "stream: the reader returned more than was asked for");
		have += got;
		in->read_bytes += got;
	}
	return 0;
}

/* The next frame, not yet checked; 1 at the end of the input. */
static int read_frame(struct stream_in *in, struct in_frame *f, struct lcpfs_error *err)
{
	int rc = in_read_all(in, f->raw, sizeof f->raw, err);

	if (!rc)
		rc = frame_hdr_decode(&f->h, f->raw, err);
	if (rc)
		return rc;
	if (f->h.seq != in->read_seq)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "stream: frame %" PRIu64 " where %" PRIu64 " belongs", f->h.seq, in->read_seq);
	f->padded = (size_t)round_up(f->h.len, 8);
	rc = in_room(&f->payload, &f->payload_cap, f->padded, err);
	if (!rc)
		rc = in_read_all(in, f->payload, f->padded, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ETRUNC, "stream: ends inside frame %" PRIu64, in->read_seq);
	f->end = in->read_bytes;
	f->checked = false;
	pack_table_fini(&f->table);
	return rc;
}

static bool may_pass(const struct in_frame *f)
{
	return f->h.type == FRAME_ITEMS || f->h.type == FRAME_EXTENT || f->h.type == FRAME_PACK;
}

static bool room(const struct in_ahead *a)
{
	return !a->n || (a->n < AHEAD_FRAMES && a->bytes < AHEAD_BYTES && may_pass(&a->f[(a->first + a->n - 1) % AHEAD_FRAMES]));
}

int in_ahead_next(struct stream_in *in, struct in_frame **out, struct lcpfs_error *err)
{
	struct in_ahead *a = in->ahead;

	if (!a->n_threads) { /* else they look at it */
		a->whole = !in->contents_unseen;
		a->want_threads = MIN((in->threads ? in->threads : cpu_count()) - 1, AHEAD_THREADS);
	}
	if (!a->n)
		in->read_seq = in->seq;
	while (!a->input && room(a)) {
		a->input = read_frame(in, &a->f[(a->first + a->n) % AHEAD_FRAMES], &a->why);
		if (a->input)
			break;
		in->read_seq++;
		push(a);
	}
	if (!a->n) {
		in->bytes = in->read_bytes;
		if (a->input < 0 && err)
			*err = a->why;
		return a->input;
	}
	*out = oldest(a);
	in->bytes = (*out)->end;
	if ((*out)->rc && err)
		*err = (*out)->why;
	return (*out)->rc;
}

void in_ahead_done(struct stream_in *in)
{
	struct in_ahead *a = in->ahead;

	a->bytes -= a->f[a->first].padded;
	a->first = (a->first + 1) % AHEAD_FRAMES;
	a->n--;
}
