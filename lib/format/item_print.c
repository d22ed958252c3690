/* SPDX-License-Identifier: Apache-2.0 */
/* One line of text for any item of a dataset tree: for dump, messages and tests. Never fails: what makes no sense is shown as hex. */
#include "format/inode.h"
#include "base/le.h"
#include "base/util.h"
#include <inttypes.h>

static const struct { uint8_t type; const char *name; } item_names[] = {
	{ ITEM_DSINFO, "DSINFO" }, { ITEM_DICT, "DICT" }, { ITEM_SLICE, "SLICE" }, { ITEM_EXTENT, "EXTENT" },
	{ ITEM_PACK, "PACK" }, { ITEM_INODE, "INODE" }, { ITEM_LINK, "LINK" }, { ITEM_XATTR, "XATTR" },
	{ ITEM_STREAM, "STREAM" }, { ITEM_DIRENT, "DIRENT" }, { ITEM_QUOTA, "QUOTA" }, { ITEM_DATAREF, "DATAREF" },
	{ ITEM_ORPHAN, "ORPHAN" }, { ITEM_VOLUME, "VOLUME" },
};

static void print_str(struct buf *out, const uint8_t *s, size_t len)
{
	buf_u8(out, '"');
	for (size_t i = 0; i < len; i++)
		if (s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] == 0x7f)
			buf_printf(out, "\\%03o", s[i]);
		else
			buf_u8(out, s[i]);
	buf_u8(out, '"');
}

static void print_hex(struct buf *out, const uint8_t *p, size_t len)
{
	buf_printf(out, "%zu bytes ", len);
	buf_hex(out, p, len < 64 ? len : 64);
	if (len > 64)
		buf_printf(out, "...");
}

static void print_key(struct buf *out, const uint8_t *key, size_t klen)
{
	const uint8_t *rest = key + 9;
	size_t n = klen - 9;

	buf_printf(out, " %" PRIu64, be64_load(key + 1));
	switch (key[0]) {
	case ITEM_DIRENT:
		buf_u8(out, ' ');
		print_str(out, rest, n);
		return;
	case ITEM_XATTR:
		if (n) {
			buf_printf(out, " ns %u ", rest[0]);
			print_str(out, rest + 1, n - 1);
		}
		return;
	case ITEM_LINK:
		if (n >= 8) {
			buf_printf(out, " in %" PRIu64 " ", be64_load(rest));
			print_str(out, rest + 8, n - 8);
			return;
		}
		break;
	case ITEM_EXTENT:
		if (n == 8) {
			buf_printf(out, " at %" PRIu64, be64_load(rest));
			return;
		}
		break;
	}
	if (n) {
		buf_printf(out, " rest ");
		print_hex(out, rest, n);
	}
}

static void print_time(struct buf *out, const char *name, struct itime t)
{
	buf_printf(out, " %s %" PRId64 ".%09u", name, t.sec, t.nsec);
}

static bool print_inode(struct buf *out, const uint8_t *val, size_t vlen)
{
	const uint8_t *tlv, *target;
	struct inode i;
	size_t n, tn;

	if (inode_decode(&i, val, vlen, &tlv, &n, NULL))
		return false;
	buf_printf(out, "mode %o uid %u gid %u nlink %u size %" PRIu64 " psize %" PRIu64 " parent %" PRIu64 " data %" PRIu64,
	    i.mode, i.uid, i.gid, i.nlink, i.size, i.psize, i.parent, i.data_id);
	if (i.rdev)
		buf_printf(out, " rdev %u:%u", (unsigned)(i.rdev >> 32), (unsigned)i.rdev);
	print_time(out, "atime", i.atime);
	print_time(out, "mtime", i.mtime);
	print_time(out, "ctime", i.ctime);
	print_time(out, "btime", i.btime);
	buf_printf(out, " flags %#x gen %" PRIu64 " xattrs %u", i.flags, i.gen, i.n_xattr);
	if (i.projid)
		buf_printf(out, " project %u", i.projid);
	if (i.rec_shift)
		buf_printf(out, " record 2^%u", i.rec_shift);
	target = inode_symlink(tlv, n, &tn);
	if (target) {
		buf_printf(out, " -> ");
		print_str(out, target, tn);
	}
	return true;
}

static bool print_dsinfo(struct buf *out, const uint8_t *val, size_t vlen)
{
	struct dsinfo d;

	if (dsinfo_decode(&d, val, vlen, NULL))
		return false;
	buf_printf(out, "next %" PRIu64 " group %u node %u record %u pack %u slice_max %u inodes %" PRIu64, d.next_seq, d.group,
	    d.node_size, d.record_size, d.pack_size, d.slice_max, d.n_files);
	return true;
}

static bool print_slice(struct buf *out, const uint8_t *val, size_t vlen)
{
	struct slice s;

	if (slice_decode(&s, val, vlen, NULL))
		return false;
	buf_printf(out, "pack %" PRIu64 " off %u len %u charge %u", s.pack_id, s.off, s.len, s.charge);
	return true;
}

static bool print_xattr(struct buf *out, const uint8_t *val, size_t vlen)
{
	if (vlen == 17 && val[0] == 1) {
		buf_printf(out, "data %" PRIu64 " size %" PRIu64, le_load(val + 1, 8), le_load(val + 9, 8));
		return true;
	}
	if (!vlen || val[0])
		return false;
	print_hex(out, val + 1, vlen - 1);
	return true;
}

static bool print_val(struct buf *out, uint8_t type, const uint8_t *val, size_t vlen)
{
	switch (type) {
	case ITEM_INODE: return print_inode(out, val, vlen);
	case ITEM_DSINFO: return print_dsinfo(out, val, vlen);
	case ITEM_SLICE: return print_slice(out, val, vlen);
	case ITEM_XATTR: return print_xattr(out, val, vlen);
	case ITEM_LINK: return vlen == 0;
	case ITEM_EXTENT:
		if (vlen == 4)
			buf_printf(out, "len %u", (unsigned)le_load(val, 4));
		return vlen == 4;
	case ITEM_PACK:
		if (vlen == 8)
			buf_printf(out, "live %u bytes in %u", (unsigned)le_load(val, 4), (unsigned)le_load(val + 4, 4));
		return vlen == 8;
	case ITEM_DIRENT:
		if (vlen == 9)
			buf_printf(out, "inode %" PRIu64 " type %u", le_load(val, 8), val[8]);
		return vlen == 9;
	case ITEM_DATAREF:
		if (vlen == 8)
			buf_printf(out, "sharers %" PRIu64, le_load(val, 8));
		return vlen == 8;
	}
	return false;
}

void item_print(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, const uint8_t *ptrs, unsigned nptr, struct buf *out)
{
	const char *name = NULL;
	struct blkptr bp;

	for (size_t i = 0; klen && i < ARRAY_LEN(item_names); i++)
		if (item_names[i].type == key[0])
			name = item_names[i].name;
	if (!name || klen < 9) {
		buf_printf(out, "? key ");
		print_hex(out, key, klen);
	} else {
		buf_printf(out, "%s", name);
		print_key(out, key, klen);
	}
	buf_printf(out, ": ");
	if (klen < 9 || !print_val(out, key[0], val, vlen))
		print_hex(out, val, vlen);
	for (unsigned i = 0; i < nptr; i++) {
		buf_printf(out, " [");
		if (ptr_decode(&bp, ptrs + i * PTR_LEN, NULL))
			buf_printf(out, "bad pointer");
		else
			ptr_print(&bp, out);
		buf_printf(out, "]");
	}
}
