/* SPDX-License-Identifier: Apache-2.0 */
#include "base/le.h"
#include "base/util.h"
#include "format/config.h"
#include "format/label.h"
#include "tap.h"
#include <stdlib.h>
#include <string.h>

/* Two devices, a mirror and a raidz group: more than this version opens, all that it decodes. */
static void sample(struct config *c)
{
	config_init(c);
	strcpy(c->name, "tank");
	memset(c->uuid, 5, 16);
	c->next_chunk_id = 10;
	c->n_epochs = 2;
	c->epochs = calloc(2, sizeof *c->epochs);
	c->epochs[0].first_txg = 1;
	c->epochs[1].first_txg = 9;
	config_add_feature(&c->incompat, "zebra", NULL);
	config_add_feature(&c->incompat, "ant", NULL);
	config_add_feature(&c->compat, "cosmetic", NULL);
	c->n_devices = 2;
	c->devices = calloc(2, sizeof *c->devices);
	for (unsigned i = 0; i < 2; i++) {
		c->devices[i] = (struct cfg_device){ .id = (uint16_t)(i + 1), .group = 1, .role = ROLE_DATA, .state = DEV_ONLINE,
			.ashift = 12, .size = 1000 * UINT64_C(65536), .stale_from = 3, .stale_to = 4, .err_h = 7 };
		memset(c->devices[i].uuid, (int)i + 1, 16);
	}
	c->devices[1].hint = strdup("/dev/disk two");
	c->n_groups = 2;
	c->groups = calloc(2, sizeof *c->groups);
	c->groups[0] = (struct cfg_group){ .id = 1, .profile = PROFILE_MIRROR, .width = 2, .parity = 2, .ashift = 12, .n_devs = 2 };
	c->groups[0].devs = calloc(2, sizeof(uint16_t));
	c->groups[0].devs[0] = 1;
	c->groups[0].devs[1] = 2;
	c->groups[0].name = strdup("fast");
	c->groups[1] = (struct cfg_group){ .id = 2, .profile = PROFILE_RAIDZ, .width = 3, .parity = 1, .ashift = 12 };
	c->n_chunks = 2;
	c->chunks = calloc(2, sizeof *c->chunks);
	for (unsigned i = 0; i < 2; i++) {
		struct cfg_chunk *k = &c->chunks[i];

		*k = (struct cfg_chunk){ .id = 4 + i, .group = 1, .profile = PROFILE_MIRROR, .width = 2, .parity = 2, .ashift = 12,
			.state = CHUNK_ACTIVE, .col_units = 100, .created_txg = 6, .live_hint = 1 };
		k->member = calloc(2, sizeof *k->member);
		k->member[0] = (struct cfg_member){ 1, 10 + i * 100 };
		k->member[1] = (struct cfg_member){ 2, 20 + i * 100 };
	}
	c->n_retired = 1;
	c->retired = calloc(1, sizeof *c->retired);
	c->retired[0] = (struct cfg_retired){ 1, 210, 5, 8 };
}

static void encode(const struct config *c, struct buf *b)
{
	config_encode(c, b);
	ok(!b->failed);
}

TEST(roundtrip)
{
	struct buf a = { 0 }, b = { 0 }, text = { 0 };
	struct lcpfs_error err = { 0 };
	struct config c, got;

	sample(&c);
	/* unknown, not critical: kept */
	c.unknown_len = 10;
	c.unknown = malloc(10);
	memcpy(c.unknown, "\x99\x01\x00\x00\x02\x00\x00\x00hi", 10);
	encode(&c, &a);
	ok_msg(config_decode(&got, a.data, a.len, &err) == 0, "%s", err.msg);
	encode(&got, &b);
	is_int(b.len, a.len);
	is_mem(b.data, a.data, a.len);
	is_str(got.name, "tank");
	is_str(got.incompat.names[0], "ant");
	is_str(got.devices[1].hint, "/dev/disk two");
	is_int(got.chunks[1].member[1].start_unit, 120);
	is_int(config_chunk(&got, 5)->id, 5);
	ok(!config_chunk(&got, 6));
	is_str(config_unknown_incompat(&got), "ant");
	ok(!config_unknown_ro_compat(&got));
	ok(config_has_feature(&got.compat, "cosmetic") && !config_has_feature(&got.compat, "x"));
	config_print(&got, &text);
	ok(strstr((char *)text.data, "retired 1:210 units 5 txg 8") != NULL);
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&text);
	config_fini(&c);
	config_fini(&got);
}

/* Each changes one thing; `rc` is what decoding what it encodes must give. */
static void m_name(struct config *c) { strcpy(c->name, "a/b"); }
static void m_noname(struct config *c) { c->name[0] = 0; }
static void m_dots(struct config *c) { strcpy(c->name, ".."); }
static void m_csum(struct config *c) { c->csum = 9; }
static void m_next(struct config *c) { c->next_chunk_id = 5; }
static void m_epochs(struct config *c) { c->n_epochs = 0; }
static void m_epoch_order(struct config *c) { c->epochs[1].first_txg = 1; }
static void m_feature_order(struct config *c) { c->incompat.names[0][0] = 'z', c->incompat.names[0][1] = 'z'; }
static void m_nodev(struct config *c) { c->n_devices = 0; }
static void m_dev0(struct config *c) { c->devices[0].id = 0; }
static void m_dev_twice(struct config *c) { c->devices[0].id = 2; }
static void m_uuid_twice(struct config *c) { memset(c->devices[1].uuid, 1, 16); }
static void m_role(struct config *c) { c->devices[0].role = 5; }
static void m_state(struct config *c) { c->devices[1].state = 0; }
static void m_dev_ashift(struct config *c) { c->devices[1].ashift = 17; }
static void m_dev_size(struct config *c) { c->devices[0].size = 65537; }
static void m_dev_open(struct config *c) { c->devices[0].size = 0; }
static void m_dev_huge(struct config *c) { c->devices[0].size = UINT64_MAX & ~UINT64_C(65535); }
static void m_dev_group(struct config *c) { c->devices[0].group = 7; }
static void m_stale(struct config *c) { c->devices[0].stale_to = 1; }
static void m_profile(struct config *c) { c->groups[1].profile = 3; }
static void m_width0(struct config *c) { c->groups[0].width = 0; }
static void m_parity(struct config *c) { c->groups[1].parity = 3; }
static void m_gflags(struct config *c) { c->groups[0].flags = 1; }
static void m_gname(struct config *c) { c->groups[0].name[1] = '\n'; }
static void m_spare(struct config *c) { c->groups[0].spare_permille = 1001; }
static void m_gdev(struct config *c) { c->groups[0].devs[1] = 3; }
static void m_gdev_order(struct config *c) { c->groups[0].devs[1] = 1; }
static void m_chunk0(struct config *c) { c->chunks[0].id = 0; }
static void m_chunk_twice(struct config *c) { c->chunks[1].id = 4; }
static void m_chunk_group(struct config *c) { c->chunks[1].group = 9; }
static void m_chunk_profile(struct config *c) { c->chunks[1].profile = 7; }
static void m_chunk_state(struct config *c) { c->chunks[1].state = 5; }
static void m_chunk_zombie(struct config *c) { c->chunks[1].state = CHUNK_ZOMBIE; }
static void m_chunk_units0(struct config *c) { c->chunks[1].col_units = 0; }
static void m_chunk_huge(struct config *c) { c->chunks[1].col_units = UINT32_MAX; }
static void m_chunk_outside(struct config *c) { c->chunks[1].col_units = 881; }
static void m_chunk_fits(struct config *c) { c->chunks[1].col_units = 880, c->retired[0].start_unit = 990; }
static void m_chunk_overlap(struct config *c) { c->chunks[0].col_units = 101; }
static void m_chunk_at0(struct config *c) { c->chunks[0].member[0].start_unit = 0; }
static void m_chunk_far(struct config *c) { c->chunks[0].member[0].start_unit = (UINT64_C(1) << 48) - 1; }
static void m_chunk_dev(struct config *c) { c->chunks[0].member[0].dev = 3; }
static void m_chunk_txg(struct config *c) { c->chunks[0].created_txg = UINT64_MAX; }
static void m_retired_overlap(struct config *c) { c->retired[0].start_unit = 209; }
static void m_retired_dev(struct config *c) { c->retired[0].dev = 8; }
static void m_retired_none(struct config *c) { c->retired[0].units = 0; }
static void m_unknown(struct config *c)
{
	c->unknown = malloc(8);
	memcpy(c->unknown, "\x99\x01\x01\x00\x00\x00\x00\x00", 8);
	c->unknown_len = 8;
}
static void m_unknown_flag(struct config *c)
{
	m_unknown(c);
	c->unknown[2] = 2;
}
static void m_unknown_short(struct config *c)
{
	m_unknown(c);
	c->unknown[2] = 0;
	c->unknown[7] = 0xff;
}

static const struct {
	const char *name;
	void (*change)(struct config *c);
	int rc;
} cases[] = {
#define BAD(f) { #f, f, -LCPFS_ECORRUPT }
#define UNSUP(f) { #f, f, -LCPFS_EUNSUP }
	BAD(m_name), BAD(m_noname), BAD(m_dots), UNSUP(m_csum), BAD(m_next), BAD(m_epochs), BAD(m_epoch_order),
	BAD(m_feature_order), BAD(m_nodev), BAD(m_dev0), BAD(m_dev_twice), BAD(m_uuid_twice), BAD(m_role), BAD(m_state),
	BAD(m_dev_ashift), BAD(m_dev_size), { "m_dev_open", m_dev_open, 0 }, BAD(m_dev_huge), BAD(m_dev_group), BAD(m_stale),
	UNSUP(m_profile), BAD(m_width0), BAD(m_parity), UNSUP(m_gflags), BAD(m_gname), BAD(m_spare), BAD(m_gdev),
	BAD(m_gdev_order), BAD(m_chunk0), BAD(m_chunk_twice), BAD(m_chunk_group), UNSUP(m_chunk_profile), BAD(m_chunk_state),
	BAD(m_chunk_zombie), BAD(m_chunk_units0), BAD(m_chunk_huge), BAD(m_chunk_outside), { "m_chunk_fits", m_chunk_fits, 0 },
	BAD(m_chunk_overlap), BAD(m_chunk_at0), BAD(m_chunk_far), BAD(m_chunk_dev), BAD(m_chunk_txg), BAD(m_retired_overlap),
	BAD(m_retired_dev), BAD(m_retired_none), UNSUP(m_unknown), UNSUP(m_unknown_flag), BAD(m_unknown_short),
};

TEST(fields)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lcpfs_error err = { 0 };
		struct config c, got;
		struct buf b = { 0 };
		int rc;

		sample(&c);
		cases[i].change(&c);
		encode(&c, &b);
		rc = config_decode(&got, b.data, b.len, &err);
		ok_msg(rc == cases[i].rc, "%s: %d (%s), wanted %d", cases[i].name, rc, err.msg, cases[i].rc);
		if (!rc)
			config_fini(&got);
		buf_fini(&b);
		/* counts were lowered by some: what they hid is freed here */
		c.n_devices = 2;
		config_fini(&c);
	}
}

/* Every record twice, left out, or cut short. */
TEST(records)
{
	struct config c, got;
	struct buf b = { 0 };

	sample(&c);
	encode(&c, &b);
	for (size_t cut = 0; cut < b.len; cut++) {
		uint8_t *p = malloc(cut ? cut : 1); /* exact size: a read past the end shows */
		int rc;

		memcpy(p, b.data, cut);
		rc = config_decode(&got, p, cut, NULL);
		if (!rc)
			config_fini(&got);
		free(p);
	}
	for (size_t at = 0; at < b.len;) {
		size_t len = 8 + (size_t)le_load(b.data + at + 4, 4);
		unsigned type = (unsigned)le_load(b.data + at, 2);
		struct buf twice = { 0 };
		int rc;

		buf_add(&twice, b.data, at + len);
		buf_add(&twice, b.data + at, b.len - at);
		rc = config_decode(&got, twice.data, twice.len, NULL);
		ok_msg(rc == -LCPFS_ECORRUPT, "type %u twice: %d", type, rc);
		buf_fini(&twice);
		at += len;
	}
	buf_fini(&b);
	config_fini(&c);
}

TEST(random_bytes_never_crash)
{
	uint64_t seed = 4711;
	struct config c, got;
	struct buf b = { 0 }, again = { 0 };
	unsigned good = 0;

	sample(&c);
	encode(&c, &b);
	for (int i = 0; i < 50000; i++) {
		size_t n = 1 + tap_rand(&seed) % 3;
		uint8_t *p = malloc(b.len);

		memcpy(p, b.data, b.len);
		while (n--)
			p[tap_rand(&seed) % b.len] = (uint8_t)(tap_rand(&seed) % 4 ? tap_rand(&seed) : 0xff);
		if (config_decode(&got, p, b.len, NULL) == 0) {
			/* what is accepted is understood in full */
			buf_reset(&again);
			config_encode(&got, &again);
			ok_msg(again.len == b.len, "round %d: %zu bytes became %zu", i, b.len, again.len);
			good++;
			config_fini(&got);
		}
		free(p);
	}
	ok_msg(good > 100, "%u accepted", good);
	buf_fini(&b);
	buf_fini(&again);
	config_fini(&c);
}

TEST(names)
{
	ok(config_name_ok("a", 1, 63) && config_name_ok("A-b_c.d+9", 9, 63) && config_name_ok("...", 3, 63));
	ok(!config_name_ok("", 0, 63) && !config_name_ok(".", 1, 63) && !config_name_ok("..", 2, 63));
	ok(!config_name_ok("a b", 3, 63) && !config_name_ok("a@b", 3, 63) && !config_name_ok("abc", 3, 2));
	is_int(config_add_feature(&(struct cfg_features){ 0 }, "a b", NULL), -LCPFS_EINVAL);
}

TAP_MAIN(T(roundtrip), T(fields), T(records), T(random_bytes_never_crash), T(names))
