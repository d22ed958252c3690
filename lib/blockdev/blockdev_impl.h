/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the devices of this folder. */
#ifndef BLOCKDEV_IMPL_H
#define BLOCKDEV_IMPL_H
#include "blockdev/blockdev.h"

/* "ram:NAME": a RAM disk with a name, whose content lives as long as the process. */
int ram_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err);

/* The descriptor of an image file; -1 for any other device. */
int blockdev_file_fd(const struct lcpfs_blockdev *d);

/* slice.c: "offset=...:NAME" */
bool blockdev_is_slice(const char *name);
int blockdev_slice_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err);
/* split.c: *dev, a file, becomes all parts when it is the first of several. On failure *dev is as it was. */
int blockdev_split_open(struct lcpfs_blockdev **dev, uint32_t flags, struct lcpfs_error *err);
#endif
