/* SPDX-License-Identifier: Apache-2.0 */
/* mkfs: sources into the new pool, and reading back what was written. */
#include <stdlib.h>
#include <string.h>
#include "mkfs/mkfs.h"

static void add_stats(struct lcpfs_tree_stats *to, const struct lcpfs_tree_stats *s)
{
	to->entries += s->entries;
	to->files += s->files;
	to->bytes += s->bytes;
	to->warnings += s->warnings;
}

/* Several sources may go into one dataset, the later over the earlier; several of ours may not exist yet. */
static int open_dataset(struct lcpfs_dataset **ds, struct lcpfs_pool *pool, const char *name, struct lcpfs_error *err)
{
	int rc = *name ? lcpfs_dataset_create(pool, name, true, err) : 0;

	if (rc == -LCPFS_EEXIST)
		rc = 0;
	return rc ? rc : lcpfs_dataset_open(ds, pool, name, err);
}

static int fill_one(struct mkfs *m, struct lcpfs_pool *pool, const struct source *s)
{
	struct lcpfs_tree_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds = NULL;
	int rc = open_dataset(&ds, pool, s->dataset, &err);

	if (rc)
		return cmd_fail(&err, "cannot make the dataset '%s'", s->dataset);
	if (s->path)
		rc = lcpfs_tree_import(ds, "", s->path, &m->tree.opts, &st, &err);
	lcpfs_dataset_close(ds);
	add_stats(&m->total, &st);
	return rc ? cmd_fail(&err, "cannot store '%s'", s->path) : CMD_OK;
}

static int take_snapshot(struct mkfs *m, struct lcpfs_pool *pool)
{
	struct lcpfs_error err = { 0 };
	char *name = cmd_printf("@%s", m->snapshot);
	const char *names[] = { name };
	int status = CMD_OK;

	if (lcpfs_snap_create(pool, names, 1, true, &err))
		status = cmd_fail(&err, "cannot make the snapshot '%s'", name);
	free(name);
	return status;
}

static bool good(int status) { return status == CMD_OK || status == CMD_PARTIAL; }

int mkfs_fill(struct mkfs *m, struct lcpfs_pool *pool)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;

	for (size_t i = 0; i < m->n_sources && good(status); i++)
		status = cmd_worse(status, fill_one(m, pool, &m->sources[i]));
	if (good(status) && m->snapshot)
		status = cmd_worse(status, take_snapshot(m, pool));
	if (good(status) && cmd_interrupted)
		status = cmd_fail_code(LCPFS_ECANCEL, "interrupted");
	if (status == CMD_FAILED || !good(status))
		return status;
	if (lcpfs_pool_commit(pool, &err))
		status = cmd_worse(CMD_FAILED, cmd_fail(&err, "cannot write '%s'", m->image));
	return status;
}

static void say_problem(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	cmd_note("verification: %s", p->text);
}

int mkfs_verify(struct mkfs *m, const char *path)
{
	struct lcpfs_check_opts co = { .map = true, .decode = m->decode, .problem = say_problem, .progress = cmd_progress };
	struct lcpfs_scrub_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *pool = NULL;
	struct lcpfs_open_opts oo;
	int rc;

	cmd_open_opts(&oo, LCPFS_OPEN_RO);
	rc = lcpfs_pool_open(&pool, path, &oo, &err);
	if (!rc)
		rc = lcpfs_scrub(pool, &co, &st, &err);
	lcpfs_pool_close(pool, NULL);
	m->blocks = st.blocks;
	if (rc)
		return cmd_worse(CMD_FAILED, cmd_fail(&err, "'%s' does not read back as it was written", m->image));
	return cmd_interrupted ? cmd_fail_code(LCPFS_ECANCEL, "interrupted") : CMD_OK;
}
