/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-promote: a clone takes over the history it shares. */
#include "common/datasets.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-promote",
	.synopsis = "lcpfs-promote [-nqv] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE,
};

static int promote(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };

	if (lcpfs_promote(p, t->dataset, &err))
		return cmd_fail(&err, "cannot promote '%s'", t->text);
	cmd_did("%spromoted '%s'", cmd.dry_run ? "would have " : "", t->text);
	return CMD_OK;
}

int main(int argc, char *argv[])
{
	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	if (optind == argc)
		cmd_usage("no TARGET given");
	return cmd_finish(ds_each(argv + optind, argc - optind, promote));
}
