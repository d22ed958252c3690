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
		{ "birth", 20, 9, -LCPFS_ECORRUPT }, { "birth, late", 27, 1, -LCPFS_ECORRUPT }, { "tail", 63, 1, -LCPFS_EUNSUP },
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

TAP_MAIN(T(header), T(body), T(hostile_body))
