/* SPDX-License-Identifier: Apache-2.0 */
/* Whole pools, on a RAM disk and in a file: what a program gets that uses the library. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bench/bench.h"

#define PIECE (1u << 20)
#define SOURCE (32u << 20)   /* written over and over */
#define SMALL 4096u
#define SIZE_SMALL (64u << 20)
#define MEMORY_LEAST (32u << 20)

struct pool_test {
	struct bench *b;
	const char *test, *compress;
	const char *path;            /* NULL: on `disk` */
	struct lcpfs_blockdev *disk;
	uint64_t size;               /* of the file in it */
	uint8_t *source;
};
/* A thread that reads, with a pool handle and so a cache of its own, as a process would. */
struct reader {
	struct pool_test *p;
	struct lcpfs_pool *pool;
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;
	uint8_t *buf;
	uint64_t from, to, seed, ops;
	bool random;
	int rc;
	struct lcpfs_error err;
	pthread_t thread;
};

static void report(const struct pool_test *p, const char *what, enum bench_unit unit, unsigned threads, double rate)
{
	struct result r = { .test = p->test, .unit = unit, .threads = threads, .rate = rate };

	snprintf(r.name, sizeof r.name, "%s", what);
	if (unit == BENCH_BYTES) {
		r.beside = p->b->memcpy_rate;
		r.beside_name = "memcpy";
	}
	bench_result(&r);
}

/* A view of a disk that several pool handles have open one after the other, or at once to read. It keeps the disk's pages. */
struct view { struct lcpfs_blockdev dev; struct lcpfs_blockdev *disk; };

static int view_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *disk = ((struct view *)dev)->disk;

	return disk->ops->read(disk, off, buf, len, err);
}

static int view_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *disk = ((struct view *)dev)->disk;

	return disk->ops->write(disk, off, buf, len, err);
}

static void view_close(struct lcpfs_blockdev *dev)
{
	free(dev);
}

static struct lcpfs_blockdev *view_new(struct lcpfs_blockdev *disk)
{
	static const struct lcpfs_blockdev_ops ops = { .read = view_read, .write = view_write, .close = view_close };
	struct view *v = cmd_alloc(sizeof *v);

	v->dev = *disk;
	v->dev.ops = &ops;
	v->disk = disk;
	return &v->dev;
}

/* A disk whose pages are all there: what is measured is not the kernel handing out memory. */
static int disk_new(struct pool_test *p, struct lcpfs_error *err)
{
	uint64_t size = (p->size + p->size / 4 + (96u << 20)) & ~(uint64_t)(PIECE - 1);
	int rc = lcpfs_ramdisk_create(&p->disk, "bench", size, 0, err);

	for (uint64_t off = 0; !rc && off < size; off += PIECE)
		rc = p->disk->ops->write(p->disk, off, p->source, PIECE, err);
	return rc;
}

static int pool_new(struct pool_test *p, struct lcpfs_create_opts *o, struct lcpfs_pool **pool, struct lcpfs_error *err)
{
	o->open = (struct lcpfs_open_opts){ .threads = p->b->threads, .memory_bytes = p->b->memory_bytes, .flags = LCPFS_OPEN_RW };
	o->compress = p->compress;
	if (p->path)
		return lcpfs_pool_create(pool, p->path, o, err);
	return lcpfs_pool_create_dev(pool, view_new(p->disk), o, err);
}

static int fill(struct pool_test *p, struct lcpfs_dataset *ds, struct lcpfs_error *err)
{
	struct lcpfs_file *f;
	int rc = lcpfs_file_open(&f, ds, "a", LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, err), rc2;

	if (rc)
		return rc;
	for (uint64_t off = 0; !rc && off < p->size; off += PIECE)
		rc = cmd_interrupted ? cmd_err(err, LCPFS_ECANCEL, "interrupted") : lcpfs_file_pwrite(f, p->source + off % SOURCE, PIECE, off, err);
	rc2 = lcpfs_file_close(f, rc ? NULL : err);
	return rc ? rc : rc2;
}

/* A pool with the file; *rate of writing, with the commit. */
static int write_pool(struct pool_test *p, struct lcpfs_create_opts *o, double *rate, struct lcpfs_error *err)
{
	struct lcpfs_pool *pool = NULL;
	struct lcpfs_dataset *ds = NULL;
	double from = 0;
	int rc = p->path ? 0 : disk_new(p, err), rc2;

	if (!rc)
		rc = pool_new(p, o, &pool, err);
	if (!rc) {
		from = bench_now();
		rc = lcpfs_dataset_open(&ds, pool, "", err);
	}
	if (!rc)
		rc = fill(p, ds, err);
	lcpfs_dataset_close(ds);
	if (!rc)
		rc = lcpfs_pool_commit(pool, err);
	*rate = (double)p->size / (bench_now() - from);
	rc2 = lcpfs_pool_close(pool, rc ? NULL : err);
	return rc ? rc : rc2;
}

static void drop_pool(struct pool_test *p)
{
	if (p->path)
		unlink(p->path);
	lcpfs_blockdev_close(p->disk);
	p->disk = NULL;
}

static int read_piece(struct reader *r, uint64_t off, size_t len)
{
	size_t got;
	int rc = lcpfs_file_pread(r->f, r->buf, len, off, &got, &r->err);

	return !rc && got != len ? cmd_err(&r->err, LCPFS_EIO, "a read of %zu bytes gave %zu", len, got) : rc;
}

static void *read_thread(void *arg)
{
	struct reader *r = arg;
	double until = bench_now() + r->p->b->seconds;

	while (r->random && !r->rc && (r->ops % 64 || bench_now() < until)) {
		r->rc = read_piece(r, bench_rand(&r->seed) % (r->p->size / SMALL) * SMALL, SMALL);
		r->ops++;
	}
	for (uint64_t off = r->from; !r->random && !r->rc && !cmd_interrupted && off < r->to; off += PIECE)
		r->rc = read_piece(r, off, PIECE);
	return NULL;
}

static int reader_open(struct reader *r, unsigned n, struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .threads = 1, .memory_bytes = r->p->b->memory_bytes / n };
	int rc;

	if (o.memory_bytes < MEMORY_LEAST)
		o.memory_bytes = MEMORY_LEAST;
	rc = r->p->path ? lcpfs_pool_open(&r->pool, r->p->path, &o, err) : lcpfs_pool_open_dev(&r->pool, view_new(r->p->disk), &o, err);
	if (!rc)
		rc = lcpfs_dataset_open(&r->ds, r->pool, "", err);
	if (!rc)
		rc = lcpfs_file_open(&r->f, r->ds, "a", LCPFS_O_READ, 0, err);
	r->buf = cmd_alloc(PIECE);
	return rc;
}

static void reader_close(struct reader *r)
{
	lcpfs_file_close(r->f, NULL);
	lcpfs_dataset_close(r->ds);
	lcpfs_pool_close(r->pool, NULL);
	free(r->buf);
}

/* The file read by `n` threads, a part each or at random places; *rate in bytes or reads per second. */
static int read_file(struct pool_test *p, unsigned n, bool random, double *rate, struct lcpfs_error *err)
{
	struct reader *r = calloc(n, sizeof *r);
	uint64_t pieces = p->size / PIECE, ops = 0;
	unsigned started = 0;
	double from;
	int rc = r ? 0 : cmd_err(err, LCPFS_ENOMEM, "out of memory");

	for (unsigned i = 0; !rc && i < n; i++) {
		r[i] = (struct reader){ .p = p, .random = random, .seed = i + 1, .from = pieces * i / n * PIECE, .to = pieces * (i + 1) / n * PIECE };
		rc = reader_open(&r[i], n, err);
	}
	from = bench_now();
	for (; !rc && started < n; started++)
		if (pthread_create(&r[started].thread, NULL, read_thread, &r[started]))
			rc = cmd_err(err, LCPFS_ENOMEM, "cannot start a thread");
	for (unsigned i = 0; i < started; i++) {
		pthread_join(r[i].thread, NULL);
		ops += r[i].ops;
		if (!rc && r[i].rc) {
			rc = r[i].rc;
			*err = r[i].err;
		}
	}
	*rate = (double)(random ? ops : p->size) / (bench_now() - from);
	for (unsigned i = 0; r && i < n; i++)
		reader_close(&r[i]);
	free(r);
	return rc;
}

static int reads(struct pool_test *p, bool random, const char *what, struct lcpfs_error *err)
{
	double rate;
	int rc = read_file(p, 1, random, &rate, err);

	if (rc)
		return rc;
	report(p, what, random ? BENCH_OPS : BENCH_BYTES, 1, rate);
	if (p->b->threads < 2)
		return 0;
	rc = read_file(p, p->b->threads, random, &rate, err);
	if (!rc)
		report(p, what, random ? BENCH_OPS : BENCH_BYTES, p->b->threads, rate);
	return rc;
}

/* Written, read in order. */
static int sequential(struct pool_test *p, const char *data, struct lcpfs_error *err)
{
	struct lcpfs_create_opts o = { 0 };
	char what[64];
	double rate;
	int rc = write_pool(p, &o, &rate, err);

	if (!rc) {
		snprintf(what, sizeof what, "write, %s, %s", p->compress, data);
		report(p, what, BENCH_BYTES, p->b->threads, rate);
		snprintf(what, sizeof what, "read, %s, %s", p->compress, data);
		rc = reads(p, false, what, err);
	}
	drop_pool(p);
	return rc;
}

/* Small reads of a file with records as small, most of which are not in the cache, and of its beginning, which is. */
static int at_random(struct pool_test *p, struct lcpfs_error *err)
{
	struct lcpfs_create_opts o = { .record_bytes = SMALL };
	struct pool_test q = *p;
	struct bench b = *p->b;
	double rate;
	int rc;

	q.b = &b;
	q.compress = "off";
	b.memory_bytes = MEMORY_LEAST;
	q.size = p->size / 4 < SIZE_SMALL ? SIZE_SMALL : p->size / 4;
	rc = write_pool(&q, &o, &rate, err);
	if (!rc)
		rc = reads(&q, true, "random 4K reads", err);
	q.size = 4u << 20;
	if (!rc)
		rc = reads(&q, true, "random 4K reads, all cached", err);
	drop_pool(&q);
	return rc;
}

int bench_ram(struct bench *b, struct lcpfs_error *err)
{
	static const struct { const char *compress; unsigned corpus; } runs[] = { { "off", 3 }, { "lz4", 0 }, { "zstd:3", 0 } };
	struct pool_test p = { .b = b, .test = "ram", .size = b->size_bytes, .source = malloc(SOURCE) };
	int rc = p.source ? 0 : cmd_err(err, LCPFS_ENOMEM, "out of memory");

	for (size_t i = 0; !rc && !cmd_interrupted && i < sizeof runs / sizeof *runs; i++) {
		bench_corpora[runs[i].corpus].fill(p.source, SOURCE);
		p.compress = runs[i].compress;
		rc = sequential(&p, bench_corpora[runs[i].corpus].name, err);
	}
	if (!rc && !cmd_interrupted)
		rc = at_random(&p, err);
	free(p.source);
	return rc;
}

int bench_file(struct bench *b, struct lcpfs_error *err)
{
	struct pool_test p = { .b = b, .test = "file", .size = b->size_bytes, .compress = "off", .source = malloc(SOURCE) };
	char *path = cmd_printf("%s/lcpfs-bench-%ld.img", b->dir, (long)getpid());
	int rc = p.source ? 0 : cmd_err(err, LCPFS_ENOMEM, "out of memory");

	p.path = path;
	cmd_temp_file(path);
	if (!rc) {
		bench_corpora[3].fill(p.source, SOURCE);
		rc = sequential(&p, "random", err);
	}
	if (!rc && !cmd_interrupted)
		rc = at_random(&p, err);
	cmd_temp_file(NULL);
	free(path);
	free(p.source);
	return rc;
}
