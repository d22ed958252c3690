/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder and their unit test. */
#ifndef VDEV_IMPL_H
#define VDEV_IMPL_H
#include "codec/codec.h"
#include "vdev/vdev.h"
#include <pthread.h>

#define DEV_ID 1u /* a pool of this version has one device and one group */
#define GROUP_ID 1u
#define COPIES 2u /* of a node, where it has copies */
/* Two copies in columns side by side are so far apart, and a node so short, that 64 KiB lost anywhere leave one of them whole. */
#define META_COL_MIN 2u
#define SECTORS_PER_UNIT (UNIT / SECTOR)
#define COL_UNITS_MAX ((UINT32_C(1) << 25) - 1) /* the number of a chunk's sectors has 32 bits */

struct vdev {
	struct lcpfs_blockdev *dev;
	struct label label;        /* as a front label */
	bool rw;
	bool front_bad, back_bad;  /* a header to write again with the next commit */
	bool cfg_changed;
	bool failed;               /* a commit did not get through: only reopening tells what is on disk */
	bool dirty;                /* written since the last flush; atomic */
	bool have_cur;
	struct uberblock cur;
	struct vdev_uber *ubers;   /* highest txg first */
	size_t n_ubers, cap_ubers;
	struct config cfg;
	struct codec_ctx *codec;
	/* Readers of the chunk list, and writers to a device that may be made longer, hold it shared; whoever changes either holds it alone. */
	pthread_rwlock_t lock;
};

/* label_io.c */
struct label label_side(const struct label *front, bool back); /* the label of the other end, from the front one */
uint64_t label_back_bytes(const struct label *l);               /* room that the back label takes, 0 without one */
bool label_back_fits(const struct vdev *v);                     /* there is a back label and the device is long enough */
bool label_back_counts(const struct vdev *v);                   /* and what is there may be believed */
int label_find(struct vdev *v, struct lcpfs_error *err);        /* fills label, front_bad, back_bad */
int label_write_header(struct vdev *v, bool back, struct lcpfs_error *err);
int label_read_rings(struct vdev *v, struct lcpfs_error *err);  /* fills ubers */
int label_write_uber(struct vdev *v, bool back, const struct uberblock *ub, struct lcpfs_error *err);
int label_write_config(struct vdev *v, bool back, unsigned slot, const struct buf *stored, struct lcpfs_error *err);
/* Add to the list of known uberblocks, unless it is there. */
int label_note_uber(struct vdev *v, const struct uberblock *ub, bool back_only, struct lcpfs_error *err);
void label_forget_slot(struct vdev *v, uint64_t txg); /* its ring slot is about to hold another */
int label_zero(struct vdev *v, uint64_t off, uint64_t len, struct lcpfs_error *err);

/* cfgblob.c: the stored form { u32 decoded_len, u8 comp, u8 zero[3], bytes }, at most cfg_len bytes */
int cfgblob_pack(struct vdev *v, struct buf *stored, struct lcpfs_error *err);
int cfgblob_read(struct vdev *v, const struct uberblock *ub, struct config *out, bool *from_back, struct lcpfs_error *err);

/* column.c: what of the device is given out */
struct column_run { uint64_t start, units; };
uint64_t vdev_columns_end(const struct vdev *v, uint32_t *chunk);    /* bytes; *chunk: whose column lies last, 0 none */
uint64_t vdev_space_end(const struct vdev *v);                       /* where columns must end */
bool vdev_open_ended(const struct vdev *v);                          /* an image that grows with its content */
bool vdev_resizable(const struct vdev *v);
int vdev_extend_file(struct vdev *v, uint64_t size, struct lcpfs_error *err); /* lock held alone; never shorter */
/* Free ranges in order, *n of them, cut to the alignment of columns, with room in the array for one more each; NULL: out of memory. */
struct column_run *vdev_free_runs(const struct vdev *v, size_t *n);
uint32_t vdev_column_align(const struct vdev *v);                    /* units */

/* choose.c: where new columns go, as many as a chunk has members, all of one length; all in units */
struct columns {
	unsigned width;
	bool open;                         /* the last free run has no end */
	uint64_t need, want, least, align; /* length: at least, at best; what a chunk for nodes must have for the config to stay small */
	uint64_t gap;                      /* to be free between columns when this one is there */
	uint64_t start[COPIES], units, end; /* the choice */
};
bool vdev_choose(struct columns *c, const struct column_run *r, size_t n); /* false: no room */
bool vdev_has_gaps(const struct vdev *v);
uint64_t vdev_gap(uint64_t data, uint64_t meta); /* what there is of either */
#endif
