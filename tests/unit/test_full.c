/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full pools: filled with every kind of thing until there is no space left, a pool of any size can still be emptied, keeps what was
 * committed, and passes fsck at every stage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lcpfs/lcpfs.h"
#include "tap.h"

struct full {
	const char *name;
	struct lcpfs_pool *p;
	struct lcpfs_dataset *ds;
	unsigned made;
	uint64_t rng;
	struct lcpfs_error err;
};

static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 };

static int write_file(struct full *f, const char *path, size_t len)
{
	struct lcpfs_file *fh;
	uint8_t *buf = malloc(len + 1);
	int rc = lcpfs_file_open(&fh, f->ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &f->err);

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)tap_rand(&f->rng);
	if (!rc) {
		int rc2;

		rc = lcpfs_file_pwrite(fh, buf, len, 0, &f->err);
		rc2 = lcpfs_file_close(fh, rc ? NULL : &f->err);
		rc = rc ? rc : rc2;
	}
	free(buf);
	return rc;
}

static int add_small(struct full *f, const char *path) { return write_file(f, path, 100 + tap_rand(&f->rng) % 8000); }
static int add_big(struct full *f, const char *path) { return write_file(f, path, 300000); }
static int add_dir(struct full *f, const char *path) { return lcpfs_mkdir(f->ds, path, 0755, false, &f->err); }

static int open_pool(struct full *f)
{
	int rc = lcpfs_pool_open(&f->p, f->name, &rw, &f->err);

	return rc ? rc : lcpfs_dataset_open(&f->ds, f->p, "", &f->err);
}

static int close_pool(struct full *f)
{
	lcpfs_dataset_close(f->ds);
	f->ds = NULL;
	return lcpfs_pool_close(f->p, &f->err);
}

/* Until LCPFS_ENOSPC; commits every 50. */
static int fill(struct full *f, int (*add)(struct full *f, const char *path))
{
	char path[32];
	int rc = 0;

	for (; !rc; f->made++) {
		snprintf(path, sizeof path, "x%06u", f->made);
		rc = add(f, path);
		if (!rc && f->made % 50 == 49)
			rc = lcpfs_pool_commit(f->p, &f->err);
		if (f->made > 2000000)
			return -1;
	}
	return rc;
}

static int clean_commit(struct full *f)
{
	return lcpfs_pool_commit(f->p, &f->err);
}

static int remove_all(struct full *f)
{
	char path[32];
	int rc = 0;

	for (unsigned i = 0; i < f->made && !rc; i++) {
		snprintf(path, sizeof path, "x%06u", i);
		rc = lcpfs_remove(f->ds, path, false, &f->err);
		if (rc == -LCPFS_ENOENT)
			rc = 0;
		if (!rc && i % 40 == 39)
			rc = lcpfs_pool_commit(f->p, &f->err);
	}
	return rc ? rc : clean_commit(f);
}

static void say(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	printf("# fsck: %s: %s\n", p->code, p->text);
}

static bool fsck_clean(struct full *f)
{
	struct lcpfs_check_opts o = { .problem = say };
	uint64_t n = 0;

	return lcpfs_fsck(f->name, NULL, &o, &n, &f->err) == 0 && n == 0;
}

static unsigned pools;

static void workload(uint64_t size, const char *what, int (*add)(struct full *f, const char *path))
{
	struct lcpfs_create_opts o = { .open = rw, .size_bytes = size, .name = "full" };
	struct full f = { .rng = size };
	char name[32];
	int rc;

	snprintf(name, sizeof name, "ram:full%u", ++pools);
	f.name = name;
	rc = lcpfs_pool_create(&f.p, f.name, &o, &f.err);

	if (!rc)
		rc = lcpfs_dataset_open(&f.ds, f.p, "", &f.err);
	if (!rc)
		rc = lcpfs_pool_commit(f.p, &f.err);
	if (!ok_msg(!rc, "create: %s", f.err.msg))
		return;
	for (unsigned round = 0; round < 3; round++) {
		unsigned before = f.made;

		rc = fill(&f, add);
		if (!ok_msg(rc == -LCPFS_ENOSPC, "%s, %llu bytes: filling ended with %d: %s", what, (unsigned long long)size, rc, f.err.msg))
			break;
		ok_msg(f.made > before + 2, "%s, %llu bytes, round %u: only %u fitted", what, (unsigned long long)size, round, f.made - before);
		rc = clean_commit(&f);
		if (!ok_msg(!rc, "%s, %llu bytes: commit of a full pool: %s", what, (unsigned long long)size, f.err.msg))
			break;
		if (!ok_msg(!close_pool(&f), "%s", f.err.msg) || !ok_msg(fsck_clean(&f), "fsck of the full pool: %s", f.err.msg) ||
		    !ok_msg(!open_pool(&f), "%s", f.err.msg))
			return;
		rc = remove_all(&f);
		if (!ok_msg(!rc, "%s, %llu bytes: emptying: %s", what, (unsigned long long)size, f.err.msg))
			break;
		printf("# %s in %llu KiB: %u fitted\n", what, (unsigned long long)size / 1024, f.made - before);
		f.made = 0;
	}
	ok_msg(!close_pool(&f), "%s", f.err.msg);
	ok_msg(fsck_clean(&f), "fsck of the emptied pool: %s", f.err.msg);
}

TEST(small_files)
{
	workload(4u << 20, "small files", add_small);
	workload(24u << 20, "small files", add_small);
}

TEST(big_files)
{
	workload(4u << 20, "big files", add_big);
	workload(64u << 20, "big files", add_big);
}

TEST(directories)
{
	workload(2u << 20, "directories", add_dir);
	workload(4u << 20, "directories", add_dir);
}

/* ---- all of it in one transaction ---- */

static int add_in_dirs(struct full *f, const char *path)
{
	char full[64];

	snprintf(full, sizeof full, "all/%.4s/%.5s", path, path);
	if (lcpfs_mkdir(f->ds, full, 0755, true, &f->err) < 0 && f->err.code != LCPFS_EEXIST)
		return -f->err.code;
	snprintf(full, sizeof full, "all/%.4s/%.5s/%s", path, path, path);
	return write_file(f, full, 20 + tap_rand(&f->rng) % (f->made % 3 ? 300 : 6000));
}

static int make_full(struct full *f, const char *name, uint64_t size, int (*add)(struct full *f, const char *path))
{
	struct lcpfs_create_opts o = { .open = rw, .size_bytes = size, .name = "full" };
	int rc;

	*f = (struct full){ .name = name, .rng = size };
	rc = lcpfs_pool_create(&f->p, name, &o, &f->err);
	if (!rc)
		rc = lcpfs_dataset_open(&f->ds, f->p, "", &f->err);
	if (rc)
		return rc;
	rc = fill(f, add);
	return rc == -LCPFS_ENOSPC ? clean_commit(f) : rc;
}

static int other_entries(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	(void)de;
	(void)err;
	++*(unsigned *)arg;
	return 0;
}

/* Every third file, from leaves all over the trees, as an update does that deletes: then the rest. */
static int remove_thirds(struct full *f)
{
	char path[64], name[16];
	int rc = 0;

	for (unsigned step = 0; step < 3 && !rc; step++) {
		for (unsigned i = step; i < f->made && !rc; i += 3) {
			snprintf(name, sizeof name, "x%06u", i);
			snprintf(path, sizeof path, "all/%.4s/%.5s/%s", name, name, name);
			rc = lcpfs_remove(f->ds, path, false, &f->err);
			rc = rc == -LCPFS_ENOENT ? 0 : rc;
		}
		if (!rc)
			rc = clean_commit(f);
	}
	return rc;
}

static void empty_at_once(uint64_t size, bool recursive)
{
	struct full f;
	char name[32];
	unsigned left = 0;
	int rc;

	snprintf(name, sizeof name, "ram:once%u", ++pools);
	rc = make_full(&f, name, size, add_in_dirs);
	if (!ok_msg(!rc, "%llu bytes: filling: %s", (unsigned long long)size, f.err.msg))
		return;
	ok_msg(!close_pool(&f) && !open_pool(&f), "%s", f.err.msg);
	printf("# %llu KiB: %u files in directories\n", (unsigned long long)size / 1024, f.made);
	rc = recursive ? lcpfs_remove(f.ds, "all", true, &f.err) : remove_thirds(&f);
	ok_msg(!rc, "%llu bytes, %s: %s", (unsigned long long)size, recursive ? "all" : "thirds", f.err.msg);
	rc = clean_commit(&f);
	ok_msg(!rc, "%llu bytes: commit: %s", (unsigned long long)size, f.err.msg);
	if (recursive)
		ok(!lcpfs_readdir(f.ds, "", false, other_entries, &left, &f.err) && left == 0);
	ok_msg(!close_pool(&f), "%s", f.err.msg);
	ok_msg(fsck_clean(&f), "fsck of the emptied pool: %s", f.err.msg);
}

TEST(everything_at_once)
{
	static const uint64_t sizes[] = { 3u << 20, 4u << 20, 8u << 20, 24u << 20 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		empty_at_once(sizes[i], true);
		empty_at_once(sizes[i], false);
	}
}

/* What waits in memory is the caller's to commit, however little space is left. */
TEST(no_commit_of_its_own)
{
	struct full f;
	struct lcpfs_stat st;
	int rc = make_full(&f, "ram:own", 8u << 20, add_small);

	for (unsigned i = 0; i < 300 && !rc; i++) {
		char path[16];

		snprintf(path, sizeof path, "x%06u", i);
		rc = lcpfs_remove(f.ds, path, false, &f.err);
	}
	if (!rc)
		rc = clean_commit(&f);
	ok_msg(!rc && !close_pool(&f) && !open_pool(&f), "%s", f.err.msg);
	rc = lcpfs_chmod(f.ds, "x000301", 0, 0700, &f.err); /* in the inode cache only */
	if (!rc)
		rc = lcpfs_chmod(f.ds, "x000302", 0, 0700, &f.err);
	ok_msg(!rc && !close_pool(&f) && !open_pool(&f), "%s", f.err.msg);
	ok_msg(lcpfs_stat(f.ds, "x000301", 0, &st, &f.err) == 0 && (st.mode & 07777) == 0644, "a change was committed by the one after it");
	ok_msg(!close_pool(&f), "%s", f.err.msg);
	ok(fsck_clean(&f));
}

TAP_MAIN(T(small_files), T(big_files), T(directories), T(everything_at_once), T(no_commit_of_its_own))
