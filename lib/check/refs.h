/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refs: how many references each shared block has, as far as the window of claims goes, against what REF says. Only blocks that are met again are kept,
 * and when these are too many the window gets smaller.
 */
#ifndef CHECK_REFS_H
#define CHECK_REFS_H
#include "check/claim.h"

#define REFS_MIN 65536u /* more than one page can have */

extern size_t refs_count_max; /* lowered by tests */
struct ref_count { uint64_t addr, n; uint32_t hash; bool differ; };
struct refs { struct ref_count *v; size_t n, cap, max; };

/* This block was met again. */
int refs_add(struct refs *r, struct claims *m, const struct blkptr *bp, struct lcpfs_error *err);
/* After the window's scan; forgets what was counted. lost: pointers are missing, so fewer references than REF has prove nothing. */
int refs_compare(struct refs *r, struct check *ck, const struct claims *m, bool lost, struct lcpfs_error *err);
void refs_fini(struct refs *r);
#endif
