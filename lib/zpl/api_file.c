/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls: what a path leads to, and contents through file handles. */
#include "zpl/api_impl.h"

void api_stat(uint64_t ino, const struct inode *i, struct lcpfs_stat *st)
{
	*st = (struct lcpfs_stat){
		.ino = ino, .gen = i->gen, .mode = i->mode, .uid = i->uid, .gid = i->gid, .nlink = i->nlink,
		.size = S_ISDIR(i->mode) ? 0 : i->size, .stored = i->psize,
		.rdev_major = (uint32_t)(i->rdev >> 32), .rdev_minor = (uint32_t)i->rdev,
		.n_xattr = i->n_xattr, .flags = i->flags, .parent = i->parent,
		.atime = { i->atime.sec, i->atime.nsec }, .mtime = { i->mtime.sec, i->mtime.nsec },
		.ctime = { i->ctime.sec, i->ctime.nsec }, .btime = { i->btime.sec, i->btime.nsec },
	};
}

struct itime api_now(void)
{
	struct itime t;

	now_get(&t.sec, &t.nsec);
	return t;
}

int api_at(struct lcpfs_error *err, int rc, const char *path)
{
	return rc < 0 ? lcpfs_within(err, rc, "%s", path) : rc;
}

int api_flags(uint32_t flags, uint32_t known, struct lcpfs_error *err)
{
	return flags & ~known ? lcpfs_fail(err, LCPFS_EINVAL, "unknown flags %#x", flags & ~known) : 0;
}

int api_name(struct lcpfs_dataset *ds, const char *path, struct api_name *n, struct lcpfs_error *err)
{
	int rc = spa_may_write(ds->ds->spa, err);

	if (!rc && !ds->ds->writable)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%s' is read-only", ds->ds->name);
	return rc ? rc : zpl_resolve_parent(ds->ds, path, &n->dir, &n->last, &n->len, &n->ino, err);
}

int api_create(struct lcpfs_dataset *ds, const struct api_name *n, uint32_t mode, uint64_t rdev, const char *target, uint64_t *ino,
               struct lcpfs_error *err)
{
	struct itime now = api_now();
	struct inode dir, i = { .mode = mode, .uid = ds->uid, .gid = ds->gid, .rdev = rdev, .atime = now, .mtime = now, .ctime = now,
		.btime = now };
	struct api_acl acl;
	int rc = zpl_inode_get(ds->ds, n->dir, &dir, err);

	if (!rc)
		rc = api_acl_inherit(ds, n->dir, &dir, &i.mode, &acl, err);
	if (rc)
		return rc;
	/* as everywhere: a set-group-ID directory hands down its group */
	if (dir.mode & S_ISGID) {
		i.gid = dir.gid;
		i.mode |= S_ISDIR(mode) ? S_ISGID : 0;
	}
	rc = zpl_create(ds->ds, n->dir, n->last, n->len, &i, target, &now, ino, err);
	if (!rc) {
		rc = api_acl_apply(ds, *ino, &acl, err);
		if (rc)
			zpl_unlink(ds->ds, n->dir, n->last, n->len, &now, NULL);
	}
	api_acl_fini(&acl);
	return rc;
}

int api_touch(struct lcpfs_dataset *ds, uint64_t ino, bool mtime, struct lcpfs_error *err)
{
	struct inode i;
	int rc = zpl_inode_get(ds->ds, ino, &i, err);

	if (rc)
		return rc;
	i.ctime = api_now();
	if (mtime)
		i.mtime = i.ctime;
	return zpl_inode_put(ds->ds, ino, &i, err);
}

int lcpfs_stat_ino(struct lcpfs_dataset *ds, uint64_t ino, struct lcpfs_stat *st, struct lcpfs_error *err)
{
	struct inode i;
	int rc = zpl_inode_get(ds->ds, ino, &i, err);

	if (!rc)
		api_stat(ino, &i, st);
	return rc;
}

int lcpfs_stat(struct lcpfs_dataset *ds, const char *path, uint32_t flags, struct lcpfs_stat *st, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = api_flags(flags, LCPFS_FOLLOW, err);

	if (!rc)
		rc = zpl_resolve(ds->ds, path, flags & LCPFS_FOLLOW, &ino, err);
	return rc ? rc : api_at(err, lcpfs_stat_ino(ds, ino, st, err), path);
}

int lcpfs_path_of(struct lcpfs_dataset *ds, uint64_t ino, char **path, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = zpl_path_of(ds->ds, ino, &b, err);

	buf_u8(&b, 0);
	if (!rc && b.failed)
		rc = lcpfs_nomem(err);
	if (rc)
		buf_fini(&b);
	else
		*path = (char *)b.data;
	return rc;
}

int lcpfs_readlink(struct lcpfs_dataset *ds, const char *path, char **target, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = zpl_resolve(ds->ds, path, false, &ino, err);

	return rc ? rc : api_at(err, zpl_readlink(ds->ds, ino, target, err), path);
}

#define OPEN_FLAGS_ALL (LCPFS_O_READ | LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_EXCL | LCPFS_O_TRUNC)

int lcpfs_file_open_ino(struct lcpfs_file **out, struct lcpfs_dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct lcpfs_file *f;
	struct inode i;
	int rc = zpl_inode_get(ds->ds, ino, &i, err);

	if (!rc && S_ISDIR(i.mode))
		rc = lcpfs_fail(err, LCPFS_EISDIR, "is a directory");
	else if (!rc && !S_ISREG(i.mode))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "not a regular file");
	if (rc)
		return rc;
	f = calloc(1, sizeof *f);
	if (!f)
		return lcpfs_nomem(err);
	*f = (struct lcpfs_file){ ds, ino, LCPFS_O_READ };
	*out = f;
	return 0;
}

/* The inode to open, made when it is to be. */
static int find_or_create(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t mode, uint64_t *ino, struct lcpfs_error *err)
{
	struct api_name n;
	int rc;

	if (!(flags & LCPFS_O_EXCL)) {
		rc = zpl_resolve(ds->ds, path, true, ino, err);
		if (rc != -LCPFS_ENOENT || !(flags & LCPFS_O_CREATE))
			return rc;
	}
	rc = api_name(ds, path, &n, err);
	if (rc)
		return rc;
	if (n.ino && (flags & LCPFS_O_EXCL))
		rc = lcpfs_fail(err, LCPFS_EEXIST, "already exists");
	else if (n.ino)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "a symbolic link to nothing");
	else
		rc = api_create(ds, &n, S_IFREG | (mode & 07777), 0, NULL, ino, err);
	return api_at(err, rc, path);
}

int lcpfs_file_open(struct lcpfs_file **out, struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t mode, struct lcpfs_error *err)
{
	struct lcpfs_file *f;
	uint64_t ino;
	int rc = api_flags(flags, OPEN_FLAGS_ALL, err);

	if (!rc && (flags & LCPFS_O_EXCL) && !(flags & LCPFS_O_CREATE))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "exclusive, but not to be created");
	if (!rc && (flags & ~(uint32_t)LCPFS_O_READ) && !ds->ds->writable)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%s' is read-only", ds->ds->name);
	if (!rc)
		rc = find_or_create(ds, path, flags, mode, &ino, err);
	if (rc)
		return rc;
	rc = lcpfs_file_open_ino(&f, ds, ino, err);
	if (rc)
		return api_at(err, rc, path);
	f->flags = flags & (LCPFS_O_READ | LCPFS_O_WRITE) ? flags : flags | LCPFS_O_READ;
	if (flags & LCPFS_O_TRUNC) {
		f->flags |= LCPFS_O_WRITE;
		rc = lcpfs_file_truncate(f, 0, err);
	}
	if (rc) {
		free(f);
		return api_at(err, rc, path);
	}
	*out = f;
	return 0;
}

int lcpfs_file_close(struct lcpfs_file *f, struct lcpfs_error *err)
{
	(void)err;
	free(f);
	return 0;
}

uint64_t lcpfs_file_size(const struct lcpfs_file *f)
{
	struct inode i;

	return zpl_inode_get(f->ds->ds, f->ino, &i, NULL) ? 0 : i.size;
}

int lcpfs_file_pread(struct lcpfs_file *f, void *buf, size_t len, uint64_t off, size_t *got, struct lcpfs_error *err)
{
	if (!(f->flags & LCPFS_O_READ))
		return lcpfs_fail(err, LCPFS_EPERM, "the file is not open for reading");
	return zpl_read(f->ds->ds, f->ino, off, buf, len, got, err);
}

static int may_write(const struct lcpfs_file *f, struct lcpfs_error *err)
{
	return f->flags & LCPFS_O_WRITE ? 0 : lcpfs_fail(err, LCPFS_EPERM, "the file is not open for writing");
}

static int may_share(const struct lcpfs_file *from, const struct lcpfs_file *to, struct lcpfs_error *err)
{
	if (!(from->flags & LCPFS_O_READ))
		return lcpfs_fail(err, LCPFS_EPERM, "the file is not open for reading");
	return may_write(to, err);
}

int lcpfs_file_pwrite(struct lcpfs_file *f, const void *buf, size_t len, uint64_t off, struct lcpfs_error *err)
{
	int rc = may_write(f, err);

	if (!rc)
		rc = zpl_write(f->ds->ds, f->ino, off, buf, len, err);
	return rc || !len ? rc : api_touch(f->ds, f->ino, true, err);
}

int lcpfs_file_truncate(struct lcpfs_file *f, uint64_t size, struct lcpfs_error *err)
{
	int rc = may_write(f, err);

	if (!rc)
		rc = zpl_truncate(f->ds->ds, f->ino, size, err);
	return rc ? rc : api_touch(f->ds, f->ino, true, err);
}

int lcpfs_file_next_data(struct lcpfs_file *f, uint64_t *off, uint64_t *len, struct lcpfs_error *err)
{
	return zpl_next_data(f->ds->ds, f->ino, off, len, err);
}

int lcpfs_reflink(struct lcpfs_file *from, struct lcpfs_file *to, struct lcpfs_error *err)
{
	int rc = may_share(from, to, err);

	if (!rc)
		rc = zpl_share(from->ds->ds, from->ino, to->ds->ds, to->ino, err);
	return rc ? rc : api_touch(to->ds, to->ino, true, err);
}

int lcpfs_reflink_range(struct lcpfs_file *from, uint64_t off, uint64_t len, struct lcpfs_file *to, uint64_t to_off, struct lcpfs_error *err)
{
	int rc = may_share(from, to, err);

	if (!rc)
		rc = zpl_share_range(from->ds->ds, from->ino, off, len, to->ds->ds, to->ino, to_off, err);
	return rc || !len ? rc : api_touch(to->ds, to->ino, true, err);
}
