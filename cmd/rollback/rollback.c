/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-rollback: a dataset becomes what a snapshot was; what it leaves stays as a snapshot. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"

enum { L_KEEP = 256, L_DISCARD };
static const struct option longs[] = {
	{ "keep", required_argument, NULL, L_KEEP }, { "discard", no_argument, NULL, L_DISCARD }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-rollback",
	.synopsis = "lcpfs-rollback [-nqv] [--keep NAME | --discard] [-j N] [--memory SIZE] TARGET@SNAP",
	.shared = CMD_O_WRITE,
	.longs = longs,
};

/* The name after '@' of what the head leaves, malloc'ed. */
static char *keep_name(struct lcpfs_pool *p, const struct cmd_target *t, const char *given)
{
	char *head, *snap, *full, *name;

	if (given)
		return cmd_strdup(given + (*given == '@'));
	cmd_snap_split(t->dataset, &head, &snap);
	full = ds_free_snap(p, head, "before-rollback-");
	name = cmd_strdup(strchr(full, '@') + 1);
	free(full);
	free(head);
	free(snap);
	return name;
}

static int rollback(const struct cmd_target *t, const char *given, bool discard)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RW, &status);
	char *keep = p && !discard ? keep_name(p, t, given) : NULL;

	if (!p)
		return status;
	if (lcpfs_rollback(p, t->dataset, keep, &err))
		status = cmd_fail(&err, "cannot roll back to '%s'", t->text);
	status = ds_commit(status);
	if (!status) {
		cmd_did("%srolled back to '%s'", cmd.dry_run ? "would have " : "", t->text);
		if (keep && !cmd.dry_run)
			cmd_note("what was there is now the snapshot '@%s'", keep);
	}
	free(keep);
	return status;
}

int main(int argc, char *argv[])
{
	const char *keep = NULL;
	bool discard = false;
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		if (ch == L_KEEP)
			keep = optarg;
		else
			discard = true;
	if (keep && discard)
		cmd_usage("--keep and --discard exclude each other");
	if (argc - optind != 1)
		cmd_usage("one TARGET@SNAP is needed");
	ds_snap_target(&t, argv[optind]);
	status = rollback(&t, keep, discard);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
