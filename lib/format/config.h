/* SPDX-License-Identifier: Apache-2.0 */
/* The config blob: devices, groups, chunks, features: everything that must be known before an address means something. */
#ifndef FORMAT_CONFIG_H
#define FORMAT_CONFIG_H
#include <stdbool.h>
#include "base/buf.h"
#include "lcpfs/error.h"

#define CONFIG_NAME_MAX 63u
#define CONFIG_EPOCHS_MAX 64u
#define CONFIG_FEATURES_MAX 256u
#define CHUNK_WIDTH_MAX 255u
#define CONFIG_DECODED_MAX (256u << 20)

enum dev_role { ROLE_DATA = 1, ROLE_LOG, ROLE_CACHE, ROLE_SPARE };
enum dev_state { DEV_ONLINE = 1, DEV_DEGRADED, DEV_MISSING, DEV_REMOVING, DEV_FAILED };
enum chunk_class { CLASS_ANY = 0, CLASS_DATA = 1, CLASS_META = 2, CLASS_LOG = 3 };
enum chunk_state { CHUNK_ACTIVE = 1, CHUNK_READONLY, CHUNK_EVACUATING, CHUNK_ZOMBIE };
#define FEATURE_COPIES "copies" /* incompat: chunks of class meta hold their content twice (mirror of 2), data has chunks of its own */

enum profile { PROFILE_MIRROR = 1, PROFILE_RAIDZ = 2 };

struct cfg_device {
	uint16_t id, group;
	uint8_t role, cls, state, ashift;
	uint8_t uuid[16];
	uint64_t size; /* bytes, a multiple of 64 KiB; 0 = an image that grows with its content */
	uint32_t domain_tag;
	uint64_t stale_from, stale_to;
	uint32_t err_r, err_w, err_h;
	char *hint; /* where it was last seen; NULL = none */
};
struct cfg_group {
	uint16_t id;
	uint8_t profile, width, parity, cls, flags, ashift;
	uint16_t spare_permille;
	uint32_t col_units;
	char *name;
	uint16_t *devs;
	uint16_t n_devs;
};
struct cfg_member { uint16_t dev; uint64_t start_unit; };
struct cfg_chunk {
	uint32_t id;
	uint16_t group;
	uint8_t profile, width, parity, ashift, cls, state;
	uint32_t col_units;
	uint64_t created_txg;
	uint32_t live_hint;
	struct cfg_member *member; /* width of them */
};
struct cfg_retired { uint16_t dev; uint64_t start_unit; uint32_t units; uint64_t txg; };
struct cfg_epoch { uint8_t id[16]; uint64_t first_txg; };
struct cfg_features { char **names; uint32_t n; }; /* sorted */

struct config {
	char name[CONFIG_NAME_MAX + 1];
	uint8_t uuid[16];
	uint32_t next_chunk_id;
	uint8_t csum;                 /* checksum of new blocks, enum hash_id */
	struct cfg_features incompat, ro_compat, compat;
	struct cfg_epoch *epochs; uint32_t n_epochs;
	struct cfg_device *devices; uint32_t n_devices;
	struct cfg_group *groups; uint32_t n_groups;
	struct cfg_chunk *chunks; uint32_t n_chunks;   /* ascending id */
	struct cfg_retired *retired; uint32_t n_retired;
	uint8_t *unknown; size_t unknown_len;          /* TLVs of newer minors, kept byte for byte */
};
void config_init(struct config *c);
void config_fini(struct config *c);
/*
 * Decoded form of the blob (before compression): TLVs { u16 type, u16 flags (1 = critical: refuse when unknown), u32 len }.
 * encode appends to out; decode checks every field, sums, ids unique and ascending, members' devices known, columns of one device not overlapping
 * (also with retired ones), everything inside the device; a name of the dataset alphabet.
 */
void config_encode(const struct config *c, struct buf *out);
int config_decode(struct config *out, const uint8_t *data, size_t len, struct lcpfs_error *err);
void config_print(const struct config *c, struct buf *out);
const struct cfg_chunk *config_chunk(const struct config *c, uint32_t id); /* binary search; NULL */
bool config_has_feature(const struct cfg_features *f, const char *name);
int config_add_feature(struct cfg_features *f, const char *name, struct lcpfs_error *err);
/* The first feature that this version does not know, NULL = none: refuse to open (incompat), or to open for writing (ro_compat). */
const char *config_unknown_incompat(const struct config *c);
const char *config_unknown_ro_compat(const struct config *c);
/* Valid pool or dataset level name: 1..max bytes of A-Za-z0-9._-+ and not "." or "..". */
bool config_name_ok(const char *name, size_t len, size_t max);
#endif
