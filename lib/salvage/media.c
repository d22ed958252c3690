/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a device of which some parts cannot be read; and small things that every part of salvage needs. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "salvage/salvage_impl.h"

#define TICK_NS 100000000u

/* Halves, down to a sector: what is left out is as little as the device allows. */
static void read_part(struct sal *s, uint64_t off, uint8_t *buf, size_t len)
{
	size_t half;

	if (!len || !blockdev_read(s->dev, off, buf, len, NULL))
		return;
	if (len <= SECTOR) {
		memset(buf, 0, len);
		s->st.unreadable_bytes += len;
		return;
	}
	half = MAX((size_t)round_down(len / 2, SECTOR), SECTOR);
	read_part(s, off, buf, half);
	read_part(s, off + half, buf + half, len - half);
}

void media_read(struct sal *s, uint64_t off, void *buf, size_t len)
{
	size_t there = off < s->size ? (size_t)MIN((uint64_t)len, s->size - off) : 0;

	read_part(s, off, buf, there);
	memset((uint8_t *)buf + there, 0, len - there);
}

uint8_t *media_block(struct sal *s, size_t len, struct lcpfs_error *err)
{
	if (s->block_cap < len) {
		free(s->block);
		s->block = malloc(len);
		s->block_cap = s->block ? len : 0;
	}
	if (!s->block)
		lcpfs_nomem(err);
	return s->block;
}

bool sal_tick(struct sal *s, const char *phase, uint64_t bytes, uint64_t total)
{
	struct lcpfs_progress p = { .bytes = bytes, .total_bytes = total, .phase = phase };
	struct timespec ts;
	uint64_t now;

	if (!s->o.progress)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	if (now - s->told_ns < TICK_NS)
		return false;
	s->told_ns = now;
	return s->o.progress(s->o.arg, &p);
}

int sal_stopped(struct lcpfs_error *err)
{
	return lcpfs_fail(err, LCPFS_ECANCEL, "interrupted");
}

int sal_room(void *array, size_t n, size_t *cap, size_t size, struct lcpfs_error *err)
{
	void **a = array, *p;
	size_t want;

	if (n < *cap)
		return 0;
	want = *cap ? *cap * 2 : 16;
	p = realloc(*a, want * size);
	if (!p)
		return lcpfs_nomem(err);
	*a = p;
	*cap = want;
	return 0;
}
