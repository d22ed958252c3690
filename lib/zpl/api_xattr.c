/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls on extended attributes. */
#include "zpl/api_impl.h"

#define SET_FLAGS_ALL (LCPFS_FOLLOW | LCPFS_XATTR_CREATE | LCPFS_XATTR_REPLACE)

static int find(struct lcpfs_dataset *ds, const char *path, uint32_t flags, uint32_t known, uint64_t *ino, struct lcpfs_error *err)
{
	int rc = api_flags(flags, known, err);

	return rc ? rc : zpl_resolve(ds->ds, path, flags & LCPFS_FOLLOW, ino, err);
}

int lcpfs_xattr_each(struct lcpfs_dataset *ds, const char *path, uint32_t flags, lcpfs_xattr_visit *visit, void *arg, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = find(ds, path, flags, LCPFS_FOLLOW, &ino, err);

	return rc ? rc : zpl_xattr_each(ds->ds, ino, visit, arg, err);
}

int lcpfs_xattr_get(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, void **value, size_t *len, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = find(ds, path, flags, LCPFS_FOLLOW, &ino, err);

	return rc ? rc : api_at(err, zpl_xattr_get(ds->ds, ino, name, value, len, err), path);
}

/* CREATE and REPLACE, as setxattr(2) has them. */
static int check_present(struct lcpfs_dataset *ds, uint64_t ino, uint32_t flags, const char *name, struct lcpfs_error *err)
{
	void *value;
	size_t len;
	int rc;

	if (!(flags & (LCPFS_XATTR_CREATE | LCPFS_XATTR_REPLACE)))
		return 0;
	rc = zpl_xattr_get(ds->ds, ino, name, &value, &len, err);
	if (!rc)
		free(value);
	if (!rc && (flags & LCPFS_XATTR_CREATE))
		return lcpfs_fail(err, LCPFS_EEXIST, "attribute '%s' already exists", name);
	return rc == -LCPFS_ENODATA && !(flags & LCPFS_XATTR_REPLACE) ? 0 : rc;
}

int lcpfs_xattr_set(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = find(ds, path, flags, SET_FLAGS_ALL, &ino, err);

	if (rc)
		return rc;
	rc = check_present(ds, ino, flags, name, err);
	if (!rc)
		rc = zpl_xattr_set(ds->ds, ino, name, value, len, err);
	if (!rc)
		rc = api_touch(ds, ino, false, err);
	return api_at(err, rc, path);
}

int lcpfs_xattr_remove(struct lcpfs_dataset *ds, const char *path, uint32_t flags, const char *name, struct lcpfs_error *err)
{
	uint64_t ino;
	int rc = find(ds, path, flags, LCPFS_FOLLOW, &ino, err);

	if (rc)
		return rc;
	rc = zpl_xattr_remove(ds->ds, ino, name, err);
	if (!rc)
		rc = api_touch(ds, ino, false, err);
	return api_at(err, rc, path);
}
