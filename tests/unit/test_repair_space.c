/* SPDX-License-Identifier: Apache-2.0 */
/* The space tree is derived: a pool opens for writing without it, and goes on as if nothing had happened. */
#include "check_repair.h"

static uint64_t root_offset(bool before)
{
	struct lcpfs_open_opts oo = { 0 };
	const struct uberblock *ub;
	struct lcpfs_pool *p;
	uint64_t off;
	size_t n;

	if (!did(lcpfs_pool_open(&p, dev, &oo, &err)))
		return 0;
	ub = vdev_current(p->spa->vdev);
	for (size_t i = 0; before && i < (vdev_ubers(p->spa->vdev, &n), n); i++)
		if (vdev_ubers(p->spa->vdev, &n)[i].ub.txg == vdev_current(p->spa->vdev)->prev_txg[0])
			ub = &vdev_ubers(p->spa->vdev, &n)[i].ub;
	off = device_offset(p->spa, ub->space_root.addr);
	lcpfs_pool_close(p, NULL);
	return off;
}

static void use(unsigned round)
{
	char path[32];

	snprintf(path, sizeof path, "d/after-%u", round);
	put(root, path, 70000, round);
	if (round == 1)
		did(lcpfs_remove(root, "d/small2", false, &err));
	put(root, "d/big", 100000 + round, round + 50);
}

static void without(bool newest, bool before)
{
	static struct findings f;

	base();
	did(lcpfs_pool_commit(pool, &err));
	put(root, "d/last", 30000, 77);
	shut();
	if (newest)
		flip(root_offset(false) + 100);
	if (before)
		flip(root_offset(true) + 100);
	fsck(&f, false);
	ok(has(&f, newest ? "space-tree" : "space-prev"));
	open_again();
	use(1);
	shut();
	/* the commit before still has it */
	is_int(fsck(&f, true), newest);
	ok(!newest || has(&f, "space-prev"));
	open_again();
	for (unsigned i = 2; i < 6; i++) {
		use(i);
		did(lcpfs_pool_commit(pool, &err));
	}
	unsnap("@s1");
	shut();
	clean();
}

TEST(newest_lost) { without(true, false); }
TEST(older_lost) { without(false, true); }
TEST(both_lost) { without(true, true); }

/* Something of a file cannot be reached either: what is free is not known, and nothing is written. */
TEST(tree_lost_too)
{
	struct lcpfs_open_opts oo = { .flags = LCPFS_OPEN_RW };
	struct lcpfs_pool *p = NULL;
	uint64_t off;
	int rc;

	base();
	did(lcpfs_pool_commit(pool, &err));
	off = device_offset(pool->spa, root->ds->rec.root.addr);
	shut();
	flip(root_offset(false) + 100);
	flip(off + 100);
	rc = lcpfs_pool_open(&p, dev, &oo, &err);
	if (!rc) {
		rc = lcpfs_dataset_create(p, "x", false, &err);
		if (!rc)
			rc = lcpfs_pool_commit(p, &err);
		lcpfs_pool_close(p, NULL);
	}
	ok(rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT);
	ok(strstr(err.msg, "fsck.lcpfs"));
	printf("# %s\n", err.msg);
}

/* All the same as the rebuilt pages say. */
TEST(scan_is_tree)
{
	struct spa_pages pages = { 0 };
	uint64_t total, used, busy;

	base();
	did(lcpfs_pool_commit(pool, &err));
	did(spa_pages_scan(pool->spa, &vdev_current(pool->spa->vdev)->pool_root, false, &pages, &err));
	space_totals(pool->spa->space, &total, &used, &busy);
	is_int(pages.used_sectors, used);
	ok(pages.n > 0 && spa_pages_find(&pages, pages.v[0].chunk, pages.v[0].page) == &pages.v[0]);
	ok(!spa_pages_find(&pages, 4000, 0));
	spa_pages_drop(&pages);
	shut();
}

/* Two commits: the first makes the tree anew, the second ends that the commit before has a damaged one. Still it goes back. */
static void mended(bool newest, bool before)
{
	static struct findings was, left;
	struct lcpfs_repair_stats st;
	struct lcpfs_open_opts oo = { .threads = 2 };
	struct lcpfs_undo_stats us;

	base();
	did(lcpfs_pool_commit(pool, &err));
	put(root, "d/last", 30000, 77);
	shut();
	if (before)
		flip(root_offset(true) + 100);
	if (newest)
		flip(root_offset(false) + 100);
	fsck(&was, true);
	st = repair(LCPFS_REPAIR_SAFE, &left);
	ok_msg(!st.left && st.fixed == was.n, "%u found, %" PRIu64 " left", was.n, st.left);
	show(&left, "space");
	clean();
	/* what it goes back to is published anew, so that the commit before it is the same */
	did(lcpfs_fsck_undo(dev, &oo, &us, &err));
	fsck(&left, true);
	ok(has(&left, "space-tree") == newest);
	repair(LCPFS_REPAIR_SAFE, &left);
	open_again();
	use(9);
	shut();
	clean();
}

TEST(repair_newest) { mended(true, false); }
TEST(repair_older) { mended(false, true); }
TEST(repair_both) { mended(true, true); }

TAP_MAIN(T(repair_newest), T(repair_older), T(repair_both), T(newest_lost), T(older_lost), T(both_lost), T(tree_lost_too), T(scan_is_tree))
