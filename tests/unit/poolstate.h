/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of whole pools share: a pool's content as one hash, files with repeatable content, copies of RAM disks, fsck. */
#ifndef POOLSTATE_H
#define POOLSTATE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev.h"
#include "hash/hash.h"
#include "lcpfs/lcpfs.h"
#include "tap.h"

struct pool_digest { struct blake3 b; struct lcpfs_dataset *ds; struct lcpfs_pool *p; };

static inline int digest_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	struct pool_digest *d = arg;

	(void)err;
	blake3_update(&d->b, name, strlen(name) + 1);
	blake3_update(&d->b, value, len);
	return 0;
}

static inline int digest_prop(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	struct pool_digest *d = arg;

	(void)err;
	if (strcmp(prop, "user:lcpfs.update") == 0) /* a time of day */
		return 0;
	blake3_update(&d->b, prop, strlen(prop) + 1);
	blake3_update(&d->b, value, strlen(value) + 1);
	blake3_update(&d->b, source, strlen(source) + 1);
	return 0;
}

static inline int digest_link(struct pool_digest *d, const char *path, struct lcpfs_error *err)
{
	char *target;
	int rc = lcpfs_readlink(d->ds, path, &target, err);

	if (rc)
		return rc;
	blake3_update(&d->b, target, strlen(target) + 1);
	free(target);
	return 0;
}

static inline int digest_file(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct pool_digest *d = arg;
	struct lcpfs_file *f = NULL;
	uint8_t buf[8192];
	size_t got = 1;
	int rc, rc2;

	blake3_update(&d->b, e->path, strlen(e->path) + 1);
	blake3_update(&d->b, &e->st->mode, sizeof e->st->mode);
	blake3_update(&d->b, &e->st->nlink, sizeof e->st->nlink);
	blake3_update(&d->b, &e->st->uid, sizeof e->st->uid);
	blake3_update(&d->b, &e->st->size, sizeof e->st->size);
	if (e->st->n_xattr) {
		rc = lcpfs_xattr_each(d->ds, e->path, 0, digest_xattr, d, err);
		if (rc)
			return rc;
	}
	if (S_ISLNK(e->st->mode))
		return digest_link(d, e->path, err);
	if (!S_ISREG(e->st->mode))
		return 0;
	rc = lcpfs_file_open_ino(&f, d->ds, e->st->ino, err);
	for (uint64_t off = 0; !rc && got; off += got) {
		rc = lcpfs_file_pread(f, buf, sizeof buf, off, &got, err);
		if (!rc)
			blake3_update(&d->b, buf, got);
	}
	rc2 = lcpfs_file_close(f, rc ? NULL : err);
	return rc ? rc : rc2;
}

static inline int digest_dataset(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err)
{
	struct pool_digest *d = arg;
	int rc;

	blake3_update(&d->b, info->name, strlen(info->name) + 1);
	rc = lcpfs_dataset_open(&d->ds, d->p, info->name, err);
	if (!rc)
		rc = lcpfs_prop_get(d->p, info->name, NULL, digest_prop, d, err);
	if (!rc)
		rc = lcpfs_walk(d->ds, "", 0, digest_file, d, err);
	lcpfs_dataset_close(d->ds);
	d->ds = NULL;
	return rc;
}

static inline int pool_digest(struct lcpfs_pool *p, uint8_t out[HASH_LEN], struct lcpfs_error *err)
{
	struct pool_digest d = { .p = p };
	int rc;

	blake3_init(&d.b);
	rc = lcpfs_dataset_each(p, "", true, true, digest_dataset, &d, err);
	blake3_final(&d.b, 0, out, HASH_LEN);
	return rc;
}

static inline int put_file(struct lcpfs_pool *p, const char *ds_name, const char *path, size_t len, unsigned seed, struct lcpfs_error *err)
{
	struct lcpfs_dataset *ds;
	struct lcpfs_file *f = NULL;
	uint64_t rng = seed + 1;
	uint8_t *buf = malloc(len + 1);
	int rc, rc2;

	if (!buf)
		return lcpfs_fail(err, LCPFS_ENOMEM, "out of memory");
	rc = lcpfs_dataset_open(&ds, p, ds_name, err);
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i % 7 ? tap_rand(&rng) : 'x');
	if (!rc) {
		rc = lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0644, err);
		if (!rc) {
			rc = lcpfs_file_pwrite(f, buf, len, 0, err);
			rc2 = lcpfs_file_close(f, rc ? NULL : err);
			rc = rc ? rc : rc2;
		}
		lcpfs_dataset_close(ds);
	}
	free(buf);
	return rc;
}

static inline int put_files(struct lcpfs_pool *p, const char *ds, unsigned n, unsigned seed, struct lcpfs_error *err)
{
	char path[32];
	int rc = 0;

	for (unsigned i = 0; i < n && !rc; i++) {
		snprintf(path, sizeof path, "f%02u", i);
		rc = put_file(p, ds, path, 100 + i * 997, seed + i, err);
	}
	return rc;
}

static inline int take_snap(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	return lcpfs_snap_create(p, &name, 1, false, err);
}

static inline uint8_t *dev_bytes(struct lcpfs_blockdev *d)
{
	uint8_t *p = malloc(blockdev_size(d) + 1);

	if (blockdev_read(d, 0, p, blockdev_size(d), NULL))
		memset(p, 0xee, blockdev_size(d));
	return p;
}

static inline struct lcpfs_blockdev *clone_ram(struct lcpfs_blockdev *from)
{
	struct lcpfs_blockdev *to = NULL;
	uint64_t size = blockdev_size(from);
	uint8_t piece[65536];

	if (lcpfs_ramdisk_create(&to, "copy", size, from->flags & LCPFS_DEV_IMAGE, NULL))
		return NULL;
	to->sector = from->sector;
	for (uint64_t at = 0; at < size; at += sizeof piece) {
		size_t n = (size_t)MIN(sizeof piece, size - at);

		if (blockdev_read(from, at, piece, n, NULL) == 0 && !is_all_zero(piece, n))
			blockdev_write(to, at, piece, n, NULL);
	}
	return to;
}

/* Problems but for those of one code. */
struct other_problems { const char *but; uint64_t n; };

static inline void say_problem(void *arg, const struct lcpfs_problem *p)
{
	struct other_problems *o = arg;

	printf("# fsck: %s: %s\n", p->code, p->text);
	if (o)
		o->n += !o->but || strcmp(p->code, o->but) != 0;
}

/* On a device that stays the caller's. */
static inline bool dev_clean_but(struct lcpfs_blockdev *d, const char *code)
{
	struct other_problems found = { code, 0 };
	struct lcpfs_check_opts o = { .data = true, .problem = say_problem, .arg = &found };
	struct lcpfs_open_opts oo = { .threads = 1 };
	struct lcpfs_error err = { 0 };
	struct faultdev view;
	uint64_t n = 0;
	int rc;

	faultdev_init(&view, d, 0, 0, false, LCPFS_EIO);
	rc = lcpfs_fsck_dev(&view.dev, &oo, &o, &n, &err);
	if (rc)
		printf("# fsck: %s\n", err.msg);
	return rc == 0 && found.n == 0 && (code || n == 0);
}
static inline bool dev_clean(struct lcpfs_blockdev *d) { return dev_clean_but(d, NULL); }

/* What a device holds, by reading it. */
static inline int dev_digest(struct lcpfs_blockdev *d, uint8_t out[HASH_LEN], struct lcpfs_error *err)
{
	struct lcpfs_open_opts oo = { .threads = 1 };
	struct lcpfs_pool *p;
	struct faultdev view;
	int rc;

	faultdev_init(&view, d, 0, 0, false, LCPFS_EIO);
	rc = lcpfs_pool_open_dev(&p, &view.dev, &oo, err);
	if (rc)
		return rc;
	rc = pool_digest(p, out, err);
	lcpfs_pool_close(p, NULL);
	return rc;
}
#endif
