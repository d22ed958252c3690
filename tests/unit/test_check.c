/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub and fsck: a pool without damage has no problem, and each damage has its own. */
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
		.pack_bytes = 16384, .slice_max_bytes = 4096, .compress = "lz4",
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

/* ---- clean pools ---- */

TEST(empty)
{
	create();
	shut();
	clean();
}

TEST(histories)
{
	struct lcpfs_dataset *ds;

	base();
	shut();
	clean();
	open_again();
	unsnap("@s1");
	shut();
	clean();
	open_again();
	did(lcpfs_dataset_open(&ds, pool, "cl", &err));
	put(ds, "d/of-clone", 40000, 20);
	did(lcpfs_remove(ds, "d/new", false, &err));
	lcpfs_dataset_close(ds);
	snap("cl@x");
	shut();
	clean();
	open_again();
	did(lcpfs_promote(pool, "cl", &err));
	shut();
	clean();
}

TEST(rollback)
{
	base();
	did(lcpfs_pool_commit(pool, &err));
	lcpfs_dataset_close(root);
	did(lcpfs_rollback(pool, "@s1", "left", &err));
	did(lcpfs_dataset_open(&root, pool, "", &err));
	shut();
	clean();
	open_again();
	put(root, "d/after", 30000, 30);
	did(lcpfs_remove(root, "d/sub", true, &err));
	shut();
	clean();
	open_again();
	lcpfs_dataset_close(root);
	did(lcpfs_rollback(pool, "@s1", NULL, &err));
	did(lcpfs_dataset_destroy(pool, "cl", true, &err));
	did(lcpfs_dataset_destroy(pool, "c", true, &err));
	did(lcpfs_dataset_open(&root, pool, "", &err));
	shut();
	clean();
	open_again();
	unsnap("@left");
	unsnap("@s2");
	shut();
	clean();
}

static void random_change(uint64_t *seed, struct lcpfs_dataset *ds)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "f%u", (unsigned)(tap_rand(seed) % 40));
	snprintf(b, sizeof b, "f%u", (unsigned)(tap_rand(seed) % 40));
	switch (tap_rand(seed) % 8) {
	case 0: lcpfs_remove(ds, a, true, NULL); break;
	case 1: lcpfs_rename(ds, a, b, 0, NULL); break;
	case 2: lcpfs_link(ds, a, b, NULL); break;
	case 3: lcpfs_truncate(ds, a, tap_rand(seed) % 50000, NULL); break;
	case 4: lcpfs_xattr_set(ds, a, 0, "user.x", b, 1 + tap_rand(seed) % 3, NULL); break;
	default: {
		struct lcpfs_file *h;
		uint8_t buf[9000];
		size_t len = 1 + tap_rand(seed) % sizeof buf;

		fill(buf, len, tap_rand(seed));
		if (lcpfs_file_open(&h, ds, a, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL) == 0) {
			did(lcpfs_file_pwrite(h, buf, len, tap_rand(seed) % 4 ? 0 : tap_rand(seed) % 60000, &err));
			did(lcpfs_file_close(h, &err));
		}
	}
	}
}

TEST(random_histories)
{
	uint64_t seed = 42;
	char name[16];
	int live[64] = { 0 };

	printf("# seed %" PRIu64 "\n", seed);
	create();
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 60; i++)
			random_change(&seed, root);
		snprintf(name, sizeof name, "@r%d", round);
		if (round % 3 == 0) {
			snap(name);
			live[round] = 1;
		}
		if (round % 4 == 3) {
			int k = (int)(tap_rand(&seed) % (unsigned)round);

			snprintf(name, sizeof name, "@r%d", k);
			if (live[k])
				unsnap(name);
			live[k] = 0;
		}
		if (round % 5 == 4) {
			shut();
			clean();
			open_again();
		}
	}
	shut();
	clean();
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

static void scrub_and_fsck(struct findings *scrubbed, struct findings *checked)
{
	struct lcpfs_open_opts oo = { .threads = 3 };
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = scrubbed };
	struct lcpfs_scrub_stats st;
	struct lcpfs_pool *p;

	scrubbed->n = 0;
	if (did(lcpfs_pool_open(&p, dev, &oo, &err))) {
		is_int(lcpfs_scrub(p, &o, &st, &err), -LCPFS_ECSUM);
		is_int(st.bad_blocks, 1);
		lcpfs_pool_close(p, NULL);
	}
	fsck(checked, true);
}

TEST(scrub_clean)
{
	struct findings f = { .show = true };
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = &f };
	struct lcpfs_scrub_stats st;

	base();
	did(lcpfs_pool_commit(pool, &err));
	put(root, "d/not-committed", 50000, 9);
	did(lcpfs_scrub(pool, &o, &st, &err));
	is_int(f.n, 0);
	is_int(st.bad_blocks, 0);
	ok(st.blocks > 10 && st.bytes > 100000);
	is_int(st.datasets, 5);
	shut();
	clean();
}

TEST(damaged_extent)
{
	static struct findings s, c;
	uint8_t key[17];
	uint64_t off;

	base();
	did(lcpfs_pool_commit(pool, &err));
	off = offset_of_item(root, key, item_key_u64(key, ITEM_EXTENT, data_of(root, "d/sub/deep/big2"), 16384));
	shut();
	flip(off + 700);
	scrub_and_fsck(&s, &c);
	for (struct findings *f = &s; f; f = f == &s ? &c : NULL) {
		ok(has_at(f, "block-csum", ":d/sub/deep/big2:16384"));
		ok(has_at(f, "block-csum", "@s1:d/sub/deep/big2:16384"));
		ok(has_at(f, "block-csum", "@s2:d/sub/deep/big2:16384"));
		ok(has_at(f, "block-csum", "cl:d/sub/deep/big2:16384"));
		is_int(f->n, 4);
	}
}

TEST(damaged_pack)
{
	static struct findings s, c;
	uint8_t key[9];
	uint64_t off;

	create();
	populate();
	did(lcpfs_pool_commit(pool, &err));
	off = offset_of_item(root, key, item_key(key, ITEM_PACK, pack_of(root, "d/small")));
	is_int(pack_of(root, "d/small2"), pack_of(root, "d/small"));
	shut();
	flip(off + 30);
	scrub_and_fsck(&s, &c);
	ok(has_at(&s, "block-csum", ":d/small:0"));
	ok(has_at(&s, "block-csum", ":d/small2:0"));
	ok(has_at(&s, "block-csum", ":d/hl1:0") || has_at(&s, "block-csum", ":d/sub/hl2:0"));
	ok(has_at(&c, "block-csum", ":d/small:0"));
	ok(!has(&c, "space-leak"));
}

/* A bigger tree, so that there are leaves below the root. */
TEST(damaged_leaf)
{
	static struct findings s, c;
	struct blkptr bp;
	uint64_t off, height;
	char path[32];

	create();
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof path, "file-%d", i);
		put(root, path, 40, (uint64_t)i);
	}
	did(lcpfs_pool_commit(pool, &err));
	bp = root->ds->rec.root;
	height = bp.level;
	ok(height > 0);
	for (uint8_t *pb; bp.level;) {
		uint32_t n;

		if (!did(spa_node_read(pool->spa, &bp, &pb, &n, &err)))
			break;
		did(ptr_decode(&bp, pb + (size_t)(n - 1) * PTR_LEN, &err));
		free(pb);
	}
	off = device_offset(pool->spa, bp.addr);
	shut();
	clean();
	flip(off + 100);
	scrub_and_fsck(&s, &c);
	is_int(s.n, 1);
	ok(has(&s, "block-csum") && strstr(s.text[0], "DIRENT"));
	ok(has(&c, "block-csum") && !has(&c, "inode-orphan") && !has(&c, "space-leak"));
}

static void damage_root(bool of_pool)
{
	static struct findings f;
	struct blkptr bp;
	uint64_t off;

	base();
	did(lcpfs_pool_commit(pool, &err));
	if (of_pool)
		put(root, "another", 100, 3);
	bp = root->ds->rec.root;
	off = device_offset(pool->spa, bp.addr);
	shut();
	if (of_pool) {
		struct lcpfs_open_opts oo = { 0 };
		struct lcpfs_pool *p;

		did(lcpfs_pool_open(&p, dev, &oo, &err));
		off = device_offset(p->spa, vdev_current(p->spa->vdev)->pool_root.addr);
		lcpfs_pool_close(p, NULL);
	}
	flip(off + 200);
	f.n = 0;
	fsck(&f, false);
	ok(has(&f, of_pool ? "uber-root" : "block-csum"));
}

TEST(damaged_roots)
{
	damage_root(false);
	damage_root(true);
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

static void damage_labels(bool fixed)
{
	static struct findings f;
	uint64_t back;

	fixed_size = fixed ? 8 * MiB : 0;
	base();
	fixed_size = 0;
	shut();
	clean();
	back = device_size() - LABEL_LEN + 60;
	flip(back);
	fsck(&f, false);
	/* one that grows may not have been closed */
	ok(!fixed || has(&f, "label-back"));
	ok(fixed ? f.n == 1 : f.n <= 1);
	flip(back);
	clean();
	flip(LABEL_LEN + 60);
	fsck(&f, false);
	ok(has(&f, "label-front"));
	is_int(f.n, 1);
	flip(LABEL_LEN + 60);
	clean();
}

TEST(damaged_labels)
{
	damage_labels(true);
	damage_labels(false);
}

/* Slots of the ring: the newest, and the one before it. */
TEST(damaged_ring)
{
	static struct findings f;
	struct lcpfs_open_opts oo = { 0 };
	struct lcpfs_pool *p;
	uint64_t txg, prev, cfg, ring;

	base();
	did(lcpfs_pool_commit(pool, &err));
	put(root, "more", 100, 1);
	shut();
	did(lcpfs_pool_open(&p, dev, &oo, &err));
	ring = vdev_label(p->spa->vdev)->ring_slots;
	txg = vdev_current(p->spa->vdev)->txg % ring;
	prev = vdev_current(p->spa->vdev)->prev_txg[0] % ring;
	cfg = vdev_label(p->spa->vdev)->cfg_off + vdev_current(p->spa->vdev)->cfg_slot * vdev_label(p->spa->vdev)->cfg_len;
	lcpfs_pool_close(p, NULL);
	flip(UNIT + txg * 4096 + 400);
	fsck(&f, false);
	ok(has(&f, "uber-front"));
	flip(UNIT + txg * 4096 + 400);
	flip(cfg + 20);
	fsck(&f, false);
	ok(has(&f, "config-copy"));
	flip(cfg + 20);
	clean();
	/* both copies of the one before it */
	flip(UNIT + prev * 4096 + 400);
	fsck(&f, false);
	ok(f.n == 0 || has(&f, "uber-prev"));
	flip(UNIT + prev * 4096 + 400);
	clean();
}

TEST(no_pool)
{
	struct lcpfs_blockdev *d;
	uint64_t n;

	did(lcpfs_ramdisk_create(&d, "nothing", 4 << 20, LCPFS_DEV_IMAGE, &err));
	is_int(lcpfs_fsck_dev(d, NULL, NULL, &n, &err), -LCPFS_ECORRUPT);
	is_int(n, 0);
}

static bool stop(void *arg, const struct lcpfs_progress *p)
{
	(void)arg, (void)p;
	return true;
}

TEST(cancel)
{
	struct lcpfs_check_opts o = { .progress = stop };
	uint64_t n;

	base();
	shut();
	is_int(lcpfs_fsck(dev, NULL, &o, &n, &err), -LCPFS_ECANCEL);
}

/* Fuzz: any byte, also with right checksums where only the pointer above is not checked. Nothing may crash or hang. */
TEST(any_byte)
{
	static struct findings f;
	uint64_t seed = 99, size, found = 0;

	base();
	shut();
	size = device_size();
	for (int i = 0; i < 120; i++) {
		uint64_t off = tap_rand(&seed) % size, n;
		struct lcpfs_check_opts o = { .data = true, .problem = on_problem, .arg = &f };
		int rc;

		f.n = 0;
		flip(off);
		rc = lcpfs_fsck(dev, NULL, &o, &n, &err);
		ok_msg(rc == 0 || n == 0, "byte %" PRIu64 ": %d", off, rc);
		found += n > 0;
		flip(off);
	}
	printf("# %" PRIu64 " of 120 found\n", found);
	clean();
}

/* ---- changes to trees ---- */

static struct dataset *ds;
static struct spa *spa;

static size_t key_of(uint8_t *key, uint8_t type, uint64_t id) { return item_key(key, type, id); }

static void tput(const uint8_t *key, size_t klen, const void *val, size_t vlen, unsigned flags)
{
	did(btree_put(ds->tree, key, klen, val, vlen, NULL, 0, flags, &err));
}

static void tdel(const uint8_t *key, size_t klen)
{
	is_int(btree_del(ds->tree, key, klen, 0, &err), 0);
}

static void pput(const uint8_t *key, size_t klen, const void *val, size_t vlen)
{
	did(btree_put(spa->pool_tree, key, klen, val, vlen, NULL, 0, 0, &err));
}

static struct inode *inode_of(const char *path)
{
	static struct inode i;

	memset(&i, 0, sizeof i);
	did(zpl_inode_get(ds, ino_of(root, path), &i, &err));
	return &i;
}

static void set_inode(const char *path, const struct inode *i)
{
	uint8_t key[9], raw[INODE_LEN];

	inode_encode(i, raw);
	tput(key, key_of(key, ITEM_INODE, ino_of(root, path)), raw, sizeof raw, 0);
}

static void set_slice(const char *path, const struct slice *s)
{
	uint8_t key[9], raw[SLICE_LEN];

	slice_encode(s, raw);
	tput(key, key_of(key, ITEM_SLICE, data_of(root, path)), raw, sizeof raw, 0);
}

static struct slice slice_of(const char *path)
{
	struct slice s = { 0 };

	did(zpl_slice_get(ds, data_of(root, path), &s, &err));
	return s;
}

static size_t dirent_key(uint8_t *key, const char *dir, const char *name)
{
	return item_key_str(key, ITEM_DIRENT, ino_of(root, dir), name, strlen(name));
}

static void dirent_put(const char *dir, const char *name, uint64_t ino, uint8_t type)
{
	uint8_t key[KEY_MAX], val[9];

	le_store(val, 8, ino);
	val[8] = type;
	tput(key, dirent_key(key, dir, name), val, sizeof val, 0);
}

static void set_info(void (*change)(struct dsinfo *))
{
	uint8_t key[9], raw[DSINFO_LEN];
	struct dsinfo i = ds->info;

	change(&i);
	dsinfo_encode(&i, raw);
	tput(key, key_of(key, ITEM_DSINFO, 0), raw, sizeof raw, 0);
}

static void set_rec(const char *name, void (*change)(struct dsrec *))
{
	struct dsrec r;

	did(dmu_lookup(spa, name, &r, &err));
	change(&r);
	did(dmu_rec_put(spa, &r, &err));
}

static uint64_t id_of(const char *name)
{
	struct dsrec r = { 0 };

	did(dmu_lookup(spa, name, &r, &err));
	return r.id;
}

static void pool_u64(uint8_t table, uint64_t a, const char *name, uint64_t v)
{
	uint8_t key[POOL_KEY_MAX], val[8];

	le_store(val, 8, v);
	pput(key, key_u64_str(key, table, a, name, strlen(name)), val, 8);
}

#define CASE(name) static void case_##name(void)

CASE(item_short) { tput((const uint8_t *)"\x20zz", 3, "x", 1, 0); }
CASE(item_type) { uint8_t k[9]; tput(k, key_of(k, 0x77, 5), "x", 1, 0); }
CASE(inode_garbage) { uint8_t k[9]; tput(k, key_of(k, ITEM_INODE, ino_of(root, "d/plain")), "xyz", 3, 0); }
CASE(info_missing) { uint8_t k[9]; tdel(k, key_of(k, ITEM_DSINFO, 0)); }
static void info_seq(struct dsinfo *i) { i->next_seq = SEQ_FIRST + 1; }
CASE(info_seq) { set_info(info_seq); }
static void info_files(struct dsinfo *i) { i->n_files++; }
CASE(info_files) { set_info(info_files); }

CASE(slice_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_SLICE, data_of(root, "d/small"))); }
CASE(slice_pack) { struct slice s = slice_of("d/small"); s.pack_id += 1000; set_slice("d/small", &s); }
CASE(slice_range) { struct slice s = slice_of("d/small"); s.off += 1u << 20; set_slice("d/small", &s); }
CASE(slice_overlap) { struct slice s = slice_of("d/p1"), q = slice_of("d/p2"); q.off = s.off + 1; set_slice("d/p2", &q); }
CASE(slice_len) { struct slice s = slice_of("d/hl1"); s.len -= 5; set_slice("d/hl1", &s); }
CASE(slice_charge) { struct slice s = slice_of("d/small"); s.charge++; set_slice("d/small", &s); }
CASE(slice_orphan)
{
	struct slice s = slice_of("d/small");
	uint8_t k[9], raw[SLICE_LEN];

	slice_encode(&s, raw);
	tput(k, key_of(k, ITEM_SLICE, data_of(root, "d/small") + 100000), raw, sizeof raw, 0);
}
CASE(slice_shift) { struct slice s = slice_of("d/small"); s.off++; set_slice("d/small", &s); }
CASE(pack_count) { uint8_t k[9], v[8] = { 1 }; tput(k, key_of(k, ITEM_PACK, pack_of(root, "d/small")), v, 8, BT_KEEP_PTRS); }
CASE(pack_gone) { uint8_t k[9]; is_int(btree_del(ds->tree, k, key_of(k, ITEM_PACK, pack_of(root, "d/small")), BT_KEEP_PTRS, &err), 0); }

static void move_extent(uint64_t from, uint64_t to_id, uint64_t to)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	size_t n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), from);

	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	is_int(btree_del(ds->tree, k, n, BT_KEEP_PTRS, &err), 0);
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, to_id, to), val, 4, &bp, 1, 0, &err));
}
CASE(extent_overlap) { move_extent(32768, data_of(root, "d/big"), 32000 - 4096); }
CASE(extent_end) { move_extent(32768, data_of(root, "d/big"), 1u << 20); }
CASE(extent_orphan) { move_extent(32768, data_of(root, "d/big") + 70000, 0); }
CASE(extent_len) { uint8_t k[17], v[4] = { 9 }; tput(k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), 0), v, 4, BT_KEEP_PTRS); }
CASE(extent_gone)
{
	uint8_t k[17];

	is_int(btree_del(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/big"), 0), BT_KEEP_PTRS, &err), 0);
}
/* the same block by two keys */
CASE(extent_twice)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };

	is_int(btree_get(ds->tree, &c, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 0), &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	bp.birth = spa->txg;
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 1u << 20), val, 4, &bp, 1, 0, &err));
}
/* a pointer that leads nowhere */
CASE(extent_nowhere)
{
	struct blkptr bp = { .addr = ptr_addr(9, 64), .birth = spa->txg, .kind = PTR_DATA, .lsize = 512, .psize = 512, .csum = 1 };
	uint8_t k[17], val[4];

	le_store(val, 4, 512);
	did(btree_put(ds->tree, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 1u << 20), val, 4, &bp, 1, 0, &err));
}
/* a block older than the snapshot, which lacks it */
CASE(extent_old)
{
	uint8_t k[17], val[4];
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	size_t n = item_key_u64(k, ITEM_EXTENT, data_of(root, "d/fresh"), 0);

	is_int(btree_get(ds->tree, &c, k, n, &err), 0);
	memcpy(val, c.item.val, 4);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	bp.birth = 1;
	is_int(btree_del(ds->tree, k, n, BT_KEEP_PTRS, &err), 0);
	did(btree_put(ds->tree, k, n, val, 4, &bp, 1, 0, &err));
}

CASE(inode_size) { struct inode *i = inode_of("d/small"); i->size++; set_inode("d/small", i); }
CASE(inode_psize) { struct inode *i = inode_of("d/new"); i->psize += 512; set_inode("d/new", i); }
CASE(inode_sliced) { struct inode *i = inode_of("d/small"); i->flags = 0; set_inode("d/small", i); }
CASE(inode_nlink) { struct inode *i = inode_of("d/hl1"); i->nlink = 3; set_inode("d/hl1", i); }
CASE(inode_parent) { struct inode *i = inode_of("d/small"); i->parent = INO_ROOT; set_inode("d/small", i); }
CASE(inode_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_INODE, ino_of(root, "d/plain"))); }
CASE(inode_orphan) { uint8_t k[KEY_MAX]; tdel(k, dirent_key(k, "d", "small")); }
CASE(dirent_type) { dirent_put("d", "small", ino_of(root, "d/small"), DT_FIFO); }
CASE(dirent_no_dir) { dirent_put("d/small", "x", ino_of(root, "d/small2"), DT_REG); }
CASE(dirent_slash) { dirent_put("d", "a/b", ino_of(root, "d/small2"), DT_REG); }
CASE(dir_twice) { dirent_put("d", "again", ino_of(root, "d/sub/deep"), DT_DIR); }
CASE(dir_nlink) { struct inode *i = inode_of("d"); i->nlink = 9; set_inode("d", i); }
/* d/sub goes into d/sub/deep */
CASE(dir_loop)
{
	uint64_t sub = ino_of(root, "d/sub");
	struct inode i = *inode_of("d/sub");
	uint8_t k[KEY_MAX];

	i.parent = ino_of(root, "d/sub/deep");
	set_inode("d/sub", &i);
	dirent_put("d/sub/deep", "sub", sub, DT_DIR);
	tdel(k, dirent_key(k, "d", "sub"));
}
CASE(root_gone) { uint8_t k[9]; tdel(k, key_of(k, ITEM_INODE, INO_ROOT)); }
CASE(link_gone)
{
	uint8_t k[KEY_MAX];

	tdel(k, item_key_link(k, ino_of(root, "d/hl1"), ino_of(root, "d"), "hl1", 3));
}
CASE(link_stray)
{
	uint8_t k[KEY_MAX];

	tput(k, item_key_link(k, ino_of(root, "d/small"), ino_of(root, "d"), "small", 5), "", 0, 0);
}
CASE(xattr_stray) { uint8_t k[KEY_MAX]; tput(k, item_key_xattr(k, 999999, XNS_USER, "q", 1), "\0v", 2, 0); }
CASE(xattr_count) { uint8_t k[KEY_MAX]; tdel(k, item_key_xattr(k, ino_of(root, "d/small"), XNS_USER, "a", 1)); }
CASE(xattr_data)
{
	uint8_t k[KEY_MAX], val[17] = { 1 };

	le_store(val + 1, 8, 7777777);
	le_store(val + 9, 8, 100);
	tput(k, item_key_xattr(k, ino_of(root, "d/small"), XNS_USER, "a", 1), val, 17, 0);
}
CASE(dataref) { uint8_t k[9], v[8] = { 3 }; tput(k, key_of(k, ITEM_DATAREF, data_of(root, "d/small")), v, 8, 0); }
CASE(shared) { struct inode *i = inode_of("d/small"); set_inode("d/plain", i); }
CASE(orphan) { uint8_t k[9]; tput(k, key_of(k, ITEM_ORPHAN, 888888), "", 0, 0); }

static void rec_counts(struct dsrec *r) { r->ref_blocks++; }
CASE(ref_counts) { ds->rec.ref_blocks++; }
CASE(snap_counts) { set_rec("@s1", rec_counts); }
static void rec_prev(struct dsrec *r) { r->prev_snap = 4444; }
CASE(ds_prev) { set_rec("@s2", rec_prev); }
static void rec_prev_txg(struct dsrec *r) { r->prev_snap_txg++; }
CASE(ds_prev_txg) { set_rec("@s2", rec_prev_txg); }
static void rec_children(struct dsrec *r) { r->n_children = 7; }
CASE(ds_children) { set_rec("@s1", rec_children); }
static void rec_height(struct dsrec *r) { r->height++; }
CASE(ds_height) { set_rec("@s1", rec_height); }
static void rec_parent(struct dsrec *r) { r->parent = 5555; }
CASE(ds_parent) { set_rec("c", rec_parent); }
CASE(ds_loop)
{
	struct dsrec r;

	did(dmu_lookup(spa, "c", &r, &err));
	r.parent = r.id;
	did(dmu_rec_put(spa, &r, &err));
	did(name_put(spa, r.id, "c", r.id, &err));
}
static uint64_t some_guid;
static void rec_guid(struct dsrec *r) { r->guid = some_guid; }
CASE(ds_guid) { some_guid = ds->rec.guid; set_rec("c", rec_guid); }
static void rec_young(struct dsrec *r) { r->created_txg = 1; }
CASE(snap_young) { set_rec("@s2", rec_young); }
CASE(ds_gone) { did(rec_del(spa, id_of("c"), &err)); }
CASE(name_gone) { did(name_del(spa, DS_ROOT_ID, "c", &err)); }
CASE(name_bad) { did(name_put(spa, DS_ROOT_ID, "a b", id_of("c"), &err)); }
CASE(snaptxg_gone) { struct dsrec r; did(dmu_lookup(spa, "@s1", &r, &err)); did(snaptxg_del(spa, DS_ROOT_ID, r.created_txg, &err)); }
CASE(snaptxg_bad) { did(snaptxg_put(spa, DS_ROOT_ID, 987654, id_of("@s1"), &err)); }
CASE(dead_stray)
{
	uint8_t k[17], v[16] = { 1 };

	key_u64_u64(k, TBL_DEAD, 3333, 3);
	pput(k, 17, v, 16);
}
CASE(dead_sum)
{
	uint8_t k[17], v[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 2 };
	struct dsrec r;

	did(dmu_lookup(spa, "@s1", &r, &err));
	key_u64_u64(k, TBL_DEAD, id_of("@s2"), r.created_txg);
	pput(k, 17, v, 16);
}
CASE(prop_stray) { pool_u64(TBL_PROP, 2222, "user:x", 1); }
CASE(pool_item) { uint8_t k[9]; pput(k, key_u64(k, 0x55, 1), "x", 1); }
CASE(rec_garbage) { uint8_t k[9]; pput(k, key_u64(k, TBL_DS, 77), "x", 1); }

/* used, and no longer; and the other way round */
CASE(space_leak)
{
	uint64_t addr;

	did(space_alloc(spa->space, 16, true, &addr, &err));
}
CASE(space_free)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	uint8_t k[17];

	is_int(btree_get(ds->tree, &c, k, item_key_u64(k, ITEM_EXTENT, data_of(root, "d/new"), 0), &err), 0);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	did(spa_free(spa, &bp, &err));
}
CASE(space_page)
{
	uint8_t k[9];

	did(btree_put(spa->space_tree, k, key_page(k, 1, 900), "\0\0\0\0\1", 5, NULL, 0, 0, &err));
}
CASE(space_page_bad)
{
	uint8_t k[9];

	did(btree_put(spa->space_tree, k, key_page(k, 77, 0), "zz", 2, NULL, 0, 0, &err));
}
CASE(space_total) { space_set_used(spa->space, 17); }

static const struct { const char *name, *code; void (*fn)(void); } cases[] = {
#define C(n, code) { #n, code, case_##n }
	C(item_short, "item-bad"), C(item_type, "item-bad"), C(inode_garbage, "item-bad"), C(info_missing, "dsinfo-missing"),
	C(info_seq, "dsinfo-seq"), C(info_files, "dsinfo-files"), C(slice_gone, "inode-no-slice"), C(slice_pack, "slice-no-pack"),
	C(slice_range, "slice-range"), C(slice_overlap, "slice-overlap"), C(slice_len, "inode-size"), C(slice_charge, "inode-psize"),
	C(slice_orphan, "content-orphan"), C(slice_shift, "pack-table"), C(pack_count, "pack-count"), C(pack_gone, "slice-no-pack"),
	C(extent_overlap, "extent-overlap"), C(extent_end, "extent-end"), C(extent_orphan, "content-orphan"), C(extent_len, "item-bad"),
	C(extent_gone, "inode-psize"), C(extent_twice, "block-shared"), C(extent_nowhere, "block-addr"), C(extent_old, "ptr-old"),
	C(inode_size, "inode-size"), C(inode_psize, "inode-psize"), C(inode_sliced, "inode-sliced"), C(inode_nlink, "inode-nlink"),
	C(inode_parent, "inode-parent"), C(inode_gone, "dirent-no-inode"), C(inode_orphan, "inode-orphan"), C(dirent_type, "dirent-type"),
	C(dirent_no_dir, "dirent-no-dir"), C(dirent_slash, "item-bad"), C(dir_twice, "dir-twice"), C(dir_nlink, "dir-nlink"),
	C(dir_loop, "dir-loop"), C(root_gone, "root-dir"), C(link_gone, "link-dirent"), C(link_stray, "link-stray"),
	C(xattr_stray, "xattr-no-inode"), C(xattr_count, "xattr-count"), C(xattr_data, "xattr-data"), C(dataref, "dataref-count"),
	C(shared, "dataref-count"), C(orphan, "orphan-stray"), C(ref_counts, "ref-counts"), C(snap_counts, "ref-counts"),
	C(ds_prev, "ds-prev"), C(ds_prev_txg, "ds-prev"), C(ds_children, "ds-children"), C(ds_height, "ds-height"),
	C(ds_parent, "ds-parent"), C(ds_loop, "ds-parent"), C(ds_guid, "ds-guid"), C(snap_young, "ptr-birth"), C(ds_gone, "name-dangling"),
	C(name_gone, "name-missing"), C(name_bad, "name-bad"), C(snaptxg_gone, "snaptxg-missing"), C(snaptxg_bad, "snaptxg-bad"),
	C(dead_stray, "dead-stray"), C(dead_sum, "dead-sum"), C(prop_stray, "prop-stray"), C(pool_item, "pool-item"),
	C(rec_garbage, "pool-item"), C(space_leak, "space-leak"), C(space_free, "space-free"), C(space_page, "space-page"),
	C(space_page_bad, "space-page"), C(space_total, "space-total"),
};

TEST(changes)
{
	static struct findings f;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		base();
		put(root, "d/fresh", 20000, 99);
		put(root, "d/p1", 100, 98);
		put(root, "d/p2", 100, 97);
		shut();
		open_again();
		ds = root->ds;
		spa = pool->spa;
		dmu_dirty(ds);
		cases[i].fn();
		shut();
		fsck(&f, true);
		ok_msg(has(&f, cases[i].code), "%s gives %s", cases[i].name, cases[i].code);
		if (!has(&f, cases[i].code))
			for (unsigned k = 0; k < f.n; k++)
				printf("# %s %s: %s %s %s\n", cases[i].name, cases[i].code, f.code[k], f.where[k], f.text[k]);
	}
}

/* ---- hostile trees, with right checksums ---- */

/* The nth item of a tree, copied. */
static bool nth_item(struct btree *t, unsigned n, uint8_t *key, size_t *klen, uint8_t *val, size_t *vlen, bool *ptrs)
{
	struct bt_cursor c = { 0 };
	int rc = btree_seek(t, &c, "", 0, &err);

	for (; !rc && n; n--)
		rc = btree_next(&c, &err);
	if (!rc) {
		memcpy(key, c.item.key, *klen = c.item.klen);
		memcpy(val, c.item.val, *vlen = c.item.vlen);
		*ptrs = c.item.nptr;
	}
	btree_cursor_close(&c);
	return rc == 0;
}

static void mutate(struct btree *t, uint64_t *seed)
{
	static uint8_t val[VAL_MAX];
	uint8_t key[KEY_MAX];
	size_t klen, vlen;
	bool ptrs;

	if (!nth_item(t, (unsigned)(tap_rand(seed) % 60), key, &klen, val, &vlen, &ptrs))
		return;
	switch (tap_rand(seed) % 6) {
	case 0:
		btree_del(t, key, klen, BT_KEEP_PTRS, NULL);
		return;
	case 1:
		key[tap_rand(seed) % klen] ^= (uint8_t)tap_rand(seed);
		ptrs = false;
		break;
	case 2:
		vlen = vlen ? tap_rand(seed) % vlen : 3;
		break;
	default:
		for (int i = 0; vlen && i < 3; i++)
			val[tap_rand(seed) % vlen] ^= (uint8_t)(1u << tap_rand(seed) % 8);
	}
	btree_put(t, key, klen, val, vlen, NULL, 0, ptrs ? BT_KEEP_PTRS : 0, NULL);
}

TEST(hostile_items)
{
	static struct findings f;
	uint64_t seed = 1234, found = 0, n;

	for (int i = 0; i < 150; i++) {
		struct lcpfs_check_opts o = { .data = true, .problem = on_problem, .arg = &f };

		base();
		shut();
		open_again();
		for (int k = 0; k < 3; k++)
			mutate(i % 3 ? root->ds->tree : pool->spa->pool_tree, &seed);
		dmu_dirty(root->ds);
		lcpfs_pool_commit(pool, NULL);
		lcpfs_dataset_close(root);
		lcpfs_pool_close(pool, NULL);
		f.n = 0;
		is_int(lcpfs_fsck(dev, NULL, &o, &n, &err), 0);
		found += n > 0;
	}
	printf("# %" PRIu64 " of 150 found\n", found);
	ok(found > 100);
}

/* Every child of every node is the same one: a walk that believes it takes for ever. */
TEST(hostile_graph)
{
	static struct findings f;
	struct node_item it[200];
	uint8_t keys[200], *ptrs = malloc(sizeof it / sizeof *it * PTR_LEN);
	struct blkptr bp;
	struct buf b = { 0 };
	uint8_t key[9], val[DSREC_LEN];

	base();
	for (unsigned level = 0; level < TREE_DEPTH_MAX; level++) {
		unsigned n = level ? ARRAY_LEN(it) : 1;

		for (unsigned i = 0; i < n; i++) {
			keys[i] = (uint8_t)(i + 1);
			it[i] = (struct node_item){ .key = keys + i, .klen = level ? i > 0 : 1, .val = keys, .nptr = level > 0 };
			if (level)
				ptr_encode(&bp, ptrs + (size_t)i * PTR_LEN);
		}
		buf_reset(&b);
		node_body_encode(&b, !level, keys, 0, it, n);
		did(zio_write_node(pool->spa->zio, true, level, 9, ptrs, level ? n : 0, b.data, (uint32_t)b.len, &bp, &err));
	}
	buf_fini(&b);
	free(ptrs);
	ds = root->ds;
	spa = pool->spa;
	did(spa_close_txg(spa, &err));
	ds->rec.root = bp;
	dsrec_encode(&ds->rec, val);
	did(btree_put(spa->pool_tree, key, key_u64(key, TBL_DS, ds->rec.id), val, sizeof val, &bp, 1, 0, &err));
	shut();
	fsck(&f, true);
	ok(has(&f, "node-bad"));
}

/* ---- dump ---- */

struct lines { unsigned n; char want[64]; bool found; };

static int on_line(void *arg, const char *text, struct lcpfs_error *e)
{
	struct lines *l = arg;

	(void)e;
	l->n++;
	l->found |= strstr(text, l->want) != NULL;
	return 0;
}

static void dumped(const char *what, const char *want)
{
	struct lines l = { 0 };

	snprintf(l.want, sizeof l.want, "%s", want);
	did(lcpfs_dump(pool, what, on_line, &l, &err));
	ok_msg(l.n && l.found, "%s: %u lines, '%s' %s", what, l.n, want, l.found ? "found" : "missing");
}

TEST(dump)
{
	struct lines l = { 0 };
	struct blkptr r;
	char what[80];

	base();
	did(lcpfs_pool_commit(pool, &err));
	dumped("labels", "back label");
	dumped("uberblocks", "in force");
	dumped("config", "chunk");
	dumped("pool", "snapshot");
	dumped("space", "PAGE");
	dumped("tree:", "DIRENT");
	dumped("tree:@s1", "small2");
	dumped("nodes:cl", "node");
	dumped("path::d/small", "SLICE");
	dumped("path::d/small", "PACK");
	dumped("path::d/new", "EXTENT");
	dumped("path:@s2:", "DIRENT");
	dumped("key::20", "INODE");
	dumped("key::300000000000000001", "\"d\"");
	r = root->ds->rec.root;
	snprintf(what, sizeof what, "block:%u:%u:%u", ptr_chunk(&r), ptr_sector(&r), r.psize);
	dumped(what, "INODE");
	is_int(lcpfs_dump(pool, "tree:nope", on_line, &l, &err), -LCPFS_ENOENT);
	is_int(lcpfs_dump(pool, "what", on_line, &l, &err), -LCPFS_EINVAL);
	is_int(lcpfs_dump(pool, "key::2g", on_line, &l, &err), -LCPFS_EINVAL);
	is_int(lcpfs_dump(pool, "block:1:2", on_line, &l, &err), -LCPFS_EINVAL);
	is_int(lcpfs_dump(pool, "block:9:2:512", on_line, &l, &err), -LCPFS_ECORRUPT);
	is_int(lcpfs_dump(pool, "path::no/such", on_line, &l, &err), -LCPFS_ENOENT);
	shut();
}

TAP_MAIN(T(empty), T(histories), T(rollback), T(random_histories), T(scrub_clean), T(damaged_extent), T(damaged_pack), T(damaged_leaf),
         T(damaged_roots), T(damaged_labels), T(damaged_ring), T(no_pool), T(cancel), T(any_byte), T(changes), T(hostile_items),
         T(hostile_graph), T(dump))
