/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata twice on one device: 64 KiB of an image lost anywhere cost at most the files whose data lay there, a copy that is bad is told of and
 * put right, and pools without copies stay as they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev.h"
#include "lcpfs/lcpfs.h"
#include "spa/spa_impl.h"
#include "tap.h"
#include "zpl/handle.h"

#define FILES 70u
#define LOST 65536u
#define PACK 16384u

static struct lcpfs_error err;
static char dev[32];
static unsigned warned;

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

static void on_log(void *arg, int level, const char *layer, const char *msg)
{
	(void)arg;
	if (level <= LCPFS_LOG_WARN && strcmp(layer, "zio") == 0 && strstr(msg, "another copy is good"))
		warned++;
}

/* ---- a pool whose contents can be found in its bytes ---- */

static size_t size_of(unsigned i) { return i % 10 == 9 ? 150000 : i % 10 == 5 ? 40000 : 300 + i * 53; }

static void path_of(unsigned i, char out[40]) { snprintf(out, 40, i % 3 ? "d%u/file%03u" : "d%u/sub/file%03u", i % 4, i); }

/* Each 64 bytes say whose they are. */
static void content_of(unsigned i, uint8_t *p)
{
	size_t n = size_of(i);

	for (size_t at = 0; at < n; at += 64) {
		char mark[80];

		memset(mark, '.', sizeof mark);
		snprintf(mark, sizeof mark, "content of file %03u at %08zu", i % 1000, at);
		memcpy(p + at, mark, MIN(n - at, (size_t)64));
	}
}

static int put(struct lcpfs_dataset *ds, unsigned i)
{
	uint8_t *p = malloc(size_of(i) + 64);
	struct lcpfs_file *f;
	char path[40];
	int rc;

	path_of(i, path);
	content_of(i, p);
	rc = lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err);
	if (!rc) {
		rc = lcpfs_file_pwrite(f, p, size_of(i), 0, &err);
		rc = lcpfs_file_close(f, rc ? NULL : &err) || rc;
	}
	free(p);
	return rc;
}

static void make(unsigned copies, unsigned files)
{
	static unsigned n;
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .compress = "off", .pack_bytes = PACK,
		.slice_max_bytes = 4096, .record_bytes = 16384, .copies = copies, .reproducible = true };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;
	char dir[16];

	snprintf(dev, sizeof dev, "ram:copies%u", n++);
	did(lcpfs_pool_create(&p, dev, &o, &err));
	did(lcpfs_dataset_open(&ds, p, "", &err));
	for (unsigned i = 0; i < 4; i++) {
		snprintf(dir, sizeof dir, "d%u", i);
		did(lcpfs_mkdir(ds, dir, 0755, false, &err));
		snprintf(dir, sizeof dir, "d%u/sub", i);
		did(lcpfs_mkdir(ds, dir, 0755, false, &err));
	}
	for (unsigned i = 0; i < files; i++) {
		did(put(ds, i));
		if (i == files / 2) {
			const char *snap = "@half";

			did(lcpfs_pool_commit(p, &err));
			did(lcpfs_snap_create(p, &snap, 1, false, &err));
		}
	}
	did(lcpfs_pool_commit(p, &err));
	lcpfs_dataset_close(ds);
	did(lcpfs_pool_close(p, &err));
}

/* ---- its bytes ---- */

static uint8_t *bytes_of(uint64_t *len)
{
	struct lcpfs_blockdev *d;
	uint8_t *p = NULL;

	*len = 0;
	if (did(lcpfs_blockdev_open(&d, dev, 0, &err))) {
		*len = blockdev_size(d);
		p = malloc(*len);
		did(blockdev_read(d, 0, p, *len, &err));
		lcpfs_blockdev_close(d);
	}
	return p;
}

/* The device has these bytes, but for those from `at` on, which are lost. */
static void restore(const uint8_t *p, uint64_t len, uint64_t at, uint64_t lost)
{
	struct lcpfs_blockdev *d;
	uint8_t *zero = calloc(1, LOST);

	if (!did(lcpfs_blockdev_open(&d, dev, LCPFS_DEV_OPEN_RW, &err)))
		return;
	did(blockdev_resize(d, len, &err));
	did(blockdev_write(d, 0, p, len, &err));
	if (lost)
		did(blockdev_write(d, at, zero, MIN(lost, len - at), &err));
	free(zero);
	lcpfs_blockdev_close(d);
}

/* Does some of file i, or of what is in one block with it, lie there? */
static bool lies_there(const uint8_t *p, uint64_t len, unsigned i, uint64_t at)
{
	uint64_t from = at > 2 * PACK ? at - 2 * PACK : 0, to = MIN(len, at + LOST + 2 * PACK);
	char mark[24];
	int n = snprintf(mark, sizeof mark, "content of file %03u", i);

	return memmem(p + from, to - from, mark, (size_t)n);
}

/* ---- reading ---- */

/* 0 right, 1 refused, -1: other content. */
static int look(struct lcpfs_dataset *ds, unsigned i)
{
	uint8_t *want = malloc(size_of(i) + 64), *got = malloc(size_of(i) + 64);
	struct lcpfs_file *f;
	char path[40];
	size_t n = 0;
	int rc;

	path_of(i, path);
	content_of(i, want);
	rc = lcpfs_file_open(&f, ds, path, LCPFS_O_READ, 0, &err);
	if (!rc) {
		rc = lcpfs_file_pread(f, got, size_of(i) + 1, 0, &n, &err);
		if (!rc && (n != size_of(i) || memcmp(want, got, n) != 0))
			rc = 99;
		lcpfs_file_close(f, NULL);
	}
	free(want);
	free(got);
	return rc == 99 ? -1 : rc ? 1 : 0;
}

static bool check_files(struct lcpfs_dataset *ds, const uint8_t *p, uint64_t len, uint64_t at, unsigned *lost)
{
	for (unsigned i = 0; i < FILES; i++) {
		struct lcpfs_stat st;
		char path[40];
		int r;

		path_of(i, path);
		if (lcpfs_stat(ds, path, 0, &st, &err) || st.size != size_of(i)) {
			printf("# %s is not there: %s\n", path, err.msg);
			return false;
		}
		r = look(ds, i);
		*lost += r != 0;
		if (r < 0 || (r && !lies_there(p, len, i, at))) {
			printf("# %s, whose content does not lie there: %d, %s\n", path, r, err.msg);
			return false;
		}
	}
	return true;
}

static bool all_readable(uint32_t flags, const uint8_t *p, uint64_t len, uint64_t at, unsigned *lost)
{
	struct lcpfs_open_opts o = { .flags = flags, .threads = 1 };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *pool;
	bool good;

	*lost = 0;
	if (lcpfs_pool_open(&pool, dev, &o, &err))
		return false;
	good = lcpfs_dataset_open(&ds, pool, "", &err) == 0 && check_files(ds, p, len, at, lost);
	lcpfs_dataset_close(ds);
	return lcpfs_pool_close(pool, &err) == 0 && good;
}

struct found { unsigned copy, label, other; char last[160]; };

static void on_problem(void *arg, const struct lcpfs_problem *p)
{
	struct found *f = arg;

	if (p->phase < 2)
		f->label++;
	else if (strcmp(p->code, "block-copy") == 0)
		f->copy++;
	else
		f->other++;
	snprintf(f->last, sizeof f->last, "%s: %s", p->code, p->text);
}

static struct found fsck(void)
{
	struct found f = { 0 };
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = &f };
	uint64_t n;

	did(lcpfs_fsck(dev, NULL, &o, &n, &err));
	return f;
}

static void repair(void)
{
	struct lcpfs_repair_stats st;

	did(lcpfs_fsck_repair(dev, NULL, &(struct lcpfs_check_opts){ 0 }, NULL, &st, &err));
}

/* ---- tests ---- */

TEST(any_64k_lost)
{
	const struct lcpfs_hooks hooks = { .log = on_log };
	unsigned with_copies = 0, with_data = 0, lost;
	uint64_t len;
	uint8_t *p;

	lcpfs_set_hooks(&hooks);
	make(0, FILES);
	p = bytes_of(&len);
	is_int(fsck().copy, 0);
	for (uint64_t at = 0; at < len; at += LOST) {
		struct found f;

		restore(p, len, at, LOST);
		if (!ok_msg(all_readable(LCPFS_OPEN_RO, p, len, at, &lost), "64 KiB at %llu: %s", (unsigned long long)at, err.msg))
			continue;
		f = fsck();
		with_copies += f.copy != 0;
		with_data += lost != 0;
		ok_msg(!f.other, "64 KiB at %llu: %s", (unsigned long long)at, f.last);
		repair();
		f = fsck();
		ok_msg(!f.copy && !f.other, "64 KiB at %llu, repaired: %s", (unsigned long long)at, f.last);
		warned = 0;
		ok_msg(all_readable(LCPFS_OPEN_RO, p, len, at, &lost) && !warned, "64 KiB at %llu, repaired: %u told", (unsigned long long)at, warned);
	}
	ok_msg(with_copies >= 2 && with_data >= 10, "%u positions with nodes, %u with data", with_copies, with_data);
	free(p);
}

TEST(wherever_it_begins)
{
	unsigned lost;
	uint64_t len;
	uint8_t *p;

	make(2, FILES);
	p = bytes_of(&len);
	for (uint64_t at = 512; at < len; at += 4096 + 512) {
		restore(p, len, at, LOST);
		if (!ok_msg(all_readable(LCPFS_OPEN_RO, p, len, at, &lost), "64 KiB at %llu: %s", (unsigned long long)at, err.msg))
			break;
	}
	free(p);
}

/* Bytes of the columns of a pool's chunks for nodes: from, and how many, of the copy. */
static uint64_t meta_column(unsigned copy, uint64_t *bytes)
{
	uint64_t from = 0;
	struct lcpfs_pool *pool;

	if (!did(lcpfs_pool_open(&pool, dev, NULL, &err)))
		return 0;
	for (uint32_t i = 0; i < vdev_config(pool->spa->vdev)->n_chunks; i++) {
		const struct cfg_chunk *k = &vdev_config(pool->spa->vdev)->chunks[i];

		if (k->cls == CLASS_META && k->width == 2) {
			from = k->member[copy].start_unit * UNIT;
			*bytes = k->col_units * UINT64_C(65536);
		}
	}
	lcpfs_pool_close(pool, NULL);
	return from;
}

TEST(found_and_healed)
{
	const struct lcpfs_hooks hooks = { .log = on_log };
	uint64_t len, n, first, second, bytes = 0;
	uint8_t *p, *now;
	unsigned lost;

	lcpfs_set_hooks(&hooks);
	make(2, FILES);
	p = bytes_of(&len);
	first = meta_column(0, &bytes);
	second = meta_column(1, &bytes);
	ok_msg(first && second > first && memcmp(p + first, p + second, bytes) == 0, "the copies differ");
	/* read-only: told, and left as it is */
	restore(p, len, first, MIN(bytes, (uint64_t)LOST));
	warned = 0;
	ok(all_readable(LCPFS_OPEN_RO, p, len, first, &lost) && !lost);
	ok_msg(warned > 0, "not told");
	now = bytes_of(&n);
	ok(n == len && is_all_zero(now + first, MIN(bytes, (uint64_t)LOST)));
	free(now);
	/* for writing: what is read is put right */
	warned = 0;
	ok(all_readable(LCPFS_OPEN_RW, p, len, first, &lost) && !lost);
	ok_msg(warned > 0, "not told");
	warned = 0;
	ok(all_readable(LCPFS_OPEN_RO, p, len, first, &lost) && !lost);
	is_int(warned, 0);
	/* the second copy is not read as long as the first is good: fsck and scrub look */
	restore(p, len, second, MIN(bytes, (uint64_t)LOST));
	warned = 0;
	ok(all_readable(LCPFS_OPEN_RO, p, len, second, &lost) && !lost);
	is_int(warned, 0);
	ok(fsck().copy > 0);
	repair();
	is_int(fsck().copy, 0);
	free(p);
}

TEST(scrub_looks)
{
	uint64_t len, bytes = 0;
	struct found f = { 0 };
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = &f };
	struct lcpfs_pool *pool;
	uint8_t *p;

	make(2, FILES);
	p = bytes_of(&len);
	restore(p, len, meta_column(1, &bytes), LOST);
	did(lcpfs_pool_open(&pool, dev, NULL, &err));
	is_int(lcpfs_scrub(pool, &o, NULL, &err), -LCPFS_ECSUM);
	ok_msg(f.copy && !f.other, "%s", f.last);
	did(lcpfs_pool_close(pool, &err));
	free(p);
}

/* Both copies gone is damage as ever. */
TEST(both_lost)
{
	uint64_t len, bytes = 0, first, second;
	struct found f;
	uint8_t *p;

	make(2, FILES);
	p = bytes_of(&len);
	first = meta_column(0, &bytes);
	second = meta_column(1, &bytes);
	memset(p + first, 0, bytes);
	restore(p, len, second, MIN(bytes, (uint64_t)LOST));
	f = fsck();
	ok(f.other + f.label > 0);
	free(p);
}

TEST(one_copy)
{
	struct lcpfs_pool_info i;
	struct lcpfs_pool *pool;

	make(1, 5);
	did(lcpfs_pool_open(&pool, dev, NULL, &err));
	did(lcpfs_pool_info(pool, &i, &err));
	is_int(i.copies_bytes, 0);
	is_int(i.n_chunks, 1);
	ok(!config_has_feature(&vdev_config(pool->spa->vdev)->incompat, FEATURE_COPIES));
	is_int(vdev_copies(pool->spa->vdev, vdev_current(pool->spa->vdev)->pool_root.addr), 1);
	did(lcpfs_pool_close(pool, &err));
	make(0, 5);
	did(lcpfs_pool_open(&pool, dev, NULL, &err));
	did(lcpfs_pool_info(pool, &i, &err));
	ok(i.copies_bytes >= 65536 && i.device_bytes <= 1280 * KiB);
	is_int(vdev_copies(pool->spa->vdev, vdev_current(pool->spa->vdev)->pool_root.addr), 2);
	did(lcpfs_pool_close(pool, &err));
}

/* Commit by commit, with the image closed now and then: chunks stay few, and the image short. */
static uint64_t grown_bytes(unsigned copies, unsigned commits, unsigned *chunks)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 1 };
	uint8_t *p = calloc(1, 60000);
	uint64_t rng = 7, size;

	make(copies, 0);
	for (unsigned i = 0; i < commits;) {
		struct lcpfs_dataset *ds;
		struct lcpfs_pool *pool;

		did(lcpfs_pool_open(&pool, dev, &o, &err));
		did(lcpfs_dataset_open(&ds, pool, "", &err));
		for (unsigned k = 0; k < 7; k++, i++) {
			size_t n = 500 + tap_rand(&rng) % (i % 4 ? 4000 : 59000);
			struct lcpfs_file *f;
			char path[32];

			for (size_t b = 0; b < n; b++)
				p[b] = (uint8_t)tap_rand(&rng);
			snprintf(path, sizeof path, "d%u/grown%05u", i % 4, i);
			did(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err));
			did(lcpfs_file_pwrite(f, p, n, 0, &err));
			did(lcpfs_file_close(f, &err));
			did(lcpfs_pool_commit(pool, &err));
		}
		*chunks = vdev_config(pool->spa->vdev)->n_chunks;
		lcpfs_dataset_close(ds);
		did(lcpfs_pool_close(pool, &err));
	}
	free(p);
	free(bytes_of(&size));
	ok(!fsck().other);
	return size;
}

TEST(many_commits)
{
	unsigned one_chunks, two_chunks;
	uint64_t one = grown_bytes(1, 700, &one_chunks), two = grown_bytes(2, 700, &two_chunks);

	printf("# %llu bytes in %u chunks, %llu in %u\n", (unsigned long long)one, one_chunks, (unsigned long long)two, two_chunks);
	ok(two_chunks <= 40 && two < one + one / 8);
}

TAP_MAIN(T(any_64k_lost), T(wherever_it_begins), T(found_and_healed), T(scrub_looks), T(both_lost), T(one_copy), T(many_commits))
