/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction of packs: contents stay what they are, space comes back, packs stay few, and nobody else notices. */
#include "tap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "format/inode.h"
#include "lcpfs/check.h"
#include "lcpfs/stream.h"
#include "spa/spa_impl.h"
#include "zpl/handle.h"

#define FILES 400u

static struct lcpfs_error err;
static unsigned next_disk;

struct pool {
	char dev[32];
	struct lcpfs_pool *p;
	struct lcpfs_dataset *ds;
	uint64_t seed[FILES]; /* of a file's content; 0: there is none */
	uint32_t len[FILES];
	uint64_t rnd;
};

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

static uint32_t pick(struct pool *f, uint32_t n) { return (uint32_t)(tap_rand(&f->rnd) >> 33) % n; }

static bool start(struct pool *f, uint32_t pack_bytes, uint64_t seed)
{
	struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .pack_bytes = pack_bytes,
		.slice_max_bytes = pack_bytes };

	*f = (struct pool){ .rnd = seed };
	snprintf(f->dev, sizeof f->dev, "ram:compact%u", next_disk++);
	return did(lcpfs_pool_create(&f->p, f->dev, &o, &err)) && did(lcpfs_dataset_open(&f->ds, f->p, "", &err)) &&
	       did(lcpfs_pool_commit(f->p, &err));
}

static void shut(struct pool *f)
{
	lcpfs_dataset_close(f->ds);
	did(lcpfs_pool_close(f->p, &err));
}

static bool reopen(struct pool *f)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };

	shut(f);
	return did(lcpfs_pool_open(&f->p, f->dev, &o, &err)) && did(lcpfs_dataset_open(&f->ds, f->p, "", &err));
}

static void on_problem(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	printf("# P%u %s: %s\n", p->phase, p->code, p->text);
}

/* Closes, looks, opens again. */
static bool clean_at(struct pool *f, const char *file, int line)
{
	struct lcpfs_open_opts oo = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };
	struct lcpfs_check_opts o = { .data = true, .problem = on_problem };
	uint64_t n = 1;

	shut(f);
	tap_ok_msg(lcpfs_fsck(f->dev, NULL, &o, &n, &err) == 0 && !n, file, line, "%" PRIu64 " problems", n);
	return did(lcpfs_pool_open(&f->p, f->dev, &oo, &err)) && did(lcpfs_dataset_open(&f->ds, f->p, "", &err));
}
#define clean(f) clean_at(f, __FILE__, __LINE__)

static void fill(uint8_t *p, uint32_t len, uint64_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		p[i] = (uint8_t)(tap_rand(&seed) >> 40);
}

static void path_of(unsigned i, char path[32])
{
	snprintf(path, 32, "f%u", i);
}

static void put(struct pool *f, unsigned i, uint32_t len)
{
	struct lcpfs_file *h;
	char path[32];
	uint8_t *buf = malloc(len);

	f->seed[i] = tap_rand(&f->rnd) | 1;
	f->len[i] = len;
	fill(buf, len, f->seed[i]);
	path_of(i, path);
	if (did(lcpfs_file_open(&h, f->ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, &err))) {
		did(lcpfs_file_pwrite(h, buf, len, 0, &err));
		lcpfs_file_close(h, NULL);
	}
	free(buf);
}

static void drop(struct pool *f, unsigned i)
{
	char path[32];

	if (!f->seed[i])
		return;
	path_of(i, path);
	did(lcpfs_remove(f->ds, path, false, &err));
	f->seed[i] = 0;
}

static void commit(struct pool *f)
{
	did(lcpfs_pool_commit(f->p, &err));
}

static bool same(struct lcpfs_dataset *ds, const struct pool *f, unsigned i)
{
	struct lcpfs_file *h;
	uint8_t *want, *have;
	size_t got = 0;
	char path[32];
	bool equal;

	path_of(i, path);
	if (lcpfs_file_open(&h, ds, path, LCPFS_O_READ, 0, &err))
		return !f->seed[i] && err.code == LCPFS_ENOENT;
	want = malloc(f->len[i] + 1);
	have = malloc(f->len[i] + 1);
	fill(want, f->len[i], f->seed[i]);
	equal = lcpfs_file_pread(h, have, f->len[i] + 1, 0, &got, &err) == 0 && f->seed[i] && got == f->len[i] && memcmp(want, have, got) == 0;
	free(want);
	free(have);
	lcpfs_file_close(h, NULL);
	return equal;
}

static void check_in(struct lcpfs_dataset *ds, const struct pool *f)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < FILES; i++)
		bad += !same(ds, f, i);
	is_int(bad, 0);
}

static void check(const struct pool *f) { check_in(f->ds, f); }

static uint64_t live(const struct pool *f)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < FILES; i++)
		sum += f->seed[i] ? f->len[i] : 0;
	return sum;
}

static uint64_t used(struct pool *f)
{
	struct lcpfs_pool_info i = { 0 };

	did(lcpfs_pool_info(f->p, &i, &err));
	return i.used_bytes;
}

/* The numbers of all packs; how many. */
static unsigned packs(struct pool *f, uint64_t *id, unsigned max)
{
	struct bt_cursor c = { 0 };
	unsigned n = 0;
	uint8_t key[9];

	did(zpl_flush(f->ds->ds, &err));
	for (int rc = btree_seek(f->ds->ds->tree, &c, key, item_key(key, ITEM_PACK, 0), &err); !rc && c.item.key[0] == ITEM_PACK;
	     rc = btree_next(&c, &err)) {
		if (n < max)
			id[n] = be64_load(c.item.key + 1);
		n++;
	}
	btree_cursor_close(&c);
	return n;
}

/* One file per commit, each opening the pool anew as a command does now and then. */
TEST(thousand_commits)
{
	struct pool f;
	unsigned most = 0;

	if (!start(&f, 0, 1))
		return;
	for (unsigned i = 0; i < 1000; i++) {
		if (i < FILES)
			put(&f, i, 1 + pick(&f, 4000));
		else
			put(&f, pick(&f, FILES), 1 + pick(&f, 4000));
		commit(&f);
		most = MAX(most, packs(&f, NULL, 0));
		if (i % 50 == 49)
			reopen(&f);
	}
	printf("# at most %u packs, %" PRIu64 " bytes live, %" PRIu64 " used\n", most, live(&f), used(&f));
	ok(most <= 40);
	check(&f);
	ok(used(&f) <= 2 * live(&f) + (256u << 10));
	if (clean(&f))
		shut(&f);
}

TEST(sizes_of_all_kinds)
{
	struct pool f;
	uint32_t psize[FILES];
	struct lcpfs_stat st;
	char path[32];

	if (!start(&f, 0, 2))
		return;
	for (unsigned i = 0; i < FILES; i++)
		put(&f, i, 1 + pick(&f, 8000));
	commit(&f);
	for (unsigned i = 0; i < FILES; i++) {
		path_of(i, path);
		did(lcpfs_stat(f.ds, path, 0, &st, &err));
		psize[i] = (uint32_t)st.stored;
	}
	/* more than half of each pack goes, and as much comes */
	for (unsigned i = 0; i < FILES; i++)
		if (i % 5 < 3)
			drop(&f, i);
	for (unsigned i = 0; i < FILES; i += 5)
		put(&f, i, 20000);
	commit(&f);
	check(&f);
	for (unsigned i = 0; i < FILES; i++) {
		path_of(i, path);
		if (i % 5 < 3)
			continue;
		did(lcpfs_stat(f.ds, path, 0, &st, &err));
		is_int(st.stored, psize[i]);
	}
	for (int i = 0; i < 2; i++) {
		did(lcpfs_chmod(f.ds, "", 0, 0700, &err));
		commit(&f);
	}
	ok(used(&f) <= live(&f) + live(&f) / 8 + (128u << 10));
	if (clean(&f))
		shut(&f);
}

/* What only changes attributes, or only looks, moves nothing. */
TEST(quiet_commits)
{
	uint64_t before[64], after[64];
	struct pool f;
	unsigned n;

	if (!start(&f, 0, 3))
		return;
	for (unsigned i = 0; i < 30; i++) {
		put(&f, i, 3000 * (30 - i));
		commit(&f);
	}
	n = packs(&f, before, 64);
	reopen(&f);
	check(&f);
	did(lcpfs_chmod(f.ds, "f1", 0, 0600, &err));
	commit(&f);
	is_int(packs(&f, after, 64), n);
	is_mem(after, before, MIN(n, 64u) * sizeof *after);
	shut(&f);
}

TEST(snapshots_hold_packs)
{
	static const char *const snap = "@s";
	uint64_t before[64], after[64];
	struct lcpfs_dataset *old;
	static struct pool then;
	struct pool f;
	unsigned n;

	if (!start(&f, 0, 4))
		return;
	for (unsigned i = 0; i < 10; i++)
		put(&f, i, 20000);
	commit(&f);
	n = packs(&f, before, 64);
	then = f;
	did(lcpfs_snap_create(f.p, &snap, 1, false, &err));
	commit(&f);
	for (unsigned i = 0; i < 8; i++)
		drop(&f, i);
	put(&f, 20, 50000);
	commit(&f);
	is_int(packs(&f, after, 64), n + 1);
	is_int(after[0], before[0]);
	check(&f);
	if (did(lcpfs_dataset_open(&old, f.p, snap, &err))) {
		check_in(old, &then);
		lcpfs_dataset_close(old);
	}
	/* without the snapshot the next loss moves what is left */
	did(lcpfs_snap_destroy(f.p, &snap, 1, false, NULL, &err));
	put(&f, 9, 100);
	put(&f, 21, 30000);
	commit(&f);
	is_int(packs(&f, after, 64), 2);
	ok(after[0] != before[0]);
	check(&f);
	if (clean(&f))
		shut(&f);
}

/* Where on the device the block of a pack lies. */
static uint64_t place_of(struct pool *f, uint64_t pack_id)
{
	struct bt_cursor c = { 0 };
	struct blkptr bp = { 0 };
	const struct cfg_chunk *chunk;
	uint8_t key[9];

	is_int(btree_get(f->ds->ds->tree, &c, key, item_key(key, ITEM_PACK, pack_id), &err), 0);
	did(ptr_decode(&bp, c.item.ptrs, &err));
	btree_cursor_close(&c);
	chunk = config_chunk(vdev_config(f->p->spa->vdev), (uint32_t)(bp.addr >> 32));
	return chunk->member[0].start_unit * UNIT + (uint64_t)(uint32_t)bp.addr * SECTOR;
}

/* A pack that cannot be read stays where it is, and the commit succeeds. */
TEST(damaged)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };
	uint64_t before[8], after[8], off;
	struct lcpfs_blockdev *d;
	struct pool f;

	if (!start(&f, 0, 5))
		return;
	for (unsigned i = 0; i < 10; i++)
		put(&f, i, 20000);
	commit(&f);
	is_int(packs(&f, before, 8), 1);
	off = place_of(&f, before[0]);
	shut(&f);
	if (!did(lcpfs_blockdev_open(&d, f.dev, LCPFS_DEV_OPEN_RW, &err)))
		return;
	did(d->ops->write(d, off + 1000, "damage", 6, &err));
	lcpfs_blockdev_close(d);
	if (!did(lcpfs_pool_open(&f.p, f.dev, &o, &err)) || !did(lcpfs_dataset_open(&f.ds, f.p, "", &err)))
		return;
	for (unsigned i = 0; i < 9; i++)
		drop(&f, i);
	put(&f, 20, 50000);
	commit(&f);
	is_int(packs(&f, after, 8), 2);
	is_int(after[0], before[0]);
	ok(!same(f.ds, &f, 9));
	ok(same(f.ds, &f, 20));
	shut(&f);
}

/* ---- streams and differences ---- */

struct mem { struct buf b; size_t at; };

static int mem_write(void *arg, const void *data, size_t len, struct lcpfs_error *e)
{
	struct mem *m = arg;

	buf_add(&m->b, data, len);
	return m->b.failed ? lcpfs_nomem(e) : 0;
}

static int mem_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *e)
{
	struct mem *m = arg;

	(void)e;
	*got = MIN(len, m->b.len - m->at);
	memcpy(buf, m->b.data + m->at, *got);
	m->at += *got;
	return 0;
}

static void snap(struct pool *f, const char *name)
{
	did(lcpfs_snap_create(f->p, &name, 1, false, &err));
	commit(f);
}

static size_t pass_on(struct pool *f, struct pool *to, const char *name, const char *base)
{
	struct lcpfs_send_opts so = { .base = base };
	struct lcpfs_recv_opts ro = { .target = "", .force = !base };
	struct mem m = { 0 };
	size_t len;

	did(lcpfs_send(f->p, name, &so, mem_write, &m, NULL, &err));
	len = m.b.len;
	lcpfs_dataset_close(to->ds);
	did(lcpfs_recv(to->p, &ro, mem_read, &m, NULL, &err));
	did(lcpfs_dataset_open(&to->ds, to->p, "", &err));
	buf_fini(&m.b);
	return len;
}

TEST(streams)
{
	struct pool f, to;
	char name[16], base[16];
	uint64_t fresh;
	size_t len;

	if (!start(&f, 128u << 10, 6) || !start(&to, 128u << 10, 7))
		return;
	for (unsigned i = 0; i < FILES; i++) {
		put(&f, i, 1 + pick(&f, 6000));
		if (i % 8 == 7)
			commit(&f);
	}
	snap(&f, "@0");
	pass_on(&f, &to, "@0", NULL);
	for (unsigned round = 1; round < 6; round++) {
		fresh = 0;
		for (unsigned i = 0; i < 60; i++) {
			unsigned k = pick(&f, FILES);

			if (pick(&f, 3)) {
				put(&f, k, 1 + pick(&f, 6000));
				fresh += f.len[k];
			} else {
				drop(&f, k);
			}
			commit(&f);
		}
		snprintf(name, sizeof name, "@%u", round);
		snprintf(base, sizeof base, "@%u", round - 1);
		snap(&f, name);
		len = pass_on(&f, &to, name, base);
		printf("# %" PRIu64 " bytes written, stream of %zu\n", fresh, len);
		ok(len < fresh + fresh / 4 + 16384);
		check_in(to.ds, &f);
	}
	if (clean(&to))
		shut(&to);
	if (clean(&f))
		shut(&f);
}

static int count(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *e)
{
	(void)d, (void)e;
	++*(unsigned *)arg;
	return 0;
}

/* Files that compaction moved are no difference: a copy of the pool before against the pool after. */
TEST(no_difference)
{
	struct pool f, was;
	unsigned n = 0;
	uint64_t a[64], b[64];

	if (!start(&f, 0, 8) || !start(&was, 0, 8))
		return;
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < 100; i++) {
			struct pool *p = k ? &was : &f;

			put(p, i, 3000);
			if (i % 9 == 0 && !k)
				commit(p);
		}
	for (unsigned i = 0; i < 100; i++)
		if (i % 4) {
			drop(&f, i);
			drop(&was, i);
		}
	commit(&f);
	commit(&was);
	ok(packs(&f, a, 64) && packs(&was, b, 64) && a[0] != b[0]);
	did(lcpfs_diff(was.ds, f.ds, LCPFS_DIFF_IGNORE_TIMES, count, &n, NULL, &err));
	is_int(n, 0);
	shut(&was);
	shut(&f);
}

/* ---- random ---- */

static void random_round(struct pool *f)
{
	unsigned ops = 1 + pick(f, pick(f, 5) ? 4 : 60);

	for (unsigned i = 0; i < ops; i++) {
		unsigned k = pick(f, FILES);

		if (pick(f, 2))
			put(f, k, 1 + pick(f, pick(f, 4) ? 3000 : 60000));
		else
			drop(f, k);
	}
	if (pick(f, 10))
		commit(f);
}

static void random_snapshot(struct pool *f, unsigned *have)
{
	char name[8];
	const char *n = name;
	unsigned i = pick(f, 4);

	snprintf(name, sizeof name, "@r%u", i);
	if (*have & 1u << i)
		did(lcpfs_snap_destroy(f->p, &n, 1, false, NULL, &err));
	else
		did(lcpfs_snap_create(f->p, &n, 1, false, &err));
	*have ^= 1u << i;
}

static void random_run(uint64_t seed)
{
	unsigned have = 0;
	struct pool f;

	printf("# seed %" PRIu64 "\n", seed);
	if (!start(&f, pick(&(struct pool){ .rnd = seed }, 2) ? 0 : 64u << 10, seed))
		return;
	for (unsigned round = 0; round < 300; round++) {
		random_round(&f);
		if (!pick(&f, 12))
			random_snapshot(&f, &have);
		if (round % 25 == 24) {
			commit(&f);
			check(&f);
			if (!clean(&f))
				return;
		}
	}
	for (unsigned i = 0; i < 4; i++)
		if (have & 1u << i) {
			char name[8];
			const char *n = name;

			snprintf(name, sizeof name, "@r%u", i);
			did(lcpfs_snap_destroy(f.p, &n, 1, false, NULL, &err));
		}
	for (unsigned round = 0; round < 60; round++) {
		random_round(&f);
		commit(&f);
	}
	check(&f);
	printf("# %u packs, %" PRIu64 " bytes live, %" PRIu64 " used\n", packs(&f, NULL, 0), live(&f), used(&f));
	ok(used(&f) <= 2 * live(&f) + (512u << 10));
	if (clean(&f))
		shut(&f);
}

TEST(random)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		random_run(seed * 1000003);
}

TAP_MAIN(T(thousand_commits), T(sizes_of_all_kinds), T(quiet_commits), T(snapshots_hold_packs), T(damaged), T(streams), T(no_difference),
         T(random))
