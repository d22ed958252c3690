/* SPDX-License-Identifier: Apache-2.0 */
/* Inside lcpfs-hash. */
#ifndef CMD_HASH_SUMS_H
#define CMD_HASH_SUMS_H
#include "common/cmd.h"

enum { ALGOS_MAX = 5, HEX_MAX = 2 * LCPFS_HASH_MAX + 1 };
struct sums { char hex[ALGOS_MAX][HEX_MAX]; };

/*
 * Files given one after the other are hashed by several threads, and told of in the order they were given. What waits is bounded. One thread
 * calls these.
 */
struct crew;
typedef int crew_done(void *arg, const char *path, uint64_t size, const struct sums *s, struct lcpfs_error *err);
int crew_create(struct crew **out, const char *const *algos, unsigned n, unsigned threads, size_t window, crew_done *done, void *arg,
                struct lcpfs_error *err);
/* Read a file of ds and hand it over. One that cannot be read is left out, and the next may follow; failures of `done` come back here, too. */
int crew_file(struct crew *c, struct lcpfs_dataset *ds, uint64_t ino, const char *path, struct lcpfs_error *err);
int crew_wait(struct crew *c, struct lcpfs_error *err);
void crew_destroy(struct crew *c);
#endif
