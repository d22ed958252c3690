/* SPDX-License-Identifier: Apache-2.0 */
/* blockdev: a span of bytes: files and block devices, memory, and wrappers that are devices themselves (read-only, fault, crash recorder). */
#ifndef BLOCKDEV_H
#define BLOCKDEV_H
#include "lcpfs/blockdev.h"

/* The size may change while other threads read: it is loaded and stored through these. */
static inline uint64_t blockdev_size(const struct lcpfs_blockdev *d) { return __atomic_load_n(&d->size, __ATOMIC_RELAXED); }
static inline void blockdev_set_size(struct lcpfs_blockdev *d, uint64_t size) { __atomic_store_n(&d->size, size, __ATOMIC_RELAXED); }

/* Checked calls: bounds against dev->size, NULL operations, messages that name the device. All layers use these. */
int blockdev_read(struct lcpfs_blockdev *d, uint64_t off, void *buf, size_t len, struct lcpfs_error *err);
int blockdev_write(struct lcpfs_blockdev *d, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
int blockdev_flush(struct lcpfs_blockdev *d, struct lcpfs_error *err);
int blockdev_discard(struct lcpfs_blockdev *d, uint64_t off, uint64_t len, struct lcpfs_error *err); /* hint: NULL op is success */
int blockdev_resize(struct lcpfs_blockdev *d, uint64_t size, struct lcpfs_error *err);
int blockdev_lock(struct lcpfs_blockdev *d, bool exclusive, struct lcpfs_error *err);

/*
 * A host file (LCPFS_DEV_IMAGE; discard punches holes, size from fstat, flush = fdatasync, OFD lock on byte 0) or block device
 * (size from BLKGETSIZE64, sector from BLKSSZGET/BLKPBSZGET, O_EXCL when RW). Anything else is refused. Writes that hit ENOSPC
 * give LCPFS_ENOSPC. SIGINT during a call just retries (EINTR).
 */
int blockdev_file_open(struct lcpfs_blockdev **out, const char *path, uint32_t flags, struct lcpfs_error *err);

/*
 * Windows: parts of an image file in memory, without a copy, for readers that verify what they see and on a mismatch read
 * the ordinary way: a page that goes away under the window reads as zeros. blockdev_guard, counted, handles SIGBUS of this
 * process until blockdev_unguard; without it, for other devices, and where the part is not in the page cache, blockdev_map
 * says false.
 */
struct blockdev_window { const uint8_t *p; void *base; size_t mapped; void *slot; };
void blockdev_guard(void);
void blockdev_unguard(void);
bool blockdev_map(struct lcpfs_blockdev *d, uint64_t off, size_t len, struct blockdev_window *w);
bool blockdev_unmap(struct blockdev_window *w); /* false: a page went away since it was mapped */

/*
 * Crash recorder: passes everything through to `below` (not owned) and keeps, in memory, every write, resize and flush in order.
 * crash_replay makes a fresh RAM disk as a disk could be after a power cut at `cut` (0..crash_events): all events before the last flush at or before
 * `cut`, then of those between it and `cut` the ones `keep(arg, i)` says (NULL: all); a kept write may be torn at 512-byte sectors with tear(arg, i)
 * giving how many sectors of it made it (NULL: whole).
 */
struct crashdev;
int crashdev_create(struct crashdev **out, struct lcpfs_blockdev *below, struct lcpfs_error *err);
struct lcpfs_blockdev *crashdev_dev(struct crashdev *c); /* closing the returned device does not free the recorder */
size_t crashdev_events(const struct crashdev *c);
bool crashdev_is_flush(const struct crashdev *c, size_t i);
int crashdev_replay(const struct crashdev *c, size_t cut, bool (*keep)(void *arg, size_t i), size_t (*tear)(void *arg, size_t i, size_t sectors),
                    void *arg, struct lcpfs_blockdev **ram, struct lcpfs_error *err);
/* One event by itself: how many sectors a write has (0: no write), and doing it to `to`, of a write only sectors for which `sector(arg, s)` (NULL: all). */
size_t crashdev_sectors(const struct crashdev *c, size_t i);
int crashdev_apply(const struct crashdev *c, size_t i, bool (*sector)(void *arg, size_t s), void *arg, struct lcpfs_blockdev *to, struct lcpfs_error *err);
void crashdev_destroy(struct crashdev *c);

/* Fault injection: the nth (from 0) call of the chosen kinds fails with `code`, once or from then on. */
enum { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_FLUSH = 4, FAULT_RESIZE = 8 };
struct faultdev {
	struct lcpfs_blockdev dev; /* hand out &f->dev */
	struct lcpfs_blockdev *below;
	uint32_t kinds;
	uint64_t fail_at, seen;
	bool sticky;
	int code;
};
void faultdev_init(struct faultdev *f, struct lcpfs_blockdev *below, uint32_t kinds, uint64_t fail_at, bool sticky, int code);
/* Read-only view: write, resize, discard are refused; not owning. */
struct rodev { struct lcpfs_blockdev dev; struct lcpfs_blockdev *below; };
void rodev_init(struct rodev *r, struct lcpfs_blockdev *below);
/* The same in memory of its own, for what owns its device: closing frees the view and leaves `below` open. */
int rodev_create(struct lcpfs_blockdev **out, struct lcpfs_blockdev *below, struct lcpfs_error *err);
#endif
