/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots and how they travel: two snapshots of a dataset, the first sent whole and the second as a difference through memory into another
 * pool; then both pools are compared.
 */
#include <lcpfs/lcpfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int rc, const struct lcpfs_error *err)
{
	if (rc) {
		fprintf(stderr, "snapshots_and_send: %s\n", err->msg);
		exit(1);
	}
}

static void expect(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "snapshots_and_send: not so: %s\n", what);
		exit(1);
	}
}

static struct lcpfs_pool *new_pool(const char *name)
{
	struct lcpfs_create_opts o = { .name = name };
	struct lcpfs_error err;
	struct lcpfs_blockdev *disk;
	struct lcpfs_pool *pool;

	must(lcpfs_ramdisk_create(&disk, name, 32 << 20, 0, &err), &err);
	must(lcpfs_pool_create_dev(&pool, disk, &o, &err), &err);
	must(lcpfs_pool_commit(pool, &err), &err);
	return pool;
}

static void put(struct lcpfs_pool *pool, const char *path, const char *text)
{
	struct lcpfs_error err;
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;

	must(lcpfs_dataset_open(&ds, pool, "work", &err), &err);
	must(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, &err), &err);
	must(lcpfs_file_pwrite(f, text, strlen(text), 0, &err), &err);
	must(lcpfs_file_close(f, &err), &err);
	lcpfs_dataset_close(ds);
}

static void snapshot(struct lcpfs_pool *pool, const char *name)
{
	struct lcpfs_error err;

	must(lcpfs_snap_create(pool, &name, 1, false, &err), &err);
	must(lcpfs_pool_commit(pool, &err), &err);
}

/* A stream in memory; to a network connection or a file it goes the same way. */
struct pipe { char *data; size_t len, at; };

static int pipe_write(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct pipe *p = arg;
	char *more = realloc(p->data, p->len + len);

	if (!more) {
		err->code = LCPFS_ENOMEM;
		snprintf(err->msg, sizeof err->msg, "no memory for the stream");
		return -LCPFS_ENOMEM;
	}
	memcpy(more + p->len, data, len);
	p->data = more;
	p->len += len;
	return 0;
}

static int pipe_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct pipe *p = arg;

	(void)err;
	*got = len < p->len - p->at ? len : p->len - p->at;
	memcpy(buf, p->data + p->at, *got);
	p->at += *got;
	return 0;
}

/* Returns the length of the stream. */
static size_t transfer(struct lcpfs_pool *from, const char *snap, const char *base, struct lcpfs_pool *to)
{
	struct lcpfs_send_opts so = { .base = base };
	struct lcpfs_recv_opts ro = { .target = "copy" };
	struct pipe p = { 0 };
	struct lcpfs_error err;
	char *name;

	must(lcpfs_send(from, snap, &so, pipe_write, &p, NULL, &err), &err);
	must(lcpfs_recv(to, &ro, pipe_read, &p, &name, &err), &err);
	printf("snapshots_and_send: %s arrived as %s, %zu bytes\n", snap, name, p.len);
	free(name);
	free(p.data);
	return p.len;
}

static int count(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	unsigned *n = arg;

	(void)err;
	n[d->kind == LCPFS_DIFF_ADDED ? 0 : d->kind == LCPFS_DIFF_REMOVED ? 1 : 2] += d->path[0] != 0;
	return 0;
}

/* What lies between two snapshots of any pools: added, removed, changed; the root directory itself is not counted. */
static void difference(struct lcpfs_pool *pa, const char *a, struct lcpfs_pool *pb, const char *b, unsigned n[3])
{
	struct lcpfs_error err;
	struct lcpfs_dataset *da, *db;

	memset(n, 0, 3 * sizeof *n);
	must(lcpfs_dataset_open(&da, pa, a, &err), &err);
	must(lcpfs_dataset_open(&db, pb, b, &err), &err);
	must(lcpfs_diff(da, db, 0, count, n, NULL, &err), &err);
	lcpfs_dataset_close(da);
	lcpfs_dataset_close(db);
}

int main(void)
{
	struct lcpfs_pool *home = new_pool("home"), *backup = new_pool("backup");
	struct lcpfs_error err;
	struct lcpfs_dataset *ds;
	size_t full, incremental;
	unsigned n[3];
	char name[16];

	must(lcpfs_dataset_create(home, "work", false, &err), &err);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "file%u", i);
		put(home, name, "the same in both snapshots\n");
	}
	snapshot(home, "work@monday");
	put(home, "file7", "changed on tuesday\n");
	put(home, "new", "made on tuesday\n");
	must(lcpfs_dataset_open(&ds, home, "work", &err), &err);
	must(lcpfs_remove(ds, "file8", false, &err), &err);
	lcpfs_dataset_close(ds);
	snapshot(home, "work@tuesday");

	difference(home, "work@monday", home, "work@tuesday", n);
	expect(n[0] == 1 && n[1] == 1 && n[2] == 1, "one file added, one removed, one changed");

	full = transfer(home, "work@monday", NULL, backup);
	incremental = transfer(home, "work@tuesday", "@monday", backup);
	expect(incremental < full, "a difference is shorter than the whole");

	difference(home, "work@tuesday", backup, "copy@tuesday", n);
	expect(n[0] + n[1] + n[2] == 0, "both pools have the same");
	must(lcpfs_pool_close(home, &err), &err);
	must(lcpfs_pool_close(backup, &err), &err);
	return 0;
}
