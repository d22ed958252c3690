/* SPDX-License-Identifier: Apache-2.0 */
/* Damage, repair, undo. */
#ifndef TESTS_CHECK_REPAIR_H
#define TESTS_CHECK_REPAIR_H
#include "check_cases.h"

/* The pool of test_check, with damage number i. */
static void damaged(size_t i)
{
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
}

static void show(const struct findings *f, const char *name)
{
	for (unsigned k = 0; k < f->n && k < 20; k++)
		printf("# %s: %s %s %s\n", name, f->code[k], f->where[k], f->text[k]);
}

static void forget_first(void *arg, uint64_t fixed)
{
	struct findings *f = arg;

	(void)fixed;
	f->n = 0;
}

/* Repair; *left: what the last check found. */
static struct lcpfs_repair_stats repair(enum lcpfs_repair_class most, struct findings *left)
{
	struct lcpfs_open_opts oo = { .threads = 2, .memory_bytes = 32u << 20 };
	struct lcpfs_check_opts o = { .data = true, .repair = most, .problem = on_problem, .arg = left };
	struct lcpfs_repair_stats st = { 0 };

	left->n = 0;
	did(lcpfs_fsck_repair(dev, &oo, &o, forget_first, &st, &err));
	is_int(st.left, left->n);
	return st;
}

static bool same_findings(const struct findings *a, const struct findings *b)
{
	for (unsigned i = 0; i < a->n; i++)
		if (!has_at(b, a->code[i], a->where[i]))
			return false;
	return a->n == b->n;
}

/* Back to the state before: the very same damage is found again. */
static void undone(const struct findings *before, const char *name)
{
	static struct findings again;
	struct lcpfs_open_opts oo = { .threads = 2, .memory_bytes = 32u << 20 };
	struct lcpfs_undo_stats us;

	if (!did(lcpfs_fsck_undo(dev, &oo, &us, &err)))
		return;
	fsck(&again, true);
	ok_msg(same_findings(before, &again), "%s: undo brings %u back, of %u", name, again.n, before->n);
	if (!same_findings(before, &again)) {
		show(before, "before");
		show(&again, name);
	}
	is_int(lcpfs_fsck_undo(dev, &oo, &us, &err), -LCPFS_ENOENT);
}
#endif
