/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a balance share: the run, and who owns contents. */
#ifndef ZPL_REWRITE_H
#define ZPL_REWRITE_H
#include "lcpfs/balance.h"
#include "zpl/zpl_impl.h"

/* A file whose content has another number than the file, or is shared. */
struct owner { uint64_t data_id, ino; };
struct owners { struct owner *v; size_t n, cap; };
int owners_load(struct owners *o, struct dataset *ds, struct lcpfs_error *err);
/* One of the files that have the content; 1: none has (it is an attribute's). */
int owners_first(const struct owners *o, struct dataset *ds, uint64_t data_id, struct inode *out, struct lcpfs_error *err);
/* All files that have it are charged so much more. */
int owners_charge(const struct owners *o, struct dataset *ds, uint64_t data_id, int64_t delta, struct lcpfs_error *err);

struct rewrite {
	struct dataset *ds;
	const struct lcpfs_balance_opts *o;
	struct lcpfs_balance_stats *st;
	struct codec_spec codec;
	struct owners owners;
	uint64_t began;          /* blocks born from here on are this run's own */
	uint64_t batch, changed; /* logical bytes since the last commit; blocks of them that were replaced */
	uint64_t done_bytes, total_bytes;
	uint64_t sampled, sampled_new; /* of a dry run */
	uint64_t tick_ms;
};

/* The new block is back: it takes the old one's place in its item, or is given up. */
int rewrite_apply(struct dataset *ds, const struct job *j, struct lcpfs_error *err);
#endif
