/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P0 and P1: labels, uberblocks, config. The back label may be older than the front one (an image's is written when it is closed), and
 * a slot that a crash tore is no damage: none of the commits that count is in it.
 */
#include "check/check_impl.h"
#include "hash/hash.h"
#include <inttypes.h>
#include <string.h>

#define UBER_TXG_AT 32u /* in a slot */

/* bad: slots that hold something, but no uberblock of this pool; txg: what it was, or 0. */
struct bad_slot { uint32_t slot; uint64_t txg; };
struct ring { struct uberblock *u; size_t n, cap; struct bad_slot *bad; size_t n_bad, cap_bad; };

static int read_header(struct lcpfs_blockdev *d, uint64_t off, struct label *l, bool *zero, struct lcpfs_error *err)
{
	uint8_t raw[LABEL_LEN];
	int rc = blockdev_read(d, off, raw, sizeof raw, err);

	*zero = !rc && is_all_zero(raw, sizeof raw);
	return rc ? rc : label_decode(l, raw, err);
}

static int read_ring(struct lcpfs_blockdev *d, const struct label *l, uint64_t ring_off, struct ring *r, struct lcpfs_error *err)
{
	for (uint32_t i = 0; i < l->ring_slots; i++) {
		uint8_t raw[UBER_LEN];
		struct uberblock u, *to;
		int rc = blockdev_read(d, ring_off + i * label_slot_bytes(l->sector_shift), raw, sizeof raw, NULL);

		if (!rc && is_all_zero(raw, sizeof raw))
			continue;
		if (rc || uberblock_decode(&u, raw, NULL) || memcmp(u.pool_uuid, l->pool_uuid, 16) || u.txg % l->ring_slots != i) {
			struct bad_slot *bad = CK_PUSH(r->bad, r->n_bad, r->cap_bad);

			if (!bad)
				return lcpfs_nomem(err);
			*bad = (struct bad_slot){ i, rc ? 0 : le_load(raw + UBER_TXG_AT, 8) };
			continue;
		}
		to = CK_PUSH(r->u, r->n, r->cap);
		if (!to)
			return lcpfs_nomem(err);
		*to = u;
	}
	return 0;
}

static const struct uberblock *by_txg(const struct ring *r, uint64_t txg)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->u[i].txg == txg)
			return &r->u[i];
	return NULL;
}

static const struct uberblock *newest(const struct ring *r)
{
	const struct uberblock *u = NULL;

	for (size_t i = 0; i < r->n; i++)
		if (!u || r->u[i].txg > u->txg)
			u = &r->u[i];
	return u;
}

static uint64_t newest_txg(const struct ring *r)
{
	const struct uberblock *u = newest(r);

	return u ? u->txg : 0;
}

static bool same_uber(const struct uberblock *a, const struct uberblock *b)
{
	uint8_t x[UBER_LEN], y[UBER_LEN];

	uberblock_encode(a, x);
	uberblock_encode(b, y);
	return memcmp(x, y, sizeof x) == 0;
}

/* A copy of the config that u names, in the slots that begin at cfg_off. */
static bool config_good(struct lcpfs_blockdev *d, const struct label *l, uint64_t cfg_off, const struct uberblock *u)
{
	uint64_t off = cfg_off + u->cfg_slot * l->cfg_len, n;
	uint8_t hash[HASH_LEN], piece[4096];
	struct blake3 b;

	if (!u->cfg_len || u->cfg_len > l->cfg_len)
		return false;
	blake3_init(&b);
	for (uint64_t at = 0; at < u->cfg_len; at += n) {
		n = MIN(sizeof piece, u->cfg_len - at);
		if (blockdev_read(d, off + at, piece, n, NULL))
			return false;
		blake3_update(&b, piece, n);
	}
	blake3_final(&b, 0, hash, sizeof hash);
	return memcmp(hash, u->cfg_hash, sizeof hash) == 0;
}

/*
 * A commit that is damaged in both labels, and was newer than what is taken for the newest. A crash tears a slot of one label only: the other is
 * written when this one is whole.
 */
static void check_lost(struct check *ck, const struct ring *front, const struct ring *back, uint64_t top, uint32_t slots)
{
	for (size_t i = 0; i < front->n_bad; i++)
		for (size_t k = 0; k < back->n_bad; k++) {
			const struct bad_slot *a = &front->bad[i], *b = &back->bad[k];
			bool newer = (a->txg > top && a->txg - top < slots) || (b->txg > top && b->txg - top < slots);

			if (a->slot == b->slot && (newer || a->slot == (top + 1) % slots))
				ck_report(ck, P_UBER_LOST, NULL, "slot %u, taking txg %" PRIu64, a->slot, top);
		}
}

static void check_rings(struct check *ck, const struct ring *front, const struct ring *back, bool has_back)
{
	const struct uberblock *f = newest(front), *b = newest(back), *top = !f || (b && b->txg > f->txg) ? b : f, *prev;

	if (has_back && !b)
		ck_report(ck, P_UBER_BACK, NULL, NULL);
	for (size_t i = 0; i < back->n; i++) {
		const struct uberblock *u = by_txg(front, back->u[i].txg);

		if (u && !same_uber(u, &back->u[i]))
			ck_report(ck, P_UBER_DIFFER, NULL, "txg %" PRIu64, u->txg);
	}
	if (!top)
		return;
	if (!by_txg(front, top->txg))
		ck_report(ck, P_UBER_FRONT, NULL, "txg %" PRIu64, top->txg);
	prev = top->prev_txg[0] ? by_txg(front, top->prev_txg[0]) : NULL;
	if (!prev && top->prev_txg[0])
		prev = by_txg(back, top->prev_txg[0]);
	if (top->prev_txg[0] >= top->txg || top->prev_txg[1] > top->prev_txg[0] || (top->prev_txg[0] && !prev))
		ck_report(ck, P_UBER_PREV, NULL, "txg %" PRIu64 " names %" PRIu64 " and %" PRIu64, top->txg, top->prev_txg[0],
		    top->prev_txg[1]);
	if (prev && prev->prev_txg[0] != top->prev_txg[1])
		ck_report(ck, P_UBER_PREV, NULL, "txg %" PRIu64 " follows %" PRIu64 " for one and %" PRIu64 " for the other", prev->txg,
		    prev->prev_txg[0], top->prev_txg[1]);
}

static void check_configs(struct check *ck, struct lcpfs_blockdev *d, const struct label *l, const struct ring *r, uint64_t cfg_off,
                          bool back)
{
	const struct uberblock *u = newest(r), *prev = u ? by_txg(r, u->prev_txg[0]) : NULL;

	if (u && !config_good(d, l, cfg_off, u))
		ck_report(ck, P_CONFIG_COPY, NULL, "%s label, slot %u, generation %" PRIu64, back ? "back" : "front", u->cfg_slot, u->cfg_gen);
	if (prev && !back && !config_good(d, l, cfg_off, prev))
		ck_report(ck, P_CONFIG_PREV, NULL, "slot %u, generation %" PRIu64 ", txg %" PRIu64, prev->cfg_slot, prev->cfg_gen, prev->txg);
}

/* An image that was not closed since it grew has no back label that counts; one without a fixed end (open_end) cannot tell. */
static bool back_expected(const struct lcpfs_blockdev *d, const struct label *l, uint64_t len)
{
	uint64_t size = blockdev_size(d);

	if (l->label_count != 2 || l->dev_size < len + LABEL_LEN || l->dev_size > size)
		return false;
	return !(d->flags & LCPFS_DEV_IMAGE) || l->dev_size == size;
}

static int check_sides(struct check *ck, struct lcpfs_blockdev *d, const struct label *l, bool front_ok, bool open_end,
                       struct lcpfs_error *err)
{
	uint64_t ring = label_slot_bytes(l->sector_shift) * l->ring_slots;
	uint64_t len = label_front_bytes(l->sector_shift, l->ring_slots, l->cfg_len), at = l->dev_size - len;
	bool back = !front_ok || back_expected(d, l, len), zero = false, usable = back;
	struct ring fr = { 0 }, br = { 0 };
	struct lcpfs_error why = { 0 };
	struct label bl;
	int rc = 0;

	ck->labeled = true;
	if (back && front_ok) {
		rc = read_header(d, l->dev_size - LABEL_LEN, &bl, &zero, &why);
		usable = !rc && memcmp(bl.pool_uuid, l->pool_uuid, 16) == 0 && memcmp(bl.dev_uuid, l->dev_uuid, 16) == 0;
		if (rc && !open_end && !(zero && (d->flags & LCPFS_DEV_IMAGE)))
			ck_report(ck, P_LABEL_BACK, NULL, "%s", why.msg);
		else if (!rc && (!usable || bl.data_off != l->data_off || bl.ring_slots != l->ring_slots || bl.cfg_len != l->cfg_len))
			ck_report(ck, P_LABEL_DIFFER, NULL, NULL);
	}
	rc = read_ring(d, l, UNIT, &fr, err);
	if (!rc && usable)
		rc = read_ring(d, l, at, &br, err);
	/* a back label whose writing a power cut broke off, at the close of an image that grew: the front one counts */
	if (open_end && fr.n && !br.n)
		usable = false;
	if (!rc) {
		check_rings(ck, &fr, &br, usable);
		check_lost(ck, &fr, &br, MAX(newest_txg(&fr), newest_txg(&br)), l->ring_slots);
		check_configs(ck, d, l, &fr, UNIT + ring, false);
		/* a back label that is behind belongs to an image in use, or to a close that was broken off: its slots may be those of later ones */
		if (usable && !open_end && newest(&fr) && newest(&br) && newest(&fr)->txg == newest(&br)->txg)
			check_configs(ck, d, l, &br, at + ring, true);
	}
	free(fr.u);
	free(fr.bad);
	free(br.u);
	free(br.bad);
	return rc;
}

int fsck_labels(struct check *ck, struct lcpfs_blockdev *dev, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct label l;
	bool zero;
	int rc = read_header(dev, LABEL_LEN, &l, &zero, &why);

	if (!rc) {
		bool open_end = !l.dev_size;

		if (open_end)
			l.dev_size = round_down(blockdev_size(dev), UNIT);
		return check_sides(ck, dev, &l, true, open_end, err);
	}
	if (rc == -LCPFS_EUNSUP)
		return lcpfs_fail(err, why.code, "%s: %s", dev->name, why.msg);
	/* without a back label just at the end, opening looks further, and says so if there is none */
	if (blockdev_size(dev) < LABEL_LEN || read_header(dev, blockdev_size(dev) - LABEL_LEN, &l, &zero, NULL))
		return 0;
	ck_report(ck, P_LABEL_FRONT, NULL, "%s", why.msg);
	return check_sides(ck, dev, &l, false, false, err);
}

int fsck_config(struct check *ck, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(ck->spa->vdev);
	size_t n;
	const struct vdev_uber *u = vdev_ubers(ck->spa->vdev, &n);

	(void)err;
	if (n && u[0].ub.txg != ck->ub.txg)
		ck_report(ck, P_UBER_ROOT, NULL, "txg %" PRIu64 ", taking %" PRIu64, u[0].ub.txg, ck->ub.txg);
	if (!c->n_epochs || memcmp(c->epochs[c->n_epochs - 1].id, ck->ub.epoch_id, 16) != 0 ||
	    c->epochs[c->n_epochs - 1].first_txg > ck->ub.txg)
		ck_report(ck, P_UBER_EPOCH, NULL, "txg %" PRIu64, ck->ub.txg);
	if (c->n_devices != ck->ub.n_devices)
		ck_report(ck, P_CONFIG_COUNT, NULL, "%u and %u", ck->ub.n_devices, c->n_devices);
	return 0;
}
