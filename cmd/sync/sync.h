/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-sync: bring a dataset of one pool to another. */
#ifndef CMD_SYNC_SYNC_H
#define CMD_SYNC_SYNC_H
#include "common/datasets.h"

struct side { struct lcpfs_pool *pool; const char *pool_name; char *dataset; };
/* One stream from `snap` of src into dst, through a pipe, or a temporary file when both are in one pool. Returns a status. */
int transfer(const struct side *src, const struct side *dst, const char *snap, const struct lcpfs_send_opts *so, const struct lcpfs_recv_opts *ro);
#endif
