/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls on datasets, snapshots and clones. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "zpl/api_names.h"

int lcpfs_dataset_open(struct lcpfs_dataset **out, struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	struct lcpfs_dataset *ds = calloc(1, sizeof *ds);
	int rc = ds ? dmu_open(p->spa, name, &ds->ds, err) : lcpfs_nomem(err);

	if (!rc)
		rc = zpl_configure(ds->ds, err);
	if (rc) {
		lcpfs_dataset_close(ds);
		return rc;
	}
	ds->pool = p;
	ds->uid = geteuid();
	ds->gid = getegid();
	ds->umask = 022;
	*out = ds;
	return 0;
}

void lcpfs_dataset_close(struct lcpfs_dataset *ds)
{
	if (!ds)
		return;
	dmu_close(ds->ds);
	free(ds);
}

const char *lcpfs_dataset_name(const struct lcpfs_dataset *ds) { return ds->ds->name; }
struct lcpfs_pool *lcpfs_dataset_pool(const struct lcpfs_dataset *ds) { return ds->pool; }
bool lcpfs_dataset_is_snapshot(const struct lcpfs_dataset *ds) { return ds->ds->rec.kind == DS_SNAPSHOT; }

void lcpfs_dataset_set_ids(struct lcpfs_dataset *ds, uint32_t uid, uint32_t gid, uint32_t umask)
{
	ds->uid = uid;
	ds->gid = gid;
	ds->umask = umask & 0777;
}

/* A dataset with the sizes of its parent and an empty root directory. */
static int create_one(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	struct zpl_params zp = ZPL_DEFAULTS;
	struct dataset *ds;
	struct itime now;
	int rc = dmu_create(p->spa, name, &ds, err);

	if (rc)
		return rc;
	rc = zpl_params_of(ds, &zp, err);
	now_get(&now.sec, &now.nsec);
	if (!rc)
		rc = zpl_format(ds, &zp, S_IFDIR | 0755, p->reproducible ? 0 : geteuid(), p->reproducible ? 0 : getegid(), now, err);
	dmu_close(ds);
	return spa_spoilt(p->spa, rc, err);
}

int lcpfs_dataset_create(struct lcpfs_pool *p, const char *name, bool parents, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = 0;

	if (!*name)
		return lcpfs_fail(err, LCPFS_EEXIST, "the root dataset already exists");
	if (strchr(name, '@'))
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' names a snapshot, not a dataset", name);
	for (const char *slash = strchr(name, '/'); parents && slash && !rc; slash = strchr(slash + 1, '/')) {
		char *above = strndup(name, (size_t)(slash - name));

		rc = above ? dmu_lookup(p->spa, above, &r, err) : lcpfs_nomem(err);
		if (rc == -LCPFS_ENOENT)
			rc = create_one(p, above, err);
		free(above);
	}
	return rc ? rc : create_one(p, name, err);
}

int lcpfs_dataset_rename(struct lcpfs_pool *p, const char *from, const char *to, struct lcpfs_error *err)
{
	return dmu_rename(p->spa, from, to, err);
}

/* "ds@x" and, when recursive, "ds/.../child@x" of everything below (must_exist: where there is one). */
static int expand(struct spa *s, const char *const *names, size_t n, bool recursive, bool must_exist, struct names *out, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		const char *at = strchr(names[i], '@');
		char *ds = at ? strndup(names[i], (size_t)(at - names[i])) : NULL;
		struct subtree t = { s, ds, at, out, must_exist };
		struct dsrec r;

		if (!at)
			return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot name: write DATASET@NAME", names[i]);
		rc = ds ? api_names_add(out, names[i], "", err) : lcpfs_nomem(err);
		if (!rc && recursive)
			rc = dmu_lookup(s, ds, &r, err);
		if (!rc && recursive)
			rc = dmu_each(s, r.id, false, api_add_child, &t, err);
		free(ds);
	}
	return rc;
}

int lcpfs_snap_create(struct lcpfs_pool *p, const char *const *names, size_t n, bool recursive, struct lcpfs_error *err)
{
	struct names all = { 0 };
	int rc = expand(p->spa, names, n, recursive, false, &all, err);

	if (!rc)
		rc = dmu_snapshot(p->spa, (const char *const *)all.v, all.n, err);
	api_names_free(&all);
	return rc;
}

struct span { const char *ds, *from, *to; struct names *out; int state; };

static int in_span(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct span *s = arg;
	char at[NAME_MAX_BYTES + 2];
	bool last;

	(void)r;
	if (s->state == 0 && (!*s->from || strcmp(name, s->from) == 0))
		s->state = 1;
	if (s->state != 1)
		return 0;
	last = *s->to && strcmp(name, s->to) == 0;
	if (last)
		s->state = 2;
	snprintf(at, sizeof at, "@%s", name);
	return api_names_add(s->out, s->ds, at, err);
}

/* "ds@a%b": the snapshots from a to b by age; an empty end is open. */
static int expand_span(struct spa *s, const char *name, struct names *out, struct lcpfs_error *err)
{
	const char *at = strchr(name, '@'), *percent = at ? strchr(at, '%') : NULL;
	char *ds, *from;
	struct dsrec r;
	int rc;

	if (!percent)
		return api_names_add(out, name, "", err);
	ds = strndup(name, (size_t)(at - name));
	from = strndup(at + 1, (size_t)(percent - at - 1));
	rc = ds && from ? dmu_lookup(s, ds, &r, err) : lcpfs_nomem(err);
	if (!rc) {
		struct span sp = { ds, from, percent + 1, out, 0 };

		rc = dmu_each(s, r.id, true, in_span, &sp, err);
		if (!rc && (sp.state == 0 || (*sp.to && sp.state != 2)))
			rc = lcpfs_fail(err, LCPFS_ENOENT, "'%s': no such range of snapshots", name);
	}
	free(ds);
	free(from);
	return rc;
}

/* Every refusal comes before the first change: all or none. A failure after it leaves a handle that cannot commit half of it. */
int lcpfs_snap_destroy(struct lcpfs_pool *p, const char *const *names, size_t n, bool recursive, uint64_t *freed, struct lcpfs_error *err)
{
	struct names spans = { 0 }, all = { 0 };
	struct dsrec r;
	int rc = spa_may_write(p->spa, err);

	for (size_t i = 0; i < n && !rc; i++)
		rc = expand_span(p->spa, names[i], &spans, err);
	if (!rc)
		rc = expand(p->spa, (const char *const *)spans.v, spans.n, recursive, true, &all, err);
	api_names_unique(&all);
	for (size_t i = 0; i < all.n && !rc; i++)
		rc = dmu_destroy_snap_check(p->spa, all.v[i], &r, err);
	if (freed)
		*freed = 0;
	for (size_t i = 0; i < all.n && !rc; i++) {
		rc = dmu_destroy_snap(p->spa, all.v[i], freed, err);
		if (i)
			spa_spoilt(p->spa, rc, err);
	}
	api_names_free(&spans);
	api_names_free(&all);
	return rc;
}

/* from: "ds/child@x"; to: "ds/child" as in from, and the new name. */
static int rename_one(struct spa *s, const char *from, const char *at, bool dry, struct lcpfs_error *err)
{
	struct buf target = { 0 };
	struct dsrec r;
	int rc;

	buf_printf(&target, "%.*s%s", (int)strcspn(from, "@"), from, at);
	if (target.failed)
		rc = lcpfs_nomem(err);
	else if (!dry)
		rc = dmu_rename(s, from, (char *)target.data, err);
	else if ((rc = dmu_lookup(s, (char *)target.data, &r, err)) == 0)
		rc = lcpfs_fail(err, LCPFS_EEXIST, "snapshot '%s' already exists", (char *)target.data);
	else if (rc == -LCPFS_ENOENT)
		rc = dmu_lookup(s, from, &r, err);
	buf_fini(&target);
	return rc;
}

int lcpfs_snap_rename(struct lcpfs_pool *p, const char *from, const char *to, bool recursive, struct lcpfs_error *err)
{
	const char *at = strchr(to, '@');
	struct names all = { 0 };
	int rc = expand(p->spa, &from, 1, recursive, true, &all, err);

	if (!rc && !at)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot name: write DATASET@NAME", to);
	if (!rc && ((size_t)(at - to) != strcspn(from, "@") || strncmp(from, to, (size_t)(at - to)) != 0))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "cannot rename '%s' to '%s': a snapshot stays with its dataset", from, to);
	for (unsigned dry = 2; dry-- && !rc;)
		for (size_t i = 0; i < all.n && !rc; i++) {
			rc = rename_one(p->spa, all.v[i], at, dry, err);
			if (i && !dry)
				spa_spoilt(p->spa, rc, err);
		}
	api_names_free(&all);
	return rc;
}

int lcpfs_clone(struct lcpfs_pool *p, const char *snap, const char *name, struct lcpfs_error *err)
{
	return dmu_clone(p->spa, snap, name, err);
}

int lcpfs_promote(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	return dmu_promote(p->spa, name, err);
}

int lcpfs_rollback(struct lcpfs_pool *p, const char *snap, const char *keep, struct lcpfs_error *err)
{
	return dmu_rollback(p->spa, snap, keep, err);
}
