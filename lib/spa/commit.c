/* SPDX-License-Identifier: Apache-2.0 */
/* The commit, and how much may be used before it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "spa/spa_impl.h"

void spa_client_add(struct spa *s, struct spa_client *c)
{
	struct spa_client **at = &s->clients;

	while (*at && (*at)->order < c->order)
		at = &(*at)->next;
	c->next = *at;
	*at = c;
}

void spa_client_remove(struct spa *s, struct spa_client *c)
{
	for (struct spa_client **at = &s->clients; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			return;
		}
}

static int write_clients(struct spa *s, struct lcpfs_error *err)
{
	int rc = 0;

	for (struct spa_client *c = s->clients; c && !rc; c = c->next)
		rc = c->write(c, err);
	return rc ? rc : zio_wait(s->zio, err);
}

static int die(struct spa *s, int rc, const struct lcpfs_error *why)
{
	s->dead = rc;
	s->dead_err = *why;
	return rc;
}

int spa_spoilt(struct spa *s, int rc, const struct lcpfs_error *why)
{
	struct lcpfs_error none = { 0 };

	if (rc >= 0 || s->dead)
		return rc;
	if (!why)
		lcpfs_fail(&none, -rc, "%s: a change failed half-way: %s", s->name, lcpfs_strerror(rc));
	return die(s, rc, why ? why : &none);
}

int spa_close_txg(struct spa *s, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = spa_may_write(s, err);

	if (rc)
		return rc;
	rc = write_clients(s, &why);
	if (rc) {
		if (err)
			*err = why;
		return die(s, rc, &why);
	}
	s->txg++;
	zio_set_txg(s->zio, s->txg);
	s->changed = true;
	return 0;
}

static int write_trees(struct spa *s, bool recount, struct lcpfs_error *err)
{
	int rc = write_clients(s, err);

	if (!rc)
		rc = spa_ref_settle(s, err);
	if (!rc)
		rc = btree_write(s->pool_tree, err);
	if (!rc && recount)
		rc = zio_push(s->zio, err);
	if (!rc && recount)
		rc = spa_space_recount(s, btree_root(s->pool_tree), err);
	if (!rc)
		rc = spa_space_write(s, err);
	if (!rc)
		rc = zio_push(s->zio, err);
	if (!rc)
		rc = spa_reclaim_nodes(s, err);
	if (!rc && s->image)
		rc = spa_trim_image(s, err);
	return rc;
}

static void fill_uber(struct spa *s, struct uberblock *ub)
{
	const struct config *c = vdev_config(s->vdev);
	uint64_t total, used, busy;

	space_totals(s->space, &total, &used, &busy);
	*ub = (struct uberblock){ .major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .txg = vdev_next_txg(s->vdev, s->txg),
		.pool_root = *btree_root(s->pool_tree), .space_root = *btree_root(s->space_tree), .total_sectors = total,
		.free_sectors = total - used, .next_guid = s->next_guid, .rewind_floor_txg = s->priv->rewind_floor,
		.n_devices = (uint16_t)c->n_devices };
	memcpy(ub->pool_uuid, c->uuid, 16);
	memcpy(ub->epoch_id, s->priv->epoch_id, 16);
	now_get(&ub->time_s, &ub->time_ns);
}

/* Whole 64 KiB units inside what came free go back to the host or the disk. */
static void give_back(void *arg, uint64_t addr, uint32_t sectors)
{
	struct spa *s = arg;
	uint64_t unit = UNIT / SECTOR, from = round_up(addr, unit), to = round_down(addr + sectors, unit);

	if (from < to)
		(void)vdev_discard(s->vdev, from, (to - from) * SECTOR, NULL);
}

static int publish(struct spa *s, struct lcpfs_error *err)
{
	struct btree *next = NULL;
	struct uberblock ub;
	bool published = false;
	int rc = spa_space_next(s, &next, err);

	if (rc)
		return rc;
	fill_uber(s, &ub);
	rc = vdev_publish(s->vdev, &ub, &published, err);
	if (rc)
		btree_close(next);
	if (rc && published) {
		struct lcpfs_error why = err ? *err : (struct lcpfs_error){ 0 };

		return lcpfs_fail(err, LCPFS_EUNKNOWN, "whether the change was committed is not known, open the pool again to see: %s", why.msg);
	}
	if (rc)
		return rc;
	s->published = ub.txg;
	s->txg = ub.txg + 1;
	zio_set_txg(s->zio, s->txg);
	s->priv->committed = true;
	s->priv->ref_shared = false;
	s->priv->promised = s->priv->promised_piece = 0;
	s->changed = false;
	space_settle(s->space, give_back, s);
	spa_space_published(s, next);
	return 0;
}

int spa_commit(struct spa *s, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = spa_may_write(s, err);

	if (rc)
		return rc;
	rc = write_trees(s, false, &why);
	if (!rc)
		rc = publish(s, &why);
	if (!rc)
		return 0;
	rc = lcpfs_within(&why, rc, "%s", s->name);
	if (err)
		*err = why;
	return die(s, rc, &why);
}

int spa_prepare(struct spa *s, bool recount, struct uberblock *ub, struct lcpfs_error *err)
{
	const struct uberblock *cur = vdev_current(s->vdev);
	struct lcpfs_error why = { 0 };
	int rc = spa_may_write(s, err);

	if (rc)
		return rc;
	rc = write_trees(s, recount, &why);
	if (rc) {
		if (err)
			*err = why;
		return die(s, rc, &why);
	}
	fill_uber(s, ub);
	ub->prev_txg[0] = cur ? cur->txg : 0;
	ub->prev_txg[1] = cur ? cur->prev_txg[0] : 0;
	return 0;
}

static uint64_t pending_bytes(struct spa *s)
{
	uint64_t n = btree_dirty_bytes(s->pool_tree) + 64 * KiB;

	for (struct spa_client *c = s->clients; c; c = c->next)
		n += c->pending ? c->pending(c) : 0;
	return n;
}

uint64_t spa_slop(uint64_t total)
{
	uint64_t want = MIN(MAX(total / 32, 512 * KiB), 16 * GiB);

	return MIN(want, total / 4);
}

/* avail: what could be allocated at once. */
static void room(struct spa *s, uint64_t *total, uint64_t *used, uint64_t *avail)
{
	uint64_t sectors, used_sectors, busy, more = vdev_growable(s->vdev);

	space_totals(s->space, &sectors, &used_sectors, &busy);
	*used = used_sectors * SECTOR;
	*total = sectors * SECTOR;
	*total = add_overflow(*total, more, total) ? UINT64_MAX : *total;
	*avail = *total - MIN(busy * SECTOR, *total);
}

void spa_room(struct spa *s, uint64_t *total, uint64_t *avail)
{
	uint64_t used;

	room(s, total, &used, avail);
}

/*
 * Space that the last commit freed can be used after one more. Where it is wanted and nothing else waits to be written, that commit
 * is made here, of what is there already: else a full pool could not use what was removed from it by the command before.
 */
static int settle_freed(struct spa *s, uint64_t total, uint64_t avail, struct lcpfs_error *err)
{
	uint64_t freed = (space_unsettled(s->space) + s->priv->freed_before) * SECTOR;

	if (s->changed || avail > total / 4 + spa_slop(total) || freed < total / 32)
		return 0;
	s->priv->freed_before = 0;
	return spa_commit(s, err);
}

/* What is dirty is written, without ending the txg. Then it takes what it takes, and no longer what it could. */
static int write_early(struct spa *s, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = write_clients(s, &why);

	if (!rc)
		rc = spa_ref_settle(s, &why);
	if (!rc)
		rc = btree_write(s->pool_tree, &why);
	if (rc && err)
		*err = why;
	return spa_spoilt(s, rc, &why);
}

static uint64_t floor_of(enum spa_admit kind, uint64_t total)
{
	return kind == ADMIT_NORMAL ? spa_slop(total) : kind == ADMIT_FREEING ? spa_slop(total) / 2 : spa_slop(total) / 4;
}

#define RUNS_SPARE (64 * MiB)

/*
 * Free space in pieces takes no nodes: of `need` bytes each must lie in a run that does. What was counted last is good until half of what it had to
 * spare was allocated.
 */
static bool in_runs(struct spa *s, uint64_t total, uint64_t need)
{
	uint64_t sectors, used, busy, more = vdev_growable(s->vdev), taken;
	struct spa_private *p = s->priv;

	if (total == UINT64_MAX || more >= need)
		return true;
	space_totals(s->space, &sectors, &used, &busy);
	taken = busy > p->runs_busy ? 2 * (busy - p->runs_busy) * SECTOR : 0;
	if (p->runs >= taken && p->runs - taken + more >= need)
		return true;
	p->runs = space_in_runs(s->space, (uint32_t)(NODE_ROOM / SECTOR), (need + RUNS_SPARE) / SECTOR) * SECTOR;
	p->runs_busy = busy;
	return p->runs + more >= need;
}

/* 0: there is room, 1: not. Near the limit what is in flight is waited for, so that the answer does not depend on timing. */
static int has_room(struct spa *s, enum spa_admit kind, uint64_t extra, struct lcpfs_error *err)
{
	uint64_t total, used, avail, need, in_flight = zio_in_flight(s->zio), data = kind == ADMIT_NORMAL ? extra : 0;
	int rc;

	room(s, &total, &used, &avail);
	need = extra + 2 * pending_bytes(s) + floor_of(kind, total) + s->priv->n_ref * (uint64_t)NODE_TARGET;
	if (avail >= need + in_flight + (kind == ADMIT_NORMAL ? 2 * spa_slop(total) : 0) && in_runs(s, total, need) &&
	    spa_data_fits(s, data, in_flight, need - extra, false))
		return 0;
	/* how many leaves of REF change is known once they did */
	rc = spa_ref_settle(s, err);
	if (!rc)
		rc = zio_idle(s->zio, err);
	if (rc)
		return rc;
	room(s, &total, &used, &avail);
	need = extra + 2 * pending_bytes(s) + floor_of(kind, total);
	if (avail >= need && in_runs(s, total, need) && spa_data_fits(s, data, 0, 2 * pending_bytes(s), true))
		return 0;
	lcpfs_fail(err, LCPFS_ENOSPC, "%s is full: %" PRIu64 " bytes free, %" PRIu64 " of them kept in reserve", s->name, avail, spa_slop(total));
	return 1;
}

/* Empty chunks are given back before something is refused. */
static int make_room(struct spa *s, enum spa_admit kind, uint64_t extra, struct lcpfs_error *err)
{
	int rc = has_room(s, kind, extra, err), rc2;
	bool any;

	if (rc != 1)
		return rc;
	rc2 = spa_reclaim(s, &any, err);
	return rc2 ? spa_spoilt(s, rc2, err) : any ? has_room(s, kind, extra, err) : rc;
}

int spa_admit(struct spa *s, enum spa_admit kind, uint64_t extra_bytes, struct lcpfs_error *err)
{
	uint64_t total, used, avail;
	int rc;

	room(s, &total, &used, &avail);
	rc = total == UINT64_MAX ? 0 : settle_freed(s, total, avail, err);
	if (!rc && total != UINT64_MAX)
		rc = make_room(s, kind, extra_bytes, err);
	if (rc == 1 && kind != ADMIT_NORMAL) {
		rc = write_early(s, err);
		if (!rc)
			rc = make_room(s, kind, extra_bytes, err);
	}
	if (!rc)
		s->changed = true;
	return rc == 1 ? -LCPFS_ENOSPC : rc;
}

void spa_usage(struct spa *s, uint64_t *total_bytes, uint64_t *used_bytes, uint64_t *avail_bytes)
{
	uint64_t keep;

	room(s, total_bytes, used_bytes, avail_bytes);
	if (*total_bytes == UINT64_MAX)
		return;
	keep = spa_slop(*total_bytes);
	*avail_bytes -= MIN(keep, *avail_bytes);
}
