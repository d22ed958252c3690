/* SPDX-License-Identifier: Apache-2.0 */
/* handle: what the opaque handles of the public API are made of. */
#ifndef ZPL_HANDLE_H
#define ZPL_HANDLE_H
#include "lcpfs/lcpfs.h"
#include "zpl/zpl.h"

struct lcpfs_pool {
	struct spa *spa;
	bool reproducible;
	const struct lcpfs_pool *of; /* an older root of this one, from its own past */
	bool guarded;                /* ... which does not overwrite what it refers to */
};
struct lcpfs_dataset {
	struct lcpfs_pool *pool;
	struct dataset *ds;
	uint32_t uid, gid, umask;
};
/* An inode as the public API tells it. */
void api_stat(uint64_t ino, const struct inode *i, struct lcpfs_stat *st);
#endif
