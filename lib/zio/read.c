/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: fetch, verify, decode. What is still in the out buffer is read from there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "zio/zio_impl.h"

struct zio_ctx *zio_ctx_get(struct zio *z)
{
	struct zio_ctx *c;

	pthread_mutex_lock(&z->ctx_lock);
	c = z->free_ctx;
	if (c)
		z->free_ctx = c->next;
	pthread_mutex_unlock(&z->ctx_lock);
	if (c)
		return c;
	c = calloc(1, sizeof *c);
	if (c && !(c->codec = codec_ctx_create())) {
		free(c);
		c = NULL;
	}
	return c;
}

void zio_ctx_put(struct zio *z, struct zio_ctx *c)
{
	if (!c)
		return;
	if (c->cap > CTX_KEEP) {
		free(c->stored);
		c->stored = NULL;
		c->cap = 0;
	}
	pthread_mutex_lock(&z->ctx_lock);
	c->next = z->free_ctx;
	z->free_ctx = c;
	pthread_mutex_unlock(&z->ctx_lock);
}

void zio_ctx_free(struct zio_ctx *c)
{
	codec_ctx_destroy(c->codec);
	free(c->stored);
	free(c);
}

/* The context's memory for a stored block, of whole sectors: the pages stay from one block to the next. */
static uint8_t *stored_buf(struct zio_ctx *c, const struct blkptr *bp, struct lcpfs_error *err)
{
	size_t len = round_up(bp->psize, SECTOR);

	if (len > c->cap) {
		size_t cap = MAX(len, MIN(c->cap * 2, (size_t)CTX_KEEP));

		free(c->stored);
		c->stored = malloc(cap);
		c->cap = c->stored ? cap : 0;
	}
	if (!c->stored)
		lcpfs_nomem(err);
	return c->stored;
}

/* True when the block was taken from an out buffer. */
static bool from_out(struct zio *z, const struct blkptr *bp, uint8_t *buf, size_t padded)
{
	bool hit = false;

	pthread_mutex_lock(&z->out_lock);
	for (unsigned i = 0; i < ZIO_OUTS && !hit; i++) {
		const struct zio_out *o = &z->out[i];

		/* all of it or nothing: the pointer may come from a damaged tree */
		if (bp->addr < o->addr || bp->addr - o->addr >= o->len / SECTOR || padded > o->len - (bp->addr - o->addr) * SECTOR)
			continue;
		memcpy(buf, o->buf + (bp->addr - o->addr) * SECTOR, padded);
		hit = true;
	}
	z->stats.reads++;
	z->stats.read_bytes += padded;
	pthread_mutex_unlock(&z->out_lock);
	return hit;
}

/* What the stored bytes can be checked with; NULL: nothing, and why. */
static const struct hash_algo *checksum_of(const struct blkptr *bp, struct lcpfs_error *err)
{
	const struct hash_algo *h = hash_by_id(bp->csum);

	if (bp->suite)
		lcpfs_fail(err, LCPFS_ENOKEY, "block %u:%u is encrypted", ptr_chunk(bp), ptr_sector(bp));
	else if (!h)
		lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", bp->csum);
	return bp->suite ? NULL : h;
}

static int fetch(struct zio *z, const struct blkptr *bp, uint8_t *buf, struct lcpfs_error *err)
{
	size_t padded = round_up(bp->psize, SECTOR);
	struct lcpfs_error why = { 0 };
	int rc;

	if (!checksum_of(bp, &why)) {
		lcpfs_fail(err, why.code, "%s", why.msg);
		return -why.code;
	}
	rc = from_out(z, bp, buf, padded) ? 0 : vdev_read(z->vdev, bp->addr, buf, padded, &why);
	if (!rc)
		rc = zio_verify(bp, buf, &why);
	if (rc)
		rc = zio_other_copy(z, bp, buf, rc, &why);
	if (rc && err)
		*err = why;
	return rc;
}

int zio_read_stored(struct zio *z, const struct blkptr *bp, void *buf, struct lcpfs_error *err)
{
	uint8_t *tmp = malloc(round_up(bp->psize, SECTOR));
	int rc = tmp ? fetch(z, bp, tmp, err) : lcpfs_nomem(err);

	if (!rc)
		memcpy(buf, tmp, bp->psize);
	free(tmp);
	return rc;
}

static int decode(struct zio_ctx *c, const struct blkptr *bp, const uint8_t *stored, void *buf, size_t want, struct lcpfs_error *err)
{
	int rc;

	if (bp->comp == CODEC_NONE) {
		if (bp->psize != bp->lsize)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "plain block of %u bytes says it decodes to %u", bp->psize, bp->lsize);
		memcpy(buf, stored, want);
		return 0;
	}
	rc = want < bp->lsize ? codec_decompress_head(c->codec, bp->comp, stored, bp->psize, buf, bp->lsize, want, err) :
	    codec_decompress(c->codec, bp->comp, stored, bp->psize, buf, bp->lsize, err);
	return rc ? lcpfs_within(err, rc, "block %u:%u", ptr_chunk(bp), ptr_sector(bp)) : 0;
}

/*
 * Verified and decoded where the page cache has it: a first block costs no memory to be copied to; those after it find the context's, and a
 * copy costs less than a mapping. Only for pools that nobody writes, so that what was verified is what is decoded; false: read it the
 * ordinary way, which also has the words for what is wrong.
 */
static bool from_window(struct zio *z, struct zio_ctx *c, const struct blkptr *bp, void *buf, size_t want)
{
	struct blockdev_window w;
	bool good = false;

	if (!z->map || !checksum_of(bp, NULL) || bp->psize < MAP_MIN || c->mapped)
		return false;
	c->mapped = true;
	blockdev_guard();
	if (vdev_map(z->vdev, bp->addr, round_up(bp->psize, SECTOR), &w)) {
		good = !zio_verify(bp, w.p, NULL) && !decode(c, bp, w.p, buf, want, NULL);
		good = blockdev_unmap(&w) && good;
	}
	blockdev_unguard();
	return good;
}

int zio_read_head(struct zio *z, const struct blkptr *bp, void *buf, size_t want, struct lcpfs_error *err)
{
	struct zio_ctx *c = zio_ctx_get(z);
	uint8_t *stored;
	int rc = 0;

	if (!c)
		return lcpfs_nomem(err);
	if (!from_window(z, c, bp, buf, MIN(want, bp->lsize))) {
		stored = stored_buf(c, bp, err);
		rc = stored ? fetch(z, bp, stored, err) : -LCPFS_ENOMEM;
		if (!rc)
			rc = decode(c, bp, stored, buf, MIN(want, bp->lsize), err);
	}
	zio_ctx_put(z, c);
	return rc;
}

int zio_read(struct zio *z, const struct blkptr *bp, void *buf, struct lcpfs_error *err)
{
	/* whole sectors kept plain need no other place on the way */
	if (bp->comp == CODEC_NONE && bp->psize == bp->lsize && bp->psize % SECTOR == 0)
		return fetch(z, bp, buf, err);
	return zio_read_head(z, bp, buf, bp->lsize, err);
}

int zio_node_body(struct codec_ctx *c, const struct node_hdr *h, const uint8_t *stored, uint8_t *body, struct lcpfs_error *err)
{
	uint8_t *cols;
	int rc;

	if (!h->cols)
		return codec_decompress(c, h->comp, stored, h->body_stored, body, h->body_len, err);
	cols = malloc(h->body_len + NODE_COLS_MAX);
	if (!cols)
		return lcpfs_nomem(err);
	rc = codec_decompress(c, h->comp, stored, h->body_stored, cols, h->body_len + h->cols, err);
	if (!rc)
		rc = node_cols_decode(cols, h->cols, body, h->body_len, err);
	free(cols);
	return rc;
}

static int node_open(struct zio_ctx *c, const struct blkptr *bp, const uint8_t *stored, uint8_t **out, uint32_t *nptr,
                     struct lcpfs_error *err)
{
	struct node_hdr h;
	uint8_t *block;
	size_t head;
	int rc = node_hdr_decode(&h, stored, bp->psize, err);

	if (rc)
		return rc;
	if (h.level != bp->level || h.body_len != bp->lsize || h.comp != bp->comp || !h.nptr != !!(bp->flags & PTR_NOPTR))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "its header and its pointer disagree");
	head = (size_t)h.nptr * PTR_LEN;
	block = malloc(head + h.body_len);
	if (!block)
		return lcpfs_nomem(err);
	memcpy(block, stored + NODE_HDR, head);
	rc = zio_node_body(c->codec, &h, stored + NODE_HDR + head, block + head, err);
	if (rc) {
		free(block);
		return rc;
	}
	*out = block;
	*nptr = h.nptr;
	return 0;
}

int zio_try_decode(struct zio *z, const struct blkptr *bp, const uint8_t *stored, struct lcpfs_error *err)
{
	struct zio_ctx *c;
	uint8_t *buf = NULL;
	uint32_t nptr;
	int rc;

	if (bp->suite)
		return 0;
	c = zio_ctx_get(z);
	if (!c)
		return lcpfs_nomem(err);
	if (bp->kind == PTR_NODE) {
		rc = node_open(c, bp, stored, &buf, &nptr, err);
	} else {
		buf = malloc(bp->lsize);
		rc = buf ? decode(c, bp, stored, buf, bp->lsize, err) : lcpfs_nomem(err);
	}
	free(buf);
	zio_ctx_put(z, c);
	return rc;
}

int zio_read_node(struct zio *z, const struct blkptr *bp, uint8_t **ptrs_body, uint32_t *nptr, struct lcpfs_error *err)
{
	struct zio_ctx *c;
	uint8_t *stored;
	int rc;

	if (bp->kind != PTR_NODE)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "block %u:%u is not a node", ptr_chunk(bp), ptr_sector(bp));
	c = zio_ctx_get(z);
	if (!c)
		return lcpfs_nomem(err);
	stored = stored_buf(c, bp, err);
	rc = stored ? fetch(z, bp, stored, err) : -LCPFS_ENOMEM;
	if (!rc)
		rc = node_open(c, bp, stored, ptrs_body, nptr, err);
	zio_ctx_put(z, c);
	return rc ? lcpfs_within(err, rc, "node %u:%u", ptr_chunk(bp), ptr_sector(bp)) : 0;
}
