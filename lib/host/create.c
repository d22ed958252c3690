/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink: create entries beneath a directory.
 * Places in the tree are kept open: where directories are made, where hard links point, where each thread makes files (make.c). They move
 * one component at a time and never through a symlink, so that neither what was there before nor what an entry brought leads outside. A
 * file that was not completed is removed. Directories get their attributes in the end (dirs.c).
 * Entries come one by one (begin, write, end) or are given away whole (take): then files are made by several threads (crew.c), and hard
 * links wait until what they point at is there.
 */
#include "base/error.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINKS_WAIT 1024u /* hard links that are put off together */

struct create {
	struct entry_sink base;
	uint32_t flags;
	unsigned threads;
	struct warner w;
	struct maker mk;       /* where directories are made, and what comes one by one */
	struct dirstack from;
	struct dirs dirs;
	bool has_from, has_dirs;
	struct crew *crew;     /* made by the first take */
	struct entry *link;    /* put off */
	size_t n_links;
};

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
	if (!k->mk.restore.strip_acl && host_xattr_get(fd, "", false, "system.posix_acl_default", NULL, 0) > 0)
		k->mk.restore.strip_acl = true;
}

/* One component down where entries are made; missing ones are made. `fresh`: it is likely not there yet. */
static int step(struct create *k, const char *name, size_t len, bool fresh, struct lcpfs_error *err)
{
	struct dirstack *at = &k->mk.at;
	uint32_t parent = host_dirstack_top(at)->node, node;
	bool made = false;
	char part[256];
	int eno, rc;

	if (len > 255)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "name of %zu bytes is longer than 255", len);
	memcpy(part, name, len);
	part[len] = 0;
	eno = fresh ? ENOENT : host_dirstack_push(at, part, len);
	if (eno == ENOENT) {
		made = mkdirat(host_dirstack_top(at)->fd, part, 0700) == 0;
		eno = made || errno == EEXIST ? 0 : errno;
		eno = eno ? eno : host_dirstack_push(at, part, len);
	}
	if (eno)
		return lcpfs_fail_errno(err, eno, "cannot enter '%s'", part);
	rc = host_dirs_get(&k->dirs, parent, part, &node, err);
	if (rc)
		return rc;
	k->dirs.node[node].made |= made;
	host_dirstack_top(at)->node = node;
	if (!made)
		note_default_acl(k, host_dirstack_top(at)->fd);
	return 0;
}

static int step_down(void *arg, const char *name, size_t len, struct lcpfs_error *err)
{
	return step(arg, name, len, false, err);
}

static int begin_dir(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	int dirfd = host_dirstack_top(&k->mk.at)->fd, rc = 0;
	const char *name = k->mk.name;
	struct stat st;

	k->mk.skip = true;
	if (!*name)
		return host_dirs_set_attrs(&k->dirs, 0, e, err);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		rc = step(k, name, strlen(name), true, err);
	} else {
		if (!S_ISDIR(st.st_mode))
			rc = host_maker_replace(&k->mk, name, err);
		if (!rc)
			rc = step(k, name, strlen(name), false, err);
	}
	return rc ? rc : host_dirs_set_attrs(&k->dirs, host_dirstack_top(&k->mk.at)->node, e, err);
}

static bool is_same_file(struct create *k, const char *from_name)
{
	struct stat a, b;

	return fstatat(host_dirstack_top(&k->from)->fd, from_name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(host_dirstack_top(&k->mk.at)->fd, k->mk.name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int begin_link(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	const char *slash, *from_name;
	struct lcpfs_error why = { 0 };
	int eno = 0, rc;

	k->mk.skip = true;
	if (!e->link || !path_is_clean(e->link))
		return lcpfs_fail(err, LCPFS_EINVAL, "hard link to an unsafe path");
	slash = strrchr(e->link, '/');
	from_name = slash ? slash + 1 : e->link;
	rc = host_go(&k->from, e->link, slash ? (size_t)(slash - e->link) : 0, NULL, NULL, &why);
	if (!rc && is_same_file(k, from_name))
		return 0;
	if (!rc) {
		rc = host_maker_node(&k->mk, e, host_dirstack_top(&k->from)->fd, from_name, &eno, err);
		if (rc)
			return rc;
		if (!eno)
			return 0;
		rc = lcpfs_fail_errno(&why, eno, "cannot link");
	}
	lcpfs_within(&why, rc, "hard link to '%.200s'", e->link);
	if (rc == -LCPFS_ENOENT && !k->mk.left_out) {
		if (err)
			*err = why;
		return rc;
	}
	host_maker_leave_out(&k->mk, e->path, &why);
	return 0;
}

/* Stand where the entry belongs, and is its path one? */
static int go_to(struct create *k, const struct entry *e, struct lcpfs_error *err)
{
	const char *slash = strrchr(e->path, '/');

	host_maker_name(&k->mk, e);
	if (!*e->path ? !S_ISDIR(e->mode) || e->flags & ENTRY_HARDLINK : !path_is_clean(e->path))
		return lcpfs_fail(err, LCPFS_EINVAL, *e->path ? "unsafe path" : "only a directory can be the root");
	return host_go(&k->mk.at, e->path, slash ? (size_t)(slash - e->path) : 0, step_down, k, err);
}

static int create_begin(struct entry_sink *base, const struct entry *e, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	int rc = go_to(k, e, err);

	k->mk.w = k->w;
	if (!rc && e->flags & ENTRY_HARDLINK)
		rc = begin_link(k, e, err);
	else if (!rc && S_ISDIR(e->mode))
		rc = begin_dir(k, e, err);
	else if (!rc)
		rc = host_maker_begin(&k->mk, e, err);
	k->w = k->mk.w;
	if (rc)
		k->mk.skip = true;
	return rc ? lcpfs_within(err, rc, PATH_SHOWN, e->path) : 0;
}

static int create_write(struct entry_sink *base, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	return host_maker_write(&((struct create *)base)->mk, off, buf, len, err);
}

static int create_end(struct entry_sink *base, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	int rc;

	k->mk.w = k->w;
	rc = host_maker_end(&k->mk, err);
	k->w = k->mk.w;
	return rc;
}

/* ---- entries given away ---- */

/* What was added comes first: its failure is the one to tell. */
static int drain(struct create *k, int rc, struct lcpfs_error *err)
{
	struct lcpfs_error first;
	int before = k->crew ? host_crew_drain(k->crew, &k->mk.left_out, &first) : 0;

	if (before && err)
		*err = first;
	return before ? before : rc;
}

static int make_links(struct create *k, struct lcpfs_error *err)
{
	int rc = k->n_links ? drain(k, 0, err) : 0;

	for (size_t i = 0; i < k->n_links; i++) {
		if (!rc)
			rc = create_begin(&k->base, &k->link[i], err);
		entry_fini(&k->link[i]);
	}
	k->n_links = 0;
	return rc;
}

static int put_off(struct create *k, struct entry *e, struct lcpfs_error *err)
{
	if (!k->link && !(k->link = calloc(LINKS_WAIT, sizeof *k->link)))
		return lcpfs_nomem(err);
	k->link[k->n_links++] = *e;
	*e = (struct entry){ 0 };
	return k->n_links == LINKS_WAIT ? make_links(k, err) : 0;
}

static int take(struct create *k, struct entry *e, struct entry_content *c, struct lcpfs_error *err)
{
	int rc;

	if (e->flags & ENTRY_HARDLINK)
		return put_off(k, e, err);
	if (S_ISDIR(e->mode))
		return create_begin(&k->base, e, err);
	/* its directories are there before it is added */
	rc = go_to(k, e, err);
	if (rc) {
		if (c)
			c->ops->free(c);
		return lcpfs_within(err, rc, PATH_SHOWN, e->path);
	}
	k->mk.skip = true;
	return host_crew_add(k->crew, e, c, k->mk.restore.strip_acl, err);
}

static int create_take(struct entry_sink *base, struct entry *e, struct entry_content *c, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	int rc = 0;

	if (!k->crew)
		rc = host_crew_create(&k->crew, k->mk.at.lv[0].fd, k->flags, k->threads, &k->w, err);
	if (rc && c)
		c->ops->free(c);
	else if (!rc)
		rc = take(k, e, c, err);
	entry_fini(e);
	return rc ? drain(k, rc, err) : 0;
}

static int create_finish(struct entry_sink *base, struct lcpfs_error *err)
{
	struct create *k = (struct create *)base;
	int rc = drain(k, 0, err);

	if (!rc)
		rc = make_links(k, err);
	if (rc)
		return rc;
	k->mk.w = k->w;
	rc = host_dirs_restore(&k->dirs, k->mk.at.lv[0].fd, &k->mk.restore, err);
	k->w = k->mk.w;
	return rc;
}

static void create_close(struct entry_sink *base)
{
	struct create *k = (struct create *)base;

	if (!k)
		return;
	drain(k, 0, NULL);
	host_crew_destroy(k->crew);
	for (size_t i = 0; i < k->n_links; i++)
		entry_fini(&k->link[i]);
	free(k->link);
	host_maker_fini(&k->mk);
	if (k->has_from)
		host_dirstack_fini(&k->from);
	if (k->has_dirs)
		host_dirs_fini(&k->dirs);
	free(k);
}

static const struct entry_sink_ops create_ops = { create_begin, create_write, create_end, create_finish, create_close, create_take, NULL };

static int open_root(struct create *k, const char *path, struct lcpfs_error *err)
{
	bool made = mkdir(path, 0700) == 0;
	int fd, other, eno, rc;

	if (!made && errno != EEXIST)
		return lcpfs_fail_errno(err, errno, "cannot make directory '" PATH_SHOWN "'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return lcpfs_fail_errno(err, errno, "cannot open directory '" PATH_SHOWN "'", path);
	k->dirs.node[0].made = made;
	other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	eno = other < 0 ? errno : host_dirstack_init(&k->from, other);
	k->has_from = !eno;
	rc = eno ? lcpfs_fail_errno(err, eno, "cannot open directory '" PATH_SHOWN "'", path) : host_maker_init(&k->mk, fd, k->flags, DIRSTACK_WINDOW, err);
	if (!rc)
		note_default_acl(k, fd);
	close(fd);
	return rc;
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
	k->threads = o->threads;
	k->w = (struct warner){ .fn = o->warn, .arg = o->warn_arg };
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

void host_sink_tell(struct entry_sink *base, const char *path, const struct lcpfs_error *why)
{
	struct create *k = (struct create *)base;

	if (k->crew)
		host_crew_tell(k->crew, path, why);
	else
		warner_tell(&k->w, path, why);
}
