/* SPDX-License-Identifier: Apache-2.0 */
/* The table inside a decoded pack. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct pack_ent *)a)->data_id, y = ((const struct pack_ent *)b)->data_id;

	return (x > y) - (x < y);
}

static int check_twins(const struct pack_table *t, struct lcpfs_error *err)
{
	for (uint32_t i = 1; i < t->n; i++)
		if (t->ents[i].data_id == t->ents[i - 1].data_id)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "pack: content %" PRIx64 " twice", t->ents[i].data_id);
	return 0;
}

int pack_table_len(const uint8_t *pack, size_t len, size_t *table_len, struct lcpfs_error *err)
{
	struct cur c = cur_of(pack, MIN(len, PACK_HDR));
	uint32_t magic = cur_le32(&c), n = cur_le32(&c);

	if (c.bad || magic != PACK_MAGIC || !n || n > (len - PACK_HDR) / PACK_ENT)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "pack: no table of %u contents in %zu bytes", n, len);
	*table_len = PACK_HDR + (size_t)n * PACK_ENT;
	return 0;
}

int pack_table_decode(struct pack_table *out, const uint8_t *pack, size_t len, struct lcpfs_error *err)
{
	struct pack_table t = { 0 };
	size_t table_len = 0;
	struct cur c;
	uint32_t n;
	uint64_t off;
	int rc = pack_table_len(pack, len, &table_len, err);

	if (rc)
		return rc;
	c = cur_of(pack + PACK_HDR, table_len - PACK_HDR);
	n = (uint32_t)((table_len - PACK_HDR) / PACK_ENT);
	off = table_len;
	t.ents = calloc(n, sizeof *t.ents);
	if (!t.ents)
		return lcpfs_nomem(err);
	for (; t.n < n && off <= len; t.n++) {
		struct pack_ent *e = &t.ents[t.n];

		e->data_id = cur_le64(&c);
		e->len = cur_le32(&c);
		e->off = (uint32_t)off;
		off += e->len;
	}
	if (t.n == n)
		qsort(t.ents, t.n, sizeof *t.ents, by_id);
	rc = off != len ? lcpfs_fail(err, LCPFS_ECORRUPT, "pack: contents end at %" PRIu64 " of %zu bytes", off, len) :
	                  check_twins(&t, err);
	if (rc)
		pack_table_fini(&t);
	else
		*out = t;
	return rc;
}

const struct pack_ent *pack_table_find(const struct pack_table *t, uint64_t data_id)
{
	struct pack_ent want = { .data_id = data_id };

	return t->n ? bsearch(&want, t->ents, t->n, sizeof *t->ents, by_id) : NULL;
}

void pack_table_fini(struct pack_table *t)
{
	free(t->ents);
	*t = (struct pack_table){ 0 };
}
