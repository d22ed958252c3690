/* SPDX-License-Identifier: Apache-2.0 */
/* Inside zio: jobs, the state of the pipeline, placing. */
#ifndef ZIO_IMPL_H
#define ZIO_IMPL_H
#include <pthread.h>
#include "zio/zio.h"

#define ZIO_THREADS_MAX 64u
#define OUT_BYTES ((size_t)2 << 20)
#define DIRECT_MIN ((size_t)256 << 10)
#define SPARE_MIN ((size_t)256 << 10) /* smaller buffers malloc has at hand */
#define SPARE_BYTES ((size_t)8 << 20)
#define SPARES 16u
#define CTX_KEEP ((size_t)4 << 20) /* longer stored blocks are rare: their memory is given back */
#define MAP_MIN ((size_t)64 << 10) /* smaller blocks are copied before a mapping is made */

struct zio_job {
	struct zio_job *next, *next_todo; /* in order of submission; waiting for a worker */
	unsigned kind;
	struct codec_spec codec;
	void *buf, *stored;
	size_t from, len;      /* a block is buf[from..from + len), a stored one begins at its start */
	bool packed;
	bool is_node, counted; /* node: pointers and body of h in buf, which stays the caller's */
	struct node_hdr h;
	int rc;                /* of packing a node, and why */
	struct lcpfs_error *why;
	struct blkptr bp;
	zio_done_fn *done;
	void *arg;
};

struct zio_ctx {
	struct zio_ctx *next;
	struct codec_ctx *codec;
	uint8_t *stored; /* a block as it lies on the device */
	size_t cap;
	bool mapped;     /* a block was read through a window */
};

/* Blocks next to each other that were placed and not written yet. Nodes and data lie apart, so each has one. */
struct zio_out { uint8_t *buf; uint64_t addr; size_t len; };
#define ZIO_OUTS 2u

struct zio {
	struct vdev *vdev;
	struct space *space;
	const struct hash_algo *csum;
	bool columns, map;
	uint64_t txg;
	int (*grow)(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err);
	void *grow_arg;

	pthread_mutex_t lock;          /* queues */
	pthread_cond_t work, room;
	struct zio_job *head, *tail;   /* all not yet placed, in order */
	struct zio_job *todo, *todo_tail;
	size_t in_flight, window, jobs;
	bool draining, stop;
	struct thread *thread[ZIO_THREADS_MAX];
	unsigned n_threads, want_threads;
	struct codec_ctx *ctx;         /* of the mutating thread */

	pthread_mutex_t place_lock;    /* placing: one at a time. Finding room may read nodes */
	pthread_mutex_t out_lock;      /* the out buffers, the counters; taken last */
	struct zio_out out[ZIO_OUTS];
	uint64_t node_seq;
	int failed;                    /* first failure; sticky */
	struct lcpfs_error why;

	pthread_mutex_t ctx_lock;      /* decompression contexts for readers of any thread, spare buffers */
	struct zio_ctx *free_ctx;
	struct { void *buf; size_t cap; } spare[SPARES];
	unsigned n_spare;
	size_t spare_bytes;
	struct zio_stats stats;
};

/*
 * Allocate, fill in addr and birth, write (through the out buffer). What could not be written may belong to blocks placed before, so
 * such a failure is kept (zio_fail); to find no room loses nothing.
 */
int zio_place(struct zio *z, struct blkptr *bp, bool counted, const void *stored, struct lcpfs_error *err);
/* The most bytes that node h may take, stored. */
size_t zio_node_room(const struct node_hdr *h);
/* Header, pointers and compressed body into `stored`, and all of *bp that does not depend on the place. h: what is known before. Any thread. */
int zio_node_pack(struct zio *z, struct codec_ctx *ctx, struct node_hdr *h, const uint8_t *ptrs, const uint8_t *body, uint8_t *stored,
                  struct blkptr *bp, struct lcpfs_error *err);
/* The pipeline is broken for good, if it was not before. Called without z->lock. */
void zio_fail(struct zio *z, int rc, const struct lcpfs_error *why);
/* A buffer, malloc'ed once, that is of no use any more; NULL: nothing. */
void zio_buf_put(struct zio *z, void *buf);
/* A codec context for this call; NULL when out of memory. */
struct zio_ctx *zio_ctx_get(struct zio *z);
void zio_ctx_put(struct zio *z, struct zio_ctx *c);
void zio_ctx_free(struct zio_ctx *c);

/* copies.c */
/* 0, LCPFS_ECSUM: do the stored bytes have the pointer's hash? */
int zio_verify(const struct blkptr *bp, const uint8_t *stored, struct lcpfs_error *err);
/* The first copy failed with rc and *err: 0 when another one is good (in buf, whole sectors), else rc again. Mends and tells. */
int zio_other_copy(struct zio *z, const struct blkptr *bp, uint8_t *buf, int rc, struct lcpfs_error *err);
#endif
