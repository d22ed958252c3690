/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first read of a file, from an image file that nobody writes: out of a window of the page cache. Against what was written, the ordinary
 * way (--live), a damaged block, and a file that has become shorter.
 */
#include <fcntl.h>
#include <lcpfs/lcpfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tap.h"

enum { FILES = 100, LEN = 20000 };
static char path[] = "/tmp/lcpfs-cold.XXXXXX";

/* Half words, half noise: a pack that is stored in some hundred KiB. */
static void fill(uint8_t *buf, unsigned n)
{
	uint64_t seed = n + 1;

	for (unsigned i = 0; i < LEN; i++)
		buf[i] = i & 1 ? (uint8_t)tap_rand(&seed) : (uint8_t)('a' + i % 7);
}

static bool make(const char *compress)
{
	struct lcpfs_create_opts o = { .compress = compress, .pack_bytes = 2 << 20 };
	uint8_t buf[LEN];
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_file *f;
	struct lcpfs_pool *p = NULL;
	char name[16];
	bool good;

	close(mkstemp(strcpy(path, "/tmp/lcpfs-cold.XXXXXX")));
	unlink(path);
	good = !lcpfs_pool_create(&p, path, &o, NULL) && !lcpfs_dataset_open(&ds, p, "", NULL);
	for (unsigned i = 0; good && i < FILES; i++) {
		fill(buf, i);
		snprintf(name, sizeof name, "/f%u", i);
		good = !lcpfs_file_open(&f, ds, name, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL) && !lcpfs_file_pwrite(f, buf, LEN, 0, NULL) &&
		    !lcpfs_file_close(f, NULL);
	}
	good = good && !lcpfs_pool_commit(p, NULL);
	lcpfs_dataset_close(ds);
	return lcpfs_pool_close(p, NULL) == 0 && good;
}

/* File n in a fresh handle. after: what happens between open and read. */
static int read_one(unsigned n, uint32_t flags, void (*after)(void), struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .flags = flags, .threads = 1 };
	uint8_t buf[LEN + 1], want[LEN];
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_file *f = NULL;
	struct lcpfs_pool *p = NULL;
	size_t got = 0;
	char name[16];
	int rc = lcpfs_pool_open(&p, path, &o, err);

	snprintf(name, sizeof name, "/f%u", n);
	if (!rc)
		rc = lcpfs_dataset_open(&ds, p, "", err);
	if (!rc)
		rc = lcpfs_file_open(&f, ds, name, LCPFS_O_READ, 0, err);
	if (!rc && after)
		after();
	if (!rc)
		rc = lcpfs_file_pread(f, buf, sizeof buf, 0, &got, err);
	fill(want, n);
	if (!rc)
		ok_msg(got == LEN && !memcmp(buf, want, LEN), "f%u reads back", n);
	lcpfs_file_close(f, NULL);
	lcpfs_dataset_close(ds);
	lcpfs_pool_close(p, NULL);
	return rc;
}

TEST(same)
{
	static const char *const codecs[] = { "zstd:3", "lz4", "lzma:1", "off" };
	struct lcpfs_error err = { 0 };

	for (unsigned c = 0; c < 4; c++) {
		ok(make(codecs[c]));
		for (unsigned i = 0; i < FILES; i += 7) {
			is_int(read_one(i, 0, NULL, &err), 0);
			is_int(read_one(i, LCPFS_OPEN_LIVE, NULL, &err), 0);
		}
		unlink(path);
	}
}

/* Packs come first in an image: the middle of its data is one. */
TEST(damaged)
{
	struct lcpfs_error err = { 0 };
	unsigned bad = 0;
	uint8_t byte;
	int fd;

	ok(make("zstd:3"));
	fd = open(path, O_RDWR);
	ok(pread(fd, &byte, 1, 700000) == 1);
	byte ^= 4;
	ok(pwrite(fd, &byte, 1, 700000) == 1);
	for (unsigned i = 0; i < FILES; i += 9) {
		int rc = read_one(i, 0, NULL, &err), live = read_one(i, LCPFS_OPEN_LIVE, NULL, &err);

		is_int(rc, live);
		ok(!rc || rc == -LCPFS_ECSUM);
		bad += rc != 0;
	}
	ok(bad > 0);
	close(fd);
	unlink(path);
}

static void cut(void)
{
	ok(truncate(path, 600000) == 0);
}

static void cut_all(void)
{
	ok(truncate(path, 0) == 0);
}

TEST(truncated)
{
	struct lcpfs_error err = { 0 };

	ok(make("zstd:3"));
	is_int(read_one(40, 0, cut, &err), -LCPFS_EIO);
	ok(strstr(err.msg, "shorter") != NULL);
	unlink(path);
	ok(make("lz4"));
	is_int(read_one(40, 0, cut_all, &err), -LCPFS_EIO);
	unlink(path);
}

TAP_MAIN(T(same), T(damaged), T(truncated))
