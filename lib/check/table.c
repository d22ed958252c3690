/* SPDX-License-Identifier: Apache-2.0 */
/* The pool tree as tables: one pass, then everything about datasets is looked up here. */
#include "check/check_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_DEPTH_MAX 512u
#define FULL_NAME_MAX 4096u

struct loader { struct check *ck; bool report; };

static void bad_item(const struct loader *l, const struct bt_item *it, const char *why)
{
	struct buf b = { 0 };
	bool stays = it->key[0] == TBL_DS || it->key[0] == TBL_REF;
	struct ck_where w = { .stays = stays };

	l->ck->lost_records |= it->key[0] == TBL_DS;
	if (!stays && l->report)
		ck_plan_del(l->ck, P_POOL_ITEM, NULL, it->key, it->klen, BT_KEEP_PTRS);
	if (l->report) {
		record_print(it->key, it->klen, NULL, 0, NULL, 0, &b);
		ck_report(l->ck, P_POOL_ITEM, &w, "%.*s%s", (int)MIN(b.len, (size_t)200), b.data ? (char *)b.data : "", why);
	}
	buf_fini(&b);
}

static int load_ds(const struct loader *l, const struct bt_item *it, struct lcpfs_error *err)
{
	struct check *ck = l->ck;
	struct lcpfs_error why = { 0 };
	struct ck_ds *d;
	struct dsrec r;
	int rc = it->klen == 9 && it->nptr <= 1 ? dsrec_decode(&r, it->val, it->vlen, it->nptr ? it->ptrs : NULL, &why) :
	    lcpfs_fail(&why, LCPFS_ECORRUPT, "key of %u bytes, %u pointers", it->klen, it->nptr);

	if (!rc && r.id != be64_load(it->key + 1))
		rc = lcpfs_fail(&why, LCPFS_ECORRUPT, "the record names itself %" PRIu64, r.id);
	if (!rc && !ptr_is_null(&r.root) && r.root.kind != PTR_NODE)
		rc = lcpfs_fail(&why, LCPFS_ECORRUPT, "its root is no node");
	if (rc) {
		bad_item(l, it, why.msg);
		return 0;
	}
	d = CK_PUSH(ck->ds, ck->n_ds, ck->cap_ds);
	if (!d)
		return lcpfs_nomem(err);
	*d = (struct ck_ds){ .rec = r };
	return 0;
}

static int load_name(const struct loader *l, const struct bt_item *it, struct lcpfs_error *err)
{
	struct check *ck = l->ck;
	struct ck_name *n;
	size_t len;

	if (it->klen < 10 || it->klen > 9 + NAME_MAX_BYTES || it->vlen != 8 || memchr(it->key + 9, 0, it->klen - 9u)) {
		bad_item(l, it, "");
		return 0;
	}
	n = CK_PUSH(ck->names, ck->n_names, ck->cap_names);
	if (!n)
		return lcpfs_nomem(err);
	len = it->klen - 9u;
	*n = (struct ck_name){ be64_load(it->key + 1), le_load(it->val, 8), strndup((const char *)it->key + 9, len) };
	return n->name ? 0 : lcpfs_nomem(err);
}

static int load_snaptxg(const struct loader *l, const struct bt_item *it, struct lcpfs_error *err)
{
	struct ck_snaptxg *s;

	if (it->klen != 17 || it->vlen != 8) {
		bad_item(l, it, "");
		return 0;
	}
	s = CK_PUSH(l->ck->snaptxg, l->ck->n_snaptxg, l->ck->cap_snaptxg);
	if (!s)
		return lcpfs_nomem(err);
	*s = (struct ck_snaptxg){ be64_load(it->key + 1), be64_load(it->key + 9), le_load(it->val, 8) };
	return 0;
}

static int load_dead(const struct loader *l, const struct bt_item *it, struct lcpfs_error *err)
{
	struct ck_dead *d;

	if (it->klen != 17 || it->vlen != 16) {
		bad_item(l, it, "");
		return 0;
	}
	d = CK_PUSH(l->ck->dead, l->ck->n_dead, l->ck->cap_dead);
	if (!d)
		return lcpfs_nomem(err);
	*d = (struct ck_dead){ be64_load(it->key + 1), be64_load(it->key + 9), le_load(it->val, 8), le_load(it->val + 8, 8) };
	return 0;
}

static int load_prop(const struct loader *l, const struct bt_item *it, struct lcpfs_error *err)
{
	struct check *ck = l->ck;
	struct ck_prop *p;

	if (it->klen < 10 || memchr(it->key + 9, 0, it->klen - 9u)) {
		bad_item(l, it, "");
		return 0;
	}
	if (ck->n_props && ck->props[ck->n_props - 1].ds == be64_load(it->key + 1))
		return 0;
	p = CK_PUSH(ck->props, ck->n_props, ck->cap_props);
	if (!p)
		return lcpfs_nomem(err);
	/* what begins with a dot belongs to the family, not to a dataset */
	*p = (struct ck_prop){ be64_load(it->key + 1), it->key[9] == '.' };
	return 0;
}

/* Counts are compared with what is there when all pointers were seen (refs.c). */
static int load_ref(const struct loader *l, const struct bt_item *it)
{
	struct lcpfs_error why = { 0 };
	uint64_t extra;
	int rc = ref_decode(&extra, it->key, it->klen, it->val, it->vlen, &why);

	if (!rc && it->nptr)
		rc = lcpfs_fail(&why, LCPFS_ECORRUPT, ": it owns pointers");
	if (!rc && !config_has_feature(&vdev_config(l->ck->spa->vdev)->incompat, FEATURE_REF))
		rc = lcpfs_fail(&why, LCPFS_ECORRUPT, ": the config lacks the feature");
	if (rc)
		bad_item(l, it, why.msg);
	return 0;
}

/* Of no use to a check; but what is there should be what a scrub wrote. */
static int load_scan(const struct loader *l, const struct bt_item *it)
{
	struct lcpfs_error why = { 0 };
	struct scanrec r;
	struct scanbad b;
	int rc = it->klen != 9 || it->nptr ? lcpfs_fail(&why, LCPFS_ECORRUPT, ": key of %u bytes, %u pointers", it->klen, it->nptr) :
	    be64_load(it->key + 1) ? scanbad_decode(&b, it->val, it->vlen, &why) : scanrec_decode(&r, it->val, it->vlen, &why);

	if (rc && rc != -LCPFS_EUNSUP)
		bad_item(l, it, why.msg);
	return 0;
}

static int load_item(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	const struct loader *l = arg;

	switch (it->key[0]) {
	case TBL_DS: return load_ds(l, it, err);
	case TBL_NAME: return load_name(l, it, err);
	case TBL_SNAPTXG: return load_snaptxg(l, it, err);
	case TBL_DEAD: return load_dead(l, it, err);
	case TBL_PROP: return load_prop(l, it, err);
	case TBL_REF: return load_ref(l, it);
	case TBL_SCAN: return load_scan(l, it);
	case TBL_FREEQ: case TBL_RECV: case TBL_HIST: return 0;
	}
	bad_item(l, it, "");
	return 0;
}

/* The scan tells of damaged nodes. */
static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	const struct loader *l = arg;

	(void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	l->ck->lost_records = true;
	return 0;
}

struct ck_ds *ck_ds_by_id(const struct check *ck, uint64_t id)
{
	size_t lo = 0, hi = ck->n_ds;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ck->ds[mid].rec.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < ck->n_ds && ck->ds[lo].rec.id == id ? &ck->ds[lo] : NULL;
}

/* Names by the dataset they lead to. */
static int by_id(const void *a, const void *b)
{
	const struct ck_name *x = *(const struct ck_name *const *)a, *y = *(const struct ck_name *const *)b;

	return (x->id > y->id) - (x->id < y->id);
}

static const char *own_name(const struct ck_ds *d, struct ck_name *const *index, size_t n)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (index[mid]->id < d->rec.id)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n && index[lo]->id == d->rec.id; lo++)
		if (index[lo]->parent == d->rec.parent && (index[lo]->name[0] == '@') == (d->rec.kind == DS_SNAPSHOT))
			return index[lo]->name;
	return NULL;
}

static char *join_name(const struct ck_ds *d, const char *above, const char *own)
{
	char *s = NULL;
	int n;

	if (d->rec.id == DS_ROOT_ID)
		return strdup("");
	if (d->rec.kind == DS_HIDDEN)
		n = asprintf(&s, ".receive-%" PRIu64, d->rec.id);
	else if (!above || !own || strlen(above) + strlen(own) > FULL_NAME_MAX)
		n = asprintf(&s, "#%" PRIu64, d->rec.id);
	else
		n = asprintf(&s, "%s%s%s", above, own[0] == '@' || !above[0] ? "" : "/", own);
	return n < 0 ? NULL : s;
}

static bool full_name(struct check *ck, struct ck_ds *d, struct ck_name *const *index, unsigned depth)
{
	struct ck_ds *up = d->rec.id == DS_ROOT_ID ? NULL : ck_ds_by_id(ck, d->rec.parent);

	if (d->name)
		return true;
	if (up && !up->name && depth < NAME_DEPTH_MAX && !full_name(ck, up, index, depth + 1))
		return false;
	if (!d->name)
		d->name = join_name(d, up ? up->name : NULL, own_name(d, index, ck->n_names));
	return d->name;
}

static int give_names(struct check *ck, struct lcpfs_error *err)
{
	struct ck_name **index = malloc((ck->n_names + 1) * sizeof *index);
	bool ok = index;

	for (size_t i = 0; ok && i < ck->n_names; i++)
		index[i] = &ck->names[i];
	if (ok)
		qsort(index, ck->n_names, sizeof *index, by_id);
	for (size_t i = 0; ok && i < ck->n_ds; i++)
		ok = full_name(ck, &ck->ds[i], index, 0);
	free(index);
	return ok ? 0 : lcpfs_nomem(err);
}

int ck_load(struct check *ck, bool report, struct lcpfs_error *err)
{
	struct loader l = { ck, report };
	struct ck_walk w = { .item = load_item, .bad = pass_over, .arg = &l };
	int rc = ck_walk(ck, &ck->ub.pool_root, &w, err);

	return rc ? rc : give_names(ck, err);
}
