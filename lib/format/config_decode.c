/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding the config blob
 * One function per TLV type fills one entry; what entries say of each other is config_check's part. Lists grow by
 * doubling, so memory stays within a small multiple of the blob.
 */
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "format/config_impl.h"
#include "hash/hash.h"
#include <stdlib.h>
#include <string.h>

struct decoder {
	struct config c;
	bool name, pool, epochs;
	uint32_t cap_devices, cap_groups, cap_chunks, cap_retired;
};

/* Room for one more of n elements of `size`; the caller zeroes it. */
static void *list_more(void *list, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t want = *cap ? *cap * 2 : 4;
	void *p;

	if (n < *cap)
		return list;
	if (want <= *cap)
		return NULL;
	p = realloc(list, want * size);
	if (p)
		*cap = want;
	return p;
}

static char *copy_text(const uint8_t *p, size_t len)
{
	char *s = malloc(len + 1);

	if (s) {
		memcpy(s, p, len);
		s[len] = 0;
	}
	return s;
}

static int get_name(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	size_t len = cur_left(in);

	if (d->name || !config_name_ok((const char *)in->p, len, CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: bad pool name");
	memcpy(d->c.name, cur_bytes(in, len), len);
	d->name = true;
	return 0;
}

static int get_pool(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	if (d->pool || cur_left(in) != POOL_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: bad pool record");
	memcpy(d->c.uuid, cur_bytes(in, 16), 16);
	d->c.next_chunk_id = cur_le32(in);
	d->c.csum = cur_u8(in);
	if (!is_all_zero(cur_bytes(in, 3), 3))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: pool record: reserved bytes are not zero");
	if (!hash_by_id(d->c.csum))
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: unknown checksum %u", d->c.csum);
	d->pool = true;
	return 0;
}

static int get_feature(struct cfg_features *f, struct cur *in, struct lcpfs_error *err)
{
	size_t len = cur_left(in);
	char name[CONFIG_NAME_MAX + 1] = { 0 };

	if (!config_name_ok((const char *)in->p, len, CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: bad feature name");
	memcpy(name, cur_bytes(in, len), len);
	if (f->n && strcmp(f->names[f->n - 1], name) >= 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: feature %s out of order", name);
	if (f->n >= CONFIG_FEATURES_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: more than %u features", CONFIG_FEATURES_MAX);
	return config_add_feature(f, name, err);
}

static int get_incompat(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	return get_feature(&d->c.incompat, in, err);
}

static int get_ro_compat(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	return get_feature(&d->c.ro_compat, in, err);
}

static int get_compat(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	return get_feature(&d->c.compat, in, err);
}

static int get_epochs(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	size_t n = cur_left(in) / EPOCH_LEN;

	if (d->epochs || !n || n > CONFIG_EPOCHS_MAX || cur_left(in) % EPOCH_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: bad epoch list");
	d->c.epochs = calloc(n, sizeof *d->c.epochs);
	if (!d->c.epochs)
		return lcpfs_nomem(err);
	d->epochs = true;
	for (size_t i = 0; i < n; i++) {
		struct cfg_epoch *e = &d->c.epochs[i];

		memcpy(e->id, cur_bytes(in, 16), 16);
		e->first_txg = cur_le64(in);
		if (i && e->first_txg <= e[-1].first_txg)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "config: epochs out of order");
	}
	d->c.n_epochs = (uint32_t)n;
	return 0;
}

static int get_device(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	struct cfg_device *list = list_more(d->c.devices, d->c.n_devices, &d->cap_devices, sizeof *list), *v;
	size_t hint;

	if (!list)
		return lcpfs_nomem(err);
	d->c.devices = list;
	if (cur_left(in) < DEVICE_LEN || cur_left(in) > DEVICE_LEN + HINT_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device record of %zu bytes", cur_left(in));
	v = &list[d->c.n_devices];
	*v = (struct cfg_device){ .id = cur_le16(in) };
	v->group = cur_le16(in);
	v->role = cur_u8(in);
	v->cls = cur_u8(in);
	v->state = cur_u8(in);
	v->ashift = cur_u8(in);
	memcpy(v->uuid, cur_bytes(in, 16), 16);
	v->size = cur_le64(in);
	v->domain_tag = cur_le32(in);
	v->stale_from = cur_le64(in);
	v->stale_to = cur_le64(in);
	v->err_r = cur_le32(in);
	v->err_w = cur_le32(in);
	v->err_h = cur_le32(in);
	hint = cur_left(in);
	if (hint && memchr(in->p, 0, hint))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: bad path", v->id);
	if (hint && !(v->hint = copy_text(in->p, hint)))
		return lcpfs_nomem(err);
	d->c.n_devices++;
	return 0;
}

/* The name and members that follow a group's fixed part. */
static int get_group_tail(struct cfg_group *g, struct cur *in, size_t name_len, struct lcpfs_error *err)
{
	const uint8_t *name = cur_bytes(in, name_len);

	if (!name || cur_left(in) != 2 * (size_t)g->n_devs)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u: bad length", g->id);
	if (name_len && !config_name_ok((const char *)name, name_len, CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u: bad name", g->id);
	if (name_len && !(g->name = copy_text(name, name_len)))
		return lcpfs_nomem(err);
	if (g->n_devs && !(g->devs = calloc(g->n_devs, sizeof *g->devs)))
		return lcpfs_nomem(err);
	for (unsigned i = 0; i < g->n_devs; i++)
		g->devs[i] = cur_le16(in);
	return 0;
}

static int get_group(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	struct cfg_group *list = list_more(d->c.groups, d->c.n_groups, &d->cap_groups, sizeof *list), *g;
	size_t name_len;

	if (!list)
		return lcpfs_nomem(err);
	d->c.groups = list;
	if (cur_left(in) < GROUP_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group record of %zu bytes", cur_left(in));
	g = &list[d->c.n_groups++];
	*g = (struct cfg_group){ .id = cur_le16(in) };
	g->profile = cur_u8(in);
	g->width = cur_u8(in);
	g->parity = cur_u8(in);
	g->cls = cur_u8(in);
	g->flags = cur_u8(in);
	g->ashift = cur_u8(in);
	g->spare_permille = cur_le16(in);
	g->col_units = cur_le32(in);
	name_len = cur_le16(in);
	g->n_devs = cur_le16(in);
	if (!is_all_zero(cur_bytes(in, GROUP_LEN - GROUP_USED), GROUP_LEN - GROUP_USED))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u: reserved bytes are not zero", g->id);
	return get_group_tail(g, in, name_len, err);
}

static struct cfg_member get_unit(struct cur *in)
{
	struct cfg_member m = { .dev = cur_le16(in) };
	const uint8_t *raw = cur_bytes(in, 6);

	m.start_unit = raw ? le_load(raw, 6) : 0;
	return m;
}

static int get_chunk(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	struct cfg_chunk *list = list_more(d->c.chunks, d->c.n_chunks, &d->cap_chunks, sizeof *list), *k;
	size_t len = cur_left(in);

	if (!list)
		return lcpfs_nomem(err);
	d->c.chunks = list;
	if (len < CHUNK_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk record of %zu bytes", len);
	k = &list[d->c.n_chunks++];
	*k = (struct cfg_chunk){ .id = cur_le32(in) };
	k->group = cur_le16(in);
	k->profile = cur_u8(in);
	k->width = cur_u8(in);
	k->parity = cur_u8(in);
	k->ashift = cur_u8(in);
	k->cls = cur_u8(in);
	k->state = cur_u8(in);
	k->col_units = cur_le32(in);
	k->created_txg = cur_le64(in);
	k->live_hint = cur_le32(in);
	if (cur_le32(in))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk %u: reserved bytes are not zero", k->id);
	if (cur_left(in) != (size_t)k->width * MEMBER_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk %u: %zu bytes for %u members", k->id, cur_left(in), k->width);
	if (k->width && !(k->member = calloc(k->width, sizeof *k->member)))
		return lcpfs_nomem(err);
	for (unsigned i = 0; i < k->width; i++)
		k->member[i] = get_unit(in);
	return 0;
}

static int get_retired(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	struct cfg_retired *list = list_more(d->c.retired, d->c.n_retired, &d->cap_retired, sizeof *list);
	struct cfg_member m;

	if (!list)
		return lcpfs_nomem(err);
	d->c.retired = list;
	if (cur_left(in) != RETIRED_LEN)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: retired record of %zu bytes", cur_left(in));
	m = get_unit(in);
	list += d->c.n_retired++;
	*list = (struct cfg_retired){ .dev = m.dev, .start_unit = m.start_unit, .units = cur_le32(in) };
	list->txg = cur_le64(in);
	return 0;
}

/* TLVs of newer minors go back byte for byte into the next generation. */
static int keep_unknown(struct config *c, const uint8_t *tlv, size_t len, struct lcpfs_error *err)
{
	uint8_t *p = realloc(c->unknown, c->unknown_len + len);

	if (!p)
		return lcpfs_nomem(err);
	memcpy(p + c->unknown_len, tlv, len);
	c->unknown = p;
	c->unknown_len += len;
	return 0;
}

static const struct {
	uint16_t type;
	int (*get)(struct decoder *d, struct cur *in, struct lcpfs_error *err);
} tlv_table[] = {
	{ TLV_NAME, get_name },       { TLV_POOL, get_pool },       { TLV_INCOMPAT, get_incompat },
	{ TLV_ROCOMPAT, get_ro_compat }, { TLV_COMPAT, get_compat }, { TLV_EPOCHS, get_epochs },
	{ TLV_DEVICE, get_device },   { TLV_GROUP, get_group },     { TLV_CHUNK, get_chunk },
	{ TLV_RETIRED, get_retired },
};

static int get_tlv(struct decoder *d, struct cur *in, struct lcpfs_error *err)
{
	const uint8_t *start = in->p, *payload;
	uint16_t type = cur_le16(in), flags = cur_le16(in);
	uint32_t len = cur_le32(in);
	struct cur sub;

	payload = cur_bytes(in, len);
	if (!payload)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: record of type %u is cut short", type);
	if (flags & ~TLV_CRITICAL)
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: record of type %u has unknown flags %#x", type, flags);
	sub = cur_of(payload, len);
	for (size_t i = 0; i < ARRAY_LEN(tlv_table); i++)
		if (tlv_table[i].type == type)
			return tlv_table[i].get(d, &sub, err);
	if (flags & TLV_CRITICAL)
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: unknown record of type %u must be understood", type);
	return keep_unknown(&d->c, start, TLV_HDR + len, err);
}

int config_decode(struct config *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct decoder d = { 0 };
	struct cur in = cur_of(data, len);
	int rc = 0;

	if (len > CONFIG_DECODED_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: %zu bytes", len);
	while (!rc && cur_left(&in))
		rc = get_tlv(&d, &in, err);
	if (!rc && (!d.name || !d.pool || !d.epochs))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "config: no %s", !d.name ? "name" : !d.pool ? "pool record" : "epochs");
	if (!rc)
		rc = config_check(&d.c, err);
	if (rc)
		config_fini(&d.c);
	else
		*out = d.c;
	return rc;
}
