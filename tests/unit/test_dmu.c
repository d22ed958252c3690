/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets, snapshots, clones and properties through the public calls: every refusal, all or none, numbers that never come twice, comparing. */
#include "poolstate.h"
#include "zpl/diff.h"
#include "zpl/handle.h"

static struct lcpfs_error err;
static struct lcpfs_pool *p;
static struct lcpfs_blockdev *ram;
static struct faultdev view;

static void start(void)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };

	is_int(lcpfs_ramdisk_create(&ram, "dmu", 0, LCPFS_DEV_IMAGE, &err), 0);
	faultdev_init(&view, ram, 0, 0, false, LCPFS_EIO);
	is_int(lcpfs_pool_create_dev(&p, &view.dev, &o, &err), 0);
	is_int(lcpfs_pool_commit(p, &err), 0);
}

static void again(void)
{
	static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 };

	is_int(lcpfs_pool_close(p, &err), 0);
	ok(dev_clean(ram));
	faultdev_init(&view, ram, 0, 0, false, LCPFS_EIO);
	is_int(lcpfs_pool_open_dev(&p, &view.dev, &rw, &err), 0);
}

static void finish(void)
{
	ok_msg(lcpfs_pool_commit(p, &err) == 0, "%s", err.msg);
	is_int(lcpfs_pool_close(p, &err), 0);
	ok(dev_clean(ram));
	lcpfs_blockdev_close(ram);
}

static int make(const char *name) { return lcpfs_dataset_create(p, name, false, &err); }
static int snap(const char *name) { return take_snap(p, name, &err); }
static int snap_gone(const char *name) { return lcpfs_snap_destroy(p, &name, 1, false, NULL, &err); }
static int put(const char *ds, const char *path, size_t len, unsigned seed) { return put_file(p, ds, path, len, seed, &err); }
static int move(const char *a, const char *b) { return lcpfs_dataset_rename(p, a, b, &err); }

static int add_text(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *e)
{
	(void)e;
	buf_printf(arg, "%s%s", ((struct buf *)arg)->len ? " " : "", *i->name ? i->name : "/");
	return 0;
}

/* All names below `top`, in order. */
static bool listed(const char *top, const char *want)
{
	struct buf b = { 0 };
	int rc = lcpfs_dataset_each(p, top, true, true, add_text, &b, &err);
	bool good;

	buf_u8(&b, 0);
	good = ok_msg(rc == 0 && strcmp((char *)b.data, want) == 0, "'%s', wanted '%s'", (char *)b.data, want);
	buf_fini(&b);
	return good;
}

static char *repeat(char c, size_t n)
{
	static char s[4][2048];
	static unsigned k;
	char *t = s[k++ % 4];

	memset(t, c, n);
	t[n] = 0;
	return t;
}

TEST(names)
{
	static const char *const bad[] = { "/a", "a/", "a//b", ".", "..", "a/../b", "a b", "a:b", "a%b", "\xc3\xa4", "a/." };
	struct lcpfs_dataset *ds;
	char name[1200];

	start();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ok_msg(make(bad[i]) == -LCPFS_EINVAL, "'%s'", bad[i]);
	is_int(make(""), -LCPFS_EEXIST);
	is_int(make("a@b"), -LCPFS_EINVAL);
	is_int(make("a/b"), -LCPFS_ENOENT);
	is_int(lcpfs_dataset_create(p, "a/b", true, &err), 0);
	is_int(make("a/b"), -LCPFS_EEXIST);
	is_int(make(repeat('x', 255)), 0);
	is_int(make(repeat('x', 256)), -LCPFS_EINVAL);
	snprintf(name, sizeof name, "@%s", repeat('s', 254));
	is_int(snap(name), 0);
	snprintf(name, sizeof name, "@%s", repeat('s', 255));
	is_int(snap(name), -LCPFS_EINVAL);
	is_int(snap("@"), -LCPFS_EINVAL);
	is_int(snap("@a@b"), -LCPFS_EINVAL);
	is_int(snap("@a/b"), -LCPFS_EINVAL);
	is_int(snap("a"), -LCPFS_EINVAL);
	is_int(snap("none@a"), -LCPFS_ENOENT);
	is_int(lcpfs_dataset_open(&ds, p, "a@none", &err), -LCPFS_ENOENT);
	is_int(lcpfs_dataset_open(&ds, p, repeat('y', 1024), &err), -LCPFS_ENAMETOOLONG);
	name[0] = 0;
	for (unsigned i = 0; i < 511; i++) { /* 1021 bytes, as deep as can be */
		strcat(name, i ? "/d" : "d");
		if (make(name))
			break;
	}
	is_int(strlen(name), 1021);
	is_int(lcpfs_dataset_open(&ds, p, name, &err), 0);
	is_str(lcpfs_dataset_name(ds), name);
	lcpfs_dataset_close(ds);
	strcat(name, "/dd");
	is_int(make(name), -LCPFS_ENAMETOOLONG);
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	is_int(lcpfs_dataset_destroy(p, "d", true, &err), 0);
	finish();
}

TEST(renames)
{
	struct lcpfs_dataset *ds;
	char deep[1100] = "e";

	start();
	is_int(lcpfs_dataset_create(p, "a/b/c", true, &err), 0);
	is_int(make("x"), 0);
	ok(put("a/b", "f", 100, 1) == 0 && snap("a/b@s") == 0 && snap("a/b@t") == 0);
	is_int(move("a", "a/b/z"), -LCPFS_EINVAL);
	is_int(move("a", "a/z"), -LCPFS_EINVAL);
	is_int(move("a/b", "x"), -LCPFS_EEXIST);
	is_int(move("a", "a"), -LCPFS_EEXIST);
	is_int(move("none", "y"), -LCPFS_ENOENT);
	is_int(move("a", "none/y"), -LCPFS_ENOENT);
	is_int(move("", "y"), -LCPFS_EINVAL);
	is_int(move("a", ""), -LCPFS_EINVAL);
	is_int(move("a/b@s", "x@s"), -LCPFS_EINVAL);
	is_int(move("a/b", "a/b@u"), -LCPFS_EINVAL);
	is_int(lcpfs_snap_rename(p, "a/b@s", "a/b@t", false, &err), -LCPFS_EEXIST);
	is_int(lcpfs_snap_rename(p, "a/b@s", "x@u", false, &err), -LCPFS_EINVAL);
	is_int(lcpfs_snap_rename(p, "a/b@none", "a/b@u", false, &err), -LCPFS_ENOENT);
	is_int(lcpfs_snap_rename(p, "a/b@s", "a/b@u", false, &err), 0);
	is_int(lcpfs_dataset_open(&ds, p, "a/b/c", &err), 0);
	is_int(move("a/b", "x/q"), 0);
	is_str(lcpfs_dataset_name(ds), "x/q/c");
	lcpfs_dataset_close(ds);
	listed("", "/ a x x/q x/q@u x/q@t x/q/c");
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	listed("", "/ a x x/q x/q@u x/q@t x/q/c");
	/* recursive: all or none */
	ok(snap("a@r") == 0 && snap("x@r") == 0 && snap("x/q@r") == 0 && snap("x/q@w") == 0);
	is_int(lcpfs_snap_rename(p, "x@r", "x@w", true, &err), -LCPFS_EEXIST);
	listed("x", "x x@r x/q x/q@u x/q@t x/q@r x/q@w x/q/c");
	is_int(lcpfs_snap_rename(p, "x@r", "x@v", true, &err), 0);
	listed("x", "x x@v x/q x/q@u x/q@t x/q@v x/q@w x/q/c");
	/* what lies below must keep a name that can be used */
	is_int(make("e"), 0);
	for (unsigned i = 0; i < 500; i++) {
		strcat(deep, "/e");
		if (make(deep))
			break;
	}
	is_int(move("e", repeat('e', 23)), 0);
	is_int(move(repeat('e', 23), repeat('e', 24)), -LCPFS_ENAMETOOLONG);
	finish();
}

TEST(snapshots_together)
{
	const char *two[] = { "a@1", "b@1" }, *missing[] = { "a@2", "none@2", "b@2" }, *twice[] = { "a@2", "b@2", "a@2" };
	const char *exists[] = { "b@2", "a@1" }, *all[] = { "@all" }, *wrong[] = { "a@4%2" }, *none[] = { "a@x%" };
	char name[16];
	uint64_t freed;

	start();
	ok(make("a") == 0 && make("b") == 0);
	is_int(lcpfs_snap_create(p, two, 2, false, &err), 0);
	is_int(lcpfs_snap_create(p, missing, 3, false, &err), -LCPFS_ENOENT);
	is_int(lcpfs_snap_create(p, twice, 3, false, &err), -LCPFS_EEXIST);
	is_int(lcpfs_snap_create(p, exists, 2, false, &err), -LCPFS_EEXIST);
	listed("", "/ a a@1 b b@1");
	is_int(lcpfs_snap_create(p, all, 1, true, &err), 0);
	listed("", "/ @all a a@1 a@all b b@1 b@all");
	is_int(lcpfs_snap_destroy(p, all, 1, true, &freed, &err), 0);
	listed("", "/ a a@1 b b@1");
	for (unsigned i = 2; i <= 5; i++) {
		snprintf(name, sizeof name, "a@%u", i);
		ok(put("a", "f", 3000, i) == 0 && snap(name) == 0);
	}
	is_int(lcpfs_snap_destroy(p, wrong, 1, false, &freed, &err), -LCPFS_ENOENT);
	is_int(lcpfs_snap_destroy(p, none, 1, false, &freed, &err), -LCPFS_ENOENT);
	again();
	listed("", "/"); /* nothing was committed */
	is_int(lcpfs_pool_close(p, &err), 0);
	lcpfs_blockdev_close(ram);
}

TEST(ranges_of_snapshots)
{
	const char *span[] = { "a@2%4" }, *overlap[] = { "a@1%3", "a@2", "a@2%5" }, *open_end[] = { "a@%7" }, *rest[] = { "a@%" };
	struct lcpfs_dataset *ds;
	char name[16];
	uint64_t freed;

	start();
	ok(make("a") == 0);
	for (unsigned i = 1; i <= 9; i++) {
		snprintf(name, sizeof name, "a@%u", i);
		ok(put("a", "f", 3000, i) == 0 && snap(name) == 0);
	}
	is_int(lcpfs_pool_commit(p, &err), 0);
	/* held, or open: none goes */
	is_int(lcpfs_hold(p, "a@3", "keep", &err), 0);
	is_int(lcpfs_snap_destroy(p, span, 1, false, &freed, &err), -LCPFS_EHELD);
	is_int(lcpfs_hold(p, "a@3", "keep", &err), -LCPFS_EEXIST);
	is_int(lcpfs_release(p, "a@3", "other", &err), -LCPFS_ENOENT);
	is_int(lcpfs_release(p, "a@3", "keep", &err), 0);
	is_int(lcpfs_hold(p, "a", "keep", &err), -LCPFS_EINVAL);
	is_int(lcpfs_hold(p, "a@3", "a/b", &err), -LCPFS_EINVAL);
	is_int(lcpfs_dataset_open(&ds, p, "a@4", &err), 0);
	is_int(lcpfs_snap_destroy(p, span, 1, false, &freed, &err), -LCPFS_EBUSY);
	lcpfs_dataset_close(ds);
	listed("a", "a a@1 a@2 a@3 a@4 a@5 a@6 a@7 a@8 a@9");
	is_int(lcpfs_snap_destroy(p, span, 1, false, &freed, &err), 0);
	ok_msg(freed >= 9000, "%llu bytes freed", (unsigned long long)freed);
	listed("a", "a a@1 a@5 a@6 a@7 a@8 a@9");
	again();
	listed("a", "a a@1 a@2 a@3 a@4 a@5 a@6 a@7 a@8 a@9");
	is_int(lcpfs_snap_destroy(p, overlap, 3, false, &freed, &err), 0);
	listed("a", "a a@6 a@7 a@8 a@9");
	is_int(lcpfs_pool_commit(p, &err), 0);
	is_int(lcpfs_snap_destroy(p, open_end, 1, false, &freed, &err), 0);
	listed("a", "a a@8 a@9");
	is_int(lcpfs_snap_destroy(p, rest, 1, false, &freed, &err), 0);
	listed("a", "a");
	finish();
}

TEST(destroying)
{
	struct lcpfs_dataset *ds;

	start();
	is_int(lcpfs_dataset_create(p, "a/b/c", true, &err), 0);
	ok(put("a/b", "f", 5000, 1) == 0 && snap("a/b@s") == 0 && lcpfs_clone(p, "a/b@s", "clone", &err) == 0 && put("clone", "g", 5000, 2) == 0);
	is_int(lcpfs_dataset_destroy(p, "", true, &err), -LCPFS_EINVAL);
	is_int(lcpfs_dataset_destroy(p, "none", true, &err), -LCPFS_ENOENT);
	is_int(lcpfs_dataset_destroy(p, "a/b@s", false, &err), -LCPFS_EINVAL);
	is_int(lcpfs_dataset_destroy(p, "a", false, &err), -LCPFS_EHELD);
	is_int(lcpfs_dataset_destroy(p, "a/b", false, &err), -LCPFS_EHELD);
	is_int(snap_gone("a/b@s"), -LCPFS_EHELD);
	is_int(snap_gone("a/b"), -LCPFS_EINVAL);
	is_int(snap_gone("a/b@none"), -LCPFS_ENOENT);
	/* a clone outside, a hold, an open handle: nothing goes */
	is_int(lcpfs_dataset_destroy(p, "a", true, &err), -LCPFS_EHELD);
	ok_msg(strstr(err.msg, "a/b@s"), "%s", err.msg);
	is_int(lcpfs_dataset_destroy(p, "clone", false, &err), 0);
	is_int(lcpfs_hold(p, "a/b@s", "h", &err), 0);
	is_int(lcpfs_dataset_destroy(p, "a", true, &err), -LCPFS_EHELD);
	is_int(lcpfs_release(p, "a/b@s", "h", &err), 0);
	is_int(lcpfs_dataset_open(&ds, p, "a/b", &err), 0);
	is_int(lcpfs_dataset_destroy(p, "a", true, &err), -LCPFS_EBUSY);
	is_int(lcpfs_dataset_destroy(p, "a/b/c", false, &err), 0);
	is_int(lcpfs_dataset_destroy(p, "a/b", false, &err), -LCPFS_EHELD);
	lcpfs_dataset_close(ds);
	listed("", "/ a a/b a/b@s");
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	/* clones within the subtree, also of clones, whatever their names */
	is_int(lcpfs_dataset_create(p, "a/m", true, &err), 0);
	ok(put("a/m", "f", 5000, 1) == 0 && snap("a/m@s") == 0 && lcpfs_clone(p, "a/m@s", "a/a", &err) == 0);
	ok(put("a/a", "g", 5000, 1) == 0 && snap("a/a@t") == 0 && lcpfs_clone(p, "a/a@t", "a/z", &err) == 0);
	ok(snap("a/z@u") == 0 && lcpfs_clone(p, "a/z@u", "a/k", &err) == 0 && put("a/k", "h", 100, 1) == 0);
	is_int(lcpfs_pool_commit(p, &err), 0);
	is_int(lcpfs_dataset_destroy(p, "a/z", true, &err), -LCPFS_EHELD);
	is_int(lcpfs_dataset_destroy(p, "a", true, &err), 0);
	listed("", "/");
	finish();
}

static int head_of(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *e)
{
	(void)e;
	snprintf(arg, 64, "%s", i->origin ? i->origin : "-");
	return 0;
}

static bool origin_is(const char *ds, const char *want)
{
	char got[64];

	return ok_msg(lcpfs_dataset_info(p, ds, head_of, got, &err) == 0 && strcmp(got, want) == 0, "origin of %s is %s, not %s", ds, got, want);
}

TEST(clones_promote_rollback)
{
	struct lcpfs_dataset *ds, *at;

	start();
	ok(make("a") == 0 && put("a", "f", 4000, 1) == 0 && snap("a@1") == 0 && put("a", "f", 4000, 2) == 0 && snap("a@2") == 0 &&
	   put("a", "f", 9000, 3) == 0);
	is_int(lcpfs_clone(p, "a", "c", &err), -LCPFS_EINVAL);
	is_int(lcpfs_clone(p, "a@none", "c", &err), -LCPFS_ENOENT);
	is_int(lcpfs_clone(p, "a@2", "a", &err), -LCPFS_EEXIST);
	is_int(lcpfs_clone(p, "a@2", "c@x", &err), -LCPFS_EINVAL);
	is_int(lcpfs_clone(p, "a@2", "c", &err), 0);
	origin_is("c", "a@2");
	is_int(lcpfs_promote(p, "a", &err), -LCPFS_EINVAL);
	is_int(lcpfs_promote(p, "a@1", &err), -LCPFS_EINVAL);
	ok(snap("c@1") == 0);
	is_int(lcpfs_promote(p, "c", &err), -LCPFS_EEXIST); /* @1 of both */
	listed("", "/ a a@1 a@2 c c@1");
	is_int(lcpfs_snap_rename(p, "c@1", "c@3", false, &err), 0);
	is_int(lcpfs_dataset_open(&at, p, "a@2", &err), 0);
	is_int(lcpfs_promote(p, "c", &err), 0);
	is_str(lcpfs_dataset_name(at), "c@2");
	lcpfs_dataset_close(at);
	listed("", "/ a c c@1 c@2 c@3");
	origin_is("a", "c@2");
	origin_is("c", "-");
	is_int(lcpfs_promote(p, "c", &err), -LCPFS_EINVAL);
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	/* rollback: not under an open handle, and with every refusal before a change */
	is_int(lcpfs_dataset_open(&ds, p, "c", &err), 0);
	is_int(lcpfs_rollback(p, "c@1", NULL, &err), -LCPFS_EBUSY);
	lcpfs_dataset_close(ds);
	is_int(lcpfs_rollback(p, "c", NULL, &err), -LCPFS_EINVAL);
	is_int(lcpfs_rollback(p, "c@none", NULL, &err), -LCPFS_ENOENT);
	is_int(lcpfs_rollback(p, "c@1", "3", &err), -LCPFS_EEXIST);
	is_int(lcpfs_rollback(p, "c@1", "", &err), -LCPFS_EINVAL);
	is_int(lcpfs_rollback(p, "c@1", "a/b", &err), -LCPFS_EINVAL);
	is_int(lcpfs_rollback(p, "c@1", repeat('k', 255), &err), -LCPFS_EINVAL);
	is_int(lcpfs_rollback(p, "c@1", "kept", &err), 0);
	listed("c", "c c@1 c@2 c@3 c@kept");
	is_int(snap_gone("c@2"), -LCPFS_EHELD); /* a and c@3 stand on it */
	is_int(lcpfs_rollback(p, "c@3", NULL, &err), 0);
	is_int(lcpfs_rollback(p, "c@1", NULL, &err), 0);
	is_int(put("c", "f", 100, 9), 0);
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	ok(snap_gone("c@kept") == 0 && snap_gone("c@3") == 0 && lcpfs_pool_commit(p, &err) == 0);
	is_int(lcpfs_dataset_destroy(p, "a", false, &err), 0);
	ok(snap_gone("c@2") == 0 && snap_gone("c@1") == 0);
	listed("", "/ c");
	finish();
}

/* ---- properties ---- */

static int one_prop(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *e)
{
	(void)e;
	buf_printf(arg, "%s%s=%s (%s)", ((struct buf *)arg)->len ? ", " : "", prop, value, source);
	return 0;
}

static bool prop_is(const char *ds, const char *prop, const char *want)
{
	struct buf b = { 0 };
	int rc = lcpfs_prop_get(p, ds, prop, one_prop, &b, &err);
	bool good;

	buf_u8(&b, 0);
	good = ok_msg(rc == 0 && strcmp((char *)b.data, want) == 0, "%s: '%s', wanted '%s'", ds, (char *)b.data, want);
	buf_fini(&b);
	return good;
}

static int set_prop(const char *ds, const char *prop, const char *value) { return lcpfs_prop_set(p, ds, prop, value, &err); }

TEST(properties)
{
	start();
	ok(lcpfs_dataset_create(p, "a/b", true, &err) == 0 && snap("a/b@s") == 0);
	prop_is("a/b", "compress", "compress=zstd:3 (default)");
	is_int(set_prop("", "compress", "lz4"), 0);
	is_int(set_prop("a", "user:x", "1"), 0);
	is_int(set_prop("", "user:y", "top"), 0);
	prop_is("a/b", "compress", "compress=lz4 (inherited from /)");
	prop_is("a/b", "user:x", "user:x=1 (inherited from a)");
	prop_is("a/b@s", "user:x", "user:x=1 (inherited from a)");
	is_int(set_prop("a/b", "compress", "off"), 0);
	prop_is("a/b", NULL, "compress=off (local), pack=1048576 (default), record=1048576 (default), slice=131072 (default), "
	        "user:x=1 (inherited from a), user:y=top (inherited from /)");
	is_int(set_prop("a/b", "compress", NULL), 0);
	is_int(set_prop("a/b", "compress", NULL), 0);
	prop_is("a/b", "compress", "compress=lz4 (inherited from /)");
	is_int(set_prop("a", "compress", "best"), -LCPFS_EINVAL);
	is_int(set_prop("a", "record", "1000000"), -LCPFS_EINVAL);
	is_int(set_prop("a", "record", "33554432"), -LCPFS_EINVAL);
	is_int(set_prop("a", "record", "-4096"), -LCPFS_EINVAL);
	is_int(set_prop("a", "record", "4096"), 0);
	is_int(set_prop("a", "pack", "4096x"), -LCPFS_EINVAL);
	is_int(set_prop("a", "user:", "1"), -LCPFS_EINVAL);
	is_int(set_prop("a", "colour", "1"), -LCPFS_EINVAL);
	is_int(set_prop("a", "hold:x", "1"), -LCPFS_EINVAL);
	is_int(set_prop("a/b@s", "user:x", "1"), -LCPFS_EROFS);
	is_int(set_prop("none", "user:x", "1"), -LCPFS_ENOENT);
	is_int(set_prop("a", "user:long", repeat('v', 2000)), 0);
	is_int(lcpfs_hold(p, "a/b@s", "t1", &err), 0);
	prop_is("a/b@s", "hold:t1", "hold:t1=1 (local)");
	is_int(lcpfs_release(p, "a/b@s", "t1", &err), 0);
	is_int(move("a/b", "b"), 0);
	prop_is("b", "user:y", "user:y=top (inherited from /)");
	is_int(lcpfs_prop_get(p, "b", "user:x", one_prop, NULL, &err), -LCPFS_ENOENT);
	is_int(lcpfs_pool_commit(p, &err), 0);
	again();
	prop_is("a", "record", "record=4096 (local)");
	finish();
}

/* ---- numbers ---- */

#define NUMBERS 20000
static uint64_t seen[NUMBERS];
static unsigned n_seen;

/* Files of `ds` get numbers that no file of the family ever had. */
static bool fresh_numbers(const char *ds, unsigned n, uint64_t *rng)
{
	struct lcpfs_stat st;
	struct lcpfs_dataset *d;
	char path[32];
	bool good = lcpfs_dataset_open(&d, p, ds, &err) == 0;

	for (unsigned i = 0; i < n && good && n_seen < NUMBERS; i++) {
		snprintf(path, sizeof path, "n%llx", (unsigned long long)tap_rand(rng));
		good = lcpfs_mkdir(d, path, 0755, false, &err) == 0 && lcpfs_stat(d, path, 0, &st, &err) == 0;
		for (unsigned k = 0; k < n_seen && good; k++)
			good = ok_msg(seen[k] != st.ino, "%s: number %llx once more", ds, (unsigned long long)st.ino);
		seen[n_seen++] = st.ino;
		if (good && tap_rand(rng) % 3 == 0)
			good = lcpfs_remove(d, path, false, &err) == 0;
	}
	if (!good)
		printf("# %s: %s\n", ds, err.msg);
	lcpfs_dataset_close(d);
	return good;
}

TEST(numbers_come_once)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		char snaps[64][24], heads[16][8] = { "h0" }, name[24];
		unsigned n_snaps = 0, n_heads = 1;
		uint64_t rng = seed;
		bool good;

		start();
		n_seen = 0;
		good = ok(make("h0") == 0);
		for (unsigned i = 0; i < 120 && good; i++) {
			unsigned r = tap_rand(&rng) % 10, h = tap_rand(&rng) % n_heads, s = n_snaps ? tap_rand(&rng) % n_snaps : 0;

			if (r < 5) {
				good = fresh_numbers(heads[h], 1 + tap_rand(&rng) % 8, &rng);
			} else if (r < 7 && n_snaps < 64) {
				snprintf(snaps[n_snaps], sizeof snaps[0], "%s@s%u", heads[h], i);
				good = ok_msg(snap(snaps[n_snaps++]) == 0, "%s", err.msg);
			} else if (r == 7 && n_snaps && n_heads < 16) {
				snprintf(heads[n_heads], sizeof heads[0], "h%u", n_heads);
				good = ok_msg(lcpfs_clone(p, snaps[s], heads[n_heads++], &err) == 0, "%s", err.msg);
			} else if (r == 8 && n_snaps) {
				snprintf(name, sizeof name, "k%u", i);
				good = ok_msg(lcpfs_rollback(p, snaps[s], tap_rand(&rng) % 2 ? name : NULL, &err) == 0, "%s", err.msg);
			} else if (r == 9) {
				good = ok(lcpfs_pool_commit(p, &err) == 0);
				again();
			}
		}
		ok_msg(good, "seed %llu", (unsigned long long)seed);
		finish();
	}
}

/* ---- comparing ---- */

static int change_some(struct lcpfs_dataset *d, uint64_t *rng, unsigned n)
{
	static const char *const dirs[] = { "", "d1/", "d2/", "d1/e/" };
	char a[32], b[32];
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		unsigned r = tap_rand(rng) % 10;
		struct lcpfs_time t = { (int64_t)(tap_rand(rng) % 1000), 0 };

		snprintf(a, sizeof a, "%sf%u", dirs[tap_rand(rng) % 4], (unsigned)(tap_rand(rng) % 12));
		snprintf(b, sizeof b, "%sf%u", dirs[tap_rand(rng) % 4], (unsigned)(tap_rand(rng) % 12));
		if (r < 3) {
			rc = put_file(p, lcpfs_dataset_name(d), a, tap_rand(rng) % 5 ? tap_rand(rng) % 3000 : 1500000, (unsigned)(tap_rand(rng) % 3), &err);
		} else if (r == 3) {
			rc = lcpfs_remove(d, a, false, &err);
		} else if (r < 6) {
			rc = strcmp(a, b) ? lcpfs_rename(d, a, b, 0, &err) : 0;
		} else if (r == 6) {
			rc = lcpfs_chmod(d, a, 0, 0600 + tap_rand(rng) % 64, &err);
		} else if (r == 7) {
			rc = lcpfs_xattr_set(d, a, 0, "user.x", "abc", tap_rand(rng) % 3, &err);
		} else if (r == 8) {
			rc = lcpfs_utimens(d, a, 0, NULL, &t, &err);
		} else {
			rc = lcpfs_symlink(d, "there", a, &err);
		}
		if (rc == -LCPFS_ENOENT || rc == -LCPFS_EEXIST || rc == -LCPFS_EINVAL || rc == -LCPFS_ELOOP || rc == -LCPFS_EPERM)
			rc = 0;
	}
	return rc;
}

static int by_text(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

/* Findings as sorted lines; a rename is what went and what came, since comparing by path knows no renames. */
static char *as_text(struct diff *d)
{
	char **lines = calloc(2 * d->n + 1, sizeof *lines);
	struct buf out = { 0 }, line = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct lcpfs_diff *f = &d->f[i].d;
		bool moved = f->kind == 'R';

		for (unsigned k = 0; k <= moved; k++) {
			buf_reset(&line);
			if (f->kind == 'M')
				buf_printf(&line, "M %s %x %llu %llu", f->path, f->changed, (unsigned long long)f->old_size, (unsigned long long)f->new_size);
			else if (moved ? k == 0 : f->kind == '-')
				buf_printf(&line, "- %s %llu", moved ? f->from : f->path, (unsigned long long)f->old_size);
			else
				buf_printf(&line, "+ %s %llu", f->path, (unsigned long long)f->new_size);
			lines[n++] = strdup((char *)line.data);
		}
		free(d->f[i].path);
		free(d->f[i].from);
	}
	qsort(lines, n, sizeof *lines, by_text);
	for (size_t i = 0; i < n; i++) {
		buf_printf(&out, "%s\n", lines[i]);
		free(lines[i]);
	}
	buf_u8(&out, 0);
	free(lines);
	free(d->f);
	free(d->buf[0]);
	free(d->buf[1]);
	buf_fini(&line);
	return (char *)out.data;
}

/* A path that one file left and another took: by item it went and came, by path it changed. */
static char *join_replaced(char *text)
{
	struct buf out = { 0 };

	for (char *l = text, *end; *l; l = end + 1) {
		char path[64], *other;
		end = strchr(l, '\n');
		if ((*l == '+' || *l == '-') && sscanf(l + 2, "%63s", path) == 1) {
			char want[80];

			snprintf(want, sizeof want, "%c %s ", *l == '+' ? '-' : '+', path);
			other = strstr(text, want);
			if (other && (other == text || other[-1] == '\n'))
				continue;
		}
		buf_printf(&out, "%.*s\n", (int)(end - l), l);
	}
	buf_u8(&out, 0);
	free(text);
	return (char *)out.data;
}

/* The same name for another file: only comparing by path calls that a change. */
static char *drop_other_file(char *text, struct lcpfs_dataset *a, struct lcpfs_dataset *b)
{
	struct buf out = { 0 };

	for (char *l = text, *end; *l; l = end + 1) {
		struct lcpfs_stat sa, sb;
		char path[64] = "";

		end = strchr(l, '\n');
		if (*l == 'M' && l[2] != ' ' && sscanf(l + 2, "%63s", path) == 1 && !lcpfs_stat(a, path, 0, &sa, &err) &&
		    !lcpfs_stat(b, path, 0, &sb, &err) && sa.ino != sb.ino)
			continue;
		buf_printf(&out, "%.*s\n", (int)(end - l), l);
	}
	buf_u8(&out, 0);
	free(text);
	return (char *)out.data;
}

static bool agree(struct lcpfs_dataset *a, struct lcpfs_dataset *b)
{
	struct diff by_item = { .a = a->ds, .b = b->ds }, by_path = by_item;
	char *x, *y;
	bool good, differs = false;
	int rc = lcpfs_diff(a, b, 0, NULL, NULL, &differs, &err);

	if (!rc)
		rc = diff_by_item(&by_item, &err);
	if (!rc)
		rc = diff_by_path(&by_path, &err);
	good = ok_msg(rc == 0 && differs == (by_item.n > 0), "%s", err.msg);
	x = join_replaced(as_text(&by_item));
	y = drop_other_file(join_replaced(as_text(&by_path)), a, b);
	x = drop_other_file(x, a, b);
	good = good && ok_msg(strcmp(x, y) == 0, "they differ");
	if (!good)
		printf("# by item:\n%s# by path:\n%s", x, y);
	free(x);
	free(y);
	return good;
}

TEST(diff_by_item_and_by_path)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct lcpfs_dataset *head, *at[6];
		char name[16];
		uint64_t rng = seed;
		bool good;

		start();
		ok(make("a") == 0 && lcpfs_dataset_open(&head, p, "a", &err) == 0);
		ok(lcpfs_mkdir(head, "d1/e", 0755, true, &err) == 0 && lcpfs_mkdir(head, "d2", 0755, true, &err) == 0);
		for (unsigned i = 0; i < 5; i++) {
			ok_msg(change_some(head, &rng, 60 >> (i % 3)) == 0, "%s", err.msg);
			snprintf(name, sizeof name, "a@%u", i);
			ok(snap(name) == 0 && lcpfs_dataset_open(&at[i], p, name, &err) == 0);
		}
		ok_msg(change_some(head, &rng, 10) == 0, "%s", err.msg);
		ok(lcpfs_pool_commit(p, &err) == 0);
		at[5] = head;
		good = true;
		for (unsigned i = 0; i < 6; i++)
			for (unsigned k = 0; k < 6 && good; k++)
				good = agree(at[i], at[k]);
		for (unsigned i = 0; i < 6; i++)
			lcpfs_dataset_close(at[i]);
		finish();
		if (!ok_msg(good, "seed %llu", (unsigned long long)seed))
			break;
	}
}

TAP_MAIN(T(names), T(renames), T(snapshots_together), T(ranges_of_snapshots), T(destroying), T(clones_promote_rollback), T(properties), T(numbers_come_once),
         T(diff_by_item_and_by_path))
