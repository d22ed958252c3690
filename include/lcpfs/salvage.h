/* SPDX-License-Identifier: Apache-2.0 */
/* Salvage: files out of a pool that does not open any more. Never writes to it. */
#ifndef LCPFS_SALVAGE_H
#define LCPFS_SALVAGE_H
#include "lcpfs/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Something that could not be had, or not as it was. */
struct lcpfs_loss {
	/*
	 * Stable: "data" (a range of a file; it reads as zeros), "file" (only its name is known; it is left out), "incomplete" (left out because of
	 * LCPFS_SALVAGE_WHOLE), "attributes" (the content is there, who owned it and when is not), "name" (put into lost+found), "xattr", "old" (an
	 * older version took its place), "unverified" (likely right, but no checksum says so), "tree" (a part of a dataset of which nothing was found),
	 * "dataset" (a whole one).
	 */
	const char *what;
	const char *dataset;     /* "home@mon", "" the root dataset, NULL: of none */
	const char *path;        /* within the dataset; NULL: of none */
	uint64_t ino;            /* 0: not known */
	uint64_t offset, length; /* "data": bytes of the file */
	const char *text;        /* a sentence */
};
typedef void lcpfs_loss_fn(void *arg, const struct lcpfs_loss *l);

enum {
	LCPFS_SALVAGE_SNAPSHOTS = 1, /* snapshots too */
	LCPFS_SALVAGE_WHOLE = 2,     /* files of which a part is lost are left out */
	LCPFS_SALVAGE_SCAN = 4,      /* look through the whole device even when nothing seems to be missing */
	LCPFS_SALVAGE_CARVE = 8,     /* packs that nothing points at are looked for too */
	LCPFS_SALVAGE_NO_OWNER = 16, /* files become those of the caller */
	LCPFS_SALVAGE_OVERWRITE = 32, /* what is in the target directory may be replaced */
};
struct lcpfs_salvage_opts {
	uint32_t flags;          /* LCPFS_SALVAGE_* */
	unsigned threads;        /* 0: one per CPU */
	uint64_t memory_bytes;   /* 0: 256 MiB */
	bool live;               /* read although another process writes */
	const char *dataset;     /* "home", "home@mon", "": only this one, put into the target itself. NULL: all */
	lcpfs_loss_fn *lost;
	lcpfs_warn *warn;        /* what was had but could not be written in full */
	lcpfs_progress_fn *progress;
	void *arg;               /* first argument of the three */
};
struct lcpfs_salvage_stats {
	uint64_t datasets, entries, files, bytes; /* written */
	uint64_t losses;                          /* calls of `lost` */
	uint64_t lost_bytes;                      /* of files, as far as known */
	uint64_t warnings;
	uint64_t unreadable_bytes;                /* of the device: input/output errors */
	uint64_t nodes;                           /* found by looking for them */
	uint64_t txg;                             /* of the root that was taken; 0: none could be */
	bool scanned;                             /* all of the device was looked through */
};
/*
 * What can be had of the pool on `pool` (opened for reading only): the newest readable heads, each below target/NAME, the root dataset in
 * target itself. target NULL: as a pax archive on fd; with fd < 0 nothing is written, only looked. Trees of which the name is lost are called dataset-GUID.
 * Needs temporary space (TMPDIR) for names and attributes, not for contents.
 * 0: all is there. -LCPFS_EPARTIAL: something was lost, and told. Others: nothing could be had, or written. st (may be NULL) is filled in any case.
 */
int lcpfs_salvage(const char *pool, const char *target, int fd, const struct lcpfs_salvage_opts *o, struct lcpfs_salvage_stats *st,
                  struct lcpfs_error *err);
/* The same of a device, which stays the caller's. */
int lcpfs_salvage_dev(struct lcpfs_blockdev *dev, const char *target, int fd, const struct lcpfs_salvage_opts *o,
                      struct lcpfs_salvage_stats *st, struct lcpfs_error *err);

#ifdef __cplusplus
}
#endif
#endif
