/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *lcpfs_strerror(int code)
{
	switch (code < 0 ? -code : code) {
#define X(name, num, text) \
	case num:          \
		return text;
		LCPFS_ERRORS(X)
#undef X
	case 0:
		return "success";
	default:
		return "unknown error";
	}
}

static void fail_v(struct lcpfs_error *err, const char *file, int line, int code, const char *fmt, va_list ap)
{
	err->code = code;
	err->file = file;
	err->line = line;
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
}

int lcpfs_fail_at(struct lcpfs_error *err, const char *file, int line, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -code;
	va_start(ap, fmt);
	fail_v(err, file, line, code, fmt, ap);
	va_end(ap);
	return -code;
}

static int code_of_errno(int eno)
{
	static const struct {
		int eno, code;
	} map[] = {
		{ ENOENT, LCPFS_ENOENT }, { EEXIST, LCPFS_EEXIST }, { ENOTDIR, LCPFS_ENOTDIR },
		{ EISDIR, LCPFS_EISDIR }, { ENOTEMPTY, LCPFS_ENOTEMPTY }, { ENAMETOOLONG, LCPFS_ENAMETOOLONG },
		{ ENOSPC, LCPFS_ENOSPC }, { EDQUOT, LCPFS_ENOSPC }, { EROFS, LCPFS_EROFS }, { EBUSY, LCPFS_EBUSY },
		{ EACCES, LCPFS_EPERM }, { EPERM, LCPFS_EPERM }, { ENOMEM, LCPFS_ENOMEM }, { EXDEV, LCPFS_EXDEV },
		{ ELOOP, LCPFS_ELOOP }, { ENODATA, LCPFS_ENODATA }, { EINVAL, LCPFS_EINVAL }, { EFBIG, LCPFS_ELIMIT },
	};

	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (map[i].eno == eno)
			return map[i].code;
	return LCPFS_EIO;
}

int lcpfs_fail_errno_at(struct lcpfs_error *err, const char *file, int line, int eno, const char *fmt, ...)
{
	int code = code_of_errno(eno);
	va_list ap;
	size_t n;
	char text[128];

	if (!err)
		return -code;
	va_start(ap, fmt);
	fail_v(err, file, line, code, fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
#ifdef _GNU_SOURCE
	snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror_r(eno, text, sizeof text));
#else
	if (strerror_r(eno, text, sizeof text) == 0)
		snprintf(err->msg + n, sizeof err->msg - n, ": %s", text);
#endif
	return -code;
}

int lcpfs_within(struct lcpfs_error *err, int rc, const char *fmt, ...)
{
	char old[sizeof err->msg];
	va_list ap;
	size_t n;

	if (!err)
		return rc;
	memcpy(old, err->msg, sizeof old);
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, ap);
	va_end(ap);
	n = strlen(err->msg);
	snprintf(err->msg + n, sizeof err->msg - n, ": %s", old);
	return rc;
}
