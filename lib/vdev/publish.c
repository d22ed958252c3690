/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a commit: config, flush, uberblock, flush; and an image's back label at its close. */
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "hash/hash.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Labels that every commit writes: of an image only the front one. */
static bool writes_back(const struct vdev *v)
{
	return !vdev_is_image(v) && label_back_fits(v);
}

static bool slot_is_kept(const struct vdev *v, uint64_t txg)
{
	uint64_t keep[] = { v->cur.txg, v->cur.prev_txg[0], v->cur.rewind_floor_txg };
	uint32_t r = v->label.ring_slots;

	for (size_t i = 0; v->have_cur && i < ARRAY_LEN(keep); i++)
		if (keep[i] && keep[i] % r == txg % r)
			return true;
	return false;
}

uint64_t vdev_next_txg(const struct vdev *v, uint64_t txg)
{
	txg = MAX(txg, UINT64_C(1));
	while (slot_is_kept(v, txg))
		txg++;
	return txg;
}

/* The config slot after the current one that none of the last K uberblocks, nor that of the floor, names. */
static unsigned free_config_slot(const struct vdev *v)
{
	bool kept[CONFIG_SLOTS] = { false };
	unsigned slot = 0;

	if (!v->have_cur)
		return 0;
	kept[v->cur.cfg_slot] = true;
	for (size_t i = 0; i < v->n_ubers; i++) {
		const struct uberblock *u = &v->ubers[i].ub;

		if (u->txg == v->cur.prev_txg[0] || u->txg == v->cur.rewind_floor_txg)
			kept[u->cfg_slot] = true;
	}
	for (slot = v->cur.cfg_slot; kept[slot];)
		slot = (slot + 1) % CONFIG_SLOTS;
	return slot;
}

static int write_lost_headers(struct vdev *v, struct lcpfs_error *err)
{
	int rc = v->front_bad ? label_write_header(v, false, err) : 0;

	if (!rc && v->back_bad && writes_back(v))
		rc = label_write_header(v, true, err);
	return rc;
}

static int publish_config(struct vdev *v, struct uberblock *ub, struct lcpfs_error *err)
{
	struct buf stored = { 0 };
	int rc = cfgblob_pack(v, &stored, err);

	if (rc)
		goto out;
	ub->cfg_gen = v->have_cur ? v->cur.cfg_gen + 1 : 1;
	for (size_t i = 0; i < v->n_ubers; i++)
		ub->cfg_gen = MAX(ub->cfg_gen, v->ubers[i].ub.cfg_gen + 1);
	ub->cfg_slot = (uint8_t)free_config_slot(v);
	ub->cfg_len = (uint32_t)stored.len;
	blake3(stored.data, stored.len, ub->cfg_hash);
	rc = label_write_config(v, false, ub->cfg_slot, &stored, err);
	if (!rc && writes_back(v))
		rc = label_write_config(v, true, ub->cfg_slot, &stored, err);
	if (!rc)
		rc = write_lost_headers(v, err);
out:
	buf_fini(&stored);
	return rc;
}

static int check_publish(const struct vdev *v, const struct uberblock *ub, struct lcpfs_error *err)
{
	if (!v->rw)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: open read-only", v->dev->name);
	if (v->failed)
		return lcpfs_fail(err, LCPFS_EIO, "%s: an earlier commit failed: close and open again", v->dev->name);
	if (!v->cfg.n_devices || (v->have_cur && ub->txg <= v->cur.txg) || vdev_next_txg(v, ub->txg) != ub->txg)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: txg %" PRIu64 " cannot be published after %" PRIu64, v->dev->name, ub->txg,
		    v->have_cur ? v->cur.txg : 0);
	return 0;
}

static void fill_uber(const struct vdev *v, struct uberblock *ub)
{
	ub->major = FORMAT_MAJOR;
	ub->minor = FORMAT_MINOR;
	memcpy(ub->pool_uuid, v->label.pool_uuid, 16);
	memcpy(ub->epoch_id, v->cfg.epochs[v->cfg.n_epochs - 1].id, 16);
	ub->n_devices = (uint16_t)v->cfg.n_devices;
	ub->prev_txg[0] = v->have_cur ? v->cur.txg : 0;
	ub->prev_txg[1] = v->have_cur ? v->cur.prev_txg[0] : 0;
	if (!v->cfg_changed) {
		ub->cfg_gen = v->cur.cfg_gen;
		ub->cfg_len = v->cur.cfg_len;
		ub->cfg_slot = v->cur.cfg_slot;
		memcpy(ub->cfg_hash, v->cur.cfg_hash, sizeof ub->cfg_hash);
	}
}

/* The commit is safe already: a back label that cannot be written is told of and tried again with the next one. */
static void publish_back(struct vdev *v, const struct uberblock *ub)
{
	struct lcpfs_error err = { 0 };
	int rc = label_write_uber(v, true, ub, &err);

	if (!rc)
		rc = blockdev_flush(v->dev, &err);
	if (!rc)
		return;
	log_msg(LCPFS_LOG_WARN, "vdev", "back label not written: %s", err.msg);
	v->back_bad = v->cfg_changed = true;
}

/* What would be refused when read back must not be written: the commit would be acknowledged and then not be there. */
static int check_readable(const struct uberblock *ub, struct lcpfs_error *err)
{
	uint8_t raw[UBER_LEN];
	struct uberblock back;

	uberblock_encode(ub, raw);
	return uberblock_decode(&back, raw, err);
}

static int prepare(struct vdev *v, struct uberblock *ub, struct lcpfs_error *err)
{
	int rc = 0;

	fill_uber(v, ub);
	if (v->cfg_changed)
		rc = publish_config(v, ub, err);
	if (!rc)
		rc = check_readable(ub, err);
	if (!rc)
		rc = label_note_uber(v, ub, false, err);
	if (!rc)
		rc = vdev_flush(v, err);
	return rc;
}

int vdev_publish(struct vdev *v, struct uberblock *ub, bool *published, struct lcpfs_error *err)
{
	int rc = check_publish(v, ub, err);

	*published = false;
	if (rc)
		return rc;
	label_forget_slot(v, ub->txg);
	rc = prepare(v, ub, err);
	if (!rc) {
		*published = true;
		rc = label_write_uber(v, false, ub, err);
	}
	if (!rc)
		rc = blockdev_flush(v->dev, err);
	if (rc) {
		v->failed = true;
		return rc;
	}
	v->cur = *ub;
	v->have_cur = true;
	v->cfg_changed = v->front_bad = v->back_bad = false;
	if (writes_back(v))
		publish_back(v, ub);
	return 0;
}

/* Copy `len` bytes between places of the device, what is different there; says whether something was. */
static int copy_bytes(struct vdev *v, uint64_t from, uint64_t to, uint64_t len, bool *changed, struct lcpfs_error *err)
{
	uint8_t *piece = malloc(2 * UNIT);
	int rc = piece ? 0 : lcpfs_nomem(err);

	for (uint64_t at = 0; !rc && at < len; at += UNIT) {
		size_t n = (size_t)MIN(len - at, (uint64_t)UNIT);

		rc = blockdev_read(v->dev, from + at, piece, n, err);
		if (!rc && blockdev_read(v->dev, to + at, piece + UNIT, n, NULL) == 0 && memcmp(piece, piece + UNIT, n) == 0)
			continue;
		*changed = true;
		if (!rc)
			rc = blockdev_write(v->dev, to + at, piece, n, err);
	}
	free(piece);
	return rc;
}

/*
 * The back label as a copy of the front one: the config slots that the ring names, the ring, the header. Where there may have been one before (an image
 * of a fixed length), a power cut leaves no new ring beside old configs, and no header without a ring.
 */
static int write_back_label(struct vdev *v, struct lcpfs_error *err)
{
	struct label front = label_side(&v->label, false), back = label_side(&v->label, true);
	uint64_t len[CONFIG_SLOTS] = { 0 };
	bool stays = v->cfg.devices[0].size, changed = false;
	int rc = 0;

	for (size_t i = 0; i < v->n_ubers; i++) {
		const struct uberblock *u = &v->ubers[i].ub;

		if (u->cfg_slot < CONFIG_SLOTS && u->cfg_len <= front.cfg_len)
			len[u->cfg_slot] = MAX(len[u->cfg_slot], round_up(u->cfg_len, UINT64_C(1) << front.sector_shift));
	}
	for (unsigned i = 0; !rc && i < CONFIG_SLOTS; i++)
		rc = copy_bytes(v, front.cfg_off + i * front.cfg_len, back.cfg_off + i * front.cfg_len, len[i], &changed, err);
	if (!rc && stays && changed)
		rc = blockdev_flush(v->dev, err);
	if (!rc)
		rc = copy_bytes(v, front.ring_off, back.ring_off, label_slot_bytes(front.sector_shift) * front.ring_slots, &changed, err);
	if (!rc && stays)
		rc = blockdev_flush(v->dev, err);
	return rc ? rc : label_write_header(v, true, err);
}

/* A file: cut to the columns, so that the rest begins as a hole, then made as long as it shall be. */
static int set_length(struct vdev *v, uint64_t columns_end, uint64_t size, struct lcpfs_error *err)
{
	int rc = 0;

	if (!vdev_resizable(v))
		return size > blockdev_size(v->dev) ? lcpfs_fail(err, LCPFS_ENOSPC, "%s: no room for the back label", v->dev->name) : 0;
	if (!v->cfg.devices[0].size)
		rc = blockdev_resize(v->dev, columns_end, err);
	return rc ? rc : blockdev_resize(v->dev, size, err);
}

int vdev_finish_image(struct vdev *v, struct lcpfs_error *err)
{
	uint64_t fixed, end, size;
	uint32_t last;
	int rc;

	if (!v->rw || !v->have_cur || v->failed || v->cfg_changed || !vdev_is_image(v))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: not an image right after a commit", v->dev->name);
	pthread_rwlock_wrlock(&v->lock);
	fixed = v->cfg.devices[0].size;
	end = vdev_columns_end(v, &last);
	size = fixed ? fixed : end + label_back_bytes(&v->label);
	rc = set_length(v, end, size, err);
	v->label.dev_size = size;
	if (!rc && label_back_bytes(&v->label))
		rc = write_back_label(v, err);
	if (!rc)
		rc = blockdev_flush(v->dev, err);
	if (rc)
		v->failed = true;
	v->dirty = v->dirty && rc;
	pthread_rwlock_unlock(&v->lock);
	return rc;
}

void vdev_relabel(struct vdev *v)
{
	v->front_bad = v->back_bad = v->cfg_changed = true;
}

int vdev_copy_labels(struct vdev *v, struct lcpfs_error *err)
{
	int rc = writes_back(v) ? write_back_label(v, err) : 0;

	return rc ? rc : blockdev_flush(v->dev, err);
}
