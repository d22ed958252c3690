/* SPDX-License-Identifier: Apache-2.0 */
/* fsck.lcpfs: check a pool. Exit status as fsck(8) has it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/problems.h"

enum { FSCK_OK = 0, FSCK_ERRORS_LEFT = 4, FSCK_FAILED = 8, FSCK_USAGE = 16, FSCK_CANCELED = 32 };
enum { L_DATA = 256 };
static const struct option longs[] = { { "data", no_argument, NULL, L_DATA }, { 0 } };
static const struct cmd_spec spec = {
	.name = "fsck.lcpfs",
	.synopsis = "fsck.lcpfs [-afnpqrvy] [--data] [--json] [--progress[=WHEN]] [--live] [-j N] [--memory SIZE] POOL ...",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "afnpry",
	.longs = longs,
};
static bool data;

static void report(const char *pool, uint64_t problems)
{
	struct cmd_json j;

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_object(&j, "fsck");
		cmd_json_name(&j, "pool", pool);
		cmd_json_u64(&j, "problems", problems);
		cmd_json_bool(&j, "data", data);
		cmd_json_finish(&j);
	} else if (problems) {
		printf("%s: %" PRIu64 " problem%s\n", pool, problems, problems == 1 ? "" : "s");
	} else if (!cmd.quiet) {
		printf("%s: clean\n", pool);
	}
}

static int check(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct problems pr = { .pool = text };
	struct lcpfs_check_opts o = { .data = data, .problem = problem_show, .progress = cmd_progress, .arg = &pr };
	struct lcpfs_open_opts oo;
	uint64_t problems = 0;
	int rc;

	cmd_open_opts(&oo, LCPFS_OPEN_RO);
	rc = lcpfs_fsck(text, &oo, &o, &problems, &err);
	cmd_progress_end();
	if (problems < pr.n)
		problems = pr.n;
	if (cmd_interrupted || rc == -LCPFS_ECANCEL) {
		cmd_fail_code(LCPFS_ECANCEL, "'%s': interrupted", text);
		return FSCK_CANCELED;
	}
	if (rc && !problems) {
		cmd_fail(&err, "cannot check '%s'", text);
		return FSCK_FAILED;
	}
	report(text, problems);
	return problems ? FSCK_ERRORS_LEFT : FSCK_OK;
}

int main(int argc, char *argv[])
{
	bool read_only = false, wants_repair = false;
	int ch, status = FSCK_OK;

	cmd_init(&spec);
	cmd_usage_status = FSCK_USAGE;
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'n': read_only = true; break;
		case 'a': case 'p': case 'r': case 'y': wants_repair = true; break;
		case 'f': break; /* always a full check */
		case L_DATA: data = true; break;
		}
	if (read_only && wants_repair)
		cmd_usage("-n excludes -a, -p, -r and -y");
	if (optind == argc)
		cmd_usage("no POOL given");
	if (!read_only)
		cmd_note("this version checks and does not repair");
	cmd_catch_signals();
	for (; optind < argc && !(status & FSCK_CANCELED); optind++)
		status |= check(argv[optind]);
	return cmd_finish(CMD_OK) ? status | FSCK_FAILED : status;
}
