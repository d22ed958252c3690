/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access control lists where a file system deals with them by itself, as the kernel does: chmod, and what a new file gets from its directory.
 * The attribute: le32 version 2, then entries of le16 tag, le16 permissions, le32 id. What is not formed like that is only an attribute.
 */
#include "zpl/api_impl.h"
#include "base/le.h"

#define ACL_NAME "system.posix_acl_access"
#define ACL_DEFAULT_NAME "system.posix_acl_default"
enum { ACL_HEAD = 4, ACL_ENTRY = 8 };
enum { TAG_USER_OBJ = 1, TAG_GROUP_OBJ = 4, TAG_MASK = 16, TAG_OTHER = 32 };

static bool has_mask(const uint8_t *p, size_t len)
{
	for (size_t at = ACL_HEAD; at < len; at += ACL_ENTRY)
		if (le_load(p + at, 2) == TAG_MASK)
			return true;
	return false;
}

static void set_entries(uint8_t *p, size_t len, uint32_t mode)
{
	uint64_t group = has_mask(p, len) ? TAG_MASK : TAG_GROUP_OBJ;

	for (size_t at = ACL_HEAD; at < len; at += ACL_ENTRY) {
		uint64_t tag = le_load(p + at, 2);

		if (tag == TAG_USER_OBJ)
			le_store(p + at + 2, 2, mode >> 6 & 7);
		else if (tag == group)
			le_store(p + at + 2, 2, mode >> 3 & 7);
		else if (tag == TAG_OTHER)
			le_store(p + at + 2, 2, mode & 7);
	}
}

static bool well_formed(const uint8_t *p, size_t len)
{
	return len >= ACL_HEAD && (len - ACL_HEAD) % ACL_ENTRY == 0 && le_load(p, 4) == 2;
}

/* The owner's, mask's (without one the group's) and others' entries follow the mode. */
int api_acl_chmod(struct lcpfs_dataset *ds, uint64_t ino, uint32_t mode, struct lcpfs_error *err)
{
	void *value;
	size_t len;
	int rc = zpl_xattr_get(ds->ds, ino, ACL_NAME, &value, &len, NULL);

	if (rc == -LCPFS_ENODATA)
		return 0;
	if (rc)
		return zpl_xattr_get(ds->ds, ino, ACL_NAME, &value, &len, err);
	if (well_formed(value, len)) {
		set_entries(value, len, mode);
		rc = zpl_xattr_set(ds->ds, ino, ACL_NAME, value, len, err);
	}
	free(value);
	return rc;
}

/* The entry with this tag, NULL: none. */
static uint8_t *entry(uint8_t *p, size_t len, uint64_t tag)
{
	for (size_t at = ACL_HEAD; at < len; at += ACL_ENTRY)
		if (le_load(p + at, 2) == tag)
			return p + at;
	return NULL;
}

/* The entry gives no more than was asked for, and the file gets no more than the entry gives. */
static void meet(uint8_t *e, uint32_t *mode, unsigned shift)
{
	uint32_t both = (uint32_t)le_load(e + 2, 2) & *mode >> shift & 7;

	le_store(e + 2, 2, both);
	*mode = (*mode & ~(7u << shift)) | both << shift;
}

/* A default ACL becomes the access ACL of a new file with this mode. */
static bool adapt(uint8_t *p, size_t len, uint32_t *mode)
{
	uint8_t *user = entry(p, len, TAG_USER_OBJ), *group = entry(p, len, TAG_GROUP_OBJ), *mask = entry(p, len, TAG_MASK),
	    *other = entry(p, len, TAG_OTHER);

	if (!user || !group || !other)
		return false;
	meet(user, mode, 6);
	meet(mask ? mask : group, mode, 3);
	meet(other, mode, 0);
	return true;
}

int api_acl_inherit(struct lcpfs_dataset *ds, uint64_t dir, const struct inode *d, uint32_t *mode, struct api_acl *out, struct lcpfs_error *err)
{
	void *value = NULL;
	size_t len = 0;
	int rc;

	*out = (struct api_acl){ 0 };
	if (S_ISLNK(*mode))
		return 0;
	rc = d->n_xattr ? zpl_xattr_get(ds->ds, dir, ACL_DEFAULT_NAME, &value, &len, err) : -LCPFS_ENODATA;
	if (rc && rc != -LCPFS_ENODATA)
		return rc;
	if (!rc && well_formed(value, len)) {
		out->access = malloc(len);
		if (!out->access) {
			free(value);
			return lcpfs_nomem(err);
		}
		memcpy(out->access, value, len);
		out->len = len;
	}
	if (!out->access || !adapt(out->access, len, mode)) {
		*mode &= ~ds->umask;
		api_acl_fini(out);
		free(value);
		return 0;
	}
	if (S_ISDIR(*mode))
		out->dflt = value;
	else
		free(value);
	return 0;
}

int api_acl_apply(struct lcpfs_dataset *ds, uint64_t ino, const struct api_acl *a, struct lcpfs_error *err)
{
	/* the owner, the group and the others alone: the mode says it all */
	bool more = a->len > ACL_HEAD + 3 * ACL_ENTRY;
	int rc = more ? zpl_xattr_set(ds->ds, ino, ACL_NAME, a->access, a->len, err) : 0;

	return rc || !a->dflt ? rc : zpl_xattr_set(ds->ds, ino, ACL_DEFAULT_NAME, a->dflt, a->len, err);
}

void api_acl_fini(struct api_acl *a)
{
	free(a->access);
	free(a->dflt);
	*a = (struct api_acl){ 0 };
}
