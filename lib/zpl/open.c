/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open content: of the file written last, all of it while it is small, else the one record under the pen. It makes many small writes cost
 * what one big one costs. It is sealed (given to the pack or the pipeline) when another file or record is written, and by zpl_flush.
 */
#include "zpl/zpl_impl.h"
#include <stdlib.h>

bool open_is(const struct zpl *z, uint64_t ino)
{
	return z && z->open.kind != OPEN_NONE && z->open.ino == ino;
}

void open_forget(struct zpl *z)
{
	free(z->open.buf);
	z->open = (struct open_content){ 0 };
}

/* Seal. The state is taken out first: what follows may flush, which comes here again. */
int open_flush(struct dataset *ds, struct lcpfs_error *err)
{
	struct open_content o = ds->zpl->open;
	int rc = 0;

	ds->zpl->open = (struct open_content){ 0 };
	if (o.dirty && o.kind == OPEN_RECORD && !is_all_zero(o.buf, o.len))
		return job_submit_record(ds, o.ino, o.data_id, o.off, o.buf, o.len, false, err);
	if (o.dirty && o.kind == OPEN_RECORD && o.had)
		rc = content_hole(ds, o.ino, o.data_id, o.off, err);
	else if (o.dirty && o.kind == OPEN_SLICE)
		rc = slice_install(ds, o.ino, o.buf, o.len, err);
	free(o.buf);
	return rc;
}

int slice_install(struct dataset *ds, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err)
{
	uint64_t id = 0, old = 0;
	struct zi *zi;
	int rc = zi_get(ds, ino, &zi, err);

	if (!rc) {
		old = zi->i.data_id;
		rc = len ? content_number(ds, zi, &id, err) : 0;
	}
	if (!rc && old != id)
		rc = content_drop(ds, old, err);
	if (!rc && len)
		rc = pack_add(ds, id, ino, data, len, err);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return rc;
	zi->i.data_id = id;
	zi->i.size = len;
	zi->i.psize = 0;
	zi->i.rec_shift = 0;
	zi->i.flags = (zi->i.flags & ~(uint32_t)INODE_SLICED) | (len ? INODE_SLICED : 0);
	zi->dirty = true;
	return 0;
}

static int grow_buf(struct open_content *o, uint32_t need, struct lcpfs_error *err)
{
	uint32_t cap = o->cap ? o->cap : 4096;
	uint8_t *buf;

	while (cap < need)
		cap *= 2;
	if (cap == o->cap)
		return 0;
	buf = realloc(o->buf, cap);
	if (!buf)
		return lcpfs_nomem(err);
	o->buf = buf;
	o->cap = cap;
	return 0;
}

int open_slice(struct dataset *ds, uint64_t ino, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct open_content o = { .kind = OPEN_SLICE, .ino = ino };
	struct zi *zi;
	int rc = open_is(z, ino) ? 0 : open_flush(ds, err);

	if (rc || open_is(z, ino))
		return rc;
	rc = zi_get(ds, ino, &zi, err);
	if (!rc && zi->i.size > PACK_MAX)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "a slice of more than %u bytes", PACK_MAX);
	if (rc)
		return rc;
	o.len = (uint32_t)zi->i.size;
	rc = grow_buf(&o, MAX(o.len, 1), err);
	if (!rc && o.len)
		rc = content_read(ds, zi->i.data_id, true, o.len, 0, o.buf, o.len, err);
	if (rc)
		free(o.buf);
	else
		z->open = o;
	return rc;
}

int open_put(struct dataset *ds, uint32_t at, const void *data, size_t len, struct lcpfs_error *err)
{
	struct open_content *o = &ds->zpl->open;
	uint32_t end = at + (uint32_t)len;
	int rc = o->kind == OPEN_SLICE ? grow_buf(o, MAX(end, 1), err) : 0;

	if (rc)
		return rc;
	if (at > o->len)
		memset(o->buf + o->len, 0, at - o->len);
	if (len)
		memcpy(o->buf + at, data, len);
	o->len = MAX(o->len, end);
	o->dirty = true;
	return 0;
}

int open_resize(struct dataset *ds, uint32_t len, struct lcpfs_error *err)
{
	struct open_content *o = &ds->zpl->open;

	if (len >= o->len)
		return open_put(ds, len, NULL, 0, err);
	o->len = len;
	o->dirty = true;
	return 0;
}

int open_record(struct dataset *ds, uint64_t ino, uint64_t off, uint32_t rec_bytes, uint32_t from, uint32_t to, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct open_content o = { .kind = OPEN_RECORD, .ino = ino, .off = off, .cap = rec_bytes };
	struct zi *zi;
	int rc;

	if (open_is(z, ino) && z->open.kind == OPEN_RECORD && z->open.off == off)
		return 0;
	rc = open_flush(ds, err);
	if (!rc)
		rc = zi_get(ds, ino, &zi, err);
	if (rc)
		return rc;
	o.data_id = zi->i.data_id;
	o.len = zi->i.size > off ? (uint32_t)MIN(zi->i.size - off, rec_bytes) : 0;
	o.had = o.len;
	o.buf = zio_buf_get(ds->spa->zio, rec_bytes);
	if (!o.buf)
		return lcpfs_nomem(err);
	if (o.len && (from || to < o.len))
		rc = content_read(ds, o.data_id, false, zi->i.size, off, o.buf, o.len, err);
	if (rc)
		free(o.buf);
	else
		z->open = o;
	return rc;
}
