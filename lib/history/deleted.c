/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are not there any more: neighbouring states of a dataset are compared, the newest first. */
#include "history/history.h"
#include "base/error.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct deleted {
	const char *path;              /* only this and what is below */
	struct lcpfs_time since;
	lcpfs_deleted_visit *visit;
	void *arg;
	struct lcpfs_dataset *now;
	const struct hist_state *then, *gone;
	struct hist_view in;
	bool stop;
};

static bool earlier(const struct lcpfs_time *a, const struct lcpfs_time *b)
{
	return a->sec != b->sec ? a->sec < b->sec : a->nsec < b->nsec;
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return !n || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

/* Of a root that has lost contents, those of this file are read to see. */
static int contents_lost(struct deleted *d, const struct lcpfs_stat *st, bool *lost, struct lcpfs_error *err)
{
	uint8_t *buf;
	size_t got = 1 * MiB;
	int rc = 0;

	*lost = false;
	if (d->then->whole || !S_ISREG(st->mode))
		return 0;
	buf = malloc(1 * MiB);
	if (!buf)
		return lcpfs_nomem(err);
	for (uint64_t off = 0; !rc && got == 1 * MiB; off += got)
		rc = zpl_read(d->in.ds->ds, st->ino, off, buf, 1 * MiB, &got, NULL);
	free(buf);
	*lost = rc != 0;
	return rc == -LCPFS_ENOMEM ? lcpfs_nomem(err) : 0;
}

static int on_change(void *arg, const struct lcpfs_diff *c, struct lcpfs_error *err)
{
	struct deleted *d = arg;
	struct lcpfs_deleted e = { .path = c->path, .in = d->in.ds, .txg = d->then->txg, .snap = hist_snap_name(d->then),
		.root_txg = d->then->root_txg, .last_seen = d->then->time, .gone_by = d->gone->time };
	struct lcpfs_stat st;
	struct inode here;
	int rc;

	if (c->kind != LCPFS_DIFF_REMOVED || !is_below(c->path, d->path))
		return 0;
	rc = lcpfs_stat(d->in.ds, c->path, 0, &st, err);
	if (rc)
		return rc;
	/* under another name it is still there */
	rc = zpl_inode_get(d->now->ds, st.ino, &here, err);
	if (!rc && here.gen == st.gen)
		return 0;
	if (rc && rc != -LCPFS_ENOENT)
		return rc;
	rc = contents_lost(d, &st, &e.lost, err);
	e.st = &st;
	if (!rc)
		rc = d->visit(d->arg, &e, err);
	d->stop = rc > 0;
	return rc;
}

static int between(struct deleted *d, struct lcpfs_pool *p, const struct hist_state *then, const struct hist_state *gone, struct lcpfs_error *err)
{
	struct hist_view after = { 0 };
	int rc;

	d->then = then;
	d->gone = gone;
	rc = hist_view_open(&d->in, p, then, err);
	if (!rc)
		rc = hist_view_open(&after, p, gone, err);
	if (!rc)
		rc = lcpfs_diff(d->in.ds, after.ds, 0, on_change, d, NULL, err);
	hist_view_close(&after);
	hist_view_close(&d->in);
	return rc;
}

int lcpfs_deleted_each(struct lcpfs_pool *p, const char *dataset, const char *path, const struct lcpfs_time *since, lcpfs_deleted_visit *visit,
                       void *arg, struct lcpfs_error *err)
{
	struct deleted d = { .path = path ? path + strspn(path, "/") : "", .visit = visit, .arg = arg };
	struct hist_states s = { 0 };
	struct hist_roots roots = { 0 };
	int rc = lcpfs_dataset_open(&d.now, p, dataset, err);

	if (rc)
		return rc;
	if (since)
		d.since = *since;
	rc = hist_roots_find(p, p->spa->writable, &roots, err);
	if (!rc)
		rc = hist_states_of(p, &roots, d.now->ds->rec.id, &s, err);
	for (size_t i = s.n; !rc && !d.stop && i > 1; i--)
		if (!since || !earlier(&s.v[i - 1].time, &d.since))
			rc = between(&d, p, &s.v[i - 2], &s.v[i - 1], err);
	hist_states_fini(&s);
	free(roots.v);
	lcpfs_dataset_close(d.now);
	return rc;
}
