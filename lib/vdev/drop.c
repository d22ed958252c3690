/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks that hold nothing are given back
 * Their columns wait for nothing, unlike those that were copied elsewhere: a root that counts has nothing there, so whatever is written
 * there next, before the commit that tells of it or after, overwrites nothing that a crash could need.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"

#define STRETCH_UNITS (64 * MiB / UNIT) /* what the first chunk of a device takes */

void vdev_drop(struct vdev *v, uint32_t chunk)
{
	pthread_rwlock_wrlock(&v->lock);
	for (uint32_t i = 0; i < v->cfg.n_chunks; i++) {
		struct cfg_chunk *k = &v->cfg.chunks[i];

		if (k->id != chunk)
			continue;
		free(k->member);
		memmove(k, k + 1, (v->cfg.n_chunks - i - 1) * sizeof *k);
		v->cfg.n_chunks--;
		v->cfg_changed = true;
		break;
	}
	pthread_rwlock_unlock(&v->lock);
}

static int stretch(struct vdev *v, struct cfg_chunk *k, struct column_run *r, size_t n, struct lcpfs_error *err)
{
	uint64_t end = k->member[0].start_unit + k->col_units;

	for (size_t i = 0; i < n; i++) {
		uint64_t take = MIN(r[i].units, STRETCH_UNITS - MIN(k->col_units, STRETCH_UNITS));
		int rc;

		if (r[i].start != end || !take)
			continue;
		rc = vdev_extend_file(v, (end + take) * UNIT, err);
		if (rc)
			return rc;
		k->col_units += (uint32_t)take;
		v->cfg_changed = true;
	}
	return 0;
}

int vdev_stretch(struct vdev *v, struct lcpfs_error *err)
{
	struct column_run *r;
	size_t n;
	int rc = 0;

	if (vdev_open_ended(v) || !vdev_has_classes(v))
		return 0;
	pthread_rwlock_wrlock(&v->lock);
	r = vdev_free_runs(v, &n);
	if (!r)
		rc = lcpfs_nomem(err);
	for (uint32_t i = 0; !rc && i < v->cfg.n_chunks; i++)
		if (v->cfg.chunks[i].cls == CLASS_DATA && v->cfg.chunks[i].width == 1 && v->cfg.chunks[i].state == CHUNK_ACTIVE)
			rc = stretch(v, &v->cfg.chunks[i], r, n, err);
	pthread_rwlock_unlock(&v->lock);
	free(r);
	return rc;
}

/* Placing grows the pool on another thread, so the list of chunks is read under the lock. */
uint64_t vdev_growable_pieces(struct vdev *v, uint64_t piece)
{
	uint64_t unit_piece = MAX(div_up(piece, UNIT), UINT64_C(1)), sum = 0;
	struct column_run *r;
	size_t n = 0;

	if (!v->cfg.n_devices)
		return 0;
	if (vdev_open_ended(v) && vdev_resizable(v))
		return UINT64_MAX;
	pthread_rwlock_rdlock(&v->lock);
	r = vdev_free_runs(v, &n);
	pthread_rwlock_unlock(&v->lock);
	for (size_t i = 0; r && i < n; i++)
		sum += r[i].units / unit_piece * unit_piece * UNIT;
	free(r);
	return sum;
}
