/* SPDX-License-Identifier: Apache-2.0 */
/* Placing: where a packed block goes, and gathering contiguous blocks into big writes. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "zio/zio_impl.h"

static int flush_out(struct zio *z, struct zio_out *o, struct lcpfs_error *err)
{
	size_t len = o->len;

	o->len = 0;
	return len ? vdev_write(z->vdev, o->addr, o->buf, len, err) : 0;
}

static int write_direct(struct zio *z, uint64_t addr, const void *stored, size_t psize, size_t padded, struct lcpfs_error *err)
{
	uint8_t last[SECTOR] = { 0 };
	size_t whole = round_down(psize, SECTOR);
	int rc = whole ? vdev_write(z->vdev, addr, stored, whole, err) : 0;

	if (!rc && whole < padded) {
		memcpy(last, (const uint8_t *)stored + whole, psize - whole);
		rc = vdev_write(z->vdev, addr + whole / SECTOR, last, SECTOR, err);
	}
	return rc;
}

/* A range that came free and was given out again: what another buffer still holds of it is written before. */
static int flush_overlap(struct zio *z, const struct zio_out *own, uint64_t addr, size_t padded, struct lcpfs_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < ZIO_OUTS && !rc; i++) {
		struct zio_out *o = &z->out[i];

		if (o != own && o->len && addr < o->addr + o->len / SECTOR && o->addr < addr + padded / SECTOR)
			rc = flush_out(z, o, err);
	}
	return rc;
}

static int emit(struct zio *z, struct zio_out *o, uint64_t addr, const void *stored, size_t psize, struct lcpfs_error *err)
{
	size_t padded = round_up(psize, SECTOR);
	int rc = flush_overlap(z, o, addr, padded, err);

	if (!rc && o->len && (addr != o->addr + o->len / SECTOR || o->len + padded > OUT_BYTES))
		rc = flush_out(z, o, err);
	if (rc)
		return rc;
	if (padded > OUT_BYTES)
		return write_direct(z, addr, stored, psize, padded, err);
	if (psize >= DIRECT_MIN && psize == padded) { /* a write of its own costs less than a copy */
		rc = flush_out(z, o, err);
		return rc ? rc : vdev_write(z->vdev, addr, stored, psize, err);
	}
	if (!o->len)
		o->addr = addr;
	memcpy(o->buf + o->len, stored, psize);
	memset(o->buf + o->len + psize, 0, padded - psize);
	o->len += padded;
	return 0;
}

/* Growing may cut off the free end of a chunk, to which nothing must be written any more: what waits is written before. */
static int grow(struct zio *z, unsigned kinds, uint32_t sectors, struct lcpfs_error *err)
{
	int rc = zio_push(z, err);

	return rc ? rc : z->grow(z->grow_arg, kinds, sectors, err);
}

/* Anywhere: class is a preference, and what finds no room among its own, and cannot make it, goes to the others rather than fail. */
static int alloc_any(struct zio *z, unsigned kinds, uint32_t sectors, bool counted, uint64_t *addr)
{
	int rc = space_alloc(z->space, SPACE_ANY, sectors, counted, addr, NULL);

	if (rc != -LCPFS_ENOSPC || kinds != SPACE_META || grow(z, SPACE_DATA, sectors, NULL))
		return rc;
	return space_alloc(z->space, SPACE_ANY, sectors, counted, addr, NULL);
}

static int alloc(struct zio *z, unsigned kinds, uint32_t sectors, bool counted, uint64_t *addr, struct lcpfs_error *err)
{
	int rc = space_alloc(z->space, kinds, sectors, counted, addr, err);

	while (rc == -LCPFS_ENOSPC && z->grow) {
		rc = grow(z, kinds, sectors, err);
		if (rc == -LCPFS_ENOSPC || rc == -LCPFS_ELIMIT)
			return alloc_any(z, kinds, sectors, counted, addr) ? rc : 0;
		if (rc)
			return rc;
		rc = space_alloc(z->space, kinds, sectors, counted, addr, err);
	}
	return rc;
}

static void count(struct zio *z, const struct blkptr *bp)
{
	if (bp->kind == PTR_NODE) {
		z->stats.nodes++;
		z->stats.node_bytes += bp->psize;
	} else {
		z->stats.blocks++;
		z->stats.lbytes += bp->lsize;
		z->stats.pbytes += bp->psize;
	}
}

int zio_place(struct zio *z, struct blkptr *bp, bool counted, const void *stored, struct lcpfs_error *err)
{
	uint32_t sectors = (uint32_t)div_up(bp->psize, SECTOR);
	bool node = bp->kind == PTR_NODE;
	struct lcpfs_error why = { 0 };
	int rc;

	pthread_mutex_lock(&z->place_lock);
	rc = alloc(z, node ? SPACE_META : SPACE_DATA, sectors, counted, &bp->addr, &why);
	if (!rc) {
		bp->birth = z->txg;
		pthread_mutex_lock(&z->out_lock);
		rc = emit(z, &z->out[node], bp->addr, stored, bp->psize, &why);
		if (!rc)
			count(z, bp);
		pthread_mutex_unlock(&z->out_lock);
		if (rc)
			zio_fail(z, rc, &why);
	}
	pthread_mutex_unlock(&z->place_lock);
	if (rc && err)
		*err = why;
	return rc;
}

int zio_push(struct zio *z, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = 0;

	pthread_mutex_lock(&z->out_lock);
	for (unsigned i = 0; i < ZIO_OUTS && !rc; i++)
		rc = flush_out(z, &z->out[i], &why);
	pthread_mutex_unlock(&z->out_lock);
	if (rc)
		zio_fail(z, rc, &why);
	if (rc && err)
		*err = why;
	return rc;
}

int zio_write_stored(struct zio *z, const void *stored, struct blkptr *bp, struct lcpfs_error *err)
{
	int rc = zio_wait(z, err);

	return rc ? rc : zio_place(z, bp, true, stored, err);
}

/* The body, arranged and compressed or as it is, behind the header's place; the header's fields about it. */
static int body_put(struct zio *z, struct codec_ctx *ctx, const uint8_t *body, struct node_hdr *h, uint8_t *to, struct lcpfs_error *err)
{
	uint32_t body_len = h->body_len;
	uint8_t *cols = z->columns && !h->level ? malloc(body_len + NODE_COLS_MAX) : NULL;
	size_t n;

	if (z->columns && !h->level && !cols)
		return lcpfs_nomem(err);
	h->cols = cols ? (uint8_t)node_cols_encode(body, body_len, cols) : 0;
	n = codec_compress(ctx, (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 }, h->cols ? cols : body, body_len + h->cols, to, body_len);
	free(cols);
	h->comp = n ? CODEC_ZSTD : CODEC_NONE;
	if (!n) {
		h->cols = 0;
		memcpy(to, body, body_len);
		n = body_len;
	}
	h->body_stored = (uint32_t)n;
	return 0;
}

size_t zio_node_room(const struct node_hdr *h)
{
	return NODE_HDR + (size_t)h->nptr * PTR_LEN + h->body_len;
}

int zio_node_pack(struct zio *z, struct codec_ctx *ctx, struct node_hdr *h, const uint8_t *ptrs, const uint8_t *body, uint8_t *stored,
                  struct blkptr *bp, struct lcpfs_error *err)
{
	size_t head = NODE_HDR + (size_t)h->nptr * PTR_LEN, len;
	int rc = body_put(z, ctx, body, h, stored + head, err);

	if (rc)
		return rc;
	if (h->nptr)
		memcpy(stored + NODE_HDR, ptrs, (size_t)h->nptr * PTR_LEN);
	len = head + h->body_stored;
	node_hdr_encode(h, stored);
	le_store(stored + 44, 4, crc32c(0, stored, len));
	*bp = (struct blkptr){ .kind = PTR_NODE, .level = h->level, .flags = h->nptr ? 0 : PTR_NOPTR, .lsize = h->body_len,
		.psize = (uint32_t)len, .comp = h->comp, .csum = z->csum->id };
	z->csum->digest(stored, bp->psize, bp->hash);
	return 0;
}

int zio_write_node(struct zio *z, bool counted, unsigned level, uint64_t tree_guid, const uint8_t *ptrs, uint32_t nptr,
                   const uint8_t *body, uint32_t body_len, struct blkptr *bp, struct lcpfs_error *err)
{
	struct node_hdr h = { .level = (uint8_t)level, .nptr = nptr, .body_len = body_len, .tree_guid = tree_guid, .birth = z->txg };
	uint8_t *stored = malloc(zio_node_room(&h));
	int rc = stored ? zio_wait(z, err) : lcpfs_nomem(err);

	if (!rc) {
		h.seq = ++z->node_seq;
		rc = zio_node_pack(z, z->ctx, &h, ptrs, body, stored, bp, err);
	}
	if (!rc)
		rc = zio_place(z, bp, counted, stored, err);
	free(stored);
	return rc;
}

void zio_get_stats(struct zio *z, struct zio_stats *out)
{
	pthread_mutex_lock(&z->out_lock);
	*out = z->stats;
	pthread_mutex_unlock(&z->out_lock);
}
