/* SPDX-License-Identifier: Apache-2.0 */
/* The roots that the labels keep. */
#include "base/error.h"
#include "base/util.h"
#include "check/verify.h"
#include "history/history.h"
#include <stdio.h>
#include <stdlib.h>

int lcpfs_root_open(struct lcpfs_pool **out, struct lcpfs_pool *p, uint64_t txg, const struct lcpfs_open_opts *o, struct lcpfs_error *err)
{
	struct lcpfs_open_opts oo = { .threads = o && o->threads ? o->threads : p->spa->threads,
		.memory_bytes = o && o->memory_bytes ? o->memory_bytes : p->spa->memory, .flags = LCPFS_OPEN_LIVE, .txg = txg };
	struct lcpfs_blockdev *dev;
	const struct uberblock *now = vdev_current(p->spa->vdev);
	int rc = rodev_create(&dev, vdev_dev(p->spa->vdev), err);

	if (!rc)
		rc = lcpfs_pool_open_dev(out, dev, &oo, err);
	/* in a future that was abandoned, numbers were given that were given again since */
	if (!rc && now && txg <= now->txg && txg >= now->rewind_floor_txg)
		(*out)->of = p;
	return rc;
}

/* Each root is checked through a handle of its own, so that nothing of the present is in its way. */
static int check_root(struct lcpfs_pool *p, uint32_t flags, struct verify_known *known, struct lcpfs_root *r, char *text, size_t len,
                      struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	struct lcpfs_pool *old = NULL;
	struct verify_result v = { 0 };
	int rc = lcpfs_root_open(&old, p, r->txg, NULL, &why);

	if (rc) {
		if (rc == -LCPFS_ENOMEM)
			return lcpfs_nomem(err);
		r->state = LCPFS_ROOT_GONE;
		snprintf(text, len, "%s", why.msg);
		return 0;
	}
	rc = verify_root(old->spa, flags & LCPFS_ROOT_CHECK_DATA || (flags & LCPFS_ROOT_CHECK_OLD && !r->current), known, NULL, &v, err);
	lcpfs_pool_close(old, NULL);
	if (rc)
		return rc;
	r->state = v.bad_nodes ? LCPFS_ROOT_PARTLY : v.bad ? LCPFS_ROOT_CONTENTS : LCPFS_ROOT_COMPLETE;
	r->blocks = v.blocks;
	r->bad_blocks = v.bad;
	snprintf(text, len, "%s", v.why);
	return 0;
}

static int visit_root(struct lcpfs_pool *p, uint32_t flags, struct verify_known *known, const struct uberblock *ub, lcpfs_root_visit *visit,
                      void *arg, struct lcpfs_error *err)
{
	const struct uberblock *now = vdev_current(p->spa->vdev);
	struct lcpfs_root r = { .txg = ub->txg, .time = { ub->time_s, ub->time_ns }, .current = now && ub->txg == now->txg,
		.abandoned = now && (ub->txg < now->rewind_floor_txg || ub->txg > now->txg) };
	char why[sizeof ((struct lcpfs_error *)0)->msg] = "";
	int rc = flags ? check_root(p, flags, known, &r, why, sizeof why, err) : 0;

	if (rc)
		return rc;
	if (r.state != LCPFS_ROOT_UNCHECKED && r.state != LCPFS_ROOT_COMPLETE)
		r.why = why;
	return visit(arg, &r, err);
}

int lcpfs_root_each(struct lcpfs_pool *p, uint32_t flags, lcpfs_root_visit *visit, void *arg, struct lcpfs_error *err)
{
	struct verify_known *known = NULL;
	const struct vdev_uber *u;
	struct uberblock *ubs;
	size_t n;
	int rc = 0;

	if (flags & ~(uint32_t)(LCPFS_ROOT_CHECK | LCPFS_ROOT_CHECK_OLD | LCPFS_ROOT_CHECK_DATA))
		return lcpfs_fail(err, LCPFS_EINVAL, "root flags %#x", flags);
	u = vdev_ubers(p->spa->vdev, &n);
	/* a visitor may commit, which changes the list */
	ubs = malloc(MAX(n, (size_t)1) * sizeof *ubs);
	if (ubs && flags)
		known = verify_known_create(p->spa->memory / 8);
	if (!ubs || (flags && !known))
		rc = lcpfs_nomem(err);
	for (size_t i = 0; !rc && i < n; i++)
		ubs[i] = u[i].ub;
	for (size_t i = 0; !rc && i < n; i++)
		rc = visit_root(p, flags, known, &ubs[i], visit, arg, err);
	verify_known_destroy(known);
	free(ubs);
	return MIN(rc, 0);
}
