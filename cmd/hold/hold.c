/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-hold: keep snapshots from being destroyed. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"
#include "common/edit.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-hold",
	.synopsis = "lcpfs-hold add [-nqv] [-j N] [--memory SIZE] TAG TARGET@SNAP ...\n"
	            "lcpfs-hold release [-nqv] [-j N] [--memory SIZE] TAG TARGET@SNAP ...\n"
	            "lcpfs-hold list [-p] [--json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON | CMD_O_PARSABLE,
};
static const char *const heads[] = { "Snapshot", "Tag" };
static const char *tag;

static int add_one(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };

	if (lcpfs_hold(p, t->dataset, tag, &err))
		return cmd_fail(&err, "cannot hold '%s'", t->text);
	cmd_did("%sheld '%s' by '%s'", cmd.dry_run ? "would have " : "", t->text, tag);
	return CMD_OK;
}

static int release_one(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };

	if (lcpfs_release(p, t->dataset, tag, &err))
		return cmd_fail(&err, "cannot release '%s'", t->text);
	cmd_did("%sreleased '%s' from '%s'", cmd.dry_run ? "would have " : "", t->text, tag);
	return CMD_OK;
}

static int add(char *argv[], int n)
{
	tag = argv[0];
	return ds_each(argv + 1, n - 1, add_one);
}

static int release(char *argv[], int n)
{
	tag = argv[0];
	return ds_each(argv + 1, n - 1, release_one);
}

/* ---- list ---- */

struct lister { struct cmd_table table; struct cmd_json json; struct lcpfs_pool *pool; const char *pool_name, *snap; };

static int show_tag(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	struct lister *l = arg;
	char *full;

	(void)value;
	(void)source;
	(void)err;
	if (strncmp(prop, "hold:", 5))
		return 0;
	full = ds_full_name(l->pool_name, l->snap);
	if (cmd.json) {
		cmd_json_object(&l->json, NULL);
		cmd_json_name(&l->json, "snapshot", full);
		cmd_json_str(&l->json, "tag", prop + 5);
		cmd_json_end(&l->json);
	} else {
		cmd_table_add(&l->table, "%s", full);
		cmd_table_add(&l->table, "%s", prop + 5);
	}
	free(full);
	return 0;
}

static int show_snap(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct lister *l = arg;

	if (i->kind != LCPFS_DS_SNAPSHOT || !i->n_holds)
		return 0;
	l->snap = i->name;
	return lcpfs_prop_get(l->pool, i->name, NULL, show_tag, l, err);
}

static int list(char *argv[], int n)
{
	struct lister l = { 0 };
	int status = CMD_OK;

	cmd_table_init(&l.table, 2, heads, "ll");
	if (cmd.json) {
		cmd_json_start(&l.json, stdout);
		cmd_json_array(&l.json, "holds");
	}
	for (int i = 0; i < n; i++) {
		struct lcpfs_error err = { 0 };
		struct cmd_target t;

		ds_target(&t, argv[i]);
		l.pool = cmd_pool(&t, LCPFS_OPEN_RO, &status);
		l.pool_name = t.pool;
		if (l.pool && lcpfs_dataset_each(l.pool, t.dataset, !t.is_pool, true, show_snap, &l, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot list the holds of '%s'", argv[i]));
		cmd_target_fini(&t);
	}
	if (cmd.json)
		cmd_json_finish(&l.json);
	else if (l.table.rows)
		cmd_table_print(&l.table, stdout);
	return status;
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = { { "add", "", 2, -1, add }, { "release", "", 2, -1, release }, { "list", "", 1, -1, list } };

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, "", argc, argv));
}
