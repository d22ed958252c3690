/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of packs, as part of a commit that writes contents or lets go of some.
 * A pack goes only with its last content, and every commit closes its own, so two things need care: packs of which less than half lives, and
 * small packs, of which many commits make many. Their living contents are copied into the open pack; SLICE items follow when that comes
 * back, and the old pack goes when the last one has left it. Contents keep number, charge and owner: nothing but their place changes.
 *
 * Small packs are merged from the newest back while each is no bigger than all that is newer and goes with it: sizes then grow
 * geometrically with age, so there are O(log) of them, and a content is copied O(log) times.
 *
 * Invariants
 *  (1) A commit copies at most as many bytes as it writes itself, or COPY_MIN.
 *  (2) A pack that a snapshot holds stays: the copy would free nothing.
 *  (3) What is chosen, and in which order, follows from the tree and what was written, never from timing.
 *  (4) What cannot be read or makes no sense stays as it is, for fsck; compaction by itself never makes a commit fail.
 */
#include "zpl/zpl_impl.h"
#include <stdlib.h>

#define COPY_MIN (64u << 10)
#define LOWERED_MAX 4096u /* packs that are remembered; more wait until they lose a content again */
#define SMALL_MAX 64u     /* small packs that are looked at */

struct candidate {
	uint64_t id;
	struct pack_item p;
	bool take;
};
struct plan {
	struct candidate *v;
	uint32_t n, cap;
	uint64_t left;        /* bytes that may still be copied */
	uint64_t bytes, items; /* chosen */
};

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static void unique(struct zpl *z)
{
	uint32_t n = 0;

	if (z->n_lowered)
		qsort(z->lowered, z->n_lowered, sizeof *z->lowered, by_number);
	for (uint32_t i = 0; i < z->n_lowered; i++)
		if (!n || z->lowered[n - 1] != z->lowered[i])
			z->lowered[n++] = z->lowered[i];
	z->n_lowered = n;
}

/* With no room for more, the one half is forgotten: what is noted costs little, however much is deleted. */
static void make_room(struct zpl *z)
{
	uint32_t cap = z->cap_lowered ? 2 * z->cap_lowered : 64;
	uint64_t *p;

	unique(z);
	if (z->n_lowered <= z->cap_lowered / 2 && z->cap_lowered)
		return;
	p = cap <= LOWERED_MAX ? realloc(z->lowered, cap * sizeof *p) : NULL;
	if (p) {
		z->lowered = p;
		z->cap_lowered = cap;
	} else {
		z->n_lowered = z->cap_lowered / 2;
	}
}

void compact_note(struct zpl *z, uint64_t pack_id)
{
	if (z->n_lowered && z->lowered[z->n_lowered - 1] == pack_id)
		return;
	if (z->n_lowered == z->cap_lowered)
		make_room(z);
	if (z->n_lowered < z->cap_lowered)
		z->lowered[z->n_lowered++] = pack_id;
}

static bool movable(const struct dataset *ds, const struct pack_item *p)
{
	return p->bp.kind == PTR_DATA && !p->bp.suite && p->bp.birth > ds->rec.prev_snap_txg && p->live_n && p->live_bytes &&
	       p->live_bytes < p->bp.lsize;
}

bool compact_half_dead(const struct pack_item *p)
{
	return 2 * (p->live_bytes + p->live_n * PACK_ENT) + PACK_HDR < p->bp.lsize;
}

bool compact_worth(const struct dataset *ds, const struct pack_item *p)
{
	return movable(ds, p) && !(p->bp.flags & PTR_SHARED) && (compact_half_dead(p) || p->live_bytes < ds->info.pack_size / 4);
}

static struct candidate *add(struct plan *pl, uint64_t id, const struct pack_item *p)
{
	if (pl->n == pl->cap) {
		uint32_t cap = pl->cap ? 2 * pl->cap : 32;
		struct candidate *v = realloc(pl->v, cap * sizeof *v);

		if (!v)
			return NULL;
		pl->v = v;
		pl->cap = cap;
	}
	pl->v[pl->n] = (struct candidate){ id, *p, false };
	return &pl->v[pl->n++];
}

static void take(struct plan *pl, struct candidate *c)
{
	c->take = true;
	pl->left -= c->p.live_bytes;
	pl->bytes += c->p.live_bytes;
	pl->items += c->p.live_n;
}

/* Emptiest first. */
static int by_life(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;
	uint64_t la = a->p.live_bytes * b->p.bp.lsize, lb = b->p.live_bytes * a->p.bp.lsize;

	return la != lb ? (la > lb) - (la < lb) : by_number(&a->id, &b->id);
}

static int by_id(const void *x, const void *y)
{
	return by_number(&((const struct candidate *)x)->id, &((const struct candidate *)y)->id);
}

/* Packs that lost contents. Those that are too much for this commit stay on the list. */
static void plan_lowered(struct dataset *ds, struct plan *pl)
{
	struct zpl *z = ds->zpl;
	struct pack_item p;

	unique(z);
	for (uint32_t i = 0; i < z->n_lowered; i++)
		if (pack_get(ds, z->lowered[i], &p, NULL) == 0 && movable(ds, &p) && compact_half_dead(&p) && !add(pl, z->lowered[i], &p))
			break;
	z->n_lowered = 0;
	if (pl->n)
		qsort(pl->v, pl->n, sizeof *pl->v, by_life);
	for (uint32_t i = 0; i < pl->n; i++)
		if (pl->v[i].p.live_bytes <= pl->left)
			take(pl, &pl->v[i]);
		else
			compact_note(z, pl->v[i].id);
}

/* The newest pack numbered at most *id. 1: none. */
static int pack_before(struct dataset *ds, uint64_t *id, struct pack_item *p)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek_le(ds->tree, &c, key, item_key(key, ITEM_PACK, *id), NULL);

	if (!rc && (c.item.klen != 9 || c.item.key[0] != ITEM_PACK))
		rc = 1;
	if (!rc) {
		*id = be64_load(c.item.key + 1);
		rc = pack_decode(p, &c.item, NULL);
	}
	btree_cursor_close(&c);
	return rc;
}

static bool taken(const struct plan *pl, uint64_t id)
{
	for (uint32_t i = 0; i < pl->n; i++)
		if (pl->v[i].id == id && pl->v[i].take)
			return true;
	return false;
}

/* A pack in the pipeline is newer than all in the tree: when it is big, small ones end there. */
static bool newest_is_small(const struct dataset *ds)
{
	const struct job *last = NULL;

	for (const struct job *j = ds->zpl->head; j; j = j->next)
		if (j->pack_id)
			last = j;
	return !last || last->bytes < ds->info.pack_size / 4;
}

static void plan_small(struct dataset *ds, struct plan *pl)
{
	uint64_t id = UINT64_MAX, newer = ds->zpl->wrote + pl->bytes;
	uint32_t first = pl->n, lowered = 0;
	struct pack_item p;
	struct candidate *c;

	for (uint32_t i = 0; i < pl->n; i++)
		lowered += pl->v[i].take;
	for (uint32_t i = 0; i < SMALL_MAX && pack_before(ds, &id, &p) == 0; i++, id--) {
		if (!taken(pl, id)) {
			if (!movable(ds, &p) || p.live_bytes >= ds->info.pack_size / 4 || p.live_bytes > MIN(newer, pl->left))
				break;
			c = add(pl, id, &p);
			if (!c)
				break;
			take(pl, c);
			newer += p.live_bytes;
		}
		if (!id)
			break;
	}
	/* one by itself would only be copied */
	if (pl->n == first + 1 && !lowered && !ds->zpl->pack.live)
		pl->n = pl->bytes = 0;
}

/* What of it lives, as entries with their places in the block. 1: this pack is not as its table and the tree have it. */
static int living(struct dataset *ds, uint64_t pack_id, const struct pack_item *p, const uint8_t *pack, size_t len, struct pack_ent *out)
{
	uint32_t live = 0;
	uint64_t bytes = 0;
	struct pack_cur at;
	struct pack_slot e;
	struct slice s;
	int rc = pack_begin(&at, pack, len, NULL);

	while (!rc && !(rc = pack_next(&at, &e, NULL))) {
		rc = slice_lookup(ds, e.data_id, &s, NULL);
		if (rc < 0)
			return 1;
		if (!rc && s.pack_id == pack_id) {
			if (s.off != e.off || s.len != e.len || live == p->live_n)
				return 1;
			out[live++] = (struct pack_ent){ .data_id = e.data_id, .off = e.off, .len = e.len, .charge = s.charge };
			bytes += e.len;
		}
		rc = 0;
	}
	return rc < 0 || live != p->live_n || bytes != p->live_bytes;
}

int compact_move(struct dataset *ds, uint64_t id, const struct pack_item *p, struct lcpfs_error *err)
{
	struct zpl_block *b;
	struct pack_ent *e;
	int rc = 0;

	if (p->live_n > p->bp.lsize / PACK_ENT || zpl_block_get(ds, &p->bp, &b, NULL))
		return 0;
	e = malloc(p->live_n * sizeof *e);
	if (e && living(ds, id, p, b->data, b->len, e) == 0)
		for (uint32_t i = 0; i < p->live_n && !rc; i++)
			rc = pack_move(ds, e[i].data_id, id, e[i].charge, b->data + e[i].off, e[i].len, err);
	free(e);
	arc_put(&b->obj);
	return rc;
}

static int compact(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct plan pl = { .left = MAX(z->wrote, COPY_MIN) };
	int rc = 0;

	plan_lowered(ds, &pl);
	if (newest_is_small(ds)) {
		rc = jobs_reap_all(ds, err);
		if (!rc)
			plan_small(ds, &pl);
	}
	/* the copies, and the leaves of their slices */
	if (!rc && pl.bytes && spa_admit(ds->spa, ADMIT_NORMAL, zpl_waiting_bytes(z) + 2 * pl.bytes + COPY_MIN + 256 * pl.items, NULL) == 0) {
		qsort(pl.v, pl.n, sizeof *pl.v, by_id);
		for (uint32_t i = 0; i < pl.n && !rc; i++)
			if (pl.v[i].take)
				rc = compact_move(ds, pl.v[i].id, &pl.v[i].p, err);
	}
	free(pl.v);
	return rc;
}

int zpl_commit(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	int rc = z ? open_flush(ds, err) : 0;

	if (!rc && z && (z->wrote || z->n_lowered) && ds->rec_dirty && ds->spa->changed && ds->rec.kind != DS_HIDDEN)
		rc = compact(ds, err);
	if (!rc)
		rc = zpl_flush(ds, err);
	if (!rc && z)
		z->wrote = 0;
	return rc;
}
