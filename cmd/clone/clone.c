/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-clone: a dataset that begins as a snapshot. */
#include <stdlib.h>
#include "common/datasets.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-clone",
	.synopsis = "lcpfs-clone [-nqv] [-j N] [--memory SIZE] TARGET@SNAP NAME",
	.shared = CMD_O_WRITE,
};

int main(int argc, char *argv[])
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *p;
	struct cmd_target t;
	int status = CMD_OK;
	char *name;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	if (argc - optind != 2)
		cmd_usage("TARGET@SNAP and NAME are needed");
	ds_snap_target(&t, argv[optind]);
	name = ds_second(&t, argv[optind + 1]);
	p = cmd_pool(&t, LCPFS_OPEN_RW, &status);
	if (p && lcpfs_clone(p, t.dataset, name, &err))
		status = cmd_fail(&err, "cannot clone '%s' as '%s'", t.text, name);
	else if (p)
		cmd_did("%scloned '%s' as '%s'", cmd.dry_run ? "would have " : "", t.text, name);
	free(name);
	cmd_target_fini(&t);
	return cmd_finish(ds_commit(status));
}
