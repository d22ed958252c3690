/* SPDX-License-Identifier: Apache-2.0 */
#include "format/pack.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>

/* A number of `bytes` bytes that are n apart. */
static uint64_t plane_get(const uint8_t *p, uint32_t n, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | p[(size_t)bytes * n];
	return v;
}

static void plane_put(uint8_t *p, uint32_t n, unsigned bytes, uint64_t v)
{
	for (unsigned k = 0; k < bytes; k++)
		p[(size_t)k * n] = (uint8_t)(v >> 8 * k);
}

int pack_begin(struct pack_cur *c, const uint8_t *pack, size_t len, struct lcpfs_error *err)
{
	uint32_t magic = len < PACK_HDR ? 0 : (uint32_t)le_load(pack, 4), n;

	if (magic != PACK_MAGIC && magic != PACK_MAGIC_COLS)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack: bad magic");
	n = (uint32_t)le_load(pack + 4, 4);
	if (!n || n > (len - PACK_HDR) / PACK_ENT)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack: %u entries in %zu bytes", n, len);
	*c = (struct pack_cur){ .table = pack + PACK_HDR, .n = n, .cols = magic == PACK_MAGIC_COLS, .at = PACK_HDR + n * (uint64_t)PACK_ENT,
		.end = len };
	return 0;
}

int pack_next(struct pack_cur *c, struct pack_slot *out, struct lcpfs_error *err)
{
	const uint8_t *e = c->table + (c->cols ? c->i : (size_t)c->i * PACK_ENT);
	uint32_t len;

	if (c->i == c->n)
		return c->at == c->end ? 1 : lcpfs_fail(err, LCPFS_ECORRUPT, "pack: %" PRIu64 " bytes, its table says %" PRIu64, c->end, c->at);
	c->id = c->cols ? c->id + plane_get(e, c->n, 8) : le_load(e, 8);
	len = (uint32_t)(c->cols ? plane_get(e + 8 * (size_t)c->n, c->n, 4) : le_load(e + 8, 4));
	if (!len || len > c->end - c->at)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack: entry %u of %u bytes does not fit", c->i, len);
	*out = (struct pack_slot){ .data_id = c->id, .off = (uint32_t)c->at, .len = len };
	c->at += len;
	c->i++;
	return 0;
}

void pack_header_put(uint8_t *pack, uint32_t n, bool cols)
{
	le_store(pack, 4, cols ? PACK_MAGIC_COLS : PACK_MAGIC);
	le_store(pack + 4, 4, n);
}

void pack_entry_put(uint8_t *pack, uint32_t n, uint32_t i, uint64_t prev, uint64_t data_id, uint32_t len, bool cols)
{
	uint8_t *e = pack + PACK_HDR + (cols ? i : (size_t)i * PACK_ENT);

	if (cols) {
		plane_put(e, n, 8, data_id - prev);
		plane_put(e + 8 * (size_t)n, n, 4, len);
	} else {
		le_store(e, 8, data_id);
		le_store(e + 8, 4, len);
	}
}
