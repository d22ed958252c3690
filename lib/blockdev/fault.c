/* SPDX-License-Identifier: Apache-2.0 */
/* Fault injection: fails the nth call of the chosen kinds, passes the rest to the device below, which it does not own. */
#include "base/error.h"
#include "blockdev/blockdev.h"
#include <inttypes.h>

static bool fault_due(struct faultdev *f, uint32_t kind)
{
	uint64_t i;

	if (!(f->kinds & kind))
		return false;
	i = __atomic_fetch_add(&f->seen, 1, __ATOMIC_RELAXED);
	return i == f->fail_at || (f->sticky && i > f->fail_at);
}

static int fault_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct faultdev *f = (struct faultdev *)dev;

	if (fault_due(f, FAULT_READ))
		return lcpfs_fail(err, f->code, "%s: read at %" PRIu64 " (injected)", dev->name, off);
	return blockdev_read(f->below, off, buf, len, err);
}

static int fault_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct faultdev *f = (struct faultdev *)dev;

	if (fault_due(f, FAULT_WRITE))
		return lcpfs_fail(err, f->code, "%s: write at %" PRIu64 " (injected)", dev->name, off);
	return blockdev_write(f->below, off, buf, len, err);
}

static int fault_flush(struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	struct faultdev *f = (struct faultdev *)dev;

	if (fault_due(f, FAULT_FLUSH))
		return lcpfs_fail(err, f->code, "%s: flush (injected)", dev->name);
	return blockdev_flush(f->below, err);
}

static int fault_discard(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	return blockdev_discard(((struct faultdev *)dev)->below, off, len, err);
}

static int fault_resize(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err)
{
	struct faultdev *f = (struct faultdev *)dev;
	int rc;

	if (fault_due(f, FAULT_RESIZE))
		return lcpfs_fail(err, f->code, "%s: resize to %" PRIu64 " (injected)", dev->name, size);
	rc = blockdev_resize(f->below, size, err);
	blockdev_set_size(dev, blockdev_size(f->below));
	return rc;
}

static int fault_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	return blockdev_lock(((struct faultdev *)dev)->below, exclusive, err);
}

static const struct lcpfs_blockdev_ops fault_ops = {
	.read = fault_read, .write = fault_write, .flush = fault_flush, .discard = fault_discard,
	.resize = fault_resize, .lock = fault_lock,
};

void faultdev_init(struct faultdev *f, struct lcpfs_blockdev *below, uint32_t kinds, uint64_t fail_at, bool sticky, int code)
{
	*f = (struct faultdev){ .dev = *below, .below = below, .kinds = kinds, .fail_at = fail_at, .sticky = sticky, .code = code };
	f->dev.ops = &fault_ops;
}
