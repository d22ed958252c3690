/* SPDX-License-Identifier: Apache-2.0 */
#include "format/inode.h"
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "format/node.h"
#include <inttypes.h>
#include <sys/stat.h>

#define NSEC_PER_SEC 1000000000u
#define REC_SHIFT_MIN 9u
#define REC_SHIFT_MAX 24u

/* Keys. */

size_t item_key(uint8_t *key, uint8_t type, uint64_t object)
{
	key[0] = type;
	be64_store(key + 1, object);
	return 9;
}

size_t item_key_u64(uint8_t *key, uint8_t type, uint64_t object, uint64_t rest)
{
	item_key(key, type, object);
	be64_store(key + 9, rest);
	return 17;
}

size_t item_key_str(uint8_t *key, uint8_t type, uint64_t object, const void *s, size_t len)
{
	item_key(key, type, object);
	memcpy(key + 9, s, len);
	return 9 + len;
}

size_t item_key_xattr(uint8_t *key, uint64_t ino, uint8_t ns, const void *s, size_t len)
{
	item_key(key, ITEM_XATTR, ino);
	key[9] = ns;
	memcpy(key + 10, s, len);
	return 10 + len;
}

size_t item_key_link(uint8_t *key, uint64_t ino, uint64_t parent, const void *s, size_t len)
{
	item_key_u64(key, ITEM_LINK, ino, parent);
	memcpy(key + 17, s, len);
	return 17 + len;
}

static const struct { const char *prefix; uint8_t len, ns; } xattr_prefixes[] = {
	{ "user.", 5, XNS_USER },
	{ "trusted.", 8, XNS_TRUSTED },
	{ "security.", 9, XNS_SECURITY },
	{ "system.", 7, XNS_SYSTEM },
};

uint8_t xattr_split(const char *name, const char **rest)
{
	for (size_t i = 0; i < ARRAY_LEN(xattr_prefixes); i++) {
		size_t n = xattr_prefixes[i].len;

		if (strncmp(name, xattr_prefixes[i].prefix, n) == 0 && name[n]) {
			*rest = name + n;
			return xattr_prefixes[i].ns;
		}
	}
	*rest = name;
	return XNS_OTHER;
}

size_t xattr_join(char *out, uint8_t ns, const void *rest, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(xattr_prefixes); i++)
		if (xattr_prefixes[i].ns == ns) {
			n = xattr_prefixes[i].len;
			memcpy(out, xattr_prefixes[i].prefix, n);
		}
	memcpy(out + n, rest, len);
	out[n + len] = 0;
	return n + len;
}

/* Inodes. */

struct inode_disk {
	le32 mode, uid, gid, nlink;
	le64 size, psize, parent, data_id, rdev;
	le64 sec[4];
	le32 nsec[4];
	le32 flags, projid;
	le64 gen;
	uint8_t rec_shift, comp, place, zero;
	le32 n_xattr;
};
_Static_assert(sizeof(struct inode_disk) == INODE_LEN, "an inode is 128 bytes");
_Static_assert(offsetof(struct inode_disk, sec) == 56 && offsetof(struct inode_disk, nsec) == 88 &&
    offsetof(struct inode_disk, gen) == 112, "inode layout");

void inode_encode(const struct inode *i, uint8_t raw[INODE_LEN])
{
	const struct itime *t[4] = { &i->atime, &i->mtime, &i->ctime, &i->btime };
	struct inode_disk d = {
		.mode = le32_put(i->mode), .uid = le32_put(i->uid), .gid = le32_put(i->gid), .nlink = le32_put(i->nlink),
		.size = le64_put(i->size), .psize = le64_put(i->psize), .parent = le64_put(i->parent),
		.data_id = le64_put(i->data_id), .rdev = le64_put(i->rdev),
		.flags = le32_put(i->flags), .projid = le32_put(i->projid), .gen = le64_put(i->gen),
		.rec_shift = i->rec_shift, .comp = i->comp, .place = i->place, .n_xattr = le32_put(i->n_xattr),
	};

	for (unsigned k = 0; k < 4; k++) {
		d.sec[k] = le64_put((uint64_t)t[k]->sec);
		d.nsec[k] = le32_put(t[k]->nsec);
	}
	memcpy(raw, &d, sizeof d);
}

bool inode_raw_add_psize(uint8_t *raw, size_t len, uint64_t data_id, int64_t delta)
{
	uint8_t *psize = raw + offsetof(struct inode_disk, psize);

	if (len < INODE_LEN || le_load(raw + offsetof(struct inode_disk, data_id), 8) != data_id)
		return false;
	le_store(psize, 8, le_load(psize, 8) + (uint64_t)delta);
	return true;
}

static bool type_known(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: case S_IFDIR: case S_IFLNK: case S_IFCHR: case S_IFBLK: case S_IFIFO: case S_IFSOCK:
		return mode <= 0177777;
	}
	return false;
}

static int check_inode(const struct inode *i, const struct inode_disk *d, struct lcpfs_error *err)
{
	if (!type_known(i->mode))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: mode %#o", i->mode);
	if (i->size > FILE_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: size %" PRIu64, i->size);
	if (i->atime.nsec >= NSEC_PER_SEC || i->mtime.nsec >= NSEC_PER_SEC || i->ctime.nsec >= NSEC_PER_SEC ||
	    i->btime.nsec >= NSEC_PER_SEC)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: a time of a second or more of nanoseconds");
	if (i->rec_shift && (i->rec_shift < REC_SHIFT_MIN || i->rec_shift > REC_SHIFT_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: record shift %u", i->rec_shift);
	if (d->zero)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: byte 123 is not zero");
	return 0;
}

/* Walk TLVs: 0 well-formed. The payload of the first of `type` goes to *found. */
static int tlv_scan(const uint8_t *tlv, size_t len, unsigned type, const uint8_t **found, size_t *found_len)
{
	struct cur c = cur_of(tlv, len);

	*found = NULL;
	*found_len = 0;
	while (cur_left(&c)) {
		unsigned t = cur_le16(&c), n = cur_le16(&c);
		const uint8_t *p = cur_bytes(&c, n);

		if (c.bad)
			return -1;
		if (t == type && !*found) {
			*found = p;
			*found_len = n;
		}
	}
	return 0;
}

static int check_tlvs(const struct inode *i, const uint8_t *tlv, size_t len, struct lcpfs_error *err)
{
	const uint8_t *target;
	size_t n;

	if (tlv_scan(tlv, len, INODE_TLV_SYMLINK, &target, &n))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: malformed additions");
	if (target && (!n || n > SYMLINK_MAX || memchr(target, 0, n)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: bad symlink target of %zu bytes", n);
	if (S_ISLNK(i->mode) != (target != NULL))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: mode %#o %s a symlink target", i->mode, target ? "with" : "without");
	return 0;
}

int inode_decode(struct inode *out, const uint8_t *val, size_t len, const uint8_t **tlv, size_t *tlv_len, struct lcpfs_error *err)
{
	struct inode_disk d;
	struct inode i = { 0 };
	struct itime *t[4] = { &i.atime, &i.mtime, &i.ctime, &i.btime };
	int rc;

	if (len < INODE_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "inode: %zu bytes", len);
	memcpy(&d, val, sizeof d);
	i.mode = le32_get(d.mode);
	i.uid = le32_get(d.uid);
	i.gid = le32_get(d.gid);
	i.nlink = le32_get(d.nlink);
	i.size = le64_get(d.size);
	i.psize = le64_get(d.psize);
	i.parent = le64_get(d.parent);
	i.data_id = le64_get(d.data_id);
	i.rdev = le64_get(d.rdev);
	for (unsigned k = 0; k < 4; k++) {
		t[k]->sec = (int64_t)le64_get(d.sec[k]);
		t[k]->nsec = le32_get(d.nsec[k]);
	}
	i.flags = le32_get(d.flags);
	i.projid = le32_get(d.projid);
	i.gen = le64_get(d.gen);
	i.rec_shift = d.rec_shift;
	i.comp = d.comp;
	i.place = d.place;
	i.n_xattr = le32_get(d.n_xattr);
	rc = check_inode(&i, &d, err);
	if (!rc)
		rc = check_tlvs(&i, val + INODE_LEN, len - INODE_LEN, err);
	if (rc)
		return rc;
	*out = i;
	if (tlv) {
		*tlv = val + INODE_LEN;
		*tlv_len = len - INODE_LEN;
	}
	return 0;
}

const uint8_t *inode_symlink(const uint8_t *tlv, size_t tlv_len, size_t *len)
{
	const uint8_t *p;

	return tlv_scan(tlv, tlv_len, INODE_TLV_SYMLINK, &p, len) ? NULL : p;
}

/* Dataset header. */

void dsinfo_encode(const struct dsinfo *d, uint8_t raw[DSINFO_LEN])
{
	memset(raw, 0, DSINFO_LEN);
	le_store(raw, 8, d->next_seq);
	le_store(raw + 8, 4, d->group);
	le_store(raw + 12, 4, d->unicode);
	le_store(raw + 16, 4, d->node_size);
	le_store(raw + 20, 4, d->record_size);
	le_store(raw + 24, 4, d->pack_size);
	le_store(raw + 28, 4, d->slice_max);
	le_store(raw + 32, 8, d->n_files);
}

int dsinfo_decode(struct dsinfo *out, const uint8_t *val, size_t len, struct lcpfs_error *err)
{
	struct dsinfo d;

	if (len < DSINFO_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset header: %zu bytes", len);
	d.next_seq = le_load(val, 8);
	d.group = (uint32_t)le_load(val + 8, 4);
	d.unicode = (uint32_t)le_load(val + 12, 4);
	d.node_size = (uint32_t)le_load(val + 16, 4);
	d.record_size = (uint32_t)le_load(val + 20, 4);
	d.pack_size = (uint32_t)le_load(val + 24, 4);
	d.slice_max = (uint32_t)le_load(val + 28, 4);
	d.n_files = le_load(val + 32, 8);
	if (d.next_seq > (uint64_t)1 << SEQ_BITS)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset header: next number %" PRIu64, d.next_seq);
	if (!is_pow2(d.record_size) || d.record_size < 4096 || d.record_size > DATA_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset header: record size %u", d.record_size);
	if (!is_pow2(d.pack_size) || d.pack_size > PACK_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset header: pack size %u", d.pack_size);
	if ((d.slice_max && !is_pow2(d.slice_max)) || d.slice_max > d.pack_size)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "dataset header: slice limit %u", d.slice_max);
	*out = d;
	return 0;
}

/* Slices. */

void slice_encode(const struct slice *s, uint8_t raw[SLICE_LEN])
{
	le_store(raw, 8, s->pack_id);
	le_store(raw + 8, 4, s->off);
	le_store(raw + 12, 4, s->len);
	le_store(raw + 16, 4, s->charge);
}

int slice_decode(struct slice *out, const uint8_t *val, size_t len, struct lcpfs_error *err)
{
	struct slice s;

	if (len != SLICE_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "slice: %zu bytes", len);
	s.pack_id = le_load(val, 8);
	s.off = (uint32_t)le_load(val + 8, 4);
	s.len = (uint32_t)le_load(val + 12, 4);
	s.charge = (uint32_t)le_load(val + 16, 4);
	if (!s.pack_id || !s.len || !s.charge || s.len > PACK_MAX || s.off < PACK_HDR + PACK_ENT ||
	    (uint64_t)s.off + s.len > PACK_MAX + PACK_HDR + PACK_ENT)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "slice: pack %" PRIu64 ", offset %u, length %u, charge %u", s.pack_id, s.off,
		    s.len, s.charge);
	*out = s;
	return 0;
}
