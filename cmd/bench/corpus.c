/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data to compress, made by rule: not anyone's files, but alike from machine to machine.
 * Text: words of a vocabulary with Zipf-like frequencies, in indented lines. Binary: records of 32 bytes with counters, small numbers
 * and repeated words of machine code, as in tables of executables.
 */
#include <string.h>
#include "bench/bench.h"

#define WORDS 2000u

static unsigned skewed(uint64_t *seed, unsigned n)
{
	uint64_t r = bench_rand(seed);
	unsigned bits = 1 + (unsigned)(r >> 60) % 11; /* as many of the first two as of the next two, four, eight, ... */

	return (unsigned)(r & ((1u << bits) - 1)) % n;
}

static size_t word(char out[16], unsigned i)
{
	static const char letter[] = "etaoinshrdlcumwfgypbvk";
	uint64_t seed = i * 2654435761u + 1;
	size_t len = 2 + bench_rand(&seed) % 4 + (i > 100 ? bench_rand(&seed) % 6 : 0);

	for (size_t k = 0; k < len; k++)
		out[k] = letter[skewed(&seed, sizeof letter - 1)];
	return len;
}

static void text(uint8_t *p, size_t len)
{
	uint64_t seed = 20031;
	size_t at = 0, line = 0;
	char w[16];

	while (at < len) {
		size_t n = word(w, skewed(&seed, WORDS));

		for (size_t k = 0; k < n && at < len; k++)
			p[at++] = (uint8_t)w[k];
		line += n;
		if (at < len)
			p[at++] = line > 60 ? '\n' : bench_rand(&seed) % 9 ? ' ' : '_';
		for (size_t k = line > 60 ? bench_rand(&seed) % 4 : 0; k && at < len; k--)
			p[at++] = '\t';
		line = line > 60 ? 0 : line;
	}
}

static void binary(uint8_t *p, size_t len)
{
	uint64_t seed = 40961, base = 0x400000;
	uint8_t rec[32];

	for (size_t at = 0; at < len; at += sizeof rec) {
		uint64_t code = 0x0000c0834800458bull + (uint64_t)skewed(&seed, 512) * 0x010000010001ull, low = bench_rand(&seed);

		base += skewed(&seed, 1024) * 4;
		memcpy(rec, &base, 8);
		memcpy(rec + 8, &code, 8);
		memset(rec + 16, 0, 16);
		rec[16] = (uint8_t)skewed(&seed, 256);
		memcpy(rec + 20, &low, 3);
		rec[28] = (uint8_t)(low >> 62);
		memcpy(p + at, rec, len - at < sizeof rec ? len - at : sizeof rec);
	}
}

static void zeros(uint8_t *p, size_t len)
{
	memset(p, 0, len);
}

static void noise(uint8_t *p, size_t len)
{
	uint64_t seed = 7;

	for (size_t at = 0; at < len; at += 8) {
		uint64_t r = bench_rand(&seed) * 0x2545f4914f6cdd1dull;

		memcpy(p + at, &r, len - at < 8 ? len - at : 8);
	}
}

const struct corpus bench_corpora[4] = { { "text", text }, { "binary", binary }, { "zeros", zeros }, { "random", noise } };
