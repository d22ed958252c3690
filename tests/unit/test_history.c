/* SPDX-License-Identifier: Apache-2.0 */
/* Older roots: opening a pool at one, listing them, telling what is still whole. */
#include "poolstate.h"
#include <inttypes.h>
#include "base/error.h"
#include "history/scramble.h"
#include "zpl/handle.h"

#define COMMITS 6

static struct lcpfs_error err;
static unsigned next_disk;
static char dev[32];
static struct lcpfs_pool *pool;

static bool did_at(int rc, const char *file, int line)
{
	return rc == 0 || tap_ok_msg(false, file, line, "rc %d: %s", rc, err.msg);
}
#define did(rc) did_at(rc, __FILE__, __LINE__)

static void write_file(const char *path, const char *text)
{
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_file *f = NULL;

	did(lcpfs_dataset_open(&ds, pool, "", &err));
	did(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, &err));
	did(lcpfs_file_pwrite(f, text, strlen(text), 0, &err));
	did(lcpfs_file_close(f, &err));
	lcpfs_dataset_close(ds);
}

static void read_is(struct lcpfs_pool *p, const char *path, const char *want)
{
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_file *f = NULL;
	char got[64] = "";
	size_t n = 0;

	did(lcpfs_dataset_open(&ds, p, "", &err));
	if (did(lcpfs_file_open(&f, ds, path, LCPFS_O_READ, 0, &err)))
		did(lcpfs_file_pread(f, got, sizeof got - 1, 0, &n, &err));
	got[n] = 0;
	is_str(got, want);
	did(lcpfs_file_close(f, &err));
	lcpfs_dataset_close(ds);
}

/* Commits 1.. of a pool with a file that says which one it is of. */
static void create(void)
{
	static const struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .compress = "off" };
	char text[16];

	snprintf(dev, sizeof dev, "ram:history%u", next_disk++);
	did(lcpfs_pool_create(&pool, dev, &o, &err));
	for (int i = 1; i <= COMMITS; i++) {
		snprintf(text, sizeof text, "state %d", i);
		write_file("f", text);
		did(lcpfs_pool_commit(pool, &err));
	}
}

struct seen { struct lcpfs_root r[32]; size_t n; };

static int see(void *arg, const struct lcpfs_root *r, struct lcpfs_error *e)
{
	struct seen *s = arg;

	(void)e;
	if (s->n < 32)
		s->r[s->n++] = *r;
	return 0;
}

TEST(list)
{
	struct seen s = { .n = 0 }, c = { .n = 0 };

	create();
	did(lcpfs_root_each(pool, 0, see, &s, &err));
	is_int(s.n, COMMITS);
	ok(s.r[0].current && !s.r[1].current);
	ok(s.r[0].txg > s.r[1].txg && s.r[0].state == LCPFS_ROOT_UNCHECKED);
	did(lcpfs_root_each(pool, LCPFS_ROOT_CHECK_DATA, see, &c, &err));
	is_int(c.n, COMMITS);
	/* by the rule of commits, the last two are there for certain */
	is_int(c.r[0].state, LCPFS_ROOT_COMPLETE);
	is_int(c.r[1].state, LCPFS_ROOT_COMPLETE);
	for (size_t i = 2; i < c.n; i++)
		ok(c.r[i].state != LCPFS_ROOT_UNCHECKED && (c.r[i].state == LCPFS_ROOT_COMPLETE) == !c.r[i].why);
	is_int(lcpfs_root_each(pool, 8, see, &c, &err), -LCPFS_EINVAL);
	did(lcpfs_pool_close(pool, &err));
}

TEST(open_older)
{
	struct lcpfs_open_opts oo = { .threads = 1, .memory_bytes = 32u << 20 };
	struct lcpfs_pool *old = NULL;
	struct seen s = { .n = 0 };

	create();
	did(lcpfs_root_each(pool, 0, see, &s, &err));
	did(lcpfs_root_open(&old, pool, s.r[1].txg, NULL, &err));
	read_is(old, "f", "state 5");
	read_is(pool, "f", "state 6");
	did(lcpfs_pool_close(old, &err));
	did(lcpfs_pool_close(pool, &err));
	/* by name, as a program would */
	oo.txg = s.r[1].txg;
	did(lcpfs_pool_open(&pool, dev, &oo, &err));
	read_is(pool, "f", "state 5");
	did(lcpfs_pool_close(pool, &err));
	oo.flags = LCPFS_OPEN_RW;
	is_int(lcpfs_pool_open(&pool, dev, &oo, &err), -LCPFS_EINVAL);
	oo.flags = 0;
	oo.txg = 4711;
	is_int(lcpfs_pool_open(&pool, dev, &oo, &err), -LCPFS_ENOENT);
	ok(strstr(err.msg, "4711") != NULL);
}

/* ---- branches ---- */

static uint64_t seed;

static void digest_of(struct lcpfs_pool *p, const char *name, uint8_t out[HASH_LEN])
{
	struct pool_digest d = { .p = p };

	blake3_init(&d.b);
	if (did(lcpfs_dataset_open(&d.ds, p, name, &err)))
		did(lcpfs_walk(d.ds, "", 0, digest_file, &d, &err));
	lcpfs_dataset_close(d.ds);
	blake3_final(&d.b, 0, out, HASH_LEN);
}

static void random_write(struct lcpfs_dataset *ds, const char *path)
{
	static uint8_t buf[40000];
	struct lcpfs_file *f = NULL;
	size_t len = tap_rand(&seed) % 4 ? tap_rand(&seed) % 3000 : tap_rand(&seed) % sizeof buf;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(tap_rand(&seed) >> (i % 5 ? 60 : 30));
	did(lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | (tap_rand(&seed) % 2 ? LCPFS_O_TRUNC : 0), 0644, &err));
	did(lcpfs_file_pwrite(f, buf, len, tap_rand(&seed) % 9000, &err));
	did(lcpfs_file_close(f, &err));
}

/* A few changes, and now and then a snapshot; then a commit. */
static void random_commit(unsigned step)
{
	struct lcpfs_dataset *ds = NULL;
	char path[24];
	const char *snap = path;

	did(lcpfs_dataset_open(&ds, pool, "", &err));
	for (unsigned i = 0; i < 6; i++) {
		snprintf(path, sizeof path, "f%u", (unsigned)(tap_rand(&seed) % 12));
		if (tap_rand(&seed) % 4)
			random_write(ds, path);
		else
			lcpfs_remove(ds, path, false, NULL);
	}
	lcpfs_dataset_close(ds);
	snprintf(path, sizeof path, "@s%u", step);
	if (tap_rand(&seed) % 3 == 0)
		did(lcpfs_snap_create(pool, &snap, 1, false, &err));
	did(lcpfs_pool_commit(pool, &err));
}

static void clean(void)
{
	const struct lcpfs_open_opts ro = { .threads = 1, .memory_bytes = 32u << 20 };
	struct lcpfs_check_opts o = { .data = true, .problem = say_problem };
	uint64_t n = 0;
	int rc = lcpfs_fsck(dev, &ro, &o, &n, &err);

	ok_msg(rc == 0 && n == 0, "fsck: rc %d, %" PRIu64 " problems", rc, n);
}

static void branch(uint64_t txg, const char *name)
{
	struct lcpfs_branch_stats st = { 0 };
	struct lcpfs_pool *old = NULL;
	uint8_t was[HASH_LEN], is[HASH_LEN], head[HASH_LEN], same[HASH_LEN];

	digest_of(pool, "", head);
	did(lcpfs_root_open(&old, pool, txg, NULL, &err));
	digest_of(old, "", was);
	did(lcpfs_root_branch(pool, old, "", name, &st, &err));
	is_int(lcpfs_root_branch(pool, old, "", name, NULL, NULL), -LCPFS_EEXIST);
	did(lcpfs_pool_close(old, &err));
	did(lcpfs_pool_commit(pool, &err));
	digest_of(pool, name, is);
	digest_of(pool, "", same);
	is_mem(is, was, HASH_LEN);
	is_mem(same, head, HASH_LEN);
	ok(st.shared_blocks + st.copied_blocks > 0);
}

/* What was made keeps being right while both it and what it came from change. */
static void change_branch(const char *name)
{
	struct lcpfs_dataset *ds = NULL;

	did(lcpfs_dataset_open(&ds, pool, name, &err));
	random_write(ds, "f1");
	random_write(ds, "new");
	lcpfs_remove(ds, "f2", false, NULL);
	lcpfs_dataset_close(ds);
	random_commit(1000 + (unsigned)strtoul(name + 1, NULL, 10));
}

/* ---- what is deleted, and all states; a copy without contents ---- */

struct tally { uint64_t n, lost, deleted; };

static int tally_deleted(void *arg, const struct lcpfs_deleted *d, struct lcpfs_error *e)
{
	struct tally *t = arg;
	struct lcpfs_stat st;

	t->n++;
	t->lost += d->lost;
	return lcpfs_stat(d->in, d->path, 0, &st, e);
}

static int tally_state(void *arg, const struct lcpfs_timeline *e, struct lcpfs_error *er)
{
	struct tally *t = arg;

	(void)er;
	t->n++;
	t->deleted += e->deleted;
	ok_msg(!e->contradictions, "'%s' of txg %" PRIu64 ": %#x", e->path, e->txg, e->contradictions);
	return 0;
}

static uint64_t count_files(struct lcpfs_pool *p, const char *name)
{
	struct lcpfs_dataset *ds = NULL;
	uint64_t n = 0;

	if (did(lcpfs_dataset_open(&ds, p, name, &err)))
		n = ds->ds->rec.n_inodes;
	lcpfs_dataset_close(ds);
	return n;
}

static void sanitized(void)
{
	static char here[32];
	char was[32];
	struct lcpfs_pool *p = NULL;

	snprintf(here, sizeof here, "ram:sane%u", next_disk++);
	did(lcpfs_sanitize(pool, here, &err));
	memcpy(was, dev, sizeof was);
	memcpy(dev, here, sizeof dev);
	clean();
	did(lcpfs_pool_open(&p, here, NULL, &err));
	is_int(count_files(p, ""), count_files(pool, ""));
	did(lcpfs_pool_close(p, &err));
	memcpy(dev, was, sizeof dev);
}

TEST(scrambled)
{
	static const char alnum[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static bool seen[256][256];
	struct scramble s;
	uint8_t key[32] = { 7 }, c[8];

	scramble_init(&s, key);
	for (unsigned i = 0; i < 62 * 62; i++) {
		c[0] = (uint8_t)alnum[i / 62];
		c[1] = (uint8_t)alnum[i % 62];
		scramble_name(&s, 5, c, 2);
		if (seen[c[0]][c[1]] || !strchr(alnum, c[0]) || !strchr(alnum, c[1]))
			ok_msg(false, "%u", i);
		seen[c[0]][c[1]] = true;
	}
	memcpy(c, "a.b-\xc3\xa4", 7);
	scramble_name(&s, 1, c, 6);
	ok(c[1] == '.' && c[3] == '-' && c[4] >= 0x80 && c[5] >= 0x80);
}

TEST(branches)
{
	static const struct lcpfs_create_opts o = { .open = { .threads = 2, .memory_bytes = 32u << 20 }, .record_bytes = 4096,
		.pack_bytes = 16384, .slice_max_bytes = 4096, .compress = "lz4" };
	const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 2, .memory_bytes = 32u << 20 };
	unsigned made = 0, rounds = getenv("LCPFS_STRESS") ? 400 : 40;
	char name[24];

	seed = getenv("LCPFS_SEED") ? strtoull(getenv("LCPFS_SEED"), NULL, 0) : 1;
	printf("# seed %" PRIu64 "\n", seed);
	snprintf(dev, sizeof dev, "ram:history%u", next_disk++);
	did(lcpfs_pool_create(&pool, dev, &o, &err));
	for (unsigned step = 0; step < rounds; step++) {
		struct seen s = { .n = 0 };
		uint64_t txg = 0;

		random_commit(step);
		if (tap_rand(&seed) % 3)
			continue;
		did(lcpfs_root_each(pool, LCPFS_ROOT_CHECK | LCPFS_ROOT_CHECK_DATA, see, &s, &err));
		for (size_t i = 1; i < s.n; i++)
			if (s.r[i].state == LCPFS_ROOT_COMPLETE && !s.r[i].abandoned && (!txg || tap_rand(&seed) % 2))
				txg = s.r[i].txg;
		if (!txg)
			continue;
		snprintf(name, sizeof name, "b%u", made++);
		branch(txg, name);
		did(lcpfs_pool_close(pool, &err));
		clean();
		did(lcpfs_pool_open(&pool, dev, &rw, &err));
		change_branch(name);
		if (made % 4 == 0) {
			struct tally d = { 0 }, t = { 0 };

			did(lcpfs_pool_commit(pool, &err));
			did(lcpfs_deleted_each(pool, "", NULL, NULL, tally_deleted, &d, &err));
			did(lcpfs_timeline(pool, NULL, tally_state, &t, &err));
			ok(t.n >= d.n);
			sanitized();
		}
	}
	ok(made > 3);
	for (unsigned i = 0; i < made; i += 2) {
		snprintf(name, sizeof name, "b%u", i);
		did(lcpfs_dataset_destroy(pool, name, true, &err));
	}
	did(lcpfs_pool_commit(pool, &err));
	did(lcpfs_pool_close(pool, &err));
	clean();
}

TAP_MAIN(T(list), T(open_older), T(scrambled), T(branches))
