/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing directories and walking trees. A walk reads each directory in one go, then the inodes of what is in it: made in path order, they
 * lie side by side, so that one cursor moves along instead of looking each one up.
 */
#include "zpl/zpl_impl.h"
#include "zpl/api_impl.h"
#include <inttypes.h>

/* Attributes of ino: often the item after the one read last. *tlv: what stands behind them. */
static int cursor_stat(struct dataset *ds, struct bt_cursor *c, uint64_t ino, struct lcpfs_stat *st, const uint8_t **tlv, size_t *tlv_len,
                       struct lcpfs_error *err)
{
	uint8_t key[9];
	struct inode i;
	size_t klen = item_key(key, ITEM_INODE, ino);
	int rc = 1;

	if (c->path)
		rc = btree_next(c, err);
	if (rc >= 0 && (rc || c->item.klen != klen || memcmp(c->item.key, key, klen) != 0))
		rc = btree_get(ds->tree, c, key, klen, err);
	if (rc == 1) {
		btree_cursor_close(c);
		return lcpfs_fail(err, LCPFS_ENOENT, "no inode %" PRIu64, ino);
	}
	if (!rc) {
		rc = inode_decode(&i, c->item.val, c->item.vlen, tlv, tlv_len, err);
		if (rc)
			lcpfs_within(err, rc, "inode %" PRIu64, ino);
	}
	if (!rc)
		api_stat(ino, &i, st);
	else
		btree_cursor_close(c);
	return rc;
}

struct listing {
	struct lcpfs_dataset *ds;
	bool with_stat;
	struct bt_cursor inodes;
	lcpfs_dir_visit *visit;
	void *arg;
};

static int list_visit(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct lcpfs_dirent de = { .name = name, .ino = ino, .type = DTTOIF(type) };
	char target[SYMLINK_MAX + 1];
	struct listing *l = arg;
	struct lcpfs_stat st;
	const uint8_t *tlv, *p;
	size_t n;
	int rc;

	(void)len;
	if (!l->with_stat)
		return l->visit(l->arg, &de, err);
	rc = cursor_stat(l->ds->ds, &l->inodes, ino, &st, &tlv, &n, err);
	if (rc)
		return lcpfs_within(err, rc, "%s", name);
	de.st = &st;
	p = S_ISLNK(st.mode) ? inode_symlink(tlv, n, &n) : NULL;
	if (p && n <= SYMLINK_MAX) {
		memcpy(target, p, n);
		target[n] = 0;
		de.target = target;
	}
	return l->visit(l->arg, &de, err);
}

int lcpfs_readdir_ino(struct lcpfs_dataset *ds, uint64_t ino, bool with_stat, lcpfs_dir_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct listing l = { .ds = ds, .with_stat = with_stat, .visit = visit, .arg = arg };
	struct inode i;
	int rc = zpl_inode_get(ds->ds, ino, &i, err);

	if (!rc && !S_ISDIR(i.mode))
		rc = lcpfs_fail(err, LCPFS_ENOTDIR, "not a directory");
	if (!rc && with_stat)
		rc = zi_flush(ds->ds, err); /* inodes are read past the cache */
	if (!rc)
		rc = zpl_dir_each(ds->ds, ino, NULL, 0, list_visit, &l, err);
	btree_cursor_close(&l.inodes);
	return rc;
}

int lcpfs_readdir(struct lcpfs_dataset *ds, const char *path, bool with_stat, lcpfs_dir_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct inode i;
	uint64_t ino;
	int rc = zpl_resolve(ds->ds, path, true, &ino, err);

	if (!rc)
		rc = zpl_inode_get(ds->ds, ino, &i, err);
	if (!rc && !S_ISDIR(i.mode))
		rc = lcpfs_fail(err, LCPFS_ENOTDIR, "%s: not a directory", path);
	return rc ? rc : lcpfs_readdir_ino(ds, ino, with_stat, visit, arg, err);
}

/* The names of one directory: entries, and their names one after another. */
struct ent { uint64_t ino; uint32_t name; };
struct level {
	uint64_t ino;
	struct lcpfs_stat st;
	struct ent *ent;
	char *names;
	size_t n, at;
	size_t path_len; /* of the directory itself */
};
struct walker {
	struct lcpfs_dataset *ds;
	uint32_t flags;
	lcpfs_walk_visit *visit;
	void *arg;
	struct buf path;
	struct level *lv;
	size_t n, cap;
	struct bt_cursor inodes;
	bool stopped;
};

static int show(struct walker *w, size_t name_at, const struct lcpfs_stat *st, unsigned depth, bool *descend, struct lcpfs_error *err)
{
	struct lcpfs_walk_entry e = { .depth = depth, .st = st, .descend = descend };
	int rc;

	buf_u8(&w->path, 0);
	if (w->path.failed)
		return lcpfs_nomem(err);
	w->path.len--;
	e.path = (const char *)w->path.data;
	e.name = e.path + name_at;
	rc = w->visit(w->arg, &e, err);
	w->stopped = rc > 0;
	return rc;
}

struct collect { struct ent *ent; size_t n, cap; struct buf names; };

static int collect_visit(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct collect *c = arg;

	(void)type;
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 32;
		struct ent *ent = realloc(c->ent, cap * sizeof *ent);

		if (!ent)
			return lcpfs_nomem(err);
		c->ent = ent;
		c->cap = cap;
	}
	if (c->names.len > UINT32_MAX - NAME_MAX_BYTES - 1)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a directory with more than 4 GiB of names");
	c->ent[c->n++] = (struct ent){ ino, (uint32_t)c->names.len };
	buf_add(&c->names, name, len + 1);
	return c->names.failed ? lcpfs_nomem(err) : 0;
}

static int cmp_ino(const void *a, const void *b)
{
	const struct ent *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static int enter(struct walker *w, uint64_t ino, const struct lcpfs_stat *st, struct lcpfs_error *err)
{
	struct collect c = { 0 };
	int rc;

	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct level *lv = realloc(w->lv, cap * sizeof *lv);

		if (!lv)
			return lcpfs_nomem(err);
		w->lv = lv;
		w->cap = cap;
	}
	rc = zpl_dir_each(w->ds->ds, ino, NULL, 0, collect_visit, &c, err);
	if (rc) {
		free(c.ent);
		buf_fini(&c.names);
		return rc;
	}
	if (w->flags & LCPFS_WALK_SORT_INO && c.n)
		qsort(c.ent, c.n, sizeof *c.ent, cmp_ino);
	w->lv[w->n++] = (struct level){ .ino = ino, .st = *st, .ent = c.ent, .names = (char *)c.names.data, .n = c.n, .path_len = w->path.len };
	return 0;
}

static size_t last_name(const struct buf *path)
{
	size_t at = path->len;

	while (at && path->data[at - 1] != '/')
		at--;
	return at;
}

static int leave(struct walker *w, struct lcpfs_error *err)
{
	struct level *l = &w->lv[--w->n];
	bool descend = true;
	int rc = 0;

	w->path.len = l->path_len;
	if ((w->flags & LCPFS_WALK_POST) && !w->stopped)
		rc = show(w, last_name(&w->path), &l->st, (unsigned)w->n, &descend, err);
	free(l->ent);
	free(l->names);
	return rc;
}

/* One inode under the path that is set: show it, and enter it when it is a directory. */
static int arrive(struct walker *w, uint64_t ino, uint64_t parent, struct lcpfs_error *err)
{
	struct lcpfs_stat st;
	bool descend = true, dir;
	int rc = cursor_stat(w->ds->ds, &w->inodes, ino, &st, NULL, NULL, err);

	if (rc)
		return rc;
	dir = S_ISDIR(st.mode);
	/* a directory is entered only below its parent: a damaged tree cannot lead in circles */
	if (dir && parent && (st.parent != parent || ino == INO_ROOT))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "directory %" PRIu64 " is not at its place", ino);
	if (!dir || !(w->flags & LCPFS_WALK_POST))
		rc = show(w, last_name(&w->path), &st, (unsigned)w->n, &descend, err);
	return rc || !dir || !descend ? rc : enter(w, ino, &st, err);
}

static int walk_on(struct walker *w, struct lcpfs_error *err)
{
	while (w->n) {
		struct level *l = &w->lv[w->n - 1];
		const struct ent *e;
		int rc;

		if (l->at == l->n) {
			rc = leave(w, err);
			if (rc)
				return rc;
			continue;
		}
		e = &l->ent[l->at];
		l->at++;
		w->path.len = l->path_len;
		if (l->path_len)
			buf_u8(&w->path, '/');
		buf_add(&w->path, l->names + e->name, strlen(l->names + e->name));
		rc = arrive(w, e->ino, l->ino, err);
		if (rc < 0)
			return lcpfs_within(err, rc, "%.*s", (int)MIN(w->path.len, 200), (const char *)w->path.data);
		if (rc)
			return rc;
	}
	return 0;
}

#define WALK_FLAGS_ALL (LCPFS_FOLLOW | LCPFS_WALK_POST | LCPFS_WALK_SORT_INO)

int lcpfs_walk(struct lcpfs_dataset *ds, const char *path, uint32_t flags, lcpfs_walk_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct walker w = { .ds = ds, .flags = flags, .visit = visit, .arg = arg };
	uint64_t ino;
	int rc = api_flags(flags, WALK_FLAGS_ALL, err);

	if (!rc)
		rc = zpl_resolve(ds->ds, path, flags & LCPFS_FOLLOW, &ino, err);
	if (!rc)
		rc = zi_flush(ds->ds, err); /* inodes are read past the cache */
	if (!rc)
		rc = zpl_path_of(ds->ds, ino, &w.path, err);
	if (!rc)
		rc = arrive(&w, ino, 0, err);
	if (!rc)
		rc = walk_on(&w, err);
	w.stopped = true;
	while (w.n)
		leave(&w, NULL);
	btree_cursor_close(&w.inodes);
	free(w.lv);
	buf_fini(&w.path);
	return rc < 0 ? rc : 0;
}
