/* SPDX-License-Identifier: Apache-2.0 */
/* Opening one component without being led anywhere else: openat2 where the kernel has it, O_NOFOLLOW where not. */
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool lacks_openat2;

void host_beneath_use_openat2(bool yes)
{
	atomic_store(&lacks_openat2, !yes);
}

int host_beneath_open(int dirfd, const char *name, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	/* one component that is not ".." cannot leave dirfd; O_NOFOLLOW alone is then as safe */
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) {
		errno = EINVAL;
		return -1;
	}
	if (!atomic_load(&lacks_openat2)) {
		int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);

		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return fd;
		if (errno == ENOSYS)
			atomic_store(&lacks_openat2, true);
	}
	return openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}
