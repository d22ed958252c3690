/* SPDX-License-Identifier: Apache-2.0 */
/* P4: records, names, snapshots: everything in the pool tree against everything else in it. */
#include "check/check_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	(void)arg, (void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	return 0;
}

static bool is_head(const struct dsrec *r) { return r->kind != DS_SNAPSHOT; }

/* ---- what is to be done ---- */

static void plan_name(struct check *ck, enum problem_id id, uint64_t parent, const char *name, uint64_t ds)
{
	uint8_t key[POOL_KEY_MAX], val[8];
	size_t klen = key_u64_str(key, TBL_NAME, parent, name, strlen(name));

	le_store(val, 8, ds);
	if (ds)
		ck_plan_put(ck, id, NULL, key, klen, val, sizeof val, 0);
	else
		ck_plan_del(ck, id, NULL, key, klen, 0);
}

static void plan_lost_name(struct check *ck, enum problem_id id, const struct dsrec *r)
{
	char name[40];

	snprintf(name, sizeof name, "%slost-%" PRIu64, r->kind == DS_SNAPSHOT ? "@" : "", r->id);
	plan_name(ck, id, r->parent, name, r->id);
}

static void plan_snaptxg(struct check *ck, enum problem_id id, uint64_t ds, uint64_t txg, uint64_t snap)
{
	uint8_t key[17], val[8];

	le_store(val, 8, snap);
	if (snap)
		ck_plan_put(ck, id, NULL, key, key_u64_u64(key, TBL_SNAPTXG, ds, txg), val, sizeof val, 0);
	else
		ck_plan_del(ck, id, NULL, key, key_u64_u64(key, TBL_SNAPTXG, ds, txg), 0);
}

static void plan_dead(struct check *ck, enum problem_id id, uint64_t ds, uint64_t upper, uint64_t blocks, uint64_t psize)
{
	uint8_t key[17], val[16];

	le_store(val, 8, blocks);
	le_store(val + 8, 8, psize);
	if (blocks)
		ck_plan_put(ck, id, NULL, key, key_u64_u64(key, TBL_DEAD, ds, upper), val, sizeof val, 0);
	else
		ck_plan_del(ck, id, NULL, key, key_u64_u64(key, TBL_DEAD, ds, upper), 0);
}

static int plan_prop(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	(void)err;
	ck_plan_del(arg, P_PROP_STRAY, NULL, it->key, it->klen, 0);
	return 0;
}

/* All properties of a dataset that is not there. */
static int plan_props(struct check *ck, uint64_t ds, struct lcpfs_error *err)
{
	struct ck_walk w = { .item = plan_prop, .bad = pass_over, .arg = ck };
	uint8_t from[9], to[9];

	if (!ck_plan_wants(ck, P_PROP_STRAY, NULL))
		return 0;
	w.from = (struct ck_key){ from, key_u64(from, TBL_PROP, ds) };
	w.to = (struct ck_key){ to, ds == UINT64_MAX ? 1 : key_u64(to, TBL_PROP, ds + 1) };
	if (ds == UINT64_MAX)
		to[0] = TBL_PROP + 1;
	return ck_walk(ck, &ck->ub.pool_root, &w, err);
}

/* ---- the tables ---- */

static void check_names(struct check *ck)
{
	for (size_t i = 0; i < ck->n_names; i++) {
		const struct ck_name *n = &ck->names[i];
		struct ck_ds *d = ck_ds_by_id(ck, n->id), *up = ck_ds_by_id(ck, n->parent);
		bool snap = n->name[0] == '@';
		const char *own = n->name + snap;

		bool bad = !config_name_ok(own, strlen(own), NAME_MAX_BYTES);

		if (bad)
			ck_report(ck, P_NAME_BAD, NULL, "'%.200s' under %" PRIu64, n->name, n->parent);
		if (d && up && d->rec.parent == n->parent && (d->rec.kind == DS_SNAPSHOT) == snap && d->rec.kind != DS_HIDDEN &&
		    d->rec.id != DS_ROOT_ID && !d->names) {
			d->names++;
			if (bad)
				plan_name(ck, P_NAME_BAD, n->parent, n->name, 0);
			if (bad)
				plan_lost_name(ck, P_NAME_BAD, &d->rec);
			continue;
		}
		plan_name(ck, P_NAME_DANGLING, n->parent, n->name, 0);
		ck_report(ck, P_NAME_DANGLING, NULL, "'%.200s' under %" PRIu64 " leads to %" PRIu64, n->name, n->parent, n->id);
	}
}

static void check_snaptxgs(struct check *ck)
{
	for (size_t i = 0; i < ck->n_snaptxg; i++) {
		const struct ck_snaptxg *s = &ck->snaptxg[i];
		struct ck_ds *d = ck_ds_by_id(ck, s->id);

		if (d && d->rec.kind == DS_SNAPSHOT && d->rec.parent == s->ds && d->rec.created_txg == s->txg)
			d->in_snaptxg++;
		else {
			plan_snaptxg(ck, P_SNAPTXG_BAD, s->ds, s->txg, 0);
			ck_report(ck, P_SNAPTXG_BAD, NULL, "dataset %" PRIu64 " at txg %" PRIu64 " leads to %" PRIu64, s->ds, s->txg, s->id);
		}
	}
}

static void check_prev(struct check *ck, struct ck_ds *d)
{
	struct ck_ds *prev = d->rec.prev_snap ? ck_ds_by_id(ck, d->rec.prev_snap) : NULL;
	struct ck_where w = { .ds = d };

	if (!d->rec.prev_snap)
		return;
	if (!prev || prev->rec.kind != DS_SNAPSHOT) {
		w.stays = true;
		ck_report(ck, P_DS_PREV, &w, "%" PRIu64 " is no snapshot", d->rec.prev_snap);
		return;
	}
	prev->successors++;
	if (prev->rec.created_txg != d->rec.prev_snap_txg) {
		w.stays = !prev->in_snaptxg;
		if (!w.stays)
			ck_plan_rec(ck, P_DS_PREV, d, FR_PREV_TXG, prev->rec.created_txg);
		ck_report(ck, P_DS_PREV, &w, "'%.200s' is of txg %" PRIu64 ", the record says %" PRIu64, prev->name, prev->rec.created_txg,
		    d->rec.prev_snap_txg);
	} else if (!is_head(&d->rec) && d->rec.created_txg <= d->rec.prev_snap_txg) {
		w.stays = true;
		ck_report(ck, P_DS_PREV, &w, "of txg %" PRIu64 ", and itself of %" PRIu64, d->rec.prev_snap_txg, d->rec.created_txg);
	}
}

/* Upwards to the root, in as many steps as there are datasets at most. */
static bool reaches_root(const struct check *ck, const struct ck_ds *d)
{
	for (size_t i = 0; d && i <= ck->n_ds; i++) {
		if (d->rec.id == DS_ROOT_ID)
			return true;
		if (i && d->rec.kind == DS_SNAPSHOT)
			return false;
		d = ck_ds_by_id(ck, d->rec.parent);
		/* a long chain of names would not be one that can be written */
		if (i > 4096)
			return false;
	}
	return false;
}

static void check_derived(struct check *ck, const struct ck_ds *d, unsigned height)
{
	const struct dsrec *r = &d->rec;
	struct ck_where w = { .ds = d };

	if (r->n_children != d->successors) {
		ck_plan_rec(ck, P_DS_CHILDREN, d, FR_CHILDREN, d->successors);
		ck_report(ck, P_DS_CHILDREN, &w, "%u, counted %u", r->n_children, d->successors);
	}
	if (r->height != height) {
		ck_plan_rec(ck, P_DS_HEIGHT, d, FR_HEIGHT, height);
		ck_report(ck, P_DS_HEIGHT, &w, "%u, its root is of level %d", r->height, (int)height - 1);
	}
}

static void check_one(struct check *ck, struct ck_ds *d)
{
	const struct dsrec *r = &d->rec;
	struct ck_where w = { .ds = d };
	unsigned height = ptr_is_null(&r->root) ? 0 : r->root.level + 1u;

	if (r->kind != DS_HIDDEN && !reaches_root(ck, d)) {
		struct ck_where at = { .ds = d, .stays = !is_head(r) };

		if (is_head(r))
			ck_plan_rec(ck, P_DS_PARENT, d, FR_PARENT, DS_ROOT_ID);
		ck_report(ck, P_DS_PARENT, &at, "%" PRIu64, r->parent);
	}
	if (!d->names && r->kind != DS_HIDDEN && r->id != DS_ROOT_ID) {
		struct ck_where at = { .ds = d, .stays = !ck_ds_by_id(ck, r->parent) && !is_head(r) };

		if (ck_ds_by_id(ck, r->parent) && reaches_root(ck, d))
			plan_lost_name(ck, P_NAME_MISSING, r);
		ck_report(ck, P_NAME_MISSING, &at, "record %" PRIu64, r->id);
	}
	if (r->kind == DS_SNAPSHOT && !d->in_snaptxg) {
		plan_snaptxg(ck, P_SNAPTXG_MISSING, r->parent, r->created_txg, r->id);
		ck_report(ck, P_SNAPTXG_MISSING, &w, "txg %" PRIu64, r->created_txg);
	}
	check_derived(ck, d, height);
	if (r->created_txg > ck->ub.txg)
		ck_report(ck, P_PTR_BIRTH, &w, "made in txg %" PRIu64 ", the pool is at %" PRIu64, r->created_txg, ck->ub.txg);
}

/* A received snapshot has the guid of the one it came from, maybe of this pool: among those of one dataset each is its own. */
static int by_guid(const void *a, const void *b)
{
	const struct dsrec *x = &(*(struct ck_ds *const *)a)->rec, *y = &(*(struct ck_ds *const *)b)->rec;
	uint64_t px = is_head(x) ? 0 : x->parent, py = is_head(y) ? 0 : y->parent;

	if (px != py)
		return px < py ? -1 : 1;
	return (x->guid > y->guid) - (x->guid < y->guid);
}

static int check_guids(struct check *ck, struct lcpfs_error *err)
{
	struct ck_ds **v = malloc((ck->n_ds + 1) * sizeof(struct ck_ds *));

	if (!v)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < ck->n_ds; i++)
		v[i] = &ck->ds[i];
	qsort(v, ck->n_ds, sizeof(struct ck_ds *), by_guid);
	for (size_t i = 1; i < ck->n_ds; i++) {
		struct ck_where w = { .ds = v[i] };

		if (by_guid(&v[i - 1], &v[i]) != 0)
			continue;
		ck_plan_rec(ck, P_DS_GUID, v[i], FR_GUID, 0);
		ck_report(ck, P_DS_GUID, &w, "%016" PRIx64 ", also of '%.200s'", v[i]->rec.guid, v[i - 1]->name);
	}
	free(v);
	return 0;
}

static int check_strays(struct check *ck, struct lcpfs_error *err)
{
	uint64_t last = 0;
	int rc = 0;

	for (size_t i = 0; i < ck->n_dead; i++) {
		bool stray = !ck_ds_by_id(ck, ck->dead[i].ds);

		if (stray)
			plan_dead(ck, P_DEAD_STRAY, ck->dead[i].ds, ck->dead[i].upper, 0, 0);
		if (ck->dead[i].ds != last && stray)
			ck_report(ck, P_DEAD_STRAY, NULL, "%" PRIu64, ck->dead[i].ds);
		last = ck->dead[i].ds;
	}
	for (size_t i = 0; !rc && i < ck->n_props; i++) {
		if (ck->props[i].family || ck_ds_by_id(ck, ck->props[i].ds))
			continue;
		ck_report(ck, P_PROP_STRAY, NULL, "%" PRIu64, ck->props[i].ds);
		rc = plan_props(ck, ck->props[i].ds, err);
	}
	return rc;
}

int fsck_records(struct check *ck, struct lcpfs_error *err)
{
	const struct ck_ds *root = ck_ds_by_id(ck, DS_ROOT_ID);
	int rc;

	if (!root || root->rec.kind != DS_FS || root->rec.parent)
		ck_report(ck, P_DS_ROOT, NULL, NULL);
	check_names(ck);
	check_snaptxgs(ck);
	for (size_t i = 0; i < ck->n_ds; i++)
		check_prev(ck, &ck->ds[i]);
	for (size_t i = 0; i < ck->n_ds; i++)
		check_one(ck, &ck->ds[i]);
	rc = check_strays(ck, err);
	return rc ? rc : check_guids(ck, err);
}

/* ---- comparison of trees ---- */

struct sums { uint64_t blocks, psize; bool lost; };

static int add_sum(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct sums *s = arg;

	(void)err;
	s->blocks++;
	s->psize += ptr_charge(bp);
	return 0;
}

static int is_lost(void *arg, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct sums *s = arg;

	(void)bp, (void)why;
	s->lost = true;
	return 0;
}

static struct sums dead_sum(const struct check *ck, uint64_t ds, uint64_t after, uint64_t upto)
{
	struct sums s = { 0 };
	size_t lo = 0, hi = ck->n_dead;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ck->dead[mid].ds < ds || (ck->dead[mid].ds == ds && ck->dead[mid].upper <= after))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < ck->n_dead && ck->dead[lo].ds == ds && ck->dead[lo].upper <= upto; lo++) {
		s.blocks += ck->dead[lo].blocks;
		s.psize += ck->dead[lo].psize;
	}
	return s;
}

static void plan_sum(struct check *ck, uint64_t ds, uint64_t after, uint64_t upto, const struct sums *want)
{
	for (size_t i = 0; i < ck->n_dead; i++)
		if (ck->dead[i].ds == ds && ck->dead[i].upper > after && ck->dead[i].upper < upto)
			plan_dead(ck, P_DEAD_SUM, ds, ck->dead[i].upper, 0, 0);
	plan_dead(ck, P_DEAD_SUM, ds, upto, want->blocks, want->psize);
}

/* What only `snap` holds, next to it being its one successor. */
static int check_dead(struct check *ck, const struct ck_ds *snap, const struct ck_ds *next, struct lcpfs_error *err)
{
	struct sums found = { 0 }, want = dead_sum(ck, next->rec.id, snap->rec.prev_snap_txg, snap->rec.created_txg);
	struct btree_diff_ptrs d = { .only_a = add_sum, .bad = is_lost, .arg = &found };
	struct ck_where w = { .ds = snap };
	int rc = btree_diff_ptrs(&ck->store, &snap->rec.root, &next->rec.root, snap->rec.prev_snap_txg, &d, err);

	if (!rc && !found.lost && (found.blocks != want.blocks || found.psize != want.psize)) {
		plan_sum(ck, next->rec.id, snap->rec.prev_snap_txg, snap->rec.created_txg, &found);
		ck_report(ck, P_DEAD_SUM, &w, "%" PRIu64 " blocks, %" PRIu64 " bytes; its tree says %" PRIu64 " and %" PRIu64, want.blocks,
		    want.psize, found.blocks, found.psize);
	}
	return rc;
}

struct old { struct check *ck; struct ck_ds *d; };

static int check_age(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct old *o = arg;
	struct ck_where w = { .ds = o->d, .addr = bp->addr, .length = ptr_charge(bp) };

	(void)err;
	if (bp->birth <= o->d->rec.prev_snap_txg)
		ck_report(o->ck, P_PTR_OLD, &w, "%u:%u of birth %" PRIu64 ", snapshot of %" PRIu64, ptr_chunk(bp), ptr_sector(bp), bp->birth,
		    o->d->rec.prev_snap_txg);
	return 0;
}

static int skip_lost(void *arg, const struct blkptr *bp, const struct lcpfs_error *why)
{
	(void)arg, (void)bp, (void)why;
	return 0;
}

/* Everything as old as the previous snapshot must be that snapshot's too. */
static int check_ages(struct check *ck, struct ck_ds *d, const struct ck_ds *prev, struct lcpfs_error *err)
{
	struct old o = { ck, d };
	struct btree_diff_ptrs f = { .only_a = check_age, .bad = skip_lost, .arg = &o };

	return btree_diff_ptrs(&ck->store, &d->rec.root, &prev->rec.root, 0, &f, err);
}

static bool sound(const struct ck_ds *d)
{
	return d && d->walked && !d->unsound;
}

int fsck_diffs(struct check *ck, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		struct ck_ds *d = &ck->ds[i], *prev = d->rec.prev_snap ? ck_ds_by_id(ck, d->rec.prev_snap) : NULL;

		if (!sound(d) || !sound(prev) || prev->rec.created_txg != d->rec.prev_snap_txg)
			continue;
		rc = check_ages(ck, d, prev, err);
		if (!rc && prev->successors == 1)
			rc = check_dead(ck, prev, d, err);
		if (!rc)
			rc = ck_tick(ck, 1, 0, err);
	}
	return rc;
}
