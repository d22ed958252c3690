/* SPDX-License-Identifier: Apache-2.0 */
#include "format/ptr.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>

void ptr_encode(const struct blkptr *p, uint8_t raw[PTR_LEN])
{
	struct ptr_disk d = { 0 };

	if (!ptr_is_null(p)) {
		d.addr = le64_put(p->addr);
		d.birth = le48_put(p->birth);
		d.kind_level = (uint8_t)(p->kind | p->level << 4);
		d.flags = p->flags;
		d.lsize = le32_put(p->lsize);
		d.psize = le32_put(p->psize);
		d.comp = p->comp;
		d.dict = p->dict;
		d.csum = p->csum;
		d.suite = p->suite;
		d.keygen = p->keygen;
		memcpy(d.hash, p->hash, sizeof d.hash);
		memcpy(d.siv, p->siv, sizeof d.siv);
		memcpy(d.tag, p->tag, sizeof d.tag);
	}
	memcpy(raw, &d, sizeof d);
}

static int check_fields(const struct blkptr *p, const struct ptr_disk *d, struct lcpfs_error *err)
{
	if (!is_all_zero(d->zero, sizeof d->zero) || (p->flags & ~PTR_FLAGS_ALL))
		return lcpfs_fail(err, LCPFS_EUNSUP, "pointer %" PRIx64 ": unknown flags", p->addr);
	if (p->kind < PTR_NODE || p->kind > PTR_BLOB || (p->kind != PTR_NODE && p->level))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 ": kind %u level %u", p->addr, p->kind, p->level);
	if (!p->lsize || !p->psize || p->lsize > DATA_MAX || p->psize > STORED_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 ": sizes %u, %u", p->addr, p->lsize, p->psize);
	if (ptr_chunk(p) == 0 || p->birth == 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 ": no chunk or no birth", p->addr);
	if (p->comp > 3 || p->csum < 1 || p->csum > 2 || p->suite > 2)
		return lcpfs_fail(err, LCPFS_EUNSUP, "pointer %" PRIx64 ": codec %u, checksum %u, suite %u", p->addr, p->comp,
		    p->csum, p->suite);
	if (!p->suite && (!is_all_zero(p->siv, 32) || (p->flags & PTR_ENC)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pointer %" PRIx64 ": encryption fields in a plain pointer", p->addr);
	return 0;
}

int ptr_decode(struct blkptr *out, const uint8_t raw[PTR_LEN], struct lcpfs_error *err)
{
	struct ptr_disk d;
	struct blkptr p = { 0 };
	int rc;

	memcpy(&d, raw, sizeof d);
	p.addr = le64_get(d.addr);
	if (!p.addr) {
		if (!is_all_zero(raw, PTR_LEN))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "null pointer with content");
		*out = p;
		return 0;
	}
	p.birth = le48_get(d.birth);
	p.kind = d.kind_level & 15;
	p.level = d.kind_level >> 4;
	p.flags = d.flags;
	p.lsize = le32_get(d.lsize);
	p.psize = le32_get(d.psize);
	p.comp = d.comp;
	p.dict = d.dict;
	p.csum = d.csum;
	p.suite = d.suite;
	p.keygen = d.keygen;
	memcpy(p.hash, d.hash, sizeof p.hash);
	memcpy(p.siv, d.siv, sizeof p.siv);
	memcpy(p.tag, d.tag, sizeof p.tag);
	rc = check_fields(&p, &d, err);
	if (!rc)
		*out = p;
	return rc;
}

void ptr_print(const struct blkptr *p, struct buf *out)
{
	static const char *const kinds[] = { "?", "node", "data", "blob" };
	static const char *const comps[] = { "none", "lz4", "zstd", "lzma2" };

	if (ptr_is_null(p)) {
		buf_printf(out, "null");
		return;
	}
	buf_printf(out, "%u:%u birth %" PRIu64 " %s level %u lsize %u psize %u comp %s csum %u flags %#x hash ", ptr_chunk(p),
	    ptr_sector(p), p->birth, kinds[p->kind & 3], p->level, p->lsize, p->psize, comps[p->comp & 3], p->csum, p->flags);
	buf_hex(out, p->hash, 8);
}
