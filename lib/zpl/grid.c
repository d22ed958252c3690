/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents may begin and end anywhere: a range that was shared keeps the bounds it had in its source, shifted. Writing goes by records, so before one is written
 * the extents that cross its bounds are cut there. The pieces are stored anew; a block itself is never referred to in part.
 */
#include "zpl/zpl_impl.h"
#include <stdlib.h>

/* Bytes from..to of the extent as extents of their own, none longer than `most` and cut at multiples of it. */
static int put_piece(struct dataset *ds, uint64_t ino, uint64_t data_id, const struct extent *e, const uint8_t *p, uint64_t from, uint64_t to,
                     uint32_t most, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && from < to) {
		size_t n = (size_t)MIN(to - from, most - from % most);
		const uint8_t *at = p + (from - e->off);
		uint8_t *buf = is_all_zero(at, n) ? NULL : malloc(n);

		if (buf) {
			memcpy(buf, at, n);
			rc = job_submit_record(ds, ino, data_id, from, buf, n, true, err);
		} else if (!is_all_zero(at, n)) {
			rc = lcpfs_nomem(err);
		}
		from += n;
	}
	return rc;
}

/* What lies before `from` and after `to` stays. */
static int cut_out(struct dataset *ds, uint64_t ino, uint64_t data_id, const struct extent *e, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	uint64_t end = e->off + e->len;
	bool whole = e->off >= from && end <= to;
	uint8_t *p = whole ? NULL : malloc(e->len);
	int rc = whole ? 0 : p ? extent_read(ds, e, 0, e->len, p, err) : lcpfs_nomem(err);

	if (!rc)
		rc = extent_drop(ds, ino, data_id, e, err);
	if (!rc && e->off < from)
		rc = put_piece(ds, ino, data_id, e, p, e->off, from, DATA_MAX, err);
	if (!rc && end > to)
		rc = put_piece(ds, ino, data_id, e, p, to, end, ds->info.record_size, err);
	free(p);
	return rc;
}

int content_carve(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	struct extent e;
	size_t n = 1;
	int rc = content_settle(ds, data_id, err);

	while (!rc && n && from < to) {
		rc = extents_list(ds, data_id, from, to, &e, 1, &n, err);
		if (!rc && n)
			rc = cut_out(ds, ino, data_id, &e, from, to, err);
	}
	return rc ? rc : content_settle(ds, data_id, err);
}

int content_regrid(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, uint32_t r, uint64_t size, struct lcpfs_error *err)
{
	size_t n = (size_t)MIN(size - off, r);
	uint8_t *buf = malloc(n);
	int rc = buf ? content_settle(ds, data_id, err) : lcpfs_nomem(err);

	if (!rc)
		rc = extents_read(ds, data_id, off, buf, n, err);
	if (!rc)
		rc = content_carve(ds, ino, data_id, off, off + r, err);
	if (rc || is_all_zero(buf, n)) {
		free(buf);
		return rc;
	}
	rc = job_submit_record(ds, ino, data_id, off, buf, n, true, err);
	return rc ? rc : content_settle(ds, data_id, err);
}
