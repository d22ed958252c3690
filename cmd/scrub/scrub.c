/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-scrub: read every block of a pool and name what is damaged. */
#include <inttypes.h>
#include "common/problems.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-scrub",
	.synopsis = "lcpfs-scrub [-qv] [--json] [--progress[=WHEN]] [--live] [-j N] [--memory SIZE] POOL ...",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_PROGRESS | CMD_O_JSON,
};

static void report(const char *pool, const struct lcpfs_scrub_stats *st)
{
	struct cmd_json j;
	char size[16];

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_object(&j, "scrub");
		cmd_json_name(&j, "pool", pool);
		cmd_json_u64(&j, "blocks", st->blocks);
		cmd_json_u64(&j, "bytes", st->bytes);
		cmd_json_u64(&j, "bad_blocks", st->bad_blocks);
		cmd_json_u64(&j, "datasets", st->datasets);
		cmd_json_finish(&j);
	} else if (!cmd.quiet) {
		printf("%s: %" PRIu64 " blocks, %s, of %" PRIu64 " datasets and snapshots: ", pool, st->blocks, cmd_human(size, st->bytes), st->datasets);
		if (st->bad_blocks)
			printf("%" PRIu64 " damaged\n", st->bad_blocks);
		else
			puts("no damage");
	}
}

static int scrub(const char *text)
{
	struct lcpfs_scrub_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	struct problems pr = { .quiet = false };
	struct lcpfs_check_opts o = { .map = true, .problem = problem_show, .progress = cmd_progress, .arg = &pr };
	struct cmd_target t;
	int rc, status = CMD_OK;
	struct lcpfs_pool *p;

	cmd_target(&t, text);
	if (t.has_dataset || t.has_path)
		cmd_usage("'%s': a scrub is of a whole pool", text);
	p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
	pr.pool = t.pool;
	if (p) {
		rc = lcpfs_scrub(p, &o, &st, &err);
		cmd_progress_end();
		if (!rc || rc == -LCPFS_ECSUM)
			report(t.pool, &st);
		if (rc)
			status = cmd_fail(&err, "'%s'", t.pool);
	}
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int status = CMD_OK;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	if (optind == argc)
		cmd_usage("no POOL given");
	cmd_catch_signals();
	for (; optind < argc && !cmd_interrupted; optind++)
		status = cmd_worse(status, scrub(argv[optind]));
	return cmd_finish(status);
}
