/* SPDX-License-Identifier: Apache-2.0 */
/* Small things used everywhere: checked arithmetic, rounding, array length. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define KiB 1024ull
#define MiB (1024ull * KiB)
#define GiB (1024ull * MiB)

/* true when the sum or product does not fit; *out is then undefined */
static inline bool add_overflow(uint64_t a, uint64_t b, uint64_t *out) { return __builtin_add_overflow(a, b, out); }
static inline bool mul_overflow(uint64_t a, uint64_t b, uint64_t *out) { return __builtin_mul_overflow(a, b, out); }

/* `to` is a power of two */
static inline uint64_t round_up(uint64_t v, uint64_t to) { return (v + to - 1) & ~(to - 1); }
static inline uint64_t round_down(uint64_t v, uint64_t to) { return v & ~(to - 1); }
static inline uint64_t div_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }
static inline bool is_pow2(uint64_t v) { return v && !(v & (v - 1)); }

bool is_all_zero(const void *p, size_t len);
/* Memory fresh from malloc that will be written all through soon: the kernel gives its pages in one go, not one for each fault. A hint. */
void mem_prefault(void *p, size_t len);
#endif
