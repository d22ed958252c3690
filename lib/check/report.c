/* SPDX-License-Identifier: Apache-2.0 */
/* Telling of findings. */
#include "check/check_impl.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PENDING_MAX 4096u
#define TICK_NS 100000000u
#define PATH_BUDGET (UINT64_C(1) << 26)

const struct lcpfs_problem_kind ck_kinds[P_N] = {
#define X(id, phase, code, cls, text, does, note) { code, phase, LCPFS_REPAIR_##cls, text, does, note },
	CHECK_PROBLEMS(X)
#undef X
};

const struct lcpfs_problem_kind *lcpfs_problem_kind(unsigned i)
{
	return i < P_N ? &ck_kinds[i] : NULL;
}

struct ck_pending {
	enum problem_id id;
	struct ck_where w;
	char *text;
};

static int store_read(struct btree_store *st, const struct blkptr *bp, uint8_t **pb, uint32_t *nptr, struct lcpfs_error *err)
{
	return zio_read_node(container_of(st, struct check, store)->spa->zio, bp, pb, nptr, err);
}

static const struct btree_store_ops store_ops = { .read = store_read };

void ck_init(struct check *ck, struct spa *spa, const struct lcpfs_check_opts *o)
{
	static const struct lcpfs_check_opts none;
	const struct uberblock *ub = spa ? vdev_current(spa->vdev) : NULL;

	*ck = (struct check){ .spa = spa, .o = o ? o : &none, .store = { .ops = &store_ops }, .path_budget = PATH_BUDGET };
	if (spa)
		ck->budget = spa->memory / 4;
	if (spa)
		ck->device = spa->name;
	if (ub)
		ck->ub = *ub;
}

static void pending_drop(struct check *ck)
{
	for (size_t i = 0; i < ck->n_pending; i++)
		free(ck->pending[i].text);
	ck->n_pending = 0;
}

void ck_fini(struct check *ck)
{
	for (size_t i = 0; i < ck->n_ds; i++)
		free(ck->ds[i].name);
	for (size_t i = 0; i < ck->n_names; i++)
		free(ck->names[i].name);
	pending_drop(ck);
	free(ck->ds);
	free(ck->names);
	free(ck->snaptxg);
	free(ck->dead);
	free(ck->props);
	free(ck->pending);
	free(ck->clash);
}

bool ck_grow(void **p, size_t *cap, size_t n, size_t size)
{
	size_t want = *cap ? *cap * 2 : 64;
	void *q;

	if (n < *cap)
		return true;
	q = realloc(*p, want * size);
	if (!q)
		return false;
	*p = q;
	*cap = want;
	return true;
}

/* Snapshots do not change, so what is wrong in one stays. Blocks of no dataset are the pool's own, or lead to no file that is known. */
static bool repairable(const struct check *ck, enum problem_id id, const struct ck_where *w)
{
	bool snap = w->ds && (w->ds->rec.kind == DS_SNAPSHOT || w->ds->rec.kind == DS_HIDDEN);

	if (w->stays || (ck->lost_records && ck_kinds[id].phase == 4) || ck_kinds[id].cls == LCPFS_REPAIR_NONE)
		return false;
	return !(snap && (ck_kinds[id].phase == 5 || ck_kinds[id].phase == 2)) || id == P_REF_COUNTS || id == P_BLOCK_COPY;
}

static void tell(struct check *ck, enum problem_id id, const struct ck_where *w, const char *text)
{
	struct lcpfs_problem p = { .code = ck_kinds[id].code, .phase = ck_kinds[id].phase, .dataset = w->ds ? w->ds->name : NULL, .path = w->path,
		.ino = w->ino, .offset = w->offset, .length = w->length, .addr = w->addr, .text = text,
		.repairable = repairable(ck, id, w), .kind = &ck_kinds[id], .device = ck->device, .follows = ck->result };

	if (ck->o->problem)
		ck->o->problem(ck->o->arg, &p);
}

/* When memory is out the finding is told without a path. */
static void put_off(struct check *ck, enum problem_id id, const struct ck_where *w, const char *text)
{
	struct ck_pending *p = CK_PUSH(ck->pending, ck->n_pending, ck->cap_pending);
	char *copy = p ? strdup(text) : NULL;

	if (p && !copy)
		ck->n_pending--;
	if (copy)
		*p = (struct ck_pending){ id, *w, copy };
	else
		tell(ck, id, w, text);
	if (ck->n_pending >= PENDING_MAX)
		ck_flush(ck, NULL);
}

void ck_report(struct check *ck, enum problem_id id, const struct ck_where *w, const char *fmt, ...)
{
	static const struct ck_where nowhere;
	char text[600];
	size_t n = (size_t)snprintf(text, sizeof text, "%s", ck_kinds[id].text);
	va_list ap;

	ck->problems++;
	ck_plan_told(ck, id);
	if (!ck->o->problem)
		return;
	if (fmt && n + 3 < sizeof text) {
		memcpy(text + n, ": ", 3);
		va_start(ap, fmt);
		vsnprintf(text + n + 2, sizeof text - n - 2, fmt, ap);
		va_end(ap);
	}
	if (!w)
		w = &nowhere;
	if (w->ds && w->ino && !w->path)
		put_off(ck, id, w, text);
	else
		tell(ck, id, w, text);
}

static int by_ino(const void *a, const void *b)
{
	const struct ck_want *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* Those of one dataset, which stand together. */
static int flush_run(struct check *ck, struct ck_pending *p, size_t n, struct lcpfs_error *err)
{
	struct ck_want *w = calloc(n, sizeof *w);
	int rc = w ? 0 : lcpfs_nomem(err);

	for (size_t i = 0; w && i < n; i++)
		w[i].ino = p[i].w.ino;
	if (w)
		rc = ck_paths(ck, p->w.ds, w, n, err);
	if (w)
		qsort(w, n, sizeof *w, by_ino);
	for (size_t i = 0; i < n; i++) {
		struct ck_want key = { .ino = p[i].w.ino };
		const struct ck_want *found = w ? bsearch(&key, w, n, sizeof *w, by_ino) : NULL;

		p[i].w.path = found ? found->path : NULL;
		tell(ck, p[i].id, &p[i].w, p[i].text);
	}
	for (size_t i = 0; w && i < n; i++)
		free(w[i].path);
	free(w);
	return rc;
}

int ck_flush(struct check *ck, struct lcpfs_error *err)
{
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < ck->n_pending; i += n) {
		for (n = 1; i + n < ck->n_pending && ck->pending[i + n].w.ds == ck->pending[i].w.ds; n++)
			;
		rc = flush_run(ck, ck->pending + i, n, err);
	}
	pending_drop(ck);
	return rc;
}

bool ck_addr_ok(const struct check *ck, const struct blkptr *bp)
{
	const struct cfg_chunk *c = config_chunk(vdev_config(ck->spa->vdev), ptr_chunk(bp));
	unsigned shift = c && c->ashift > 9 ? c->ashift - 9u : 0;

	return c && !(ptr_sector(bp) & ((1u << shift) - 1)) &&
	    (uint64_t)ptr_sector(bp) + div_up(bp->psize, SECTOR) <= (uint64_t)c->col_units * (UNIT / SECTOR);
}

bool ck_clash_lost(const struct check *ck, const struct blkptr *bp)
{
	uint64_t end = bp->addr + div_up(bp->psize, SECTOR);
	bool hit = false, lost;
	uint8_t *p;

	for (size_t i = 0; !hit && i < ck->n_clash; i++)
		hit = bp->addr < ck->clash[i].addr + ck->clash[i].sectors && ck->clash[i].addr < end;
	p = hit ? malloc(bp->psize) : NULL;
	lost = p && zio_read_stored(ck->spa->zio, bp, p, NULL) == -LCPFS_ECSUM;
	free(p);
	return lost;
}

enum problem_id ck_problem_of(const struct blkptr *bp, int rc)
{
	if (rc == -LCPFS_EIO)
		return P_BLOCK_IO;
	if (rc == -LCPFS_ECSUM)
		return P_BLOCK_CSUM;
	return bp->kind == PTR_NODE ? P_NODE_BAD : P_BLOCK_ADDR;
}

uint64_t ck_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ck_tick(struct check *ck, uint64_t entries, uint64_t bytes, struct lcpfs_error *err)
{
	struct lcpfs_progress p;
	uint64_t now;

	ck->entries += entries;
	ck->bytes += bytes;
	if (!ck->o->progress)
		return 0;
	now = ck_now_ns();
	if (now - ck->last_tick_ns < TICK_NS)
		return 0;
	ck->last_tick_ns = now;
	p = (struct lcpfs_progress){ .entries = ck->entries, .bytes = ck->bytes, .total_bytes = ck->total_bytes, .phase = ck->phase };
	if (!ck->o->progress(ck->o->arg, &p))
		return 0;
	ck->canceled = true;
	return lcpfs_fail(err, LCPFS_ECANCEL, "interrupted");
}
