/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every case of damage that a change to a tree makes: found, put right as far as its class allows (all that is safe with the first run, the rest with
 * the second), clean after, and back again by undo.
 */
#include "check_repair.h"

/* What is left after everything was tried, of cases that have no repair. */
static const struct { const char *name, *left; } stays[] = {
	{ "extent_old", "ptr-old" }, { "snap_young", "ptr-birth" }, { "ds_prev", "ds-prev" },
	{ "rec_garbage", "pool-item" },
};

static const char *left_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(stays); i++)
		if (strcmp(stays[i].name, name) == 0)
			return stays[i].left;
	return NULL;
}

static void one_case(size_t i)
{
	static struct findings before, left;
	const char *stay = left_of(cases[i].name);
	struct lcpfs_repair_stats st;

	damaged(i);
	fsck(&before, true);
	st = repair(LCPFS_REPAIR_LOSSY, &left);
	if (stay) {
		ok_msg(has(&left, stay), "%s: %s stays", cases[i].name, stay);
	} else {
		ok_msg(left.n == 0 && st.left == 0 && st.fixed == before.n, "%s: found %u, left %u", cases[i].name, before.n, left.n);
		show(&left, cases[i].name);
	}
	if (st.fixed)
		undone(&before, cases[i].name);
}

TEST(every_case)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!getenv("CASE") || strcmp(getenv("CASE"), cases[i].name) == 0)
			one_case(i);
}

/* Only what is safe: the class of the problems that are gone is never another. */
TEST(safe_only)
{
	static struct findings before, left;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lcpfs_repair_stats st;
		bool all_safe = true;

		damaged(i);
		fsck(&before, true);
		for (unsigned k = 0; k < before.n; k++)
			all_safe &= before.cls[k] == LCPFS_REPAIR_SAFE;
		st = repair(LCPFS_REPAIR_SAFE, &left);
		for (unsigned k = 0; k < before.n; k++)
			ok_msg(before.cls[k] == LCPFS_REPAIR_SAFE || has(&left, before.code[k]), "%s: %s is not touched", cases[i].name, before.code[k]);
		if (all_safe && !left_of(cases[i].name))
			ok_msg(st.left == 0, "%s: %" PRIu64 " left", cases[i].name, st.left);
	}
}

TAP_MAIN(T(every_case), T(safe_only))
