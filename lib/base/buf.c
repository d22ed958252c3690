/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/le.h"
#include "base/util.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool buf_reserve(struct buf *b, size_t extra)
{
	size_t want, cap;
	uint8_t *p;

	if (b->failed)
		return false;
	if (extra <= b->cap - b->len)
		return true;
	if (__builtin_add_overflow(b->len, extra, &want) || want > SIZE_MAX / 2) {
		b->failed = true;
		return false;
	}
	for (cap = b->cap ? b->cap : 64; cap < want;)
		cap *= 2;
	p = realloc(b->data, cap);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->data = p;
	b->cap = cap;
	return true;
}

void *buf_grow(struct buf *b, size_t len)
{
	void *p;

	if (!buf_reserve(b, len ? len : 1))
		return NULL;
	p = b->data + b->len;
	b->len += len;
	return p;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
	void *to = buf_grow(b, len);

	if (to && len)
		memcpy(to, p, len);
}

static void buf_le(struct buf *b, unsigned n, uint64_t v)
{
	uint8_t *to = buf_grow(b, n);

	if (to)
		le_store(to, n, v);
}

void buf_u8(struct buf *b, uint8_t v) { buf_le(b, 1, v); }
void buf_le16(struct buf *b, uint16_t v) { buf_le(b, 2, v); }
void buf_le32(struct buf *b, uint32_t v) { buf_le(b, 4, v); }
void buf_le64(struct buf *b, uint64_t v) { buf_le(b, 8, v); }

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !buf_reserve(b, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_hex(struct buf *b, const void *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = p;

	for (size_t i = 0; i < len; i++) {
		const char two[2] = { digits[from[i] >> 4], digits[from[i] & 15] };
		buf_add(b, two, 2);
	}
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

const uint8_t *cur_bytes(struct cur *c, size_t len)
{
	const uint8_t *p = c->p;

	if (c->bad || len > cur_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->p += len;
	return p;
}

static uint64_t cur_le(struct cur *c, unsigned n)
{
	const uint8_t *p = cur_bytes(c, n);

	return p ? le_load(p, n) : 0;
}

uint8_t cur_u8(struct cur *c) { return (uint8_t)cur_le(c, 1); }
uint16_t cur_le16(struct cur *c) { return (uint16_t)cur_le(c, 2); }
uint32_t cur_le32(struct cur *c) { return (uint32_t)cur_le(c, 4); }
uint64_t cur_le64(struct cur *c) { return cur_le(c, 8); }

bool is_all_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	if (len == 0)
		return true;
	return b[0] == 0 && memcmp(b, b + 1, len - 1) == 0;
}
