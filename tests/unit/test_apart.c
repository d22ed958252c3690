/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copies of nodes lie far apart: an image that lost its end, its begin or all behind a place has every node still, so that all names are there,
 * and the contents of all files whose blocks are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "blockdev/blockdev.h"
#include "format/node.h"
#include "hash/hash.h"
#include "lcpfs/lcpfs.h"
#include "spa/spa_impl.h"
#include "tap.h"
#include "zpl/handle.h"

#define PACK 16384u
#define FILES 500u

static struct lcpfs_error err;
static char dev[32];

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

/* ---- an image whose contents can be found in its bytes ---- */

struct image { unsigned files; uint8_t *p; uint64_t len; };

static size_t size_of(unsigned i) { return i % 10 == 9 ? 120000 : 500 + i * 7; }

static void path_of(unsigned i, char out[48]) { snprintf(out, 48, "d%u/a file with number %05u", i % 4, i); }

/* Each 64 bytes say whose they are. */
static void content_of(unsigned i, uint8_t *p)
{
	size_t n = size_of(i);

	for (size_t at = 0; at < n; at += 64) {
		char mark[80];

		memset(mark, '.', sizeof mark);
		snprintf(mark, sizeof mark, "content of file %05u at %08zu", i, at);
		memcpy(p + at, mark, MIN(n - at, (size_t)64));
	}
}

static int put(struct lcpfs_dataset *ds, unsigned i)
{
	uint8_t *p = malloc(size_of(i) + 64);
	struct lcpfs_file *f;
	char path[48];
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

static void put_all(struct lcpfs_pool *p, unsigned files, unsigned commits)
{
	struct lcpfs_dataset *ds;

	did(lcpfs_dataset_open(&ds, p, "", &err));
	for (unsigned i = 0; i < 4; i++)
		did(lcpfs_mkdir(ds, (char[3]){ 'd', (char)('0' + i) }, 0755, false, &err));
	for (unsigned i = 0; i < files; i++) {
		did(put(ds, i));
		if (commits && (i + 1) % (files / commits) == 0)
			did(lcpfs_pool_commit(p, &err));
	}
	did(lcpfs_pool_commit(p, &err));
	lcpfs_dataset_close(ds);
}

static struct image make(unsigned files, unsigned commits, uint64_t size)
{
	static unsigned n;
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .compress = "off", .pack_bytes = PACK,
		.slice_max_bytes = 4096, .record_bytes = 16384, .reproducible = true, .size_bytes = size };
	struct image m = { .files = files };
	struct lcpfs_blockdev *d;
	struct lcpfs_pool *p;

	snprintf(dev, sizeof dev, "ram:apart%u", n++);
	did(lcpfs_pool_create(&p, dev, &o, &err));
	put_all(p, files, commits);
	did(lcpfs_pool_close(p, &err));
	if (!did(lcpfs_blockdev_open(&d, dev, 0, &err)))
		return m;
	m.len = blockdev_size(d);
	m.p = malloc(m.len);
	did(blockdev_read(d, 0, m.p, m.len, &err));
	lcpfs_blockdev_close(d);
	return m;
}

/* The device has these bytes, but for those from `from` to `to`, which are zero, or missing when they are the last. */
static void damage(const struct image *m, uint64_t from, uint64_t to, bool cut)
{
	uint8_t *zero = calloc(1, to - from);
	struct lcpfs_blockdev *d;

	if (!did(lcpfs_blockdev_open(&d, dev, LCPFS_DEV_OPEN_RW, &err)))
		return;
	did(blockdev_resize(d, m->len, &err));
	did(blockdev_write(d, 0, m->p, m->len, &err));
	did(blockdev_write(d, from, zero, to - from, &err));
	if (cut)
		did(blockdev_resize(d, from, &err));
	free(zero);
	lcpfs_blockdev_close(d);
}

/* ---- what is there ---- */

/* The length of the whole node that begins here; 0: none does. */
static size_t node_at(const uint8_t *p, uint64_t left)
{
	uint8_t *copy;
	uint64_t len;
	bool good;

	if (left < NODE_HDR || memcmp(p, "LNOD", 4) != 0)
		return 0;
	len = NODE_HDR + le_load(p + 8, 4) * (uint64_t)PTR_LEN + le_load(p + 12, 4);
	if (len > left)
		return 0;
	copy = malloc(len);
	memcpy(copy, p, len);
	memset(copy + 44, 0, 4);
	good = crc32c(0, copy, len) == le_load(p + 44, 4);
	free(copy);
	return good ? len : 0;
}

/* Nodes of the chunk, and how many of them no copy gives any more. */
static unsigned nodes_of(struct vdev *v, const struct cfg_chunk *k, const struct image *m, unsigned *lost)
{
	uint64_t at = k->member[0].start_unit * UNIT, end = MIN(at + k->col_units * (uint64_t)UNIT, m->len);
	unsigned n = 0;

	for (uint64_t p = at; p < end; p += SECTOR) {
		size_t len = node_at(m->p + p, end - p), whole = round_up(len, (size_t)SECTOR);
		uint8_t *got = len ? malloc(whole) : NULL;
		bool good = false;

		if (!len)
			continue;
		for (unsigned copy = 0; copy < k->width && !good; copy++)
			good = vdev_read_copy(v, ptr_addr(k->id, (uint32_t)((p - at) / SECTOR)), copy, got, whole, NULL) == 0 &&
			    memcmp(got, m->p + p, len) == 0;
		free(got);
		*lost += !good;
		n++;
	}
	return n;
}

static bool lies_between(const struct image *m, unsigned i, uint64_t from, uint64_t to)
{
	uint64_t a = from > PACK ? from - PACK : 0, b = MIN(m->len, to + PACK);
	char mark[32];
	int n = snprintf(mark, sizeof mark, "content of file %05u", i);

	return memmem(m->p + a, b - a, mark, (size_t)n);
}

static bool holds(struct lcpfs_dataset *ds, unsigned i)
{
	uint8_t *want = malloc(size_of(i) + 64), *got = malloc(size_of(i) + 64);
	struct lcpfs_file *f;
	bool good = false;
	char path[48];
	size_t n = 0;

	path_of(i, path);
	content_of(i, want);
	if (lcpfs_file_open(&f, ds, path, LCPFS_O_READ, 0, &err) == 0) {
		good = lcpfs_file_pread(f, got, size_of(i) + 1, 0, &n, &err) == 0 && n == size_of(i) && memcmp(want, got, n) == 0;
		lcpfs_file_close(f, NULL);
	}
	free(want);
	free(got);
	return good;
}

/* Every name is there, and every file whose bytes are elsewhere. */
static unsigned check_files(struct lcpfs_pool *p, const struct image *m, uint64_t from, uint64_t to)
{
	struct lcpfs_dataset *ds;
	unsigned read = 0;

	if (!did(lcpfs_dataset_open(&ds, p, "", &err)))
		return 0;
	for (unsigned i = 0; i < m->files; i++) {
		struct lcpfs_stat st;
		char path[48];
		bool good;

		path_of(i, path);
		if (!ok_msg(lcpfs_stat(ds, path, 0, &st, &err) == 0 && st.size == size_of(i), "%s: %s", path, err.msg))
			break;
		good = holds(ds, i);
		read += good;
		if (!good && !ok_msg(lies_between(m, i, from, to), "%s, which does not lie there: %s", path, err.msg))
			break;
	}
	lcpfs_dataset_close(ds);
	return read;
}

/* How many files can be read. */
static unsigned after(const struct image *m, uint64_t from, uint64_t to, bool cut)
{
	const struct lcpfs_open_opts ro = { .flags = LCPFS_OPEN_RO, .threads = 1 };
	unsigned n = 0, lost = 0, read;
	const struct config *c;
	struct lcpfs_pool *p;

	damage(m, from, to, cut);
	if (!did(lcpfs_pool_open(&p, dev, &ro, &err)))
		return 0;
	c = vdev_config(p->spa->vdev);
	for (uint32_t i = 0; i < c->n_chunks; i++)
		if (c->chunks[i].cls == CLASS_META)
			n += nodes_of(p->spa->vdev, &c->chunks[i], m, &lost);
	ok_msg(n > 5 && !lost, "%u of %u nodes are lost with bytes %llu to %llu", lost, n, (unsigned long long)from, (unsigned long long)to);
	read = check_files(p, m, from, to);
	did(lcpfs_pool_close(p, &err));
	return read;
}

static uint64_t columns_at(void)
{
	struct lcpfs_pool *p;
	uint64_t at = 0;

	if (did(lcpfs_pool_open(&p, dev, NULL, &err))) {
		at = vdev_label(p->spa->vdev)->data_off;
		lcpfs_pool_close(p, NULL);
	}
	return at;
}

static void all_losses(unsigned files, unsigned commits)
{
	struct image m = make(files, commits, 0);
	uint64_t at = columns_at(), lost = 2 * MiB;
	unsigned n;

	if (!ok_msg(m.len > 7 * MiB, "%llu bytes", (unsigned long long)m.len))
		return;
	n = after(&m, m.len - lost, m.len, false);
	ok_msg(n > files / 2, "%u files without the end", n);
	n = after(&m, m.len - lost, m.len, true);
	ok_msg(n > files / 2, "%u files when it is cut off", n);
	n = after(&m, at, at + lost, false);
	ok_msg(n > files / 2, "%u files without the begin", n);
	n = after(&m, m.len * 6 / 10, m.len, true);
	ok_msg(n > files / 4, "%u files in three fifths", n);
	free(m.p);
}

/* ---- tests ---- */

TEST(written_at_once) { all_losses(FILES, 0); }
TEST(larger) { all_losses(4 * FILES, 0); }

/* The gaps are no room that data takes, and do not become more with every commit. */
TEST(commit_by_commit)
{
	struct image m = make(2 * FILES, 40, 0);
	uint64_t used = 0, end = 0;
	struct lcpfs_pool *p;

	did(lcpfs_pool_open(&p, dev, NULL, &err));
	for (uint32_t i = 0; i < vdev_config(p->spa->vdev)->n_chunks; i++) {
		const struct cfg_chunk *k = &vdev_config(p->spa->vdev)->chunks[i];

		for (unsigned c = 0; c < k->width; c++) {
			used += k->col_units;
			end = MAX(end, k->member[c].start_unit + k->col_units);
		}
	}
	used += vdev_label(p->spa->vdev)->data_off / UNIT;
	ok_msg(end - used <= 4 + end / 16, "%llu of %llu units are gaps", (unsigned long long)(end - used), (unsigned long long)end);
	ok_msg(vdev_config(p->spa->vdev)->n_chunks < 30, "%u chunks", vdev_config(p->spa->vdev)->n_chunks);
	lcpfs_pool_close(p, NULL);
	free(m.p);
}

/* An image below the first column for data has no gap: both copies are in it, at the end. */
TEST(small_one)
{
	struct image m = make(20, 0, 0);

	ok_msg(m.len <= 2 * MiB, "%llu bytes", (unsigned long long)m.len);
	free(m.p);
}

TAP_MAIN(T(written_at_once), T(larger), T(commit_by_commit), T(small_one))
