/* SPDX-License-Identifier: Apache-2.0 */
/* Damage to bytes: unreadable nodes of datasets at every place, labels, rings and configs, and what becomes of the files. */
#include "check_repair.h"

#define FILES 1500

static void many_files(void)
{
	char path[40];

	create();
	did(lcpfs_mkdir(root, "d", 0755, false, &err));
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "d/file-%04d", i);
		put(root, path, i % 50 ? 40 : 30000, (uint64_t)i);
	}
	did(lcpfs_link(root, "d/file-0007", "d/other", &err));
	did(lcpfs_xattr_set(root, "d/file-0009", 0, "user.a", "one", 3, &err));
}

struct nodes { uint64_t off[400]; unsigned level[400], n; };

static int note_node(void *arg, const struct blkptr *bp, struct lcpfs_error *e)
{
	struct nodes *v = arg;

	(void)e;
	if (bp->kind == PTR_NODE && v->n < ARRAY_LEN(v->off)) {
		v->level[v->n] = bp->level;
		v->off[v->n++] = device_offset(pool->spa, bp->addr);
	}
	return 0;
}

static void list_nodes(struct nodes *v)
{
	struct btree_walk w = { .visit = note_node, .arg = v };

	v->n = 0;
	did(btree_walk_ptrs(&root->ds->store, &root->ds->rec.root, &w, &err));
}

static unsigned read_all(void)
{
	struct lcpfs_open_opts oo = { .threads = 2 };
	struct lcpfs_dataset *d;
	struct lcpfs_pool *p;
	struct lcpfs_stat st;
	unsigned n = 0;
	char path[40];

	if (!did(lcpfs_pool_open(&p, dev, &oo, &err)))
		return 0;
	did(lcpfs_dataset_open(&d, p, "", &err));
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "d/file-%04d", i);
		n += lcpfs_stat(d, path, false, &st, NULL) == 0;
	}
	lcpfs_dataset_close(d);
	lcpfs_pool_close(p, NULL);
	return n;
}

static void lose(const uint64_t *off, unsigned n, const char *what)
{
	static struct findings before, left;
	struct lcpfs_repair_stats st;

	for (unsigned i = 0; i < n; i++)
		flip(off[i] + 90);
	fsck(&before, false);
	ok(has(&before, "block-csum"));
	st = repair(LCPFS_REPAIR_SAFE, &left);
	ok_msg(has(&left, "block-csum"), "%s: -p drops nothing", what);
	st = repair(LCPFS_REPAIR_LOSSY, &left);
	ok_msg(st.left == 0 && !st.refused, "%s: %u found, %" PRIu64 " left, %u rounds, %u files readable", what, before.n, st.left, st.rounds, read_all());
	printf("# %s: %" PRIu64 " changes in %u rounds, %u files left\n", what, st.steps, st.rounds, read_all());
	show(&left, what);
	clean();
	/* it is a pool to work with */
	open_again();
	put(root, "after", 70000, 1);
	lcpfs_remove(root, "lost+found", true, NULL);
	shut();
	clean();
}

static void on_follow(void *arg, const struct lcpfs_problem *p)
{
	unsigned *n = arg;

	n[0] += p->follows && strcmp(p->code, "dirent-no-inode") == 0 && p->path;
	n[1] += !p->follows;
}

/* What a dropped leaf takes with it is told by name. */
TEST(what_follows)
{
	static struct nodes v;
	static struct findings before;
	unsigned n[2] = { 0 };
	struct lcpfs_open_opts oo = { .threads = 2 };
	struct lcpfs_check_opts o = { .repair = LCPFS_REPAIR_LOSSY, .follow = true, .problem = on_follow, .arg = n };
	struct lcpfs_repair_stats st;

	many_files();
	did(lcpfs_pool_commit(pool, &err));
	list_nodes(&v);
	shut();
	flip(v.off[v.n / 2] + 90);
	fsck(&before, false);
	did(lcpfs_fsck_repair(dev, &oo, &o, NULL, &st, &err));
	is_int(st.left, 0);
	is_int(n[1], before.n);
	ok_msg(n[0] > 20, "%u names told", n[0]);
}

TEST(each_node)
{
	static struct nodes v;
	unsigned n;

	many_files();
	did(lcpfs_pool_commit(pool, &err));
	list_nodes(&v);
	n = v.n;
	shut();
	printf("# %u nodes, root of level %u\n", n, v.level[0]);
	for (unsigned i = 0; i < n; i++) {
		char what[40];

		many_files();
		did(lcpfs_pool_commit(pool, &err));
		list_nodes(&v);
		shut();
		snprintf(what, sizeof what, "node %u, level %u", i, v.level[i]);
		lose(&v.off[i], 1, what);
	}
}

TEST(several_nodes)
{
	static struct nodes v;
	uint64_t seed = 5, off[6];

	for (int round = 0; round < 6; round++) {
		many_files();
		did(lcpfs_pool_commit(pool, &err));
		list_nodes(&v);
		shut();
		for (unsigned i = 0; i < ARRAY_LEN(off); i++)
			off[i] = v.off[1 + tap_rand(&seed) % (v.n - 1)];
		for (unsigned i = 1; i < ARRAY_LEN(off); i++)
			for (unsigned k = 0; k < i; k++)
				if (off[k] == off[i])
					off[i] = v.off[0];
		lose(off, round % 5 + 1, "several");
	}
}

/* A leaf that head and snapshot share: the head is mended, the snapshot stays as it is, and can be destroyed. */
TEST(shared_with_snapshot)
{
	static struct findings before, left;
	static struct nodes v;
	struct lcpfs_repair_stats st;

	many_files();
	snap("@s");
	put(root, "d/late", 100, 1);
	did(lcpfs_pool_commit(pool, &err));
	list_nodes(&v);
	shut();
	flip(v.off[v.n / 2] + 90);
	fsck(&before, false);
	st = repair(LCPFS_REPAIR_LOSSY, &left);
	ok(st.fixed > 0 && st.left > 0);
	for (unsigned i = 0; i < left.n; i++)
		ok_msg(strncmp(left.where[i], "@s:", 3) == 0, "%s %s", left.code[i], left.where[i]);
	undone(&before, "shared");
	st = repair(LCPFS_REPAIR_LOSSY, &left);
	open_again();
	ok(lcpfs_snap_destroy(pool, &(const char *){ "@s" }, 1, false, NULL, &err) == 0);
	shut();
	fsck(&left, false);
	show(&left, "after");
	repair(LCPFS_REPAIR_SAFE, &left);
	clean();
}

/* ---- labels ---- */

static void mends(const char *what, enum lcpfs_repair_class most)
{
	static struct findings before, left;
	struct lcpfs_repair_stats st;

	fsck(&before, false);
	if (!before.n) {
		printf("# %s: no problem\n", what);
		return;
	}
	st = repair(most, &left);
	ok_msg(st.left == 0, "%s: %s, %" PRIu64 " left", what, before.code[0], st.left);
	show(&left, what);
	clean();
	open_again();
	put(root, "d/again", 5000, 8);
	shut();
	clean();
}

static void labels(bool fixed)
{
	struct lcpfs_open_opts oo = { 0 };
	struct lcpfs_pool *p;
	uint64_t ring, txg, prev, cfg, back;

	for (int k = 0; k < 7; k++) {
		fixed_size = fixed ? 8 * MiB : 0;
		base();
		fixed_size = 0;
		did(lcpfs_pool_commit(pool, &err));
		put(root, "more", 100, 1);
		shut();
		did(lcpfs_pool_open(&p, dev, &oo, &err));
		ring = vdev_label(p->spa->vdev)->ring_slots;
		txg = vdev_current(p->spa->vdev)->txg % ring;
		prev = vdev_current(p->spa->vdev)->prev_txg[0] % ring;
		cfg = vdev_label(p->spa->vdev)->cfg_off + vdev_current(p->spa->vdev)->cfg_slot * vdev_label(p->spa->vdev)->cfg_len;
		lcpfs_pool_close(p, NULL);
		back = device_size() - LABEL_LEN;
		switch (k) {
		case 0: flip(LABEL_LEN + 60); mends("front label", LCPFS_REPAIR_SAFE); break;
		case 1: flip(back + 60); mends("back label", LCPFS_REPAIR_SAFE); break;
		case 2: flip(UNIT + txg * 4096 + 400); mends("newest uberblock", LCPFS_REPAIR_SAFE); break;
		case 3: flip(UNIT + prev * 4096 + 400); mends("uberblock before", LCPFS_REPAIR_SAFE); break;
		case 4: flip(cfg + 20); mends("config", LCPFS_REPAIR_SAFE); break;
		case 5: flip(device_size() - label_front_bytes(9, (uint32_t)ring, 65536) + txg * 4096 + 400); mends("back ring", LCPFS_REPAIR_SAFE); break;
		case 6: flip(UNIT + txg * 4096 + 400); flip(UNIT + prev * 4096 + 400); mends("two uberblocks", LCPFS_REPAIR_LOSSY); break;
		}
	}
}

TEST(label_parts) { labels(true); labels(false); }

/* ---- right checksums, wrong contents ---- */

static struct lcpfs_blockdev *raw_open(void)
{
	struct lcpfs_blockdev *d = NULL;

	did(lcpfs_blockdev_open(&d, dev, LCPFS_DEV_OPEN_RW, &err));
	return d;
}

/* The slot of a ring that the newest uberblock is in, changed. */
static void change_uber(uint64_t ring_off, void (*change)(struct uberblock *u))
{
	struct lcpfs_blockdev *d = raw_open();
	uint8_t raw[UBER_LEN];
	struct uberblock u, best = { 0 };
	uint64_t at = 0;

	for (uint64_t i = 0; d && i < 16; i++)
		if (!d->ops->read(d, ring_off + i * 4096, raw, sizeof raw, &err) && !uberblock_decode(&u, raw, NULL) && u.txg > best.txg) {
			best = u;
			at = ring_off + i * 4096;
		}
	change(&best);
	uberblock_encode(&best, raw);
	did(d->ops->write(d, at, raw, sizeof raw, &err));
	lcpfs_blockdev_close(d);
}

static uint64_t back_ring(void) { return device_size() - label_front_bytes(9, 16, 65536); }
static void bad_epoch(struct uberblock *u) { u->epoch_id[3] ^= 1; }
static void bad_count(struct uberblock *u) { u->n_devices = 3; }
static void other_time(struct uberblock *u) { u->time_s++; }
static void bad_root(struct uberblock *u) { u->pool_root.hash[0] ^= 1; }
static void bad_prev(struct uberblock *u) { u->prev_txg[0]--; u->prev_txg[1] = MIN(u->prev_txg[1], u->prev_txg[0]); }

static void change_back_label(void)
{
	struct lcpfs_blockdev *d = raw_open();
	uint8_t raw[LABEL_LEN];
	struct label l;

	did(d->ops->read(d, blockdev_size(d) - LABEL_LEN, raw, sizeof raw, &err));
	did(label_decode(&l, raw, &err));
	l.dev_uuid[0] ^= 1;
	label_encode(&l, raw);
	did(d->ops->write(d, blockdev_size(d) - LABEL_LEN, raw, sizeof raw, &err));
	lcpfs_blockdev_close(d);
}

static void two_commits(void)
{
	fixed_size = 8 * MiB;
	base();
	fixed_size = 0;
	did(lcpfs_pool_commit(pool, &err));
	put(root, "more", 100, 1);
	shut();
}

static void found_and_mended(const char *code, const char *what)
{
	static struct findings f;

	fsck(&f, false);
	ok_msg(has(&f, code), "%s gives %s", what, code);
	if (!has(&f, code))
		show(&f, what);
	mends(what, LCPFS_REPAIR_SAFE);
}

TEST(label_contents)
{
	static struct findings f;
	struct lcpfs_repair_stats st;

	two_commits();
	change_uber(UNIT, bad_epoch);
	change_uber(back_ring(), bad_epoch);
	found_and_mended("uber-epoch", "epoch");
	two_commits();
	change_uber(UNIT, bad_count);
	change_uber(back_ring(), bad_count);
	found_and_mended("config-count", "count");
	two_commits();
	change_uber(back_ring(), other_time);
	found_and_mended("uber-differ", "time");
	two_commits();
	change_uber(UNIT, bad_prev);
	change_uber(back_ring(), bad_prev);
	found_and_mended("uber-prev", "numbers of those before");
	two_commits();
	change_back_label();
	found_and_mended("label-differ", "back label");
	/* nothing opens: it says so, and nothing is written */
	fixed_size = 8 * MiB;
	create();
	fixed_size = 0;
	shut();
	change_uber(UNIT, bad_root);
	change_uber(back_ring(), bad_root);
	st = repair(LCPFS_REPAIR_LOSSY, &f);
	ok(has(&f, "pool-open") && !st.steps);
	show(&f, "nothing opens");
}

/* The newest commit does not open: -p does not go back by itself, -y does. */
TEST(newest_commit)
{
	static struct findings f;
	struct lcpfs_open_opts oo = { 0 };
	struct lcpfs_repair_stats st;
	struct lcpfs_pool *p;
	uint64_t off;

	base();
	did(lcpfs_pool_commit(pool, &err));
	put(root, "more", 100, 1);
	shut();
	did(lcpfs_pool_open(&p, dev, &oo, &err));
	off = device_offset(p->spa, vdev_current(p->spa->vdev)->pool_root.addr);
	lcpfs_pool_close(p, NULL);
	flip(off + 200);
	st = repair(LCPFS_REPAIR_SAFE, &f);
	ok(has(&f, "uber-root") && !st.steps);
	st = repair(LCPFS_REPAIR_LOSSY, &f);
	is_int(st.left, 0);
	clean();
}

TAP_MAIN(T(what_follows), T(each_node), T(several_nodes), T(shared_with_snapshot), T(label_parts), T(label_contents), T(newest_commit))
