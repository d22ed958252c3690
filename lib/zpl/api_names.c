/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names of datasets and snapshots, gathered before something is done with all of them. */
#include "zpl/api_names.h"
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

int api_names_add(struct names *l, const char *a, const char *b, struct lcpfs_error *err)
{
	struct buf text = { 0 };

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		char **v = realloc(l->v, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		l->v = v;
		l->cap = cap;
	}
	buf_printf(&text, "%s%s", a, b);
	if (text.failed)
		return lcpfs_nomem(err);
	l->v[l->n++] = (char *)text.data;
	return 0;
}

void api_names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Each name once, sorted. */
void api_names_unique(struct names *l)
{
	size_t to = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_text);
	for (size_t i = 0; i < l->n; i++) {
		if (to && strcmp(l->v[to - 1], l->v[i]) == 0)
			free(l->v[i]);
		else
			l->v[to++] = l->v[i];
	}
	l->n = to;
}

/* The name of a child; its length is what ends the descent into datasets of a damaged pool. */
int api_child_name(struct buf *full, const char *above, const char *name, struct lcpfs_error *err)
{
	buf_printf(full, "%s%s%s", above, *above ? "/" : "", name);
	if (full->failed)
		return lcpfs_nomem(err);
	return full->len <= 1023 ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "datasets nest too deep below '%s'", above);
}

/* full + suffix, if there is such a dataset or snapshot or need not be. */
static int add_target(const struct subtree *t, const char *full, struct lcpfs_error *err)
{
	struct buf at = { 0 };
	struct dsrec r;
	int rc = 0;

	if (t->must_exist) {
		buf_printf(&at, "%s%s", full, t->suffix);
		rc = at.failed ? lcpfs_nomem(err) : dmu_lookup(t->spa, (char *)at.data, &r, err);
		buf_fini(&at);
	}
	if (rc == -LCPFS_ENOENT)
		return 0;
	return rc ? rc : api_names_add(t->out, full, t->suffix, err);
}

int api_add_child(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct subtree *t = arg, below = *t;
	struct buf full = { 0 };
	int rc = api_child_name(&full, t->above, name, err);

	below.above = (char *)full.data;
	if (!rc)
		rc = add_target(t, below.above, err);
	if (!rc)
		rc = dmu_each(t->spa, r->id, false, api_add_child, &below, err);
	buf_fini(&full);
	return rc;
}

int api_add_children(struct spa *s, const char *name, uint64_t id, const char *suffix, struct names *out, struct lcpfs_error *err)
{
	struct subtree t = { s, name, suffix, out, false };

	return dmu_each(s, id, false, api_add_child, &t, err);
}
