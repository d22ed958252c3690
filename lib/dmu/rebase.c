/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a head on another snapshot: rollback, receive, promote. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

/*
 * The head becomes S. What it leaves is kept as a snapshot, or freed above its own old P (not S's txg: snapshots in between still hold
 * theirs). Its counters start anew; it takes a new group of numbers, because next_seq may have gone back.
 */
static int put_on(struct spa *s, struct dsrec *h, const struct dsrec *snap, const char *name, const char *keep, struct lcpfs_error *err)
{
	char at[NAME_MAX_BYTES + 2] = "@";
	uint64_t id, old_prev;
	int rc = 0;

	if (keep) {
		strncat(at, keep, NAME_MAX_BYTES);
		rc = snapshot_one(s, h->id, at, 0, &id, err);
		if (!rc)
			rc = dmu_rec_get(s, h->id, h, err);
	}
	if (!rc)
		rc = dmu_forget(s, h->id, name, err);
	if (!rc && !keep)
		rc = dmu_free_tree(s, &h->root, h->prev_snap_txg, NULL, err);
	if (!rc)
		rc = dead_move(s, h->id, 0, err);
	old_prev = h->prev_snap;
	if (!rc)
		rc = dmu_child_count(s, old_prev, -1, err);
	if (!rc)
		rc = dmu_child_count(s, snap->id, 1, err);
	if (rc)
		return rc;
	h->root = snap->root;
	h->height = snap->height;
	h->prev_snap = snap->id;
	h->prev_snap_txg = snap->created_txg;
	h->family = snap->family;
	h->group = DS_GROUP_NONE;
	h->ref_psize = snap->ref_psize;
	h->ref_lsize = snap->ref_lsize;
	h->ref_blocks = snap->ref_blocks;
	h->n_inodes = snap->n_inodes;
	return dmu_rec_put(s, h, err);
}

static int check_keep(struct spa *s, uint64_t head_id, const char *keep, struct lcpfs_error *err)
{
	char at[NAME_MAX_BYTES + 2] = "@";
	bool taken = false;
	int rc;

	if (!config_name_ok(keep, strlen(keep), NAME_MAX_BYTES - 1))
		return lcpfs_fail(err, LCPFS_EINVAL, "bad snapshot name '%s': 1-254 bytes of A-Za-z0-9._-+", keep);
	strncat(at, keep, NAME_MAX_BYTES);
	rc = name_taken(s, head_id, at, &taken, err);
	return taken ? lcpfs_fail(err, LCPFS_EEXIST, "snapshot '%s' already exists", keep) : rc;
}

int dmu_rebase(struct spa *s, uint64_t head_id, uint64_t snap_id, const char *keep, struct lcpfs_error *err)
{
	struct buf name = { 0 };
	struct dsrec h, snap;
	int rc = keep ? check_keep(s, head_id, keep, err) : 0;

	if (!rc)
		rc = dmu_full_name(s, head_id, &name, err);
	buf_u8(&name, 0);
	if (!rc && name.failed)
		rc = lcpfs_nomem(err);
	if (!rc)
		rc = dmu_check_closed(s, head_id, (const char *)name.data, err);
	if (!rc)
		rc = dmu_settle(s, err);
	if (!rc)
		rc = dmu_rec_get(s, head_id, &h, err);
	if (!rc)
		rc = dmu_rec_get(s, snap_id, &snap, err);
	if (!rc)
		rc = spa_spoilt(s, put_on(s, &h, &snap, (const char *)name.data, keep, err), err);
	buf_fini(&name);
	return rc;
}

/* Any snapshot of the dataset will do: also one that an earlier rollback left on a side branch. */
int dmu_rollback(struct spa *s, const char *snap, const char *keep, struct lcpfs_error *err)
{
	struct ds_name n;
	struct dsrec h, target;
	int rc = spa_may_write(s, err);

	if (!rc)
		rc = ds_name_parse(&n, snap, err);
	if (!rc && !n.is_snap)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no snapshot: write DATASET@NAME", snap);
	if (!rc)
		rc = dmu_lookup(s, snap, &target, err);
	if (!rc)
		rc = dmu_lookup(s, n.dataset, &h, err);
	if (rc)
		return rc;
	rc = spa_admit(s, ADMIT_DESTROY, 0, err);
	return rc ? rc : dmu_rebase(s, h.id, target.id, keep, err);
}

/* ---- receive ---- */

int dmu_hidden_create(struct spa *s, uint64_t base_id, uint64_t parent_id, struct dataset **out, struct lcpfs_error *err)
{
	struct dsrec r = { 0 }, base = { 0 };
	int rc = spa_may_write(s, err);

	if (!rc && base_id)
		rc = dmu_rec_get(s, base_id, &base, err);
	if (rc)
		return rc;
	r = base;
	r.id = spa_new_id(s);
	r.guid = spa_guid(s, "dataset", r.id);
	r.family = base_id ? base.family : r.guid;
	r.kind = DS_HIDDEN;
	r.state = DS_RECEIVING;
	r.parent = parent_id;
	r.prev_snap = base_id;
	r.prev_snap_txg = base.created_txg;
	r.n_children = 0;
	r.next_hint = 0;
	r.created_txg = s->txg;
	r.group = DS_GROUP_NONE;
	rc = dmu_child_count(s, base_id, 1, err);
	if (!rc)
		rc = dmu_rec_put(s, &r, err);
	if (!rc)
		rc = dmu_open_id(s, r.id, out, err);
	return spa_spoilt(s, rc, err);
}

int dmu_hidden_publish(struct spa *s, struct dataset *hidden, uint64_t head_id, const char *snap, uint64_t guid, uint64_t *snap_id,
                       struct lcpfs_error *err)
{
	char at[NAME_MAX_BYTES + 2] = "@";
	uint64_t id = hidden->rec.id;
	struct dsrec r;
	int rc = check_keep(s, head_id, snap, err);

	if (!rc)
		rc = dmu_settle(s, err);
	if (rc)
		return rc;
	strncat(at, snap, NAME_MAX_BYTES);
	rc = snapshot_one(s, id, at, guid, snap_id, err);
	if (!rc)
		rc = dmu_rec_get(s, *snap_id, &r, err);
	if (rc)
		return spa_spoilt(s, rc, err);
	/* the snapshot belongs to the head now, the hidden dataset goes */
	rc = name_del(s, id, at, err);
	if (!rc)
		rc = snaptxg_del(s, id, r.created_txg, err);
	if (!rc)
		rc = name_put(s, head_id, at, r.id, err);
	if (!rc)
		rc = snaptxg_put(s, head_id, r.created_txg, r.id, err);
	r.parent = head_id;
	r.n_children = 0;
	r.next_hint = 0;
	if (!rc)
		rc = dmu_rec_put(s, &r, err);
	hidden->refs--;
	if (!rc)
		rc = dmu_forget(s, id, "receive", err);
	return spa_spoilt(s, rc ? rc : rec_del(s, id, err), err);
}

int dmu_hidden_drop(struct spa *s, struct dataset *hidden, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_settle(s, err);

	if (rc)
		return rc;
	r = hidden->rec;
	hidden->refs--;
	rc = dmu_forget(s, r.id, "receive", err);
	if (!rc)
		rc = dmu_free_tree(s, &r.root, r.prev_snap_txg, NULL, err);
	if (!rc)
		rc = dead_move(s, r.id, 0, err);
	if (!rc)
		rc = dmu_child_count(s, r.prev_snap, -1, err);
	return spa_spoilt(s, rc ? rc : rec_del(s, r.id, err), err);
}

/* ---- promote ---- */

/* Snapshot id goes from dataset `from` to dataset `to`; only who owns it changes. */
static int move_snap(struct spa *s, const struct dsrec *snap, uint64_t to, bool dry, struct lcpfs_error *err)
{
	struct buf name = { 0 };
	struct dsrec r = *snap;
	bool taken = false;
	int rc = name_of(s, snap->parent, snap->id, &name, err);

	buf_u8(&name, 0);
	if (!rc && name.failed)
		rc = lcpfs_nomem(err);
	if (!rc)
		rc = name_taken(s, to, (const char *)name.data, &taken, err);
	if (taken)
		rc = lcpfs_fail(err, LCPFS_EEXIST, "the clone has a snapshot '%s' of its own: rename one", (const char *)name.data + 1);
	if (!rc && !dry) {
		r.parent = to;
		rc = name_del(s, snap->parent, (const char *)name.data, err);
		if (!rc)
			rc = name_put(s, to, (const char *)name.data, snap->id, err);
		if (!rc)
			rc = snaptxg_del(s, snap->parent, snap->created_txg, err);
		if (!rc)
			rc = snaptxg_put(s, to, snap->created_txg, snap->id, err);
		if (!rc)
			rc = dmu_rec_put(s, &r, err);
	}
	buf_fini(&name);
	return rc;
}

static int move_chain(struct spa *s, uint64_t first, uint64_t owner, uint64_t to, bool dry, struct lcpfs_error *err)
{
	uint64_t below = UINT64_MAX;
	struct dsrec r;
	int rc = 0;

	for (uint64_t id = first; id && !rc; id = r.prev_snap, below = r.created_txg) {
		rc = dmu_prev_get(s, id, below, &r, err);
		if (rc || r.parent != owner)
			break;
		rc = move_snap(s, &r, to, dry, err);
	}
	return rc;
}

int dmu_origin(struct spa *s, const struct dsrec *head, uint64_t *id, struct lcpfs_error *err)
{
	uint64_t at = head->prev_snap, below = UINT64_MAX;
	struct dsrec r;

	*id = 0;
	while (at) {
		int rc = dmu_prev_get(s, at, below, &r, err);

		if (rc)
			return rc;
		if (r.parent != head->id) {
			*id = at;
			return 0;
		}
		at = r.prev_snap;
		below = r.created_txg;
	}
	return 0;
}

int dmu_promote(struct spa *s, const char *name, struct lcpfs_error *err)
{
	struct dsrec clone, origin, owner;
	uint64_t from = 0;
	int rc = spa_may_write(s, err);

	if (!rc)
		rc = spa_admit(s, ADMIT_FREEING, 0, err);
	if (!rc)
		rc = dmu_settle(s, err);
	if (!rc)
		rc = dmu_lookup(s, name, &clone, err);
	if (!rc && clone.kind == DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is a snapshot: clones are promoted", name);
	if (!rc)
		rc = dmu_origin(s, &clone, &from, err);
	if (!rc && !from)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no clone", name);
	if (!rc)
		rc = dmu_rec_get(s, from, &origin, err);
	if (!rc)
		rc = dmu_rec_get(s, origin.parent, &owner, err);
	if (!rc)
		rc = move_chain(s, origin.id, owner.id, clone.id, true, err);
	if (rc)
		return rc;
	rc = move_chain(s, origin.id, owner.id, clone.id, false, err);
	if (!rc)
		rc = dmu_refresh_names(s, err);
	return spa_spoilt(s, rc, err);
}
