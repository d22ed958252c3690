/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every state of every file: all of the oldest state of a dataset, then what each later one has that the one before had not. Only the path to the entry at
 * hand is kept in memory.
 */
#include "history/history.h"
#include "base/error.h"
#include "base/util.h"
#include "zpl/handle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct timeline {
	lcpfs_timeline_visit *visit;
	void *arg;
	const char *dataset;
	struct lcpfs_dataset *now;        /* NULL: gone */
	const struct hist_state *at, *before;
	struct hist_view view;
};

static bool later(const struct itime *a, const struct lcpfs_time *b)
{
	return a->sec != b->sec ? a->sec > b->sec : a->nsec > b->nsec;
}

static bool itime_before(const struct itime *a, const struct itime *b)
{
	return a->sec != b->sec ? a->sec < b->sec : a->nsec < b->nsec;
}

/* Only what cannot be, whoever made the change: see lcpfs_timeline. */
static uint32_t contradictions(const struct timeline *t, const struct inode *i, const struct inode *old)
{
	const struct lcpfs_time *commit = &t->at->time;
	uint32_t c = 0;

	c |= later(&i->mtime, commit) ? LCPFS_TIME_MTIME_FUTURE : 0;
	c |= later(&i->ctime, commit) ? LCPFS_TIME_CTIME_FUTURE : 0;
	c |= later(&i->btime, commit) ? LCPFS_TIME_BTIME_FUTURE : 0;
	c |= (i->btime.sec || i->btime.nsec) && itime_before(&i->ctime, &i->btime) ? LCPFS_TIME_CTIME_BEFORE_BIRTH : 0;
	if (old && t->before && !later(&i->ctime, &t->before->time) &&
	    (i->ctime.sec != t->before->time.sec || i->ctime.nsec != t->before->time.nsec))
		c |= LCPFS_TIME_CTIME_BEFORE_CHANGE;
	return c;
}

static int emit(struct timeline *t, uint64_t ino, const struct inode *i, const struct inode *old, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_timeline e = { .dataset = t->dataset, .path = path, .txg = t->at->txg, .snap = hist_snap_name(t->at), .commit = t->at->time,
		.contradictions = contradictions(t, i, old) };
	struct lcpfs_stat st;
	struct inode here;
	char *target = NULL;
	int rc = 0;

	api_stat(ino, i, &st);
	e.st = &st;
	if (S_ISLNK(i->mode))
		rc = zpl_readlink(t->view.ds->ds, ino, &target, err);
	e.target = target;
	e.deleted = !t->now;
	if (!rc && t->now && !t->at->now) {
		rc = zpl_inode_get(t->now->ds, ino, &here, err);
		e.deleted = rc == -LCPFS_ENOENT || (!rc && here.gen != i->gen);
		rc = rc == -LCPFS_ENOENT ? 0 : rc;
	}
	if (!rc)
		rc = t->visit(t->arg, &e, err);
	free(target);
	return rc;
}

/* ---- the oldest state: by name ---- */

static int on_walk(void *arg, const struct lcpfs_walk_entry *w, struct lcpfs_error *err)
{
	struct timeline *t = arg;
	struct inode i;
	int rc = zpl_inode_get(t->view.ds->ds, w->st->ino, &i, err);

	return rc ? rc : emit(t, w->st->ino, &i, NULL, w->path, err);
}

/* ---- a later one: inodes that differ, each by all its names ---- */

static int emit_named(struct timeline *t, uint64_t ino, const struct inode *i, const struct inode *old, uint64_t dir, const uint8_t *name,
                      size_t len, struct lcpfs_error *err)
{
	struct buf path = { 0 };
	int rc = zpl_path_of(t->view.ds->ds, dir, &path, err);

	if (!rc && path.len)
		buf_u8(&path, '/');
	buf_add(&path, name, len);
	buf_u8(&path, 0);
	if (!rc && path.failed)
		rc = lcpfs_nomem(err);
	if (!rc)
		rc = emit(t, ino, i, old, (const char *)path.data, err);
	buf_fini(&path);
	return rc;
}

static int each_link(struct timeline *t, uint64_t ino, const struct inode *i, const struct inode *old, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	size_t klen = item_key(key, ITEM_LINK, ino);
	int rc = btree_seek(t->view.ds->ds->tree, &c, key, klen, err);

	for (; rc == 0 && c.item.klen > 17 && !memcmp(c.item.key, key, klen); rc = rc ? rc : btree_next(&c, err))
		rc = emit_named(t, ino, i, old, be64_load(c.item.key + 9), c.item.key + 17, c.item.klen - 17u, err);
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int emit_names(struct timeline *t, uint64_t ino, const struct inode *i, const struct inode *old, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	char *path = NULL;
	int rc;

	if (!S_ISDIR(i->mode) && i->nlink > 1)
		return each_link(t, ino, i, old, err);
	rc = lcpfs_path_of(t->view.ds, ino, &path, &why);
	/* without a name: open when it was removed */
	if (rc == -LCPFS_ENOENT)
		return 0;
	if (!rc)
		rc = emit(t, ino, i, old, path, &why);
	free(path);
	if (rc && err)
		*err = why;
	return rc;
}

static int on_item(void *arg, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	struct timeline *t = arg;
	struct inode i, old;
	int rc;

	if (!b || b->key[0] != ITEM_INODE || b->klen != 9)
		return 0;
	rc = inode_decode(&i, b->val, b->vlen, NULL, NULL, err);
	if (!rc && a)
		rc = inode_decode(&old, a->val, a->vlen, NULL, NULL, err);
	return rc ? rc : emit_names(t, be64_load(b->key + 1), &i, a ? &old : NULL, err);
}

static int changes(struct timeline *t, struct lcpfs_pool *p, struct lcpfs_error *err)
{
	struct hist_view before;
	int rc = hist_view_open(&before, p, t->before, err);

	if (rc)
		return rc;
	rc = btree_diff_items(&before.ds->ds->store, &before.ds->ds->rec.root, &t->view.ds->ds->store, &t->view.ds->ds->rec.root, false, on_item, t,
	    err);
	hist_view_close(&before);
	return rc;
}

static int of_dataset(struct timeline *t, struct lcpfs_pool *p, const struct hist_roots *roots, const struct hist_head *h, struct lcpfs_error *err)
{
	struct hist_states s = { 0 };
	int rc = hist_states_of(p, roots, h->id, &s, err);

	t->dataset = h->name;
	t->now = NULL;
	if (!rc && h->now)
		rc = lcpfs_dataset_open(&t->now, p, h->name, err);
	for (size_t i = 0; !rc && i < s.n; i++) {
		t->at = &s.v[i];
		t->before = i ? &s.v[i - 1] : NULL;
		rc = hist_view_open(&t->view, p, t->at, err);
		if (!rc)
			rc = i ? changes(t, p, err) : lcpfs_walk(t->view.ds, "", 0, on_walk, t, err);
		hist_view_close(&t->view);
	}
	lcpfs_dataset_close(t->now);
	hist_states_fini(&s);
	return rc;
}

int lcpfs_timeline(struct lcpfs_pool *p, const char *dataset, lcpfs_timeline_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct timeline t = { .visit = visit, .arg = arg };
	struct hist_roots roots = { 0 };
	struct hist_head *heads = NULL;
	bool found = !dataset;
	size_t n = 0;
	int rc = hist_roots_find(p, false, &roots, err);

	if (!rc)
		rc = hist_heads(p, &roots, &heads, &n, err);
	for (size_t i = 0; !rc && i < n; i++) {
		if (dataset && strcmp(dataset, heads[i].name))
			continue;
		found = true;
		rc = of_dataset(&t, p, &roots, &heads[i], err);
	}
	if (!rc && !found)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "no dataset '%s', now or in an older root", dataset);
	hist_heads_fini(heads, n);
	free(roots.v);
	return MIN(rc, 0);
}
