/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy, checksums, key derivation. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/bench.h"
#include "hash/hash.h"

#define BLOCK (1u << 20) /* a record */

struct buffers { uint8_t *from, *to; size_t each; size_t *at; const struct hash_algo *algo; volatile uint32_t sink; };

static bool buffers_init(struct buffers *u, unsigned threads, size_t each)
{
	*u = (struct buffers){ .each = each };
	u->from = malloc(each * threads);
	u->to = malloc(each * threads);
	u->at = calloc(threads, 64 * sizeof *u->at); /* a cache line of its own each */
	if (!u->from || !u->to || !u->at)
		return false;
	bench_corpora[3].fill(u->from, each * threads);
	memset(u->to, 1, each * threads);
	return true;
}

static void buffers_fini(struct buffers *u)
{
	free(u->from);
	free(u->to);
	free(u->at);
}

/* The next block of a thread's part. */
static size_t step(struct buffers *u, unsigned t)
{
	size_t *at = &u->at[64 * t], off = t * u->each + *at;

	*at = (*at + BLOCK) % u->each;
	return off;
}

static uint64_t do_memcpy(void *arg, unsigned t)
{
	struct buffers *u = arg;
	size_t off = step(u, t);

	memcpy(u->to + off, u->from + off, BLOCK);
	return BLOCK;
}

static uint64_t do_hash(void *arg, unsigned t)
{
	struct buffers *u = arg;
	uint8_t out[HASH_LEN];

	u->algo->digest(u->from + step(u, t), BLOCK, out);
	return BLOCK;
}

static uint64_t do_evp(void *arg, unsigned t)
{
	struct buffers *u = arg;
	uint8_t out[EVP_MAX_MD_SIZE];

	return EVP_Digest(u->from + step(u, t), BLOCK, out, NULL, EVP_sha256(), NULL) == 1 ? BLOCK : 0;
}

static uint64_t do_crc(void *arg, unsigned t)
{
	struct buffers *u = arg;

	u->sink = crc32c(0, u->from + step(u, t), BLOCK);
	return BLOCK;
}

static void report(const char *test, const char *name, unsigned threads, double rate, double beside, const char *beside_name)
{
	struct result r = { .test = test, .unit = BENCH_BYTES, .threads = threads, .rate = rate, .beside = beside, .beside_name = beside_name };

	snprintf(r.name, sizeof r.name, "%s", name);
	bench_result(&r);
}

int bench_memory(struct bench *b, struct lcpfs_error *err)
{
	struct buffers u;
	size_t each = b->size_bytes / 4 / b->threads / BLOCK * BLOCK;
	double big;

	if (!buffers_init(&u, b->threads, each < BLOCK ? BLOCK : each)) {
		buffers_fini(&u);
		return cmd_err(err, LCPFS_ENOMEM, "out of memory");
	}
	big = bench_rate(b, 1, do_memcpy, &u);
	b->memcpy_rate = big;
	report("memory", "memcpy, large buffers", 1, big, 0, NULL);
	if (b->threads > 1)
		report("memory", "memcpy, large buffers", b->threads, bench_rate(b, b->threads, do_memcpy, &u), big, "one thread");
	u.each = BLOCK;
	report("memory", "memcpy, 1 MiB again and again", 1, bench_rate(b, 1, do_memcpy, &u), big, "large buffers");
	buffers_fini(&u);
	return 0;
}

static void blake3_levels(struct bench *b, struct buffers *u)
{
	static const char *const levels[] = { "portable", "sse41", "avx2", "avx512", "neon" };
	const char *best = blake3_impl();
	double one = 0;
	char name[64];

	u->algo = hash_by_id(HASH_BLAKE3);
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		double rate;

		if (!blake3_force(levels[i]))
			continue;
		rate = bench_rate(b, 1, do_hash, u);
		snprintf(name, sizeof name, "blake3 %s", levels[i]);
		report("hash", name, 1, rate, b->memcpy_rate, "memcpy");
		if (strcmp(levels[i], best) == 0)
			one = rate;
	}
	blake3_force(best);
	snprintf(name, sizeof name, "blake3 %s", best);
	if (b->threads > 1)
		report("hash", name, b->threads, bench_rate(b, b->threads, do_hash, u), one, "one thread");
}

int bench_hash(struct bench *b, struct lcpfs_error *err)
{
	struct buffers u;
	double own, evp;

	if (!buffers_init(&u, b->threads, 4 * BLOCK)) {
		buffers_fini(&u);
		return cmd_err(err, LCPFS_ENOMEM, "out of memory");
	}
	if (!b->memcpy_rate)
		b->memcpy_rate = bench_rate(b, 1, do_memcpy, &u);
	blake3_levels(b, &u);
	evp = bench_rate(b, 1, do_evp, &u);
	u.algo = hash_by_id(HASH_SHA256);
	own = bench_rate(b, 1, do_hash, &u);
	report("hash", "sha256", 1, own, evp, "libcrypto");
	if (b->threads > 1)
		report("hash", "sha256", b->threads, bench_rate(b, b->threads, do_hash, &u), own, "one thread");
	report("hash", "crc32c", 1, bench_rate(b, 1, do_crc, &u), b->memcpy_rate, "memcpy");
	buffers_fini(&u);
	return 0;
}

#define KDF_ROUNDS 1000

static uint64_t do_kdf(void *arg, unsigned t)
{
	uint8_t out[32];

	(void)arg;
	(void)t;
	return PKCS5_PBKDF2_HMAC("passphrase", 10, (const uint8_t *)"saltsaltsaltsalt", 16, KDF_ROUNDS, EVP_sha256(), sizeof out, out) == 1;
}

int bench_kdf(struct bench *b, struct lcpfs_error *err)
{
	struct result r = { .test = "kdf", .name = "pbkdf2-sha256, 1000 rounds", .unit = BENCH_OPS, .threads = 1 };
	double one;

	r.rate = one = bench_rate(b, 1, do_kdf, NULL);
	if (!one)
		return cmd_err(err, LCPFS_EUNSUP, "this libcrypto has no PBKDF2 with SHA-256");
	bench_result(&r);
	r.threads = b->threads;
	r.beside = one;
	r.beside_name = "one thread";
	if (b->threads > 1) {
		r.rate = bench_rate(b, b->threads, do_kdf, NULL);
		bench_result(&r);
	}
	return 0;
}
