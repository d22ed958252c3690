/* SPDX-License-Identifier: Apache-2.0 */
/* mkfs: what its files share. */
#ifndef CMD_MKFS_H
#define CMD_MKFS_H
#include "common/cmd.h"

struct source { char *dataset; const char *path; }; /* dataset "": the root dataset; path NULL: it stays empty */
struct mkfs {
	const char *image;
	struct source *sources;
	size_t n_sources;
	const char *snapshot;
	struct lcpfs_create_opts create;
	struct cmd_tree tree;
	bool verify, decode; /* read back; through the decoders too */
	struct lcpfs_tree_stats total;
	uint64_t bytes;       /* of the image that came out */
	uint64_t blocks;      /* verified */
};

/* fill.c: everything into an open pool, and commit. A status; CMD_OK and CMD_PARTIAL leave a good pool. */
int mkfs_fill(struct mkfs *m, struct lcpfs_pool *pool);
/* Open what was written at `path` (shown as m->image) and read every block. */
int mkfs_verify(struct mkfs *m, const char *path);

/* place.c: where it is built. Each returns a status. */
int mkfs_image(struct mkfs *m);  /* a temporary file, renamed when good */
int mkfs_device(struct mkfs *m); /* a block device */
int mkfs_dry(struct mkfs *m);    /* a file without a name */

/* probe.c: refuse a device that is in use, or (without -f) holds something; with -f its signatures are removed. */
int mkfs_probe(const char *path);
#endif
