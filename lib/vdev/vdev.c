/* SPDX-License-Identifier: Apache-2.0 */
#include "vdev/vdev_impl.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "format/node.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN (1u << 20) /* columns of the smallest pool with a fixed size */

static int vdev_alloc(struct vdev **out, struct lcpfs_blockdev *dev, bool rw, struct lcpfs_error *err)
{
	struct vdev *v = calloc(1, sizeof *v);

	if (!v || pthread_rwlock_init(&v->lock, NULL)) {
		free(v);
		lcpfs_blockdev_close(dev);
		return lcpfs_nomem(err);
	}
	v->dev = dev;
	v->rw = rw;
	v->codec = codec_ctx_create();
	if (!v->codec) {
		vdev_close(v);
		return lcpfs_nomem(err);
	}
	*out = v;
	return 0;
}

void vdev_close(struct vdev *v)
{
	if (!v)
		return;
	config_fini(&v->cfg);
	codec_ctx_destroy(v->codec);
	pthread_rwlock_destroy(&v->lock);
	lcpfs_blockdev_close(v->dev);
	free(v->ubers);
	free(v);
}

static uint8_t shift_of(uint32_t sector)
{
	return (uint8_t)__builtin_ctz(sector ? sector : SECTOR);
}

static void create_label(struct vdev *v, const struct vdev_create *c)
{
	bool image = v->dev->flags & LCPFS_DEV_IMAGE;
	struct label *l = &v->label;

	*l = (struct label){
		.major = FORMAT_MAJOR, .minor = FORMAT_MINOR, .dev_id = DEV_ID, .sector_shift = shift_of(v->dev->sector),
		.label_count = c->label_count, .ring_slots = c->ring_slots ? c->ring_slots : image ? 16 : 256,
		.ring_off = UNIT, .cfg_len = c->cfg_len ? c->cfg_len : image ? UNIT : MiB,
		.created_ns = (uint64_t)c->created_s * 1000000000u + c->created_ns,
	};
	memcpy(l->pool_uuid, c->uuid, 16);
	memcpy(l->dev_uuid, c->dev_uuid, 16);
	l->data_off = round_up(label_front_bytes(l->sector_shift, l->ring_slots, l->cfg_len), image ? UNIT : MiB);
	l->dev_size = image ? (c->size ? round_down(c->size, UNIT) : l->data_off) : round_down(blockdev_size(v->dev), UNIT);
	*l = label_side(l, false);
}

/* The label as asked for goes through the decoder: it has all the checks. */
static int check_create(struct vdev *v, const struct vdev_create *c, struct lcpfs_error *err)
{
	uint64_t least = v->label.data_off + label_back_bytes(&v->label) + ROOM_MIN;
	bool fixed = c->size || !(v->dev->flags & LCPFS_DEV_IMAGE);
	uint8_t raw[LABEL_LEN];
	struct label l;
	int rc;

	if (!config_name_ok(c->name, strlen(c->name), CONFIG_NAME_MAX))
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' cannot be the name of a pool", c->name);
	if (c->ashift && (c->ashift < shift_of(v->dev->sector) || c->ashift < 9 || c->ashift > 16))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: ashift %u: the range is %u to 16", v->dev->name, c->ashift,
		    shift_of(v->dev->sector));
	if (fixed && v->label.dev_size < least)
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: %" PRIu64 " bytes are too few for a pool: at least %" PRIu64, v->dev->name,
		    v->label.dev_size, least);
	label_encode(&v->label, raw);
	rc = label_decode(&l, raw, err);
	if (!rc)
		return 0;
	lcpfs_within(err, rc, "%s", v->dev->name);
	if (err)
		err->code = LCPFS_EINVAL;
	return -LCPFS_EINVAL;
}

static int create_config(struct vdev *v, const struct vdev_create *c, struct lcpfs_error *err)
{
	bool fixed = c->size || !(v->dev->flags & LCPFS_DEV_IMAGE);
	uint8_t shift = shift_of(v->dev->sector), ashift = c->ashift ? c->ashift : shift > 9 ? MAX(shift, 12) : 9;
	struct config *g = &v->cfg;

	config_init(g);
	g->epochs = calloc(1, sizeof *g->epochs);
	g->devices = calloc(1, sizeof *g->devices);
	g->groups = calloc(1, sizeof *g->groups);
	if (!g->epochs || !g->devices || !g->groups)
		return lcpfs_nomem(err);
	memcpy(g->name, c->name, strlen(c->name) + 1);
	memcpy(g->uuid, c->uuid, 16);
	g->csum = c->csum ? c->csum : g->csum;
	g->n_epochs = g->n_devices = g->n_groups = 1;
	g->epochs[0].first_txg = 1;
	memcpy(g->epochs[0].id, c->epoch_id, 16);
	/* no hint: the same input gives the same image whatever its path */
	g->devices[0] = (struct cfg_device){ .id = DEV_ID, .group = GROUP_ID, .role = ROLE_DATA, .cls = CLASS_ANY,
		.state = DEV_ONLINE, .ashift = ashift, .size = fixed ? v->label.dev_size : 0 };
	memcpy(g->devices[0].uuid, c->dev_uuid, 16);
	g->groups[0] = (struct cfg_group){ .id = GROUP_ID, .profile = PROFILE_MIRROR, .width = 1, .parity = 1, .ashift = ashift };
	g->groups[0].devs = malloc(sizeof *g->groups[0].devs);
	if (!g->groups[0].devs)
		return lcpfs_nomem(err);
	g->groups[0].devs[0] = DEV_ID;
	g->groups[0].n_devs = 1;
	if (c->copies > 1 && config_add_feature(&g->incompat, FEATURE_COPIES, err))
		return -LCPFS_ENOMEM;
	return config_add_feature(&g->incompat, FEATURE_COLUMNS, err);
}

/* An image begins as a hole; a disk has old content where the labels go. */
static int create_labels(struct vdev *v, struct lcpfs_error *err)
{
	uint64_t back = label_back_bytes(&v->label);
	int rc;

	if (vdev_resizable(v)) {
		rc = blockdev_resize(v->dev, 0, err);
		if (!rc)
			rc = blockdev_resize(v->dev, v->label.dev_size, err);
		return rc ? rc : label_write_header(v, false, err);
	}
	if (v->label.dev_size > blockdev_size(v->dev))
		return lcpfs_fail(err, LCPFS_EINVAL, "%s: shorter than %" PRIu64 " bytes", v->dev->name, v->label.dev_size);
	rc = label_zero(v, LABEL_LEN, v->label.data_off - LABEL_LEN, err);
	if (!rc)
		rc = label_zero(v, v->label.dev_size - back, back, err);
	if (!rc && back)
		rc = label_write_header(v, true, err);
	return rc ? rc : label_write_header(v, false, err);
}

int vdev_create(struct vdev **out, struct lcpfs_blockdev *dev, const struct vdev_create *c, struct lcpfs_error *err)
{
	struct vdev *v;
	int rc = vdev_alloc(&v, dev, true, err);

	if (rc)
		return rc;
	create_label(v, c);
	rc = check_create(v, c, err);
	if (!rc)
		rc = create_config(v, c, err);
	if (!rc)
		rc = create_labels(v, err);
	v->cfg_changed = true;
	if (rc)
		vdev_close(v);
	else
		*out = v;
	return rc;
}

int vdev_open(struct vdev **out, struct lcpfs_blockdev *dev, bool rw, struct lcpfs_error *err)
{
	struct vdev *v;
	int rc;

	if (rw && (!dev->ops->write || (dev->flags & LCPFS_DEV_RDONLY))) {
		rc = lcpfs_fail(err, LCPFS_EROFS, "%s: read-only", dev->name);
		lcpfs_blockdev_close(dev);
		return rc;
	}
	rc = vdev_alloc(&v, dev, rw, err);
	if (rc)
		return rc;
	rc = label_find(v, err);
	if (!rc)
		rc = label_read_rings(v, err);
	if (!rc && !v->n_ubers)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "%s: no valid uberblock", v->dev->name);
	if (rc)
		vdev_close(v);
	else
		*out = v;
	return rc;
}

const struct vdev_uber *vdev_ubers(const struct vdev *v, size_t *n)
{
	*n = v->n_ubers;
	return v->ubers;
}

const struct uberblock *vdev_current(const struct vdev *v) { return v->have_cur ? &v->cur : NULL; }
const struct config *vdev_config(const struct vdev *v) { return &v->cfg; }
const struct label *vdev_label(const struct vdev *v) { return &v->label; }
struct lcpfs_blockdev *vdev_dev(const struct vdev *v) { return v->dev; }

struct config *vdev_config_edit(struct vdev *v)
{
	v->cfg_changed = true;
	return &v->cfg;
}

bool vdev_is_image(const struct vdev *v)
{
	/* an image that was copied onto a disk goes on as one */
	return (v->dev->flags & LCPFS_DEV_IMAGE) || (v->cfg.n_devices && !v->cfg.devices[0].size);
}

bool vdev_front_lost(const struct vdev *v) { return v->front_bad; }

static int check_chunk(const struct vdev *v, const struct config *c, const struct cfg_chunk *k, struct lcpfs_error *err)
{
	unsigned most = config_has_feature(&c->incompat, FEATURE_COPIES) ? COPIES : 1;
	uint64_t size = c->devices[0].size, start, end;

	if (k->profile != PROFILE_MIRROR || !k->width || k->width > most)
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: chunk %u: profile %s of %u columns", v->dev->name, k->id,
		    k->profile == PROFILE_MIRROR ? "mirror" : "raidz", k->width);
	for (unsigned m = 0; m < k->width; m++) {
		start = k->member[m].start_unit * UNIT;
		end = start + (uint64_t)k->col_units * UNIT;
		if (start < v->label.data_off || (size && end > size - label_back_bytes(&v->label)))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: chunk %u lies on a label", v->dev->name, k->id);
	}
	return 0;
}

static int check_supported(const struct vdev *v, const struct config *c, struct lcpfs_error *err)
{
	const char *feature = config_unknown_incompat(c);
	const struct cfg_device *d = &c->devices[0];
	int rc = 0;

	if (memcmp(c->uuid, v->label.pool_uuid, 16) != 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: config of another pool", v->dev->name);
	if (feature)
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: pool '%s' uses feature '%s', which this version does not know", v->dev->name,
		    c->name, feature);
	if (c->n_devices != 1 || c->n_groups != 1)
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: pool '%s' has %u devices in %u groups: this version opens one device",
		    v->dev->name, c->name, c->n_devices, c->n_groups);
	if (c->groups[0].profile != PROFILE_MIRROR || c->groups[0].width != 1)
		return lcpfs_fail(err, LCPFS_EUNSUP, "%s: group %u: profile %s of %u columns", v->dev->name, c->groups[0].id,
		    c->groups[0].profile == PROFILE_MIRROR ? "mirror" : "raidz", c->groups[0].width);
	if (d->id != v->label.dev_id || memcmp(d->uuid, v->label.dev_uuid, 16) != 0)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: the config names another device", v->dev->name);
	if (d->size && d->size < v->label.data_off + label_back_bytes(&v->label))
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: device size %" PRIu64 " in the config", v->dev->name, d->size);
	for (uint32_t i = 0; !rc && i < c->n_chunks; i++)
		rc = check_chunk(v, c, &c->chunks[i], err);
	return rc;
}

int vdev_select(struct vdev *v, const struct uberblock *ub, struct lcpfs_error *err)
{
	struct config c;
	bool from_back;
	int rc = cfgblob_read(v, ub, &c, &from_back, err);

	if (rc)
		return rc;
	rc = check_supported(v, &c, err);
	if (rc) {
		config_fini(&c);
		return rc;
	}
	pthread_rwlock_wrlock(&v->lock);
	config_fini(&v->cfg);
	v->cfg = c;
	pthread_rwlock_unlock(&v->lock);
	v->cur = *ub;
	v->have_cur = true;
	/* a label that is not whole is made so by the next commit */
	v->cfg_changed = from_back || v->front_bad || (v->back_bad && !vdev_is_image(v));
	return 0;
}
