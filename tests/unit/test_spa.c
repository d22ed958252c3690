/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool as a whole: what opens after damage, what a failure of the device at any moment leaves, what a read session and a session without
 * commit leave, locks, features.
 */
#include <unistd.h>
#include "base/log.h"
#include "poolstate.h"
#include "zpl/handle.h"

static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 }, ro = { .flags = LCPFS_OPEN_RO, .threads = 1 };
static struct lcpfs_error err;

static char warned[4096];

static void note_log(void *arg, int level, const char *layer, const char *msg)
{
	(void)arg;
	(void)layer;
	if (level <= LCPFS_LOG_WARN && strlen(warned) + strlen(msg) + 2 < sizeof warned)
		strcat(strcat(warned, msg), "\n");
}

static const struct lcpfs_hooks hooks = { .log = note_log };

/* ---- a device that several handles in turn work on ---- */

static int open_on(struct lcpfs_pool **p, struct faultdev *f, struct lcpfs_blockdev *d, const struct lcpfs_open_opts *o)
{
	faultdev_init(f, d, 0, 0, false, LCPFS_EIO);
	return lcpfs_pool_open_dev(p, &f->dev, o, &err);
}

static int create_on(struct lcpfs_pool **p, struct faultdev *f, struct lcpfs_blockdev *d)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };

	faultdev_init(f, d, 0, 0, false, LCPFS_EIO);
	return lcpfs_pool_create_dev(p, &f->dev, &o, &err);
}

static int fill_base(struct lcpfs_pool *p)
{
	int rc = put_files(p, "", 20, 1, &err);

	if (!rc)
		rc = take_snap(p, "@one", &err);
	if (!rc)
		rc = put_file(p, "", "f03", 50000, 2, &err);
	if (!rc)
		rc = lcpfs_pool_commit(p, &err);
	if (!rc)
		rc = take_snap(p, "@two", &err);
	if (!rc)
		rc = put_file(p, "", "f04", 7000, 3, &err);
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

static struct lcpfs_blockdev *make_base(uint64_t disk_size)
{
	struct lcpfs_blockdev *d;
	struct lcpfs_pool *p = NULL;
	struct faultdev f;
	int rc = lcpfs_ramdisk_create(&d, "base", disk_size, disk_size ? 0 : LCPFS_DEV_IMAGE, &err);

	if (!rc)
		rc = create_on(&p, &f, d);
	if (!rc)
		rc = fill_base(p);
	if (!rc)
		rc = lcpfs_pool_close(p, &err);
	ok_msg(!rc, "base: %s", err.msg);
	return d;
}

TEST(commit_and_reopen)
{
	uint8_t before[HASH_LEN], after[HASH_LEN];

	for (unsigned disk = 0; disk < 3; disk++) {
		struct lcpfs_blockdev *d;
		struct lcpfs_pool *p = NULL;
		struct faultdev f;

		is_int(lcpfs_ramdisk_create(&d, "pool", disk ? 64 << 20 : 0, disk ? 0 : LCPFS_DEV_IMAGE, &err), 0);
		d->sector = disk == 2 ? 4096 : 512;
		ok_msg(create_on(&p, &f, d) == 0 && fill_base(p) == 0 && pool_digest(p, before, &err) == 0, "%s", err.msg);
		ok_msg(lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
		ok_msg(dev_digest(d, after, &err) == 0, "%s", err.msg);
		is_mem(after, before, HASH_LEN);
		ok(dev_clean(d));
		for (unsigned i = 0; i < 4; i++) { /* what comes free is used again, and nothing else */
			const char *two = "@two";

			ok_msg(open_on(&p, &f, d, &rw) == 0, "%s", err.msg);
			ok(put_file(p, "", "again", 3 << 20, i, &err) == 0 && lcpfs_pool_commit(p, &err) == 0);
			if (i == 2)
				ok_msg(lcpfs_snap_destroy(p, &two, 1, false, NULL, &err) == 0 && lcpfs_pool_commit(p, &err) == 0, "%s", err.msg);
			ok_msg(lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
			ok(dev_clean(d));
		}
		ok_msg(disk || blockdev_size(d) < 16 << 20, "the image has %llu bytes", (unsigned long long)blockdev_size(d));
		lcpfs_blockdev_close(d);
	}
}

/* ---- features ---- */

static struct lcpfs_blockdev *with_feature(struct lcpfs_blockdev *base, bool incompat)
{
	struct lcpfs_blockdev *d = clone_ram(base);
	struct lcpfs_pool *p;
	struct faultdev f;
	struct config *c;

	if (!ok(open_on(&p, &f, d, &rw) == 0))
		return d;
	c = vdev_config_edit(p->spa->vdev);
	is_int(config_add_feature(incompat ? &c->incompat : &c->ro_compat, "org.example.magic", &err), 0);
	is_int(lcpfs_pool_commit(p, &err), 0);
	(void)lcpfs_pool_close(p, NULL); /* what it made is beyond it */
	return d;
}

TEST(features)
{
	struct lcpfs_blockdev *base = make_base(0), *d = with_feature(base, true);
	struct lcpfs_pool *p;
	struct faultdev f;

	is_int(open_on(&p, &f, d, &ro), -LCPFS_EUNSUP);
	ok_msg(strstr(err.msg, "org.example.magic"), "%s", err.msg);
	is_int(open_on(&p, &f, d, &rw), -LCPFS_EUNSUP);
	lcpfs_blockdev_close(d);
	d = with_feature(base, false);
	is_int(open_on(&p, &f, d, &rw), -LCPFS_EUNSUP);
	ok_msg(strstr(err.msg, "org.example.magic") && strstr(err.msg, "read-only"), "%s", err.msg);
	is_int(open_on(&p, &f, d, &ro), 0);
	is_str(lcpfs_pool_feature(p, 1, 0), "org.example.magic");
	is_int(lcpfs_pool_close(p, &err), 0);
	lcpfs_blockdev_close(d);
	lcpfs_blockdev_close(base);
}

/* ---- damage at the top ---- */

struct top { struct uberblock ub, prev; uint64_t back; uint32_t ring; };

static void look(struct lcpfs_blockdev *d, struct top *t)
{
	struct lcpfs_pool *p;
	struct faultdev f;
	const struct vdev_uber *u;
	size_t n;

	if (!ok_msg(open_on(&p, &f, d, &ro) == 0, "%s", err.msg))
		return;
	u = vdev_ubers(p->spa->vdev, &n);
	t->ub = *vdev_current(p->spa->vdev);
	for (size_t i = 0; i < n; i++)
		if (u[i].ub.txg == t->ub.prev_txg[0])
			t->prev = u[i].ub;
	t->ring = vdev_label(p->spa->vdev)->ring_slots;
	t->back = blockdev_size(d) - label_front_bytes(9, t->ring, UNIT);
	lcpfs_pool_close(p, NULL);
}

static void spoil(struct lcpfs_blockdev *d, uint64_t off)
{
	uint8_t b[512];

	blockdev_read(d, off, b, sizeof b, NULL);
	b[100] ^= 0x55;
	blockdev_write(d, off, b, sizeof b, NULL);
}

static uint64_t uber_at(const struct top *t, bool back)
{
	return (back ? t->back : UNIT) + t->ub.txg % t->ring * 4096;
}

/* Each copy of it. */
static void spoil_node(struct lcpfs_blockdev *d, const struct blkptr *bp)
{
	uint64_t off[2] = { 0 };
	struct lcpfs_pool *p;
	struct faultdev f;
	const struct cfg_chunk *k;

	if (!ok_msg(open_on(&p, &f, d, &ro) == 0, "%s", err.msg))
		return;
	k = config_chunk(vdev_config(p->spa->vdev), ptr_chunk(bp));
	for (unsigned i = 0; i < k->width; i++)
		off[i] = k->member[i].start_unit * UNIT + (uint64_t)ptr_sector(bp) * SECTOR;
	lcpfs_pool_close(p, NULL);
	for (unsigned i = 0; i < 2 && off[i]; i++)
		spoil(d, off[i]);
}

enum { HURT_UBER, HURT_ROOT, HURT_CONFIG, HURT_BEFORE, HURT_SPACE_BEFORE };

static void hurt(struct lcpfs_blockdev *d, const struct top *t, unsigned what)
{
	uint64_t slots = 4096 * (uint64_t)t->ring;

	if (what == HURT_UBER) {
		spoil(d, uber_at(t, false));
		spoil(d, uber_at(t, true));
	} else if (what == HURT_ROOT) {
		spoil_node(d, &t->ub.pool_root);
	} else if (what == HURT_CONFIG) {
		spoil(d, UNIT + slots + t->ub.cfg_slot * UNIT);
		spoil(d, t->back + slots + t->ub.cfg_slot * UNIT);
	} else if (what == HURT_BEFORE) {
		struct top before = *t;

		before.ub = t->prev;
		spoil(d, uber_at(&before, false));
		spoil(d, uber_at(&before, true));
	} else {
		spoil_node(d, &t->prev.space_root);
	}
}

/* Two commits with different content, with many numbers skipped between them when `skip`; then one more state that is to be damaged. */
static struct lcpfs_blockdev *two_states(unsigned skip, uint8_t first[HASH_LEN], uint8_t second[HASH_LEN])
{
	struct lcpfs_blockdev *d = make_base(0);
	struct lcpfs_pool *p;
	struct faultdev f;
	char name[16];

	if (!ok_msg(open_on(&p, &f, d, &rw) == 0, "%s", err.msg))
		return d;
	for (unsigned i = 0; i < skip; i++) {
		snprintf(name, sizeof name, "@s%u", i);
		ok_msg(take_snap(p, name, &err) == 0, "%s", err.msg);
	}
	is_int(put_file(p, "", "state", 1000, 1, &err), 0);
	is_int(lcpfs_pool_commit(p, &err), 0);
	is_int(pool_digest(p, first, &err), 0);
	for (unsigned i = 0; i < skip; i++) {
		snprintf(name, sizeof name, "@t%u", i);
		ok_msg(take_snap(p, name, &err) == 0, "%s", err.msg);
	}
	is_int(put_file(p, "", "state", 40000, 2, &err), 0);
	is_int(put_file(p, "", "grown", 2 << 20, 2, &err), 0); /* another config */
	is_int(lcpfs_pool_commit(p, &err), 0);
	is_int(pool_digest(p, second, &err), 0);
	is_int(lcpfs_pool_close(p, &err), 0);
	return d;
}

/*
 * Work goes on from `want`; whatever label is lost then, the state that was abandoned is not seen again. scar: the code of what fsck may
 * go on naming: a lost commit stays in the ring for a while.
 */
static void goes_on(struct lcpfs_blockdev *d, const uint8_t *want, const uint8_t *gone, bool rewinds, const char *scar, uint64_t high)
{
	uint8_t now[HASH_LEN], held[HASH_LEN];
	struct lcpfs_pool *p;
	struct faultdev f;
	struct top t;

	for (unsigned i = 0; i < 7; i++) {
		if (!ok_msg(open_on(&p, &f, d, &rw) == 0, "open %u: %s", i, err.msg))
			return;
		if (i == 0 && rewinds)
			ok_msg(vdev_current(p->spa->vdev)->txg > high, "txg %llu after %llu", (unsigned long long)vdev_current(p->spa->vdev)->txg,
			    (unsigned long long)high);
		ok_msg(pool_digest(p, now, &err) == 0, "%s", err.msg);
		is_mem(now, want, HASH_LEN);
		if (i % 3 == 1) { /* one that drops what it did */
			ok(put_file(p, "", "dropped", 3 << 20, i, &err) == 0);
		} else if (i) {
			ok(put_file(p, "", "more", 100000, i, &err) == 0 && lcpfs_pool_commit(p, &err) == 0);
			ok(pool_digest(p, held, &err) == 0);
			want = held;
		}
		ok_msg(lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
		if (!ok(dev_clean_but(d, scar)))
			return;
		if (i == 0 && gone) { /* by the back label alone */
			struct lcpfs_blockdev *c = clone_ram(d);

			blockdev_write(c, 0, (uint8_t[65536]){ 0 }, 65536, NULL);
			look(d, &t);
			for (unsigned s = 0; s < t.ring; s++)
				blockdev_write(c, UNIT + s * 4096, (uint8_t[4096]){ 0 }, 4096, NULL);
			ok_msg(dev_digest(c, now, &err) == 0 && memcmp(now, gone, HASH_LEN) != 0, "the abandoned state came back: %s", err.msg);
			lcpfs_blockdev_close(c);
		}
	}
}

static void fallback(unsigned what, unsigned skip)
{
	static const char *const names[] = { "uberblock", "pool root", "config", "uberblock before", "space tree before" };
	uint8_t first[HASH_LEN], second[HASH_LEN], now[HASH_LEN];
	struct lcpfs_blockdev *d = two_states(skip, first, second);
	bool newest = what >= HURT_BEFORE;
	struct top t = { 0 };

	look(d, &t);
	if (what == HURT_UBER) { /* one label is enough */
		spoil(d, uber_at(&t, false));
		ok(dev_digest(d, now, &err) == 0);
		is_mem(now, second, HASH_LEN);
		spoil(d, uber_at(&t, false));
	}
	hurt(d, &t, what);
	warned[0] = 0;
	ok_msg(dev_digest(d, now, &err) == 0, "%s: %s", names[what], err.msg);
	ok_msg(memcmp(now, newest ? second : first, HASH_LEN) == 0, "%s damaged: read-only opens another state", names[what]);
	ok_msg(what == HURT_UBER || newest || strstr(warned, "taking commit"), "%s damaged: not told: %s", names[what], warned);
	goes_on(d, newest ? second : first, what == HURT_ROOT || what == HURT_CONFIG ? second : NULL,
	    what != HURT_UBER && what != HURT_SPACE_BEFORE,
	    what == HURT_UBER ? "uber-lost" : what == HURT_SPACE_BEFORE ? "space-prev" : NULL, t.ub.txg);
	lcpfs_blockdev_close(d);
}

TEST(damaged_top)
{
	lcpfs_set_hooks(&hooks);
	for (unsigned what = HURT_UBER; what <= HURT_SPACE_BEFORE; what++)
		for (unsigned skip = 0; skip <= 40; skip += 20)
			fallback(what, skip);
	lcpfs_set_hooks(NULL);
}

/* An image whose front header is gone lives on by the back one, and has a front one again before it grows over it. */
TEST(front_label_lost)
{
	uint8_t first[HASH_LEN], second[HASH_LEN], now[HASH_LEN];
	struct lcpfs_blockdev *d = two_states(0, first, second), *c;
	struct lcpfs_pool *p;
	struct faultdev f;

	spoil(d, 4096);
	ok_msg(dev_digest(d, now, &err) == 0, "%s", err.msg);
	is_mem(now, second, HASH_LEN);
	is_int(open_on(&p, &f, d, &rw), 0);
	ok(put_file(p, "", "grown", 5 << 20, 9, &err) == 0);
	c = clone_ram(d); /* the power goes before the commit */
	ok_msg(dev_digest(c, now, &err) == 0, "%s", err.msg);
	is_mem(now, second, HASH_LEN);
	lcpfs_blockdev_close(c);
	is_int(lcpfs_pool_commit(p, &err), 0);
	is_int(lcpfs_pool_close(p, &err), 0);
	ok(dev_clean(d));
	lcpfs_blockdev_close(d);
}

/* ---- skipped numbers ---- */

TEST(many_snapshots_in_one_commit)
{
	struct lcpfs_blockdev *d = make_base(0);
	struct lcpfs_pool *p;
	struct lcpfs_pool_info before, after;
	struct faultdev f;
	char name[16];

	for (unsigned round = 1; round <= 3; round++) {
		uint8_t a[HASH_LEN], b[HASH_LEN];

		is_int(open_on(&p, &f, d, &rw), 0);
		is_int(lcpfs_pool_info(p, &before, &err), 0);
		for (unsigned i = 0; i < 16 * round; i++) {
			snprintf(name, sizeof name, "@r%u-%u", round, i);
			ok_msg(take_snap(p, name, &err) == 0, "%s", err.msg);
			if (i % 5 == 0)
				ok(put_file(p, "", "between", 2000, i, &err) == 0);
		}
		is_int(lcpfs_pool_commit(p, &err), 0);
		is_int(lcpfs_pool_info(p, &after, &err), 0);
		ok_msg(after.txg >= before.txg + 16 * round, "txg %llu, then %llu", (unsigned long long)before.txg, (unsigned long long)after.txg);
		is_int(pool_digest(p, a, &err), 0);
		is_int(lcpfs_pool_close(p, &err), 0);
		ok(dev_digest(d, b, &err) == 0);
		is_mem(b, a, HASH_LEN);
		ok(dev_clean(d));
	}
	lcpfs_blockdev_close(d);
}

/* ---- failures of the device ---- */

static int sc_write(struct lcpfs_pool *p)
{
	int rc = put_files(p, "", 20, 100, &err);

	if (!rc)
		rc = put_file(p, "", "big", 3 << 20, 5, &err);
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

static int sc_snap(struct lcpfs_pool *p)
{
	int rc = put_file(p, "", "f05", 5000, 4, &err);

	if (!rc)
		rc = take_snap(p, "@three", &err);
	if (!rc)
		rc = put_file(p, "", "f05", 6000, 5, &err);
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

static int sc_destroy(struct lcpfs_pool *p)
{
	const char *snaps[] = { "@one", "@two" };
	int rc = lcpfs_snap_destroy(p, snaps, 2, false, NULL, &err);

	return rc ? rc : lcpfs_pool_commit(p, &err);
}

static int sc_clone(struct lcpfs_pool *p)
{
	int rc = lcpfs_clone(p, "@one", "c", &err);

	if (!rc)
		rc = put_file(p, "c", "f01", 30000, 6, &err);
	if (!rc)
		rc = lcpfs_promote(p, "c", &err);
	if (!rc)
		rc = lcpfs_rollback(p, "@two", "kept", &err);
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

static int sc_first(struct lcpfs_pool *p)
{
	int rc = put_files(p, "", 20, 1, &err);

	if (!rc)
		rc = take_snap(p, "@one", &err);
	if (!rc)
		rc = put_file(p, "", "big", 3 << 20, 2, &err);
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

typedef int scenario_fn(struct lcpfs_pool *p);

/* Dead with one error, whatever is called next. */
static void check_dead(struct lcpfs_pool *p, unsigned kind, uint64_t n)
{
	struct lcpfs_error again = { 0 };
	char first[480];
	int rc = lcpfs_pool_commit(p, &err);

	memcpy(first, err.msg, sizeof first);
	ok_msg(rc < 0, "kind %u, call %llu: a commit after the failure succeeds", kind, (unsigned long long)n);
	ok_msg(put_file(p, "", "more", 100, 1, &again) == rc && strcmp(again.msg, first) == 0, "then '%s', not '%s'", again.msg, first);
	ok_msg(take_snap(p, "@more", &again) == rc, "%s", again.msg);
}

/* True while the nth call was reached. */
static bool fail_nth(struct lcpfs_blockdev *base, scenario_fn *fn, unsigned kind, bool sticky, uint64_t n, const uint8_t *before,
                     const uint8_t *after)
{
	struct lcpfs_blockdev *d = base ? clone_ram(base) : NULL;
	uint8_t now[HASH_LEN];
	struct lcpfs_pool *p = NULL;
	struct faultdev f;
	int rc, created = 0;
	bool done, reached;

	if (!d)
		created = lcpfs_ramdisk_create(&d, "new", 0, LCPFS_DEV_IMAGE, &err);
	faultdev_init(&f, d, kind, n, sticky, LCPFS_EIO);
	if (base)
		rc = lcpfs_pool_open_dev(&p, &f.dev, &rw, &err);
	else
		rc = created ? created : lcpfs_pool_create_dev(&p, &f.dev, &(struct lcpfs_create_opts){ .open = rw, .reproducible = true }, &err);
	if (!rc) {
		rc = fn(p);
		if (rc)
			check_dead(p, kind, n);
		done = rc == 0;
		(void)lcpfs_pool_close(p, &err);
	} else {
		done = false;
	}
	reached = f.seen > n;
	rc = dev_digest(d, now, &err);
	if (!base && !done && rc)
		ok(!done); /* not committed: nothing to open */
	else if (ok_msg(!rc, "kind %u, call %llu: does not open again: %s", kind, (unsigned long long)n, err.msg)) {
		ok_msg(memcmp(now, after, HASH_LEN) == 0 || (!done && before && memcmp(now, before, HASH_LEN) == 0),
		    "kind %u, call %llu: neither the state before nor after", kind, (unsigned long long)n);
		ok_msg(dev_clean(d), "kind %u, call %llu", kind, (unsigned long long)n);
	}
	lcpfs_blockdev_close(d);
	return reached;
}

static void fail_everywhere(struct lcpfs_blockdev *base, scenario_fn *fn)
{
	static const unsigned kinds[] = { FAULT_WRITE, FAULT_FLUSH, FAULT_RESIZE };
	uint8_t before[HASH_LEN] = { 0 }, after[HASH_LEN];
	struct lcpfs_blockdev *d = base ? clone_ram(base) : NULL;
	struct lcpfs_pool *p = NULL;
	struct faultdev f;

	if (base)
		ok(dev_digest(base, before, &err) == 0 && open_on(&p, &f, d, &rw) == 0);
	else
		ok(lcpfs_ramdisk_create(&d, "new", 0, LCPFS_DEV_IMAGE, &err) == 0 && create_on(&p, &f, d) == 0);
	ok_msg(p && fn(p) == 0 && lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
	ok(dev_digest(d, after, &err) == 0);
	lcpfs_blockdev_close(d);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (unsigned sticky = 0; sticky < 2; sticky++) {
			uint64_t n = 0;

			while (fail_nth(base, fn, kinds[k], sticky, n, base ? before : NULL, after))
				n++;
			printf("# kind %u%s: %llu calls\n", kinds[k], sticky ? ", from then on" : "", (unsigned long long)n);
		}
}

TEST(failures_while_filling) { fail_everywhere(NULL, sc_first); }

TEST(failures_of_an_image)
{
	struct lcpfs_blockdev *base = make_base(0);

	fail_everywhere(base, sc_write);
	fail_everywhere(base, sc_snap);
	fail_everywhere(base, sc_destroy);
	fail_everywhere(base, sc_clone);
	lcpfs_blockdev_close(base);
}

TEST(failures_of_a_disk)
{
	struct lcpfs_blockdev *base = make_base(48 << 20);

	fail_everywhere(base, sc_write);
	fail_everywhere(base, sc_destroy);
	lcpfs_blockdev_close(base);
}

/* A read that fails may fail an operation; if it left something half-done, nothing of it can be committed. */
TEST(reads_fail)
{
	static scenario_fn *const all[] = { sc_write, sc_snap, sc_destroy, sc_clone };
	struct lcpfs_blockdev *base = make_base(0);
	uint8_t before[HASH_LEN], now[HASH_LEN];

	ok(dev_digest(base, before, &err) == 0);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		bool reached = true;

		for (uint64_t n = 24; reached; n++) { /* the labels' slots come first */
			struct lcpfs_blockdev *d = clone_ram(base);
			struct lcpfs_pool *p;
			struct faultdev f;

			faultdev_init(&f, d, FAULT_READ, n, false, LCPFS_EIO);
			if (lcpfs_pool_open_dev(&p, &f.dev, &rw, &err) == 0) {
				if (all[i](p))
					(void)lcpfs_pool_commit(p, &err);
				(void)lcpfs_pool_close(p, &err);
			}
			reached = f.seen > n;
			ok_msg(dev_digest(d, now, &err) == 0, "read %llu: %s", (unsigned long long)n, err.msg);
			ok_msg(dev_clean(d), "scenario %zu, read %llu", i, (unsigned long long)n);
			lcpfs_blockdev_close(d);
		}
	}
	lcpfs_blockdev_close(base);
}

/* ---- sessions that write nothing ---- */

static bool same_bytes(struct lcpfs_blockdev *d, const uint8_t *was, uint64_t size)
{
	uint8_t *now = dev_bytes(d);
	bool same = blockdev_size(d) == size && memcmp(now, was, size) == 0;

	free(now);
	return same;
}

TEST(reading_writes_nothing)
{
	struct lcpfs_blockdev *d = make_base(0);
	uint64_t size = blockdev_size(d);
	uint8_t *was = dev_bytes(d), hash[HASH_LEN];
	struct lcpfs_pool *p;
	struct faultdev f;

	faultdev_init(&f, d, FAULT_WRITE | FAULT_FLUSH | FAULT_RESIZE, 0, true, LCPFS_EIO);
	is_int(lcpfs_pool_open_dev(&p, &f.dev, &ro, &err), 0);
	ok(pool_digest(p, hash, &err) == 0);
	is_int(lcpfs_pool_commit(p, &err), -LCPFS_EROFS);
	is_int(put_file(p, "", "x", 10, 1, &err), -LCPFS_EROFS);
	is_int(take_snap(p, "@x", &err), -LCPFS_EROFS);
	is_int(lcpfs_dataset_create(p, "x", false, &err), -LCPFS_EROFS);
	is_int(lcpfs_pool_close(p, &err), 0);
	is_int(f.seen, 0);
	ok(same_bytes(d, was, size));
	/* opened for writing, and nothing changed */
	faultdev_init(&f, d, FAULT_WRITE | FAULT_FLUSH | FAULT_RESIZE, 0, true, LCPFS_EIO);
	is_int(lcpfs_pool_open_dev(&p, &f.dev, &rw, &err), 0);
	ok(pool_digest(p, hash, &err) == 0);
	is_int(lcpfs_pool_close(p, &err), 0);
	is_int(f.seen, 0);
	ok(same_bytes(d, was, size));
	free(was);
	lcpfs_blockdev_close(d);
}

TEST(dropped_changes)
{
	static const size_t sizes[] = { 2000, 100000, 6 << 20, 90 << 20 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct lcpfs_blockdev *d = make_base(0);
		uint64_t size = blockdev_size(d);
		uint8_t before[HASH_LEN], after[HASH_LEN];
		struct lcpfs_pool *p;
		struct faultdev f;

		ok(dev_digest(d, before, &err) == 0);
		is_int(open_on(&p, &f, d, &rw), 0);
		is_int(put_file(p, "", "dropped", sizes[i], 1, &err), 0);
		is_int(take_snap(p, "@dropped", &err), 0);
		is_int(lcpfs_pool_close(p, &err), 0);
		is_int(blockdev_size(d), size);
		ok(dev_digest(d, after, &err) == 0);
		is_mem(after, before, HASH_LEN);
		ok(dev_clean(d));
		/* also after a commit of the same handle */
		is_int(open_on(&p, &f, d, &rw), 0);
		ok(put_file(p, "", "kept", 5000, 1, &err) == 0 && lcpfs_pool_commit(p, &err) == 0 && pool_digest(p, before, &err) == 0);
		is_int(put_file(p, "", "dropped", sizes[i], 1, &err), 0);
		is_int(lcpfs_pool_close(p, &err), 0);
		ok(dev_digest(d, after, &err) == 0);
		is_mem(after, before, HASH_LEN);
		ok(dev_clean(d));
		lcpfs_blockdev_close(d);
	}
}

TEST(never_committed)
{
	struct lcpfs_blockdev *d;
	struct lcpfs_pool *p;
	struct faultdev f;

	is_int(lcpfs_ramdisk_create(&d, "never", 0, LCPFS_DEV_IMAGE, &err), 0);
	is_int(create_on(&p, &f, d), 0);
	is_int(put_files(p, "", 5, 1, &err), 0);
	is_int(lcpfs_pool_close(p, &err), 0);
	is_int(open_on(&p, &f, d, &ro), -LCPFS_ECORRUPT);
	lcpfs_blockdev_close(d);
}

/* ---- locks and files ---- */

static void check_locks(const char *path)
{
	static const struct lcpfs_open_opts live = { .flags = LCPFS_OPEN_LIVE, .threads = 1 };
	struct lcpfs_pool *a, *b;

	is_int(lcpfs_pool_open(&a, path, &rw, &err), 0);
	is_int(lcpfs_pool_open(&b, path, &rw, &err), -LCPFS_EBUSY);
	is_int(lcpfs_pool_open(&b, path, &ro, &err), -LCPFS_EBUSY);
	is_int(lcpfs_pool_open(&b, path, &live, &err), 0);
	is_int(lcpfs_pool_close(b, &err), 0);
	is_int(lcpfs_pool_close(a, &err), 0);
	is_int(lcpfs_pool_open(&a, path, &ro, &err), 0);
	is_int(lcpfs_pool_open(&b, path, &ro, &err), 0);
	is_int(lcpfs_pool_close(b, &err), 0);
	is_int(lcpfs_pool_open(&b, path, &rw, &err), -LCPFS_EBUSY);
	is_int(lcpfs_pool_close(a, &err), 0);
	is_int(lcpfs_pool_open(&b, path, &rw, &err), 0);
	is_int(lcpfs_pool_close(b, &err), 0);
}

static void make_at(const char *path)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 } };
	struct lcpfs_pool *p = NULL;

	ok_msg(lcpfs_pool_create(&p, path, &o, &err) == 0 && fill_base(p) == 0 && lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
	is_int(lcpfs_pool_create(&p, path, &o, &err), -LCPFS_EEXIST);
}

TEST(locks)
{
	static const struct lcpfs_create_opts bad = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .checksum = "none" };
	char dir[] = "/tmp/lcpfs-spa-XXXXXX", path[64];
	struct lcpfs_pool *p;
	struct stat st, after;

	make_at("ram:locks");
	check_locks("ram:locks");
	if (!ok(mkdtemp(dir) != NULL))
		return;
	snprintf(path, sizeof path, "%s/pool", dir);
	is_int(lcpfs_pool_create(&p, path, &bad, &err), -LCPFS_EINVAL);
	ok_msg(stat(path, &st) != 0, "a file that was not made into a pool stays");
	make_at(path);
	check_locks(path);
	is_int(chmod(path, 0444), 0);
	is_int(stat(path, &st), 0);
	is_int(lcpfs_pool_open(&p, path, &ro, &err), 0);
	is_int(lcpfs_pool_close(p, &err), 0);
	is_int(stat(path, &after), 0);
	ok(st.st_mtim.tv_sec == after.st_mtim.tv_sec && st.st_mtim.tv_nsec == after.st_mtim.tv_nsec && st.st_size == after.st_size);
	unlink(path);
	rmdir(dir);
}

/* ---- the same bytes for any number of threads ---- */

static int churn(struct lcpfs_pool *p)
{
	char path[32];
	int rc = 0;

	for (unsigned i = 0; i < 150 && !rc; i++) {
		snprintf(path, sizeof path, "f%02u", i % 40);
		rc = put_file(p, "", path, i % 7 ? 5000 + i * 97 : 2500000, i, &err);
		if (!rc && i % 31 == 30) {
			snprintf(path, sizeof path, "@s%u", i);
			rc = take_snap(p, path, &err);
		}
		if (!rc && i == 100)
			rc = lcpfs_pool_commit(p, &err);
	}
	return rc ? rc : lcpfs_pool_commit(p, &err);
}

TEST(any_number_of_threads)
{
	uint8_t *first = NULL;
	uint64_t first_size = 0;

	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	for (unsigned disk = 0; disk < 2; disk++) {
		for (unsigned threads = 1; threads <= 8; threads *= 2) {
			struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = threads }, .reproducible = true };
			struct lcpfs_blockdev *d;
			struct lcpfs_pool *p = NULL;
			struct faultdev f;

			is_int(lcpfs_ramdisk_create(&d, "threads", disk ? 160 << 20 : 0, disk ? 0 : LCPFS_DEV_IMAGE, &err), 0);
			faultdev_init(&f, d, 0, 0, false, LCPFS_EIO);
			ok_msg(lcpfs_pool_create_dev(&p, &f.dev, &o, &err) == 0 && churn(p) == 0, "%s", err.msg);
			ok_msg(lcpfs_pool_close(p, &err) == 0, "%s", err.msg);
			if (threads == 1) {
				free(first);
				first = dev_bytes(d);
				first_size = blockdev_size(d);
				ok(dev_clean(d));
			}
			ok_msg(same_bytes(d, first, first_size), "%u threads: other bytes", threads);
			lcpfs_blockdev_close(d);
		}
	}
	free(first);
	unsetenv("SOURCE_DATE_EPOCH");
}

TAP_MAIN(T(commit_and_reopen), T(features), T(damaged_top), T(front_label_lost), T(many_snapshots_in_one_commit),
         T(failures_while_filling), T(failures_of_an_image), T(failures_of_a_disk), T(reads_fail), T(reading_writes_nothing), T(dropped_changes),
         T(never_committed), T(locks), T(any_number_of_threads))
