/* SPDX-License-Identifier: Apache-2.0 */
#include "check/claim.h"
#include <string.h>

int claims_init(struct claims *m, const struct check *ck, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(ck->spa->vdev);

	*m = (struct claims){ .n_chunks = c->n_chunks, .shares = config_has_feature(&c->incompat, FEATURE_REF) };
	m->chunk = calloc(c->n_chunks + 1, sizeof *m->chunk);
	if (!m->chunk)
		return lcpfs_nomem(err);
	for (uint32_t i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];
		struct claim_chunk *d = &m->chunk[i];
		uint64_t sectors = (uint64_t)k->col_units * (UNIT / SECTOR);

		if (sectors > UINT32_MAX || k->ashift < 9 || k->ashift > 16)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "chunk %u: %u units, ashift %u", k->id, k->col_units, k->ashift);
		*d = (struct claim_chunk){ .id = k->id, .shift = k->ashift - 9u, .page0 = m->pages };
		d->units = (uint32_t)sectors >> d->shift;
		d->pages = div_up(d->units, SPACE_PAGE_UNITS);
		m->pages += d->pages;
	}
	return 0;
}

static void drop_pages(struct claims *m, size_t from)
{
	for (size_t i = from; i < m->n_page; i++) {
		free(m->page[i]);
		m->page[i] = NULL;
	}
}

void claims_fini(struct claims *m)
{
	drop_pages(m, 0);
	free(m->page);
	free(m->seen);
	free(m->chunk);
}

/* Without sharing only the first of the maps is used. */
static size_t page_bytes(const struct claims *m)
{
	return m->shares ? sizeof(struct claim_page) : SPACE_PAGE_BYTES;
}

int claims_window(struct claims *m, uint64_t from, uint64_t budget, struct lcpfs_error *err)
{
	uint64_t n = MIN(MAX(budget / (page_bytes(m) + 16), UINT64_C(16)), m->pages - from);

	drop_pages(m, 0);
	free(m->page);
	free(m->seen);
	m->from = from;
	m->to = from + n;
	m->page = calloc(n + 1, sizeof(struct claim_page *));
	m->n_page = m->page ? n : 0;
	m->seen = calloc(n / 8 + 1, 1);
	return m->page && m->seen ? 0 : lcpfs_nomem(err);
}

void claims_shrink(struct claims *m, uint64_t to)
{
	m->to = to;
	drop_pages(m, to - m->from);
}

uint64_t claims_page_of(const struct claims *m, uint64_t addr)
{
	const struct claim_chunk *c = claims_chunk(m, (uint32_t)(addr >> 32));

	return c ? c->page0 + ((uint32_t)addr >> c->shift) / SPACE_PAGE_UNITS : UINT64_MAX;
}

uint64_t claims_addr_of(const struct claims *m, uint64_t page)
{
	for (uint32_t i = 0; i < m->n_chunks; i++) {
		const struct claim_chunk *c = &m->chunk[i];

		if (page < c->page0 + c->pages)
			return ptr_addr(c->id, 0) + ((page - c->page0) * SPACE_PAGE_UNITS << c->shift);
	}
	return UINT64_MAX;
}

struct claim_chunk *claims_chunk(const struct claims *m, uint32_t id)
{
	uint32_t lo = 0, hi = m->n_chunks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (m->chunk[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n_chunks && m->chunk[lo].id == id ? &m->chunk[lo] : NULL;
}

bool claims_valid(const struct claims *m, const struct blkptr *bp)
{
	const struct claim_chunk *c = claims_chunk(m, ptr_chunk(bp));
	uint32_t sector = ptr_sector(bp);

	return c && !(sector & ((1u << c->shift) - 1)) &&
	    (uint64_t)sector + div_up(bp->psize, SECTOR) <= (uint64_t)c->units << c->shift;
}

/* The map of a unit's page, made when `make`; NULL: outside of the window, or not there. */
static struct claim_page *page_at(struct claims *m, const struct claim_chunk *c, uint64_t unit, bool make, bool *nomem)
{
	uint64_t page = c->page0 + unit / SPACE_PAGE_UNITS;
	struct claim_page **p;

	if (unit >= c->units || page < m->from || page >= m->to)
		return NULL;
	p = &m->page[page - m->from];
	if (!*p && make) {
		*p = calloc(1, page_bytes(m));
		*nomem |= !*p;
	}
	return *p;
}

static void set_bit(uint8_t *map, uint32_t i) { map[i >> 3] |= (uint8_t)(1u << (i & 7)); }

/* How what was claimed before lies to units from..to, those of them that the window has. */
static enum claim compare(struct claims *m, const struct claim_chunk *c, const struct blkptr *bp, uint64_t from, uint64_t to)
{
	bool all = true, any = false, inside = false, begins = false, own = false, first = true;
	struct claim_page *p;

	for (uint64_t u = from; u < to; u++) {
		uint32_t bit = (uint32_t)(u % SPACE_PAGE_UNITS);

		if (c->page0 + u / SPACE_PAGE_UNITS < m->from || c->page0 + u / SPACE_PAGE_UNITS >= m->to)
			continue;
		p = page_at(m, c, u, false, NULL);
		all &= p && claim_bit(p->claimed, bit);
		any |= p && claim_bit(p->claimed, bit);
		if (m->shares && p && first) {
			begins = claim_bit(p->start, bit);
			own = claim_bit(p->own, bit);
		} else if (m->shares && p) {
			inside |= claim_bit(p->start, bit);
		}
		first = false;
	}
	if (!any)
		return CLAIM_NEW;
	p = m->shares ? page_at(m, c, to, false, NULL) : NULL;
	if (p && claim_bit(p->claimed, (uint32_t)(to % SPACE_PAGE_UNITS)) && !claim_bit(p->start, (uint32_t)(to % SPACE_PAGE_UNITS)))
		return CLAIM_CLASH;
	return m->shares && bp->kind == PTR_DATA && all && begins && !inside && !(own && !(bp->flags & PTR_SHARED)) ? CLAIM_AGAIN : CLAIM_CLASH;
}

int claims_add(struct claims *m, const struct blkptr *bp, enum claim *what, struct lcpfs_error *err)
{
	const struct claim_chunk *c = claims_chunk(m, ptr_chunk(bp));
	uint64_t from = ptr_sector(bp) >> c->shift, to = from + div_up(div_up(bp->psize, SECTOR), UINT64_C(1) << c->shift);
	bool nomem = false, first = true;

	*what = compare(m, c, bp, from, to);
	for (uint64_t u = from; u < to && !nomem; u++) {
		struct claim_page *p = page_at(m, c, u, true, &nomem);
		uint32_t bit = (uint32_t)(u % SPACE_PAGE_UNITS);

		if (!p)
			continue;
		set_bit(p->claimed, bit);
		if (m->shares && (first || bp->kind != PTR_DATA))
			set_bit(p->start, bit);
		if (m->shares && first && !(bp->flags & PTR_SHARED))
			set_bit(p->own, bit);
		first = false;
	}
	return nomem ? lcpfs_nomem(err) : 0;
}
