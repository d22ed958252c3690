/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-snap: take, list, rename and destroy snapshots. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"
#include "common/edit.h"

static const struct option longs[] = { { "recursive", no_argument, NULL, 'r' }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-snap",
	.synopsis = "lcpfs-snap create [-nqrv] [-j N] [--memory SIZE] TARGET@SNAP ...\n"
	            "lcpfs-snap list [-pr] [--json] [--live] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-snap rename [-nqrv] [-j N] [--memory SIZE] TARGET@SNAP NAME\n"
	            "lcpfs-snap destroy [-nqrv] [--json] [-j N] [--memory SIZE] TARGET@SNAP[%SNAP] ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON | CMD_O_PARSABLE,
	.letters = "r",
	.longs = longs,
};
static bool recursive;

/* All operands together: they appear or vanish as one, so they are of one pool. */
struct snaps { struct cmd_target *t; const char **names; int n; struct lcpfs_pool *pool; };

static int open_all(struct snaps *s, char *argv[], int n)
{
	int status = CMD_OK;

	*s = (struct snaps){ .t = cmd_alloc((size_t)n * sizeof *s->t), .names = cmd_alloc((size_t)n * sizeof *s->names), .n = n };
	for (int i = 0; i < n; i++) {
		struct lcpfs_pool *p;
		ds_snap_target(&s->t[i], argv[i]);
		s->names[i] = s->t[i].dataset;
		p = cmd_pool(&s->t[i], LCPFS_OPEN_RW, &status);
		if (!status && s->pool && p != s->pool)
			cmd_usage("'%s' is in another pool than '%s'", argv[i], argv[0]);
		s->pool = p;
	}
	return status;
}

static void close_all(struct snaps *s)
{
	for (int i = 0; i < s->n; i++)
		cmd_target_fini(&s->t[i]);
	free(s->t);
	free(s->names);
}

static int create(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	struct snaps s;
	int status = open_all(&s, argv, n);

	if (!status && lcpfs_snap_create(s.pool, s.names, (size_t)n, recursive, &err))
		status = cmd_fail(&err, "cannot make snapshot '%s'%s", argv[0], n > 1 ? " and others" : "");
	for (int i = 0; i < n && !status; i++)
		cmd_did("%smade snapshot '%s'%s", ds_would(), argv[i], recursive ? " and those below" : "");
	close_all(&s);
	return ds_commit(status);
}

static int destroy(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	uint64_t freed = 0;
	struct snaps s;
	int status = open_all(&s, argv, n);

	if (!status && lcpfs_snap_destroy(s.pool, s.names, (size_t)n, recursive, &freed, &err))
		status = cmd_fail(&err, "cannot destroy '%s'%s", argv[0], n > 1 ? " and others" : "");
	for (int i = 0; i < n && !status; i++)
		cmd_did("%sdestroyed '%s'%s", ds_would(), argv[i], recursive ? " and those below" : "");
	if (!status)
		cmd_did("%sfreed %" PRIu64 " bytes", ds_would(), freed);
	close_all(&s);
	status = ds_commit(status);
	if (!status && cmd.json) {
		struct cmd_json j;
		cmd_json_start(&j, stdout);
		cmd_json_u64(&j, "freed_bytes", freed);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	}
	return status;
}

static int list(char *argv[], int n) { return ds_list("snapshots", argv, n, recursive, DS_SNAPS); }

/* The new name: "@new", "new" or "POOL:DATASET@new". */
static char *new_name(const struct cmd_target *t, const char *text)
{
	char *at, *name;

	if (strchr(text, '@'))
		return ds_second(t, text);
	at = cmd_printf("@%s", text);
	name = ds_second(t, at);
	free(at);
	return name;
}

static int rename_one(struct lcpfs_pool *p, const char *from, const char *to, struct lcpfs_error *err)
{
	return lcpfs_snap_rename(p, from, to, recursive, err);
}

static int rename_to(char *argv[], int n)
{
	struct cmd_target t;

	(void)n;
	ds_snap_target(&t, argv[0]);
	return ds_rename(&t, new_name(&t, argv[1]), rename_one);
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "create", "r", 1, -1, create }, { "list", "r", 1, -1, list }, { "rename", "r", 2, 2, rename_to }, { "destroy", "r", 1, -1, destroy },
	};
	char used[32] = "";
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		cmd_sub_used(used, ch);
		recursive = true;
	}
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, used, argc, argv));
}
