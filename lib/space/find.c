/* SPDX-License-Identifier: Apache-2.0 */
/* Finding room. */
#include "base/error.h"
#include "base/util.h"
#include "space/space_impl.h"

/*
 * A page not in memory that has nothing free need not be loaded to be passed over: big full pools cost no memory. One where a
 * run as long was looked for in vain is passed over too, until something in it comes free.
 */
static int page_to_skip(struct space *s, const struct chunk *c, uint32_t p, uint32_t want, bool *skip, struct lcpfs_error *err)
{
	uint32_t n_free = SPACE_PAGE_UNITS;
	int rc = c->page[p] || !s->peek ? 0 : s->peek(s->arg, c->id, p, &n_free, err);

	*skip = n_free == 0 || (c->page[p] && want >= c->page[p]->too_long);
	return rc;
}

/*
 * Look for `want` free units in page p from bit `bit` on; *run are free just before it and are added to. True: the run ends
 * before unit *end of the page.
 */
static bool scan_page(const struct page *pg, uint32_t bit, uint32_t limit, uint32_t want, uint32_t *run, uint32_t *end)
{
	while (bit < limit) {
		if (!(bit & 7) && pg->busy[bit >> 3] == 0xff) {
			*run = 0;
			bit += 8;
			continue;
		}
		*run = space_bit(pg->busy, bit) ? 0 : *run + 1;
		bit++;
		if (*run == want) {
			*end = bit;
			return true;
		}
	}
	return false;
}

/* What is free at the begin of page pg, and at its end. */
static uint32_t free_head(const struct page *pg, uint32_t limit)
{
	uint32_t i = 0;

	while (i < limit && !space_bit(pg->busy, i))
		i += !(i & 7) && !pg->busy[i >> 3] ? 8 : 1;
	return MIN(i, limit);
}

static uint32_t free_tail(const struct page *pg, uint32_t limit)
{
	uint32_t i = limit;

	while (i && !space_bit(pg->busy, i - 1))
		i -= !(i & 7) && !pg->busy[(i >> 3) - 1] ? 8 : 1;
	return limit - i;
}

/* A page in which no run lies may still end or begin one. True: *run, with the begin of this page, is enough. */
static bool pass_page(const struct page *pg, uint32_t limit, uint32_t want, uint32_t *run)
{
	uint32_t head = pg ? free_head(pg, limit) : 0;

	if (*run + head >= want)
		return true;
	*run = head == limit ? *run + head : pg ? free_tail(pg, limit) : 0;
	return false;
}

/* First run of `want` units with busy clear in [c->low, c->units); 1: none. */
static int find_run(struct space *s, struct chunk *c, uint32_t want, uint32_t *found, struct lcpfs_error *err)
{
	uint32_t run = 0, bit = c->low % SPACE_PAGE_UNITS, end;

	for (uint32_t p = c->low / SPACE_PAGE_UNITS; (uint64_t)p * SPACE_PAGE_UNITS < c->units; p++, bit = 0) {
		uint64_t base = (uint64_t)p * SPACE_PAGE_UNITS;
		uint32_t before = run, limit = (uint32_t)MIN(SPACE_PAGE_UNITS, c->units - base);
		struct page *pg;
		bool skip;
		int rc = page_to_skip(s, c, p, want, &skip, err);

		if (!rc && skip) {
			if (pass_page(c->page[p], limit, want, &run)) {
				*found = (uint32_t)(base - before);
				return 0;
			}
			continue;
		}
		if (!rc)
			rc = space_load_page(s, c, p, &pg, err);
		if (rc)
			return rc;
		if (scan_page(pg, bit, limit, want, &run, &end)) {
			*found = (uint32_t)(base + end - want);
			return 0;
		}
		if (!before && !bit)
			pg->too_long = MIN(pg->too_long, want);
	}
	return 1;
}

/* Move c->low up to the first unit that may be free, so that no search looks at what lies before it. */
static int raise_low(struct space *s, struct chunk *c, struct lcpfs_error *err)
{
	while (c->low < c->units) {
		uint32_t p = c->low / SPACE_PAGE_UNITS, i = c->low % SPACE_PAGE_UNITS;
		const struct page *pg = c->page[p];
		bool full = true;
		int rc = pg ? 0 : page_to_skip(s, c, p, 1, &full, err);

		if (rc || !full)
			return rc;
		while (pg && i < SPACE_PAGE_UNITS && space_bit(pg->busy, i))
			i += !(i & 7) && pg->busy[i >> 3] == 0xff ? 8 : 1;
		if (pg && i < SPACE_PAGE_UNITS) {
			c->low = p * SPACE_PAGE_UNITS + i;
			return 0;
		}
		c->low = (uint32_t)MIN((uint64_t)(p + 1) * SPACE_PAGE_UNITS, c->units);
	}
	return 0;
}

/*
 * First fit, from the lowest address: what is young and short-lived gathers at the front, the end stays free in one piece, and an image
 * can be cut.
 */
int space_find(struct space *s, unsigned kinds, uint32_t sectors, struct chunk **in, uint32_t *at, struct lcpfs_error *err)
{
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		struct chunk *c = &s->chunk[i];
		uint32_t want = (uint32_t)div_up(sectors, 1u << c->shift);
		int rc = c->kinds & kinds ? raise_low(s, c, err) : 1;

		if (!rc)
			rc = find_run(s, c, want, at, err);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			*in = c;
			return 0;
		}
	}
	return lcpfs_fail(err, LCPFS_ENOSPC, "no run of %u free sectors", sectors);
}

static uint64_t page_runs(const struct page *pg, uint32_t limit, uint32_t want)
{
	uint64_t units = 0;
	uint32_t run = 0;

	for (uint32_t i = 0; i < limit; ) {
		bool whole = !(i & 7) && i + 8 <= limit;

		if (whole && pg->busy[i >> 3] == 0) {
			run += 8;
			i += 8;
			continue;
		}
		if (!space_bit(pg->busy, i)) {
			run++;
		} else {
			units += run - run % want;
			run = 0;
		}
		i += whole && pg->busy[i >> 3] == 0xff ? 8 : 1;
	}
	return units + run - run % want;
}

uint64_t space_in_runs(struct space *s, uint32_t run, uint64_t enough)
{
	uint64_t sectors = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = s->n_chunks; i-- > 0; ) {
		struct chunk *c = &s->chunk[i];
		uint32_t want = (uint32_t)div_up(run, 1u << c->shift);

		for (uint32_t p = c->kinds ? c->n_pages : 0; p-- > 0 && sectors < enough; ) {
			uint64_t base = (uint64_t)p * SPACE_PAGE_UNITS;
			struct page *pg;
			bool skip = true;

			if (base < c->units && page_to_skip(s, c, p, want, &skip, NULL) == 0 && !skip && space_load_page(s, c, p, &pg, NULL) == 0)
				sectors += page_runs(pg, (uint32_t)MIN(SPACE_PAGE_UNITS, c->units - base), want) << c->shift;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return sectors;
}
