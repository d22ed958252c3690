/* SPDX-License-Identifier: Apache-2.0 */
/* Ghosts: the hashes of what was evicted, in the order it went. Two keys with one 64-bit hash are taken for one; it costs nothing. */
#include "arc/arc_impl.h"
#include <stdlib.h>

#define GHOSTS_MIN 64u

static size_t entry_bytes(uint32_t size)
{
	return (size_t)size * GHOST_BYTES;
}

static uint32_t *bucket_of(const struct arc_ghosts *g, uint64_t hash)
{
	return &g->bucket[hash & (g->size * 2 - 1)];
}

size_t arc_ghosts_bytes(const struct arc_ghosts *g)
{
	return entry_bytes(g->size);
}

/* Room for `size` entries, a power of two. */
static bool resize(struct arc_ghosts *g, uint32_t size)
{
	uint32_t *bucket = calloc((size_t)size * 2, sizeof *bucket);
	struct arc_ghost *e = bucket ? realloc(g->e, size * sizeof *e) : NULL;

	if (e)
		g->e = e;
	if (!e) {
		free(bucket);
		return false;
	}
	if (!g->size)
		e[0] = (struct arc_ghost){ .list = ARC_NOWHERE };
	for (uint32_t i = MAX(g->size, 1); i < size; i++) {
		e[i] = (struct arc_ghost){ .next = g->unused, .list = ARC_NOWHERE };
		g->unused = i;
	}
	free(g->bucket);
	g->bucket = bucket;
	for (uint32_t i = 1, old = g->size; i < old; i++) {
		uint32_t *b = &bucket[e[i].hash & (size * 2 - 1)];

		if (e[i].list == ARC_NOWHERE)
			continue;
		e[i].chain = *b;
		*b = i;
	}
	g->size = size;
	return true;
}

bool arc_ghosts_init(struct arc_ghosts *g, uint32_t max)
{
	*g = (struct arc_ghosts){ .max = MAX(max, GHOSTS_MIN) };
	return resize(g, GHOSTS_MIN);
}

void arc_ghosts_fini(struct arc_ghosts *g)
{
	free(g->e);
	free(g->bucket);
}

bool arc_ghosts_full(const struct arc_ghosts *g)
{
	return !g->unused && g->size * 2 <= g->max;
}

void arc_ghosts_grow(struct arc_ghosts *g)
{
	resize(g, g->size * 2);
}

static void list_remove(struct arc_ghosts *g, uint32_t i)
{
	struct arc_ghost *e = &g->e[i];
	unsigned l = e->list;

	*(e->prev ? &g->e[e->prev].next : &g->list[l].oldest) = e->next;
	*(e->next ? &g->e[e->next].prev : &g->list[l].newest) = e->prev;
	g->list[l].bytes -= (uint64_t)e->units * GHOST_UNIT;
	e->list = ARC_NOWHERE;
	e->next = g->unused;
	g->unused = i;
	g->n--;
}

unsigned arc_ghost_take(struct arc_ghosts *g, uint64_t hash)
{
	for (uint32_t *b = bucket_of(g, hash); *b; b = &g->e[*b].chain) {
		uint32_t i = *b;
		unsigned l = g->e[i].list;

		if (g->e[i].hash != hash)
			continue;
		*b = g->e[i].chain;
		list_remove(g, i);
		return l;
	}
	return ARC_NOWHERE;
}

void arc_ghost_drop_oldest(struct arc_ghosts *g, unsigned list)
{
	if (g->list[list].oldest)
		arc_ghost_take(g, g->e[g->list[list].oldest].hash);
}

void arc_ghost_add(struct arc_ghosts *g, unsigned list, uint64_t hash, size_t bytes)
{
	uint32_t units = (uint32_t)MIN(MAX(div_up(bytes, GHOST_UNIT), 1), UINT32_MAX), i, *b;

	arc_ghost_take(g, hash);
	if (!g->unused)
		arc_ghost_drop_oldest(g, g->list[ARC_ONCE].bytes > g->list[ARC_AGAIN].bytes ? ARC_ONCE : ARC_AGAIN);
	i = g->unused;
	g->unused = g->e[i].next;
	b = bucket_of(g, hash);
	g->e[i] = (struct arc_ghost){ .hash = hash, .units = units, .list = (uint8_t)list,
		.prev = g->list[list].newest, .chain = *b };
	*b = i;
	*(g->list[list].newest ? &g->e[g->list[list].newest].next : &g->list[list].oldest) = i;
	g->list[list].newest = i;
	g->list[list].bytes += (uint64_t)g->e[i].units * GHOST_UNIT;
	g->n++;
}
