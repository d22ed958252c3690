/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/util.h"
#include "format/label.h"
#include "hash/hash.h"
#include <inttypes.h>
#include <stddef.h>

#define UBER_HASHED (UBER_LEN - HASH_LEN)
#define TXG_MAX ((UINT64_C(1) << 48) - 1) /* birth numbers have 48 bits */
#define CFG_STORED_MIN 8u
#define CFG_STORED_MAX (64u << 20)

/*
 * Uberblock, the first 4096 bytes of a ring slot.
 *   offset size field
 *      0    8   magic "LCPFSUBR"
 *      8    2   major           10   2  minor         12   4  len, 4096
 *     16   16   pool_uuid       32   8  txg
 *     40    8   time_s          48   4  time_ns       52   4  flags (none yet)
 *     56   16   epoch_id
 *     72    8   cfg_gen         80   4  cfg_len       84   1  cfg_slot      85   3  zero
 *     88   32   cfg_hash
 *    120   96   pool_root      216  96  space_root
 *    312    8   ring_tail_off  320   8  ring_tail_seq 328 16  ring_epoch
 *    344    8   total_sectors  352   8  free_sectors  360  8  next_guid
 *    368    8   rewind_floor_txg
 *    376   16   prev_txg[2]    392   2  n_devices
 *    394 3670   zero
 *   4064   32   BLAKE3 of bytes 0..4063
 */
struct uberblock_disk {
	uint8_t magic[8];
	le16 major, minor;
	le32 len;
	uint8_t pool_uuid[16];
	le64 txg, time_s;
	le32 time_ns, flags;
	uint8_t epoch_id[16];
	le64 cfg_gen;
	le32 cfg_len;
	uint8_t cfg_slot, zero[3], cfg_hash[32];
	uint8_t pool_root[PTR_LEN], space_root[PTR_LEN];
	le64 ring_tail_off, ring_tail_seq;
	uint8_t ring_epoch[16];
	le64 total_sectors, free_sectors, next_guid, rewind_floor_txg, prev_txg[2];
	le16 n_devices;
	uint8_t zero2[UBER_HASHED - 394];
	uint8_t hash[HASH_LEN];
};
_Static_assert(sizeof(struct uberblock_disk) == UBER_LEN, "an uberblock is 4096 bytes");
_Static_assert(offsetof(struct uberblock_disk, epoch_id) == 56, "epoch_id");
_Static_assert(offsetof(struct uberblock_disk, cfg_hash) == 88, "cfg_hash");
_Static_assert(offsetof(struct uberblock_disk, pool_root) == 120, "pool_root");
_Static_assert(offsetof(struct uberblock_disk, ring_tail_off) == 312, "ring_tail_off");
_Static_assert(offsetof(struct uberblock_disk, total_sectors) == 344, "total_sectors");
_Static_assert(offsetof(struct uberblock_disk, zero2) == 394, "rest");

static const uint8_t uber_magic[8] = { 'L', 'C', 'P', 'F', 'S', 'U', 'B', 'R' };

void uberblock_encode(const struct uberblock *u, uint8_t raw[UBER_LEN])
{
	struct uberblock_disk d = { 0 };

	memcpy(d.magic, uber_magic, sizeof d.magic);
	d.major = le16_put(u->major);
	d.minor = le16_put(u->minor);
	d.len = le32_put(UBER_LEN);
	memcpy(d.pool_uuid, u->pool_uuid, sizeof d.pool_uuid);
	d.txg = le64_put(u->txg);
	d.time_s = le64_put((uint64_t)u->time_s);
	d.time_ns = le32_put(u->time_ns);
	d.flags = le32_put(u->flags);
	memcpy(d.epoch_id, u->epoch_id, sizeof d.epoch_id);
	d.cfg_gen = le64_put(u->cfg_gen);
	d.cfg_len = le32_put(u->cfg_len);
	d.cfg_slot = u->cfg_slot;
	memcpy(d.cfg_hash, u->cfg_hash, sizeof d.cfg_hash);
	ptr_encode(&u->pool_root, d.pool_root);
	ptr_encode(&u->space_root, d.space_root);
	d.ring_tail_off = le64_put(u->ring_tail_off);
	d.ring_tail_seq = le64_put(u->ring_tail_seq);
	memcpy(d.ring_epoch, u->ring_epoch, sizeof d.ring_epoch);
	d.total_sectors = le64_put(u->total_sectors);
	d.free_sectors = le64_put(u->free_sectors);
	d.next_guid = le64_put(u->next_guid);
	d.rewind_floor_txg = le64_put(u->rewind_floor_txg);
	d.prev_txg[0] = le64_put(u->prev_txg[0]);
	d.prev_txg[1] = le64_put(u->prev_txg[1]);
	d.n_devices = le16_put(u->n_devices);
	blake3(&d, UBER_HASHED, d.hash);
	memcpy(raw, &d, sizeof d);
}

static void uber_load(struct uberblock *u, const struct uberblock_disk *d)
{
	*u = (struct uberblock){
		.major = le16_get(d->major), .minor = le16_get(d->minor), .txg = le64_get(d->txg),
		.time_s = (int64_t)le64_get(d->time_s), .time_ns = le32_get(d->time_ns), .flags = le32_get(d->flags),
		.cfg_gen = le64_get(d->cfg_gen), .cfg_len = le32_get(d->cfg_len), .cfg_slot = d->cfg_slot,
		.ring_tail_off = le64_get(d->ring_tail_off), .ring_tail_seq = le64_get(d->ring_tail_seq),
		.total_sectors = le64_get(d->total_sectors), .free_sectors = le64_get(d->free_sectors),
		.next_guid = le64_get(d->next_guid), .rewind_floor_txg = le64_get(d->rewind_floor_txg),
		.prev_txg = { le64_get(d->prev_txg[0]), le64_get(d->prev_txg[1]) }, .n_devices = le16_get(d->n_devices),
	};
	memcpy(u->pool_uuid, d->pool_uuid, sizeof u->pool_uuid);
	memcpy(u->epoch_id, d->epoch_id, sizeof u->epoch_id);
	memcpy(u->cfg_hash, d->cfg_hash, sizeof u->cfg_hash);
	memcpy(u->ring_epoch, d->ring_epoch, sizeof u->ring_epoch);
}

static int check_version(const struct uberblock *u, const struct uberblock_disk *d, struct lcpfs_error *err)
{
	if (u->major > FORMAT_MAJOR)
		return lcpfs_fail(err, LCPFS_EUNSUP, "uberblock: format %u.%u is newer than %u.%u", u->major, u->minor,
		    FORMAT_MAJOR, FORMAT_MINOR);
	if (!u->major || le32_get(d->len) != UBER_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock: format %u, length %u", u->major, le32_get(d->len));
	if (u->flags)
		return lcpfs_fail(err, LCPFS_EUNSUP, "uberblock %" PRIu64 ": unknown flags %#x", u->txg, u->flags);
	/* a newer minor may use what is zero now */
	if (u->minor <= FORMAT_MINOR && (!is_all_zero(d->zero, sizeof d->zero) || !is_all_zero(d->zero2, sizeof d->zero2)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": reserved bytes are not zero", u->txg);
	return 0;
}

static int check_fields(const struct uberblock *u, struct lcpfs_error *err)
{
	if (!u->txg || u->txg > TXG_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock: txg %" PRIu64, u->txg);
	if (u->time_ns >= 1000000000)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": %u ns", u->txg, u->time_ns);
	if (!u->cfg_gen || u->cfg_slot >= CONFIG_SLOTS || u->cfg_len < CFG_STORED_MIN || u->cfg_len > CFG_STORED_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": config generation %" PRIu64 ", slot %u, %u bytes",
		    u->txg, u->cfg_gen, u->cfg_slot, u->cfg_len);
	if (u->free_sectors > u->total_sectors)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": %" PRIu64 " sectors free of %" PRIu64, u->txg,
		    u->free_sectors, u->total_sectors);
	if (u->prev_txg[0] >= u->txg || u->prev_txg[1] > u->prev_txg[0] ||
	    (u->prev_txg[0] && u->prev_txg[1] == u->prev_txg[0]) || u->rewind_floor_txg > u->txg)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": previous %" PRIu64 ", %" PRIu64 ", floor %" PRIu64,
		    u->txg, u->prev_txg[0], u->prev_txg[1], u->rewind_floor_txg);
	if (!u->n_devices)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": no devices", u->txg);
	return 0;
}

static int root_decode(struct blkptr *out, const uint8_t *raw, const struct uberblock *u, const char *what,
    struct lcpfs_error *err)
{
	int rc = ptr_decode(out, raw, err);

	if (rc)
		return lcpfs_within(err, rc, "uberblock %" PRIu64 ": %s root", u->txg, what);
	if (!ptr_is_null(out) && (out->kind != PTR_NODE || out->birth > u->txg))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock %" PRIu64 ": %s root of kind %u, birth %" PRIu64, u->txg, what,
		    out->kind, out->birth);
	return 0;
}

int uberblock_decode(struct uberblock *out, const uint8_t raw[UBER_LEN], struct lcpfs_error *err)
{
	struct uberblock_disk d;
	struct uberblock u;
	uint8_t hash[HASH_LEN];
	int rc;

	memcpy(&d, raw, sizeof d);
	if (memcmp(d.magic, uber_magic, sizeof uber_magic) != 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "uberblock: bad magic");
	blake3(raw, UBER_HASHED, hash);
	if (memcmp(hash, d.hash, sizeof hash) != 0)
		return lcpfs_fail(err, LCPFS_ECSUM, "uberblock: checksum mismatch");
	uber_load(&u, &d);
	rc = check_version(&u, &d, err);
	if (!rc)
		rc = check_fields(&u, err);
	if (!rc)
		rc = root_decode(&u.pool_root, d.pool_root, &u, "pool", err);
	if (!rc)
		rc = root_decode(&u.space_root, d.space_root, &u, "space", err);
	if (!rc)
		*out = u;
	return rc;
}

void uberblock_print(const struct uberblock *u, struct buf *out)
{
	buf_printf(out, "format %u.%u\ntxg %" PRIu64 "\nprev_txg %" PRIu64 " %" PRIu64 "\ntime %" PRId64 ".%09u\n", u->major,
	    u->minor, u->txg, u->prev_txg[0], u->prev_txg[1], u->time_s, u->time_ns);
	buf_printf(out, "pool_uuid ");
	buf_hex(out, u->pool_uuid, sizeof u->pool_uuid);
	buf_printf(out, "\nepoch_id ");
	buf_hex(out, u->epoch_id, sizeof u->epoch_id);
	buf_printf(out, "\nconfig generation %" PRIu64 " slot %u, %u bytes\n", u->cfg_gen, u->cfg_slot, u->cfg_len);
	buf_printf(out, "cfg_hash ");
	buf_hex(out, u->cfg_hash, sizeof u->cfg_hash);
	buf_printf(out, "\npool_root ");
	ptr_print(&u->pool_root, out);
	buf_printf(out, "\nspace_root ");
	ptr_print(&u->space_root, out);
	buf_printf(out, "\nsectors %" PRIu64 " free %" PRIu64 "\nnext_guid %" PRIu64 "\nrewind_floor_txg %" PRIu64 "\n",
	    u->total_sectors, u->free_sectors, u->next_guid, u->rewind_floor_txg);
	buf_printf(out, "devices %u\n", u->n_devices);
}
