/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-mkdir: make directories. */
#include "common/edit.h"

enum { L_OWNER = 256 };
static const struct option longs[] = {
	{ "parents", no_argument, NULL, 'p' }, { "mode", required_argument, NULL, 'm' }, { "owner", required_argument, NULL, L_OWNER }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-mkdir",
	.synopsis = "lcpfs-mkdir [-npqv] [-m MODE] [--owner OWNER[:GROUP]] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE,
	.letters = "pm:",
	.longs = longs,
};
static struct edit_owner owner = EDIT_KEEP_OWNER;
static struct cmd_mode mode;
static unsigned flags;

static int make(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_mkdir(ds, t->path, flags, mode.n ? &mode : NULL, owner, &err) ? cmd_fail(&err, "cannot make directory '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'p': flags |= EDIT_PARENTS; break;
		case 'm': cmd_mode("-m", optarg, &mode); break;
		case L_OWNER: cmd_owner("--owner", optarg, &owner.uid, &owner.gid); break;
		}
	if (optind == argc)
		cmd_usage("no TARGET given");
	return cmd_finish(edit_each(argv + optind, argc - optind, make, NULL));
}
