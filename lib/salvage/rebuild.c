/* SPDX-License-Identifier: Apache-2.0 */
/* A dataset of the new pool, from the items that are left of the old one. Contents are verified here, and those that are lost left out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "dmu/dmu.h"
#include "salvage/salvage_impl.h"

#define SHED_ITEMS 4096u

int head_loss(struct head *h, uint64_t data_id, uint64_t off, uint64_t len, unsigned kind, struct lcpfs_error *err)
{
	int rc = sal_room(&h->loss, h->n_loss, &h->cap_loss, sizeof *h->loss, err);

	if (!rc)
		h->loss[h->n_loss++] = (struct loss){ data_id, off, len, kind };
	return rc;
}

static int by_content(const void *x, const void *y)
{
	const struct loss *a = x, *b = y;

	return a->of != b->of ? (a->of > b->of) - (a->of < b->of) : (a->off > b->off) - (a->off < b->off);
}

void loss_sort(struct loss *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof *v, by_content);
}

const struct loss *loss_of(const struct loss *v, size_t n, uint64_t of, size_t *count)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (v[mid].of < of)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*count = 0; lo + *count < n && v[lo + *count].of == of;)
		++*count;
	return *count ? v + lo : NULL;
}

int rebuild_put(struct rebuild *r, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *bp, bool replace,
                struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = btree_put(r->ds->tree, key, klen, val, vlen, bp, bp ? 1 : 0, replace ? 0 : BT_NEW, &why);

	if (rc == -LCPFS_EEXIST)
		return 1;
	if (!rc && ++r->items % SHED_ITEMS == 0)
		rc = btree_shed(r->ds->tree, r->s->spa->memory / 8, &why);
	if (rc && err)
		*err = why;
	return rc;
}

/* The block of an item: *bp names it where the new pool sees it. 1: it is lost. */
static int place_block(struct rebuild *r, const struct gather_item *it, struct blkptr *bp, struct lcpfs_error *err)
{
	uint64_t off;
	int rc;

	if (it->nptr != 1 || ptr_decode(bp, it->ptrs, NULL) || bp->kind != PTR_DATA)
		return -LCPFS_ECORRUPT;
	rc = map_find(r->s, bp, true, &off, err);
	if (rc)
		return rc;
	bp->addr = overlay_addr(off);
	bp->birth = 1;
	bp->flags = 0;
	return inoset_add(&r->s->used, off / SECTOR + 1, NULL, err);
}

/* 1: lost, but for the first *got bytes, which are in *bp. */
static int place_or_rescue(struct rebuild *r, const struct gather_item *it, bool whole, struct blkptr *bp, uint32_t *got,
                           struct lcpfs_error *err)
{
	int rc = place_block(r, it, bp, err);

	*got = 0;
	if (rc == -LCPFS_ECORRUPT)
		return 1;
	if (rc == 1) {
		const struct blkptr old = *bp;

		rc = rescue_block(r->s, &old, whole, bp, got, err);
		rc = rc < 0 ? rc : 1;
	}
	return rc;
}

static int take_extent(struct rebuild *r, const struct gather_item *it, struct lcpfs_error *err)
{
	struct blkptr bp;
	uint64_t off, id;
	uint32_t got, len;
	uint8_t val[4];
	int rc;

	if (it->klen != 17 || it->vlen != 4)
		return 0;
	id = be64_load(it->key + 1);
	off = be64_load(it->key + 9);
	len = (uint32_t)le_load(it->val, 4);
	rc = place_or_rescue(r, it, false, &bp, &got, err);
	if (!rc)
		return MIN(rebuild_put(r, it->key, it->klen, it->val, it->vlen, &bp, false, err), 0);
	if (rc != 1)
		return rc;
	if (got) {
		le_store(val, 4, got);
		rc = rebuild_put(r, it->key, it->klen, val, 4, &bp, false, err);
		if (!rc)
			rc = head_loss(r->h, id, off, got, LOSS_UNVERIFIED, err);
		else if (rc == 1) /* there is a younger one */
			return 0;
	}
	return rc < 0 || got >= len ? MIN(rc, 0) : head_loss(r->h, id, off + got, len - got, LOSS_LOST, err);
}

static int take_pack(struct rebuild *r, const struct gather_item *it, struct lcpfs_error *err)
{
	uint64_t id = be64_load(it->key + 1);
	struct blkptr bp;
	uint32_t got;
	int rc, put = 0;

	if (it->klen != 9 || it->vlen != 8)
		return 0;
	rc = place_or_rescue(r, it, true, &bp, &got, err);
	if (rc < 0)
		return rc;
	if (!rc || got)
		put = rebuild_put(r, it->key, it->klen, it->val, it->vlen, &bp, false, err);
	if (!rc || put)
		return MIN(put, 0);
	if (!got)
		return inoset_add(&r->lost_packs, id, NULL, err);
	rc = sal_room(&r->rescued, r->n_rescued, &r->cap_rescued, sizeof *r->rescued, err);
	if (!rc)
		r->rescued[r->n_rescued++] = (struct rescued){ id, got };
	return rc;
}

static int take_item(void *arg, const struct gather_item *it, struct lcpfs_error *err)
{
	struct rebuild *r = arg;
	int rc;

	if (it->klen < 9 || it->key[0] == ITEM_DSINFO)
		return 0;
	if (it->key[0] == ITEM_EXTENT)
		return take_extent(r, it, err);
	if (it->key[0] == ITEM_PACK)
		return take_pack(r, it, err);
	if (it->nptr)
		return 0;
	if (it->key[0] == ITEM_INODE && (it->klen != 9 || inode_decode(&(struct inode){ 0 }, it->val, it->vlen, NULL, NULL, NULL)))
		return 0;
	rc = rebuild_put(r, it->key, it->klen, it->val, it->vlen, NULL, false, err);
	if (!rc && it->old && it->key[0] == ITEM_INODE)
		rc = inoset_add(&r->h->old, be64_load(it->key + 1), NULL, err);
	return MIN(rc, 0);
}

static int put_info(struct rebuild *r, struct lcpfs_error *err)
{
	const struct dsinfo d = { .next_seq = SEQ_FIRST, .node_size = NODE_TARGET, .record_size = 1u << 20, .pack_size = 1u << 20,
		.slice_max = 1u << 17 };
	uint8_t key[9], val[DSINFO_LEN];

	dsinfo_encode(&d, val);
	return rebuild_put(r, key, item_key(key, ITEM_DSINFO, 0), val, sizeof val, NULL, false, err);
}

/* Keys of which nothing at all was found, as words. */
static void note_holes(struct rebuild *r)
{
	const struct gather *g = &r->g;

	for (size_t i = 0; i < g->n_miss; i++) {
		const struct miss *m = &g->miss[i];

		if (m->touched)
			continue;
		buf_printf(&r->h->holes, "%skeys ", r->h->holes.len ? ", " : "");
		buf_hex(&r->h->holes, m->lo.b, MIN(m->lo.len, 24));
		buf_printf(&r->h->holes, " to ");
		if (m->to_end)
			buf_printf(&r->h->holes, "the end");
		else
			buf_hex(&r->h->holes, m->hi.b, MIN(m->hi.len, 24));
		if (r->h->holes.len > 4096)
			break;
	}
}

static int gather(struct rebuild *r, struct lcpfs_error *err)
{
	struct head *h = r->h;
	bool rooted = h->rec.id && !h->rec_old;
	int rc;

	r->g = (struct gather){ .s = r->s, .item = take_item, .arg = r };
	if (h->rec.kind != DS_SNAPSHOT)
		gather_guid_add(&r->g, h->guid, UINT64_MAX);
	for (unsigned i = 0; i < h->n_origin; i++)
		gather_guid_add(&r->g, h->origin[i].guid, h->origin[i].max_birth);
	rc = gather_run(&r->g, rooted ? &h->rec.root : NULL, err);
	note_holes(r);
	loss_sort(h->loss, h->n_loss);
	return rc;
}

int rebuild_head(struct sal *s, struct head *h, struct lcpfs_error *err)
{
	struct rebuild r = { .s = s, .h = h };
	int rc = dmu_create(s->spa, h->inner, &r.ds, err);

	if (rc)
		return rc;
	dmu_dirty(r.ds);
	rc = put_info(&r, err);
	if (!rc)
		rc = gather(&r, err);
	if (!rc)
		rc = carve(&r, err);
	h->empty = r.items <= 1 && r.g.lost_nodes;
	if (!rc && !h->empty)
		rc = mend(&r, err);
	dmu_close(r.ds);
	gather_fini(&r.g);
	inoset_fini(&r.lost_packs);
	free(r.rescued);
	return rc ? lcpfs_within(err, rc, "%s", h->name) : 0;
}
