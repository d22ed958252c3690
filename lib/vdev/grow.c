/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for more
 * Free space of the device is the complement of all columns and retired ranges. The last chunk is made longer as long as it
 * is below the size that the policy would give it today, which undoes the cut at an image's close; then chunks are added.
 * Sizes follow the pool's, so that a pool of any size has a few hundred chunks per doubling and the config fits its slot.
 */
#include "base/error.h"
#include "base/util.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define MIB_UNITS (MiB / UNIT)
#define IMAGE_COL_MIN (64 * MIB_UNITS)
#define IMAGE_COL_MAX (1024 * MIB_UNITS)
#define OPEN_END (UINT64_C(1) << 62)
#define CHUNK_ENTRY 48u /* bytes that a chunk adds to the config before compression */

struct run { uint64_t start, units; };

bool vdev_resizable(const struct vdev *v) { return (v->dev->flags & LCPFS_DEV_IMAGE) && v->dev->ops->resize; }

static bool open_ended(const struct vdev *v) { return !v->cfg.devices[0].size; }

uint64_t vdev_space_end(const struct vdev *v)
{
	uint64_t size = v->cfg.devices[0].size, back = label_back_bytes(&v->label);

	if (!size && vdev_resizable(v))
		return OPEN_END;
	if (!size)
		size = round_down(blockdev_size(v->dev), UNIT);
	return size > back ? size - back : 0;
}

uint64_t vdev_columns_end(const struct vdev *v, bool *last_is_last)
{
	uint64_t end = v->label.data_off;

	*last_is_last = false;
	for (uint32_t i = 0; i < v->cfg.n_chunks; i++) {
		const struct cfg_chunk *k = &v->cfg.chunks[i];
		uint64_t e = k->width ? (k->member[0].start_unit + k->col_units) * UNIT : 0;

		if (e > end) {
			end = e;
			*last_is_last = i + 1 == v->cfg.n_chunks;
		}
	}
	for (uint32_t i = 0; i < v->cfg.n_retired; i++) {
		uint64_t e = (v->cfg.retired[i].start_unit + v->cfg.retired[i].units) * UNIT;

		if (e > end) {
			end = e;
			*last_is_last = false;
		}
	}
	return end;
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
	const struct run *a = x, *b = y;

	return (a->start > b->start) - (a->start < b->start);
}

/* Used ranges in order, *n of them; NULL: out of memory. */
static struct run *used_runs(const struct vdev *v, size_t *n)
{
	struct run *r = calloc((size_t)v->cfg.n_chunks + v->cfg.n_retired + 2, sizeof *r);
	uint64_t back = label_back_bytes(&v->label) / UNIT;

	*n = 0;
	if (!r)
		return NULL;
	/* an image on a disk keeps its back label where it is until it is closed */
	if (open_ended(v) && !vdev_resizable(v) && label_back_fits(v))
		r[(*n)++] = (struct run){ v->label.dev_size / UNIT - back, back };
	for (uint32_t i = 0; i < v->cfg.n_chunks; i++)
		if (v->cfg.chunks[i].width)
			r[(*n)++] = (struct run){ v->cfg.chunks[i].member[0].start_unit, v->cfg.chunks[i].col_units };
	for (uint32_t i = 0; i < v->cfg.n_retired; i++)
		r[(*n)++] = (struct run){ v->cfg.retired[i].start_unit, v->cfg.retired[i].units };
	qsort(r, *n, sizeof *r, compare_run);
	return r;
}

/* Free ranges in order, *n of them, cut to the alignment of columns; NULL: out of memory. */
static struct run *free_runs(const struct vdev *v, size_t *n)
{
	uint64_t align = vdev_is_image(v) ? 1 : MIB_UNITS, at = v->label.data_off / UNIT, end = vdev_space_end(v) / UNIT;
	size_t n_used, k = 0;
	struct run *used = used_runs(v, &n_used), *r = calloc(n_used + 1, sizeof *r);

	for (size_t i = 0; used && r && i <= n_used; i++) {
		uint64_t start = round_up(at, align), stop = i < n_used ? used[i].start : end;

		if (stop > start)
			r[k++] = (struct run){ start, stop - start };
		if (i < n_used)
			at = used[i].start + used[i].units;
	}
	if (!used) {
		free(r);
		r = NULL;
	}
	free(used);
	*n = k;
	return r;
}

static uint64_t total_units(const struct vdev *v)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < v->cfg.n_chunks; i++)
		sum += v->cfg.chunks[i].width ? v->cfg.chunks[i].col_units : 0;
	return sum;
}

/* Filling `units` with columns of the returned length takes at most half of what is left of the slot; 0: nothing is left. */
static uint64_t slot_policy(const struct vdev *v, uint64_t units)
{
	uint64_t used = 1024 + (uint64_t)v->cfg.n_chunks * CHUNK_ENTRY + v->cfg.n_retired * UINT64_C(28) + v->cfg.unknown_len;
	uint64_t chunks = used < v->label.cfg_len ? (v->label.cfg_len - used) / 2 / CHUNK_ENTRY : 0;

	return chunks ? MAX(div_up(units, chunks), UINT64_C(1)) : 0;
}

/* Length of the next column when the others have `total` units. */
static uint64_t column_policy(const struct vdev *v, uint64_t total)
{
	uint64_t end = vdev_space_end(v), size = (end - MIN(end, v->label.data_off)) / UNIT, want, least;

	if (open_ended(v) && vdev_resizable(v)) {
		for (want = IMAGE_COL_MIN; want < IMAGE_COL_MAX && want * 2 <= total;)
			want *= 2;
		want = MAX(want, total / 256);
		least = slot_policy(v, total);
	} else {
		want = MAX(IMAGE_COL_MIN, size / 256);
		least = slot_policy(v, size - MIN(size, total));
	}
	if (!least)
		return 0;
	return MIN(round_up(MAX(want, least), MIB_UNITS), (uint64_t)COL_UNITS_MAX);
}

/* Retired ranges that no uberblock of the last K can name are free, and leave the config with the change at hand. */
static void drop_settled(struct vdev *v)
{
	uint64_t settled = v->have_cur ? v->cur.prev_txg[UBER_KEEP - 2] : 0;
	uint32_t to = 0;

	for (uint32_t i = 0; i < v->cfg.n_retired; i++)
		if (v->cfg.retired[i].txg > settled)
			v->cfg.retired[to++] = v->cfg.retired[i];
	v->cfg.n_retired = to;
}

/*
 * Make the file as long as its columns, and a unit longer: while an image is open for writing its last bytes are never a block's,
 * so what is found there is a back label or nothing. The first growth takes the place of the back label; the length says so before any
 * data can lie there.
 */
static int extend_columns(struct vdev *v, uint64_t end, struct lcpfs_error *err)
{
	bool first = label_back_fits(v) && blockdev_size(v->dev) == v->label.dev_size;
	int rc;

	if (!vdev_resizable(v) || !open_ended(v))
		return vdev_extend_file(v, end, err);
	rc = vdev_extend_file(v, MAX(end, first ? v->label.dev_size : 0) + UNIT, err);
	return rc || !first ? rc : vdev_flush(v, err);
}

/* 0: the last chunk has become longer by at least `need` units; 1: it cannot. */
static int extend_last(struct vdev *v, const struct run *r, size_t n, uint64_t need, struct lcpfs_error *err)
{
	struct cfg_chunk *k = v->cfg.n_chunks ? &v->cfg.chunks[v->cfg.n_chunks - 1] : NULL;
	uint64_t end, target, take = 0;
	int rc;

	if (!k || !k->width || k->state != CHUNK_ACTIVE)
		return 1;
	end = k->member[0].start_unit + k->col_units;
	target = column_policy(v, total_units(v) - k->col_units);
	for (size_t i = 0; i < n && target > k->col_units; i++)
		if (r[i].start == end)
			take = MIN(r[i].units, target - k->col_units);
	if (take < need)
		return 1;
	rc = extend_columns(v, (end + take) * UNIT, err);
	if (!rc)
		k->col_units += (uint32_t)take;
	return rc;
}

/* The first run that has room for a whole column, else the longest with room for `need`. */
static const struct run *choose_run(const struct run *r, size_t n, uint64_t need, uint64_t want)
{
	const struct run *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (r[i].units >= MAX(need, want))
			return &r[i];
		if (r[i].units >= need && (!best || r[i].units > best->units))
			best = &r[i];
	}
	return best;
}

static int append_chunk(struct vdev *v, struct run at, uint64_t created_txg, struct lcpfs_error *err)
{
	struct cfg_chunk *list = realloc(v->cfg.chunks, ((size_t)v->cfg.n_chunks + 1) * sizeof *list);
	struct cfg_member *m = malloc(sizeof *m);
	const struct cfg_group *g = &v->cfg.groups[0];

	if (list)
		v->cfg.chunks = list;
	if (!list || !m) {
		free(m);
		return lcpfs_nomem(err);
	}
	*m = (struct cfg_member){ v->cfg.devices[0].id, at.start };
	list[v->cfg.n_chunks++] = (struct cfg_chunk){
		.id = v->cfg.next_chunk_id++, .group = g->id, .profile = PROFILE_MIRROR, .width = 1, .parity = 1,
		.ashift = g->ashift, .cls = CLASS_ANY, .state = CHUNK_ACTIVE, .col_units = (uint32_t)at.units,
		.created_txg = created_txg, .member = m,
	};
	return 0;
}

static int add_chunk(struct vdev *v, const struct run *r, size_t n, uint64_t need, uint64_t txg, struct lcpfs_error *err)
{
	uint64_t want = column_policy(v, total_units(v));
	const struct run *at;
	struct run take;
	int rc;

	if (!want || v->cfg.next_chunk_id == UINT32_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%s: no room in the config for another chunk", v->dev->name);
	want = MAX(want, need);
	at = choose_run(r, n, need, want);
	if (!at || need > COL_UNITS_MAX)
		return lcpfs_fail(err, LCPFS_ENOSPC, "%s: no %" PRIu64 " bytes left on the device", v->dev->name, need * UNIT);
	take = (struct run){ at->start, MIN(at->units, want) };
	/* a rest that is not worth a chunk of its own goes with this one */
	if (at->units - take.units < want / 2 && at->units <= COL_UNITS_MAX)
		take.units = at->units;
	rc = extend_columns(v, (take.start + take.units) * UNIT, err);
	return rc ? rc : append_chunk(v, take, txg, err);
}

int vdev_grow(struct vdev *v, uint64_t min_bytes, uint64_t created_txg, uint32_t *chunk_id, struct lcpfs_error *err)
{
	uint64_t need = MAX(div_up(min_bytes, UNIT), UINT64_C(1));
	struct run *r;
	size_t n;
	int rc;

	if (!v->rw || !v->cfg.n_devices)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: not open for writing", v->dev->name);
	pthread_rwlock_wrlock(&v->lock);
	drop_settled(v);
	r = free_runs(v, &n);
	rc = r ? extend_last(v, r, n, need, err) : lcpfs_nomem(err);
	if (rc == 1)
		rc = add_chunk(v, r, n, need, created_txg, err);
	if (!rc) {
		v->cfg_changed = true;
		*chunk_id = v->cfg.chunks[v->cfg.n_chunks - 1].id;
	}
	pthread_rwlock_unlock(&v->lock);
	free(r);
	return rc;
}

/* Placing grows the pool on another thread, so the list of chunks is read under the lock. */
uint64_t vdev_growable(struct vdev *v)
{
	uint64_t sum = 0;
	struct run *r;
	size_t n = 0;

	if (!v->cfg.n_devices)
		return 0;
	if (open_ended(v) && vdev_resizable(v))
		return UINT64_MAX;
	pthread_rwlock_rdlock(&v->lock);
	r = free_runs(v, &n);
	pthread_rwlock_unlock(&v->lock);
	for (size_t i = 0; r && i < n; i++)
		sum += r[i].units * UNIT;
	free(r);
	return sum;
}

int vdev_trim_last(struct vdev *v, uint32_t sector, struct lcpfs_error *err)
{
	uint64_t units = MAX(div_up(sector, SECTORS_PER_UNIT), UINT64_C(1));
	struct cfg_chunk *k;
	bool last;

	if (!v->rw)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: not open for writing", v->dev->name);
	if (!v->cfg.n_chunks || !open_ended(v))
		return 0;
	pthread_rwlock_wrlock(&v->lock);
	vdev_columns_end(v, &last);
	k = &v->cfg.chunks[v->cfg.n_chunks - 1];
	if (last && units < k->col_units) {
		k->col_units = (uint32_t)units;
		v->cfg_changed = true;
	}
	pthread_rwlock_unlock(&v->lock);
	return 0;
}
