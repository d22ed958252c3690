/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFAULT_MIN (64 * KiB) /* less has a few faults, or none */

void mem_prefault(void *p, size_t len)
{
#ifdef MADV_POPULATE_WRITE
	int saved = errno;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = round_up((uintptr_t)p, page), end = round_down((uintptr_t)p + len, page);

	/* where the kernel does not know it, the faults come as always */
	if (len >= PREFAULT_MIN && end > start)
		(void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);
	errno = saved;
#else
	(void)p;
	(void)len;
#endif
}
