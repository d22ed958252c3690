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
	struct pack_cur c;
	int rc = pack_begin(&c, pack, len, err);

	if (!rc)
		*table_len = (size_t)c.at;
	return rc;
}

int pack_table_decode(struct pack_table *out, const uint8_t *pack, size_t len, struct lcpfs_error *err)
{
	struct pack_table t = { 0 };
	struct pack_slot e;
	struct pack_cur c;
	int rc = pack_begin(&c, pack, len, err);

	if (rc)
		return rc;
	t.ents = calloc(c.n, sizeof *t.ents);
	if (!t.ents)
		return lcpfs_nomem(err);
	while (!(rc = pack_next(&c, &e, err)))
		t.ents[t.n++] = (struct pack_ent){ .data_id = e.data_id, .off = e.off, .len = e.len };
	if (rc == 1) {
		qsort(t.ents, t.n, sizeof *t.ents, by_id);
		rc = check_twins(&t, err);
	}
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
