/* SPDX-License-Identifier: Apache-2.0 */
/* The open pack: contents of small files, in the order in which they came, until the next would not fit. */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static bool fits(const struct dataset *ds, const struct pack_open *p, size_t len)
{
	return !p->n || PACK_HDR + (p->n + 1ull) * PACK_ENT + p->len + len <= ds->info.pack_size;
}

static struct pack_ent *entry_new(struct pack_open *p)
{
	if (p->n == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 64;
		struct pack_ent *ent = realloc(p->ent, cap * sizeof *ent);

		if (!ent)
			return NULL;
		p->ent = ent;
		p->cap = cap;
	}
	return &p->ent[p->n];
}

/* A 32nd of a pack holds the table of contents of 400 bytes on average. */
static int make_room(struct dataset *ds, struct pack_open *p, size_t len, struct lcpfs_error *err)
{
	size_t room = MAX(p->len + len, ds->info.pack_size);
	uint8_t *mem;

	if (p->mem && room <= p->room)
		return 0;
	if (!p->mem)
		p->lead = ds->info.pack_size / 32;
	mem = p->mem ? realloc(p->mem, p->lead + room) : zio_buf_get(ds->spa->zio, p->lead + room);
	if (!mem)
		return lcpfs_nomem(err);
	p->mem = mem;
	p->room = room;
	return 0;
}

static int append(struct dataset *ds, const struct pack_ent *like, const void *data, size_t len, struct lcpfs_error *err)
{
	struct pack_open *p = &ds->zpl->pack;
	struct pack_ent *e;
	int rc = fits(ds, p, len) ? 0 : pack_close(ds, err);

	if (rc)
		return rc;
	rc = make_room(ds, p, len, err);
	if (rc)
		return rc;
	e = entry_new(p);
	if (!e)
		return lcpfs_nomem(err);
	*e = *like;
	e->off = (uint32_t)p->len;
	e->len = (uint32_t)len;
	memcpy(p->mem + p->lead + p->len, data, len);
	p->len += len;
	p->n++;
	p->live++;
	return 0;
}

int pack_add(struct dataset *ds, uint64_t data_id, uint64_t ino, const void *data, size_t len, struct lcpfs_error *err)
{
	ds->zpl->wrote += len;
	return append(ds, &(struct pack_ent){ .data_id = data_id, .ino = ino }, data, len, err);
}

int pack_move(struct dataset *ds, uint64_t data_id, uint64_t from, uint32_t charge, const void *data, size_t len, struct lcpfs_error *err)
{
	return append(ds, &(struct pack_ent){ .data_id = data_id, .from = from, .charge = charge }, data, len, err);
}

struct pack_ent *pack_find(struct zpl *z, uint64_t data_id)
{
	for (uint32_t i = z->pack.n; i-- > 0; )
		if (z->pack.ent[i].data_id == data_id && !z->pack.ent[i].dead && !z->pack.ent[i].from)
			return &z->pack.ent[i];
	return NULL;
}

const uint8_t *pack_content(const struct zpl *z, const struct pack_ent *e)
{
	return z->pack.mem + z->pack.lead + e->off;
}

void pack_forget(struct zpl *z, struct pack_ent *e)
{
	struct pack_open *p = &z->pack;

	e->dead = true;
	p->live--;
	for (; p->n && p->ent[p->n - 1].dead; p->n--)
		p->len = p->ent[p->n - 1].off;
}

/*
 * The table of what lives, at `block`. Entries get the offsets that their slices have in the block. Contents are moved behind the table,
 * unless they end up where they are.
 */
static void layout(const struct pack_open *p, struct pack_ent *ent, uint8_t *block, bool move, bool cols)
{
	uint32_t at = PACK_HDR + p->live * PACK_ENT, n = 0;
	uint64_t prev = 0;

	pack_header_put(block, p->live, cols);
	for (uint32_t i = 0; i < p->n; i++) {
		const struct pack_ent *e = &p->ent[i];

		if (e->dead)
			continue;
		pack_entry_put(block, p->live, n, prev, e->data_id, e->len, cols);
		prev = e->data_id;
		if (move)
			memcpy(block + at, p->mem + p->lead + e->off, e->len);
		ent[n] = *e;
		ent[n++].off = at;
		at += e->len;
	}
}

static size_t block_len(const struct pack_open *p)
{
	size_t len = PACK_HDR + (size_t)p->live * PACK_ENT;

	for (uint32_t i = 0; i < p->n; i++)
		len += p->ent[i].dead ? 0 : p->ent[i].len;
	return len;
}

int pack_close(struct dataset *ds, struct lcpfs_error *err)
{
	struct pack_open *p = &ds->zpl->pack;
	size_t len = block_len(p), table = PACK_HDR + (size_t)p->live * PACK_ENT, from = 0;
	bool as_is = p->live == p->n && table <= p->lead;
	struct pack_ent *ent;
	uint8_t *buf;
	uint64_t id;
	uint32_t n = p->live;
	int rc;

	if (!n)
		return 0;
	ent = malloc(n * sizeof *ent);
	buf = as_is ? p->mem : zio_buf_get(ds->spa->zio, len);
	rc = ent && buf ? dmu_new_number(ds, &id, err) : lcpfs_nomem(err);
	if (rc) {
		free(ent);
		free(as_is ? NULL : buf);
		return rc;
	}
	if (as_is) {
		from = p->lead - table;
		p->mem = NULL;
	}
	layout(p, ent, buf + from, !as_is, spa_columns(ds->spa));
	p->n = p->live = 0;
	p->len = 0;
	return job_submit_pack(ds, id, ent, n, buf, from, len, err);
}

int zpl_pack_find(const uint8_t *pack, size_t len, uint64_t data_id, uint32_t *off, uint32_t *slice_len, struct lcpfs_error *err)
{
	struct pack_slot e, found = { 0 };
	struct pack_cur c;
	int rc = pack_begin(&c, pack, len, err);

	while (!rc && !(rc = pack_next(&c, &e, err)))
		if (e.data_id == data_id && !found.len)
			found = e;
	if (rc < 0)
		return rc;
	if (!found.len)
		return lcpfs_fail(err, LCPFS_ENOENT, "pack: no content %" PRIu64, data_id);
	*off = found.off;
	*slice_len = found.len;
	return 0;
}
