/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-sync: bring a dataset of one pool to another, sending only what is missing there. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "sync/sync.h"

enum { L_KEEP = 256, L_NO_RESUME };
static const struct option longs[] = {
	{ "recursive", no_argument, NULL, 'R' }, { "keep", required_argument, NULL, L_KEEP }, { "no-resume", no_argument, NULL, L_NO_RESUME }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-sync",
	.synopsis = "lcpfs-sync [-fnqRv] [--keep NAME] [--no-resume] [--progress[=WHEN]] [--json] [-j N] [--memory SIZE] SOURCE[@SNAP] DEST",
	.shared = CMD_O_WRITE | CMD_O_FORCE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "R",
	.longs = longs,
};
static struct side src, dst;
static struct lcpfs_send_opts send_opts;
static struct lcpfs_recv_opts recv_opts;

static int open_sides(const struct cmd_target *from, const struct cmd_target *to, char **snap)
{
	int status = CMD_OK;

	cmd_snap_split(from->dataset, &src.dataset, snap);
	/* a pool as such: the dataset of the same name */
	dst.dataset = cmd_strdup(to->is_pool ? to->dataset : src.dataset);
	/* writable first: DEST may be the same pool */
	dst.pool = cmd_pool(to, LCPFS_OPEN_RW, &status);
	src.pool = status ? NULL : cmd_pool(from, *snap ? LCPFS_OPEN_RO : LCPFS_OPEN_RW, &status);
	src.pool_name = from->pool;
	dst.pool_name = to->pool;
	if (!status && src.pool == dst.pool && !strcmp(src.dataset, dst.dataset))
		cmd_usage("'%s' and '%s' are the same dataset", from->text, to->text);
	return status;
}

/* "" when the other side has none of it. */
static int find_base(char **base)
{
	struct lcpfs_error err = { 0 };

	*base = NULL;
	if (!ds_exists(dst.pool, dst.dataset))
		return CMD_OK;
	if (lcpfs_common_snapshot(src.pool, src.dataset, dst.pool, dst.dataset, base, &err))
		return cmd_fail(&err, "cannot compare '%s:%s' with '%s:%s'", src.pool_name, src.dataset, dst.pool_name, dst.dataset);
	return CMD_OK;
}

static uint64_t size_of(const char *snap)
{
	struct lcpfs_send_opts o = send_opts;
	uint64_t bytes = 0;

	o.progress = NULL;
	return lcpfs_send(src.pool, snap, &o, NULL, NULL, &bytes, NULL) ? 0 : bytes;
}

static void report(const char *snap, const char *base, uint64_t bytes)
{
	struct cmd_json j;

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_name(&j, "snapshot", snap);
		cmd_json_name(&j, "base", base);
		cmd_json_u64(&j, "bytes", bytes);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	} else if (base) {
		cmd_did("%ssent '%s' since '%s', %" PRIu64 " bytes", cmd.dry_run ? "would have " : "", snap, base, bytes);
	} else {
		cmd_did("%ssent '%s' as a whole, %" PRIu64 " bytes", cmd.dry_run ? "would have " : "", snap, bytes);
	}
}

/* One snapshot to the other side, from the newest that both have. */
static int bring(const char *snap)
{
	char *base;
	int status = find_base(&base);
	uint64_t bytes;

	if (status)
		return status;
	if (base && !strcmp(base, snap)) {
		cmd_did("'%s' is there already", snap);
		free(base);
		return CMD_OK;
	}
	send_opts.base = base;
	bytes = cmd.dry_run || cmd.json || cmd.verbose ? size_of(snap) : 0;
	if (!cmd.dry_run)
		status = transfer(&src, &dst, snap, &send_opts, &recv_opts);
	if (!status)
		report(snap, base, bytes);
	send_opts.base = NULL;
	free(base);
	return status;
}

/* ---- going on where an earlier sync stopped ---- */

struct newest { char **v; size_t n; };

static int add_snap(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct newest *l = arg;

	(void)err;
	if (i->kind != LCPFS_DS_SNAPSHOT)
		return 0;
	l->v = cmd_realloc(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = cmd_strdup(i->name);
	return 0;
}

/* The token says only which stream it is of: the snapshots are tried, the newest first. */
static int resume_with(char *token, char *base)
{
	struct newest l = { 0 };
	int status = CMD_OK;
	bool found = false;

	lcpfs_dataset_each(src.pool, src.dataset, false, true, add_snap, &l, NULL);
	send_opts.resume = token;
	send_opts.base = base;
	for (size_t i = l.n; i-- && !found;) {
		found = size_of(l.v[i]) > 0;
		if (found) {
			cmd_did("%sresumed '%s'", cmd.dry_run ? "would have " : "", l.v[i]);
			status = cmd.dry_run ? CMD_OK : transfer(&src, &dst, l.v[i], &send_opts, &recv_opts);
		}
	}
	send_opts.resume = send_opts.base = NULL;
	if (!found && !cmd.dry_run) {
		struct lcpfs_error err = { 0 };
		cmd_note("an earlier transfer cannot be resumed and starts again");
		if (lcpfs_recv_abort(dst.pool, dst.dataset, &err))
			status = cmd_fail(&err, "cannot give up the earlier transfer");
	}
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i]);
	free(l.v);
	return status;
}

static int resume(void)
{
	char *token = NULL, *base = NULL;
	int status = CMD_OK;

	if (lcpfs_recv_token(dst.pool, dst.dataset, &token, NULL))
		return CMD_OK;
	status = find_base(&base);
	if (!status)
		status = resume_with(token, base);
	free(token);
	free(base);
	return status;
}

/* A snapshot to send when none was named; below it (-R) the name may be taken although it is free here. */
static int new_snap(char **name)
{
	struct lcpfs_error err = { 0 };
	char base[40];
	int rc = -LCPFS_EEXIST;

	ds_time_name(base, "sync-");
	for (unsigned i = 1; rc == -LCPFS_EEXIST && i < 100; i++) {
		const char *names[1];
		free(*name);
		*name = i == 1 ? cmd_printf("%s@%s", src.dataset, base) : cmd_printf("%s@%s-%u", src.dataset, base, i);
		names[0] = *name;
		rc = lcpfs_snap_create(src.pool, names, 1, send_opts.recursive, &err);
	}
	if (!rc && !cmd.dry_run)
		rc = lcpfs_pool_commit(src.pool, &err);
	return rc ? cmd_fail(&err, "cannot make snapshot '%s:%s'", src.pool_name, *name) : CMD_OK;
}

static int sync_all(const char *given)
{
	int status = cmd.dry_run ? CMD_OK : resume();
	char *name = NULL;

	if (status)
		return status;
	if (given)
		name = cmd_printf("%s@%s", src.dataset, given);
	else
		status = new_snap(&name);
	if (!status)
		status = bring(name);
	free(name);
	return status;
}

int main(int argc, char *argv[])
{
	struct cmd_target from, to;
	char *snap = NULL;
	int ch, status;

	cmd_init(&spec);
	send_opts.progress = cmd_progress;
	recv_opts.resumable = true;
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'R': send_opts.recursive = true; break;
		case L_KEEP: recv_opts.keep = optarg + (*optarg == '@'); break;
		case L_NO_RESUME: recv_opts.resumable = false; break;
		}
	if (argc - optind != 2)
		cmd_usage("SOURCE and DEST are needed");
	ds_target(&from, argv[optind]);
	ds_head_target(&to, argv[optind + 1]);
	recv_opts.force = cmd.force;
	cmd_catch_signals();
	status = open_sides(&from, &to, &snap);
	recv_opts.target = dst.dataset;
	if (!status)
		status = sync_all(snap);
	free(snap);
	free(src.dataset);
	free(dst.dataset);
	cmd_target_fini(&from);
	cmd_target_fini(&to);
	return cmd_finish(status);
}
