/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "format/node.h"
#include "tap.h"

TEST(header)
{
	struct node_hdr h = { .level = 2, .flags = NODE_F_ENC, .comp = 2, .nptr = 3, .body_stored = 100, .body_len = 200, .birth = 9,
		.tree_guid = 0x1122334455667788, .seq = 5, .crc = 7 }, g;
	static const struct { const char *what; size_t off; uint8_t xor; int rc; } bad[] = {
		{ "magic", 0, 1, -LCPFS_ECORRUPT }, { "version", 4, 2, -LCPFS_EUNSUP }, { "level", 5, 64, -LCPFS_ECORRUPT },
		{ "flags", 6, 4, -LCPFS_EUNSUP }, { "codec", 7, 8, -LCPFS_EUNSUP }, { "pointers", 8, 1, -LCPFS_ECORRUPT },
		{ "pointers, many", 11, 128, -LCPFS_ECORRUPT }, { "stored", 12, 1, -LCPFS_ECORRUPT },
		{ "stored, much", 15, 255, -LCPFS_ECORRUPT }, { "body", 18, 1, -LCPFS_ECORRUPT },
		{ "birth", 20, 9, -LCPFS_ECORRUPT }, { "birth, late", 27, 1, -LCPFS_ECORRUPT }, { "columns of an interior node", 48, 1, -LCPFS_ECORRUPT }, { "tail", 63, 1, -LCPFS_EUNSUP },
	};
	uint8_t raw[NODE_HDR];
	size_t len = NODE_HDR + 3 * PTR_LEN + 100;
	struct buf b = { 0 };

	node_hdr_encode(&h, raw);
	ok(!node_hdr_decode(&g, raw, len, NULL));
	ok(g.level == 2 && g.flags == NODE_F_ENC && g.comp == 2 && g.nptr == 3 && g.body_stored == 100 && g.body_len == 200 &&
	    g.birth == 9 && g.tree_guid == h.tree_guid && g.seq == 5 && g.crc == 7);
	is_int(node_hdr_decode(&g, raw, len + 1, NULL), -LCPFS_ECORRUPT);
	is_int(node_hdr_decode(&g, raw, 63, NULL), -LCPFS_ECORRUPT);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		raw[bad[i].off] ^= bad[i].xor;
		ok_msg(node_hdr_decode(&g, raw, len, NULL) == bad[i].rc, "%s", bad[i].what);
		raw[bad[i].off] ^= bad[i].xor;
	}
	node_hdr_print(&h, &b);
	ok(b.len > 20);
	buf_fini(&b);
}

static void encode(struct buf *out, bool leaf)
{
	static const uint8_t ptr[PTR_LEN * 2];
	const struct node_item it[] = {
		{ (const uint8_t *)"abc", (const uint8_t *)"one", ptr, 3, 3, 1 }, { (const uint8_t *)"abcd", NULL, ptr, 4, 0, 1 },
		{ (const uint8_t *)"abx", (const uint8_t *)"3", ptr, 3, 1, (uint8_t)(leaf ? 2 : 1) },
	};

	node_body_encode(out, leaf, (const uint8_t *)"abc", leaf ? 2 : 3, it, 3);
}

TEST(body)
{
	struct node_body d;
	struct node_item it;
	struct buf b = { 0 };

	encode(&b, true);
	ok(!node_body_decode(&d, b.data, b.len, true, 4, NULL));
	is_int(d.nitems, 3);
	is_int(d.prefix_len, 2);
	is_int(d.low_len, 2);
	node_body_item(&d, 1, &it);
	ok(it.klen == 2 && !memcmp(it.key, "cd", 2) && it.vlen == 0 && it.nptr == 1);
	node_body_item(&d, 2, &it);
	ok(it.klen == 1 && it.key[0] == 'x' && it.vlen == 1 && it.val[0] == '3' && it.nptr == 2);
	is_int(node_body_decode(&d, b.data, b.len, true, 3, NULL), -LCPFS_ECORRUPT);
	is_int(node_body_decode(&d, b.data, b.len, false, 3, NULL), -LCPFS_ECORRUPT);
	for (size_t n = 0; n < b.len; n++)
		is_int(node_body_decode(&d, b.data, n, true, 4, NULL), -LCPFS_ECORRUPT);
	buf_reset(&b);
	encode(&b, false);
	ok(!node_body_decode(&d, b.data, b.len, false, 3, NULL));
	b.data[10] ^= 1; /* low fence no longer the first separator */
	is_int(node_body_decode(&d, b.data, b.len, false, 3, NULL), -LCPFS_ECORRUPT);
	buf_reset(&b);
	node_body_encode(&b, true, NULL, 0, NULL, 0);
	ok(!node_body_decode(&d, b.data, b.len, true, 0, NULL));
	is_int(node_body_decode(&d, b.data, b.len, false, 0, NULL), -LCPFS_ECORRUPT);
	buf_fini(&b);
}

/* Whatever decodes can be read item by item: checked by the sanitizer, each body in a malloc of its exact size. */
static unsigned read_all(const struct node_body *d)
{
	struct node_item it;
	unsigned sum = 0;

	for (uint32_t i = 0; i < d->nitems; i++) {
		node_body_item(d, i, &it);
		for (unsigned k = 0; k < it.klen; k++)
			sum += it.key[k];
		for (unsigned k = 0; k < it.vlen; k++)
			sum += it.val[k];
	}
	return sum;
}

TEST(hostile_body)
{
	uint64_t seed = 42;
	unsigned good = 0;

	for (int i = 0; i < 60000; i++) {
		bool leaf = i % 2;
		struct node_body d;
		struct buf b = { 0 };
		uint8_t *m;

		encode(&b, leaf);
		m = malloc(b.len);
		memcpy(m, b.data, b.len);
		for (uint64_t k = tap_rand(&seed) % 4 + 1; k; k--)
			m[tap_rand(&seed) % b.len] = (uint8_t)(tap_rand(&seed) % 3 ? tap_rand(&seed) % 8 : tap_rand(&seed));
		if (!node_body_decode(&d, m, b.len, leaf, leaf ? 4 : 3, NULL))
			good += read_all(&d) < UINT32_MAX;
		free(m);
		buf_fini(&b);
	}
	ok(good > 0 && good < 60000);
}

/* Items of one shape; what: 0 like slices, 1 like names, 2 like inodes with and without more behind, 3 wild, 4 too few, 5 too short. */
static void make_leaf(struct buf *out, unsigned what, uint64_t *seed)
{
	uint32_t n = what == 4 ? 7 : 8 + (uint32_t)(tap_rand(seed) % 300), off = 20;
	struct node_item it[308];
	struct buf mem = { 0 };

	buf_reserve(&mem, 400 * n);
	for (uint32_t i = 0; i < n; i++) {
		size_t klen = what == 1 || what == 3 ? 12 + tap_rand(seed) % 9 : 9;
		size_t vlen = what == 0 || what == 4 ? 20 : what == 1 ? 9 : what == 2 ? 128 + tap_rand(seed) % 2 * 40 : tap_rand(seed) % (what == 5 ? 9 : 90);
		uint8_t *key = buf_grow(&mem, klen), *val = buf_grow(&mem, vlen);

		for (size_t k = 0; k < klen; k++)
			key[k] = (uint8_t)('a' + tap_rand(seed) % 20);
		be64_store(key + 1, what == 3 ? tap_rand(seed) : 1000 + i);
		key[0] = what == 3 ? (uint8_t)(i / 4) : 0x10;
		be64_store(key + 1, (uint64_t)i << (what == 3 ? 20 : 0));
		for (size_t k = 0; k < vlen; k++)
			val[k] = (uint8_t)(what == 3 ? tap_rand(seed) : k < 40 ? 3 : 0);
		if (vlen >= 20) {
			uint32_t len = (uint32_t)(tap_rand(seed) % 5000);

			le_store(val, 4, i / 50);
			le_store(val + 8, 4, off);
			le_store(val + 12, 4, len);
			le_store(val + 16, 4, len / 3 + 1);
			off += len;
		}
		it[i] = (struct node_item){ key, val, NULL, (uint16_t)klen, (uint32_t)vlen, (uint8_t)(what == 3 ? tap_rand(seed) % 3 : 0) };
	}
	ok(!mem.failed);
	node_body_encode(out, true, NULL, 0, it, n);
	buf_fini(&mem);
}

TEST(columns)
{
	uint64_t seed = 7;

	for (unsigned round = 0; round < 240; round++) {
		static uint8_t cols[NODE_LIMIT + NODE_COLS_MAX];
		struct buf b = { 0 };
		uint8_t *back;
		unsigned n;

		make_leaf(&b, round % 6, &seed);
		if (b.len > NODE_LIMIT) {
			buf_fini(&b);
			continue;
		}
		n = node_cols_encode(b.data, b.len, cols);
		ok_msg(round % 6 == 3 || !n == (round % 6 > 3), "leaf of kind %u by %u columns", round % 6, n);
		back = malloc(b.len);
		if (n) {
			is_int(node_cols_decode(cols, n, back, b.len, NULL), 0);
			is_mem(back, b.data, b.len);
			is_int(node_cols_decode(cols, n + 1, back, b.len, NULL), -LCPFS_ECORRUPT);
		}
		free(back);
		buf_fini(&b);
	}
}

/* Offsets of slices are sums, shares follow lengths: next to nothing is left of them. */
TEST(columns_predict)
{
	static uint8_t cols[NODE_LIMIT + NODE_COLS_MAX];
	uint64_t seed = 3;
	struct buf b = { 0 };
	const uint8_t *off;
	uint32_t n, odd = 0;

	make_leaf(&b, 0, &seed);
	n = (uint32_t)le_load(b.data, 4);
	is_int(node_cols_encode(b.data, b.len, cols), 5);
	off = cols + b.len + 5 - 12 * (size_t)n;
	for (uint32_t i = 1; i < n; i++)
		odd += off[i] != 0 || off[n + i] != 0;
	is_int(odd, 0);
	odd = 0;
	for (uint32_t i = 0; i < n; i++)
		odd += off[8 * (size_t)n + i] > 4;
	ok_msg(odd < 12, "%u shares were not foreseen", odd);
	buf_fini(&b);
}

/* Made from whatever, it is refused, or is a body that the next decoder looks at: the sanitizer checks both. */
TEST(hostile_columns)
{
	static uint8_t cols[NODE_LIMIT + NODE_COLS_MAX];
	uint64_t seed = 99;
	unsigned good = 0;

	for (int i = 0; i < 6000; i++) {
		struct node_body d;
		struct buf b = { 0 };
		uint8_t *in, *out;
		unsigned n;

		make_leaf(&b, (unsigned)i % 3, &seed);
		n = b.len <= NODE_LIMIT ? node_cols_encode(b.data, b.len, cols) : 0;
		in = malloc(b.len + n);
		out = malloc(b.len);
		memcpy(in, n ? cols : b.data, b.len + n);
		for (uint64_t k = tap_rand(&seed) % 4 + 1; k; k--)
			in[tap_rand(&seed) % (k == 1 ? 12 : b.len + n)] = (uint8_t)(tap_rand(&seed) % 3 ? tap_rand(&seed) % 8 : tap_rand(&seed));
		if (n && !node_cols_decode(in, n, out, b.len, NULL) && !node_body_decode(&d, out, b.len, true, 0, NULL))
			good += read_all(&d) < UINT32_MAX;
		free(in);
		free(out);
		buf_fini(&b);
	}
	ok(good > 0 && good < 6000);
}

TAP_MAIN(T(header), T(body), T(hostile_body), T(columns), T(columns_predict), T(hostile_columns))
