/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of fsck: a pool that has everything with a rule of its own, what a check finds in it, and bytes to turn over. */
#ifndef TESTS_CHECK_POOL_H
#define TESTS_CHECK_POOL_H
#pragma GCC diagnostic ignored "-Wunused-function"
#include "tap.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/util.h"
#include "check/problems.h"
#include "dmu/dmu_impl.h"
#include "lcpfs/check.h"
#include "spa/spa_impl.h"
#include "zpl/handle.h"

static struct lcpfs_error err;
static unsigned next_disk;
static char dev[32];
static struct lcpfs_pool *pool;
static struct lcpfs_dataset *root;

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

/* ---- findings ---- */

struct findings {
	char code[400][24], where[400][200], text[400][200];
	enum lcpfs_repair_class cls[400];
	unsigned n;
	bool show;
};

static void on_problem(void *arg, const struct lcpfs_problem *p)
{
	struct findings *f = arg;

	if (f->show)
		printf("# P%u %s [%s] %s ino %" PRIu64 " +%" PRIu64 "/%" PRIu64 ": %s\n", p->phase, p->code, p->dataset ? p->dataset : "-",
		    p->path ? p->path : "-", p->ino, p->offset, p->length, p->text);
	if (f->n == ARRAY_LEN(f->code))
		return;
	f->cls[f->n] = p->kind->cls;
	snprintf(f->code[f->n], sizeof f->code[0], "%s", p->code);
	snprintf(f->where[f->n], sizeof f->where[0], "%s:%s:%" PRIu64, p->dataset ? p->dataset : "-", p->path ? p->path : "-", p->offset);
	snprintf(f->text[f->n++], sizeof f->text[0], "%s", p->text);
}

static bool has(const struct findings *f, const char *code)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->code[i], code) == 0)
			return true;
	return false;
}

static bool has_at(const struct findings *f, const char *code, const char *where)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->code[i], code) == 0 && strcmp(f->where[i], where) == 0)
			return true;
	return false;
}

static uint64_t fsck(struct findings *f, bool data)
{
	struct lcpfs_open_opts oo = { .threads = 3, .memory_bytes = 32u << 20 };
	struct lcpfs_check_opts o = { .data = data, .problem = on_problem, .arg = f };
	uint64_t n = 0;

	f->n = 0;
	did(lcpfs_fsck(dev, &oo, &o, &n, &err));
	is_int(n, f->n);
	return n;
}

static void clean_at(const char *file, int line)
{
	struct findings f = { .show = true };

	tap_ok_msg(fsck(&f, true) == 0, file, line, "%u problems", f.n);
}
#define clean() clean_at(__FILE__, __LINE__)

/* ---- a pool ---- */

static void open_again(void)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };

	did(lcpfs_pool_open(&pool, dev, &o, &err));
	did(lcpfs_dataset_open(&root, pool, "", &err));
}

static void shut(void)
{
	did(lcpfs_pool_commit(pool, &err));
	lcpfs_dataset_close(root);
	did(lcpfs_pool_close(pool, &err));
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(tap_rand(&seed) >> (i & 7));
}

static void put(struct lcpfs_dataset *ds, const char *path, size_t len, uint64_t seed)
{
	struct lcpfs_file *h;
	uint8_t *p = malloc(len + 1);

	fill(p, len, seed + 1);
	if (did(lcpfs_file_open(&h, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, &err))) {
		did(lcpfs_file_pwrite(h, p, len, 0, &err));
		did(lcpfs_file_close(h, &err));
	}
	free(p);
}

static uint64_t fixed_size; /* of the pools made from now on; 0: they grow */

static void create(void)
{
	struct lcpfs_create_opts tiny = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .record_bytes = 16384,
		.copies = 1, .pack_bytes = 16384, .slice_max_bytes = 4096, .compress = "lz4",
		.size_bytes = fixed_size };

	snprintf(dev, sizeof dev, "ram:check%u", next_disk++);
	did(lcpfs_pool_create(&pool, dev, &tiny, &err));
	did(lcpfs_dataset_open(&root, pool, "", &err));
}

static void snap(const char *name)
{
	did(lcpfs_snap_create(pool, &name, 1, false, &err));
}

static void unsnap(const char *name)
{
	did(lcpfs_snap_destroy(pool, &name, 1, false, NULL, &err));
}

/* Everything that has a rule of its own. */
static void populate(void)
{
	uint8_t big[6000];

	fill(big, sizeof big, 7);
	did(lcpfs_mkdir(root, "d", 0755, false, &err));
	did(lcpfs_mkdir(root, "d/sub", 0755, false, &err));
	did(lcpfs_mkdir(root, "d/sub/deep", 0755, false, &err));
	put(root, "d/small", 900, 1);
	put(root, "d/small2", 1200, 2);
	put(root, "d/big", 100000, 3);
	put(root, "d/hl1", 700, 4);
	put(root, "d/plain", 0, 4);
	put(root, "d/sub/deep/big2", 60000, 5);
	did(lcpfs_link(root, "d/hl1", "d/sub/hl2", &err));
	did(lcpfs_symlink(root, "d/small", "ln", &err));
	did(lcpfs_xattr_set(root, "d/small", 0, "user.a", "one", 3, &err));
	did(lcpfs_xattr_set(root, "d/small", 0, "user.b", "two", 3, &err));
	did(lcpfs_xattr_set(root, "d/big", 0, "user.big", big, sizeof big, &err));
}

static void base(void)
{
	create();
	populate();
	did(lcpfs_dataset_create(pool, "c", false, &err));
	snap("@s1");
	put(root, "d/small", 901, 11);
	put(root, "d/new", 50000, 12);
	did(lcpfs_remove(root, "d/big", false, &err));
	put(root, "d/big", 100000, 13);
	snap("@s2");
	put(root, "d/small2", 1201, 14);
	did(lcpfs_clone(pool, "@s2", "cl", &err));
}

/* ---- damage to bytes ---- */

static uint64_t device_offset(struct spa *s, uint64_t addr)
{
	const struct cfg_chunk *c = config_chunk(vdev_config(s->vdev), (uint32_t)(addr >> 32));

	return c->member[0].start_unit * UNIT + (uint64_t)(uint32_t)addr * SECTOR;
}

static void flip(uint64_t off)
{
	struct lcpfs_blockdev *d;
	uint8_t b;

	if (!did(lcpfs_blockdev_open(&d, dev, LCPFS_DEV_OPEN_RW, &err)))
		return;
	did(d->ops->read(d, off, &b, 1, &err));
	b ^= 0x40;
	did(d->ops->write(d, off, &b, 1, &err));
	lcpfs_blockdev_close(d);
}

static uint64_t ino_of(struct lcpfs_dataset *ds, const char *path)
{
	uint64_t ino = 0;

	did(zpl_resolve(ds->ds, path, false, &ino, &err));
	return ino;
}

static uint64_t data_of(struct lcpfs_dataset *ds, const char *path)
{
	struct inode i = { 0 };

	did(zpl_inode_get(ds->ds, ino_of(ds, path), &i, &err));
	return i.data_id;
}

static uint64_t pack_of(struct lcpfs_dataset *ds, const char *path)
{
	struct slice s = { 0 };

	did(zpl_slice_get(ds->ds, data_of(ds, path), &s, &err));
	return s.pack_id;
}

/* Where the block of the item with this key lies on the device. */
static uint64_t offset_of_item(struct lcpfs_dataset *ds, const uint8_t *key, size_t klen)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };

	is_int(btree_get(ds->ds->tree, &c, key, klen, &err), 0);
	if (c.item.nptr)
		did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	return device_offset(ds->pool->spa, bp.addr);
}

static uint64_t device_size(void)
{
	struct lcpfs_blockdev *d;
	uint64_t size;

	if (!did(lcpfs_blockdev_open(&d, dev, 0, &err)))
		return LABEL_LEN;
	size = d->size;
	lcpfs_blockdev_close(d);
	return size;
}
#endif
