/* SPDX-License-Identifier: Apache-2.0 */
/* What of an item from a stream a tree may hold. Types of a newer version are kept byte for byte, as everywhere. */
#include "stream_impl.h"
#include <dirent.h>
#include <inttypes.h>

#define ITEM_KEY 9u
#define DIRENT_LEN 9u

uint64_t stream_key_object(const uint8_t *key)
{
	return be64_load(key + 1);
}

static bool name_ok(const uint8_t *s, size_t len)
{
	if (!len || len > NAME_MAX_BYTES || memchr(s, 0, len) || memchr(s, '/', len))
		return false;
	return !(s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')));
}

static bool key_ok(const struct frame_item *i)
{
	const uint8_t *rest = i->key + ITEM_KEY;
	size_t n;

	if (i->klen < ITEM_KEY)
		return false;
	n = (size_t)i->klen - ITEM_KEY;
	switch (i->key[0]) {
	case ITEM_SLICE: case ITEM_INODE: case ITEM_DATAREF: case ITEM_ORPHAN:
		return !n && stream_key_object(i->key);
	case ITEM_DSINFO:
		return !n && !stream_key_object(i->key);
	case ITEM_EXTENT:
		return n == 8 && i->op == ITEM_DEL;
	case ITEM_LINK:
		return n > 8 && name_ok(rest + 8, n - 8);
	case ITEM_DIRENT:
		return name_ok(rest, n);
	case ITEM_XATTR:
		return n > 1 && n <= 1 + NAME_MAX_BYTES && !memchr(rest + 1, 0, n - 1);
	}
	return true;
}

static int check_xattr(const struct frame_item *i, struct lcpfs_error *err)
{
	bool fits = i->vlen >= 1 && (i->val[0] == 0 || (i->val[0] == 1 && i->vlen == 17));

	return fits ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "attribute value of %u bytes makes no sense", i->vlen);
}

static int check_dirent(const struct frame_item *i, struct lcpfs_error *err)
{
	bool fits = i->vlen == DIRENT_LEN && le_load(i->val, 8) && i->val[8] && i->val[8] <= DT_SOCK;

	return fits ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "directory entry value makes no sense");
}

static int check_len(const struct frame_item *i, uint32_t want, struct lcpfs_error *err)
{
	return i->vlen == want ? 0 : lcpfs_fail(err, LCPFS_ECORRUPT, "item of type %#x with a value of %u bytes", i->key[0], i->vlen);
}

static int check_val(const struct frame_item *i, struct lcpfs_error *err)
{
	struct inode inode;
	struct dsinfo info;

	switch (i->key[0]) {
	case ITEM_DSINFO:
		return dsinfo_decode(&info, i->val, i->vlen, err);
	case ITEM_SLICE: /* u32 len, u32 charge */
	case ITEM_DATAREF:
		return check_len(i, 8, err);
	case ITEM_INODE:
		return inode_decode(&inode, i->val, i->vlen, NULL, NULL, err);
	case ITEM_LINK:
		return check_len(i, 0, err);
	case ITEM_XATTR:
		return check_xattr(i, err);
	case ITEM_DIRENT:
		return check_dirent(i, err);
	}
	return 0;
}

int stream_item_check(const struct frame_item *i, struct lcpfs_error *err)
{
	if (i->key[0] == ITEM_DICT || i->key[0] == ITEM_PACK)
		return lcpfs_fail(err, LCPFS_EUNSUP, "item of type %#x in a logical stream", i->key[0]);
	if (!key_ok(i))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "item of type %#x: key of %u bytes makes no sense", i->key[0], i->klen);
	return i->op == ITEM_PUT ? check_val(i, err) : 0;
}
