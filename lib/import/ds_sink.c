/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries into a dataset directory.
 * Entries mostly come depth first, so the directories on the way to the last one are kept with their inode numbers. In a
 * directory that this run made there is nothing to look up: a name is created at once, and only where that fails because
 * it exists (an archive naming a thing twice: the last wins) does the slower way begin.
 */
#include "import/import.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void sink_changed(struct ds_sink *k)
{
	if (!k->counted)
		k->changed++;
	k->counted = true;
}

void sink_warn(struct ds_sink *k, const char *path, const struct lcpfs_error *why)
{
	if (k->o.warn)
		k->o.warn(k->o.warn_arg, path, why);
}

/* A fault of the entry, which is left out, not of the pool. */
static bool entry_fault(int rc)
{
	return rc == -LCPFS_EINVAL || rc == -LCPFS_ENAMETOOLONG || rc == -LCPFS_ENOTDIR || rc == -LCPFS_EISDIR || rc == -LCPFS_EUNSUP;
}

const struct itime *sink_now(const struct ds_sink *k)
{
	return k->o.root_now && k->dir == k->level[0].ino ? &k->o.now : NULL;
}

int sink_note(struct ds_sink *k, uint64_t ino, uint64_t dir, const char *name, size_t len, bool linked, struct lcpfs_error *err)
{
	int rc;

	if (!k->o.exact)
		return 0;
	rc = inoset_add(&k->seen, ino, NULL, err);
	if (!rc && linked)
		rc = inoset_add(&k->linked, ino, NULL, err);
	if (!rc && linked)
		rc = inomap_put(&k->names, dir, name, len, NULL, err);
	return rc;
}

/* `path[0..end)` is directory `ino`, the deepest from now on. */
static int push_level(struct ds_sink *k, const char *path, size_t end, uint64_t ino, bool fresh, struct lcpfs_error *err)
{
	if (k->depth == k->level_cap) {
		size_t cap = k->level_cap ? k->level_cap * 2 : 16;
		struct sink_level *l = realloc(k->level, cap * sizeof *l);

		if (!l)
			return lcpfs_nomem(err);
		k->level = l;
		k->level_cap = cap;
	}
	k->path.len = k->depth ? k->level[k->depth - 1].end : 0;
	buf_add(&k->path, path + k->path.len, end - k->path.len);
	if (k->path.failed)
		return lcpfs_nomem(err);
	k->level[k->depth++] = (struct sink_level){ .ino = ino, .end = end, .fresh = fresh };
	return 0;
}

/* Drop the levels that path[0..len) does not lie in. */
static void pop_levels(struct ds_sink *k, const char *path, size_t len)
{
	while (k->depth > 1) {
		size_t end = k->level[k->depth - 1].end;

		if (end <= len && (end == len || path[end] == '/') && memcmp(k->path.data, path, end) == 0)
			return;
		k->depth--;
	}
}

/* A parent that no entry told of: 0755, with the owner and time of the entry below. */
static int make_parent(struct ds_sink *k, const char *name, size_t len, uint64_t *ino, struct lcpfs_error *err)
{
	struct inode attr;

	sink_attr(k, k->e, &attr);
	attr.mode = S_IFDIR | 0755;
	attr.rdev = 0;
	k->dir = k->level[k->depth - 1].ino;
	return zpl_create(k->ds, k->dir, name, len, &attr, NULL, sink_now(k), ino, err);
}

static int enter(struct ds_sink *k, const char *path, size_t from, size_t end, struct lcpfs_error *err)
{
	uint64_t dir = k->level[k->depth - 1].ino, ino;
	struct inode in;
	bool fresh = false;
	int rc = zpl_lookup(k->ds, dir, path + from, end - from, &ino, NULL, err);

	if (rc == -LCPFS_ENOENT) {
		fresh = true;
		rc = make_parent(k, path + from, end - from, &ino, err);
		if (!rc)
			k->changed++;
	} else if (!rc) {
		rc = zpl_inode_get(k->ds, ino, &in, err);
		if (!rc && !S_ISDIR(in.mode))
			rc = lcpfs_fail(err, LCPFS_ENOTDIR, "'%.*s' is no directory here", (int)(end < 300 ? end : 300), path);
	}
	if (!rc)
		rc = sink_note(k, ino, dir, path + from, end - from, false, err);
	return rc ? rc : push_level(k, path, end, ino, fresh, err);
}

/* Every component must be a proper name; *parent = length of the path without the last one. */
static int check_path(const char *path, size_t *parent, struct lcpfs_error *err)
{
	const char *p = path;

	for (;;) {
		size_t len = strcspn(p, "/");

		if (len > 255)
			return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "left out: a name of %zu bytes, 255 is the limit", len);
		if (!import_name_ok(p, len))
			return lcpfs_fail(err, LCPFS_EINVAL, "left out: not a clean relative path");
		if (!p[len])
			break;
		p += len + 1;
	}
	*parent = p == path ? 0 : (size_t)(p - path) - 1;
	return 0;
}

/* Make the directory that the entry under way lies in the deepest level, and set dir and name. */
static int enter_parent(struct ds_sink *k, struct lcpfs_error *err)
{
	const char *path = k->e->path;
	size_t parent, at;
	int rc = check_path(path, &parent, err);

	if (rc)
		return rc;
	pop_levels(k, path, parent);
	for (at = k->level[k->depth - 1].end; at < parent && !rc;) {
		size_t from = at ? at + 1 : 0;

		at = from + strcspn(path + from, "/");
		rc = enter(k, path, from, at, err);
	}
	k->dir = k->level[k->depth - 1].ino;
	k->name = parent ? path + parent + 1 : path;
	k->name_len = strlen(k->name);
	return rc;
}

int sink_lookup(struct ds_sink *k, const char *path, uint64_t *dir, uint64_t *ino, const char **last, struct lcpfs_error *err)
{
	uint64_t at = k->level[0].ino;
	int rc = 0;

	*dir = at;
	*last = path;
	*ino = at;
	while (*path && !rc) {
		size_t len = strcspn(path, "/");

		*dir = at;
		*last = path;
		rc = zpl_lookup(k->ds, at, path, len, ino, NULL, err);
		at = *ino;
		path += len + (path[len] == '/');
	}
	return rc == -LCPFS_ENOTDIR ? lcpfs_fail(err, LCPFS_ENOENT, "no such file") : rc;
}

static int set_xattrs(struct ds_sink *k, struct lcpfs_error *err)
{
	int rc = sink_need_xattrs(k, err);

	for (size_t i = 0; !rc && i < k->x->n_xattr; i++) {
		const struct entry_xattr *x = &k->x->xattr[i];
		struct lcpfs_error why = { 0 };

		rc = zpl_xattr_set(k->ds, k->ino, x->name, x->value, x->len, &why);

		if (entry_fault(rc) || rc == -LCPFS_ELIMIT) {
			lcpfs_within(&why, rc, "attribute '%.100s'", x->name);
			sink_warn(k, k->e->path, &why);
			rc = 0;
		} else if (rc && err) {
			*err = why;
		}
	}
	return rc;
}

static int check_type(const struct entry *e, struct lcpfs_error *err)
{
	switch (e->mode & S_IFMT) {
	case S_IFREG:
		if (e->size > FILE_MAX)
			return lcpfs_fail(err, LCPFS_EINVAL, "left out: a size beyond 2^63 - 1");
		return 0;
	case S_IFLNK:
		if (!e->link || !*e->link || strlen(e->link) > SYMLINK_MAX)
			return lcpfs_fail(err, LCPFS_EINVAL, "left out: a symbolic link must have a target of 1-%u bytes", SYMLINK_MAX);
		return 0;
	case S_IFDIR: case S_IFCHR: case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		return 0;
	}
	return lcpfs_fail(err, LCPFS_EINVAL, "left out: an unknown type of file (mode %o)", e->mode);
}

int sink_create(struct ds_sink *k, struct lcpfs_error *err)
{
	const struct entry *e = k->e;
	struct inode attr;
	int rc;

	sink_attr(k, e, &attr);
	rc = zpl_create(k->ds, k->dir, k->name, k->name_len, &attr, S_ISLNK(e->mode) ? e->link : NULL, sink_now(k), &k->ino, err);
	if (rc)
		return rc;
	sink_changed(k);
	rc = sink_note(k, k->ino, k->dir, k->name, k->name_len, false, err);
	if (!rc)
		rc = set_xattrs(k, err);
	if (!rc && S_ISDIR(e->mode))
		rc = push_level(k, e->path, strlen(e->path), k->ino, true, err);
	if (S_ISREG(e->mode))
		k->content = CONTENT_NEW;
	return rc;
}

int sink_remove(struct ds_sink *k, bool is_dir, struct lcpfs_error *err)
{
	return (is_dir ? zpl_remove_tree : zpl_unlink)(k->ds, k->dir, k->name, k->name_len, sink_now(k), err);
}

static int link_target(struct ds_sink *k, uint64_t *dir, uint64_t *ino, const char **last, struct lcpfs_error *err)
{
	const struct entry *e = k->e;
	const char *to = e->link ? e->link : "";
	size_t len = strlen(e->path), parent;
	int rc = check_path(to, &parent, err);

	if (rc)
		return lcpfs_within(err, rc, "hard link to '%.200s'", to);
	if (strncmp(to, e->path, len) == 0 && to[len] == '/')
		return lcpfs_fail(err, LCPFS_EINVAL, "left out: a hard link to '%.200s', inside itself", to);
	rc = sink_lookup(k, to, dir, ino, last, err);
	if (rc == -LCPFS_ENOENT)
		/* when something was left out, it may be this very target, and was told already */
		return lcpfs_fail(err, k->skipped ? LCPFS_EINVAL : LCPFS_ENOENT,
		    "'%.200s' is a hard link to '%.200s', which is not there%s", e->path, to, k->skipped ? "" : " (it must come first)");
	return rc;
}

static int place_link(struct ds_sink *k, struct lcpfs_error *err)
{
	uint64_t to_dir = 0, to = 0, was;
	const char *last = NULL;
	struct inode in;
	uint8_t type;
	int rc = link_target(k, &to_dir, &to, &last, err);

	if (!rc)
		rc = zpl_inode_get(k->ds, to, &in, err);
	if (rc)
		return rc;
	if (S_ISDIR(in.mode))
		return lcpfs_fail(err, LCPFS_EISDIR, "left out: a hard link to '%.200s', a directory", k->e->link);
	rc = zpl_lookup(k->ds, k->dir, k->name, k->name_len, &was, &type, err);
	if (!rc && was != to) {
		rc = zpl_inode_get(k->ds, was, &in, err);
		if (!rc)
			rc = sink_remove(k, S_ISDIR(in.mode), err);
		was = 0;
	} else if (rc == -LCPFS_ENOENT) {
		rc = was = 0;
	}
	if (!rc && was != to) {
		rc = zpl_link(k->ds, to, k->dir, k->name, k->name_len, sink_now(k), err);
		sink_changed(k);
	}
	if (!rc)
		rc = sink_note(k, to, to_dir, last, strlen(last), true, err);
	return rc ? rc : sink_note(k, to, k->dir, k->name, k->name_len, true, err);
}

static int place_root(struct ds_sink *k, struct lcpfs_error *err)
{
	struct inode in;
	int rc;

	if (!S_ISDIR(k->e->mode) || k->e->flags & ENTRY_HARDLINK)
		return lcpfs_fail(err, LCPFS_EINVAL, "left out: the root of a tree must be a directory");
	k->ino = k->level[0].ino;
	rc = zpl_inode_get(k->ds, k->ino, &in, err);
	return rc ? rc : sink_update_attrs(k, k->ino, &in, err);
}

/* 0: content is wanted; 1: it is not. */
static int place(struct ds_sink *k, struct lcpfs_error *err)
{
	int rc;

	if (!*k->e->path)
		return place_root(k, err);
	rc = enter_parent(k, err);
	if (rc)
		return rc;
	if (k->e->flags & ENTRY_HARDLINK)
		return place_link(k, err);
	rc = check_type(k->e, err);
	if (!rc && k->level[k->depth - 1].fresh) {
		rc = sink_create(k, err);
		if (rc != -LCPFS_EEXIST)
			return rc;
		rc = 0;
	}
	if (!rc)
		rc = zpl_lookup(k->ds, k->dir, k->name, k->name_len, &k->ino, NULL, err);
	if (rc == -LCPFS_ENOENT)
		return sink_create(k, err);
	if (!rc)
		rc = sink_over(k, k->ino, err);
	if (!rc && S_ISDIR(k->e->mode) && k->level[k->depth - 1].ino != k->ino)
		rc = push_level(k, k->e->path, strlen(k->e->path), k->ino, false, err);
	return rc;
}

static int ds_begin(struct entry_sink *sink, const struct entry *e, struct lcpfs_error *err)
{
	struct ds_sink *k = (struct ds_sink *)sink;
	struct lcpfs_error why = { 0 };
	int rc;

	k->e = k->x = e;
	entry_fini(&k->later);
	k->ino = k->pos = 0;
	k->counted = false;
	k->content = CONTENT_NONE;
	k->old = (struct inode){ 0 };
	rc = place(k, &why);
	/* a file of several names parts from them only when it differs: that is seen by reading */
	if (!rc && k->o.share && k->content != CONTENT_NONE && k->old.nlink < 2)
		rc = sink_share(k, &why);
	if (entry_fault(rc)) {
		sink_warn(k, e->path, &why);
		ds_sink_keep(sink, e->path);
		k->skipped = true;
		k->content = CONTENT_NONE;
		return 1;
	}
	if (rc < 0) {
		lcpfs_within(&why, rc, "%.200s", e->path);
		if (err)
			*err = why;
		return rc;
	}
	return k->content == CONTENT_NONE;
}

static int ds_write(struct entry_sink *sink, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct ds_sink *k = (struct ds_sink *)sink;
	int rc = k->content == CONTENT_NONE ? 0 : sink_write(k, off, buf, len, err);

	return rc ? lcpfs_within(err, rc, "%.200s", k->e->path) : 0;
}

static int ds_whole(struct entry_sink *sink, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct ds_sink *k = (struct ds_sink *)sink;
	int rc = k->content == CONTENT_NONE ? 0 : sink_whole(k, buf, len, err);

	return rc ? lcpfs_within(err, rc, "%.200s", k->e->path) : 0;
}

static int ds_end(struct entry_sink *sink, struct lcpfs_error *err)
{
	struct ds_sink *k = (struct ds_sink *)sink;
	int rc = k->content == CONTENT_NONE ? 0 : sink_end_content(k, err);

	return rc ? lcpfs_within(err, rc, "%.200s", k->e->path) : 0;
}

static int ds_finish(struct entry_sink *sink, struct lcpfs_error *err)
{
	struct ds_sink *k = (struct ds_sink *)sink;

	if (!k->o.exact)
		return 0;
	if (k->o.deleting)
		k->o.deleting(k->o.warn_arg);
	return sink_delete_unseen(k, err);
}

static void ds_close(struct entry_sink *sink)
{
	struct ds_sink *k = (struct ds_sink *)sink;

	if (k->w)
		zpl_writer_abort(k->w);
	twins_fini(&k->twins);
	inoset_fini(&k->seen);
	inoset_fini(&k->linked);
	inomap_fini(&k->names);
	entry_fini(&k->later);
	buf_fini(&k->keep);
	buf_fini(&k->path);
	free(k->level);
	free(k->tmp);
	free(k);
}

static const struct entry_sink_ops ds_ops = { ds_begin, ds_write, ds_end, ds_finish, ds_close, NULL, ds_whole };

int ds_sink_open(struct entry_sink **out, struct dataset *ds, uint64_t root, const struct ds_sink_opts *o, struct lcpfs_error *err)
{
	struct ds_sink *k = calloc(1, sizeof *k);
	int rc = k ? 0 : lcpfs_nomem(err);

	if (rc)
		return rc;
	k->sink.ops = &ds_ops;
	k->twins.max_bytes = o->twins_bytes;
	k->ds = ds;
	k->o = *o;
	k->pace = (uint64_t)PACE_PACKS * ds->info.pack_size;
	rc = push_level(k, "", 0, root, false, err);
	if (!rc)
		rc = sink_note(k, root, 0, "", 0, false, err);
	if (rc) {
		ds_close(&k->sink);
		return rc;
	}
	*out = &k->sink;
	return 0;
}

void ds_sink_keep(struct entry_sink *sink, const char *path)
{
	struct ds_sink *k = (struct ds_sink *)sink;

	if (k->o.exact)
		buf_add(&k->keep, path, strlen(path) + 1);
}

void ds_sink_counts(const struct entry_sink *sink, uint64_t *changed, uint64_t *removed, uint64_t *compared)
{
	const struct ds_sink *k = (const struct ds_sink *)sink;

	*changed = k->changed;
	*removed = k->removed;
	*compared = k->compared;
}
