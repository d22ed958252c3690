/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub and fsck: a pool without damage has no problem, and each damage has its own. */
#include "check/scan_impl.h"
#include "check_cases.h"

/* ---- clean pools ---- */

TEST(empty)
{
	create();
	shut();
	clean();
}

TEST(histories)
{
	struct lcpfs_dataset *cl;

	base();
	shut();
	clean();
	open_again();
	unsnap("@s1");
	shut();
	clean();
	open_again();
	did(lcpfs_dataset_open(&cl, pool, "cl", &err));
	put(cl, "d/of-clone", 40000, 20);
	did(lcpfs_remove(cl, "d/new", false, &err));
	lcpfs_dataset_close(cl);
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

static void random_change(uint64_t *seed, struct lcpfs_dataset *in)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "f%u", (unsigned)(tap_rand(seed) % 40));
	snprintf(b, sizeof b, "f%u", (unsigned)(tap_rand(seed) % 40));
	switch (tap_rand(seed) % 8) {
	case 0: lcpfs_remove(in, a, true, NULL); break;
	case 1: lcpfs_rename(in, a, b, 0, NULL); break;
	case 2: lcpfs_link(in, a, b, NULL); break;
	case 3: lcpfs_truncate(in, a, tap_rand(seed) % 50000, NULL); break;
	case 4: lcpfs_xattr_set(in, a, 0, "user.x", b, 1 + tap_rand(seed) % 3, NULL); break;
	default: {
		struct lcpfs_file *h;
		uint8_t buf[9000];
		size_t len = 1 + tap_rand(seed) % sizeof buf;

		fill(buf, len, tap_rand(seed));
		if (lcpfs_file_open(&h, in, a, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL) == 0) {
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

/* However short the queue is, the same blocks are read, each once, and however short the budget, all of them some time. */
TEST(scrub_in_passes)
{
	static struct findings f;
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = &f };
	struct lcpfs_scrub_stats want, st;
	uint8_t key[17];
	uint64_t off, found = 0, runs = 0;

	base();
	did(lcpfs_pool_commit(pool, &err));
	off = offset_of_item(root, key, item_key_u64(key, ITEM_EXTENT, data_of(root, "d/sub/deep/big2"), 16384));
	shut();
	flip(off + 700);
	open_again();
	is_int(lcpfs_scrub(pool, &o, &want, &err), -LCPFS_ECSUM);
	for (scan_entries_max = 1; scan_entries_max < 40; scan_entries_max = scan_entries_max * 2 + 1) {
		f.n = 0;
		is_int(lcpfs_scrub(pool, &o, &st, &err), -LCPFS_ECSUM);
		is_int(st.blocks, want.blocks);
		is_int(st.bytes, want.bytes);
		is_int(st.bad_blocks, 1);
		is_int(f.n, 4);
	}
	o.budget_bytes = 1;
	for (scan_entries_max = 7; runs < 10000; scan_entries_max = scan_entries_max == 7 ? SIZE_MAX : 7, runs++) {
		int rc = lcpfs_scrub(pool, &o, &st, &err);

		ok(!rc || rc == -LCPFS_ECSUM);
		ok(!st.next || st.next > o.from);
		found += st.bad_blocks;
		o.from = st.next;
		if (!st.next)
			break;
	}
	is_int(found, 1);
	ok(runs > 10 && runs < 10000);
	scan_entries_max = SIZE_MAX;
	shut();
}

/* The right checksum of the wrong bytes. */
TEST(scrub_decodes)
{
	static struct findings f;
	struct lcpfs_check_opts o = { .problem = on_problem, .arg = &f };
	struct blkptr bp = { .kind = PTR_DATA, .lsize = 16384, .psize = 1000, .comp = CODEC_ZSTD, .csum = HASH_BLAKE3 };
	uint8_t key[17], val[4], junk[1000];
	struct lcpfs_scrub_stats st;
	size_t klen;

	base();
	memset(junk, 0x5a, sizeof junk);
	blake3(junk, sizeof junk, bp.hash);
	did(zio_write_stored(pool->spa->zio, junk, &bp, &err));
	klen = item_key_u64(key, ITEM_EXTENT, data_of(root, "d/sub/deep/big2"), 16384);
	le_store(val, 4, 16384);
	did(btree_put(root->ds->tree, key, klen, val, sizeof val, &bp, 1, 0, &err));
	dmu_dirty(root->ds);
	did(lcpfs_pool_commit(pool, &err));
	is_int(lcpfs_scrub(pool, &o, &st, &err), 0);
	o.decode = true;
	is_int(lcpfs_scrub(pool, &o, &st, &err), -LCPFS_ECSUM);
	is_int(st.bad_blocks, 1);
	ok(has_at(&f, "block-decode", ":d/sub/deep/big2:16384"));
	shut();
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

TAP_MAIN(T(empty), T(histories), T(rollback), T(random_histories), T(scrub_clean), T(scrub_in_passes), T(scrub_decodes), T(damaged_extent), T(damaged_pack), T(damaged_leaf),
         T(damaged_roots), T(damaged_labels), T(damaged_ring), T(no_pool), T(cancel), T(any_byte), T(changes), T(hostile_items),
         T(hostile_graph), T(dump))
