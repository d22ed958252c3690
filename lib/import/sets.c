/* SPDX-License-Identifier: Apache-2.0 */
#include "import/import.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The table's own address makes where a number lands unknown to whoever chose the numbers. */
static uint64_t place_of(const void *table, uint64_t v)
{
	return mix(v ^ (uint64_t)(uintptr_t)table);
}

/*
 * Numbers are given out one after the other, so a set of them is pieces of 512 bits in a hash table; the piece used last is
 * asked first. A piece has its number plus one, 0: free.
 */
#define PIECE_BITS 512u
struct inoset_piece { uint64_t id, bit[PIECE_BITS / 64]; };

static size_t piece_at(const struct inoset *s, uint64_t id)
{
	size_t at;

	if (s->piece[s->last].id == id)
		return s->last;
	at = place_of(s, id) & (s->cap - 1);
	while (s->piece[at].id && s->piece[at].id != id)
		at = (at + 1) & (s->cap - 1);
	return at;
}

static int inoset_grow(struct inoset *s, struct lcpfs_error *err)
{
	struct inoset big = { .cap = s->cap ? s->cap * 2 : 16, .n = s->n };

	big.piece = calloc(big.cap, sizeof *big.piece);
	if (!big.piece)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < s->cap; i++) {
		size_t at = place_of(s, s->piece[i].id) & (big.cap - 1);

		if (!s->piece[i].id)
			continue;
		while (big.piece[at].id)
			at = (at + 1) & (big.cap - 1);
		big.piece[at] = s->piece[i];
	}
	free(s->piece);
	*s = big;
	return 0;
}

int inoset_add(struct inoset *s, uint64_t ino, bool *had, struct lcpfs_error *err)
{
	int rc = s->n * 4 >= s->cap * 3 ? inoset_grow(s, err) : 0;
	uint64_t bit = UINT64_C(1) << ino % 64;
	struct inoset_piece *p;

	if (rc)
		return rc;
	s->last = piece_at(s, ino / PIECE_BITS + 1);
	p = &s->piece[s->last];
	s->n += !p->id;
	p->id = ino / PIECE_BITS + 1;
	if (had)
		*had = p->bit[ino % PIECE_BITS / 64] & bit;
	p->bit[ino % PIECE_BITS / 64] |= bit;
	return 0;
}

bool inoset_has(const struct inoset *s, uint64_t ino)
{
	return s->n && s->piece[piece_at(s, ino / PIECE_BITS + 1)].bit[ino % PIECE_BITS / 64] & UINT64_C(1) << ino % 64;
}

void inoset_fini(struct inoset *s)
{
	free(s->piece);
	*s = (struct inoset){ 0 };
}

struct inomap_ent {
	uint64_t hash, ino;
	char *value;
	uint32_t len;
	uint8_t key[];
};

static uint64_t key_hash(const struct inomap *m, uint64_t ino, const uint8_t *key, size_t len)
{
	uint64_t h = place_of(m, ino);

	for (size_t i = 0; i < len; i++)
		h = (h ^ key[i]) * 0x100000001b3u;
	return mix(h);
}

static size_t find(const struct inomap *m, uint64_t hash, uint64_t ino, const void *key, size_t len)
{
	size_t at = hash & (m->cap - 1);

	for (; m->slot[at]; at = (at + 1) & (m->cap - 1)) {
		const struct inomap_ent *e = m->slot[at];

		if (e->hash == hash && e->ino == ino && e->len == len && (!len || memcmp(e->key, key, len) == 0))
			break;
	}
	return at;
}

const char *inomap_get(const struct inomap *m, uint64_t ino, const void *key, size_t len)
{
	const struct inomap_ent *e;

	if (!m->n)
		return NULL;
	e = m->slot[find(m, key_hash(m, ino, key, len), ino, key, len)];
	if (!e)
		return NULL;
	return e->value ? e->value : "";
}

static int inomap_grow(struct inomap *m, struct lcpfs_error *err)
{
	size_t cap = m->cap ? m->cap * 2 : 64;
	struct inomap_ent **slot = calloc(cap, sizeof *slot);

	if (!slot)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < m->cap; i++) {
		size_t at;

		if (!m->slot[i])
			continue;
		at = m->slot[i]->hash & (cap - 1);
		while (slot[at])
			at = (at + 1) & (cap - 1);
		slot[at] = m->slot[i];
	}
	free(m->slot);
	m->slot = slot;
	m->cap = cap;
	return 0;
}

int inomap_put(struct inomap *m, uint64_t ino, const void *key, size_t len, const char *value, struct lcpfs_error *err)
{
	int rc = m->n * 4 >= m->cap * 3 ? inomap_grow(m, err) : 0;
	struct inomap_ent *e;
	uint64_t hash;
	size_t at;

	if (rc)
		return rc;
	hash = key_hash(m, ino, key, len);
	at = find(m, hash, ino, key, len);
	if (m->slot[at])
		return 0;
	e = malloc(sizeof *e + len);
	if (!e)
		return lcpfs_nomem(err);
	*e = (struct inomap_ent){ .hash = hash, .ino = ino, .len = (uint32_t)len, .value = value ? strdup(value) : NULL };
	if (value && !e->value) {
		free(e);
		return lcpfs_nomem(err);
	}
	if (len)
		memcpy(e->key, key, len);
	m->slot[at] = e;
	m->n++;
	return 0;
}

void inomap_fini(struct inomap *m)
{
	for (size_t i = 0; i < m->cap; i++)
		if (m->slot[i]) {
			free(m->slot[i]->value);
			free(m->slot[i]);
		}
	free(m->slot);
	*m = (struct inomap){ 0 };
}

bool import_name_ok(const char *name, size_t len)
{
	if (!len || len > 255 || memchr(name, '/', len) || memchr(name, 0, len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}
