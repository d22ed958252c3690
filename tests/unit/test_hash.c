/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums against published vectors; every implementation this CPU has against the others; the input cut in every way. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hash/hash.h"
#include "hash/hash_impl.h"
#include "tap.h"

#define KEY "whats the Elvish word for friend"
#define CONTEXT "BLAKE3 2019-12-27 16:29:52 test vectors context"
#define OUT_LEN 131
#define MAX_INPUT 102400

static const char *const impls[] = { "portable", "sse41", "avx2", "avx512", "neon" };
#define N_IMPLS (sizeof impls / sizeof *impls)
static const char *const modes[] = { "hash", "keyed_hash", "derive_key" };

static uint8_t *pattern(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	if (!p)
		abort();
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 251);
	return p;
}

static void unhex(const char *hex, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned v = 0;

		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			abort();
		out[i] = (uint8_t)v;
	}
}

static void is_hex(const uint8_t got[32], const char *want)
{
	uint8_t bytes[32];

	unhex(want, bytes, 32);
	is_mem(got, bytes, 32);
}

static void init_mode(struct blake3 *b, unsigned mode)
{
	if (mode == 0)
		blake3_init(b);
	else if (mode == 1)
		blake3_init_keyed(b, (const uint8_t *)KEY);
	else
		blake3_init_derive(b, CONTEXT, strlen(CONTEXT));
}

static char *read_vectors(void)
{
	char path[4096], *text = calloc(1, 65536);
	FILE *f;

	snprintf(path, sizeof path, "%s/data/blake3/test_vectors.json", tap_data());
	f = fopen(path, "r");
	if (!f || !text || fread(text, 1, 65535, f) == 0) {
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	return text;
}

/* The next string value of "name" at or after *at; NULL at the end. */
static const char *field(const char *at, const char *name)
{
	char key[32];

	snprintf(key, sizeof key, "\"%s\": \"", name);
	at = strstr(at, key);
	return at ? at + strlen(key) : NULL;
}

static void check_case(const uint8_t *input, size_t len, const char *at, struct blake3 *all)
{
	for (unsigned m = 0; m < 3; m++) {
		uint8_t want[OUT_LEN], got[OUT_LEN];
		struct blake3 b;

		unhex(field(at, modes[m]), want, OUT_LEN);
		init_mode(&b, m);
		blake3_update(&b, input, len);
		blake3_final(&b, 0, got, OUT_LEN);
		is_mem(got, want, OUT_LEN);
		blake3_update(&all[m], got, OUT_LEN);
		for (size_t seek = 1; seek < OUT_LEN; seek += 13) {
			blake3_final(&b, seek, got, OUT_LEN - seek);
			is_mem(got, want + seek, OUT_LEN - seek);
		}
		if (m == 0) {
			blake3(input, len, got);
			is_mem(got, want, 32);
		}
	}
}

static void check_vectors(const char *impl)
{
	static const char *const accumulated[] = {
		"962670d1189aa6ab7379fac203d92ae859120606b81e00e43fddda4c06bef5e6",
		"4b81b71c91d26137c0283fe9dc5c14994fb5f466f1d2780e74be28f7253d46cf",
		"fe092cd02153c01b1d8d1bc853f1e4c90b64566edf2dfda455e69e73522fcb8d",
	};
	char *text = read_vectors();
	uint8_t *input = pattern(MAX_INPUT), out[32];
	struct blake3 all[3];
	unsigned n = 0;

	for (unsigned m = 0; m < 3; m++)
		blake3_init(&all[m]);
	for (const char *at = text; (at = strstr(at, "\"input_len\": ")); n++) {
		size_t len;

		at += strlen("\"input_len\": ");
		len = strtoul(at, NULL, 10);
		if (ok(len <= MAX_INPUT))
			check_case(input, len, at, all);
	}
	is_int(n, 35);
	for (unsigned m = 0; m < 3; m++) {
		blake3_final(&all[m], 0, out, 32);
		is_hex(out, accumulated[m]);
	}
	printf("# %s: %u cases\n", impl, n);
	free(input);
	free(text);
}

static void each_impl(void (*fn)(const char *))
{
	for (unsigned i = 0; i < N_IMPLS; i++)
		if (blake3_force(impls[i])) {
			is_str(blake3_impl(), impls[i]);
			fn(impls[i]);
		}
}

TEST(blake3_vectors)
{
	ok(blake3_force("portable"));
	ok(!blake3_force("mmx"));
	each_impl(check_vectors);
}

static void check_lengths(const char *impl)
{
	uint8_t *input = pattern(1000000), out[32];
	struct blake3 all;

	blake3_init(&all);
	for (size_t n = 0; n <= 20000; n++) {
		blake3(input, n, out);
		blake3_update(&all, out, 32);
	}
	blake3_final(&all, 0, out, 32);
	is_hex(out, "eb189e8fa3b93d178de000febae196633ac41f7bf77110c3204ad11acdc6faef");
	blake3(input, 1000000, out);
	is_hex(out, "5e82c663d164c54e4fcdfcd70e3ca464662228bdbad45cce2e0c2bff999064ef");
	printf("# %s\n", impl);
	free(input);
}

TEST(blake3_every_length)
{
	each_impl(check_lengths);
}

/* Random cuts of random lengths, results of unfinished states included, against the plain implementation in one go. */
static void check_splits(const char *impl)
{
	uint64_t seed = 0x1cfb7;
	size_t max = 700000;
	uint8_t *data = malloc(max);

	for (size_t i = 0; i < max; i++)
		data[i] = (uint8_t)tap_rand(&seed);
	for (unsigned round = 0; round < 60; round++) {
		size_t len = tap_rand(&seed) % (round % 2 ? max : 5000), done = 0;
		struct blake3 b;
		uint8_t got[32], want[32];

		blake3_init(&b);
		while (done < len) {
			size_t cap = (size_t)1 << tap_rand(&seed) % 19, k = tap_rand(&seed) % cap + 1;

			if (tap_rand(&seed) % 3 == 0)
				k = cap; /* whole blocks, chunks and subtrees */
			k = k < len - done ? k : len - done;
			blake3_update(&b, data + done, k);
			done += k;
			if (tap_rand(&seed) % 8 == 0) {
				blake3_final(&b, 0, got, 32);
				blake3_force("portable");
				blake3(data, done, want);
				blake3_force(impl);
				is_mem(got, want, 32);
			}
		}
		blake3_update(&b, NULL, 0);
		blake3_final(&b, 0, got, 32);
		blake3_force("portable");
		blake3(data, len, want);
		blake3_force(impl);
		ok_msg(memcmp(got, want, 32) == 0, "%s: round %u, length %zu", impl, round, len);
	}
	free(data);
}

TEST(blake3_splits)
{
	each_impl(check_splits);
}

/* Chunk counters beyond 32 bits: states put far ahead must agree between implementations. */
TEST(blake3_far_counter)
{
	uint8_t *data = pattern(1 << 17), first[32], got[32];
	unsigned n = 0;

	for (unsigned i = 0; i < N_IMPLS; i++) {
		struct blake3 b;

		if (!blake3_force(impls[i]))
			continue;
		blake3_init(&b);
		b.chunk_counter = 0xffffff80;
		b.cv_stack_len = (uint8_t)__builtin_popcountll(b.chunk_counter);
		memset(b.cv_stack, 0x5a, sizeof b.cv_stack);
		for (unsigned k = 0; k < 3; k++)
			blake3_update(&b, data, 1 << 17);
		blake3_final(&b, 1ull << 40, got, 32);
		if (n++ == 0)
			memcpy(first, got, 32);
		is_mem(got, first, 32);
	}
	free(data);
}

TEST(blake3_unaligned)
{
	uint8_t *data = pattern(70000), *copy = malloc(70001), want[32], got[32];

	memcpy(copy + 1, data, 70000);
	for (unsigned i = 0; i < N_IMPLS; i++)
		if (blake3_force(impls[i])) {
			blake3(data, 70000, want);
			blake3(copy + 1, 70000, got);
			is_mem(got, want, 32);
		}
	free(data);
	free(copy);
}

TEST(sha256_known)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	const struct hash_algo *h = hash_by_id(HASH_SHA256);

	for (unsigned i = 0; i < 3; i++) {
		uint8_t out[32];
		struct sha256_plain s;

		h->digest(cases[i].text, strlen(cases[i].text), out);
		is_hex(out, cases[i].want);
		sha256_plain_init(&s);
		sha256_plain_update(&s, cases[i].text, strlen(cases[i].text));
		sha256_plain_final(&s, out);
		is_hex(out, cases[i].want);
	}
}

TEST(sha256_plain_agrees)
{
	uint8_t *data = pattern(300), got[32], want[32];

	for (size_t len = 0; len <= 300; len++) {
		struct sha256_plain s;

		sha256_plain_init(&s);
		sha256_plain_update(&s, data, len / 3);
		sha256_plain_update(&s, data + len / 3, len - len / 3);
		sha256_plain_final(&s, got);
		hash_by_id(HASH_SHA256)->digest(data, len, want);
		is_mem(got, want, 32);
	}
	free(data);
}

TEST(table)
{
	is_str(hash_by_id(1)->name, "blake3");
	is_str(hash_by_id(2)->name, "sha256");
	ok(hash_by_id(0) == NULL);
	ok(hash_by_id(3) == NULL);
	ok(hash_by_name("blake3") == hash_by_id(HASH_BLAKE3));
	ok(hash_by_name("sha256") == hash_by_id(HASH_SHA256));
	ok(hash_by_name("sha") == NULL);
	is_int(hash_by_name("sha256")->id, HASH_SHA256);
}

TEST(pieces)
{
	uint8_t *data = pattern(20000), got[32], want[32];
	struct hash_piece pieces[] = {
		{ data, 100 }, { NULL, 0 }, { data + 100, 924 }, { data + 1024, 8192 }, { data + 9216, 10784 },
	};

	for (unsigned id = 1; id <= 2; id++) {
		const struct hash_algo *h = hash_by_id(id);

		h->digest(data, 20000, want);
		hash_pieces(h, pieces, 5, got);
		is_mem(got, want, 32);
		h->digest(NULL, 0, want);
		hash_pieces(h, pieces, 0, got);
		is_mem(got, want, 32);
	}
	free(data);
}

TEST(crc32c_known)
{
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];

	for (unsigned i = 0; i < 32; i++) {
		ones[i] = 0xff;
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	is_int(crc32c(0, "123456789", 9), 0xe3069283);
	is_int(crc32c(0, "", 0), 0);
	/* RFC 3720, B.4 */
	is_int(crc32c(0, zeros, 32), 0x8a9136aa);
	is_int(crc32c(0, ones, 32), 0x62a8ab43);
	is_int(crc32c(0, up, 32), 0x46dd794e);
	is_int(crc32c(0, down, 32), 0x113fdb5c);
}

TEST(crc32c_agree)
{
	uint8_t *data = pattern(1000);

	for (size_t len = 0; len < 1000; len += 7) {
		uint32_t want = crc32c_table(0, data, len);

		is_int(crc32c(0, data, len), want);
		is_int(crc32c(crc32c(0, data, len / 2), data + len / 2, len - len / 2), want);
		is_int(crc32c_table(crc32c_table(0, data, len / 3), data + len / 3, len - len / 3), want);
	}
	free(data);
}

TEST(simd_limit)
{
	setenv("LCPFS_SIMD", "avx2", 1);
	ok(!hash_simd_allows("avx512"));
	ok(hash_simd_allows("avx2"));
	ok(hash_simd_allows("sse41"));
	setenv("LCPFS_SIMD", "portable", 1);
	ok(!hash_simd_allows("sse41"));
	ok(!hash_simd_allows("neon"));
	ok(hash_simd_allows("portable"));
	setenv("LCPFS_SIMD", "whatever", 1);
	ok(hash_simd_allows("avx512"));
	unsetenv("LCPFS_SIMD");
	ok(hash_simd_allows("avx512"));
}

static void *hash_in_thread(void *arg)
{
	uint8_t *data = arg;
	bool *same = calloc(1, sizeof *same);
	uint8_t first[2][32], got[32];

	*same = true;
	for (unsigned i = 0; i < 50; i++)
		for (unsigned id = 1; id <= 2; id++) {
			hash_by_id(id)->digest(data, 40000, i ? got : first[id - 1]);
			*same = *same && (!i || memcmp(got, first[id - 1], 32) == 0);
		}
	return same;
}

TEST(threads)
{
	uint8_t *data = pattern(40000);
	pthread_t t[4];

	for (unsigned i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, hash_in_thread, data);
	for (unsigned i = 0; i < 4; i++) {
		void *same;

		pthread_join(t[i], &same);
		ok(*(bool *)same);
		free(same);
	}
	free(data);
}

TAP_MAIN(T(threads), T(blake3_vectors), T(blake3_every_length), T(blake3_splits), T(blake3_far_counter), T(blake3_unaligned),
         T(sha256_known), T(sha256_plain_agrees), T(table), T(pieces), T(crc32c_known), T(crc32c_agree), T(simd_limit))
