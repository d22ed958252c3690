/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans: where a file's content lies, found by one thread that walks the tree, so that any thread can read it without the tree.
 * A walk in path order meets the files of a pack one after the other: such a pack is decoded into the reader's own memory, once. A pack
 * that is entered in its middle (contents shared, or rewritten since) holds other files' contents too: the first time only its head is
 * decoded, from then on it is kept in the cache.
 */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define HEAD_MIN (128u << 10) /* smaller packs are decoded whole at once */

struct piece { uint64_t off; uint32_t from, len; struct blkptr bp; };
enum plan_way { WAY_OWN, WAY_HEAD, WAY_CACHE };
struct plan {
	struct entry_content c;  /* first */
	struct dataset *ds;
	uint64_t data_id, pack_id;
	enum plan_way way;
	struct lcpfs_error *why; /* not NULL: it cannot be read from here on: the last piece */
	int rc;
	size_t cap;
	struct piece *piece;     /* or &only */
	struct piece only;
};
struct zpl_planner {
	struct dataset *ds;
	struct bt_cursor slices, extents;
	uint64_t pack_id;        /* whose item `pack` is */
	struct pack_item pack;
	bool in_order;           /* that pack was entered at its first content */
	uint64_t head_pack;
};

static bool is_damage(int rc)
{
	return rc == -LCPFS_ECORRUPT || rc == -LCPFS_ECSUM || rc == -LCPFS_EIO || rc == -LCPFS_ENOENT || rc == -LCPFS_ENOTDIR;
}

static void let_go(void *held)
{
	arc_put(held);
}

static void hold_block(struct entry_scratch *s, struct zpl_block *b)
{
	entry_scratch_release(s);
	s->held = &b->obj;
	s->release = let_go;
}

/* The whole pack into the reader's memory, unless it is there. */
static int own_read(struct plan *p, const struct blkptr *bp, struct entry_scratch *s, const uint8_t **data, struct lcpfs_error *err)
{
	int rc = 0;

	if (s->key[0] != bp->addr || s->key[1] != bp->birth) {
		if (!entry_scratch_reserve(s, bp->lsize))
			return lcpfs_nomem(err);
		rc = zio_read(p->ds->spa->zio, bp, s->data, err);
	}
	if (rc)
		return rc;
	s->key[0] = bp->addr;
	s->key[1] = bp->birth;
	*data = s->data;
	return 0;
}

/* Only as much as this piece needs, beside what is in the reader's memory. */
static int part_read(struct plan *p, const struct piece *x, struct entry_scratch *s, const uint8_t **data, struct lcpfs_error *err)
{
	uint8_t *part = entry_scratch_part(s, x->bp.lsize);
	int rc = part ? zio_read_head(p->ds->spa->zio, &x->bp, part, (size_t)x->from + x->len, err) : lcpfs_nomem(err);

	*data = part;
	return rc;
}

static int cache_read(struct plan *p, const struct blkptr *bp, struct entry_scratch *s, const uint8_t **data, struct lcpfs_error *err)
{
	struct zpl_block *b;
	int rc = zpl_block_get(p->ds, bp, &b, err);

	if (rc)
		return rc;
	hold_block(s, b);
	*data = b->data;
	return 0;
}

static int piece_read(struct plan *p, const struct piece *x, struct entry_scratch *s, const uint8_t **data, struct lcpfs_error *err)
{
	if (x->bp.kind != PTR_DATA)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not file data", ptr_chunk(&x->bp), ptr_sector(&x->bp));
	if (p->way == WAY_CACHE || (p->way == WAY_HEAD && zpl_block_cached(p->ds, &x->bp)))
		return cache_read(p, &x->bp, s, data, err);
	return p->way == WAY_OWN ? own_read(p, &x->bp, s, data, err) : part_read(p, x, s, data, err);
}

static int plan_read(struct entry_content *c, size_t i, struct entry_scratch *s, uint64_t *off, const void **data, size_t *len,
                     struct lcpfs_error *why)
{
	struct plan *p = (struct plan *)c;
	const struct piece *x = &p->piece[i];
	const uint8_t *block = NULL;
	int rc;

	if (p->why && i + 1 == c->n) {
		rc = p->rc;
		*why = *p->why;
	} else {
		rc = piece_read(p, x, s, &block, why);
		if (rc)
			lcpfs_within(why, rc, "content %" PRIu64, p->data_id);
	}
	if (rc) {
		lcpfs_within(why, rc, "at %" PRIu64, x->off);
		return is_damage(rc) ? 1 : rc;
	}
	*off = x->off;
	*data = block + x->from;
	*len = x->len;
	return 0;
}

static void plan_free(struct entry_content *c)
{
	struct plan *p = (struct plan *)c;

	free(p->why);
	if (p->piece != &p->only)
		free(p->piece);
	free(p);
}

static const struct entry_content_ops plan_ops = { plan_read, plan_free };

static struct piece *piece_add(struct plan *p, struct lcpfs_error *err)
{
	if (!p->piece) {
		p->piece = &p->only;
		p->cap = 1;
	} else if (p->c.n == p->cap) {
		size_t cap = p->cap * 4;
		struct piece *x = realloc(p->piece == &p->only ? NULL : p->piece, cap * sizeof *x);

		if (!x) {
			lcpfs_nomem(err);
			return NULL;
		}
		if (p->piece == &p->only)
			x[0] = p->only;
		p->piece = x;
		p->cap = cap;
	}
	p->piece[p->c.n] = (struct piece){ 0 };
	return &p->piece[p->c.n++];
}

/* A pack, the one used last or another. */
static int planner_pack(struct zpl_planner *pl, const struct slice *s, struct lcpfs_error *err)
{
	int rc;

	if (pl->pack_id == s->pack_id)
		return 0;
	pl->pack_id = 0;
	rc = pack_get(pl->ds, s->pack_id, &pl->pack, err);
	if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "no pack %" PRIu64, s->pack_id);
	if (rc)
		return rc;
	pl->pack_id = s->pack_id;
	pl->in_order = s->off == 8 + 12 * pl->pack.live_n;
	return 0;
}

static enum plan_way way_of(struct zpl_planner *pl, const struct slice *s)
{
	uint64_t last = pl->head_pack;

	if (pl->in_order)
		return WAY_OWN;
	pl->head_pack = s->pack_id;
	if (pl->pack.bp.lsize < HEAD_MIN || (uint64_t)s->off + s->len > pl->pack.bp.lsize / 4 * 3 || last == s->pack_id)
		return WAY_CACHE;
	return WAY_HEAD;
}

static int plan_slice(struct zpl_planner *pl, struct plan *p, const struct slice *s, uint64_t size, struct lcpfs_error *err)
{
	struct piece *x;
	int rc = planner_pack(pl, s, err);

	if (!rc && (s->len != size || (uint64_t)s->off + s->len > pl->pack.bp.lsize))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "slice of %u bytes at %u in a pack of %u, wanted %" PRIu64 " bytes", s->len, s->off,
		    pl->pack.bp.lsize, size);
	if (rc)
		return lcpfs_within(err, rc, "content %" PRIu64, p->data_id);
	x = piece_add(p, err);
	if (!x)
		return -LCPFS_ENOMEM;
	*x = (struct piece){ .from = s->off, .len = s->len, .bp = pl->pack.bp };
	p->c.group = s->pack_id;
	p->c.bytes = s->len;
	p->way = way_of(pl, s);
	return 0;
}

static int plan_extents(struct zpl_planner *pl, struct plan *p, uint64_t size, struct lcpfs_error *err)
{
	struct extent e;
	uint64_t pos = 0;
	int rc = extent_seek(pl->ds, &pl->extents, p->data_id, 0, &e, err);

	p->way = WAY_HEAD; /* not to be mixed up with the pack that other files are in */
	for (; !rc && e.off < size; rc = extent_next(&pl->extents, p->data_id, &e, err)) {
		struct piece *x = e.off + e.len > pos ? piece_add(p, err) : NULL;

		if (e.off + e.len <= pos)
			continue;
		if (!x)
			return -LCPFS_ENOMEM;
		x->off = MAX(e.off, pos);
		x->from = (uint32_t)(x->off - e.off);
		x->len = (uint32_t)(MIN(e.off + e.len, size) - x->off);
		x->bp = e.bp;
		p->c.bytes += x->len;
		pos = x->off + x->len;
	}
	return rc < 0 ? lcpfs_within(err, rc, "content %" PRIu64, p->data_id) : 0;
}

static int slice_at(struct zpl_planner *pl, uint64_t data_id, struct slice *s, struct lcpfs_error *err)
{
	uint8_t key[9];
	size_t klen = item_key(key, ITEM_SLICE, data_id);
	int rc = 1;

	/* contents are numbered in path order: often it is the next item */
	if (pl->slices.path)
		rc = btree_next(&pl->slices, err);
	if (rc >= 0 && (rc || pl->slices.item.klen != klen || memcmp(pl->slices.item.key, key, klen)))
		rc = btree_get(pl->ds->tree, &pl->slices, key, klen, err);
	return rc ? rc : slice_decode(s, pl->slices.item.val, pl->slices.item.vlen, err);
}

/* What goes wrong with the content is told by whoever reads it. */
static int plan_spoilt(struct plan *p, int rc, const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct piece *x = piece_add(p, err);

	p->why = x ? malloc(sizeof *why) : NULL;
	if (!p->why)
		return lcpfs_nomem(err);
	if (p->c.n > 1)
		x->off = x[-1].off + x[-1].len;
	*p->why = *why;
	p->rc = rc;
	return 0;
}

int zpl_plan(struct zpl_planner *pl, const struct inode *in, struct entry_content **out, struct lcpfs_error *err)
{
	struct lcpfs_error why;
	struct plan *p;
	struct slice s;
	int rc = 0;

	error_none(&why);
	*out = NULL;
	if (!in->size || !in->data_id)
		return 0;
	p = calloc(1, sizeof *p);
	if (!p)
		return lcpfs_nomem(err);
	p->c.ops = &plan_ops;
	p->ds = pl->ds;
	p->data_id = in->data_id;
	if (in->flags & INODE_SLICED) {
		rc = slice_at(pl, in->data_id, &s, &why);
		if (rc == 1)
			rc = lcpfs_fail(&why, LCPFS_ECORRUPT, "content %" PRIu64 ": no slice", in->data_id);
		if (!rc)
			rc = plan_slice(pl, p, &s, in->size, &why);
	} else {
		rc = plan_extents(pl, p, in->size, &why);
	}
	if (rc && is_damage(rc))
		rc = plan_spoilt(p, rc, &why, err);
	else if (rc && err)
		*err = why;
	if (rc) {
		plan_free(&p->c);
		return rc;
	}
	*out = &p->c;
	return 0;
}

int zpl_planner_open(struct zpl_planner **out, struct dataset *ds, struct lcpfs_error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return lcpfs_nomem(err);
	(*out)->ds = ds;
	return 0;
}

void zpl_planner_close(struct zpl_planner *p)
{
	if (!p)
		return;
	btree_cursor_close(&p->slices);
	btree_cursor_close(&p->extents);
	free(p);
}
