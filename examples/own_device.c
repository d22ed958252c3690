/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of one's own: pools in an array of this program, opened by name through a scheme, "array:NAME". It counts what the library asks of it,
 * and shows that a commit is just two flushes: one before the uberblock, one behind it.
 */
#include <lcpfs/lcpfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (8u << 20)

static struct { unsigned char *bytes; unsigned reads, writes, flushes; } array;

static void must(int rc, const struct lcpfs_error *err)
{
	if (rc) {
		fprintf(stderr, "own_device: %s\n", err->msg);
		exit(1);
	}
}

static void expect(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "own_device: not so: %s\n", what);
		exit(1);
	}
}

/* The calls; the library keeps offsets and lengths within the size. Reads and writes may come from several threads at once. */
static int array_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	(void)dev, (void)err;
	__atomic_add_fetch(&array.reads, 1, __ATOMIC_RELAXED);
	memcpy(buf, array.bytes + off, len);
	return 0;
}

static int array_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	(void)dev, (void)err;
	__atomic_add_fetch(&array.writes, 1, __ATOMIC_RELAXED);
	memcpy(array.bytes + off, buf, len);
	return 0;
}

static int array_flush(struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	(void)dev, (void)err;
	array.flushes++;
	return 0;
}

/* The array outlives the device: what was committed is there at the next open. */
static void array_close(struct lcpfs_blockdev *dev)
{
	free(dev);
}

static const struct lcpfs_blockdev_ops array_ops = {
	.read = array_read, .write = array_write, .flush = array_flush, .close = array_close,
};

static int array_open(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev = calloc(1, sizeof *dev);

	(void)rest, (void)arg;
	if (!dev) {
		err->code = LCPFS_ENOMEM;
		snprintf(err->msg, sizeof err->msg, "no memory for a device");
		return -LCPFS_ENOMEM;
	}
	*dev = (struct lcpfs_blockdev){ .ops = &array_ops, .name = "array", .size = SIZE, .sector = 4096,
		.flags = flags & LCPFS_DEV_OPEN_RW ? 0 : LCPFS_DEV_RDONLY };
	*out = dev;
	return 0;
}

int main(void)
{
	/* one label: with two, a disk gets its second uberblock by a third flush */
	struct lcpfs_create_opts o = { .name = "mine", .labels = 1 };
	struct lcpfs_error err;
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *pool;
	struct lcpfs_stat st;
	unsigned before;

	array.bytes = calloc(1, SIZE);
	expect(array.bytes != NULL, "there is memory");
	must(lcpfs_blockdev_register("array", array_open, NULL, &err), &err);
	must(lcpfs_pool_create(&pool, "array:one", &o, &err), &err);
	must(lcpfs_dataset_open(&ds, pool, "", &err), &err);
	must(lcpfs_mkdir(ds, "a/b/c", 0755, true, &err), &err);
	lcpfs_dataset_close(ds);
	before = array.flushes;
	must(lcpfs_pool_commit(pool, &err), &err);
	expect(array.flushes - before == 2, "a commit is two flushes");
	must(lcpfs_pool_close(pool, &err), &err);

	before = array.writes;
	must(lcpfs_pool_open(&pool, "array:one", NULL, &err), &err);
	must(lcpfs_dataset_open(&ds, pool, "", &err), &err);
	must(lcpfs_stat(ds, "a/b/c", 0, &st, &err), &err);
	expect((st.mode & 0777) == 0755, "the directory is there");
	lcpfs_dataset_close(ds);
	must(lcpfs_pool_close(pool, &err), &err);
	expect(array.writes == before, "reading writes nothing");

	printf("own_device: %u reads, %u writes, %u flushes\n", array.reads, array.writes, array.flushes);
	free(array.bytes);
	return 0;
}
