/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a dataset in the order of time, from snapshots and older roots. */
#include "history/history.h"
#include "base/error.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>

#define OLD_MEMORY (32u * MiB) /* of a handle on an older root */

static const struct lcpfs_open_opts old_opts = { .memory_bytes = OLD_MEMORY };

/* ---- roots ---- */

struct finding { struct lcpfs_pool *p; struct hist_roots *out; bool protect; };

static int protect(struct lcpfs_pool *p, uint64_t txg, struct lcpfs_error *err)
{
	struct lcpfs_pool *old = NULL;
	int rc = lcpfs_root_open(&old, p, txg, &old_opts, err);

	if (!rc)
		rc = lcpfs_root_protect(p, old, err);
	lcpfs_pool_close(old, NULL);
	return rc;
}

static int on_root(void *arg, const struct lcpfs_root *r, struct lcpfs_error *err)
{
	struct finding *f = arg;
	struct hist_root *v;

	if (r->current || r->abandoned || (r->state != LCPFS_ROOT_COMPLETE && r->state != LCPFS_ROOT_CONTENTS))
		return 0;
	v = realloc(f->out->v, (f->out->n + 1) * sizeof *v);
	if (!v)
		return lcpfs_nomem(err);
	f->out->v = v;
	v[f->out->n++] = (struct hist_root){ r->txg, r->time, r->state == LCPFS_ROOT_COMPLETE };
	return f->protect ? protect(f->p, r->txg, err) : 0;
}

int hist_roots_find(struct lcpfs_pool *p, bool protect_them, struct hist_roots *out, struct lcpfs_error *err)
{
	struct finding f = { p, out, protect_them };

	return lcpfs_root_each(p, LCPFS_ROOT_CHECK | LCPFS_ROOT_CHECK_OLD, on_root, &f, err);
}

/* ---- states ---- */

struct collect {
	struct lcpfs_pool *pool;       /* of this root */
	struct hist_states *out;
	const struct hist_root *root;  /* NULL: the present */
	uint64_t head;
};

void hist_states_fini(struct hist_states *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	free(s->v);
	*s = (struct hist_states){ 0 };
}

const char *hist_snap_name(const struct hist_state *s)
{
	const char *at = s->snap ? strchr(s->name, '@') : NULL;

	return at ? at + 1 : NULL;
}

static int add(struct collect *c, const struct dsrec *r, bool snap, struct lcpfs_error *err)
{
	struct hist_state *v = c->out->v, s = { .snap = snap, .root = r->root, .whole = !c->root || c->root->whole, .now = !snap && !c->root };
	struct buf name = { 0 };
	int rc = dmu_full_name(c->pool->spa, r->id, &name, err);

	buf_u8(&name, 0);
	if (!rc && name.failed)
		rc = lcpfs_nomem(err);
	s.name = (char *)name.data;
	if (!rc && c->out->n == c->out->cap) {
		c->out->cap = c->out->cap ? 2 * c->out->cap : 16;
		v = realloc(c->out->v, c->out->cap * sizeof *v);
		rc = v ? 0 : lcpfs_nomem(err);
	}
	if (rc) {
		buf_fini(&name);
		return rc;
	}
	s.root_txg = c->root ? c->root->txg : 0;
	s.txg = snap ? r->created_txg : c->root ? c->root->txg : c->pool->spa->published;
	s.time = snap ? (struct lcpfs_time){ r->created_s, r->created_ns } : c->root ? c->root->time : (struct lcpfs_time){ 0, 0 };
	c->out->v = v;
	v[c->out->n++] = s;
	return 0;
}

static bool has_snap(const struct hist_states *s, const struct dsrec *r)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].snap && s->v[i].txg == r->created_txg)
			return true;
	return false;
}

static int on_snap(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct collect *c = arg;

	(void)name;
	return has_snap(c->out, r) ? 0 : add(c, r, true, err);
}

static int collect(struct collect *c, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc = dmu_rec_get(c->pool->spa, c->head, &r, NULL);

	if (rc || (r.kind != DS_FS && r.kind != DS_BRANCH))
		return rc == -LCPFS_ENOMEM ? lcpfs_nomem(err) : 0; /* not yet made, or gone */
	rc = add(c, &r, false, err);
	return rc ? rc : MIN(dmu_each(c->pool->spa, c->head, true, on_snap, c, err), 0);
}

/* A snapshot is taken before the commit that publishes it. */
static int by_txg(const void *x, const void *y)
{
	const struct hist_state *a = x, *b = y;

	if (a->now != b->now)
		return a->now ? 1 : -1;
	return a->txg != b->txg ? (a->txg < b->txg ? -1 : 1) : b->snap - a->snap;
}

static bool same_tree(const struct hist_state *a, const struct hist_state *b)
{
	return ptr_is_null(&a->root) ? ptr_is_null(&b->root) : ptr_same(&a->root, &b->root);
}

/* Of equal neighbours the first stays: it is the first that had this state. `now` replaces it, but for its time. */
static void drop_equal(struct hist_states *s)
{
	size_t to = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct hist_state *last = to ? &s->v[to - 1] : NULL;

		if (!last || !same_tree(last, &s->v[i])) {
			s->v[to++] = s->v[i];
		} else if (s->v[i].now) {
			free(last->name);
			s->v[i].txg = last->txg;
			s->v[i].time = last->time;
			*last = s->v[i];
		} else {
			free(s->v[i].name);
		}
	}
	s->n = to;
}

static void date_of_now(struct lcpfs_pool *p, struct hist_states *s)
{
	const struct uberblock *ub = vdev_current(p->spa->vdev);

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].now && ub)
			s->v[i].time = (struct lcpfs_time){ ub->time_s, ub->time_ns };
}

int hist_states_of(struct lcpfs_pool *p, const struct hist_roots *roots, uint64_t id, struct hist_states *out, struct lcpfs_error *err)
{
	struct collect c = { .pool = p, .out = out, .head = id };
	int rc = collect(&c, err);

	date_of_now(p, out);
	for (size_t i = 0; !rc && i < roots->n; i++) {
		c.root = &roots->v[i];
		rc = lcpfs_root_open(&c.pool, p, c.root->txg, &old_opts, err);
		if (!rc) {
			rc = collect(&c, err);
			lcpfs_pool_close(c.pool, NULL);
		}
	}
	if (!rc && out->n) {
		qsort(out->v, out->n, sizeof *out->v, by_txg);
		drop_equal(out);
	}
	return rc;
}

int hist_view_open(struct hist_view *v, struct lcpfs_pool *p, const struct hist_state *s, struct lcpfs_error *err)
{
	int rc = 0;

	*v = (struct hist_view){ 0 };
	if (s->root_txg)
		rc = lcpfs_root_open(&v->old, p, s->root_txg, &old_opts, err);
	if (!rc)
		rc = lcpfs_dataset_open(&v->ds, s->root_txg ? v->old : p, s->name, err);
	if (rc)
		hist_view_close(v);
	return rc;
}

void hist_view_close(struct hist_view *v)
{
	lcpfs_dataset_close(v->ds);
	lcpfs_pool_close(v->old, NULL);
	*v = (struct hist_view){ 0 };
}

/* ---- heads ---- */

struct heads { struct hist_head *v; size_t n; bool now; };

static int on_head(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct heads *h = arg;
	struct hist_head *v;

	for (size_t k = 0; k < h->n; k++)
		if (h->v[k].id == i->id)
			return 0;
	v = realloc(h->v, (h->n + 1) * sizeof *v);
	if (!v)
		return lcpfs_nomem(err);
	h->v = v;
	v[h->n] = (struct hist_head){ i->id, strdup(i->name), h->now };
	return v[h->n].name ? (h->n++, 0) : lcpfs_nomem(err);
}

int hist_heads(struct lcpfs_pool *p, const struct hist_roots *roots, struct hist_head **out, size_t *n, struct lcpfs_error *err)
{
	struct heads h = { .now = true };
	int rc = lcpfs_dataset_each(p, "", true, false, on_head, &h, err);

	h.now = false;
	for (size_t i = 0; !rc && i < roots->n; i++) {
		struct lcpfs_pool *old = NULL;

		rc = lcpfs_root_open(&old, p, roots->v[i].txg, &old_opts, err);
		if (!rc)
			rc = lcpfs_dataset_each(old, "", true, false, on_head, &h, err);
		lcpfs_pool_close(old, NULL);
	}
	*out = h.v;
	*n = h.n;
	return rc;
}

void hist_heads_fini(struct hist_head *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(h[i].name);
	free(h);
}
