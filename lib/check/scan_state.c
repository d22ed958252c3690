/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool remembers of scrubs: how far the pass under way is, when the last whole one ended, which datasets had damage. */
#include "check/check_impl.h"
#include "dmu/dmu.h"
#include "zpl/handle.h"

static int get(struct spa *s, uint64_t id, struct bt_cursor *c, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];

	return btree_get(s->pool_tree, c, key, key_u64(key, TBL_SCAN, id), err);
}

/* A record that this version cannot read is as good as none. */
int scan_state_get(struct spa *s, struct scanrec *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	int rc = get(s, 0, &c, err);

	*out = (struct scanrec){ 0 };
	if (!rc)
		scanrec_decode(out, c.item.val, c.item.vlen, NULL);
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int bad_get(struct spa *s, uint64_t id, struct scanbad *out, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	int rc = get(s, id, &c, err);

	*out = (struct scanbad){ 0 };
	if (!rc)
		scanbad_decode(out, c.item.val, c.item.vlen, NULL);
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int put(struct spa *s, uint64_t id, const uint8_t *val, size_t len, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];
	size_t klen = key_u64(key, TBL_SCAN, id);
	int rc = val ? btree_put(s->pool_tree, key, klen, val, len, NULL, 0, 0, err) : btree_del(s->pool_tree, key, klen, 0, err);

	s->changed = true;
	return MIN(rc, 0);
}

static int bad_put(struct spa *s, uint64_t id, const struct scanbad *b, struct lcpfs_error *err)
{
	uint8_t raw[SCANBAD_LEN];

	scanbad_encode(b, raw);
	return put(s, id, b->done || b->now ? raw : NULL, sizeof raw, err);
}

/* Records of datasets that are gone go, too. */
static int drop_old(struct check *ck, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];
	uint64_t id = 1;
	int rc = 0;

	while (!rc) {
		struct bt_cursor c = { 0 };

		rc = btree_seek(ck->spa->pool_tree, &c, key, key_u64(key, TBL_SCAN, id), err);
		if (!rc && (c.item.klen != 9 || c.item.key[0] != TBL_SCAN))
			rc = 1;
		if (!rc)
			id = be64_load(c.item.key + 1);
		btree_cursor_close(&c);
		if (!rc && !ck_ds_by_id(ck, id))
			rc = put(ck->spa, id, NULL, 0, err);
		if (!rc && ++id == 0)
			break;
	}
	return MIN(rc, 0);
}

static int put_datasets(struct check *ck, bool first, bool whole, struct lcpfs_error *err)
{
	int rc = drop_old(ck, err);

	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		struct scanbad b, was;

		rc = bad_get(ck->spa, ck->ds[i].rec.id, &b, err);
		was = b;
		b.now = (first ? 0 : b.now) + ck->ds[i].bad;
		if (whole)
			b = (struct scanbad){ .done = b.now };
		if (!rc && (b.done != was.done || b.now != was.now))
			rc = bad_put(ck->spa, ck->ds[i].rec.id, &b, err);
	}
	return rc;
}

int scan_state_put(struct check *ck, const struct scanrec *r, bool first, bool whole, struct lcpfs_error *err)
{
	uint8_t raw[SCANREC_LEN];
	int rc = spa_admit(ck->spa, ADMIT_FREEING, 0, err);

	if (!rc)
		rc = put_datasets(ck, first, whole, err);
	scanrec_encode(r, raw);
	if (!rc)
		rc = put(ck->spa, 0, raw, sizeof raw, err);
	return rc ? rc : spa_commit(ck->spa, err);
}

int lcpfs_scrub_state(struct lcpfs_pool *p, struct lcpfs_scrub_state *out, struct lcpfs_error *err)
{
	struct scanrec r;
	int rc = scan_state_get(p->spa, &r, err);

	*out = (struct lcpfs_scrub_state){ 0 };
	if (!rc)
		*out = (struct lcpfs_scrub_state){ .under_way = r.flags & SCAN_UNDER_WAY, .next = r.next, .bytes = r.bytes, .bad_blocks = r.bad,
			.started_s = r.started_s, .done_txg = r.done_txg, .done_s = r.done_s, .done_bytes = r.done_bytes,
			.done_bad_blocks = r.done_bad, .decoded = r.flags & SCAN_DONE_DECODED };
	return rc;
}

int lcpfs_scrub_of_dataset(struct lcpfs_pool *p, const char *name, struct lcpfs_scrub_of_dataset *out, struct lcpfs_error *err)
{
	struct scanrec r;
	struct scanbad b;
	struct dsrec ds;
	int rc = dmu_lookup(p->spa, name, &ds, err);

	*out = (struct lcpfs_scrub_of_dataset){ 0 };
	if (!rc)
		rc = scan_state_get(p->spa, &r, err);
	if (!rc)
		rc = bad_get(p->spa, ds.id, &b, err);
	if (rc || !r.done_txg || ds.created_txg > r.done_txg)
		return rc;
	out->verified_s = r.done_s;
	out->bad_blocks = b.done;
	out->changed = !ptr_is_null(&ds.root) && ds.root.birth > r.done_txg;
	return 0;
}
