/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done about contents: slices and extents that nobody has, lie beyond the end, or are not where their pack has them. */
#include "check/fsck_tree.h"
#include <string.h>

void plan_slice_del(struct tree_check *t, enum problem_id id, uint64_t data_id)
{
	uint8_t key[9];

	ck_plan_del(t->ck, id, t->d, key, item_key(key, ITEM_SLICE, data_id), 0);
}

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	(void)arg, (void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	return 0;
}

/* keep_first: an extent over the end stays, and gives the file its size. */
struct extents { struct tree_check *t; enum problem_id id; uint64_t ino, size; bool cut; };

static int on_extent(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct extents *x = arg;
	uint64_t off = it->klen == 17 ? be64_load(it->key + 9) : 0, len = it->vlen == 4 ? le_load(it->val, 4) : 0;

	(void)err;
	if (x->cut && off < x->size && off + len > x->size && off + len <= (uint64_t)FILE_MAX) {
		x->size = off + len;
		TREE_SET(x->t, x->id, FI_SIZE, x->ino, x->size);
	} else if (off >= x->size) {
		TREE_DEL(x->t, x->id, it);
	}
	return 0;
}

static int walk_extents(struct extents *x, uint64_t data_id, struct lcpfs_error *err)
{
	struct ck_walk w = { .item = on_extent, .bad = pass_over, .arg = x };
	uint8_t from[17], to[9];

	if (!ck_plan_wants(x->t->ck, x->id, x->t->d))
		return 0;
	w.from = (struct ck_key){ from, item_key_u64(from, ITEM_EXTENT, data_id, 0) };
	w.to = (struct ck_key){ to, data_id == UINT64_MAX ? 1 : item_key(to, ITEM_EXTENT, data_id + 1) };
	if (data_id == UINT64_MAX)
		to[0] = ITEM_EXTENT + 1;
	return ck_walk(x->t->ck, &x->t->d->rec.root, &w, err);
}

int plan_extents_del(struct tree_check *t, enum problem_id id, uint64_t data_id, uint64_t from, struct lcpfs_error *err)
{
	struct extents x = { .t = t, .id = id, .size = from };

	return walk_extents(&x, data_id, err);
}

int plan_extents_cut(struct tree_check *t, uint64_t ino, uint64_t data_id, uint64_t size, struct lcpfs_error *err)
{
	struct extents x = { .t = t, .id = P_EXTENT_END, .ino = ino, .size = size, .cut = true };

	return walk_extents(&x, data_id, err);
}

/* ---- packs ---- */

static int by_id(const void *a, const void *b)
{
	const struct pack_slot *x = a, *y = b;

	return (x->data_id > y->data_id) - (x->data_id < y->data_id);
}

/* The table, in the order of ids; NULL: there is none. */
static struct pack_slot *read_table(const uint8_t *p, uint32_t len, size_t *n)
{
	struct pack_cur c = { 0 };
	struct pack_slot *v;
	int rc = pack_begin(&c, p, len, NULL);

	*n = 0;
	v = rc ? NULL : malloc(((size_t)c.n + 1) * sizeof *v);
	while (v && !(rc = pack_next(&c, &v[*n], NULL)))
		++*n;
	if (rc < 0) {
		free(v);
		return NULL;
	}
	if (v)
		qsort(v, *n, sizeof *v, by_id);
	return v;
}

static void move_slice(struct tree_check *t, const struct ck_slice *s, const struct pack_slot *to, const struct blkptr *bp)
{
	struct slice n = { s->pack_id, to->off, to->len, s->charge };
	uint8_t key[9], raw[SLICE_LEN];

	if (s->off == to->off && s->len == to->len)
		return;
	if (s->len != to->len)
		n.charge = (uint32_t)MAX(div_up((uint64_t)to->len * bp->psize, MAX(bp->lsize, 1u)), UINT64_C(1));
	slice_encode(&n, raw);
	ck_plan_put(t->ck, P_PACK_TABLE, t->d, key, item_key(key, ITEM_SLICE, s->data_id), raw, sizeof raw, 0);
}

int plan_repack(struct tree_check *t, uint64_t pack_id, const struct blkptr *bp, size_t first, size_t last, struct lcpfs_error *err)
{
	uint8_t *p = malloc(bp->lsize);
	struct lcpfs_error why = { 0 };
	int rc = p ? zio_read(t->ck->spa->zio, bp, p, &why) : lcpfs_nomem(err);
	size_t n = 0;
	struct pack_slot *v = rc ? NULL : read_table(p, bp->lsize, &n);

	(void)pack_id;
	for (size_t i = first; v && i < last; i++) {
		const struct ck_slice *s = &t->slice[t->by_pack[i]];
		struct pack_slot want = { .data_id = s->data_id }, *e = bsearch(&want, v, n, sizeof *v, by_id);

		if (e)
			move_slice(t, s, e, bp);
		else
			plan_slice_del(t, P_PACK_TABLE, s->data_id);
	}
	free(v);
	free(p);
	return rc == -LCPFS_ENOMEM ? rc : 0;
}
