/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes relative to a directory descriptor.
 * Linux 6.13 has the *xattrat system calls; before, /proc/self/fd/N/name leads to the same place, and the last
 * component is taken as it is by the l... calls.
 */
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef __NR_setxattrat /* the same on every architecture this builds for */
#define __NR_setxattrat 463
#define __NR_getxattrat 464
#define __NR_listxattrat 465
#define __NR_removexattrat 466
#endif

struct at_args { /* the kernel's struct xattr_args */
	uint64_t value __attribute__((aligned(8)));
	uint32_t size, flags;
};

#define PROC_PATH (sizeof "/proc/self/fd/-2147483648/" + 256)

static atomic_bool lacks_at;

void host_xattr_use_at(bool yes)
{
	atomic_store(&lacks_at, !yes);
}

/* True when the answer stands; false: ask the old way. */
static bool at_answered(long rc)
{
	if (rc >= 0 || errno != ENOSYS)
		return true;
	atomic_store(&lacks_at, true);
	return false;
}

static const char *proc_path(char *to, int dirfd, const char *name)
{
	snprintf(to, PROC_PATH, "/proc/self/fd/%d/%s", dirfd, name);
	return to;
}

ssize_t host_xattr_list(int dirfd, const char *name, bool follow, char *buf, size_t len)
{
	char p[PROC_PATH];

	if (!*name)
		return flistxattr(dirfd, buf, len);
	if (!atomic_load(&lacks_at)) {
		long rc = syscall(__NR_listxattrat, dirfd, name, follow ? 0 : AT_SYMLINK_NOFOLLOW, buf, len);

		if (at_answered(rc))
			return rc;
	}
	proc_path(p, dirfd, name);
	return follow ? listxattr(p, buf, len) : llistxattr(p, buf, len);
}

ssize_t host_xattr_get(int dirfd, const char *name, bool follow, const char *key, void *buf, size_t len)
{
	char p[PROC_PATH];

	if (!*name)
		return fgetxattr(dirfd, key, buf, len);
	if (!atomic_load(&lacks_at)) {
		struct at_args a = { .value = (uintptr_t)buf, .size = (uint32_t)len };
		long rc = syscall(__NR_getxattrat, dirfd, name, follow ? 0 : AT_SYMLINK_NOFOLLOW, key, &a, sizeof a);

		if (at_answered(rc))
			return rc;
	}
	proc_path(p, dirfd, name);
	return follow ? getxattr(p, key, buf, len) : lgetxattr(p, key, buf, len);
}

int host_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len)
{
	char p[PROC_PATH];

	if (len > UINT32_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (!*name)
		return fsetxattr(dirfd, key, value, len, 0);
	if (!atomic_load(&lacks_at)) {
		struct at_args a = { .value = (uintptr_t)value, .size = (uint32_t)len };
		long rc = syscall(__NR_setxattrat, dirfd, name, AT_SYMLINK_NOFOLLOW, key, &a, sizeof a);

		if (at_answered(rc))
			return (int)rc;
	}
	return lsetxattr(proc_path(p, dirfd, name), key, value, len, 0);
}

int host_xattr_remove(int dirfd, const char *name, const char *key)
{
	char p[PROC_PATH];

	if (!*name)
		return fremovexattr(dirfd, key);
	if (!atomic_load(&lacks_at)) {
		long rc = syscall(__NR_removexattrat, dirfd, name, AT_SYMLINK_NOFOLLOW, key);

		if (at_answered(rc))
			return (int)rc;
	}
	return lremovexattr(proc_path(p, dirfd, name), key);
}
