/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-dump: structures of a pool as lines of text. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/cmd.h"

enum { L_SANITIZE = 256 };
static const struct option longs[] = { { "sanitize", no_argument, NULL, L_SANITIZE }, { 0 } };

static const struct cmd_spec spec = {
	.name = "lcpfs-dump",
	.synopsis = "lcpfs-dump [-o FILE] [--json] [--live] [-j N] [--memory SIZE] POOL [WHAT ...]\n"
	            "lcpfs-dump --sanitize -o FILE [--live] [-j N] [--memory SIZE] POOL",
	.shared = CMD_O_READ | CMD_O_JSON | CMD_O_OUTPUT,
	.longs = longs,
};
static struct cmd_out out;

static int line(void *arg, const char *text, struct lcpfs_error *err)
{
	struct cmd_json j;

	if (cmd_interrupted)
		return cmd_err(err, LCPFS_ECANCEL, "interrupted");
	if (cmd.json) {
		cmd_json_start(&j, out.f);
		cmd_json_str(&j, "what", arg);
		cmd_json_name(&j, "line", text);
		cmd_json_finish(&j);
	} else {
		fputs(text, out.f);
		putc('\n', out.f);
	}
	return ferror(out.f) ? cmd_err(err, LCPFS_EIO, "cannot write the output") : 0;
}

static int dump(struct lcpfs_pool *p, char *what)
{
	struct lcpfs_error err = { 0 };

	if (lcpfs_dump(p, what, line, what, &err) < 0)
		return cmd_fail(&err, "cannot dump '%s'", what);
	return CMD_OK;
}

/* An image beside its name until it is complete. */
static int sanitize(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	char *tmp = cmd_printf("%s.partial", cmd.output);
	int rc = lcpfs_sanitize(p, tmp, &err), status = CMD_OK;

	if (!rc && rename(tmp, cmd.output))
		rc = cmd_err(&err, LCPFS_EIO, "the new image cannot get its name");
	if (rc) {
		status = cmd_fail(&err, "cannot make '%s' from '%s'", cmd.output, t->text);
		if (rc != -LCPFS_EEXIST)
			unlink(tmp);
	} else {
		cmd_note("'%s' was only read; look at '%s' before you give it away", t->pool, cmd.output);
	}
	free(tmp);
	return status;
}

int main(int argc, char *argv[])
{
	static char labels[] = "labels", uberblocks[] = "uberblocks", config[] = "config";
	static char *defaults[] = { labels, uberblocks, config };
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_pool *p;
	struct cmd_target t;
	bool clean = false;
	char **what;
	int n;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		clean = true;
	if (optind == argc)
		cmd_usage("no POOL given");
	if (clean && (!cmd.output || cmd.json || argc - optind != 1))
		cmd_usage("--sanitize takes one POOL, and -o FILE for the image");
	n = argc - optind - 1;
	what = n ? argv + optind + 1 : defaults;
	n = n ? n : 3;
	if (cmd.output)
		cmd_catch_signals();
	cmd_target(&t, argv[optind]);
	p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
	if (clean) {
		status = p ? sanitize(p, &t) : status;
		cmd_target_fini(&t);
		return cmd_finish(status);
	}
	if (p && cmd_out_open(&out, cmd.output, &err))
		return cmd_finish(cmd_fail(&err, NULL));
	for (int i = 0; p && i < n; i++)
		status = cmd_worse(status, dump(p, what[i]));
	if (p && status)
		cmd_out_abort(&out);
	else if (p && cmd_out_commit(&out, &err))
		status = cmd_fail(&err, NULL);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
