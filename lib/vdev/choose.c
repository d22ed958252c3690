/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where columns go
 * The copies of nodes lie far apart, so that no single loss takes both, be it the end of an image: the first in the lowest free run, the
 * second behind everything. For that, an image that grows with its content leaves gaps between its columns for data, as nodes are mostly written
 * when the data is there. A gap that is not used stays a hole. What is left then goes side by side.
 */
#include "base/util.h"
#include "vdev/vdev_impl.h"

#define GAP_WHOLE (MiB / UNIT)

bool vdev_has_gaps(const struct vdev *v) { return vdev_has_classes(v) && vdev_open_ended(v) && vdev_resizable(v); }

/*
 * Large trees of files have nodes of a hundredth of their data. Where there are more already, more will come: they are written early when they
 * are many, and then the half is still to come, or most of it.
 */
uint64_t vdev_gap(uint64_t data, uint64_t meta)
{
	return data ? MAX(MAX(data / 42, MIN(2 * meta, data / 24)), (uint64_t)META_COL_MIN) : 0;
}

/* Behind all there is, after what is missing of the gap. */
static bool choose_behind(struct columns *c, const struct column_run *r, size_t n)
{
	uint64_t free = 0;

	for (size_t i = 0; i + 1 < n; i++)
		free += r[i].units;
	c->start[0] = r[n - 1].start + (c->gap >= free + META_COL_MIN ? c->gap - free : 0);
	c->units = c->want;
	c->end = c->start[0] + c->units;
	return true;
}

/* The first run that has room for a whole column, else the longest with room for `need`. */
static const struct column_run *choose_run(const struct columns *c, const struct column_run *r, size_t n)
{
	const struct column_run *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (r[i].units >= c->want)
			return &r[i];
		if (r[i].units >= c->need && (!best || r[i].units > best->units))
			best = &r[i];
	}
	return best;
}

static bool choose_one(struct columns *c, const struct column_run *r, size_t n)
{
	const struct column_run *at = choose_run(c, r, n);

	if (!at)
		return false;
	c->start[0] = at->start;
	c->units = MIN(at->units, c->want);
	/* a rest that is not worth a chunk of its own goes with this one */
	if (at->units - c->units < c->want / 2 && at->units <= COL_UNITS_MAX)
		c->units = at->units;
	c->end = c->start[0] + c->units;
	return true;
}

/* One copy in the lowest gap and one behind the end. Few chunks fill a gap, so that the config stays small. */
static bool choose_gap(struct columns *c, const struct column_run *r, size_t n)
{
	uint64_t fits = MAX(MAX(c->need, c->least), (uint64_t)META_COL_MIN);

	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t room = r[i].units;

		if (room < fits)
			continue;
		c->units = room <= MAX(2 * c->want, (uint64_t)GAP_WHOLE) ? room : MAX(c->want, room / 2);
		c->units = MIN(c->units, (uint64_t)COL_UNITS_MAX);
		c->start[0] = r[i].start;
		c->start[1] = r[n - 1].start;
		c->end = c->start[1] + c->units;
		return true;
	}
	return false;
}

/* The lowest and the highest place for columns of that length; in the run without end they lie side by side. */
static bool far_apart(struct columns *c, const struct column_run *r, size_t n)
{
	const struct column_run *low = NULL, *high = NULL;

	for (size_t i = 0; i < n; i++) {
		if (r[i].units < c->units)
			continue;
		low = low ? low : &r[i];
		high = &r[i];
	}
	if (!low || (low == high && low->units < 2 * c->units))
		return false;
	c->start[0] = low->start;
	if (c->open && high == &r[n - 1])
		c->start[1] = high->start + (low == high ? c->units : 0);
	else
		c->start[1] = MAX(round_down(high->start + high->units - c->units, c->align), low == high ? low->start + c->units : high->start);
	c->end = c->start[1] + c->units;
	return true;
}

static bool choose_copies(struct columns *c, const struct column_run *r, size_t n)
{
	if (c->open && choose_gap(c, r, n))
		return true;
	for (c->units = c->want; c->units >= c->need; c->units = round_down(c->units / 2, c->align))
		if (far_apart(c, r, n))
			return true;
	return false;
}

bool vdev_choose(struct columns *c, const struct column_run *r, size_t n)
{
	if (c->width > 1)
		return choose_copies(c, r, n);
	return c->open && c->gap && n ? choose_behind(c, r, n) : choose_one(c, r, n);
}
