/* SPDX-License-Identifier: Apache-2.0 */
/* Balance: blocks of a dataset written anew, for another compression or to bring together what deletions have left. */
#ifndef LCPFS_BALANCE_H
#define LCPFS_BALANCE_H
#include "lcpfs/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_balance_opts {
	const char *recompress; /* "zstd:9", "auto:small"...; NULL: no */
	bool packs;             /* packs less than half alive, and small ones, are put together */
	bool dry_run;           /* change nothing; new_bytes is estimated from some of the blocks */
	uint64_t step_bytes;    /* contents that are written anew between commits; 0: 64 MiB */
	lcpfs_warn *warn;       /* a block that cannot be read (path: NULL); it stays as it is */
	lcpfs_progress_fn *progress;
	void *arg;
};
struct lcpfs_balance_stats {
	uint64_t blocks, bytes;               /* all data blocks of the head, stored bytes */
	uint64_t rewritten, old_bytes, new_bytes; /* written anew, and what they took before and take now */
	uint64_t kept_blocks;                 /* tried, but would not become smaller */
	uint64_t held_blocks, held_bytes;     /* a snapshot has them: left as they are */
	uint64_t shared_blocks, shared_bytes; /* other files have them: left */
	uint64_t packs;                       /* emptied into others */
	uint64_t unreadable;
	uint64_t commits;
};
/*
 * The head `dataset`. A block is replaced when the new one takes less, or when another codec than it has is asked for by name. Contents, numbers, times and what
 * small files are charged do not change. Works in many transactions, each of which commits the pool: interrupted (LCPFS_ECANCEL) or failed, what is done
 * stays done, and *st (may be NULL) says how much. Files of the dataset must not be written meanwhile.
 * -LCPFS_EPARTIAL: something was unreadable.
 */
int lcpfs_balance(struct lcpfs_pool *p, const char *dataset, const struct lcpfs_balance_opts *o, struct lcpfs_balance_stats *st,
                  struct lcpfs_error *err);

/* What a dataset or snapshot is made of: codec by codec, data blocks only. codec: "off", "lz4", "zstd", "lzma". Reads all nodes of its tree. */
struct lcpfs_codec_use { const char *codec; uint64_t blocks, logical_bytes, stored_bytes; };
typedef int lcpfs_codec_visit(void *arg, const struct lcpfs_codec_use *use, struct lcpfs_error *err);
int lcpfs_codec_each(struct lcpfs_pool *p, const char *dataset, lcpfs_codec_visit *visit, void *arg, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
