/* SPDX-License-Identifier: Apache-2.0 */
/* What a dataset's properties say about the blocks it writes. */
#include <stdlib.h>
#include "base/error.h"
#include "zpl/zpl.h"

static int number(struct dataset *ds, const char *prop, uint32_t *out, struct lcpfs_error *err)
{
	char *value = NULL;
	int rc = dmu_prop_get(ds->spa, ds->rec.id, prop, &value, NULL, err);

	if (rc == 0)
		*out = (uint32_t)strtoul(value, NULL, 10);
	free(value);
	return rc == -LCPFS_ENOENT ? 0 : rc;
}

static int codec(struct dataset *ds, struct codec_spec *out, struct lcpfs_error *err)
{
	char *value = NULL;
	int rc = dmu_prop_get(ds->spa, ds->rec.id, "compress", &value, NULL, err);

	if (rc == 0)
		rc = codec_parse(value, out, err);
	free(value);
	return rc == -LCPFS_ENOENT ? 0 : rc;
}

int zpl_params_of(struct dataset *ds, struct zpl_params *out, struct lcpfs_error *err)
{
	int rc;

	*out = (struct zpl_params)ZPL_DEFAULTS;
	rc = number(ds, "record", &out->record_bytes, err);
	if (!rc)
		rc = number(ds, "pack", &out->pack_bytes, err);
	if (!rc)
		rc = number(ds, "slice", &out->slice_max, err);
	if (out->slice_max > out->pack_bytes)
		out->slice_max = out->pack_bytes;
	return rc ? rc : codec(ds, &out->codec, err);
}

int zpl_configure(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl_params p;
	int rc;

	if (!ds->writable)
		return 0;
	rc = zpl_params_of(ds, &p, err);
	if (rc)
		return lcpfs_within(err, rc, "'%s'", ds->name);
	ds->info.record_size = p.record_bytes;
	ds->info.pack_size = p.pack_bytes;
	ds->info.slice_max = p.slice_max;
	zpl_set_codec(ds, p.codec);
	return 0;
}
