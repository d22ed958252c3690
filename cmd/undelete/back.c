/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a deleted file back: a free name, the directories above, the file with all that belongs to it. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "undelete/undelete.h"

void back_init(struct back *b)
{
	*b = (struct back){ .host = -1, .prefix = "" };
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

/* True when it was not there. */
static bool note_done(struct back *b, const char *path)
{
	char *copy = cmd_strdup(path);
	char **found = tsearch(copy, &b->done, by_name);
	bool new = found && *found == copy;

	if (!new)
		free(copy);
	return new;
}

static void forget(void *p) { free(p); }

void back_fini(struct back *b)
{
	tdestroy(b->done, forget);
	for (size_t i = 0; i < b->n_dirs; i++)
		free(b->dirs[i].path);
	free(b->dirs);
	if (b->host >= 0)
		close(b->host);
}

/* ---- the host's side: never through a symlink, whatever the states had in this place ---- */

/* The directory that `path` lies in, open; *last: its last component. */
static int host_parent(struct back *b, const char *path, const char **last, struct lcpfs_error *err)
{
	int fd = openat(b->host, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char *part = cmd_printf("%.*s", (int)(slash - path), path);
		int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
		free(part);
	}
	*last = path;
	return fd >= 0 ? fd : cmd_err(err, errno == EACCES ? LCPFS_EIO : LCPFS_ENOTDIR, "the folder for '%s' cannot be opened: %s", path, strerror(errno));
}

static int host_exists(struct back *b, const char *path)
{
	const char *last;
	struct stat st;
	int fd = host_parent(b, path, &last, NULL), yes;

	if (fd < 0)
		return 0;
	yes = !fstatat(fd, last, &st, AT_SYMLINK_NOFOLLOW);
	close(fd);
	return yes;
}

static int host_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	(void)err;
	(void)!fsetxattr(*(int *)arg, name, value, len, 0);
	return 0;
}

static int host_mkdir(struct back *b, struct lcpfs_dataset *in, const char *from, const char *path, const struct lcpfs_stat *st, struct lcpfs_error *err)
{
	const char *last;
	int fd = host_parent(b, path, &last, err), dir;

	if (fd < 0)
		return fd;
	dir = mkdirat(fd, last, 0700) && errno != EEXIST ? -1 : openat(fd, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	close(fd);
	if (dir < 0)
		return cmd_err(err, LCPFS_EIO, "the folder '%s' cannot be made: %s", path, strerror(errno));
	/* as far as this user may */
	(void)!fchown(dir, st->uid, st->gid);
	lcpfs_xattr_each(in, from, 0, host_xattr, &dir, NULL);
	(void)!fchmod(dir, st->mode & 07777);
	close(dir);
	return 0;
}

static void host_times(struct back *b, const struct dir_time *d)
{
	struct timespec t[2] = { { d->atime.sec, d->atime.nsec }, { d->mtime.sec, d->mtime.nsec } };
	const char *last;
	int fd = host_parent(b, d->path, &last, NULL);

	if (fd < 0)
		return;
	(void)!utimensat(fd, last, t, AT_SYMLINK_NOFOLLOW);
	close(fd);
}

/* ---- the dataset's side ---- */

struct xattr_to { struct lcpfs_dataset *ds; const char *path; };

static int pool_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	struct xattr_to *x = arg;

	return lcpfs_xattr_set(x->ds, x->path, 0, name, value, len, err);
}

static int pool_mkdir(struct back *b, struct lcpfs_dataset *in, const char *from, const char *path, const struct lcpfs_stat *st, struct lcpfs_error *err)
{
	struct xattr_to x = { b->to, path };
	int rc = lcpfs_mkdir(b->to, path, st->mode & 07777, false, err);

	if (!rc)
		rc = lcpfs_chown(b->to, path, 0, st->uid, st->gid, err);
	if (!rc)
		rc = lcpfs_xattr_each(in, from, 0, pool_xattr, &x, err);
	return rc ? rc : lcpfs_chmod(b->to, path, 0, st->mode & 07777, err);
}

/* ---- either ---- */

static bool exists(struct back *b, const char *path)
{
	struct lcpfs_stat st;

	return b->host >= 0 ? host_exists(b, path) : !lcpfs_stat(b->to, path, 0, &st, NULL);
}

static int make_dir(struct back *b, struct lcpfs_dataset *in, const char *from, const char *path, const struct lcpfs_stat *st, struct lcpfs_error *err)
{
	int rc = (b->host >= 0 ? host_mkdir : pool_mkdir)(b, in, from, path, st, err);

	if (rc)
		return rc;
	b->dirs = cmd_realloc(b->dirs, b->n_dirs + 1, sizeof *b->dirs);
	b->dirs[b->n_dirs++] = (struct dir_time){ cmd_strdup(path), st->atime, st->mtime };
	note_done(b, path);
	return 0;
}

/* Directories above `path` that are not there are made as they were; those of the prefix, which were nowhere, plainly. */
static int make_parents(struct back *b, const struct lcpfs_deleted *d, const char *path, struct lcpfs_error *err)
{
	size_t skip = strlen(b->prefix) + (*b->prefix != 0);
	int rc = 0;

	for (const char *slash = strchr(path, '/'); slash && !rc; slash = strchr(slash + 1, '/')) {
		char *dir = cmd_printf("%.*s", (int)(slash - path), path);
		struct lcpfs_stat st = { .mode = S_IFDIR | 0755, .uid = geteuid(), .gid = getegid(), .atime = cmd_now(), .mtime = cmd_now() };
		const char *old = strlen(dir) > skip || !skip ? dir + skip : "";
		if (!exists(b, dir)) {
			if (*old)
				rc = lcpfs_stat(d->in, old, 0, &st, err);
			if (!rc)
				rc = make_dir(b, d->in, old, dir, &st, err);
		}
		free(dir);
	}
	return rc;
}

static int put_file(struct back *b, const struct lcpfs_deleted *d, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_tree_opts o = { .warn = cmd_tree_warn, .flags = LCPFS_TREE_BASENAME | LCPFS_TREE_REFLINK };
	const char *slash = strrchr(path, '/'), *last = path;
	char *dir = cmd_printf("%.*s", slash ? (int)(slash - path) : 0, path), *at;
	int fd, rc;

	o.as = slash ? slash + 1 : path;
	if (b->host >= 0) {
		fd = host_parent(b, path, &last, err);
		rc = fd < 0 ? fd : 0;
		if (!rc) {
			at = cmd_printf("/proc/self/fd/%d", fd);
			o.flags = LCPFS_TREE_BASENAME;
			rc = lcpfs_tree_export(d->in, d->path, at, &o, NULL, err);
			free(at);
			close(fd);
		}
	} else {
		rc = lcpfs_tree_copy(d->in, d->path, b->to, dir, &o, NULL, err);
	}
	free(dir);
	return rc;
}

/* A name that nothing has: the old one, or with a suffix. */
static char *free_name(struct back *b, char *path)
{
	char *name = exists(b, path) ? cmd_printf("%s.undeleted", path) : cmd_strdup(path);

	for (unsigned n = 2; exists(b, name); n++) {
		free(name);
		name = cmd_printf("%s.undeleted-%u", path, n);
	}
	free(path);
	return name;
}

int back_one(struct back *b, const struct lcpfs_deleted *d, char **to, struct lcpfs_error *err)
{
	char *path = cmd_path_join(b->prefix, d->path);
	bool dir = S_ISDIR(d->st->mode), first = note_done(b, path);
	int rc;

	*to = NULL;
	/* a directory that is there again is what the rest goes into */
	if ((!first && !b->versions) || (dir && exists(b, path))) {
		free(path);
		return 0;
	}
	rc = make_parents(b, d, path, err);
	if (!rc && !dir)
		path = free_name(b, path);
	if (!rc)
		rc = dir ? make_dir(b, d->in, d->path, path, d->st, err) : put_file(b, d, path, err);
	if (rc) {
		free(path);
		return rc;
	}
	b->n++;
	*to = path;
	return 0;
}

int back_end(struct back *b, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = b->n_dirs; i-- && !rc;) {
		if (b->host >= 0)
			host_times(b, &b->dirs[i]);
		else
			rc = lcpfs_utimens(b->to, b->dirs[i].path, 0, &b->dirs[i].atime, &b->dirs[i].mtime, err);
	}
	return rc;
}
