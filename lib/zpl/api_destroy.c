/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroying datasets. With all below: every refusal comes before the first change. Then what nothing stands on goes, again and again, so that
 * clones within the subtree go before the snapshots they came from.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "zpl/api_names.h"

struct doomed { struct names names; uint64_t *prev; size_t n_prev; };

static int add_snap(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct subtree *t = arg;
	char at[NAME_MAX_BYTES + 2] = "@";

	(void)r;
	strncat(at, name, NAME_MAX_BYTES);
	return api_names_add(t->out, t->above, at, err);
}

/* The heads, then the snapshots of each. */
static int gather(struct spa *s, const char *name, struct doomed *d, struct lcpfs_error *err)
{
	struct dsrec r;
	size_t heads;
	int rc = dmu_lookup(s, name, &r, err);

	if (!rc)
		rc = api_names_add(&d->names, name, "", err);
	if (!rc)
		rc = api_add_children(s, name, r.id, "", &d->names, err);
	heads = d->names.n;
	for (size_t i = 0; i < heads && !rc; i++) {
		struct subtree t = { s, d->names.v[i], "", &d->names, false };

		rc = dmu_lookup(s, d->names.v[i], &r, err);
		if (!rc)
			rc = dmu_each(s, r.id, true, add_snap, &t, err);
	}
	return rc;
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

/* The snapshots that something in the subtree stands on, once for each. */
static int gather_prevs(struct spa *s, struct doomed *d, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = 0;

	d->prev = malloc((d->names.n + 1) * sizeof *d->prev);
	if (!d->prev)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < d->names.n && !rc; i++) {
		rc = dmu_lookup(s, d->names.v[i], &r, err);
		if (!rc && r.prev_snap)
			d->prev[d->n_prev++] = r.prev_snap;
	}
	qsort(d->prev, d->n_prev, sizeof *d->prev, by_number);
	return rc;
}

static size_t standing_on(const struct doomed *d, uint64_t id)
{
	size_t lo = 0, hi = d->n_prev, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->prev[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < d->n_prev && d->prev[lo + n] == id)
		n++;
	return n;
}

static int is_hold(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	(void)value;
	if (strncmp(name, "hold:", 5) == 0)
		return lcpfs_fail(err, LCPFS_EHELD, "snapshot '%s' is held by '%s'", (const char *)arg, name + 5);
	return 0;
}

static int check_one(struct spa *s, const struct doomed *d, char *name, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_lookup(s, name, &r, err);

	if (!rc)
		rc = dmu_check_closed(s, r.id, name, err);
	if (!rc && r.kind == DS_SNAPSHOT)
		rc = dmu_prop_each(s, r.id, is_hold, name, err);
	if (!rc && r.kind == DS_SNAPSHOT && r.n_children > standing_on(d, r.id))
		rc = lcpfs_fail(err, LCPFS_EHELD, "a clone or branch outside stands on snapshot '%s': destroy or promote it first", name);
	return rc;
}

/* 0: gone; 1: something still stands on it. */
static int try_one(struct spa *s, const char *name, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct dsrec r;
	int rc = dmu_lookup(s, name, &r, err);

	if (rc)
		return rc;
	if (r.kind == DS_SNAPSHOT)
		return r.n_children > 1 ? 1 : dmu_destroy_snap(s, name, NULL, err);
	rc = dmu_destroy_head(s, name, &why);
	if (rc == -LCPFS_EHELD)
		return 1;
	if (rc && err)
		*err = why;
	return rc;
}

static int destroy_all(struct spa *s, struct doomed *d, struct lcpfs_error *err)
{
	size_t left = d->names.n, before;

	do {
		before = left;
		for (size_t i = d->names.n; i--;) {
			int rc = d->names.v[i] ? try_one(s, d->names.v[i], err) : 1;

			if (rc < 0)
				return rc;
			if (rc == 0) {
				free(d->names.v[i]);
				d->names.v[i] = NULL;
				left--;
			}
		}
	} while (left && left < before);
	return left ? lcpfs_fail(err, LCPFS_ECORRUPT, "datasets stand on each other in a circle, run fsck") : 0;
}

int lcpfs_dataset_destroy(struct lcpfs_pool *p, const char *name, bool recursive, struct lcpfs_error *err)
{
	struct doomed d = { 0 };
	int rc = spa_may_write(p->spa, err);

	if (!rc && strchr(name, '@'))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is a snapshot", name);
	if (!rc && !*name)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "the root dataset cannot be destroyed");
	if (rc || !recursive)
		return rc ? rc : dmu_destroy_head(p->spa, name, err);
	rc = gather(p->spa, name, &d, err);
	if (!rc)
		rc = gather_prevs(p->spa, &d, err);
	for (size_t i = 0; i < d.names.n && !rc; i++)
		rc = check_one(p->spa, &d, d.names.v[i], err);
	if (!rc)
		rc = spa_admit(p->spa, ADMIT_DESTROY, 0, err);
	if (!rc)
		rc = spa_spoilt(p->spa, destroy_all(p->spa, &d, err), err);
	api_names_free(&d.names);
	free(d.prev);
	return rc;
}
