/* SPDX-License-Identifier: Apache-2.0 */
/* Salvage of small pools on RAM disks, damaged at every place and in every way: never a crash, and the truth about what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "blockdev/blockdev.h"
#include "lcpfs/lcpfs.h"
#include "tap.h"

#define FILES 60u

struct seen { unsigned n; char what[64]; };

static void lost(void *arg, const struct lcpfs_loss *l)
{
	struct seen *s = arg;

	s->n++;
	snprintf(s->what, sizeof s->what, "%s", l->what);
}

static void put_file(struct lcpfs_dataset *ds, const char *name, size_t len, uint64_t *seed)
{
	struct lcpfs_file *f = NULL;
	char *buf = malloc(len + 8);

	for (size_t i = 0; i < len; i += 8)
		memcpy(buf + i, &(uint64_t){ tap_rand(seed) & 0x3f3f3f3f3f3fu }, 8);
	if (!lcpfs_file_open(&f, ds, name, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL))
		lcpfs_file_pwrite(f, buf, len, 0, NULL);
	lcpfs_file_close(f, NULL);
	free(buf);
}

/* Files small and large, a dataset, a snapshot, several commits. */
static struct lcpfs_blockdev *make_pool(void)
{
	struct lcpfs_create_opts o = { .open = { .threads = 1, .memory_bytes = 32 * MiB }, .reproducible = true, .record_bytes = 65536 };
	const char *snap[] = { "@mon" };
	struct lcpfs_blockdev *d = NULL;
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_pool *p = NULL;
	static unsigned made;
	uint64_t seed = 7;
	char name[32], disk[32];

	snprintf(disk, sizeof disk, "ram:salvage%u", made++);
	if (lcpfs_pool_create(&p, disk, &o, NULL) || lcpfs_dataset_open(&ds, p, "", NULL))
		return NULL;
	lcpfs_mkdir(ds, "dir", 0755, false, NULL);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%sf%u", i % 2 ? "dir/" : "", i);
		put_file(ds, name, i % 20 ? 100 + i * 37 : 300000, &seed);
	}
	lcpfs_link(ds, "f2", "hard", NULL);
	lcpfs_symlink(ds, "f2", "link", NULL);
	lcpfs_xattr_set(ds, "f2", 0, "user.x", "value", 5, 0);
	lcpfs_dataset_close(ds);
	lcpfs_pool_commit(p, NULL);
	lcpfs_snap_create(p, snap, 1, false, NULL);
	lcpfs_dataset_create(p, "home", false, NULL);
	lcpfs_pool_commit(p, NULL);
	lcpfs_dataset_open(&ds, p, "home", NULL);
	put_file(ds, "mine", 5000, &seed);
	lcpfs_dataset_close(ds);
	lcpfs_pool_commit(p, NULL);
	lcpfs_pool_close(p, NULL);
	return lcpfs_blockdev_open(&d, disk, LCPFS_DEV_OPEN_RW, NULL) ? NULL : d;
}

static int salvage(struct lcpfs_blockdev *d, uint32_t flags, struct seen *s, struct lcpfs_salvage_stats *st)
{
	struct lcpfs_salvage_opts o = { .flags = flags, .threads = 1, .memory_bytes = 32 * MiB, .live = true, .lost = lost, .arg = s };
	struct lcpfs_error err = { 0 };

	*s = (struct seen){ 0 };
	return lcpfs_salvage_dev(d, NULL, -1, &o, st, &err);
}

static void test_whole(void)
{
	struct lcpfs_blockdev *d = make_pool();
	struct lcpfs_salvage_stats st;
	struct seen s;

	ok(d != NULL);
	is_int(salvage(d, 0, &s, &st), 0);
	is_int(st.files, FILES + 1);
	is_int(st.datasets, 2);
	ok(!st.scanned && st.txg);
	is_int(salvage(d, LCPFS_SALVAGE_SNAPSHOTS | LCPFS_SALVAGE_SCAN, &s, &st), 0);
	is_int(st.files, 2 * FILES + 1);
	is_int(st.datasets, 3);
	ok(st.scanned && st.nodes);
	is_int(salvage(d, 1u << 30, &s, &st), -LCPFS_EINVAL);
	lcpfs_blockdev_close(d);
}

/* Labels, rings and configs: nothing depends on them. */
static void test_labels(void)
{
	struct lcpfs_blockdev *d = make_pool();
	struct lcpfs_salvage_stats st;
	static uint8_t zero[6 * 65536];
	struct seen s;

	blockdev_write(d, 0, zero, sizeof zero, NULL);
	is_int(salvage(d, 0, &s, &st), 0);
	is_int(st.files, FILES + 1);
	blockdev_write(d, d->size - sizeof zero, zero, sizeof zero, NULL);
	is_int(salvage(d, 0, &s, &st), 0);
	is_int(st.files, FILES + 1);
	is_int(st.txg, 0);
	ok(st.scanned);
	lcpfs_blockdev_close(d);
}

/* A sector of noise at every step: what is not told is there. */
static void test_sectors(void)
{
	struct lcpfs_blockdev *d = make_pool();
	uint8_t noise[512], old[512];
	unsigned bad = 0, told = 0;
	uint64_t seed = 11;

	for (uint64_t at = 0; at + 512 <= d->size; at += 512 * 37) {
		struct lcpfs_salvage_stats st;
		struct seen s;
		int rc;

		for (unsigned i = 0; i < 512; i++)
			noise[i] = (uint8_t)tap_rand(&seed);
		blockdev_read(d, at, old, 512, NULL);
		blockdev_write(d, at, noise, 512, NULL);
		rc = salvage(d, LCPFS_SALVAGE_SNAPSHOTS, &s, &st);
		if (rc && rc != -LCPFS_EPARTIAL)
			bad++;
		if (!rc && (st.files != 2 * FILES + 1 || s.n))
			bad++;
		if (rc == -LCPFS_EPARTIAL && !s.n)
			bad++;
		told += s.n != 0;
		blockdev_write(d, at, old, 512, NULL);
	}
	is_int(bad, 0);
	ok_msg(told > 0, "%u places had something", told);
	lcpfs_blockdev_close(d);
}

/* Wild damage: any result but a crash; what cannot be is not said to be whole. */
static void test_wild(void)
{
	const char *runs = getenv("LCPFS_STRESS");
	unsigned bad = 0, n = runs ? (unsigned)atol(runs) : 40;
	uint64_t seed = 23;

	for (unsigned k = 0; k < n; k++) {
		struct lcpfs_blockdev *d = make_pool();
		struct lcpfs_salvage_stats st;
		struct seen s;
		unsigned hits = 1 + (unsigned)(tap_rand(&seed) % 60);
		int rc;

		for (unsigned i = 0; i < hits; i++) {
			uint8_t buf[4096];
			size_t len = 1 + tap_rand(&seed) % sizeof buf;
			uint64_t at = tap_rand(&seed) % (d->size - sizeof buf);

			blockdev_read(d, at, buf, len, NULL);
			if (i % 3 == 0)
				memset(buf, 0, len);
			for (size_t b = 0; i % 3 == 1 && b < len; b++)
				buf[b] = (uint8_t)tap_rand(&seed);
			if (i % 3 == 2)
				buf[tap_rand(&seed) % len] ^= (uint8_t)(1u << (tap_rand(&seed) % 8));
			blockdev_write(d, at, buf, len, NULL);
		}
		rc = salvage(d, k % 16, &s, &st);
		if (rc && rc != -LCPFS_EPARTIAL && rc != -LCPFS_ECORRUPT)
			bad++;
		if (rc == -LCPFS_EPARTIAL && !s.n && !st.warnings)
			bad++;
		lcpfs_blockdev_close(d);
	}
	is_int(bad, 0);
}

/* Cut to every length: never a crash; and a device with errors instead of bytes. */
static void test_short(void)
{
	struct lcpfs_blockdev *d = make_pool();
	struct lcpfs_salvage_stats st;
	unsigned bad = 0;
	struct seen s;

	for (uint64_t size = d->size; size > 65536; size -= MIN(size, UINT64_C(61) * 512)) {
		int rc;

		blockdev_resize(d, size, NULL);
		rc = salvage(d, 0, &s, &st);
		bad += rc && rc != -LCPFS_EPARTIAL && rc != -LCPFS_ECORRUPT;
	}
	is_int(bad, 0);
	lcpfs_blockdev_close(d);
}

static void test_errors(void)
{
	struct lcpfs_blockdev *d = make_pool();
	struct lcpfs_salvage_stats st;
	unsigned bad = 0;
	struct seen s;

	for (uint64_t at = 0; at < 60; at += 3) {
		struct faultdev f;
		int rc;

		faultdev_init(&f, d, FAULT_READ, at, false, LCPFS_EIO);
		rc = salvage(&f.dev, LCPFS_SALVAGE_SCAN, &s, &st);
		bad += rc && rc != -LCPFS_EPARTIAL;
	}
	is_int(bad, 0);
	lcpfs_blockdev_close(d);
}

TAP_MAIN({ "whole", test_whole }, { "labels", test_labels }, { "sectors", test_sectors }, { "wild", test_wild },
         { "short", test_short }, { "errors", test_errors })
