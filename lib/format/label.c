/* SPDX-License-Identifier: Apache-2.0 */
#include "format/label.h"
#include "base/error.h"
#include "base/util.h"
#include "hash/hash.h"
#include <inttypes.h>
#include <stddef.h>

#define LABEL_HASHED (LABEL_LEN - HASH_LEN)
#define RING_MIN 8u
#define RING_MAX 4096u
#define CFG_SLOT_MAX (64u << 20)
#define DEV_SIZE_MAX (UINT64_C(1) << 62)

/*
 * Label header, 4096 bytes.
 *   offset size field
 *      0    8   magic "LCPFSDEV"
 *      8    2   major           10   2  minor          12   4  header_len, 4096
 *     16   16   pool_uuid       32  16  dev_uuid
 *     48    2   dev_id          50   1  sector_shift   51   1  label_count
 *     52    4   ring_slots      56   8  ring_off       64   8  cfg_off     72   8  cfg_len
 *     80   48   zero
 *    128    8   data_off       136   8  dev_size
 *    144    8   region_off     152   8  region_len    160   8  created_ns
 *    168 3896   zero
 *   4064   32   BLAKE3 of bytes 0..4063
 */
struct label_disk {
	uint8_t magic[8];
	le16 major, minor;
	le32 header_len;
	uint8_t pool_uuid[16], dev_uuid[16];
	le16 dev_id;
	uint8_t sector_shift, label_count;
	le32 ring_slots;
	le64 ring_off, cfg_off, cfg_len;
	uint8_t zero[48];
	le64 data_off, dev_size, region_off, region_len, created_ns;
	uint8_t zero2[LABEL_HASHED - 168];
	uint8_t hash[HASH_LEN];
};
_Static_assert(sizeof(struct label_disk) == LABEL_LEN, "a label header is 4096 bytes");
_Static_assert(offsetof(struct label_disk, dev_id) == 48, "dev_id");
_Static_assert(offsetof(struct label_disk, ring_off) == 56, "ring_off");
_Static_assert(offsetof(struct label_disk, data_off) == 128, "data_off");
_Static_assert(offsetof(struct label_disk, zero2) == 168, "rest");
_Static_assert(offsetof(struct label_disk, hash) == 4064, "hash");

static const uint8_t label_magic[8] = { 'L', 'C', 'P', 'F', 'S', 'D', 'E', 'V' };

uint64_t label_slot_bytes(unsigned sector_shift)
{
	return MAX(UBER_LEN, UINT64_C(1) << sector_shift);
}

uint64_t label_front_bytes(unsigned sector_shift, uint32_t ring_slots, uint64_t cfg_len)
{
	return round_up(UNIT + label_slot_bytes(sector_shift) * ring_slots + CONFIG_SLOTS * cfg_len, UNIT);
}

void label_encode(const struct label *l, uint8_t raw[LABEL_LEN])
{
	struct label_disk d = { 0 };

	memcpy(d.magic, label_magic, sizeof d.magic);
	d.major = le16_put(l->major);
	d.minor = le16_put(l->minor);
	d.header_len = le32_put(LABEL_LEN);
	memcpy(d.pool_uuid, l->pool_uuid, sizeof d.pool_uuid);
	memcpy(d.dev_uuid, l->dev_uuid, sizeof d.dev_uuid);
	d.dev_id = le16_put(l->dev_id);
	d.sector_shift = l->sector_shift;
	d.label_count = l->label_count;
	d.ring_slots = le32_put(l->ring_slots);
	d.ring_off = le64_put(l->ring_off);
	d.cfg_off = le64_put(l->cfg_off);
	d.cfg_len = le64_put(l->cfg_len);
	d.data_off = le64_put(l->data_off);
	d.dev_size = le64_put(l->dev_size);
	d.region_off = le64_put(l->region_off);
	d.region_len = le64_put(l->region_len);
	d.created_ns = le64_put(l->created_ns);
	blake3(&d, LABEL_HASHED, d.hash);
	memcpy(raw, &d, sizeof d);
}

/* [off, off + len) inside [lo, hi), without overflow */
static bool range_in(uint64_t off, uint64_t len, uint64_t lo, uint64_t hi)
{
	uint64_t end;

	return !add_overflow(off, len, &end) && off >= lo && end <= hi;
}

static int check_sizes(const struct label *l, struct lcpfs_error *err)
{
	if (l->sector_shift < 9 || l->sector_shift > 16)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: sector shift %u", l->sector_shift);
	if (l->label_count < 1 || l->label_count > 2)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: %u labels", l->label_count);
	if (l->ring_slots < RING_MIN || l->ring_slots > RING_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: ring of %u slots", l->ring_slots);
	if (!l->cfg_len || l->cfg_len % UNIT || l->cfg_len > CFG_SLOT_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: config slot of %" PRIu64 " bytes", l->cfg_len);
	if (l->dev_size % UNIT || l->dev_size > DEV_SIZE_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: device size %" PRIu64, l->dev_size);
	if (l->region_off % UNIT || l->region_off > DEV_SIZE_MAX || l->region_len % UNIT ||
	    l->region_len > DEV_SIZE_MAX || (!l->region_len && l->region_off))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: region %" PRIu64 " + %" PRIu64, l->region_off, l->region_len);
	if (!l->dev_id)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: device id 0");
	return 0;
}

/* Sizes are known to be sane here. Ring and slots lie where a front or a back label has them, and nowhere else. */
static int check_places(const struct label *l, struct lcpfs_error *err)
{
	uint64_t ring = label_slot_bytes(l->sector_shift) * l->ring_slots;
	uint64_t front = label_front_bytes(l->sector_shift, l->ring_slots, l->cfg_len);
	uint64_t lo = l->region_off, hi = l->dev_size ? lo + l->dev_size : DEV_SIZE_MAX;

	if (l->data_off % UNIT || !range_in(l->data_off, 0, lo + front, hi))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: data begins at %" PRIu64, l->data_off);
	if (!range_in(l->ring_off, ring, lo, hi) || !range_in(l->cfg_off, CONFIG_SLOTS * l->cfg_len, lo, hi) ||
	    l->cfg_off != l->ring_off + ring)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: ring at %" PRIu64 ", config at %" PRIu64, l->ring_off, l->cfg_off);
	if (l->ring_off == lo + UNIT)
		return 0;
	if (l->label_count != 2 || l->dev_size < l->data_off - lo + front || l->ring_off != hi - front)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: ring at %" PRIu64 " is neither front nor back", l->ring_off);
	return 0;
}

static void label_load(struct label *l, const struct label_disk *d)
{
	*l = (struct label){
		.major = le16_get(d->major), .minor = le16_get(d->minor), .dev_id = le16_get(d->dev_id),
		.sector_shift = d->sector_shift, .label_count = d->label_count, .ring_slots = le32_get(d->ring_slots),
		.ring_off = le64_get(d->ring_off), .cfg_off = le64_get(d->cfg_off), .cfg_len = le64_get(d->cfg_len),
		.data_off = le64_get(d->data_off), .dev_size = le64_get(d->dev_size),
		.region_off = le64_get(d->region_off), .region_len = le64_get(d->region_len),
		.created_ns = le64_get(d->created_ns),
	};
	memcpy(l->pool_uuid, d->pool_uuid, sizeof l->pool_uuid);
	memcpy(l->dev_uuid, d->dev_uuid, sizeof l->dev_uuid);
}

int label_decode(struct label *out, const uint8_t raw[LABEL_LEN], struct lcpfs_error *err)
{
	struct label_disk d;
	struct label l;
	uint8_t hash[HASH_LEN];
	int rc;

	memcpy(&d, raw, sizeof d);
	if (memcmp(d.magic, label_magic, sizeof label_magic) != 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: bad magic");
	blake3(raw, LABEL_HASHED, hash);
	if (memcmp(hash, d.hash, sizeof hash) != 0)
		return lcpfs_fail(err, LCPFS_ECSUM, "label: checksum mismatch");
	label_load(&l, &d);
	if (l.major > FORMAT_MAJOR)
		return lcpfs_fail(err, LCPFS_EUNSUP, "label: format %u.%u is newer than %u.%u", l.major, l.minor, FORMAT_MAJOR,
		    FORMAT_MINOR);
	if (!l.major || le32_get(d.header_len) != LABEL_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: format %u, length %u", l.major, le32_get(d.header_len));
	/* a newer minor may use what is zero now */
	if (l.minor <= FORMAT_MINOR && (!is_all_zero(d.zero, sizeof d.zero) || !is_all_zero(d.zero2, sizeof d.zero2)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "label: reserved bytes are not zero");
	rc = check_sizes(&l, err);
	if (!rc)
		rc = check_places(&l, err);
	if (!rc)
		*out = l;
	return rc;
}

void label_print(const struct label *l, struct buf *out)
{
	buf_printf(out, "format %u.%u\n", l->major, l->minor);
	buf_printf(out, "pool_uuid ");
	buf_hex(out, l->pool_uuid, sizeof l->pool_uuid);
	buf_printf(out, "\ndev_uuid ");
	buf_hex(out, l->dev_uuid, sizeof l->dev_uuid);
	buf_printf(out, "\ndev_id %u\nsector %u\nlabels %u\n", l->dev_id, 1u << l->sector_shift, l->label_count);
	buf_printf(out, "ring %u slots at %" PRIu64 "\n", l->ring_slots, l->ring_off);
	buf_printf(out, "config %u slots of %" PRIu64 " at %" PRIu64 "\n", CONFIG_SLOTS, l->cfg_len, l->cfg_off);
	buf_printf(out, "data_off %" PRIu64 "\ndev_size %" PRIu64 "\n", l->data_off, l->dev_size);
	buf_printf(out, "region %" PRIu64 " + %" PRIu64 "\ncreated_ns %" PRIu64 "\n", l->region_off, l->region_len,
	    l->created_ns);
}
