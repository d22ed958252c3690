/* SPDX-License-Identifier: Apache-2.0 */
/* For the damage matrix: a small pool with every kind of structure in it, in memory, and everything in a pool read, as one hash. */
#ifndef TESTS_DAMAGE_H
#define TESTS_DAMAGE_H
#include "../fuzz/rig.h"
#include "tap.h"

/* ---- the pool ---- */

static uint8_t noise[200000];

struct upto { const struct buf *b; size_t at, end; };

static int stream_put(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	(void)err;
	buf_add(arg, data, len);
	return 0;
}

static int stream_get(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct upto *u = arg;

	(void)err;
	*got = MIN(len, u->end - u->at);
	memcpy(buf, u->b->data + u->at, *got);
	u->at += *got;
	return 0;
}

/* A receive that broke off, and can be resumed. */
static void half_received(struct lcpfs_pool *p)
{
	struct lcpfs_send_opts so = { .ckpt_bytes = 16384 };
	struct lcpfs_recv_opts ro = { .target = "in", .resumable = true };
	struct buf out = { 0 };
	struct upto u = { .b = &out };

	must(lcpfs_send(p, "@one", &so, stream_put, &out, NULL, NULL));
	u.end = out.len * 3 / 4;
	if (!lcpfs_recv(p, &ro, stream_get, &u, NULL, NULL))
		abort();
	buf_fini(&out);
}

static void reflink(struct lcpfs_dataset *from, const char *name, struct lcpfs_dataset *to, const char *copy)
{
	struct lcpfs_file *a, *b;

	must(lcpfs_file_open(&a, from, name, LCPFS_O_READ, 0, NULL));
	must(lcpfs_file_open(&b, to, copy, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, NULL));
	must(lcpfs_reflink(a, b, NULL));
	must(lcpfs_file_close(a, NULL));
	must(lcpfs_file_close(b, NULL));
}

static void damage_tree(struct lcpfs_dataset *ds)
{
	char name[32];

	for (int i = 0; i < 140; i++) {
		snprintf(name, sizeof name, "d/file-%03d", i);
		sample_file(ds, name, noise + i, 20 + (size_t)i * 7 % 900, 0);
	}
	sample_file(ds, "big", noise, 50000, 0);
	sample_file(ds, "big2", noise + 7, 30000, 0);
	sample_file(ds, "d/sub/small", noise + 100, 700, 0);
	sample_file(ds, "sparse", noise, 5000, 300000);
	sample_file(ds, "empty", "", 0, 0);
	must(lcpfs_link(ds, "d/file-001", "d/sub/hard", NULL));
	must(lcpfs_symlink(ds, "d/file-001", "link", NULL));
	must(lcpfs_mknod(ds, "null", 0020666, 1, 3, NULL));
	must(lcpfs_xattr_set(ds, "big", 0, "user.note", "short", 5, NULL));
	must(lcpfs_xattr_set(ds, "big", 0, "user.other", "other", 5, NULL));
	must(lcpfs_xattr_set(ds, "big", 0, "user.large", noise, 20000, NULL));
	reflink(ds, "big", ds, "big-too");
	reflink(ds, "d/file-002", ds, "d/file-002-too");
}

static void damage_pool(struct memory *m)
{
	static const uint8_t uuid[16] = { 1, 2, 3, 4 };
	static const char *const one[] = { "@one", "home@one" }, *const two[] = { "@two" }, *const three[] = { "@three" };
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .uuid = uuid, .reproducible = true,
		.record_bytes = 16384, .pack_bytes = 16384, .slice_max_bytes = 4096 };
	struct lcpfs_dataset *ds, *home;
	struct lcpfs_pool *p;
	uint64_t seed = 5;

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)(tap_rand(&seed) >> (i & 7) & 0x3f);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	memory_resize(&(struct lcpfs_blockdev){ .user = m }, 0, NULL);
	must(lcpfs_pool_create_dev(&p, memory_dev(m, true), &o, NULL));
	must(lcpfs_dataset_open(&ds, p, "", NULL));
	must(lcpfs_mkdir(ds, "d/sub/deep", 0755, true, NULL));
	damage_tree(ds);
	must(lcpfs_dataset_create(p, "home/ann", true, NULL));
	must(lcpfs_dataset_open(&home, p, "home", NULL));
	sample_file(home, "own", noise + 9, 30000, 0);
	reflink(ds, "big", home, "shared");
	must(lcpfs_prop_set(p, "home", "user:colour", "green", NULL));
	must(lcpfs_snap_create(p, one, 2, false, NULL));
	must(lcpfs_hold(p, "@one", "keep", NULL));
	must(lcpfs_pool_commit(p, NULL));
	sample_file(ds, "big2", noise + 50, 20000, 3000);
	sample_file(ds, "d/file-003", noise + 50, 33, 3);
	must(lcpfs_remove(ds, "d/file-007", false, NULL));
	must(lcpfs_rename(ds, "sparse", "d/sub/deep/sparse", 0, NULL));
	must(lcpfs_snap_create(p, two, 1, false, NULL));
	must(lcpfs_clone(p, "@one", "copy", NULL));
	must(lcpfs_pool_commit(p, NULL));
	must(lcpfs_remove(ds, "big2", false, NULL));
	must(lcpfs_snap_create(p, three, 1, false, NULL));
	sample_file(ds, "d/file-004", noise + 50, 900, 3);
	must(lcpfs_snap_destroy(p, two, 1, false, NULL, NULL));
	must(lcpfs_pool_commit(p, NULL));
	half_received(p);
	sample_file(ds, "d/file-005", noise + 50, 800, 3);
	must(lcpfs_pool_commit(p, NULL));
	lcpfs_dataset_close(home);
	lcpfs_dataset_close(ds);
	must(lcpfs_pool_close(p, NULL));
}

/* ---- reading everything ---- */

/* errors: calls that failed. */
struct reading { struct blake3 h; struct lcpfs_pool *p; struct lcpfs_dataset *ds; char *names[64]; unsigned n_names, errors, entries; };

static void hash_str(struct reading *r, const char *s) { blake3_update(&r->h, s, strlen(s) + 1); }
static void hash_u64(struct reading *r, uint64_t v) { blake3_update(&r->h, &v, sizeof v); }

static int read_some(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct reading *r = arg;

	(void)err;
	blake3_update(&r->h, data, len);
	return 0;
}

static int read_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	hash_str(arg, name);
	return read_some(arg, value, len, err);
}

static int read_prop(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	(void)err;
	hash_str(arg, prop);
	hash_str(arg, value);
	hash_str(arg, source ? source : "");
	return 0;
}

static void read_stat(struct reading *r, const struct lcpfs_stat *st)
{
	const uint64_t v[] = { st->ino, st->mode, st->uid, st->gid, st->nlink, st->size, st->stored, st->rdev_major, st->rdev_minor, st->n_xattr,
		st->flags, (uint64_t)st->mtime.sec, st->mtime.nsec, (uint64_t)st->ctime.sec, st->ctime.nsec, (uint64_t)st->atime.sec, st->atime.nsec,
		(uint64_t)st->btime.sec, st->btime.nsec };

	blake3_update(&r->h, v, sizeof v);
}

static int read_entry(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct reading *r = arg;
	char *target = NULL;

	(void)err;
	hash_str(r, e->path);
	read_stat(r, e->st);
	if ((e->st->mode & 0170000) == 0100000)
		r->errors += lcpfs_content_each(r->ds, e->st->ino, read_some, r, NULL) != 0;
	if ((e->st->mode & 0170000) == 0120000 && !lcpfs_readlink(r->ds, e->path, &target, NULL))
		hash_str(r, target);
	else if ((e->st->mode & 0170000) == 0120000)
		r->errors++;
	free(target);
	r->errors += lcpfs_xattr_each(r->ds, e->path, 0, read_xattr, r, NULL) != 0;
	return ++r->entries > 20000;
}

static int read_info(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct reading *r = arg;
	const uint64_t v[] = { (uint64_t)i->kind, i->guid, (uint64_t)i->created_s, i->used_bytes, i->refer_bytes, i->n_files, i->n_children, i->n_holds };

	(void)err;
	hash_str(r, i->name);
	hash_str(r, i->origin ? i->origin : "");
	blake3_update(&r->h, v, sizeof v);
	if (r->n_names < ARRAY_LEN(r->names))
		r->names[r->n_names++] = strdup(i->name);
	return 0;
}

/* Number of errors; *hash: of all that was read. */
static unsigned read_all(struct lcpfs_blockdev *dev, uint64_t *hash)
{
	struct lcpfs_open_opts o = { .threads = 1, .memory_bytes = 32 << 20 };
	struct reading r = { .n_names = 0 };

	blake3_init(&r.h);
	if (lcpfs_pool_open_dev(&r.p, dev, &o, NULL))
		return 1;
	r.errors += lcpfs_dataset_each(r.p, "", true, true, read_info, &r, NULL) != 0;
	for (unsigned i = 0; i < r.n_names; i++) {
		if (lcpfs_dataset_open(&r.ds, r.p, r.names[i], NULL)) {
			r.errors++;
		} else {
			r.errors += lcpfs_walk(r.ds, "", 0, read_entry, &r, NULL) != 0;
			r.errors += lcpfs_prop_get(r.p, r.names[i], NULL, read_prop, &r, NULL) != 0;
			lcpfs_dataset_close(r.ds);
		}
		free(r.names[i]);
	}
	r.errors += lcpfs_pool_close(r.p, NULL) != 0;
	blake3_final(&r.h, 0, hash, sizeof *hash);
	return r.errors;
}
#endif
