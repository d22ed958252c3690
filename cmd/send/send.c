/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-send: a snapshot, or what changed between two, as a stream. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/datasets.h"

enum { L_RESUME = 256, L_CHECKPOINT };
static const struct option longs[] = {
	{ "from", required_argument, NULL, 'i' }, { "recursive", no_argument, NULL, 'R' }, { "props", no_argument, NULL, 'p' },
	{ "checkpoint", required_argument, NULL, L_CHECKPOINT }, { "resume", required_argument, NULL, L_RESUME },
	{ "token", required_argument, NULL, L_RESUME }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-send",
	.synopsis = "lcpfs-send [-npqRv] [-i BASE] [--checkpoint SIZE] [--resume TOKEN] [-o FILE] [--progress[=WHEN]] [--json] [--live]\n"
	            "    [-j N] [--memory SIZE] TARGET@SNAP",
	.shared = CMD_O_READ | CMD_O_DRY_RUN | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_OUTPUT | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "i:pR",
	.longs = longs,
};

static void report(uint64_t bytes)
{
	struct cmd_json j;

	if (cmd.json) {
		cmd_json_start(&j, cmd.dry_run ? stdout : stderr);
		cmd_json_u64(&j, "bytes", bytes);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	} else if (cmd.dry_run) {
		printf("%" PRIu64 "\n", bytes);
	} else if (cmd.verbose) {
		cmd_note("sent %" PRIu64 " bytes", bytes);
	}
}

static int send(const struct cmd_target *t, const struct lcpfs_send_opts *o)
{
	struct lcpfs_error err = { 0 };
	struct cmd_out out = { 0 };
	uint64_t bytes = 0;
	int rc, status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RO, &status);

	if (!p)
		return status;
	rc = cmd.dry_run ? 0 : cmd_out_open(&out, cmd.output, &err);
	if (!rc)
		rc = lcpfs_send(p, t->dataset, o, cmd.dry_run ? NULL : cmd_out_write, &out, &bytes, &err);
	cmd_progress_end();
	if (rc)
		cmd_out_abort(&out);
	else if (!cmd.dry_run)
		rc = cmd_out_commit(&out, &err);
	if (rc)
		return cmd_fail(&err, "cannot send '%s'", t->text);
	report(bytes);
	return CMD_OK;
}

int main(int argc, char *argv[])
{
	struct lcpfs_send_opts o = { .progress = cmd_progress };
	char *base = NULL, *given = NULL;
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'i': given = optarg; break;
		case 'p': o.props = true; break;
		case 'R': o.recursive = true; break;
		case L_CHECKPOINT: o.ckpt_bytes = cmd_size("--checkpoint", optarg); break;
		case L_RESUME: o.resume = optarg; break;
		}
	if (argc - optind != 1)
		cmd_usage(argc == optind ? "no TARGET@SNAP given" : "one TARGET@SNAP is sent at a time (-R takes all below it)");
	ds_snap_target(&t, argv[optind]);
	if (given && !strchr(given, '@'))
		cmd_usage("-i: '%s' names no snapshot (write @SNAP or DATASET@SNAP)", given);
	if (given)
		o.base = base = ds_second(&t, given);
	if (!cmd.dry_run && !cmd.output && isatty(STDOUT_FILENO))
		cmd_usage("a stream is no text for a terminal: give -o FILE or a pipe");
	cmd_catch_signals();
	status = send(&t, &o);
	free(base);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
