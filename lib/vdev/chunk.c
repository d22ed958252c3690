/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses to places on the device, and I/O there. */
#include "base/error.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>

struct place { uint64_t off, column_end; };

/* Lock held. Where `len` bytes at addr lie. */
static int find_place(const struct vdev *v, uint64_t addr, uint64_t len, struct place *p, struct lcpfs_error *err)
{
	const struct cfg_chunk *k = config_chunk(&v->cfg, ptr_chunk(&(struct blkptr){ .addr = addr }));
	uint64_t start = (addr & UINT32_MAX) * SECTOR, column;

	if (!k || !k->width)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: address %" PRIu64 ":%" PRIu64 ": no such chunk", v->dev->name, addr >> 32,
		    addr & UINT32_MAX);
	column = (uint64_t)k->col_units * UNIT;
	if (start > column || len > column - start)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: address %" PRIu64 ":%" PRIu64 ": %" PRIu64 " bytes are past the chunk's end",
		    v->dev->name, addr >> 32, addr & UINT32_MAX, len);
	p->off = k->member[0].start_unit * UNIT + start;
	p->column_end = k->member[0].start_unit * UNIT + column;
	return 0;
}

static int check_len(const struct vdev *v, uint64_t len, struct lcpfs_error *err)
{
	if (!v->have_cur && !v->cfg.n_devices)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: no uberblock selected", v->dev->name);
	return len % SECTOR ? lcpfs_fail(err, LCPFS_EINVAL, "%s: %" PRIu64 " bytes are no whole sectors", v->dev->name, len) : 0;
}

int vdev_read(struct vdev *v, uint64_t addr, void *buf, size_t len, struct lcpfs_error *err)
{
	struct place p;
	int rc = check_len(v, len, err);

	if (rc)
		return rc;
	pthread_rwlock_rdlock(&v->lock);
	rc = find_place(v, addr, len, &p, err);
	pthread_rwlock_unlock(&v->lock);
	return rc ? rc : blockdev_read(v->dev, p.off, buf, len, err);
}

bool vdev_map(struct vdev *v, uint64_t addr, size_t len, struct blockdev_window *w)
{
	struct place p;
	int rc = check_len(v, len, NULL);

	if (rc)
		return false;
	pthread_rwlock_rdlock(&v->lock);
	rc = find_place(v, addr, len, &p, NULL);
	pthread_rwlock_unlock(&v->lock);
	return !rc && blockdev_map(v->dev, p.off, len, w);
}

/* A file may be shorter than its columns: make it as long as this one, alone. */
static int lengthen(struct vdev *v, uint64_t size, struct lcpfs_error *err)
{
	int rc;

	pthread_rwlock_wrlock(&v->lock);
	rc = vdev_extend_file(v, size, err);
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

int vdev_write(struct vdev *v, uint64_t addr, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct place p;
	int rc = v->rw ? check_len(v, len, err) : lcpfs_fail(err, LCPFS_EROFS, "%s: open read-only", v->dev->name);

	if (rc)
		return rc;
	pthread_rwlock_rdlock(&v->lock);
	rc = find_place(v, addr, len, &p, err);
	if (!rc && p.off + len > blockdev_size(v->dev) && vdev_resizable(v)) {
		pthread_rwlock_unlock(&v->lock);
		rc = lengthen(v, p.column_end, err);
		pthread_rwlock_rdlock(&v->lock);
	}
	/* held over the write: a device must not be resized under it */
	if (!rc) {
		__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
		rc = blockdev_write(v->dev, p.off, buf, len, err);
	}
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

int vdev_discard(struct vdev *v, uint64_t addr, uint64_t len, struct lcpfs_error *err)
{
	struct place p;
	uint64_t size;
	int rc = v->rw ? check_len(v, len, err) : lcpfs_fail(err, LCPFS_EROFS, "%s: open read-only", v->dev->name);

	if (rc)
		return rc;
	pthread_rwlock_wrlock(&v->lock);
	rc = find_place(v, addr, len, &p, err);
	size = blockdev_size(v->dev);
	/* what a short file does not have needs no discard */
	if (!rc && p.off < size)
		rc = blockdev_discard(v->dev, p.off, MIN(len, size - p.off), err);
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

int vdev_flush(struct vdev *v, struct lcpfs_error *err)
{
	int rc;

	if (!__atomic_exchange_n(&v->dirty, false, __ATOMIC_ACQ_REL))
		return 0;
	rc = blockdev_flush(v->dev, err);
	/* a second flush would not tell what the first one lost */
	if (rc)
		v->failed = true;
	return rc;
}
