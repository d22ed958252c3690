/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools. A handle, with the datasets and files opened through it, is used by one thread at a time, whichever that is: reading, too, moves
 * what it has cached. The work below, such as reading ahead and compression, it spreads over threads of its own. Different handles are
 * independent: threads that are to read one pool at the same moment open it read-only, each for itself. Changes are private to the handle
 * until lcpfs_pool_commit publishes all of them at once; a close without it drops them.
 */
#ifndef LCPFS_POOL_H
#define LCPFS_POOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lcpfs/blockdev.h"
#include "lcpfs/error.h"
#include "lcpfs/hooks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lcpfs_pool;

enum {
	LCPFS_OPEN_RO = 0,
	LCPFS_OPEN_RW = 1,
	/*
	 * Read-only without a lock, while another process may write. What is read is the newest commit of the moment it was opened; opening is tried
	 * again when it is moved on meanwhile. A commit's blocks may be written over two commits later: then reading fails with LCPFS_ECSUM or
	 * LCPFS_EIO, never with wrong contents, and the pool is to be opened again.
	 */
	LCPFS_OPEN_LIVE = 2,
};
struct lcpfs_open_opts {
	uint32_t flags;        /* LCPFS_OPEN_* */
	unsigned threads;      /* 0: one per CPU */
	uint64_t memory_bytes; /* cap of caches and queues; 0: 256 MiB; at least 32 MiB */
	/*
	 * Not 0: the pool as the commit of this number left it, read-only, if its uberblock is still there (lcpfs_root_each lists them). Blocks
	 * that were freed since may have been overwritten: they fail their checksums.
	 */
	uint64_t txg;
};
/* Also for creation. */
struct lcpfs_create_opts {
	struct lcpfs_open_opts open;
	const char *name;       /* pool name, 1-63 bytes of A-Za-z0-9._-+; NULL: "pool" */
	const uint8_t *uuid;    /* 16 bytes; NULL: random */
	const char *checksum;   /* "blake3" (NULL) or "sha256" */
	const char *compress;   /* "zstd:3" (NULL), "lz4", "lzma:6", "auto", "off" */
	uint32_t record_bytes, pack_bytes, slice_max_bytes; /* powers of two (slice_max <= pack <= 4 MiB, record 4 KiB..16 MiB); 0: 1 MiB, 1 MiB, 128 KiB */
	uint64_t size_bytes;    /* images: final length, 0 = as small as the content */
	unsigned labels;        /* 2 (0) or 1 */
	unsigned copies;        /* of metadata, on one device: 2 (0) or 1 */
	bool reproducible;      /* no entropy: ids follow from uuid and SOURCE_DATE_EPOCH */
};

/* `path`: an image file, a block device, or "scheme:rest". `o` NULL: read-only, defaults. */
int lcpfs_pool_open(struct lcpfs_pool **out, const char *path, const struct lcpfs_open_opts *o, struct lcpfs_error *err);
/* The same on a device, which belongs to the pool from now on (also on failure). */
int lcpfs_pool_open_dev(struct lcpfs_pool **out, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *o, struct lcpfs_error *err);
/* A new, empty pool with a root dataset, open for writing; nothing is there before the first commit. A file must not exist; on a disk the caller checked that it may be overwritten. */
int lcpfs_pool_create(struct lcpfs_pool **out, const char *path, const struct lcpfs_create_opts *o, struct lcpfs_error *err);
int lcpfs_pool_create_dev(struct lcpfs_pool **out, struct lcpfs_blockdev *dev, const struct lcpfs_create_opts *o, struct lcpfs_error *err);
/* Publish all changes. After a failure the handle is read-only at the last commit; -LCPFS_EUNKNOWN when it is not known which one that is. */
int lcpfs_pool_commit(struct lcpfs_pool *p, struct lcpfs_error *err);
/* Closes all: datasets and files of the pool must be closed before. Failure can only come from a committed image's end label (its content is safe). NULL: 0. */
int lcpfs_pool_close(struct lcpfs_pool *p, struct lcpfs_error *err);

struct lcpfs_pool_info {
	char name[64];
	uint8_t uuid[16];
	uint64_t txg;
	int64_t time_s;
	uint64_t total_bytes, used_bytes, avail_bytes, device_bytes;
	uint64_t copies_bytes; /* of the device, what the second copies of metadata take */
	uint32_t n_chunks, n_devices;
	bool image, writable;
	const char *checksum;
};
int lcpfs_pool_info(struct lcpfs_pool *p, struct lcpfs_pool_info *out, struct lcpfs_error *err);
/* Features in use: kind 0 incompat, 1 ro_compat, 2 compat; i = 0, 1, ... until NULL. */
const char *lcpfs_pool_feature(struct lcpfs_pool *p, unsigned kind, unsigned i);
int lcpfs_pool_set_name(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err);
/* Library version "0.1.0"; versions of the codec libraries, what reproducibility depends on. */
const char *lcpfs_version(void);
const char *lcpfs_codec_versions(void);

#ifdef __cplusplus
}
#endif
#endif
