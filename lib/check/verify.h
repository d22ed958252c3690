/* SPDX-License-Identifier: Apache-2.0 */
/* check: what the layers above may use of it: whether a root is whole, and each block of it once. */
#ifndef CHECK_VERIFY_H
#define CHECK_VERIFY_H
#include "lcpfs/check.h"
#include "spa/spa.h"

/*
 * Nodes that are known to be whole with all below them, because a root that has them was verified: what one root shares with the next is read once.
 * As many as fit the memory; the others are verified again.
 */
struct verify_known;
struct verify_known *verify_known_create(size_t bytes); /* NULL: out of memory */
void verify_known_destroy(struct verify_known *k);

struct verify_result { uint64_t blocks, bytes, bad, bad_nodes; char why[160]; /* of the first bad one */ };
/* All nodes that the pool's trees have at the root it was opened at, and data when asked for. `known` may be NULL. */
int verify_root(struct spa *s, bool data, struct verify_known *known, const struct lcpfs_check_opts *o, struct verify_result *out,
                struct lcpfs_error *err);

/*
 * Every pointer of the root once: nodes and data of all datasets and snapshots, and of the pool tree when `pool`; the space tree's when `space`. What cannot
 * be read is passed over, with what is below.
 */
typedef int verify_ptr_fn(void *arg, const struct blkptr *bp, struct lcpfs_error *err);
int verify_each_ptr(struct spa *s, bool pool, bool space, verify_ptr_fn *fn, void *arg, struct lcpfs_error *err);
#endif
