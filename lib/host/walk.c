/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A depth-first walk in byte order of names. Each directory on the way holds its remaining names; the descriptors are
 * dirstack's. A directory is yielded first and entered by the call after.
 */
#include "base/error.h"
#include "base/exclude.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct names {
	char *arena;
	char **v;
	size_t n, i;
};

struct walk {
	uint32_t flags;
	const char *const *exclude;
	struct warner w;
	char *prefix;        /* first component of every path, or NULL */
	char *file_name;     /* the operand is a file: its name in the root of ds */
	struct dirstack ds;
	bool has_ds, started, eager;
	const char *descend; /* the directory just yielded, to be entered; "" is the root */
	dev_t root_dev;
	struct attrs_reader reader;
	struct links links;
	struct dirref *here; /* of the directory on top, or NULL */
};

static void names_free(void *data)
{
	struct names *nm = data;

	if (!nm)
		return;
	free(nm->arena);
	free(nm->v);
	free(nm);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_dots(const char *n)
{
	return n[0] == '.' && (!n[1] || (n[1] == '.' && !n[2]));
}

/* All names of directory fd, each NUL-terminated, into b; 0 or errno. */
static int read_names(int fd, struct buf *b, size_t *count)
{
	_Alignas(struct dirent64) char block[65536];
	ssize_t got;

	while ((got = getdents64(fd, block, sizeof block)) > 0) {
		for (char *p = block; p < block + got;) {
			const struct dirent64 *d = (const struct dirent64 *)p;

			p += d->d_reclen;
			if (is_dots(d->d_name))
				continue;
			buf_add(b, d->d_name, strlen(d->d_name) + 1);
			++*count;
		}
	}
	return b->failed ? ENOMEM : got < 0 ? errno : 0;
}

/* Sorted names of the directory on top of the stack. What was read before a failure counts. */
static struct names *list_dir(struct walk *s, int *eno)
{
	struct names *nm = calloc(1, sizeof *nm);
	struct buf b = { 0 };
	char *p;

	*eno = nm ? read_names(host_dirstack_top(&s->ds)->fd, &b, &nm->n) : ENOMEM;
	if (nm) {
		nm->arena = p = (char *)b.data;
		nm->v = malloc((nm->n ? nm->n : 1) * sizeof *nm->v);
	}
	if (!nm || !nm->v || *eno == ENOMEM) {
		*eno = ENOMEM;
		names_free(nm);
		return NULL;
	}
	for (size_t i = 0; i < nm->n; i++, p += strlen(p) + 1)
		nm->v[i] = p;
	qsort(nm->v, nm->n, sizeof *nm->v, by_bytes);
	return nm;
}

static char *join3(const char *a, const char *b, const char *c)
{
	size_t la = a ? strlen(a) : 0, lb = strlen(b), lc = strlen(c);
	char *out = malloc(la + lb + lc + 3), *p = out;

	if (!out)
		return NULL;
	memcpy(p, a ? a : "", la);
	p += la;
	if (la && lb)
		*p++ = '/';
	memcpy(p, b, lb);
	p += lb;
	if (lc && p != out)
		*p++ = '/';
	memcpy(p, c, lc + 1);
	return out;
}

static char *path_of(const struct walk *s, const char *name)
{
	return join3(s->prefix, host_dirstack_path(&s->ds), name);
}

static void warn_errno(struct walk *s, const char *name, int eno, const char *what)
{
	struct lcpfs_error why;
	char *path = path_of(s, name);

	lcpfs_fail_errno(&why, eno, "%s", what);
	warner_tell(&s->w, path ? path : name, &why);
	free(path);
}

/* Enter the directory yielded before. A failure is told; the walk goes on beside it. */
static int enter(struct walk *s, struct lcpfs_error *err)
{
	const char *name = s->descend;
	struct names *nm;
	int eno = 0;

	s->descend = NULL;
	host_dirref_put(s->here);
	s->here = NULL;
	if (*name)
		eno = host_dirstack_push(&s->ds, name, strlen(name));
	if (eno == ENOMEM)
		return lcpfs_nomem(err);
	if (eno) {
		warn_errno(s, name, eno, "cannot open the directory");
		return 0;
	}
	nm = list_dir(s, &eno);
	if (!nm)
		return lcpfs_nomem(err);
	host_dirstack_top(&s->ds)->data = nm;
	if (eno)
		warn_errno(s, "", eno, "cannot read all of the directory");
	return 0;
}

/* The next name of the walk, in the directory on top; NULL at the end. */
static const char *next_name(struct walk *s)
{
	for (;;) {
		struct names *nm = host_dirstack_top(&s->ds)->data;
		int eno;

		if (nm && nm->i < nm->n)
			return nm->v[nm->i++];
		if (s->ds.n == 1)
			return NULL;
		host_dirref_put(s->here);
		s->here = NULL;
		eno = host_dirstack_pop(&s->ds);
		if (!eno)
			continue;
		nm = host_dirstack_top(&s->ds)->data;
		if (nm && nm->i < nm->n)
			warn_errno(s, "", eno, "cannot return to the directory, which was moved; the rest of it is left out");
		if (nm)
			nm->i = nm->n;
	}
}

/* Names of one inode: the later ones are links to the first. */
static int resolve_link(struct walk *s, struct entry *e, const struct attrs_stat *st, struct lcpfs_error *err)
{
	char *first;
	int rc;

	if (st->nlink < 2 || S_ISDIR(e->mode))
		return 0;
	rc = host_links_seen(&s->links, st->dev, st->ino, st->nlink, e->path, &first, err);
	if (!rc && first) {
		free(e->link);
		e->link = first;
		e->flags |= ENTRY_HARDLINK;
	}
	return rc;
}

/* A descriptor of the directory on top that outlives the walk's standing there. */
static int place_item(struct walk *s, struct walk_item *it, struct lcpfs_error *err)
{
	if (!s->here) {
		s->here = host_dirref_new(host_dirstack_top(&s->ds)->fd, err);
		if (!s->here)
			return -LCPFS_ENOMEM;
		it->descriptors++;
	}
	it->dir = host_dirref_hold(s->here);
	return 0;
}

static int open_now(struct walk_item *it, int dirfd, struct lcpfs_error *why)
{
	int rc = host_content_open(&it->content, dirfd, it->name, it->follow, why);

	if (rc)
		return rc;
	it->e.size = it->content.size;
	it->opened = true;
	it->descriptors++;
	return 0;
}

/*
 * Fill the entry for it->name in the directory on top ("" is that directory itself). 1: left out, and told.
 * Without root's rights a file is opened here, so that one that cannot be read is left out as a whole.
 */
static int fill_entry(struct walk *s, struct walk_item *it, struct lcpfs_error *err)
{
	int fd = host_dirstack_top(&s->ds)->fd, rc;
	struct lcpfs_error why = { 0 };
	struct entry *e = &it->e;
	struct attrs_stat st;

	rc = host_attrs_stat(fd, it->name, it->follow, e, &st, &why);
	if (!rc && S_ISREG(e->mode) && s->eager)
		rc = open_now(it, fd, &why);
	else if (!rc && S_ISREG(e->mode))
		host_content_expect(&it->content, e);
	if (rc == -LCPFS_ENOMEM)
		return lcpfs_nomem(err);
	if (rc) {
		warner_tell(&s->w, e->path, &why);
		return 1;
	}
	it->dev = st.dev;
	rc = resolve_link(s, e, &st, err);
	if (!rc && !(e->flags & ENTRY_HARDLINK) && !(s->flags & HOST_XATTR_LATER))
		rc = host_attrs_xattr(&s->reader, fd, it->name, it->follow, st.dev, e, &s->w, err);
	return rc;
}

static int yield(struct walk *s, const char *name, bool follow, struct walk_item *it, struct lcpfs_error *err)
{
	size_t len = strlen(name);
	int rc;

	it->e.path = follow ? join3(s->prefix, "", "") : path_of(s, name);
	if (!it->e.path)
		return lcpfs_nomem(err);
	if (len >= sizeof it->name) {
		warn_errno(s, name, ENAMETOOLONG, "left out");
		return 1;
	}
	memcpy(it->name, name, len + 1);
	it->follow = follow;
	rc = fill_entry(s, it, err);
	if (!rc)
		rc = place_item(s, it, err);
	if (!rc && S_ISDIR(it->e.mode) && !(s->flags & HOST_ONE_FS && it->dev != s->root_dev))
		s->descend = name;
	return rc;
}

static bool is_excluded(const struct walk *s, const char *name)
{
	char *path;
	bool hit;

	if (!s->exclude)
		return false;
	path = join3(NULL, host_dirstack_path(&s->ds), name);
	hit = path && exclude_match(s->exclude, path);
	free(path);
	return hit;
}

int host_walk_next(struct walk *s, struct walk_item *it, struct lcpfs_error *err)
{
	const char *name;
	int rc;

	walk_item_init(it);
	if (!s->started) {
		s->started = true;
		rc = yield(s, s->file_name ? s->file_name : "", true, it, err);
		return rc == 1 ? lcpfs_fail(err, LCPFS_EIO, "cannot read the root of the tree") : rc;
	}
	for (;;) {
		if (s->descend && (rc = enter(s, err)))
			return rc;
		do
			name = next_name(s);
		while (name && is_excluded(s, name));
		if (!name)
			return 1;
		rc = yield(s, name, false, it, err);
		if (rc != 1)
			return rc;
		walk_item_fini(it);
	}
}

void host_walk_close(struct walk *s)
{
	if (!s)
		return;
	host_dirref_put(s->here);
	if (s->has_ds)
		host_dirstack_fini(&s->ds);
	host_attrs_reader_fini(&s->reader);
	host_links_fini(&s->links);
	free(s->prefix);
	free(s->file_name);
	free(s);
}

/* The last component of path, or NULL when that is no name. A trailing '/' counts as none only if `strict`. */
static char *last_component(const char *path, bool strict)
{
	size_t end = strlen(path), from;

	if (strict && end && path[end - 1] == '/')
		return NULL;
	while (end && path[end - 1] == '/')
		end--;
	for (from = end; from && path[from - 1] != '/';)
		from--;
	if (from == end || (end - from <= 2 && !strncmp(path + from, "..", end - from)))
		return NULL;
	return strndup(path + from, end - from);
}

/* A file operand: its directory becomes the root of the stack. */
static int open_file_operand(struct walk *s, const char *path, int *fd, struct lcpfs_error *err)
{
	size_t len;
	char *dir;

	s->file_name = last_component(path, false);
	dir = strdup(path);
	if (!s->file_name || !dir) {
		free(dir);
		return lcpfs_nomem(err);
	}
	for (len = strlen(dir); len && dir[len - 1] == '/'; len--)
		;
	dir[len - strlen(s->file_name)] = 0;
	*fd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return *fd < 0 ? lcpfs_fail_errno(err, errno, "cannot open the directory of '" PATH_SHOWN "'", path) : 0;
}

static int open_operand(struct walk *s, const char *path, struct lcpfs_error *err)
{
	struct stat st;
	int fd = -1, rc = 0, eno;

	if (stat(path, &st))
		return lcpfs_fail_errno(err, errno, "cannot open '" PATH_SHOWN "'", path);
	if (S_ISDIR(st.st_mode)) {
		fd = host_open_noatime(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
		if (fd < 0)
			return lcpfs_fail_errno(err, errno, "cannot open directory '" PATH_SHOWN "'", path);
	} else {
		rc = open_file_operand(s, path, &fd, err);
		if (rc)
			return rc;
	}
	if (s->flags & HOST_BASENAME)
		s->prefix = last_component(path, S_ISDIR(st.st_mode));
	s->root_dev = st.st_dev;
	eno = host_dirstack_init(&s->ds, fd);
	if (eno)
		return lcpfs_fail_errno(err, eno, "cannot open '" PATH_SHOWN "'", path);
	s->ds.free_data = names_free;
	s->has_ds = true;
	return 0;
}

int host_walk_open(struct walk **out, const char *path, const struct host_source_opts *o, struct warner w, struct lcpfs_error *err)
{
	struct walk *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return lcpfs_nomem(err);
	s->flags = o->flags;
	s->exclude = o->exclude;
	s->w = w;
	s->eager = geteuid() != 0;
	rc = open_operand(s, path, err);
	if (rc) {
		host_walk_close(s);
		return rc;
	}
	*out = s;
	return 0;
}
