/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zio: the I/O pipeline. Writing: compress, checksum (on all threads), then place and write in the order of submission.
 * Reading: read, verify, decode. Encryption will be a stage between compress and checksum, parity one below write.
 *
 * Allocation happens in submission order whatever the number of threads, so the image is the same.
 */
#ifndef ZIO_H
#define ZIO_H
#include "codec/codec.h"
#include "format/node.h"
#include "format/ptr.h"
#include "hash/hash.h"
#include "space/space.h"
#include "vdev/vdev.h"

struct zio;
struct zio_opts {
	unsigned threads;
	size_t window_bytes; /* decoded bytes in flight */
	uint8_t csum;
	bool columns;        /* leaves are written by columns: the pool has that feature */
	bool map;            /* nobody writes to the device: blocks may be read where the page cache has them */
};
int zio_create(struct zio **out, struct vdev *v, struct space *s, const struct zio_opts *o, struct lcpfs_error *err);
void zio_destroy(struct zio *z);
void zio_set_txg(struct zio *z, uint64_t txg); /* births of what is written from now on; call with nothing in flight */
/*
 * What placing calls when space_alloc finds no room for one of `kinds` (SPACE_*): grows the pool (spa sets it). Where it cannot, the block goes to
 * where there is room.
 */
void zio_set_grow(struct zio *z, int (*grow)(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err), void *arg);

/*
 * Read the block bp points at into buf (bp->lsize bytes). buf holds garbage after a failure.
 * LCPFS_EIO unreadable, LCPFS_ECSUM, LCPFS_ECORRUPT does not decode, LCPFS_ENOKEY encrypted. Any thread.
 * Where there are copies, one that is good is enough; bad ones met on the way are told of, and rewritten when the pool is open for writing.
 */
int zio_read(struct zio *z, const struct blkptr *bp, void *buf, struct lcpfs_error *err);
/* The same, only the first `want` decoded bytes; buf has room for all. */
int zio_read_head(struct zio *z, const struct blkptr *bp, void *buf, size_t want, struct lcpfs_error *err);
/* The stored bytes (bp->psize), verified. */
int zio_read_stored(struct zio *z, const struct blkptr *bp, void *buf, struct lcpfs_error *err);
/*
 * Look at each copy of a block: bits of those that are bad, and, with `mend` (the pool is open for writing), of those rewritten from a good one.
 * n < 2: there are none, nothing was read. 0: one is good; else what is wrong with the first.
 */
struct zio_copies { unsigned n, bad, mended; };
int zio_check_copies(struct zio *z, const struct blkptr *bp, bool mend, struct zio_copies *out, struct lcpfs_error *err);
/* Whether stored bytes (verified) decode to what bp says. */
int zio_try_decode(struct zio *z, const struct blkptr *bp, const uint8_t *stored, struct lcpfs_error *err);
/* The node at bp as btree_store.read wants it. */
int zio_read_node(struct zio *z, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err);

/* Called in submission order, on any thread, one at a time, with rc 0 and bp or the failure. Must be short and not call zio. */
typedef void zio_done_fn(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why);
/*
 * A buffer for zio_submit, as from malloc; large ones are those of blocks written before, so that the kernel need not give
 * pages, cleared, for each. NULL: out of memory. Any thread.
 */
void *zio_buf_get(struct zio *z, size_t len);
/*
 * Queue a data block. `buf` (malloc'ed, len bytes) is zio's from now on, also on failure. Waits while the window is full. 0: done is called,
 * be it with a failure; else it is not. After a first failure of any job everything later fails with the same error, until close.
 */
int zio_submit(struct zio *z, unsigned kind, struct codec_spec codec, void *buf, size_t len, zio_done_fn *done, void *arg,
               struct lcpfs_error *err);
/* The block is buf[from..from + len). */
int zio_submit_from(struct zio *z, unsigned kind, struct codec_spec codec, void *buf, size_t from, size_t len, zio_done_fn *done, void *arg,
                    struct lcpfs_error *err);
/* All that was submitted is done; the first failure, if any. What was freed as fresh may be used again (space_release_fresh). */
int zio_wait(struct zio *z, struct lcpfs_error *err);
/* Only the waiting: where it happens changes nothing of what is written, so it may depend on timing. */
int zio_idle(struct zio *z, struct lcpfs_error *err);
/* What may still be allocated for jobs under way, at most. */
uint64_t zio_in_flight(struct zio *z);
/* Write a stored block as it is (received): bp's kind, lsize, psize, comp, csum, hash are set; addr and birth come back. That the hash holds is for the caller to know. Ordered like submit. */
int zio_write_stored(struct zio *z, const void *stored, struct blkptr *bp, struct lcpfs_error *err);
/*
 * What a stored node's body decodes to: h->body_len bytes. c: a context for this call.
 */
int zio_node_body(struct codec_ctx *c, const struct node_hdr *h, const uint8_t *stored, uint8_t *body, struct lcpfs_error *err);
/* A node: header, pointers, compressed body. counted = false for nodes of the space tree. Ordered like submit. */
int zio_write_node(struct zio *z, bool counted, unsigned level, uint64_t tree_guid, const uint8_t *ptrs, uint32_t nptr,
                   const uint8_t *body, uint32_t body_len, struct blkptr *bp, struct lcpfs_error *err);
/*
 * The same, queued like a data block: for nodes that no node under way is below. `ptrs_body` holds nptr raw pointers and the body; it stays the
 * caller's and must stay as it is until done is called. Finding no room fails this node only.
 */
int zio_submit_node(struct zio *z, bool counted, unsigned level, uint64_t tree_guid, const uint8_t *ptrs_body, uint32_t nptr,
                    uint32_t body_len, zio_done_fn *done, void *arg, struct lcpfs_error *err);
/* Everything placed so far is handed to the device (not flushed). */
int zio_push(struct zio *z, struct lcpfs_error *err);
struct zio_stats { uint64_t blocks, lbytes, pbytes, nodes, node_bytes, reads, read_bytes, bad_copies, mended_copies; };
void zio_get_stats(struct zio *z, struct zio_stats *out);
#endif
