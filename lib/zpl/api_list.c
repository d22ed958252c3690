/* SPDX-License-Identifier: Apache-2.0 */
/* What there is: datasets, snapshots, and what they take. */
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "zpl/api_names.h"

static int count_hold(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	(void)value;
	(void)err;
	*(uint32_t *)arg += strncmp(name, "hold:", 5) == 0;
	return 0;
}

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
	rc = api_child_name(&full, e->above, name, err);
	if (!rc)
		rc = each_from(e, (char *)full.data, r, err);
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
