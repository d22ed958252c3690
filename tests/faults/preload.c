/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a command: LCPFS_FAIL=alloc:N or thread:N makes the Nth (from 0) allocation or thread start of the process fail; the file
 * LCPFS_FAILED is made when it came to that.
 */
#include "../unit/inject.h"
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void preload_begin(void)
{
	const char *v = getenv("LCPFS_FAIL"), *colon = v ? strchr(v, ':') : NULL;

	inject_init();
	if (colon)
		inject_arm(v[0] == 't' ? INJECT_THREAD : INJECT_ALLOC, strtoull(colon + 1, NULL, 10), false);
}

__attribute__((destructor)) static void preload_end(void)
{
	const char *to = getenv("LCPFS_FAILED");
	bool fired = inject[INJECT_ALLOC].fired || inject[INJECT_THREAD].fired;

	inject_disarm();
	if (fired && to)
		close(open(to, O_WRONLY | O_CREAT, 0644));
}
