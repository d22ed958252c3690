/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"
#include "hash/hash.h"
#include "tap.h"
#include "vdev/vdev_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_NAME "test"

static const struct vdev_create params = {
	.name = "tank", .uuid = { 1 }, .dev_uuid = { 2 }, .epoch_id = { 3 }, .csum = HASH_BLAKE3, .label_count = 2,
};

/* A device that survives the vdev: a fault device that never fails, which does not own what is below. */
static struct lcpfs_blockdev *keep(struct faultdev *f, struct lcpfs_blockdev *ram)
{
	faultdev_init(f, ram, 0, 0, false, LCPFS_EIO);
	return &f->dev;
}

static struct lcpfs_blockdev *ram_image(void)
{
	struct lcpfs_blockdev *d = NULL;

	is_int(lcpfs_ramdisk_create(&d, RAM_NAME, 0, LCPFS_DEV_IMAGE, NULL), 0);
	return d;
}

static struct lcpfs_blockdev *ram_disk(uint64_t size)
{
	struct lcpfs_blockdev *d = NULL;

	is_int(lcpfs_ramdisk_create(&d, RAM_NAME, size, 0, NULL), 0);
	return d;
}

static int publish(struct vdev *v, uint64_t txg, struct lcpfs_error *err)
{
	struct uberblock ub = { .txg = vdev_next_txg(v, txg), .next_guid = txg, .rewind_floor_txg = 0 };
	bool published;

	return vdev_publish(v, &ub, &published, err);
}

static struct vdev *create_on(struct lcpfs_blockdev *d, const struct vdev_create *c)
{
	struct lcpfs_error err = { 0 };
	struct vdev *v = NULL;

	ok_msg(vdev_create(&v, d, c, &err) == 0, "%s", err.msg);
	return v;
}

/* Open and select the newest; NULL after a failure. */
static struct vdev *open_newest(struct lcpfs_blockdev *d, bool rw, bool *back_only)
{
	struct lcpfs_error err = { 0 };
	const struct vdev_uber *u;
	struct vdev *v = NULL;
	size_t n;
	int rc = vdev_open(&v, d, rw, &err);

	if (!rc) {
		u = vdev_ubers(v, &n);
		if (back_only)
			*back_only = u[0].back_only;
		rc = vdev_select(v, &u[0].ub, &err);
	}
	if (!ok_msg(rc == 0, "%s", err.msg)) {
		vdev_close(v);
		return NULL;
	}
	return v;
}

static void fill(uint8_t *p, size_t len, uint8_t with) { memset(p, with, len); }

/* Write `with` at a place of the last chunk, after growing when there is none. */
static uint64_t put(struct vdev *v, uint32_t sector, uint8_t with)
{
	const struct config *c = vdev_config(v);
	struct lcpfs_error err = { 0 };
	uint8_t block[4096];
	uint32_t id;
	uint64_t addr;

	if (!c->n_chunks)
		ok_msg(vdev_grow(v, CLASS_ANY, 4096, 1, &id, &err) == 0, "%s", err.msg);
	id = c->chunks[c->n_chunks - 1].id;
	addr = ptr_addr(id, sector);
	fill(block, sizeof block, with);
	ok_msg(vdev_write(v, addr, block, sizeof block, &err) == 0, "%s", err.msg);
	return addr;
}

static bool holds(struct vdev *v, uint64_t addr, uint8_t with)
{
	uint8_t want[4096], got[4096];

	fill(want, sizeof want, with);
	return vdev_read(v, addr, got, sizeof got, NULL) == 0 && memcmp(got, want, sizeof got) == 0;
}

TEST(create_publish_reopen)
{
	struct lcpfs_blockdev *ram = ram_image();
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params), *w = NULL;
	uint64_t addr;

	/* before the first commit nothing opens */
	is_int(vdev_open(&w, keep(&f, ram), false, &err), -LCPFS_ECORRUPT);
	vdev_close(v);
	v = create_on(keep(&f, ram), &params);
	addr = put(v, 8, 0x5a);
	ok_msg(publish(v, 1, &err) == 0, "%s", err.msg);
	is_int(vdev_current(v)->cfg_gen, 1);
	is_int(publish(v, 2, &err), 0);
	is_int(vdev_current(v)->cfg_gen, 1);
	is_int(vdev_current(v)->prev_txg[0], 1);
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, NULL);
	is_int(vdev_current(v)->txg, 2);
	is_str(vdev_config(v)->name, "tank");
	is_int(vdev_config(v)->n_chunks, 1);
	ok(vdev_is_image(v));
	ok(holds(v, addr, 0x5a));
	/* read-only: nothing writes */
	is_int(publish(v, 3, &err), -LCPFS_EROFS);
	is_int(vdev_write(v, addr, "", 0, &err), -LCPFS_EROFS);
	is_int(vdev_grow(v, CLASS_ANY, 1, 1, &(uint32_t){ 0 }, &err), -LCPFS_EROFS);
	/* addresses that are none */
	is_int(vdev_read(v, ptr_addr(9, 0), (uint8_t[512]){ 0 }, 512, &err), -LCPFS_ECORRUPT);
	is_int(vdev_read(v, ptr_addr(1, UINT32_MAX), (uint8_t[512]){ 0 }, 512, &err), -LCPFS_ECORRUPT);
	is_int(vdev_read(v, addr, (uint8_t[512]){ 0 }, 100, &err), -LCPFS_EINVAL);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TEST(parameters)
{
	static const char *const names[] = { "", "a/b", "." };
	struct vdev_create c = params;
	struct vdev *v = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		c.name = names[i];
		is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	}
	c = params;
	c.ring_slots = 4;
	is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	c = params;
	c.cfg_len = 1000;
	is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	c = params;
	c.ashift = 17;
	is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	c = params;
	c.label_count = 0;
	is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	c = params;
	c.size = 1u << 20;
	is_int(vdev_create(&v, ram_image(), &c, NULL), -LCPFS_EINVAL);
	is_int(vdev_create(&v, ram_disk(5u << 20), &params, NULL), -LCPFS_EINVAL);
	is_int(vdev_open(&v, ram_disk(100), false, NULL), -LCPFS_ECORRUPT);
	is_int(vdev_open(&v, ram_disk(1u << 20), true, NULL), -LCPFS_ECORRUPT);
}

/* Invariants (1) and (2), with an uberblock at the floor, over several turns of the ring. */
TEST(many_publishes)
{
	struct lcpfs_blockdev *ram = ram_image();
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	uint64_t txg[200], floor = 7, gen = 0, seed = 99;
	struct lcpfs_error err = { 0 };
	unsigned slot[200], floor_slot = 9;
	const struct vdev_uber *u;
	size_t n;
	bool pub;

	for (unsigned i = 0; i < 200; i++) {
		struct uberblock ub = { 0 };
		const struct uberblock *cur;

		/* numbers are skipped now and then */
		ub.txg = vdev_next_txg(v, (i ? txg[i - 1] + 1 : 1) + (tap_rand(&seed) % 4 ? 0 : tap_rand(&seed) % 40));
		ub.rewind_floor_txg = i >= 7 ? floor : 0;
		if (i == 7)
			floor = ub.rewind_floor_txg = ub.txg;
		if (tap_rand(&seed) % 2)
			vdev_config_edit(v)->devices[0].err_r = i;
		ok_msg(vdev_publish(v, &ub, &pub, &err) == 0, "%s", err.msg);
		cur = vdev_current(v);
		ok(cur->cfg_gen == gen || cur->cfg_gen == gen + 1);
		txg[i] = cur->txg;
		slot[i] = cur->cfg_slot;
		for (unsigned k = 1; k <= 2 && i >= k; k++) {
			ok(txg[i] % 16 != txg[i - k] % 16 || k > 2);
			if (cur->cfg_gen != gen)
				ok_msg(slot[i] != slot[i - k], "config slot %u of txg %u used again", slot[i], (unsigned)txg[i]);
		}
		if (i == 7)
			floor_slot = slot[i];
		if (i > 7) {
			ok(txg[i] % 16 != floor % 16);
			if (cur->cfg_gen != gen)
				ok(slot[i] != floor_slot);
		}
		gen = cur->cfg_gen;
	}
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, NULL);
	u = vdev_ubers(v, &n);
	ok(n <= 16 && n >= 10);
	is_int(u[0].ub.txg, txg[199]);
	is_int(u[1].ub.txg, txg[198]);
	for (size_t i = 0; i < n; i++)
		if (u[i].ub.txg == floor)
			is_int(vdev_select(v, &u[i].ub, &err), 0);
	is_int(vdev_current(v)->txg, floor);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TEST(torn_uberblock_and_lost_config)
{
	struct lcpfs_blockdev *ram = ram_disk(32u << 20);
	struct lcpfs_error err = { 0 };
	const struct vdev_uber *u;
	struct uberblock two;
	uint64_t off;
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	struct label l = *vdev_label(v);
	size_t n;

	is_int(publish(v, 1, &err), 0);
	vdev_config_edit(v)->devices[0].err_r = 5;
	is_int(publish(v, 2, &err), 0);
	two = *vdev_current(v);
	vdev_close(v);
	/* front slot torn: the back one has it */
	off = l.ring_off + 2 * 4096;
	is_int(blockdev_write(ram, off + 600, "\xff", 1, NULL), 0);
	is_int(vdev_open(&v, keep(&f, ram), true, &err), 0);
	u = vdev_ubers(v, &n);
	is_int(n, 2);
	ok(u[0].ub.txg == 2 && u[0].back_only && !u[1].back_only);
	vdev_close(v);
	/* both torn: the one before */
	is_int(blockdev_write(ram, l.dev_size - label_front_bytes(9, 256, MiB) + 2 * 4096 + 600, "\xff", 1, NULL), 0);
	v = open_newest(keep(&f, ram), true, NULL);
	is_int(vdev_current(v)->txg, 1);
	is_int(vdev_config(v)->devices[0].err_r, 0);
	/* the config of txg 2 is lost in front: from the back label, and healed */
	is_int(publish(v, 3, &err), 0);
	is_int(vdev_select(v, &two, &err), 0);
	is_int(blockdev_write(ram, l.cfg_off + two.cfg_slot * l.cfg_len, "\xff\xff\xff", 3, NULL), 0);
	is_int(vdev_select(v, &two, &err), 0);
	is_int(publish(v, 4, &err), 0);
	is_int(vdev_current(v)->cfg_gen, 3);
	/* in both: refused, the state stays */
	off = l.dev_size - label_front_bytes(9, 256, MiB) + 256 * 4096 + two.cfg_slot * l.cfg_len;
	is_int(blockdev_write(ram, off, "\xff", 1, NULL), 0);
	is_int(vdev_select(v, &two, &err), -LCPFS_ECSUM);
	is_int(vdev_current(v)->txg, 4);
	is_int(vdev_config(v)->devices[0].err_r, 5);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TEST(lost_labels_of_a_disk)
{
	struct lcpfs_blockdev *ram = ram_disk((32u << 20) + 12345);
	static uint8_t zero[256 << 10];
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	struct label l = *vdev_label(v);
	bool back_only;

	is_int(l.dev_size % UNIT, 0);
	is_int(publish(v, 1, &err), 0);
	vdev_close(v);
	/* the header alone: the front ring still counts */
	is_int(blockdev_write(ram, 4096, zero, 4096, NULL), 0);
	v = open_newest(keep(&f, ram), false, &back_only);
	ok(!back_only);
	vdev_close(v);
	/* header and ring: back label only; the next commit writes the front one again */
	is_int(blockdev_write(ram, 0, zero, sizeof zero, NULL), 0);
	v = open_newest(keep(&f, ram), true, &back_only);
	ok(back_only);
	is_int(publish(v, 2, &err), 0);
	vdev_close(v);
	is_int(blockdev_write(ram, l.dev_size - sizeof zero, zero, sizeof zero, NULL), 0);
	v = open_newest(keep(&f, ram), true, &back_only);
	ok(!back_only);
	is_int(vdev_current(v)->txg, 2);
	/* and the back one too */
	is_int(publish(v, 3, &err), 0);
	vdev_close(v);
	is_int(blockdev_write(ram, 0, zero, sizeof zero, NULL), 0);
	v = open_newest(keep(&f, ram), false, &back_only);
	ok(back_only);
	is_int(vdev_current(v)->txg, 3);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TEST(growth_of_an_image)
{
	struct lcpfs_blockdev *ram = ram_image();
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	const struct config *c = vdev_config(v);
	struct lcpfs_error err = { 0 };
	uint64_t total = 0, end = vdev_label(v)->data_off / UNIT;
	uint32_t id;

	ok(vdev_growable(v) == UINT64_MAX);
	for (unsigned i = 0; i < 300; i++)
		if (!ok_msg(vdev_grow(v, CLASS_ANY, 1u << 20, i, &id, &err) == 0, "%s", err.msg))
			break;
	is_int(c->n_chunks, 300);
	for (unsigned i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];

		is_int(k->id, i + 1);
		is_int(k->member[0].start_unit, end);
		ok(k->col_units >= 1024 && (k->col_units <= 16384 || k->col_units <= total / 128));
		end += k->col_units;
		total += k->col_units;
	}
	is_int(c->chunks[0].col_units, 1024);
	is_int(c->chunks[7].col_units, 16384);
	ok_msg(publish(v, 1, &err) == 0, "%s", err.msg);
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, NULL);
	is_int(vdev_config(v)->n_chunks, 300);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

/* A config that has come to its slot's end refuses another chunk, and still can be written. */
TEST(growth_fits_the_slot)
{
	struct vdev_create small = params;
	struct lcpfs_error err = { 0 };
	struct cfg_device *d;
	struct vdev *v;
	unsigned n = 0;
	uint32_t id;
	int rc = 0;

	small.cfg_len = UNIT;
	v = create_on(ram_disk(64u << 20), &small);
	d = vdev_config_edit(v)->devices;

	while (!rc && n < 100000) {
		d->size = (UINT64_C(1) << 61) + (uint64_t)n; /* as if the disk grew for ever */
		rc = vdev_grow(v, CLASS_ANY, 1, 1, &id, &err);
		n++;
	}
	ok_msg(rc == -LCPFS_ELIMIT || rc == -LCPFS_ENOSPC, "%d after %u: %s", rc, n, err.msg);
	d->size = UINT64_C(1) << 61;
	ok_msg(n > 100, "only %u chunks", n);
	ok_msg(publish(v, 1, &err) == 0, "%s", err.msg);
	vdev_close(v);
}

TEST(growth_of_a_disk)
{
	struct lcpfs_blockdev *ram = ram_disk(290u << 20);
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	const struct config *c = vdev_config(v);
	struct lcpfs_error err = { 0 };
	uint64_t growable = vdev_growable(v);
	uint32_t id;
	int rc;

	ok(growable > 270u << 20 && growable < 290u << 20);
	while ((rc = vdev_grow(v, CLASS_ANY, 4096, 1, &id, &err)) == 0) {
		const struct cfg_chunk *k = &c->chunks[c->n_chunks - 1];

		is_int(k->member[0].start_unit % 16, 0);
		growable -= k->col_units * UINT64_C(65536);
		is_int(vdev_growable(v), growable);
	}
	is_int(rc, -LCPFS_ENOSPC);
	is_int(growable, 0);
	is_int(c->n_chunks, 4);
	is_int(publish(v, 1, &err), 0);
	put(v, c->chunks[3].col_units * 128 - 8, 1);
	vdev_close(v);
	v = open_newest(keep(&f, ram), true, NULL);
	is_int(vdev_growable(v), 0);
	vdev_close(v);
	/* cut short: opens by the front label, reads past the end fail, commits go on without the back label */
	{
		struct lcpfs_blockdev *small = ram_disk(100u << 20);
		static uint8_t mem[8 << 20];

		is_int(blockdev_read(ram, 0, mem, sizeof mem, NULL), 0);
		is_int(blockdev_write(small, 0, mem, sizeof mem, NULL), 0);
		v = open_newest(small, true, NULL);
		is_int(vdev_read(v, ptr_addr(3, 0), mem, 512, &err), -LCPFS_EIO);
		is_int(publish(v, 2, &err), 0);
		vdev_close(v);
	}
	lcpfs_blockdev_close(ram);
}

static void finish(struct vdev *v, uint32_t sector, uint64_t txg)
{
	struct lcpfs_error err = { 0 };

	is_int(vdev_cut(v, vdev_last_chunk(v), sector, &err), 0);
	ok_msg(publish(v, txg, &err) == 0, "%s", err.msg);
	ok_msg(vdev_finish_image(v, &err) == 0, "%s", err.msg);
}

TEST(trim_finish_reopen)
{
	struct lcpfs_blockdev *ram = ram_image();
	static uint8_t zero[384 << 10];
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	uint64_t addr = put(v, 8, 0x11), addr2;
	uint32_t id;
	bool back_only;

	is_int(vdev_finish_image(v, &err), -LCPFS_EINVAL); /* not published */
	finish(v, 16, 1);
	is_int(ram->size, 6 * UNIT + UNIT + 6 * UNIT);
	is_int(vdev_label(v)->dev_size, ram->size);
	vdev_close(v);
	/* reopen, grow again in place, close again */
	v = open_newest(keep(&f, ram), true, NULL);
	ok(holds(v, addr, 0x11));
	is_int(vdev_grow(v, CLASS_ANY, 1u << 20, 2, &id, &err), 0);
	is_int(id, 1);
	is_int(vdev_config(v)->n_chunks, 1);
	is_int(vdev_config(v)->chunks[0].col_units, 1024);
	addr2 = put(v, 2000, 0x22);
	finish(v, 2008, 2);
	vdev_close(v);
	is_int(ram->size, (6 + 16 + 6) * UNIT);
	/* front label gone: by the back label alone */
	is_int(blockdev_write(ram, 0, zero, sizeof zero, NULL), 0);
	v = open_newest(keep(&f, ram), true, &back_only);
	ok(back_only);
	is_int(vdev_current(v)->txg, 2);
	ok(holds(v, addr, 0x11) && holds(v, addr2, 0x22));
	is_int(publish(v, 3, &err), 0);
	is_int(vdev_finish_image(v, &err), 0);
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, &back_only);
	ok(!back_only);
	is_int(vdev_current(v)->txg, 3);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

/* What lies where an image's back label was counts for nothing once the image has grown. */
TEST(forged_back_label)
{
	struct lcpfs_blockdev *ram = ram_image();
	uint8_t raw[UBER_LEN];
	struct uberblock ub;
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	uint64_t back_ring;
	uint32_t id;

	put(v, 8, 1);
	finish(v, 16, 1);
	back_ring = vdev_label(v)->dev_size - 6 * UNIT;
	ub = *vdev_current(v);
	vdev_close(v);
	v = open_newest(keep(&f, ram), true, NULL);
	is_int(vdev_grow(v, CLASS_ANY, 1, 2, &id, &err), 0);
	is_int(publish(v, 2, &err), 0);
	ub.txg = 16 * 100 + 1;
	uberblock_encode(&ub, raw);
	is_int(blockdev_write(ram, back_ring + 4096, raw, sizeof raw, NULL), 0);
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, NULL);
	is_int(vdev_current(v)->txg, 2);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TEST(fixed_size_image)
{
	struct lcpfs_blockdev *ram = ram_image();
	struct vdev_create c = params;
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v;
	uint32_t id;

	c.size = 10u << 20;
	v = create_on(keep(&f, ram), &c);
	is_int(ram->size, c.size);
	is_int(vdev_growable(v), c.size - 12 * UNIT);
	is_int(vdev_grow(v, CLASS_ANY, 1, 1, &id, &err), 0);
	is_int(vdev_growable(v), 0);
	is_int(vdev_grow(v, CLASS_ANY, 1, 1, &id, &err), -LCPFS_ENOSPC);
	put(v, 8, 7);
	finish(v, 16, 1);
	is_int(ram->size, c.size);
	is_int(vdev_config(v)->chunks[0].col_units, 160 - 12);
	vdev_close(v);
	/* cut and padded by somebody: opens, and is its size again after the next close */
	is_int(blockdev_resize(ram, 5u << 20, NULL), 0);
	v = open_newest(keep(&f, ram), true, NULL);
	put(v, 9 * 2048, 3);
	is_int(publish(v, 2, &err), 0);
	is_int(vdev_finish_image(v, &err), 0);
	is_int(ram->size, c.size);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

/* Same parameters, same bytes. */
TEST(reproducible)
{
	struct lcpfs_blockdev *ram[2];
	uint8_t *p[2];

	for (int i = 0; i < 2; i++) {
		struct faultdev f;
		struct vdev *v;

		ram[i] = ram_image();
		v = create_on(keep(&f, ram[i]), &params);
		put(v, 8, 9);
		finish(v, 16, 1);
		vdev_close(v);
		p[i] = malloc(ram[i]->size);
		is_int(blockdev_read(ram[i], 0, p[i], ram[i]->size, NULL), 0);
	}
	is_int(ram[0]->size, ram[1]->size);
	is_mem(p[0], p[1], ram[0]->size);
	for (int i = 0; i < 2; i++) {
		free(p[i]);
		lcpfs_blockdev_close(ram[i]);
	}
}

static void edit_feature(struct config *c) { config_add_feature(&c->incompat, "warp", NULL); }
static void edit_profile(struct config *c) { c->chunks[0].profile = PROFILE_RAIDZ, c->chunks[0].parity = 0; }
static void edit_mirror(struct config *c)
{
	c->chunks[0].member = realloc(c->chunks[0].member, 2 * sizeof(struct cfg_member));
	c->chunks[0].member[1] = (struct cfg_member){ 1, 5000 };
	c->chunks[0].width = c->chunks[0].parity = 2;
}
static void edit_device(struct config *c) { c->devices[0].uuid[0] ^= 1; }
static void edit_uuid(struct config *c) { c->uuid[0] ^= 1; }
static void edit_label(struct config *c) { c->chunks[0].member[0].start_unit = 1; }
static void edit_ro(struct config *c) { config_add_feature(&c->ro_compat, "later", NULL); }

TEST(refused_configs)
{
	static const struct {
		void (*edit)(struct config *c);
		int rc;
		const char *word;
	} cases[] = {
		{ edit_feature, -LCPFS_EUNSUP, "'warp'" }, { edit_mirror, -LCPFS_EUNSUP, "chunk 1: profile mirror of 2" },
		{ edit_profile, -LCPFS_ECORRUPT, "chunk 1" }, { edit_device, -LCPFS_ECORRUPT, "device" },
		{ edit_uuid, -LCPFS_ECORRUPT, "another pool" }, { edit_label, -LCPFS_ECORRUPT, "label" }, { edit_ro, 0, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lcpfs_blockdev *ram = ram_image();
		struct lcpfs_error err = { 0 };
		struct faultdev f;
		struct vdev *v = create_on(keep(&f, ram), &params);
		struct uberblock ub;
		int rc;

		put(v, 8, 1);
		cases[i].edit(vdev_config_edit(v));
		is_int(publish(v, 1, &err), 0);
		ub = *vdev_current(v);
		vdev_close(v);
		is_int(vdev_open(&v, keep(&f, ram), true, &err), 0);
		rc = vdev_select(v, &ub, &err);
		is_int(rc, cases[i].rc);
		ok_msg(strstr(err.msg, cases[i].word) != NULL, "%s", err.msg);
		ok(rc == 0 || !vdev_current(v));
		if (!rc)
			is_str(config_unknown_ro_compat(vdev_config(v)), "later");
		vdev_close(v);
		lcpfs_blockdev_close(ram);
	}
}

/*
 * One session: open, grow, write, commit, write, commit, cut, commit, close. Which txg the last commit that returned
 * success had goes to *acked; *unknown: a commit began to write its uberblock and failed.
 */
static int session(struct lcpfs_blockdev *d, uint64_t *acked, bool *unknown, struct lcpfs_error *err)
{
	struct vdev *v = NULL;
	const struct vdev_uber *u;
	uint8_t block[4096];
	uint32_t id = 0;
	size_t n;
	int rc = vdev_open(&v, d, true, err);

	*unknown = false;
	if (rc)
		return rc;
	u = vdev_ubers(v, &n);
	*acked = u[0].ub.txg;
	rc = vdev_select(v, &u[0].ub, err);
	for (unsigned i = 0; !rc && i < 3; i++) {
		struct uberblock ub = { .txg = vdev_next_txg(v, *acked + 1) };
		bool published = false;

		rc = i < 2 ? vdev_grow(v, CLASS_ANY, 70u << 20, ub.txg, &id, err) : vdev_cut(v, vdev_last_chunk(v), 128, err);
		fill(block, sizeof block, (uint8_t)ub.txg);
		if (!rc && i < 2)
			rc = vdev_write(v, ptr_addr(id, 8 * i), block, sizeof block, err);
		if (!rc)
			rc = vdev_publish(v, &ub, &published, err);
		if (!rc)
			*acked = ub.txg;
		else
			*unknown = published;
	}
	if (!rc && vdev_is_image(v))
		rc = vdev_finish_image(v, err);
	vdev_close(v);
	return rc;
}

static void check_after_fault(struct lcpfs_blockdev *ram, uint64_t acked, bool unknown, uint64_t n)
{
	struct faultdev f;
	struct vdev *v = open_newest(keep(&f, ram), true, NULL);
	struct lcpfs_error err = { 0 };
	uint64_t txg;

	if (!v)
		return;
	txg = vdev_current(v)->txg;
	ok_msg(txg == acked || (unknown && txg == acked + 1), "fault %d: txg %d, wanted %d", (int)n, (int)txg, (int)acked);
	ok_msg(publish(v, txg + 1, &err) == 0, "fault %d: %s", (int)n, err.msg);
	vdev_close(v);
}

static void fault_everywhere(bool image, bool sticky)
{
	struct lcpfs_error err = { 0 };
	uint64_t n = 0;
	int rc = -1;

	for (; rc && n < 1000; n++) {
		struct lcpfs_blockdev *ram = image ? ram_image() : ram_disk(300u << 20);
		struct faultdev f;
		struct vdev *v = create_on(keep(&f, ram), &params);
		uint64_t acked = 0;
		bool unknown;

		put(v, 8, 1);
		if (image) {
			finish(v, 16, 1);
		} else {
			is_int(publish(v, 1, &err), 0);
		}
		vdev_close(v);
		faultdev_init(&f, ram, FAULT_WRITE | FAULT_FLUSH | FAULT_RESIZE, n, sticky, LCPFS_EIO);
		rc = session(&f.dev, &acked, &unknown, &err);
		check_after_fault(ram, acked, unknown, n);
		/* a disk's back label is written after the ack: a failure there is told of, not returned */
		if (!rc && f.seen > n)
			rc = -1;
		lcpfs_blockdev_close(ram);
	}
	ok_msg(n > 10 && n < 1000, "%d faults", (int)n);
}

TEST(faults)
{
	for (int i = 0; i < 4; i++)
		fault_everywhere(i & 1, i & 2);
}

/* Power cut at every event, with a seeded subset of the unflushed writes, torn. */
struct chance { uint64_t seed; };
static bool maybe(void *arg, size_t i)
{
	(void)i;
	return tap_rand(&((struct chance *)arg)->seed) & 1;
}
static size_t tear(void *arg, size_t i, size_t sectors)
{
	uint64_t r = tap_rand(&((struct chance *)arg)->seed);

	(void)i;
	return r & 3 ? sectors : (r >> 2) % (sectors + 1);
}

TEST(power_cuts)
{
	struct lcpfs_blockdev *ram = ram_image(), *after;
	struct lcpfs_error err = { 0 };
	struct chance chance = { 42 };
	struct crashdev *c;
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);
	uint64_t acked, last = 1;
	bool unknown;

	put(v, 8, 1);
	finish(v, 16, 1);
	vdev_close(v);
	is_int(crashdev_create(&c, ram, NULL), 0);
	ok_msg(session(crashdev_dev(c), &acked, &unknown, &err) == 0, "%s", err.msg);
	is_int(acked, 4);
	for (size_t cut = 0; cut <= crashdev_events(c); cut++) {
		uint64_t txg;

		is_int(crashdev_replay(c, cut, maybe, tear, &chance, &after, NULL), 0);
		v = open_newest(after, true, NULL);
		if (!v)
			continue;
		txg = vdev_current(v)->txg;
		ok_msg(txg + 1 >= last && txg <= acked, "cut %zu: txg %d after %d", cut, (int)txg, (int)last);
		last = txg > last ? txg : last;
		is_int(publish(v, txg + 1, &err), 0);
		vdev_close(v);
	}
	is_int(last, 4);
	crashdev_destroy(c);
	lcpfs_blockdev_close(ram);
}

/* Damage anywhere in the labels: an answer, never a crash. */
TEST(random_damage)
{
	struct lcpfs_blockdev *ram = ram_image(), *d;
	static uint8_t mem[13 * 65536], bad[13 * 65536];
	uint64_t seed = 777;
	struct faultdev f;
	struct vdev *v = create_on(keep(&f, ram), &params);

	put(v, 8, 1);
	finish(v, 16, 1);
	vdev_close(v);
	is_int(ram->size, sizeof mem);
	is_int(blockdev_read(ram, 0, mem, sizeof mem, NULL), 0);
	for (int i = 0; i < 300; i++) {
		struct lcpfs_error err = { 0 };
		const struct vdev_uber *u;
		size_t n;

		memcpy(bad, mem, sizeof bad);
		for (int k = 0; k < 40; k++) {
			static const size_t spots[] = { 4096, 65536 + 4096, 65536 * 2, 7 * 65536 + 4096, 8 * 65536, sizeof bad - 4096 };

			bad[spots[tap_rand(&seed) % 6] + tap_rand(&seed) % 400] ^= (uint8_t)tap_rand(&seed);
		}
		if (i & 1)
			blake3(bad + 4096, 4064, bad + 8192 - 32);
		if (i & 2)
			blake3(bad + 65536 + 4096, 4064, bad + 65536 + 8192 - 32);
		d = ram_disk(sizeof bad);
		is_int(blockdev_write(d, 0, bad, sizeof bad, NULL), 0);
		if (vdev_open(&v, d, true, &err))
			continue;
		u = vdev_ubers(v, &n);
		for (size_t k = 0; k < n; k++)
			(void)vdev_select(v, &u[k].ub, &err);
		vdev_close(v);
	}
	lcpfs_blockdev_close(ram);
}

static bool column_holds(struct lcpfs_blockdev *ram, const struct cfg_chunk *k, unsigned copy, uint32_t sector, uint8_t with)
{
	uint8_t want[4096], got[4096];

	fill(want, sizeof want, with);
	return blockdev_read(ram, k->member[copy].start_unit * UNIT + sector * UINT64_C(512), got, sizeof got, NULL) == 0 &&
	    memcmp(got, want, sizeof got) == 0;
}

TEST(copies)
{
	struct lcpfs_blockdev *ram = ram_image();
	struct vdev_create two = params;
	uint8_t block[4096];
	struct lcpfs_error err = { 0 };
	struct faultdev f;
	struct vdev *v;
	const struct cfg_chunk *k;
	uint32_t data, meta, id;
	uint64_t addr;

	two.copies = 2;
	v = create_on(keep(&f, ram), &two);
	ok(vdev_has_classes(v));
	is_int(vdev_grow(v, CLASS_DATA, 4096, 1, &data, &err), 0);
	is_int(vdev_cut(v, data, 300, &err), 0);
	is_int(vdev_grow(v, CLASS_META, 4096, 1, &meta, &err), 0);
	k = config_chunk(vdev_config(v), meta);
	ok(k->width == 2 && k->cls == CLASS_META && k->col_units == 2 && k->member[0].start_unit == 6 + 3 && k->member[1].start_unit == 6 + 5);
	is_int(vdev_last_chunk(v), meta);
	addr = ptr_addr(meta, 16);
	fill(block, sizeof block, 0x31);
	ok(vdev_copies(v, addr) == 2 && vdev_copies(v, ptr_addr(data, 0)) == 1 && vdev_copies(v, ptr_addr(9, 0)) == 0);
	is_int(vdev_write(v, addr, block, sizeof block, &err), 0);
	ok(column_holds(ram, k, 0, 16, 0x31) && column_holds(ram, k, 1, 16, 0x31));
	/* one alone */
	fill(block, sizeof block, 0x32);
	is_int(vdev_write_copy(v, addr, 1, block, sizeof block, &err), 0);
	ok(column_holds(ram, k, 0, 16, 0x31) && column_holds(ram, k, 1, 16, 0x32) && holds(v, addr, 0x31));
	is_int(vdev_read_copy(v, addr, 1, block, sizeof block, &err), 0);
	is_int(block[0], 0x32);
	is_int(vdev_read_copy(v, addr, 2, block, sizeof block, &err), -LCPFS_EINVAL);
	is_int(vdev_write_copy(v, addr, 0, block, sizeof block, &err), 0);
	/* cut to nothing the columns stay apart; longer again they do not meet */
	is_int(vdev_cut(v, meta, 24, &err), 0);
	ok(k->col_units == 1 && k->member[1].start_unit == 6 + 5);
	is_int(vdev_grow(v, CLASS_META, 4096, 1, &id, &err), 0);
	ok(id == meta && config_chunk(vdev_config(v), meta)->col_units == 2);
	ok(holds(v, addr, 0x32));
	/* a large one that is cut before any commit closes up */
	is_int(vdev_grow(v, CLASS_META, 1u << 20, 1, &id, &err), 0);
	k = config_chunk(vdev_config(v), id);
	addr = ptr_addr(id, 3 * 128 - 8);
	is_int(vdev_write(v, addr, block, sizeof block, &err), 0);
	is_int(vdev_cut(v, id, 3 * 128, &err), 0);
	ok(id != meta && k->col_units == 3 && k->member[1].start_unit == k->member[0].start_unit + 3);
	ok(column_holds(ram, k, 0, 3 * 128 - 8, 0x32) && column_holds(ram, k, 1, 3 * 128 - 8, 0x32));
	finish(v, 3 * 128, 1);
	vdev_close(v);
	v = open_newest(keep(&f, ram), false, NULL);
	ok(holds(v, addr, 0x32) && vdev_has_classes(v));
	is_int(vdev_read_copy(v, addr, 1, block, sizeof block, &err), 0);
	is_int(block[100], 0x32);
	vdev_close(v);
	lcpfs_blockdev_close(ram);
}

TAP_MAIN(T(create_publish_reopen), T(parameters), T(many_publishes), T(torn_uberblock_and_lost_config), T(lost_labels_of_a_disk),
    T(growth_of_an_image), T(growth_fits_the_slot), T(growth_of_a_disk), T(trim_finish_reopen), T(forged_back_label),
    T(fixed_size_image), T(reproducible), T(refused_configs), T(copies), T(faults), T(power_cuts), T(random_damage))
