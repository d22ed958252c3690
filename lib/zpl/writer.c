/* SPDX-License-Identifier: Apache-2.0 */
/* A file's whole content anew, in ascending pieces: gathered while it may still be a slice, else record by record. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

static int regular(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc && !S_ISREG(zi->i.mode))
		rc = lcpfs_fail(err, S_ISDIR(zi->i.mode) ? LCPFS_EISDIR : LCPFS_EINVAL, "not a regular file");
	return rc;
}

int zpl_slice_put(struct dataset *ds, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err)
{
	uint64_t mark;
	int rc = zpl_begin(ds, ADMIT_NORMAL, len, err);

	if (!rc)
		rc = regular(ds, ino, err);
	if (!rc && len > ds->info.slice_max)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "a slice of %zu bytes", len);
	if (rc)
		return rc;
	mark = btree_edits(ds->tree);
	if (open_is(ds->zpl, ino))
		open_forget(ds->zpl);
	return zpl_end(ds, mark, slice_install(ds, ino, data, len, err), err);
}

int zpl_writer_open(struct zpl_writer **out, struct dataset *ds, uint64_t ino, uint64_t size_hint, struct lcpfs_error *err)
{
	struct zpl_writer *w;
	int rc = zpl_begin(ds, ADMIT_NORMAL, size_hint == UINT64_MAX ? 0 : MIN(size_hint, MiB), err);

	if (!rc)
		rc = regular(ds, ino, err);
	if (rc)
		return rc;
	w = calloc(1, sizeof *w);
	if (!w)
		return lcpfs_nomem(err);
	w->ds = ds;
	w->ino = ino;
	w->rec_bytes = ds->info.record_size;
	w->cap = (uint32_t)MIN(size_hint, ds->info.slice_max);
	w->records = size_hint > ds->info.slice_max;
	w->next = ds->zpl->writers;
	ds->zpl->writers = w;
	*out = w;
	return 0;
}

static void writer_free(struct zpl_writer *w)
{
	struct zpl_writer **p = &w->ds->zpl->writers;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	free(w->buf);
	free(w);
}

static int seal_record(struct zpl_writer *w, struct lcpfs_error *err)
{
	uint8_t *buf = w->buf;
	uint32_t len = w->len;

	if (!len)
		return 0;
	w->len = 0;
	if (is_all_zero(buf, len))
		return 0;
	w->buf = NULL;
	return job_submit_record(w->ds, w->ino, w->data_id, w->rec_off, buf, len, true, err);
}

static int put_records(struct zpl_writer *w, uint64_t off, const uint8_t *p, size_t len, struct lcpfs_error *err)
{
	int rc;

	while (len) {
		uint32_t from = (uint32_t)(off & (w->rec_bytes - 1)), n = (uint32_t)MIN(len, w->rec_bytes - from);

		if (w->len && w->rec_off != off - from && (rc = seal_record(w, err)))
			return rc;
		if (!w->buf && !(w->buf = zio_buf_get(w->ds->spa->zio, w->rec_bytes)))
			return lcpfs_nomem(err);
		w->rec_off = off - from;
		memset(w->buf + w->len, 0, from - w->len);
		memcpy(w->buf + from, p, n);
		w->len = from + n;
		if (w->len == w->rec_bytes && (rc = seal_record(w, err)))
			return rc;
		off += n;
		p += n;
		len -= n;
	}
	return 0;
}

/* From gathering to records. */
static int go_records(struct zpl_writer *w, struct lcpfs_error *err)
{
	uint8_t *buf = w->buf;
	uint32_t len = w->len;
	struct zi *zi;
	int rc = zi_get(w->ds, w->ino, &zi, err);

	if (!rc)
		rc = content_number(w->ds, zi, &w->data_id, err);
	if (rc)
		return rc;
	w->records = true;
	w->buf = NULL;
	w->len = 0;
	rc = put_records(w, 0, buf, len, err);
	free(buf);
	return rc;
}

static int gather(struct zpl_writer *w, uint32_t off, const void *p, size_t len, struct lcpfs_error *err)
{
	uint32_t end = off + (uint32_t)len;

	if (!w->buf || end > w->cap) {
		uint32_t cap = MAX(w->cap, 4096);
		uint8_t *buf;

		while (cap < end)
			cap *= 2;
		buf = realloc(w->buf, cap);
		if (!buf)
			return lcpfs_nomem(err);
		w->buf = buf;
		w->cap = cap;
	}
	memset(w->buf + w->len, 0, off - w->len);
	if (len)
		memcpy(w->buf + off, p, len);
	w->len = end;
	return 0;
}

/* Where the next piece up to `end` goes. */
static int choose(struct zpl_writer *w, uint64_t end, struct lcpfs_error *err)
{
	if ((w->records || end > w->ds->info.slice_max) && !w->data_id)
		return go_records(w, err);
	return 0;
}

int zpl_writer_write(struct zpl_writer *w, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	int rc;

	if (off < w->pos || off > (uint64_t)FILE_MAX || len > (uint64_t)FILE_MAX - off)
		return lcpfs_fail(err, LCPFS_EINVAL, "content piece at %" PRIu64 " after %" PRIu64, off, w->pos);
	if (!len)
		return 0;
	rc = zpl_begin(w->ds, ADMIT_NORMAL, len, err);
	if (!rc)
		rc = choose(w, off + len, err);
	if (!rc)
		rc = w->data_id ? put_records(w, off, buf, len, err) : gather(w, (uint32_t)off, buf, len, err);
	if (!rc)
		w->pos = off + len;
	return rc;
}

static int finish_records(struct zpl_writer *w, uint64_t size, struct lcpfs_error *err)
{
	struct zi *zi;
	int rc = seal_record(w, err);

	if (!rc)
		rc = zi_get(w->ds, w->ino, &zi, err);
	if (!rc)
		rc = content_drop(w->ds, zi->i.data_id, err);
	if (!rc)
		rc = zi_get(w->ds, w->ino, &zi, err);
	if (rc)
		return rc;
	zi->i.data_id = w->data_id;
	zi->i.size = size;
	zi->i.psize = w->psize;
	zi->i.flags &= ~(uint32_t)INODE_SLICED;
	zi->i.rec_shift = (uint8_t)__builtin_ctz(w->rec_bytes);
	zi->dirty = true;
	return 0;
}

int zpl_writer_finish(struct zpl_writer *w, uint64_t size, struct lcpfs_error *err)
{
	struct dataset *ds = w->ds;
	uint64_t mark = btree_edits(ds->tree);
	int rc = 0;

	if (size < w->pos || size > (uint64_t)FILE_MAX)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "content of %" PRIu64 " bytes, %" PRIu64 " were written", size, w->pos);
	if (!rc && size)
		rc = choose(w, size, err);
	if (rc) {
		zpl_writer_abort(w);
		return rc;
	}
	if (open_is(ds->zpl, w->ino))
		open_forget(ds->zpl);
	if (w->data_id) {
		rc = finish_records(w, size, err);
	} else {
		rc = size > w->len ? gather(w, (uint32_t)size, NULL, 0, err) : 0;
		if (!rc)
			rc = slice_install(ds, w->ino, w->buf, w->len, err);
	}
	writer_free(w);
	return zpl_end(ds, mark, rc, err);
}

void zpl_writer_abort(struct zpl_writer *w)
{
	if (!w)
		return;
	if (w->data_id)
		content_drop(w->ds, w->data_id, NULL);
	writer_free(w);
}
