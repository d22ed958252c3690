/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls that change names and attributes, by path. */
#include "zpl/api_impl.h"

/* Make one directory. exist_ok: one that is there will do. */
static int mkdir_one(struct lcpfs_dataset *ds, const char *path, uint32_t mode, bool exist_ok, struct lcpfs_error *err)
{
	struct api_name n;
	struct inode i;
	uint64_t ino;
	int rc = api_name(ds, path, &n, err);

	if (rc)
		return rc;
	if (!n.ino)
		return api_at(err, api_create(ds, &n, S_IFDIR | (mode & 07777), 0, NULL, &ino, err), path);
	rc = exist_ok ? zpl_resolve(ds->ds, path, true, &ino, err) : api_at(err, lcpfs_fail(err, LCPFS_EEXIST, "already exists"), path);
	if (!rc)
		rc = zpl_inode_get(ds->ds, ino, &i, err);
	if (!rc && !S_ISDIR(i.mode))
		rc = api_at(err, lcpfs_fail(err, LCPFS_ENOTDIR, "not a directory"), path);
	return rc;
}

static bool is_dots(const char *p, size_t n)
{
	return n && n <= 2 && p[0] == '.' && p[n - 1] == '.';
}

int lcpfs_mkdir(struct lcpfs_dataset *ds, const char *path, uint32_t mode, bool parents, struct lcpfs_error *err)
{
	char *part;
	int rc = 0;

	if (!parents)
		return mkdir_one(ds, path, mode, false, err);
	part = strdup(path);
	if (!part)
		return lcpfs_nomem(err);
	/* one component more each time */
	for (char *p = part; !rc && *(p += strspn(p, "/")); ) {
		size_t n = strcspn(p, "/");
		bool last = !p[n + strspn(p + n, "/")];
		char cut = p[n];

		p[n] = 0;
		if (!is_dots(p, n))
			rc = mkdir_one(ds, part, last ? mode : mode | 0300, true, err);
		p[n] = cut;
		p += n;
	}
	free(part);
	return rc;
}

/* A new file that is not a directory. */
static int make(struct lcpfs_dataset *ds, const char *path, uint32_t mode, uint64_t rdev, const char *target, struct lcpfs_error *err)
{
	struct api_name n;
	uint64_t ino;
	int rc = api_name(ds, path, &n, err);

	if (rc)
		return rc;
	rc = n.ino ? lcpfs_fail(err, LCPFS_EEXIST, "already exists") : api_create(ds, &n, mode, rdev, target, &ino, err);
	return api_at(err, rc, path);
}

int lcpfs_symlink(struct lcpfs_dataset *ds, const char *target, const char *path, struct lcpfs_error *err)
{
	return make(ds, path, S_IFLNK | 0777, 0, target, err);
}

int lcpfs_mknod(struct lcpfs_dataset *ds, const char *path, uint32_t mode, uint32_t major, uint32_t minor, struct lcpfs_error *err)
{
	bool device = S_ISCHR(mode) || S_ISBLK(mode);

	if (!device && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISREG(mode))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: mode %#o is not that of a device, pipe, socket or file", path, mode);
	return make(ds, path, mode & (S_IFMT | 07777), device ? (uint64_t)major << 32 | minor : 0, NULL, err);
}

int lcpfs_link(struct lcpfs_dataset *ds, const char *existing, const char *path, struct lcpfs_error *err)
{
	struct itime now = api_now();
	struct api_name n;
	uint64_t ino;
	int rc = api_name(ds, path, &n, err);

	/* resolved last: the tree then remembers the first name */
	if (!rc)
		rc = zpl_resolve(ds->ds, existing, false, &ino, err);
	return rc ? rc : api_at(err, zpl_link(ds->ds, ino, n.dir, n.last, n.len, &now, err), path);
}

int lcpfs_remove(struct lcpfs_dataset *ds, const char *path, bool recursive, struct lcpfs_error *err)
{
	struct itime now = api_now();
	struct api_name n;
	int rc = api_name(ds, path, &n, err);

	if (rc)
		return rc;
	rc = recursive ? zpl_remove_tree(ds->ds, n.dir, n.last, n.len, &now, err) :
	    zpl_unlink(ds->ds, n.dir, n.last, n.len, &now, err);
	return api_at(err, rc, path);
}

int lcpfs_rename(struct lcpfs_dataset *ds, const char *from, const char *to, uint32_t flags, struct lcpfs_error *err)
{
	struct itime now = api_now();
	struct api_name a, b;
	int rc = api_flags(flags, LCPFS_RENAME_NOREPLACE, err);

	if (!rc)
		rc = api_name(ds, from, &a, err);
	if (!rc)
		rc = api_name(ds, to, &b, err);
	if (!rc && !a.ino)
		return api_at(err, lcpfs_fail(err, LCPFS_ENOENT, "no such file or directory"), from);
	if (rc)
		return rc;
	rc = zpl_rename(ds->ds, a.dir, a.last, a.len, b.dir, b.last, b.len, flags & LCPFS_RENAME_NOREPLACE, &now, err);
	return api_at(err, rc, to);
}

/* The inode that an attribute call is about. */
static int target(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint64_t *ino, struct inode *i, struct lcpfs_error *err)
{
	int rc = api_flags(flags, LCPFS_FOLLOW, err);

	if (!rc)
		rc = zpl_resolve(ds->ds, path, flags & LCPFS_FOLLOW, ino, err);
	return rc ? rc : zpl_inode_get(ds->ds, *ino, i, err);
}

static int put(struct lcpfs_dataset *ds, const char *path, uint64_t ino, struct inode *i, struct lcpfs_error *err)
{
	i->ctime = api_now();
	return api_at(err, zpl_inode_put(ds->ds, ino, i, err), path);
}

int lcpfs_chmod(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t mode, struct lcpfs_error *err)
{
	struct inode i;
	uint64_t ino;
	int rc = target(ds, path, flags, &ino, &i, err);

	if (!rc && S_ISLNK(i.mode))
		rc = api_at(err, lcpfs_fail(err, LCPFS_EINVAL, "a symbolic link has no permissions of its own"), path);
	if (rc)
		return rc;
	i.mode = (i.mode & S_IFMT) | (mode & 07777);
	rc = put(ds, path, ino, &i, err);
	return rc || !i.n_xattr ? rc : api_at(err, api_acl_chmod(ds, ino, mode, err), path);
}

int lcpfs_chown(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t uid, uint32_t gid, struct lcpfs_error *err)
{
	struct inode i;
	uint64_t ino;
	int rc = target(ds, path, flags, &ino, &i, err);

	if (rc)
		return rc;
	if (uid != UINT32_MAX)
		i.uid = uid;
	if (gid != UINT32_MAX)
		i.gid = gid;
	/* set-group-ID without group execution means locking, not privilege */
	if (S_ISREG(i.mode))
		i.mode &= ~(uint32_t)(S_ISUID | (i.mode & S_IXGRP ? S_ISGID : 0));
	return put(ds, path, ino, &i, err);
}

static int set_time(struct itime *t, const struct lcpfs_time *to, struct lcpfs_error *err)
{
	if (!to)
		return 0;
	if (to->nsec >= 1000000000u)
		return lcpfs_fail(err, LCPFS_EINVAL, "%u nanoseconds", to->nsec);
	*t = (struct itime){ to->sec, to->nsec };
	return 0;
}

int lcpfs_utimens(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const struct lcpfs_time *atime, const struct lcpfs_time *mtime, struct lcpfs_error *err)
{
	struct inode i;
	uint64_t ino;
	int rc = target(ds, path, flags, &ino, &i, err);

	if (!rc)
		rc = set_time(&i.atime, atime, err);
	if (!rc)
		rc = set_time(&i.mtime, mtime, err);
	return rc ? rc : put(ds, path, ino, &i, err);
}

int lcpfs_truncate(struct lcpfs_dataset *ds, const char *path, uint64_t size, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = zpl_resolve(ds->ds, path, true, &ino, err);

	if (!rc)
		rc = api_at(err, zpl_truncate(ds->ds, ino, size, err), path);
	return rc ? rc : api_touch(ds, ino, true, err);
}
