/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mkfs: the places where a pool is made.
 * An image is built under a temporary name in its own directory and renamed when it was read back: whoever looks sees the old
 * file, or the whole new one, or nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "mkfs/mkfs.h"

static bool good(int status) { return status == CMD_OK || status == CMD_PARTIAL; }

/* Fill and close. */
static int build(struct mkfs *m, struct lcpfs_pool *pool)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool_info info;
	int status = mkfs_fill(m, pool);

	if (good(status) && !lcpfs_pool_info(pool, &info, NULL))
		m->bytes = info.device_bytes;
	if (lcpfs_pool_close(pool, &err) && good(status))
		status = cmd_worse(CMD_FAILED, cmd_fail(&err, "cannot finish '%s'", m->image));
	return status;
}

static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? cmd_strdup(".") : slash == path ? cmd_strdup("/") : cmd_printf("%.*s", (int)(slash - path), path);
}

/* ---- the image must not swallow itself ---- */

/* A pattern that matches exactly `s`. */
static char *literal_pattern(const char *s)
{
	char *out = cmd_alloc(2 * strlen(s) + 1), *p = out;

	for (; *s; s++) {
		if (strchr("*?[]\\", *s))
			*p++ = '\\';
		*p++ = *s;
	}
	return out;
}

static void exclude_from(struct mkfs *m, const char *source_dir, const char *real_dir, const char *base)
{
	size_t n = strlen(source_dir);
	const char *below = real_dir + n;
	char *rel, *pattern;

	if (strncmp(source_dir, real_dir, n) || (*below && *below != '/' && strcmp(source_dir, "/")))
		return;
	rel = cmd_path_join(below + strspn(below, "/"), base);
	pattern = literal_pattern(rel);
	cmd_tree_exclude(&m->tree, pattern);
	free(pattern);
	free(rel);
}

static void exclude_self(struct mkfs *m, const char *tmp)
{
	char *dir = dir_of(m->image), real_dir[PATH_MAX], source[PATH_MAX];

	for (size_t i = 0; realpath(dir, real_dir) && i < m->n_sources; i++) {
		if (!m->sources[i].path || !realpath(m->sources[i].path, source))
			continue;
		exclude_from(m, source, real_dir, cmd_basename(tmp));
		exclude_from(m, source, real_dir, cmd_basename(m->image));
	}
	free(dir);
}

/* ---- image files ---- */

static int check_image(const struct mkfs *m)
{
	struct stat st;

	if (lstat(m->image, &st))
		return errno == ENOENT ? CMD_OK : cmd_fail_errno(errno, "cannot make '%s'", m->image);
	if (S_ISDIR(st.st_mode))
		return cmd_fail_code(LCPFS_EISDIR, "cannot make '%s': it is a directory", m->image);
	if (!cmd.force)
		return cmd_fail_code(LCPFS_EEXIST, "cannot make '%s': it exists (-f replaces it)", m->image);
	return CMD_OK;
}

static int sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int put_in_place(const struct mkfs *m, const char *tmp)
{
	char *dir = dir_of(m->image);
	int rc = sync_path(tmp, O_RDONLY);

	if (!rc)
		rc = renameat2(AT_FDCWD, tmp, AT_FDCWD, m->image, cmd.force ? 0 : RENAME_NOREPLACE);
	if (rc && errno == EINVAL && !cmd.force)
		rc = link(tmp, m->image) ? -1 : unlink(tmp); /* file systems without RENAME_NOREPLACE */
	if (!rc) {
		cmd_temp_file(NULL);
		rc = sync_path(dir, O_RDONLY | O_DIRECTORY);
	}
	free(dir);
	return rc ? cmd_fail_errno(errno, "cannot make '%s'", m->image) : CMD_OK;
}

static char *temp_name(const char *image)
{
	char *name = NULL;
	struct stat st;

	for (unsigned i = 0; !name || !lstat(name, &st); i++) {
		free(name);
		name = cmd_printf("%s.tmp-%ld-%u", image, (long)getpid(), i);
	}
	return name;
}

int mkfs_image(struct mkfs *m)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *pool = NULL;
	int status = check_image(m);
	struct stat st;
	char *tmp;

	if (status)
		return status;
	tmp = temp_name(m->image);
	exclude_self(m, tmp);
	cmd_temp_file(tmp);
	if (lcpfs_pool_create(&pool, tmp, &m->create, &err))
		status = cmd_worse(CMD_FAILED, cmd_fail(&err, "cannot make '%s'", m->image));
	else
		status = build(m, pool);
	if (good(status) && m->verify)
		status = cmd_worse(status, mkfs_verify(m, tmp));
	if (good(status) && !stat(tmp, &st))
		m->bytes = (uint64_t)st.st_size;
	if (good(status))
		status = cmd_worse(status, put_in_place(m, tmp));
	if (!good(status))
		unlink(tmp);
	cmd_temp_file(NULL);
	free(tmp);
	return status;
}

/* ---- block devices ---- */

int mkfs_device(struct mkfs *m)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *pool = NULL;
	int status = mkfs_probe(m->image);

	if (status)
		return status;
	if (m->create.size_bytes)
		cmd_usage("--size is for image files");
	if (lcpfs_pool_create(&pool, m->image, &m->create, &err))
		return cmd_worse(CMD_FAILED, cmd_fail(&err, "cannot make '%s'", m->image));
	status = build(m, pool);
	if (good(status) && m->verify)
		status = cmd_worse(status, mkfs_verify(m, m->image));
	return status;
}

/* ---- -n ---- */

/* A file without a name: whatever happens, nothing of it stays. */
static int nameless_file(void)
{
	const char *tmpdir = getenv("TMPDIR");
	char *dir = tmpdir && *tmpdir ? cmd_strdup(tmpdir) : cmd_strdup("/tmp"), *name;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) {
		name = cmd_path_join(dir, "lcpfs-XXXXXX");
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
		free(name);
	}
	free(dir);
	return fd;
}

int mkfs_dry(struct mkfs *m)
{
	struct lcpfs_blockdev *dev = NULL;
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *pool = NULL;
	struct stat st;
	char path[64];
	int status = CMD_OK, fd;

	if (stat(m->image, &st) || !S_ISBLK(st.st_mode))
		status = check_image(m);
	else if (!cmd.force)
		status = mkfs_probe(m->image);
	if (status)
		return status;
	fd = nameless_file();
	if (fd < 0)
		return cmd_fail_errno(errno, "cannot make a temporary file");
	exclude_self(m, m->image);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (lcpfs_blockdev_open(&dev, path, LCPFS_DEV_OPEN_RW, &err) || lcpfs_pool_create_dev(&pool, dev, &m->create, &err))
		status = cmd_worse(CMD_FAILED, cmd_fail(&err, "cannot try '%s'", m->image));
	else
		status = build(m, pool);
	if (good(status) && !fstat(fd, &st))
		m->bytes = (uint64_t)st.st_size;
	close(fd);
	return status;
}
