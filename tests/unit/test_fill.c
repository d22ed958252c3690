/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No space left, in every way to get there: contents, names and attributes, snapshots, fragments, a host that is full. Removing files, or
 * destroying the snapshots that hold them, always succeeds, down to an empty pool that takes as much again; also after a power cut at each
 * commit on the way down. LCPFS_FULL_ALL: pools up to 1 GiB (default: small ones).
 */
#include "poolstate.h"
#include <errno.h>

#define NAMES 4000000u

struct fill {
	const char *what;
	struct lcpfs_blockdev *disk;   /* closed by the test */
	struct faultdev view;
	struct crashdev *rec;
	struct lcpfs_pool *p;
	struct lcpfs_dataset *ds;
	unsigned made, snaps;
	uint64_t rng, size;
	struct lcpfs_error err;
};

static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 };

static int enter(struct fill *f)
{
	struct lcpfs_blockdev *d = &f->view.dev;
	int rc;

	faultdev_init(&f->view, f->disk, 0, 0, false, 0);
	if (f->rec)
		d = crashdev_dev(f->rec);
	rc = lcpfs_pool_open_dev(&f->p, d, &rw, &f->err);
	return rc ? rc : lcpfs_dataset_open(&f->ds, f->p, "", &f->err);
}

static int leave(struct fill *f)
{
	int rc;

	lcpfs_dataset_close(f->ds);
	f->ds = NULL;
	rc = lcpfs_pool_close(f->p, &f->err);
	f->p = NULL;
	return rc;
}

static int begin(struct fill *f, const char *what, uint64_t size, uint32_t record)
{
	struct lcpfs_create_opts o = { .open = rw, .size_bytes = size, .record_bytes = record };
	int rc;

	*f = (struct fill){ .what = what, .rng = size + 1, .size = size };
	rc = lcpfs_ramdisk_create(&f->disk, "full", 0, LCPFS_DEV_IMAGE, &f->err);
	faultdev_init(&f->view, f->disk, 0, 0, false, 0);
	if (!rc)
		rc = lcpfs_pool_create_dev(&f->p, &f->view.dev, &o, &f->err);
	if (!rc)
		rc = lcpfs_dataset_open(&f->ds, f->p, "", &f->err);
	return rc ? rc : lcpfs_pool_commit(f->p, &f->err);
}

static void end(struct fill *f)
{
	if (f->p)
		leave(f);
	lcpfs_blockdev_close(f->disk);
}

static int write_at(struct fill *f, const char *path, uint64_t off, size_t len)
{
	struct lcpfs_file *fh;
	uint64_t *buf = malloc(len + 8);
	int rc = lcpfs_file_open(&fh, f->ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &f->err), rc2;

	for (size_t i = 0; i < len / 8 + 1; i++)
		buf[i] = tap_rand(&f->rng);
	if (!rc) {
		rc = lcpfs_file_pwrite(fh, buf, len, off, &f->err);
		rc2 = lcpfs_file_close(fh, rc ? NULL : &f->err);
		rc = rc ? rc : rc2;
	}
	free(buf);
	return rc;
}

static void path_of(char path[260], unsigned i, bool is_long)
{
	int n = snprintf(path, 260, "x%07u", i);

	if (is_long) {
		memset(path + n, 'n', 200);
		path[n + 200] = 0;
	}
}

static bool is_long(const struct fill *f) { return strcmp(f->what, "names") == 0; }

/* ---- ways to fill ---- */

static int add_file(struct fill *f, const char *path) { return write_at(f, path, 0, 100 + (tap_rand(&f->rng) >> 20) % 12000); }
static int add_large(struct fill *f, const char *path) { return write_at(f, path, 0, 600000); }
static int add_empty(struct fill *f, const char *path)
{
	uint8_t value[300];
	int rc = write_at(f, path, 0, 0);

	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(tap_rand(&f->rng) >> 30);
	return rc ? rc : lcpfs_xattr_set(f->ds, path, 0, "user.attribute", value, sizeof value, &f->err);
}

static int until_full(struct fill *f, int (*add)(struct fill *f, const char *path))
{
	char path[260];
	int rc = 0;

	for (; !rc && f->made < NAMES; f->made++) {
		path_of(path, f->made, is_long(f));
		rc = add(f, path);
		if (!rc && f->made % 64 == 63)
			rc = lcpfs_pool_commit(f->p, &f->err);
	}
	return rc;
}

/* What one transaction cannot hold any more, the next one can. */
static int remove_one(struct fill *f, const char *path)
{
	int rc = lcpfs_remove(f->ds, path, false, &f->err);

	if (rc == -LCPFS_ENOSPC) {
		rc = lcpfs_pool_commit(f->p, &f->err);
		if (!rc)
			rc = lcpfs_remove(f->ds, path, false, &f->err);
	}
	return rc == -LCPFS_ENOENT ? 0 : rc;
}

/* Every `step`th from `from` on. */
static int remove_some(struct fill *f, unsigned from, unsigned step, unsigned per_commit)
{
	char path[260];
	int rc = 0;

	for (unsigned i = from, n = 0; i < f->made && !rc; i += step) {
		path_of(path, i, is_long(f));
		rc = remove_one(f, path);
		if (!rc && ++n % per_commit == 0)
			rc = lcpfs_pool_commit(f->p, &f->err);
	}
	return rc ? rc : lcpfs_pool_commit(f->p, &f->err);
}

static bool full(struct fill *f, int rc)
{
	return ok_msg(rc == -LCPFS_ENOSPC && f->err.msg[0], "%s, %llu KiB: filling ends with %d: %s", f->what, (unsigned long long)f->size >> 10, rc, f->err.msg) &&
	    ok_msg(lcpfs_pool_commit(f->p, &f->err) == 0, "%s: commit of a full pool: %s", f->what, f->err.msg);
}

static bool done(struct fill *f, const char *step, int rc)
{
	return ok_msg(!rc, "%s, %llu KiB: %s: %s", f->what, (unsigned long long)f->size >> 10, step, f->err.msg);
}

static bool again(struct fill *f)
{
	return done(f, "close", leave(f)) && ok_msg(dev_clean(f->disk), "%s: fsck", f->what) && done(f, "open", enter(f));
}

static uint64_t available(struct fill *f)
{
	struct lcpfs_pool_info i = { 0 };

	return lcpfs_pool_info(f->p, &i, NULL) ? 0 : i.avail_bytes;
}

static int some_commits(struct fill *f)
{
	int rc = 0;

	for (unsigned i = 0; i < 3 && !rc; i++) {
		rc = lcpfs_chmod(f->ds, "", 0, 0755 - i, &f->err);
		if (!rc)
			rc = lcpfs_pool_commit(f->p, &f->err);
	}
	return rc;
}

/* What was free at first is free again, but for chunks that hold the pool's own blocks. */
static bool all_back(struct fill *f, uint64_t at_first)
{
	uint64_t now;

	if (!done(f, "commits of an empty pool", some_commits(f)))
		return false;
	now = available(f);
	return ok_msg(now + f->size / 8 >= at_first, "%s, %llu KiB: %llu KiB are free at the end, %llu were at first", f->what, (unsigned long long)f->size >> 10,
	    (unsigned long long)now >> 10, (unsigned long long)at_first >> 10);
}

static void by_files(const char *what, uint64_t size, int (*add)(struct fill *f, const char *path))
{
	struct fill f;
	uint64_t free_first;
	unsigned first = 0;

	if (!done(&f, "create", begin(&f, what, size, 0)))
		return;
	free_first = available(&f);
	for (unsigned round = 0; round < 2; round++) {
		f.made = 0;
		if (!full(&f, until_full(&f, add)) || !again(&f))
			break;
		ok_msg(round == 0 || f.made * 10 >= first * 7, "%s: %u fit, %u did at first", what, f.made, first);
		first = round ? first : f.made;
		if (!done(&f, "every other", remove_some(&f, 0, 2, 1u << 30)) || !done(&f, "the rest", remove_some(&f, 1, 2, 50)) || !all_back(&f, free_first) ||
		    !again(&f))
			break;
	}
	f.made = 0;
	f.what = "large files";
	if (f.p && full(&f, until_full(&f, add_large)) && done(&f, "remove", remove_some(&f, 0, 1, 50)))
		ok_msg((uint64_t)f.made * 600000 * 8 > free_first * 4, "after %s: %u large files fit into %llu KiB", what, f.made, (unsigned long long)free_first >> 10);
	printf("# %s in %llu KiB: %u\n", what, (unsigned long long)size >> 10, first);
	end(&f);
}

/* Every other small one goes, then large ones fill what is left. */
static void by_fragments(uint64_t size)
{
	struct fill f;
	unsigned small;
	uint64_t free_first;

	if (!done(&f, "create", begin(&f, "fragments", size, 4096)))
		return;
	free_first = available(&f);
	if (full(&f, until_full(&f, add_file)) && done(&f, "every other", remove_some(&f, 0, 2, 70))) {
		small = f.made;
		if (full(&f, until_full(&f, add_large)) && again(&f) && done(&f, "every third", remove_some(&f, 1, 3, 90)) &&
		    full(&f, until_full(&f, add_file)) && again(&f) && done(&f, "all", remove_some(&f, 0, 1, 200)) && all_back(&f, free_first))
			again(&f);
		printf("# fragments in %llu KiB: %u small ones, %u in all\n", (unsigned long long)size >> 10, small, f.made);
	}
	end(&f);
}

/* ---- snapshots ---- */

static int overwrite_under_snapshots(struct fill *f)
{
	size_t piece = (size_t)MIN(f->size / 64, (uint64_t)1 << 20);
	char name[32], path[16];
	const char *n = name;
	int rc = 0;

	for (unsigned i = 0; i < 8 && !rc; i++) {
		snprintf(path, sizeof path, "x%07u", i);
		rc = write_at(f, path, 0, piece);
	}
	f->made = 8;
	while (!rc) {
		snprintf(name, sizeof name, "@s%u", f->snaps);
		rc = lcpfs_snap_create(f->p, &n, 1, false, &f->err);
		f->snaps += !rc;
		for (unsigned i = 0; i < 3 && !rc; i++) {
			snprintf(path, sizeof path, "x%07u", (unsigned)(tap_rand(&f->rng) >> 20) % 8);
			rc = write_at(f, path, (tap_rand(&f->rng) >> 20) % piece / 2, 1 + (tap_rand(&f->rng) >> 20) % (piece / 2));
		}
		if (!rc)
			rc = lcpfs_pool_commit(f->p, &f->err);
	}
	return rc;
}

/* First every third, then the others, newest first; only then the files. */
static int destroy_snapshots(struct fill *f)
{
	char name[32];
	const char *n = name;
	int rc = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = f->snaps; i-- > 0 && !rc; ) {
			snprintf(name, sizeof name, "@s%u", i);
			if ((i % 3 == 0) != (pass == 0))
				continue;
			rc = lcpfs_snap_destroy(f->p, &n, 1, false, NULL, &f->err);
			rc = rc == -LCPFS_ENOENT ? 0 : rc;
			if (!rc && i % 2)
				rc = lcpfs_pool_commit(f->p, &f->err);
		}
	return rc ? rc : lcpfs_pool_commit(f->p, &f->err);
}

static void by_snapshots(uint64_t size, uint32_t record)
{
	struct fill f;
	uint64_t free_first;

	if (!done(&f, "create", begin(&f, "snapshots", size, record)))
		return;
	free_first = available(&f);
	if (full(&f, overwrite_under_snapshots(&f)) && again(&f) && done(&f, "destroy", destroy_snapshots(&f)) && again(&f) &&
	    done(&f, "remove", remove_some(&f, 0, 1, 3)) && all_back(&f, free_first))
		again(&f);
	printf("# snapshots in %llu KiB, records of %u: %u\n", (unsigned long long)size >> 10, record, f.snaps);
	end(&f);
}

/* ---- power cuts on the way down ---- */

static int empty(struct fill *f)
{
	int rc = destroy_snapshots(f);

	return rc ? rc : remove_some(f, 0, 1, f->made / 6 + 1);
}

static void cut_while_emptying(struct fill *f)
{
	size_t n = crashdev_events(f->rec);
	unsigned cuts = 0;

	for (size_t i = 1; i <= n; i++) {
		struct fill g = *f;

		if (!crashdev_is_flush(f->rec, i - 1))
			continue;
		g.rec = NULL;
		if (!ok(crashdev_replay(f->rec, i, NULL, NULL, NULL, &g.disk, NULL) == 0))
			return;
		cuts++;
		if (!ok_msg(dev_clean(g.disk), "%s: cut %zu: fsck", f->what, i) || !done(&g, "open after a cut", enter(&g)) || !done(&g, "emptying after a cut", empty(&g)) || !again(&g)) {
			end(&g);
			return;
		}
		end(&g);
	}
	printf("# %s, %llu KiB: %u cuts on the way down\n", f->what, (unsigned long long)f->size >> 10, cuts);
}

static void empty_with_cuts(const char *what, uint64_t size, int (*add)(struct fill *f, const char *path))
{
	struct fill f;

	if (!done(&f, "create", begin(&f, what, size, 0)))
		return;
	if (full(&f, add ? until_full(&f, add) : overwrite_under_snapshots(&f)) && done(&f, "close", leave(&f)) &&
	    ok(crashdev_create(&f.rec, f.disk, &f.err) == 0)) {
		if (done(&f, "open", enter(&f)) && done(&f, "emptying", empty(&f)) && done(&f, "close", leave(&f)))
			cut_while_emptying(&f);
		crashdev_destroy(f.rec);
	}
	end(&f);
}

/* ---- a host that is full ---- */

/* Only so many blocks of 4 KiB can be written; those that are discarded count no more. */
struct capdev { struct lcpfs_blockdev dev; struct lcpfs_blockdev *below; uint8_t *used; uint64_t n, cap; };

static int cap_read(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err)
{
	return blockdev_read(((struct capdev *)dev)->below, off, buf, len, err);
}

static int cap_write(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct capdev *c = (struct capdev *)dev;

	for (uint64_t b = off / 4096; b <= (off + len - 1) / 4096; b++) {
		if (!c->used[b] && c->n >= c->cap)
			return lcpfs_fail(err, LCPFS_ENOSPC, "%s: write at %llu: no space left on the host", dev->name, (unsigned long long)off);
		c->n += !c->used[b];
		c->used[b] = 1;
	}
	return blockdev_write(c->below, off, buf, len, err);
}

static int cap_flush(struct lcpfs_blockdev *dev, struct lcpfs_error *err) { return blockdev_flush(((struct capdev *)dev)->below, err); }
static int cap_discard(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	struct capdev *c = (struct capdev *)dev;

	for (uint64_t b = div_up(off, 4096); b < (off + len) / 4096; b++) {
		c->n -= c->used[b];
		c->used[b] = 0;
	}
	return blockdev_discard(c->below, off, len, err);
}

static int cap_resize(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err)
{
	struct capdev *c = (struct capdev *)dev;
	int rc;

	for (uint64_t b = div_up(size, 4096); b < div_up(blockdev_size(dev), 4096); b++) {
		c->n -= c->used[b];
		c->used[b] = 0;
	}
	rc = blockdev_resize(c->below, size, err);
	blockdev_set_size(dev, blockdev_size(c->below));
	return rc;
}

static const struct lcpfs_blockdev_ops cap_ops = { .read = cap_read, .write = cap_write, .flush = cap_flush, .discard = cap_discard, .resize = cap_resize };

static int cap_enter(struct fill *f, struct capdev *c)
{
	int rc;

	c->dev.size = blockdev_size(c->below);
	rc = lcpfs_pool_open_dev(&f->p, &c->dev, &rw, &f->err);
	return rc ? rc : lcpfs_dataset_open(&f->ds, f->p, "", &f->err);
}

static void host_full(uint64_t cap)
{
	struct capdev c = { .used = calloc(1 << 16, 1), .cap = cap / 4096 };
	struct lcpfs_create_opts o = { .open = rw };
	struct fill f = { .what = "a full host", .rng = cap, .size = cap };
	uint8_t before[HASH_LEN], after[HASH_LEN];
	unsigned committed = 0;
	int rc = lcpfs_ramdisk_create(&c.below, "host", 0, LCPFS_DEV_IMAGE, &f.err);

	c.dev = *c.below;
	c.dev.ops = &cap_ops;
	f.disk = c.below;
	if (!rc)
		rc = lcpfs_pool_create_dev(&f.p, &c.dev, &o, &f.err);
	if (!rc)
		rc = lcpfs_dataset_open(&f.ds, f.p, "", &f.err);
	while (!rc && f.made < 4000) {
		char path[260];

		path_of(path, f.made, false);
		rc = add_file(&f, path);
		f.made += !rc;
		if (!rc && f.made % 20 == 0) {
			rc = lcpfs_pool_commit(f.p, &f.err);
			if (!rc)
				rc = pool_digest(f.p, before, &f.err);
			committed = rc ? committed : f.made;
		}
	}
	/* the write of the uberblock itself is one whose outcome is not known */
	ok_msg((rc == -LCPFS_ENOSPC || rc == -LCPFS_EUNKNOWN) && f.err.msg[0], "a full host gives %d: %s", rc, f.err.msg);
	lcpfs_dataset_close(f.ds);
	f.ds = NULL;
	lcpfs_pool_close(f.p, NULL);
	f.p = NULL;
	ok_msg(dev_digest(c.below, after, &f.err) == 0 && (!committed || memcmp(before, after, HASH_LEN) == 0), "what was committed is lost: %s", f.err.msg);
	ok(dev_clean(c.below));
	c.cap += (1 << 20) / 4096; /* a little space is found */
	if (done(&f, "open", cap_enter(&f, &c)) && done(&f, "remove", remove_some(&f, 0, 2, 100)) && done(&f, "remove the rest", remove_some(&f, 1, 2, 100)))
		done(&f, "close", leave(&f));
	ok(dev_clean(c.below));
	printf("# a host with %llu KiB: %u of %u files committed\n", (unsigned long long)cap >> 10, committed, f.made);
	end(&f);
	free(c.used);
}

/* ---- sizes ---- */

static const uint64_t small_sizes[] = { 4u << 20, 9u << 20 };
static const uint64_t all_sizes[] = { 2u << 20, 3u << 20, 4u << 20, 5u << 20, 8u << 20, 17u << 20, 64u << 20, 256u << 20, 1u << 30 };

#define EACH_SIZE(max, call)                                                                    \
	do {                                                                                    \
		bool all = getenv("LCPFS_FULL_ALL");                                            \
		const uint64_t *sizes = all ? all_sizes : small_sizes;                          \
		for (size_t i = 0; i < (all ? ARRAY_LEN(all_sizes) : ARRAY_LEN(small_sizes)); i++) \
			if (sizes[i] <= (uint64_t)(max))                                        \
				call;                                                           \
	} while (0)

TEST(contents) { EACH_SIZE(256 << 20, by_files("small files", sizes[i], add_file)); }
TEST(large) { EACH_SIZE(1u << 30, by_files("large files", sizes[i], add_large)); }
TEST(names) { EACH_SIZE(all ? 64 << 20 : 4 << 20, by_files("names", sizes[i], add_empty)); }
TEST(fragments) { EACH_SIZE(256 << 20, by_fragments(sizes[i])); }
TEST(snapshots) { EACH_SIZE(1u << 30, by_snapshots(sizes[i], 0)); }
TEST(snapshots_small_records) { EACH_SIZE(64 << 20, by_snapshots(sizes[i], 4096)); }
TEST(cuts)
{
	EACH_SIZE(all ? 64 << 20 : 4 << 20, empty_with_cuts("small files", sizes[i], add_file));
	EACH_SIZE(all ? 8 << 20 : 4 << 20, empty_with_cuts("names", sizes[i], add_empty));
	EACH_SIZE(all ? 64 << 20 : 4 << 20, empty_with_cuts("snapshots", sizes[i], NULL));
}
TEST(host)
{
	for (uint64_t cap = 1 << 20; cap <= 4 << 20; cap += getenv("LCPFS_FULL_ALL") ? 65536 : 1 << 20)
		host_full(cap);
}

TAP_MAIN(T(contents), T(large), T(names), T(fragments), T(snapshots), T(snapshots_small_records), T(cuts), T(host))
