/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames under way.
 * The caller's thread walks the tree, gives out what frames shall hold, and writes them in their order; in between they are made, by
 * whoever has time: stored blocks are read and verified, batches and new packs compressed, everything hashed. Some threads do
 * it, and the caller when the frame it must write is not made yet. So the stream is the same for any number.
 */
#include "base/log.h"
#include "stream_impl.h"
#include <pthread.h>
#include <stdlib.h>

#define AHEAD_FRAMES 16u
#define AHEAD_BYTES (6 * MiB)
#define AHEAD_THREADS 7u

struct job {
	unsigned type;
	uint64_t seq, most;      /* most: bytes it may take in the stream */
	uint32_t items;
	bool choose;             /* the codec is chosen by what is in it */
	struct codec_spec spec;
	struct blkptr bp;        /* a stored block; null: `plain` is to be compressed */
	struct buf plain;
	/* once made: */
	bool made;
	int rc;
	struct lcpfs_error why;
	struct frame_hdr h;
	uint8_t front[EXTENT_FRAME_HDR], *room;
	size_t front_len, room_cap;
	struct hash_piece piece[2];
};
struct out_ahead {
	struct zio *zio;
	bool count_only;
	struct job j[AHEAD_FRAMES];
	unsigned first, n;       /* a ring: the oldest, how many */
	uint64_t most;
	struct codec_ctx *codec; /* of the caller */

	pthread_mutex_t lock;
	pthread_cond_t work, made;
	unsigned next, todo;     /* the oldest that nobody makes yet, how many */
	bool stop;
	struct thread *thread[AHEAD_THREADS];
	unsigned n_threads, want_threads;
};

int out_init(struct stream_out *o, struct zio *zio, unsigned threads, struct lcpfs_error *err)
{
	struct out_ahead *a = calloc(1, sizeof *a);

	if (!a)
		return lcpfs_nomem(err);
	a->zio = zio;
	a->count_only = !o->write;
	a->want_threads = threads ? MIN(threads - 1, AHEAD_THREADS) : 0;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->made, NULL);
	o->ahead = a;
	a->codec = codec_ctx_create();
	return a->codec ? 0 : lcpfs_nomem(err);
}

void out_fini(struct stream_out *o)
{
	struct out_ahead *a = o->ahead;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	while (a->n_threads)
		thread_join(a->thread[--a->n_threads]);
	for (unsigned i = 0; i < AHEAD_FRAMES; i++) {
		buf_fini(&a->j[i].plain);
		free(a->j[i].room);
	}
	codec_ctx_destroy(a->codec);
	pthread_cond_destroy(&a->made);
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->lock);
	free(a);
	o->ahead = NULL;
}

/* ---- making one frame, on any thread ---- */

static int read_stored(const struct out_ahead *a, struct job *j, struct lcpfs_error *err)
{
	int rc = 0;

	j->piece[1] = (struct hash_piece){ NULL, j->bp.psize };
	if (a->count_only)
		return 0;
	rc = in_room(&j->room, &j->room_cap, j->bp.psize, err);
	j->piece[1].data = j->room;
	return rc ? rc : zio_read_stored(a->zio, &j->bp, j->room, err);
}

static int compress(struct job *j, struct codec_ctx *codec, struct lcpfs_error *err)
{
	int rc = codec ? in_room(&j->room, &j->room_cap, j->plain.len, err) : lcpfs_nomem(err);
	size_t n;

	if (rc)
		return rc;
	if (j->choose)
		j->spec = codec_choose(j->spec, j->plain.data, j->plain.len);
	n = codec_compress(codec, j->spec, j->plain.data, j->plain.len, j->room, j->plain.len);
	j->spec.id = n ? j->spec.id : CODEC_NONE;
	j->piece[1] = n ? (struct hash_piece){ j->room, n } : (struct hash_piece){ j->plain.data, j->plain.len };
	return 0;
}

/* What says in front of compressed bytes what they are. */
static void describe(struct job *j)
{
	struct frame_items f = { .n = j->items, .raw_len = (uint32_t)j->plain.len, .comp = j->spec.id };
	struct frame_block b = { .lsize = (uint32_t)j->plain.len, .psize = (uint32_t)j->piece[1].len, .comp = j->spec.id, .csum = HASH_BLAKE3 };

	if (j->type == FRAME_ITEMS) {
		frame_items_encode(&f, j->front);
		j->front_len = ITEMS_HDR;
		return;
	}
	blake3(j->piece[1].data, j->piece[1].len, b.hash);
	frame_block_encode(&b, j->front);
	j->front_len = PACK_FRAME_HDR;
}

static int make(const struct out_ahead *a, struct job *j, struct codec_ctx *codec, struct lcpfs_error *err)
{
	bool stored = !ptr_is_null(&j->bp);
	int rc = stored ? read_stored(a, j, err) : compress(j, codec, err);

	if (rc)
		return rc;
	if (!stored)
		describe(j);
	j->piece[0] = (struct hash_piece){ j->front, j->front_len };
	rc = out_hdr(&j->h, j->type, j->seq, j->piece, 2, err);
	if (!rc && !a->count_only)
		out_hash(&j->h, j->piece, 2);
	return rc;
}

/* With the lock held, which is dropped while it works: make the oldest that nobody makes. */
static void make_one(struct out_ahead *a, struct codec_ctx *codec)
{
	struct job *j = &a->j[a->next];

	a->next = (a->next + 1) % AHEAD_FRAMES;
	a->todo--;
	pthread_mutex_unlock(&a->lock);
	j->rc = make(a, j, codec, &j->why);
	pthread_mutex_lock(&a->lock);
	j->made = true;
	pthread_cond_signal(&a->made);
}

static void worker(void *arg)
{
	struct codec_ctx *codec = codec_ctx_create();
	struct out_ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (a->todo)
			make_one(a, codec);
		else
			pthread_cond_wait(&a->work, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	codec_ctx_destroy(codec);
}

/* ---- in order, on the caller's thread ---- */

static struct job *oldest(struct out_ahead *a)
{
	struct job *j = &a->j[a->first];

	pthread_mutex_lock(&a->lock);
	while (!j->made) {
		if (a->todo)
			make_one(a, a->codec);
		else
			pthread_cond_wait(&a->made, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return j;
}

static int write_oldest(struct stream_out *o, struct lcpfs_error *err)
{
	struct out_ahead *a = o->ahead;
	struct job *j = oldest(a);

	if (j->rc) {
		if (err)
			*err = j->why;
		return j->rc;
	}
	if (j->type == FRAME_ITEMS) {
		o->counts.items += j->items;
	} else {
		o->counts.blocks++;
		o->counts.block_bytes += j->piece[1].len;
	}
	running_update(o->running, j->h.hash);
	a->most -= j->most;
	a->first = (a->first + 1) % AHEAD_FRAMES;
	a->n--;
	return out_emit(o, &j->h, j->piece, 2, err);
}

int out_flush(struct stream_out *o, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && o->ahead->n)
		rc = write_oldest(o, err);
	return rc;
}

uint64_t out_bytes_most(const struct stream_out *o)
{
	return o->bytes + o->ahead->most;
}

/* A free place; those in the way are written. */
static int begin(struct stream_out *o, unsigned type, uint64_t len, struct job **out, struct lcpfs_error *err)
{
	struct out_ahead *a = o->ahead;
	int rc = 0;

	while (!rc && a->n && (a->n == AHEAD_FRAMES || a->most + len > AHEAD_BYTES))
		rc = write_oldest(o, err);
	if (rc)
		return rc;
	*out = &a->j[(a->first + a->n) % AHEAD_FRAMES];
	(*out)->type = type;
	(*out)->seq = o->seq;
	(*out)->most = frame_stored_len(len);
	(*out)->items = 0;
	(*out)->made = false;
	(*out)->bp = (struct blkptr){ 0 };
	return 0;
}

/* Threads come with the second frame that waits; where there can be none, the caller makes all. */
static void submit(struct stream_out *o, struct job *j)
{
	struct out_ahead *a = o->ahead;

	o->seq++;
	a->most += j->most;
	a->n++;
	while (a->n > 1 && a->n_threads < a->want_threads) {
		if (thread_start(&a->thread[a->n_threads], worker, a, NULL))
			a->want_threads = a->n_threads;
		else
			a->n_threads++;
	}
	pthread_mutex_lock(&a->lock);
	a->todo++;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
}

int out_stored(struct stream_out *o, unsigned type, const uint8_t *front, size_t front_len, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct job *j;
	int rc = begin(o, type, front_len + bp->psize, &j, err);

	if (rc)
		return rc;
	memcpy(j->front, front, front_len);
	j->front_len = front_len;
	j->bp = *bp;
	submit(o, j);
	return 0;
}

static int out_plain(struct stream_out *o, unsigned type, struct buf *plain, struct codec_spec spec, uint32_t items, struct lcpfs_error *err)
{
	struct buf old;
	struct job *j;
	int rc = plain->failed ? lcpfs_nomem(err) : begin(o, type, EXTENT_FRAME_HDR + plain->len, &j, err);

	if (rc)
		return rc;
	old = j->plain;
	j->plain = *plain;
	*plain = old;
	buf_reset(plain);
	j->spec = spec;
	j->choose = type == FRAME_PACK;
	j->items = items;
	submit(o, j);
	return 0;
}

int out_items(struct stream_out *o, struct buf *batch, uint32_t n, struct lcpfs_error *err)
{
	return out_plain(o, FRAME_ITEMS, batch, (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 }, n, err);
}

int out_pack(struct stream_out *o, struct buf *plain, struct codec_spec spec, struct lcpfs_error *err)
{
	return out_plain(o, FRAME_PACK, plain, spec, 0, err);
}
