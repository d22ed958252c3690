/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-ln: hard links and symlinks. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/edit.h"

enum { L_OWNER = 256 };
static const struct option longs[] = {
	{ "symbolic", no_argument, NULL, 's' }, { "no-target-directory", no_argument, NULL, 'T' },
	{ "owner", required_argument, NULL, L_OWNER }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-ln",
	.synopsis = "lcpfs-ln [-fnqTv] [-j N] [--memory SIZE] FILE ... LINK\n"
	            "lcpfs-ln -s [-fnqTv] [--owner OWNER[:GROUP]] [-j N] [--memory SIZE] TEXT ... LINK",
	.shared = CMD_O_WRITE | CMD_O_FORCE,
	.letters = "sT",
	.longs = longs,
};
static struct edit_owner owner = EDIT_KEEP_OWNER;
static unsigned flags;
static bool no_dir;

/* The path within the dataset of `to` that a hard link's source names, malloc'ed; NULL: the message is out. */
static char *source_path(const char *text, const struct cmd_target *to, struct lcpfs_dataset *ds, int *status)
{
	struct cmd_target t;
	char *path = NULL;

	cmd_target(&t, text);
	if (!t.is_pool)
		*status = cmd_fail_code(LCPFS_EINVAL, "cannot link '%s': a hard link's file is in the same dataset (POOL:PATH); -s makes a symlink", text);
	else if (edit_dataset(&t, status) == ds)
		path = cmd_strdup(t.path);
	else if (!*status)
		*status = cmd_fail_code(LCPFS_EXDEV, "cannot link '%s': it is in another dataset than '%s'", text, to->text);
	cmd_target_fini(&t);
	return path;
}

static int link_one(const char *source, const struct cmd_target *to, struct lcpfs_dataset *ds, bool into)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	char *from = flags & EDIT_SYMBOLIC ? cmd_strdup(source) : source_path(source, to, ds, &status);
	char *dir, *name, *path;

	if (!from)
		return status;
	edit_split(from, &dir, &name);
	path = into ? cmd_path_join(to->path, name) : cmd_strdup(to->path);
	if (edit_ln(ds, from, path, flags, owner, &err))
		status = cmd_fail(&err, "cannot link '%s' to '%s'", to->text, source);
	free(path);
	free(dir);
	free(name);
	free(from);
	return status;
}

static int link_all(char *argv[], int n, const struct cmd_target *to)
{
	int status = CMD_OK;
	struct lcpfs_dataset *ds = edit_dataset(to, &status);
	bool into = ds && !no_dir && S_ISDIR(edit_mode_of(ds, to->path, true));

	if (!ds)
		return status;
	if (n > 1 && !into)
		return cmd_fail_code(LCPFS_ENOTDIR, "cannot link into '%s': it is no directory", to->text);
	for (int i = 0; i < n; i++)
		status = cmd_worse(status, link_one(argv[i], to, ds, into));
	return edit_commit(status);
}

int main(int argc, char *argv[])
{
	struct cmd_target to;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 's': flags |= EDIT_SYMBOLIC; break;
		case 'T': no_dir = true; break;
		case L_OWNER: cmd_owner("--owner", optarg, &owner.uid, &owner.gid); break;
		}
	if (cmd.force)
		flags |= EDIT_FORCE;
	if (argc - optind < 2)
		cmd_usage("FILE or TEXT, and LINK are needed");
	if (owner.uid != UINT32_MAX && !(flags & EDIT_SYMBOLIC))
		cmd_usage("--owner goes with -s");
	cmd_target(&to, argv[argc - 1]);
	if (!to.is_pool)
		cmd_usage("'%s' names no path in a pool (write POOL:PATH)", to.text);
	status = link_all(argv + optind, argc - optind - 1, &to);
	cmd_target_fini(&to);
	return cmd_finish(status);
}
