/* SPDX-License-Identifier: Apache-2.0 */
/* Raising errors: the lowest function says what, each caller may say where. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include <stddef.h>
#include "lcpfs/error.h"

/*
 * Set err (may be NULL) to `code` (LCPFS_E*) with a message and return -code.
 *     return lcpfs_fail(err, LCPFS_ECORRUPT, "root slot: bad magic");
 */
#define lcpfs_fail(err, code, ...) lcpfs_fail_at(err, __FILE__, __LINE__, code, __VA_ARGS__)
int lcpfs_fail_at(struct lcpfs_error *err, const char *file, int line, int code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The same for a failed system call: the code follows errno `eno`, the message ends in ": strerror(eno)". */
#define lcpfs_fail_errno(err, eno, ...) lcpfs_fail_errno_at(err, __FILE__, __LINE__, eno, __VA_ARGS__)
int lcpfs_fail_errno_at(struct lcpfs_error *err, const char *file, int line, int eno, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Put "where: " before the message that err already has; returns rc (< 0) unchanged. */
int lcpfs_within(struct lcpfs_error *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The out-of-memory failure. */
#define lcpfs_nomem(err) lcpfs_fail(err, LCPFS_ENOMEM, "out of memory")

/* An empty one: what `= { 0 }` says, without clearing all of its words where that is done for each of many entries. */
static inline void error_none(struct lcpfs_error *err)
{
	err->code = 0;
	err->file = NULL;
	err->line = 0;
	err->msg[0] = 0;
}
#endif
