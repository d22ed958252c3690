/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include "base/util.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void arch_spool_init(struct spool *s)
{
	*s = (struct spool){ .fd = -1 };
}

void arch_spool_reset(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->bytes = 0;
	s->n = 0;
}

void arch_spool_fini(struct spool *s)
{
	arch_spool_reset(s);
	free(s->mem);
	free(s->range);
	s->mem = NULL;
	s->range = NULL;
}

/* A file nobody else sees. /tmp may be memory, so it comes last. */
static int open_temp(void)
{
	const char *dirs[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	char name[512];

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		int fd = dirs[i] ? open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

		if (fd >= 0)
			return fd;
		if (!dirs[i] || (size_t)snprintf(name, sizeof name, "%s/lcpfs.XXXXXX", dirs[i]) >= sizeof name)
			continue;
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0) {
			unlink(name);
			return fd;
		}
	}
	return -1;
}

static int put_file(struct spool *s, const uint8_t *p, size_t len, uint64_t at, struct lcpfs_error *err)
{
	while (len) {
		ssize_t n = pwrite(s->fd, p, len, (off_t)at);

		if (n <= 0 && !(n < 0 && errno == EINTR))
			return lcpfs_fail_errno(err, n ? errno : EIO, "cannot write to a temporary file");
		if (n > 0) {
			p += n;
			at += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int to_file(struct spool *s, struct lcpfs_error *err)
{
	s->fd = open_temp();
	if (s->fd < 0)
		return lcpfs_fail_errno(err, errno, "cannot make a temporary file");
	return put_file(s, s->mem, (size_t)s->bytes, 0, err);
}

static int put(struct spool *s, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	int rc = 0;

	if (!s->mem && !(s->mem = malloc(SPOOL_MEMORY)))
		return lcpfs_nomem(err);
	if (s->fd < 0 && len > SPOOL_MEMORY - (size_t)s->bytes)
		rc = to_file(s, err);
	if (!rc && s->fd >= 0)
		rc = put_file(s, p, len, s->bytes, err);
	if (!rc && s->fd < 0)
		memcpy(s->mem + s->bytes, p, len);
	if (!rc)
		s->bytes += len;
	return rc;
}

/* A gap below this is stored as zeros; it grows with the map, so that the map stays small. */
static uint64_t least_gap(const struct spool *s)
{
	return s->n < 65536 ? 4096 : s->n < 1048576 ? 64 * KiB : MiB;
}

static int put_zeros(struct spool *s, uint64_t len, struct lcpfs_error *err)
{
	static const uint8_t zeros[4096];
	int rc = 0;

	while (len && !rc) {
		size_t n = (size_t)MIN(len, (uint64_t)sizeof zeros);

		rc = put(s, zeros, n, err);
		len -= n;
	}
	return rc;
}

static int new_range(struct spool *s, uint64_t off, struct lcpfs_error *err)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct spool_range *r = reallocarray(s->range, cap, sizeof *r);

		if (!r)
			return lcpfs_nomem(err);
		s->range = r;
		s->cap = cap;
	}
	s->range[s->n++] = (struct spool_range){ off, 0 };
	return 0;
}

int arch_spool_add(struct spool *s, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	uint64_t end = arch_spool_end(s), after;
	int rc = 0;

	if (off < end || add_overflow(off, len, &after) || after > INT64_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "content out of order");
	if (off - end >= least_gap(s))
		rc = new_range(s, off, err);
	else if (!s->n)
		rc = new_range(s, 0, err);
	if (!rc && off > arch_spool_end(s)) {
		uint64_t gap = off - arch_spool_end(s);

		rc = put_zeros(s, gap, err);
		if (!rc)
			s->range[s->n - 1].len += gap;
	}
	if (!rc)
		rc = put(s, buf, len, err);
	if (!rc)
		s->range[s->n - 1].len += len;
	return rc;
}

int arch_spool_get(struct spool *s, uint64_t pos, void *buf, size_t len, struct lcpfs_error *err)
{
	uint8_t *p = buf;

	if (s->fd < 0) {
		memcpy(p, s->mem + pos, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(s->fd, p, len, (off_t)pos);

		if (n <= 0 && !(n < 0 && errno == EINTR))
			return lcpfs_fail_errno(err, n ? errno : EIO, "cannot read back a temporary file");
		if (n > 0) {
			p += n;
			pos += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return 0;
}
