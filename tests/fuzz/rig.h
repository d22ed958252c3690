/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image taken apart: the blocks that its newest uberblock reaches, decoded, with the pointers to each. What is changed in them is put back, and
 * every hash on the way up is made right: so damage comes where only a check of what the bytes mean can find it.
 */
#ifndef FUZZ_RIG_H
#define FUZZ_RIG_H
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stdio.h>
#include "base/util.h"
#include "codec/codec.h"
#include "format/config.h"
#include "format/label.h"
#include "format/node.h"
#include "format/records.h"
#include "hash/hash.h"
#include "sample.h"
#include "zio/zio.h"

enum rig_tree { RIG_POOL, RIG_SPACE, RIG_DS };
enum { RIG_HEADERS = 64, RIG_ROOM = 80 << 10 };

/* Children stand before their parents. off: of each copy in the image. head: of a node, the bytes before the body. */
struct rig_block {
	struct blkptr bp;
	enum rig_tree tree;
	uint64_t off[2];
	unsigned copies;
	uint32_t head, body_len;
	uint8_t cols, *body;
	bool old;             /* only of an older commit: where older versions of items are found */
	bool dirty, changed;  /* bytes of it; its body, which is in `edited` */
	uint8_t *edited;
	uint32_t edited_len;
};
/* at: within the stored bytes of block `owner`, or with owner -1 in the image. */
struct rig_ref { uint64_t at; int block, owner; };

struct rig {
	struct memory whole, work;
	struct rig_block *blocks;
	struct rig_ref *refs;
	unsigned n_blocks, n_refs, n_headers;
	uint64_t headers[RIG_HEADERS]; /* of labels and uberblocks */
	uint64_t newest;               /* the txg */
	struct uberblock ub;
	struct config cfg;
	uint8_t *plain;                /* the config's bytes, decoded */
	uint32_t plain_len;
	struct codec_ctx *codec;
	bool old;                      /* while an older commit is looked at */
};

static void *rig_grow(void *p, unsigned n, size_t size)
{
	if (n & (n + 1))
		return p;
	p = realloc(p, (2 * (size_t)n + 2) * size);
	if (!p)
		abort();
	return p;
}

static unsigned rig_offsets(const struct rig *r, uint64_t addr, uint64_t off[2])
{
	const struct cfg_chunk *c = config_chunk(&r->cfg, (uint32_t)(addr >> 32));
	unsigned n = 0;

	for (; c && n < c->width && n < 2; n++)
		off[n] = c->member[n].start_unit * UNIT + (uint64_t)(uint32_t)addr * SECTOR;
	return n;
}

static int rig_walk(struct rig *r, const uint8_t *raw, uint64_t at, int owner, enum rig_tree tree);

/* Dataset trees hang at the items of the pool tree. */
static enum rig_tree tree_below(enum rig_tree tree, unsigned level) { return tree == RIG_POOL && !level ? RIG_DS : tree; }

static int rig_add(struct rig *r, const struct blkptr *bp, enum rig_tree tree)
{
	struct rig_block b = { .bp = *bp, .tree = tree, .old = r->old };
	unsigned first = r->n_refs;
	struct node_hdr h;
	uint8_t *p;

	b.copies = rig_offsets(r, bp->addr, b.off);
	if (!b.copies || b.off[0] + bp->psize > r->whole.len)
		return -1;
	p = r->whole.p + b.off[0];
	b.body = malloc(RIG_ROOM + bp->lsize);
	b.edited = malloc(RIG_ROOM + bp->lsize);
	b.body_len = bp->lsize;
	if (bp->kind == PTR_NODE) {
		must(node_hdr_decode(&h, p, bp->psize, NULL));
		b.cols = h.cols;
		b.head = NODE_HDR + h.nptr * PTR_LEN;
		for (uint32_t at = NODE_HDR; at < b.head; at += PTR_LEN)
			rig_walk(r, p + at, at, -2, tree_below(tree, h.level));
		must(zio_node_body(r->codec, &h, p + b.head, b.body, NULL));
	} else if (bp->comp) {
		must(codec_decompress(r->codec, bp->comp, p, bp->psize, b.body, bp->lsize, NULL));
	} else {
		memcpy(b.body, p, bp->lsize);
	}
	r->blocks = rig_grow(r->blocks, r->n_blocks, sizeof b);
	r->blocks[r->n_blocks] = b;
	/* the pointers just found that are not those of a child */
	for (unsigned i = first; i < r->n_refs; i++)
		if (r->refs[i].owner == -2)
			r->refs[i].owner = (int)r->n_blocks;
	return (int)r->n_blocks++;
}

/* The block that this pointer names, and all below it. */
static int rig_walk(struct rig *r, const uint8_t *raw, uint64_t at, int owner, enum rig_tree tree)
{
	struct blkptr bp;
	int block = -1;

	if (ptr_decode(&bp, raw, NULL) || ptr_is_null(&bp))
		return -1;
	for (unsigned i = 0; i < r->n_blocks; i++)
		if (r->blocks[i].bp.addr == bp.addr && !memcmp(r->blocks[i].bp.hash, bp.hash, HASH_LEN))
			block = (int)i;
	if (block < 0)
		block = rig_add(r, &bp, tree);
	if (block < 0)
		return -1;
	r->refs = rig_grow(r->refs, r->n_refs, sizeof *r->refs);
	r->refs[r->n_refs++] = (struct rig_ref){ at, block, owner };
	return block;
}

static bool rig_is_header(const uint8_t *p) { return !memcmp(p, "LCPFSDEV", 8) || !memcmp(p, "LCPFSUBR", 8); }

static uint64_t rig_config_off(const struct uberblock *u) { return 64 * 1024 + 16 * 4096 + u->cfg_slot * (uint64_t)65536; }

static void rig_config(struct rig *r)
{
	const uint8_t *blob = r->whole.p + rig_config_off(&r->ub);

	r->plain_len = (uint32_t)le_load(blob, 4);
	r->plain = malloc(r->plain_len + 4096);
	if (blob[4])
		must(codec_decompress(r->codec, blob[4], blob + 8, r->ub.cfg_len - 8, r->plain, r->plain_len, NULL));
	else
		memcpy(r->plain, blob + 8, r->plain_len);
	must(config_decode(&r->cfg, r->plain, r->plain_len, NULL));
}

static void rig_roots(struct rig *r, uint64_t txg)
{
	struct uberblock u;

	for (unsigned i = 0; i < r->n_headers; i++) {
		uint8_t *p = r->whole.p + r->headers[i];

		if (uberblock_decode(&u, p, NULL) || u.txg != txg)
			continue;
		rig_walk(r, p + 120, r->headers[i] + 120, -1, RIG_POOL);
		rig_walk(r, p + 216, r->headers[i] + 216, -1, RIG_SPACE);
	}
}

/* whole: the image, which becomes the rig's. */
static void rig_init(struct rig *r, const struct memory *whole)
{
	struct uberblock u;

	*r = (struct rig){ .whole = *whole, .codec = codec_ctx_create() };
	for (uint64_t off = 0; off + 4096 <= whole->len; off += 4096) {
		if (rig_is_header(whole->p + off) && r->n_headers < RIG_HEADERS)
			r->headers[r->n_headers++] = off;
		if (!uberblock_decode(&u, whole->p + off, NULL) && u.txg > r->ub.txg)
			r->ub = u;
	}
	r->newest = r->ub.txg;
	rig_config(r);
	rig_roots(r, r->newest);
	r->work.len = whole->len;
	r->work.p = malloc(whole->len);
	memcpy(r->work.p, whole->p, whole->len);
}

/* The commit before the newest, for what was in it. */
static void rig_init_old(struct rig *r)
{
	r->old = true;
	rig_roots(r, r->ub.prev_txg[0]);
	r->old = false;
}

static void rig_reset(struct rig *r)
{
	/* a repair may have made it longer or shorter */
	r->work.p = realloc(r->work.p, r->whole.len);
	r->work.len = r->whole.len;
	memcpy(r->work.p, r->whole.p, r->whole.len);
	for (unsigned i = 0; i < r->n_blocks; i++)
		r->blocks[i].dirty = r->blocks[i].changed = false;
}

/* ---- changes ---- */

/* Stored bytes of a block, in the copies of which the bit is set. */
static void rig_poke(struct rig *r, unsigned block, uint32_t at, const void *data, size_t n, unsigned copies)
{
	struct rig_block *b = &r->blocks[block];

	b->dirty = true;
	for (unsigned c = 0; c < b->copies; c++)
		if (copies >> c & 1)
			memcpy(r->work.p + b->off[c] + at, data, MIN(n, b->bp.psize - at));
}

/* The decoded body, to be edited in place; its length is that of the block. */
static uint8_t *rig_edit(struct rig *r, unsigned block)
{
	struct rig_block *b = &r->blocks[block];

	if (!b->changed) {
		memcpy(b->edited, b->body, b->body_len);
		b->edited_len = b->body_len;
	}
	b->dirty = b->changed = true;
	return b->edited;
}

static size_t rig_pack(struct rig *r, const struct rig_block *b, int level, uint8_t *to, size_t room, unsigned *cols)
{
	static uint8_t arranged[NODE_LIMIT + NODE_COLS_MAX + RIG_ROOM];
	struct codec_spec spec = { .id = b->bp.comp, .level = (int8_t)level };

	*cols = b->cols ? node_cols_encode(b->edited, b->edited_len, arranged) : 0;
	if (!b->bp.comp) {
		if (b->edited_len > room)
			return 0;
		memcpy(to, b->edited, b->edited_len);
		return b->edited_len;
	}
	return codec_compress(r->codec, spec, *cols ? arranged : b->edited, b->edited_len + *cols, to, room);
}

/* The edited body goes back to where it was, in as many sectors: false, it does not. */
static bool rig_repack(struct rig *r, struct rig_block *b, uint32_t *psize)
{
	static uint8_t best[RIG_ROOM + (1 << 20)];
	uint32_t sectors = (uint32_t)div_up(b->bp.psize, SECTOR), room = sectors * SECTOR - b->head;
	unsigned cols = 0;
	size_t n = 0;

	for (int level = 3; level < 12; level++) {
		n = rig_pack(r, b, level, best, MIN(room, sizeof best), &cols);
		if (n && div_up(b->head + n, SECTOR) == sectors)
			break;
		n = 0;
	}
	if (!n)
		return false;
	for (unsigned c = 0; c < b->copies; c++) {
		uint8_t *p = r->work.p + b->off[c];

		memcpy(p + b->head, best, n);
		memset(p + b->head + n, 0, room - n);
		if (b->head) {
			le_store(p + 12, 4, n);
			le_store(p + 16, 4, b->edited_len);
			p[48] = (uint8_t)cols;
		}
	}
	*psize = b->head + (uint32_t)n;
	return true;
}

static void rig_point(struct rig *r, unsigned block, uint32_t psize, uint32_t lsize, const uint8_t hash[HASH_LEN])
{
	for (unsigned i = 0; i < r->n_refs; i++) {
		struct rig_ref *f = &r->refs[i];
		struct rig_block *o = f->owner < 0 ? NULL : &r->blocks[f->owner];

		if (f->block != (int)block)
			continue;
		for (unsigned c = 0; c < (o ? o->copies : 1); c++) {
			uint8_t *p = r->work.p + (o ? o->off[c] : 0) + f->at;

			le_store(p + 16, 4, lsize);
			le_store(p + 20, 4, psize);
			memcpy(p + 32, hash, HASH_LEN);
		}
		if (o)
			o->dirty = true;
	}
}

static void rig_crc(uint8_t *p, uint32_t psize)
{
	memset(p + 44, 0, 4);
	le_store(p + 44, 4, crc32c(0, p, psize));
}

static void rig_headers(struct rig *r)
{
	for (unsigned i = 0; i < r->n_headers; i++) {
		uint8_t *p = r->work.p + r->headers[i];

		blake3(p, 4096 - HASH_LEN, p + 4096 - HASH_LEN);
	}
}

/* All hashes. False: a body does not fit where it was. */
static bool rig_fix(struct rig *r)
{
	for (unsigned i = 0; i < r->n_blocks; i++) {
		struct rig_block *b = &r->blocks[i];
		uint32_t psize = b->bp.psize, lsize = b->changed ? b->edited_len : b->body_len;
		uint8_t hash[HASH_LEN];

		if (!b->dirty)
			continue;
		if (b->changed && !rig_repack(r, b, &psize))
			return false;
		for (unsigned c = 0; c < b->copies && b->head; c++)
			rig_crc(r->work.p + b->off[c], psize);
		hash_by_id(b->bp.csum)->digest(r->work.p + b->off[0], psize, hash);
		rig_point(r, i, psize, lsize, hash);
	}
	rig_headers(r);
	return true;
}

/* Another config, in the slot of the newest one, for all uberblocks that name it. */
static bool rig_set_config(struct rig *r, const uint8_t *plain, uint32_t len)
{
	uint8_t blob[65536], hash[HASH_LEN];
	size_t n = codec_compress(r->codec, (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 }, plain, len, blob + 8, sizeof blob - 8);
	struct uberblock u;

	memset(blob, 0, 8);
	le_store(blob, 4, len);
	blob[4] = n ? CODEC_ZSTD : 0;
	if (!n)
		memcpy(blob + 8, plain, n = len);
	n += 8;
	blake3(blob, n, hash);
	for (unsigned i = 0; i < r->n_headers; i++) {
		uint8_t *p = r->work.p + r->headers[i];

		if (uberblock_decode(&u, p, NULL) || u.cfg_slot != r->ub.cfg_slot)
			continue;
		le_store(p + 80, 4, n);
		memcpy(p + 88, hash, HASH_LEN);
	}
	memcpy(r->work.p + rig_config_off(&r->ub), blob, n);
	/* the back label's slots: where its header says */
	for (unsigned i = 0; i < r->n_headers; i++) {
		struct label l;

		if (!label_decode(&l, r->work.p + r->headers[i], NULL) && l.cfg_off + r->ub.cfg_slot * l.cfg_len + n <= r->work.len)
			memcpy(r->work.p + l.cfg_off + r->ub.cfg_slot * l.cfg_len, blob, n);
	}
	rig_headers(r);
	return true;
}

/* ---- items of leaves ---- */

struct rig_items { struct node_body b; struct node_item v[4096]; uint32_t n; };

/* False: not a leaf. The items point into the block's body. */
static bool rig_items(const struct rig *r, unsigned block, struct rig_items *out)
{
	const struct rig_block *b = &r->blocks[block];
	static uint8_t *pool;
	static size_t used;
	uint32_t n = b->bp.kind == PTR_NODE && !b->bp.level ? 1 : 0;

	if (!n || node_body_decode(&out->b, b->body, b->body_len, true, (b->head - NODE_HDR) / PTR_LEN, NULL))
		return false;
	if (!pool)
		pool = malloc(1 << 21);
	used = 0;
	out->n = MIN(out->b.nitems, (uint32_t)ARRAY_LEN(out->v));
	for (uint32_t i = 0; i < out->n; i++) {
		struct node_item *it = &out->v[i];

		node_body_item(&out->b, i, it);
		/* whole keys */
		memcpy(pool + used, out->b.prefix, out->b.prefix_len);
		memcpy(pool + used + out->b.prefix_len, it->key, it->klen);
		it->key = pool + used;
		it->klen = (uint16_t)(it->klen + out->b.prefix_len);
		used += it->klen;
	}
	return true;
}

static void rig_put_items(struct rig *r, unsigned block, const struct rig_items *items)
{
	struct rig_block *b = &r->blocks[block];
	struct buf out = { 0 };

	rig_edit(r, block);
	node_body_encode(&out, true, items->b.low, items->b.low_len, items->v, items->n);
	if (out.len > RIG_ROOM)
		abort();
	memcpy(b->edited, out.data, out.len);
	b->edited_len = (uint32_t)out.len;
	buf_fini(&out);
}
#endif
