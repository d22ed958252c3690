/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: eight bytes a step, by SSE4.2's instruction or eight tables. */
#include <pthread.h>
#include <string.h>
#include "base/le.h"
#include "hash/hash_impl.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY 0x82f63b78u /* bits reversed */

/* table[k][b]: the effect of byte b followed by k zero bytes */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_make(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? POLY : 0);
		table[0][i] = c;
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned i = 0; i < 256; i++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

uint32_t crc32c_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	pthread_once(&table_once, table_make);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v = le_load(p, 8) ^ crc;

		crc = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^ table[5][v >> 16 & 0xff] ^ table[4][v >> 24 & 0xff] ^
		    table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^ table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
	}
	while (len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t c = (uint32_t)~crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		c = _mm_crc32_u64(c, v);
	}
	while (len--)
		c = _mm_crc32_u8((uint32_t)c, *p++);
	return ~(uint32_t)c;
}
#endif

static crc32c_fn *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	chosen = crc32c_table;
#if defined(__x86_64__)
	if (hash_simd_allows("sse41") && CPU_HAS("sse4.2", SSE4_2))
		chosen = crc32c_sse42;
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	pthread_once(&chosen_once, choose);
	return chosen(crc, data, len);
}
