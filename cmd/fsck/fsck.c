/* SPDX-License-Identifier: Apache-2.0 */
/* fsck.lcpfs: check a pool, and put right what can be without a loss. Exit status as fsck(8) has it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/problems.h"

enum { FSCK_OK = 0, FSCK_CORRECTED = 1, FSCK_ERRORS_LEFT = 4, FSCK_FAILED = 8, FSCK_USAGE = 16, FSCK_CANCELED = 32 };
enum { L_DATA = 256 };
static const struct option longs[] = { { "data", no_argument, NULL, L_DATA }, { 0 } };
static const struct cmd_spec spec = {
	.name = "fsck.lcpfs",
	.synopsis = "fsck.lcpfs [-afnpqrvy] [--data] [--json] [--progress[=WHEN]] [--live] [-j N] [--memory SIZE] POOL ...",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "afnpry",
	.longs = longs,
};
static bool data, repair;

static void report_text(const char *pool, const struct lcpfs_repair_stats *st)
{
	uint64_t n = st->fixed ? st->found : st->left;

	if (st->refused)
		printf("%s: nothing was repaired: where space is damaged it is not safe to write\n", pool);
	if (n)
		printf("%s: %" PRIu64 " problem%s", pool, n, n == 1 ? "" : "s");
	if (st->fixed)
		printf(", %" PRIu64 " repaired, %" PRIu64 " left", st->fixed, st->left);
	if (n)
		printf("\n");
	else if (!cmd.quiet)
		printf("%s: clean\n", pool);
}

static void report(const char *pool, const struct lcpfs_repair_stats *st)
{
	struct cmd_json j;

	if (!cmd.json) {
		report_text(pool, st);
		return;
	}
	cmd_json_start(&j, stdout);
	cmd_json_object(&j, "fsck");
	cmd_json_name(&j, "pool", pool);
	cmd_json_u64(&j, "problems", st->left);
	if (repair)
		cmd_json_u64(&j, "repaired", st->fixed);
	cmd_json_bool(&j, "data", data);
	cmd_json_finish(&j);
}

static void again(void *arg, uint64_t fixed)
{
	struct problems *pr = arg;

	pr->n = 0;
	cmd_progress_end();
	if (!cmd.json && !cmd.quiet)
		printf("%s: %" PRIu64 " repaired, checking again\n", pr->pool, fixed);
}

static int check(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct problems pr = { .pool = text };
	struct lcpfs_check_opts o = { .data = data, .map = true, .problem = problem_show, .progress = cmd_progress, .arg = &pr };
	struct lcpfs_open_opts oo;
	struct lcpfs_repair_stats st = { 0 };
	int rc;

	cmd_open_opts(&oo, LCPFS_OPEN_RO);
	rc = repair ? lcpfs_fsck_repair(text, &oo, &o, again, &st, &err) : lcpfs_fsck(text, &oo, &o, &st.left, &err);
	cmd_progress_end();
	if (st.left < pr.n)
		st.left = pr.n;
	if (cmd_interrupted || rc == -LCPFS_ECANCEL) {
		cmd_fail_code(LCPFS_ECANCEL, "'%s': interrupted", text);
		return FSCK_CANCELED;
	}
	/* after a repair the second check is part of it */
	if (rc && (!st.left || repair)) {
		cmd_fail(&err, repair ? "cannot check and repair '%s'" : "cannot check '%s'", text);
		return FSCK_FAILED | (st.left ? FSCK_ERRORS_LEFT : 0);
	}
	report(text, &st);
	return (st.left ? FSCK_ERRORS_LEFT : FSCK_OK) | (st.fixed ? FSCK_CORRECTED : 0);
}

int main(int argc, char *argv[])
{
	bool read_only = false;
	int ch, status = FSCK_OK;

	cmd_init(&spec);
	cmd_usage_status = FSCK_USAGE;
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'n': read_only = true; break;
		case 'a': case 'p': case 'r': case 'y': repair = true; break;
		case 'f': break; /* always a full check */
		case L_DATA: data = true; break;
		}
	if (read_only && repair)
		cmd_usage("-n excludes -a, -p, -r and -y");
	if (cmd.live && repair)
		cmd_usage("--live excludes -a, -p, -r and -y");
	if (optind == argc)
		cmd_usage("no POOL given");
	cmd_catch_signals();
	for (; optind < argc && !(status & FSCK_CANCELED); optind++)
		status |= check(argv[optind]);
	return cmd_finish(CMD_OK) ? status | FSCK_FAILED : status;
}
