/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a tree node by node, trusting nothing: a damaged node costs what is below it and no more. */
#include "check/check_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int ck_key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	size_t n = MIN(alen, blen);
	int c = n ? memcmp(a, b, n) : 0;

	return c ? c : (alen > blen) - (alen < blen);
}

static int key_cmp(const struct ck_key *a, const struct ck_key *b)
{
	return ck_key_cmp(a->p, a->len, b->p, b->len);
}

struct loaded {
	uint8_t *mem;
	uint32_t nptr;
	struct node_body body;
};

/* The whole key of entry i, put together in buf. */
static struct ck_key key_at(const struct node_body *b, uint32_t i, uint8_t buf[KEY_MAX])
{
	struct node_item it;

	node_body_item(b, i, &it);
	if (b->prefix_len)
		memcpy(buf, b->prefix, b->prefix_len);
	if (it.klen)
		memcpy(buf + b->prefix_len, it.key, it.klen);
	return (struct ck_key){ buf, (size_t)b->prefix_len + it.klen };
}

static int check_ptrs(const struct blkptr *bp, const struct loaded *l, struct lcpfs_error *err)
{
	struct blkptr c;

	for (uint32_t i = 0; i < l->nptr; i++) {
		int rc = ptr_decode(&c, l->mem + (size_t)i * PTR_LEN, err);

		if (rc)
			return rc;
		if (ptr_is_null(&c) || c.birth > bp->birth)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %u:%u of birth %" PRIu64 " in a node of birth %" PRIu64, ptr_chunk(&c),
			    ptr_sector(&c), c.birth, bp->birth);
		if (bp->level && (c.kind != PTR_NODE || c.level + 1 != bp->level))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %u:%u of kind %u, level %u below level %u", ptr_chunk(&c),
			    ptr_sector(&c), c.kind, c.level, bp->level);
		if (!bp->level && c.kind == PTR_NODE && c.level >= TREE_DEPTH_MAX)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "tree root of level %u", c.level);
	}
	return 0;
}

static int check_fences(const struct loaded *l, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct ck_key own = { l->body.low, l->body.low_len }, last;
	uint8_t buf[KEY_MAX];

	if (key_cmp(&own, low))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "its low fence is not its parent's separator");
	if (!high || !l->body.nitems)
		return 0;
	last = key_at(&l->body, l->body.nitems - 1, buf);
	if (key_cmp(&last, high) >= 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "keys beyond its parent's next separator");
	return 0;
}

static int load(struct check *ck, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct loaded *l,
                struct lcpfs_error *err)
{
	int rc;

	*l = (struct loaded){ 0 };
	if (bp->kind != PTR_NODE || bp->level >= TREE_DEPTH_MAX || (bp->level && (bp->flags & PTR_NOPTR)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "not a node: kind %u, level %u", bp->kind, bp->level);
	rc = zio_read_node(ck->spa->zio, bp, &l->mem, &l->nptr, err);
	if (!rc)
		rc = node_body_decode(&l->body, l->mem + (size_t)l->nptr * PTR_LEN, bp->lsize, bp->level == 0, l->nptr, err);
	if (!rc)
		rc = check_ptrs(bp, l, err);
	if (!rc)
		rc = check_fences(l, low, high, err);
	if (rc) {
		free(l->mem);
		l->mem = NULL;
	}
	return rc;
}

static bool outside(const struct ck_walk *w, const struct ck_key *low, const struct ck_key *high)
{
	return (w->to.p && key_cmp(low, &w->to) >= 0) || (high && w->from.p && key_cmp(high, &w->from) <= 0);
}

static int walk_items(const struct ck_walk *w, const struct loaded *l, struct lcpfs_error *err)
{
	const uint8_t *ptrs = l->mem;
	uint8_t buf[KEY_MAX];
	int rc = 0;

	for (uint32_t i = 0; !rc && i < l->body.nitems; i++) {
		struct ck_key k = key_at(&l->body, i, buf);
		struct node_item n;
		struct bt_item it;

		node_body_item(&l->body, i, &n);
		it = (struct bt_item){ .key = k.p, .klen = (uint16_t)k.len, .val = n.val, .vlen = n.vlen, .ptrs = ptrs, .nptr = n.nptr };
		ptrs += (size_t)n.nptr * PTR_LEN;
		if (w->from.p && key_cmp(&k, &w->from) < 0)
			continue;
		if (w->to.p && key_cmp(&k, &w->to) >= 0)
			break;
		rc = w->item(w->arg, &it, err);
	}
	return rc;
}

static int walk_node(struct check *ck, const struct ck_walk *w, const struct blkptr *bp, const struct ck_key *low,
                     const struct ck_key *high, struct lcpfs_error *err);

static int walk_children(struct check *ck, const struct ck_walk *w, const struct loaded *l, const struct ck_key *high,
                         struct lcpfs_error *err)
{
	uint8_t lo[KEY_MAX], hi[KEY_MAX];
	int rc = 0;

	for (uint32_t i = 0; !rc && i < l->body.nitems; i++) {
		bool last = i + 1 == l->body.nitems;
		struct ck_key clow = key_at(&l->body, i, lo), chigh = last ? (struct ck_key){ 0 } : key_at(&l->body, i + 1, hi);
		const struct ck_key *up = last ? high : &chigh;
		struct blkptr c;

		if (outside(w, &clow, up))
			continue;
		rc = ptr_decode(&c, l->mem + (size_t)i * PTR_LEN, err);
		if (!rc)
			rc = walk_node(ck, w, &c, &clow, up, err);
	}
	return rc;
}

static int walk_node(struct check *ck, const struct ck_walk *w, const struct blkptr *bp, const struct ck_key *low,
                     const struct ck_key *high, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct loaded l;
	int rc = w->node ? w->node(w->arg, bp, low, high, err) : 0;

	if (rc)
		return MIN(rc, 0);
	rc = load(ck, bp, low, high, &l, &why);
	if (rc == -LCPFS_ENOMEM || (rc && !w->bad)) {
		if (err)
			*err = why;
		return rc;
	}
	if (rc)
		return w->bad(w->arg, bp, low, high, rc, &why, err);
	if (bp->level)
		rc = walk_children(ck, w, &l, high, err);
	else if (w->item)
		rc = walk_items(w, &l, err);
	free(l.mem);
	return rc ? rc : ck_tick(ck, 0, 0, err);
}

int ck_walk(struct check *ck, const struct blkptr *root, const struct ck_walk *w, struct lcpfs_error *err)
{
	struct ck_key low = { (const uint8_t *)"", 0 };

	return ptr_is_null(root) ? 0 : walk_node(ck, w, root, &low, NULL, err);
}

void ck_walk_types(struct ck_walk *w, uint8_t first, uint8_t last, uint8_t buf[2])
{
	buf[0] = first;
	buf[1] = (uint8_t)(last + 1);
	w->from = (struct ck_key){ buf, 1 };
	w->to = (struct ck_key){ buf + 1, 1 };
}

static size_t key_text(const struct ck_key *k, bool pool, char *out, size_t len)
{
	struct buf b = { 0 };
	uint8_t key[KEY_MAX] = { 0 };
	size_t klen = MAX(k->len, (size_t)9), n;

	/* a separator may be shorter than any key: filled up with zeros it stands for the same place */
	if (!k->len || k->len > KEY_MAX)
		return (size_t)snprintf(out, len, "the begin");
	memcpy(key, k->p, k->len);
	if (pool)
		record_print(key, klen, NULL, 0, NULL, 0, &b);
	else
		item_print(key, klen, NULL, 0, NULL, 0, &b);
	for (n = 0; n < b.len && n < 60 && memcmp(b.data + n, " =", MIN((size_t)2, b.len - n)) && b.data[n] != ':'; n++)
		;
	n = (size_t)snprintf(out, len, "%.*s", (int)n, b.data ? (char *)b.data : "");
	buf_fini(&b);
	return n;
}

void ck_range_text(const struct ck_key *low, const struct ck_key *high, bool pool, char *out, size_t len)
{
	char a[80] = "", b[80] = "the end";

	key_text(low, pool, a, sizeof a);
	if (high)
		key_text(high, pool, b, sizeof b);
	snprintf(out, len, "items from %s to %s", a, b);
}
