/* SPDX-License-Identifier: Apache-2.0 */
/* Older roots: opening a pool at one, listing them, telling what is still whole. */
#include "poolstate.h"
#include <inttypes.h>
#include "base/error.h"
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
	is_int(lcpfs_root_each(pool, 4, see, &c, &err), -LCPFS_EINVAL);
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

TAP_MAIN(T(list), T(open_older))
