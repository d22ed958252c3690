/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes to and fro over the name. In each, a byte is moved within its class by an amount that follows from the secret and all bytes passed before it, as they
 * are after this pass: so each pass can be undone, and names stay as different as they were. Four passes make every byte depend on every other.
 */
#include "history/scramble.h"
#include "base/le.h"
#include "hash/hash.h"
#include <stdbool.h>

enum { PASSES = 4, ALNUM = 62 };

void scramble_init(struct scramble *s, const uint8_t seed[32])
{
	uint8_t raw[32];

	blake3(seed, 32, raw);
	for (int i = 0; i < 4; i++)
		s->key[i] = le_load(raw + 8 * i, 8);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

static int alnum_rank(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : c >= 'a' && c <= 'z' ? c - 'a' + 36 : -1;
}

static uint8_t alnum_at(unsigned r)
{
	return (uint8_t)(r < 10 ? '0' + r : r < 36 ? 'A' + r - 10 : 'a' + r - 36);
}

static uint8_t moved(uint8_t c, uint64_t by)
{
	int r = alnum_rank(c);

	if (r >= 0)
		return alnum_at((unsigned)(((uint64_t)r + by % ALNUM) % ALNUM));
	return c >= 0x80 ? (uint8_t)(0x80 + ((c - 0x80u + by) & 0x7f)) : c;
}

static void pass(const struct scramble *s, unsigned n, uint64_t tweak, uint8_t *name, size_t len)
{
	uint64_t state = mix(s->key[n] ^ mix(tweak + s->key[(n + 1) & 3])) ^ len;

	for (size_t k = 0; k < len; k++) {
		uint8_t *c = &name[n & 1 ? len - 1 - k : k];

		state = mix(state + s->key[(n + 2) & 3]);
		*c = moved(*c, state >> 8);
		state ^= mix(*c + s->key[(n + 3) & 3]);
	}
}

void scramble_name(const struct scramble *s, uint64_t tweak, uint8_t *name, size_t len)
{
	for (unsigned n = 0; n < PASSES; n++)
		pass(s, n, tweak, name, len);
}
