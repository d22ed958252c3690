/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmap pages, and allocating against a model of one byte per unit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/le.h"
#include "base/util.h"
#include "format/ptr.h"
#include "space/space.h"
#include "tap.h"

/* ---- pages ---- */

static bool round_trip(const uint8_t *map, unsigned enc)
{
	uint8_t back[SPACE_PAGE_BYTES];
	struct buf b = { 0 };
	bool good;

	space_page_encode(map, &b);
	good = !b.failed && b.len >= 5 && b.data[4] == enc && space_page_decode(back, b.data, b.len, NULL) == 0 &&
	    memcmp(back, map, sizeof back) == 0;
	buf_fini(&b);
	return good;
}

TEST(page_round_trips)
{
	uint8_t map[SPACE_PAGE_BYTES] = { 0 };
	uint64_t rng = 1;

	ok(round_trip(map, PAGE_ALL_FREE));
	memset(map, 0xff, sizeof map);
	ok(round_trip(map, PAGE_ALL_USED));
	map[0] = 0xfe;
	ok(round_trip(map, PAGE_RLE));
	map[0] = 0xff;
	map[sizeof map - 1] = 0x7f;
	ok(round_trip(map, PAGE_RLE));
	memset(map, 0x55, sizeof map);
	ok(round_trip(map, PAGE_RAW));
	for (unsigned i = 0; i < 200; i++) {
		unsigned runs = 1 + tap_rand(&rng) % 300;

		memset(map, 0, sizeof map);
		for (unsigned r = 0; r < runs; r++) {
			uint32_t from = tap_rand(&rng) % SPACE_PAGE_UNITS, n = 1 + tap_rand(&rng) % 400;

			for (uint32_t k = from; k < MIN(from + n, SPACE_PAGE_UNITS); k++)
				map[k >> 3] |= (uint8_t)(1u << (k & 7));
		}
		if (!ok(round_trip(map, PAGE_RLE)))
			break;
	}
}

TEST(page_hostile)
{
	static const struct { const char *what; uint32_t n_free; uint8_t raw[8]; size_t len; } bad[] = {
		{ "empty", 0, { 0 }, 0 }, { "no encoding", SPACE_PAGE_UNITS, { 0 }, 4 }, { "unknown encoding", 0, { 4 }, 5 },
		{ "free count of a free page", 5, { PAGE_ALL_FREE }, 5 }, { "free count of a used page", 1, { PAGE_ALL_USED }, 5 },
		{ "bytes after a free page", SPACE_PAGE_UNITS, { PAGE_ALL_FREE, 0 }, 6 }, { "short raw", 0, { PAGE_RAW, 1, 2 }, 7 },
		{ "no runs", 0, { PAGE_RLE }, 5 }, { "runs end early", 5, { PAGE_RLE, 5 }, 6 },
		{ "run too long", 0, { PAGE_RLE, 0, 0x81, 0x80, 2 }, 9 }, { "varint without end", 0, { PAGE_RLE, 0xff, 0xff, 0xff, 0xff }, 9 },
		{ "empty run inside", 0, { PAGE_RLE, 1, 0, 1 }, 8 }, { "only empty runs", 0, { PAGE_RLE, 0, 0, 0, 0 }, 9 },
		{ "bytes after the runs", SPACE_PAGE_UNITS, { PAGE_RLE, 0x80, 0x80, 2, 0 }, 9 },
		{ "wrong count", 7, { PAGE_RLE, 0x80, 0x80, 2 }, 8 },
	};
	uint8_t map[SPACE_PAGE_BYTES], val[16];
	uint64_t rng = 2;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		le_store(val, 4, bad[i].n_free);
		memcpy(val + 4, bad[i].raw, sizeof bad[i].raw);
		ok_msg(space_page_decode(map, val, bad[i].len, NULL) == -LCPFS_ECORRUPT, "%s", bad[i].what);
	}
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = tap_rand(&rng) % sizeof val;

		for (size_t k = 0; k < len; k++)
			val[k] = (uint8_t)tap_rand(&rng);
		if (len > 4)
			val[4] = (uint8_t)(tap_rand(&rng) % 4);
		(void)space_page_decode(map, val, len, NULL);
	}
}

/* ---- the model ---- */

#define UNITS_MAX (3 * SPACE_PAGE_UNITS + 4096)
enum { FREE = 0, USED, WAIT1, WAIT0, FRESH };
struct block { uint64_t addr; uint32_t sectors; bool counted; unsigned born; };
struct model {
	struct space *s;
	uint8_t unit[UNITS_MAX];
	uint32_t n_units;
	unsigned shift, txg;
	struct block b[4000];
	unsigned n;
	uint64_t rng;
};

static uint32_t units(const struct model *m, uint32_t sectors) { return (sectors + (1u << m->shift) - 1) >> m->shift; }

static uint32_t first_fit(const struct model *m, uint32_t want)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < m->n_units; i++) {
		run = m->unit[i] == FREE ? run + 1 : 0;
		if (run == want)
			return i + 1 - want;
	}
	return UINT32_MAX;
}

static void set(struct model *m, const struct block *b, uint8_t what)
{
	memset(m->unit + ((uint32_t)b->addr >> m->shift), what, units(m, b->sectors));
}

static bool op_alloc(struct model *m, uint32_t sectors)
{
	uint32_t want = units(m, sectors), at = first_fit(m, want);
	struct block *b = &m->b[m->n];
	struct lcpfs_error err;
	int rc;

	if (m->n == ARRAY_LEN(m->b))
		return true;
	*b = (struct block){ .sectors = sectors, .counted = tap_rand(&m->rng) % 4 != 0, .born = m->txg };
	rc = space_alloc(m->s, SPACE_ANY, sectors, b->counted, &b->addr, &err);
	if (at == UINT32_MAX)
		return ok_msg(rc == -LCPFS_ENOSPC, "%u units found where there are none", want);
	if (!ok_msg(rc == 0 && b->addr == ptr_addr(7, at << m->shift), "%u units: rc %d, unit %u, not %u", want, rc,
	    (uint32_t)b->addr >> m->shift, at))
		return false;
	set(m, b, USED);
	m->n++;
	return true;
}

static bool op_free(struct model *m)
{
	unsigned i = m->n ? (unsigned)(tap_rand(&m->rng) % m->n) : 0;
	struct block b = m->b[i];
	bool fresh = b.born == m->txg;

	if (!m->n)
		return true;
	m->b[i] = m->b[--m->n];
	set(m, &b, fresh ? FRESH : WAIT0);
	return ok(space_free(m->s, b.addr, b.sectors, b.counted, fresh, NULL) == 0) &&
	    (!b.counted || ok(space_free(m->s, b.addr, b.sectors, true, fresh, NULL) == -LCPFS_ECORRUPT));
}

static void op_release(struct model *m)
{
	space_release_fresh(m->s);
	for (uint32_t i = 0; i < m->n_units; i++)
		m->unit[i] = m->unit[i] == FRESH ? FREE : m->unit[i];
}

static void op_commit(struct model *m)
{
	space_settle(m->s, NULL, NULL);
	m->txg++;
	for (uint32_t i = 0; i < m->n_units; i++) {
		uint8_t *u = &m->unit[i];

		*u = *u == FRESH || *u == WAIT1 ? FREE : *u == WAIT0 ? WAIT1 : *u;
	}
}

static void op_grow(struct model *m)
{
	uint32_t n = m->n_units + 128 * (1 + (uint32_t)(tap_rand(&m->rng) % 100));

	n = MIN(n, UNITS_MAX);
	ok(space_set_chunk(m->s, 7, n << m->shift, 9 + m->shift, SPACE_ANY, NULL) == 0);
	m->n_units = n;
}

/* As the end of a commit cuts an image. */
static bool op_shrink(struct model *m)
{
	uint32_t sector, high = m->n_units;

	while (high && m->unit[high - 1] == FREE)
		high--;
	if (!ok(space_high_water(m->s, 7, &sector, NULL) == 0) || !ok_msg(sector == high << m->shift, "high water %u, not %u", sector, high))
		return false;
	m->n_units = MAX((uint32_t)round_up(high, 128), 128);
	return ok(space_set_chunk(m->s, 7, m->n_units << m->shift, 9 + m->shift, SPACE_ANY, NULL) == 0);
}

static bool same_totals(struct model *m)
{
	uint64_t total, used, busy, want_used = 0, want_busy = 0;

	for (unsigned i = 0; i < m->n; i++)
		want_used += m->b[i].counted ? (uint64_t)units(m, m->b[i].sectors) << m->shift : 0;
	for (uint32_t i = 0; i < m->n_units; i++)
		want_busy += m->unit[i] != FREE ? 1u << m->shift : 0;
	space_totals(m->s, &total, &used, &busy);
	return ok_msg(total == (uint64_t)m->n_units << m->shift && used == want_used && busy == want_busy,
	    "totals %llu %llu %llu, not used %llu busy %llu", (unsigned long long)total, (unsigned long long)used, (unsigned long long)busy,
	    (unsigned long long)want_used, (unsigned long long)want_busy);
}

static uint32_t size_of_block(struct model *m)
{
	uint64_t r = tap_rand(&m->rng) % 100;
	uint64_t max = r < 60 ? 16 : r < 90 ? 600 : r < 98 ? 9000 : 2 * SPACE_PAGE_UNITS;

	return (uint32_t)(1 + tap_rand(&m->rng) % max) << (r < 98 ? 0 : m->shift);
}

static bool run(uint64_t seed, unsigned shift)
{
	struct model *m = calloc(1, sizeof *m);
	bool good = true;

	m->rng = seed;
	m->shift = shift;
	m->txg = 1;
	m->s = space_create(NULL, NULL, NULL);
	op_grow(m);
	for (unsigned i = 0; i < 3000 && good; i++) {
		uint64_t r = tap_rand(&m->rng) % 1000;
		bool filling = i % 1000 < 600;

		if (r < (filling ? 600 : 300))
			good = op_alloc(m, size_of_block(m));
		else if (r < 900)
			good = op_free(m);
		else if (r < 930)
			op_release(m);
		else if (r < 960)
			op_commit(m);
		else if (r < 985)
			op_grow(m);
		else
			good = op_shrink(m);
		if (good && i % 50 == 0)
			good = same_totals(m);
	}
	space_destroy(m->s);
	free(m);
	return good;
}

TEST(against_a_model)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		if (!ok_msg(run(seed, seed % 2 ? 0 : 3), "seed %llu, unit of %u sectors", (unsigned long long)seed, seed % 2 ? 1 : 8))
			break;
}

TEST(edges)
{
	struct space *s = space_create(NULL, NULL, NULL);
	uint64_t a, b, total, used, busy;

	is_int(space_alloc(s, SPACE_ANY, 1, true, &a, NULL), -LCPFS_ENOSPC);
	is_int(space_set_chunk(s, 3, 4 * SPACE_PAGE_UNITS, 9, SPACE_ANY, NULL), 0);
	is_int(space_set_chunk(s, 1, 128, 12, SPACE_ANY, NULL), 0);
	is_int(space_set_chunk(s, 2, 128, 9, SPACE_NONE, NULL), 0);
	is_int(space_alloc(s, SPACE_ANY, 128, true, &a, NULL), 0);
	ok_msg(a == ptr_addr(1, 0), "ascending over chunks");
	is_int(space_alloc(s, SPACE_ANY, 1, true, &b, NULL), 0);
	ok_msg(b == ptr_addr(3, 0), "a chunk that is not allocatable is passed over");
	is_int(space_alloc(s, SPACE_ANY, 3 * SPACE_PAGE_UNITS, true, &b, NULL), 0);
	ok_msg(b == ptr_addr(3, 1), "longer than a page");
	is_int(space_free(s, ptr_addr(9, 0), 1, true, true, NULL), -LCPFS_ECORRUPT);
	is_int(space_free(s, ptr_addr(1, 0), 0, true, true, NULL), -LCPFS_ECORRUPT);
	is_int(space_free(s, ptr_addr(1, 120), 9, true, true, NULL), -LCPFS_ECORRUPT);
	is_int(space_free(s, ptr_addr(1, 0xffffffff), 0xffffffff, true, true, NULL), -LCPFS_ECORRUPT);
	is_int(space_free(s, ptr_addr(1, 4), 4, true, true, NULL), -LCPFS_ECORRUPT); /* inside a unit */
	space_totals(s, &total, &used, &busy);
	is_int(used, 128 + 1 + 3 * SPACE_PAGE_UNITS);
	is_int(space_free(s, b, 3 * SPACE_PAGE_UNITS, true, true, NULL), 0);
	is_int(space_alloc(s, SPACE_ANY, 2 * SPACE_PAGE_UNITS, true, &b, NULL), -LCPFS_ENOSPC); /* only when nothing is in flight */
	space_release_fresh(s);
	is_int(space_alloc(s, SPACE_ANY, 2 * SPACE_PAGE_UNITS, true, &b, NULL), 0);
	space_destroy(s);
}

/* ---- the K rule at open ---- */

/* Newest: units 0..9 used. The one before: 5..19. */
static int load(void *arg, uint32_t chunk, uint32_t page, uint8_t used[SPACE_PAGE_BYTES], uint8_t extra[SPACE_PAGE_BYTES], struct lcpfs_error *err)
{
	(void)chunk;
	(void)err;
	*(unsigned *)arg += 1;
	if (page == 0) {
		memcpy(used, "\xff\x03", 2);
		memcpy(extra, "\xe0\xff\x0f", 3);
	}
	return 0;
}

static int peek(void *arg, uint32_t chunk, uint32_t page, uint32_t *n_free, struct lcpfs_error *err)
{
	(void)arg;
	(void)chunk;
	(void)err;
	*n_free = page == 1 ? 0 : SPACE_PAGE_UNITS - 10;
	return 0;
}

static void count_range(void *arg, uint64_t addr, uint32_t sectors)
{
	(void)addr;
	*(uint32_t *)arg += sectors;
}

TEST(kept_trees)
{
	unsigned loads = 0;
	struct space *s = space_create(load, peek, &loads);
	uint64_t a;
	uint32_t settled = 0;

	is_int(space_set_chunk(s, 1, 3 * SPACE_PAGE_UNITS, 9, SPACE_ANY, NULL), 0);
	space_set_used(s, 10);
	is_int(space_overlay(s, ptr_addr(1, 20), 2, false, NULL), 0); /* a node of the newest space tree */
	is_int(space_overlay(s, ptr_addr(1, 22), 3, true, NULL), 0);  /* one that only the older tree has */
	is_int(space_overlay(s, ptr_addr(1, 3 * SPACE_PAGE_UNITS - 1), 2, false, NULL), -LCPFS_ECORRUPT);
	is_int(space_alloc(s, SPACE_ANY, 1, true, &a, NULL), 0);
	is_int(a, ptr_addr(1, 25));
	is_int(loads, 1);
	is_int(space_free(s, ptr_addr(1, 12), 1, true, false, NULL), -LCPFS_ECORRUPT); /* free in the newest */
	is_int(space_free(s, ptr_addr(1, 20), 2, false, false, NULL), 0);
	space_settle(s, count_range, &settled);
	is_int(settled, 10 + 3);
	is_int(space_alloc(s, SPACE_ANY, 10, true, &a, NULL), 0);
	is_int(a, ptr_addr(1, 10)); /* what the commit before used */
	is_int(space_alloc(s, SPACE_ANY, 1, true, &a, NULL), 0);
	is_int(a, ptr_addr(1, 22)); /* its node; 20 and 21 wait for one commit more */
	settled = 0;
	space_settle(s, count_range, &settled);
	is_int(settled, 2);
	is_int(space_alloc(s, SPACE_ANY, 2, false, &a, NULL), 0);
	is_int(a, ptr_addr(1, 20));
	is_int(space_alloc(s, SPACE_ANY, SPACE_PAGE_UNITS, true, &a, NULL), 0);
	is_int(a, ptr_addr(1, 2 * SPACE_PAGE_UNITS) - 0); /* page 1 is full, and was never loaded */
	is_int(loads, 2);
	space_destroy(s);
}

TAP_MAIN(T(page_round_trips), T(page_hostile), T(against_a_model), T(edges), T(kept_trees))
