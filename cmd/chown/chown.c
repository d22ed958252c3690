/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-chown: change owner and group. */
#include "common/edit.h"

enum { L_REFERENCE = 256 };
static const struct option longs[] = {
	{ "recursive", no_argument, NULL, 'R' }, { "no-dereference", no_argument, NULL, 'h' },
	{ "reference", required_argument, NULL, L_REFERENCE }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-chown",
	.synopsis = "lcpfs-chown [-hnqRv] [-j N] [--memory SIZE] OWNER[:GROUP] TARGET ...\n"
	            "lcpfs-chown [-hnqRv] [-j N] [--memory SIZE] --reference=REF TARGET ...",
	.shared = CMD_O_WRITE,
	.letters = "hR",
	.longs = longs,
};
static struct edit_owner owner = EDIT_KEEP_OWNER;
static unsigned flags;

static int change(void *arg, const struct cmd_target *t, struct lcpfs_dataset *ds)
{
	struct lcpfs_error err = { 0 };

	(void)arg;
	return edit_chown(ds, t->path, flags, owner, &err) ? cmd_fail(&err, "cannot change the owner of '%s'", t->text) : CMD_OK;
}

int main(int argc, char *argv[])
{
	const char *reference = NULL;
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case 'R': flags |= EDIT_RECURSIVE; break;
		case 'h': flags |= EDIT_NO_FOLLOW; break;
		case L_REFERENCE: reference = optarg; break;
		}
	if (!reference && optind < argc)
		cmd_owner("OWNER", argv[optind++], &owner.uid, &owner.gid);
	if (optind == argc)
		cmd_usage(argc > 1 ? "no TARGET given" : "no OWNER given");
	if (reference) {
		struct lcpfs_stat st;
		status = edit_reference(reference, argv[optind], &st);
		owner = (struct edit_owner){ st.uid, st.gid };
	}
	return cmd_finish(status ? status : edit_each(argv + optind, argc - optind, change, NULL));
}
