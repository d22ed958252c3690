/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink: create entries beneath a directory.
 * Two places in the tree are kept open: `at`, where entries are made, and `from`, where hard links point. Both move one
 * component at a time and never through a symlink, so that neither what was there before nor what an entry brought
 * leads outside. A file is made 0600 and gets its attributes when its content is complete; one that was not completed is
 * removed. Directories wait until the end (dirs.c).
 */
#include "base/error.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOLE_BLOCK 4096u /* zeros are looked for in units of this */

struct create {
	struct entry_sink base;
	uint32_t flags;
	struct warner w;
	struct restore restore;
	struct dirstack at, from;
	struct dirs dirs;
	bool has_at, has_from, has_dirs;
	bool left_out;   /* something was: a hard link to it cannot be an error */
	/* the entry being made */
	const struct entry *cur;
	const char *name; /* last component of cur->path; in name_kept when it can be a file's, to outlive a failed entry */
	char name_kept[256];
	bool skip;        /* left out, or complete already */
	int fd;           /* regular file */
	uint64_t end;     /* behind the last byte written */
};

static void leave_out(struct create *k, const char *path, const struct lcpfs_error *why)
{
	warner_tell(&k->w, path, why);
	k->skip = k->left_out = true;
}

/* entry.h's rule, which keeps hostile names out: relative, no empty, "." or ".." component. */
static bool path_is_clean(const char *p)
{
	for (;;) {
		size_t n = strcspn(p, "/");

		if (!n || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static void note_default_acl(struct create *k, int fd)
{
	if (!k->restore.strip_acl && host_xattr_get(fd, "", false, "system.posix_acl_default", NULL, 0) > 0)
		k->restore.strip_acl = true;
}

/* A directory in the place where we stand; *made tells whether it is new. 0 or errno. */
static int make_dir(struct create *k, const char *name, bool *made)
{
	int dirfd = host_dirstack_top(&k->at)->fd;

	*made = mkdirat(dirfd, name, 0700) == 0;
	if (*made)
		return 0;
	return errno == EEXIST ? 0 : errno;
}

/* One component down where entries are made; missing ones are made. */
static int step_down(struct create *k, const char *name, size_t len, struct lcpfs_error *err)
{
	uint32_t parent = host_dirstack_top(&k->at)->node, node;
	bool made = false;
	char part[256];
	int eno, rc;

	if (len > 255)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "name of %zu bytes is longer than 255", len);
	memcpy(part, name, len);
	part[len] = 0;
	eno = host_dirstack_push(&k->at, part, len);
	if (eno == ENOENT) {
		eno = make_dir(k, part, &made);
		eno = eno ? eno : host_dirstack_push(&k->at, part, len);
	}
	if (eno)
		return lcpfs_fail_errno(err, eno, "cannot enter '%s'", part);
	rc = host_dirs_get(&k->dirs, parent, part, &node, err);
	if (rc)
		return rc;
	k->dirs.node[node].made |= made;
	host_dirstack_top(&k->at)->node = node;
	if (!made)
		note_default_acl(k, host_dirstack_top(&k->at)->fd);
	return 0;
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

/* Stand in the directory `path` (len bytes). */
static int go_to(struct create *k, const char *path, size_t len, struct lcpfs_error *err)
{
	size_t levels = host_dirstack_common(&k->at, path, len), pos;
	int rc = go_up(&k->at, levels, err);

	pos = levels > 1 ? k->at.path.len + 1 : 0;
	while (!rc && pos < len) {
		const char *slash = memchr(path + pos, '/', len - pos);
		size_t n = slash ? (size_t)(slash - path) - pos : len - pos;

		rc = step_down(k, path + pos, n, err);
		pos += n + 1;
	}
	return rc;
}

/* The same for hard-link targets: nothing is made. */
static int go_from(struct create *k, const char *path, size_t len, struct lcpfs_error *err)
{
	size_t levels = host_dirstack_common(&k->from, path, len), pos;
	int rc = go_up(&k->from, levels, err);

	pos = levels > 1 ? k->from.path.len + 1 : 0;
	while (!rc && pos < len) {
		const char *slash = memchr(path + pos, '/', len - pos);
		size_t n = slash ? (size_t)(slash - path) - pos : len - pos;
		int eno = n > 255 ? ENAMETOOLONG : host_dirstack_push(&k->from, path + pos, n);

		if (eno)
			rc = lcpfs_fail_errno(err, eno, "cannot enter '%.*s'", (int)MIN(n, (size_t)255), path + pos);
		pos += n + 1;
	}
	return rc;
}

/* What is in the way goes, if it may and is no directory. 0: try again. */
static int replace(struct create *k, const char *name, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&k->at)->fd;
	struct stat st;

	if (!(k->flags & HOST_SINK_OVERWRITE))
		return lcpfs_fail(err, LCPFS_EEXIST, "already exists");
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return lcpfs_fail(err, LCPFS_EISDIR, "a directory is in the way");
	if (unlinkat(dirfd, name, 0) && errno != ENOENT)
		return lcpfs_fail_errno(err, errno, "cannot replace");
	return 0;
}

static int begin_dir(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&k->at)->fd, rc;
	struct stat st;

	if (!*k->name) {
		rc = host_dirs_set_attrs(&k->dirs, 0, e, err);
		k->skip = true;
		return rc;
	}
	if (fstatat(dirfd, k->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
		rc = replace(k, k->name, err);
		if (rc)
			return rc;
	}
	rc = step_down(k, k->name, strlen(k->name), err);
	if (!rc)
		rc = host_dirs_set_attrs(&k->dirs, host_dirstack_top(&k->at)->node, e, err);
	k->skip = true;
	return rc;
}

static int begin_file(struct create *k, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&k->at)->fd, rc;

	for (int tries = 0;; tries++) {
		k->fd = host_beneath_open(dirfd, k->name, O_RDWR | O_CREAT | O_EXCL | O_NOCTTY, 0600);
		if (k->fd >= 0)
			return 0;
		if (errno != EEXIST || tries)
			return lcpfs_fail_errno(err, errno, "cannot create");
		rc = replace(k, k->name, err);
		if (rc)
			return rc;
	}
}

/* One system call that makes a symlink, a special file or a hard link. 0 or errno. */
static int make_one(struct create *k, const struct entry *e, const char *from_name)
{
	int dirfd = host_dirstack_top(&k->at)->fd, rc;

	if (from_name)
		rc = linkat(host_dirstack_top(&k->from)->fd, from_name, dirfd, k->name, 0);
	else if (S_ISLNK(e->mode))
		rc = symlinkat(e->link ? e->link : "", dirfd, k->name);
	else
		rc = mknodat(dirfd, k->name, (e->mode & S_IFMT) | 0600, makedev(e->rdev_major, e->rdev_minor));
	return rc ? errno : 0;
}

static int make_or_replace(struct create *k, const struct entry *e, const char *from_name, int *eno,
                           struct lcpfs_error *err)
{
	int rc;

	*eno = make_one(k, e, from_name);
	if (*eno != EEXIST)
		return 0;
	rc = replace(k, k->name, err);
	if (!rc)
		*eno = make_one(k, e, from_name);
	return rc;
}

static bool is_same_file(struct create *k, const char *from_name)
{
	struct stat a, b;

	return fstatat(host_dirstack_top(&k->from)->fd, from_name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(host_dirstack_top(&k->at)->fd, k->name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int begin_link(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	const char *slash, *from_name;
	struct lcpfs_error why = { 0 };
	int eno = 0, rc;

	k->skip = true;
	if (!e->link || !path_is_clean(e->link))
		return lcpfs_fail(err, LCPFS_EINVAL, "hard link to an unsafe path");
	slash = strrchr(e->link, '/');
	from_name = slash ? slash + 1 : e->link;
	rc = go_from(k, e->link, slash ? (size_t)(slash - e->link) : 0, &why);
	if (!rc && is_same_file(k, from_name))
		return 0;
	if (!rc) {
		rc = make_or_replace(k, e, from_name, &eno, err);
		if (rc)
			return rc;
		if (!eno)
			return 0;
		rc = lcpfs_fail_errno(&why, eno, "cannot link");
	}
	lcpfs_within(&why, rc, "hard link to '%.200s'", e->link);
	if (rc == -LCPFS_ENOENT && !k->left_out) {
		if (err)
			*err = why;
		return rc;
	}
	leave_out(k, e->path, &why);
	return 0;
}

static int begin_special(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	struct lcpfs_error why;
	int eno, rc;

	if ((S_ISCHR(e->mode) || S_ISBLK(e->mode)) && k->flags & HOST_SINK_SAFE) {
		lcpfs_fail(&why, LCPFS_EPERM, "device node left out");
		leave_out(k, e->path, &why);
		return 0;
	}
	rc = make_or_replace(k, e, NULL, &eno, err);
	if (rc)
		return rc;
	if (eno == ENOSPC || eno == EDQUOT || eno == EROFS)
		return lcpfs_fail_errno(err, eno, "cannot create");
	if (eno) {
		lcpfs_fail_errno(&why, eno, "cannot create");
		leave_out(k, e->path, &why);
		return 0;
	}
	host_restore_all(&k->restore, host_dirstack_top(&k->at)->fd, k->name, e->path, e);
	k->skip = true;
	return 0;
}

static int begin_type(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	if (e->flags & ENTRY_HARDLINK)
		return begin_link(k, e, err);
	switch (e->mode & S_IFMT) {
	case S_IFDIR:
		return begin_dir(k, e, err);
	case S_IFREG:
		return begin_file(k, err);
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return begin_special(k, e, err);
	}
	return lcpfs_fail(err, LCPFS_EUNSUP, "unknown file type %o", e->mode & S_IFMT);
}

static int create_begin(struct entry_sink *base, const struct entry *e, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	const char *slash = strrchr(e->path, '/');
	int rc = 0;

	k->cur = e;
	k->name = slash ? slash + 1 : e->path;
	if (strlen(k->name) < sizeof k->name_kept)
		k->name = memcpy(k->name_kept, k->name, strlen(k->name) + 1);
	k->skip = false;
	k->end = 0;
	if (!*e->path ? !S_ISDIR(e->mode) || e->flags & ENTRY_HARDLINK : !path_is_clean(e->path))
		rc = lcpfs_fail(err, LCPFS_EINVAL, *e->path ? "unsafe path" : "only a directory can be the root");
	if (!rc)
		rc = go_to(k, e->path, slash ? (size_t)(slash - e->path) : 0, err);
	if (!rc)
		rc = begin_type(k, e, err);
	if (rc)
		k->skip = true;
	return rc ? lcpfs_within(err, rc, PATH_SHOWN, e->path) : 0;
}

static int write_all(struct create *k, uint64_t off, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	while (len) {
		ssize_t n = pwrite(k->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return lcpfs_fail_errno(err, n ? errno : EIO, PATH_SHOWN ": cannot write", k->cur->path);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	k->end = off;
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

static int create_write(struct entry_sink *base, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	const uint8_t *p = buf;
	uint64_t end;

	if (k->skip)
		return 0;
	if (add_overflow(off, len, &end) || end > INT64_MAX || end > k->cur->size)
		return lcpfs_fail(err, LCPFS_EINVAL, PATH_SHOWN ": content beyond its size of %" PRIu64, k->cur->path, k->cur->size);
	while (len) {
		bool zero = false;
		size_t run = run_of(off, p, len, &zero);
		int rc = zero ? 0 : write_all(k, off, p, run, err);

		if (rc)
			return rc;
		p += run;
		off += run;
		len -= run;
	}
	return 0;
}

static void drop_partial(struct create *k)
{
	if (k->fd < 0)
		return;
	unlinkat(host_dirstack_top(&k->at)->fd, k->name, 0);
	close(k->fd);
	k->fd = -1;
}

static int create_end(struct entry_sink *base, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	const struct entry *e = k->cur;
	int fd = k->fd, rc = 0;

	if (k->skip)
		return 0;
	if (k->end != e->size && ftruncate(fd, (off_t)MIN(e->size, (uint64_t)INT64_MAX)))
		rc = lcpfs_fail_errno(err, errno, PATH_SHOWN ": cannot set the size to %" PRIu64, e->path, e->size);
	if (rc) {
		drop_partial(k);
		return rc;
	}
	host_restore_all(&k->restore, fd, "", e->path, e);
	k->fd = -1;
	k->skip = true;
	if (close(fd))
		return lcpfs_fail_errno(err, errno, PATH_SHOWN ": cannot write", e->path);
	return 0;
}

static int create_finish(struct entry_sink *base, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;

	return host_dirs_restore(&k->dirs, k->at.lv[0].fd, &k->restore, err);
}

static void create_close(struct entry_sink *base)
{
	struct create *k = (struct create *)base;

	if (!k)
		return;
	drop_partial(k);
	if (k->has_at)
		host_dirstack_fini(&k->at);
	if (k->has_from)
		host_dirstack_fini(&k->from);
	if (k->has_dirs)
		host_dirs_fini(&k->dirs);
	host_restore_fini(&k->restore);
	free(k);
}

static const struct entry_sink_ops create_ops = { create_begin, create_write, create_end, create_finish, create_close };

static int open_root(struct create *k, const char *path, struct lcpfs_error *err)
{
	bool made = mkdir(path, 0700) == 0;
	int fd, other, eno;

	if (!made && errno != EEXIST)
		return lcpfs_fail_errno(err, errno, "cannot make directory '" PATH_SHOWN "'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lcpfs_fail_errno(err, errno, "cannot open directory '" PATH_SHOWN "'", path);
	note_default_acl(k, fd);
	k->dirs.node[0].made = made;
	other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	eno = host_dirstack_init(&k->at, fd);
	k->has_at = !eno;
	if (other < 0)
		return lcpfs_fail_errno(err, errno, "cannot open directory '" PATH_SHOWN "'", path);
	k->has_from = host_dirstack_init(&k->from, other) == 0;
	return k->has_at && k->has_from ? 0 : lcpfs_fail_errno(err, eno ? eno : ENOMEM,
	    "cannot open directory '" PATH_SHOWN "'", path);
}

int host_sink_open(struct entry_sink **out, const char *path, const struct host_sink_opts *o, struct lcpfs_error *err)
{
	static const struct host_sink_opts none;
	struct create *k;
	int rc;

	*out = NULL;
	o = o ? o : &none;
	if (o->flags & ~(HOST_SINK_OWNER | HOST_SINK_NO_OWNER | HOST_SINK_SAFE | HOST_SINK_NO_XATTR |
	    HOST_SINK_OVERWRITE | HOST_SINK_NUMERIC))
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown flags for a host tree");
	k = calloc(1, sizeof *k);
	if (!k)
		return lcpfs_nomem(err);
	k->base.ops = &create_ops;
	k->flags = o->flags;
	k->fd = -1;
	k->skip = true;
	k->w = (struct warner){ .fn = o->warn, .arg = o->warn_arg };
	host_restore_init(&k->restore, o->flags, &k->w);
	rc = host_dirs_init(&k->dirs, err);
	k->has_dirs = true;
	if (!rc)
		rc = open_root(k, path, err);
	if (rc) {
		create_close(&k->base);
		return rc;
	}
	*out = &k->base;
	return 0;
}

uint64_t host_sink_warnings(const struct entry_sink *k)
{
	return ((const struct create *)k)->w.count;
}
