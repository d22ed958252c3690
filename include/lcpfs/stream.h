/* SPDX-License-Identifier: Apache-2.0 */
/* Send and receive. A stream is self-contained, checked frame by frame and as a whole. */
#ifndef LCPFS_STREAM_H
#define LCPFS_STREAM_H
#include "lcpfs/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_send_opts {
	const char *base;       /* incremental: a snapshot of the same dataset or its origin ("ds@a" or "@a"); NULL: full */
	bool recursive;         /* with everything below, each dataset's snapshot of the same name */
	bool props;             /* with properties (always when recursive) */
	const char *resume;     /* token of an interrupted receive, or NULL */
	uint64_t ckpt_bytes;    /* a checkpoint every so many payload bytes; 0: 64 MiB */
	lcpfs_progress_fn *progress;
	void *arg;
};
/* `write` takes the stream in order; *bytes (may be NULL) its length. With write NULL only the exact length is computed. */
typedef int lcpfs_write_fn(void *arg, const void *data, size_t len, struct lcpfs_error *err);
int lcpfs_send(struct lcpfs_pool *p, const char *snap, const struct lcpfs_send_opts *o, lcpfs_write_fn *write, void *write_arg,
               uint64_t *bytes, struct lcpfs_error *err);

struct lcpfs_recv_opts {
	const char *target;     /* dataset to receive into ("" = root dataset); NULL: the root dataset, or as a package names them */
	bool force;             /* a head that moved on from the base is put back to it */
	const char *keep;       /* ... and what it was is kept as this snapshot */
	bool dry_run;           /* read and verify the whole stream, say what it would do, change nothing */
	bool resumable;         /* keep what arrived when the stream breaks off (default: dropped); needs checkpoints */
	lcpfs_progress_fn *progress;
	void *arg;
};
/* `read`: up to len bytes, *got = 0 at the end. Commits by itself. Nothing received is visible before the stream ended and verified. */
typedef int lcpfs_read_fn(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err);
int lcpfs_recv(struct lcpfs_pool *p, const struct lcpfs_recv_opts *o, lcpfs_read_fn *read, void *read_arg, char **snap /* malloc'ed name received, may be NULL */,
               struct lcpfs_error *err);
/* The token of the receive that `target` has under way, malloc'ed; LCPFS_ENOENT: none. And giving it up. */
int lcpfs_recv_token(struct lcpfs_pool *p, const char *target, char **token, struct lcpfs_error *err);
int lcpfs_recv_abort(struct lcpfs_pool *p, const char *target, struct lcpfs_error *err);
/* The newest snapshot that dataset a of pa and b of pb have in common (by guid); malloc'ed name within pa, NULL: none. */
int lcpfs_common_snapshot(struct lcpfs_pool *pa, const char *a, struct lcpfs_pool *pb, const char *b, char **name, struct lcpfs_error *err);

/* A stored stream, without a pool. */
struct lcpfs_stream_info {
	char uuid[37];
	char dataset[256 * 4], from[256], to[256];
	bool incremental, complete;
	uint64_t frames, bytes, items, blocks, block_bytes;
	uint64_t from_guid, to_guid;
};
/* Reads and verifies all of it: every frame hash, the running hash, the contents' hashes and that they decode. */
int lcpfs_stream_verify(lcpfs_read_fn *read, void *read_arg, struct lcpfs_stream_info *info, struct lcpfs_error *err);
/* Each frame as a line of text. */
typedef int lcpfs_line_visit(void *arg, const char *line, struct lcpfs_error *err);
int lcpfs_stream_dump(lcpfs_read_fn *read, void *read_arg, lcpfs_line_visit *visit, void *arg, struct lcpfs_error *err);
/* Load a full stream into a pool on a RAM disk (for ls and cat); an incremental one shows what it changes. The pool is the caller's. */
int lcpfs_stream_load(lcpfs_read_fn *read, void *read_arg, struct lcpfs_pool **pool, struct lcpfs_stream_info *info, struct lcpfs_error *err);
/* How a receiver into a file resumes: scan a truncated stream file, *good = length up to the last whole checkpoint, token malloc'ed. */
int lcpfs_stream_resume_point(lcpfs_read_fn *read, void *read_arg, uint64_t *good, char **token, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
