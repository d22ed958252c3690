/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream: send and receive of snapshots.
 *
 * The sender walks the difference of two trees in key order (send_diff.c), gathers new slices per pack (send_slices.c); frames are made ahead (out_ahead.c) and written (out.c).
 * A reader reads frames ahead (in_ahead.c), checks each alone (in_frame.c), takes them one by one (in.c) and hands what they say to a set of calls: receiving applies it to a hidden
 * clone (recv_apply.c, recv_pack.c), verify, dump and resume_point only look (verify.c).
 *
 * Invariants
 *  (1) What a stream says is used only after its frame's hash held, and lengths only after their check.
 *  (2) Between CKPT and the next frame nothing is pending: no batch, no window of slices, no current pack. So what follows depends only on the key of
 *      the CKPT and on the two trees, and a resumed sender writes the same bytes.
 *  (3) Nothing of a receive has a name before the END of the last dataset verified; all datasets of a package appear in one commit.
 */
#ifndef STREAM_IMPL_H
#define STREAM_IMPL_H
#include "base/error.h"
#include "base/util.h"
#include "codec/codec.h"
#include "format/frame.h"
#include "format/pack.h"
#include "hash/hash.h"
#include "lcpfs/stream.h"
#include "zpl/handle.h"

#define CKPT_DEFAULT (64 * MiB)
#define CKPT_MIN (4 * KiB)
#define SLICES_WINDOW 65536u            /* new slices gathered at once, and their bytes: */
#define SLICES_WINDOW_BYTES (16 * MiB)
#define ITEMS_BATCH (256 * KiB)
#define PACK_LSIZE_MAX (PACK_MAX + PACK_HDR + PACK_ENT) /* one slice alone may pass PACK_MAX */

/* running = BLAKE3(running || frame hash) */
void running_update(uint8_t running[32], const uint8_t hash[16]);

/* Writing frames. */
struct out_ahead;
struct stream_out {
	lcpfs_write_fn *write; /* NULL: only counts */
	void *arg;
	uint64_t seq, bytes;   /* seq: of the next frame given out; the rest tells of those written */
	uint8_t running[32];
	struct frame_counts counts; /* of the dataset under way */
	lcpfs_progress_fn *progress;
	void *progress_arg;
	uint64_t items;        /* for progress */
	uint64_t total;
	struct out_ahead *ahead;
};
int out_init(struct stream_out *o, struct zio *zio, unsigned threads, struct lcpfs_error *err);
void out_fini(struct stream_out *o); /* what was not written is lost */
/*
 * Frames to come (out_ahead.c), written some time, in their order; a failure may show with a later one. `batch` and `plain` are taken, and
 * come back empty.
 */
int out_stored(struct stream_out *o, unsigned type, const uint8_t *front, size_t front_len, const struct blkptr *bp, struct lcpfs_error *err);
int out_items(struct stream_out *o, struct buf *batch, uint32_t n, struct lcpfs_error *err);
int out_pack(struct stream_out *o, struct buf *plain, struct codec_spec spec, struct lcpfs_error *err);
int out_flush(struct stream_out *o, struct lcpfs_error *err);
uint64_t out_bytes_most(const struct stream_out *o); /* `bytes` when all that was given out is written is no more than this */
/* A frame of this payload, after all that was given out before. */
int out_buf(struct stream_out *o, unsigned type, const struct buf *b, struct lcpfs_error *err);
/* BEGIN of a resumed stream: seq 0 and outside the running hash. */
int out_resumed(struct stream_out *o, const struct buf *b, struct lcpfs_error *err);
/* Header of a frame of these pieces; its hash; writing it. */
int out_hdr(struct frame_hdr *h, unsigned type, uint64_t seq, const struct hash_piece *pieces, unsigned n, struct lcpfs_error *err);
void out_hash(struct frame_hdr *h, const struct hash_piece *pieces, unsigned n);
int out_emit(struct stream_out *o, const struct frame_hdr *h, const struct hash_piece *pieces, unsigned n, struct lcpfs_error *err);

/* The table of a decoded pack, sorted by data_id. */
struct pack_ent { uint64_t data_id; uint32_t off, len; };
struct pack_table { struct pack_ent *ents; uint32_t n; };
/* How much of the pack, which has `len` bytes, is its table; looks at no more than PACK_HDR bytes. */
int pack_table_len(const uint8_t *pack, size_t len, size_t *table_len, struct lcpfs_error *err);
/* The table must fill the pack exactly and name no content twice. Looks at nothing behind it. */
int pack_table_decode(struct pack_table *out, const uint8_t *pack, size_t len, struct lcpfs_error *err);
const struct pack_ent *pack_table_find(const struct pack_table *t, uint64_t data_id);
void pack_table_fini(struct pack_table *t);

/* Reading frames. */
struct in_scratch { struct codec_ctx *codec; uint8_t *buf; size_t cap; }; /* of one thread */
struct in_frame {
	struct frame_hdr h;
	uint8_t raw[FRAME_HDR];
	uint8_t *payload, *plain;  /* plain: decoded items */
	size_t payload_cap, plain_cap, padded;
	uint64_t end;              /* bytes of the input up to behind it */
	bool checked;
	/* what in_frame_check found: */
	int rc, inside_rc;         /* of the frame; of what is in it, when the frame is whole */
	struct lcpfs_error why;
	union { struct frame_items items; struct frame_extent extent; struct frame_block block; };
	struct pack_table table;
};
struct in_ahead;
struct stream_in {
	lcpfs_read_fn *read;
	void *arg;
	uint64_t bytes, frames, seq;
	uint8_t running[32], uuid[16];
	struct frame_hdr h;            /* of the frame under way */
	const uint8_t *payload;
	struct in_ahead *ahead;
	uint64_t read_seq, read_bytes; /* where reading is, ahead of it */
	unsigned threads;              /* that check frames; 0: as there are CPUs */
	bool contents_unseen;          /* of extents and packs the hash is enough: only tables are decoded */
	bool begun, inside, complete;  /* a first frame came; between BEGIN and END; the last END came */
	uint32_t index, count;         /* of the dataset under way, or the next one */
	uint32_t package_n;            /* as PACKAGE says; 0: there was none */
	struct frame_counts counts;    /* of the dataset under way */
	struct frame_counts total;
	struct frame_begin begin;
	struct pack_table pack;        /* of the PACK frame that SLICE puts may name; n == 0: none */
	lcpfs_progress_fn *progress;
	void *progress_arg;
};
/* Any call may be NULL. What they are given is valid during the call. */
struct stream_ops {
	int (*frame)(void *arg, struct stream_in *in, struct lcpfs_error *err); /* verified, not yet decoded: in->h, in->payload */
	int (*begin)(void *arg, struct stream_in *in, struct lcpfs_error *err); /* in->begin */
	/* key and value are checked; `slice`: where the content of a SLICE put lies in the current pack */
	int (*item)(void *arg, const struct frame_item *i, const struct pack_ent *slice, struct lcpfs_error *err);
	int (*extent)(void *arg, const struct frame_extent *e, struct lcpfs_error *err);  /* hash verified, and it decodes (unless contents_unseen) */
	int (*pack)(void *arg, const struct frame_block *b, struct lcpfs_error *err);     /* likewise; its table is in->pack */
	int (*ckpt)(void *arg, struct stream_in *in, const struct frame_pos *after, struct lcpfs_error *err);
	int (*end)(void *arg, struct stream_in *in, struct lcpfs_error *err);             /* verified */
};
int in_init(struct stream_in *in, lcpfs_read_fn *read, void *read_arg, struct lcpfs_error *err);
void in_fini(struct stream_in *in);
/* Read up to the END of the last dataset. LCPFS_ETRUNC when the input stops before. */
int in_run(struct stream_in *in, const struct stream_ops *ops, void *arg, struct lcpfs_error *err);
int in_room(uint8_t **buf, size_t *cap, size_t len, struct lcpfs_error *err);
/* All that can be told of f alone; whole: contents must decode. Any thread. */
void in_frame_check(struct in_frame *f, struct in_scratch *s, bool whole);
int in_ahead_create(struct stream_in *in, struct lcpfs_error *err);
void in_ahead_destroy(struct in_ahead *a);
/* The next frame, checked; valid until in_ahead_done. 1: the input is at its end. */
int in_ahead_next(struct stream_in *in, struct in_frame **out, struct lcpfs_error *err);
void in_ahead_done(struct stream_in *in);
int in_read_all(struct stream_in *in, void *buf, size_t len, struct lcpfs_error *err);
/* The input must be at its end. */
int in_expect_eof(struct stream_in *in, struct lcpfs_error *err);
void in_pos(const struct stream_in *in, struct frame_pos *pos); /* between frames; klen = 0 */

void stream_uuid_print(const uint8_t u[16], char out[37]);
/* Is this item one that a tree may hold: form of the key, value. LCPFS_ECORRUPT, LCPFS_EUNSUP. */
int stream_item_check(const struct frame_item *i, struct lcpfs_error *err);
uint64_t stream_key_object(const uint8_t *key); /* of a checked key */

/* Tokens: base64 of a position and of what it is a position of. */
enum { TOKEN_POOL = 1 /* the resumed stream goes to lcpfs_recv */, TOKEN_FILE = 2 /* ... is appended to the truncated file */ };
struct stream_token {
	uint8_t kind, uuid[16];
	uint32_t index;
	uint64_t ckpt_bytes;
	struct frame_pos pos;
};
int token_encode(char **out, const struct stream_token *t, struct lcpfs_error *err);
int token_decode(struct stream_token *out, const char *text, struct lcpfs_error *err);

/* Sending one dataset. */
struct slice_ref { uint64_t data_id, pack_id; uint32_t off, len, charge; };
struct sender {
	struct spa *spa;
	struct stream_out *out;
	struct dataset *ds;          /* the snapshot, open */
	struct blkptr base;          /* root of the base; null: full */
	struct codec_spec spec;      /* of made packs */
	uint64_t ckpt_bytes, mark;   /* mark: out->bytes at the last checkpoint */
	struct frame_pos from;       /* klen > 0: skip up to this key */
	uint8_t last_key[KEY_MAX];
	uint16_t last_klen;
	struct buf batch;
	uint32_t batch_n;
	bool batch_slices;           /* the batch has puts that need the pack just sent */
	struct slice_ref *win;
	uint32_t win_n, win_cap;
	uint64_t win_bytes;
};
int send_tree(struct sender *s, struct lcpfs_error *err);
int send_item(struct sender *s, uint8_t op, const void *key, size_t klen, const void *val, size_t vlen, struct lcpfs_error *err);
int send_batch(struct sender *s, struct lcpfs_error *err); /* what is gathered, as an ITEMS frame */
int send_slice_add(struct sender *s, const struct slice_ref *r, struct lcpfs_error *err);
int send_slices(struct sender *s, struct lcpfs_error *err);
/* Everything gathered, then a CKPT at last_key. */
int send_ckpt(struct sender *s, struct lcpfs_error *err);
/* 1: it is time for a checkpoint, counting bytes since the last one, gathered ones included. */
int send_due(struct sender *s, struct lcpfs_error *err);

/* State of a receive, a record of the pool tree (TBL_RECV, hidden dataset's id). */
enum { RECV_RESUMABLE = 1, RECV_DONE = 2 /* its END came; waits for the others of its package */ };
struct recv_state {
	uint8_t flags, uuid[16];
	uint64_t hidden, from, to, next_pack;
	uint32_t index, count;
	int64_t created_s;         /* of the snapshot, where it was made */
	uint32_t created_ns;
	uint64_t ckpt_bytes;
	struct frame_pos pos;
	char *target, *rel, *snap; /* as the caller named the target; below it; name of the snapshot */
};
int recv_state_put(struct spa *s, const struct recv_state *st, struct lcpfs_error *err);
int recv_state_del(struct spa *s, uint64_t hidden, struct lcpfs_error *err);
void recv_state_fini(struct recv_state *st);
/* All states of receives into `target`, ascending index; malloc'ed array of owned states. */
int recv_state_list(struct spa *s, const char *target, struct recv_state **out, size_t *n, struct lcpfs_error *err);
void recv_state_list_free(struct recv_state *st, size_t n);
/* Drop the hidden dataset and the record. */
int recv_state_drop(struct spa *s, const struct recv_state *st, struct lcpfs_error *err);

/* The pack that receiving fills the tree from. */
struct recv_pack { bool open; uint64_t id; struct blkptr bp; uint32_t live_n, live_bytes; };
struct receiver {
	struct lcpfs_pool *pool;
	struct spa *spa;
	const struct lcpfs_recv_opts *o;
	const char *target;
	struct stream_in in;
	struct dataset *ds;          /* the hidden clone of the dataset under way */
	struct recv_state st;
	struct recv_pack pack;
	struct recv_state *done;     /* datasets whose END came */
	size_t n_done;
	bool keep_state, publishing; /* do not drop what arrived */
	bool loose;                  /* into an empty pool of its own: no base, what is missing is made up */
	char *snap_name;             /* of index 0 */
};
int apply_item(struct receiver *r, const struct frame_item *i, const struct pack_ent *slice, struct lcpfs_error *err);
int apply_extent(struct receiver *r, const struct frame_extent *e, struct lcpfs_error *err);
int apply_pack(struct receiver *r, const struct frame_block *b, struct lcpfs_error *err);
/* The current pack gets its item, or is freed when nothing of it is used. */
int apply_pack_close(struct receiver *r, struct lcpfs_error *err);
/* Has the tree what a dataset needs? */
int apply_check_tree(struct receiver *r, struct lcpfs_error *err);
/* Where a stream goes: checks everything that can refuse it. *base = id of the base snapshot, 0: full. Writes nothing. */
int recv_target_check(struct receiver *r, const struct recv_state *st, uint64_t *base, struct lcpfs_error *err);
int recv_target_name(const char *target, const char *rel, struct buf *out, struct lcpfs_error *err);
int recv_publish(struct receiver *r, struct lcpfs_error *err);
int recv_run(struct receiver *r, struct lcpfs_error *err);
void recv_fini(struct receiver *r);
/* An incremental stream alone: make up what its tree needs to be looked at (gaps.c). */
int apply_fill_gaps(struct receiver *r, struct lcpfs_error *err);
/* The snapshot of dataset `name` (its chain of previous snapshots included) with this guid; LCPFS_ENOENT. */
int stream_find_guid(struct spa *s, const char *name, uint64_t guid, struct dsrec *out, struct lcpfs_error *err);
#endif
