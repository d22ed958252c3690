/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dataset's subtree as entries, depth first in the order of names.
 * Names are fetched in batches, so that the tree may change between two calls and a directory of millions needs no memory.
 * The dataset may be damaged or hostile: names are checked, and no directory is entered twice, which bounds the walk.
 */
#include "import/import.h"
#include "base/error.h"
#include "base/exclude.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_BYTES 16384u /* of names */

struct src_dir {
	uint64_t ino;
	size_t path_len;    /* of its path */
	struct buf names;   /* u64 ino, u16 length, name */
	size_t pos, last;   /* next one; the last one's name, after which the next batch begins */
	bool more;
};
struct ds_source {
	struct entry_source src;
	struct dataset *ds;
	struct ds_source_opts o;
	uint64_t root;
	bool started;
	struct src_dir *dir; /* the way down */
	size_t depth, cap;
	struct buf path;     /* of what was yielded; NUL after it */
	size_t base_len;     /* what stands before the paths that `exclude` is about */
	struct inoset entered;
	struct inomap first; /* first paths of files with several names */

	/* content of the file just yielded */
	struct entry *e;
	uint64_t ino, off, end; /* [off, end): data not yet told */
	bool sliced, told;
	struct inode in;
	struct zpl_planner *plan; /* of a dataset that cannot change; else NULL */
};

/* Damage of a part, which is left out; others concern the whole. */
static bool is_damage(int rc)
{
	return rc == -LCPFS_ECORRUPT || rc == -LCPFS_ECSUM || rc == -LCPFS_EIO || rc == -LCPFS_ENOENT || rc == -LCPFS_ENOTDIR;
}

static void warn(struct ds_source *s, const char *path, const struct lcpfs_error *why)
{
	if (s->o.warn)
		s->o.warn(s->o.warn_arg, path, why);
}

static const char *path_str(struct ds_source *s)
{
	return s->path.len ? (const char *)s->path.data : "";
}

/* s->path = its first `keep` bytes, '/', name. */
static int set_path(struct ds_source *s, size_t keep, const char *name, size_t len, struct lcpfs_error *err)
{
	s->path.len = keep;
	if (keep && len)
		buf_u8(&s->path, '/');
	buf_add(&s->path, name, len);
	buf_u8(&s->path, 0);
	if (s->path.failed)
		return lcpfs_nomem(err);
	s->path.len--;
	return 0;
}

static int add_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	return entry_add_xattr(arg, name, value, len, err);
}

static struct entry_time time_of(const struct itime *t)
{
	return (struct entry_time){ .sec = t->sec, .nsec = t->nsec };
}

static void fill(struct entry *e, uint64_t ino, const struct inode *in)
{
	e->flags = ENTRY_HAS_ATIME | ENTRY_HAS_MTIME | ENTRY_HAS_CTIME;
	if (in->btime.sec || in->btime.nsec)
		e->flags |= ENTRY_HAS_BTIME;
	e->mode = in->mode;
	e->uid = in->uid;
	e->gid = in->gid;
	e->nlink = in->nlink;
	e->size = S_ISREG(in->mode) ? in->size : 0;
	e->rdev_major = (uint32_t)(in->rdev >> 32);
	e->rdev_minor = (uint32_t)in->rdev;
	e->atime = time_of(&in->atime);
	e->mtime = time_of(&in->mtime);
	e->ctime = time_of(&in->ctime);
	e->btime = time_of(&in->btime);
	e->ino = ino;
}

static int push_dir(struct ds_source *s, uint64_t ino, struct lcpfs_error *err)
{
	bool had;
	int rc = inoset_add(&s->entered, ino, &had, err);

	if (rc)
		return rc;
	if (had)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "a directory that has two names");
	if (s->depth == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct src_dir *d = realloc(s->dir, cap * sizeof *d);

		if (!d)
			return lcpfs_nomem(err);
		s->dir = d;
		s->cap = cap;
	}
	s->dir[s->depth++] = (struct src_dir){ .ino = ino, .path_len = s->path.len, .more = true };
	return 0;
}

/* Another name of a file that was yielded: e becomes a link to the first. */
static int note_link(struct ds_source *s, struct entry *e, uint64_t ino, struct lcpfs_error *err)
{
	const char *first = inomap_get(&s->first, ino, NULL, 0);

	if (!first)
		return inomap_put(&s->first, ino, NULL, 0, e->path, err);
	e->link = strdup(first);
	e->flags |= ENTRY_HARDLINK;
	return e->link ? 0 : lcpfs_nomem(err);
}

/* The content's first data, and whether there are holes. */
static int begin_content(struct ds_source *s, struct entry *e, const struct inode *in, struct lcpfs_error *err)
{
	uint64_t off = 0, len = 0, pos = 0;
	int rc = 0;

	s->e = e;
	s->off = s->end = 0;
	s->told = false;
	s->sliced = in->flags & INODE_SLICED;
	if (s->sliced)
		s->end = in->size;
	if (s->sliced || !in->size || s->o.whole)
		return 0;
	while (pos < in->size && !rc) {
		off = pos;
		rc = zpl_next_data(s->ds, s->ino, &off, &len, err);
		if (rc == 1 || (!rc && (off != pos || !len)))
			break;
		pos = off + len;
	}
	if (!rc && pos >= in->size)
		return 0;
	e->flags |= ENTRY_HOLES;
	return rc < 0 && !is_damage(rc) ? rc : 0;
}

static int fill_rest(struct ds_source *s, struct entry *e, const struct inode *in, struct lcpfs_error *err)
{
	int rc = 0;

	if (in->nlink > 1 && !S_ISDIR(in->mode))
		rc = note_link(s, e, s->ino, err);
	if (rc || e->flags & ENTRY_HARDLINK)
		return rc;
	if (S_ISLNK(in->mode))
		rc = zpl_readlink(s->ds, s->ino, &e->link, err);
	if (!rc && in->n_xattr)
		rc = zpl_xattr_each(s->ds, s->ino, add_xattr, e, err);
	if (!rc && S_ISREG(in->mode))
		rc = begin_content(s, e, in, err);
	if (!rc && S_ISDIR(in->mode))
		rc = push_dir(s, s->ino, err);
	return rc;
}

/* s->path, inode ino. What is damaged is told and left out: 1. */
static int yield(struct ds_source *s, uint64_t ino, struct entry *e, struct lcpfs_error *err)
{
	struct lcpfs_error why;
	int rc;

	error_none(&why);
	rc = zpl_inode_get(s->ds, ino, &s->in, &why);
	s->ino = ino;
	if (!rc) {
		fill(e, ino, &s->in);
		e->path = strdup(path_str(s));
		rc = e->path ? fill_rest(s, e, &s->in, &why) : lcpfs_nomem(&why);
	}
	if (!rc)
		return 0;
	entry_fini(e);
	s->e = NULL;
	if (is_damage(rc)) {
		lcpfs_within(&why, rc, "left out");
		warn(s, path_str(s), &why);
		return 1;
	}
	if (err)
		*err = why;
	return rc;
}

static int take_name(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct src_dir *d = arg;

	(void)type;
	if (len > UINT16_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "a name of %zu bytes", len);
	buf_le64(&d->names, ino);
	buf_le16(&d->names, (uint16_t)len);
	d->last = d->names.len;
	buf_add(&d->names, name, len);
	if (d->names.failed)
		return lcpfs_nomem(err);
	return d->names.len >= BATCH_BYTES;
}

static int next_batch(struct ds_source *s, struct src_dir *d, struct lcpfs_error *err)
{
	struct buf after = { 0 };
	int rc;

	if (d->names.len > d->last)
		buf_add(&after, d->names.data + d->last, d->names.len - d->last);
	if (after.failed)
		return lcpfs_nomem(err);
	buf_reset(&d->names);
	d->pos = d->last = 0;
	d->more = false;
	rc = zpl_dir_each(s->ds, d->ino, after.len ? (const char *)after.data : NULL, after.len, take_name, d, err);
	d->more = rc > 0 || d->names.len >= BATCH_BYTES;
	buf_fini(&after);
	return rc < 0 ? rc : 0;
}

/* The next name in the deepest directory, as s->path. 1: none left. */
static int next_name(struct ds_source *s, uint64_t *ino, struct lcpfs_error *err)
{
	struct src_dir *d = &s->dir[s->depth - 1];
	struct lcpfs_error why;
	struct cur c;
	size_t len;
	int rc = 0;

	error_none(&why);
	if (d->pos == d->names.len && d->more)
		rc = next_batch(s, d, &why);
	if (is_damage(rc)) {
		set_path(s, d->path_len, "", 0, NULL);
		lcpfs_within(&why, rc, "not all of the directory could be read");
		warn(s, path_str(s), &why);
		rc = 0;
	}
	if (rc) {
		if (err)
			*err = why;
		return rc;
	}
	if (d->pos == d->names.len)
		return 1;
	c = cur_of(d->names.data + d->pos, d->names.len - d->pos);
	*ino = cur_le64(&c);
	len = cur_le16(&c);
	d->pos += 10 + len;
	return set_path(s, d->path_len, (const char *)c.p, len, err);
}

/* A name from the disk must be one; what is excluded is not looked at. */
static bool is_wanted(struct ds_source *s)
{
	size_t dir_len = s->dir[s->depth - 1].path_len, at = dir_len + (dir_len != 0);
	const char *rel = path_str(s) + MIN(s->path.len, s->base_len);
	struct lcpfs_error why;

	if (s->path.len >= at && import_name_ok(path_str(s) + at, s->path.len - at))
		return !exclude_match(s->o.exclude, *rel == '/' ? rel + 1 : rel);
	lcpfs_fail(&why, LCPFS_ECORRUPT, "left out: a name that no file can have");
	warn(s, path_str(s), &why);
	return false;
}

static void pop_dir(struct ds_source *s)
{
	buf_fini(&s->dir[--s->depth].names);
}

static int src_next(struct entry_source *src, struct entry *e, struct lcpfs_error *err)
{
	struct ds_source *s = (struct ds_source *)src;
	uint64_t ino = 0;
	int rc;

	*e = (struct entry){ 0 };
	s->e = NULL;
	if (!s->started) {
		s->started = true;
		rc = set_path(s, 0, s->o.base, strlen(s->o.base), err);
		if (!rc)
			rc = yield(s, s->root, e, err);
		if (rc <= 0)
			return rc;
	}
	while (s->depth) {
		rc = next_name(s, &ino, err);
		if (rc < 0)
			return rc;
		if (rc == 1) {
			pop_dir(s);
			continue;
		}
		if (!is_wanted(s))
			continue;
		rc = yield(s, ino, e, err);
		if (rc <= 0)
			return rc;
	}
	return 1;
}

static int next_data(struct ds_source *s, struct lcpfs_error *err)
{
	uint64_t len = 0;
	int rc;

	if (s->off < s->end)
		return 0;
	if (s->sliced)
		return 1;
	rc = zpl_next_data(s->ds, s->ino, &s->off, &len, err);
	if (!rc && s->off >= s->e->size)
		return 1;
	if (!rc)
		s->end = s->off + MIN(len, s->e->size - s->off);
	return rc;
}

/* A piece that cannot be read is told of (the first one) and passed by. */
static int pass_damage(struct ds_source *s, size_t len, int rc, struct lcpfs_error *why)
{
	if (!s->told) {
		lcpfs_within(why, rc, "at %llu", (unsigned long long)s->off);
		warn(s, s->e->path, why);
	}
	s->told = true;
	s->e->flags |= ENTRY_DATA_UNREAD;
	s->off += len;
	return len ? 0 : 1;
}

static int src_read(struct entry_source *src, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct ds_source *s = (struct ds_source *)src;

	*got = 0;
	if (!s->e || !S_ISREG(s->e->mode) || s->e->flags & ENTRY_HARDLINK)
		return lcpfs_fail(err, LCPFS_EINVAL, "no regular file to read from");
	for (;;) {
		struct lcpfs_error why = { 0 };
		size_t want = 0;
		int rc = next_data(s, &why);

		if (!rc) {
			want = MIN(len, s->end - s->off);
			*off = s->off;
			rc = zpl_read(s->ds, s->ino, s->off, buf, want, got, &why);
			if (!rc && !*got)
				rc = lcpfs_fail(&why, LCPFS_ECORRUPT, "content that cannot be read");
		}
		if (!rc) {
			s->off += *got;
			return 0;
		}
		if (is_damage(rc))
			rc = pass_damage(s, want, rc, &why);
		if (rc < 0 && err)
			*err = why;
		if (rc) {
			*got = 0;
			return rc == 1 ? 0 : rc;
		}
	}
}

static int src_detach(struct entry_source *src, struct entry_content **out, struct lcpfs_error *err)
{
	struct ds_source *s = (struct ds_source *)src;

	return zpl_plan(s->plan, &s->in, out, err);
}

static void src_close(struct entry_source *src)
{
	struct ds_source *s = (struct ds_source *)src;

	while (s->depth)
		pop_dir(s);
	free(s->dir);
	inoset_fini(&s->entered);
	inomap_fini(&s->first);
	buf_fini(&s->path);
	zpl_planner_close(s->plan);
	free(s);
}

static const struct entry_source_ops src_ops = { src_next, src_read, src_close, NULL, NULL };
static const struct entry_source_ops plan_ops = { src_next, src_read, src_close, src_detach, NULL };

int ds_source_open(struct entry_source **out, struct dataset *ds, uint64_t ino, const struct ds_source_opts *o, struct lcpfs_error *err)
{
	struct ds_source *s = calloc(1, sizeof *s);

	int rc = s ? 0 : lcpfs_nomem(err);

	if (!rc && !ds->writable)
		rc = zpl_planner_open(&s->plan, ds, err);
	if (rc) {
		free(s);
		return rc;
	}
	s->src.ops = s->plan ? &plan_ops : &src_ops;
	s->ds = ds;
	s->root = ino;
	s->o = *o;
	if (!s->o.base)
		s->o.base = "";
	s->base_len = strlen(s->o.base);
	*out = &s->src;
	return 0;
}
