/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside zpl: what a dataset has in memory beside its tree.
 *
 *   inode cache   a few inodes, written back late, so that making a file puts its inode once
 *   open content  the file written last: all of it while it is small, else one record
 *   open pack     contents of small files that will share the next pack
 *   jobs          packs and records on their way through zio, oldest first
 *
 * Invariants
 *  (1) Jobs are reaped in order, and at moments that follow from what was submitted, never from when a thread finished: the tree, and so
 *      the image, does not depend on timing.
 *  (2) A data_id is in at most one of: open pack, jobs, tree (records of one file may be in jobs and tree at once; what compaction moves
 *      stays where the tree says until its new pack is back).
 *  (3) A file's inode is in the cache or in the tree; the cached one is the truth. Everything else in the tree is the truth.
 *  (4) A content's number is never used for a second content: a file's first content has the inode's own number, but only if the inode
 *      was made in this txg (no snapshot knows it), later ones take a new number.
 */
#ifndef ZPL_IMPL_H
#define ZPL_IMPL_H
#include <pthread.h>
#include "base/error.h"
#include "base/util.h"
#include "format/pack.h"
#include "zpl/zpl.h"

#define ICACHE_N 16u
#define JOBS_MAX 64u          /* submitted and not yet reaped; more wait for the oldest */
#define XATTR_INLINE_MAX (VAL_MAX - 1)

/* A cached inode. A pointer to one stays good until ICACHE_N - 1 other inodes were asked for, or a flush. */
struct zi {
	uint64_t ino, used;      /* ino 0: slot is empty; used: clock of the last use */
	bool dirty;
	struct inode i;
	uint8_t *tlv;
	size_t tlv_len;
};

/* off: within the contents of the open pack; ino 0: nobody's psize. Moved here by compaction: from, the pack that still has it, and its charge. */
struct pack_ent { uint64_t data_id, ino, from; uint32_t off, len, charge; bool dead; };
/* The contents lie behind `lead` bytes of mem, where the table will mostly fit: then the pack goes on its way as it lies. */
struct pack_open {
	uint8_t *mem;            /* of lead + room bytes, from zio_buf_get; NULL: not yet */
	size_t lead, room, len;
	struct pack_ent *ent;
	uint32_t n, cap, live;
};

struct job {
	struct job *next;
	struct zpl *z;
	bool done;               /* under z->lock, as rc and bp */
	int rc;
	struct blkptr bp;
	size_t bytes;
	/* a pack: */
	uint64_t pack_id;
	struct pack_ent *ent;
	uint32_t n;
	/* a record: */
	uint64_t data_id, off, ino;
	bool fresh;              /* there is no record at this place yet */
	/* either of these written anew, of the same content: */
	struct rewrite *re;
	struct blkptr old;
};

enum open_kind { OPEN_NONE, OPEN_SLICE, OPEN_RECORD };
struct open_content {
	enum open_kind kind;
	bool dirty, had;            /* had: a record may be stored at this place */
	uint64_t ino, data_id, off; /* of a record; 0 */
	uint8_t *buf;
	uint32_t len, cap;          /* a record's cap: the record size */
};

struct zpl {
	struct dataset *ds;
	struct codec_spec codec;
	struct zi icache[ICACHE_N];
	uint64_t clock;
	struct open_content open;
	struct pack_open pack;
	struct zpl_writer *writers;
	uint64_t head_pack;      /* the pack whose head was read last without decoding it all */
	uint64_t wrote;          /* bytes of new contents since the last commit */
	uint64_t *lowered;       /* packs that lost contents, for compaction */
	uint32_t n_lowered, cap_lowered;

	struct late { uint64_t ino, data_id; } *late; /* whose psize is not known yet */
	uint32_t n_late, cap_late;

	struct job *head, **tail;
	unsigned n_jobs;
	size_t job_bytes;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct lcpfs_error why;  /* first failed job */

	struct bt_cursor at_name, at_inode; /* where names and inodes were last looked up: mostly in the order of the tree */
	uint64_t memo_ino, memo_dir; /* the name found or made last: the first name when a second link is made */
	uint8_t memo_name[256];
	size_t memo_len;
};

struct zpl_writer {
	struct zpl_writer *next;
	struct dataset *ds;
	uint64_t ino, data_id;   /* data_id 0: still a slice */
	uint64_t pos, psize;     /* psize: of records that came back already */
	uint64_t rec_off;
	uint32_t rec_bytes, len, cap;
	uint8_t *buf;
	bool records;            /* records even if it stays small */
};

/* The item of a pack. */
struct pack_item { uint64_t live_bytes, live_n; struct blkptr bp; };
struct rewrite;

/* state.c */
int zpl_state(struct dataset *ds, struct zpl **out, struct lcpfs_error *err);
/* Every change begins with this: may we, and is there room for `extra` more bytes? */
int zpl_begin(struct dataset *ds, enum spa_admit kind, uint64_t extra, struct lcpfs_error *err);
/*
 * Every change ends with this, with its result: dirty nodes within their share of memory. A change that fails for want of memory or
 * because something cannot be read, when the tree is no more what it was at its beginning (`mark`: btree_edits), can neither be finished
 * nor taken back: the handle is of no use any more. Returns rc, or what fails here.
 */
int zpl_end(struct dataset *ds, uint64_t mark, int rc, struct lcpfs_error *err);
/* The same where something was accepted before and is lost now. */
int zpl_lost(struct dataset *ds, int rc, const struct lcpfs_error *err);
size_t zpl_waiting_bytes(const struct zpl *z); /* not yet with the pipeline, or not back */
void zpl_count_block(struct dataset *ds, const struct blkptr *bp, int sign);
void zpl_count_inode(struct dataset *ds, int sign);
int zpl_name_check(const char *name, size_t len, struct lcpfs_error *err);

/* icache.c */
int zi_get(struct dataset *ds, uint64_t ino, struct zi **out, struct lcpfs_error *err);
/* A new inode (counted by the caller), with these TLVs. */
int zi_new(struct dataset *ds, uint64_t ino, const struct inode *i, const uint8_t *tlv, size_t tlv_len, struct lcpfs_error *err);
int zi_delete(struct dataset *ds, uint64_t ino, struct lcpfs_error *err);
int zi_flush(struct dataset *ds, struct lcpfs_error *err); /* all into the tree */
void zi_drop_all(struct zpl *z);
/* Of a content's owner, when it still owns that content; an unfinished writer's otherwise. */
int zi_add_psize(struct dataset *ds, uint64_t ino, uint64_t data_id, int64_t delta, struct lcpfs_error *err);

/* jobs.c */
/* buf is the pipeline's from now on, also on failure. */
int job_submit_record(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, void *buf, size_t len, bool fresh,
                      struct lcpfs_error *err);
/* The block is buf[from..from + len). */
int job_submit_pack(struct dataset *ds, uint64_t pack_id, struct pack_ent *ent, uint32_t n, void *buf, size_t from, size_t len,
                    struct lcpfs_error *err);
/* The content of block `old`, of a pack or the record at off of data_id, once more: rewrite_apply decides what comes of it. */
int job_submit_rewrite(struct dataset *ds, struct rewrite *re, bool pack, uint64_t id, uint64_t off, const struct blkptr *old, void *buf,
                       struct lcpfs_error *err);
/* Until nothing of this content is on its way. */
int jobs_reap_for(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err);
int jobs_reap_all(struct dataset *ds, struct lcpfs_error *err);
bool jobs_have(const struct zpl *z, uint64_t data_id);
void jobs_drop(struct zpl *z); /* waits, forgets */

/* pack.c */
int pack_add(struct dataset *ds, uint64_t data_id, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err);
/* The content of data_id, `len` bytes of pack `from`, goes into the open pack as well; the tree follows when that is back. */
int pack_move(struct dataset *ds, uint64_t data_id, uint64_t from, uint32_t charge, const void *data, size_t len, struct lcpfs_error *err);
int pack_close(struct dataset *ds, struct lcpfs_error *err);
struct pack_ent *pack_find(struct zpl *z, uint64_t data_id); /* in the open pack and nowhere else; NULL */
const uint8_t *pack_content(const struct zpl *z, const struct pack_ent *e);
void pack_forget(struct zpl *z, struct pack_ent *e);

/* compact.c */
int zpl_commit(struct dataset *ds, struct lcpfs_error *err); /* zpl_flush, with compaction: the dmu's hook */
void compact_note(struct zpl *z, uint64_t pack_id);          /* this pack has lost a content */
bool compact_half_dead(const struct pack_item *p);
bool compact_worth(const struct dataset *ds, const struct pack_item *p); /* half dead or small, and nothing forbids to empty it */
/* Its living contents go into the open pack. What makes no sense stays. */
int compact_move(struct dataset *ds, uint64_t id, const struct pack_item *p, struct lcpfs_error *err);

/* twin.c */
int late_settle(struct dataset *ds, struct lcpfs_error *err);

/* block.c */
bool zpl_block_cached(struct dataset *ds, const struct blkptr *bp);

/* content.c: contents by their number, whoever owns them */
/* 1: no such item. */
int pack_get(struct dataset *ds, uint64_t pack_id, struct pack_item *out, struct lcpfs_error *err);
int pack_decode(struct pack_item *out, const struct bt_item *it, struct lcpfs_error *err);
int slice_lookup(struct dataset *ds, uint64_t data_id, struct slice *out, struct lcpfs_error *err);
/* One slice, of `len` bytes, names this pack no more; with none left it goes. */
int pack_lower(struct dataset *ds, uint64_t pack_id, uint32_t len, struct lcpfs_error *err);
/* off + len <= size. sliced: it is a slice, absence is damage; else holes are zeros. */
int content_read(struct dataset *ds, uint64_t data_id, bool sliced, uint64_t size, uint64_t off, uint8_t *buf, size_t len,
                 struct lcpfs_error *err);
/* The owner lets go: it disappears, or has one sharer less. */
int content_drop(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err);
int content_settle(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err); /* flushes when some of it is on its way */
/* 0: sole owner, 1: there are others. */
int content_shared(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err);
int content_share(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err); /* one more sharer */
/* A number for new content of the inode, (4). */
int content_number(struct dataset *ds, struct zi *zi, uint64_t *out, struct lcpfs_error *err);

/* extent.c */
struct extent { uint64_t off; uint32_t len; struct blkptr bp; };
/* The cursor at the first extent that ends after off; at the next one. 1: none. */
int extent_seek(struct dataset *ds, struct bt_cursor *c, uint64_t data_id, uint64_t off, struct extent *e, struct lcpfs_error *err);
int extent_next(struct bt_cursor *c, uint64_t data_id, struct extent *e, struct lcpfs_error *err);
/* Those that end after off and begin before end, up to `max`. What is on its way is not among them (content_settle). */
int extents_list(struct dataset *ds, uint64_t data_id, uint64_t off, uint64_t end, struct extent *v, size_t max, size_t *n,
                 struct lcpfs_error *err);
/* Bytes from..to of an extent, all of them straight into buf when it is not cached. */
int extent_read(struct dataset *ds, const struct extent *e, uint32_t from, uint32_t to, uint8_t *buf, struct lcpfs_error *err);
/* One goes. ino: whose psize follows; 0: nobody's. */
int extent_drop(struct dataset *ds, uint64_t ino, uint64_t data_id, const struct extent *e, struct lcpfs_error *err);
int extents_read(struct dataset *ds, uint64_t data_id, uint64_t off, uint8_t *buf, size_t len, struct lcpfs_error *err);
/* All that begin at or after `from`. ino: whose psize follows; 0: nobody's. */
int extents_drop(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t from, struct lcpfs_error *err);
/* Records only: nothing from size on; no record at off. */
int content_cut(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t size, struct lcpfs_error *err);
int content_hole(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, struct lcpfs_error *err);
int content_next_data(struct dataset *ds, uint64_t data_id, uint64_t size, uint64_t *off, uint64_t *len, struct lcpfs_error *err);
/* 1: a record of R bytes at `off` would cut an extent that is there. */
int content_off_grid(struct dataset *ds, uint64_t data_id, uint64_t off, uint32_t rec_bytes, struct lcpfs_error *err);

/* grid.c: extents that do not lie where records do. carve: none lies on from..to any more, nor is one on its way. */
int content_carve(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t from, uint64_t to, struct lcpfs_error *err);
/* The record of r bytes at `off` is in one extent, or in none. */
int content_regrid(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, uint32_t r, uint64_t size, struct lcpfs_error *err);

/* share.c: the first `limit` bytes of what the file shares with others become its own, block by block. */
int content_unshare(struct dataset *ds, uint64_t ino, uint64_t limit, enum spa_admit kind, struct lcpfs_error *err);

/* open.c */
bool open_is(const struct zpl *z, uint64_t ino);
int open_flush(struct dataset *ds, struct lcpfs_error *err);
void open_forget(struct zpl *z);
/* Open all of a small file; a record of which from..to will be overwritten. Then change what is open. */
int open_slice(struct dataset *ds, uint64_t ino, struct lcpfs_error *err);
int open_record(struct dataset *ds, uint64_t ino, uint64_t off, uint32_t rec_bytes, uint32_t from, uint32_t to, struct lcpfs_error *err);
int open_put(struct dataset *ds, uint32_t at, const void *data, size_t len, struct lcpfs_error *err);
int open_resize(struct dataset *ds, uint32_t len, struct lcpfs_error *err);
/* New content of `len` bytes replaces what the inode had, as a slice. */
int slice_install(struct dataset *ds, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err);

/* write.c */
uint32_t rec_bytes_of(const struct dataset *ds, const struct inode *i);
/* The file's content is kept in records and nobody else's, however little it is; nothing of it is open. */
int content_to_records(struct dataset *ds, uint64_t ino, struct lcpfs_error *err);

/* names.c */
int zpl_dir_get(struct dataset *ds, uint64_t dir, struct zi **zi, struct lcpfs_error *err); /* LCPFS_ENOTDIR */
int zpl_touch_dir(struct dataset *ds, uint64_t dir, const struct itime *now, int nlink, struct lcpfs_error *err);
/* 1: no such name. */
int zpl_entry_get(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t *ino, uint8_t *type, struct lcpfs_error *err);
int zpl_entry_put(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t ino, uint32_t mode, unsigned flags,
                  struct lcpfs_error *err);
int zpl_entry_del(struct dataset *ds, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err);
/* The name goes, and with the last one the file; checks and the directory's times are the caller's. */
int zpl_drop_name(struct dataset *ds, uint64_t dir, const char *name, size_t len, uint64_t ino, const struct itime *now, struct lcpfs_error *err);
/* links.c: LINK items. first: 1 when there is none; name has room for 255. settle: after a name came or went. */
int zpl_link_put(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err);
int zpl_link_del(struct dataset *ds, uint64_t ino, uint64_t dir, const char *name, size_t len, struct lcpfs_error *err);
int zpl_first_link(struct dataset *ds, uint64_t ino, uint64_t *parent, uint8_t *name, size_t *len, struct lcpfs_error *err);
int zpl_links_settle(struct dataset *ds, uint64_t ino, struct lcpfs_error *err);
/* The name that ino has in dir; room for 255. */
int zpl_name_in(struct dataset *ds, uint64_t dir, uint64_t ino, uint8_t *name, size_t *len, struct lcpfs_error *err);
/* xattr.c */
int zpl_xattr_drop_all(struct dataset *ds, uint64_t ino, struct lcpfs_error *err);
#endif
