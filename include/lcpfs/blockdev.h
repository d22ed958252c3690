/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices: a span of bytes that a pool lives on. The library brings files and block devices (by host path) and RAM
 * disks ("ram:NAME"); a program may bring its own by filling in struct lcpfs_blockdev, and may register a scheme so
 * that pool names of the form "scheme:rest" open it.
 */
#ifndef LCPFS_BLOCKDEV_H
#define LCPFS_BLOCKDEV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lcpfs/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_blockdev;

/*
 * Calls of a device. Offsets and lengths are bytes, within 0..size. Each returns 0 or a negative LCPFS_E* with err set.
 * `read` and `write` move exactly `len` bytes and may be called from several threads at once; the others are called by one thread,
 * with no write under way. NULL is allowed where it says so.
 */
struct lcpfs_blockdev_ops {
	int (*read)(struct lcpfs_blockdev *dev, uint64_t off, void *buf, size_t len, struct lcpfs_error *err);
	/* NULL: the device is read-only */
	int (*write)(struct lcpfs_blockdev *dev, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err);
	/* everything written before is on stable storage when this returns 0; NULL: nothing to do */
	int (*flush)(struct lcpfs_blockdev *dev, struct lcpfs_error *err);
	/* the range's content is no longer needed (may read as anything after); NULL: ignored */
	int (*discard)(struct lcpfs_blockdev *dev, uint64_t off, uint64_t len, struct lcpfs_error *err);
	/* make the device exactly `size` bytes long, new bytes zero, and set dev->size; NULL: fixed size */
	int (*resize)(struct lcpfs_blockdev *dev, uint64_t size, struct lcpfs_error *err);
	/* take the pool's lock: exclusive or shared, at once or -LCPFS_EBUSY; released by close; NULL: not shared with anyone */
	int (*lock)(struct lcpfs_blockdev *dev, bool exclusive, struct lcpfs_error *err);
	/* release everything, the struct itself included if it was allocated */
	void (*close)(struct lcpfs_blockdev *dev);
};

enum {
	LCPFS_DEV_IMAGE = 1,  /* grows and shrinks with its content (a file); without it the size is given (a disk) */
	LCPFS_DEV_RDONLY = 2,
};

struct lcpfs_blockdev {
	const struct lcpfs_blockdev_ops *ops;
	const char *name;      /* for messages; lives as long as the device */
	uint64_t size;         /* bytes now */
	uint32_t sector;       /* smallest write the device does without reading first, a power of two 512..65536 */
	uint32_t flags;        /* LCPFS_DEV_* */
	void *user;            /* the implementer's */
};

/* Flags of lcpfs_blockdev_open; unknown ones are refused. */
enum { LCPFS_DEV_OPEN_RW = 1, LCPFS_DEV_OPEN_CREATE = 2 /* a new empty file, must not exist */ };

/*
 * Open a device by name: a host path, or "scheme:rest" of a registered scheme. For reading also "offset=1M:NAME" (a part of a device, from there on;
 * "offset=2048s:" in sectors of 512 bytes, "offset=1M+500M:" with its length), and by the name of the first (img.000, img.001) an image in parts.
 */
int lcpfs_blockdev_open(struct lcpfs_blockdev **out, const char *name, uint32_t flags, struct lcpfs_error *err);
/* Closing NULL does nothing. */
void lcpfs_blockdev_close(struct lcpfs_blockdev *dev);

/* A RAM disk of its own, `size` bytes, zero; with LCPFS_DEV_IMAGE in flags it can be resized. */
int lcpfs_ramdisk_create(struct lcpfs_blockdev **out, const char *name, uint64_t size, uint32_t flags, struct lcpfs_error *err);

/*
 * From now on names that begin with "scheme:" are opened by `open` ("rest" is what follows the colon). A scheme is 2-16 bytes of
 * a-z0-9; "ram" is built in. LCPFS_EEXIST when it is taken. Call before other threads use the library.
 */
typedef int lcpfs_blockdev_open_fn(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *err);
int lcpfs_blockdev_register(const char *scheme, lcpfs_blockdev_open_fn *open, void *arg, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
