/* SPDX-License-Identifier: Apache-2.0 */
/* fsck.lcpfs: check a pool, put right what is wrong, and take that back. Exit status as fsck(8) has it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/problems.h"

enum { FSCK_OK = 0, FSCK_CORRECTED = 1, FSCK_ERRORS_LEFT = 4, FSCK_FAILED = 8, FSCK_USAGE = 16, FSCK_CANCELED = 32 };
enum { L_DATA = 256, L_REBUILD, L_UNDO, L_PROBLEMS };
static const struct option longs[] = { { "data", no_argument, NULL, L_DATA }, { "rebuild-space", no_argument, NULL, L_REBUILD },
	{ "undo", no_argument, NULL, L_UNDO }, { "problems", no_argument, NULL, L_PROBLEMS }, { 0 } };
static const struct cmd_spec spec = {
	.name = "fsck.lcpfs",
	.synopsis = "fsck.lcpfs [-afnpqrvy] [--data] [--json] [--progress[=WHEN]] [--live] [-j N] [--memory SIZE] [--rebuild-space] POOL ...\n"
	            "fsck.lcpfs --undo [-qv] [--json] POOL ...\n"
	            "fsck.lcpfs --problems",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "afnpry",
	.longs = longs,
};

#define KINDS_MAX 256u
struct run {
	struct problems pr;  /* first: problem_show gets it */
	uint64_t n[KINDS_MAX]; /* problems of each kind that would be repaired */
};
static enum lcpfs_repair_class most; /* 0: nothing is written */
static bool data, rebuild, undo, writes;

/* ---- findings and plan ---- */

static void found(void *arg, const struct lcpfs_problem *p)
{
	struct run *r = arg;
	size_t i = (size_t)(p->kind - lcpfs_problem_kind(0));

	if (p->follows && !cmd.json)
		fputs("then ", stdout);
	problem_show(&r->pr, p);
	r->pr.n -= p->follows;
	if (cmd.verbose && !cmd.json) {
		if (p->repairable)
			printf("\t%s: %s\n", problem_class(p->kind), p->kind->repair);
		if (*p->kind->note)
			printf("\t%s\n", p->kind->note);
	}
	if (p->repairable && i < KINDS_MAX && !p->follows)
		r->n[i]++;
}

static void show_step(const struct run *r, const char *how, const struct lcpfs_problem_kind *k, uint64_t n)
{
	struct cmd_json j;

	if (!cmd.json) {
		printf("%s: %s %s: %" PRIu64 " x %s, %s\n", r->pr.pool, how, k->repair, n, k->code, problem_class(k));
		return;
	}
	cmd_json_start(&j, stdout);
	cmd_json_object(&j, "plan");
	cmd_json_name(&j, "pool", r->pr.pool);
	cmd_json_str(&j, "code", k->code);
	cmd_json_str(&j, "class", problem_class(k));
	cmd_json_str(&j, "repair", k->repair);
	cmd_json_u64(&j, "problems", n);
	cmd_json_finish(&j);
}

static void show_plan(void *arg)
{
	const struct run *r = arg;

	cmd_progress_end();
	if (cmd.quiet && !cmd.json)
		return;
	for (unsigned i = 0; i < KINDS_MAX && lcpfs_problem_kind(i); i++)
		if (r->n[i] && (!writes || lcpfs_problem_kind(i)->cls <= most))
			show_step(r, writes ? "going to" : "would", lcpfs_problem_kind(i), r->n[i]);
	if (rebuild && !cmd.json)
		printf("%s: %s\n", r->pr.pool, "going to make the space tree anew");
}

static void again(void *arg, uint64_t steps)
{
	struct run *r = arg;

	r->pr.n = 0;
	memset(r->n, 0, sizeof r->n);
	cmd_progress_end();
	if (!cmd.json && !cmd.quiet)
		printf("%s: %" PRIu64 " change%s made, checking again\n", r->pr.pool, steps, steps == 1 ? "" : "s");
}

/* ---- reports ---- */

static void report_text(const char *pool, const struct lcpfs_repair_stats *st)
{
	uint64_t n = st->fixed ? st->found : st->left;

	if (st->refused)
		printf("%s: nothing was repaired: the result would not have been better\n", pool);
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
	if (writes) {
		cmd_json_u64(&j, "repaired", st->fixed);
		cmd_json_u64(&j, "changes", st->steps);
		cmd_json_bool(&j, "refused", st->refused);
	}
	cmd_json_bool(&j, "data", data);
	cmd_json_finish(&j);
}

static int check(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct run r = { .pr.pool = text };
	struct lcpfs_check_opts o = { .data = data, .map = true, .repair = most, .rebuild_space = rebuild, .follow = cmd.verbose, .problem = found, .plan = show_plan,
		.progress = cmd_progress, .arg = &r };
	struct lcpfs_open_opts oo;
	struct lcpfs_repair_stats st = { 0 };
	int rc;

	cmd_open_opts(&oo, LCPFS_OPEN_RO);
	rc = writes ? lcpfs_fsck_repair(text, &oo, &o, again, &st, &err) : lcpfs_fsck(text, &oo, &o, &st.left, &err);
	cmd_progress_end();
	if (st.left < r.pr.n)
		st.left = r.pr.n;
	if (cmd_interrupted || rc == -LCPFS_ECANCEL) {
		cmd_fail_code(LCPFS_ECANCEL, "'%s': interrupted", text);
		return FSCK_CANCELED;
	}
	/* after a repair the second check is part of it */
	if (rc && (!st.left || writes)) {
		cmd_fail(&err, writes ? "cannot check and repair '%s'" : "cannot check '%s'", text);
		return FSCK_FAILED | (st.left ? FSCK_ERRORS_LEFT : 0);
	}
	if (!writes)
		show_plan(&r);
	report(text, &st);
	return (st.left ? FSCK_ERRORS_LEFT : FSCK_OK) | (st.fixed ? FSCK_CORRECTED : 0);
}

static int take_back(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_undo_stats st;
	struct lcpfs_open_opts oo;
	struct cmd_json j;
	int rc;

	cmd_open_opts(&oo, LCPFS_OPEN_RO);
	rc = lcpfs_fsck_undo(text, &oo, &st, &err);
	if (rc) {
		cmd_fail(&err, "cannot undo a repair of '%s'", text);
		return FSCK_FAILED;
	}
	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_object(&j, "undo");
		cmd_json_name(&j, "pool", text);
		cmd_json_u64(&j, "txg", st.txg);
		cmd_json_finish(&j);
	} else if (!cmd.quiet) {
		printf("%s: back at commit %" PRIu64 ", as it was before the repair\n", text, st.txg);
	}
	return FSCK_CORRECTED;
}

static int list_problems(void)
{
	const struct lcpfs_problem_kind *k;

	for (unsigned i = 0; (k = lcpfs_problem_kind(i)); i++)
		printf("%s\t%s\t%s\t%s\t%s\n", k->code, problem_class(k), k->text, k->repair, k->note);
	return cmd_finish(CMD_OK) ? FSCK_FAILED : FSCK_OK;
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
		case 'a': case 'p': most = most > LCPFS_REPAIR_SAFE ? most : LCPFS_REPAIR_SAFE; break;
		case 'r': case 'y': most = LCPFS_REPAIR_LOSSY; break;
		case 'f': break; /* always a full check */
		case L_DATA: data = true; break;
		case L_REBUILD: rebuild = true; break;
		case L_UNDO: undo = true; break;
		case L_PROBLEMS: return list_problems();
		}
	if (read_only && (most || rebuild || undo))
		cmd_usage("-n excludes -a, -p, -r, -y, --rebuild-space and --undo");
	if (undo && (most || rebuild))
		cmd_usage("--undo excludes -a, -p, -r, -y and --rebuild-space");
	if (cmd.live && (most || rebuild || undo))
		cmd_usage("--live excludes -a, -p, -r, -y, --rebuild-space and --undo");
	if (optind == argc)
		cmd_usage("no POOL given");
	writes = most || rebuild;
	cmd_catch_signals();
	for (; optind < argc && !(status & FSCK_CANCELED); optind++)
		status |= undo ? take_back(argv[optind]) : check(argv[optind]);
	return cmd_finish(CMD_OK) ? status | FSCK_FAILED : status;
}
