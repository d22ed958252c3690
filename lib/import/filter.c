/* SPDX-License-Identifier: Apache-2.0 */
/* The filter between a source and a sink: what the options of a tree call ask of every entry, in every direction. */
#include "import/import.h"
#include "base/error.h"
#include "base/exclude.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct filter {
	struct entry_source src;
	struct entry_source *from;
	struct filter_opts o;
	bool clamp;
	int64_t epoch;      /* no time is later, when `clamp` */
	bool started, prefix; /* prefix: `as` goes before the path; otherwise it replaces the first component */
};

static int parse_epoch(struct filter *f, struct lcpfs_error *err)
{
	const char *s = getenv("SOURCE_DATE_EPOCH");
	char *end;

	if (!s || !*s)
		return 0;
	errno = 0;
	f->epoch = strtoll(s, &end, 10);
	if (errno || *end || end == s)
		return lcpfs_fail(err, LCPFS_EINVAL, "SOURCE_DATE_EPOCH '%.40s' is not a number of seconds", s);
	f->clamp = true;
	return 0;
}

/* A path under its new top. NULL: out of memory. */
static char *renamed(const struct filter *f, const char *path)
{
	const char *rest = f->prefix ? path : strchr(path, '/');
	size_t top, len;
	char *out;

	if (!f->prefix && rest)
		rest++;
	if (!rest || !*rest)
		return strdup(f->o.tree->as);
	top = strlen(f->o.tree->as);
	len = strlen(rest);
	out = malloc(top + len + 2);
	if (out) {
		memcpy(out, f->o.tree->as, top);
		out[top] = '/';
		memcpy(out + top + 1, rest, len + 1);
	}
	return out;
}

static int rename_one(const struct filter *f, char **path, struct lcpfs_error *err)
{
	char *to = renamed(f, *path);

	if (!to)
		return lcpfs_nomem(err);
	free(*path);
	*path = to;
	return 0;
}

static int rename_top(struct filter *f, struct entry *e, struct lcpfs_error *err)
{
	int rc;

	if (!f->o.tree->as)
		return 0;
	if (!f->started)
		f->prefix = !*e->path;
	f->started = true;
	rc = rename_one(f, &e->path, err);
	if (!rc && e->flags & ENTRY_HARDLINK && e->link)
		rc = rename_one(f, &e->link, err);
	return rc;
}

static void override_owner_mode(const struct lcpfs_tree_opts *o, struct entry *e)
{
	bool dir = S_ISDIR(e->mode);
	uint32_t set = dir ? o->dir_mode_set : o->mode_set, clear = dir ? o->dir_mode_clear : o->mode_clear;

	if (o->flags & LCPFS_TREE_UID) {
		e->uid = o->uid;
		free(e->uname);
		e->uname = NULL;
	}
	if (o->flags & LCPFS_TREE_GID) {
		e->gid = o->gid;
		free(e->gname);
		e->gname = NULL;
	}
	e->mode &= S_IFMT | 07777;
	if (!S_ISLNK(e->mode))
		e->mode = (e->mode & ~(clear & 07777)) | (set & 07777);
}

static void well_formed(struct entry_time *t)
{
	if (t->nsec > 999999999)
		t->nsec = 999999999;
}

static void fix_times(const struct filter *f, struct entry *e)
{
	well_formed(&e->atime);
	well_formed(&e->mtime);
	well_formed(&e->ctime);
	well_formed(&e->btime);
	if (!(f->o.tree->flags & LCPFS_TREE_REPRODUCIBLE))
		return;
	if (f->clamp && (e->mtime.sec > f->epoch || (e->mtime.sec == f->epoch && e->mtime.nsec) || !(e->flags & ENTRY_HAS_MTIME)))
		e->mtime = (struct entry_time){ .sec = f->epoch };
	e->atime = e->ctime = e->mtime;
	e->btime = (struct entry_time){ 0 };
	e->flags |= ENTRY_HAS_ATIME | ENTRY_HAS_MTIME | ENTRY_HAS_CTIME | ENTRY_HAS_BTIME;
}

/* A second name of what was excluded has no content to link to. */
static bool link_excluded(const struct filter *f, const struct entry *e)
{
	struct lcpfs_error why;

	if (!f->o.check_links || !(e->flags & ENTRY_HARDLINK) || !e->link ||
	    !exclude_match_tree(f->o.tree->exclude, e->link))
		return false;
	lcpfs_fail(&why, LCPFS_ENOENT, "left out: a hard link to '%.200s', which is excluded", e->link);
	f->o.warn(f->o.warn_arg, e->path, &why);
	return true;
}

static int filter_next(struct entry_source *src, struct entry *e, struct lcpfs_error *err)
{
	struct filter *f = (struct filter *)src;
	int rc;

	for (;;) {
		rc = f->from->ops->next(f->from, e, err);
		if (rc)
			return rc;
		if (!link_excluded(f, e))
			break;
		entry_fini(e);
	}
	rc = rename_top(f, e, err);
	if (rc)
		return rc;
	override_owner_mode(f->o.tree, e);
	fix_times(f, e);
	entry_sort_xattr(e);
	f->o.stats->entries++;
	if (S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK))
		f->o.stats->files++;
	return 0;
}

static int filter_read(struct entry_source *src, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct filter *f = (struct filter *)src;
	int rc = f->from->ops->read(f->from, buf, len, off, got, err);

	if (!rc)
		f->o.stats->bytes += *got;
	return rc;
}

static int filter_detach(struct entry_source *src, struct entry_content **out, struct lcpfs_error *err)
{
	struct filter *f = (struct filter *)src;
	int rc = f->from->ops->detach(f->from, out, err);

	if (!rc && *out)
		f->o.stats->bytes += (*out)->bytes;
	return rc;
}

static void filter_close(struct entry_source *src)
{
	struct filter *f = (struct filter *)src;

	f->from->ops->close(f->from);
	free(f);
}

static const struct entry_source_ops filter_ops = { filter_next, filter_read, filter_close, NULL, NULL };
static const struct entry_source_ops detaching_ops = { filter_next, filter_read, filter_close, filter_detach, NULL };

int filter_open(struct entry_source **out, struct entry_source *from, const struct filter_opts *o, struct lcpfs_error *err)
{
	struct filter *f = calloc(1, sizeof *f);
	int rc = f ? 0 : lcpfs_nomem(err);

	if (!rc && o->tree->flags & LCPFS_TREE_REPRODUCIBLE)
		rc = parse_epoch(f, err);
	if (!rc && o->tree->as && !import_name_ok(o->tree->as, strlen(o->tree->as)))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%.200s' cannot be the name of a copy", o->tree->as);
	if (rc) {
		from->ops->close(from);
		free(f);
		return rc;
	}
	f->src.ops = from->ops->detach ? &detaching_ops : &filter_ops;
	f->from = from;
	f->o = *o;
	*out = &f->src;
	return 0;
}
