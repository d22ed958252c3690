/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"
#include "format/label.h"
#include "hash/hash.h"
#include "tap.h"
#include <stdio.h>
#include <string.h>

static struct label sample_label(bool back)
{
	struct label l = {
		.major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .pool_uuid = { 1, 2, 3 }, .dev_uuid = { 4, 5, 6 }, .dev_id = 1,
		.sector_shift = 9, .label_count = 2, .ring_slots = 16, .cfg_len = UNIT, .dev_size = 64u << 20, .created_ns = 77,
	};
	uint64_t front = label_front_bytes(9, 16, UNIT);

	l.data_off = front;
	l.ring_off = back ? l.dev_size - front : UNIT;
	l.cfg_off = l.ring_off + 16 * 4096;
	return l;
}

static struct uberblock sample_uber(void)
{
	struct uberblock u = {
		.major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .pool_uuid = { 9 }, .txg = 100, .time_s = -5, .time_ns = 999999999,
		.epoch_id = { 7, 7 }, .cfg_gen = 3, .cfg_len = 500, .cfg_slot = 2, .cfg_hash = { 1 }, .total_sectors = 1000,
		.free_sectors = 900, .next_guid = 12, .rewind_floor_txg = 50, .prev_txg = { 99, 97 }, .n_devices = 1,
	};

	u.pool_root = (struct blkptr){ .addr = ptr_addr(1, 8), .birth = 100, .kind = PTR_NODE, .level = 2, .lsize = 4096,
		.psize = 1000, .comp = 2, .csum = 1, .hash = { 8, 8 } };
	u.space_root = u.pool_root;
	u.space_root.addr = ptr_addr(1, 16);
	return u;
}

static void fix_hash(uint8_t raw[LABEL_LEN]) { blake3(raw, LABEL_LEN - HASH_LEN, raw + LABEL_LEN - HASH_LEN); }

TEST(label_roundtrip)
{
	for (int back = 0; back < 2; back++) {
		struct label l = sample_label(back), got;
		uint8_t raw[LABEL_LEN], again[LABEL_LEN];
		struct lcpfs_error err = { 0 };
		struct buf text = { 0 };

		label_encode(&l, raw);
		ok_msg(label_decode(&got, raw, &err) == 0, "%s", err.msg);
		label_encode(&got, again);
		is_mem(again, raw, LABEL_LEN);
		label_print(&got, &text);
		ok(strstr((char *)text.data, "sector 512") != NULL);
		buf_fini(&text);
	}
}

static const struct {
	const char *name;
	size_t off, len;
	uint64_t value;
	int rc;
} label_cases[] = {
	{ "magic", 0, 1, 'X', -LCPFS_ECORRUPT },
	{ "major 0", 8, 2, 0, -LCPFS_ECORRUPT },
	{ "newer major", 8, 2, 2, -LCPFS_EUNSUP },
	{ "newer minor", 10, 2, 9, 0 },
	{ "header length", 12, 4, 512, -LCPFS_ECORRUPT },
	{ "device id 0", 48, 2, 0, -LCPFS_ECORRUPT },
	{ "sector shift 8", 50, 1, 8, -LCPFS_ECORRUPT },
	{ "sector shift 17", 50, 1, 17, -LCPFS_ECORRUPT },
	{ "no label", 51, 1, 0, -LCPFS_ECORRUPT },
	{ "three labels", 51, 1, 3, -LCPFS_ECORRUPT },
	{ "ring of 7", 52, 4, 7, -LCPFS_ECORRUPT },
	{ "huge ring", 52, 4, UINT32_MAX, -LCPFS_ECORRUPT },
	{ "ring at 0", 56, 8, 0, -LCPFS_ECORRUPT },
	{ "ring beyond", 56, 8, UINT64_MAX - 100, -LCPFS_ECORRUPT },
	{ "config elsewhere", 64, 8, 4u << 20, -LCPFS_ECORRUPT },
	{ "config slot 0", 72, 8, 0, -LCPFS_ECORRUPT },
	{ "config slot odd", 72, 8, UNIT + 1, -LCPFS_ECORRUPT },
	{ "config slot huge", 72, 8, UINT64_C(1) << 62, -LCPFS_ECORRUPT },
	{ "reserved byte", 90, 1, 1, -LCPFS_ECORRUPT },
	{ "reserved byte at the end", 4000, 1, 1, -LCPFS_ECORRUPT },
	{ "data in the label", 128, 8, UNIT, -LCPFS_ECORRUPT },
	{ "data beyond", 128, 8, UINT64_MAX - UNIT + 1, -LCPFS_ECORRUPT },
	{ "device size odd", 136, 8, 1000, -LCPFS_ECORRUPT },
	{ "device size odd", 136, 8, 12345, -LCPFS_ECORRUPT },
	{ "device size huge", 136, 8, UINT64_C(1) << 63, -LCPFS_ECORRUPT },
	{ "region without length", 144, 8, UNIT, -LCPFS_ECORRUPT },
	{ "region length odd", 152, 8, 5, -LCPFS_ECORRUPT },
};

TEST(label_fields)
{
	for (size_t i = 0; i < ARRAY_LEN(label_cases); i++) {
		struct label l = sample_label(false), got;
		uint8_t raw[LABEL_LEN];
		int rc;

		label_encode(&l, raw);
		le_store(raw + label_cases[i].off, (unsigned)label_cases[i].len, label_cases[i].value);
		fix_hash(raw);
		rc = label_decode(&got, raw, NULL);
		ok_msg(rc == label_cases[i].rc, "%s: %d, wanted %d", label_cases[i].name, rc, label_cases[i].rc);
		raw[3000] ^= 4;
		ok(label_decode(&got, raw, NULL) < 0);
	}
}

TEST(uberblock_roundtrip)
{
	struct uberblock u = sample_uber(), got;
	uint8_t raw[UBER_LEN], again[UBER_LEN];
	struct lcpfs_error err = { 0 };
	struct buf text = { 0 };

	uberblock_encode(&u, raw);
	ok_msg(uberblock_decode(&got, raw, &err) == 0, "%s", err.msg);
	is_int(got.time_s, -5);
	is_int(got.pool_root.level, 2);
	uberblock_encode(&got, again);
	is_mem(again, raw, UBER_LEN);
	uberblock_print(&got, &text);
	ok(strstr((char *)text.data, "txg 100") != NULL);
	buf_fini(&text);
	memset(&u.pool_root, 0, sizeof u.pool_root);
	uberblock_encode(&u, raw);
	is_int(uberblock_decode(&got, raw, NULL), 0);
}

static const struct {
	const char *name;
	size_t off, len;
	uint64_t value;
	int rc;
} uber_cases[] = {
	{ "magic", 2, 1, 'x', -LCPFS_ECORRUPT },
	{ "newer major", 8, 2, 3, -LCPFS_EUNSUP },
	{ "newer minor", 10, 2, 1, 0 },
	{ "length", 12, 4, 4000, -LCPFS_ECORRUPT },
	{ "txg 0", 32, 8, 0, -LCPFS_ECORRUPT },
	{ "txg of 49 bits", 32, 8, UINT64_C(1) << 48, -LCPFS_ECORRUPT },
	{ "nanoseconds", 48, 4, 1000000000, -LCPFS_ECORRUPT },
	{ "flag", 52, 4, 1, -LCPFS_EUNSUP },
	{ "generation 0", 72, 8, 0, -LCPFS_ECORRUPT },
	{ "config of 7 bytes", 80, 4, 7, -LCPFS_ECORRUPT },
	{ "config of 4 GiB", 80, 4, UINT32_MAX, -LCPFS_ECORRUPT },
	{ "slot 4", 84, 1, 4, -LCPFS_ECORRUPT },
	{ "reserved", 86, 1, 1, -LCPFS_ECORRUPT },
	{ "root is no node", 120 + 14, 1, PTR_DATA, -LCPFS_ECORRUPT },
	{ "root is younger", 120 + 8, 6, 101, -LCPFS_ECORRUPT },
	{ "root of an unknown codec", 216 + 24, 1, 9, -LCPFS_EUNSUP },
	{ "more free than there is", 352, 8, 1001, -LCPFS_ECORRUPT },
	{ "floor in the future", 368, 8, 101, -LCPFS_ECORRUPT },
	{ "previous is itself", 376, 8, 100, -LCPFS_ECORRUPT },
	{ "previous out of order", 384, 8, 99, -LCPFS_ECORRUPT },
	{ "no device", 392, 2, 0, -LCPFS_ECORRUPT },
	{ "rest", 400, 1, 1, -LCPFS_ECORRUPT },
};

TEST(uberblock_fields)
{
	for (size_t i = 0; i < ARRAY_LEN(uber_cases); i++) {
		struct uberblock u = sample_uber(), got;
		uint8_t raw[UBER_LEN];
		int rc;

		uberblock_encode(&u, raw);
		le_store(raw + uber_cases[i].off, (unsigned)uber_cases[i].len, uber_cases[i].value);
		fix_hash(raw);
		rc = uberblock_decode(&got, raw, NULL);
		ok_msg(rc == uber_cases[i].rc, "%s: %d, wanted %d", uber_cases[i].name, rc, uber_cases[i].rc);
	}
}

/* A torn write: the first sectors of the new one, the rest of the old one. */
TEST(uberblock_torn)
{
	struct uberblock u = sample_uber(), got;
	uint8_t old[UBER_LEN], raw[UBER_LEN];

	uberblock_encode(&u, old);
	for (size_t n = 512; n < UBER_LEN; n += 512) {
		u.txg = 116;
		uberblock_encode(&u, raw);
		memcpy(raw + n, old + n, UBER_LEN - n);
		is_int(uberblock_decode(&got, raw, NULL), -LCPFS_ECSUM);
	}
}

TEST(random_bytes_never_crash)
{
	uint64_t seed = 12345;

	for (int i = 0; i < 20000; i++) {
		struct label l = sample_label(i & 1), gl;
		struct uberblock u = sample_uber(), gu;
		uint8_t raw[LABEL_LEN];

		label_encode(&l, raw);
		raw[tap_rand(&seed) % 168] = (uint8_t)tap_rand(&seed);
		raw[tap_rand(&seed) % 168] ^= (uint8_t)(1u << tap_rand(&seed) % 8);
		fix_hash(raw);
		if (label_decode(&gl, raw, NULL) == 0 && gl.dev_size > UINT64_C(1) << 62)
			ok_msg(false, "seed 12345, round %d", i);
		uberblock_encode(&u, raw);
		raw[tap_rand(&seed) % 400] = (uint8_t)tap_rand(&seed);
		fix_hash(raw);
		(void)uberblock_decode(&gu, raw, NULL);
	}
	ok(true);
}

TAP_MAIN(T(label_roundtrip), T(label_fields), T(uberblock_roundtrip), T(uberblock_fields), T(uberblock_torn),
    T(random_bytes_never_crash))
