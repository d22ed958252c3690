/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maker: files, symlinks and special files, one at a time, in directories that exist. Each thread of a sink has one, as each stands
 * somewhere else in the tree.
 * A new file asks for no more than it needs: where a first file shows that new ones belong to the right owner, the others are made with
 * their final mode and nothing is left to change but their times. Until then a file is made 0600, so it never lets in more than in the end.
 */
#include "base/error.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOLE_BLOCK 4096u /* zeros are looked for in units of this */

/* The mode bits that new files lose; all of them when the system does not say. */
static uint32_t umask_of(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned mask = 07777;
	char line[256];

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Umask: %o", &mask) == 1)
			break;
	if (f)
		fclose(f);
	return mask;
}

int host_maker_init(struct maker *m, int root_fd, uint32_t flags, unsigned window, struct lcpfs_error *err)
{
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0), eno;

	*m = (struct maker){ .flags = flags, .fd = -1, .skip = true, .umask = umask_of() };
	host_restore_init(&m->restore, flags, &m->w);
	eno = fd < 0 ? errno : host_dirstack_init(&m->at, fd);
	m->has_at = !eno;
	m->at.window = window;
	return eno ? lcpfs_fail_errno(err, eno, "cannot open the target directory") : 0;
}

void host_maker_fini(struct maker *m)
{
	if (!m->has_at)
		return;
	host_maker_drop(m);
	host_dirstack_fini(&m->at);
	host_restore_fini(&m->restore);
	m->has_at = false;
}

void host_maker_leave_out(struct maker *m, const char *path, const struct lcpfs_error *why)
{
	warner_tell(&m->w, path, why);
	m->skip = m->left_out = true;
}

static int go_up(struct dirstack *ds, size_t levels, struct lcpfs_error *err)
{
	while (ds->n > levels) {
		int eno = host_dirstack_pop(ds);

		if (eno && ds->n == levels)
			return lcpfs_fail_errno(err, eno, "the directory was moved");
	}
	return host_dirstack_top(ds)->fd < 0 ? lcpfs_fail(err, LCPFS_EBUSY, "the directory was moved") : 0;
}

static int enter(void *arg, const char *name, size_t len, struct lcpfs_error *err)
{
	int eno = len > 255 ? ENAMETOOLONG : host_dirstack_push(arg, name, len);

	return eno ? lcpfs_fail_errno(err, eno, "cannot enter '%.*s'", (int)MIN(len, (size_t)255), name) : 0;
}

int host_go(struct dirstack *ds, const char *path, size_t len, host_step_fn *step, void *arg, struct lcpfs_error *err)
{
	size_t levels = host_dirstack_common(ds, path, len), pos;
	int rc = go_up(ds, levels, err);

	pos = levels > 1 ? ds->path.len + 1 : 0;
	while (!rc && pos < len) {
		const char *slash = memchr(path + pos, '/', len - pos);
		size_t n = slash ? (size_t)(slash - path) - pos : len - pos;

		rc = step ? step(arg, path + pos, n, err) : enter(ds, path + pos, n, err);
		pos += n + 1;
	}
	return rc;
}

int host_maker_replace(struct maker *m, const char *name, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&m->at)->fd;
	struct stat st;

	if (!(m->flags & HOST_SINK_OVERWRITE))
		return lcpfs_fail(err, LCPFS_EEXIST, "already exists");
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return lcpfs_fail(err, LCPFS_EISDIR, "a directory is in the way");
	if (unlinkat(dirfd, name, 0) && errno != ENOENT)
		return lcpfs_fail_errno(err, errno, "cannot replace");
	return 0;
}

/* The mode a file can be made with and then keeps, 0: it is to be set in the end. */
static uint32_t mode_at_once(struct maker *m, const struct entry *e)
{
	const struct dirlevel *l = host_dirstack_top(&m->at);
	uint32_t mode = e->mode & 07777;

	if (m->restore.strip_acl || mode & 07000 || mode & m->umask || e->n_xattr)
		return 0;
	if (m->restore.owner && !host_restore_is_owner(&m->restore, e, l))
		return 0;
	return mode;
}

/* What a new file belongs to in the directory where we stand is asked once. */
static void note_owner(struct maker *m)
{
	struct dirlevel *l = host_dirstack_top(&m->at);
	struct stat st;

	if (!m->restore.owner || l->owner_known || fstat(m->fd, &st))
		return;
	l->owner_known = true;
	l->uid = st.st_uid;
	l->gid = st.st_gid;
}

static int begin_file(struct maker *m, const struct entry *e, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&m->at)->fd, rc;
	uint32_t mode = mode_at_once(m, e);

	m->has_mode = mode != 0;
	for (int tries = 0;; tries++) {
		/* O_EXCL: nothing that is there is opened, and no symlink followed */
		m->fd = openat(dirfd, m->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode ? mode : 0600);
		if (m->fd >= 0) {
			note_owner(m);
			return 0;
		}
		if (errno != EEXIST || tries)
			return lcpfs_fail_errno(err, errno, "cannot create");
		rc = host_maker_replace(m, m->name, err);
		if (rc)
			return rc;
	}
}

/* One system call that makes a symlink, a special file or a hard link. 0 or errno. */
static int make_one(struct maker *m, const struct entry *e, int from_fd, const char *from_name)
{
	int dirfd = host_dirstack_top(&m->at)->fd, rc;

	if (from_name)
		rc = linkat(from_fd, from_name, dirfd, m->name, 0);
	else if (S_ISLNK(e->mode))
		rc = symlinkat(e->link ? e->link : "", dirfd, m->name);
	else
		rc = mknodat(dirfd, m->name, (e->mode & S_IFMT) | 0600, makedev(e->rdev_major, e->rdev_minor));
	return rc ? errno : 0;
}

int host_maker_node(struct maker *m, const struct entry *e, int from_fd, const char *from_name, int *eno, struct lcpfs_error *err)
{
	int rc;

	*eno = make_one(m, e, from_fd, from_name);
	if (*eno != EEXIST)
		return 0;
	rc = host_maker_replace(m, m->name, err);
	if (!rc)
		*eno = make_one(m, e, from_fd, from_name);
	return rc;
}

static int begin_special(struct maker *m, const struct entry *e, struct lcpfs_error *err)
{
	struct lcpfs_error why;
	int eno, rc;

	if ((S_ISCHR(e->mode) || S_ISBLK(e->mode)) && m->flags & HOST_SINK_SAFE) {
		lcpfs_fail(&why, LCPFS_EPERM, "device node left out");
		host_maker_leave_out(m, e->path, &why);
		return 0;
	}
	rc = host_maker_node(m, e, -1, NULL, &eno, err);
	if (rc)
		return rc;
	if (eno == ENOSPC || eno == EDQUOT || eno == EROFS)
		return lcpfs_fail_errno(err, eno, "cannot create");
	if (eno) {
		lcpfs_fail_errno(&why, eno, "cannot create");
		host_maker_leave_out(m, e->path, &why);
		return 0;
	}
	host_restore_all(&m->restore, host_dirstack_top(&m->at)->fd, m->name, e->path, e);
	m->skip = true;
	return 0;
}

void host_maker_name(struct maker *m, const struct entry *e)
{
	const char *slash = strrchr(e->path, '/');

	m->cur = e;
	m->name = slash ? slash + 1 : e->path;
	if (strlen(m->name) < sizeof m->name_kept)
		m->name = memcpy(m->name_kept, m->name, strlen(m->name) + 1);
	m->skip = false;
	m->end = 0;
}

int host_maker_begin(struct maker *m, const struct entry *e, struct lcpfs_error *err)
{
	switch (e->mode & S_IFMT) {
	case S_IFREG:
		return begin_file(m, e, err);
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return begin_special(m, e, err);
	}
	return lcpfs_fail(err, LCPFS_EUNSUP, "unknown file type %o", e->mode & S_IFMT);
}

static int write_all(int fd, const char *path, uint64_t off, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lcpfs_fail_errno(err, n ? errno : EIO, PATH_SHOWN ": cannot write", path);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* How many bytes at off lie in the same kind of blocks, all zero or not. */
static size_t run_of(uint64_t off, const uint8_t *p, size_t len, bool *zero)
{
	size_t run = 0;

	while (run < len) {
		size_t n = MIN(HOLE_BLOCK - (size_t)((off + run) % HOLE_BLOCK), len - run);
		bool z = is_all_zero(p + run, n);

		if (run && z != *zero)
			break;
		*zero = z;
		run += n;
	}
	return run;
}

int host_write_data(int fd, const struct entry *e, uint64_t off, const void *buf, size_t len, uint64_t *data_end, struct lcpfs_error *err)
{
	const uint8_t *p = buf;
	uint64_t end;

	if (add_overflow(off, len, &end) || end > INT64_MAX || end > e->size)
		return lcpfs_fail(err, LCPFS_EINVAL, PATH_SHOWN ": content beyond its size of %" PRIu64, e->path, e->size);
	while (len) {
		bool zero = false;
		size_t run = run_of(off, p, len, &zero);
		int rc = zero ? 0 : write_all(fd, e->path, off, p, run, err);

		if (rc)
			return rc;
		p += run;
		off += run;
		len -= run;
		if (!zero)
			*data_end = off;
	}
	return 0;
}

int host_maker_write(struct maker *m, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	return m->skip ? 0 : host_write_data(m->fd, m->cur, off, buf, len, &m->end, err);
}

void host_maker_drop(struct maker *m)
{
	if (m->fd < 0)
		return;
	unlinkat(host_dirstack_top(&m->at)->fd, m->name, 0);
	close(m->fd);
	m->fd = -1;
}

int host_maker_end(struct maker *m, struct lcpfs_error *err)
{
	const struct entry *e = m->cur;
	int fd = m->fd;

	if (m->skip)
		return 0;
	if (m->end != e->size && ftruncate(fd, (off_t)MIN(e->size, (uint64_t)INT64_MAX))) {
		int rc = lcpfs_fail_errno(err, errno, PATH_SHOWN ": cannot set the size to %" PRIu64, e->path, e->size);

		host_maker_drop(m);
		return rc;
	}
	if (m->has_mode)
		host_restore_times(&m->restore, fd, "", e->path, e);
	else
		host_restore_all(&m->restore, fd, "", e->path, e);
	m->fd = -1;
	m->skip = true;
	if (close(fd))
		return lcpfs_fail_errno(err, errno, PATH_SHOWN ": cannot write", e->path);
	return 0;
}
