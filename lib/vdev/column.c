/* SPDX-License-Identifier: Apache-2.0 */
/* What of the device is given out: the columns of chunks and retired ranges, and what is left between them. */
#include "base/error.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"
#include <stdlib.h>

#define MIB_UNITS (MiB / UNIT)
#define OPEN_END (UINT64_C(1) << 62)

bool vdev_resizable(const struct vdev *v) { return (v->dev->flags & LCPFS_DEV_IMAGE) && v->dev->ops->resize; }
bool vdev_open_ended(const struct vdev *v) { return !v->cfg.devices[0].size; }
uint32_t vdev_column_align(const struct vdev *v) { return vdev_is_image(v) ? 1 : (uint32_t)MIB_UNITS; }

uint64_t vdev_space_end(const struct vdev *v)
{
	uint64_t size = v->cfg.devices[0].size, back = label_back_bytes(&v->label);

	if (!size && vdev_resizable(v))
		return OPEN_END;
	if (!size)
		size = round_down(blockdev_size(v->dev), UNIT);
	return size > back ? size - back : 0;
}

uint64_t vdev_columns_end(const struct vdev *v, uint32_t *chunk)
{
	uint64_t end = v->label.data_off;

	*chunk = 0;
	for (uint32_t i = 0; i < v->cfg.n_chunks; i++) {
		const struct cfg_chunk *k = &v->cfg.chunks[i];

		for (unsigned m = 0; m < k->width; m++) {
			uint64_t e = (k->member[m].start_unit + k->col_units) * UNIT;

			if (e > end) {
				end = e;
				*chunk = k->id;
			}
		}
	}
	for (uint32_t i = 0; i < v->cfg.n_retired; i++) {
		uint64_t e = (v->cfg.retired[i].start_unit + v->cfg.retired[i].units) * UNIT;

		if (e > end) {
			end = e;
			*chunk = 0;
		}
	}
	return end;
}

uint32_t vdev_last_chunk(struct vdev *v)
{
	uint32_t chunk = 0;

	if (!v->cfg.n_devices || !vdev_open_ended(v))
		return 0;
	pthread_rwlock_rdlock(&v->lock);
	vdev_columns_end(v, &chunk);
	pthread_rwlock_unlock(&v->lock);
	return chunk;
}

int vdev_extend_file(struct vdev *v, uint64_t size, struct lcpfs_error *err)
{
	if (size <= blockdev_size(v->dev) || !vdev_resizable(v))
		return 0;
	__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
	return blockdev_resize(v->dev, size, err);
}

static int compare_run(const void *x, const void *y)
{
	const struct column_run *a = x, *b = y;

	return (a->start > b->start) - (a->start < b->start);
}

static size_t count_columns(const struct vdev *v)
{
	size_t n = v->cfg.n_retired;

	for (uint32_t i = 0; i < v->cfg.n_chunks; i++)
		n += v->cfg.chunks[i].width;
	return n;
}

/* Used ranges in order, *n of them; NULL: out of memory. */
static struct column_run *used_runs(const struct vdev *v, size_t *n)
{
	struct column_run *r = calloc(count_columns(v) + 2, sizeof *r);
	uint64_t back = label_back_bytes(&v->label) / UNIT;

	*n = 0;
	if (!r)
		return NULL;
	/* an image on a disk keeps its back label where it is until it is closed */
	if (vdev_open_ended(v) && !vdev_resizable(v) && label_back_fits(v))
		r[(*n)++] = (struct column_run){ v->label.dev_size / UNIT - back, back };
	for (uint32_t i = 0; i < v->cfg.n_chunks; i++)
		for (unsigned m = 0; m < v->cfg.chunks[i].width; m++)
			r[(*n)++] = (struct column_run){ v->cfg.chunks[i].member[m].start_unit, v->cfg.chunks[i].col_units };
	for (uint32_t i = 0; i < v->cfg.n_retired; i++)
		r[(*n)++] = (struct column_run){ v->cfg.retired[i].start_unit, v->cfg.retired[i].units };
	qsort(r, *n, sizeof *r, compare_run);
	return r;
}

struct column_run *vdev_free_runs(const struct vdev *v, size_t *n)
{
	uint64_t align = vdev_column_align(v), at = v->label.data_off / UNIT, end = vdev_space_end(v) / UNIT;
	size_t n_used, k = 0;
	struct column_run *used = used_runs(v, &n_used), *r = used ? calloc(n_used + 2, sizeof *r) : NULL;

	for (size_t i = 0; r && i <= n_used; i++) {
		uint64_t start = round_up(at, align), stop = i < n_used ? used[i].start : end;

		if (stop > start)
			r[k++] = (struct column_run){ start, stop - start };
		if (i < n_used)
			at = used[i].start + used[i].units;
	}
	free(used);
	*n = k;
	return r;
}
