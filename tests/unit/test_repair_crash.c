/* SPDX-License-Identifier: Apache-2.0 */
/* A repair that breaks off, at every write and flush: the pool has the damage that it had, or none; and the same repair mends it then. */
#include "check_repair.h"
#include "blockdev/blockdev.h"

static struct faultdev faulty[8];
static unsigned n_faulty;
static uint64_t fail_at;

static int open_faulty(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *e)
{
	struct lcpfs_blockdev *below;
	char name[64];
	int rc;

	(void)arg;
	snprintf(name, sizeof name, "ram:%s", rest);
	rc = lcpfs_blockdev_open(&below, name, flags, e);
	if (!rc && (flags & LCPFS_DEV_OPEN_RW) && n_faulty < ARRAY_LEN(faulty)) {
		faultdev_init(&faulty[n_faulty], below, FAULT_WRITE | FAULT_FLUSH | FAULT_RESIZE, fail_at, true, LCPFS_EIO);
		*out = &faulty[n_faulty++].dev;
	} else if (!rc) {
		*out = below;
	}
	return rc;
}

/* Whether it came to the failure. What is below stays open until here, and locked. */
static bool close_faulty(void)
{
	bool reached = false;

	while (n_faulty) {
		reached |= faulty[--n_faulty].seen > fail_at;
		lcpfs_blockdev_close(faulty[n_faulty].below);
	}
	return reached;
}

/* Labels that a power cut leaves behind at a close are no damage of their own here. */
static bool same_or_clean(const struct findings *before, const struct findings *now)
{
	unsigned other = 0;

	for (unsigned i = 0; i < now->n; i++)
		if (strncmp(now->code[i], "label-", 6) && strncmp(now->code[i], "uber-", 5) && strncmp(now->code[i], "config-", 7) &&
		    strcmp(now->code[i], "space-prev") && !has_at(before, now->code[i], now->where[i]))
			other++;
	return !other;
}

static bool broken_off(size_t i, uint64_t n)
{
	static struct findings before, now;
	struct lcpfs_open_opts oo = { .threads = 2, .memory_bytes = 32u << 20 };
	struct lcpfs_check_opts o = { .repair = LCPFS_REPAIR_LOSSY };
	struct lcpfs_repair_stats st;
	char name[64];
	bool fired;

	damaged(i);
	fsck(&before, false);
	fail_at = n;
	snprintf(name, sizeof name, "flt:%s", dev + strlen("ram:"));
	(void)lcpfs_fsck_repair(name, &oo, &o, NULL, &st, &err);
	fired = close_faulty();
	fsck(&now, false);
	ok_msg(same_or_clean(&before, &now), "%s: broken off at %" PRIu64, cases[i].name, n);
	if (!same_or_clean(&before, &now))
		show(&now, cases[i].name);
	fsck(&before, true);
	if (before.n) {
		st = repair(LCPFS_REPAIR_LOSSY, &now);
		ok_msg(!st.left, "%s: mended after %" PRIu64, cases[i].name, n);
		show(&now, cases[i].name);
	}
	return fired;
}

static size_t case_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (strcmp(cases[i].name, name) == 0)
			return i;
	return 0;
}

static void every_place(const char *name)
{
	size_t i = case_of(name);
	uint64_t n = 0;

	while (n < 200 && broken_off(i, n))
		n++;
	ok(n > 3 && n < 200);
	printf("# %s: %" PRIu64 " places\n", name, n);
}

TEST(safe) { every_place("inode_nlink"); }
TEST(lossy) { every_place("inode_garbage"); }
TEST(space) { every_place("space_free"); }
TEST(records) { every_place("ds_parent"); }

int main(int argc, char *argv[])
{
	static const struct tap_test tests[] = { T(safe), T(lossy), T(space), T(records) };

	lcpfs_blockdev_register("flt", open_faulty, NULL, &err);
	return tap_run(tests, ARRAY_LEN(tests), argc, argv);
}
