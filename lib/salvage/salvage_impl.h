/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside salvage.
 *
 * The damaged device is only read, and whatever cannot be read counts as zeros: a hash says what is right. What is found of the trees' items is
 * put, tree by tree, into a new pool on a device of our own: its first part is a temporary file, the rest shows the damaged device, so that the
 * new pool's pointers name the contents where they lie. Then the new pool is read as any other. So everything that reads pools serves here, too.
 *
 *   media.c    reading           scan.c   nodes, uberblocks and configs wherever they lie      map.c    where chunks lie
 *   node.c     a node by pointer or by its place            gather.c  the items of a tree, from what is left of it
 *   heads.c    which datasets there are                     overlay.c the new pool
 *   rebuild.c  a dataset's items into it                    rescue.c  of a damaged block what is sound     carve.c  packs without pointers
 *   mend.c, mend_content.c  what does not fit together there
 *   output.c   its files, and what is to be told of them    salvage.c all of it in order
 */
#ifndef SALVAGE_IMPL_H
#define SALVAGE_IMPL_H
#include "base/error.h"
#include "base/util.h"
#include "format/config.h"
#include "format/label.h"
#include "format/node.h"
#include "format/records.h"
#include "import/import.h"
#include "lcpfs/salvage.h"
#include "zio/zio.h"

/* A node found by looking for it. */
#define FOUND_HASH 12u
struct found {
	uint64_t off, birth, guid;
	uint32_t psize;
	uint8_t level;
	uint8_t hash[2][FOUND_HASH]; /* first bytes of its BLAKE3 and SHA-256 */
};
struct found_uber { struct uberblock ub; uint64_t off; };
struct found_cfg { uint64_t off; };
/* A pack that nothing points at. */
struct carved { uint64_t off; uint32_t psize, lsize; uint8_t comp, hash[HASH_LEN]; };

/* Where a chunk's columns lie on the device; more than one: each may have the bytes. */
#define BASES_MAX 4u
struct chunk_map {
	uint32_t id;
	unsigned n, tried;
	uint64_t base[BASES_MAX];
};

/* Trees whose nodes may stand in for lost ones, up to an age. */
struct gather_guid { uint64_t guid, max_birth; };
#define HEAD_ORIGINS 32u

/* A dataset to be had. */
struct head {
	uint64_t id, guid;
	struct dsrec rec;    /* id 0: none */
	bool rec_old;        /* it is of an older pool tree: the nodes that are there know better */
	struct gather_guid origin[HEAD_ORIGINS];
	unsigned n_origin;
	char *name;          /* "home@mon"; "" the root dataset */
	bool nameless;
	char inner[16];      /* its name in the new pool */
	struct loss *loss;   /* of contents, by data_id */
	size_t n_loss, cap_loss;
	struct loss *iloss;  /* of inodes, ascending */
	size_t n_iloss, cap_iloss;
	struct noname *gone; /* names of which nothing else is left */
	size_t n_gone, cap_gone;
	struct inoset old;   /* inodes that come from older nodes */
	struct inoset guessed, unnamed; /* inodes made up; those whose name is lost */
	struct buf holes;    /* text: what of the tree is missing altogether */
	bool empty;          /* nothing of it was found */
};
enum { LOSS_LOST, LOSS_UNVERIFIED, LOSS_XATTR /* len: how many */ };
struct loss { uint64_t of, off, len; unsigned kind; };
struct noname { uint64_t dir; char *name; };

struct sal {
	struct lcpfs_blockdev *dev;
	uint64_t size;
	struct lcpfs_salvage_opts o;
	struct lcpfs_salvage_stats st;
	struct codec_ctx *codec;
	uint64_t told_ns;
	const char *phase;
	uint8_t *block;          /* for reading a stored block */
	size_t block_cap;

	bool scanned;
	struct found *found;
	size_t n_found, cap_found, max_found;
	uint32_t *by_hash[2];    /* order of found[], once the scan is done */
	struct found_uber *uber; /* highest txg first after roots_sort */
	size_t n_uber, cap_uber;
	struct found_cfg *cfg;
	size_t n_cfg, cap_cfg;
	bool have_uuid;
	uint8_t uuid[16];
	uint64_t *frame;         /* where zstd frames begin */
	size_t n_frame, cap_frame;
	struct inoset used;      /* sectors, plus 1, where blocks that are in use begin */
	bool did_carve;
	struct carved *carved;
	size_t n_carved, cap_carved;
	struct config config;    /* the newest that was found; n_devices 0: none */
	bool have_config;
	struct chunk_map *chunk; /* ascending id */
	size_t n_chunk, cap_chunk;
	bool voted;

	struct head *head;
	size_t n_head, cap_head;
	bool pool_whole;         /* every item of the pool tree was had */
	char pool_name[CONFIG_NAME_MAX + 1];

	struct lcpfs_blockdev *over;
	struct spa *spa;
};

/* media.c */
/* Always gives `len` bytes: those that cannot be read are zero. */
void media_read(struct sal *s, uint64_t off, void *buf, size_t len);
/* s->block with at least so many bytes. */
uint8_t *media_block(struct sal *s, size_t len, struct lcpfs_error *err);
/* True: stop. */
bool sal_tick(struct sal *s, const char *phase, uint64_t bytes, uint64_t total);
int sal_stopped(struct lcpfs_error *err);
/* Room for one more of `size` bytes in an array. */
int sal_room(void *array, size_t n, size_t *cap, size_t size, struct lcpfs_error *err);

/* scan.c */
int scan_labels(struct sal *s, struct lcpfs_error *err); /* the ends of the device, where uberblocks and configs are */
int scan_all(struct sal *s, struct lcpfs_error *err);    /* everything, once */

/* map.c */
int map_configs(struct sal *s, struct lcpfs_error *err);
const struct chunk_map *map_chunk(struct sal *s, uint32_t id);
int map_vote(struct sal *s, struct lcpfs_error *err);
/*
 * Where the bytes of this block lie, and that they are right: *off. 1: nowhere. The stored bytes are in s->block.
 * guess: where the chunk is not known, places are tried.
 */
int map_find(struct sal *s, const struct blkptr *bp, bool guess, uint64_t *off, struct lcpfs_error *err);
bool sal_hash_ok(const struct blkptr *bp, const uint8_t *stored);

/* node.c */
struct node {
	struct node_hdr h;
	uint64_t guid;
	uint8_t *raw, *body;   /* raw: header and pointers, malloc'ed with body behind */
	const uint8_t *ptrs;
	struct node_body b;
};
/* 1: it cannot be had. */
int node_by_ptr(struct sal *s, const struct blkptr *bp, struct node *out, struct lcpfs_error *err);
int node_by_place(struct sal *s, const struct found *f, struct node *out, struct lcpfs_error *err);
const struct found *node_find_hash(const struct sal *s, const struct blkptr *bp);
int node_sort(struct sal *s, struct lcpfs_error *err);
void node_fini(struct node *n);

/* gather.c */
struct gather_item {
	const uint8_t *key, *val, *ptrs;
	uint16_t klen;
	uint32_t vlen;
	uint8_t nptr;
	bool old; /* from a leaf that is older than the one which is lost */
};
#define GATHER_GUIDS 64u
struct gather {
	struct sal *s;
	int (*item)(void *arg, const struct gather_item *it, struct lcpfs_error *err);
	void *arg;
	struct gather_guid guid[GATHER_GUIDS]; /* whose nodes may stand in for lost ones */
	unsigned n_guid;
	/* results */
	struct miss *miss; /* what is still missing */
	size_t n_miss, cap_miss;
	uint64_t lost_nodes;
	bool root_lost;
};
struct gather_key { uint16_t len; uint8_t b[KEY_MAX]; };
struct miss {
	struct gather_key lo, hi;
	bool to_end;        /* no upper end */
	bool touched;       /* a part of it was had from elsewhere: what is left may be nothing */
	bool leaf;          /* one leaf is lost here */
	uint64_t max_birth;
};
void gather_guid_add(struct gather *g, uint64_t guid, uint64_t max_birth);
/* root NULL: not known. Items come once each or, where nodes stand in, also twice: the first counts. */
int gather_run(struct gather *g, const struct blkptr *root, struct lcpfs_error *err);
/* Whether something between the keys is still missing. */
bool gather_misses(const struct gather *g, const void *lo, size_t lo_len, const void *hi, size_t hi_len);
void gather_fini(struct gather *g);

/* heads.c */
int heads_find(struct sal *s, struct lcpfs_error *err);
void heads_fini(struct sal *s);

/* overlay.c */
#define MAP_FIRST 1u                        /* chunks that show the damaged device */
#define MAP_SPAN (UINT64_C(1) << 40)
int overlay_create(struct sal *s, struct lcpfs_error *err);
int overlay_reopen(struct sal *s, struct lcpfs_error *err); /* for reading */
void overlay_close(struct sal *s);
uint64_t overlay_addr(uint64_t off);

/* rebuild.c */
struct rescued { uint64_t pack_id; uint32_t got; };
struct rebuild {
	struct sal *s;
	struct head *h;
	struct dataset *ds;
	struct gather g;
	struct inoset lost_packs;
	struct rescued *rescued; /* packs of which only a first part is there */
	size_t n_rescued, cap_rescued;
	uint64_t items;
};
int rebuild_head(struct sal *s, struct head *h, struct lcpfs_error *err);
/* An item into the new tree; 1: there is one of that key already, which stays unless `replace`. bp NULL: it has no pointer. */
int rebuild_put(struct rebuild *r, const void *key, size_t klen, const void *val, size_t vlen, const struct blkptr *bp, bool replace,
                struct lcpfs_error *err);
int head_loss(struct head *h, uint64_t data_id, uint64_t off, uint64_t len, unsigned kind, struct lcpfs_error *err);
void loss_sort(struct loss *v, size_t n);
/* The first loss of this content, and how many there are. */
const struct loss *loss_of(const struct loss *v, size_t n, uint64_t of, size_t *count);

/* rescue.c: what comes before the damage of a block goes into a new one, as long as the old one (whole) or shorter. 1: nothing does. */
int rescue_block(struct sal *s, const struct blkptr *old, bool whole, struct blkptr *bp, uint32_t *got, struct lcpfs_error *err);

/* carve.c: slices from packs, with or without pointers to them */
int carve(struct rebuild *r, struct lcpfs_error *err);

/* mend.c */
int mend(struct rebuild *r, struct lcpfs_error *err);
/* mend_content.c: contents of the inode, which may be changed: *changed; and its attributes. */
int mend_content(struct rebuild *r, uint64_t ino, struct inode *in, struct inoset *used, bool *changed, struct lcpfs_error *err);
int mend_xattrs(struct rebuild *r, uint64_t ino, struct inode *in, struct inoset *used, bool *changed, struct lcpfs_error *err);
/* Size and kind of a content that is there; 1: none is. */
int mend_find_content(struct rebuild *r, uint64_t data_id, struct inode *in, struct lcpfs_error *err);

/* output.c */
int output_run(struct sal *s, const char *target, int fd, struct lcpfs_error *err);
void sal_lost(struct sal *s, const struct lcpfs_loss *l);
#endif
