/* SPDX-License-Identifier: Apache-2.0 */
#include "blockdev/blockdev.h"
#include "base/util.h"
#include "tap.h"
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void exercise(struct lcpfs_blockdev *d)
{
	uint8_t in[5000], out[5000];
	struct lcpfs_error err = { 0 };

	is_int(blockdev_resize(d, 200000, &err), 0);
	is_int(d->size, 200000);
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)(i * 7);
	is_int(blockdev_write(d, 65000, in, sizeof in, &err), 0);
	is_int(blockdev_read(d, 65000, out, sizeof out, &err), 0);
	is_mem(out, in, sizeof in);
	is_int(blockdev_read(d, 100000, out, sizeof out, &err), 0);
	ok(is_all_zero(out, sizeof out));
	is_int(blockdev_read(d, 199999, out, 2, &err), -LCPFS_EIO);
	is_int(blockdev_write(d, UINT64_MAX - 1, in, 10, &err), -LCPFS_EIO);
	is_int(blockdev_flush(d, &err), 0);
	is_int(blockdev_discard(d, 65536, 4096, &err), 0);
	is_int(blockdev_read(d, 65000, out, 536, &err), 0);
	is_mem(out, in, 536);
	/* shorter and longer again: zeros */
	is_int(blockdev_resize(d, 65010, &err), 0);
	is_int(blockdev_resize(d, 70000, &err), 0);
	is_int(blockdev_read(d, 65000, out, 500, &err), 0);
	is_mem(out, in, 10);
	ok(is_all_zero(out + 10, 490));
}

TEST(ram)
{
	struct lcpfs_blockdev *d, *e, *f;

	is_int(lcpfs_ramdisk_create(&d, "r", 0, LCPFS_DEV_IMAGE, NULL), 0);
	exercise(d);
	lcpfs_blockdev_close(d);
	is_int(lcpfs_ramdisk_create(&d, "r", 8192, 0, NULL), 0);
	is_int(blockdev_resize(d, 0, NULL), -LCPFS_EINVAL);
	lcpfs_blockdev_close(d);
	is_int(lcpfs_ramdisk_create(&d, "r", UINT64_MAX, 0, NULL), -LCPFS_ELIMIT);
	is_int(lcpfs_blockdev_open(&d, "ram:x", 0, NULL), -LCPFS_ENOENT);
	is_int(lcpfs_blockdev_open(&d, "ram:x", LCPFS_DEV_OPEN_RW | LCPFS_DEV_OPEN_CREATE, NULL), 0);
	exercise(d);
	is_int(lcpfs_blockdev_open(&e, "ram:x", LCPFS_DEV_OPEN_RW | LCPFS_DEV_OPEN_CREATE, NULL), -LCPFS_EEXIST);
	is_int(lcpfs_blockdev_open(&e, "ram:x", 0, NULL), 0);
	is_int(lcpfs_blockdev_open(&f, "ram:x", 0, NULL), 0);
	is_int(e->size, d->size);
	is_int(blockdev_write(e, 0, "x", 1, NULL), -LCPFS_EROFS);
	is_int(blockdev_lock(d, true, NULL), 0);
	is_int(blockdev_lock(e, false, NULL), -LCPFS_EBUSY);
	lcpfs_blockdev_close(d);
	is_int(blockdev_lock(e, false, NULL), 0);
	is_int(blockdev_lock(f, false, NULL), 0);
	is_int(blockdev_lock(f, true, NULL), -LCPFS_EBUSY);
	lcpfs_blockdev_close(e);
	is_int(blockdev_lock(f, true, NULL), 0);
	lcpfs_blockdev_close(f);
}

TEST(file)
{
	struct lcpfs_blockdev *d, *e;
	struct lcpfs_error err = { 0 };
	char dir[] = "/tmp/lcpfs-blockdev-XXXXXX", path[64];

	ok(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/a:b.img", dir);
	is_int(lcpfs_blockdev_open(&d, path, 0, &err), -LCPFS_ENOENT);
	is_int(lcpfs_blockdev_open(&d, path, 8, &err), -LCPFS_EINVAL);
	ok_msg(lcpfs_blockdev_open(&d, path, LCPFS_DEV_OPEN_RW | LCPFS_DEV_OPEN_CREATE, &err) == 0, "%s", err.msg);
	ok(d->flags & LCPFS_DEV_IMAGE);
	is_int(d->sector, 512);
	exercise(d);
	is_int(lcpfs_blockdev_open(&e, path, LCPFS_DEV_OPEN_RW | LCPFS_DEV_OPEN_CREATE, &err), -LCPFS_EEXIST);
	is_int(lcpfs_blockdev_open(&e, path, 0, &err), 0);
	is_int(e->size, d->size);
	is_int(blockdev_write(e, 0, "x", 1, &err), -LCPFS_EROFS);
	is_int(blockdev_lock(d, true, &err), 0);
	is_int(blockdev_lock(e, false, &err), -LCPFS_EBUSY);
	/* the operation itself may write past the end, and the size follows */
	is_int(d->ops->write(d, 500000, "abc", 3, &err), 0);
	is_int(d->size, 500003);
	lcpfs_blockdev_close(d);
	is_int(blockdev_lock(e, false, &err), 0);
	lcpfs_blockdev_close(e);
	is_int(lcpfs_blockdev_open(&d, dir, 0, &err), -LCPFS_EINVAL);
	is_int(lcpfs_blockdev_open(&d, "/dev/null", LCPFS_DEV_OPEN_RW, &err), -LCPFS_EINVAL);
	unlink(path);
	ok(mkfifo(path, 0600) == 0);
	is_int(lcpfs_blockdev_open(&d, path, 0, &err), -LCPFS_EINVAL);
	unlink(path);
	rmdir(dir);
}

static int open_scheme(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *err)
{
	(void)flags;
	*(const char **)arg = rest;
	return lcpfs_ramdisk_create(out, rest, 4096, 0, err);
}

TEST(scheme)
{
	struct lcpfs_blockdev *d;
	const char *rest = NULL;

	is_int(lcpfs_blockdev_register("Bad", open_scheme, &rest, NULL), -LCPFS_EINVAL);
	is_int(lcpfs_blockdev_register("ram", open_scheme, &rest, NULL), -LCPFS_EEXIST);
	is_int(lcpfs_blockdev_register("test1", open_scheme, &rest, NULL), 0);
	is_int(lcpfs_blockdev_register("test1", open_scheme, &rest, NULL), -LCPFS_EEXIST);
	is_int(lcpfs_blockdev_open(&d, "test1:a:b", 0, NULL), 0);
	is_str(rest, "a:b");
	lcpfs_blockdev_close(d);
	lcpfs_blockdev_close(NULL);
}

TEST(fault_and_read_only)
{
	struct lcpfs_blockdev *d;
	struct faultdev f;
	struct rodev r;
	char c;

	is_int(lcpfs_ramdisk_create(&d, "r", 4096, LCPFS_DEV_IMAGE, NULL), 0);
	faultdev_init(&f, d, FAULT_WRITE | FAULT_FLUSH, 1, false, LCPFS_ENOSPC);
	is_int(blockdev_write(&f.dev, 0, "a", 1, NULL), 0);
	is_int(blockdev_read(&f.dev, 0, &c, 1, NULL), 0);
	is_int(blockdev_flush(&f.dev, NULL), -LCPFS_ENOSPC);
	is_int(blockdev_write(&f.dev, 0, "b", 1, NULL), 0);
	faultdev_init(&f, d, FAULT_READ, 0, true, LCPFS_EIO);
	is_int(blockdev_read(&f.dev, 0, &c, 1, NULL), -LCPFS_EIO);
	is_int(blockdev_read(&f.dev, 0, &c, 1, NULL), -LCPFS_EIO);
	is_int(blockdev_resize(&f.dev, 8192, NULL), 0);
	is_int(f.dev.size, 8192);
	rodev_init(&r, d);
	is_int(blockdev_read(&r.dev, 0, &c, 1, NULL), 0);
	is_int(c, 'b');
	is_int(blockdev_write(&r.dev, 0, "c", 1, NULL), -LCPFS_EROFS);
	is_int(blockdev_discard(&r.dev, 0, 1, NULL), -LCPFS_EROFS);
	is_int(blockdev_resize(&r.dev, 0, NULL), -LCPFS_EROFS);
	lcpfs_blockdev_close(d);
}

static bool keep_one(void *arg, size_t i) { return i == *(size_t *)arg; }
static size_t tear_one(void *arg, size_t i, size_t sectors)
{
	(void)arg, (void)i;
	return sectors / 2;
}

TEST(crash)
{
	struct lcpfs_blockdev *d, *ram;
	struct crashdev *c;
	uint8_t a[1024], b[1024], got[1024];
	size_t one = 3;

	memset(a, 1, sizeof a);
	memset(b, 2, sizeof b);
	is_int(lcpfs_ramdisk_create(&d, "r", 4096, LCPFS_DEV_IMAGE, NULL), 0);
	is_int(blockdev_write(d, 3072, a, 1024, NULL), 0);
	is_int(crashdev_create(&c, d, NULL), 0);
	is_int(blockdev_write(crashdev_dev(c), 0, a, 1024, NULL), 0);    /* 0 */
	is_int(blockdev_flush(crashdev_dev(c), NULL), 0);                /* 1 */
	is_int(blockdev_write(crashdev_dev(c), 0, b, 1024, NULL), 0);    /* 2 */
	is_int(blockdev_write(crashdev_dev(c), 1024, b, 1024, NULL), 0); /* 3 */
	is_int(blockdev_resize(crashdev_dev(c), 8192, NULL), 0);         /* 4 */
	is_int(crashdev_events(c), 5);
	ok(crashdev_is_flush(c, 1) && !crashdev_is_flush(c, 2));

	is_int(crashdev_replay(c, 0, NULL, NULL, NULL, &ram, NULL), 0);
	is_int(blockdev_read(ram, 3072, got, 1024, NULL), 0);
	is_mem(got, a, 1024);
	is_int(blockdev_read(ram, 0, got, 1024, NULL), 0);
	ok(is_all_zero(got, 1024));
	lcpfs_blockdev_close(ram);

	is_int(crashdev_replay(c, 5, keep_one, tear_one, &one, &ram, NULL), 0);
	is_int(ram->size, 4096);
	is_int(blockdev_read(ram, 0, got, 1024, NULL), 0);
	is_mem(got, a, 1024);
	is_int(blockdev_read(ram, 1024, got, 1024, NULL), 0);
	is_mem(got, b, 512);
	ok(is_all_zero(got + 512, 512));
	lcpfs_blockdev_close(ram);

	is_int(crashdev_replay(c, 5, NULL, NULL, NULL, &ram, NULL), 0);
	is_int(ram->size, 8192);
	is_int(blockdev_read(ram, 0, got, 1024, NULL), 0);
	is_mem(got, b, 1024);
	lcpfs_blockdev_close(ram);
	is_int(crashdev_replay(c, 6, NULL, NULL, NULL, &ram, NULL), -LCPFS_EINVAL);
	lcpfs_blockdev_close(crashdev_dev(c));
	crashdev_destroy(c);
	lcpfs_blockdev_close(d);
}

static volatile sig_atomic_t others;
static void on_other(int sig) { (void)sig; others++; }

/* The file shrinks under a window: zeros, no crash; a SIGBUS that is not ours goes where it went before. */
TEST(window)
{
	char path[] = "/tmp/lcpfs-window-XXXXXX";
	uint8_t page[4096];
	struct lcpfs_blockdev *d, *ram;
	struct blockdev_window w;
	int fd = mkstemp(path);

	signal(SIGBUS, on_other);
	memset(page, 7, sizeof page);
	is_int(blockdev_file_open(&d, path, LCPFS_DEV_OPEN_RW, NULL), 0);
	is_int(blockdev_resize(d, 65536, NULL), 0);
	for (unsigned i = 0; i < 16; i++)
		is_int(blockdev_write(d, i * 4096, page, 4096, NULL), 0);
	ok(!blockdev_map(d, 0, 4096, &w)); /* no guard */
	blockdev_guard();
	ok(!blockdev_map(d, 4096, 16 * 4096, &w)); /* beyond the end */
	is_int(lcpfs_ramdisk_create(&ram, "r", 65536, 0, NULL), 0);
	ok(!blockdev_map(ram, 0, 4096, &w));
	lcpfs_blockdev_close(ram);
	ok(blockdev_map(d, 512, 65536 - 512, &w));
	ok(w.p[0] == 7 && w.p[65535 - 512] == 7);
	is_int(ftruncate(fd, 5000), 0);
	is_int(w.p[4096 - 512], 7);
	ok(is_all_zero(w.p + 8192 - 512, 65536 - 8192));
	is_int(others, 0);
	raise(SIGBUS);
	is_int(others, 1);
	ok(!blockdev_unmap(&w)); /* it tells */
	ok(blockdev_map(d, 0, 4096, &w));
	ok(blockdev_unmap(&w));
	blockdev_unguard();
	raise(SIGBUS);
	is_int(others, 2);
	signal(SIGBUS, SIG_DFL);
	lcpfs_blockdev_close(d);
	close(fd);
	unlink(path);
}

TAP_MAIN(T(window), T(ram), T(file), T(scheme), T(fault_and_read_only), T(crash))
