/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Balance: blocks written anew.
 * Packs and extents of a head are visited in key order. For another compression a block is read, goes through the pipeline with the new codec, and when it
 * comes back takes the old one's place in its item: key, value, numbers and contents stay, so no other item changes but the inodes that are charged
 * for an extent. (A slice keeps its charge, as it does when it is moved.) A pack that is half dead or small is emptied into the open pack instead.
 *
 * Invariants
 *  (1) Every commit is a consistent dataset with the same contents: block, counters and charges of all owners change in one transaction.
 *  (2) A commit follows after STEP logical bytes, so that what is freed can be used two commits later; memory and space are bounded by that.
 *  (3) What a snapshot holds stays: the copy would free nothing. So does a block with other references: it would be there twice.
 *  (4) What is replaced, and by what, follows from the tree and the options, never from timing.
 */
#include "zpl/rewrite.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "zpl/handle.h"

#define STEP (64 * MiB)
#define TICK_MS 100u
#define SAMPLE_ALL 16u  /* a dry run tries the first so many blocks, */
#define SAMPLE_EVERY 8u /* and one in so many of the rest */

/* An item whose block is looked at. */
struct item {
	uint8_t key[17];
	size_t klen;
	uint64_t id, off;        /* pack_id, or data_id and offset */
	struct blkptr bp;
	struct pack_item pack;   /* of a pack */
};

static bool is_pack(const struct item *i) { return i->key[0] == ITEM_PACK; }

/* For showing progress only. */
static uint64_t now_ms(void)
{
	uint32_t nsec;
	int64_t sec;

	now_get(&sec, &nsec);
	return (uint64_t)sec * 1000 + nsec / 1000000;
}

static int tick(struct rewrite *re, uint64_t bytes, struct lcpfs_error *err)
{
	struct lcpfs_progress p = { .phase = re->o->recompress ? "recompressing" : "compacting", .total_bytes = re->total_bytes };
	uint64_t now;

	re->done_bytes += bytes;
	p.bytes = re->done_bytes;
	p.entries = re->st->blocks;
	if (!re->o->progress)
		return 0;
	now = now_ms();
	if (now - re->tick_ms < TICK_MS)
		return 0;
	re->tick_ms = now;
	return re->o->progress(re->o->arg, &p) ? lcpfs_fail(err, LCPFS_ECANCEL, "interrupted") : 0;
}

/* What was replaced becomes permanent. Where nothing was, only the space that trials took is given back. */
static int settle(struct rewrite *re, struct lcpfs_error *err)
{
	int rc = zpl_flush(re->ds, err);

	re->batch = 0;
	if (rc || !re->changed)
		return rc ? rc : zio_wait(re->ds->spa->zio, err);
	re->changed = 0;
	re->st->commits++;
	return spa_commit(re->ds->spa, err);
}

/* Room for one more block, if need be after what was freed has come back: that takes the commits that may still be returned to. */
static int admit(struct rewrite *re, uint64_t bytes, struct lcpfs_error *err)
{
	int rc = zpl_begin(re->ds, ADMIT_NORMAL, bytes, err);

	for (unsigned i = 0; rc == -LCPFS_ENOSPC && i < 3; i++) {
		re->changed++;
		rc = settle(re, err);
		if (!rc)
			rc = zpl_begin(re->ds, ADMIT_NORMAL, bytes, err);
	}
	return rc;
}

/* 0; 1: it cannot be read, and that was told. */
static int read_block(struct rewrite *re, const struct item *it, uint8_t **out, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	uint8_t *buf = malloc(it->bp.lsize);
	int rc = buf ? zio_read(re->ds->spa->zio, &it->bp, buf, &why) : lcpfs_nomem(err);

	*out = buf;
	if (!rc || !buf)
		return rc;
	free(buf);
	re->st->unreadable++;
	if (re->o->warn)
		re->o->warn(re->o->arg, NULL, &why);
	return 1;
}

/* Another codec that was asked for by name replaces what is there, as long as it does anything at all. */
static bool better(const struct rewrite *re, const struct blkptr *old, const struct blkptr *bp)
{
	if (ptr_charge(bp) < ptr_charge(old))
		return true;
	return re->codec.id != CODEC_AUTO && bp->comp == re->codec.id && bp->comp != old->comp;
}

static bool same_block(const struct bt_item *it, const struct blkptr *old, struct lcpfs_error *err)
{
	struct blkptr bp;

	return it->nptr == 1 && it->vlen <= 8 && !ptr_decode(&bp, it->ptrs, err) && bp.addr == old->addr && bp.birth == old->birth;
}

static int swap(struct rewrite *re, const struct job *j, const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, struct lcpfs_error *err)
{
	int64_t more = (int64_t)ptr_charge(&j->bp) - (int64_t)ptr_charge(&j->old);
	int rc = btree_put(re->ds->tree, key, klen, val, vlen, &j->bp, 1, 0, err);

	if (rc)
		return rc;
	zpl_count_block(re->ds, &j->old, -1);
	zpl_count_block(re->ds, &j->bp, 1);
	re->changed++;
	re->st->rewritten++;
	re->st->old_bytes += ptr_charge(&j->old);
	re->st->new_bytes += ptr_charge(&j->bp);
	return j->pack_id ? 0 : owners_charge(&re->owners, re->ds, j->data_id, more, err);
}

int rewrite_apply(struct dataset *ds, const struct job *j, struct lcpfs_error *err)
{
	struct rewrite *re = j->re;
	struct bt_cursor c = { 0 };
	uint8_t key[17], val[8];
	size_t klen = j->pack_id ? item_key(key, ITEM_PACK, j->pack_id) : item_key_u64(key, ITEM_EXTENT, j->data_id, j->off), vlen = 0;
	int rc = btree_get(ds->tree, &c, key, klen, err);
	bool there = !rc && same_block(&c.item, &j->old, err);

	if (there)
		memcpy(val, c.item.val, vlen = c.item.vlen);
	btree_cursor_close(&c);
	if (rc < 0)
		return rc;
	if (there && better(re, &j->old, &j->bp))
		return swap(re, j, key, klen, val, vlen, err);
	re->st->kept_blocks++;
	return spa_free(ds->spa, &j->bp, err);
}

static int recompress(struct rewrite *re, const struct item *it, struct lcpfs_error *err)
{
	uint8_t *buf;
	int rc = admit(re, it->bp.lsize, err);

	if (!rc)
		rc = read_block(re, it, &buf, err);
	if (rc)
		return rc < 0 ? rc : 0;
	re->batch += it->bp.lsize;
	return job_submit_rewrite(re->ds, re, is_pack(it), it->id, it->off, &it->bp, buf, err);
}

/* How it would come out, for some of the blocks; the rest is like them. */
static int estimate(struct rewrite *re, const struct item *it, struct codec_ctx *codec, struct lcpfs_error *err)
{
	struct blkptr bp = { .lsize = it->bp.lsize, .psize = it->bp.lsize };
	uint8_t *buf, *out;
	size_t n;
	int rc = read_block(re, it, &buf, err);

	if (rc)
		return rc < 0 ? rc : 0;
	out = malloc(it->bp.lsize);
	if (out) {
		struct codec_spec spec = codec_choose(re->codec, buf, it->bp.lsize);

		n = codec_compress(codec, spec, buf, it->bp.lsize, out, it->bp.lsize);
		bp.comp = n ? spec.id : CODEC_NONE;
		bp.psize = n ? (uint32_t)n : bp.psize;
		re->sampled += ptr_charge(&it->bp);
		re->sampled_new += better(re, &it->bp, &bp) ? ptr_charge(&bp) : ptr_charge(&it->bp);
	}
	free(out);
	free(buf);
	return out ? 0 : lcpfs_nomem(err);
}

static int consider(struct rewrite *re, const struct item *it, struct codec_ctx *codec, struct lcpfs_error *err)
{
	struct lcpfs_balance_stats *st = re->st;
	struct inode owner;
	bool shared;
	int rc;

	rc = spa_is_shared(re->ds->spa, it->bp.addr, &shared, err);
	if (rc)
		return rc;
	if (shared) {
		st->shared_blocks++;
		st->shared_bytes += ptr_charge(&it->bp);
		return 0;
	}
	if (re->o->packs && is_pack(it) && compact_worth(re->ds, &it->pack)) {
		st->packs++;
		re->batch += it->pack.live_bytes;
		re->changed++;
		if (re->o->dry_run)
			return 0;
		rc = admit(re, it->pack.live_bytes, err);
		return rc ? rc : compact_move(re->ds, it->id, &it->pack, err);
	}
	if (!re->o->recompress)
		return 0;
	rc = is_pack(it) ? 0 : owners_first(&re->owners, re->ds, it->id, &owner, err);
	if (rc || (!is_pack(it) && owner.flags & INODE_NOCOMPRESS))
		return rc < 0 ? rc : 0;
	if (!re->o->dry_run)
		return recompress(re, it, err);
	st->rewritten++;
	st->old_bytes += ptr_charge(&it->bp);
	return st->rewritten <= SAMPLE_ALL || st->rewritten % SAMPLE_EVERY == 0 ? estimate(re, it, codec, err) : 0;
}

/* The next extent or pack after *it (klen 0: the first). 1: no more. */
static int next_item(struct dataset *ds, struct item *it, struct lcpfs_error *err)
{
	uint8_t key[18] = { ITEM_EXTENT };
	struct bt_cursor c = { 0 };
	size_t klen = 1;
	int rc;

	if (it->klen) {
		memcpy(key, it->key, it->klen);
		key[it->klen] = 0; /* nothing lies between a key and this */
		klen = it->klen + 1;
	}
	rc = btree_seek(ds->tree, &c, key, klen, err);
	if (!rc && (c.item.key[0] > ITEM_PACK || c.item.klen != (c.item.key[0] == ITEM_PACK ? 9 : 17)))
		rc = 1;
	if (!rc) {
		it->klen = c.item.klen;
		memcpy(it->key, c.item.key, it->klen);
		it->id = be64_load(it->key + 1);
		it->off = is_pack(it) ? 0 : be64_load(it->key + 9);
		rc = c.item.nptr != 1 ? lcpfs_fail(err, LCPFS_ECORRUPT, "content %" PRIu64 ": %u pointers", it->id, c.item.nptr) :
		    is_pack(it) ? pack_decode(&it->pack, &c.item, err) : 0;
		if (!rc)
			rc = ptr_decode(&it->bp, c.item.ptrs, err);
	}
	btree_cursor_close(&c);
	return rc;
}

static int visit(struct rewrite *re, struct codec_ctx *codec, struct lcpfs_error *err)
{
	struct item it = { .klen = 0 };
	int rc;

	while (!(rc = next_item(re->ds, &it, err))) {
		uint64_t charge = ptr_charge(&it.bp);

		if (it.bp.birth >= re->began)
			continue;
		re->st->blocks++;
		re->st->bytes += charge;
		if (it.bp.kind != PTR_DATA || it.bp.suite)
			continue;
		if (it.bp.birth <= re->ds->rec.prev_snap_txg) {
			re->st->held_blocks++;
			re->st->held_bytes += charge;
		} else if ((rc = consider(re, &it, codec, err))) {
			break;
		}
		if (!re->o->dry_run && re->batch >= (re->o->step_bytes ? re->o->step_bytes : STEP) && (rc = settle(re, err)))
			break;
		if ((rc = tick(re, charge, err)))
			break;
	}
	return rc < 0 ? rc : 0;
}

/* A lone small pack would only be copied. */
static int lone_small(struct dataset *ds, bool *lone, struct lcpfs_error *err)
{
	struct item it = { .klen = 0 };
	unsigned n = 0;
	bool dead = false;
	int rc;

	while (n < 2 && !dead && !(rc = next_item(ds, &it, err)))
		if (is_pack(&it) && compact_worth(ds, &it.pack)) {
			n++;
			dead = compact_half_dead(&it.pack);
		}
	*lone = n < 2 && !dead;
	return n < 2 && !dead && rc < 0 ? rc : 0;
}

static int run(struct rewrite *re, struct lcpfs_error *err)
{
	struct lcpfs_balance_opts o = *re->o;
	struct codec_ctx *codec = o.dry_run ? codec_ctx_create() : NULL;
	bool lone = false;
	int rc = o.dry_run && !codec ? lcpfs_nomem(err) : 0, done;

	if (!rc && o.packs)
		rc = lone_small(re->ds, &lone, err);
	if (lone)
		o.packs = false;
	re->o = &o;
	if (!rc && o.recompress)
		rc = owners_load(&re->owners, re->ds, err);
	if (!rc)
		rc = visit(re, codec, err);
	/* stopped half-way, it still keeps what is whole */
	done = o.dry_run ? 0 : settle(re, rc ? NULL : err);
	codec_ctx_destroy(codec);
	free(re->owners.v);
	return rc ? rc : done;
}

static int prepare(struct rewrite *re, struct lcpfs_pool *p, const char *dataset, struct lcpfs_error *err)
{
	int rc = re->o->recompress ? codec_parse(re->o->recompress, &re->codec, err) : 0;

	if (!rc && !re->o->dry_run)
		rc = spa_may_write(p->spa, err);
	if (!rc)
		rc = dmu_open(p->spa, dataset, &re->ds, err);
	if (!rc && re->ds->rec.kind == DS_SNAPSHOT)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%s' is a snapshot: what it holds stays as it is", dataset);
	if (!rc && !re->o->dry_run)
		rc = zpl_configure(re->ds, err);
	if (rc)
		return rc;
	/* what the caller did before goes first, so that every block this run does not write is older than its first */
	if (!re->o->dry_run && (p->spa->changed || re->ds->rec_dirty))
		rc = spa_commit(p->spa, err);
	re->began = re->o->dry_run ? UINT64_MAX : p->spa->txg;
	re->total_bytes = re->ds->rec.ref_psize;
	return rc;
}

int lcpfs_balance(struct lcpfs_pool *p, const char *dataset, const struct lcpfs_balance_opts *o, struct lcpfs_balance_stats *st,
                  struct lcpfs_error *err)
{
	struct lcpfs_balance_stats own;
	struct rewrite re = { .o = o, .st = st ? st : &own };
	struct codec_spec before = { 0 };
	struct zpl *z = NULL;
	int rc;

	*re.st = (struct lcpfs_balance_stats){ 0 };
	rc = prepare(&re, p, dataset, err);
	if (!rc)
		rc = zpl_state(re.ds, &z, err);
	if (!rc) {
		before = z->codec;
		if (o->recompress)
			z->codec = re.codec;
		rc = run(&re, err);
		if (rc && z->head) {
			jobs_drop(z);
			spa_spoilt(p->spa, rc, err);
		}
		z->codec = before;
	}
	if (re.sampled)
		re.st->new_bytes = (uint64_t)((double)re.st->old_bytes / (double)re.sampled * (double)re.sampled_new);
	dmu_close(re.ds);
	if (!rc && re.st->unreadable)
		rc = lcpfs_fail(err, LCPFS_EPARTIAL, "%" PRIu64 " blocks cannot be read", re.st->unreadable);
	return rc;
}
