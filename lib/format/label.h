/* SPDX-License-Identifier: Apache-2.0 */
/* Label header and uberblock: what a device begins and ends with. Does no I/O. */
#ifndef FORMAT_LABEL_H
#define FORMAT_LABEL_H
#include "base/buf.h"
#include "format/ptr.h"

#define FORMAT_MAJOR 1u
#define FORMAT_MINOR 0u
#define LABEL_LEN 4096u
#define UBER_LEN 4096u
#define CONFIG_SLOTS 4u
#define UBER_KEEP 2u          /* K: nothing reachable from the last K uberblocks is ever overwritten */
#define UNIT (64u << 10)      /* columns are counted in these */

/*
 * Front part of a device: 0..4K never written; 4K label header; 8K..64K zero; 64K ring of R slots of S bytes; then 4 config slots of
 * C bytes; then data. The back label is mirrored: ring, config slots, reserved, header in the last 4 KiB.
 */
struct label {
	uint16_t major, minor;
	uint8_t pool_uuid[16], dev_uuid[16];
	uint16_t dev_id;
	uint8_t sector_shift, label_count;
	uint32_t ring_slots;
	uint64_t ring_off, cfg_off, cfg_len;  /* absolute offsets of THIS label's ring and config slots; cfg_len = C */
	uint64_t data_off;
	uint64_t dev_size;     /* where the device ends; 0, in the front label of an image that grows: wherever the file does */
	uint64_t region_off, region_len;
	uint64_t created_ns;
};
uint64_t label_slot_bytes(unsigned sector_shift);                        /* S = max(4 KiB, sector) */
uint64_t label_front_bytes(unsigned sector_shift, uint32_t ring_slots, uint64_t cfg_len); /* L, a multiple of 64 KiB */
void label_encode(const struct label *l, uint8_t raw[LABEL_LEN]);
/* Magic, hash, version (LCPFS_EUNSUP when newer), ranges, overflow of every offset. */
int label_decode(struct label *out, const uint8_t raw[LABEL_LEN], struct lcpfs_error *err);
void label_print(const struct label *l, struct buf *out);

struct uberblock {
	uint16_t major, minor;
	uint8_t pool_uuid[16];
	uint64_t txg;
	int64_t time_s;
	uint32_t time_ns, flags;
	uint8_t epoch_id[16];
	uint64_t cfg_gen;
	uint32_t cfg_len;      /* stored bytes of the config blob */
	uint8_t cfg_slot;
	uint8_t cfg_hash[32];  /* BLAKE3 of the stored bytes */
	struct blkptr pool_root, space_root;
	uint64_t ring_tail_off, ring_tail_seq;
	uint8_t ring_epoch[16];
	uint64_t total_sectors, free_sectors, next_guid, rewind_floor_txg;
	uint64_t prev_txg[2];
	uint16_t n_devices;
};
void uberblock_encode(const struct uberblock *u, uint8_t raw[UBER_LEN]);
int uberblock_decode(struct uberblock *out, const uint8_t raw[UBER_LEN], struct lcpfs_error *err);
void uberblock_print(const struct uberblock *u, struct buf *out);
#endif
