/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses to places on the device, and I/O there. */
#include "base/error.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>

/* Where a range of a chunk's addresses lies: on each of its members, `start` bytes into the column. */
struct place { const struct cfg_chunk *k; uint64_t start, column; };

/* Lock held. */
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
	*p = (struct place){ k, start, column };
	return 0;
}

static uint64_t column_off(const struct place *p, unsigned copy) { return p->k->member[copy].start_unit * UNIT; }

/* The same without holding the lock after: the offset on the device, and how many copies there are. */
static int find_copy(struct vdev *v, uint64_t addr, uint64_t len, unsigned copy, uint64_t *off, unsigned *copies, struct lcpfs_error *err)
{
	struct place p;
	int rc;

	pthread_rwlock_rdlock(&v->lock);
	rc = find_place(v, addr, len, &p, err);
	*copies = rc ? 0 : p.k->width;
	if (!rc && copy >= p.k->width)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "%s: chunk %u has %u copies", v->dev->name, p.k->id, p.k->width);
	if (!rc)
		*off = column_off(&p, copy) + p.start;
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

static int check_len(const struct vdev *v, uint64_t len, struct lcpfs_error *err)
{
	if (!v->have_cur && !v->cfg.n_devices)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: no uberblock selected", v->dev->name);
	return len % SECTOR ? lcpfs_fail(err, LCPFS_EINVAL, "%s: %" PRIu64 " bytes are no whole sectors", v->dev->name, len) : 0;
}

int vdev_read_copy(struct vdev *v, uint64_t addr, unsigned copy, void *buf, size_t len, struct lcpfs_error *err)
{
	uint64_t off = 0;
	unsigned copies;
	int rc = check_len(v, len, err);

	if (!rc)
		rc = find_copy(v, addr, len, copy, &off, &copies, err);
	return rc ? rc : blockdev_read(v->dev, off, buf, len, err);
}

unsigned vdev_copies(struct vdev *v, uint64_t addr)
{
	unsigned copies;
	uint64_t off;

	find_copy(v, addr, 0, 0, &off, &copies, NULL);
	return copies;
}

int vdev_read(struct vdev *v, uint64_t addr, void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = vdev_read_copy(v, addr, 0, buf, len, err);

	if (rc != -LCPFS_EIO)
		return rc;
	for (unsigned copy = 1; rc && copy < vdev_copies(v, addr); copy++)
		rc = vdev_read_copy(v, addr, copy, buf, len, NULL);
	return rc;
}

bool vdev_map(struct vdev *v, uint64_t addr, size_t len, struct blockdev_window *w)
{
	uint64_t off;
	unsigned copies;

	return !check_len(v, len, NULL) && !find_copy(v, addr, len, 0, &off, &copies, NULL) && blockdev_map(v->dev, off, len, w);
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

/* Lock held, and held on. What the file must be long enough for, at the least; columns are made whole. */
static int make_long(struct vdev *v, uint64_t addr, size_t len, unsigned copy, struct place *p, struct lcpfs_error *err)
{
	uint64_t off = column_off(p, copy);
	int rc;

	if (off + p->start + len <= blockdev_size(v->dev) || !vdev_resizable(v))
		return 0;
	pthread_rwlock_unlock(&v->lock);
	rc = lengthen(v, off + p->column, err);
	pthread_rwlock_rdlock(&v->lock);
	return rc ? rc : find_place(v, addr, len, p, err);
}

static int write_copies(struct vdev *v, uint64_t addr, const void *buf, size_t len, unsigned from, unsigned to, struct lcpfs_error *err)
{
	struct place p;
	int rc = v->rw ? check_len(v, len, err) : lcpfs_fail(err, LCPFS_EROFS, "%s: open read-only", v->dev->name);

	if (rc)
		return rc;
	pthread_rwlock_rdlock(&v->lock);
	rc = find_place(v, addr, len, &p, err);
	for (unsigned i = from; !rc && i < MIN(to, (unsigned)p.k->width); i++) {
		rc = make_long(v, addr, len, i, &p, err);
		if (rc)
			break;
		/* the lock is held over the write: a device must not be resized under it */
		__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
		rc = blockdev_write(v->dev, column_off(&p, i) + p.start, buf, len, err);
	}
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

int vdev_write(struct vdev *v, uint64_t addr, const void *buf, size_t len, struct lcpfs_error *err)
{
	return write_copies(v, addr, buf, len, 0, CHUNK_WIDTH_MAX, err);
}

int vdev_write_copy(struct vdev *v, uint64_t addr, unsigned copy, const void *buf, size_t len, struct lcpfs_error *err)
{
	return write_copies(v, addr, buf, len, copy, copy + 1, err);
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
	for (unsigned i = 0; !rc && i < p.k->width; i++) {
		uint64_t off = column_off(&p, i) + p.start;

		/* what a short file does not have needs no discard */
		if (off < size)
			rc = blockdev_discard(v->dev, off, MIN(len, size - off), err);
	}
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
