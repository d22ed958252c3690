/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned failed_here, asserted_here;

static void report(const char *file, int line)
{
	failed_here++;
	printf("# %s:%d: ", file, line);
}

bool tap_ok(bool cond, const char *text, const char *file, int line)
{
	asserted_here++;
	if (!cond) {
		report(file, line);
		printf("failed: %s\n", text);
	}
	return cond;
}

bool tap_ok_msg(bool cond, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	asserted_here++;
	if (cond)
		return true;
	report(file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	return false;
}

bool tap_is_int(long long got, long long want, const char *text, const char *file, int line)
{
	return tap_ok_msg(got == want, file, line, "%s is %lld, wanted %lld", text, got, want);
}

bool tap_is_str(const char *got, const char *want, const char *text, const char *file, int line)
{
	return tap_ok_msg(got && want && strcmp(got, want) == 0, file, line, "%s is '%s', wanted '%s'", text,
	    got ? got : "(null)", want ? want : "(null)");
}

bool tap_is_mem(const void *got, const void *want, size_t len, const char *text, const char *file, int line)
{
	const uint8_t *g = got, *w = want;

	for (size_t i = 0; i < len; i++)
		if (g[i] != w[i])
			return tap_ok_msg(false, file, line, "%s differs at byte %zu: %02x, wanted %02x", text, i, g[i], w[i]);
	return tap_ok_msg(true, file, line, "equal");
}

uint64_t tap_rand(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1du;
}

const char *tap_data(void)
{
	const char *d = getenv("LCPFS_TESTDATA");

	return d ? d : "tests";
}

int tap_run(const struct tap_test *tests, size_t n, int argc, char *argv[])
{
	unsigned bad = 0, number = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < n; i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		failed_here = asserted_here = 0;
		tests[i].fn();
		if (!asserted_here) {
			printf("# %s asserted nothing\n", tests[i].name);
			failed_here = 1;
		}
		bad += failed_here != 0;
		printf("%s %u - %s\n", failed_here ? "not ok" : "ok", ++number, tests[i].name);
	}
	printf("1..%u\n", number);
	return bad ? 1 : 0;
}
