/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vdev: labels, devices, groups and chunks: turns an address into device I/O, and keeps the uberblock ring and the config
 * slots. One writer; reads from any thread.
 *
 * Invariants
 *  (1) The slot an uberblock is written to never holds one of the last K uberblocks, nor that of rewind_floor_txg.
 *  (2) A config slot named by one of the last K uberblocks is never overwritten.
 *  (3) An uberblock is written only by vdev_publish, after the caller flushed all it points at.
 */
#ifndef VDEV_H
#define VDEV_H
#include "blockdev/blockdev.h"
#include "format/config.h"
#include "format/label.h"

struct vdev;

struct vdev_create {
	const char *name;
	uint8_t uuid[16], dev_uuid[16], epoch_id[16];
	uint8_t csum, ashift;     /* ashift 0: from the device's sector */
	uint8_t label_count;      /* 1 or 2 */
	uint8_t copies;           /* 2: tree nodes are kept twice (feature "copies"); else once */
	uint32_t ring_slots;      /* 0: 16 for images, 256 for disks */
	uint64_t cfg_len;         /* 0: 64 KiB for images, 1 MiB for disks */
	uint64_t size;            /* images: final size asked for, 0 = as small as the content */
	int64_t created_s; uint32_t created_ns;
};
/*
 * Make `dev` (owned from now on, also on failure) an empty pool in memory: writes label headers and zeroes the ring and config slots;
 * nothing opens until the first vdev_publish. The config has one device, one group (mirror, width 1), no chunk.
 */
int vdev_create(struct vdev **out, struct lcpfs_blockdev *dev, const struct vdev_create *c, struct lcpfs_error *err);

/*
 * Open the pool on dev (owned from now on, also on failure): find a label (front, back, then a header at every 64 KiB step +4 KiB),
 * read both rings. Nothing is written. No uberblock is chosen yet.
 * Tells of skipped labels through base/log.
 */
int vdev_open(struct vdev **out, struct lcpfs_blockdev *dev, bool rw, struct lcpfs_error *err);
void vdev_close(struct vdev *v); /* NULL: nothing; writes nothing */

/* All valid uberblocks of this pool over all labels, distinct, highest txg first; *back_only when only found in a back label. */
struct vdev_uber { struct uberblock ub; bool back_only; };
const struct vdev_uber *vdev_ubers(const struct vdev *v, size_t *n);
/* Make `ub` the one in force: reads, verifies and decodes its config. Fails without side effects. */
int vdev_select(struct vdev *v, const struct uberblock *ub, struct lcpfs_error *err);
const struct uberblock *vdev_current(const struct vdev *v); /* selected or last published */

const struct config *vdev_config(const struct vdev *v);
struct config *vdev_config_edit(struct vdev *v);  /* marks it changed: the next publish writes a new generation */
bool vdev_is_image(const struct vdev *v);
bool vdev_front_lost(const struct vdev *v);       /* opened by the back label; the next publish makes the front one whole */
const struct label *vdev_label(const struct vdev *v);
struct lcpfs_blockdev *vdev_dev(const struct vdev *v);

/*
 * Read `len` bytes (a multiple of 512) at address. The chunk, sector range and device range are checked; LCPFS_ECORRUPT for
 * an address in no chunk. Past the end of a short image file: LCPFS_EIO. vdev_write likewise.
 * Where a chunk has copies, all are written, and the first that the device gives is read: whether it is right only the pointer's hash tells,
 * so whoever finds it wrong asks for the others.
 */
int vdev_read(struct vdev *v, uint64_t addr, void *buf, size_t len, struct lcpfs_error *err);
/* The first copy's bytes as a window (blockdev.h); false: read them. */
bool vdev_map(struct vdev *v, uint64_t addr, size_t len, struct blockdev_window *w);
int vdev_write(struct vdev *v, uint64_t addr, const void *buf, size_t len, struct lcpfs_error *err);
/* How many copies of it there are; 0: no such chunk. */
unsigned vdev_copies(struct vdev *v, uint64_t addr);
int vdev_read_copy(struct vdev *v, uint64_t addr, unsigned copy, void *buf, size_t len, struct lcpfs_error *err);
/* Only to put right a copy of what a published tree points at. */
int vdev_write_copy(struct vdev *v, uint64_t addr, unsigned copy, const void *buf, size_t len, struct lcpfs_error *err);
/* Flush devices written since the last flush. */
int vdev_flush(struct vdev *v, struct lcpfs_error *err);
int vdev_discard(struct vdev *v, uint64_t addr, uint64_t len, struct lcpfs_error *err);

/* Whether new chunks are of a class: nodes go into chunks with two copies, data into others. Else there is one class, `any`. */
bool vdev_has_classes(const struct vdev *v);
bool vdev_may_write(const struct vdev *v);
/*
 * Room for more: extend the last chunk of that class or add one so that at least `min_bytes` more contiguous bytes exist, by the size policy (images:
 * 64 MiB doubling to 1 GiB per chunk, within `size` when one was asked for; disks: pool/256 .. pool/1024; for nodes an eighth of
 * what there is for them). Changes the config in memory. LCPFS_ENOSPC when the device has no more columns. *chunk_id: the chunk that
 * grew or came.
 */
int vdev_grow(struct vdev *v, enum chunk_class cls, uint64_t min_bytes, uint64_t created_txg, uint32_t *chunk_id, struct lcpfs_error *err);
/* Bytes of the device that vdev_grow would like to take for a new chunk of that class. */
uint64_t vdev_grow_wants(struct vdev *v, enum chunk_class cls, uint64_t min_bytes);
/* Bytes the pool could still grow by (disks: columns not given out; images: of `size`, else UINT64_MAX). */
uint64_t vdev_growable(struct vdev *v);
/* The same, of what comes in pieces of so many bytes that are not divided. */
uint64_t vdev_growable_pieces(struct vdev *v, uint64_t piece);
/*
 * A chunk in which nothing is used, and was not as long as the last K uberblocks go back, leaves the config; its columns are free at once. Where the
 * size is fixed, chunks for data then take what is free right behind them, as far as the size policy goes.
 */
void vdev_drop(struct vdev *v, uint32_t chunk);
int vdev_stretch(struct vdev *v, struct lcpfs_error *err);
/* Images without a fixed size: the chunk whose column ends last; 0: none, or something else lies there. */
uint32_t vdev_last_chunk(struct vdev *v);
/*
 * Cut a chunk's columns so that they end at or after `sector` of it; in memory, published later. Nothing behind may be in use, and what was
 * written is on its way to the device.
 */
int vdev_cut(struct vdev *v, uint32_t chunk, uint32_t sector, struct lcpfs_error *err);

/*
 * The next txg >= `txg` whose ring slot may be written (invariant 1).
 */
uint64_t vdev_next_txg(const struct vdev *v, uint64_t txg);
/*
 * Commit steps 5 and 6: if the config changed, fill in ub's cfg_* and write the blob to its slot of all labels (images: front
 * only); flush; write the uberblock to the front label; flush = the ack; then to the back labels (images: not). ub->txg came from vdev_next_txg, prev_txg is filled in here
 * from the current one. On failure *published tells whether the outcome is unknown (the uberblock write was begun).
 */
int vdev_publish(struct vdev *v, struct uberblock *ub, bool *published, struct lcpfs_error *err);
/*
 * Images, at close after a commit: set the file's length to what the config needs (or `size`), write the back label (ring, config,
 * header) at the end, flush. The front label is not touched: a crash inside leaves it valid.
 */
int vdev_finish_image(struct vdev *v, struct lcpfs_error *err);
/*
 * Labels that are damaged: the next publish writes config and headers again, and after it the back label of a disk becomes a copy of the front
 * one (an image's does so when it is closed).
 */
void vdev_relabel(struct vdev *v);
int vdev_copy_labels(struct vdev *v, struct lcpfs_error *err);
#endif
