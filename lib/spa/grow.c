/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for more, where nodes and data have chunks of their own
 * An image that grows with its content gets its chunks one behind the other: what the last one has too much is cut off before. Where the size is
 * fixed the first chunk for data takes all there is, and gives up the end of it for nodes as long as that is free. When space is
 * short no second copies are made any more: nodes go among the data, once, so that everything that could be written still can be.
 */
#include "base/error.h"
#include "base/util.h"
#include "spa/spa_impl.h"

#define CHUNKS_MANY 128u

/* Cut a chunk of the other kind to what is in use, or at least to `keep` sectors. */
static int cut_chunk(struct spa *s, const struct cfg_chunk *k, uint64_t keep, struct lcpfs_error *err)
{
	uint32_t sector;
	int rc = space_high_water(s->space, k->id, &sector, err);

	if (!rc)
		rc = vdev_cut(s->vdev, k->id, (uint32_t)MAX((uint64_t)sector, keep), err);
	return rc ? rc : spa_sync_chunks(s, err);
}

/* The last column of an image ends where what the last K commits use ends. */
int spa_trim_image(struct spa *s, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	const struct cfg_chunk *last = config_chunk(c, vdev_last_chunk(s->vdev));

	/* nodes come and go with every commit: what is cut off today would be another chunk tomorrow */
	if (!last || (last->cls == CLASS_META && c->n_chunks > CHUNKS_MANY))
		return 0;
	return cut_chunk(s, last, 0, err);
}

/*
 * Before a chunk is put behind it, an image's last chunk for data gives back what it does not use: an end too short for the block at hand, or what
 * was meant for data to come. Not so one for nodes: the room that it has left will be used.
 */
static int make_way(struct spa *s, struct lcpfs_error *err)
{
	const struct cfg_chunk *last = config_chunk(vdev_config(s->vdev), vdev_last_chunk(s->vdev));

	return last && last->cls == CLASS_DATA ? cut_chunk(s, last, 0, err) : 0;
}

/* Of a device with a fixed size: take `bytes` from the end of the chunk for data that has the most to give. 1: none has so much. */
static int take_from_data(struct spa *s, uint64_t bytes, struct lcpfs_error *err)
{
	const struct config *c = vdev_config(s->vdev);
	const struct cfg_chunk *best = NULL;
	uint64_t most = 0;

	for (uint32_t i = 0; i < c->n_chunks; i++) {
		const struct cfg_chunk *k = &c->chunks[i];
		uint64_t sectors = (uint64_t)k->col_units * (UNIT / SECTOR);
		uint32_t used;
		int rc;

		if (k->cls != CLASS_DATA || k->state != CHUNK_ACTIVE)
			continue;
		rc = space_high_water(s->space, k->id, &used, err);
		if (rc)
			return rc;
		if (sectors - used > most) {
			best = k;
			most = sectors - used;
		}
	}
	if (!best || most * SECTOR < bytes)
		return 1;
	return cut_chunk(s, best, (uint64_t)best->col_units * (UNIT / SECTOR) - bytes / SECTOR, err);
}

/* A second copy takes as much again from the device. */
static bool may_double(struct spa *s, uint64_t bytes)
{
	uint64_t total, avail;

	spa_room(s, &total, &avail);
	return total == UINT64_MAX || (avail >= bytes + 2 * spa_slop(total) && spa_keeps_promise(s, bytes));
}

static int grow_into_empty(struct spa *s, struct lcpfs_error *err)
{
	bool any;
	int rc = spa_reclaim(s, &any, err);

	/* chunks were made longer, which may do: whoever asks looks again */
	return rc ? rc : any ? 0 : lcpfs_fail(err, LCPFS_ENOSPC, "%s: no room for another chunk", s->name);
}

static int grow_fixed(struct spa *s, enum chunk_class cls, uint32_t sectors, uint32_t *chunk, struct lcpfs_error *err)
{
	uint64_t bytes = (uint64_t)sectors * SECTOR, wants = vdev_grow_wants(s->vdev, cls, bytes);
	int rc;

	if (cls == CLASS_META && !may_double(s, wants))
		return lcpfs_fail(err, LCPFS_ENOSPC, "%s: space is too short for second copies", s->name);
	rc = vdev_grow(s->vdev, cls, bytes, s->txg, chunk, err);
	if (rc == -LCPFS_ENOSPC && cls == CLASS_DATA)
		return grow_into_empty(s, err);
	if (rc != -LCPFS_ENOSPC)
		return rc;
	rc = take_from_data(s, wants + (s->image ? 0 : MiB), err); /* columns of disks begin at whole MiB */
	if (rc)
		return rc < 0 ? rc : lcpfs_fail(err, LCPFS_ENOSPC, "%s: no room for another chunk", s->name);
	return vdev_grow(s->vdev, cls, bytes, s->txg, chunk, err);
}

int spa_grow(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err)
{
	struct spa *s = arg;
	enum chunk_class cls = kinds == SPACE_META ? CLASS_META : CLASS_DATA;
	bool classes = vdev_has_classes(s->vdev);
	uint32_t chunk;
	int rc;

	if (classes && vdev_growable(s->vdev) != UINT64_MAX) {
		rc = grow_fixed(s, cls, sectors, &chunk, err);
	} else {
		rc = classes ? make_way(s, err) : 0;
		if (!rc)
			rc = vdev_grow(s->vdev, cls, (uint64_t)sectors * SECTOR, s->txg, &chunk, err);
	}
	return rc ? rc : spa_sync_chunks(s, err);
}
