/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-batch: many changes in one transaction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "batch/batch.h"
#include "common/datasets.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-batch",
	.synopsis = "lcpfs-batch [-nqv] [--json] [--progress[=WHEN]] [-j N] [--memory SIZE] TARGET [SCRIPT]",
	.shared = CMD_O_WRITE | CMD_O_PROGRESS | CMD_O_JSON,
};
static struct script script;

/* A wrong word within the script: it is no fault of the command line. */
static void wrong_word(const char *text)
{
	cmd_fail_code(LCPFS_EINVAL, "%s:%u: %s", script.name, script.first_line, text);
	cmd_note("nothing was changed");
	exit(cmd_finish(CMD_FAILED));
}

static int run(uint64_t *done)
{
	int rc = 0, status = CMD_OK;

	cmd_on_usage = wrong_word;
	for (;;) {
		struct lcpfs_error err = { 0 };
		struct request r;

		rc = script_next(&script, &r, &err);
		if (!rc && cmd_interrupted)
			rc = cmd_err(&err, LCPFS_ECANCEL, "interrupted");
		if (!rc)
			rc = r.verb->fn(&r, &err);
		if (rc < 0)
			status = r.verb ? cmd_fail(&err, "%s:%u: %s", script.name, script.first_line, r.verb->name)
			                : cmd_fail(&err, "%s:%u", script.name, script.first_line);
		request_fini(&r);
		if (rc)
			break;
		++*done;
	}
	cmd_on_usage = NULL;
	/* what a tree left out is a failure here: all or nothing */
	return status == CMD_PARTIAL ? CMD_FAILED : status;
}

static int batch(const struct cmd_target *t)
{
	uint64_t done = 0;
	int status = CMD_OK;

	batch_pool = cmd_pool(t, LCPFS_OPEN_RW, &status);
	batch_dataset = t->dataset;
	if (!batch_pool)
		return status;
	status = edit_commit(run(&done));
	if (!status && cmd.json) {
		struct cmd_json j;
		cmd_json_start(&j, stdout);
		cmd_json_u64(&j, "requests", done);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	} else if (!status) {
		cmd_did("%s%llu requests", cmd.dry_run ? "would have carried out " : "carried out ", (unsigned long long)done);
	}
	return status;
}

int main(int argc, char *argv[])
{
	struct cmd_target t;
	int status;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	if (argc - optind < 1 || argc - optind > 2)
		cmd_usage(argc == optind ? "no TARGET given" : "one TARGET and one SCRIPT are taken");
	ds_head_target(&t, argv[optind]);
	script = (struct script){ .name = argv[optind + 1] ? argv[optind + 1] : "-", .line = 1, .first_line = 1 };
	script.f = strcmp(script.name, "-") ? fopen(script.name, "r") : stdin;
	if (!script.f)
		return cmd_finish(cmd_fail_errno(errno, "cannot read '%s'", script.name));
	cmd_catch_signals();
	status = batch(&t);
	if (script.f != stdin)
		fclose(script.f);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
