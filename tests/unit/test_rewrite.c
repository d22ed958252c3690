/* SPDX-License-Identifier: Apache-2.0 */
/* Balance: contents stay what they are with every codec, counters are right, snapshots and sharers are respected, and any thread count writes the same. */
#include <inttypes.h>
#include "poolstate.h"
#include "zpl/handle.h"

static struct lcpfs_error err;

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

static void text_file(struct lcpfs_pool *p, const char *path, size_t len)
{
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;
	char *buf = malloc(len + 32);

	for (size_t i = 0; i < len;)
		i += (size_t)snprintf(buf + i, 32, "line %zu of %s\n", i * 7919 % 100003, path);
	if (did(lcpfs_dataset_open(&ds, p, "", &err)) &&
	    did(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, &err))) {
		did(lcpfs_file_pwrite(f, buf, len, 0, &err));
		did(lcpfs_file_close(f, &err));
	}
	lcpfs_dataset_close(ds);
	free(buf);
}

/* Of a file written twice, so that its content has a number of its own, another file has it too. */
static void share(struct lcpfs_pool *p, const char *from, const char *to)
{
	struct lcpfs_dataset *ds;
	struct lcpfs_stat a, b;

	text_file(p, from, 400000);
	text_file(p, from, 300000);
	text_file(p, to, 0);
	if (did(lcpfs_dataset_open(&ds, p, "", &err)) && did(lcpfs_stat(ds, from, 0, &a, &err)) && did(lcpfs_stat(ds, to, 0, &b, &err)))
		did(zpl_share(ds->ds, a.ino, ds->ds, b.ino, &err));
	lcpfs_dataset_close(ds);
}

static struct lcpfs_pool *make(const char *dev, unsigned threads)
{
	static const uint8_t uuid[16] = { 7, 7, 7 };
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = threads, .memory_bytes = 64 << 20 }, .reproducible = true, .uuid = uuid, .record_bytes = 128 << 10,
		.pack_bytes = 64 << 10, .slice_max_bytes = 16 << 10 };
	struct lcpfs_pool *p;
	char path[32];

	if (!did(lcpfs_pool_create(&p, dev, &o, &err)))
		return NULL;
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "small%u", i);
		text_file(p, path, 500 + i % 60 * 251);
	}
	text_file(p, "big", 3000000);
	did(put_file(p, "", "hard", 1000000, 5, &err));
	share(p, "mine", "yours");
	did(lcpfs_pool_commit(p, &err));
	return p;
}

static bool clean(struct lcpfs_pool *p, const char *dev)
{
	struct lcpfs_check_opts o = { .data = true };
	uint64_t n = 1;

	did(lcpfs_pool_close(p, &err));
	return ok_msg(lcpfs_fsck(dev, NULL, &o, &n, &err) == 0 && !n, "%" PRIu64 " problems", n);
}

static int one_codec(void *arg, const struct lcpfs_codec_use *u, struct lcpfs_error *e)
{
	(void)e;
	strcat(arg, u->codec);
	return 0;
}

static void balance(struct lcpfs_pool *p, const char *codec, struct lcpfs_balance_stats *st)
{
	struct lcpfs_balance_opts o = { .recompress = codec, .packs = !codec, .step_bytes = 1 << 20 };

	did(lcpfs_balance(p, "", &o, st, &err));
}

/* From each codec to the next. */
TEST(every_codec)
{
	static const struct { const char *codec, *uses; } step[] = {
		{ "off", "off" }, { "zstd:1", "zstd" }, { "lz4", "lz4" }, { "zstd:9", "zstd" }, { "lzma:1", "lzma" }, { "auto:small", "lzma" },
	};
	uint8_t before[HASH_LEN], after[HASH_LEN];
	struct lcpfs_pool *p = make("ram:codecs", 2);
	struct lcpfs_balance_stats st;

	did(pool_digest(p, before, &err));
	for (unsigned i = 0; i < ARRAY_LEN(step); i++) {
		char uses[64] = "";

		balance(p, step[i].codec, &st);
		if (i < 5)
			ok(st.rewritten > 30 && st.commits > 2);
		is_int(st.held_blocks + st.shared_blocks + st.unreadable, 0);
		did(pool_digest(p, after, &err));
		is_mem(after, before, HASH_LEN);
		did(lcpfs_codec_each(p, "", one_codec, uses, &err));
		ok_msg(strstr(uses, step[i].uses) != NULL, "after %s there is %s", step[i].codec, uses);
	}
	balance(p, "lzma:1", &st);
	is_int(st.rewritten, 0);
	clean(p, "ram:codecs");
}

static bool equal_devs(const char *a, const char *b)
{
	struct lcpfs_blockdev *x, *y;
	uint8_t *p, *q;
	bool equal;

	did(lcpfs_blockdev_open(&x, a, 0, &err));
	did(lcpfs_blockdev_open(&y, b, 0, &err));
	p = dev_bytes(x);
	q = dev_bytes(y);
	equal = blockdev_size(x) == blockdev_size(y) && memcmp(p, q, blockdev_size(x)) == 0;
	free(p);
	free(q);
	lcpfs_blockdev_close(x);
	lcpfs_blockdev_close(y);
	return equal;
}

TEST(any_number_of_threads)
{
	struct lcpfs_pool *a, *b;
	struct lcpfs_balance_stats st;

	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	a = make("ram:one", 1);
	b = make("ram:eight", 8);
	balance(a, "auto", &st);
	balance(a, "lzma:0", &st);
	balance(b, "auto", &st);
	balance(b, "lzma:0", &st);
	did(lcpfs_pool_close(a, &err));
	did(lcpfs_pool_close(b, &err));
	ok(equal_devs("ram:one", "ram:eight"));
}

TEST(dry_run)
{
	struct lcpfs_balance_opts o = { .recompress = "lzma:3", .packs = true, .dry_run = true };
	struct lcpfs_balance_stats st;
	struct lcpfs_pool *p = make("ram:dry", 1);
	char uses[64] = "";

	did(lcpfs_balance(p, "", &o, &st, &err));
	ok(st.rewritten > 20 && st.new_bytes < st.old_bytes && st.new_bytes > st.old_bytes / 4);
	is_int(st.commits, 0);
	did(lcpfs_codec_each(p, "", one_codec, uses, &err));
	ok(!strstr(uses, "lzma"));
	clean(p, "ram:dry");
}

static bool stop(void *arg, const struct lcpfs_progress *pr)
{
	(void)pr;
	return ++*(unsigned *)arg > 0;
}

TEST(snapshots_and_stops)
{
	unsigned ticks = 0;
	struct lcpfs_balance_opts o = { .recompress = "off", .progress = stop, .arg = &ticks };
	struct lcpfs_pool *p = make("ram:held", 2);
	uint8_t before[HASH_LEN], after[HASH_LEN];
	struct lcpfs_balance_stats st;

	is_int(lcpfs_balance(p, "", &o, &st, &err), -LCPFS_ECANCEL);
	did(take_snap(p, "@s", &err));
	text_file(p, "new", 200000);
	did(lcpfs_pool_commit(p, &err));
	did(pool_digest(p, before, &err));
	balance(p, "lzma:1", &st);
	ok(st.held_blocks > 20 && st.rewritten >= 1 && st.rewritten <= 3);
	did(pool_digest(p, after, &err));
	is_mem(after, before, HASH_LEN);
	is_int(lcpfs_balance(p, "@s", &o, &st, &err), -LCPFS_EROFS);
	o.recompress = "zstd:99";
	is_int(lcpfs_balance(p, "", &o, &st, &err), -LCPFS_EINVAL);
	clean(p, "ram:held");
}

/* What another dataset shares is left, on both sides, until that is gone. */
TEST(shared)
{
	struct lcpfs_pool *p = make("ram:shared", 2);
	struct lcpfs_balance_stats st;
	struct lcpfs_dataset *a, *b;
	struct lcpfs_file *f, *t;

	did(lcpfs_dataset_create(p, "o", false, &err));
	did(lcpfs_dataset_open(&a, p, "", &err));
	did(lcpfs_dataset_open(&b, p, "o", &err));
	did(lcpfs_file_open(&f, a, "big", LCPFS_O_READ, 0, &err));
	did(lcpfs_file_open(&t, b, "big", LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &err));
	did(lcpfs_reflink(f, t, &err));
	lcpfs_file_close(f, NULL);
	lcpfs_file_close(t, NULL);
	balance(p, "off", &st);
	ok(st.shared_blocks == 23 && st.rewritten > 20);
	did(lcpfs_remove(b, "big", false, &err));
	did(lcpfs_pool_commit(p, &err));
	balance(p, "off", &st);
	ok(st.shared_blocks == 0 && st.rewritten == 23);
	lcpfs_dataset_close(a);
	lcpfs_dataset_close(b);
	clean(p, "ram:shared");
}

/* Packs of many commits, half of each deleted. */
TEST(packs)
{
	struct lcpfs_pool *p = make("ram:packs", 2);
	struct lcpfs_balance_stats st;
	uint8_t before[HASH_LEN], after[HASH_LEN];
	struct lcpfs_dataset *ds;
	char path[32];

	did(lcpfs_dataset_open(&ds, p, "", &err));
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof path, "small%u", i);
		if (i % 20 < 13)
			did(lcpfs_remove(ds, path, false, &err));
	}
	lcpfs_dataset_close(ds);
	did(lcpfs_pool_commit(p, &err));
	did(pool_digest(p, before, &err));
	balance(p, NULL, &st);
	ok_msg(st.packs > 0, "%" PRIu64 " packs emptied", st.packs);
	balance(p, NULL, &st);
	is_int(st.packs, 0);
	did(pool_digest(p, after, &err));
	is_mem(after, before, HASH_LEN);
	clean(p, "ram:packs");
}

TAP_MAIN(T(every_codec), T(any_number_of_threads), T(dry_run), T(snapshots_and_stops), T(shared), T(packs))
