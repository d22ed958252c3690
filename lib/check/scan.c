/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan: every live block once
 * Each dataset's tree is walked where it is younger than its previous snapshot; what is older belongs to that. Nodes with pointers are
 * read on the way; leaves without, and data, are queued.
 *
 * A full queue is read at once; or, when all is to be read in the order of addresses, it keeps the lower half, the walk goes on for what
 * lies below its end, and another walk follows for the rest. Nodes read again are neither counted nor told of.
 */
#include "check/scan_impl.h"
#include <string.h>

size_t scan_entries_max = SIZE_MAX;

struct tree_walk { struct queue *q; uint32_t ds; uint64_t floor; };

/* The upper half goes, for a later walk. Where all have one address they are one block, and read. */
static int keep_lower(struct queue *q, struct lcpfs_error *err)
{
	size_t n = q->n / 2;

	scan_sort(q);
	while (n && q->e[n - 1].bp.addr == q->e[n].bp.addr)
		n--;
	if (!n) {
		uint64_t budget = q->s->budget_bytes, deadline = q->s->deadline_ns;
		int rc;

		q->s->budget_bytes = q->s->deadline_ns = 0;
		rc = scan_drain(q, err);
		q->s->budget_bytes = budget;
		q->s->deadline_ns = deadline;
		return rc;
	}
	q->hi = q->e[n].bp.addr;
	q->n = n;
	return 0;
}

static int push(struct queue *q, const struct blkptr *bp, uint32_t ds, bool again, struct lcpfs_error *err)
{
	struct scan_entry *e;
	int rc = 0;

	if (bp->addr < q->lo || bp->addr >= q->hi)
		return 0;
	if (q->n >= q->max)
		rc = q->s->ordered ? keep_lower(q, err) : scan_drain(q, err);
	if (rc || bp->addr >= q->hi)
		return rc;
	e = CK_PUSH(q->e, q->n, q->cap);
	if (!e)
		return lcpfs_nomem(err);
	*e = (struct scan_entry){ *bp, ds, again };
	return 0;
}

static int claim(struct tree_walk *t, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct scan *s = t->q->s;

	return s->claim ? s->claim(s->arg, bp, t->ds, err) : 0;
}

static int on_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	int rc;

	(void)low, (void)high;
	if (bp->birth <= t->floor)
		return 1;
	rc = claim(t, bp, err);
	if (rc)
		return rc;
	if (!bp->level && (bp->flags & PTR_NOPTR)) {
		rc = t->q->s->verify ? push(t->q, bp, t->ds, false, err) : 0;
		return rc ? rc : 1;
	}
	if (!t->q->again) {
		t->q->s->blocks++;
		t->q->s->bytes += round_up(bp->psize, SECTOR);
	}
	return t->q->s->verify && !t->q->again ? scan_copies(t->q->s, bp, t->ds, err) : 0;
}

static int on_bad(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                  const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	struct check *ck = t->q->s->ck;

	(void)low, (void)high;
	if (t->ds < ck->n_ds)
		ck->ds[t->ds].unsound = true;
	if (t->q->s->verify && !t->q->again && scan_damage(t->q->s, bp, t->ds, rc, false, why))
		return lcpfs_nomem(err);
	return 0;
}

static int on_ptr(struct tree_walk *t, const uint8_t *raw, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc = ptr_decode(&bp, raw, err);

	if (rc)
		return rc;
	/* what the snapshot before has too is looked at there; but the pointer here may be another one */
	if (bp.birth <= t->floor)
		return (t->q->s->claim || t->q->s->decode) && t->q->s->verify && t->q->s->data ? push(t->q, &bp, t->ds, true, err) : 0;
	rc = claim(t, &bp, err);
	if (rc)
		return MIN(rc, 0);
	return t->q->s->verify && t->q->s->data ? push(t->q, &bp, t->ds, false, err) : 0;
}

static int on_item(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct tree_walk *t = arg;
	int rc = 0;

	/* trees of datasets are walked by their records */
	if (t->ds == CK_POOL && it->key[0] == TBL_DS)
		return 0;
	for (unsigned i = 0; !rc && i < it->nptr; i++)
		rc = on_ptr(t, it->ptrs + (size_t)i * PTR_LEN, err);
	return rc;
}

static int walk_tree(struct queue *q, const struct blkptr *root, uint32_t ds, uint64_t floor, struct lcpfs_error *err)
{
	struct tree_walk t = { q, ds, floor };
	struct ck_walk w = { .node = on_node, .item = on_item, .bad = on_bad, .arg = &t };

	return ck_walk(q->s->ck, root, &w, err);
}

static int walk_all(struct queue *q, bool with_space, struct lcpfs_error *err)
{
	struct check *ck = q->s->ck;
	int rc = walk_tree(q, &ck->ub.pool_root, CK_POOL, q->s->since, err);

	if (!rc && with_space)
		rc = walk_tree(q, &ck->ub.space_root, CK_SPACE, q->s->since, err);
	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		rc = walk_tree(q, &ck->ds[i].rec.root, (uint32_t)i, MAX(ck->ds[i].rec.prev_snap_txg, q->s->since), err);
		if (!rc)
			rc = ck_tick(ck, 1, 0, err);
	}
	return rc;
}

int scan_run(struct scan *s, bool with_space, struct lcpfs_error *err)
{
	struct check *ck = s->ck;
	struct queue q = { .s = s, .max = MIN(MAX(ck->budget / sizeof(struct scan_entry), (size_t)1024), scan_entries_max), .lo = s->from };
	int rc = 0;

	pthread_mutex_init(&q.lock, NULL);
	if (ck->o->map)
		blockdev_guard();
	for (bool more = true; !rc && more; q.lo = q.hi, q.again = true) {
		q.hi = UINT64_MAX;
		rc = walk_all(&q, with_space, err);
		if (!rc && s->verify)
			rc = scan_drain(&q, err);
		more = s->ordered && q.hi != UINT64_MAX && !s->next;
	}
	if (ck->o->map)
		blockdev_unguard();
	free(q.e);
	pthread_mutex_destroy(&q.lock);
	return rc;
}

void scan_fini(struct scan *s)
{
	free(s->dmg);
	free(s->copy);
}
