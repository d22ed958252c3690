/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-recv: a stream becomes a snapshot of a dataset. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"
#include "common/infile.h"

enum { L_KEEP = 256, L_ABORT, L_TOKEN };
static const struct option longs[] = {
	{ "resumable", no_argument, NULL, 's' }, { "keep", required_argument, NULL, L_KEEP }, { "abort", no_argument, NULL, L_ABORT },
	{ "token", no_argument, NULL, L_TOKEN }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-recv",
	.synopsis = "lcpfs-recv [-fnqsv] [--keep NAME] [--progress[=WHEN]] [--json] [-j N] [--memory SIZE] TARGET [FILE]\n"
	            "lcpfs-recv --token [-j N] [--memory SIZE] TARGET\n"
	            "lcpfs-recv --abort [-qv] [-j N] [--memory SIZE] TARGET",
	.shared = CMD_O_WRITE | CMD_O_FORCE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "s",
	.longs = longs,
};

static const char *target_of(const struct cmd_target *t) { return t->is_pool ? t->dataset : NULL; }

static void report(const struct cmd_target *t, const char *snap)
{
	char *full = ds_full_name(t->pool, snap);
	struct cmd_json j;

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_name(&j, "snapshot", full);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	}
	cmd_did("%sreceived '%s'", cmd.dry_run ? "would have " : "", full);
	free(full);
}

static int receive(const struct cmd_target *t, struct lcpfs_recv_opts *o, const char *file)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK, rc;
	struct lcpfs_pool *p;
	struct in_file in;
	char *snap = NULL;

	status = in_open(&in, file);
	p = status ? NULL : cmd_pool(t, cmd.dry_run ? LCPFS_OPEN_RO : LCPFS_OPEN_RW, &status);
	if (p) {
		rc = lcpfs_recv(p, o, in_read, &in, &snap, &err);
		cmd_progress_end();
		if (rc)
			status = cmd_fail(&err, "'%s'", t->text);
		else
			report(t, snap ? snap : "");
	}
	free(snap);
	in_close(&in);
	return status;
}

static int show_token(const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RO, &status);
	char *token = NULL;

	if (p && lcpfs_recv_token(p, target_of(t), &token, &err))
		status = cmd_fail(&err, "cannot tell where '%s' stopped", t->text);
	else if (p)
		puts(token);
	free(token);
	return status;
}

static int give_up(const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RW, &status);

	if (p && lcpfs_recv_abort(p, target_of(t), &err))
		return cmd_fail(&err, "cannot give up the receive into '%s'", t->text);
	if (p)
		cmd_did("gave up the receive into '%s'", t->text);
	return status;
}

int main(int argc, char *argv[])
{
	struct lcpfs_recv_opts o = { .progress = cmd_progress };
	struct cmd_target t;
	int ch, what = 0, status, n;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 's': o.resumable = true; break;
		case L_KEEP: o.keep = optarg + (*optarg == '@'); break;
		default:
			if (what && what != ch)
				cmd_usage("--token and --abort exclude each other");
			what = ch;
		}
	n = argc - optind;
	if (n < 1 || n > (what ? 1 : 2))
		cmd_usage(n < 1 ? "no TARGET given" : what ? "one TARGET is needed" : "one TARGET and one FILE are taken");
	if (what && (o.resumable || o.keep || cmd.dry_run || cmd.force))
		cmd_usage("--token and --abort receive nothing");
	ds_head_target(&t, argv[optind]);
	o.target = target_of(&t);
	o.force = cmd.force;
	o.dry_run = cmd.dry_run;
	cmd_catch_signals();
	status = what == L_TOKEN ? show_token(&t) : what == L_ABORT ? give_up(&t) : receive(&t, &o, argv[optind + 1]);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
