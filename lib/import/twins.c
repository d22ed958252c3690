/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of this run by what they may have in common: their size and a quick hash of the first piece of their content. It only says with
 * whom a file is worth comparing; a wrong hint costs a comparison. So the table may forget, and when it is full it takes no more.
 */
#include "import/import.h"
#include "base/error.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>

#define ENDS 1024u
#define K0 0x9e3779b97f4a7c15u
#define K1 0xbf58476d1ce4e5b9u
#define K2 0x94d049bb133111ebu

/* As this machine has it: the hash is for this run only. */
static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t turn(uint64_t h, uint64_t v)
{
	h = (h ^ v) * K0;
	return h ^ h >> 29;
}

/* Four at a time, so that multiplications overlap. */
static void mix(uint64_t h[4], const uint8_t *p, size_t len)
{
	uint8_t last[32] = { 0 };

	for (; len >= 32; p += 32, len -= 32)
		for (unsigned k = 0; k < 4; k++)
			h[k] = turn(h[k], load(p + 8 * (size_t)k));
	memcpy(last, p, len);
	for (unsigned k = 0; k < 4; k++)
		h[k] = turn(h[k], load(last + 8 * (size_t)k));
}

/* Files of one size that begin and end alike are mostly equal, so the middle of a long piece need not be looked at. */
uint64_t twins_hash(uint64_t size, const uint8_t *p, size_t len)
{
	uint64_t h[4] = { size * K1, size ^ K2, K0 - size, K1 ^ len };

	if (len <= 2 * ENDS) {
		mix(h, p, len);
	} else {
		mix(h, p, ENDS);
		mix(h, p + len - ENDS, ENDS);
	}
	return turn(turn(turn(h[0], h[1]), h[2]), h[3]);
}

static bool grow(struct twins *t)
{
	size_t cap = t->cap ? t->cap * 2 : 1024;
	struct twin *slot = cap * sizeof *slot <= t->max_bytes ? aligned_alloc(4096, cap * sizeof *slot) : NULL;

	if (!slot)
		return false;
	memset(slot, 0, cap * sizeof *slot); /* pages that are read first and written later cost twice, and stop all threads */
	for (size_t i = 0; i < t->cap; i++) {
		size_t at = t->slot[i].hash & (cap - 1);

		if (!t->slot[i].ino)
			continue;
		while (slot[at].ino)
			at = (at + 1) & (cap - 1);
		slot[at] = t->slot[i];
	}
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return true;
}

uint64_t twins_meet(struct twins *t, uint64_t hash, uint64_t ino)
{
	size_t at;

	if (t->n * 4 >= t->cap * 3 && !t->full)
		t->full = !grow(t);
	if (!t->cap)
		return 0;
	for (at = hash & (t->cap - 1); t->slot[at].ino; at = (at + 1) & (t->cap - 1))
		if (t->slot[at].hash == hash) {
			uint64_t first = t->slot[at].ino;

			return first == ino ? 0 : first;
		}
	if (!t->full) {
		t->slot[at] = (struct twin){ hash, ino };
		t->n++;
	}
	return 0;
}

void twins_renew(struct twins *t, uint64_t hash, uint64_t ino)
{
	for (size_t at = hash & (t->cap - 1); t->cap && t->slot[at].ino; at = (at + 1) & (t->cap - 1))
		if (t->slot[at].hash == hash)
			t->slot[at].ino = ino;
}

void twins_fini(struct twins *t)
{
	free(t->slot);
	*t = (struct twins){ 0 };
}
