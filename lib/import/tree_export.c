/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that read a dataset's tree, and the listing of archives. */
#include "import/run.h"
#include "archive/archive.h"
#include "base/error.h"
#include "base/util.h"
#include "host/host.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The last component of a path; length 0 when it is none ("", "/", "a/..", "dir/" when strict). */
static const char *last_of(const char *path, bool strict, size_t *len)
{
	size_t end = strlen(path), from;

	*len = 0;
	if (strict && end && path[end - 1] == '/')
		return "";
	while (end && path[end - 1] == '/')
		end--;
	for (from = end; from && path[from - 1] != '/';)
		from--;
	if (import_name_ok(path + from, end - from))
		*len = end - from;
	return path + from;
}

int tree_operand(struct lcpfs_dataset *ds, const char *path, const struct lcpfs_tree_opts *o, uint64_t *ino, char **base,
                 struct lcpfs_error *err)
{
	bool named = o->flags & LCPFS_TREE_BASENAME || o->as;
	size_t plen = strlen(path), len;
	struct inode in;
	const char *last;
	/* as a copy a symlink is itself; its content is meant by "link/", and when a tree is asked for */
	int rc = zpl_resolve(ds->ds, path, !named || (plen && path[plen - 1] == '/'), ino, err);

	*base = NULL;
	if (!rc)
		rc = zpl_inode_get(ds->ds, *ino, &in, err);
	if (rc)
		return lcpfs_within(err, rc, "/%.200s", path + strspn(path, "/"));
	last = last_of(path, S_ISDIR(in.mode), &len);
	if (S_ISDIR(in.mode) && (!named || o->as))
		len = 0;
	*base = strndup(last, len);
	return *base ? 0 : lcpfs_nomem(err);
}

static void set_threads(struct run *r, const struct spa *s)
{
	r->threads = ahead_threads(s->threads, s->memory);
	r->window_bytes = ahead_window(s->memory);
}

int tree_source(struct entry_source **out, struct run *r, struct lcpfs_dataset *ds, uint64_t ino, const char *base,
                struct lcpfs_error *err)
{
	struct ds_source_opts so = { .base = base, .exclude = r->o->exclude, .warn = run_told_source, .warn_arg = r,
		.whole = r->o->flags & (LCPFS_TREE_REFLINK | LCPFS_TREE_REFLINK_ONLY) };

	return ds_source_open(out, ds->ds, ino, &so, err);
}

/* Everything at `path` into `sink`, which is closed. */
static int send_tree(struct run *r, struct lcpfs_dataset *ds, uint64_t ino, const char *base, struct entry_sink *sink, struct lcpfs_error *err)
{
	struct entry_source *src;
	int rc = tree_source(&src, r, ds, ino, base, err);

	if (!rc)
		rc = run_copy(r, src, false, sink, err);
	sink->ops->close(sink);
	return rc;
}

int lcpfs_tree_export(struct lcpfs_dataset *ds, const char *path, const char *target, const struct lcpfs_tree_opts *o,
                      struct lcpfs_tree_stats *st, struct lcpfs_error *err)
{
	struct host_sink_opts ho = { .warn = run_told };
	struct entry_sink *sink;
	struct run r;
	char *base = NULL;
	uint64_t ino;
	int rc = run_begin(&r, o, "extracting", err);

	ho.warn_arg = &r;
	set_threads(&r, ds->ds->spa);
	ho.threads = r.threads;
	if (r.o->flags & LCPFS_TREE_OVERWRITE)
		ho.flags |= HOST_SINK_OVERWRITE;
	if (r.o->flags & LCPFS_TREE_NO_OWNER)
		ho.flags |= HOST_SINK_NO_OWNER;
	if (r.o->flags & LCPFS_TREE_SAFE && !(r.o->flags & LCPFS_TREE_KEEP_SPECIAL))
		ho.flags |= HOST_SINK_SAFE;
	if (!rc)
		rc = tree_operand(ds, path, r.o, &ino, &base, err);
	if (!rc)
		rc = host_sink_open(&sink, target, &ho, err);
	if (!rc)
		r.host_sink = sink;
	if (!rc)
		rc = send_tree(&r, ds, ino, base, sink, err);
	free(base);
	return run_end(&r, rc, st, err);
}

int lcpfs_tree_archive(struct lcpfs_dataset *ds, const char *path, int fd, const char *format, const char *filter,
                       const struct lcpfs_tree_opts *o, struct lcpfs_tree_stats *st, struct lcpfs_error *err)
{
	struct arch_sink_opts ao = { .format = format, .filter = filter, .warn = run_told };
	struct entry_sink *sink;
	struct run r;
	char *base = NULL;
	uint64_t ino;
	int rc = run_begin(&r, o, "archiving", err);

	ao.warn_arg = &r;
	set_threads(&r, ds->ds->spa);
	if (!rc)
		rc = tree_operand(ds, path, r.o, &ino, &base, err);
	if (!rc)
		rc = arch_sink_open(&sink, fd, "archive", &ao, err);
	if (!rc)
		rc = send_tree(&r, ds, ino, base, sink, err);
	free(base);
	return run_end(&r, rc, st, err);
}

static struct lcpfs_time time_of(const struct entry_time *t)
{
	return (struct lcpfs_time){ .sec = t->sec, .nsec = t->nsec };
}

static void stat_of(const struct entry *e, struct lcpfs_stat *st)
{
	*st = (struct lcpfs_stat){ .mode = e->mode, .uid = e->uid, .gid = e->gid, .nlink = e->nlink ? e->nlink : 1, .size = e->size,
		.rdev_major = e->rdev_major, .rdev_minor = e->rdev_minor, .n_xattr = (uint32_t)e->n_xattr };
	st->atime = time_of(&e->atime);
	st->mtime = time_of(&e->mtime);
	st->ctime = time_of(&e->ctime);
	st->btime = time_of(&e->btime);
}

int lcpfs_archive_list(int fd, const char *name, lcpfs_list_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct arch_source_opts ao = { 0 };
	struct entry_source *src;
	uint64_t left_out;
	int rc = arch_source_open(&src, fd, name, &ao, err);

	if (rc)
		return rc;
	for (int stop = 0; !rc && !stop;) {
		struct entry e = { 0 };
		struct lcpfs_stat st;

		rc = src->ops->next(src, &e, err);
		if (!rc) {
			stat_of(&e, &st);
			stop = visit(arg, e.path, &st, e.link, e.flags & ENTRY_HARDLINK, err);
			rc = MIN(stop, 0);
		}
		entry_fini(&e);
	}
	left_out = arch_source_warnings(src);
	src->ops->close(src);
	if (rc >= 0 && left_out)
		return lcpfs_fail(err, LCPFS_EPARTIAL, "%s: %" PRIu64 " members cannot be shown or stored", name, left_out);
	return MIN(rc, 0);
}
