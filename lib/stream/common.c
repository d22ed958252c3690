/* SPDX-License-Identifier: Apache-2.0 */
/* The newest snapshot that two datasets have in common. */
#include "stream_impl.h"
#include <stdlib.h>

struct guids { uint64_t *g; size_t n, cap; };

static int add_guid(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct guids *l = arg;

	(void)name;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint64_t *p = realloc(l->g, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		l->g = p;
		l->cap = cap;
	}
	l->g[l->n++] = r->guid;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Guids of the snapshots of `name`, and of those it came from; sorted. */
static int list_guids(struct spa *s, const char *name, struct guids *l, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_lookup(s, name, &r, err);

	if (!rc)
		rc = dmu_each(s, r.id, true, add_guid, l, err);
	while (!rc && r.prev_snap) {
		rc = dmu_rec_get(s, r.prev_snap, &r, err);
		if (!rc)
			rc = add_guid(l, NULL, &r, err);
	}
	if (!rc && l->n)
		qsort(l->g, l->n, sizeof *l->g, by_value);
	return rc;
}

int lcpfs_common_snapshot(struct lcpfs_pool *pa, const char *a, struct lcpfs_pool *pb, const char *b, char **name, struct lcpfs_error *err)
{
	struct guids l = { 0 };
	struct buf full = { 0 };
	struct dsrec r;
	int rc = list_guids(pb->spa, b, &l, err);

	*name = NULL;
	if (!rc)
		rc = dmu_lookup(pa->spa, a, &r, err);
	/* newest first, and only states that a passed through: others are no base */
	while (!rc && r.prev_snap) {
		rc = dmu_rec_get(pa->spa, r.prev_snap, &r, err);
		if (rc || !l.n || !bsearch(&r.guid, l.g, l.n, sizeof *l.g, by_value))
			continue;
		rc = dmu_full_name(pa->spa, r.id, &full, err);
		buf_u8(&full, 0);
		if (!rc && full.failed)
			rc = lcpfs_nomem(err);
		break;
	}
	free(l.g);
	if (rc || !full.data) {
		buf_fini(&full);
		return rc;
	}
	*name = (char *)full.data;
	return 0;
}
