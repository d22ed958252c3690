/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: a code to act on, words to read.
 * Every function that can fail returns 0 or a negative code and takes an error object, which may be NULL.
 * The object is of fixed size, so reporting a failure never allocates.
 */
#ifndef LCPFS_ERROR_H
#define LCPFS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* One row per code; the numbers never change. */
#define LCPFS_ERRORS(X)                                          \
	X(INVAL, 1, "invalid argument")                          \
	X(IO, 2, "input/output error")                           \
	X(CSUM, 3, "checksum mismatch")                          \
	X(CORRUPT, 4, "structure makes no sense")                \
	X(UNSUP, 5, "not supported by this version")             \
	X(NOMEM, 6, "out of memory")                             \
	X(NOENT, 7, "no such object")                            \
	X(EXIST, 8, "already exists")                            \
	X(NOTDIR, 9, "not a directory")                          \
	X(ISDIR, 10, "is a directory")                           \
	X(NOTEMPTY, 11, "directory not empty")                   \
	X(NAMETOOLONG, 12, "name too long")                      \
	X(NOSPC, 13, "no space left")                            \
	X(ROFS, 14, "read-only")                                 \
	X(BUSY, 15, "in use")                                    \
	X(NOKEY, 16, "key missing or wrong")                     \
	X(PERM, 17, "not permitted")                             \
	X(LIMIT, 18, "limit of the format reached")              \
	X(XDEV, 19, "crosses a dataset boundary")                \
	X(LOOP, 20, "too many symbolic links")                   \
	X(CANCEL, 21, "interrupted")                             \
	X(PARTIAL, 22, "done in part")                           \
	X(NODATA, 23, "no such attribute")                       \
	X(UNKNOWN, 24, "the outcome is unknown")                 \
	X(TRUNC, 25, "input ends early")                         \
	X(HELD, 26, "held or depended on")

enum lcpfs_errno {
#define X(name, num, text) LCPFS_E##name = num,
	LCPFS_ERRORS(X)
#undef X
};

struct lcpfs_error {
	int code;         /* LCPFS_E*; meaningful once a call returned < 0 */
	const char *file; /* where it was first raised */
	int line;
	char msg[480];    /* "tank.img: label 2: bad magic" */
};

/* The general words for a code (positive or negative), never NULL. */
const char *lcpfs_strerror(int code);

#ifdef __cplusplus
}
#endif
#endif
