/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a name, and removing a whole tree. */
#include "zpl/zpl_impl.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEPTH_SANE (1u << 20) /* more parents than this is a loop */

/* Is `ino` dir itself or above it? */
static int check_not_below(struct dataset *ds, uint64_t ino, uint64_t dir, struct lcpfs_error *err)
{
	struct inode i;

	for (unsigned n = 0; n < DEPTH_SANE; n++) {
		int rc;

		if (dir == ino)
			return lcpfs_fail(err, LCPFS_EINVAL, "a directory cannot be moved into itself");
		if (dir == INO_ROOT)
			return 0;
		rc = zpl_inode_get(ds, dir, &i, err);
		if (rc)
			return rc;
		dir = i.parent;
	}
	return lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": its parents are a loop", ino);
}

/* May `ino` of this mode take the place of what the name `to` holds? */
static int check_target(struct dataset *ds, uint32_t mode, uint64_t target, struct lcpfs_error *err)
{
	struct inode t;
	bool empty;
	int rc = zpl_inode_get(ds, target, &t, err);

	if (rc)
		return rc;
	if (S_ISDIR(mode) && !S_ISDIR(t.mode))
		return lcpfs_fail(err, LCPFS_ENOTDIR, "a directory cannot replace what is not one");
	if (!S_ISDIR(mode) && S_ISDIR(t.mode))
		return lcpfs_fail(err, LCPFS_EISDIR, "a directory can only be replaced by one");
	if (!S_ISDIR(mode))
		return 0;
	rc = zpl_dir_empty(ds, target, &empty, err);
	if (!rc && !empty)
		rc = lcpfs_fail(err, LCPFS_ENOTEMPTY, "directory not empty");
	return rc;
}

struct move { uint64_t ino, from_dir, to_dir; const char *from, *to; size_t from_len, to_len; };

static int move_name(struct dataset *ds, const struct move *m, const struct itime *now, struct lcpfs_error *err)
{
	struct inode i;
	struct zi *zi;
	bool linked;
	int rc = zpl_inode_get(ds, m->ino, &i, err);

	linked = !rc && !S_ISDIR(i.mode) && i.nlink > 1;
	if (!rc)
		rc = zpl_entry_del(ds, m->from_dir, m->from, m->from_len, err);
	if (!rc)
		rc = zpl_entry_put(ds, m->to_dir, m->to, m->to_len, m->ino, i.mode, 0, err);
	if (!rc && linked)
		rc = zpl_link_del(ds, m->ino, m->from_dir, m->from, m->from_len, err);
	if (!rc && linked)
		rc = zpl_link_put(ds, m->ino, m->to_dir, m->to, m->to_len, err);
	if (!rc)
		rc = zi_get(ds, m->ino, &zi, err);
	if (rc)
		return rc;
	zi->i.parent = m->to_dir;
	if (now)
		zi->i.ctime = *now;
	zi->dirty = true;
	if (linked)
		return zpl_links_settle(ds, m->ino, err);
	if (!S_ISDIR(i.mode) || m->from_dir == m->to_dir)
		return 0;
	rc = zpl_touch_dir(ds, m->from_dir, NULL, -1, err);
	return rc ? rc : zpl_touch_dir(ds, m->to_dir, NULL, 1, err);
}

static int rename_checked(struct dataset *ds, const struct move *m, bool noreplace, const struct itime *now, bool *done,
                          struct lcpfs_error *err)
{
	struct inode i;
	uint64_t target = 0;
	int rc = zpl_inode_get(ds, m->ino, &i, err);

	if (!rc)
		rc = zpl_lookup(ds, m->to_dir, m->to, m->to_len, &target, NULL, err);
	if (rc && (rc != -LCPFS_ENOENT || !i.mode))
		return rc;
	if (target && noreplace)
		return lcpfs_fail(err, LCPFS_EEXIST, "already exists");
	if (target == m->ino)
		return 0;
	rc = S_ISDIR(i.mode) ? check_not_below(ds, m->ino, m->to_dir, err) : 0;
	if (!rc && target)
		rc = check_target(ds, i.mode, target, err);
	if (!rc && target)
		rc = zpl_drop_name(ds, m->to_dir, m->to, m->to_len, target, now, err);
	if (!rc)
		rc = move_name(ds, m, now, err);
	*done = !rc;
	return rc;
}

int zpl_rename(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t to_dir, const char *to, size_t to_len, bool noreplace,
               const struct itime *now, struct lcpfs_error *err)
{
	struct move m = { 0, dir, to_dir, name, to, len, to_len };
	struct zi *zi;
	bool done = false;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);

	if (!rc)
		rc = zpl_name_check(to, to_len, err);
	if (!rc)
		rc = zpl_lookup(ds, dir, name, len, &m.ino, NULL, err);
	if (!rc)
		rc = zpl_dir_get(ds, to_dir, &zi, err);
	if (!rc)
		rc = rename_checked(ds, &m, noreplace, now, &done, err);
	if (!rc && done)
		rc = zpl_touch_dir(ds, dir, now, 0, err);
	if (!rc && done)
		rc = zpl_touch_dir(ds, to_dir, now, 0, err);
	return zpl_end(ds, mark, rc, err);
}

/* Where remove_tree is: the directories entered, each with its name in the one before. */
struct level { uint64_t dir; char name[NAME_MAX_BYTES]; size_t len; };
struct levels { struct level *l; size_t n, cap; };

static int push(struct levels *s, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct level *l = realloc(s->l, cap * sizeof *l);

		if (!l)
			return lcpfs_nomem(err);
		s->l = l;
		s->cap = cap;
	}
	s->l[s->n].dir = dir;
	s->l[s->n].len = len;
	memcpy(s->l[s->n].name, name, len);
	s->n++;
	return 0;
}

struct first { char name[NAME_MAX_BYTES]; size_t len; uint64_t ino; uint8_t type; };

static int first_visit(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct first *f = arg;

	(void)err;
	memcpy(f->name, name, len);
	f->len = len;
	f->ino = ino;
	f->type = type;
	return 1;
}

/* In a damaged tree a directory may appear in several places; only below its parent is it entered. */
static bool is_own_dir(struct dataset *ds, uint64_t dir, uint64_t ino)
{
	struct inode i;

	return !zpl_inode_get(ds, ino, &i, NULL) && S_ISDIR(i.mode) && i.parent == dir && ino != INO_ROOT;
}

/* One step: remove the first name of the innermost directory, or enter it, or leave an empty one. */
static int remove_step(struct dataset *ds, struct levels *s, struct lcpfs_error *err)
{
	struct level *top = &s->l[s->n - 1];
	struct first f = { .len = 0 };
	int rc = zpl_dir_each(ds, top->dir, NULL, 0, first_visit, &f, err);

	if (rc)
		return rc;
	if (f.len && f.type == DT_DIR && is_own_dir(ds, top->dir, f.ino))
		return push(s, f.ino, f.name, f.len, err);
	if (f.len && f.type == DT_DIR)
		return zpl_entry_del(ds, top->dir, f.name, f.len, err);
	if (f.len)
		return zpl_drop_name(ds, top->dir, f.name, f.len, f.ino, NULL, err);
	s->n--;
	return s->n ? zpl_drop_name(ds, top[-1].dir, top->name, top->len, top->dir, NULL, err) : 0;
}

int zpl_remove_tree(struct dataset *ds, uint64_t dir, const char *name, size_t len, const struct itime *now, struct lcpfs_error *err)
{
	struct levels s = { 0 };
	uint64_t ino;
	uint8_t type;
	int rc = zpl_begin(ds, ADMIT_FREEING, 0, err);

	if (!rc)
		rc = zpl_lookup(ds, dir, name, len, &ino, &type, err);
	if (!rc && type == DT_DIR && is_own_dir(ds, dir, ino))
		rc = push(&s, ino, name, len, err);
	while (!rc && s.n) {
		uint64_t mark = btree_edits(ds->tree);

		rc = zpl_end(ds, mark, remove_step(ds, &s, err), err);
		if (!rc)
			rc = zpl_begin(ds, ADMIT_FREEING, 0, err);
	}
	free(s.l);
	return rc ? rc : zpl_unlink(ds, dir, name, len, now, err);
}
