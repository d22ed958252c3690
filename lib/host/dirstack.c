/* SPDX-License-Identifier: Apache-2.0 */
#include "host/dirstack.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int level_add(struct dirstack *ds, int fd, size_t name_at)
{
	struct stat st;
	struct dirlevel *l;

	if (fstat(fd, &st))
		return errno;
	if (ds->n == ds->cap) {
		size_t cap = ds->cap ? ds->cap * 2 : 16;

		l = reallocarray(ds->lv, cap, sizeof *l);
		if (!l)
			return ENOMEM;
		ds->lv = l;
		ds->cap = cap;
	}
	ds->lv[ds->n++] = (struct dirlevel){ .fd = fd, .name_at = name_at, .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

int host_dirstack_init(struct dirstack *ds, int root_fd)
{
	int eno;

	*ds = (struct dirstack){ .lo = 1, .window = DIRSTACK_WINDOW };
	buf_printf(&ds->path, "%s", "");
	eno = ds->path.failed ? ENOMEM : level_add(ds, root_fd, 0);
	if (eno) {
		close(root_fd);
		buf_fini(&ds->path);
	}
	return eno;
}

static void level_drop(struct dirstack *ds)
{
	struct dirlevel *l = host_dirstack_top(ds);

	if (l->fd >= 0)
		close(l->fd);
	if (l->data && ds->free_data)
		ds->free_data(l->data);
	ds->path.len = l->name_at ? l->name_at - 1 : 0;
	ds->path.data[ds->path.len] = 0;
	ds->n--;
}

void host_dirstack_fini(struct dirstack *ds)
{
	while (ds->n)
		level_drop(ds);
	free(ds->lv);
	buf_fini(&ds->path);
	*ds = (struct dirstack){ 0 };
}

/* The name goes behind the path; returns where it begins. */
static bool path_add(struct dirstack *ds, const char *name, size_t len, size_t *at)
{
	bool slash = ds->n > 1;

	if (!buf_reserve(&ds->path, len + 2)) {
		ds->path.failed = false;
		return false;
	}
	if (slash)
		ds->path.data[ds->path.len++] = '/';
	*at = ds->path.len;
	memcpy(ds->path.data + *at, name, len);
	ds->path.len += len;
	ds->path.data[ds->path.len] = 0;
	return true;
}

/* Reading a directory changes its atime unless asked not to, which only its owner may. */
static int open_dir(int dirfd, const char *name)
{
	int fd = host_beneath_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOATIME, 0);

	return fd < 0 && errno == EPERM ? host_beneath_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0) : fd;
}

int host_dirstack_push(struct dirstack *ds, const char *name, size_t len)
{
	size_t at, old = ds->path.len;
	int fd, eno;

	if (!path_add(ds, name, len, &at))
		return ENOMEM;
	fd = open_dir(host_dirstack_top(ds)->fd, (char *)ds->path.data + at);
	eno = fd < 0 ? errno : level_add(ds, fd, at);
	if (eno) {
		if (fd >= 0)
			close(fd);
		ds->path.len = old;
		ds->path.data[old] = 0;
		return eno;
	}
	if (ds->n - ds->lo > ds->window) {
		close(ds->lv[ds->lo].fd);
		ds->lv[ds->lo++].fd = -1;
	}
	return 0;
}

static bool same_dir(int fd, const struct dirlevel *l)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

/* Level `at` again, by names from the root. The path still holds the names of all levels up to it. */
static int walk_down(const struct dirstack *ds, size_t at)
{
	int fd = ds->lv[0].fd;

	for (size_t i = 1; i <= at; i++) {
		size_t from = ds->lv[i].name_at, to = i + 1 < ds->n ? ds->lv[i + 1].name_at - 1 : ds->path.len;
		char *name = strndup((char *)ds->path.data + from, to - from);
		int next = name ? open_dir(fd, name) : -1;

		free(name);
		if (i > 1)
			close(fd);
		if (next < 0)
			return -1;
		fd = next;
	}
	return fd;
}

static int reopen_parent(struct dirstack *ds)
{
	struct dirlevel *l = &ds->lv[ds->n - 2];
	int child = host_dirstack_top(ds)->fd;
	int fd = child < 0 ? -1 : openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!same_dir(fd, l)) {
		if (fd >= 0)
			close(fd);
		fd = walk_down(ds, ds->n - 2);
	}
	if (!same_dir(fd, l)) {
		if (fd >= 0)
			close(fd);
		return ESTALE;
	}
	l->fd = fd;
	return 0;
}

int host_dirstack_pop(struct dirstack *ds)
{
	int eno = ds->lv[ds->n - 2].fd < 0 ? reopen_parent(ds) : 0;

	level_drop(ds);
	if (ds->lo >= ds->n)
		ds->lo = ds->n > 1 ? ds->n - 1 : 1;
	return eno;
}

size_t host_dirstack_common(const struct dirstack *ds, const char *path, size_t len)
{
	const char *mine = host_dirstack_path(ds);
	size_t same = 0, n = 1;

	while (same < len && same < ds->path.len && mine[same] == path[same])
		same++;
	for (; n < ds->n; n++) {
		size_t end = n + 1 < ds->n ? ds->lv[n + 1].name_at - 1 : ds->path.len;

		if (end > same || (end < len && path[end] != '/'))
			break;
	}
	return n;
}
