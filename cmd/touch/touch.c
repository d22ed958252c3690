/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-touch: change times, make empty files. */
#include "common/edit.h"

enum { L_OWNER = 256 };
static const struct option longs[] = {
	{ "no-create", no_argument, NULL, 'c' }, { "date", required_argument, NULL, 'd' }, { "no-dereference", no_argument, NULL, 'h' },
	{ "reference", required_argument, NULL, 'r' }, { "owner", required_argument, NULL, L_OWNER }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-touch",
	.synopsis = "lcpfs-touch [-achmnqv] [-d TIME | -r REF] [--owner OWNER[:GROUP]] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE,
	.letters = "achmd:r:",
	.longs = longs,
};
static struct edit_owner owner = EDIT_KEEP_OWNER;
static struct lcpfs_time atime, mtime;
static bool only_atime, only_mtime;
static unsigned flags;

static int touch(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_touch(ds, t->path, flags, only_mtime && !only_atime ? NULL : &atime, only_atime && !only_mtime ? NULL : &mtime, owner, &err)
	    ? cmd_fail(&err, "cannot touch '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	const char *reference = NULL, *date = NULL;
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'a': only_atime = true; break;
		case 'c': flags |= EDIT_NO_CREATE; break;
		case 'd': date = optarg; break;
		case 'h': flags |= EDIT_NO_FOLLOW; break;
		case 'm': only_mtime = true; break;
		case 'r': reference = optarg; break;
		case L_OWNER: cmd_owner("--owner", optarg, &owner.uid, &owner.gid); break;
		}
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (date && reference)
		cmd_usage("-d and -r exclude each other");
	atime = mtime = date ? cmd_time("-d", date) : cmd_now();
	if (reference) {
		struct lcpfs_stat st;
		status = edit_reference(reference, argv[optind], &st);
		atime = st.atime;
		mtime = st.mtime;
	}
	return cmd_finish(status ? status : edit_each(argv + optind, argc - optind, touch, NULL));
}
