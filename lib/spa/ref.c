/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: blocks that more than one pointer owns
 * A block has as many references as there are pointers to it, each owned by one lineage of trees. REF[addr] counts those beyond the first; what has no
 * record has one. Only data blocks are ever shared, so nodes come and go without a look here.
 *
 * Frees and new references are queued and settled together, in the order of addresses, one decision for each: at the commit, and before when the queue is
 * full. That may be any time, because a new reference is only made from one that is still counted.
 *
 * Invariants
 *  (1) While nothing is shared (no record, nothing queued) a free is decided at once and nothing of the pool tree is read.
 *  (2) A block with a record, with a queued reference, or freed through a pointer made by sharing is never given up as fresh: the last
 *      commit may name it, however young the pointer is.
 *  (3) The first record brings the feature into the config.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/util.h"
#include "spa/spa_impl.h"

#define QUEUE_MAX 65536u

static int by_addr(const void *a, const void *b)
{
	const struct ref_delta *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* The first record at or after addr; none: UINT64_MAX. */
static int ref_from(struct spa *s, uint64_t addr, uint64_t *found, uint64_t *extra, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(s->pool_tree, &c, key, key_u64(key, TBL_REF, addr), err);

	*found = UINT64_MAX;
	*extra = 0;
	if (!rc && c.item.key[0] == TBL_REF) {
		rc = ref_decode(extra, c.item.key, c.item.klen, c.item.val, c.item.vlen, err);
		*found = rc ? UINT64_MAX : be64_load(c.item.key + 1);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

/* Is there any record? */
static int look(struct spa *s, struct lcpfs_error *err)
{
	uint64_t found, extra;
	int rc = ref_from(s, 0, &found, &extra, err);

	if (!rc) {
		s->priv->ref_any = found != UINT64_MAX;
		s->priv->ref_known = true;
	}
	return rc;
}

static int in_use(struct spa *s, bool *yes, struct lcpfs_error *err)
{
	int rc = 0;

	if (!s->priv->ref_known) {
		s->priv->ref_known = !config_has_feature(&vdev_config(s->vdev)->incompat, FEATURE_REF);
		rc = s->priv->ref_known ? 0 : look(s, err);
	}
	*yes = s->priv->ref_any || s->priv->ref_shared;
	return rc;
}

int spa_is_shared(struct spa *s, uint64_t addr, bool *yes, struct lcpfs_error *err)
{
	uint64_t found, extra = 0;
	int rc = in_use(s, yes, err);

	if (rc || !*yes)
		return rc;
	rc = ref_from(s, addr, &found, &extra, err);
	*yes = found == addr && extra;
	return rc;
}

static int put(struct spa *s, uint64_t addr, uint64_t extra, struct lcpfs_error *err)
{
	uint8_t key[9], val[REF_LEN];
	size_t klen = key_u64(key, TBL_REF, addr);
	int rc;

	if (!extra) {
		rc = btree_del(s->pool_tree, key, klen, 0, err);
		return MIN(rc, 0);
	}
	if (!config_has_feature(&vdev_config(s->vdev)->incompat, FEATURE_REF)) {
		rc = config_add_feature(&vdev_config_edit(s->vdev)->incompat, FEATURE_REF, err);
		if (rc)
			return rc;
	}
	ref_encode(extra, val);
	s->priv->ref_any = s->priv->ref_known = true;
	return btree_put(s->pool_tree, key, klen, val, sizeof val, NULL, 0, 0, err);
}

/* Before a repair it may be that something is given up that was not in use: the bitmaps are made anew after it. */
static int release(struct spa *s, uint64_t addr, uint32_t sectors, bool fresh, struct lcpfs_error *err)
{
	int rc = space_free(s->space, addr, sectors, true, fresh, err);

	return rc == -LCPFS_ECORRUPT && s->priv->repair ? 0 : rc;
}

/* `extra`: of the record, 0 without one. */
static int decide(struct spa *s, const struct ref_delta *d, uint64_t extra, struct lcpfs_error *err)
{
	uint64_t has = extra + 1 + d->more, less = s->priv->repair ? MIN(d->less, has) : d->less;

	if (has <= extra || less > has)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %" PRIu64 ":%" PRIu64 ": %u of %" PRIu64 " references given up: run fsck",
		    d->addr >> 32, d->addr & UINT32_MAX, d->less, has);
	if (has - less == 0) {
		int rc = extra ? put(s, d->addr, 0, err) : 0;

		return rc ? rc : release(s, d->addr, d->sectors, false, err);
	}
	has -= less + 1;
	return has == extra ? 0 : put(s, d->addr, has, err);
}

/* All that is queued for one block into its first entry; *next: where the following block begins. */
static int gather(struct ref_delta *q, size_t n, size_t i, size_t *next, struct lcpfs_error *err)
{
	size_t k = i + 1;

	for (; k < n && q[k].addr == q[i].addr; k++) {
		if (q[k].sectors != q[i].sectors)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "block %" PRIu64 ":%" PRIu64 ": of two lengths: run fsck", q[i].addr >> 32,
			    q[i].addr & UINT32_MAX);
		q[i].more += q[k].more;
		q[i].less += q[k].less;
	}
	*next = k;
	return 0;
}

static int settle(struct spa *s, struct lcpfs_error *err)
{
	struct spa_private *p = s->priv;
	uint64_t at = 0, extra = 0; /* the record at hand; all before it were passed */
	bool have = false;
	int rc = 0;

	qsort(p->ref, p->n_ref, sizeof *p->ref, by_addr);
	for (size_t i = 0, next = 0; !rc && i < p->n_ref; i = next) {
		rc = gather(p->ref, p->n_ref, i, &next, err);
		if (!rc && (!have || at < p->ref[i].addr)) {
			rc = ref_from(s, p->ref[i].addr, &at, &extra, err);
			have = true;
		}
		if (!rc)
			rc = decide(s, &p->ref[i], at == p->ref[i].addr ? extra : 0, err);
	}
	p->n_ref = 0;
	return rc;
}

int spa_ref_settle(struct spa *s, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	size_t share = s->memory / 8;
	int rc;

	if (!s->priv->n_ref)
		return 0;
	rc = settle(s, &why);
	if (!rc && s->priv->ref_any)
		rc = look(s, &why);
	if (!rc && btree_dirty_bytes(s->pool_tree) > share)
		rc = btree_shed(s->pool_tree, share / 2, &why);
	if (rc && err)
		*err = why;
	return spa_spoilt(s, rc, &why);
}

static int queue(struct spa *s, const struct blkptr *bp, bool more, struct lcpfs_error *err)
{
	struct spa_private *p = s->priv;

	if (p->n_ref == QUEUE_MAX) {
		int rc = spa_ref_settle(s, err);

		if (rc)
			return rc;
	}
	if (p->n_ref == p->cap_ref) {
		size_t cap = p->cap_ref ? 2 * p->cap_ref : 256;
		struct ref_delta *q = realloc(p->ref, cap * sizeof *q);

		if (!q)
			return lcpfs_nomem(err);
		p->ref = q;
		p->cap_ref = cap;
	}
	p->ref[p->n_ref++] = (struct ref_delta){ bp->addr, (uint32_t)div_up(bp->psize, SECTOR), more, !more };
	return 0;
}

int spa_share(struct spa *s, const struct blkptr *from, struct blkptr *out, struct lcpfs_error *err)
{
	int rc = from->kind == PTR_DATA && !ptr_is_null(from) ? queue(s, from, true, err) :
	    lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not file data", ptr_chunk(from), ptr_sector(from));

	if (rc)
		return rc;
	s->priv->ref_shared = s->changed = true;
	*out = *from;
	out->birth = s->txg;
	out->flags |= PTR_SHARED;
	return 0;
}

int spa_free(struct spa *s, const struct blkptr *bp, struct lcpfs_error *err)
{
	bool young = bp->birth > s->published && !(bp->flags & PTR_SHARED), shared = false;
	int rc = 0;

	arc_forget(s->arc, bp->addr, bp->birth);
	if (bp->kind != PTR_NODE)
		rc = in_use(s, &shared, err);
	if (rc)
		return rc;
	/* made since the last commit, and nothing was shared since */
	if (young && !s->priv->ref_shared)
		shared = false;
	if (shared)
		return queue(s, bp, false, err);
	return release(s, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), young, err);
}
