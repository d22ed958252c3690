/* SPDX-License-Identifier: Apache-2.0 */
/* The cache: look-ups of what is there, and blocks entering it while others leave. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arc/arc.h"
#include "bench/bench.h"

#define LOOKUPS 4096u  /* between looks at the clock */
#define NODE (32u << 10)
#define PACK (1u << 20)

struct cache { struct arc *arc; unsigned mask; size_t bytes; uint64_t next; const uint8_t *from; uint64_t *seed; };

static void obj_destroy(struct arc_obj *o)
{
	free(o);
}

/* An object of `bytes` under key k with its content copied in; bytes 0: the mere head, charged as 1 KiB. */
static bool add(struct cache *c, uint64_t k)
{
	struct arc_obj *o = malloc(sizeof *o + c->bytes);

	if (!o)
		return false;
	*o = (struct arc_obj){ .addr = k, .birth = 1, .bytes = c->bytes ? sizeof *o + c->bytes : 1024, .refs = 1, .destroy = obj_destroy };
	if (c->bytes)
		memcpy(o + 1, c->from, c->bytes);
	arc_put(arc_add(c->arc, o));
	return true;
}

static uint64_t do_lookups(void *arg, unsigned t)
{
	struct cache *c = arg;
	uint64_t x = c->seed[16 * t], hits = 0;

	for (unsigned i = 0; i < LOOKUPS; i++) {
		struct arc_obj *o;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		o = arc_get(c->arc, x >> 33 & c->mask, 1);
		hits += o != NULL;
		arc_put(o);
	}
	c->seed[16 * t] = x;
	return hits;
}

static uint64_t do_insert(void *arg, unsigned t)
{
	struct cache *c = arg;

	(void)t;
	return add(c, __atomic_add_fetch(&c->next, 1, __ATOMIC_RELAXED)) ? c->bytes : 0;
}

static void lookups(struct bench *b, struct cache *c, unsigned n)
{
	struct result r = { .test = "arc", .unit = BENCH_OPS, .threads = 1, .beside_name = "one thread" };
	double one;

	c->bytes = 0;
	c->mask = n - 1;
	for (unsigned k = 0; k < n; k++)
		add(c, k);
	snprintf(r.name, sizeof r.name, "look up and release, %u objects", n);
	r.rate = one = bench_rate(b, 1, do_lookups, c);
	bench_result(&r);
	if (b->threads < 2)
		return;
	r.threads = b->threads;
	r.rate = bench_rate(b, b->threads, do_lookups, c);
	r.beside = one;
	bench_result(&r);
}

static void inserts(struct bench *b, struct cache *c, size_t bytes)
{
	struct result r = { .test = "arc", .unit = BENCH_BYTES, .threads = 1, .beside = b->memcpy_rate, .beside_name = "memcpy" };

	c->bytes = bytes;
	c->next = 1u << 20;
	snprintf(r.name, sizeof r.name, "insert blocks of %zu KiB, copied", bytes >> 10);
	r.rate = bench_rate(b, 1, do_insert, c);
	bench_result(&r);
	if (b->threads < 2)
		return;
	r.threads = b->threads;
	r.rate = bench_rate(b, b->threads, do_insert, c);
	bench_result(&r);
}

int bench_arc(struct bench *b, struct lcpfs_error *err)
{
	struct cache c = { .arc = arc_create((size_t)b->memory_bytes / 2), .seed = calloc(b->threads, 16 * sizeof *c.seed) };
	uint8_t *from = calloc(1, PACK);
	int rc = c.arc && c.seed && from ? 0 : cmd_err(err, LCPFS_ENOMEM, "out of memory");

	for (unsigned t = 0; !rc && t < b->threads; t++)
		c.seed[16 * t] = t + 1;
	c.from = from;
	if (!rc) {
		lookups(b, &c, 1024);
		lookups(b, &c, 16384);
		inserts(b, &c, NODE);
		inserts(b, &c, PACK);
	}
	arc_destroy(c.arc);
	free(from);
	free(c.seed);
	return rc;
}
