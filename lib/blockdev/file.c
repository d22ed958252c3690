/* SPDX-License-Identifier: Apache-2.0 */
/* Host files and block devices. */
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IO_MAX ((size_t)1 << 30) /* one system call moves less than 2 GiB */
#define FILE_SIZE_MAX INT64_MAX

struct filedev {
	struct lcpfs_blockdev dev;
	int fd;
	bool disk;
	char name[];
};

static int file_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;

	for (size_t done = 0; done < len;) {
		ssize_t n = pread(f->fd, (char *)buf + done, MIN(len - done, IO_MAX), (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lcpfs_fail_errno(err, errno, "%s: read of %zu bytes at %" PRIu64, dev->name, len, off);
		if (n == 0)
			return lcpfs_fail(err, LCPFS_EIO, "%s: read at %" PRIu64 ": the file has become shorter", dev->name,
			    off + done);
		done += (size_t)n;
	}
	return 0;
}

/* Threads write at once: the size only ever goes up here. */
static void note_end(struct lcpfs_blockdev *dev, uint64_t end)
{
	uint64_t size = blockdev_size(dev);

	while (end > size && !__atomic_compare_exchange_n(&dev->size, &size, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static int file_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;

	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(f->fd, (const char *)buf + done, MIN(len - done, IO_MAX), (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return lcpfs_fail_errno(err, errno, "%s: write of %zu bytes at %" PRIu64, dev->name, len, off);
		if (n == 0)
			return lcpfs_fail(err, LCPFS_EIO, "%s: write at %" PRIu64 " wrote nothing", dev->name, off + done);
		done += (size_t)n;
	}
	if (dev->flags & LCPFS_DEV_IMAGE)
		note_end(dev, off + len);
	return 0;
}

static int file_flush(struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;
	int rc;

	do
		rc = fdatasync(f->fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? lcpfs_fail_errno(err, errno, "%s: flush", dev->name) : 0;
}

static int file_discard(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;
	uint64_t range[2] = { off, len };
	int rc;

	do
		rc = f->disk ? ioctl(f->fd, BLKDISCARD, range)
		             : fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != ENOTTY && errno != EPERM)
		return lcpfs_fail_errno(err, errno, "%s: discard of %" PRIu64 " bytes at %" PRIu64, dev->name, len, off);
	return 0;
}

static int file_resize(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;
	int rc;

	if (size > FILE_SIZE_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%s: size %" PRIu64 " is too large for a file", dev->name, size);
	do
		rc = ftruncate(f->fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return lcpfs_fail_errno(err, errno, "%s: setting the size to %" PRIu64, dev->name, size);
	blockdev_set_size(dev, size);
	return 0;
}

/* A lock of the open file description: it goes with the last copy of fd, not with any close of the file. */
static int file_lock(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err)
{
	struct filedev *f = (struct filedev *)dev;
	struct flock fl = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	int rc;

	do
		rc = fcntl(f->fd, F_OFD_SETLK, &fl);
	while (rc < 0 && errno == EINTR);
	if (rc < 0 && (errno == EAGAIN || errno == EACCES))
		return lcpfs_fail(err, LCPFS_EBUSY, "%s: in use by another program", dev->name);
	return rc < 0 ? lcpfs_fail_errno(err, errno, "%s: lock", dev->name) : 0;
}

static void file_close(struct lcpfs_blockdev *dev)
{
	struct filedev *f = (struct filedev *)dev;

	close(f->fd);
	free(f);
}

static const struct lcpfs_blockdev_ops image_ops = {
	.read = file_read, .write = file_write, .flush = file_flush, .discard = file_discard,
	.resize = file_resize, .lock = file_lock, .close = file_close,
};
static const struct lcpfs_blockdev_ops disk_ops = {
	.read = file_read, .write = file_write, .flush = file_flush, .discard = file_discard,
	.lock = file_lock, .close = file_close,
};

int blockdev_file_fd(const struct lcpfs_blockdev *d)
{
	return d->ops == &image_ops ? ((const struct filedev *)d)->fd : -1;
}

static int disk_geometry(struct filedev *f, struct lcpfs_error *err)
{
	unsigned physical = 0;
	uint64_t size;
	int logical;

	if (ioctl(f->fd, BLKGETSIZE64, &size) < 0 || ioctl(f->fd, BLKSSZGET, &logical) < 0)
		return lcpfs_fail_errno(err, errno, "%s: geometry", f->dev.name);
	if (ioctl(f->fd, BLKPBSZGET, &physical) < 0)
		physical = 0;
	f->dev.size = size;
	f->dev.sector = MAX((unsigned)logical, physical);
	if (f->dev.sector < 512 || f->dev.sector > 65536 || !is_pow2(f->dev.sector))
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: sectors of %u bytes", f->dev.name, f->dev.sector);
	return 0;
}

static int geometry(struct filedev *f, const struct stat *st, struct lcpfs_error *err)
{
	f->disk = S_ISBLK(st->st_mode);
	f->dev.ops = f->disk ? &disk_ops : &image_ops;
	if (f->disk)
		return disk_geometry(f, err);
	f->dev.flags |= LCPFS_DEV_IMAGE;
	f->dev.size = (uint64_t)st->st_size;
	f->dev.sector = 512;
	return 0;
}

/* O_NONBLOCK: opening a FIFO by mistake must not wait. A disk that is mounted or claimed refuses O_EXCL. */
static int open_fd(const char *path, uint32_t flags, struct stat *st, struct lcpfs_error *err)
{
	bool rw = flags & LCPFS_DEV_OPEN_RW, create = flags & LCPFS_DEV_OPEN_CREATE, disk;
	int mode = (rw ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd;

	disk = rw && !create && stat(path, st) == 0 && S_ISBLK(st->st_mode);
	do
		fd = open(path, mode | (create ? O_CREAT | O_EXCL : disk ? O_EXCL : 0), 0666);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return lcpfs_fail_errno(err, errno, "%s", path);
	if (fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode)))
		return fd;
	close(fd);
	return lcpfs_fail(err, LCPFS_EINVAL, "%s: neither a file nor a block device", path);
}

int blockdev_file_open(struct lcpfs_blockdev **out, const char *path, uint32_t flags, struct lcpfs_error *err)
{
	struct filedev *f;
	struct stat st;
	int fd = open_fd(path, flags, &st, err), rc;

	if (fd < 0)
		return fd;
	f = calloc(1, sizeof *f + strlen(path) + 1);
	if (!f) {
		close(fd);
		return lcpfs_nomem(err);
	}
	memcpy(f->name, path, strlen(path) + 1);
	f->fd = fd;
	f->dev.name = f->name;
	f->dev.flags = flags & LCPFS_DEV_OPEN_RW ? 0 : LCPFS_DEV_RDONLY;
	rc = geometry(f, &st, err);
	if (rc)
		file_close(&f->dev);
	else
		*out = &f->dev;
	return rc;
}
