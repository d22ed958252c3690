/* SPDX-License-Identifier: Apache-2.0 */
/* Public calls on pools. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "zpl/handle.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static int wrap(struct lcpfs_pool **out, struct spa *spa, struct lcpfs_error *err)
{
	struct lcpfs_pool *p = calloc(1, sizeof *p);

	if (!p) {
		spa_close(spa, NULL);
		return lcpfs_nomem(err);
	}
	p->spa = spa;
	*out = p;
	return 0;
}

#define LIVE_TRIES 8u
#define OPEN_FLAGS_ALL (LCPFS_OPEN_RW | LCPFS_OPEN_LIVE)

int lcpfs_pool_open_dev(struct lcpfs_pool **out, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct spa *spa;
	int rc;

	pthread_once(&once, zpl_init);
	if (o && (o->flags & ~OPEN_FLAGS_ALL || o->flags == OPEN_FLAGS_ALL)) {
		lcpfs_blockdev_close(dev);
		return lcpfs_fail(err, LCPFS_EINVAL, "open flags %#x", o->flags);
	}
	if (o && o->txg && (o->flags & LCPFS_OPEN_RW)) {
		lcpfs_blockdev_close(dev);
		return lcpfs_fail(err, LCPFS_EINVAL, "an older root is opened read-only");
	}
	rc = spa_open(&spa, dev, o, err);
	return rc ? rc : wrap(out, spa, err);
}

static int open_once(struct lcpfs_pool **out, const char *path, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_blockdev_open(&dev, path, o && (o->flags & LCPFS_OPEN_RW) ? LCPFS_DEV_OPEN_RW : 0, err);

	return rc ? rc : lcpfs_pool_open_dev(out, dev, o, err);
}

/* Beside a writer, what looks like damage may be a commit in between: the newest one is tried again. */
int lcpfs_pool_open(struct lcpfs_pool **out, const char *path, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	bool live = o && (o->flags & LCPFS_OPEN_LIVE);
	struct lcpfs_error why = { 0 };
	int rc = open_once(out, path, o, &why);

	for (unsigned i = 0; live && i < LIVE_TRIES && (rc == -LCPFS_ECSUM || rc == -LCPFS_EIO || rc == -LCPFS_ECORRUPT); i++)
		rc = open_once(out, path, o, &why);
	if (rc && err)
		*err = why;
	return rc;
}

static int check_sizes(const struct zpl_params *p, struct lcpfs_error *err)
{
	if (!is_pow2(p->record_bytes) || p->record_bytes < 4 * KiB || p->record_bytes > DATA_MAX)
		return lcpfs_fail(err, LCPFS_EINVAL, "record size %u: a power of two from 4 KiB to 16 MiB", p->record_bytes);
	if (!is_pow2(p->pack_bytes) || p->pack_bytes < 4 * KiB || p->pack_bytes > PACK_MAX)
		return lcpfs_fail(err, LCPFS_EINVAL, "pack size %u: a power of two from 4 KiB to 4 MiB", p->pack_bytes);
	if (!is_pow2(p->slice_max) || p->slice_max > p->pack_bytes)
		return lcpfs_fail(err, LCPFS_EINVAL, "slice size %u: a power of two, at most the pack size", p->slice_max);
	return 0;
}

static int set_sizes(struct spa *s, const struct zpl_params *p, const struct zpl_params *def, const char *codec, struct lcpfs_error *err)
{
	char text[24];
	int rc = codec ? dmu_prop_set(s, DS_ROOT_ID, "compress", codec, err) : 0;

	snprintf(text, sizeof text, "%u", p->record_bytes);
	if (!rc && p->record_bytes != def->record_bytes)
		rc = dmu_prop_set(s, DS_ROOT_ID, "record", text, err);
	snprintf(text, sizeof text, "%u", p->pack_bytes);
	if (!rc && p->pack_bytes != def->pack_bytes)
		rc = dmu_prop_set(s, DS_ROOT_ID, "pack", text, err);
	snprintf(text, sizeof text, "%u", p->slice_max);
	if (!rc && p->slice_max != def->slice_max)
		rc = dmu_prop_set(s, DS_ROOT_ID, "slice", text, err);
	return rc;
}

static int make_root(struct spa *s, const struct lcpfs_create_opts *o, struct lcpfs_error *err)
{
	const struct zpl_params def = ZPL_DEFAULTS;
	struct zpl_params p = def;
	struct dataset *ds;
	struct itime now;
	char codec[24];
	int rc = o->compress ? codec_parse(o->compress, &p.codec, err) : 0;

	if (o->record_bytes)
		p.record_bytes = o->record_bytes;
	if (o->pack_bytes)
		p.pack_bytes = o->pack_bytes;
	if (o->slice_max_bytes)
		p.slice_max = o->slice_max_bytes;
	if (!rc)
		rc = check_sizes(&p, err);
	if (!rc)
		rc = dmu_create(s, "", &ds, err);
	if (rc)
		return rc;
	codec_print(p.codec, codec, sizeof codec);
	now_get(&now.sec, &now.nsec);
	rc = zpl_format(ds, &p, S_IFDIR | 0755, o->reproducible ? 0 : geteuid(), o->reproducible ? 0 : getegid(), now, err);
	zpl_set_codec(ds, p.codec);
	if (!rc)
		rc = set_sizes(s, &p, &def, o->compress ? codec : NULL, err);
	dmu_close(ds);
	return rc;
}

int lcpfs_pool_create_dev(struct lcpfs_pool **out, struct lcpfs_blockdev *dev, const struct lcpfs_create_opts *o, struct lcpfs_error *err)
{
	static const struct lcpfs_create_opts none;
	struct spa *spa;
	int rc;

	pthread_once(&once, zpl_init);
	if (!o)
		o = &none;
	rc = spa_create(&spa, dev, o, err);
	if (rc)
		return rc;
	rc = make_root(spa, o, err);
	if (rc) {
		spa_close(spa, NULL);
		return rc;
	}
	rc = wrap(out, spa, err);
	if (!rc)
		(*out)->reproducible = o->reproducible;
	return rc;
}

int lcpfs_pool_create(struct lcpfs_pool **out, const char *path, const struct lcpfs_create_opts *o, struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev;
	struct stat st;
	bool there = stat(path, &st) == 0, disk = there && S_ISBLK(st.st_mode);
	int rc = lcpfs_blockdev_open(&dev, path, LCPFS_DEV_OPEN_RW | (disk ? 0 : LCPFS_DEV_OPEN_CREATE), err);

	if (rc)
		return rc;
	rc = lcpfs_pool_create_dev(out, dev, o, err);
	if (rc && !there) /* ours, if it is a file at all */
		unlink(path);
	return rc;
}

int lcpfs_pool_commit(struct lcpfs_pool *p, struct lcpfs_error *err)
{
	return spa_commit(p->spa, err);
}

int lcpfs_pool_close(struct lcpfs_pool *p, struct lcpfs_error *err)
{
	int rc;

	if (!p)
		return 0;
	rc = spa_close(p->spa, err);
	free(p);
	return rc;
}

int lcpfs_pool_info(struct lcpfs_pool *p, struct lcpfs_pool_info *out, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(p->spa->vdev);
	const struct uberblock *ub = vdev_current(p->spa->vdev);

	(void)err;
	*out = (struct lcpfs_pool_info){ .n_chunks = c->n_chunks, .n_devices = c->n_devices, .image = p->spa->image,
		.writable = p->spa->writable, .checksum = hash_by_id(c->csum)->name, .device_bytes = vdev_dev(p->spa->vdev)->size };
	for (uint32_t i = 0; i < c->n_chunks; i++)
		out->copies_bytes += c->chunks[i].width ? (uint64_t)(c->chunks[i].width - 1) * c->chunks[i].col_units * UNIT : 0;
	snprintf(out->name, sizeof out->name, "%s", c->name);
	memcpy(out->uuid, c->uuid, 16);
	if (ub) {
		out->txg = ub->txg;
		out->time_s = ub->time_s;
	}
	spa_usage(p->spa, &out->total_bytes, &out->used_bytes, &out->avail_bytes);
	return 0;
}

const char *lcpfs_pool_feature(struct lcpfs_pool *p, unsigned kind, unsigned i)
{
	const struct config *c = vdev_config(p->spa->vdev);
	const struct cfg_features *f = kind == 0 ? &c->incompat : kind == 1 ? &c->ro_compat : &c->compat;

	return kind < 3 && i < f->n ? f->names[i] : NULL;
}

int lcpfs_pool_set_name(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	int rc = spa_may_write(p->spa, err);

	if (rc)
		return rc;
	if (!config_name_ok(name, strlen(name), CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_EINVAL, "bad pool name '%s': 1-63 bytes of A-Za-z0-9._-+", name);
	rc = spa_admit(p->spa, ADMIT_FREEING, 0, err);
	if (rc)
		return rc;
	snprintf(vdev_config_edit(p->spa->vdev)->name, CONFIG_NAME_MAX + 1, "%s", name);
	p->spa->changed = true;
	return 0;
}

const char *lcpfs_version(void)
{
	return LCPFS_VERSION;
}

const char *lcpfs_codec_versions(void)
{
	return codec_versions();
}
