/* SPDX-License-Identifier: Apache-2.0 */
/* Items of dataset trees: first byte = length of the key, then key, then value. Whatever decodes must encode to the same bytes. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "format/inode.h"
#include "zpl/zpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_inode(const uint8_t *val, size_t len)
{
	uint8_t raw[INODE_LEN];
	const uint8_t *tlv;
	struct inode i;
	size_t n, target;

	if (inode_decode(&i, val, len, &tlv, &n, NULL))
		return;
	inode_encode(&i, raw);
	assert(memcmp(raw, val, INODE_LEN) == 0);
	inode_symlink(tlv, n, &target);
	assert(target <= SYMLINK_MAX);
}

static void try_others(const uint8_t *val, size_t len)
{
	uint8_t raw[DSINFO_LEN];
	struct slice s;
	struct dsinfo d;
	uint32_t off, n;

	if (!slice_decode(&s, val, len, NULL)) {
		slice_encode(&s, raw);
		assert(memcmp(raw, val, SLICE_LEN) == 0);
	}
	if (!dsinfo_decode(&d, val, len, NULL)) {
		dsinfo_encode(&d, raw);
		assert(memcmp(raw, val, 40) == 0);
	}
	if (!zpl_pack_find(val, len, 17, &off, &n, NULL))
		assert((uint64_t)off + n <= len);
}

static void try_xattr(const uint8_t *key, size_t klen)
{
	char name[300 + 16], plain[300];
	const char *rest;

	if (klen <= 10)
		return;
	xattr_join(name, key[9], key + 10, klen - 10);
	memcpy(plain, key, klen);
	plain[klen] = 0;
	xattr_split(plain, &rest);
	assert(rest >= plain && rest <= plain + klen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { 0 };
	size_t klen;
	unsigned nptr;

	if (!size || size - 1 < data[0])
		return 0;
	klen = data[0];
	data++;
	size -= 1 + klen;
	nptr = size >= PTR_LEN ? 1 : 0;
	item_print(data, klen, data + klen, size, data + klen, nptr, &out);
	buf_fini(&out);
	try_xattr(data, klen);
	try_inode(data + klen, size);
	try_others(data + klen, size);
	return 0;
}
