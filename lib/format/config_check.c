/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the config's lists must say of each other. Every list is ascending by id, which makes look-ups binary and
 * duplicates visible; columns are compared after one sort by device and place.
 */
#include "base/error.h"
#include "base/util.h"
#include "format/config_impl.h"
#include "format/label.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TXG_MAX ((UINT64_C(1) << 48) - 1)
#define UNITS_MAX (UINT64_C(1) << 46)     /* 2^62 bytes */
#define COL_UNITS_MAX ((UINT32_C(1) << 25) - 1) /* below 2 TiB: the number of a chunk's sectors has 32 bits */

struct column { uint64_t start, units; uint16_t dev; };

static const struct cfg_device *find_device(const struct config *c, uint16_t id)
{
	uint32_t lo = 0, hi = c->n_devices;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->devices[mid].id == id)
			return &c->devices[mid];
		if (c->devices[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static const struct cfg_group *find_group(const struct config *c, uint16_t id)
{
	uint32_t lo = 0, hi = c->n_groups;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->groups[mid].id == id)
			return &c->groups[mid];
		if (c->groups[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int compare_uuid(const void *a, const void *b) { return memcmp(a, b, 16); }

static int check_uuids(const struct config *c, struct lcpfs_error *err)
{
	uint8_t(*all)[16] = calloc((size_t)c->n_devices + 1, 16);
	int rc = 0;

	if (!all)
		return lcpfs_nomem(err);
	for (uint32_t i = 0; i < c->n_devices; i++)
		memcpy(all[i], c->devices[i].uuid, 16);
	qsort(all, c->n_devices, 16, compare_uuid);
	for (uint32_t i = 1; !rc && i < c->n_devices; i++)
		if (memcmp(all[i], all[i - 1], 16) == 0)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "config: two devices with one uuid");
	free(all);
	return rc;
}

static int check_device(const struct config *c, const struct cfg_device *d, struct lcpfs_error *err)
{
	if (!d->id || (d > c->devices && d->id <= d[-1].id))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u out of order", d->id);
	if (d->role < ROLE_DATA || d->role > ROLE_SPARE || d->cls > CLASS_META || d->state < DEV_ONLINE ||
	    d->state > DEV_FAILED || d->ashift < 9 || d->ashift > 16)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: role %u, class %u, state %u, ashift %u", d->id, d->role,
		    d->cls, d->state, d->ashift);
	if (d->size % UNIT || d->size / UNIT > UNITS_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: size %" PRIu64, d->id, d->size);
	if (d->stale_to && d->stale_to < d->stale_from)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: stale from %" PRIu64 " to %" PRIu64, d->id,
		    d->stale_from, d->stale_to);
	if ((d->group || d->role == ROLE_DATA) && !find_group(c, d->group))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: no group %u", d->id, d->group);
	return 0;
}

/* Profile, width and parity of a group or chunk; `width` 0 only where the caller allows it. */
static int check_profile(const char *what, uint32_t id, uint8_t profile, uint8_t width, uint8_t parity, struct lcpfs_error *err)
{
	if (profile != PROFILE_MIRROR && profile != PROFILE_RAIDZ)
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: %s %u: unknown profile %u", what, id, profile);
	if (!width || (profile == PROFILE_MIRROR && parity != width) ||
	    (profile == PROFILE_RAIDZ && (!parity || parity >= width)))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: %s %u: width %u, parity %u", what, id, width, parity);
	return 0;
}

static int check_group(const struct config *c, const struct cfg_group *g, struct lcpfs_error *err)
{
	int rc;

	if (!g->id || (g > c->groups && g->id <= g[-1].id))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u out of order", g->id);
	rc = check_profile("group", g->id, g->profile, g->width, g->parity, err);
	if (rc)
		return rc;
	if (g->flags)
		return lcpfs_fail(err, LCPFS_EUNSUP, "config: group %u: unknown flags %#x", g->id, g->flags);
	if (g->cls > CLASS_META || g->ashift < 9 || g->ashift > 16 || g->spare_permille > 1000 || g->col_units > COL_UNITS_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u: class %u, ashift %u, spare %u, columns of %u units", g->id,
		    g->cls, g->ashift, g->spare_permille, g->col_units);
	for (unsigned i = 0; i < g->n_devs; i++)
		if (!find_device(c, g->devs[i]) || (i && g->devs[i] <= g->devs[i - 1]))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "config: group %u: device %u", g->id, g->devs[i]);
	return 0;
}

static int check_column(const struct config *c, const struct column *col, struct lcpfs_error *err)
{
	const struct cfg_device *d = find_device(c, col->dev);
	uint64_t end = col->start + col->units; /* 48 and 32 bits */

	if (!d)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: a column lies on unknown device %u", col->dev);
	if (!col->start || end > (d->size ? d->size / UNIT : UNITS_MAX))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: column of %" PRIu64 " units at %" PRIu64 " lies outside",
		    col->dev, col->units, col->start);
	return 0;
}

static int check_chunk(const struct config *c, const struct cfg_chunk *k, struct lcpfs_error *err)
{
	bool zombie = k->state == CHUNK_ZOMBIE;
	int rc = 0;

	if (!k->id || (k > c->chunks && k->id <= k[-1].id) || k->id >= c->next_chunk_id)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk %u out of order (next is %u)", k->id, c->next_chunk_id);
	if (!find_group(c, k->group))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk %u: no group %u", k->id, k->group);
	if (k->state < CHUNK_ACTIVE || k->state > CHUNK_ZOMBIE || k->cls > CLASS_LOG || k->ashift < 9 || k->ashift > 16 ||
	    !k->col_units || k->col_units > COL_UNITS_MAX || k->created_txg > TXG_MAX || (zombie && k->width))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: chunk %u: state %u, class %u, ashift %u, width %u, %u units", k->id,
		    k->state, k->cls, k->ashift, k->width, k->col_units);
	if (!zombie)
		rc = check_profile("chunk", k->id, k->profile, k->width, k->parity, err);
	for (unsigned i = 0; !rc && i < k->width; i++) {
		struct column col = { k->member[i].start_unit, k->col_units, k->member[i].dev };

		rc = check_column(c, &col, err);
	}
	return rc;
}

static int compare_column(const void *x, const void *y)
{
	const struct column *a = x, *b = y;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return (a->start > b->start) - (a->start < b->start);
}

static int check_overlap(const struct config *c, struct lcpfs_error *err)
{
	size_t n = c->n_retired, at = 0;
	struct column *all;
	int rc = 0;

	for (uint32_t i = 0; i < c->n_chunks; i++)
		n += c->chunks[i].width;
	all = calloc(n + 1, sizeof *all);
	if (!all)
		return lcpfs_nomem(err);
	for (uint32_t i = 0; i < c->n_chunks; i++)
		for (unsigned m = 0; m < c->chunks[i].width; m++)
			all[at++] = (struct column){ c->chunks[i].member[m].start_unit, c->chunks[i].col_units,
			    c->chunks[i].member[m].dev };
	for (uint32_t i = 0; i < c->n_retired; i++)
		all[at++] = (struct column){ c->retired[i].start_unit, c->retired[i].units, c->retired[i].dev };
	qsort(all, n, sizeof *all, compare_column);
	for (size_t i = 1; !rc && i < n; i++)
		if (all[i].dev == all[i - 1].dev && all[i].start < all[i - 1].start + all[i - 1].units)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u: columns at %" PRIu64 " and %" PRIu64 " overlap",
			    all[i].dev, all[i - 1].start, all[i].start);
	free(all);
	return rc;
}

static int check_retired(const struct config *c, const struct cfg_retired *r, struct lcpfs_error *err)
{
	struct column col = { r->start_unit, r->units, r->dev };

	if (!r->units || r->txg > TXG_MAX)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: retired column of %u units, txg %" PRIu64, r->units, r->txg);
	return check_column(c, &col, err);
}

int config_check(const struct config *c, struct lcpfs_error *err)
{
	int rc = 0;

	if (!c->n_devices)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "config: no devices");
	/* groups' members are looked up among devices and the reverse, so the order of both lists comes first */
	for (uint32_t i = 1; i < c->n_devices; i++)
		if (c->devices[i].id <= c->devices[i - 1].id)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "config: device %u out of order", c->devices[i].id);
	for (uint32_t i = 0; !rc && i < c->n_groups; i++)
		rc = check_group(c, &c->groups[i], err);
	for (uint32_t i = 0; !rc && i < c->n_devices; i++)
		rc = check_device(c, &c->devices[i], err);
	if (!rc)
		rc = check_uuids(c, err);
	for (uint32_t i = 0; !rc && i < c->n_chunks; i++)
		rc = check_chunk(c, &c->chunks[i], err);
	for (uint32_t i = 0; !rc && i < c->n_retired; i++)
		rc = check_retired(c, &c->retired[i], err);
	if (!rc)
		rc = check_overlap(c, err);
	return rc;
}
