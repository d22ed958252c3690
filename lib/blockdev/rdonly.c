/* SPDX-License-Identifier: Apache-2.0 */
/* A read-only view of a device that it does not own: without the operations, and with the flag set, nothing can write. */
#include "blockdev/blockdev.h"
#include "base/error.h"
#include <stdlib.h>

static int ro_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	return blockdev_read(((struct rodev *)dev)->below, off, buf, len, err);
}

static int ro_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	return blockdev_lock(((struct rodev *)dev)->below, exclusive, err);
}

static const struct lcpfs_blockdev_ops ro_ops = { .read = ro_read, .lock = ro_lock };

void rodev_init(struct rodev *r, struct lcpfs_blockdev *below)
{
	*r = (struct rodev){ .dev = *below, .below = below };
	r->dev.ops = &ro_ops;
	r->dev.flags |= LCPFS_DEV_RDONLY;
}

static void ro_free(struct lcpfs_blockdev *dev)
{
	free(dev);
}

static const struct lcpfs_blockdev_ops own_ops = { .read = ro_read, .lock = ro_lock, .close = ro_free };

int rodev_create(struct lcpfs_blockdev **out, struct lcpfs_blockdev *below, struct lcpfs_error *err)
{
	struct rodev *r = malloc(sizeof *r);

	if (!r)
		return lcpfs_nomem(err);
	rodev_init(r, below);
	r->dev.ops = &own_ops;
	*out = &r->dev;
	return 0;
}
