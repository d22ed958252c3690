/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/le.h"
#include "base/util.h"
#include "format/config_impl.h"
#include "format/node.h"
#include "format/records.h"
#include "hash/hash.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The features that this version knows; a name enters with the code that reads it. */
static const char *const known_incompat[] = { FEATURE_REF, FEATURE_COLUMNS, FEATURE_COPIES, NULL };
static const char *const known_ro_compat[] = { NULL };

void config_init(struct config *c)
{
	*c = (struct config){ .next_chunk_id = 1, .csum = HASH_BLAKE3 };
}

static void features_fini(struct cfg_features *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->names[i]);
	free(f->names);
}

void config_fini(struct config *c)
{
	features_fini(&c->incompat);
	features_fini(&c->ro_compat);
	features_fini(&c->compat);
	for (uint32_t i = 0; i < c->n_devices; i++)
		free(c->devices[i].hint);
	for (uint32_t i = 0; i < c->n_groups; i++) {
		free(c->groups[i].name);
		free(c->groups[i].devs);
	}
	for (uint32_t i = 0; i < c->n_chunks; i++)
		free(c->chunks[i].member);
	free(c->epochs);
	free(c->devices);
	free(c->groups);
	free(c->chunks);
	free(c->retired);
	free(c->unknown);
	*c = (struct config){ 0 };
}

bool config_name_ok(const char *name, size_t len, size_t max)
{
	if (!len || len > max || (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
		return false;
	for (size_t i = 0; i < len; i++) {
		char ch = name[i];

		if (!(ch >= 'A' && ch <= 'Z') && !(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9') && ch != '.' &&
		    ch != '_' && ch != '-' && ch != '+')
			return false;
	}
	return true;
}

const struct cfg_chunk *config_chunk(const struct config *c, uint32_t id)
{
	uint32_t lo = 0, hi = c->n_chunks;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->chunks[mid].id == id)
			return &c->chunks[mid];
		if (c->chunks[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

bool config_has_feature(const struct cfg_features *f, const char *name)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (strcmp(f->names[i], name) == 0)
			return true;
	return false;
}

int config_add_feature(struct cfg_features *f, const char *name, struct lcpfs_error *err)
{
	char **names, *copy;
	uint32_t at = f->n;

	if (!config_name_ok(name, strlen(name), CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' cannot be the name of a feature", name);
	if (config_has_feature(f, name))
		return 0;
	names = realloc(f->names, ((size_t)f->n + 1) * sizeof *names);
	if (names)
		f->names = names;
	copy = strdup(name);
	if (!names || !copy) {
		free(copy);
		return lcpfs_nomem(err);
	}
	for (; at && strcmp(names[at - 1], name) > 0; at--)
		names[at] = names[at - 1];
	names[at] = copy;
	f->n++;
	return 0;
}

static const char *first_unknown(const struct cfg_features *f, const char *const *known)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const char *const *k = known;

		while (*k && strcmp(*k, f->names[i]) != 0)
			k++;
		if (!*k)
			return f->names[i];
	}
	return NULL;
}

const char *config_unknown_incompat(const struct config *c) { return first_unknown(&c->incompat, known_incompat); }
const char *config_unknown_ro_compat(const struct config *c) { return first_unknown(&c->ro_compat, known_ro_compat); }

static void tlv(struct buf *out, unsigned type, size_t len)
{
	buf_le16(out, (uint16_t)type);
	buf_le16(out, type == TLV_COMPAT ? 0 : TLV_CRITICAL);
	buf_le32(out, (uint32_t)len);
}

static void tlv_bytes(struct buf *out, unsigned type, const void *p, size_t len)
{
	tlv(out, type, len);
	buf_add(out, p, len);
}

static void put_zero(struct buf *out, size_t len)
{
	void *p = buf_grow(out, len);

	if (p)
		memset(p, 0, len);
}

static void put_unit(struct buf *out, uint16_t dev, uint64_t start_unit)
{
	uint8_t raw[6];

	le_store(raw, 6, start_unit);
	buf_le16(out, dev);
	buf_add(out, raw, 6);
}

static void put_features(struct buf *out, unsigned type, const struct cfg_features *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		tlv_bytes(out, type, f->names[i], strlen(f->names[i]));
}

static void put_pool(struct buf *out, const struct config *c)
{
	tlv_bytes(out, TLV_NAME, c->name, strlen(c->name));
	tlv(out, TLV_POOL, POOL_LEN);
	buf_add(out, c->uuid, 16);
	buf_le32(out, c->next_chunk_id);
	buf_u8(out, c->csum);
	put_zero(out, 3);
	put_features(out, TLV_INCOMPAT, &c->incompat);
	put_features(out, TLV_ROCOMPAT, &c->ro_compat);
	put_features(out, TLV_COMPAT, &c->compat);
	tlv(out, TLV_EPOCHS, (size_t)c->n_epochs * EPOCH_LEN);
	for (uint32_t i = 0; i < c->n_epochs; i++) {
		buf_add(out, c->epochs[i].id, 16);
		buf_le64(out, c->epochs[i].first_txg);
	}
}

static void put_device(struct buf *out, const struct cfg_device *d)
{
	size_t hint = d->hint ? strlen(d->hint) : 0;

	tlv(out, TLV_DEVICE, DEVICE_LEN + hint);
	buf_le16(out, d->id);
	buf_le16(out, d->group);
	buf_u8(out, d->role);
	buf_u8(out, d->cls);
	buf_u8(out, d->state);
	buf_u8(out, d->ashift);
	buf_add(out, d->uuid, 16);
	buf_le64(out, d->size);
	buf_le32(out, d->domain_tag);
	buf_le64(out, d->stale_from);
	buf_le64(out, d->stale_to);
	buf_le32(out, d->err_r);
	buf_le32(out, d->err_w);
	buf_le32(out, d->err_h);
	buf_add(out, d->hint, hint);
}

static void put_group(struct buf *out, const struct cfg_group *g)
{
	size_t name = g->name ? strlen(g->name) : 0;

	tlv(out, TLV_GROUP, GROUP_LEN + name + 2 * (size_t)g->n_devs);
	buf_le16(out, g->id);
	buf_u8(out, g->profile);
	buf_u8(out, g->width);
	buf_u8(out, g->parity);
	buf_u8(out, g->cls);
	buf_u8(out, g->flags);
	buf_u8(out, g->ashift);
	buf_le16(out, g->spare_permille);
	buf_le32(out, g->col_units);
	buf_le16(out, (uint16_t)name);
	buf_le16(out, g->n_devs);
	put_zero(out, GROUP_LEN - GROUP_USED);
	buf_add(out, g->name, name);
	for (uint32_t i = 0; i < g->n_devs; i++)
		buf_le16(out, g->devs[i]);
}

static void put_chunk(struct buf *out, const struct cfg_chunk *k)
{
	tlv(out, TLV_CHUNK, CHUNK_LEN + (size_t)k->width * MEMBER_LEN);
	buf_le32(out, k->id);
	buf_le16(out, k->group);
	buf_u8(out, k->profile);
	buf_u8(out, k->width);
	buf_u8(out, k->parity);
	buf_u8(out, k->ashift);
	buf_u8(out, k->cls);
	buf_u8(out, k->state);
	buf_le32(out, k->col_units);
	buf_le64(out, k->created_txg);
	buf_le32(out, k->live_hint);
	buf_le32(out, 0);
	for (unsigned i = 0; i < k->width; i++)
		put_unit(out, k->member[i].dev, k->member[i].start_unit);
}

void config_encode(const struct config *c, struct buf *out)
{
	put_pool(out, c);
	for (uint32_t i = 0; i < c->n_devices; i++)
		put_device(out, &c->devices[i]);
	for (uint32_t i = 0; i < c->n_groups; i++)
		put_group(out, &c->groups[i]);
	for (uint32_t i = 0; i < c->n_chunks; i++)
		put_chunk(out, &c->chunks[i]);
	for (uint32_t i = 0; i < c->n_retired; i++) {
		tlv(out, TLV_RETIRED, RETIRED_LEN);
		put_unit(out, c->retired[i].dev, c->retired[i].start_unit);
		buf_le32(out, c->retired[i].units);
		buf_le64(out, c->retired[i].txg);
	}
	buf_add(out, c->unknown, c->unknown_len);
}

static void print_features(struct buf *out, const char *what, const struct cfg_features *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		buf_printf(out, "%s %s\n", what, f->names[i]);
}

/* A hint is any path: bytes that would upset a terminal are shown in octal. */
static void print_path(struct buf *out, const char *p)
{
	for (; p && *p; p++)
		buf_printf(out, isprint((unsigned char)*p) && *p != '\\' ? "%c" : "\\%03o", (unsigned char)*p);
}

static void print_devices(const struct config *c, struct buf *out)
{
	for (uint32_t i = 0; i < c->n_devices; i++) {
		const struct cfg_device *d = &c->devices[i];

		buf_printf(out, "device %u group %u role %u class %u state %u ashift %u size %" PRIu64 " stale %" PRIu64 "-%" PRIu64
		    " errors %u %u %u ", d->id, d->group, d->role, d->cls, d->state, d->ashift, d->size, d->stale_from,
		    d->stale_to, d->err_r, d->err_w, d->err_h);
		print_path(out, d->hint);
		buf_printf(out, "\n");
	}
	for (uint32_t i = 0; i < c->n_groups; i++) {
		const struct cfg_group *g = &c->groups[i];

		buf_printf(out, "group %u profile %u width %u parity %u class %u flags %#x ashift %u spare %u col_units %u ", g->id,
		    g->profile, g->width, g->parity, g->cls, g->flags, g->ashift, g->spare_permille, g->col_units);
		print_path(out, g->name);
		buf_printf(out, "\n");
	}
}

void config_print(const struct config *c, struct buf *out)
{
	buf_printf(out, "name %s\nuuid ", c->name);
	buf_hex(out, c->uuid, sizeof c->uuid);
	buf_printf(out, "\nnext_chunk_id %u\ncsum %u\n", c->next_chunk_id, c->csum);
	print_features(out, "incompat", &c->incompat);
	print_features(out, "ro_compat", &c->ro_compat);
	print_features(out, "compat", &c->compat);
	for (uint32_t i = 0; i < c->n_epochs; i++) {
		buf_printf(out, "epoch ");
		buf_hex(out, c->epochs[i].id, 4);
		buf_printf(out, " from %" PRIu64 "\n", c->epochs[i].first_txg);
	}
	print_devices(c, out);
	for (uint32_t i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];

		buf_printf(out, "chunk %u group %u profile %u width %u parity %u ashift %u class %u state %u col_units %u txg %" PRIu64
		    " live %u", k->id, k->group, k->profile, k->width, k->parity, k->ashift, k->cls, k->state, k->col_units,
		    k->created_txg, k->live_hint);
		for (unsigned m = 0; m < k->width; m++)
			buf_printf(out, " %u:%" PRIu64, k->member[m].dev, k->member[m].start_unit);
		buf_printf(out, "\n");
	}
	for (uint32_t i = 0; i < c->n_retired; i++)
		buf_printf(out, "retired %u:%" PRIu64 " units %u txg %" PRIu64 "\n", c->retired[i].dev, c->retired[i].start_unit,
		    c->retired[i].units, c->retired[i].txg);
	if (c->unknown_len)
		buf_printf(out, "unknown %zu bytes\n", c->unknown_len);
}
