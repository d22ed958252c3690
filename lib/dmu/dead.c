/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEAD counters: how many blocks and bytes of each interval of births a head no longer refers to. They are the independent check of
 * what the destruction of a snapshot frees, and answer "used by snapshot" without reading trees.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu_impl.h"

static int load_chain(struct dataset *ds, struct lcpfs_error *err)
{
	uint64_t id = ds->rec.prev_snap, *chain = NULL;
	size_t cap = 0, n = 0;
	int rc = 0;

	while (id && !rc) {
		struct dsrec r;

		rc = dmu_prev_get(ds->spa, id, n ? chain[n - 1] : UINT64_MAX, &r, err);
		if (!rc && n == cap) {
			size_t more = cap ? 2 * cap : 16;
			uint64_t *p = realloc(chain, more * sizeof *p);

			if (p) {
				chain = p;
				cap = more;
			} else {
				rc = lcpfs_nomem(err);
			}
		}
		if (!rc) {
			chain[n++] = r.created_txg;
			id = r.prev_snap;
		}
	}
	if (rc) {
		free(chain);
		return rc;
	}
	free(ds->chain);
	ds->chain = chain;
	ds->n_chain = n;
	return 0;
}

/* The first snapshot at or after `birth` on the path; the chain descends. */
static uint64_t interval_of(const struct dataset *ds, uint64_t birth)
{
	size_t lo = 0, hi = ds->n_chain;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ds->chain[mid] >= birth)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? ds->chain[lo - 1] : 0;
}

int dead_add(struct dataset *ds, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct dead_delta *d;
	uint64_t upper;
	int rc = ds->chain ? 0 : load_chain(ds, err);

	if (rc)
		return rc;
	upper = interval_of(ds, bp->birth);
	for (d = ds->dead; d && d->upper_txg != upper;)
		d = d->next;
	if (!d) {
		d = calloc(1, sizeof *d);
		if (!d)
			return lcpfs_nomem(err);
		d->upper_txg = upper;
		d->next = ds->dead;
		ds->dead = d;
	}
	d->blocks++;
	d->psize += ptr_charge(bp);
	dmu_dirty(ds);
	return 0;
}

static int dead_get(struct spa *s, const uint8_t *key, uint64_t *blocks, uint64_t *psize, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	int rc = btree_get(s->pool_tree, &c, key, 17, err);

	*blocks = *psize = 0;
	if (rc == 0 && c.item.vlen == 16) {
		*blocks = le_load(c.item.val, 8);
		*psize = le_load(c.item.val + 8, 8);
	} else if (rc == 0) {
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "DEAD counter of %u bytes", c.item.vlen);
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static int dead_bump(struct spa *s, uint64_t ds, uint64_t upper, uint64_t blocks, uint64_t psize, struct lcpfs_error *err)
{
	uint8_t key[17], val[16];
	uint64_t b, p;
	int rc;

	key_u64_u64(key, TBL_DEAD, ds, upper);
	rc = dead_get(s, key, &b, &p, err);
	if (rc)
		return rc;
	le_store(val, 8, b + blocks);
	le_store(val + 8, 8, p + psize);
	return btree_put(s->pool_tree, key, 17, val, 16, NULL, 0, 0, err);
}

int dead_write(struct dataset *ds, struct lcpfs_error *err)
{
	while (ds->dead) {
		struct dead_delta *d = ds->dead;
		int rc = dead_bump(ds->spa, ds->rec.id, d->upper_txg, d->blocks, d->psize, err);

		if (rc)
			return rc;
		ds->dead = d->next;
		free(d);
	}
	return 0;
}

void dead_drop(struct dataset *ds)
{
	while (ds->dead) {
		struct dead_delta *d = ds->dead;

		ds->dead = d->next;
		free(d);
	}
}

/* The first counter of ds with upper > after; 1: none. */
static int dead_next(struct spa *s, uint64_t ds, uint64_t after, uint64_t *upper, uint64_t *blocks, uint64_t *psize,
                     struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[17];
	int rc;

	if (after == UINT64_MAX)
		return 1;
	key_u64_u64(key, TBL_DEAD, ds, after + 1);
	rc = btree_seek(s->pool_tree, &c, key, 17, err);
	if (rc == 0 && (c.item.klen != 17 || memcmp(c.item.key, key, 9) != 0))
		rc = 1;
	if (rc == 0) {
		*upper = be64_load(c.item.key + 9);
		*blocks = c.item.vlen == 16 ? le_load(c.item.val, 8) : 0;
		*psize = c.item.vlen == 16 ? le_load(c.item.val + 8, 8) : 0;
	}
	btree_cursor_close(&c);
	return rc;
}

static int dead_del(struct spa *s, uint64_t ds, uint64_t upper, struct lcpfs_error *err)
{
	uint8_t key[17];
	int rc;

	key_u64_u64(key, TBL_DEAD, ds, upper);
	rc = btree_del(s->pool_tree, key, 17, 0, err);
	return rc < 0 ? rc : 0;
}

int dead_move(struct spa *s, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	uint64_t upper = 0, blocks, psize;
	int rc = dead_next(s, from, 0, &upper, &blocks, &psize, err);

	for (; rc == 0; rc = dead_next(s, from, upper, &upper, &blocks, &psize, err)) {
		int rc2 = dead_del(s, from, upper, err);

		if (!rc2 && to)
			rc2 = dead_bump(s, to, upper, blocks, psize, err);
		if (rc2)
			return rc2;
	}
	return rc < 0 ? rc : 0;
}

int dead_remove(struct spa *s, uint64_t ds, uint64_t after, uint64_t upto, struct lcpfs_error *err)
{
	uint64_t upper = after, blocks, psize;
	int rc = dead_next(s, ds, after, &upper, &blocks, &psize, err);

	for (; rc == 0 && upper <= upto; rc = dead_next(s, ds, upper, &upper, &blocks, &psize, err)) {
		int rc2 = dead_del(s, ds, upper, err);

		if (rc2)
			return rc2;
	}
	return rc < 0 ? rc : 0;
}

int dmu_dead_sum(struct spa *s, uint64_t ds, uint64_t after_txg, uint64_t upto_txg, uint64_t *blocks, uint64_t *psize, struct lcpfs_error *err)
{
	uint64_t upper = after_txg, b, p;
	int rc = dead_next(s, ds, after_txg, &upper, &b, &p, err);

	*blocks = *psize = 0;
	for (; rc == 0 && upper <= upto_txg; rc = dead_next(s, ds, upper, &upper, &b, &p, err)) {
		*blocks += b;
		*psize += p;
	}
	return rc < 0 ? rc : 0;
}
