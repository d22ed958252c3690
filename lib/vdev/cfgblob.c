/* SPDX-License-Identifier: Apache-2.0 */
/* The config as it lies in a slot: compressed, named and hashed by the uberblock. */
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "hash/hash.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOB_HDR 8u
#define EXPAND_MAX 64u /* a config decodes to at most this many slots, which bounds what a hostile one can ask for */

static uint64_t decoded_max(const struct vdev *v)
{
	return MIN((uint64_t)CONFIG_DECODED_MAX, EXPAND_MAX * v->label.cfg_len);
}

static void blob_header(struct buf *stored, size_t decoded_len, uint8_t comp)
{
	buf_le32(stored, (uint32_t)decoded_len);
	buf_u8(stored, comp);
	buf_u8(stored, 0);
	buf_le16(stored, 0);
}

int cfgblob_pack(struct vdev *v, struct buf *stored, struct lcpfs_error *err)
{
	static const struct codec_spec spec = { .id = CODEC_ZSTD, .level = 3 };
	struct buf plain = { 0 };
	size_t n = 0;
	uint8_t *to;

	config_encode(&v->cfg, &plain);
	if (!plain.failed && plain.len <= decoded_max(v)) {
		blob_header(stored, plain.len, CODEC_ZSTD);
		to = buf_grow(stored, plain.len);
		n = to ? codec_compress(v->codec, spec, plain.data, plain.len, to, plain.len) : 0;
		stored->len = BLOB_HDR + n;
		if (!n) {
			buf_reset(stored);
			blob_header(stored, plain.len, CODEC_NONE);
			buf_add(stored, plain.data, plain.len);
		}
	}
	n = plain.len;
	stored->failed |= plain.failed;
	buf_fini(&plain);
	if (stored->failed)
		return lcpfs_nomem(err);
	if (n > decoded_max(v) || stored->len > v->label.cfg_len)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%s: a config of %zu bytes does not fit its slot of %" PRIu64, v->dev->name, n,
		    v->label.cfg_len);
	return 0;
}

/* The hash of `p` is known to be right; so what is wrong now was written so. */
static int unpack(struct vdev *v, const uint8_t *p, size_t len, struct config *out, struct lcpfs_error *err)
{
	struct cur in = cur_of(p, len);
	uint32_t decoded = cur_le32(&in);
	uint8_t comp = cur_u8(&in), *plain;
	const uint8_t *zero = cur_bytes(&in, 3);
	int rc;

	if (!zero || !is_all_zero(zero, 3) || decoded > decoded_max(v) || (comp == CODEC_NONE && decoded != cur_left(&in)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: bad header (%zu bytes, decoded %u)", len, decoded);
	if (comp != CODEC_NONE && comp != CODEC_ZSTD)
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: unknown codec %u", comp);
	if (comp == CODEC_NONE)
		return config_decode(out, in.p, decoded, err);
	plain = malloc(decoded ? decoded : 1);
	if (!plain)
		return lcpfs_nomem(err);
	rc = codec_decompress(v->codec, comp, in.p, cur_left(&in), plain, decoded, err);
	if (!rc)
		rc = config_decode(out, plain, decoded, err);
	free(plain);
	return rc;
}

static int read_side(struct vdev *v, const struct uberblock *ub, bool back, uint8_t *p, struct lcpfs_error *err)
{
	struct label l = label_side(&v->label, back);
	uint8_t hash[HASH_LEN];
	int rc = blockdev_read(v->dev, l.cfg_off + ub->cfg_slot * l.cfg_len, p, ub->cfg_len, err);

	if (rc)
		return rc;
	blake3(p, ub->cfg_len, hash);
	if (memcmp(hash, ub->cfg_hash, sizeof hash) != 0)
		return lcpfs_fail(err, LCPFS_ECSUM, "%s: %s label, config slot %u: checksum mismatch (generation %" PRIu64 ", txg %" PRIu64
		    ")", v->dev->name, back ? "back" : "front", ub->cfg_slot, ub->cfg_gen, ub->txg);
	return 0;
}

int cfgblob_read(struct vdev *v, const struct uberblock *ub, struct config *out, bool *from_back, struct lcpfs_error *err)
{
	bool has_back = label_back_counts(v);
	struct lcpfs_error why = { 0 };
	uint8_t *p;
	int rc;

	if (ub->cfg_len > v->label.cfg_len)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: config of %u bytes in a slot of %" PRIu64, v->dev->name, ub->cfg_len,
		    v->label.cfg_len);
	p = malloc(ub->cfg_len ? ub->cfg_len : 1);
	if (!p)
		return lcpfs_nomem(err);
	*from_back = false;
	rc = read_side(v, ub, false, p, &why);
	if (rc && has_back) {
		log_msg(LCPFS_LOG_WARN, "vdev", "skipped: %s", why.msg);
		*from_back = true;
		rc = read_side(v, ub, true, p, &why);
	}
	if (rc)
		lcpfs_fail(err, why.code, "%s", why.msg);
	else
		rc = unpack(v, p, ub->cfg_len, out, err);
	free(p);
	return rc;
}
