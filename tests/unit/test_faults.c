/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault matrix: every operation, with its nth read, write, flush, resize, allocation or thread start failing, for each n until it no
 * longer fires. It must end without a crash, either as it would have (nothing lost) or with an error that says something, leak nothing, and
 * leave the pool in a state that was committed, clean. What had failed is then committed all the same: each call happened or it did not.
 * LCPFS_FAULTS_ALL: every n (default: the first ones, then a sample). LCPFS_FAULTS_FROM=KIND:N begins elsewhere; argv[1] selects operations.
 */
#include "inject.h"
#include "poolstate.h"
#include "hosttree.h"
#include "arc/guard.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATES 64
#define STEPS 8

enum kind { READS, WRITES, FLUSHES, RESIZES, ALLOCS, THREADS, KINDS };
static const char *const kind_name[KINDS] = { "read", "write", "flush", "resize", "alloc", "thread" };
static const uint32_t kind_flag[KINDS] = { FAULT_READ, FAULT_WRITE, FAULT_FLUSH, FAULT_RESIZE, 0, 0 };

struct bytes { uint8_t *data; size_t len, cap, at; };

/* One run of an operation. */
struct fx {
	struct lcpfs_pool *p;
	struct lcpfs_dataset *ds;
	struct lcpfs_blockdev *dev;  /* closed with the pool; the disk below it is not */
	struct lcpfs_blockdev *disk;
	uint64_t ino;
	uint64_t out;                /* what a reading step saw, the same whenever it succeeds */
	uint64_t damage;             /* problems it was told of */
	struct lcpfs_error err;
};

struct op {
	const char *name;
	bool fresh;                  /* begins without a pool */
	bool device;                 /* its steps open the device themselves */
	bool no_commit;
	bool stream;                 /* what it makes is a stream */
	bool in_parts;               /* a call that fails may have done a part */
	int (*step[STEPS])(struct fx *x);
};

static char *host_dir, *host_tree, *host_tree2, *host_tar;
static struct bytes stream_full, stream_inc;
static unsigned n_checked;

static void mix(uint64_t *h, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*h = (*h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
}

/* ---- steps ---- */

static int put(struct fx *x, const char *path, size_t len, unsigned seed)
{
	return put_file(x->p, "", path, len, seed, &x->err);
}

static int st_none(struct fx *x) { (void)x; return 0; }
static int st_small(struct fx *x) { return put(x, "new", 700, 1); }
static int st_over(struct fx *x) { return put(x, "f03", 9000, 2); }
static int st_big(struct fx *x) { return put(x, "large", 300000, 3); }
static int st_snap(struct fx *x) { return take_snap(x->p, "@three", &x->err); }
static int st_clone(struct fx *x) { return lcpfs_clone(x->p, "@one", "c", &x->err); }
static int st_clone_write(struct fx *x) { return put_file(x->p, "c", "f01", 5000, 4, &x->err); }
static int st_promote(struct fx *x) { return lcpfs_promote(x->p, "c", &x->err); }
static int st_rollback_keep(struct fx *x) { return lcpfs_rollback(x->p, "@one", "kept", &x->err); }
static int st_rollback(struct fx *x) { return lcpfs_rollback(x->p, "@two", NULL, &x->err); }
static int st_create_above(struct fx *x) { return lcpfs_dataset_create(x->p, "a", false, &x->err); }
static int st_create_ds(struct fx *x) { return lcpfs_dataset_create(x->p, "a/b", true, &x->err); }
static int st_rename_ds(struct fx *x) { return lcpfs_dataset_rename(x->p, "a", "z", &x->err); }
static int st_destroy_ds(struct fx *x) { return lcpfs_dataset_destroy(x->p, "z", true, &x->err); }
static int st_prop(struct fx *x) { return lcpfs_prop_set(x->p, "", "user:colour", "red", &x->err); }
static int st_prop_known(struct fx *x) { return lcpfs_prop_set(x->p, "", "compress", "zstd:5", &x->err); }
static int st_hold(struct fx *x) { return lcpfs_hold(x->p, "@one", "keep", &x->err); }
static int st_release(struct fx *x) { return lcpfs_release(x->p, "@one", "keep", &x->err); }
static int st_snap_rename(struct fx *x) { return lcpfs_snap_rename(x->p, "@one", "@uno", false, &x->err); }
static int st_pool_name(struct fx *x) { return lcpfs_pool_set_name(x->p, "other", &x->err); }

static int st_destroy(struct fx *x)
{
	const char *one = "@one";

	return lcpfs_snap_destroy(x->p, &one, 1, false, NULL, &x->err);
}

static int st_destroy_all(struct fx *x)
{
	const char *all = "@one%two";

	return lcpfs_snap_destroy(x->p, &all, 1, false, NULL, &x->err);
}

static int in_root(struct fx *x, int (*fn)(struct fx *x))
{
	int rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);

	if (!rc)
		rc = fn(x);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc;
}

#define IN_ROOT(name, expr)                                             \
	static int name##_in(struct fx *x) { return expr; }             \
	static int name(struct fx *x) { return in_root(x, name##_in); }

IN_ROOT(st_mkdir, lcpfs_mkdir(x->ds, "d", 0755, false, &x->err))
IN_ROOT(st_rename, lcpfs_rename(x->ds, "f02", "d/g", 0, &x->err))
IN_ROOT(st_rename_over, lcpfs_rename(x->ds, "f04", "f05", 0, &x->err))
IN_ROOT(st_link, lcpfs_link(x->ds, "f01", "d/link", &x->err))
IN_ROOT(st_symlink, lcpfs_symlink(x->ds, "f01", "d/soft", &x->err))
IN_ROOT(st_remove, lcpfs_remove(x->ds, "f06", false, &x->err))
IN_ROOT(st_remove_tree, lcpfs_remove(x->ds, "dir", true, &x->err))
IN_ROOT(st_truncate, lcpfs_truncate(x->ds, "big", 123456, &x->err))
IN_ROOT(st_chmod, lcpfs_chmod(x->ds, "f01", 0, 0600, &x->err))
IN_ROOT(st_xattr, lcpfs_xattr_set(x->ds, "f01", 0, "user.x", "value", 5, &x->err))
IN_ROOT(st_xattr_remove, lcpfs_xattr_remove(x->ds, "f01", 0, "user.x", &x->err))

static int st_xattr_large(struct fx *x)
{
	static uint8_t value[40000];
	int rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);

	memset(value, 'v', sizeof value);
	if (!rc)
		rc = lcpfs_xattr_set(x->ds, "f01", 0, "user.large", value, sizeof value, &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc;
}

static int share(struct fx *x, const char *from, const char *to, uint64_t off, uint64_t len)
{
	struct lcpfs_file *f = NULL, *t = NULL;
	int rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err), rc2;

	if (!rc)
		rc = lcpfs_file_open(&f, x->ds, from, LCPFS_O_READ, 0, &x->err);
	if (!rc)
		rc = lcpfs_file_open(&t, x->ds, to, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, &x->err);
	if (!rc)
		rc = len ? lcpfs_reflink_range(f, off, len, t, 5, &x->err) : lcpfs_reflink(f, t, &x->err);
	lcpfs_file_close(f, NULL);
	rc2 = lcpfs_file_close(t, rc ? NULL : &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc ? rc : rc2;
}

static int st_reflink(struct fx *x) { return share(x, "big", "twin", 0, 0); }
static int st_reflink_small(struct fx *x) { return share(x, "f05", "twin5", 0, 0); }
static int st_reflink_range(struct fx *x) { return share(x, "big", "mixed", 65536, 131072); }
static int st_unshare(struct fx *x) { return put(x, "big", 250000, 9); }

static int balance(struct fx *x, const char *codec)
{
	struct lcpfs_balance_opts o = { .recompress = codec, .packs = !codec, .step_bytes = 1 << 16 };

	return lcpfs_balance(x->p, "", &o, NULL, &x->err);
}

static int st_balance(struct fx *x) { return balance(x, "off"); }
static int st_balance_packs(struct fx *x) { return balance(x, NULL); }

static int take_bytes(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct bytes *b = arg;

	(void)err;
	if (b->len + len > b->cap) {
		b->cap = 2 * (b->len + len);
		b->data = INJECT_REAL(realloc)(b->data, b->cap);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

static int give_bytes(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct bytes *b = arg;

	(void)err;
	*got = MIN(len, b->len - b->at);
	memcpy(buf, b->data + b->at, *got);
	b->at += *got;
	return 0;
}

static int hash_bytes(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	(void)err;
	mix(arg, data, len);
	return 0;
}

static int st_send(struct fx *x) { return lcpfs_send(x->p, "@two", NULL, hash_bytes, &x->out, NULL, &x->err); }

static int st_send_inc(struct fx *x)
{
	struct lcpfs_send_opts o = { .base = "@one" };

	return lcpfs_send(x->p, "@two", &o, hash_bytes, &x->out, NULL, &x->err);
}

static int receive(struct fx *x, const struct bytes *stream)
{
	struct lcpfs_recv_opts o = { .target = "in" };
	struct bytes b = { stream->data, stream->len, 0, 0 };
	char *snap = NULL;
	int rc = lcpfs_recv(x->p, &o, give_bytes, &b, &snap, &x->err);

	free(snap);
	return rc;
}

static int st_recv(struct fx *x) { return receive(x, &stream_full); }
static int st_recv_inc(struct fx *x) { return receive(x, &stream_inc); }

static int st_verify(struct fx *x)
{
	struct bytes b = { stream_full.data, stream_full.len, 0, 0 };
	struct lcpfs_stream_info info;

	return lcpfs_stream_verify(give_bytes, &b, &info, &x->err);
}

static int st_stream_load(struct fx *x)
{
	struct bytes b = { stream_full.data, stream_full.len, 0, 0 };
	struct lcpfs_stream_info info;
	struct lcpfs_pool *p = NULL;
	uint8_t hash[HASH_LEN];
	int rc = lcpfs_stream_load(give_bytes, &b, &p, &info, &x->err);

	if (!rc)
		rc = pool_digest(p, hash, &x->err);
	if (!rc)
		mix(&x->out, hash, sizeof hash);
	lcpfs_pool_close(p, NULL);
	return rc;
}

static int see_entry(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	struct fx *x = arg;

	(void)err;
	x->ino = de->ino;
	mix(&x->out, de->name, strlen(de->name));
	mix(&x->out, &de->st->size, sizeof de->st->size);
	return 0;
}

static int st_read_all(struct fx *x)
{
	uint8_t hash[HASH_LEN];
	int rc = pool_digest(x->p, hash, &x->err);

	if (!rc)
		mix(&x->out, hash, sizeof hash);
	return rc;
}

static int see_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	(void)err;
	mix(arg, name, strlen(name));
	mix(arg, value, len);
	return 0;
}

static int see_prop(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	(void)err;
	mix(arg, prop, strlen(prop));
	mix(arg, value, strlen(value));
	mix(arg, source, strlen(source));
	return 0;
}

static int ls_in(struct fx *x)
{
	char *text = NULL;
	int rc = lcpfs_readdir(x->ds, "", true, see_entry, x, &x->err);

	if (!rc)
		rc = lcpfs_readlink(x->ds, "dir/soft", &text, &x->err);
	free(text);
	text = NULL;
	if (!rc)
		rc = lcpfs_path_of(x->ds, x->ino, &text, &x->err);
	free(text);
	if (!rc)
		rc = lcpfs_xattr_each(x->ds, "f00", 0, see_xattr, &x->out, &x->err);
	if (!rc)
		rc = lcpfs_prop_get(x->p, "", NULL, see_prop, &x->out, &x->err);
	return rc;
}

static int st_ls(struct fx *x) { return in_root(x, ls_in); }

static int see_diff(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	(void)err;
	mix(arg, d->path, strlen(d->path));
	mix(arg, &d->kind, 1);
	return 0;
}

static int st_diff(struct fx *x)
{
	struct lcpfs_dataset *a = NULL, *b = NULL;
	int rc = lcpfs_dataset_open(&a, x->p, "@one", &x->err);

	if (!rc)
		rc = lcpfs_dataset_open(&b, x->p, "", &x->err);
	if (!rc)
		rc = lcpfs_diff(a, b, 0, see_diff, &x->out, NULL, &x->err);
	lcpfs_dataset_close(a);
	lcpfs_dataset_close(b);
	return rc;
}

static void see_problem(void *arg, const struct lcpfs_problem *p)
{
	struct fx *x = arg;

	x->damage++;
	if (!x->err.msg[0])
		snprintf(x->err.msg, sizeof x->err.msg, "%s: %s", p->code, p->text);
}

static int st_scrub(struct fx *x)
{
	struct lcpfs_check_opts o = { .decode = true, .problem = see_problem, .arg = x };

	return lcpfs_scrub(x->p, &o, NULL, &x->err);
}

static int st_fsck(struct fx *x)
{
	struct lcpfs_check_opts o = { .data = true, .problem = see_problem, .arg = x };
	struct lcpfs_open_opts oo = { .flags = LCPFS_OPEN_RO, .threads = 2 };
	uint64_t n;

	return lcpfs_fsck_dev(x->dev, &oo, &o, &n, &x->err);
}

/* Dumps show what cannot be read as lines: they are not compared. */
static int see_line(void *arg, const char *text, struct lcpfs_error *err)
{
	(void)arg;
	(void)text;
	(void)err;
	return 0;
}

static int st_dump(struct fx *x)
{
	static const char *const what[] = { "labels", "uberblocks", "config", "pool", "space", "tree:", "nodes:", "path::dir/in" };
	int rc = 0;

	for (unsigned i = 0; i < ARRAY_LEN(what) && !rc; i++)
		rc = lcpfs_dump(x->p, what[i], see_line, NULL, &x->err);
	return rc;
}

static int see_info(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err)
{
	(void)err;
	mix(arg, info->name, strlen(info->name));
	mix(arg, &info->used_bytes, sizeof info->used_bytes);
	return 0;
}

static int st_list(struct fx *x)
{
	struct lcpfs_pool_info i;
	int rc = lcpfs_dataset_each(x->p, "", true, true, see_info, &x->out, &x->err);

	return rc ? rc : lcpfs_pool_info(x->p, &i, &x->err);
}

/* ---- trees ---- */

static void see_warning(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct fx *x = arg;

	(void)path;
	if (!why->msg[0])
		printf("# a warning without words\n");
	x->damage++;
}

static int import(struct fx *x, const char *source, uint32_t flags)
{
	struct lcpfs_tree_opts o = { .flags = flags, .warn = see_warning, .arg = x };
	int rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);

	if (!rc)
		rc = lcpfs_tree_import(x->ds, "", source, &o, NULL, &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc;
}

static int st_import(struct fx *x) { return import(x, host_tree, LCPFS_TREE_REPRODUCIBLE); }
static int st_update(struct fx *x) { return import(x, host_tree2, LCPFS_TREE_DELETE); }
static int st_update_dup(struct fx *x) { return import(x, host_tree2, LCPFS_TREE_DELETE | LCPFS_TREE_CHECKSUM | LCPFS_TREE_DUPLICATES); }
static int st_import_tar(struct fx *x) { return import(x, host_tar, 0); }

static int st_export(struct fx *x)
{
	static unsigned n;
	struct lcpfs_tree_opts o = { .warn = see_warning, .arg = x };
	char target[300];
	int rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);

	snprintf(target, sizeof target, "%s/out%u", host_dir, n++);
	if (!rc)
		rc = lcpfs_tree_export(x->ds, "", target, &o, NULL, &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc;
}

static int archive(struct fx *x, const char *path, const char *format, const char *filter)
{
	struct lcpfs_tree_opts o = { .warn = see_warning, .arg = x };
	int rc = lcpfs_dataset_open(&x->ds, x->p, "@two", &x->err), fd = open("/dev/null", O_WRONLY);

	if (!rc)
		rc = lcpfs_tree_archive(x->ds, path, fd, format, filter, &o, NULL, &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	close(fd);
	return rc;
}

static int st_tar(struct fx *x) { return archive(x, "", NULL, NULL); }
static int st_tar_zst(struct fx *x) { return archive(x, "dir", "gnutar", "zstd"); }
static int st_zip(struct fx *x) { return archive(x, "dir/in", "zip", NULL); }

static int see_member(void *arg, const char *path, const struct lcpfs_stat *st, const char *target, bool hardlink, struct lcpfs_error *err)
{
	(void)st;
	(void)target;
	(void)hardlink;
	(void)err;
	mix(arg, path, strlen(path));
	return 0;
}

static int st_archive_list(struct fx *x)
{
	int fd = open(host_tar, O_RDONLY), rc;

	rc = lcpfs_archive_list(fd, "a.tar", see_member, &x->out, &x->err);
	close(fd);
	return rc;
}

static int st_copy(struct fx *x)
{
	struct lcpfs_tree_opts o = { .warn = see_warning, .arg = x, .flags = LCPFS_TREE_REFLINK };
	struct lcpfs_dataset *from = NULL;
	int rc = lcpfs_dataset_open(&from, x->p, "@one", &x->err);

	if (!rc)
		rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);
	if (!rc)
		rc = lcpfs_mkdir(x->ds, "copy", 0755, false, &x->err);
	if (!rc)
		rc = lcpfs_tree_copy(from, "dir", x->ds, "copy", &o, NULL, &x->err);
	lcpfs_dataset_close(from);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	return rc;
}

static int st_ls_pool(struct fx *x)
{
	struct lcpfs_open_opts oo = { .flags = LCPFS_OPEN_RO, .threads = 2 };
	int rc = lcpfs_pool_open_dev(&x->p, x->dev, &oo, &x->err), rc2;

	if (!rc)
		rc = st_read_all(x);
	rc2 = lcpfs_pool_close(x->p, rc ? NULL : &x->err);
	x->p = NULL;
	return rc ? rc : rc2;
}

static const struct op ops[] = {
	{ "create", .fresh = true, .step = { st_none } },
	{ "mkfs", .in_parts = true, .fresh = true, .step = { st_import } },
	{ "mkfs_tar", .in_parts = true, .fresh = true, .step = { st_import_tar } },
	{ "open", .step = { st_none } },
	{ "read", .device = true, .step = { st_ls_pool } },
	{ "look", .step = { st_ls, st_list, st_diff, st_dump } },
	{ "write", .in_parts = true, .step = { st_small, st_over, st_big } },
	{ "names", .step = { st_mkdir, st_rename, st_rename_over, st_link, st_symlink, st_remove, st_chmod } },
	{ "remove", .in_parts = true, .step = { st_remove_tree, st_truncate } },
	{ "xattr", .step = { st_xattr, st_xattr_large, st_xattr_remove } },
	{ "snap", .in_parts = true, .step = { st_small, st_snap, st_over, st_snap_rename } },
	{ "clone", .in_parts = true, .step = { st_clone, st_clone_write, st_promote } },
	{ "destroy", .in_parts = true, .step = { st_destroy, st_small } },
	{ "destroy_all", .step = { st_destroy_all } },
	{ "rollback", .in_parts = true, .step = { st_rollback_keep, st_small, st_rollback } },
	{ "datasets", .step = { st_create_above, st_create_ds, st_rename_ds, st_destroy_ds } },
	{ "props", .step = { st_prop, st_prop_known, st_hold, st_release, st_pool_name } },
	{ "reflink", .in_parts = true, .step = { st_reflink, st_reflink_small, st_reflink_range, st_unshare } },
	{ "balance", .in_parts = true, .step = { st_balance } },
	{ "balance_packs", .in_parts = true, .step = { st_remove, st_balance_packs } },
	{ "send", .stream = true, .step = { st_send, st_send_inc }, .no_commit = true },
	{ "recv", .in_parts = true, .step = { st_recv, st_recv_inc } },
	{ "stream", .step = { st_verify, st_stream_load }, .no_commit = true },
	{ "import_tar", .in_parts = true, .step = { st_import_tar } },
	{ "update", .in_parts = true, .step = { st_update } },
	{ "update_dup", .in_parts = true, .step = { st_update_dup } },
	{ "copy", .in_parts = true, .step = { st_copy } },
	{ "export", .step = { st_export }, .no_commit = true },
	{ "tar", .step = { st_tar, st_tar_zst, st_zip, st_archive_list }, .no_commit = true },
	{ "scrub", .step = { st_scrub }, .no_commit = true },
	{ "fsck", .device = true, .step = { st_fsck } },
};

/* ---- running one ---- */

static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 2 };
static const struct lcpfs_create_opts fresh = { .open = { .flags = LCPFS_OPEN_RW, .threads = 2 }, .reproducible = true };

static int begin(const struct op *op, struct fx *x)
{
	if (op->device)
		return 0;
	return op->fresh ? lcpfs_pool_create_dev(&x->p, x->dev, &fresh, &x->err) : lcpfs_pool_open_dev(&x->p, x->dev, &rw, &x->err);
}

/* *done: the steps that succeeded. With `anyway`, faults end where a call failed, and what there is is committed. */
static int run_op(const struct op *op, struct fx *x, bool anyway, unsigned *done)
{
	int rc = begin(op, x), rc2 = 0;

	*done = 0;
	for (unsigned i = 0; i < STEPS && op->step[i] && !rc; i++) {
		rc = op->step[i](x);
		*done += !rc;
	}
	if (rc && anyway)
		inject_disarm();
	if (x->p && !op->no_commit && (!rc || anyway))
		rc2 = lcpfs_pool_commit(x->p, rc ? NULL : &x->err);
	rc = rc ? rc : rc2;
	rc2 = lcpfs_pool_close(x->p, rc ? NULL : &x->err);
	x->p = NULL;
	return rc ? rc : rc2;
}

/* What a run without faults shows: the states that are committed on the way, and those that a commit after each step would make. */
struct expect { uint8_t state[STATES][HASH_LEN], step[STEPS + 1][HASH_LEN]; unsigned n, n_steps; uint64_t out; bool absent; };

static void expect_state(struct expect *e, struct lcpfs_blockdev *disk)
{
	uint8_t hash[HASH_LEN];

	if (dev_digest(disk, hash, NULL)) {
		e->absent = true;
		return;
	}
	for (unsigned i = 0; i < e->n; i++)
		if (memcmp(e->state[i], hash, HASH_LEN) == 0)
			return;
	if (e->n < STATES)
		memcpy(e->state[e->n++], hash, HASH_LEN);
}

static void expect_cuts(struct expect *e, const struct crashdev *c)
{
	struct lcpfs_blockdev *ram;

	for (size_t i = 0; i <= crashdev_events(c); i++) {
		if (i && i < crashdev_events(c) && !crashdev_is_flush(c, i - 1))
			continue;
		if (!crashdev_replay(c, i, NULL, NULL, NULL, &ram, NULL)) {
			expect_state(e, ram);
			lcpfs_blockdev_close(ram);
		}
	}
}

static bool expect_steps(const struct op *op, struct expect *e, struct lcpfs_blockdev *base)
{
	struct fx x = { .disk = clone_ram(base) };
	struct faultdev view;
	int rc;

	faultdev_init(&view, x.disk, 0, 0, false, 0);
	x.dev = &view.dev;
	rc = begin(op, &x);
	for (unsigned i = 0; !rc && !op->device; i++) {
		rc = pool_digest(x.p, e->step[e->n_steps++], &x.err);
		if (rc || i == STEPS || !op->step[i])
			break;
		rc = op->step[i](&x);
	}
	lcpfs_pool_close(x.p, NULL);
	lcpfs_blockdev_close(x.disk);
	return ok_msg(!rc, "%s: without faults: %s", op->name, x.err.msg);
}

static bool expect_run(const struct op *op, struct expect *e, struct lcpfs_blockdev *base)
{
	struct fx x = { .disk = clone_ram(base) };
	struct crashdev *c;
	unsigned done;
	int rc = crashdev_create(&c, x.disk, &x.err);

	x.dev = crashdev_dev(c);
	if (!rc)
		rc = run_op(op, &x, false, &done);
	e->out = x.out;
	expect_state(e, base);
	expect_cuts(e, c);
	crashdev_destroy(c);
	lcpfs_blockdev_close(x.disk);
	return ok_msg(!rc, "%s: without faults: %s", op->name, x.err.msg) && expect_steps(op, e, base);
}

/* ---- one fault ---- */

struct fault { const struct op *op; enum kind kind; unsigned long long n; bool anyway; };

#define FAIL(f, ...) fault_fail(f, __LINE__, __VA_ARGS__)
static bool fault_fail(const struct fault *f, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool fault_fail(const struct fault *f, int line, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (unsigned k = 0; k < INJECT_KINDS; k++)
		if (inject[k].fired)
			inject_print(inject[k].at, inject[k].depth);
	return tap_ok_msg(false, __FILE__, line, "%s, %s %llu%s: %s", f->op->name, kind_name[f->kind], f->n, f->anyway ? ", then committed" : "", text);
}

static bool unchanged(struct lcpfs_blockdev *a, struct lcpfs_blockdev *b)
{
	static uint8_t pa[65536], pb[65536];
	uint64_t size = blockdev_size(a);

	if (size != blockdev_size(b))
		return false;
	for (uint64_t at = 0; at < size; at += sizeof pa) {
		size_t n = (size_t)MIN(sizeof pa, size - at);

		if (blockdev_read(a, at, pa, n, NULL) || blockdev_read(b, at, pb, n, NULL) || memcmp(pa, pb, n) != 0)
			return false;
	}
	return true;
}

static bool among(const uint8_t hash[HASH_LEN], const uint8_t (*list)[HASH_LEN], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (memcmp(hash, list[i], HASH_LEN) == 0)
			return true;
	return false;
}

static bool disk_good(const struct fault *f, const struct expect *e, struct fx *x, unsigned done, int rc)
{
	uint8_t hash[HASH_LEN];
	struct lcpfs_error err = { 0 };
	bool known;

	if (dev_digest(x->disk, hash, &err))
		return (e->absent && rc) || FAIL(f, "the pool cannot be read: %s", err.msg);
	known = among(hash, e->state, e->n);
	if (f->anyway && f->op->in_parts)
		known = true;
	else if (f->anyway && !known)
		known = among(hash, e->step + done, MIN(2u, e->n_steps - done));
	if (!known)
		return FAIL(f, "rc %d (%s): a state that was never committed, after %u steps", rc, x->err.msg, done);
	return dev_clean(x->disk) || FAIL(f, "rc %d (%s): damaged", rc, x->err.msg);
}

static bool said_why(const struct fault *f, const struct expect *e, const struct fx *x, int rc)
{
	if (rc && (!x->err.msg[0] || x->err.code != -rc))
		return FAIL(f, "returns %d with code %d and '%s'", rc, x->err.code, x->err.msg);
	if (rc == -LCPFS_EPARTIAL && x->damage)
		return true;
	if (f->kind == ALLOCS && (rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT || (x->damage && rc != -LCPFS_ENOMEM)))
		return FAIL(f, "takes a lack of memory for damage: %s", x->err.msg);
	/* without memory, less is compressed */
	if (!rc && !x->damage && x->out != e->out && !(f->kind == ALLOCS && f->op->stream))
		return FAIL(f, "reads something else, and says nothing");
	return true;
}

static bool no_leak(const struct fault *f)
{
	if (!inject_n_live)
		return true;
	for (size_t i = 0; i < INJECT_SLOTS; i++)
		if (inject_slot[i].p)
			inject_print(&inject_slot[i].at, 1);
	memset(inject_slot, 0, sizeof inject_slot);
	inject_n_live = 0;
	return FAIL(f, "memory is lost");
}

/* false: ends this kind. */
static bool one_fault(const struct fault *f, const struct expect *e, struct lcpfs_blockdev *base, bool *fired)
{
	struct fx x = { 0 };
	struct faultdev dev;
	unsigned done;
	bool good;
	int rc;

	inject_track = true;
	x.disk = clone_ram(base);
	faultdev_init(&dev, x.disk, kind_flag[f->kind], f->n, false, LCPFS_EIO);
	x.dev = &dev.dev;
	inject[INJECT_ALLOC].fired = inject[INJECT_THREAD].fired = 0;
	if (f->kind == ALLOCS)
		inject_arm(INJECT_ALLOC, f->n, false);
	else if (f->kind == THREADS)
		inject_arm(INJECT_THREAD, f->n, false);
	rc = run_op(f->op, &x, f->anyway, &done);
	inject_disarm();
	*fired = f->kind == ALLOCS ? inject[INJECT_ALLOC].fired : f->kind == THREADS ? inject[INJECT_THREAD].fired : dev.seen > f->n;
	good = said_why(f, e, &x, rc);
	if (good && !*fired && rc)
		good = FAIL(f, "fails without a fault: %s", x.err.msg);
	if (good && !(rc && unchanged(x.disk, base)))
		good = disk_good(f, e, &x, done, rc);
	lcpfs_blockdev_close(x.disk);
	inject_track = false;
	n_checked++;
	return no_leak(f) && good;
}

/* All of the first, then further and further between, from a place that follows from the operation. */
static unsigned long long after(unsigned long long n, enum kind kind, uint64_t *rng)
{
	unsigned dense = kind == ALLOCS ? 8 : 6;

	if (getenv("LCPFS_FAULTS_ALL") || n < dense)
		return n + 1;
	return n + 1 + tap_rand(rng) % (n / 2 + 1);
}

static void each_fault(const struct op *op, const struct expect *e, struct lcpfs_blockdev *base, enum kind kind)
{
	struct fault f = { .op = op, .kind = kind };
	uint64_t rng = (uint64_t)kind + 1;
	unsigned checked = 0, bad = 0;
	bool fired = true;
	const char *from = getenv("LCPFS_FAULTS_FROM"), *colon = from ? strchr(from, ':') : NULL;

	if (colon && strncmp(from, kind_name[kind], (size_t)(colon - from)) != 0)
		return;
	for (f.n = colon ? strtoull(colon + 1, NULL, 10) : 0; fired && bad < 10; f.n = after(f.n, kind, &rng)) {
		f.anyway = false;
		bad += !one_fault(&f, e, base, &fired);
		checked++;
		if (fired && kind != THREADS && !op->no_commit && !op->device) {
			f.anyway = true;
			bad += !one_fault(&f, e, base, &fired);
			checked++;
		}
	}
	printf("# %s: %s: %u checked, the last was %llu\n", op->name, kind_name[kind], checked, f.n);
	fflush(stdout);
}

/* ---- what they work on ---- */

static int make_base(struct fx *x)
{
	int rc = put_files(x->p, "", 8, 0, &x->err);

	if (!rc)
		rc = put(x, "big", 400000, 99);
	if (!rc)
		rc = lcpfs_dataset_open(&x->ds, x->p, "", &x->err);
	if (rc)
		return rc;
	rc = lcpfs_mkdir(x->ds, "dir/in", 0755, true, &x->err);
	if (!rc)
		rc = lcpfs_symlink(x->ds, "../f01", "dir/soft", &x->err);
	if (!rc)
		rc = lcpfs_xattr_set(x->ds, "f00", 0, "user.mine", "yours", 5, &x->err);
	lcpfs_dataset_close(x->ds);
	x->ds = NULL;
	for (unsigned i = 0; i < 6 && !rc; i++) {
		char path[32];

		snprintf(path, sizeof path, "dir/in/%u", i);
		rc = put(x, path, 3000 + i * 20000, i + 50);
	}
	if (!rc)
		rc = take_snap(x->p, "@one", &x->err);
	if (!rc)
		rc = put(x, "f03", 5000, 1003);
	if (!rc)
		rc = take_snap(x->p, "@two", &x->err);
	if (!rc)
		rc = put(x, "f04", 7000, 1004);
	return rc;
}

static struct lcpfs_blockdev *new_base(void)
{
	struct fx x = { 0 };
	struct lcpfs_send_opts inc = { .base = "@one" };
	struct faultdev view;
	int rc = lcpfs_ramdisk_create(&x.disk, "base", 0, LCPFS_DEV_IMAGE, &x.err);

	faultdev_init(&view, x.disk, 0, 0, false, 0);
	if (!rc)
		rc = lcpfs_pool_create_dev(&x.p, &view.dev, &fresh, &x.err);
	if (!rc)
		rc = make_base(&x);
	if (!rc)
		rc = lcpfs_pool_commit(x.p, &x.err);
	if (!rc)
		rc = lcpfs_send(x.p, "@one", NULL, take_bytes, &stream_full, NULL, &x.err);
	if (!rc)
		rc = lcpfs_send(x.p, "@two", &inc, take_bytes, &stream_inc, NULL, &x.err);
	if (!rc)
		rc = lcpfs_pool_close(x.p, &x.err);
	ok_msg(!rc, "base: %s", x.err.msg);
	return x.disk;
}

static void make_tree(const char *dir, unsigned seed)
{
	int d, sub;

	mkdir(dir, 0755);
	d = ht_open(dir);
	ht_write(d, "plain", 0, "hello\n", 6);
	ht_random(d, "f01", 0, 3000 + seed);
	ht_random(d, "f02", 0, 150000);
	ht_random(d, "same", 0, 150000);
	ht_random(d, "holes", 200000, 5000 + seed);
	ok(mkdirat(d, "dir", 0755) == 0 && symlinkat("../plain", d, "dir/link") == 0 && linkat(d, "plain", d, "dir/hard", 0) == 0);
	sub = openat(d, "dir", O_RDONLY | O_DIRECTORY);
	for (unsigned i = 0; i < 5; i++) {
		char name[8];

		snprintf(name, sizeof name, "%u", i + seed);
		ht_random(sub, name, 0, 100 + i * 700);
	}
	ht_xattr(sub, "2", "user.k", "v", 1);
	close(sub);
	close(d);
}

static void make_host(void)
{
	char cmd[1000];

	host_dir = ht_dir();
	host_tree = ht_join(host_dir, "tree");
	host_tree2 = ht_join(host_dir, "tree2");
	host_tar = ht_join(host_dir, "a.tar.gz");
	make_tree(host_tree, 0);
	make_tree(host_tree2, 2);
	snprintf(cmd, sizeof cmd, "tar -C '%s' -czf '%s' .", host_tree, host_tar);
	ok(system(cmd) == 0);
}

static void test_op(const struct op *op)
{
	struct lcpfs_blockdev *base = NULL;
	struct expect *e = calloc(1, sizeof *e);

	if (op->fresh)
		lcpfs_ramdisk_create(&base, "disk", 0, LCPFS_DEV_IMAGE, NULL);
	else
		base = new_base();
	for (unsigned i = 0; i < 2; i++) { /* what libraries keep for the whole process is there after the first */
		memset(e, 0, sizeof *e);
		if (!expect_run(op, e, base))
			goto out;
	}
	for (unsigned k = 0; k < KINDS; k++)
		each_fault(op, e, base, k);
out:
	lcpfs_blockdev_close(base);
	free(e);
	free(stream_full.data);
	free(stream_inc.data);
	stream_full = stream_inc = (struct bytes){ 0 };
}

static const struct op *chosen[ARRAY_LEN(ops)];
static unsigned n_done;

static void test_next(void)
{
	test_op(chosen[n_done++]);
}

static void *join_guards(void *all)
{
	guard_join();
	pthread_barrier_wait(all);
	return NULL;
}

/* The cache keeps a guard for each of the most threads that were ever at work at once: that is no loss of the operation that has them first. */
static void make_guards(void)
{
	pthread_t t[32];
	pthread_barrier_t all;

	guard_init();
	pthread_barrier_init(&all, NULL, ARRAY_LEN(t));
	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		if (pthread_create(&t[i], NULL, join_guards, &all))
			abort();
	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&all);
}

int main(int argc, char *argv[])
{
	struct tap_test tests[ARRAY_LEN(ops)];
	unsigned n = 0;
	int status;

	for (unsigned i = 0; argc > 1 && strcmp(argv[1], "--list") == 0 && i < ARRAY_LEN(ops); i++)
		puts(ops[i].name);
	for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
		if (argc < 2 || strcmp(ops[i].name, argv[1]) == 0) {
			chosen[n] = &ops[i];
			tests[n++] = (struct tap_test){ ops[i].name, test_next };
		}
	if (!n)
		return 0;
	make_guards();
	inject_init();
	make_host();
	status = tap_run(tests, n, 1, argv);
	ht_remove(host_dir);
	printf("# %u faults\n", n_checked);
	return status;
}
