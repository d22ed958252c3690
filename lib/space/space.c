/* SPDX-License-Identifier: Apache-2.0 */
/* Pages in memory, and what is marked in them. */
#include "space/space.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "format/ptr.h"
#include "space/space_impl.h"

static bool range_add(struct range_list *l, uint64_t addr, uint32_t sectors)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct range *r = realloc(l->r, cap * sizeof *r);

		if (!r)
			return false;
		l->r = r;
		l->cap = cap;
	}
	l->r[l->n++] = (struct range){ addr, sectors };
	return true;
}

struct space *space_create(space_load_fn *load, space_peek_fn *peek, void *arg)
{
	struct space *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->load = load;
	s->peek = peek;
	s->arg = arg;
	return s;
}

void space_destroy(struct space *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n_chunks; i++) {
		for (uint32_t p = 0; p < s->chunk[i].n_pages; p++)
			free(s->chunk[i].page[p]);
		free(s->chunk[i].page);
	}
	free(s->chunk);
	free(s->freed[0].r);
	free(s->freed[1].r);
	free(s->fresh.r);
	free(s->overlay.r);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

struct chunk *space_find_chunk(struct space *s, uint32_t id)
{
	uint32_t lo = 0, hi = s->n_chunks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->chunk[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_chunks && s->chunk[lo].id == id ? &s->chunk[lo] : NULL;
}

static struct chunk *add_chunk(struct space *s, uint32_t id)
{
	struct chunk *c = realloc(s->chunk, (s->n_chunks + 1) * sizeof *c);
	uint32_t at = s->n_chunks;

	if (!c)
		return NULL;
	s->chunk = c;
	while (at && c[at - 1].id > id) {
		c[at] = c[at - 1];
		at--;
	}
	c[at] = (struct chunk){ .id = id, .look = true };
	s->n_chunks++;
	return &c[at];
}

static int set_chunk(struct space *s, uint32_t id, uint32_t sectors, unsigned ashift, unsigned kinds, struct lcpfs_error *err)
{
	struct chunk *c = space_find_chunk(s, id);
	uint32_t units = sectors >> (ashift - 9), n_pages = (uint32_t)div_up(units, SPACE_PAGE_UNITS);

	if (!c)
		c = add_chunk(s, id);
	if (!c)
		return lcpfs_nomem(err);
	if (n_pages > c->n_pages) {
		struct page **page = realloc(c->page, n_pages * sizeof *page);

		if (!page)
			return lcpfs_nomem(err);
		memset(page + c->n_pages, 0, (n_pages - c->n_pages) * sizeof *page);
		c->page = page;
		c->n_pages = n_pages;
	}
	if (units > c->units && c->page[c->units / SPACE_PAGE_UNITS])
		c->page[c->units / SPACE_PAGE_UNITS]->too_long = SPACE_PAGE_UNITS + 1;
	c->shift = ashift - 9;
	c->units = units;
	c->sectors = units << c->shift;
	c->kinds = kinds;
	return 0;
}

int space_set_chunk(struct space *s, uint32_t chunk, uint32_t sectors, unsigned ashift, unsigned kinds, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = set_chunk(s, chunk, sectors, ashift, kinds, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void fill_bits(uint8_t *m, uint32_t from, uint32_t to, bool v)
{
	while (from < to) {
		if (!(from & 7) && to - from >= 8) {
			uint32_t n = (to - from) >> 3;

			memset(m + (from >> 3), v ? 0xff : 0, n);
			from += n << 3;
		} else {
			if (v)
				m[from >> 3] |= (uint8_t)(1u << (from & 7));
			else
				m[from >> 3] &= (uint8_t)~(1u << (from & 7));
			from++;
		}
	}
}

/* Part of units [from, to) of a chunk that lies on page p, as bit numbers within the page. */
static bool clip(uint32_t p, uint32_t from, uint32_t to, uint32_t *a, uint32_t *b)
{
	uint64_t base = (uint64_t)p * SPACE_PAGE_UNITS;
	uint64_t lo = MAX(from, base), hi = MIN(to, base + SPACE_PAGE_UNITS);

	if (lo >= hi)
		return false;
	*a = (uint32_t)(lo - base);
	*b = (uint32_t)(hi - base);
	return true;
}

static void units_of(const struct chunk *c, uint64_t addr, uint32_t sectors, uint32_t *from, uint32_t *to)
{
	uint32_t unit = 1u << c->shift;

	*from = (uint32_t)addr >> c->shift;
	*to = (uint32_t)(((uint64_t)(uint32_t)addr + sectors + unit - 1) >> c->shift);
}

/* What an older kept tree uses and the newest does not was freed by the newest commit: it settles with the next one. */
static bool add_freed_runs(struct space *s, const struct chunk *c, uint32_t p, const uint8_t *used, const uint8_t *extra)
{
	uint32_t start = 0, run = 0;

	for (uint32_t i = 0; i <= SPACE_PAGE_UNITS; i++) {
		if (!(i & 7) && i < SPACE_PAGE_UNITS && !run && !(extra[i >> 3] & ~used[i >> 3])) {
			i += 7;
		} else if (i < SPACE_PAGE_UNITS && space_bit(extra, i) && !space_bit(used, i)) {
			if (!run++)
				start = p * SPACE_PAGE_UNITS + i;
		} else if (run) {
			if (!range_add(&s->freed[1], ptr_addr(c->id, start << c->shift), run << c->shift))
				return false;
			s->busy_sectors += (uint64_t)run << c->shift;
			run = 0;
		}
	}
	return true;
}

int space_load_page(struct space *s, struct chunk *c, uint32_t p, struct page **out, struct lcpfs_error *err)
{
	struct page *pg = c->page[p];
	uint8_t *extra;
	int rc;

	if (pg) {
		*out = pg;
		return 0;
	}
	pg = calloc(1, sizeof *pg);
	extra = calloc(1, SPACE_PAGE_BYTES);
	if (!pg || !extra) {
		free(pg);
		free(extra);
		return lcpfs_nomem(err);
	}
	rc = s->load ? s->load(s->arg, c->id, p, pg->used, extra, err) : 0;
	for (uint32_t i = 0; i < SPACE_PAGE_BYTES; i++)
		pg->busy[i] = pg->used[i] | extra[i];
	if (!rc && !add_freed_runs(s, c, p, pg->used, extra))
		rc = lcpfs_nomem(err);
	free(extra);
	if (rc) {
		free(pg);
		return rc;
	}
	for (size_t i = 0; i < s->overlay.n; i++) {
		uint32_t from, to, a, b;

		if (s->overlay.r[i].addr >> 32 != c->id)
			continue;
		units_of(c, s->overlay.r[i].addr, s->overlay.r[i].sectors, &from, &to);
		if (clip(p, from, to, &a, &b))
			fill_bits(pg->busy, a, b, true);
	}
	pg->too_long = SPACE_PAGE_UNITS + 1;
	c->page[p] = *out = pg;
	return 0;
}

/* Apply to each page that units [from, to) touch: set or clear used/busy, or test that all are used. */
enum mark { MARK_USED, MARK_BUSY, CLEAR_USED, CLEAR_BUSY, TEST_USED, TEST_BUSY };

static bool mark_page(struct page *pg, uint32_t a, uint32_t b, enum mark m)
{
	const uint8_t *map = m == TEST_USED ? pg->used : pg->busy;

	switch (m) {
	case MARK_USED:
		fill_bits(pg->used, a, b, true);
		fill_bits(pg->busy, a, b, true);
		pg->dirty = true;
		return true;
	case MARK_BUSY:
		fill_bits(pg->busy, a, b, true);
		return true;
	case CLEAR_USED:
		fill_bits(pg->used, a, b, false);
		pg->dirty = true;
		return true;
	case CLEAR_BUSY:
		fill_bits(pg->busy, a, b, false);
		for (uint32_t k = a >> 3; k < (b + 7) >> 3; k++)
			pg->busy[k] |= pg->used[k]; /* (1), whatever a damaged space tree says */
		pg->too_long = SPACE_PAGE_UNITS + 1;
		return true;
	default:
		for (; a < b; a++)
			if (!space_bit(map, a))
				return false;
		return true;
	}
}

static int mark(struct space *s, struct chunk *c, uint32_t from, uint32_t to, enum mark m, bool *all, struct lcpfs_error *err)
{
	if (m == CLEAR_BUSY) {
		c->low = MIN(c->low, from);
		c->look = true;
	}
	for (uint32_t p = from / SPACE_PAGE_UNITS; (uint64_t)p * SPACE_PAGE_UNITS < to; p++) {
		struct page *pg;
		uint32_t a, b;
		int rc = space_load_page(s, c, p, &pg, err);

		if (rc)
			return rc;
		if (clip(p, from, to, &a, &b) && !mark_page(pg, a, b, m))
			*all = false;
	}
	return 0;
}

int space_alloc(struct space *s, unsigned kinds, uint32_t sectors, bool counted, uint64_t *addr, struct lcpfs_error *err)
{
	struct chunk *c = NULL;
	uint32_t at = 0, from, to;
	bool all = true;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = space_find(s, kinds, sectors, &c, &at, err);
	if (!rc) {
		*addr = ptr_addr(c->id, at << c->shift);
		units_of(c, *addr, sectors, &from, &to);
		rc = mark(s, c, from, to, counted ? MARK_USED : MARK_BUSY, &all, err);
		if (!rc)
			s->busy_sectors += (uint64_t)(to - from) << c->shift;
		if (!rc && counted)
			s->used_sectors += (uint64_t)(to - from) << c->shift;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int free_range(struct space *s, uint64_t addr, uint32_t sectors, bool counted, bool fresh, struct lcpfs_error *err)
{
	struct chunk *c = space_find_chunk(s, (uint32_t)(addr >> 32));
	uint32_t from, to;
	bool all = true;
	int rc;

	if (!c || !sectors || (uint64_t)(uint32_t)addr + sectors > c->sectors || (uint32_t)addr & ((1u << c->shift) - 1))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "free of %" PRIx64 "+%u: outside every chunk, or not where a block begins", addr, sectors);
	units_of(c, addr, sectors, &from, &to);
	rc = mark(s, c, from, to, counted ? TEST_USED : TEST_BUSY, &all, err);
	if (rc)
		return rc;
	if (!all)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "free of %" PRIx64 "+%u: not in use (double free)", addr, sectors);
	if (!range_add(fresh ? &s->fresh : &s->freed[0], addr, sectors))
		return lcpfs_nomem(err);
	/* nothing fails from here on: the pages are loaded */
	if (counted) {
		mark(s, c, from, to, CLEAR_USED, &all, NULL);
		s->used_sectors -= (uint64_t)(to - from) << c->shift;
	}
	return 0;
}

int space_free(struct space *s, uint64_t addr, uint32_t sectors, bool counted, bool fresh, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = free_range(s, addr, sectors, counted, fresh, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int overlay(struct space *s, uint64_t addr, uint32_t sectors, struct lcpfs_error *err)
{
	struct chunk *c = space_find_chunk(s, (uint32_t)(addr >> 32));
	uint32_t from, to, a, b;

	if (!c || (uint64_t)(uint32_t)addr + sectors > c->sectors || (uint32_t)addr & ((1u << c->shift) - 1))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "space-tree node at %" PRIx64 ": outside every chunk", addr);
	if (!range_add(&s->overlay, addr, sectors))
		return lcpfs_nomem(err);
	units_of(c, addr, sectors, &from, &to);
	s->busy_sectors += (uint64_t)(to - from) << c->shift;
	for (uint32_t p = from / SPACE_PAGE_UNITS; (uint64_t)p * SPACE_PAGE_UNITS < to; p++)
		if (c->page[p] && clip(p, from, to, &a, &b))
			fill_bits(c->page[p]->busy, a, b, true);
	return 0;
}

int space_overlay(struct space *s, uint64_t addr, uint32_t sectors, bool old_only, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = overlay(s, addr, sectors, err);
	if (!rc && old_only && !range_add(&s->freed[1], addr, sectors))
		rc = lcpfs_nomem(err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

bool space_page_loaded(struct space *s, uint32_t chunk, uint32_t page)
{
	const struct chunk *c;
	bool yes;

	pthread_mutex_lock(&s->lock);
	c = space_find_chunk(s, chunk);
	yes = c && page < c->n_pages && c->page[page];
	pthread_mutex_unlock(&s->lock);
	return yes;
}

/* Units from `a` to `b` of a page change sides. */
static int flip_run(struct space *s, struct chunk *c, struct page *pg, uint32_t base, uint32_t a, uint32_t b, bool used, struct lcpfs_error *err)
{
	uint64_t sectors = (uint64_t)(b - a) << c->shift;

	if (!used && !range_add(&s->freed[0], ptr_addr(c->id, (base + a) << c->shift), (uint32_t)sectors))
		return lcpfs_nomem(err);
	for (uint32_t i = a; used && i < b; i++)
		if (!space_bit(pg->busy, i))
			s->busy_sectors += UINT64_C(1) << c->shift;
	mark_page(pg, a, b, used ? MARK_USED : CLEAR_USED);
	s->used_sectors += used ? sectors : -sectors;
	return 0;
}

static int set_page(struct space *s, uint32_t chunk, uint32_t page, const uint8_t *used, bool keep, struct lcpfs_error *err)
{
	struct chunk *c = space_find_chunk(s, chunk);
	struct page *pg;
	int rc = c && page < c->n_pages ? space_load_page(s, c, page, &pg, err) : lcpfs_fail(err, LCPFS_ECORRUPT, "page %u of chunk %u", page, chunk);

	for (uint32_t i = 0; !rc && i < SPACE_PAGE_UNITS;) {
		uint32_t to = i;

		while (to < SPACE_PAGE_UNITS && space_bit(used, to) == space_bit(used, i) && space_bit(pg->used, to) != space_bit(used, to))
			to++;
		if (to > i && (space_bit(used, i) || !keep))
			rc = flip_run(s, c, pg, page * SPACE_PAGE_UNITS, i, to, space_bit(used, i), err);
		i = MAX(to, i + 1);
	}
	return rc;
}

int space_set_page(struct space *s, uint32_t chunk, uint32_t page, const uint8_t used[SPACE_PAGE_BYTES], bool keep, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = set_page(s, chunk, page, used, keep, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int protect(struct space *s, uint64_t addr, uint32_t sectors, struct lcpfs_error *err)
{
	struct chunk *c = space_find_chunk(s, (uint32_t)(addr >> 32));
	uint32_t from, to;

	if (!c || (uint64_t)(uint32_t)addr + sectors > c->sectors)
		return 0;
	units_of(c, addr, sectors, &from, &to);
	for (uint32_t p = from / SPACE_PAGE_UNITS; (uint64_t)p * SPACE_PAGE_UNITS < to; p++) {
		struct page *pg;
		uint32_t a, b;
		int rc = space_load_page(s, c, p, &pg, err);

		if (rc)
			return rc;
		for (bool in = clip(p, from, to, &a, &b); in && a < b; a++) {
			if (space_bit(pg->busy, a))
				continue;
			fill_bits(pg->busy, a, a + 1, true);
			s->busy_sectors += 1u << c->shift;
		}
	}
	return 0;
}

int space_protect(struct space *s, uint64_t addr, uint32_t sectors, struct lcpfs_error *err)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = protect(s, addr, sectors, err);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int space_dirty_pages(struct space *s, space_page_fn *fn, void *arg, struct lcpfs_error *err)
{
	struct buf out = { 0 };
	int rc = 0;

	for (uint32_t i = 0; i < s->n_chunks && !rc; i++) {
		for (uint32_t p = 0; p < s->chunk[i].n_pages && !rc; p++) {
			struct page *pg = s->chunk[i].page[p];

			if (!pg || !pg->dirty)
				continue;
			buf_reset(&out);
			space_page_encode(pg->used, &out);
			if (out.failed)
				rc = lcpfs_nomem(err);
			else if (out.data[4] == PAGE_ALL_FREE)
				rc = fn(arg, s->chunk[i].id, p, NULL, 0, err);
			else
				rc = fn(arg, s->chunk[i].id, p, out.data, out.len, err);
			if (!rc)
				pg->dirty = false;
		}
	}
	buf_fini(&out);
	return rc;
}

static void overlay_drop(struct space *s, uint64_t addr)
{
	for (size_t i = 0; i < s->overlay.n; i++)
		if (s->overlay.r[i].addr == addr) {
			s->overlay.r[i] = s->overlay.r[--s->overlay.n];
			return;
		}
}

/*
 * What is on a list of freed ranges may be allocated again. It was busy until now, so nothing else lies there; the pages were loaded when it
 * was freed.
 */
static void release(struct space *s, const struct range_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct chunk *c = space_find_chunk(s, (uint32_t)(l->r[i].addr >> 32));
		uint32_t from, to;
		bool all;

		overlay_drop(s, l->r[i].addr);
		units_of(c, l->r[i].addr, l->r[i].sectors, &from, &to);
		mark(s, c, from, MIN(to, c->units), CLEAR_BUSY, &all, NULL);
		s->busy_sectors -= (uint64_t)(to - from) << c->shift;
	}
}

void space_release_fresh(struct space *s)
{
	pthread_mutex_lock(&s->lock);
	release(s, &s->fresh);
	s->fresh.n = 0;
	pthread_mutex_unlock(&s->lock);
}

void space_settle(struct space *s, void (*fn)(void *arg, uint64_t addr, uint32_t sectors), void *arg)
{
	struct range_list done;

	pthread_mutex_lock(&s->lock);
	release(s, &s->fresh);
	s->fresh.n = 0;
	done = s->freed[1];
	release(s, &done);
	for (size_t i = 0; i < done.n && fn; i++)
		fn(arg, done.r[i].addr, done.r[i].sectors);
	s->freed[1] = s->freed[0];
	s->freed[0] = done;
	s->freed[0].n = 0;
	pthread_mutex_unlock(&s->lock);
}

void space_totals(struct space *s, uint64_t *total_sectors, uint64_t *used_sectors, uint64_t *busy_sectors)
{
	pthread_mutex_lock(&s->lock);
	*total_sectors = 0;
	for (uint32_t i = 0; i < s->n_chunks; i++)
		*total_sectors += s->chunk[i].sectors;
	*used_sectors = s->used_sectors;
	*busy_sectors = MAX(s->busy_sectors, s->used_sectors);
	pthread_mutex_unlock(&s->lock);
}

uint64_t space_unsettled(struct space *s)
{
	uint64_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (unsigned k = 0; k < 2; k++)
		for (size_t i = 0; i < s->freed[k].n; i++)
			n += s->freed[k].r[i].sectors;
	pthread_mutex_unlock(&s->lock);
	return n;
}

void space_set_used(struct space *s, uint64_t used_sectors)
{
	pthread_mutex_lock(&s->lock);
	s->busy_sectors += used_sectors - s->used_sectors;
	s->used_sectors = used_sectors;
	pthread_mutex_unlock(&s->lock);
}

int space_high_water(struct space *s, uint32_t chunk, uint32_t *sector, struct lcpfs_error *err)
{
	struct chunk *c;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	*sector = 0;
	c = space_find_chunk(s, chunk);
	for (uint32_t p = c ? c->n_pages : 0; p-- && !rc && !*sector;) {
		struct page *pg;

		rc = space_load_page(s, c, p, &pg, err);
		for (uint32_t i = SPACE_PAGE_UNITS; !rc && i--;)
			if (space_bit(pg->busy, i)) {
				*sector = (p * SPACE_PAGE_UNITS + i + 1) << c->shift;
				break;
			}
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
