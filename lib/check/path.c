/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of inodes, many at a time: those of one directory by one pass over its names. */
#include "check/check_impl.h"
#include <string.h>

#define DEPTH_MAX 8192u
#define PATH_LEN_MAX (1u << 20)
#define MEMO_N 256u

struct memo { uint64_t dir; char *path; };
struct paths {
	struct check *ck;
	struct btree *t;
	struct memo memo[MEMO_N]; /* by dir % MEMO_N */
};
struct job { uint64_t parent; struct ck_want *w; };

/* The directory that an inode says it is in; 0: not known. */
static uint64_t parent_of(struct paths *p, uint64_t ino)
{
	struct bt_cursor c = { 0 };
	struct inode i = { 0 };
	uint8_t key[9];

	if (btree_get(p->t, &c, key, item_key(key, ITEM_INODE, ino), NULL) ||
	    inode_decode(&i, c.item.val, c.item.vlen, NULL, NULL, NULL))
		i.parent = 0;
	btree_cursor_close(&c);
	return i.parent;
}

static int by_ino(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	return (x->w->ino > y->w->ino) - (x->w->ino < y->w->ino);
}

static char *joined(const char *dir, const uint8_t *name, size_t len)
{
	size_t n = strlen(dir);
	char *s = n + len < PATH_LEN_MAX ? malloc(n + len + 2) : NULL;

	if (!s)
		return NULL;
	memcpy(s, dir, n);
	if (n)
		s[n++] = '/';
	memcpy(s + n, name, len);
	s[n + len] = 0;
	return s;
}

/* Names in directory `dir` of those jobs (sorted by inode), behind the path `at`. */
static void names_in(struct paths *p, uint64_t dir, const char *at, struct job *j, size_t n)
{
	struct bt_cursor c = { 0 };
	struct ck_want key_w;
	struct job key_j = { 0, &key_w };
	uint8_t key[9];
	size_t left = n;
	int rc = btree_seek(p->t, &c, key, item_key(key, ITEM_DIRENT, dir), NULL);

	for (; !rc && left && p->ck->path_budget; rc = btree_next(&c, NULL)) {
		struct job *found;

		p->ck->path_budget--;
		if (c.item.klen <= 9 || memcmp(c.item.key, key, 9) != 0)
			break;
		if (c.item.vlen < 9)
			continue;
		key_w.ino = le_load(c.item.val, 8);
		found = bsearch(&key_j, j, n, sizeof *j, by_ino);
		while (found && found > j && found[-1].w->ino == key_w.ino)
			found--;
		for (; found && found < j + n && found->w->ino == key_w.ino; found++)
			if (!found->w->path) {
				found->w->path = joined(at, c.item.key + 9, c.item.klen - 9u);
				left--;
			}
	}
	btree_cursor_close(&c);
}

/* Names upwards from `dir`, each before the one it is in. NULL: there is no way to the root. */
static char *dir_path(struct paths *p, uint64_t dir)
{
	struct memo *m = &p->memo[dir % MEMO_N];
	char *path = strdup(""), *up;
	uint64_t cur = dir;
	unsigned depth = 0;

	if (m->path && m->dir == dir) {
		free(path);
		return strdup(m->path);
	}
	while (path && cur != INO_ROOT) {
		uint64_t cost = strlen(path) / 256;
		struct ck_want w = { .ino = cur };
		uint64_t parent = parent_of(p, cur);
		struct job j = { parent, &w };

		/* a long path costs as names do */
		p->ck->path_budget -= MIN(cost, p->ck->path_budget);
		if (parent && parent != cur && ++depth < DEPTH_MAX)
			names_in(p, parent, "", &j, 1);
		up = w.path && *path ? joined(w.path, (uint8_t *)path, strlen(path)) : w.path;
		if (up != w.path)
			free(w.path);
		free(path);
		path = up;
		cur = parent;
	}
	if (path) {
		free(m->path);
		*m = (struct memo){ dir, strdup(path) };
	}
	return path;
}

static int by_parent(const void *a, const void *b)
{
	const struct job *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return by_ino(a, b);
}

static void resolve(struct paths *p, struct job *j, size_t n)
{
	size_t run;

	for (size_t i = 0; i < n; i += run) {
		char *at;

		for (run = 1; i + run < n && j[i + run].parent == j[i].parent; run++)
			;
		at = j[i].parent ? dir_path(p, j[i].parent) : NULL;
		if (at)
			names_in(p, j[i].parent, at, j + i, run);
		free(at);
	}
}

int ck_paths(struct check *ck, const struct ck_ds *ds, struct ck_want *w, size_t n, struct lcpfs_error *err)
{
	struct paths *p = calloc(1, sizeof *p);
	struct job *j = calloc(n + 1, sizeof *j);
	size_t k = 0;
	int rc = p && j ? 0 : lcpfs_nomem(err);

	if (!rc && !ptr_is_null(&ds->rec.root) && btree_open(&p->t, &ck->store, &ds->rec.root, 0, NULL, NULL) == 0) {
		p->ck = ck;
		for (size_t i = 0; i < n; i++) {
			w[i].path = NULL;
			if (w[i].ino == INO_ROOT)
				w[i].path = strdup("");
			else
				j[k++] = (struct job){ parent_of(p, w[i].ino), &w[i] };
		}
		qsort(j, k, sizeof *j, by_parent);
		resolve(p, j, k);
		btree_close(p->t);
	}
	for (size_t i = 0; p && i < MEMO_N; i++)
		free(p->memo[i].path);
	free(p);
	free(j);
	return rc;
}
