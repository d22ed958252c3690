/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry over a file that exists: change what differs, and only that.
 *
 * Content that has to be read anyway is compared on its way; nothing is written up to the first difference, where the part
 * that was equal is copied from the old content. So an equal file keeps its blocks, which snapshots may share.
 *
 * A file with several names is not changed under the others (which the source may not have, or may have apart): a name
 * whose file differs is given a file of its own.
 */
#include "import/import.h"
#include "base/error.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct itime itime_of(const struct entry_time *t)
{
	return (struct itime){ .sec = t->sec, .nsec = t->nsec };
}

static bool same_time(const struct itime *a, const struct itime *b)
{
	return a->sec == b->sec && a->nsec == b->nsec;
}

static bool before(const struct itime *a, const struct itime *b)
{
	return a->sec < b->sec || (a->sec == b->sec && a->nsec < b->nsec);
}

void sink_attr(const struct ds_sink *k, const struct entry *e, struct inode *out)
{
	*out = (struct inode){ .mode = e->mode, .uid = e->uid, .gid = e->gid };
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
		out->rdev = (uint64_t)e->rdev_major << 32 | e->rdev_minor;
	out->mtime = e->flags & ENTRY_HAS_MTIME ? itime_of(&e->mtime) : k->o.now;
	out->atime = e->flags & ENTRY_HAS_ATIME ? itime_of(&e->atime) : out->mtime;
	out->ctime = e->flags & ENTRY_HAS_CTIME ? itime_of(&e->ctime) : out->mtime;
	if (e->flags & ENTRY_HAS_BTIME)
		out->btime = itime_of(&e->btime);
}

/* Times that the source does not know are no difference; atime alone is none either, a mere look changes it. */
static bool attrs_equal(const struct entry *e, const struct inode *want, const struct inode *old)
{
	if (want->mode != old->mode || want->uid != old->uid || want->gid != old->gid)
		return false;
	if (e->flags & ENTRY_HAS_MTIME && !same_time(&want->mtime, &old->mtime))
		return false;
	if (e->flags & ENTRY_HAS_CTIME && !same_time(&want->ctime, &old->ctime))
		return false;
	return !(e->flags & ENTRY_HAS_BTIME) || same_time(&want->btime, &old->btime);
}

static int put_attrs(struct ds_sink *k, uint64_t ino, const struct inode *want, const struct inode *old, struct lcpfs_error *err)
{
	struct inode in = *old;

	in.mode = want->mode;
	in.uid = want->uid;
	in.gid = want->gid;
	in.atime = want->atime;
	in.mtime = want->mtime;
	in.ctime = want->ctime;
	if (k->e->flags & ENTRY_HAS_BTIME)
		in.btime = want->btime;
	sink_changed(k);
	return zpl_inode_put(k->ds, ino, &in, err);
}

int sink_need_xattrs(struct ds_sink *k, struct lcpfs_error *err)
{
	int rc;

	if (!(k->e->flags & ENTRY_XATTR_LATER) || k->x == &k->later)
		return 0;
	rc = k->e->later->xattr(k->e->later, &k->later, err);
	entry_sort_xattr(&k->later);
	k->x = &k->later;
	return rc;
}

static int gather_xattr(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	return entry_add_xattr(arg, name, value, len, err);
}

/* Both sorted by name. apply: make the inode's those of the entry; otherwise only *differ is set. */
static int merge_xattrs(struct ds_sink *k, uint64_t ino, const struct entry *have, bool apply, bool *differ, struct lcpfs_error *err)
{
	const struct entry *want = k->x;
	size_t i = 0, j = 0;
	int rc = 0;

	while (!rc && (i < have->n_xattr || j < want->n_xattr)) {
		const struct entry_xattr *h = i < have->n_xattr ? &have->xattr[i] : NULL;
		const struct entry_xattr *w = j < want->n_xattr ? &want->xattr[j] : NULL;
		int order = !h ? 1 : !w ? -1 : strcmp(h->name, w->name);

		i += order <= 0;
		j += order >= 0;
		if (order == 0 && h->len == w->len && memcmp(h->value, w->value, h->len) == 0)
			continue;
		*differ = true;
		if (apply)
			rc = order < 0 ? zpl_xattr_remove(k->ds, ino, h->name, err)
			               : zpl_xattr_set(k->ds, ino, w->name, w->value, w->len, err);
	}
	return rc;
}

static int compare_xattrs(struct ds_sink *k, uint64_t ino, uint32_t n_old, bool apply, bool *differ, struct lcpfs_error *err)
{
	struct entry have = { 0 };
	int rc = sink_need_xattrs(k, err);

	*differ = false;
	if (rc || (!n_old && !k->x->n_xattr))
		return rc;
	if (n_old)
		rc = zpl_xattr_each(k->ds, ino, gather_xattr, &have, err);
	entry_sort_xattr(&have);
	if (!rc)
		rc = merge_xattrs(k, ino, &have, apply, differ, err);
	entry_fini(&have);
	return rc;
}

/* Nothing happened to the file since the run before, by its times: it is as it was then, attributes and all. */
static bool is_trusted(const struct ds_sink *k, const struct inode *want, const struct inode *old)
{
	const struct entry *e = k->e;

	return k->o.trust && e->flags & ENTRY_HAS_MTIME && e->flags & ENTRY_HAS_CTIME && e->size == (S_ISREG(old->mode) ? old->size : 0) &&
	       same_time(&want->mtime, &old->mtime) && same_time(&want->ctime, &old->ctime) &&
	       before(&want->mtime, &k->o.trust_before) && before(&want->ctime, &k->o.trust_before);
}

/* inode_put comes first: the attributes' own bookkeeping is in the inode too. */
int sink_update_attrs(struct ds_sink *k, uint64_t ino, const struct inode *old, struct lcpfs_error *err)
{
	struct inode want;
	bool differ = false;
	int rc = 0;

	sink_attr(k, k->e, &want);
	if (!attrs_equal(k->e, &want, old))
		rc = put_attrs(k, ino, &want, old, err);
	if (!rc && !is_trusted(k, &want, old))
		rc = compare_xattrs(k, ino, old->n_xattr, true, &differ, err);
	if (!rc && differ)
		sink_changed(k);
	return rc;
}

static int replace(struct ds_sink *k, bool is_dir, struct lcpfs_error *err)
{
	int rc = sink_remove(k, is_dir, err);

	return rc ? rc : sink_create(k, err);
}

/* What cannot be changed in place: type, target, device. Content is not looked at. */
static int same_thing(struct ds_sink *k, uint64_t ino, const struct inode *old, bool *same, struct lcpfs_error *err)
{
	struct inode want;
	char *target;
	int rc;

	sink_attr(k, k->e, &want);
	*same = (want.mode & S_IFMT) == (old->mode & S_IFMT);
	if (*same && (S_ISCHR(want.mode) || S_ISBLK(want.mode)))
		*same = want.rdev == old->rdev;
	if (!*same || !S_ISLNK(want.mode))
		return 0;
	rc = zpl_readlink(k->ds, ino, &target, err);
	if (rc)
		return rc;
	*same = strcmp(target, k->e->link) == 0;
	free(target);
	return 0;
}

/* Whether a file of several names must leave them: it differs, or the source has another name of it as a file apart. */
static int must_part(struct ds_sink *k, uint64_t ino, const struct inode *old, bool *part, struct lcpfs_error *err)
{
	struct inode want;
	bool differ;
	int rc;

	sink_attr(k, k->e, &want);
	*part = !attrs_equal(k->e, &want, old) || (S_ISREG(old->mode) && k->e->size != old->size);
	if (!*part)
		*part = inoset_has(&k->linked, ino) && !inomap_get(&k->names, k->dir, k->name, k->name_len);
	if (*part || is_trusted(k, &want, old))
		return 0;
	rc = compare_xattrs(k, ino, old->n_xattr, false, &differ, err);
	*part = differ;
	return rc;
}

/* A small file of equal size that was written since, by its time: is it to be compared? */
static bool pace_allows(struct ds_sink *k, const struct inode *old)
{
	uint64_t pack = k->ds->info.pack_size;
	struct inode want;

	if (!(old->flags & INODE_SLICED) || !(k->e->flags & ENTRY_HAS_MTIME))
		return true;
	sink_attr(k, k->e, &want);
	if (same_time(&want.mtime, &old->mtime))
		return true;
	k->pace += old->size;
	if (k->pace < pack)
		return false;
	k->pace -= pack;
	return true;
}

/* A comparison found nothing: it was worth its price. */
static void pace_earn(struct ds_sink *k)
{
	uint64_t pack = k->ds->info.pack_size;

	if (k->old.flags & INODE_SLICED)
		k->pace = MIN(k->pace + 2 * pack, 4 * (uint64_t)PACE_PACKS * pack);
}

static void over_regular(struct ds_sink *k, uint64_t ino, const struct inode *old)
{
	k->ino = ino;
	k->old = *old;
	k->content = CONTENT_NEW;
	if (k->e->size != old->size) {
		sink_changed(k);
	} else if (pace_allows(k, old)) {
		k->compared++;
		k->content = CONTENT_COMPARE;
		k->like = ino;
		k->like_size = old->size;
	}
}

int sink_over(struct ds_sink *k, uint64_t ino, struct lcpfs_error *err)
{
	struct inode old, want;
	bool same, part = false;
	int rc = zpl_inode_get(k->ds, ino, &old, err);

	if (!rc)
		rc = same_thing(k, ino, &old, &same, err);
	if (rc)
		return rc;
	if (!same)
		return replace(k, S_ISDIR(old.mode), err);
	if (!S_ISDIR(old.mode) && old.nlink > 1) {
		rc = must_part(k, ino, &old, &part, err);
		if (rc)
			return rc;
		if (part)
			return replace(k, false, err);
	}
	sink_attr(k, k->e, &want);
	rc = sink_note(k, ino, k->dir, k->name, k->name_len, !S_ISDIR(old.mode) && old.nlink > 1, err);
	if (!rc)
		rc = sink_update_attrs(k, ino, &old, err);
	if (!rc && S_ISREG(old.mode) && !is_trusted(k, &want, &old))
		over_regular(k, ino, &old);
	return rc;
}

static int need_tmp(struct ds_sink *k, struct lcpfs_error *err)
{
	if (!k->tmp)
		k->tmp = malloc(SINK_TMP);
	return k->tmp ? 0 : lcpfs_nomem(err);
}

/* The next piece of old data in [*off, end), at most SINK_TMP bytes, into k->tmp. *len = 0: none. */
static int old_piece(struct ds_sink *k, uint64_t ino, uint64_t *off, uint64_t end, size_t *len, struct lcpfs_error *err)
{
	uint64_t run = 0;
	int rc;

	*len = 0;
	rc = need_tmp(k, err);
	if (!rc)
		rc = *off < end ? zpl_next_data(k->ds, ino, off, &run, err) : 1;
	if (rc)
		return rc == 1 ? 0 : rc;
	if (*off >= end)
		return 0;
	run = MIN(MIN(run, end - *off), SINK_TMP);
	return zpl_read(k->ds, ino, *off, k->tmp, run, len, err);
}

/* 1: the old content has only zeros in [off, end). */
static int old_is_zero(struct ds_sink *k, uint64_t off, uint64_t end, struct lcpfs_error *err)
{
	for (;;) {
		size_t len;
		int rc = old_piece(k, k->like, &off, end, &len, err);

		if (rc)
			return rc;
		if (!len)
			return 1;
		if (!is_all_zero(k->tmp, len))
			return 0;
		off += len;
	}
}

/* 1: the old content is the same in [k->pos, off + len), where the new one has a hole up to off. */
static int old_is_equal(struct ds_sink *k, uint64_t off, const uint8_t *buf, size_t len, struct lcpfs_error *err)
{
	int rc = off > k->pos ? old_is_zero(k, k->pos, off, err) : 1;

	if (rc == 1)
		rc = need_tmp(k, err) ? -LCPFS_ENOMEM : 1;
	while (rc == 1 && len) {
		size_t n = MIN(len, SINK_TMP), got = 0;

		rc = zpl_read(k->ds, k->like, off, k->tmp, n, &got, err);
		if (rc)
			return rc;
		rc = got == n && memcmp(k->tmp, buf, n) == 0;
		off += n;
		buf += n;
		len -= n;
	}
	return rc;
}

static int open_writer(struct ds_sink *k, struct lcpfs_error *err)
{
	return k->w ? 0 : zpl_writer_open(&k->w, k->ds, k->ino, k->e->size, err);
}

/* The contents differ from k->pos on: the file (or a new one, if others share it) gets new content, beginning with what was equal. */
static int start_rewrite(struct ds_sink *k, struct lcpfs_error *err)
{
	uint64_t old_ino = k->like;
	size_t len;
	int rc = k->old.nlink > 1 ? replace(k, false, err) : 0;

	/* those that follow are rather like this one than like one that was unlike */
	if (k->content == CONTENT_TWIN)
		twins_renew(&k->twins, k->twin_hash, k->ino);
	k->content = CONTENT_NEW;
	sink_changed(k);
	if (!rc)
		rc = open_writer(k, err);
	for (uint64_t off = 0; !rc; off += len) {
		rc = old_piece(k, old_ino, &off, k->pos, &len, err);
		if (rc || !len)
			break;
		rc = zpl_writer_write(k->w, off, k->tmp, len, err);
	}
	return rc;
}

int sink_share(struct ds_sink *k, struct lcpfs_error *err)
{
	k->content = CONTENT_NONE;
	sink_changed(k);
	return zpl_share(k->o.share, k->e->ino, k->ds, k->ino, err);
}

#define TWIN_MIN 32u /* less is not worth an item that counts sharers */

/* The first piece of a new content: is there a file that begins like it? */
static int meet(struct ds_sink *k, uint64_t off, const void *piece, size_t len, struct lcpfs_error *err)
{
	struct inode in;
	uint64_t first;
	int rc;

	if (off || k->e->size < len)
		return 0;
	k->twin_hash = twins_hash(k->e->size, piece, len);
	first = twins_meet(&k->twins, k->twin_hash, k->ino);
	rc = first ? zpl_inode_get(k->ds, first, &in, err) : 1;
	if (!rc && S_ISREG(in.mode) && in.size == k->e->size && in.data_id) {
		k->content = CONTENT_TWIN;
		k->like = first;
		k->like_size = in.size;
	} else if (first && (!rc || rc == -LCPFS_ENOENT)) {
		twins_renew(&k->twins, k->twin_hash, k->ino);
	}
	return rc < 0 && rc != -LCPFS_ENOENT ? rc : 0;
}

/* 1: the piece is to be written. */
static int before_write(struct ds_sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	uint64_t end;
	int rc = 0;

	if (add_overflow(off, len, &end) || end > FILE_MAX || off < k->pos)
		return lcpfs_fail(err, LCPFS_EINVAL, "content at a place where it cannot be");
	if (k->content == CONTENT_NEW && !k->w && !k->pos && k->o.twins_bytes && len >= TWIN_MIN)
		rc = meet(k, off, buf, len, err);
	if (!rc && k->content >= CONTENT_COMPARE) {
		rc = old_is_equal(k, off, buf, len, err);
		if (rc == 1) {
			k->pos = end;
			return 0;
		}
		rc = rc ? rc : start_rewrite(k, err);
	}
	return rc ? rc : 1;
}

static int write_piece(struct ds_sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = open_writer(k, err);

	if (!rc)
		rc = zpl_writer_write(k->w, off, buf, len, err);
	k->pos = off + len;
	return rc;
}

int sink_write(struct ds_sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = before_write(k, off, buf, len, err);

	return rc == 1 ? write_piece(k, off, buf, len, err) : rc;
}

/* A content that is all here needs no writer, which would gather it first. */
int sink_whole(struct ds_sink *k, const void *buf, size_t len, struct lcpfs_error *err)
{
	bool all = len >= k->e->size || k->e->flags & ENTRY_DATA_UNREAD;
	int rc = before_write(k, 0, buf, len, err);

	if (rc != 1)
		return rc;
	if (k->w || !all || len > k->ds->info.slice_max || k->e->size > k->ds->info.slice_max)
		return write_piece(k, 0, buf, len, err);
	k->content = CONTENT_NONE;
	return zpl_slice_put(k->ds, k->ino, buf, len, err);
}

/* The source could not read its file: content that was there and is not known to differ stays, with the times it belongs to. */
static int keep_old_content(struct ds_sink *k, struct lcpfs_error *err)
{
	struct inode in;
	int rc = zpl_inode_get(k->ds, k->ino, &in, err);

	if (rc)
		return rc;
	in.mtime = k->old.mtime;
	in.ctime = k->old.ctime;
	return zpl_inode_put(k->ds, k->ino, &in, err);
}

int sink_end_content(struct ds_sink *k, struct lcpfs_error *err)
{
	bool unread = k->e->flags & ENTRY_DATA_UNREAD;
	uint64_t size = unread ? k->pos : MAX(k->pos, k->e->size);
	struct zpl_writer *w;
	int rc;

	if (unread && !k->w && k->old.mode)
		return keep_old_content(k, err);
	if (k->content >= CONTENT_COMPARE) {
		rc = size == k->like_size ? old_is_zero(k, k->pos, size, err) : 0;
		if (rc == 1 && k->content == CONTENT_TWIN)
			return zpl_twin(k->ds, k->like, k->ino, err);
		if (rc == 1)
			pace_earn(k);
		if (rc)
			return rc == 1 ? 0 : rc;
		rc = start_rewrite(k, err);
		if (rc)
			return rc;
	} else if (!k->w && size == 0 && k->old.size == 0) {
		return 0;
	}
	rc = open_writer(k, err);
	if (rc)
		return rc;
	w = k->w;
	k->w = NULL;
	return zpl_writer_finish(w, size, err);
}
