/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: what the library takes from its surroundings. NULL members keep the default. */
#ifndef LCPFS_HOOKS_H
#define LCPFS_HOOKS_H
#include <stddef.h>
#include <stdint.h>
#include "lcpfs/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum lcpfs_log_level { LCPFS_LOG_ERROR = 1, LCPFS_LOG_WARN = 2, LCPFS_LOG_NOTE = 3, LCPFS_LOG_DEBUG = 4 };

struct lcpfs_hooks {
	void *arg; /* first argument of every hook */
	/* what is worth telling without being a failure; default: dropped. Any thread may call. */
	void (*log)(void *arg, int level, const char *layer, const char *msg);
	/* wall-clock time; default clock_gettime, or SOURCE_DATE_EPOCH when that is set in the environment */
	void (*now)(void *arg, int64_t *sec, uint32_t *nsec);
	/* `len` random bytes, 0 or -1; default getrandom(2) */
	int (*random)(void *arg, void *buf, size_t len);
	/* run fn(fn_arg) on a new thread; default pthread_create. 0 and *handle, or -1 */
	int (*spawn)(void *arg, void (*fn)(void *), void *fn_arg, void **handle);
	void (*join)(void *arg, void *handle);
};
/* For the whole process; call before anything else of the library. NULL: all defaults again. */
void lcpfs_set_hooks(const struct lcpfs_hooks *hooks);

#ifdef __cplusplus
}
#endif
#endif
