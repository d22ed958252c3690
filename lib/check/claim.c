/* SPDX-License-Identifier: Apache-2.0 */
#include "check/claim.h"
#include <string.h>

int claims_init(struct claims *m, const struct check *ck, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(ck->spa->vdev);

	*m = (struct claims){ .n_chunks = c->n_chunks };
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

static void drop_pages(struct claims *m)
{
	for (uint64_t i = 0; m->page && i < m->to - m->from; i++)
		free(m->page[i]);
	free(m->page);
	free(m->seen);
	m->page = NULL;
	m->seen = NULL;
}

void claims_fini(struct claims *m)
{
	drop_pages(m);
	free(m->chunk);
}

int claims_window(struct claims *m, uint64_t from, uint64_t budget, struct lcpfs_error *err)
{
	uint64_t n = MIN(MAX(budget / (SPACE_PAGE_BYTES + 16), UINT64_C(16)), m->pages - from);

	drop_pages(m);
	m->from = from;
	m->to = from + n;
	m->page = calloc(n + 1, sizeof *m->page);
	m->seen = calloc(n / 8 + 1, 1);
	return m->page && m->seen ? 0 : lcpfs_nomem(err);
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

int claims_add(struct claims *m, const struct blkptr *bp, bool *twice, struct lcpfs_error *err)
{
	const struct claim_chunk *c = claims_chunk(m, ptr_chunk(bp));
	uint64_t unit = ptr_sector(bp) >> c->shift, end = unit + div_up(div_up(bp->psize, SECTOR), UINT64_C(1) << c->shift);

	*twice = false;
	for (; unit < end; unit++) {
		uint64_t page = c->page0 + unit / SPACE_PAGE_UNITS;
		uint32_t bit = (uint32_t)(unit % SPACE_PAGE_UNITS);
		uint8_t **map;

		if (page < m->from || page >= m->to)
			continue;
		map = &m->page[page - m->from];
		if (!*map && !(*map = calloc(1, SPACE_PAGE_BYTES)))
			return lcpfs_nomem(err);
		*twice |= claim_bit(*map, bit);
		(*map)[bit >> 3] |= (uint8_t)(1u << (bit & 7));
	}
	return 0;
}
