/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bitmap pages from what is reachable: the space tree is derived from the pool tree and the trees that its records name, so where it cannot be
 * read, or is not to be believed, it is made anew. As many pages at a time as memory allows, encoded; a larger pool is walked once per window.
 * A tree is walked where it is younger than the snapshot before it, what is older is that snapshot's; a record without one is walked whole.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "spa/spa_impl.h"

struct rec { uint64_t id, txg, prev, prev_txg; bool snap; struct blkptr root; };
struct window_chunk { uint32_t id, shift, units; uint64_t page0, pages; };
struct rebuild {
	struct spa *s;
	bool tolerant;              /* what cannot be read is left out */
	bool first;                 /* the first window: records are taken down */
	struct rec *rec; size_t n_rec, cap_rec;
	struct window_chunk *chunk; uint32_t n_chunks;
	uint64_t pages, from, to;   /* of all chunks; the window */
	uint8_t **map;              /* of the window */
	uint64_t floor;             /* of the tree that is walked */
	struct spa_pages *out;
	struct lcpfs_error why;     /* of a node that cannot be read */
};

static const struct window_chunk *chunk_of(const struct rebuild *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->n_chunks; i++)
		if (r->chunk[i].id == id)
			return &r->chunk[i];
	return NULL;
}

static int mark_units(struct rebuild *r, const struct window_chunk *c, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	for (uint64_t u = from; u < to; u++) {
		uint64_t page = c->page0 + u / SPACE_PAGE_UNITS;
		uint32_t bit = (uint32_t)(u % SPACE_PAGE_UNITS);
		uint8_t **p;

		if (page < r->from || page >= r->to)
			continue;
		p = &r->map[page - r->from];
		if (!*p)
			*p = calloc(1, SPACE_PAGE_BYTES);
		if (!*p)
			return lcpfs_nomem(err);
		(*p)[bit >> 3] |= (uint8_t)(1u << (bit & 7));
	}
	return 0;
}

static int claim(struct rebuild *r, const struct blkptr *bp, struct lcpfs_error *err)
{
	const struct window_chunk *c = chunk_of(r, ptr_chunk(bp));
	uint64_t from, to;

	if (c) {
		from = ptr_sector(bp) >> c->shift;
		to = div_up((uint64_t)ptr_sector(bp) + div_up(bp->psize, SECTOR), UINT64_C(1) << c->shift);
	}
	if (c && to <= c->units)
		return mark_units(r, c, from, to, err);
	r->out->incomplete = true;
	return r->tolerant ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u of %u bytes is outside of every chunk", ptr_chunk(bp),
	    ptr_sector(bp), bp->psize);
}

static int on_ptr(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct rebuild *r = arg;

	return bp->birth <= r->floor ? 1 : claim(r, bp, err);
}

static int on_bad(void *arg, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct rebuild *r = arg;

	(void)bp;
	r->out->incomplete = true;
	if (!r->tolerant)
		r->why = *why;
	return r->tolerant ? 0 : -why->code;
}

static int walk(struct rebuild *r, const struct blkptr *root, uint64_t floor, struct lcpfs_error *err)
{
	struct btree_walk w = { on_ptr, on_bad, r };
	int rc;

	r->floor = floor;
	rc = btree_walk_ptrs(&r->s->priv->read_store, root, &w, err);
	if (rc && r->why.code && err)
		*err = r->why;
	r->out->incomplete |= rc == -LCPFS_ECORRUPT;
	return rc == -LCPFS_ECORRUPT && r->tolerant ? 0 : rc;
}

/* ---- the pool tree, whose records own the roots of the others ---- */

static int note_rec(struct rebuild *r, const struct node_item *it, const uint8_t *ptr, struct lcpfs_error *err)
{
	struct dsrec d;
	int rc = dsrec_decode(&d, it->val, it->vlen, ptr, err);

	if (rc) {
		r->out->incomplete = true;
		return r->tolerant ? 0 : rc;
	}
	if (r->n_rec == r->cap_rec) {
		size_t cap = r->cap_rec ? 2 * r->cap_rec : 64;
		struct rec *v = realloc(r->rec, cap * sizeof *v);

		if (!v)
			return lcpfs_nomem(err);
		r->rec = v;
		r->cap_rec = cap;
	}
	r->rec[r->n_rec++] = (struct rec){ d.id, d.created_txg, d.prev_snap, d.prev_snap_txg, d.kind == DS_SNAPSHOT, d.root };
	return 0;
}

static int claim_raw(struct rebuild *r, const uint8_t *raw, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc = ptr_decode(&bp, raw, err);

	return rc ? (r->tolerant ? 0 : rc) : claim(r, &bp, err);
}

static int pool_leaf(struct rebuild *r, const struct node_body *b, const uint8_t *ptrs, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < b->nitems; i++) {
		struct node_item it;
		uint8_t table;

		node_body_item(b, i, &it);
		table = b->prefix_len ? b->prefix[0] : it.klen ? it.key[0] : 0;
		if (table == TBL_DS && r->first && it.nptr)
			rc = note_rec(r, &it, ptrs, err);
		for (unsigned k = 0; !rc && table != TBL_DS && k < it.nptr; k++)
			rc = claim_raw(r, ptrs + (size_t)k * PTR_LEN, err);
		ptrs += (size_t)it.nptr * PTR_LEN;
	}
	return rc;
}

static int pool_node(struct rebuild *r, const struct blkptr *bp, struct lcpfs_error *err);

static int pool_inside(struct rebuild *r, const struct blkptr *bp, const uint8_t *mem, uint32_t nptr, struct lcpfs_error *err)
{
	struct node_body b;
	int rc = 0;

	if (!bp->level) {
		rc = node_body_decode(&b, mem + (size_t)nptr * PTR_LEN, bp->lsize, true, nptr, err);
		return rc ? rc : pool_leaf(r, &b, mem, err);
	}
	for (uint32_t i = 0; !rc && i < nptr; i++) {
		struct blkptr c;

		rc = ptr_decode(&c, mem + (size_t)i * PTR_LEN, err);
		if (!rc && (c.kind != PTR_NODE || c.level + 1 != bp->level))
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "pointer of kind %u, level %u below level %u", c.kind, c.level, bp->level);
		if (!rc)
			rc = pool_node(r, &c, err);
	}
	return rc;
}

static int pool_node(struct rebuild *r, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint8_t *mem = NULL;
	uint32_t nptr;
	int rc = claim(r, bp, err);

	if (!rc)
		rc = zio_read_node(r->s->zio, bp, &mem, &nptr, err);
	if (!rc)
		rc = pool_inside(r, bp, mem, nptr, err);
	free(mem);
	r->out->incomplete |= rc != 0;
	return r->tolerant && rc != -LCPFS_ENOMEM ? 0 : rc;
}

/* ---- windows ---- */

/* Blocks up to here are the previous snapshot's; 0 when there is none that holds them. */
static uint64_t floor_of(const struct rebuild *r, const struct rec *d)
{
	size_t lo = 0, hi = r->n_rec;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->rec[mid].id < d->prev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return d->prev && lo < r->n_rec && r->rec[lo].id == d->prev && r->rec[lo].snap ? MIN(r->rec[lo].txg, d->prev_txg) : 0;
}

static int emit_page(struct spa_pages *o, const struct window_chunk *c, uint32_t page, const uint8_t *map, struct lcpfs_error *err)
{
	struct spa_page *e;

	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 64;

		e = realloc(o->v, cap * sizeof *e);
		if (!e)
			return lcpfs_nomem(err);
		o->v = e;
		o->cap = cap;
	}
	e = &o->v[o->n++];
	*e = (struct spa_page){ c->id, page, 0, o->data.len };
	space_page_encode(map, &o->data);
	e->len = (uint32_t)(o->data.len - e->at);
	for (uint32_t k = 0; k < SPACE_PAGE_BYTES; k++)
		o->used_sectors += (uint64_t)__builtin_popcount(map[k]) << c->shift;
	return o->data.failed ? lcpfs_nomem(err) : 0;
}

static int emit_window(struct rebuild *r, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < r->n_chunks; i++) {
		const struct window_chunk *c = &r->chunk[i];

		for (uint64_t p = MAX(c->page0, r->from); !rc && p < MIN(c->page0 + c->pages, r->to); p++) {
			uint8_t **map = &r->map[p - r->from];

			if (*map)
				rc = emit_page(r->out, c, (uint32_t)(p - c->page0), *map, err);
			free(*map);
			*map = NULL;
		}
	}
	return rc;
}

static int window(struct rebuild *r, const struct blkptr *pool_root, struct lcpfs_error *err)
{
	int rc = 0;

	if (!ptr_is_null(pool_root) && (pool_root->kind != PTR_NODE || pool_root->level >= TREE_DEPTH_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pool root of kind %u, level %u", pool_root->kind, pool_root->level);
	if (!ptr_is_null(pool_root))
		rc = pool_node(r, pool_root, err);

	for (size_t i = 0; !rc && i < r->n_rec; i++)
		if (!ptr_is_null(&r->rec[i].root))
			rc = walk(r, &r->rec[i].root, floor_of(r, &r->rec[i]), err);
	r->first = false;
	return rc ? rc : emit_window(r, err);
}

static int lay_out(struct rebuild *r, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(r->s->vdev);

	r->chunk = calloc(c->n_chunks + 1, sizeof *r->chunk);
	if (!r->chunk)
		return lcpfs_nomem(err);
	r->n_chunks = c->n_chunks;
	for (uint32_t i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];
		struct window_chunk *w = &r->chunk[i];

		*w = (struct window_chunk){ .id = k->id, .shift = k->ashift - 9u, .page0 = r->pages };
		w->units = (uint32_t)((uint64_t)k->col_units * (UNIT / SECTOR) >> w->shift);
		w->pages = div_up(w->units, SPACE_PAGE_UNITS);
		r->pages += w->pages;
	}
	return 0;
}

static int all_windows(struct rebuild *r, const struct blkptr *pool_root, struct lcpfs_error *err)
{
	uint64_t most = MAX(r->s->memory / 8 / (SPACE_PAGE_BYTES + 16), (size_t)16), n = MIN(most, r->pages);
	int rc = 0;

	r->map = calloc(n + 1, sizeof *r->map);
	if (!r->map)
		return lcpfs_nomem(err);
	for (; !rc && r->to < r->pages; r->from = r->to) {
		r->to = MIN(r->pages, r->from + n);
		rc = window(r, pool_root, err);
	}
	for (uint64_t i = 0; i < n; i++)
		free(r->map[i]);
	free(r->map);
	return rc;
}

int spa_pages_scan(struct spa *s, const struct blkptr *pool_root, bool tolerant, struct spa_pages *out, struct lcpfs_error *err)
{
	struct rebuild r = { .s = s, .tolerant = tolerant, .first = true, .out = out };
	int rc;

	spa_pages_drop(out);
	rc = lay_out(&r, err);
	if (!rc)
		rc = all_windows(&r, pool_root, err);
	free(r.chunk);
	free(r.rec);
	if (rc)
		spa_pages_drop(out);
	out->valid = !rc;
	return rc;
}

/* What is missing in them may be part of what could not be reached: what `old` calls used stays so. */
int spa_pages_keep(struct spa *s, struct spa_pages *p, int (*old)(struct spa *s, uint32_t chunk, uint32_t page, uint8_t *used, struct lcpfs_error *err),
                   struct lcpfs_error *err)
{
	struct spa_pages sum = { .valid = true, .incomplete = true };
	struct rebuild r = { .s = s, .out = &sum };
	int rc = lay_out(&r, err);

	for (uint32_t i = 0; !rc && i < r.n_chunks; i++)
		for (uint32_t k = 0; !rc && k < r.chunk[i].pages; k++) {
			uint8_t used[SPACE_PAGE_BYTES], more[SPACE_PAGE_BYTES] = { 0 };

			rc = spa_pages_get(p, r.chunk[i].id, k, used, err);
			if (!rc)
				rc = old(s, r.chunk[i].id, k, more, err);
			for (uint32_t b = 0; b < SPACE_PAGE_BYTES; b++)
				used[b] |= more[b];
			if (!rc && !is_all_zero(used, sizeof used))
				rc = emit_page(&sum, &r.chunk[i], k, used, err);
		}
	free(r.chunk);
	spa_pages_drop(rc ? &sum : p);
	if (!rc)
		*p = sum;
	return rc;
}

void spa_pages_drop(struct spa_pages *p)
{
	free(p->v);
	buf_fini(&p->data);
	*p = (struct spa_pages){ 0 };
}

/* Pages are in the order of the config's chunks, whose ids ascend. */
const struct spa_page *spa_pages_find(const struct spa_pages *p, uint32_t chunk, uint32_t page)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->v[mid].chunk < chunk || (p->v[mid].chunk == chunk && p->v[mid].page < page))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n && p->v[lo].chunk == chunk && p->v[lo].page == page ? &p->v[lo] : NULL;
}

int spa_pages_get(const struct spa_pages *p, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES], struct lcpfs_error *err)
{
	const struct spa_page *e = spa_pages_find(p, chunk, page);

	if (e)
		return space_page_decode(used, p->data.data + e->at, e->len, err);
	memset(used, 0, SPACE_PAGE_BYTES);
	return 0;
}
