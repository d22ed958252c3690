/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of dataset trees: inodes, names, attributes, contents. Does no I/O. */
#ifndef FORMAT_INODE_H
#define FORMAT_INODE_H
#include "base/buf.h"
#include "format/ptr.h"

/* First byte of a dataset-tree key, then object(8, big-endian), then the rest. Numbers never reused; r = reserved, not built. */
enum item_type {
	ITEM_DSINFO = 0x01,
	ITEM_DICT = 0x02,   /* r */
	ITEM_SLICE = 0x10,  /* data_id                -> slice */
	ITEM_EXTENT = 0x11, /* data_id offset(8)      -> le32 len, owns the pointer */
	ITEM_PACK = 0x12,   /* pack_id                -> le32 live_bytes, le32 live_n, owns the pointer */
	ITEM_INODE = 0x20,  /* ino                    -> inode + TLVs */
	ITEM_LINK = 0x21,   /* ino parent(8) name     -> empty; only while nlink > 1 (non-directories) */
	ITEM_XATTR = 0x22,  /* ino ns(1) name         -> u8 how (0 inline, 1 data), the value, or le64 data_id le64 size */
	ITEM_STREAM = 0x23, /* r */
	ITEM_DIRENT = 0x30, /* dir name               -> le64 ino, u8 d_type */
	ITEM_QUOTA = 0x40,  /* r */
	ITEM_DATAREF = 0x41,/* data_id                -> le64 extra sharers, present only if > 0 */
	ITEM_ORPHAN = 0x42, /* ino                    -> resume point */
	ITEM_VOLUME = 0x50, /* r */
};
/* Namespaces of attributes, the byte after the inode number; the name that follows is without the prefix. */
enum xattr_ns { XNS_USER = 1, XNS_TRUSTED = 2, XNS_SECURITY = 3, XNS_SYSTEM = 4, XNS_OTHER = 15 /* whole name kept */ };

#define INO_ROOT 1u
#define INO_LOST_FOUND 2u
#define SEQ_FIRST 16u                 /* first free number of group 0 */
#define SEQ_BITS 40u
#define INO(group, seq) ((uint64_t)(group) << SEQ_BITS | (seq))
#define SYMLINK_MAX 4095u
#define FILE_MAX INT64_MAX
#define XATTR_VALUE_MAX ((size_t)16 << 20)
#define PACK_MAGIC 0x4b41504cu        /* 'LPAK' */
#define PACK_MAX (4u << 20)           /* table + contents, but for one slice alone */

size_t item_key(uint8_t *key, uint8_t type, uint64_t object);                                  /* 9 bytes */
size_t item_key_u64(uint8_t *key, uint8_t type, uint64_t object, uint64_t rest);               /* 17 */
size_t item_key_str(uint8_t *key, uint8_t type, uint64_t object, const void *s, size_t len);
size_t item_key_xattr(uint8_t *key, uint64_t ino, uint8_t ns, const void *s, size_t len);
size_t item_key_link(uint8_t *key, uint64_t ino, uint64_t parent, const void *s, size_t len);
/* Split a full attribute name ("user.x"); *rest points into name. And join: out at least 8 + len + 1 bytes. */
uint8_t xattr_split(const char *name, const char **rest);
size_t xattr_join(char *out, uint8_t ns, const void *rest, size_t len);

struct itime { int64_t sec; uint32_t nsec; };
enum inode_flags { INODE_IMMUTABLE = 1, INODE_APPEND = 2, INODE_SLICED = 4, INODE_CASEFOLD = 8, INODE_NOCOMPRESS = 16, INODE_FLAGS_ALL = 31 };
#define INODE_LEN 128u
/*
 *   0 u32 mode 4 uid 8 gid 12 nlink  16 u64 size 24 psize 32 parent 40 data_id 48 rdev  56 i64 sec[4]: atime mtime ctime btime
 *  88 u32 nsec[4]  104 u32 flags 108 projid  112 u64 gen (birth txg)  120 u8 rec_shift, comp, place, zero  124 u32 n_xattr
 * then TLVs { u16 type, u16 len, bytes }: 1 = symlink target. Unknown TLVs are kept byte for byte.
 */
struct inode {
	uint32_t mode, uid, gid, nlink;
	uint64_t size, psize, parent, data_id, rdev; /* rdev: major(32):minor(32) */
	struct itime atime, mtime, ctime, btime;
	uint32_t flags, projid;
	uint64_t gen;
	uint8_t rec_shift, comp, place;
	uint32_t n_xattr;
};
enum { INODE_TLV_SYMLINK = 1 };
void inode_encode(const struct inode *i, uint8_t raw[INODE_LEN]);
/* The psize of an encoded inode changes by delta, if it has this content. false: it is another's, or no inode. */
bool inode_raw_add_psize(uint8_t *raw, size_t len, uint64_t data_id, int64_t delta);
/* Checks ranges: a known type of file, nsec < 10^9, size <= FILE_MAX, well-formed TLVs. tlv (may be NULL) = what follows. */
int inode_decode(struct inode *out, const uint8_t *val, size_t len, const uint8_t **tlv, size_t *tlv_len, struct lcpfs_error *err);
/* The symlink target inside TLVs; NULL: none. Not NUL-terminated. */
const uint8_t *inode_symlink(const uint8_t *tlv, size_t tlv_len, size_t *len);

struct dsinfo {
	uint64_t next_seq;
	uint32_t group, unicode, node_size, record_size, pack_size, slice_max;
	uint64_t n_files;    /* inodes that exist */
};
#define DSINFO_LEN 64u /* 0 next_seq 8 group 12 unicode 16 node 20 record 24 pack 28 slice_max 32 n_files 40 zero */
void dsinfo_encode(const struct dsinfo *d, uint8_t raw[DSINFO_LEN]);
int dsinfo_decode(struct dsinfo *out, const uint8_t *val, size_t len, struct lcpfs_error *err);

struct slice { uint64_t pack_id; uint32_t off, len, charge; }; /* off: of the content, from the start of the decoded pack */
#define SLICE_LEN 20u
void slice_encode(const struct slice *s, uint8_t raw[SLICE_LEN]);
int slice_decode(struct slice *out, const uint8_t *val, size_t len, struct lcpfs_error *err);

/* Pack header: { le32 'LPAK', le32 n, n x { le64 data_id, le32 len } }, contents in that order. */
#define PACK_HDR 8u
#define PACK_ENT 12u

/* One line for any item of a dataset tree. */
void item_print(const uint8_t *key, size_t klen, const uint8_t *val, size_t vlen, const uint8_t *ptrs, unsigned nptr, struct buf *out);
#endif
