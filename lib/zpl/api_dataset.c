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
#include "zpl/handle.h"

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
	return rc;
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

/* A list of names, freed as one. */
struct names { char **v; size_t n, cap; };

static int names_add(struct names *l, const char *a, const char *b, struct lcpfs_error *err)
{
	struct buf text = { 0 };

	if (l->n == l->cap) {
		char **v = realloc(l->v, (l->cap = l->cap ? 2 * l->cap : 16) * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		l->v = v;
	}
	buf_printf(&text, "%s%s", a, b);
	if (text.failed)
		return lcpfs_nomem(err);
	l->v[l->n++] = (char *)text.data;
	return 0;
}

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

struct subtree { struct spa *spa; const char *above; const char *suffix; struct names *out; bool must_exist; };

static int add_children(struct spa *s, const char *name, uint64_t id, const char *suffix, struct names *out, struct lcpfs_error *err);

static int add_child(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct subtree *t = arg;
	struct buf full = { 0 };
	struct dsrec snap;
	int rc = 0;

	buf_printf(&full, "%s%s%s", t->above, *t->above ? "/" : "", name);
	if (full.failed)
		return lcpfs_nomem(err);
	if (t->must_exist) {
		struct buf at = { 0 };

		buf_printf(&at, "%s%s", (char *)full.data, t->suffix);
		if (!at.failed && dmu_lookup(t->spa, (char *)at.data, &snap, NULL) == 0)
			rc = names_add(t->out, (char *)full.data, t->suffix, err);
		buf_fini(&at);
	} else {
		rc = names_add(t->out, (char *)full.data, t->suffix, err);
	}
	if (!rc) {
		struct subtree below = { t->spa, (char *)full.data, t->suffix, t->out, t->must_exist };

		rc = dmu_each(t->spa, r->id, false, add_child, &below, err);
	}
	buf_fini(&full);
	return rc;
}

static int add_children(struct spa *s, const char *name, uint64_t id, const char *suffix, struct names *out, struct lcpfs_error *err)
{
	struct subtree t = { s, name, suffix, out, false };

	return dmu_each(s, id, false, add_child, &t, err);
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
		rc = ds ? names_add(out, names[i], "", err) : lcpfs_nomem(err);
		if (!rc && recursive)
			rc = dmu_lookup(s, ds, &r, err);
		if (!rc && recursive)
			rc = dmu_each(s, r.id, false, add_child, &t, err);
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
	names_free(&all);
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
	return names_add(s->out, s->ds, at, err);
}

/* "ds@a%b": the snapshots from a to b by age; an empty end is open. */
static int expand_span(struct spa *s, const char *name, struct names *out, struct lcpfs_error *err)
{
	const char *at = strchr(name, '@'), *percent = at ? strchr(at, '%') : NULL;
	char *ds, *from;
	struct dsrec r;
	int rc;

	if (!percent)
		return names_add(out, name, "", err);
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

static int count_hold(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	(void)value;
	(void)err;
	*(uint32_t *)arg += strncmp(name, "hold:", 5) == 0;
	return 0;
}

/* Every refusal before the first change: all or none. */
static int check_destroy(struct spa *s, const struct names *all, struct lcpfs_error *err)
{
	for (size_t i = 0; i < all->n; i++) {
		struct dsrec r;
		uint32_t holds = 0;
		int rc = dmu_lookup(s, all->v[i], &r, err);

		if (!rc && r.kind != DS_SNAPSHOT)
			rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot", all->v[i]);
		if (!rc)
			rc = dmu_prop_each(s, r.id, count_hold, &holds, err);
		if (!rc && holds)
			rc = lcpfs_fail(err, LCPFS_EHELD, "snapshot '%s' is held", all->v[i]);
		if (!rc && r.n_children > 1)
			rc = lcpfs_fail(err, LCPFS_EHELD, "%u clones or branches stand on snapshot '%s': destroy or promote them first",
			    r.n_children, all->v[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int lcpfs_snap_destroy(struct lcpfs_pool *p, const char *const *names, size_t n, bool recursive, uint64_t *freed, struct lcpfs_error *err)
{
	struct names spans = { 0 }, all = { 0 };
	int rc = spa_may_write(p->spa, err);

	for (size_t i = 0; i < n && !rc; i++)
		rc = expand_span(p->spa, names[i], &spans, err);
	if (!rc)
		rc = expand(p->spa, (const char *const *)spans.v, spans.n, recursive, true, &all, err);
	if (!rc)
		rc = check_destroy(p->spa, &all, err);
	if (freed)
		*freed = 0;
	for (size_t i = 0; i < all.n && !rc; i++)
		rc = dmu_destroy_snap(p->spa, all.v[i], freed, err);
	names_free(&spans);
	names_free(&all);
	return rc;
}

int lcpfs_snap_rename(struct lcpfs_pool *p, const char *from, const char *to, bool recursive, struct lcpfs_error *err)
{
	const char *at = strchr(to, '@');
	struct names all = { 0 };
	int rc = expand(p->spa, &from, 1, recursive, true, &all, err);

	if (!rc && !at)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot name: write DATASET@NAME", to);
	for (size_t i = 0; i < all.n && !rc; i++) {
		struct buf target = { 0 };
		size_t len = strcspn(all.v[i], "@");

		if (i)
			buf_printf(&target, "%.*s%s", (int)len, all.v[i], at);
		else
			buf_printf(&target, "%s", to);
		rc = target.failed ? lcpfs_nomem(err) : dmu_rename(p->spa, all.v[i], (char *)target.data, err);
		buf_fini(&target);
	}
	names_free(&all);
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

static int add_snap(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct subtree *t = arg;
	char at[NAME_MAX_BYTES + 2];

	(void)r;
	snprintf(at, sizeof at, "@%s", name);
	return names_add(t->out, t->above, at, err);
}

/* Snapshots that can go now; 1 when some are left that wait for others. */
static int destroy_snaps(struct lcpfs_pool *p, const char *name, uint64_t id, struct lcpfs_error *err)
{
	struct names snaps = { 0 };
	struct subtree t = { p->spa, name, "", &snaps, false };
	int rc = dmu_each(p->spa, id, true, add_snap, &t, err);

	for (size_t i = snaps.n; i-- && !rc;)
		rc = dmu_destroy_snap(p->spa, snaps.v[i], NULL, err);
	names_free(&snaps);
	return rc;
}

/* Clones of these snapshots outside the subtree make it fail, before anything is committed. */
int lcpfs_dataset_destroy(struct lcpfs_pool *p, const char *name, bool recursive, struct lcpfs_error *err)
{
	struct names all = { 0 };
	struct dsrec r;
	int rc = spa_may_write(p->spa, err);

	if (!rc && strchr(name, '@'))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is a snapshot", name);
	if (!rc && !*name)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "the root dataset cannot be destroyed");
	if (!rc)
		rc = dmu_lookup(p->spa, name, &r, err);
	if (!rc && !recursive)
		return dmu_destroy_head(p->spa, name, err);
	if (!rc)
		rc = names_add(&all, name, "", err);
	if (!rc)
		rc = add_children(p->spa, name, r.id, "", &all, err);
	for (size_t i = all.n; i-- && !rc;) {
		rc = dmu_lookup(p->spa, all.v[i], &r, err);
		if (!rc)
			rc = destroy_snaps(p, all.v[i], r.id, err);
		if (!rc)
			rc = dmu_destroy_head(p->spa, all.v[i], err);
	}
	names_free(&all);
	return rc;
}

/* ---- listing ---- */

static int head_used(struct spa *s, const struct dsrec *r, uint64_t *used, struct lcpfs_error *err)
{
	uint64_t blocks, dead;
	struct dsrec prev;
	int rc;

	*used = r->ref_psize;
	if (!r->prev_snap)
		return 0;
	rc = dmu_rec_get(s, r->prev_snap, &prev, err);
	if (!rc)
		rc = dmu_dead_sum(s, r->id, 0, UINT64_MAX - 1, &blocks, &dead, err);
	if (!rc)
		*used = r->ref_psize + dead > prev.ref_psize ? r->ref_psize + dead - prev.ref_psize : 0;
	return rc;
}

static int visit_one(struct lcpfs_pool *p, const char *name, const struct dsrec *r, lcpfs_ds_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct lcpfs_ds_info i = { .name = name, .kind = r->kind == DS_SNAPSHOT ? LCPFS_DS_SNAPSHOT : LCPFS_DS_FS, .id = r->id, .guid = r->guid,
		.created_txg = r->created_txg, .created_s = r->created_s, .refer_bytes = r->ref_psize, .n_files = r->n_inodes,
		.n_children = r->n_children };
	struct buf origin = { 0 };
	uint64_t from = 0;
	int rc = r->kind == DS_SNAPSHOT ? dmu_snap_used(p->spa, r, &i.used_bytes, err) : head_used(p->spa, r, &i.used_bytes, err);

	if (!rc)
		rc = dmu_prop_each(p->spa, r->id, count_hold, &i.n_holds, err);
	if (!rc && r->kind != DS_SNAPSHOT)
		rc = dmu_origin(p->spa, r, &from, err);
	if (!rc && from) {
		rc = dmu_full_name(p->spa, from, &origin, err);
		buf_u8(&origin, 0);
		i.origin = (const char *)origin.data;
	}
	if (!rc)
		rc = visit(arg, &i, err);
	buf_fini(&origin);
	return rc;
}

struct each { struct lcpfs_pool *p; const char *above; bool recursive, snaps; lcpfs_ds_visit *visit; void *arg; };

static int each_snap(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct each *e = arg;
	struct buf full = { 0 };
	int rc;

	buf_printf(&full, "%s@%s", e->above, name);
	rc = full.failed ? lcpfs_nomem(err) : visit_one(e->p, (char *)full.data, r, e->visit, e->arg, err);
	buf_fini(&full);
	return rc;
}

static int each_child(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err);

static int each_from(struct each *e, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct each below = *e;
	int rc = visit_one(e->p, name, r, e->visit, e->arg, err);

	below.above = name;
	if (!rc && e->snaps)
		rc = dmu_each(e->p->spa, r->id, true, each_snap, &below, err);
	if (!rc && e->recursive)
		rc = dmu_each(e->p->spa, r->id, false, each_child, &below, err);
	return rc;
}

static int each_child(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct each *e = arg;
	struct buf full = { 0 };
	int rc;

	if (r->kind == DS_HIDDEN)
		return 0;
	buf_printf(&full, "%s%s%s", e->above, *e->above ? "/" : "", name);
	rc = full.failed ? lcpfs_nomem(err) : each_from(e, (char *)full.data, r, err);
	buf_fini(&full);
	return rc;
}

int lcpfs_dataset_each(struct lcpfs_pool *p, const char *name, bool recursive, bool snaps, lcpfs_ds_visit *visit, void *arg,
                       struct lcpfs_error *err)
{
	struct each e = { p, name, recursive, snaps, visit, arg };
	struct dsrec r;
	int rc = dmu_lookup(p->spa, name, &r, err);

	if (rc)
		return rc;
	return r.kind == DS_SNAPSHOT ? visit_one(p, name, &r, visit, arg, err) : each_from(&e, name, &r, err);
}

int lcpfs_dataset_info(struct lcpfs_pool *p, const char *name, lcpfs_ds_visit *visit, void *arg, struct lcpfs_error *err)
{
	return lcpfs_dataset_each(p, name, false, false, visit, arg, err);
}
