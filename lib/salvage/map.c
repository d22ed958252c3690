/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where chunks lie
 * Configs say it; numbers of chunks are never used again, so every config that is found counts, also an old one. Without: a node's pointer has
 * chunk, sector and hash, and when a node of that hash was found somewhere, that place less the sector is the begin of the column. Where a
 * chunk has no nodes, the hash of a data block is tried at every place where the column could begin.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

#define GUESS_TRIES 8u                       /* data blocks of a chunk that are tried */
#define GUESS_BYTES (UINT64_C(4) << 30)      /* hashed for one guess */
#define CFG_EXPAND 64u

static struct chunk_map *chunk_slot(struct sal *s, uint32_t id, bool make, struct lcpfs_error *err)
{
	size_t lo = 0, hi = s->n_chunk;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->chunk[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < s->n_chunk && s->chunk[lo].id == id)
		return &s->chunk[lo];
	if (!make || sal_room(&s->chunk, s->n_chunk, &s->cap_chunk, sizeof *s->chunk, err))
		return NULL;
	memmove(s->chunk + lo + 1, s->chunk + lo, (s->n_chunk++ - lo) * sizeof *s->chunk);
	s->chunk[lo] = (struct chunk_map){ .id = id };
	return &s->chunk[lo];
}

static int add_base(struct sal *s, uint32_t id, uint64_t base, struct lcpfs_error *err)
{
	struct chunk_map *k = chunk_slot(s, id, true, err);

	if (!k)
		return -LCPFS_ENOMEM;
	for (unsigned i = 0; i < k->n; i++)
		if (k->base[i] == base)
			return 0;
	if (k->n < BASES_MAX)
		k->base[k->n++] = base;
	return 0;
}

const struct chunk_map *map_chunk(struct sal *s, uint32_t id)
{
	return chunk_slot(s, id, false, NULL);
}

static int take_config(struct sal *s, const struct config *c, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < c->n_chunks; i++)
		for (unsigned m = 0; !rc && c->chunks[i].profile == PROFILE_MIRROR && m < c->chunks[i].width; m++)
			rc = add_base(s, c->chunks[i].id, c->chunks[i].member[m].start_unit * UNIT, err);
	return rc;
}

/* The stored config of this uberblock at `off`? 1: no. */
static int read_config(struct sal *s, const struct uberblock *ub, uint64_t off, struct config *out, struct lcpfs_error *err)
{
	uint8_t *p = media_block(s, MAX(ub->cfg_len, 8), err), hash[HASH_LEN], *plain;
	uint32_t len;
	int rc;

	if (!p)
		return -LCPFS_ENOMEM;
	media_read(s, off, p, ub->cfg_len);
	blake3(p, ub->cfg_len, hash);
	len = (uint32_t)le_load(p, 4);
	if (ub->cfg_len < 8 || memcmp(hash, ub->cfg_hash, sizeof hash) != 0 || len > CONFIG_DECODED_MAX || p[4] > CODEC_ZSTD ||
	    len / CFG_EXPAND > (64u << 20))
		return 1;
	plain = malloc(MAX(len, 1));
	if (!plain)
		return lcpfs_nomem(err);
	rc = codec_decompress(s->codec, p[4], p + 8, ub->cfg_len - 8, plain, len, NULL) || config_decode(out, plain, len, NULL);
	free(plain);
	return rc ? 1 : 0;
}

int map_configs(struct sal *s, struct lcpfs_error *err)
{
	int rc = 0;

	/* newest first */
	for (size_t u = 0; !rc && u < s->n_uber; u++) {
		const struct uberblock *ub = &s->uber[u].ub;

		if (u && ub->cfg_gen == s->uber[u - 1].ub.cfg_gen && !memcmp(ub->cfg_hash, s->uber[u - 1].ub.cfg_hash, HASH_LEN))
			continue;
		for (size_t i = 0; !rc && i < s->n_cfg; i++) {
			struct config c;

			rc = read_config(s, ub, s->cfg[i].off, &c, err);
			if (rc) {
				rc = MIN(rc, 0);
				continue;
			}
			rc = take_config(s, &c, err);
			if (!s->have_config)
				s->config = c;
			else
				config_fini(&c);
			s->have_config = true;
			break;
		}
	}
	return rc;
}

static int vote_ptr(struct sal *s, const struct blkptr *bp, struct lcpfs_error *err)
{
	const struct found *f = bp->kind == PTR_NODE ? node_find_hash(s, bp) : NULL;
	uint64_t in = (uint64_t)ptr_sector(bp) * SECTOR;

	return f && f->off >= in ? add_base(s, ptr_chunk(bp), f->off - in, err) : 0;
}

/* Each pointer to a node that was found says where its chunk lies: the hash proves it. */
int map_vote(struct sal *s, struct lcpfs_error *err)
{
	int rc = 0;

	if (s->voted)
		return 0;
	s->voted = true;
	for (size_t u = 0; !rc && u < s->n_uber; u++) {
		rc = vote_ptr(s, &s->uber[u].ub.pool_root, err);
		if (!rc)
			rc = vote_ptr(s, &s->uber[u].ub.space_root, err);
	}
	for (size_t i = 0; !rc && i < s->n_found; i++) {
		struct node n;

		/* of leaves only those of the pool tree have pointers to nodes */
		if (!s->found[i].level && s->found[i].guid != 1)
			continue;
		rc = node_by_place(s, &s->found[i], &n, err);
		if (rc) {
			rc = MIN(rc, 0);
			continue;
		}
		for (uint32_t k = 0; !rc && k < n.h.nptr; k++) {
			struct blkptr bp;

			if (!ptr_decode(&bp, n.ptrs + (size_t)k * PTR_LEN, NULL))
				rc = vote_ptr(s, &bp, err);
		}
		node_fini(&n);
	}
	return rc;
}

bool sal_hash_ok(const struct blkptr *bp, const uint8_t *stored)
{
	const struct hash_algo *h = hash_by_id(bp->csum);
	uint8_t hash[HASH_LEN];

	if (!h || bp->suite)
		return false;
	h->digest(stored, bp->psize, hash);
	return memcmp(hash, bp->hash, HASH_LEN) == 0;
}

/* 1: not there. */
static int block_at(struct sal *s, const struct blkptr *bp, uint64_t off, struct lcpfs_error *err)
{
	uint8_t *p = media_block(s, round_up(bp->psize, SECTOR), err);

	if (!p)
		return -LCPFS_ENOMEM;
	if (off >= s->size)
		return 1;
	media_read(s, off, p, bp->psize);
	return sal_hash_ok(bp, p) ? 0 : 1;
}

/* The first four bytes that a block of this codec has; false: any. */
static bool block_begins(const struct blkptr *bp, const uint8_t *p)
{
	return bp->comp != CODEC_ZSTD || le_load(p, 4) == 0xfd2fb528u;
}

/* Every place where the column could begin, as long as that is bearable. */
static int guess(struct sal *s, const struct blkptr *bp, uint64_t *off, struct lcpfs_error *err)
{
	uint64_t in = (uint64_t)ptr_sector(bp) * SECTOR, hashed = 0;
	struct chunk_map *k = chunk_slot(s, ptr_chunk(bp), true, err);
	int rc = k ? 1 : -LCPFS_ENOMEM;

	if (!k || k->tried >= GUESS_TRIES)
		return rc;
	k->tried++;
	for (uint64_t base = 0; rc == 1 && base + in + bp->psize <= s->size && hashed < GUESS_BYTES; base += UNIT) {
		uint8_t head[4];

		media_read(s, base + in, head, sizeof head);
		if (!block_begins(bp, head))
			continue;
		hashed += bp->psize;
		rc = block_at(s, bp, base + in, err);
		*off = base + in;
		if (!rc)
			rc = add_base(s, ptr_chunk(bp), base, err);
		else if (sal_tick(s, "guessing", base, s->size))
			return sal_stopped(err);
	}
	return rc;
}

static int try_bases(struct sal *s, const struct blkptr *bp, uint64_t *off, struct lcpfs_error *err)
{
	const struct chunk_map *k = map_chunk(s, ptr_chunk(bp));
	int rc = 1;

	for (unsigned i = 0; k && rc == 1 && i < k->n; i++)
		if (!add_overflow(k->base[i], (uint64_t)ptr_sector(bp) * SECTOR, off))
			rc = block_at(s, bp, *off, err);
	return rc;
}

int map_find(struct sal *s, const struct blkptr *bp, bool may_guess, uint64_t *off, struct lcpfs_error *err)
{
	const struct chunk_map *k;
	int rc = try_bases(s, bp, off, err);

	k = map_chunk(s, ptr_chunk(bp));
	if (rc != 1 || (k && k->n && s->have_config))
		return rc;
	/* the chunk is not known, or only by what may be wrong */
	rc = scan_all(s, err);
	if (!rc)
		rc = map_vote(s, err);
	if (!rc)
		rc = try_bases(s, bp, off, err);
	k = map_chunk(s, ptr_chunk(bp));
	return rc == 1 && may_guess && !(k && k->n) ? guess(s, bp, off, err) : rc;
}
