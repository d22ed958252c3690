/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-truncate: shorten or extend files. */
#include "common/edit.h"

static const struct option longs[] = {
	{ "no-create", no_argument, NULL, 'c' }, { "size", required_argument, NULL, 's' }, { "reference", required_argument, NULL, 'r' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-truncate",
	.synopsis = "lcpfs-truncate [-cnqv] -s SIZE | -r REF [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE,
	.letters = "cs:r:",
	.longs = longs,
};
static struct edit_size size;
static unsigned flags;

static int set_size(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_truncate(ds, t->path, flags, &size, &err) ? cmd_fail(&err, "cannot set the size of '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	const char *reference = NULL;
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'c': flags |= EDIT_NO_CREATE; break;
		case 'r': reference = optarg; break;
		case 's':
			if (!edit_size_parse(optarg, &size))
				cmd_usage("-s: '%s' is no size (write 4096, 64K, +1M, -512)", optarg);
			break;
		}
	if (!size.op == !reference)
		cmd_usage("either -s or -r is needed");
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (reference) {
		struct lcpfs_stat st;
		status = edit_reference(reference, argv[optind], &st);
		size = (struct edit_size){ '=', st.size };
	}
	return cmd_finish(status ? status : edit_each(argv + optind, argc - optind, set_size, NULL));
}
