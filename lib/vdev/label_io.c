/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels on a device
 * A header counts only where it says that it is: 4 KiB after the device's begin or 4 KiB before its end as the header
 * gives it. So the labels of an image that is stored inside an image are never taken for its own. One good header gives
 * the geometry of both labels; their rings are read with or without the other header.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_OFF 4096u
#define SCAN_STEPS (UINT64_C(1) << 20) /* 64 GiB from either end */
#define ZERO_PIECE (1u << 20)
#define RING_AT_ONCE (1u << 20)

uint64_t label_back_bytes(const struct label *l)
{
	return l->label_count == 2 ? label_front_bytes(l->sector_shift, l->ring_slots, l->cfg_len) : 0;
}

bool label_back_fits(const struct vdev *v)
{
	const struct label *l = &v->label;

	return l->label_count == 2 && l->dev_size >= l->data_off + label_back_bytes(l) && l->dev_size <= blockdev_size(v->dev);
}

/*
 * An image that grew since it was last closed may have data, of anybody's making, where its back label was, but never at the end of the
 * file (grow.c): what lies before a header there is a back label.
 */
bool label_back_counts(const struct vdev *v)
{
	return label_back_fits(v) && (v->front_bad || !(v->dev->flags & LCPFS_DEV_IMAGE) || !v->back_bad);
}

struct label label_side(const struct label *front, bool back)
{
	struct label l = *front;

	l.ring_off = back ? l.dev_size - label_back_bytes(&l) : UNIT;
	l.cfg_off = l.ring_off + label_slot_bytes(l.sector_shift) * l.ring_slots;
	return l;
}

static uint64_t header_off(const struct label *l, bool back) { return back ? l->dev_size - LABEL_LEN : HEADER_OFF; }

/* The header at `off`, which must be that of a front or back label just there. */
static int read_header(struct lcpfs_blockdev *d, uint64_t off, bool back, struct label *out, struct lcpfs_error *err)
{
	uint8_t raw[LABEL_LEN];
	struct label l;
	int rc = blockdev_read(d, off, raw, sizeof raw, err);

	if (!rc)
		rc = label_decode(&l, raw, err);
	if (!rc && (l.region_off || l.region_len))
		rc = lcpfs_fail(err, LCPFS_EUNSUP, "label: regions of a file");
	if (!rc && ((l.ring_off != UNIT) != back || header_off(&l, back) != off))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "label: header lies at another place than it says");
	if (rc)
		return lcpfs_within(err, rc, "at %" PRIu64, off);
	if (!l.dev_size)
		l.dev_size = round_down(blockdev_size(d), UNIT);
	*out = label_side(&l, false);
	return 0;
}

/* Look 4 KiB before every 64 KiB step, from the end: where a back label would be if the device was shorter once. */
static bool scan_back(struct lcpfs_blockdev *d, struct label *out)
{
	uint64_t steps = blockdev_size(d) / UNIT;

	for (uint64_t i = 0; i < steps; i++) {
		uint64_t unit = steps - i;

		if (i >= SCAN_STEPS && unit > SCAN_STEPS)
			continue;
		if (read_header(d, unit * UNIT - LABEL_LEN, true, out, NULL) == 0) {
			log_msg(LCPFS_LOG_WARN, "vdev", "%s: opened by the label that ends at %" PRIu64, d->name, unit * UNIT);
			return true;
		}
	}
	return false;
}

/* The front header is good: does the back one agree? An image in use has none until it is closed. */
static void check_back(struct vdev *v)
{
	struct label back;
	struct lcpfs_error err = { 0 };
	int rc;

	if (!label_back_fits(v))
		return;
	rc = read_header(v->dev, header_off(&v->label, true), true, &back, &err);
	if (!rc && (memcmp(back.pool_uuid, v->label.pool_uuid, 16) || memcmp(back.dev_uuid, v->label.dev_uuid, 16)))
		rc = lcpfs_fail(&err, LCPFS_ECORRUPT, "back label of another pool");
	if (!rc)
		return;
	v->back_bad = true;
	log_msg(v->dev->flags & LCPFS_DEV_IMAGE ? LCPFS_LOG_DEBUG : LCPFS_LOG_WARN, "vdev", "%s: skipped: %s", v->dev->name, err.msg);
}

int label_find(struct vdev *v, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc;

	if (blockdev_size(v->dev) < 2 * LABEL_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: no lcpfs pool (only %" PRIu64 " bytes)", v->dev->name,
		    blockdev_size(v->dev));
	rc = read_header(v->dev, HEADER_OFF, false, &v->label, &why);
	if (!rc) {
		check_back(v);
		return 0;
	}
	/* a good header of a newer version is an answer, not damage */
	if (rc != -LCPFS_EUNSUP && scan_back(v->dev, &v->label)) {
		log_msg(LCPFS_LOG_WARN, "vdev", "%s: skipped: %s", v->dev->name, why.msg);
		v->front_bad = true;
		return 0;
	}
	if (rc == -LCPFS_EUNSUP)
		return lcpfs_fail(err, why.code, "%s: %s", v->dev->name, why.msg);
	return lcpfs_fail(err, why.code, "%s: no lcpfs pool (%s)", v->dev->name, why.msg);
}

int label_write_header(struct vdev *v, bool back, struct lcpfs_error *err)
{
	struct label l = label_side(&v->label, back);
	uint64_t off = header_off(&l, back);
	uint8_t raw[LABEL_LEN];

	/* the front header of an image that grows is written once, so that no power cut can tear it */
	if (!back && !v->cfg.devices[0].size)
		l.dev_size = 0;
	/* just these bytes, whatever the sector: the first 4 KiB of a device are not ours */
	label_encode(&l, raw);
	__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
	return blockdev_write(v->dev, off, raw, sizeof raw, err);
}

static bool same_uber(const struct uberblock *a, const struct uberblock *b)
{
	uint8_t x[UBER_LEN], y[UBER_LEN];

	if (a->txg != b->txg)
		return false;
	uberblock_encode(a, x);
	uberblock_encode(b, y);
	return memcmp(x, y, sizeof x) == 0;
}

int label_note_uber(struct vdev *v, const struct uberblock *ub, bool back_only, struct lcpfs_error *err)
{
	size_t at = 0;

	for (; at < v->n_ubers && v->ubers[at].ub.txg >= ub->txg; at++)
		if (same_uber(&v->ubers[at].ub, ub))
			return 0;
	if (v->n_ubers == v->cap_ubers) {
		size_t cap = v->cap_ubers ? v->cap_ubers * 2 : 32;
		struct vdev_uber *p = realloc(v->ubers, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		v->ubers = p;
		v->cap_ubers = cap;
	}
	memmove(v->ubers + at + 1, v->ubers + at, (v->n_ubers - at) * sizeof *v->ubers);
	v->ubers[at] = (struct vdev_uber){ *ub, back_only };
	v->n_ubers++;
	return 0;
}

void label_forget_slot(struct vdev *v, uint64_t txg)
{
	size_t to = 0;

	for (size_t i = 0; i < v->n_ubers; i++)
		if (v->ubers[i].ub.txg % v->label.ring_slots != txg % v->label.ring_slots)
			v->ubers[to++] = v->ubers[i];
	v->n_ubers = to;
}

/*
 * A slot, as read already or NULL. Slots that are empty, torn or of another pool are absent. One of a newer version stops the open: to pass over it would be
 * to go back in time.
 */
static int take_slot(struct vdev *v, const struct label *l, uint32_t slot, bool back, const uint8_t raw[UBER_LEN],
                     struct lcpfs_error *err)
{
	uint64_t off = l->ring_off + label_slot_bytes(l->sector_shift) * slot;
	struct lcpfs_error why = { 0 };
	uint8_t own[UBER_LEN];
	struct uberblock ub;
	int rc = raw ? 0 : blockdev_read(v->dev, off, own, sizeof own, &why);

	raw = raw ? raw : own;
	if (!rc && is_all_zero(raw, UBER_LEN))
		return 0;
	if (!rc)
		rc = uberblock_decode(&ub, raw, &why);
	if (!rc && (memcmp(ub.pool_uuid, l->pool_uuid, 16) || ub.txg % l->ring_slots != slot))
		rc = lcpfs_fail(&why, LCPFS_ECORRUPT, "uberblock %" PRIu64 " of another pool or slot", ub.txg);
	if (!rc)
		return label_note_uber(v, &ub, back, err);
	if (rc == -LCPFS_EUNSUP)
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: ring slot %u: %s", v->dev->name, slot, why.msg);
	log_msg(LCPFS_LOG_DEBUG, "vdev", "%s: %s ring slot %u skipped: %s", v->dev->name, back ? "back" : "front", slot, why.msg);
	return 0;
}

/* A ring is read at once; slot by slot when that fails, or it is long. */
static int read_ring(struct vdev *v, const struct label *l, bool back, struct lcpfs_error *err)
{
	uint64_t slot_len = label_slot_bytes(l->sector_shift), len = slot_len * l->ring_slots;
	uint8_t *raw = len <= RING_AT_ONCE ? malloc(len) : NULL;
	int rc = 0;

	if (raw && blockdev_read(v->dev, l->ring_off, raw, len, NULL)) {
		free(raw);
		raw = NULL;
	}
	for (uint32_t i = 0; !rc && i < l->ring_slots; i++)
		rc = take_slot(v, l, i, back, raw ? raw + i * slot_len : NULL, err);
	free(raw);
	return rc;
}

int label_read_rings(struct vdev *v, struct lcpfs_error *err)
{
	int rc = 0;

	for (int back = 0; !rc && back <= label_back_counts(v); back++) {
		struct label l = label_side(&v->label, back);

		rc = read_ring(v, &l, back, err);
	}
	return rc;
}

int label_write_uber(struct vdev *v, bool back, const struct uberblock *ub, struct lcpfs_error *err)
{
	struct label l = label_side(&v->label, back);
	uint64_t slot_len = label_slot_bytes(l.sector_shift);
	uint8_t *raw = calloc(1, slot_len);
	int rc;

	if (!raw)
		return lcpfs_nomem(err);
	uberblock_encode(ub, raw);
	rc = blockdev_write(v->dev, l.ring_off + ub->txg % l.ring_slots * slot_len, raw, slot_len, err);
	free(raw);
	return rc;
}

int label_write_config(struct vdev *v, bool back, unsigned slot, const struct buf *stored, struct lcpfs_error *err)
{
	struct label l = label_side(&v->label, back);
	size_t len = round_up(stored->len, UINT64_C(1) << l.sector_shift);
	uint8_t *raw = calloc(1, len);
	int rc;

	if (!raw)
		return lcpfs_nomem(err);
	memcpy(raw, stored->data, stored->len);
	__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
	rc = blockdev_write(v->dev, l.cfg_off + slot * l.cfg_len, raw, len, err);
	free(raw);
	return rc;
}

int label_zero(struct vdev *v, uint64_t off, uint64_t len, struct lcpfs_error *err)
{
	uint8_t *zero = calloc(1, ZERO_PIECE);
	int rc = zero ? 0 : lcpfs_nomem(err);

	__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
	while (!rc && len) {
		size_t n = (size_t)MIN(len, (uint64_t)ZERO_PIECE);

		rc = blockdev_write(v->dev, off, zero, n, err);
		off += n;
		len -= n;
	}
	free(zero);
	return rc;
}
