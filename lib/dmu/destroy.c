/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destroying. What only a snapshot holds is derived, not stored: the pointers of its tree born after the snapshot before it, minus those of
 * its one successor. The successor's DEAD counters must agree with what is derived; if not, nothing is freed.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

/* What freeing a block needs of its pointer. */
struct victim { uint64_t addr, birth; uint32_t psize; uint8_t kind, flags; };
struct victims { struct victim *p; size_t n, cap; uint64_t bytes; };

static int collect(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct victims *v = arg;

	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 256;
		struct victim *p = realloc(v->p, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		v->p = p;
		v->cap = cap;
	}
	v->p[v->n++] = (struct victim){ bp->addr, bp->birth, bp->psize, bp->kind, bp->flags };
	v->bytes += ptr_charge(bp);
	return 0;
}

static int by_addr(const void *x, const void *y)
{
	uint64_t a = ((const struct victim *)x)->addr, b = ((const struct victim *)y)->addr;

	return a < b ? -1 : a > b;
}

/* In the order of addresses: each bitmap page is touched once. */
static int free_victims(struct spa *s, struct victims *v, struct lcpfs_error *err)
{
	int rc = 0;

	if (v->n)
		qsort(v->p, v->n, sizeof *v->p, by_addr);
	for (size_t i = 0; i < v->n && !rc; i++) {
		const struct victim *x = &v->p[i];
		struct blkptr bp = { .addr = x->addr, .birth = x->birth, .psize = x->psize, .kind = x->kind, .flags = x->flags };

		rc = spa_free(s, &bp, err);
	}
	free(v->p);
	return rc;
}

struct own_walk { uint64_t floor; struct victims v; };

static int collect_own(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct own_walk *w = arg;

	if (bp->birth <= w->floor)
		return 1;
	return collect(&w->v, bp, err);
}

int dmu_free_tree(struct spa *s, const struct blkptr *root, uint64_t floor, uint64_t *bytes, struct lcpfs_error *err)
{
	struct own_walk o = { .floor = floor };
	struct btree_walk w = { collect_own, NULL, &o };
	int rc;

	if (ptr_is_null(root))
		return 0;
	rc = btree_walk_ptrs(&s->pool_store, root, &w, err);
	if (rc) {
		free(o.v.p);
		return rc;
	}
	if (bytes)
		*bytes += o.v.bytes;
	return free_victims(s, &o.v, err);
}

static int is_hold(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	(void)value;
	if (strncmp(name, "hold:", 5) == 0)
		return lcpfs_fail(err, LCPFS_EHELD, "snapshot '%s' is held by '%s'", (const char *)arg, name + 5);
	return 0;
}

/* One successor: free the difference, hand the counters over, relink. */
static int destroy_between(struct spa *s, const struct dsrec *snap, uint64_t *freed, struct lcpfs_error *err)
{
	struct victims v = { 0 };
	struct btree_diff_ptrs d = { .only_a = collect, .arg = &v };
	uint64_t blocks, psize;
	struct dsrec next;
	int rc = dmu_successor(s, snap, &next, err);

	if (!rc)
		rc = btree_diff_ptrs(&s->pool_store, &snap->root, &next.root, snap->prev_snap_txg, &d, err);
	if (!rc)
		rc = dmu_dead_sum(s, next.id, snap->prev_snap_txg, snap->created_txg, &blocks, &psize, err);
	if (!rc && (blocks != v.n || psize != v.bytes))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "snapshot %" PRIu64 ": counters say that %" PRIu64 " blocks (%" PRIu64
		    " bytes) come free, its tree says %zu (%" PRIu64 "): run fsck", snap->id, blocks, psize, v.n, v.bytes);
	if (rc) {
		free(v.p);
		return rc;
	}
	*freed += v.bytes;
	rc = free_victims(s, &v, err);
	if (!rc)
		rc = dead_remove(s, next.id, snap->prev_snap_txg, snap->created_txg, err);
	if (!rc)
		rc = dead_move(s, snap->id, next.id, err);
	if (!rc)
		rc = dmu_next_hint(s, snap->prev_snap, next.id, err);
	next.prev_snap = snap->prev_snap;
	next.prev_snap_txg = snap->prev_snap_txg;
	return rc ? rc : dmu_rec_put(s, &next, err);
}

/* No successor: the end of a side branch dies like a head. */
static int destroy_end(struct spa *s, const struct dsrec *snap, uint64_t *freed, struct lcpfs_error *err)
{
	int rc = dmu_free_tree(s, &snap->root, snap->prev_snap_txg, freed, err);

	if (!rc)
		rc = dead_move(s, snap->id, 0, err);
	return rc ? rc : dmu_child_count(s, snap->prev_snap, -1, err);
}

int dmu_destroy_snap_check(struct spa *s, const char *name, struct dsrec *snap, struct lcpfs_error *err)
{
	int rc = spa_may_write(s, err);

	if (!rc)
		rc = dmu_lookup(s, name, snap, err);
	if (!rc && snap->kind != DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot", name);
	if (!rc)
		rc = dmu_prop_each(s, snap->id, is_hold, (void *)(uintptr_t)name, err);
	if (!rc && snap->n_children > 1)
		rc = lcpfs_fail(err, LCPFS_EHELD, "%u clones or branches stand on snapshot '%s': destroy or promote them first",
		    snap->n_children, name);
	return rc ? rc : dmu_check_closed(s, snap->id, name, err);
}

static int remove_snap(struct spa *s, const struct dsrec *snap, const char *at, uint64_t *freed, struct lcpfs_error *err)
{
	int rc = snap->n_children ? destroy_between(s, snap, freed, err) : destroy_end(s, snap, freed, err);

	if (!rc)
		rc = name_del(s, snap->parent, at, err);
	if (!rc)
		rc = snaptxg_del(s, snap->parent, snap->created_txg, err);
	if (!rc)
		rc = prop_drop_all(s, snap->id, err);
	return rc ? rc : rec_del(s, snap->id, err);
}

int dmu_destroy_snap(struct spa *s, const char *name, uint64_t *freed_bytes, struct lcpfs_error *err)
{
	struct dsrec snap;
	struct ds_name n;
	uint64_t freed = 0;
	int rc = ds_name_parse(&n, name, err);

	if (!rc)
		rc = dmu_destroy_snap_check(s, name, &snap, err);
	if (!rc)
		rc = spa_admit(s, ADMIT_DESTROY, 0, err);
	if (!rc)
		rc = dmu_settle(s, err);
	if (!rc)
		rc = dmu_rec_get(s, snap.id, &snap, err);
	if (!rc)
		rc = dmu_forget(s, snap.id, name, err);
	if (rc)
		return rc;
	rc = remove_snap(s, &snap, n.snap, &freed, err);
	if (freed_bytes)
		*freed_bytes += freed;
	return spa_spoilt(s, rc, err);
}

static int refuse(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	const char *const *what = arg;

	(void)r;
	return lcpfs_fail(err, LCPFS_EHELD, "'%s' has %s '%s'", what[0], what[1], name);
}

static int check_destroy_head(struct spa *s, const char *name, const struct ds_name *n, struct dsrec *r, struct lcpfs_error *err)
{
	const char *snaps[] = { name, "snapshot" }, *children[] = { name, "the child dataset" };
	int rc = spa_may_write(s, err);

	if (!rc && n->is_root && !n->is_snap)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "the root dataset cannot be destroyed");
	if (!rc)
		rc = dmu_lookup(s, name, r, err);
	if (!rc && r->kind == DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is a snapshot", name);
	if (!rc)
		rc = dmu_each(s, r->id, true, refuse, snaps, err);
	if (!rc)
		rc = dmu_each(s, r->id, false, refuse, children, err);
	return rc ? rc : dmu_check_closed(s, r->id, name, err);
}

static int remove_head(struct spa *s, const struct dsrec *r, const char *last, struct lcpfs_error *err)
{
	int rc = dmu_free_tree(s, &r->root, r->prev_snap_txg, NULL, err);

	if (!rc)
		rc = dead_move(s, r->id, 0, err);
	if (!rc)
		rc = dmu_child_count(s, r->prev_snap, -1, err);
	if (!rc)
		rc = name_del(s, r->parent, last, err);
	if (!rc)
		rc = prop_drop_all(s, r->id, err);
	return rc ? rc : rec_del(s, r->id, err);
}

int dmu_destroy_head(struct spa *s, const char *name, struct lcpfs_error *err)
{
	struct ds_name n;
	struct dsrec r;
	int rc = ds_name_parse(&n, name, err);

	if (!rc)
		rc = check_destroy_head(s, name, &n, &r, err);
	if (!rc)
		rc = spa_admit(s, ADMIT_DESTROY, 0, err);
	if (!rc)
		rc = dmu_settle(s, err);
	if (!rc)
		rc = dmu_rec_get(s, r.id, &r, err);
	if (!rc)
		rc = dmu_forget(s, r.id, name, err);
	return rc ? rc : spa_spoilt(s, remove_head(s, &r, n.last, err), err);
}
