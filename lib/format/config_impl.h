/* SPDX-License-Identifier: Apache-2.0 */
/* The config blob: TLV types and entry sizes, shared by its encoder, decoder and checker. */
#ifndef FORMAT_CONFIG_IMPL_H
#define FORMAT_CONFIG_IMPL_H
#include "format/config.h"

/*
 * TLV { u16 type, u16 flags, u32 len, payload }. Types are never reused.
 *   NAME     the name, no terminator
 *   POOL     u8 uuid[16], u32 next_chunk_id, u8 csum, u8 zero[3]
 *   INCOMPAT, ROCOMPAT, COMPAT   one feature name each, ascending
 *   EPOCHS   { u8 id[16], u64 first_txg } oldest first, 1..64 of them
 *   DEVICE   u16 id, u16 group, u8 role, u8 class, u8 state, u8 ashift, u8 uuid[16], u64 size, u32 domain_tag,
 *            u64 stale_from, u64 stale_to, u32 err_r, u32 err_w, u32 err_h; then the hint path
 *            size 0: an image that grows with its content
 *   GROUP    u16 id, u8 profile, u8 width, u8 parity, u8 class, u8 flags, u8 ashift, u16 spare_permille, u32 col_units,
 *            u16 name_len, u16 n_devs, u8 zero[30]; then the name; then u16 dev[n_devs], ascending
 *   CHUNK    u32 id, u16 group, u8 profile, u8 width, u8 parity, u8 ashift, u8 class, u8 state, u32 col_units,
 *            u64 created_txg, u32 live_hint, u32 zero; then { u16 dev, u48 start_unit } [width]
 *   RETIRED  u16 dev, u48 start_unit, u32 units, u64 txg
 */
enum {
	TLV_NAME = 1, TLV_POOL = 2, TLV_INCOMPAT = 3, TLV_ROCOMPAT = 4, TLV_COMPAT = 5, TLV_EPOCHS = 6,
	TLV_DEVICE = 16, TLV_GROUP = 17, TLV_CHUNK = 18, TLV_RETIRED = 19,
};
#define TLV_CRITICAL 1u
#define TLV_HDR 8u
#define POOL_LEN 24u
#define EPOCH_LEN 24u
#define DEVICE_LEN 64u
#define GROUP_LEN 48u
#define GROUP_USED 18u
#define CHUNK_LEN 32u
#define MEMBER_LEN 8u
#define RETIRED_LEN 20u
#define HINT_MAX 4096u

/* What the lists say of each other: ids, references, columns inside their devices and apart. */
int config_check(const struct config *c, struct lcpfs_error *err);
#endif
