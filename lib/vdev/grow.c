/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for more
 * Free space of the device is the complement of all columns and retired ranges. The last chunk of the class is made longer as long as it
 * is below the size that the policy would give it today, which undoes the cut at an image's close; then chunks are added.
 * Sizes follow the pool's, so that a pool of any size has a few hundred chunks per doubling and the config fits its slot. Chunks for nodes follow
 * what there is for nodes, so that little of them is never written: an image has that as a hole.
 * Where columns go is told in choose.c.
 */
#include "base/error.h"
#include "base/util.h"
#include "format/node.h"
#include "vdev/vdev_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define MIB_UNITS (MiB / UNIT)
#define IMAGE_COL_MIN (64 * MIB_UNITS)
#define IMAGE_COL_FIRST (4 * MIB_UNITS) /* with gaps: the shorter the first one, the smaller the image that has them */
#define IMAGE_COL_MAX (1024 * MIB_UNITS)
#define CHUNK_ENTRY 40u /* bytes that a chunk adds to the config before compression, */
#define MEMBER_ENTRY 8u /* and each of its members */

bool vdev_has_classes(const struct vdev *v) { return config_has_feature(&v->cfg.incompat, FEATURE_COPIES); }
bool vdev_may_write(const struct vdev *v) { return v->rw && !v->failed; }

static unsigned width_of(enum chunk_class cls) { return cls == CLASS_META ? COPIES : 1; }

static uint64_t total_units(const struct vdev *v, bool only_meta)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < v->cfg.n_chunks; i++) {
		const struct cfg_chunk *k = &v->cfg.chunks[i];

		sum += k->width && (!only_meta || k->cls == CLASS_META) ? k->col_units : 0;
	}
	return sum;
}

/* Filling `units` with columns of the returned length takes at most half of what is left of the slot; 0: nothing is left. */
static uint64_t slot_policy(const struct vdev *v, uint64_t units)
{
	uint64_t used = 1024 + v->cfg.n_retired * UINT64_C(28) + v->cfg.unknown_len, chunks;

	for (uint32_t i = 0; i < v->cfg.n_chunks; i++)
		used += CHUNK_ENTRY + MEMBER_ENTRY * v->cfg.chunks[i].width;
	chunks = used < v->label.cfg_len ? (v->label.cfg_len - used) / 2 / (CHUNK_ENTRY + MEMBER_ENTRY) : 0;
	return chunks ? MAX(div_up(units, chunks), UINT64_C(1)) : 0;
}

/* An eighth of what there is for nodes; in large pools no less than a MiB, so that the copies lie further apart. `total`: all there is. */
static uint64_t meta_policy(const struct vdev *v, uint64_t meta, uint64_t total, uint64_t size)
{
	uint64_t least = slot_policy(v, meta), most = vdev_open_ended(v) ? COL_UNITS_MAX / 2 : MAX(size / 256, (uint64_t)META_COL_MIN);
	uint64_t want = MAX(MAX(meta / 8, MIN(total / 512, MIB_UNITS)), (uint64_t)META_COL_MIN);

	return least ? round_up(MAX(MIN(want, most), least), (uint64_t)vdev_column_align(v)) : 0;
}

/* Length of the next column of that class when the others have `total` units. */
static uint64_t column_policy(const struct vdev *v, enum chunk_class cls, uint64_t total)
{
	uint64_t end = vdev_space_end(v), size = (end - MIN(end, v->label.data_off)) / UNIT, want, least;

	if (cls == CLASS_META)
		return meta_policy(v, total, total_units(v, false), size);
	if (vdev_open_ended(v) && vdev_resizable(v)) {
		for (want = vdev_has_gaps(v) ? IMAGE_COL_FIRST : IMAGE_COL_MIN; want < IMAGE_COL_MAX && want * 2 <= total;)
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

	if (!vdev_resizable(v) || !vdev_open_ended(v))
		return vdev_extend_file(v, end, err);
	rc = vdev_extend_file(v, MAX(end, first ? v->label.dev_size : 0) + UNIT, err);
	return rc || !first ? rc : vdev_flush(v, err);
}

static struct cfg_chunk *last_of(struct vdev *v, enum chunk_class cls)
{
	for (uint32_t i = v->cfg.n_chunks; i--;)
		if (v->cfg.chunks[i].cls == cls)
			return &v->cfg.chunks[i];
	return NULL;
}

/* By how much all columns of a chunk could be longer, at most to `target`. */
static uint64_t room_behind(const struct cfg_chunk *k, const struct column_run *r, size_t n, uint64_t target)
{
	uint64_t take = target > k->col_units ? target - k->col_units : 0;

	for (unsigned m = 0; m < k->width; m++) {
		uint64_t end = k->member[m].start_unit + k->col_units, room = 0;

		for (size_t i = 0; i < n; i++)
			if (r[i].start == end)
				room = r[i].units;
		take = MIN(take, room);
	}
	return take;
}

/* 0: the last chunk of the class has become longer by at least `need` units; 1: it cannot. */
static int extend_last(struct vdev *v, enum chunk_class cls, const struct column_run *r, size_t n, uint64_t need, uint32_t *id,
                       struct lcpfs_error *err)
{
	struct cfg_chunk *k = last_of(v, cls);
	uint64_t take, end = 0;
	int rc;

	if (!k || !k->width || k->state != CHUNK_ACTIVE)
		return 1;
	take = room_behind(k, r, n, column_policy(v, cls, total_units(v, cls == CLASS_META) - k->col_units));
	if (take < need)
		return 1;
	for (unsigned m = 0; m < k->width; m++)
		end = MAX(end, k->member[m].start_unit + k->col_units + take);
	rc = extend_columns(v, end * UNIT, err);
	if (!rc)
		k->col_units += (uint32_t)take;
	*id = k->id;
	return rc;
}

static int append_chunk(struct vdev *v, enum chunk_class cls, const struct columns *at, uint64_t created_txg, struct lcpfs_error *err)
{
	struct cfg_chunk *list = realloc(v->cfg.chunks, ((size_t)v->cfg.n_chunks + 1) * sizeof *list);
	struct cfg_member *m = calloc(at->width, sizeof *m);
	const struct cfg_group *g = &v->cfg.groups[0];

	if (list)
		v->cfg.chunks = list;
	if (!list || !m) {
		free(m);
		return lcpfs_nomem(err);
	}
	for (unsigned i = 0; i < at->width; i++)
		m[i] = (struct cfg_member){ v->cfg.devices[0].id, at->start[i] };
	list[v->cfg.n_chunks++] = (struct cfg_chunk){
		.id = v->cfg.next_chunk_id++, .group = g->id, .profile = PROFILE_MIRROR, .width = (uint8_t)at->width,
		.parity = (uint8_t)at->width, .ashift = g->ashift, .cls = (uint8_t)cls, .state = CHUNK_ACTIVE,
		.col_units = (uint32_t)at->units, .created_txg = created_txg, .member = m,
	};
	return 0;
}

static int add_chunk(struct vdev *v, enum chunk_class cls, const struct column_run *r, size_t n, uint64_t need, uint64_t txg,
                     uint32_t *id, struct lcpfs_error *err)
{
	uint64_t meta = total_units(v, true), data = total_units(v, false) - meta, want = column_policy(v, cls, cls == CLASS_META ? meta : data + meta);
	struct columns at = { .width = width_of(cls), .need = need, .least = slot_policy(v, meta), .align = vdev_column_align(v) };
	int rc;

	if (!want || v->cfg.next_chunk_id == UINT32_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%s: no room in the config for another chunk", v->dev->name);
	at.want = MAX(want, round_up(need, at.align));
	at.gap = cls == CLASS_DATA && vdev_has_gaps(v) ? vdev_gap(data, meta) : 0;
	at.open = vdev_open_ended(v) && vdev_resizable(v);
	if (need > COL_UNITS_MAX || !vdev_choose(&at, r, n))
		return lcpfs_fail(err, LCPFS_ENOSPC, "%s: no %" PRIu64 " bytes left on the device", v->dev->name, need * UNIT);
	rc = extend_columns(v, at.end * UNIT, err);
	if (!rc)
		rc = append_chunk(v, cls, &at, txg, err);
	if (!rc)
		*id = v->cfg.chunks[v->cfg.n_chunks - 1].id;
	return rc;
}

int vdev_grow(struct vdev *v, enum chunk_class cls, uint64_t min_bytes, uint64_t created_txg, uint32_t *chunk_id, struct lcpfs_error *err)
{
	uint64_t need = MAX(div_up(min_bytes, UNIT), UINT64_C(1));
	struct column_run *r;
	size_t n;
	int rc;

	if (!v->rw || !v->cfg.n_devices)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: not open for writing", v->dev->name);
	if (!vdev_has_classes(v))
		cls = CLASS_ANY;
	pthread_rwlock_wrlock(&v->lock);
	drop_settled(v);
	r = vdev_free_runs(v, &n);
	rc = r ? extend_last(v, cls, r, n, need, chunk_id, err) : lcpfs_nomem(err);
	if (rc == 1)
		rc = add_chunk(v, cls, r, n, need, created_txg, chunk_id, err);
	if (!rc)
		v->cfg_changed = true;
	pthread_rwlock_unlock(&v->lock);
	free(r);
	return rc;
}

uint64_t vdev_grow_wants(struct vdev *v, enum chunk_class cls, uint64_t min_bytes)
{
	uint64_t need = MAX(div_up(min_bytes, UNIT), UINT64_C(1)), want;

	pthread_rwlock_rdlock(&v->lock);
	want = column_policy(v, cls, total_units(v, cls == CLASS_META));
	pthread_rwlock_unlock(&v->lock);
	return MAX(want, round_up(need, (uint64_t)vdev_column_align(v))) * UNIT * width_of(cls);
}

uint64_t vdev_growable(struct vdev *v) { return vdev_growable_pieces(v, UNIT); }

/*
 * Of the chunk that lies last the copies move together, as far as that leaves them apart: what was cut off would lie between them, as a hole.
 * Only while no commit knows the chunk.
 */
static int close_gap(struct vdev *v, struct cfg_chunk *k, struct lcpfs_error *err)
{
	uint64_t from = k->member[0].start_unit, to = from + MAX(k->col_units, META_COL_MIN);
	uint8_t *piece = to < k->member[1].start_unit ? malloc(UNIT) : NULL;
	int rc = 0;

	if (to >= k->member[1].start_unit)
		return 0;
	if (!piece)
		return lcpfs_nomem(err);
	for (uint64_t i = 0; !rc && i < k->col_units; i++) {
		rc = blockdev_read(v->dev, (from + i) * UNIT, piece, UNIT, err);
		if (!rc)
			rc = blockdev_write(v->dev, (to + i) * UNIT, piece, UNIT, err);
	}
	free(piece);
	if (!rc)
		k->member[1].start_unit = to;
	__atomic_store_n(&v->dirty, true, __ATOMIC_RELAXED);
	return rc;
}

int vdev_cut(struct vdev *v, uint32_t chunk, uint32_t sector, struct lcpfs_error *err)
{
	uint64_t units = MAX(div_up(sector, SECTORS_PER_UNIT), UINT64_C(1));
	int rc = 0;

	if (!v->rw)
		return lcpfs_fail(err, LCPFS_EROFS, "%s: not open for writing", v->dev->name);
	pthread_rwlock_wrlock(&v->lock);
	for (uint32_t i = 0; !rc && i < v->cfg.n_chunks; i++) {
		struct cfg_chunk *k = &v->cfg.chunks[i];
		bool side_by_side = k->width == COPIES && k->member[1].start_unit == k->member[0].start_unit + k->col_units;

		if (k->id != chunk || !k->width || units >= k->col_units)
			continue;
		k->col_units = (uint32_t)units;
		v->cfg_changed = true;
		if (side_by_side && k->created_txg > (v->have_cur ? v->cur.txg : 0))
			rc = close_gap(v, k, err);
	}
	pthread_rwlock_unlock(&v->lock);
	return rc;
}
