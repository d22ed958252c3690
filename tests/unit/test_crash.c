/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts. Each scenario works on a pool whose device records every write, flush and resize. Then, for every cut of the record,
 * and for seeded samples of what a disk's cache could have kept or torn after the last flush, the device is rebuilt: it must open, hold exactly
 * one of the states that were committed (none older than the last acknowledged one), and pass fsck.
 * LCPFS_CRASH_SAMPLES (subsets per cut, default 2) lengthens it, LCPFS_SEED repeats one run.
 */
#include "poolstate.h"

#define STATES_MAX 32

struct state { uint8_t hash[HASH_LEN]; size_t acked_at; /* events recorded when the commit returned */ };
struct run {
	struct crashdev *rec;
	struct lcpfs_pool *pool;
	struct state state[STATES_MAX];
	unsigned n_states;
	bool may_be_absent;  /* before the first commit the device need not open */
	uint64_t rng;
	struct lcpfs_error err;
};

static struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 }, ro = { .flags = LCPFS_OPEN_RO, .threads = 1 };

/* ---- making scenarios ---- */

static int note_state(struct run *r)
{
	struct state *s = &r->state[r->n_states];
	int rc = pool_digest(r->pool, s->hash, &r->err);

	s->acked_at = r->rec ? crashdev_events(r->rec) : 0;
	r->n_states++;
	return rc;
}

static int commit(struct run *r)
{
	int rc = lcpfs_pool_commit(r->pool, &r->err);

	return rc ? rc : note_state(r);
}

static int put(struct run *r, const char *ds_name, const char *path, size_t len, unsigned seed)
{
	return put_file(r->pool, ds_name, path, len, seed, &r->err);
}

static int fill(struct run *r)
{
	int rc = put_files(r->pool, "", 30, 0, &r->err);

	return rc ? rc : put(r, "", "big", 3 << 20, 99);
}

static int snap(struct run *r, const char *name)
{
	return take_snap(r->pool, name, &r->err);
}

/* A pool with files and two snapshots; the scenario's device begins as a copy of it. */
static int make_base(struct lcpfs_blockdev **ram, struct run *r)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };
	int rc = lcpfs_ramdisk_create(ram, "base", 0, LCPFS_DEV_IMAGE, &r->err);
	struct crashdev *through = NULL;

	if (!rc)
		rc = crashdev_create(&through, *ram, &r->err);
	if (!rc)
		rc = lcpfs_pool_create_dev(&r->pool, crashdev_dev(through), &o, &r->err);
	if (!rc)
		rc = fill(r);
	if (!rc)
		rc = snap(r, "@one");
	if (!rc)
		rc = put(r, "", "f03", 5000, 1003);
	if (!rc)
		rc = snap(r, "@two");
	if (!rc)
		rc = put(r, "", "f04", 7000, 1004);
	if (!rc)
		rc = lcpfs_pool_commit(r->pool, &r->err);
	if (!rc)
		rc = lcpfs_pool_close(r->pool, &r->err);
	crashdev_destroy(through);
	return rc;
}

static int sc_mkfs(struct run *r)
{
	int rc = fill(r);

	return rc ? rc : commit(r);
}

static int sc_cp(struct run *r)
{
	int rc = put(r, "", "new", 50000, 7);

	if (!rc)
		rc = put(r, "", "f01", 300000, 8);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "big", 1 << 20, 9);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "new2", 2 << 20, 10);
	return rc ? rc : commit(r);
}

static int sc_snap(struct run *r)
{
	int rc = snap(r, "@three");

	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "f05", 9000, 11);
	if (!rc)
		rc = snap(r, "@four");
	return rc ? rc : commit(r);
}

static int sc_destroy(struct run *r)
{
	const char *one = "@one", *two = "@two";
	int rc = lcpfs_snap_destroy(r->pool, &one, 1, false, NULL, &r->err);

	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_snap_destroy(r->pool, &two, 1, false, NULL, &r->err);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "reuse", 1 << 20, 12);
	return rc ? rc : commit(r);
}

static int sc_clone(struct run *r)
{
	int rc = lcpfs_clone(r->pool, "@one", "c", &r->err);

	if (!rc)
		rc = put(r, "c", "f06", 4000, 13);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_promote(r->pool, "c", &r->err);
	if (!rc)
		rc = commit(r);
	return rc;
}

static int sc_rollback(struct run *r)
{
	int rc = lcpfs_rollback(r->pool, "@one", "kept", &r->err);

	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "after", 6000, 14);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_rollback(r->pool, "@one", NULL, &r->err);
	return rc ? rc : commit(r);
}

static int sc_batch(struct run *r)
{
	struct lcpfs_dataset *ds;
	int rc = lcpfs_dataset_open(&ds, r->pool, "", &r->err);

	if (rc)
		return rc;
	rc = lcpfs_mkdir(ds, "d/e", 0755, true, &r->err);
	for (unsigned i = 0; i < 10 && !rc; i++) {
		char from[16], to[16];

		snprintf(from, sizeof from, "f%02u", i);
		snprintf(to, sizeof to, "d/e/g%02u", i);
		rc = i % 3 ? lcpfs_rename(ds, from, to, 0, &r->err) : lcpfs_remove(ds, from, false, &r->err);
	}
	if (!rc)
		rc = lcpfs_link(ds, "f20", "d/link", &r->err);
	if (!rc)
		rc = lcpfs_truncate(ds, "big", 1234567, &r->err);
	lcpfs_dataset_close(ds);
	return rc ? rc : commit(r);
}

/* Bytes off..off+len of a file, all of it with len 0. */
static int share(struct run *r, const char *from_ds, const char *from, uint64_t off, uint64_t len, const char *to_ds, const char *to, uint64_t at)
{
	struct lcpfs_dataset *a = NULL, *b = NULL;
	struct lcpfs_file *f = NULL, *t = NULL;
	int rc = lcpfs_dataset_open(&a, r->pool, from_ds, &r->err);

	if (!rc)
		rc = lcpfs_dataset_open(&b, r->pool, to_ds, &r->err);
	if (!rc)
		rc = lcpfs_file_open(&f, a, from, LCPFS_O_READ, 0, &r->err);
	if (!rc)
		rc = lcpfs_file_open(&t, b, to, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &r->err);
	if (!rc)
		rc = len ? lcpfs_reflink_range(f, off, len, t, at, &r->err) : lcpfs_reflink(f, t, &r->err);
	lcpfs_file_close(f, NULL);
	lcpfs_file_close(t, NULL);
	lcpfs_dataset_close(a);
	lcpfs_dataset_close(b);
	return rc;
}

/* Within a dataset, between two, from a snapshot; then what was shared goes in different orders, and its space is used again. */
static int sc_reflink(struct run *r)
{
	const char *one = "@one";
	int rc = lcpfs_dataset_create(r->pool, "o", false, &r->err);

	if (!rc)
		rc = share(r, "", "big", 0, 0, "o", "big", 0);
	if (!rc)
		rc = share(r, "@one", "f03", 0, 0, "o", "f03", 0);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = share(r, "@two", "big", 1 << 20, 2 << 20, "o", "mixed", 12345);
	if (!rc)
		rc = share(r, "", "big", 0, 0, "", "big2", 0);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "big", 3 << 20, 50);
	if (!rc)
		rc = lcpfs_snap_destroy(r->pool, &one, 1, false, NULL, &r->err);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_dataset_destroy(r->pool, "o", false, &r->err);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = put(r, "", "reuse", 2 << 20, 51);
	return rc ? rc : commit(r);
}

/* Two names of one content part. */
static int sc_unshare(struct run *r)
{
	struct lcpfs_dataset *ds;
	int rc = share(r, "", "big", 0, 0, "", "twin", 0);

	if (!rc)
		rc = share(r, "", "f05", 0, 0, "", "small", 0);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = share(r, "", "f06", 0, 100, "", "twin", 1 << 20);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_dataset_open(&ds, r->pool, "", &r->err);
	if (rc)
		return rc;
	rc = lcpfs_truncate(ds, "twin", 1500000, &r->err);
	if (!rc)
		rc = lcpfs_truncate(ds, "small", 10, &r->err);
	if (!rc)
		rc = commit(r);
	if (!rc)
		rc = lcpfs_remove(ds, "big", false, &r->err);
	if (!rc)
		rc = commit(r);
	lcpfs_dataset_close(ds);
	if (!rc)
		rc = put(r, "", "reuse", 1 << 20, 52);
	return rc ? rc : commit(r);
}

/* Contents never change, whatever of it happened. */
static int sc_balance(struct run *r)
{
	static const char *const codec[] = { "off", "zstd:1", NULL };
	int rc = 0;

	for (unsigned i = 0; i < 10 && !rc; i++)
		rc = put(r, "", i % 2 ? "more" : "again", 2000 + i * 3001, 100 + i) ? -1 : commit(r);
	for (unsigned i = 0; i < ARRAY_LEN(codec) && !rc; i++) {
		struct lcpfs_balance_opts o = { .recompress = codec[i], .packs = !codec[i], .step_bytes = 1 << 20 };
		struct lcpfs_balance_stats st;

		rc = lcpfs_balance(r->pool, "", &o, &st, &r->err);
		if (!rc && codec[i])
			ok_msg(st.rewritten > 0 && st.commits > 0, "%s: nothing was rewritten", codec[i]);
		if (!rc)
			rc = note_state(r);
	}
	return rc;
}

/* The stream between two pools, in memory. */
struct pipe_mem { uint8_t *data; size_t len, cap, at; };

static int pipe_write(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct pipe_mem *m = arg;

	(void)err;
	if (m->len + len > m->cap)
		m->data = realloc(m->data, m->cap = 2 * (m->len + len));
	memcpy(m->data + m->len, data, len);
	m->len += len;
	return 0;
}

static int pipe_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct pipe_mem *m = arg;

	(void)err;
	*got = len < m->len - m->at ? len : m->len - m->at;
	memcpy(buf, m->data + m->at, *got);
	m->at += *got;
	return 0;
}

static struct pipe_mem stream_full, stream_inc;

/* Streams of another pool: @a, then @a..@b. */
static int make_streams(struct run *r)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true, .name = "other" };
	struct lcpfs_send_opts inc = { .base = "@a" };
	struct lcpfs_blockdev *ram;
	int rc = lcpfs_ramdisk_create(&ram, "other", 0, LCPFS_DEV_IMAGE, &r->err);

	if (!rc)
		rc = lcpfs_pool_create_dev(&r->pool, ram, &o, &r->err);
	if (!rc)
		rc = fill(r);
	if (!rc)
		rc = snap(r, "@a");
	if (!rc)
		rc = put(r, "", "f07", 20000, 15);
	if (!rc)
		rc = snap(r, "@b");
	if (!rc)
		rc = lcpfs_pool_commit(r->pool, &r->err);
	if (!rc)
		rc = lcpfs_send(r->pool, "@a", NULL, pipe_write, &stream_full, NULL, &r->err);
	if (!rc)
		rc = lcpfs_send(r->pool, "@b", &inc, pipe_write, &stream_inc, NULL, &r->err);
	lcpfs_pool_close(r->pool, NULL);
	r->pool = NULL;
	return rc;
}

static int receive(struct run *r, struct pipe_mem *m)
{
	struct lcpfs_recv_opts o = { .target = "in" };
	int rc;

	m->at = 0;
	rc = lcpfs_recv(r->pool, &o, pipe_read, m, NULL, &r->err);
	return rc ? rc : note_state(r);
}

static int sc_recv(struct run *r)
{
	int rc = receive(r, &stream_full);

	return rc ? rc : receive(r, &stream_inc);
}

/* ---- cutting ---- */

static bool keep_some(void *arg, size_t i) { (void)i; return tap_rand(arg) & 0x10000; }
static size_t tear_some(void *arg, size_t i, size_t sectors)
{
	uint64_t v = tap_rand(arg) >> 20;

	(void)i;
	return v % 4 ? sectors : (size_t)(v / 4 % (sectors + 1));
}

/* The oldest state that may be seen: what was acknowledged before this cut. */
static unsigned oldest(const struct run *r, size_t cut)
{
	unsigned k = 0;

	for (unsigned i = 1; i < r->n_states; i++)
		if (r->state[i].acked_at <= cut)
			k = i;
	return k;
}

static void print_problem(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	printf("# fsck: %s: %s\n", p->code, p->text);
}

static bool check_fsck(struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	struct lcpfs_check_opts o = { .problem = print_problem };
	uint64_t problems = 0;
	int rc = lcpfs_fsck_dev(dev, &ro, &o, &problems, err);

	return !rc && !problems;
}

static bool known_state(const struct run *r, const uint8_t *hash, unsigned from)
{
	for (unsigned i = from; i < r->n_states; i++)
		if (memcmp(r->state[i].hash, hash, HASH_LEN) == 0)
			return true;
	return false;
}

static bool check_cut(struct run *r, size_t cut, bool sampled)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_blockdev *dev, *again;
	struct lcpfs_pool *p = NULL;
	uint8_t hash[HASH_LEN];
	uint64_t seed = r->rng, seed2 = seed;
	unsigned from = oldest(r, cut);
	bool absent_ok = r->may_be_absent && from == 0;
	int rc;

	if (crashdev_replay(r->rec, cut, sampled ? keep_some : NULL, sampled ? tear_some : NULL, &seed, &dev, &err) ||
	    crashdev_replay(r->rec, cut, sampled ? keep_some : NULL, sampled ? tear_some : NULL, &seed2, &again, &err))
		return ok_msg(false, "replay: %s", err.msg);
	rc = lcpfs_pool_open_dev(&p, dev, &ro, &err);
	if (rc && absent_ok) {
		lcpfs_blockdev_close(again);
		return true;
	}
	if (!rc)
		rc = pool_digest(p, hash, &err);
	lcpfs_pool_close(p, NULL);
	if (!ok_msg(!rc, "cut %zu: %s", cut, err.msg)) {
		lcpfs_blockdev_close(again);
		return false;
	}
	if (!ok_msg(known_state(r, hash, from), "cut %zu of %zu: a state that was never committed, or older than the acknowledged %u", cut,
	    crashdev_events(r->rec), from)) {
		lcpfs_blockdev_close(again);
		return false;
	}
	return ok_msg(check_fsck(again, &err), "cut %zu: fsck finds problems (%s)", cut, err.msg);
}

static unsigned env_number(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v ? (unsigned)strtoul(v, NULL, 10) : def;
}

static void cut_everywhere(struct run *r)
{
	size_t n = crashdev_events(r->rec);
	unsigned samples = env_number("LCPFS_CRASH_SAMPLES", 2);

	r->rng = env_number("LCPFS_SEED", 1);
	for (size_t cut = 0; cut <= n; cut++) {
		if (!check_cut(r, cut, false))
			return;
		for (unsigned i = 0; i < samples; i++) {
			tap_rand(&r->rng);
			if (!check_cut(r, cut, true)) {
				printf("# sample %u, rng %llu\n", i, (unsigned long long)r->rng);
				return;
			}
		}
	}
	printf("# %zu cuts, %u samples each\n", n + 1, samples);
}

static void scenario(int (*fn)(struct run *r), bool from_nothing)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };
	struct run r = { .may_be_absent = from_nothing };
	struct lcpfs_blockdev *ram = NULL;
	int rc = 0;

	if (fn == sc_recv && !stream_full.len)
		rc = make_streams(&r);
	if (!rc)
		rc = from_nothing ? lcpfs_ramdisk_create(&ram, "disk", 0, LCPFS_DEV_IMAGE, &r.err) : make_base(&ram, &r);
	if (!rc)
		rc = crashdev_create(&r.rec, ram, &r.err);
	if (!rc && from_nothing) {
		rc = lcpfs_pool_create_dev(&r.pool, crashdev_dev(r.rec), &o, &r.err);
		r.n_states = 1; /* nothing there */
	} else if (!rc) {
		rc = lcpfs_pool_open_dev(&r.pool, crashdev_dev(r.rec), &rw, &r.err);
		if (!rc)
			rc = note_state(&r);
	}
	if (!rc)
		rc = fn(&r);
	if (!rc)
		rc = lcpfs_pool_close(r.pool, &r.err);
	if (ok_msg(!rc, "%s", r.err.msg))
		cut_everywhere(&r);
	crashdev_destroy(r.rec);
	lcpfs_blockdev_close(ram);
}

TEST(mkfs) { scenario(sc_mkfs, true); }
TEST(cp) { scenario(sc_cp, false); }
TEST(snap) { scenario(sc_snap, false); }
TEST(destroy) { scenario(sc_destroy, false); }
TEST(clone_promote) { scenario(sc_clone, false); }
TEST(rollback) { scenario(sc_rollback, false); }
TEST(batch) { scenario(sc_batch, false); }
TEST(reflink) { scenario(sc_reflink, false); }
TEST(unshare) { scenario(sc_unshare, false); }
TEST(balance) { scenario(sc_balance, false); }
TEST(recv) { scenario(sc_recv, false); }

TAP_MAIN(T(mkfs), T(cp), T(snap), T(destroy), T(clone_promote), T(rollback), T(batch), T(reflink), T(unshare), T(balance),
         T(recv))
