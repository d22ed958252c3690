/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that share content. Within a dataset two files can have one content (its number is in both, DATAREF counts): nothing depends on the size. Otherwise,
 * and when one of them is about to change, each block of the one is referred to by the other too (spa_share).
 *
 * Sharing block by block is one change however long the content is: items are written early when they get too many, what is queued for REF is settled
 * when it is full, and room is asked for on the way. Where that ends, what was made is dropped again and the file has what it had.
 */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BATCH 256u
#define ITEM_BYTES 192u  /* what an extent's item and its reference take, at most */
#define COPY_BYTES (1u << 20)

/* Bytes at..end of content from_id, which go to dst.. of content to_id of file ino. */
struct share {
	struct dataset *from, *to;
	uint64_t from_id, to_id, ino, at, end, dst;
	enum spa_admit kind;
};

static int put_shared(const struct share *s, const struct extent *e, struct lcpfs_error *err)
{
	uint8_t key[17], val[4];
	size_t klen = item_key_u64(key, ITEM_EXTENT, s->to_id, s->dst + (e->off - s->at));
	struct blkptr bp;
	int rc = spa_share(s->to->spa, &e->bp, &bp, err);

	if (rc)
		return rc;
	le_store(val, 4, bp.lsize);
	rc = btree_put(s->to->tree, key, klen, val, sizeof val, &bp, 1, BT_NEW, err);
	if (rc) {
		spa_free(s->to->spa, &bp, NULL);
		return rc;
	}
	zpl_count_block(s->to, &bp, 1);
	return zi_add_psize(s->to, s->ino, s->to_id, (int64_t)ptr_charge(&bp), err);
}

static int put_copy(const struct share *s, const struct extent *e, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	size_t n = (size_t)(to - from);
	uint8_t *buf = malloc(n);
	int rc = buf ? extent_read(s->from, e, (uint32_t)(from - e->off), (uint32_t)(to - e->off), buf, err) : lcpfs_nomem(err);

	if (!rc && !is_all_zero(buf, n))
		return job_submit_record(s->to, s->ino, s->to_id, s->dst + (from - s->at), buf, n, true, err);
	free(buf);
	return rc;
}

static int share_extents(const struct share *s, struct lcpfs_error *err)
{
	struct extent *v = malloc(BATCH * sizeof *v);
	size_t n = BATCH;
	uint64_t mark = btree_edits(s->to->tree);
	int rc = v ? 0 : lcpfs_nomem(err);

	for (uint64_t at = s->at; !rc && n == BATCH && at < s->end; at = v[BATCH - 1].off + v[BATCH - 1].len) {
		rc = zpl_begin(s->to, s->kind, BATCH * ITEM_BYTES, err);
		if (!rc)
			rc = extents_list(s->from, s->from_id, at, s->end, v, BATCH, &n, err);
		for (size_t i = 0; !rc && i < n; i++) {
			uint64_t from = MAX(v[i].off, s->at), to = MIN(v[i].off + v[i].len, s->end);

			rc = to - from == v[i].len ? put_shared(s, &v[i], err) : put_copy(s, &v[i], from, to, err);
		}
		rc = zpl_end(s->to, mark, rc, err);
	}
	free(v);
	/* what is on its way and does not lie where a record does must be in the tree before a record is written */
	return rc ? rc : content_settle(s->to, s->to_id, err);
}

/* ---- a whole content ---- */

/* What an inode says of its content. */
static void set_content(struct zi *zi, const struct inode *like)
{
	zi->i.data_id = like->data_id;
	zi->i.size = like->size;
	zi->i.psize = like->psize;
	zi->i.rec_shift = like->rec_shift;
	zi->i.flags = (zi->i.flags & ~(uint32_t)INODE_SLICED) | (like->flags & INODE_SLICED);
	zi->dirty = true;
}

static int install(struct dataset *ds, uint64_t ino, const struct inode *like, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc)
		set_content(zi, like);
	return rc;
}

/* The file gets the first s->end bytes of s->from_id as a new content, in records of 2^shift bytes, and lets go of the one it has. */
static int take_content(struct share *s, uint8_t shift, struct lcpfs_error *err)
{
	struct inode old, new = { .size = s->end, .rec_shift = shift };
	struct zi *zi;
	int rc = zi_get(s->to, s->ino, &zi, err);

	if (rc)
		return rc;
	old = zi->i;
	rc = content_number(s->to, zi, &s->to_id, err);
	new.data_id = s->to_id;
	if (!rc)
		rc = install(s->to, s->ino, &new, err);
	if (rc)
		return rc;
	rc = share_extents(s, err);
	if (!rc)
		return old.data_id == s->to_id ? 0 : content_drop(s->to, old.data_id, err);
	if (!content_drop(s->to, s->to_id, NULL))
		install(s->to, s->ino, &old, NULL);
	return rc;
}

int content_unshare(struct dataset *ds, uint64_t ino, uint64_t limit, enum spa_admit kind, struct lcpfs_error *err)
{
	struct share s = { .from = ds, .to = ds, .ino = ino, .end = limit, .kind = kind };
	struct inode i;
	int rc = open_is(ds->zpl, ino) ? open_flush(ds, err) : 0;

	if (!rc)
		rc = zpl_inode_get(ds, ino, &i, err);
	s.from_id = i.data_id;
	if (!rc)
		rc = content_settle(ds, i.data_id, err);
	return rc ? rc : take_content(&s, i.rec_shift, err);
}

/* ---- files ---- */

static int get_regular(struct dataset *ds, uint64_t ino, struct inode *i, struct lcpfs_error *err)
{
	int rc = zpl_inode_get(ds, ino, i, err);

	if (!rc && !S_ISREG(i->mode))
		rc = lcpfs_fail(err, S_ISDIR(i->mode) ? LCPFS_EISDIR : LCPFS_EINVAL, "contents are shared between regular files");
	return rc;
}

/* Both are regular files; everything of theirs is written out. */
static int begin(struct dataset *src, uint64_t from, struct inode *i, struct dataset *ds, uint64_t to, struct inode *j, struct lcpfs_error *err)
{
	int rc = 0;

	if (src->spa != ds->spa)
		return lcpfs_fail(err, LCPFS_EXDEV, "contents can be shared within one pool only");
	rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);
	if (!rc && src->writable)
		rc = zpl_flush(src, err);
	if (!rc)
		rc = zpl_flush(ds, err);
	if (!rc)
		rc = get_regular(src, from, i, err);
	return rc ? rc : get_regular(ds, to, j, err);
}

static int share_number(struct dataset *ds, const struct inode *i, uint64_t to, const struct inode *old, struct lcpfs_error *err)
{
	int rc;

	if (old->data_id == i->data_id)
		return install(ds, to, i, err);
	rc = content_share(ds, i->data_id, err);
	if (!rc)
		rc = content_drop(ds, old->data_id, err);
	return rc ? rc : install(ds, to, i, err);
}

/* len bytes are read here and written there. */
static int copy_range(struct dataset *src, uint64_t from, uint64_t off, uint64_t len, struct dataset *ds, uint64_t to, uint64_t at,
                      struct zpl_writer *w, struct lcpfs_error *err)
{
	uint8_t *buf = malloc(COPY_BYTES);
	size_t got = 1;
	int rc = buf ? 0 : lcpfs_nomem(err);

	for (; !rc && len && got; off += got, at += got, len -= got) {
		rc = zpl_read(src, from, off, buf, (size_t)MIN(len, COPY_BYTES), &got, err);
		if (!rc && got)
			rc = w ? zpl_writer_write(w, at, buf, got, err) : zpl_write(ds, to, at, buf, got, err);
	}
	free(buf);
	return rc;
}

/* A content that is no longer than a pack. */
static int copy_file(struct dataset *src, uint64_t from, uint64_t size, struct dataset *ds, uint64_t to, struct lcpfs_error *err)
{
	struct zpl_writer *w;
	int rc = zpl_writer_open(&w, ds, to, size, err);

	if (rc)
		return rc;
	rc = copy_range(src, from, 0, size, ds, to, 0, w, err);
	if (!rc)
		return zpl_writer_finish(w, size, err);
	zpl_writer_abort(w);
	return rc;
}

int zpl_share(struct dataset *src, uint64_t from, struct dataset *ds, uint64_t to, struct lcpfs_error *err)
{
	struct share s = { .from = src, .to = ds, .ino = to, .kind = ADMIT_NORMAL };
	struct inode i, j;
	int rc = begin(src, from, &i, ds, to, &j, err);
	uint64_t mark = btree_edits(ds->tree);

	if (rc || (src == ds && from == to))
		return rc;
	s.from_id = i.data_id;
	s.end = i.size;
	/* an empty file has no content, though it may have a number for its first */
	if (!i.size)
		rc = slice_install(ds, to, NULL, 0, err);
	else if (src == ds)
		rc = share_number(ds, &i, to, &j, err);
	else if (i.flags & INODE_SLICED)
		rc = copy_file(src, from, i.size, ds, to, err);
	else
		rc = take_content(&s, i.rec_shift, err);
	return zpl_end(ds, mark, rc, err);
}

static int check_range(const struct inode *i, uint64_t off, uint64_t len, uint64_t at, bool same, struct lcpfs_error *err)
{
	if (off > i->size || len > i->size - off)
		return lcpfs_fail(err, LCPFS_EINVAL, "%" PRIu64 " bytes at %" PRIu64 " of a file of %" PRIu64, len, off, i->size);
	if (at > (uint64_t)FILE_MAX || len > (uint64_t)FILE_MAX - at)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a file of more than %" PRId64 " bytes", FILE_MAX);
	if (same && off < at + len && at < off + len)
		return lcpfs_fail(err, LCPFS_EINVAL, "the two ranges of the file overlap");
	return 0;
}

/* Is it a small file, and stays one? */
static bool stays_small(const struct dataset *ds, const struct inode *j, uint64_t end)
{
	return ((j->flags & INODE_SLICED) || !j->size) && MAX(j->size, end) <= ds->info.slice_max;
}

static int share_range(struct share *s, uint64_t from, struct lcpfs_error *err)
{
	uint64_t end = s->dst + (s->end - s->at);
	struct inode i, j;
	struct zi *zi;
	int rc = content_to_records(s->to, s->ino, err);

	/* it may have given the source, too, a new content */
	if (!rc)
		rc = zpl_inode_get(s->from, from, &i, err);
	if (!rc)
		rc = zpl_inode_get(s->to, s->ino, &j, err);
	if (rc)
		return rc;
	s->from_id = i.data_id;
	s->to_id = j.data_id;
	rc = content_carve(s->to, s->ino, s->to_id, s->dst, end, err);
	if (!rc)
		rc = zi_get(s->to, s->ino, &zi, err);
	if (rc)
		return rc;
	zi->i.size = MAX(zi->i.size, end);
	zi->dirty = true;
	return share_extents(s, err);
}

int zpl_share_range(struct dataset *src, uint64_t from, uint64_t off, uint64_t len, struct dataset *ds, uint64_t to, uint64_t at,
                    struct lcpfs_error *err)
{
	struct share s = { .from = src, .to = ds, .ino = to, .at = off, .end = off + len, .dst = at, .kind = ADMIT_NORMAL };
	struct inode i, j;
	int rc = begin(src, from, &i, ds, to, &j, err);
	uint64_t mark = btree_edits(ds->tree);

	if (!rc)
		rc = check_range(&i, off, len, at, src == ds && from == to, err);
	if (rc || !len)
		return rc;
	if ((i.flags & INODE_SLICED) || stays_small(ds, &j, at + len))
		rc = copy_range(src, from, off, len, ds, to, at, NULL, err);
	else
		rc = share_range(&s, from, err);
	return zpl_end(ds, mark, rc, err);
}
