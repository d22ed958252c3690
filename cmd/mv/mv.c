/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-mv: rename within a dataset; between datasets and pools copy, then remove. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/edit.h"

enum { L_NO_CLOBBER = 256 };
static const struct option longs[] = {
	{ "no-clobber", no_argument, NULL, L_NO_CLOBBER }, { "no-target-directory", no_argument, NULL, 'T' },
	{ "target-directory", required_argument, NULL, 't' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-mv",
	.synopsis = "lcpfs-mv [-fnqTv] [--no-clobber] [--progress[=WHEN]] [-j N] [--memory SIZE] SOURCE DEST\n"
	            "lcpfs-mv [-fnqv] [--no-clobber] [--progress[=WHEN]] [-j N] [--memory SIZE] SOURCE ... DIRECTORY\n"
	            "lcpfs-mv [-fnqv] [--no-clobber] [--progress[=WHEN]] [-j N] [--memory SIZE] -t DIRECTORY SOURCE ...",
	.shared = CMD_O_WRITE | CMD_O_FORCE | CMD_O_PROGRESS,
	.letters = "Tt:",
	.longs = longs,
};
static bool no_dir, no_clobber;
static bool between_pools;

/* What rename(2) would say of something that is in the way; else it goes. */
static int clear_way(struct lcpfs_dataset *to, const char *path, uint32_t mode, struct lcpfs_error *err)
{
	uint32_t there = edit_mode_of(to, path, false);

	if (!there)
		return 0;
	if (no_clobber)
		return cmd_err(err, LCPFS_EEXIST, "already exists");
	if (S_ISDIR(there) && !S_ISDIR(mode))
		return cmd_err(err, LCPFS_EISDIR, "a directory is in the way");
	if (!S_ISDIR(there) && S_ISDIR(mode))
		return cmd_err(err, LCPFS_ENOTDIR, "a file that is no directory is in the way");
	return lcpfs_remove(to, path, false, err);
}

static int across(struct lcpfs_dataset *from, const char *path, struct lcpfs_dataset *to, const char *dest, struct lcpfs_error *err)
{
	/* the source goes in the same transaction, so nothing stays shared */
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_REFLINK, .warn = cmd_tree_warn, .progress = cmd_progress };
	struct lcpfs_stat st;
	char *dir, *name;
	int rc = edit_need_name(path, err);

	edit_split(dest, &dir, &name);
	if (!rc)
		rc = edit_need_name(dest, err);
	if (!rc)
		rc = lcpfs_stat(from, path, 0, &st, err);
	if (!rc)
		rc = clear_way(to, dest, st.mode, err);
	o.as = name;
	/* a copy in part is a failure here: the rest would be removed */
	if (!rc)
		rc = lcpfs_tree_copy(from, path, to, dir, &o, NULL, err);
	cmd_progress_end();
	if (!rc)
		rc = lcpfs_remove(from, path, true, err);
	if (!rc)
		cmd_did("%scopied and removed '%s' -> '%s'", cmd.dry_run ? "would have " : "", path, dest);
	free(dir);
	free(name);
	return rc == -LCPFS_EPARTIAL ? cmd_err(err, LCPFS_EIO, "not all of it could be copied") : rc;
}

static int move(const char *text, const struct cmd_target *to, struct lcpfs_dataset *dst, bool into)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *src;
	struct cmd_target t;
	char *dir, *name, *dest;
	int rc, status = CMD_OK;

	cmd_target(&t, text);
	edit_split(t.path, &dir, &name);
	dest = into ? cmd_path_join(*to->path ? to->path : "/", name) : cmd_strdup(to->path);
	if (!t.is_pool)
		status = cmd_fail_code(LCPFS_EINVAL, "cannot move '%s': it is not in a pool (lcpfs-cp copies from the host)", text);
	src = status ? NULL : edit_dataset(&t, &status);
	if (src) {
		between_pools |= lcpfs_dataset_pool(src) != lcpfs_dataset_pool(dst);
		rc = src == dst ? edit_mv(dst, t.path, dest, no_clobber, &err) : across(src, t.path, dst, dest, &err);
		if (rc)
			status = cmd_fail(&err, "cannot move '%s' to '%s'", text, to->text);
	}
	free(dir);
	free(name);
	free(dest);
	cmd_target_fini(&t);
	return status;
}

/* Between pools the copy is committed before the originals go: a crash leaves both, never neither. */
static int commit(struct lcpfs_dataset *dst, const struct cmd_target *to, int status)
{
	struct lcpfs_error err = { 0 };

	if (between_pools && status == CMD_OK && !cmd.dry_run && lcpfs_pool_commit(lcpfs_dataset_pool(dst), &err))
		return cmd_fail(&err, "cannot write '%s'", to->pool);
	return edit_commit(status);
}

static int move_all(char *argv[], int n, const struct cmd_target *to, bool must_be_dir)
{
	int status = CMD_OK;
	struct lcpfs_dataset *dst = edit_dataset(to, &status);
	bool into = dst && !no_dir && S_ISDIR(edit_mode_of(dst, to->path, true));

	if (!dst)
		return status;
	if ((n > 1 || must_be_dir) && !into)
		return cmd_fail_code(LCPFS_ENOTDIR, "cannot move into '%s': it is no directory", to->text);
	for (int i = 0; i < n; i++)
		status = cmd_worse(status, move(argv[i], to, dst, into));
	return commit(dst, to, status);
}

int main(int argc, char *argv[])
{
	const char *dir = NULL;
	struct cmd_target to;
	int ch, n, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'T': no_dir = true; break;
		case 't': dir = optarg; break;
		case L_NO_CLOBBER: no_clobber = true; break;
		}
	n = argc - optind - !dir;
	if (n < 1)
		cmd_usage(argc == optind || dir ? "no SOURCE given" : "no DEST given");
	if (no_dir && (dir || n > 1))
		cmd_usage("-T goes with one SOURCE and DEST");
	cmd_target(&to, dir ? dir : argv[argc - 1]);
	if (!to.is_pool)
		cmd_usage("'%s' names no path in a pool (write POOL:PATH)", to.text);
	cmd_catch_signals();
	status = move_all(argv + optind, n, &to, dir);
	cmd_target_fini(&to);
	return cmd_finish(status);
}
