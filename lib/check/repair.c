/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair: a transaction that is checked before it is one
 * A check writes a plan. The plan is carried out on the very state that was checked, everything is written but the uberblock, and what it would name is
 * checked again, which may bring another plan: what a dropped leaf had leaves names without files, and these leave counters that are wrong. When
 * nothing is left to do and the result has fewer problems than the pool had, it is committed; else it was never there.
 *
 * Invariants
 *  (1) Nothing is written over what the state before used, or called used: it can be gone back to (history.c).
 *  (2) All of a repair is one commit, but for a second one when the commit before the newest is damaged, which ends with that.
 */
#include "check/check_impl.h"
#include "dmu/dmu.h"
#include "zpl/zpl.h"
#include <inttypes.h>
#include <string.h>

#define TRIES_MAX 4u   /* another process may have written in between */
#define ROUNDS_MAX 1000u
#define STALE_MAX 3u     /* rounds without getting better */
#define BUDGET_DEFAULT (64 * MiB)

struct repair {
	const char *path;
	const struct lcpfs_open_opts *oo;
	const struct lcpfs_check_opts *o;
	struct lcpfs_check_opts quiet;
	struct lcpfs_repair_stats *st;
	struct ck_plan plan;
	enum lcpfs_repair_class most;
	size_t budget;
	uint64_t base;
};

static bool same_root(const struct blkptr *a, const struct blkptr *b)
{
	return a->addr == b->addr && a->birth == b->birth && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static int open_for(struct repair *r, struct spa **s, struct lcpfs_error *err)
{
	struct lcpfs_open_opts rw = r->oo ? *r->oo : (struct lcpfs_open_opts){ 0 };
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_blockdev_open(&dev, r->path, LCPFS_DEV_OPEN_RW, err);

	rw.flags = LCPFS_OPEN_RW | SPA_OPEN_REPAIR;
	zpl_init();
	return rc ? rc : spa_open(s, dev, &rw, err);
}

/* The check of what would be committed; its plan takes the place of the one that was carried out. */
static int look_again(struct repair *r, struct spa *s, const struct uberblock *ub, uint64_t *left, struct lcpfs_error *err)
{
	struct check *ck = malloc(sizeof *ck);
	int rc;

	if (!ck)
		return lcpfs_nomem(err);
	ck_plan_fini(&r->plan);
	ck_plan_init(&r->plan, r->most, r->budget);
	ck_init(ck, s, &r->quiet);
	ck->ub = *ub;
	ck->result = true;
	ck->plan = &r->plan;
	rc = fsck_phases(ck, err);
	*left = ck->problems;
	ck_fini(ck);
	free(ck);
	return rc;
}

/* Rounds until nothing is left to do; *left: problems of the result. */
static int rounds(struct repair *r, struct spa *s, uint64_t *left, struct lcpfs_error *err)
{
	uint64_t best = UINT64_MAX;
	unsigned stale = 0;
	bool more = true;
	int rc = 0;

	for (unsigned i = 0; !rc && more && i < ROUNDS_MAX && stale < STALE_MAX; i++) {
		struct uberblock ub;

		rc = plan_apply(&r->plan, s, &r->st->steps, err);
		if (!rc)
			rc = spa_prepare(s, true, &ub, err);
		if (!rc)
			rc = look_again(r, s, &ub, left, err);
		stale = *left < best ? 0 : stale + 1;
		best = MIN(best, *left);
		more = r->plan.n || (r->plan.commit && !i);
		r->st->rounds++;
	}
	return rc;
}

/* The commit to go back to: a second commit of this repair still leaves the state before the first one whole. */
static int note(struct repair *r, struct spa *s, const struct check *ck, struct lcpfs_error *err)
{
	const struct uberblock *ub = vdev_current(s->vdev);

	if (!r->base || r->base != ub->prev_txg[0])
		r->base = ub->txg;
	s->changed = true;
	if (r->plan.labels)
		vdev_relabel(s->vdev);
	return history_put(s, r->base, ck->problems, err);
}

/* 1: the pool has another state by now; 2: it would not get better. */
static int transact(struct repair *r, const struct check *ck, struct lcpfs_error *err)
{
	uint64_t deep = ck->problems - ck->shallow, left = 0;
	bool labels = r->plan.labels, commit = r->plan.commit || r->o->rebuild_space;
	struct spa *s = NULL;
	int rc = open_for(r, &s, err), rc2;

	if (rc)
		return rc;
	rc = same_root(&vdev_current(s->vdev)->pool_root, &ck->ub.pool_root) ? note(r, s, ck, err) : 1;
	if (!rc)
		rc = rounds(r, s, &left, err);
	if (!rc && left >= deep && !(left == deep && commit))
		rc = 2;
	if (!rc)
		rc = spa_commit(s, err);
	if (!rc && labels)
		rc = vdev_copy_labels(s->vdev, err);
	rc2 = spa_close(s, rc ? NULL : err);
	return rc ? rc : rc2;
}

static int check_path(struct repair *r, struct check *ck, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_blockdev_open(&dev, r->path, 0, err);

	ck_plan_fini(&r->plan);
	ck_plan_init(&r->plan, r->most, r->budget);
	ck_init(ck, NULL, r->o);
	ck->plan = &r->plan;
	return rc ? rc : fsck_check(ck, dev, r->oo, err);
}

static void count(struct repair *r, const struct check *ck, bool first)
{
	struct lcpfs_repair_stats *st = r->st;

	if (first)
		st->found = ck->problems;
	st->left = ck->problems;
	st->fixed = st->found > st->left ? st->found - st->left : 0;
}

/* Once, and once more when that ends what is wrong with the commit before: a third one would take away what can be gone back to. */
static bool again_wanted(const struct repair *r, unsigned commits)
{
	if (r->plan.forbidden)
		return false;
	return commits ? commits == 1 && !r->plan.n && r->plan.commit : r->plan.n || r->plan.commit || r->o->rebuild_space;
}

static int run(struct repair *r, struct check *ck, void (*again)(void *arg, uint64_t fixed), struct lcpfs_error *err)
{
	unsigned commits = 0;
	bool more = true;
	int rc = 0;

	for (unsigned i = 0; !rc && more; i++) {
		if (i && again)
			again(r->o->arg, r->st->steps);
		rc = check_path(r, ck, err);
		count(r, ck, !i);
		more = !rc && i < TRIES_MAX && again_wanted(r, commits);
		if (more && r->o->plan)
			r->o->plan(r->o->arg);
		if (more)
			rc = transact(r, ck, err);
		commits += more && !rc;
		r->st->refused |= rc == 2;
		more = more && rc != 2;
		rc = MIN(rc, 0);
		ck_fini(ck);
	}
	return rc;
}

int lcpfs_fsck_repair(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, void (*again)(void *arg, uint64_t fixed),
                      struct lcpfs_repair_stats *st, struct lcpfs_error *err)
{
	static const struct lcpfs_check_opts none;
	struct repair r = { .path = path, .oo = oo, .o = o ? o : &none, .st = st };
	struct check *ck = malloc(sizeof *ck);
	int rc = ck ? 0 : lcpfs_nomem(err);

	*st = (struct lcpfs_repair_stats){ 0 };
	r.quiet = *r.o;
	if (!r.o->follow)
		r.quiet.problem = NULL;
	r.most = r.o->repair ? MIN(r.o->repair, LCPFS_REPAIR_LOSSY) : r.o->rebuild_space ? 0 : LCPFS_REPAIR_SAFE;
	r.budget = oo && oo->memory_bytes ? (size_t)oo->memory_bytes / 4 : BUDGET_DEFAULT;
	if (!rc)
		rc = run(&r, ck, again, err);
	ck_plan_fini(&r.plan);
	free(ck);
	return rc;
}
