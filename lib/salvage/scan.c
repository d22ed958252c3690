/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking through the device
 * Every block begins at a sector, so a look at each is enough. A node proves itself by its CRC, an uberblock by its hash; of a config only the
 * begin of its stored form shows, and an uberblock's hash proves it later. What lies inside files (an image in an image) is found too: uberblocks
 * of another pool are left alone, its nodes have other numbers, and a hash is asked for wherever there is one.
 */
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

#define PIECE ((size_t)4 << 20)
#define OVERLAP ((size_t)256 << 10) /* more than the longest node */
#define LABEL_AREA ((uint64_t)6 << 20)
#define CFG_STEP 4096u
#define UBERS_MAX 16384u /* four rings of the longest kind; what more there is, images inside files have */
#define CFGS_MAX 1024u
#define ZSTD_FRAME 0xfd2fb528u

static int note_node(struct sal *s, uint64_t off, const uint8_t *p, const struct node_hdr *h, uint32_t psize, struct lcpfs_error *err)
{
	uint8_t hash[HASH_LEN];
	struct found *f;
	int rc;

	if (s->n_found == s->max_found)
		return 0;
	rc = sal_room(&s->found, s->n_found, &s->cap_found, sizeof *f, err);
	if (rc)
		return rc;
	f = &s->found[s->n_found++];
	*f = (struct found){ .off = off, .birth = h->birth, .guid = le_load(p + 28, 8), .psize = psize, .level = h->level };
	blake3(p, psize, hash);
	memcpy(f->hash[0], hash, FOUND_HASH);
	hash_by_id(HASH_SHA256)->digest(p, psize, hash);
	memcpy(f->hash[1], hash, FOUND_HASH);
	return 0;
}

/* A node at p, of which `left` bytes are there? */
static int try_node(struct sal *s, uint64_t off, const uint8_t *p, size_t left, struct lcpfs_error *err)
{
	uint64_t psize = NODE_HDR + le_load(p + 8, 4) * PTR_LEN + le_load(p + 12, 4);
	static const uint8_t zero[4];
	struct node_hdr h;
	uint32_t crc;

	if (psize > left || node_hdr_decode(&h, p, psize, NULL))
		return 0;
	crc = crc32c(0, p, 44);
	crc = crc32c(crc, zero, 4);
	crc = crc32c(crc, p + 48, psize - 48);
	return crc == h.crc ? note_node(s, off, p, &h, (uint32_t)psize, err) : 0;
}

static int try_uber(struct sal *s, uint64_t off, const uint8_t *p, size_t left, struct lcpfs_error *err)
{
	struct uberblock ub;
	int rc;

	if (left < UBER_LEN || s->n_uber == UBERS_MAX || uberblock_decode(&ub, p, NULL))
		return 0;
	for (size_t i = 0; i < s->n_uber; i++)
		if (s->uber[i].ub.txg == ub.txg && !memcmp(s->uber[i].ub.pool_uuid, ub.pool_uuid, 16) &&
		    !memcmp(s->uber[i].ub.epoch_id, ub.epoch_id, 16))
			return 0;
	rc = sal_room(&s->uber, s->n_uber, &s->cap_uber, sizeof *s->uber, err);
	if (!rc)
		s->uber[s->n_uber++] = (struct found_uber){ ub, off };
	return rc;
}

static int try_config(struct sal *s, uint64_t off, const uint8_t *p, struct lcpfs_error *err)
{
	uint32_t len = (uint32_t)le_load(p, 4), codec = (uint32_t)le_load(p + 4, 4);
	int rc;

	if (!len || len > CONFIG_DECODED_MAX || s->n_cfg == CFGS_MAX || !((codec == CODEC_ZSTD && le_load(p + 8, 4) == ZSTD_FRAME) ||
	    (codec == CODEC_NONE && le_load(p + 8, 2) == 1 && le_load(p + 12, 4) <= CONFIG_NAME_MAX)))
		return 0;
	for (size_t i = 0; i < s->n_cfg; i++)
		if (s->cfg[i].off == off)
			return 0;
	rc = sal_room(&s->cfg, s->n_cfg, &s->cap_cfg, sizeof *s->cfg, err);
	if (!rc)
		s->cfg[s->n_cfg++].off = off;
	return rc;
}

static int note_frame(struct sal *s, uint64_t off, struct lcpfs_error *err)
{
	int rc = s->n_frame < s->max_found ? sal_room(&s->frame, s->n_frame, &s->cap_frame, sizeof *s->frame, err) : 1;

	if (!rc)
		s->frame[s->n_frame++] = off;
	return MIN(rc, 0);
}

/* Everything that begins in the first `len` of `have` bytes. */
static int look(struct sal *s, uint64_t off, const uint8_t *buf, size_t len, size_t have, bool nodes, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < len && have - i >= SECTOR; i += SECTOR) {
		const uint8_t *p = buf + i;

		if (nodes && le_load(p, 4) == NODE_MAGIC)
			rc = try_node(s, off + i, p, have - i, err);
		else if (nodes && le_load(p, 4) == ZSTD_FRAME)
			rc = note_frame(s, off + i, err);
		else if (memcmp(p, "LCPFSUBR", 8) == 0)
			rc = try_uber(s, off + i, p, have - i, err);
		else if ((off + i) % CFG_STEP == 0 && p[5] == 0)
			rc = try_config(s, off + i, p, err);
	}
	return rc;
}

static int scan_range(struct sal *s, uint64_t from, uint64_t to, bool nodes, struct lcpfs_error *err)
{
	uint8_t *buf = malloc(PIECE + OVERLAP);
	int rc = buf ? 0 : lcpfs_nomem(err);
	size_t kept = 0; /* read already, at the begin of buf */

	for (uint64_t off = from; !rc && off < to;) {
		size_t want = PIECE + OVERLAP - kept, have, len;
		uint64_t at = off + kept;

		want = at < s->size ? (size_t)MIN((uint64_t)want, s->size - at) : 0;
		media_read(s, at, buf + kept, want);
		have = kept + want;
		len = (size_t)MIN((uint64_t)PIECE, to - off);
		len = MIN(len, have);
		rc = look(s, off, buf, len, have, nodes, err);
		if (!rc && nodes && sal_tick(s, "scanning", off + len, s->size))
			rc = sal_stopped(err);
		if (!len)
			break;
		kept = have - len;
		memmove(buf, buf + len, kept);
		off += len;
	}
	free(buf);
	return rc;
}

int scan_labels(struct sal *s, struct lcpfs_error *err)
{
	uint64_t end = round_down(s->size, SECTOR);
	int rc = scan_range(s, 0, MIN(end, LABEL_AREA), false, err);

	if (!rc && end > LABEL_AREA)
		rc = scan_range(s, MAX(LABEL_AREA, round_down(end - MIN(end, LABEL_AREA), CFG_STEP)), end, false, err);
	return rc;
}

int scan_all(struct sal *s, struct lcpfs_error *err)
{
	int rc;

	if (s->scanned)
		return 0;
	rc = scan_range(s, 0, s->size, true, err);
	if (!rc)
		rc = node_sort(s, err);
	if (rc)
		return rc;
	s->scanned = s->st.scanned = true;
	s->st.nodes = s->n_found;
	return map_configs(s, err);
}
