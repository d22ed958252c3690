/* SPDX-License-Identifier: Apache-2.0 */
/* A small valid image in memory, made through the public API: what seeds and the whole-image target begin with. */
#ifndef FUZZ_SAMPLE_H
#define FUZZ_SAMPLE_H
#include <stdlib.h>
#include <string.h>
#include "lcpfs/lcpfs.h"

/* The bytes stay the caller's: closing the device leaves them. */
struct memory { uint8_t *p; uint64_t len; };

static inline int memory_range(struct lcpfs_blockdev *d, uint64_t off, size_t len, struct lcpfs_error *err)
{
	if (off <= d->size && len <= d->size - off)
		return 0;
	if (err)
		err->code = LCPFS_EIO;
	return -LCPFS_EIO;
}

static inline int memory_read(struct lcpfs_blockdev *d, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	const struct memory *m = d->user;
	int rc = memory_range(d, off, len, err);

	if (!rc)
		memcpy(buf, m->p + off, len);
	return rc;
}

static inline int memory_write(struct lcpfs_blockdev *d, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct memory *m = d->user;
	int rc = memory_range(d, off, len, err);

	if (!rc)
		memcpy(m->p + off, buf, len);
	return rc;
}

static inline int memory_resize(struct lcpfs_blockdev *d, uint64_t size, struct lcpfs_error *err)
{
	struct memory *m = d->user;
	uint8_t *p = size <= (UINT64_C(256) << 20) ? realloc(m->p, size ? size : 1) : NULL;

	if (!p) {
		if (err)
			err->code = LCPFS_ENOSPC;
		return -LCPFS_ENOSPC;
	}
	if (size > m->len)
		memset(p + m->len, 0, size - m->len);
	m->p = p;
	d->size = m->len = size;
	return 0;
}

static inline void memory_close(struct lcpfs_blockdev *d) { free(d); }

static inline struct lcpfs_blockdev *memory_dev(struct memory *m, bool writable)
{
	static const struct lcpfs_blockdev_ops rw = { .read = memory_read, .write = memory_write, .resize = memory_resize, .close = memory_close };
	static const struct lcpfs_blockdev_ops ro = { .read = memory_read, .close = memory_close };
	struct lcpfs_blockdev *d = calloc(1, sizeof *d);

	if (!d)
		abort();
	*d = (struct lcpfs_blockdev){ .ops = writable ? &rw : &ro, .name = "memory", .size = m->len, .sector = 512, .user = m };
	d->flags = LCPFS_DEV_IMAGE | (writable ? 0 : LCPFS_DEV_RDONLY);
	return d;
}

static inline void must(int rc)
{
	if (rc)
		abort();
}

static inline void sample_file(struct lcpfs_dataset *ds, const char *path, const void *data, size_t len, uint64_t off)
{
	struct lcpfs_file *f;

	must(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL));
	must(lcpfs_file_pwrite(f, data, len, off, NULL));
	must(lcpfs_file_close(f, NULL));
}

/* One of each: small, large and sparse files, directories, links, attributes, a device node. */
static inline void sample_tree(struct lcpfs_dataset *ds)
{
	static char text[40000];
	char path[64];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + (i * i / 7 + i) % 26);
	must(lcpfs_mkdir(ds, "etc", 0755, false, NULL));
	must(lcpfs_mkdir(ds, "many", 0755, false, NULL));
	for (int i = 0; i < 60; i++) {
		path[0] = 0;
		strcat(path, "many/file-00");
		path[10] = (char)('0' + i / 10);
		path[11] = (char)('0' + i % 10);
		sample_file(ds, path, text + i, (size_t)i * 3, 0);
	}
	sample_file(ds, "etc/fstab", "proc /proc proc defaults 0 0\n", 29, 0);
	sample_file(ds, "large", text, sizeof text, 0);
	sample_file(ds, "sparse", text, 5000, 1 << 20);
	must(lcpfs_symlink(ds, "etc/fstab", "link", NULL));
	must(lcpfs_link(ds, "etc/fstab", "etc/fstab2", NULL));
	must(lcpfs_xattr_set(ds, "large", 0, "user.note", text, 100, NULL));
	must(lcpfs_mknod(ds, "null", 0020666, 1, 3, NULL));
}

/* A pool with datasets, snapshots, a clone, a property and a hold; committed several times. Only `m` is left. */
static inline void sample_pool(struct memory *m, const char *checksum)
{
	static const uint8_t uuid[16] = { 1, 2, 3, 4 };
	static const char *const snaps[] = { "@one", "home@one" }, *const two[] = { "@two" };
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .uuid = uuid, .checksum = checksum, .reproducible = true };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;

	o.record_bytes = 16384;
	o.pack_bytes = o.slice_max_bytes = 4096;
	must(memory_resize(&(struct lcpfs_blockdev){ .user = m }, 0, NULL));
	must(lcpfs_pool_create_dev(&p, memory_dev(m, true), &o, NULL));
	must(lcpfs_dataset_open(&ds, p, "", NULL));
	sample_tree(ds);
	must(lcpfs_pool_commit(p, NULL));
	must(lcpfs_dataset_create(p, "home", false, NULL));
	must(lcpfs_prop_set(p, "home", "user:colour", "green", NULL));
	must(lcpfs_snap_create(p, snaps, 2, false, NULL));
	must(lcpfs_hold(p, "@one", "keep", NULL));
	must(lcpfs_pool_commit(p, NULL));
	sample_file(ds, "etc/fstab", "changed", 7, 3);
	must(lcpfs_remove(ds, "many/file-07", false, NULL));
	must(lcpfs_rename(ds, "large", "etc/larger", 0, NULL));
	must(lcpfs_snap_create(p, two, 1, false, NULL));
	must(lcpfs_clone(p, "@one", "copy", NULL));
	must(lcpfs_pool_commit(p, NULL));
	lcpfs_dataset_close(ds);
	must(lcpfs_pool_close(p, NULL));
}
#endif
