/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random mix of every change that a pool knows. mix_step makes one, committed or not; calls that the state of the pool refuses (no such
 * name, held, exists) change nothing and are part of the mix. The same seed makes the same changes.
 */
#ifndef CRASHMIX_H
#define CRASHMIX_H
#include "hosttree.h"
#include "poolstate.h"

struct mix_bytes { uint8_t *data; size_t len, cap, at; };
struct mix {
	struct lcpfs_pool *p;
	uint64_t rng;
	char *dir;                        /* host trees to update from: dir/0 .. dir/2 */
	struct mix_bytes full, inc;       /* streams of another pool: @a, @a..@b */
	unsigned n_ops, n_refused;
	bool commits;                     /* the last one commits by itself: what came before must be committed first */
	const char *what;
	struct lcpfs_error err;
};

static inline unsigned mix_rnd(struct mix *m, unsigned n) { return (unsigned)((tap_rand(&m->rng) >> 11) % n); }

static inline const char *mix_file(struct mix *m)
{
	static const char *const name[] = { "f0", "f1", "f2", "f3", "f0", "f1", "d0/0", "d0/g1", "d1/e/h0", "long-name-of-a-file-that-goes-on" };

	return name[mix_rnd(m, ARRAY_LEN(name))];
}

static inline const char *mix_path(struct mix *m)
{
	static const char *const name[] = { "d0", "d1", "d1/e", "s0", "d0/s1" };

	return mix_rnd(m, 3) ? mix_file(m) : name[mix_rnd(m, ARRAY_LEN(name))];
}

static inline const char *mix_ds(struct mix *m)
{
	static const char *const name[] = { "", "", "", "a", "a", "a/b", "c", "in" };

	return name[mix_rnd(m, ARRAY_LEN(name))];
}

static inline const char *mix_snap(struct mix *m)
{
	static char name[2][32];
	static unsigned i;

	i ^= 1;
	snprintf(name[i], sizeof name[i], "%s@s%u", mix_ds(m), mix_rnd(m, 3));
	return name[i];
}

static inline size_t mix_len(struct mix *m)
{
	switch (mix_rnd(m, 8)) {
	case 0: return 0;
	case 1: return mix_rnd(m, 400000);
	case 2: return 131072 + mix_rnd(m, 3);
	case 3: return 4096;
	default: return mix_rnd(m, 9000);
	}
}

#define MIX_IN(expr)                                                    \
	struct lcpfs_dataset *ds;                                       \
	int rc = lcpfs_dataset_open(&ds, m->p, mix_ds(m), &m->err);     \
	if (rc)                                                         \
		return rc;                                              \
	rc = (expr);                                                    \
	lcpfs_dataset_close(ds);                                        \
	return rc

static inline int mix_write(struct mix *m) { return put_file(m->p, mix_ds(m), mix_file(m), mix_len(m), (unsigned)mix_rnd(m, 1000), &m->err); }
static inline int mix_mkdir(struct mix *m) { MIX_IN(lcpfs_mkdir(ds, mix_rnd(m, 2) ? "d0" : "d1/e", 0755, true, &m->err)); }
static inline int mix_remove(struct mix *m) { MIX_IN(lcpfs_remove(ds, mix_path(m), mix_rnd(m, 2), &m->err)); }
static inline int mix_rename(struct mix *m) { MIX_IN(lcpfs_rename(ds, mix_path(m), mix_path(m), 0, &m->err)); }
static inline int mix_link(struct mix *m) { MIX_IN(lcpfs_link(ds, mix_file(m), mix_file(m), &m->err)); }
static inline int mix_symlink(struct mix *m) { MIX_IN(lcpfs_symlink(ds, "f0", mix_rnd(m, 2) ? "s0" : "d0/s1", &m->err)); }
static inline int mix_truncate(struct mix *m) { MIX_IN(lcpfs_truncate(ds, mix_file(m), mix_len(m), &m->err)); }
static inline int mix_chmod(struct mix *m) { MIX_IN(lcpfs_chmod(ds, mix_path(m), 0, mix_rnd(m, 512), &m->err)); }
static inline int mix_chown(struct mix *m) { MIX_IN(lcpfs_chown(ds, mix_path(m), 0, mix_rnd(m, 9), ~0u, &m->err)); }
static inline int mix_xattr(struct mix *m)
{
	static const uint8_t value[70000] = "v";
	static const char *const name[] = { "user.a", "user.b", "user.long-name-of-an-attribute" };

	MIX_IN(mix_rnd(m, 3) ? lcpfs_xattr_set(ds, mix_path(m), 0, name[mix_rnd(m, 3)], value, mix_rnd(m, mix_rnd(m, 4) ? 100 : sizeof value), &m->err) :
	    lcpfs_xattr_remove(ds, mix_path(m), 0, name[mix_rnd(m, 3)], &m->err));
}

static inline int mix_overwrite(struct mix *m)
{
	static uint8_t data[50000];
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f;
	size_t off = mix_rnd(m, 200000), len = 1 + mix_rnd(m, sizeof data);
	int rc = lcpfs_dataset_open(&ds, m->p, mix_ds(m), &m->err), rc2;

	if (rc)
		return rc;
	memset(data, 'A' + (int)mix_rnd(m, 26), len);
	rc = lcpfs_file_open(&f, ds, mix_file(m), LCPFS_O_WRITE, 0, &m->err);
	if (!rc) {
		rc = lcpfs_file_pwrite(f, data, len, off, &m->err);
		rc2 = lcpfs_file_close(f, rc ? NULL : &m->err);
		rc = rc ? rc : rc2;
	}
	lcpfs_dataset_close(ds);
	return rc;
}

static inline int mix_share(struct mix *m)
{
	struct lcpfs_dataset *a = NULL, *b = NULL;
	struct lcpfs_file *f = NULL, *t = NULL;
	bool whole = mix_rnd(m, 2);
	uint64_t off = mix_rnd(m, 100000), at = mix_rnd(m, 100000);
	int rc = lcpfs_dataset_open(&a, m->p, mix_rnd(m, 3) ? mix_ds(m) : mix_snap(m), &m->err), rc2;

	if (!rc)
		rc = lcpfs_dataset_open(&b, m->p, mix_ds(m), &m->err);
	if (!rc)
		rc = lcpfs_file_open(&f, a, mix_file(m), LCPFS_O_READ, 0, &m->err);
	if (!rc)
		rc = lcpfs_file_open(&t, b, mix_file(m), LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &m->err);
	if (!rc)
		rc = whole ? lcpfs_reflink(f, t, &m->err) : lcpfs_reflink_range(f, off, 1 + mix_rnd(m, 100000), t, at, &m->err);
	lcpfs_file_close(f, NULL);
	rc2 = lcpfs_file_close(t, rc ? NULL : &m->err);
	lcpfs_dataset_close(a);
	lcpfs_dataset_close(b);
	return rc ? rc : rc2;
}

static inline int mix_take(struct mix *m) { return take_snap(m->p, mix_snap(m), &m->err); }
static inline int mix_take_all(struct mix *m)
{
	char name[16];
	const char *n = name;

	snprintf(name, sizeof name, "@s%u", mix_rnd(m, 4));
	return lcpfs_snap_create(m->p, &n, 1, true, &m->err);
}
static inline int mix_snap_destroy(struct mix *m)
{
	const char *n = mix_snap(m);

	return lcpfs_snap_destroy(m->p, &n, 1, mix_rnd(m, 4) == 0, NULL, &m->err);
}
static inline int mix_snap_rename(struct mix *m)
{
	const char *from = mix_snap(m);
	char to[40];

	snprintf(to, sizeof to, "%.*s@s%u", (int)strcspn(from, "@"), from, mix_rnd(m, 4));
	return lcpfs_snap_rename(m->p, from, to, false, &m->err);
}
static inline int mix_clone(struct mix *m) { return lcpfs_clone(m->p, mix_snap(m), mix_rnd(m, 2) ? "c" : "a/b", &m->err); }
static inline int mix_promote(struct mix *m) { return lcpfs_promote(m->p, mix_ds(m), &m->err); }
static inline int mix_rollback(struct mix *m) { return lcpfs_rollback(m->p, mix_snap(m), mix_rnd(m, 2) ? "s3" : NULL, &m->err); }
static inline int mix_create(struct mix *m) { return lcpfs_dataset_create(m->p, mix_rnd(m, 2) ? "a" : "a/b", true, &m->err); }
static inline int mix_ds_rename(struct mix *m) { return lcpfs_dataset_rename(m->p, mix_rnd(m, 2) ? "c" : "a/b", mix_rnd(m, 2) ? "a/b" : "c", &m->err); }
static inline int mix_ds_destroy(struct mix *m)
{
	const char *n = mix_ds(m);

	return *n ? lcpfs_dataset_destroy(m->p, n, mix_rnd(m, 2), &m->err) : 0;
}
static inline int mix_prop(struct mix *m)
{
	static const char *const v[] = { "zstd:1", "lz4", "off", NULL };

	if (mix_rnd(m, 2))
		return lcpfs_prop_set(m->p, mix_ds(m), "compress", v[mix_rnd(m, 4)], &m->err);
	return lcpfs_prop_set(m->p, mix_ds(m), "user:note", mix_rnd(m, 3) ? "text" : NULL, &m->err);
}
static inline int mix_hold(struct mix *m) { return mix_rnd(m, 2) ? lcpfs_hold(m->p, mix_snap(m), "t", &m->err) : lcpfs_release(m->p, mix_snap(m), "t", &m->err); }
static inline int mix_name(struct mix *m) { return lcpfs_pool_set_name(m->p, mix_rnd(m, 2) ? "one" : "two", &m->err); }

static inline int mix_update(struct mix *m)
{
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_CHECKSUM | LCPFS_TREE_REPRODUCIBLE | (mix_rnd(m, 2) ? LCPFS_TREE_DELETE : 0) |
		(mix_rnd(m, 2) ? LCPFS_TREE_DUPLICATES : 0) };
	char from[300];

	snprintf(from, sizeof from, "%s/%u", m->dir, mix_rnd(m, 3));
	MIX_IN(lcpfs_tree_import(ds, "", from, &o, NULL, &m->err));
}

static inline int mix_give(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct mix_bytes *b = arg;

	(void)err;
	*got = MIN(len, b->len - b->at);
	memcpy(buf, b->data + b->at, *got);
	b->at += *got;
	return 0;
}

static inline int mix_take_bytes(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct mix_bytes *b = arg;

	(void)err;
	if (b->len + len > b->cap)
		b->data = realloc(b->data, b->cap = 2 * (b->len + len));
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

static inline int mix_recv(struct mix *m)
{
	struct lcpfs_recv_opts o = { .target = "in", .force = mix_rnd(m, 2) };
	struct mix_bytes *b = mix_rnd(m, 2) ? &m->full : &m->inc;

	b->at = 0;
	return lcpfs_recv(m->p, &o, mix_give, b, NULL, &m->err);
}

static inline int mix_balance(struct mix *m)
{
	static const char *const codec[] = { "off", "zstd:1", NULL, NULL };
	struct lcpfs_balance_opts o = { .recompress = codec[mix_rnd(m, 4)], .step_bytes = 1 << 17 };

	o.packs = !o.recompress;
	return lcpfs_balance(m->p, mix_ds(m), &o, NULL, &m->err);
}

/* Something to work on. */
static inline int mix_begin(struct mix *m)
{
	static const char *const one[] = { "@s0", "a@s0" };
	int rc = lcpfs_dataset_create(m->p, "a", false, &m->err);

	for (unsigned i = 0; i < 6 && !rc; i++)
		rc = put_file(m->p, i % 2 ? "a" : "", i % 3 ? "f1" : i ? "f3" : "f0", 2000 + i * 50000, i, &m->err);
	if (!rc)
		rc = lcpfs_snap_create(m->p, one, 2, false, &m->err);
	if (!rc)
		rc = lcpfs_clone(m->p, "@s0", "c", &m->err);
	return rc;
}

struct mix_op { const char *name; int (*fn)(struct mix *m); bool commits; unsigned weight; };
static const struct mix_op mix_ops[] = {
	{ "write", mix_write, false, 8 }, { "overwrite", mix_overwrite, false, 3 }, { "mkdir", mix_mkdir, false, 2 },
	{ "remove", mix_remove, false, 4 }, { "rename", mix_rename, false, 3 }, { "link", mix_link, false, 2 },
	{ "symlink", mix_symlink, false, 1 }, { "truncate", mix_truncate, false, 2 }, { "chmod", mix_chmod, false, 1 },
	{ "chown", mix_chown, false, 1 }, { "xattr", mix_xattr, false, 3 }, { "reflink", mix_share, false, 4 },
	{ "snap", mix_take, false, 3 }, { "snap -r", mix_take_all, false, 2 }, { "snap destroy", mix_snap_destroy, false, 3 },
	{ "snap rename", mix_snap_rename, false, 1 }, { "clone", mix_clone, false, 3 }, { "promote", mix_promote, false, 2 },
	{ "rollback", mix_rollback, false, 2 }, { "create", mix_create, false, 2 }, { "dataset rename", mix_ds_rename, false, 1 },
	{ "dataset destroy", mix_ds_destroy, false, 2 }, { "prop", mix_prop, false, 1 }, { "hold", mix_hold, false, 1 },
	{ "pool name", mix_name, false, 1 }, { "update", mix_update, false, 2 }, { "recv", mix_recv, true, 3 },
	{ "balance", mix_balance, true, 2 },
};

static inline bool mix_refusal(int rc)
{
	return rc == -LCPFS_ENOENT || rc == -LCPFS_EEXIST || rc == -LCPFS_EHELD || rc == -LCPFS_EBUSY || rc == -LCPFS_EINVAL || rc == -LCPFS_ENOTEMPTY ||
	    rc == -LCPFS_ENOTDIR || rc == -LCPFS_EISDIR || rc == -LCPFS_EXDEV || rc == -LCPFS_ENODATA || rc == -LCPFS_EROFS || rc == -LCPFS_EPERM ||
	    rc == -LCPFS_ENOSPC;
}

/* The next one, chosen: `commits` says whether it commits by itself. */
static inline const struct mix_op *mix_choose(struct mix *m)
{
	unsigned total = 0, at;

	for (size_t i = 0; i < ARRAY_LEN(mix_ops); i++)
		total += mix_ops[i].weight;
	at = mix_rnd(m, total);
	for (size_t i = 0; ; i++) {
		if (at < mix_ops[i].weight)
			return &mix_ops[i];
		at -= mix_ops[i].weight;
	}
}

static inline int mix_run(struct mix *m, const struct mix_op *op)
{
	int rc = -LCPFS_ENOENT;

	m->what = op->name;
	for (unsigned i = 0; i < 6 && mix_refusal(rc); i++) {
		rc = op->fn(m);
		m->n_ops += !rc;
		m->n_refused += mix_refusal(rc);
	}
	return mix_refusal(rc) ? 0 : rc;
}

static inline void mix_tree(const char *dir, unsigned seed)
{
	int d;

	mkdir(dir, 0755);
	d = ht_open(dir);
	ht_random(d, "f0", 0, 3000 + seed);
	ht_random(d, "f1", 0, 150000);
	ht_random(d, seed & 1 ? "f2" : "f3", 0, 150000);
	ht_random(d, "holes", 200000, 5000 + seed);
	ok(mkdirat(d, "d0", 0755) == 0 && symlinkat("../f0", d, "d0/s1") == 0 && linkat(d, "f0", d, "d0/g1", 0) == 0);
	for (unsigned i = 0; i < 6; i++) {
		char name[16];

		snprintf(name, sizeof name, "d0/%u", i + seed);
		ht_random(d, name, 0, 100 + i * 700);
	}
	close(d);
}

static inline int mix_streams(struct mix *m)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true, .name = "other" };
	struct lcpfs_send_opts inc = { .base = "@a" };
	struct lcpfs_blockdev *ram;
	struct lcpfs_pool *p;
	int rc = lcpfs_ramdisk_create(&ram, "other", 0, LCPFS_DEV_IMAGE, &m->err);

	if (!rc)
		rc = lcpfs_pool_create_dev(&p, ram, &o, &m->err);
	if (rc)
		return rc;
	rc = put_files(p, "", 6, 700, &m->err);
	if (!rc)
		rc = put_file(p, "", "f1", 300000, 701, &m->err);
	if (!rc)
		rc = take_snap(p, "@a", &m->err);
	if (!rc)
		rc = put_file(p, "", "f02", 20000, 702, &m->err);
	if (!rc)
		rc = take_snap(p, "@b", &m->err);
	if (!rc)
		rc = lcpfs_pool_commit(p, &m->err);
	if (!rc)
		rc = lcpfs_send(p, "@a", NULL, mix_take_bytes, &m->full, NULL, &m->err);
	if (!rc)
		rc = lcpfs_send(p, "@b", &inc, mix_take_bytes, &m->inc, NULL, &m->err);
	lcpfs_pool_close(p, NULL);
	return rc;
}

static inline bool mix_init(struct mix *m, uint64_t seed)
{
	*m = (struct mix){ .rng = seed * 0x9e3779b97f4a7c15u + 1, .dir = ht_dir() };
	for (unsigned i = 0; i < 3; i++) {
		char dir[300];

		snprintf(dir, sizeof dir, "%s/%u", m->dir, i);
		mix_tree(dir, i);
	}
	return ok_msg(mix_streams(m) == 0, "streams: %s", m->err.msg);
}

static inline void mix_fini(struct mix *m)
{
	free(m->full.data);
	free(m->inc.data);
	ht_remove(m->dir);
}
#endif
