/* SPDX-License-Identifier: Apache-2.0 */
/* Clean nodes: reading, checking, searching. */
#include <inttypes.h>
#include <stdlib.h>
#include "btree/btree_impl.h"

int bt_bytes_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int c = memcmp(a, b, MIN(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

int bt_key_cmp(const struct bt_key *x, const struct bt_key *y)
{
	struct bt_key p = *x, q = *y;

	for (;;) {
		uint16_t n = MIN(p.alen, q.alen);
		int c = memcmp(p.a, q.a, n);

		if (c)
			return c;
		p.a += n, p.alen -= n;
		q.a += n, q.alen -= n;
		if (!p.alen)
			p.a = p.b, p.alen = p.blen, p.blen = 0;
		if (!q.alen)
			q.a = q.b, q.alen = q.blen, q.blen = 0;
		if (!p.alen || !q.alen)
			return (p.alen != 0) - (q.alen != 0);
	}
}

uint16_t bt_common(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	size_t n = 0, max = MIN(alen, blen);

	while (n < max && a[n] == b[n])
		n++;
	return (uint16_t)n;
}

uint16_t bt_separator_len(const uint8_t *last, size_t last_len, const uint8_t *first, size_t first_len)
{
	return (uint16_t)(bt_common(last, last_len, first, first_len) + 1);
}

static void clean_destroy(struct arc_obj *o)
{
	struct bt_clean *n = (struct bt_clean *)o;

	free(n->mem);
	free(n);
}

/* What a pointer in a node of this level and birth must be, short of decoding it. */
static int check_raw(const uint8_t *raw, unsigned level, uint64_t birth, struct lcpfs_error *err)
{
	uint64_t addr = ptr_raw_addr(raw), b = ptr_raw_birth(raw);

	if (!addr || b > birth)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 " of birth %" PRIu64 " in a node of birth %" PRIu64,
		    addr, b, birth);
	if (level && raw[14] != (PTR_NODE | (level - 1) << 4))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 ": kind and level %02x below level %u", addr, raw[14],
		    level);
	return 0;
}

static void index_ptrs(struct bt_clean *n)
{
	uint16_t at = 0;

	for (uint32_t i = 0; i < n->body.nitems; i++) {
		n->ptr_at[i] = at;
		at += node_end_at(n->body.val_end, i) >> 28;
	}
}

int bt_clean_make(struct bt_clean **out, uint8_t *mem, uint32_t nptr, uint32_t body_len, unsigned level, uint64_t addr,
                  uint64_t birth, struct lcpfs_error *err)
{
	struct node_body body;
	struct bt_clean *n;
	size_t size;
	int rc;

	if ((uint64_t)nptr * PTR_LEN + body_len > NODE_LIMIT)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %u pointers and a body of %u bytes", nptr, body_len);
	rc = node_body_decode(&body, mem + (size_t)nptr * PTR_LEN, body_len, level == 0, nptr, err);
	for (uint32_t i = 0; !rc && i < nptr; i++)
		rc = check_raw(mem + (size_t)i * PTR_LEN, level, birth, err);
	if (rc)
		return rc;
	size = sizeof *n + (level == 0 && nptr ? body.nitems * sizeof n->ptr_at[0] : 0);
	n = calloc(1, size);
	if (!n)
		return lcpfs_nomem(err);
	n->obj = (struct arc_obj){ .addr = addr, .birth = birth, .refs = 1, .destroy = clean_destroy,
		.bytes = size + (size_t)nptr * PTR_LEN + body_len };
	n->mem = mem;
	n->body = body;
	n->nptr = nptr;
	n->body_len = body_len;
	n->level = (uint8_t)level;
	if (level == 0 && nptr)
		index_ptrs(n);
	*out = n;
	return 0;
}

static int read_node(struct btree_store *s, const struct blkptr *bp, uint8_t **mem, uint32_t *nptr, struct lcpfs_error *err)
{
	int rc;

	*mem = NULL;
	if (bp->kind != PTR_NODE || bp->level >= TREE_DEPTH_MAX || (bp->level && (bp->flags & PTR_NOPTR)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "not a node: kind %u level %u", bp->kind, bp->level);
	rc = s->ops->read(s, bp, mem, nptr, err);
	if (rc)
		return rc;
	if ((bp->flags & PTR_NOPTR) && *nptr) {
		free(*mem);
		*mem = NULL;
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%u pointers in a node said to have none", *nptr);
	}
	return 0;
}

/* The cached node for a pointer; NULL also when something else is cached there. */
static struct bt_clean *cached(struct btree_store *s, uint64_t addr, uint64_t birth, bool *foreign)
{
	struct arc_obj *o = s->arc ? arc_get(s->arc, addr, birth) : NULL;

	*foreign = o && o->destroy != clean_destroy;
	if (!*foreign)
		return (struct bt_clean *)o;
	arc_put(o);
	return NULL;
}

static int load_node(struct btree_store *s, const uint8_t *raw, unsigned level, struct bt_clean **out, struct lcpfs_error *err)
{
	struct bt_clean *n;
	struct blkptr bp;
	uint8_t *mem;
	uint32_t nptr;
	int rc = ptr_decode(&bp, raw, err);

	if (!rc)
		rc = read_node(s, &bp, &mem, &nptr, err);
	if (rc)
		return rc;
	rc = bt_clean_make(&n, mem, nptr, bp.lsize, level, bp.addr, bp.birth, err);
	if (rc)
		free(mem);
	else
		*out = n;
	return rc;
}

/* From the cache, or loaded into it, once for all who ask. */
static int shared_node(struct btree_store *s, const uint8_t *raw, unsigned level, struct bt_clean **out, struct lcpfs_error *err)
{
	struct arc_flight f;
	struct arc_obj *o = arc_begin(s->arc, ptr_raw_addr(raw), ptr_raw_birth(raw), &f);
	struct bt_clean *n = NULL;
	int rc = 0;

	if (o && o->destroy != clean_destroy) {
		arc_put(o);
		return load_node(s, raw, level, out, err);
	}
	if (!o) {
		rc = load_node(s, raw, level, &n, err);
		o = arc_end(s->arc, &f, rc ? NULL : &n->obj);
	}
	if (rc)
		return rc;
	if (o->destroy != clean_destroy) {
		arc_put(o);
		return lcpfs_fail(err, LCPFS_ECORRUPT, "it is used as a node and as data");
	}
	*out = (struct bt_clean *)o;
	return 0;
}

int bt_node_get(struct btree_store *s, const uint8_t *raw, unsigned level, uint64_t birth_max, bool insert,
                struct bt_clean **out, struct lcpfs_error *err)
{
	uint64_t addr = ptr_raw_addr(raw), birth = ptr_raw_birth(raw);
	struct bt_clean *n = NULL;
	bool foreign;
	int rc = check_raw(raw, level + 1, birth_max, err);

	if (!rc && insert)
		rc = shared_node(s, raw, level, &n, err);
	else if (!rc && !(n = cached(s, addr, birth, &foreign)))
		rc = load_node(s, raw, level, &n, err);
	if (!rc && n->level != level) {
		bt_node_put(n);
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "level %u where %u belongs", n->level, level);
	}
	if (rc)
		return lcpfs_within(err, rc, "node %" PRIx64 " (level %u)", addr, level);
	*out = n;
	return 0;
}

static int check_ptrs(const struct bt_ptrs *p, const struct blkptr *bp, struct lcpfs_error *err)
{
	struct blkptr child;
	int rc = 0;

	if (bp->level && !p->n)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "no pointers");
	for (uint32_t i = 0; !rc && i < p->n; i++) {
		const uint8_t *raw = p->raw + (size_t)i * PTR_LEN;

		rc = check_raw(raw, bp->level, bp->birth, err);
		if (!rc)
			rc = ptr_decode(&child, raw, err);
	}
	return rc;
}

int bt_ptrs_get(struct btree_store *s, const struct blkptr *bp, struct bt_ptrs *out, struct lcpfs_error *err)
{
	struct bt_ptrs p = { 0 };
	bool foreign;
	int rc = 0;

	if (bp->kind == PTR_NODE)
		p.node = cached(s, bp->addr, bp->birth, &foreign);
	if (p.node && p.node->level == bp->level) {
		p.raw = p.node->mem;
		p.n = p.node->nptr;
	} else {
		rc = read_node(s, bp, &p.mem, &p.n, err);
		p.raw = p.mem;
	}
	if (!rc)
		rc = check_ptrs(&p, bp, err);
	if (rc) {
		bt_ptrs_put(&p);
		return lcpfs_within(err, rc, "node %" PRIx64 " (level %u)", bp->addr, bp->level);
	}
	*out = p;
	return 0;
}

void bt_ptrs_put(struct bt_ptrs *p)
{
	bt_node_put(p->node);
	free(p->mem);
	*p = (struct bt_ptrs){ 0 };
}

struct bt_key bt_clean_key(const struct bt_clean *n, uint32_t i)
{
	const struct node_body *b = &n->body;
	uint32_t from = i ? node_end_at(b->key_end, i - 1) : 0;

	return (struct bt_key){ b->prefix, b->keys + from, b->prefix_len, (uint16_t)(node_end_at(b->key_end, i) - from) };
}

uint32_t bt_clean_search(const struct bt_clean *n, const uint8_t *key, size_t klen, bool *exact)
{
	const struct node_body *b = &n->body;
	uint32_t lo = 0, hi = b->nitems;
	int c = memcmp(key, b->prefix, MIN(klen, b->prefix_len));

	*exact = false;
	if (c < 0 || (!c && klen < b->prefix_len))
		return 0;
	if (c > 0)
		return hi;
	key += b->prefix_len;
	klen -= b->prefix_len;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2, from = mid ? node_end_at(b->key_end, mid - 1) : 0;

		c = bt_bytes_cmp(b->keys + from, node_end_at(b->key_end, mid) - from, key, klen);
		if (!c) {
			*exact = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bt_clean_fences(const struct bt_clean *n, const struct bt_key *low, const struct bt_key *high, struct lcpfs_error *err)
{
	struct bt_key own = bt_key_of(n->body.low, n->body.low_len), last;

	if (bt_key_cmp(&own, low))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node %" PRIx64 ": its low fence is not its parent's separator", n->obj.addr);
	if (!high || !n->body.nitems)
		return 0;
	last = bt_clean_key(n, n->body.nitems - 1);
	if (bt_key_cmp(&last, high) >= 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node %" PRIx64 ": keys beyond its parent's next separator", n->obj.addr);
	return 0;
}

int bt_store_write(struct btree_store *s, unsigned level, uint64_t guid, const uint8_t *ptrs, uint32_t nptr, const struct buf *body,
                   struct blkptr *bp, struct lcpfs_error *err)
{
	int rc;

	if (body->failed)
		return lcpfs_nomem(err);
	if ((uint64_t)nptr * PTR_LEN + body->len > NODE_LIMIT)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a tree node of %zu bytes", (size_t)nptr * PTR_LEN + body->len);
	memset(bp, 0, sizeof *bp);
	rc = s->ops->write(s, level, guid, ptrs, nptr, body->data, (uint32_t)body->len, bp, err);
	if (!rc)
		arc_forget(s->arc, bp->addr, bp->birth);
	return rc;
}

int bt_store_kill_raw(struct btree_store *s, void *owner, const uint8_t *raw, uint32_t n, bool is_node, struct lcpfs_error *err)
{
	struct blkptr bp;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < n; i++) {
		rc = ptr_decode(&bp, raw + (size_t)i * PTR_LEN, err);
		if (!rc)
			rc = s->ops->kill(s, owner, &bp, is_node, err);
	}
	return rc;
}
