/* SPDX-License-Identifier: Apache-2.0 */
/* log, time, random bytes and threads: what the library takes from its surroundings, each replaceable by a hook. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "lcpfs/hooks.h"

/* Process-wide hooks; set once before use (lcpfs_set_hooks). */
void log_msg(int level, const char *layer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void now_get(int64_t *sec, uint32_t *nsec);
int random_bytes(void *buf, size_t len, struct lcpfs_error *err);

/* A thread through the spawn hook. */
struct thread;
int thread_start(struct thread **out, void (*fn)(void *arg), void *arg, struct lcpfs_error *err);
void thread_join(struct thread *t);
unsigned cpu_count(void); /* usable CPUs, at least 1 */
#endif
