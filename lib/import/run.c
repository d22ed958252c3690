/* SPDX-License-Identifier: Apache-2.0 */
#include "import/run.h"
#include "base/error.h"
#include "host/host.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define KNOWN_FLAGS                                                                                                      \
	(LCPFS_TREE_UID | LCPFS_TREE_GID | LCPFS_TREE_REPRODUCIBLE | LCPFS_TREE_ONE_FS | LCPFS_TREE_KEEP_SPECIAL |           \
	    LCPFS_TREE_DELETE | LCPFS_TREE_OVERWRITE | LCPFS_TREE_NO_OWNER | LCPFS_TREE_CHECKSUM | LCPFS_TREE_BASENAME |     \
	    LCPFS_TREE_SAFE | LCPFS_TREE_REFLINK | LCPFS_TREE_REFLINK_ONLY | LCPFS_TREE_DUPLICATES)
#define PROGRESS_NS 100000000u

int run_begin(struct run *r, const struct lcpfs_tree_opts *o, const char *phase, struct lcpfs_error *err)
{
	static const struct lcpfs_tree_opts none;

	*r = (struct run){ .o = o ? o : &none, .phase = phase };
	if (r->o->flags & ~(uint32_t)KNOWN_FLAGS)
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown flags for a tree: %#x", r->o->flags & ~(uint32_t)KNOWN_FLAGS);
	return 0;
}

void run_told(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct run *r = arg;

	if (!r->st.warnings++)
		snprintf(r->first, sizeof r->first, "%.80s: %.110s", *path ? path : ".", why->msg);
	if (r->o->warn)
		r->o->warn(r->o->arg, path, why);
}

void run_told_source(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct run *r = arg;

	if (r->ds_sink)
		ds_sink_keep(r->ds_sink, path);
	if (r->ahead)
		ahead_tell(r->ahead, path, why);
	else if (r->host_sink)
		host_sink_tell(r->host_sink, path, why);
	else
		run_told(r, path, why);
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool run_tick(void *arg, uint64_t entries, uint64_t bytes)
{
	struct run *r = arg;
	struct lcpfs_progress p = { .entries = entries, .bytes = bytes, .phase = r->phase };
	uint64_t now = clock_ns();

	if (now - r->told_ns < PROGRESS_NS)
		return false;
	r->told_ns = now;
	return r->o->progress(r->o->arg, &p);
}

static int read_ahead(struct run *r, struct entry_source **f, struct lcpfs_error *err)
{
	struct ahead_opts o = { .threads = r->threads, .window_bytes = r->window_bytes, .warn = run_told, .warn_arg = r };
	int rc = ahead_open(&r->ahead, *f, &o, err);

	if (!rc)
		*f = r->ahead;
	return rc;
}

int run_copy(struct run *r, struct entry_source *src, bool check_links, struct entry_sink *sink, struct lcpfs_error *err)
{
	struct filter_opts fo = { .tree = r->o, .stats = &r->st, .check_links = check_links, .warn = run_told_source, .warn_arg = r };
	struct entry_source *f;
	int rc = filter_open(&f, src, &fo, err);

	if (rc)
		return rc;
	if (r->threads && f->ops->detach && !sink->ops->take)
		rc = read_ahead(r, &f, err);
	if (!rc)
		rc = entry_copy(f, sink, r->o->progress ? run_tick : NULL, r, err);
	f->ops->close(f);
	r->ahead = NULL;
	return rc;
}

int run_end(struct run *r, int rc, struct lcpfs_tree_stats *st, struct lcpfs_error *err)
{
	if (st)
		*st = r->st;
	if (rc || !r->st.warnings)
		return rc;
	return lcpfs_fail(err, LCPFS_EPARTIAL, "%" PRIu64 " %s left out or not done in full: %s%s", r->st.warnings,
	    r->st.warnings == 1 ? "thing was" : "things were", r->st.warnings == 1 ? "" : "first ", r->first);
}
