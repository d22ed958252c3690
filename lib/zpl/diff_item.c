/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing by item: the trees' difference gives the inodes that may differ and the names that came and went. A name that went and one that
 * came for one inode are a rename. Cost follows the change.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/util.h"
#include "zpl/diff.h"

struct link { uint64_t ino, dir; char *name; bool used; };
struct links { struct link *v; size_t n, cap; };
struct changes {
	struct links gone, come;
	uint64_t *ino; /* may differ in attributes or contents */
	size_t n_ino, cap_ino;
};

static int add_ino(struct changes *c, uint64_t ino, struct lcpfs_error *err)
{
	if (c->n_ino && c->ino[c->n_ino - 1] == ino)
		return 0;
	if (c->n_ino == c->cap_ino) {
		size_t cap = c->cap_ino ? 2 * c->cap_ino : 64;
		uint64_t *v = realloc(c->ino, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		c->ino = v;
		c->cap_ino = cap;
	}
	c->ino[c->n_ino++] = ino;
	return 0;
}

static int add_link(struct links *l, const struct bt_item *i, struct lcpfs_error *err)
{
	if (i->klen < 10 || i->vlen < 8)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "directory entry of %u bytes", i->vlen);
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct link *v = realloc(l->v, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = (struct link){ le_load(i->val, 8), be64_load(i->key + 1), strndup((const char *)i->key + 9, i->klen - 9u), false };
	return l->v[l->n].name ? (l->n++, 0) : lcpfs_nomem(err);
}

static int visit(void *arg, const struct bt_item *a, const struct bt_item *b, struct lcpfs_error *err)
{
	struct changes *c = arg;
	const struct bt_item *i = a ? a : b;
	int rc;

	if (i->klen < 9)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "item key of %u bytes", i->klen);
	switch (i->key[0]) {
	case ITEM_INODE:
	case ITEM_XATTR:
		return add_ino(c, be64_load(i->key + 1), err);
	case ITEM_DIRENT:
		if (a && b && a->vlen >= 8 && b->vlen >= 8 && memcmp(a->val, b->val, 8) == 0)
			return 0;
		rc = a ? add_link(&c->gone, a, err) : 0;
		return rc || !b ? rc : add_link(&c->come, b, err);
	default:
		return 0;
	}
}

static int by_ino(const void *x, const void *y)
{
	const struct link *a = x, *b = y;

	return a->ino != b->ino ? (a->ino < b->ino ? -1 : 1) : a->dir != b->dir ? (a->dir < b->dir ? -1 : 1) : strcmp(a->name, b->name);
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static int link_path(struct dataset *ds, const struct link *l, char **path, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = zpl_path_of(ds, l->dir, &b, err);

	if (b.len)
		buf_u8(&b, '/');
	buf_printf(&b, "%s", l->name);
	if (!rc && b.failed)
		rc = lcpfs_nomem(err);
	*path = (char *)b.data;
	if (rc) {
		buf_fini(&b);
		*path = NULL;
	}
	return rc;
}

static bool listed(const struct changes *c, uint64_t ino)
{
	return c->n_ino && bsearch(&ino, c->ino, c->n_ino, sizeof ino, by_number);
}

static void unlist(struct changes *c, uint64_t ino)
{
	uint64_t *at = c->n_ino ? bsearch(&ino, c->ino, c->n_ino, sizeof ino, by_number) : NULL;

	if (at) {
		memmove(at, at + 1, (size_t)(c->ino + c->n_ino - at - 1) * sizeof *at);
		c->n_ino--;
	}
}

/* The name that went for which this one came, if the file is the same. */
static struct link *partner(struct diff *d, struct links *gone, const struct link *l)
{
	size_t lo = 0, hi = gone->n;
	struct inode i;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (gone->v[mid].ino < l->ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < gone->n && gone->v[lo].ino == l->ino; lo++)
		if (!gone->v[lo].used && zpl_inode_get(d->a, l->ino, &i, NULL) == 0)
			return &gone->v[lo];
	return NULL;
}

static int report_come(struct diff *d, struct changes *c, struct link *l, struct lcpfs_error *err)
{
	struct link *g = partner(d, &c->gone, l);
	struct inode a = { 0 }, b;
	char *path = NULL, *from = NULL;
	uint32_t changed = 0;
	int rc = zpl_inode_get(d->b, l->ino, &b, err);

	if (!rc)
		rc = link_path(d->b, l, &path, err);
	if (!rc && g) {
		g->used = true;
		rc = link_path(d->a, g, &from, err);
		if (!rc)
			rc = zpl_inode_get(d->a, l->ino, &a, err);
		if (!rc && listed(c, l->ino))
			rc = diff_inodes(d, l->ino, &a, l->ino, &b, &changed, err);
		unlist(c, l->ino);
	}
	if (rc) {
		free(path);
		free(from);
		return rc;
	}
	return diff_add(d, g ? 'R' : '+', b.mode, changed, path, from, a.size, b.size, err);
}

static int report_gone(struct diff *d, struct link *l, struct lcpfs_error *err)
{
	struct inode a;
	char *path = NULL;
	int rc = l->used ? 1 : zpl_inode_get(d->a, l->ino, &a, err);

	if (!rc)
		rc = link_path(d->a, l, &path, err);
	if (rc)
		return rc < 0 ? rc : 0;
	return diff_add(d, '-', a.mode, 0, path, NULL, a.size, 0, err);
}

static int report_changed(struct diff *d, uint64_t ino, struct lcpfs_error *err)
{
	struct buf path = { 0 };
	struct inode a, b;
	uint32_t changed;
	int rc = zpl_inode_get(d->b, ino, &b, err);

	if (rc == -LCPFS_ENOENT || (!rc && (rc = zpl_inode_get(d->a, ino, &a, err)) == -LCPFS_ENOENT))
		return 0;
	if (!rc)
		rc = diff_inodes(d, ino, &a, ino, &b, &changed, err);
	if (rc || !changed)
		return rc;
	rc = zpl_path_of(d->b, ino, &path, err);
	buf_u8(&path, 0);
	if (rc || path.failed) {
		buf_fini(&path);
		return rc ? rc : lcpfs_nomem(err);
	}
	return diff_add(d, 'M', b.mode, changed, (char *)path.data, NULL, a.size, b.size, err);
}

static size_t distinct(uint64_t *v, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		if (!to || v[to - 1] != v[i])
			v[to++] = v[i];
	return to;
}

static void free_links(struct links *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
}

int diff_by_item(struct diff *d, struct lcpfs_error *err)
{
	struct changes c = { 0 };
	int rc = btree_diff_items(&d->a->store, &d->a->rec.root, &d->b->store, &d->b->rec.root, false, visit, &c, err);

	if (c.gone.n)
		qsort(c.gone.v, c.gone.n, sizeof *c.gone.v, by_ino);
	if (c.come.n)
		qsort(c.come.v, c.come.n, sizeof *c.come.v, by_ino);
	if (c.n_ino) {
		qsort(c.ino, c.n_ino, sizeof *c.ino, by_number);
		c.n_ino = distinct(c.ino, c.n_ino);
	}
	for (size_t i = 0; i < c.come.n && !rc; i++)
		rc = report_come(d, &c, &c.come.v[i], err);
	for (size_t i = 0; i < c.gone.n && !rc; i++)
		rc = report_gone(d, &c.gone.v[i], err);
	for (size_t i = 0; i < c.n_ino && !rc; i++)
		rc = report_changed(d, c.ino[i], err);
	free_links(&c.gone);
	free_links(&c.come);
	free(c.ino);
	return rc;
}
