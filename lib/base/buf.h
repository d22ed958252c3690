/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf: a growable byte buffer. Zero-initialised is empty and valid. An append that cannot allocate sets `failed`
 * and every later append does nothing, so a caller checks once, at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

bool buf_reserve(struct buf *b, size_t extra);           /* room for `extra` more bytes; false when out of memory */
void buf_add(struct buf *b, const void *p, size_t len);
void *buf_grow(struct buf *b, size_t len);               /* append `len` undefined bytes, NULL when out of memory */
void buf_u8(struct buf *b, uint8_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* stays NUL-terminated beyond len */
void buf_hex(struct buf *b, const void *p, size_t len); /* two lower-case digits a byte */
void buf_reset(struct buf *b);                           /* len = 0, memory kept */
void buf_fini(struct buf *b);

/*
 * cur: reading what a buf wrote. A read past the end sets `bad` and yields zero, so a decoder checks once before it
 * uses what it read as a bound.
 */
struct cur {
	const uint8_t *p, *end;
	bool bad;
};
static inline struct cur cur_of(const void *p, size_t len)
{
	return (struct cur){ (const uint8_t *)p, (const uint8_t *)p + len, false };
}
static inline size_t cur_left(const struct cur *c) { return (size_t)(c->end - c->p); }
const uint8_t *cur_bytes(struct cur *c, size_t len);     /* NULL (and bad) when fewer are left */
uint8_t cur_u8(struct cur *c);
uint16_t cur_le16(struct cur *c);
uint32_t cur_le32(struct cur *c);
uint64_t cur_le64(struct cur *c);
#endif
