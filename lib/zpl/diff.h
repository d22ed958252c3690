/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the comparison of two trees: what one file's versions differ in, and the list of findings. */
#ifndef ZPL_DIFF_H
#define ZPL_DIFF_H
#include "zpl/handle.h"

struct found { struct lcpfs_diff d; char *path, *from; };
struct diff {
	struct dataset *a, *b;
	uint32_t flags;
	bool same_pool; /* or older states of it */
	struct found *f;
	size_t n, cap;
	uint8_t *buf[2]; /* for comparing contents */
};
/* Takes over path and from (malloc'ed). */
int diff_add(struct diff *d, char kind, uint32_t mode, uint32_t changed, char *path, char *from, uint64_t old_size, uint64_t new_size,
             struct lcpfs_error *err);
/* LCPFS_CHG_* between file ia of a and ib of b (inode numbers in ino_a, ino_b). */
int diff_inodes(struct diff *d, uint64_t ino_a, const struct inode *ia, uint64_t ino_b, const struct inode *ib, uint32_t *changed,
                struct lcpfs_error *err);
/* By name, from the roots down: any two trees. */
int diff_by_path(struct diff *d, struct lcpfs_error *err);
/* By item: two states of one family in one pool; follows the change. */
int diff_by_item(struct diff *d, struct lcpfs_error *err);
#endif
