/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-rm: remove files and trees. */
#include "common/edit.h"

static const struct option longs[] = { { "recursive", no_argument, NULL, 'r' }, { "dir", no_argument, NULL, 'd' }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-rm",
	.synopsis = "lcpfs-rm [-dfnqrRv] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_FORCE,
	.letters = "drR",
	.longs = longs,
};
static unsigned flags;

static int remove_one(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_rm(ds, t->path, flags, &err) ? cmd_fail(&err, "cannot remove '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		flags |= ch == 'd' ? EDIT_EMPTY_DIR : EDIT_RECURSIVE;
	if (cmd.force)
		flags |= EDIT_FORCE;
	if (optind == argc)
		cmd_usage("no TARGET given");
	return cmd_finish(edit_each(argv + optind, argc - optind, remove_one, NULL));
}
