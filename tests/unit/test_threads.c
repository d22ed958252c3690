/* SPDX-License-Identifier: Apache-2.0 */
/* What pool.h says of threads: handles are independent of each other, a handle goes from one thread to another. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lcpfs/lcpfs.h"
#include "tap.h"

#define FILES 200u
#define BIG 40u /* each so many files one is larger than a pack */
#define LEN_MAX (3u << 20)

static uint32_t len_of(unsigned k) { return k % BIG ? 100 + k * 37 : LEN_MAX - k; }

static void fill(uint8_t *buf, unsigned k)
{
	uint64_t seed = k + 1;

	for (uint32_t i = 0; i < len_of(k); i++)
		buf[i] = i % 64 ? (uint8_t)(i * k) : (uint8_t)tap_rand(&seed);
}

static void name_of(char name[32], unsigned k) { snprintf(name, 32, "d%u/f%u", k % 7, k); }

static int put(struct lcpfs_dataset *ds, unsigned k, uint8_t *buf, struct lcpfs_error *err)
{
	struct lcpfs_file *f = NULL;
	char name[32];
	int rc;

	name_of(name, k);
	fill(buf, k);
	rc = lcpfs_file_open(&f, ds, name, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, err);
	if (!rc)
		rc = lcpfs_file_pwrite(f, buf, len_of(k), 0, err);
	if (f && lcpfs_file_close(f, rc ? NULL : err) && !rc)
		rc = -1;
	return rc;
}

/* An image with all files; pool and dataset stay open. */
static int make(const char *path, struct lcpfs_pool **p, struct lcpfs_dataset **ds, struct lcpfs_error *err)
{
	struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 } };
	uint8_t *buf = malloc(LEN_MAX);
	int rc = buf ? lcpfs_pool_create(p, path, &o, err) : -1;

	if (!rc)
		rc = lcpfs_dataset_open(ds, *p, "", err);
	for (unsigned k = 0; !rc && k < 7; k++) {
		char dir[32];

		snprintf(dir, sizeof dir, "d%u", k);
		rc = lcpfs_mkdir(*ds, dir, 0755, false, err);
	}
	for (unsigned k = 0; !rc && k < FILES; k++)
		rc = put(*ds, k, buf, err);
	free(buf);
	return rc ? rc : lcpfs_pool_commit(*p, err);
}

struct reader {
	const char *path;
	struct lcpfs_dataset *ds; /* NULL: opens the pool for itself */
	unsigned walked, right;
	struct lcpfs_error err;
	int rc;
};

static int on_entry(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct reader *r = arg;

	(void)err;
	r->walked += S_ISREG(e->st->mode);
	return 0;
}

static int read_all(struct reader *r, struct lcpfs_dataset *ds)
{
	uint8_t *want = malloc(LEN_MAX), *got = malloc(LEN_MAX);
	int rc = want && got ? lcpfs_walk(ds, "", 0, on_entry, r, &r->err) : -1;

	for (unsigned k = 0; !rc && k < FILES; k++) {
		struct lcpfs_file *f = NULL;
		char name[32];
		size_t n = 0;

		name_of(name, k);
		fill(want, k);
		rc = lcpfs_file_open(&f, ds, name, LCPFS_O_READ, 0, &r->err);
		if (!rc)
			rc = lcpfs_file_pread(f, got, len_of(k), 0, &n, &r->err);
		lcpfs_file_close(f, NULL);
		r->right += !rc && n == len_of(k) && !memcmp(got, want, n);
	}
	free(want);
	free(got);
	return rc;
}

static void *run(void *arg)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RO, .threads = 2, .memory_bytes = 32u << 20 };
	struct reader *r = arg;
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_pool *p = NULL;

	if (r->ds) {
		r->rc = read_all(r, r->ds);
		return NULL;
	}
	r->rc = lcpfs_pool_open(&p, r->path, &o, &r->err);
	if (!r->rc)
		r->rc = lcpfs_dataset_open(&ds, p, "", &r->err);
	if (!r->rc)
		r->rc = read_all(r, ds);
	lcpfs_dataset_close(ds);
	if (p)
		lcpfs_pool_close(p, NULL);
	return NULL;
}

/* n readers at the same moment; each finds all. */
static void readers(struct reader *r, size_t n)
{
	pthread_t t[4];
	bool runs[4];

	for (size_t i = 0; i < n; i++)
		runs[i] = ok(pthread_create(&t[i], NULL, run, &r[i]) == 0);
	for (size_t i = 0; i < n; i++) {
		if (runs[i])
			pthread_join(t[i], NULL);
		ok_msg(!r[i].rc && r[i].walked == FILES && r[i].right == FILES, "reader %zu: rc %d, %u walked, %u right: %s", i, r[i].rc,
		    r[i].walked, r[i].right, r[i].err.msg);
	}
}

/* A name in a folder of its own. */
static void image_name(char name[256])
{
	const char *base = getenv("TMPDIR");

	snprintf(name, 240, "%s/lcpfs-threads-XXXXXX", base ? base : "/tmp");
	ok(mkdtemp(name) != NULL);
	strncat(name, "/img", 5);
}

static void image_gone(char name[256])
{
	unlink(name);
	*strrchr(name, '/') = 0;
	rmdir(name);
}

TEST(a_handle_each)
{
	char path[256];
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_pool *p = NULL;
	struct lcpfs_error err = { 0 };

	image_name(path);
	ok_msg(!make(path, &p, &ds, &err), "%s", err.msg);
	lcpfs_dataset_close(ds);
	ok_msg(!p || !lcpfs_pool_close(p, &err), "%s", err.msg);
	readers((struct reader[]){ { .path = path }, { .path = path }, { .path = path } }, 3);
	image_gone(path);
}

TEST(one_after_the_other)
{
	char path[256];
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_pool *p = NULL;
	struct lcpfs_error err = { 0 };
	int rc;

	image_name(path);
	rc = make(path, &p, &ds, &err);
	ok_msg(!rc, "%s", err.msg);
	for (unsigned k = 0; !rc && k < 2; k++)
		readers(&(struct reader){ .ds = ds }, 1);
	lcpfs_dataset_close(ds);
	ok_msg(!p || !lcpfs_pool_close(p, &err), "%s", err.msg);
	image_gone(path);
}

TAP_MAIN(T(a_handle_each), T(one_after_the_other))
