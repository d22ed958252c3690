/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chmod of a file with an access ACL: its entries for the owner, the mask (without one the group) and the others follow the mode, as in the
 * kernel. The attribute: le32 version 2, then entries of le16 tag, le16 permissions, le32 id.
 */
#include "zpl/api_impl.h"
#include "base/le.h"

#define ACL_NAME "system.posix_acl_access"
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

int api_acl_chmod(struct lcpfs_dataset *ds, uint64_t ino, uint32_t mode, struct lcpfs_error *err)
{
	void *value;
	size_t len;
	int rc = zpl_xattr_get(ds->ds, ino, ACL_NAME, &value, &len, NULL);

	if (rc == -LCPFS_ENODATA)
		return 0;
	if (rc)
		return zpl_xattr_get(ds->ds, ino, ACL_NAME, &value, &len, err);
	if (len >= ACL_HEAD && (len - ACL_HEAD) % ACL_ENTRY == 0 && le_load(value, 4) == 2) {
		set_entries(value, len, mode);
		rc = zpl_xattr_set(ds->ds, ino, ACL_NAME, value, len, err);
	}
	free(value);
	return rc;
}
