/* SPDX-License-Identifier: Apache-2.0 */
/* Repair of whatever: items changed at random, bytes turned over. Nothing crashes, what is committed is cleaner, and goes back. */
#include "check_repair.h"
#include "check/plan.h"

static unsigned mended, better, same;

static void one(const char *what, int i, bool whole)
{
	static struct findings before, left;
	struct lcpfs_repair_stats st;

	fsck(&before, true);
	if (!before.n)
		return;
	st = repair(LCPFS_REPAIR_LOSSY, &left);
	ok_msg(st.left <= before.n, "%s %d: %u found, %" PRIu64 " left", what, i, before.n, st.left);
	mended += !st.left;
	better += st.left && st.fixed;
	same += !st.fixed;
	if (!st.fixed || (st.left && st.refused)) {
		printf("# %s %d: %u found, %" PRIu64 " left, refused %d\n", what, i, before.n, st.left, st.refused);
		show(&left, what);
	}
	if (st.fixed && whole)
		undone(&before, what);
}

static void random_items(uint64_t seed, int n, unsigned changes)
{
	for (int i = 0; i < n; i++) {
		base();
		shut();
		open_again();
		for (unsigned k = 0; k < changes; k++)
			mutate(i % 3 ? root->ds->tree : pool->spa->pool_tree, &seed);
		dmu_dirty(root->ds);
		lcpfs_pool_commit(pool, NULL);
		lcpfs_dataset_close(root);
		lcpfs_pool_close(pool, NULL);
		one("items", i, true);
	}
	printf("# %u mended, %u better, %u as before\n", mended, better, same);
}

TEST(items) { random_items(1234, 120, 3); }
TEST(many_items) { random_items(77, 30, 25); }

/* The same with plans of a few steps each. */
TEST(small_plans)
{
	ck_plan_most = 5;
	random_items(99, 20, 12);
	ck_plan_most = SIZE_MAX;
}

TEST(bytes)
{
	uint64_t seed = 4711, size;

	base();
	shut();
	size = device_size();
	for (int i = 0; i < 60; i++) {
		base();
		shut();
		flip(tap_rand(&seed) % size);
		one("byte", i, false);
	}
}

TAP_MAIN(T(items), T(many_items), T(small_plans), T(bytes))
