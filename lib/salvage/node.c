/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: where a pointer says, or wherever one of the same hash was found. */
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

/* ---- the index of hashes ---- */

struct sorting { const struct found *list; unsigned by; };

static int compare_hash(const void *x, const void *y, void *arg)
{
	const struct sorting *o = arg;
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	int c = memcmp(o->list[a].hash[o->by], o->list[b].hash[o->by], FOUND_HASH);

	return c ? c : (a > b) - (a < b);
}

int node_sort(struct sal *s, struct lcpfs_error *err)
{
	for (unsigned k = 0; k < 2; k++) {
		struct sorting o = { s->found, k };

		s->by_hash[k] = malloc(MAX(s->n_found, 1) * sizeof *s->by_hash[k]);
		if (!s->by_hash[k])
			return lcpfs_nomem(err);
		for (size_t i = 0; i < s->n_found; i++)
			s->by_hash[k][i] = (uint32_t)i;
		qsort_r(s->by_hash[k], s->n_found, sizeof *s->by_hash[k], compare_hash, &o);
	}
	return 0;
}

const struct found *node_find_hash(const struct sal *s, const struct blkptr *bp)
{
	unsigned k = bp->csum == HASH_SHA256;
	size_t lo = 0, hi = s->n_found;

	if (!s->by_hash[k])
		return NULL;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (memcmp(s->found[s->by_hash[k][mid]].hash[k], bp->hash, FOUND_HASH) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->n_found || memcmp(s->found[s->by_hash[k][lo]].hash[k], bp->hash, FOUND_HASH) != 0)
		return NULL;
	return &s->found[s->by_hash[k][lo]];
}

/* ---- decoding ---- */

static int decode(struct sal *s, const uint8_t *stored, size_t len, struct node *out, struct lcpfs_error *err)
{
	struct node n = { 0 };
	size_t head;

	if (node_hdr_decode(&n.h, stored, len, NULL) || n.h.flags)
		return 1;
	head = NODE_HDR + (size_t)n.h.nptr * PTR_LEN;
	n.raw = malloc(head + n.h.body_len);
	if (!n.raw)
		return lcpfs_nomem(err);
	memcpy(n.raw, stored, head);
	n.ptrs = n.raw + NODE_HDR;
	n.body = n.raw + head;
	n.guid = le_load(stored + 28, 8);
	if (zio_node_body(s->codec, &n.h, stored + head, n.body, NULL) ||
	    node_body_decode(&n.b, n.body, n.h.body_len, !n.h.level, n.h.nptr, NULL)) {
		free(n.raw);
		return 1;
	}
	*out = n;
	return 0;
}

int node_by_place(struct sal *s, const struct found *f, struct node *out, struct lcpfs_error *err)
{
	uint8_t *p = media_block(s, f->psize, err);

	if (!p)
		return -LCPFS_ENOMEM;
	media_read(s, f->off, p, f->psize);
	return decode(s, p, f->psize, out, err);
}

int node_by_ptr(struct sal *s, const struct blkptr *bp, struct node *out, struct lcpfs_error *err)
{
	const struct found *f;
	uint64_t off;
	int rc;

	if (bp->kind != PTR_NODE || bp->psize > NODE_HDR + 2 * NODE_LIMIT)
		return 1;
	rc = map_find(s, bp, false, &off, err);
	if (rc == 1) {
		rc = scan_all(s, err);
		f = rc ? NULL : node_find_hash(s, bp);
		if (!f || f->psize != bp->psize)
			return rc ? rc : 1;
		if (!media_block(s, f->psize, err))
			return -LCPFS_ENOMEM;
		media_read(s, f->off, s->block, f->psize);
		rc = sal_hash_ok(bp, s->block) ? 0 : 1;
	}
	if (!rc)
		rc = decode(s, s->block, bp->psize, out, err);
	if (!rc && (out->h.level != bp->level || out->h.body_len != bp->lsize)) {
		node_fini(out);
		rc = 1;
	}
	return rc;
}

void node_fini(struct node *n)
{
	free(n->raw);
	n->raw = NULL;
}
