/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-chmod: change permissions. */
#include "common/edit.h"

enum { L_REFERENCE = 256 };
static const struct option longs[] = {
	{ "recursive", no_argument, NULL, 'R' }, { "reference", required_argument, NULL, L_REFERENCE }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-chmod",
	.synopsis = "lcpfs-chmod [-nqRv] [-j N] [--memory SIZE] MODE TARGET ...\n"
	            "lcpfs-chmod [-nqRv] [-j N] [--memory SIZE] --reference=REF TARGET ...",
	.shared = CMD_O_WRITE,
	.letters = "R",
	.longs = longs,
};
static struct cmd_mode mode;
static unsigned flags;

static int change(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_chmod(ds, t->path, flags, &mode, &err) ? cmd_fail(&err, "cannot change the mode of '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	const char *reference = NULL;
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		if (ch == 'R')
			flags |= EDIT_RECURSIVE;
		else
			reference = optarg;
	if (!reference && optind < argc)
		cmd_mode("MODE", argv[optind++], &mode);
	if (optind == argc)
		cmd_usage(reference || mode.n ? "no TARGET given" : "no MODE given");
	if (reference) {
		struct lcpfs_stat st;
		status = edit_reference(reference, argv[optind], &st);
		mode.n = 1;
		mode.ops[0] = (struct cmd_mode_op){ .op = '=', .who = 07777, .bits = st.mode & 07777 };
	}
	return cmd_finish(status ? status : edit_each(argv + optind, argc - optind, change, NULL));
}
