/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing by name: both trees are walked together, directory by directory. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/util.h"
#include "zpl/diff.h"

struct name { char *name; uint64_t ino; };
struct listing { struct name *v; size_t n, cap; };
/* A pair of directories still to compare; ino 0: that side has none. */
struct pair { uint64_t a, b; char *path; struct pair *next; };

static int add_name(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct listing *l = arg;

	(void)type;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct name *v = realloc(l->v, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = (struct name){ strndup(name, len), ino };
	return l->v[l->n].name ? (l->n++, 0) : lcpfs_nomem(err);
}

static void free_listing(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	free(l->v);
}

static char *join(const char *dir, const char *name)
{
	size_t n = strlen(dir), m = strlen(name);
	char *p = malloc(n + m + 2);

	if (!p)
		return NULL;
	memcpy(p, dir, n);
	if (n)
		p[n++] = '/';
	memcpy(p + n, name, m + 1);
	return p;
}

static int push(struct pair **todo, uint64_t a, uint64_t b, const char *path, struct lcpfs_error *err)
{
	struct pair *p = malloc(sizeof *p);

	if (!p)
		return lcpfs_nomem(err);
	*p = (struct pair){ a, b, strdup(path), *todo };
	*todo = p;
	return p->path ? 0 : lcpfs_nomem(err);
}

/* A name that one side lacks. */
static int one_side(struct diff *d, bool in_a, const char *dir, const struct name *n, struct pair **todo, struct lcpfs_error *err)
{
	char *path = join(dir, n->name);
	struct inode i;
	int rc = path ? zpl_inode_get(in_a ? d->a : d->b, n->ino, &i, err) : lcpfs_nomem(err);

	if (!rc && S_ISDIR(i.mode))
		rc = push(todo, in_a ? n->ino : 0, in_a ? 0 : n->ino, path, err);
	if (rc) {
		free(path);
		return rc;
	}
	return diff_add(d, in_a ? '-' : '+', i.mode, 0, path, NULL, in_a ? i.size : 0, in_a ? 0 : i.size, err);
}

static int both_sides(struct diff *d, const char *path, uint64_t ino_a, uint64_t ino_b, struct pair **todo, struct lcpfs_error *err)
{
	struct inode a, b;
	uint32_t changed = 0;
	int rc = zpl_inode_get(d->a, ino_a, &a, err);

	if (!rc)
		rc = zpl_inode_get(d->b, ino_b, &b, err);
	if (!rc)
		rc = diff_inodes(d, ino_a, &a, ino_b, &b, &changed, err);
	if (!rc && changed)
		rc = diff_add(d, 'M', b.mode, changed, strdup(path), NULL, a.size, b.size, err);
	if (!rc && (S_ISDIR(a.mode) || S_ISDIR(b.mode)))
		rc = push(todo, S_ISDIR(a.mode) ? ino_a : 0, S_ISDIR(b.mode) ? ino_b : 0, path, err);
	return rc;
}

static int compare_dirs(struct diff *d, const struct pair *p, struct pair **todo, struct lcpfs_error *err)
{
	struct listing la = { 0 }, lb = { 0 };
	size_t i = 0, k = 0;
	int rc = p->a ? zpl_dir_each(d->a, p->a, NULL, 0, add_name, &la, err) : 0;

	if (!rc && p->b)
		rc = zpl_dir_each(d->b, p->b, NULL, 0, add_name, &lb, err);
	while (!rc && (i < la.n || k < lb.n)) {
		int c = i == la.n ? 1 : k == lb.n ? -1 : strcmp(la.v[i].name, lb.v[k].name);

		if (c < 0) {
			rc = one_side(d, true, p->path, &la.v[i++], todo, err);
		} else if (c > 0) {
			rc = one_side(d, false, p->path, &lb.v[k++], todo, err);
		} else {
			char *path = join(p->path, la.v[i].name);

			rc = path ? both_sides(d, path, la.v[i].ino, lb.v[k].ino, todo, err) : lcpfs_nomem(err);
			free(path);
			i++;
			k++;
		}
	}
	free_listing(&la);
	free_listing(&lb);
	return rc;
}

int diff_by_path(struct diff *d, struct lcpfs_error *err)
{
	struct pair *todo = NULL;
	int rc = both_sides(d, "", INO_ROOT, INO_ROOT, &todo, err);

	while (todo) {
		struct pair *p = todo;

		todo = p->next;
		if (!rc)
			rc = compare_dirs(d, p, &todo, err);
		free(p->path);
		free(p);
	}
	return rc;
}
