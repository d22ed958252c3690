/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing any part of a file. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

enum mode { EMPTY, SLICE, RECORDS };

/* How the file's content is kept, what is open included. */
static enum mode mode_of(const struct zpl *z, uint64_t ino, const struct inode *i)
{
	if (open_is(z, ino))
		return z->open.kind == OPEN_SLICE ? SLICE : RECORDS;
	if (i->flags & INODE_SLICED)
		return SLICE;
	return i->rec_shift || i->size ? RECORDS : EMPTY;
}

uint32_t rec_bytes_of(const struct dataset *ds, const struct inode *i)
{
	return i->rec_shift ? 1u << i->rec_shift : ds->info.record_size;
}

static int regular(struct dataset *ds, uint64_t ino, struct zi **zi, struct lcpfs_error *err)
{
	int rc = zi_get(ds, ino, zi, err);

	if (rc || S_ISREG((*zi)->i.mode))
		return rc;
	if (S_ISDIR((*zi)->i.mode))
		return lcpfs_fail(err, LCPFS_EISDIR, "is a directory");
	return lcpfs_fail(err, LCPFS_EINVAL, "not a regular file");
}

/* The open content answers for all of a slice, and for what lies within the record. */
static bool read_open(const struct zpl *z, uint64_t ino, uint64_t off, uint8_t *buf, size_t len)
{
	const struct open_content *o = &z->open;
	uint64_t at, have;

	if (!open_is(z, ino) || off < o->off || off - o->off + len > (o->kind == OPEN_SLICE ? o->len : o->cap))
		return false;
	at = off - o->off;
	have = at < o->len ? MIN(o->len - at, len) : 0;
	memcpy(buf, o->buf + at, have);
	memset(buf + have, 0, len - have);
	return true;
}

int zpl_read(struct dataset *ds, uint64_t ino, uint64_t off, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct zi *zi;
	struct inode i;
	int rc = regular(ds, ino, &zi, err);

	*got = 0;
	if (rc || off >= zi->i.size)
		return rc;
	len = MIN(len, zi->i.size - off);
	if (!read_open(ds->zpl, ino, off, buf, len)) {
		if (open_is(ds->zpl, ino))
			rc = open_flush(ds, err);
		if (!rc)
			rc = zpl_inode_get(ds, ino, &i, err);
		if (!rc)
			rc = content_read(ds, i.data_id, i.flags & INODE_SLICED, i.size, off, buf, len, err);
	}
	if (!rc)
		*got = len;
	return rc ? lcpfs_within(err, rc, "inode %" PRIu64, ino) : 0;
}

int zpl_next_data(struct dataset *ds, uint64_t ino, uint64_t *off, uint64_t *len, struct lcpfs_error *err)
{
	struct zi *zi;
	struct inode i;
	int rc = regular(ds, ino, &zi, err);

	if (rc)
		return rc;
	if (*off >= zi->i.size)
		return 1;
	if (mode_of(ds->zpl, ino, &zi->i) == SLICE) {
		*len = zi->i.size - *off;
		return 0;
	}
	if (open_is(ds->zpl, ino) && (rc = open_flush(ds, err)))
		return rc;
	rc = zpl_inode_get(ds, ino, &i, err);
	return rc ? rc : content_next_data(ds, i.data_id, i.size, off, len, err);
}

static int records_write(struct dataset *ds, uint64_t ino, uint64_t off, const uint8_t *p, size_t len, struct lcpfs_error *err);

/* A slice, or nothing, becomes records. */
static int to_records(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct open_content o;
	uint64_t old, id;
	struct zi *zi;
	int rc = open_slice(ds, ino, err);

	if (rc)
		return rc;
	o = z->open;
	z->open = (struct open_content){ 0 };
	rc = zi_get(ds, ino, &zi, err);
	if (!rc) {
		old = zi->i.data_id;
		rc = content_number(ds, zi, &id, err);
	}
	if (!rc && old != id)
		rc = content_drop(ds, old, err);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (!rc) {
		zi->i.data_id = id;
		zi->i.size = zi->i.psize = 0;
		zi->i.flags &= ~(uint32_t)INODE_SLICED;
		zi->i.rec_shift = (uint8_t)__builtin_ctz(ds->info.record_size);
		zi->dirty = true;
		rc = records_write(ds, ino, 0, o.buf, o.len, err);
	}
	free(o.buf);
	return rc;
}

/* One record's share of a write. */
static int record_write(struct dataset *ds, uint64_t ino, uint64_t off, const uint8_t *p, size_t *done, struct lcpfs_error *err)
{
	struct zi *zi;
	uint32_t r, from, n;
	int rc = zi_get(ds, ino, &zi, err);

	if (rc)
		return rc;
	r = rec_bytes_of(ds, &zi->i);
	from = (uint32_t)(off & (r - 1));
	n = (uint32_t)MIN(*done, r - from);
	rc = open_record(ds, ino, off - from, r, from, from + n, err);
	if (!rc)
		rc = open_put(ds, from, p, n, err);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return rc;
	if (off + n > zi->i.size) {
		zi->i.size = off + n;
		zi->dirty = true;
	}
	*done = n;
	return 0;
}

static int records_write(struct dataset *ds, uint64_t ino, uint64_t off, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && len) {
		size_t n = len;

		rc = record_write(ds, ino, off, p, &n, err);
		off += n;
		p += n;
		len -= n;
	}
	return rc;
}

/* Before records change in place: the content must be the file's alone, and its extents where records are. */
static int records_ready(struct dataset *ds, uint64_t ino, uint64_t off, uint64_t end, struct lcpfs_error *err)
{
	struct inode i;
	int rc = zpl_inode_get(ds, ino, &i, err);
	uint64_t at, last;
	uint32_t r;

	if (!rc)
		rc = content_shared(ds, i.data_id, err);
	if (rc == 1) {
		rc = content_unshare(ds, ino, i.size, ADMIT_NORMAL, err);
		if (!rc)
			rc = zpl_inode_get(ds, ino, &i, err);
	}
	if (rc)
		return rc;
	r = rec_bytes_of(ds, &i);
	last = MIN(end, i.size);
	for (at = off & ~(uint64_t)(r - 1); !rc && at < last; at += r) {
		rc = content_off_grid(ds, i.data_id, at, r, err);
		if (rc == 1)
			rc = content_regrid(ds, ino, i.data_id, at, r, i.size, err);
	}
	return rc;
}

int content_to_records(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc && mode_of(ds->zpl, ino, &zi->i) != RECORDS)
		rc = to_records(ds, ino, err);
	else if (!rc)
		rc = records_ready(ds, ino, 0, 0, err);
	return rc ? rc : open_flush(ds, err);
}

/* Within the open record nothing needs a look. */
static bool in_open_record(const struct zpl *z, uint64_t ino, uint64_t off, uint64_t end)
{
	return open_is(z, ino) && z->open.kind == OPEN_RECORD && off >= z->open.off && end <= z->open.off + z->open.cap;
}

/* Records of which only a part is new are written whole, each in one piece. */
static int admit_records(struct dataset *ds, const struct inode *i, uint64_t off, uint64_t end, struct lcpfs_error *err)
{
	uint64_t rec = rec_bytes_of(ds, i), whole = MIN(round_up(end, rec), MAX(i->size, end)) - round_down(off, rec);

	return whole > end - off ? zpl_begin(ds, ADMIT_NORMAL, whole, err) : 0;
}

static int write_in(struct dataset *ds, uint64_t ino, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	uint64_t end = off + len;
	bool was_records;
	struct zi *zi;
	int rc = regular(ds, ino, &zi, err);

	if (!rc && z->open.kind && !open_is(z, ino)) {
		rc = open_flush(ds, err);
		if (!rc)
			rc = regular(ds, ino, &zi, err);
	}
	if (rc)
		return rc;
	if (mode_of(z, ino, &zi->i) != RECORDS && MAX(end, zi->i.size) <= ds->info.slice_max) {
		rc = open_slice(ds, ino, err);
		if (!rc)
			rc = open_put(ds, (uint32_t)off, buf, len, err);
		if (!rc)
			rc = zi_get(ds, ino, &zi, err);
		if (!rc && end > zi->i.size) {
			zi->i.size = end;
			zi->dirty = true;
		}
		return rc;
	}
	was_records = mode_of(z, ino, &zi->i) == RECORDS;
	if (!was_records)
		rc = to_records(ds, ino, err);
	else if (!in_open_record(z, ino, off, end))
		rc = admit_records(ds, &zi->i, off, end, err);
	if (!rc && was_records && !in_open_record(z, ino, off, end))
		rc = records_ready(ds, ino, off, end, err);
	return rc ? rc : records_write(ds, ino, off, buf, len, err);
}

int zpl_write(struct dataset *ds, uint64_t ino, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, len, err);

	if (rc)
		return rc;
	if (off > (uint64_t)FILE_MAX || len > (uint64_t)FILE_MAX - off)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a file of more than %" PRId64 " bytes", FILE_MAX);
	if (len)
		rc = write_in(ds, ino, off, buf, len, err);
	return zpl_end(ds, mark, rc, err);
}

static int make_empty(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	if (open_is(ds->zpl, ino))
		open_forget(ds->zpl);
	return slice_install(ds, ino, NULL, 0, err);
}

static int set_size(struct dataset *ds, uint64_t ino, uint64_t size, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc) {
		zi->i.size = size;
		zi->dirty = true;
	}
	return rc;
}

static int truncate_slice(struct dataset *ds, uint64_t ino, uint64_t size, struct lcpfs_error *err)
{
	int rc;

	if (size > ds->info.slice_max) {
		rc = to_records(ds, ino, err);
	} else {
		rc = open_slice(ds, ino, err);
		if (!rc)
			rc = open_resize(ds, (uint32_t)size, err);
	}
	return rc ? rc : set_size(ds, ino, size, err);
}

static int truncate_records(struct dataset *ds, uint64_t ino, uint64_t size, struct lcpfs_error *err)
{
	struct inode i;
	int rc = open_is(ds->zpl, ino) ? open_flush(ds, err) : 0;

	if (!rc)
		rc = zpl_inode_get(ds, ino, &i, err);
	if (!rc && size < i.size) {
		rc = content_shared(ds, i.data_id, err);
		if (rc == 1)
			return content_unshare(ds, ino, size, ADMIT_FREEING, err);
		if (!rc)
			rc = content_cut(ds, ino, i.data_id, size, err);
	}
	return rc ? rc : set_size(ds, ino, size, err);
}

int zpl_truncate(struct dataset *ds, uint64_t ino, uint64_t size, struct lcpfs_error *err)
{
	struct zi *zi;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_FREEING, 0, err);

	if (!rc)
		rc = regular(ds, ino, &zi, err);
	if (rc || zi->i.size == size)
		return rc;
	if (size > (uint64_t)FILE_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "a file of more than %" PRId64 " bytes", FILE_MAX);
	if (!size)
		rc = make_empty(ds, ino, err);
	else if (mode_of(ds->zpl, ino, &zi->i) == RECORDS)
		rc = truncate_records(ds, ino, size, err);
	else
		rc = truncate_slice(ds, ino, size, err);
	return zpl_end(ds, mark, rc, err);
}
