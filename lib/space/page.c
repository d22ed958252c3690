/* SPDX-License-Identifier: Apache-2.0 */
/* Bitmap pages on disk: { le32 free units, u8 enc, data }; RLE = varint run lengths, alternating free, used, free ... */
#include <string.h>
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "space/space.h"

static bool bit(const uint8_t *map, uint32_t i) { return map[i >> 3] >> (i & 7) & 1; }

static uint32_t run_end(const uint8_t *map, uint32_t i)
{
	bool v = bit(map, i);

	while (i < SPACE_PAGE_UNITS) {
		if (!(i & 7) && map[i >> 3] == (v ? 0xff : 0))
			i += 8;
		else if (bit(map, i) == v)
			i++;
		else
			break;
	}
	return i;
}

static void put_varint(struct buf *out, uint32_t v)
{
	for (; v >= 128; v >>= 7)
		buf_u8(out, (uint8_t)(v | 128));
	buf_u8(out, (uint8_t)v);
}

void space_page_encode(const uint8_t used[SPACE_PAGE_BYTES], struct buf *out)
{
	size_t start = out->len;
	uint32_t n_used = 0, i = 0;
	bool v = false;

	for (uint32_t k = 0; k < SPACE_PAGE_BYTES; k++)
		n_used += (uint32_t)__builtin_popcount(used[k]);
	buf_le32(out, SPACE_PAGE_UNITS - n_used);
	if (n_used == 0 || n_used == SPACE_PAGE_UNITS) {
		buf_u8(out, n_used ? PAGE_ALL_USED : PAGE_ALL_FREE);
		return;
	}
	buf_u8(out, PAGE_RLE);
	for (; i < SPACE_PAGE_UNITS; v = !v) {
		uint32_t end = bit(used, i) == v ? run_end(used, i) : i;

		put_varint(out, end - i);
		i = end;
	}
	if (out->len - start < 5 + SPACE_PAGE_BYTES || out->failed)
		return;
	out->len = start + 4;
	buf_u8(out, PAGE_RAW);
	buf_add(out, used, SPACE_PAGE_BYTES);
}

static int get_varint(struct cur *c, uint32_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 21; shift += 7) {
		uint8_t b = cur_u8(c);

		*v |= (uint32_t)(b & 127) << shift;
		if (!(b & 128))
			return c->bad ? -1 : 0;
	}
	return -1;
}

static void set_run(uint8_t *map, uint32_t from, uint32_t to)
{
	for (; from < to && (from & 7); from++)
		map[from >> 3] |= (uint8_t)(1u << (from & 7));
	if (to - from >= 8) {
		memset(map + (from >> 3), 0xff, (to - from) >> 3);
		from += (to - from) & ~7u;
	}
	for (; from < to; from++)
		map[from >> 3] |= (uint8_t)(1u << (from & 7));
}

static int decode_rle(uint8_t *used, struct cur *c)
{
	uint32_t i = 0, n;
	bool v = false;

	memset(used, 0, SPACE_PAGE_BYTES);
	for (; i < SPACE_PAGE_UNITS; v = !v, i += n) {
		if (get_varint(c, &n) || n > SPACE_PAGE_UNITS - i || (n == 0 && (i || v)))
			return -1;
		if (v)
			set_run(used, i, i + n);
	}
	return 0;
}

int space_page_decode(uint8_t used[SPACE_PAGE_BYTES], const uint8_t *val, size_t len, struct lcpfs_error *err)
{
	struct cur c = cur_of(val, len);
	uint32_t n_free = cur_le32(&c), n_used = 0;
	uint8_t enc = cur_u8(&c);
	const uint8_t *raw;

	if (enc == PAGE_ALL_FREE || enc == PAGE_ALL_USED) {
		memset(used, enc == PAGE_ALL_USED ? 0xff : 0, SPACE_PAGE_BYTES);
	} else if (enc == PAGE_RAW) {
		raw = cur_bytes(&c, SPACE_PAGE_BYTES);
		if (raw)
			memcpy(used, raw, SPACE_PAGE_BYTES);
	} else if (enc != PAGE_RLE || decode_rle(used, &c)) {
		c.bad = true;
	}
	if (c.bad || cur_left(&c))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "bitmap page: encoding %u, %zu bytes", enc, len);
	for (uint32_t k = 0; k < SPACE_PAGE_BYTES; k++)
		n_used += (uint32_t)__builtin_popcount(used[k]);
	if (n_free != SPACE_PAGE_UNITS - n_used)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "bitmap page: says %u free, has %u", n_free, SPACE_PAGE_UNITS - n_used);
	return 0;
}
