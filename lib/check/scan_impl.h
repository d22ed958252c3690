/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the scan: the queue of blocks between the walk that finds them (scan.c) and reading them (scan_read.c). */
#ifndef SCAN_IMPL_H
#define SCAN_IMPL_H
#include <pthread.h>
#include "check/check_impl.h"

struct scan_entry { struct blkptr bp; uint32_t ds; bool again; }; /* again: of an older snapshot too, and maybe not as there */
struct queue {
	struct scan *s;
	struct scan_entry *e;
	size_t n, cap, max;
	uint64_t lo, hi;       /* only addresses lo <= a < hi are wanted now */
	bool again;            /* an earlier walk was the one that counts and tells of nodes */
	/* while it is worked off */
	pthread_mutex_t lock;
	size_t next;
	bool stop;
	int rc;
	struct lcpfs_error why;
};
#define DAMAGE_MAX 65536u
extern size_t scan_entries_max; /* tests lower it */
int scan_damage(struct scan *s, const struct blkptr *bp, uint32_t ds, int rc, bool undecoded, const struct lcpfs_error *why);
/* Bad copies (bits) of a block that has a good one; locked by the caller, where other threads are at work. False: out of memory. */
bool scan_note_copy(struct scan *s, const struct blkptr *bp, uint32_t ds, const struct zio_copies *c);
void scan_sort(struct queue *q);
/* All that is queued, in the order of addresses; the queue is empty after. Where the budget ends is s->next. */
int scan_drain(struct queue *q, struct lcpfs_error *err);
#endif
