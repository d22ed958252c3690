/* SPDX-License-Identifier: Apache-2.0 */
/* P2 and P3: every pointer, what it claims, and what the space tree says about that. */
#include "check/refs.h"
#include <inttypes.h>
#include <string.h>

struct range { uint64_t addr; uint32_t sectors; };

struct blocks {
	struct check *ck;
	struct scan *scan;
	struct claims m;
	struct refs refs;
	bool first;                /* the first window: what does not depend on it is told only then */
	struct range *node; size_t n_node, cap_node; /* nodes of the space trees of the last two commits, sorted */
	uint64_t used_sectors;
	bool space_bad;
};

static struct ck_where where(const struct blocks *b, uint32_t ds, const struct blkptr *bp)
{
	return (struct ck_where){ .ds = ds < b->ck->n_ds ? &b->ck->ds[ds] : NULL, .addr = bp->addr, .length = ptr_charge(bp) };
}

static void unsound(struct blocks *b, uint32_t ds)
{
	if (ds < b->ck->n_ds)
		b->ck->ds[ds].unsound = true;
}

#define CLASH_MAX 4096u /* more of them are for the next round */

static void note_clash(struct blocks *b, const struct blkptr *bp)
{
	struct check *ck = b->ck;
	struct ck_clash *c = ck_plan_wants(ck, P_BLOCK_SHARED, NULL) && ck->n_clash < CLASH_MAX ?
	    CK_PUSH(ck->clash, ck->n_clash, ck->cap_clash) : NULL;

	if (c)
		*c = (struct ck_clash){ bp->addr, div_up(bp->psize, SECTOR) };
}

static int on_claim(void *arg, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err)
{
	struct blocks *b = arg;
	struct ck_where w = where(b, ds, bp);
	enum claim what;
	int rc;

	if (!claims_valid(&b->m, bp)) {
		unsound(b, ds);
		if (b->first)
			ck_report(b->ck, P_BLOCK_ADDR, &w, "%u:%u, %u bytes, in %s", ptr_chunk(bp), ptr_sector(bp), bp->psize,
			    ck_tree_name(b->ck, ds));
		return 1;
	}
	rc = claims_add(&b->m, bp, &what, err);
	if (!rc && what == CLAIM_AGAIN)
		rc = refs_add(&b->refs, &b->m, bp, err);
	if (rc || what != CLAIM_CLASH)
		return rc;
	unsound(b, ds);
	note_clash(b, bp);
	ck_report(b->ck, P_BLOCK_SHARED, &w, "%u:%u, %u bytes, again in %s", ptr_chunk(bp), ptr_sector(bp), bp->psize,
	    ck_tree_name(b->ck, ds));
	/* below a node that is used twice everything is used twice */
	return bp->kind == PTR_NODE;
}

/* A root is not younger than the commit, a snapshot's not younger than the snapshot. */
static void check_roots(struct blocks *b)
{
	struct check *ck = b->ck;

	if (ck->ub.pool_root.birth > ck->ub.txg || ck->ub.space_root.birth > ck->ub.txg)
		ck_report(ck, P_PTR_BIRTH, NULL, "roots of birth %" PRIu64 " and %" PRIu64 " in commit %" PRIu64, ck->ub.pool_root.birth,
		    ck->ub.space_root.birth, ck->ub.txg);
	for (size_t i = 0; i < ck->n_ds; i++) {
		const struct dsrec *r = &ck->ds[i].rec;
		uint64_t most = r->kind == DS_SNAPSHOT ? MIN(r->created_txg, ck->ub.txg) : ck->ub.txg;
		struct ck_where w = { .ds = &ck->ds[i], .addr = r->root.addr };

		if (r->root.birth > most)
			ck_report(ck, P_PTR_BIRTH, &w, "its root is of birth %" PRIu64 ", at most %" PRIu64 " is possible", r->root.birth, most);
	}
}

/* ---- nodes of the space trees ---- */

struct node_walk { struct blocks *b; bool prev; };

static int add_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct node_walk *n = arg;
	struct blocks *b = n->b;
	struct ck_where w = where(b, CK_SPACE, bp);
	struct range *r;

	(void)low, (void)high;
	if (!claims_valid(&b->m, bp)) {
		b->space_bad |= !n->prev;
		ck_report(b->ck, n->prev ? P_SPACE_PREV : P_SPACE_TREE, &w, "%u:%u, %u bytes, outside of every chunk", ptr_chunk(bp),
		    ptr_sector(bp), bp->psize);
		return 1;
	}
	r = CK_PUSH(b->node, b->n_node, b->cap_node);
	if (!r)
		return lcpfs_nomem(err);
	*r = (struct range){ bp->addr, (uint32_t)div_up(bp->psize, SECTOR) };
	return scan_copies(b->scan, bp, CK_SPACE, err);
}

static int bad_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                    const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct node_walk *n = arg;
	struct ck_where w = where(n->b, CK_SPACE, bp);

	(void)low, (void)high, (void)rc, (void)err;
	n->b->space_bad |= !n->prev;
	ck_report(n->b->ck, n->prev ? P_SPACE_PREV : P_SPACE_TREE, &w, "%s", why->msg);
	return 0;
}

static int range_cmp(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return (x->sectors > y->sectors) - (x->sectors < y->sectors);
}

static const struct uberblock *before(const struct check *ck)
{
	size_t n;
	const struct vdev_uber *u = vdev_ubers(ck->spa->vdev, &n);

	for (size_t i = 0; i < n; i++)
		if (u[i].ub.txg == ck->ub.prev_txg[0])
			return &u[i].ub;
	return NULL;
}

static int gather_nodes(struct blocks *b, struct lcpfs_error *err)
{
	const struct uberblock *prev = before(b->ck);
	struct node_walk n = { b, false };
	struct ck_walk w = { .node = add_node, .bad = bad_node, .arg = &n };
	size_t k = 0;
	int rc = ck_walk(b->ck, &b->ck->ub.space_root, &w, err);

	n.prev = true;
	if (!rc && prev)
		rc = ck_walk(b->ck, &prev->space_root, &w, err);
	if (b->n_node)
		qsort(b->node, b->n_node, sizeof *b->node, range_cmp);
	/* the two share what did not change */
	for (size_t i = 0; i < b->n_node; i++)
		if (!k || range_cmp(&b->node[k - 1], &b->node[i]))
			b->node[k++] = b->node[i];
	b->n_node = k;
	for (size_t i = 1; i < k; i++)
		if (b->node[i].addr < b->node[i - 1].addr + b->node[i - 1].sectors) {
			struct ck_where at = { .addr = b->node[i].addr };

			ck_report(b->ck, P_SPACE_NODE, &at, "two of them overlap");
		}
	return rc;
}

/* ---- pages ---- */

/* First node that ends after addr. */
static size_t first_node(const struct blocks *b, uint64_t addr)
{
	size_t lo = 0, hi = b->n_node;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->node[mid].addr + b->node[mid].sectors <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void check_nodes_on(struct blocks *b, const struct claim_chunk *c, uint32_t unit0, const uint8_t *used, const uint8_t *claimed)
{
	uint64_t start = ptr_addr(c->id, 0) + ((uint64_t)unit0 << c->shift), end = start + ((uint64_t)SPACE_PAGE_UNITS << c->shift);

	for (size_t i = first_node(b, start); i < b->n_node && b->node[i].addr < end; i++) {
		uint64_t from = (MAX(b->node[i].addr, start) - start) >> c->shift;
		uint64_t to = div_up(MIN(b->node[i].addr + b->node[i].sectors, end) - start, UINT64_C(1) << c->shift);
		struct ck_where w = { .addr = b->node[i].addr, .length = (uint64_t)b->node[i].sectors * SECTOR };
		bool hit = false;

		for (; from < to && !hit; from++)
			hit = claim_bit(used, (uint32_t)from) || claim_bit(claimed, (uint32_t)from);
		if (hit)
			ck_report(b->ck, P_SPACE_NODE, &w, "%u:%u", (uint32_t)(w.addr >> 32), (uint32_t)w.addr);
	}
}

static void compare_page(struct blocks *b, struct claim_chunk *c, uint32_t page, const uint8_t *used)
{
	const struct claim_page *p = b->m.page[c->page0 + page - b->m.from];
	const uint8_t *claimed = p ? p->claimed : NULL;
	uint32_t unit0 = page * SPACE_PAGE_UNITS;

	for (uint32_t i = 0; i < SPACE_PAGE_UNITS; i++) {
		bool u, k;

		if (!(i & 7) && (used ? used[i >> 3] : 0) == (claimed ? claimed[i >> 3] : 0)) {
			b->used_sectors += (uint64_t)(used ? __builtin_popcount(used[i >> 3]) : 0) << c->shift;
			i += 7;
			continue;
		}
		u = claim_bit(used, i);
		k = claim_bit(claimed, i);
		b->used_sectors += (uint64_t)u << c->shift;
		if (u && !k && !c->leaked++)
			c->leaked_at = ptr_addr(c->id, 0) + ((uint64_t)(unit0 + i) << c->shift);
		if (k && !u && !c->lost++)
			c->lost_at = ptr_addr(c->id, 0) + ((uint64_t)(unit0 + i) << c->shift);
	}
	check_nodes_on(b, c, unit0, used, claimed);
}

static bool beyond(const struct claim_chunk *c, uint32_t page, const uint8_t *used)
{
	for (uint32_t i = 0; i < SPACE_PAGE_UNITS; i++)
		if (page * (uint64_t)SPACE_PAGE_UNITS + i >= c->units && claim_bit(used, i))
			return true;
	return false;
}

static int on_page(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct blocks *b = arg;
	uint8_t used[SPACE_PAGE_BYTES];
	struct lcpfs_error why = { 0 };
	struct claim_chunk *c;
	uint32_t chunk, page;
	uint64_t at;

	(void)err;
	if (it->klen != 9 || it->key[0] != TBL_PAGE || it->nptr) {
		if (b->first)
			ck_report(b->ck, P_SPACE_PAGE, NULL, "key of %u bytes, type %u", it->klen, it->key[0]);
		return 0;
	}
	chunk = be32_load(it->key + 1);
	page = be32_load(it->key + 5);
	c = claims_chunk(&b->m, chunk);
	at = c ? c->page0 + page : 0;
	if (!c || page >= c->pages || at < b->m.from || at >= b->m.to) {
		if (b->first && (!c || page >= c->pages))
			ck_report(b->ck, P_SPACE_PAGE, NULL, "page %u of chunk %u is beyond it", page, chunk);
		return 0;
	}
	b->m.seen[(at - b->m.from) / 8] |= (uint8_t)(1u << ((at - b->m.from) & 7));
	if (space_page_decode(used, it->val, it->vlen, &why)) {
		ck_report(b->ck, P_SPACE_PAGE, NULL, "page %u of chunk %u: %s", page, chunk, why.msg);
		b->space_bad = true;
		return 0;
	}
	if (beyond(c, page, used))
		ck_report(b->ck, P_SPACE_PAGE, NULL, "page %u of chunk %u marks what is beyond the chunk", page, chunk);
	compare_page(b, c, page, used);
	return 0;
}

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	(void)arg, (void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	return 0;
}

static int compare_window(struct blocks *b, struct lcpfs_error *err)
{
	struct ck_walk w = { .item = on_page, .bad = pass_over, .arg = b };
	int rc = ck_walk(b->ck, &b->ck->ub.space_root, &w, err);

	for (uint32_t i = 0; !rc && i < b->m.n_chunks && !b->space_bad; i++) {
		struct claim_chunk *c = &b->m.chunk[i];

		for (uint64_t p = 0; p < c->pages; p++) {
			uint64_t at = c->page0 + p;

			/* no page: all of it is free */
			if (at >= b->m.from && at < b->m.to && !claim_bit(b->m.seen, (uint32_t)(at - b->m.from)))
				compare_page(b, c, (uint32_t)p, NULL);
		}
	}
	return rc;
}

/* What lies below a node that cannot be read is claimed by nobody, and no leak. */
static bool lost_nodes(const struct scan *s)
{
	for (size_t i = 0; i < s->n_dmg; i++)
		if (s->dmg[i].bp.kind == PTR_NODE)
			return true;
	return s->bad > s->n_dmg;
}

static void tell_space(struct blocks *b, bool leaks)
{
	const struct uberblock *u = &b->ck->ub;
	uint64_t total = 0;

	for (uint32_t i = 0; i < b->m.n_chunks; i++) {
		const struct claim_chunk *c = &b->m.chunk[i];
		struct ck_where leak = { .addr = c->leaked_at, .length = c->leaked << c->shift << 9 };
		struct ck_where lost = { .addr = c->lost_at, .length = c->lost << c->shift << 9 };

		total += (uint64_t)vdev_config(b->ck->spa->vdev)->chunks[i].col_units * (UNIT / SECTOR);
		if (c->leaked && leaks)
			ck_report(b->ck, P_SPACE_LEAK, &leak, "%" PRIu64 " bytes in chunk %u, the first at %u:%u", leak.length, c->id,
			    c->id, (uint32_t)leak.addr);
		if (c->lost)
			ck_report(b->ck, P_SPACE_FREE, &lost, "%" PRIu64 " bytes in chunk %u, the first at %u:%u", lost.length, c->id,
			    c->id, (uint32_t)lost.addr);
	}
	if (u->total_sectors != total || (!b->space_bad && u->free_sectors != total - b->used_sectors))
		ck_report(b->ck, P_SPACE_TOTAL, NULL, "%" PRIu64 " sectors, %" PRIu64 " free; there are %" PRIu64 " and %" PRIu64,
		    u->total_sectors, u->free_sectors, total, total - b->used_sectors);
}

/* A pool without chunks has one empty window. */
static int windows(struct blocks *b, struct scan *s, struct lcpfs_error *err)
{
	bool lost = false;
	int rc = 0;

	do {
		rc = claims_window(&b->m, b->m.to, b->ck->budget, err);
		s->verify = b->first;
		if (!rc)
			rc = scan_run(s, false, err);
		lost = lost || lost_nodes(s) || b->ck->lost_records;
		if (!rc)
			rc = compare_window(b, err);
		if (!rc && b->m.shares)
			rc = refs_compare(&b->refs, b->ck, &b->m, lost, err);
		b->first = false;
	} while (!rc && b->m.to < b->m.pages);
	return rc;
}

int fsck_blocks(struct check *ck, struct lcpfs_error *err)
{
	struct blocks b = { .ck = ck, .first = true, 
		.refs.max = MIN(MAX(ck->budget / 4 / sizeof(struct ref_count), (size_t)REFS_MIN), refs_count_max) };
	struct scan s = { .ck = ck, .data = ck->o->data, .claim = on_claim, .arg = &b };
	int rc = claims_init(&b.m, ck, err);

	b.scan = &s;
	check_roots(&b);
	if (!rc)
		rc = gather_nodes(&b, err);
	if (!rc)
		rc = windows(&b, &s, err);
	if (!rc) {
		tell_space(&b, !lost_nodes(&s) && !ck->lost_records);
		rc = owner_report(ck, s.dmg, s.n_dmg, err);
	}
	scan_report_copies(&s);
	if (!rc && s.bad > s.n_dmg)
		ck_report(ck, P_BLOCK_MANY, NULL, "%" PRIu64 " more blocks", s.bad - s.n_dmg);
	scan_fini(&s);
	claims_fini(&b.m);
	refs_fini(&b.refs);
	free(b.node);
	return rc;
}
