/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs without pointers
 * A pack says itself which contents it has, by number. So where SLICE items are lost, the packs that are there give them back; and a pack whose
 * PACK item is lost is found where a frame decodes to one. No checksum says that such a pack is right, which is told.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "dmu/dmu.h"
#include "format/pack.h"
#include "salvage/salvage_impl.h"

#define PACK_LSIZE_MAX ((size_t)PACK_MAX + PACK_HDR + PACK_ENT)
#define PACK_PSIZE_MAX (PACK_LSIZE_MAX + (64u << 10))
#define PEEK_BYTES ((size_t)160 << 10) /* more than the first block of a frame */

/* Contents that inodes ask for and of which slice or pack is missing. */
struct want { uint64_t data_id, size; };
struct wants { struct want *v; size_t n, cap; };

static bool is_pack(const uint8_t *p)
{
	return le_load(p, 4) == PACK_MAGIC || le_load(p, 4) == PACK_MAGIC_COLS;
}

/* The table of a pack, entry by entry, up to where it or the content ends. Calls `slot`; < 0 stops. */
static int each_slot(const uint8_t *pack, size_t len, int (*slot)(void *arg, const struct pack_slot *ps, struct lcpfs_error *err), void *arg,
                     bool *whole, struct lcpfs_error *err)
{
	struct pack_cur c;
	struct pack_slot ps;
	int rc = pack_begin(&c, pack, len, NULL) ? 1 : 0;

	*whole = false;
	for (uint32_t i = 0; !rc; i++) {
		int got = pack_next(&c, &ps, NULL);

		*whole = got == 1;
		if (got)
			break;
		rc = slot(arg, &ps, err);
	}
	return MIN(rc, 0);
}

static int no_slot(void *arg, const struct pack_slot *ps, struct lcpfs_error *err)
{
	(void)arg, (void)ps, (void)err;
	return 0;
}

/* ---- finding them ---- */

static int try_frame(struct sal *s, uint64_t off, uint8_t *in, uint8_t *out, struct lcpfs_error *err)
{
	struct carved k = { .off = off, .comp = CODEC_ZSTD };
	bool whole;
	size_t got = 0, used = 0;
	int rc;

	if (inoset_has(&s->used, off / SECTOR + 1))
		return 0;
	media_read(s, off, in, PEEK_BYTES);
	codec_part(in, PEEK_BYTES, out, 64, &got, &used);
	if (got < PACK_HDR || !is_pack(out))
		return 0;
	media_read(s, off, in, PACK_PSIZE_MAX);
	whole = codec_part(in, PACK_PSIZE_MAX, out, PACK_LSIZE_MAX, &got, &used);
	if (!whole || !got)
		return 0;
	rc = each_slot(out, got, no_slot, NULL, &whole, err);
	if (rc || !whole)
		return rc;
	k.psize = (uint32_t)used;
	k.lsize = (uint32_t)got;
	blake3(in, used, k.hash);
	rc = sal_room(&s->carved, s->n_carved, &s->cap_carved, sizeof k, err);
	if (!rc)
		s->carved[s->n_carved++] = k;
	return rc;
}

static int find_packs(struct sal *s, struct lcpfs_error *err)
{
	uint8_t *in, *out;
	int rc = scan_all(s, err);

	if (rc || s->did_carve)
		return rc;
	s->did_carve = true;
	in = malloc(PACK_PSIZE_MAX);
	out = malloc(PACK_LSIZE_MAX);
	if (!in || !out)
		rc = lcpfs_nomem(err);
	for (size_t i = 0; !rc && i < s->n_frame; i++) {
		rc = try_frame(s, s->frame[i], in, out, err);
		if (!rc && sal_tick(s, "carving", s->frame[i], s->size))
			rc = sal_stopped(err);
	}
	free(in);
	free(out);
	return rc;
}

/* ---- what is wanted ---- */

static int has_slice(struct rebuild *r, uint64_t data_id, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct slice sl;
	uint8_t key[9];
	int rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_SLICE, data_id), err);

	if (!rc)
		rc = slice_decode(&sl, c.item.val, c.item.vlen, NULL) ? 1 : 0;
	if (!rc)
		rc = btree_get(r->ds->tree, &c, key, item_key(key, ITEM_PACK, sl.pack_id), err);
	/* a pack that is there and damaged will not be found whole */
	if (rc == 1 && inoset_has(&r->lost_packs, sl.pack_id))
		rc = 0;
	btree_cursor_close(&c);
	return rc;
}

static int by_id(const void *x, const void *y)
{
	const struct want *a = x, *b = y;

	return (a->data_id > b->data_id) - (a->data_id < b->data_id);
}

static int list_wants(struct rebuild *r, struct wants *w, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_INODE;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(r->ds->tree, &c, &from, 1, err);

	for (; !rc && c.item.key[0] == ITEM_INODE; rc = btree_next(&c, err)) {
		struct inode in;

		if (inode_decode(&in, c.item.val, c.item.vlen, NULL, NULL, NULL) || !(in.flags & INODE_SLICED) || !in.data_id)
			continue;
		rc = has_slice(r, in.data_id, err);
		if (rc == 1)
			rc = sal_room(&w->v, w->n, &w->cap, sizeof *w->v, err);
		else if (!rc)
			continue;
		if (rc)
			break;
		w->v[w->n++] = (struct want){ in.data_id, in.size };
	}
	btree_cursor_close(&c);
	if (w->n)
		qsort(w->v, w->n, sizeof *w->v, by_id);
	return MIN(rc, 0);
}

static bool is_wanted(const struct wants *w, uint64_t data_id, uint64_t len)
{
	const struct want key = { data_id, len };
	const struct want *f = w->n ? bsearch(&key, w->v, w->n, sizeof key, by_id) : NULL;

	return f && f->size == len;
}

/* Nothing is known of an inode of this number, and nothing could be. */
static bool may_be_lost(const struct rebuild *r, uint64_t ino)
{
	uint8_t lo[9], hi[10] = { 0 };

	item_key(lo, ITEM_INODE, ino);
	memcpy(hi, lo, 9);
	return gather_misses(&r->g, lo, 9, hi, 10) || r->s->o.flags & LCPFS_SALVAGE_CARVE;
}

/* ---- giving back ---- */

struct giving {
	struct rebuild *r;
	const struct wants *w;
	uint64_t pack_id;
	bool adopt;       /* also contents that nothing asks for */
	bool unverified;
	uint32_t lsize, psize, n, matched;
	uint64_t bytes;
};

static int count_slot(void *arg, const struct pack_slot *ps, struct lcpfs_error *err)
{
	struct giving *v = arg;

	(void)err;
	v->matched += is_wanted(v->w, ps->data_id, ps->len);
	return 0;
}

static int give_slot(void *arg, const struct pack_slot *ps, struct lcpfs_error *err)
{
	struct giving *v = arg;
	struct slice sl = { v->pack_id, ps->off, ps->len, (uint32_t)MAX((uint64_t)ps->len * v->psize / v->lsize, UINT64_C(1)) };
	bool wanted = is_wanted(v->w, ps->data_id, ps->len);
	uint8_t key[9], val[SLICE_LEN];
	int rc;

	if (!wanted && !(v->adopt && ps->data_id && may_be_lost(v->r, ps->data_id)))
		return 0;
	slice_encode(&sl, val);
	rc = rebuild_put(v->r, key, item_key(key, ITEM_SLICE, ps->data_id), val, sizeof val, NULL, wanted, err);
	if (rc)
		return MIN(rc, 0);
	v->n++;
	v->bytes += ps->len;
	return v->unverified ? head_loss(v->r->h, ps->data_id, 0, ps->len, LOSS_UNVERIFIED, err) : 0;
}

/* SLICE items from packs that are there. */
static int from_tree(struct rebuild *r, const struct wants *w, uint8_t *out, struct lcpfs_error *err)
{
	const uint8_t from = ITEM_PACK;
	struct bt_cursor c = { 0 };
	int rc = btree_seek(r->ds->tree, &c, &from, 1, err);

	while (!rc && c.item.key[0] == ITEM_PACK) {
		struct giving v = { .r = r, .w = w, .pack_id = be64_load(c.item.key + 1), .adopt = gather_misses(&r->g, "\x10", 1, "\x11", 1) };
		struct blkptr bp;
		bool whole;

		if (c.item.nptr == 1 && !ptr_decode(&bp, c.item.ptrs, NULL) && bp.lsize <= PACK_LSIZE_MAX &&
		    !zio_read(r->s->spa->zio, &bp, out, NULL)) {
			v.lsize = bp.lsize;
			v.psize = bp.psize;
			rc = each_slot(out, bp.lsize, give_slot, &v, &whole, err);
		}
		if (!rc)
			rc = btree_next(&c, err);
	}
	btree_cursor_close(&c);
	return MIN(rc, 0);
}

static int put_pack(struct rebuild *r, const struct giving *v, const struct carved *k, struct lcpfs_error *err)
{
	struct blkptr bp = { .addr = overlay_addr(k->off), .birth = 1, .kind = PTR_DATA, .lsize = k->lsize, .psize = k->psize,
		.comp = k->comp, .csum = HASH_BLAKE3 };
	uint8_t key[9], val[8];

	memcpy(bp.hash, k->hash, sizeof bp.hash);
	le_store(val, 4, MIN(v->bytes, UINT32_MAX));
	le_store(val + 4, 4, v->n);
	return MIN(rebuild_put(r, key, item_key(key, ITEM_PACK, v->pack_id), val, sizeof val, &bp, false, err), 0);
}

static int from_carved(struct rebuild *r, const struct wants *w, uint8_t *out, struct lcpfs_error *err)
{
	struct sal *s = r->s;
	uint64_t next = INO(0xfffffe, 1); /* a group that no dataset has */
	int rc = find_packs(s, err);

	for (size_t i = 0; !rc && i < s->n_carved; i++) {
		const struct carved *k = &s->carved[i];
		struct giving v = { .r = r, .w = w, .pack_id = next, .unverified = true, .lsize = k->lsize, .psize = k->psize };
		uint8_t *in = media_block(s, k->psize, err);
		bool whole;

		if (!in)
			return -LCPFS_ENOMEM;
		media_read(s, k->off, in, k->psize);
		if (codec_decompress(s->codec, k->comp, in, k->psize, out, k->lsize, NULL))
			continue;
		rc = each_slot(out, k->lsize, count_slot, &v, &whole, err);
		v.adopt = v.matched || s->n_head == 1;
		if (!rc)
			rc = each_slot(out, k->lsize, give_slot, &v, &whole, err);
		if (!rc && v.n) {
			rc = put_pack(r, &v, k, err);
			next++;
		}
	}
	return rc;
}

int carve(struct rebuild *r, struct lcpfs_error *err)
{
	struct wants w = { 0 };
	uint8_t *out;
	int rc = 0;

	if (!r->g.n_miss && !(r->s->o.flags & LCPFS_SALVAGE_CARVE) && r->h->rec.id)
		return 0;
	out = malloc(PACK_LSIZE_MAX);
	rc = out ? list_wants(r, &w, err) : lcpfs_nomem(err);
	if (!rc)
		rc = from_tree(r, &w, out, err);
	w.n = 0;
	if (!rc)
		rc = list_wants(r, &w, err);
	if (!rc && (w.n || r->s->o.flags & LCPFS_SALVAGE_CARVE || gather_misses(&r->g, "\x20", 1, "\x21", 1)))
		rc = from_carved(r, &w, out, err);
	if (r->h->n_loss)
		loss_sort(r->h->loss, r->h->n_loss);
	free(w.v);
	free(out);
	return rc;
}
