/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a regular file: its data ranges as the file system tells them, by the size at opening. */
#include "base/error.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

int host_open_noatime(int dirfd, const char *name, int flags)
{
	int fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOATIME);

	return fd < 0 && errno == EPERM ? openat(dirfd, name, flags | O_CLOEXEC) : fd;
}

static int open_fd(int dirfd, const char *name, bool follow, struct lcpfs_error *err)
{
	/* O_NONBLOCK: a fifo that took the file's place must not hang us */
	int fd = host_open_noatime(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW));

	return fd < 0 ? lcpfs_fail_errno(err, errno, "cannot open") : fd;
}

static struct entry_time mtime_of(const struct stat *st)
{
	return (struct entry_time){ st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec };
}

int host_content_open(struct content *c, int dirfd, const char *name, bool follow, struct lcpfs_error *err)
{
	int fd = open_fd(dirfd, name, follow, err);
	struct stat st;

	*c = (struct content){ .fd = -1, .done = true };
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return lcpfs_fail(err, LCPFS_EIO, "is no longer a regular file");
	}
	*c = (struct content){ .fd = fd, .size = (uint64_t)st.st_size, .mtime = mtime_of(&st) };
	c->dense = (uint64_t)st.st_blocks >= (c->size + 511) / 512;
	return 0;
}

void host_content_expect(struct content *c, const struct entry *e)
{
	*c = (struct content){ .fd = -1, .done = true, .size = e->size, .mtime = e->mtime, .dense = !(e->flags & ENTRY_HOLES) };
}

int host_content_open_expected(struct content *c, int dirfd, const char *name, bool follow, struct lcpfs_error *err)
{
	int fd = open_fd(dirfd, name, follow, err);

	if (fd < 0)
		return fd;
	c->fd = fd;
	c->done = false;
	return 0;
}

void host_content_close(struct content *c)
{
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct content){ .fd = -1, .done = true };
}

/* Put pos at the next data and data_end behind it; pos = size when only a hole is left. */
static void next_range(struct content *c)
{
	off_t from, to;

	if (c->dense) {
		c->data_end = c->size;
		return;
	}
	from = lseek(c->fd, (off_t)c->pos, SEEK_DATA);
	if (from < 0 && errno == ENXIO) {
		c->pos = c->data_end = c->size;
		return;
	}
	to = from < 0 ? -1 : lseek(c->fd, from, SEEK_HOLE);
	if (to < 0 || (uint64_t)from < c->pos || to <= from) { /* not supported here */
		c->dense = true;
		c->data_end = c->size;
		return;
	}
	c->pos = MIN((uint64_t)from, c->size);
	c->data_end = MIN((uint64_t)to, c->size);
}

/* All was read: is it still the file that was opened, or told of? */
static int at_end(struct content *c, struct lcpfs_error *err)
{
	struct entry_time t;
	struct stat st;

	c->done = true;
	if (fstat(c->fd, &st))
		return 0;
	if (!S_ISREG(st.st_mode))
		return lcpfs_fail(err, LCPFS_EIO, "is no longer a regular file");
	t = mtime_of(&st);
	if ((uint64_t)st.st_size != c->size || t.sec != c->mtime.sec || t.nsec != c->mtime.nsec)
		return lcpfs_fail(err, LCPFS_EBUSY, "changed while it was read");
	return 0;
}

int host_content_read(struct content *c, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	ssize_t n;

	*got = 0;
	*off = c->pos;
	if (c->done)
		return 0;
	if (c->pos >= c->data_end)
		next_range(c);
	if (c->pos >= c->size)
		return at_end(c, err);
	len = (size_t)MIN((uint64_t)len, c->data_end - c->pos);
	for (int tries = 0; (n = pread(c->fd, buf, len, (off_t)c->pos)) <= 0 && tries < 1; tries++)
		;
	if (n <= 0) {
		c->done = true;
		if (n == 0)
			return lcpfs_fail(err, LCPFS_ETRUNC, "shrank while it was read, from %" PRIu64 " to %" PRIu64 " bytes",
			    c->size, c->pos);
		return lcpfs_fail_errno(err, errno, "cannot read at byte %" PRIu64, c->pos);
	}
	*off = c->pos;
	*got = (size_t)n;
	c->pos += (uint64_t)n;
	return 0;
}
