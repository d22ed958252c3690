/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot scheme against a model: random writes, moves, snapshots, clones, destructions, rollbacks, receives and promotions on
 * the real engine, and beside it plain arrays of what each dataset should hold. After every operation:
 *   every block reachable from any root is marked used in the bitmaps, and nothing else is (walk == allocation);
 *   every dataset and snapshot holds what the model says;
 *   for every snapshot with one successor, the successor's counters equal the derived difference;
 *   no child is younger than its parent;
 *   every block has as many references as lineages of trees own it, as REF says.
 * Blocks are also shared between datasets and from snapshots. A second test plants one mistake after the other, each of which must be seen.
 * LCPFS_SNAPMODEL_RUNS and _OPS lengthen it, LCPFS_SEED repeats one run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "dmu/dmu.h"
#include "lcpfs/lcpfs.h"
#include "tap.h"

#define KEYS 60
#define MAX_DS 256

/* Mistakes that an engine could make. */
enum plant { NO_PLANT, KEEPS_BIRTH, NOT_COUNTED, COUNTED_TWICE, FREE_IGNORES_REF, KILL_IGNORES_BIRTH, FREED_FRESH, N_PLANTS };

struct mds { uint64_t id; bool snap; uint64_t prev, owner; uint32_t val[KEYS]; };
struct model {
	struct spa *s;
	struct mds ds[MAX_DS];
	unsigned n;
	uint32_t counter, names;
	uint64_t rng;
	enum plant plant;
	struct lcpfs_error err;
};

static unsigned rnd(struct model *m, unsigned n) { return (unsigned)(tap_rand(&m->rng) >> 33) % n; }

static struct mds *find(struct model *m, uint64_t id)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->ds[i].id == id)
			return &m->ds[i];
	return NULL;
}

static struct mds *pick(struct model *m, bool snap)
{
	unsigned k = 0;

	for (unsigned i = 0; i < m->n; i++)
		k += m->ds[i].snap == snap;
	if (!k)
		return NULL;
	k = rnd(m, k);
	for (unsigned i = 0; i < m->n; i++)
		if (m->ds[i].snap == snap && k-- == 0)
			return &m->ds[i];
	return NULL;
}

static char *name_of_id(struct model *m, uint64_t id)
{
	struct buf b = { 0 };

	if (dmu_full_name(m->s, id, &b, &m->err))
		printf("# %s\n", m->err.msg);
	buf_u8(&b, 0);
	return (char *)b.data;
}

static struct mds *add(struct model *m, uint64_t id, bool snap, uint64_t prev, uint64_t owner, const uint32_t *val)
{
	struct mds *d = &m->ds[m->n++];

	*d = (struct mds){ .id = id, .snap = snap, .prev = prev, .owner = owner };
	if (val)
		memcpy(d->val, val, sizeof d->val);
	return d;
}

static void drop(struct model *m, uint64_t id)
{
	struct mds *d = find(m, id);

	*d = m->ds[--m->n];
}

static void keep_ptr(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	(void)why;
	if (!rc)
		*(struct blkptr *)arg = *bp;
}

/* A data block whose content is its number. */
static int put_block(struct model *m, struct dataset *ds, unsigned key, uint32_t num)
{
	size_t len = 600 + num % 3000;
	uint8_t *buf = malloc(len), k[2] = { 0x77, (uint8_t)key }, v[4];
	struct blkptr bp = { 0 };
	uint64_t seed = num;
	int rc;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)tap_rand(&seed);
	le_store(buf, 4, num);
	rc = zio_submit(m->s->zio, PTR_DATA, (struct codec_spec){ .id = 0 }, buf, len, keep_ptr, &bp, &m->err);
	if (!rc)
		rc = zio_wait(m->s->zio, &m->err);
	le_store(v, 4, num);
	if (!rc)
		rc = btree_put(ds->tree, k, 2, v, 4, &bp, 1, 0, &m->err);
	dmu_dirty(ds);
	return rc;
}

static int random_edits(struct model *m, struct dataset *ds, uint32_t *val, unsigned n)
{
	int rc = 0;

	for (unsigned i = 0; i < n && rc >= 0; i++) {
		unsigned key = rnd(m, KEYS);
		uint8_t k[2] = { 0x77, (uint8_t)key };

		if (rnd(m, 10) < 3) {
			rc = btree_del(ds->tree, k, 2, 0, &m->err);
			if (rc >= 0 && (rc == 1) != (val[key] == 0))
				return lcpfs_fail_at(&m->err, __FILE__, __LINE__, LCPFS_ECORRUPT, "delete found something else");
			val[key] = 0;
			dmu_dirty(ds);
		} else {
			val[key] = ++m->counter;
			rc = put_block(m, ds, key, val[key]);
		}
	}
	return rc < 0 ? rc : 0;
}

/* ---- planted mistakes: what a tree calls when it gives a pointer up ---- */

static enum plant planted;
static struct btree_store_ops wrong_ops;
static const struct btree_store_ops *right_ops;

static int wrong_kill(struct btree_store *st, void *owner, const struct blkptr *bp, bool is_node, struct lcpfs_error *err)
{
	struct dataset *ds = container_of(st, struct dataset, store);
	struct spa *s = ds->spa;

	if (planted == KILL_IGNORES_BIRTH && !is_node && (bp->flags & PTR_SHARED))
		return spa_free(s, bp, err);
	if (planted == FREE_IGNORES_REF && !is_node && bp->birth > ds->rec.prev_snap_txg)
		return space_free(s->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), true, false, err);
	if (planted == FREED_FRESH && !is_node && bp->birth > s->published)
		return space_free(s->space, bp->addr, (uint32_t)div_up(bp->psize, SECTOR), true, true, err);
	return right_ops->kill(st, owner, bp, is_node, err);
}

static int open_head(struct model *m, uint64_t id, struct dataset **ds)
{
	int rc = dmu_open_id(m->s, id, ds, &m->err);

	if (rc || m->plant < FREE_IGNORES_REF || (*ds)->store.ops == &wrong_ops)
		return rc;
	right_ops = (*ds)->store.ops;
	wrong_ops = *right_ops;
	wrong_ops.kill = wrong_kill;
	(*ds)->store.ops = &wrong_ops;
	return 0;
}

static int op_write(struct model *m)
{
	struct mds *d = pick(m, false);
	struct dataset *ds;
	int rc = open_head(m, d->id, &ds);

	if (rc)
		return rc;
	rc = random_edits(m, ds, d->val, 1 + rnd(m, 8));
	if (!rc && rnd(m, 4) == 0)
		rc = btree_shed(ds->tree, 0, &m->err);
	if (!rc && rnd(m, 3) == 0)
		rc = random_edits(m, ds, d->val, 1 + rnd(m, 8));
	dmu_close(ds);
	return rc;
}

static int get_ptr(struct model *m, struct dataset *ds, unsigned key, struct blkptr *bp)
{
	uint8_t k[2] = { 0x77, (uint8_t)key };
	struct bt_cursor c = { 0 };
	int rc = btree_get(ds->tree, &c, k, 2, &m->err);

	if (!rc)
		rc = ptr_decode(bp, c.item.ptrs, &m->err);
	btree_cursor_close(&c);
	return rc == 1 ? lcpfs_fail_at(&m->err, __FILE__, __LINE__, LCPFS_ECORRUPT, "no key %u", key) : rc;
}

static int share_one(struct model *m, struct dataset *from, unsigned key, struct dataset *to, unsigned at, uint32_t num)
{
	uint8_t k[2] = { 0x77, (uint8_t)at }, v[4];
	struct blkptr old = { 0 }, bp;
	int rc = get_ptr(m, from, key, &old);

	bp = old;
	bp.birth = m->s->txg;
	if (!rc && m->plant != NOT_COUNTED)
		rc = spa_share(m->s, &old, &bp, &m->err);
	if (!rc && m->plant == COUNTED_TWICE && rnd(m, 4) == 0)
		rc = spa_share(m->s, &old, &bp, &m->err);
	if (m->plant == KEEPS_BIRTH)
		bp.birth = old.birth;
	le_store(v, 4, num);
	if (!rc)
		rc = btree_put(to->tree, k, 2, v, 4, &bp, 1, 0, &m->err);
	dmu_dirty(to);
	return rc;
}

/* From any dataset or snapshot, also the same dataset, also over the very key. */
static int op_reflink(struct model *m)
{
	struct mds *from = &m->ds[rnd(m, m->n)], *to = pick(m, false);
	struct dataset *a = NULL, *b = NULL;
	int rc = dmu_open_id(m->s, from->id, &a, &m->err);

	if (!rc)
		rc = open_head(m, to->id, &b);
	for (unsigned n = 1 + rnd(m, 3); !rc && n; n--) {
		unsigned key = rnd(m, KEYS), at = rnd(m, KEYS);

		for (unsigned i = 0; i < KEYS && !from->val[key]; i++)
			key = (key + 1) % KEYS;
		if (!from->val[key])
			break;
		rc = share_one(m, a, key, b, at, from->val[key]);
		to->val[at] = from->val[key];
	}
	if (!rc && rnd(m, 4) == 0)
		rc = random_edits(m, b, to->val, 1 + rnd(m, 6));
	dmu_close(a);
	dmu_close(b);
	return rc;
}

/* The pointer goes from one key to another, keeping its birth. */
static int op_move(struct model *m)
{
	struct mds *d = pick(m, false);
	unsigned from = rnd(m, KEYS), to = rnd(m, KEYS);
	uint8_t k[2] = { 0x77, (uint8_t)from }, k2[2] = { 0x77, (uint8_t)to }, v[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp;
	struct dataset *ds;
	int rc;

	if (from == to || !d->val[from])
		return 0;
	rc = dmu_open_id(m->s, d->id, &ds, &m->err);
	if (rc)
		return rc;
	rc = btree_get(ds->tree, &c, k, 2, &m->err);
	if (!rc)
		rc = ptr_decode(&bp, c.item.ptrs, &m->err);
	btree_cursor_close(&c);
	if (!rc)
		rc = btree_del(ds->tree, k, 2, BT_KEEP_PTRS, &m->err);
	le_store(v, 4, d->val[from]);
	if (!rc)
		rc = btree_put(ds->tree, k2, 2, v, 4, &bp, 1, 0, &m->err);
	dmu_dirty(ds);
	dmu_close(ds);
	d->val[to] = d->val[from];
	d->val[from] = 0;
	return rc;
}

static int op_snapshot(struct model *m)
{
	struct mds *d = pick(m, false);
	char *ds = name_of_id(m, d->id), name[2048];
	const char *names[] = { name };
	struct dsrec r;
	int rc;

	snprintf(name, sizeof name, "%s@s%u", ds, ++m->names);
	free(ds);
	rc = dmu_snapshot(m->s, names, 1, &m->err);
	if (!rc)
		rc = dmu_lookup(m->s, name, &r, &m->err);
	if (rc)
		return rc;
	add(m, r.id, true, d->prev, d->id, d->val);
	d->prev = r.id;
	return 0;
}

static unsigned successors(struct model *m, uint64_t id, struct mds **one)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n; i++)
		if (m->ds[i].prev == id) {
			*one = &m->ds[i];
			n++;
		}
	return n;
}

static int destroy_snap(struct model *m, struct mds *d)
{
	char *name = name_of_id(m, d->id);
	struct mds *next = NULL;
	unsigned n = successors(m, d->id, &next);
	uint64_t prev = d->prev, id = d->id, freed = 0;
	int rc = dmu_destroy_snap(m->s, name, &freed, &m->err);

	free(name);
	if (n > 1)
		return rc == -LCPFS_EHELD ? 0 : lcpfs_fail_at(&m->err, __FILE__, __LINE__, LCPFS_ECORRUPT, "destroyed what clones stand on");
	if (rc)
		return rc;
	if (next)
		next->prev = prev;
	drop(m, id);
	return 0;
}

static int op_destroy(struct model *m)
{
	struct mds *d = pick(m, true);

	return d ? destroy_snap(m, d) : 0;
}

static int op_clone(struct model *m)
{
	struct mds *o = pick(m, true);
	unsigned heads = 0;
	char *snap, name[64];
	struct dsrec r;
	int rc;

	for (unsigned i = 0; i < m->n; i++)
		heads += !m->ds[i].snap;
	if (!o || heads > 5)
		return 0;
	snap = name_of_id(m, o->id);
	snprintf(name, sizeof name, "c%u", ++m->names);
	rc = dmu_clone(m->s, snap, name, &m->err);
	free(snap);
	if (!rc)
		rc = dmu_lookup(m->s, name, &r, &m->err);
	if (!rc)
		add(m, r.id, false, o->id, r.id, o->val);
	return rc;
}

static bool owns_snaps(struct model *m, uint64_t id)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->ds[i].snap && m->ds[i].owner == id)
			return true;
	return false;
}

static int op_destroy_head(struct model *m)
{
	struct mds *d = pick(m, false);
	char *name = name_of_id(m, d->id);
	bool held = owns_snaps(m, d->id);
	int rc = 0;

	if (d->id != DS_ROOT_ID) {
		rc = dmu_destroy_head(m->s, name, &m->err);
		if (held && rc == -LCPFS_EHELD)
			rc = 0;
		else if (!rc && !held)
			drop(m, d->id);
		else if (!rc)
			rc = lcpfs_fail_at(&m->err, __FILE__, __LINE__, LCPFS_ECORRUPT, "destroyed a dataset that has snapshots");
	}
	free(name);
	return rc;
}

/* A random ancestor of d that dataset d owns or not. */
static struct mds *ancestor(struct model *m, struct mds *d)
{
	struct mds *list[MAX_DS], *a = d;
	unsigned n = 0;

	while (a->prev && n < MAX_DS) {
		a = find(m, a->prev);
		list[n++] = a;
	}
	return n ? list[rnd(m, n)] : NULL;
}

static int note_kept(struct model *m, struct mds *d, const char *keep)
{
	char *ds = name_of_id(m, d->id), name[2048];
	struct dsrec r;
	int rc;

	snprintf(name, sizeof name, "%s@%s", ds, keep);
	free(ds);
	rc = dmu_lookup(m->s, name, &r, &m->err);
	if (!rc)
		add(m, r.id, true, d->prev, d->id, d->val);
	return rc;
}

static int op_rebase(struct model *m)
{
	struct mds *d = pick(m, false), *to = rnd(m, 3) ? ancestor(m, d) : pick(m, true); /* or any other snapshot */
	char keep[32];
	bool kept = rnd(m, 2);
	uint64_t to_id, id = d->id;
	int rc;

	if (!to)
		return 0;
	to_id = to->id;
	snprintf(keep, sizeof keep, "k%u", ++m->names);
	rc = dmu_rebase(m->s, id, to_id, kept ? keep : NULL, &m->err);
	if (!rc && kept)
		rc = note_kept(m, d, keep);
	d->prev = to_id;
	memcpy(d->val, to->val, sizeof d->val);
	return rc;
}

static int op_receive(struct model *m)
{
	struct mds *d = pick(m, false), *base = ancestor(m, d);
	uint64_t snap_id = 0, base_id = base ? base->id : 0, id = d->id;
	uint32_t val[KEYS] = { 0 };
	struct dataset *h;
	char name[32], keep[32];
	bool kept = rnd(m, 2);
	int rc = dmu_hidden_create(m->s, base_id, id, &h, &m->err);

	if (rc)
		return rc;
	if (base)
		memcpy(val, base->val, sizeof val);
	rc = random_edits(m, h, val, 1 + rnd(m, 10));
	if (!rc && rnd(m, 4) == 0)
		return dmu_hidden_drop(m->s, h, &m->err);
	snprintf(name, sizeof name, "r%u", ++m->names);
	snprintf(keep, sizeof keep, "k%u", m->names);
	if (!rc)
		rc = dmu_hidden_publish(m->s, h, id, name, 0, &snap_id, &m->err);
	if (!rc)
		rc = dmu_rebase(m->s, id, snap_id, kept ? keep : NULL, &m->err);
	if (!rc && kept)
		rc = note_kept(m, d, keep);
	if (rc)
		return rc;
	add(m, snap_id, true, base_id, id, val);
	d->prev = snap_id;
	memcpy(d->val, val, sizeof val);
	return 0;
}

static int op_promote(struct model *m)
{
	struct mds *d = pick(m, false);
	struct dsrec r, o;
	char *name;
	uint64_t from = 0;
	int rc = dmu_rec_get(m->s, d->id, &r, &m->err);

	if (!rc)
		rc = dmu_origin(m->s, &r, &from, &m->err);
	if (rc || !from)
		return rc;
	rc = dmu_rec_get(m->s, from, &o, &m->err);
	if (rc)
		return rc;
	name = name_of_id(m, d->id);
	rc = dmu_promote(m->s, name, &m->err);
	free(name);
	for (uint64_t id = from; !rc && id;) {
		struct mds *s = find(m, id);

		if (s->owner != o.parent)
			break;
		s->owner = d->id;
		id = s->prev;
	}
	return rc;
}

/* ---- the oracle ---- */

struct marks { uint8_t *bit; size_t sectors; uint64_t count; unsigned bad; };

static int mark(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct marks *k = arg;
	uint64_t from = ptr_sector(bp), n = div_up(bp->psize, SECTOR);

	(void)err;
	if (ptr_chunk(bp) != 1 || from + n > k->sectors) {
		k->bad++;
		return 0;
	}
	for (uint64_t i = from; i < from + n; i++)
		k->bit[i >> 3] |= (uint8_t)(1u << (i & 7));
	return 0;
}

static int mark_root(struct model *m, struct marks *k, const struct blkptr *root)
{
	struct btree_walk w = { mark, NULL, k };

	return ptr_is_null(root) ? 0 : btree_walk_ptrs(&m->s->pool_store, root, &w, &m->err);
}

static int mark_all(struct model *m, struct marks *k)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	int rc = btree_seek(m->s->pool_tree, &c, key, key_u64(key, TBL_DS, 0), &m->err);
	struct blkptr pool = *btree_root(m->s->pool_tree);

	for (; rc == 0 && c.item.key[0] == TBL_DS; rc = btree_next(&c, &m->err)) {
		struct blkptr root;

		rc = c.item.nptr ? ptr_decode(&root, c.item.ptrs, &m->err) : 0;
		if (!rc && c.item.nptr)
			rc = mark_root(m, k, &root);
		if (rc)
			break;
	}
	btree_cursor_close(&c);
	if (rc < 0)
		return rc;
	/* the walk above also met the datasets' roots as items of the pool tree; its own nodes come here */
	return mark_root(m, k, &pool);
}

/* Bitmaps as the space tree has them. */
static int load_bitmaps(struct model *m, struct marks *k)
{
	struct bt_cursor c = { 0 };
	uint8_t key[9], used[SPACE_PAGE_BYTES];
	int rc = btree_seek(m->s->space_tree, &c, key, key_page(key, 0, 0), &m->err);

	for (; rc == 0; rc = btree_next(&c, &m->err)) {
		uint32_t page = be32_load(c.item.key + 5);

		rc = space_page_decode(used, c.item.val, c.item.vlen, &m->err);
		if (rc)
			break;
		if (be32_load(c.item.key + 1) == 1 && (page + 1) * (size_t)SPACE_PAGE_BYTES <= k->sectors / 8)
			memcpy(k->bit + page * (size_t)SPACE_PAGE_BYTES, used, SPACE_PAGE_BYTES);
		else
			k->bad++;
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static bool check_space(struct model *m)
{
	size_t sectors = 64u << 11;
	struct marks walk = { calloc(1, sectors / 8), sectors, 0, 0 }, maps = { calloc(1, sectors / 8), sectors, 0, 0 };
	int rc = mark_all(m, &walk);
	bool good;

	if (!rc)
		rc = load_bitmaps(m, &maps);
	good = !rc && !walk.bad && !maps.bad && memcmp(walk.bit, maps.bit, sectors / 8) == 0;
	for (size_t i = 0; !good && i < sectors; i++) {
		int w = walk.bit[i >> 3] >> (i & 7) & 1, b = maps.bit[i >> 3] >> (i & 7) & 1;

		if (w != b) {
			printf("# sector %zu: reachable %d, marked used %d\n", i, w, b);
			break;
		}
	}
	free(walk.bit);
	free(maps.bit);
	return good;
}

/* Pointers that a tree owns by itself: born after what it stands on. */
struct refs { struct { uint64_t addr, n; } v[8192]; size_t n; uint64_t floor; };

static int count_ref(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct refs *r = arg;
	size_t i = 0;

	(void)err;
	if (bp->birth <= r->floor)
		return 1;
	if (bp->kind != PTR_DATA)
		return 0;
	while (i < r->n && r->v[i].addr != bp->addr)
		i++;
	if (i == ARRAY_LEN(r->v))
		return -LCPFS_ENOMEM;
	r->v[i].addr = bp->addr;
	r->v[i].n++;
	r->n += i == r->n;
	return 0;
}

static int count_refs(struct model *m, struct refs *r)
{
	int rc = 0;

	for (unsigned i = 0; i < m->n && !rc; i++) {
		struct btree_walk w = { count_ref, NULL, r };
		struct dsrec d;

		rc = dmu_rec_get(m->s, m->ds[i].id, &d, &m->err);
		r->floor = rc ? 0 : d.prev_snap_txg;
		if (!rc && !ptr_is_null(&d.root))
			rc = btree_walk_ptrs(&m->s->pool_store, &d.root, &w, &m->err);
	}
	return rc;
}

static bool check_refs(struct model *m)
{
	struct refs *r = calloc(1, sizeof *r);
	struct bt_cursor c = { 0 };
	uint8_t key[9];
	size_t more = 0, records = 0;
	int rc = count_refs(m, r);
	bool good = !rc;

	for (size_t i = 0; i < r->n; i++)
		more += r->v[i].n > 1;
	if (!rc)
		rc = btree_seek(m->s->pool_tree, &c, key, key_u64(key, TBL_REF, 0), &m->err);
	for (; good && rc == 0 && c.item.key[0] == TBL_REF; rc = btree_next(&c, &m->err), records++) {
		uint64_t extra = 0;
		size_t i = 0;

		good = ref_decode(&extra, c.item.key, c.item.klen, c.item.val, c.item.vlen, &m->err) == 0;
		while (good && i < r->n && r->v[i].addr != be64_load(c.item.key + 1))
			i++;
		good = good && i < r->n && r->v[i].n == extra + 1;
	}
	btree_cursor_close(&c);
	free(r);
	if (good && more == records && rc >= 0)
		return true;
	printf("# REF: %zu records, %zu blocks with several references%s\n", records, more, good ? "" : ", one of another number");
	return false;
}

static bool check_content(struct model *m, const struct mds *d)
{
	uint32_t got[KEYS] = { 0 };
	struct bt_cursor c = { 0 };
	struct dataset *ds;
	uint8_t key = 0x77, block[4096];
	int rc = dmu_open_id(m->s, d->id, &ds, &m->err);

	if (rc)
		return false;
	rc = btree_seek(ds->tree, &c, &key, 1, &m->err);
	for (; rc == 0 && c.item.klen == 2; rc = btree_next(&c, &m->err)) {
		struct blkptr bp;

		rc = ptr_decode(&bp, c.item.ptrs, &m->err);
		if (!rc)
			rc = zio_read(m->s->zio, &bp, block, &m->err);
		if (rc)
			break;
		got[c.item.key[1] % KEYS] = (uint32_t)le_load(block, 4);
	}
	btree_cursor_close(&c);
	dmu_close(ds);
	return rc >= 0 && memcmp(got, d->val, sizeof got) == 0;
}

static int sum(void *arg, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint64_t *v = arg;

	(void)err;
	v[0]++;
	v[1] += ptr_charge(bp);
	return 0;
}

static bool check_dead(struct model *m, const struct mds *d)
{
	uint64_t derived[2] = { 0, 0 }, blocks, bytes;
	struct btree_diff_ptrs diff = { .only_a = sum, .arg = derived };
	struct mds *next = NULL;
	struct dsrec s, n;

	if (successors(m, d->id, &next) != 1)
		return true;
	return dmu_rec_get(m->s, d->id, &s, &m->err) == 0 && dmu_rec_get(m->s, next->id, &n, &m->err) == 0 && n.prev_snap == s.id &&
	    btree_diff_ptrs(&m->s->pool_store, &s.root, &n.root, s.prev_snap_txg, &diff, &m->err) == 0 &&
	    dmu_dead_sum(m->s, n.id, s.prev_snap_txg, s.created_txg, &blocks, &bytes, &m->err) == 0 && blocks == derived[0] &&
	    bytes == derived[1];
}

static bool check_all(struct model *m)
{
	bool good = check_space(m) && check_refs(m);

	for (unsigned i = 0; i < m->n && good; i++) {
		good = check_content(m, &m->ds[i]);
		if (!good)
			printf("# dataset %llu: content differs (%s)\n", (unsigned long long)m->ds[i].id, m->err.msg);
	}
	for (unsigned i = 0; i < m->n && good; i++) {
		good = !m->ds[i].snap || check_dead(m, &m->ds[i]);
		if (!good)
			printf("# snapshot %llu: counters differ from what is derived\n", (unsigned long long)m->ds[i].id);
	}
	return good;
}

static const struct { unsigned upto; const char *name; int (*fn)(struct model *m); } ops[] = {
	{ 30, "write", op_write }, { 41, "reflink", op_reflink }, { 45, "move", op_move }, { 60, "snapshot", op_snapshot }, { 76, "destroy", op_destroy },
	{ 82, "clone", op_clone }, { 86, "destroy head", op_destroy_head }, { 92, "rebase", op_rebase }, { 97, "receive", op_receive },
	{ 100, "promote", op_promote },
};

static int one_op(struct model *m, const char **what)
{
	unsigned r = rnd(m, 100), i = 0;
	int rc;

	while (r >= ops[i].upto)
		i++;
	*what = ops[i].name;
	m->err = (struct lcpfs_error){ 0 };
	rc = m->n > MAX_DS - 8 ? 0 : ops[i].fn(m);
	if (!rc && rnd(m, 3) == 0)
		rc = one_op(m, what); /* two operations in one commit */
	return rc;
}

static int open_pool(struct lcpfs_pool **p, struct model *m)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 2 }, .copies = 1, .compress = "off" };
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_ramdisk_create(&dev, "model", 0, LCPFS_DEV_IMAGE, &m->err);

	return rc ? rc : lcpfs_pool_create_dev(p, dev, &o, &m->err);
}

struct spa_view { struct spa *spa; };

static bool run(uint64_t seed, unsigned n_ops, enum plant plant)
{
	struct model *m = calloc(1, sizeof *m);
	struct lcpfs_pool *p = NULL;
	const char *what = "create";
	bool good;
	int rc;

	m->rng = seed * 0x9e3779b97f4a7c15u + 1;
	m->plant = planted = plant;
	rc = open_pool(&p, m);
	if (!rc) {
		m->s = ((struct spa_view *)p)->spa;
		add(m, DS_ROOT_ID, false, 0, DS_ROOT_ID, NULL);
		rc = spa_commit(m->s, &m->err);
	}
	good = !rc && check_all(m);
	for (unsigned i = 0; good && i < n_ops; i++) {
		rc = one_op(m, &what);
		if (!rc)
			rc = spa_commit(m->s, &m->err);
		good = !rc && check_all(m);
		if (!good)
			printf("# seed %llu op %u (%s): %s\n", (unsigned long long)seed, i, what, m->err.msg);
	}
	lcpfs_pool_close(p, NULL);
	free(m);
	return good;
}

static unsigned env_number(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v ? (unsigned)strtoul(v, NULL, 10) : def;
}

TEST(walk_equals_allocation)
{
	unsigned runs = env_number("LCPFS_SNAPMODEL_RUNS", 6), n_ops = env_number("LCPFS_SNAPMODEL_OPS", 60);
	unsigned first = env_number("LCPFS_SEED", 1);

	printf("# seeds %u..%u, %u operations each\n", first, first + runs - 1, n_ops);
	for (unsigned i = 0; i < runs; i++)
		if (!ok_msg(run(first + i, n_ops, NO_PLANT), "seed %u", first + i))
			break;
}

/* An oracle that never speaks up proves nothing. */
TEST(planted_mistakes_are_seen)
{
	static const char *const names[] = { "", "sharing keeps the birth", "a reference is not counted", "a reference is counted twice",
		"a free ignores REF", "a kill ignores the birth", "a shared block is freed as fresh" };
	unsigned first = env_number("LCPFS_SEED", 1);

	for (enum plant p = KEEPS_BIRTH; p < N_PLANTS; p++) {
		unsigned i = 0;

		while (i < 20 && run(first + i, 80, p))
			i++;
		ok_msg(i < 20, "not seen in 20 runs: %s", names[p]);
	}
}

TAP_MAIN(T(walk_equals_allocation), T(planted_mistakes_are_seen))
