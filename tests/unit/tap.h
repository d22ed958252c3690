/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap: the unit-test harness. A test program is a list of TEST(name) functions and a main with TAP_RUN.
 * ok() records one assertion with its text; a test fails when one of its assertions does. Output is TAP, exit 0/1.
 *
 *     TEST(ptr_roundtrip) { ... ok(ptr_equal(&a, &b)); is_int(rc, 0); }
 *     TAP_MAIN(T(ptr_roundtrip), T(other))
 */
#ifndef TAP_H
#define TAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tap_test { const char *name; void (*fn)(void); };
#define TEST(n) static void test_##n(void)
#define T(n) { #n, test_##n }
#define TAP_MAIN(...)                                                            \
	int main(int argc, char *argv[])                                         \
	{                                                                        \
		static const struct tap_test tests[] = { __VA_ARGS__ };          \
		return tap_run(tests, sizeof tests / sizeof *tests, argc, argv); \
	}

/* Runs all, or only those whose names contain argv[1]. */
int tap_run(const struct tap_test *tests, size_t n, int argc, char *argv[]);

#define ok(cond) tap_ok((cond), #cond, __FILE__, __LINE__)
#define ok_msg(cond, ...) tap_ok_msg((cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want) tap_is_int((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
#define is_str(got, want) tap_is_str((got), (want), #got, __FILE__, __LINE__)
#define is_mem(got, want, len) tap_is_mem((got), (want), (len), #got, __FILE__, __LINE__)
bool tap_ok(bool cond, const char *text, const char *file, int line);
bool tap_ok_msg(bool cond, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool tap_is_int(long long got, long long want, const char *text, const char *file, int line);
bool tap_is_str(const char *got, const char *want, const char *text, const char *file, int line);
bool tap_is_mem(const void *got, const void *want, size_t len, const char *text, const char *file, int line);

/* A repeatable random sequence: xorshift64*. Print the seed when a test uses one. */
uint64_t tap_rand(uint64_t *state);
/* Where the tests' data files are: $LCPFS_TESTDATA or "tests". */
const char *tap_data(void);
#endif
