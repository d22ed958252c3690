/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items of a tree, from what is left of it
 * First from the root, as far as it goes; each child that cannot be had leaves a range of keys missing. Then found nodes of the same tree stand in,
 * the youngest first and of equally old ones the highest: what a node covers, nothing older can say better. None younger than the lost
 * pointer counts: it would be of another history. Without a root everything is missing at first.
 *
 * A found node tells where it begins (its low fence), but not where it ends, unless its parent is there too: what lies between its last key and
 * the next node may be nothing, or lost. So a range of which a part was had is only said to be lost where something else shows it.
 */
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

struct bound { const uint8_t *p; uint16_t len; bool none; }; /* none: no upper end; as a lower one: len 0 */

static int order(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int c = memcmp(a, b, MIN(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

static struct gather_key key_of(const uint8_t *p, size_t len)
{
	struct gather_key k = { .len = (uint16_t)MIN(len, (size_t)KEY_MAX) };

	memcpy(k.b, p, k.len);
	return k;
}

static bool below_hi(const struct miss *m, const uint8_t *k, size_t len)
{
	return m->to_end || order(k, len, m->hi.b, m->hi.len) < 0;
}

/* The first missing range that ends after this key. */
static size_t miss_at(const struct gather *g, const uint8_t *k, size_t len)
{
	size_t lo = 0, hi = g->n_miss;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (below_hi(&g->miss[mid], k, len))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int miss_insert(struct gather *g, size_t at, const struct miss *m, struct lcpfs_error *err)
{
	int rc = sal_room(&g->miss, g->n_miss, &g->cap_miss, sizeof *g->miss, err);

	if (rc)
		return rc;
	memmove(g->miss + at + 1, g->miss + at, (g->n_miss++ - at) * sizeof *m);
	g->miss[at] = *m;
	return 0;
}

static int miss_add(struct gather *g, const struct bound *lo, const struct bound *hi, uint64_t max_birth, bool leaf, struct lcpfs_error *err)
{
	struct miss m = { .lo = key_of(lo->p, lo->len), .to_end = hi->none, .max_birth = max_birth, .leaf = leaf };

	if (!hi->none)
		m.hi = key_of(hi->p, hi->len);
	g->lost_nodes++;
	return miss_insert(g, miss_at(g, lo->p, lo->len), &m, err);
}

/* *old: what was lost there is known to be younger. */
static bool has_key(const struct gather *g, const uint8_t *k, size_t len, uint64_t birth, bool *old)
{
	size_t i = miss_at(g, k, len);

	if (i == g->n_miss || order(g->miss[i].lo.b, g->miss[i].lo.len, k, len) > 0 || birth > g->miss[i].max_birth)
		return false;
	*old = g->miss[i].leaf && birth < g->miss[i].max_birth;
	return true;
}

/* Some missing range within [lo, hi) that a node of this birth may fill? */
static bool has_range(const struct gather *g, const struct bound *lo, const struct bound *hi, uint64_t birth)
{
	for (size_t i = miss_at(g, lo->p, lo->len); i < g->n_miss; i++) {
		if (!hi->none && order(g->miss[i].lo.b, g->miss[i].lo.len, hi->p, hi->len) >= 0)
			return false;
		if (birth <= g->miss[i].max_birth)
			return true;
	}
	return false;
}

bool gather_misses(const struct gather *g, const void *lo, size_t lo_len, const void *hi, size_t hi_len)
{
	struct bound l = { .p = lo, .len = (uint16_t)lo_len }, h = { .p = hi, .len = (uint16_t)hi_len };

	return has_range(g, &l, &h, 0);
}

/* [lo, hi) is there now, where `birth` may say so. */
static int cover(struct gather *g, const struct bound *lo, const struct bound *hi, uint64_t birth, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = miss_at(g, lo->p, lo->len); !rc && i < g->n_miss;) {
		struct miss *m = &g->miss[i], rest = *m;
		bool head = order(m->lo.b, m->lo.len, lo->p, lo->len) < 0;
		bool tail = !hi->none && below_hi(m, hi->p, hi->len);

		if (!hi->none && order(m->lo.b, m->lo.len, hi->p, hi->len) >= 0)
			break;
		if (birth > m->max_birth) {
			i++;
			continue;
		}
		m->touched = rest.touched = true;
		if (tail)
			rest.lo = key_of(hi->p, hi->len);
		if (head) {
			m->hi = key_of(lo->p, lo->len);
			m->to_end = false;
			i++;
			rc = tail ? miss_insert(g, i, &rest, err) : 0;
			i += tail;
		} else if (tail) {
			*m = rest;
			i++;
		} else {
			memmove(m, m + 1, (--g->n_miss - i) * sizeof *m);
		}
	}
	return rc;
}

void gather_guid_add(struct gather *g, uint64_t guid, uint64_t max_birth)
{
	for (unsigned i = 0; i < g->n_guid; i++)
		if (g->guid[i].guid == guid) {
			g->guid[i].max_birth = MAX(g->guid[i].max_birth, max_birth);
			return;
		}
	if (g->n_guid < GATHER_GUIDS)
		g->guid[g->n_guid++] = (struct gather_guid){ guid, max_birth };
}

static size_t full_key(const struct node *n, uint32_t i, struct node_item *it, uint8_t key[KEY_MAX])
{
	node_body_item(&n->b, i, it);
	memcpy(key, n->b.prefix, n->b.prefix_len);
	memcpy(key + n->b.prefix_len, it->key, it->klen);
	return (size_t)n->b.prefix_len + it->klen;
}

/* fill 0: all items count; else only what is missing, from a node of that birth. */
static int leaf_items(struct gather *g, const struct node *n, const struct bound *hi, uint64_t fill, struct lcpfs_error *err)
{
	const struct bound low = { .p = n->b.low, .len = n->b.low_len };
	uint8_t key[KEY_MAX + 1];
	struct bound end = *hi;
	uint32_t ptr = 0;
	size_t klen = 0;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < n->b.nitems; i++) {
		struct gather_item out;
		struct node_item it;

		klen = full_key(n, i, &it, key);
		out = (struct gather_item){ key, it.val, n->ptrs + (size_t)ptr * PTR_LEN, (uint16_t)klen, it.vlen, it.nptr, false };
		ptr += it.nptr;
		if (!hi->none && order(key, klen, hi->p, hi->len) >= 0)
			break;
		if (!fill || has_key(g, key, klen, fill, &out.old))
			rc = g->item(g->arg, &out, err);
	}
	if (rc || !fill)
		return rc;
	if (hi->none) { /* not known: the least key after the last one */
		key[klen] = 0;
		end = (struct bound){ .p = klen ? key : low.p, .len = (uint16_t)(klen ? MIN(klen + 1, (size_t)KEY_MAX) : low.len) };
	}
	return cover(g, &low, &end, fill, err);
}

static int walk(struct gather *g, const struct node *n, const struct bound *hi, uint64_t fill, struct lcpfs_error *err);

/* The child that bp names, which has the keys of [lo, hi). */
static int walk_child(struct gather *g, const struct blkptr *bp, const struct bound *lo, const struct bound *hi, uint64_t fill,
                      struct lcpfs_error *err)
{
	struct node n;
	int rc = node_by_ptr(g->s, bp, &n, err);

	/* a child begins where its parent says: so no node is walked twice */
	if (!rc && (n.b.low_len != lo->len || memcmp(n.b.low, lo->p, lo->len) != 0)) {
		node_fini(&n);
		rc = 1;
	}
	if (rc == 1)
		return fill ? 0 : miss_add(g, lo, hi, bp->birth, !bp->level, err);
	if (rc)
		return rc;
	rc = walk(g, &n, hi, fill, err);
	node_fini(&n);
	return rc;
}

static int walk(struct gather *g, const struct node *n, const struct bound *hi, uint64_t fill, struct lcpfs_error *err)
{
	uint8_t from[KEY_MAX], to[KEY_MAX];
	int rc = 0;

	if (!fill)
		gather_guid_add(g, n->guid, n->h.birth);
	if (sal_tick(g->s, "gathering", 0, 0))
		return sal_stopped(err);
	if (!n->h.level)
		return leaf_items(g, n, hi, fill, err);
	for (uint32_t i = 0; !rc && i < n->b.nitems; i++) {
		struct bound lo = { .p = from }, up = *hi;
		struct node_item it;
		struct blkptr bp;

		lo.len = (uint16_t)full_key(n, i, &it, from);
		if (i + 1 < n->b.nitems)
			up = (struct bound){ .p = to, .len = (uint16_t)full_key(n, i + 1, &it, to) };
		if (fill && !has_range(g, &lo, &up, fill))
			continue;
		if (ptr_decode(&bp, n->ptrs + (size_t)i * PTR_LEN, NULL) || bp.level + 1u != n->h.level)
			rc = fill ? 0 : miss_add(g, &lo, &up, n->h.birth, false, err);
		else
			rc = walk_child(g, &bp, &lo, &up, fill, err);
	}
	return rc;
}

/* ---- nodes that stand in ---- */

static int younger_first(const void *x, const void *y)
{
	const struct found *a = *(const struct found *const *)x, *b = *(const struct found *const *)y;

	if (a->birth != b->birth)
		return a->birth < b->birth ? 1 : -1;
	if (a->level != b->level)
		return a->level < b->level ? 1 : -1;
	return (a->off > b->off) - (a->off < b->off);
}

static const struct found **candidates(struct gather *g, size_t *n)
{
	const struct found **v = malloc(MAX(g->s->n_found, 1) * sizeof *v);

	*n = 0;
	for (size_t i = 0; v && i < g->s->n_found; i++)
		for (unsigned k = 0; k < g->n_guid; k++)
			if (g->s->found[i].guid == g->guid[k].guid && g->s->found[i].birth <= g->guid[k].max_birth)
				v[(*n)++] = &g->s->found[i];
	if (v)
		qsort(v, *n, sizeof *v, younger_first);
	return v;
}

static int stand_in(struct gather *g, struct lcpfs_error *err)
{
	const struct bound end = { .none = true };
	const struct found **v;
	size_t n = 0;
	int rc = scan_all(g->s, err);

	if (rc)
		return rc;
	v = candidates(g, &n);
	if (!v)
		return lcpfs_nomem(err);
	for (size_t i = 0; !rc && i < n && g->n_miss; i++) {
		struct node x;

		rc = node_by_place(g->s, v[i], &x, err);
		if (!rc) {
			struct bound lo = { .p = x.b.low, .len = x.b.low_len };

			if (has_range(g, &lo, &end, x.h.birth))
				rc = walk(g, &x, &end, x.h.birth, err);
			node_fini(&x);
		}
		rc = MIN(rc, 0);
	}
	free(v);
	return rc;
}

int gather_run(struct gather *g, const struct blkptr *root, struct lcpfs_error *err)
{
	const struct bound lo = { .p = (const uint8_t *)"" }, hi = { .none = true };
	int rc;

	if (root && ptr_is_null(root))
		return 0;
	rc = root ? walk_child(g, root, &lo, &hi, 0, err) : miss_add(g, &lo, &hi, UINT64_MAX, false, err);
	g->root_lost = !rc && g->n_miss && !g->miss[0].lo.len && g->miss[0].to_end;
	if (!rc && g->n_miss)
		rc = stand_in(g, err);
	return rc;
}

void gather_fini(struct gather *g)
{
	free(g->miss);
	g->miss = NULL;
	g->n_miss = g->cap_miss = 0;
}
