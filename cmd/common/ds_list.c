/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of datasets and snapshots. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"

struct ds_list { struct cmd_table table; struct cmd_json json; const char *pool; bool only_snaps; };
static const char *const heads[] = { "Name", "Used", "Refer", "Files", "Created", "Origin" };
static const char *const snap_heads[] = { "Name", "Used", "Refer", "Files", "Created", "Holds" };

static void list_start(struct ds_list *l, const char *array)
{
	cmd_table_init(&l->table, 6, l->only_snaps ? snap_heads : heads, "lrrrll");
	if (!cmd.json)
		return;
	cmd_json_start(&l->json, stdout);
	cmd_json_array(&l->json, array);
}

static void add_json(struct ds_list *l, const struct lcpfs_ds_info *i, const char *full)
{
	struct lcpfs_time created = { i->created_s, 0 };
	struct cmd_json *j = &l->json;
	char guid[20];

	cmd_json_object(j, NULL);
	cmd_json_name(j, "target", full);
	cmd_json_name(j, "name", i->name);
	cmd_json_str(j, "kind", i->kind == LCPFS_DS_SNAPSHOT ? "snapshot" : "dataset");
	snprintf(guid, sizeof guid, "%016" PRIx64, i->guid);
	cmd_json_str(j, "guid", guid);
	cmd_json_u64(j, "used_bytes", i->used_bytes);
	cmd_json_u64(j, "refer_bytes", i->refer_bytes);
	cmd_json_u64(j, "files", i->n_files);
	cmd_json_time(j, "created", &created);
	cmd_json_u64(j, "created_txg", i->created_txg);
	if (i->kind == LCPFS_DS_SNAPSHOT) {
		cmd_json_u64(j, "holds", i->n_holds);
		cmd_json_u64(j, "successors", i->n_children);
	} else {
		cmd_json_name(j, "origin", i->origin ? i->origin : "");
	}
	cmd_json_end(j);
}

static void add_row(struct ds_list *l, const struct lcpfs_ds_info *i, const char *full)
{
	struct lcpfs_time created = { i->created_s, 0 };
	char buf[24], date[64];

	cmd_table_add(&l->table, "%s", full);
	cmd_table_add(&l->table, "%s", cmd_bytes(buf, i->used_bytes));
	cmd_table_add(&l->table, "%s", cmd_bytes(buf, i->refer_bytes));
	cmd_table_add(&l->table, "%" PRIu64, i->n_files);
	if (cmd.parsable)
		cmd_table_add(&l->table, "%" PRId64, i->created_s);
	else
		cmd_time_local(date, &created, NULL), cmd_table_add(&l->table, "%s", date);
	if (l->only_snaps)
		cmd_table_add(&l->table, "%u", i->n_holds);
	else
		cmd_table_add(&l->table, "%s", i->origin ? i->origin : "-");
}

static int add(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct ds_list *l = arg;
	char *full = ds_full_name(l->pool, i->name);

	(void)err;
	if (l->only_snaps && i->kind != LCPFS_DS_SNAPSHOT)
		;
	else if (cmd.json)
		add_json(l, i, full);
	else
		add_row(l, i, full);
	free(full);
	return 0;
}

static void list_finish(struct ds_list *l)
{
	if (cmd.json)
		cmd_json_finish(&l->json);
	else
		cmd_table_print(&l->table, stdout);
}

int ds_list(const char *array, char *argv[], int n, bool recursive, enum ds_which which)
{
	struct ds_list l = { .only_snaps = which == DS_SNAPS };
	int status = CMD_OK;

	list_start(&l, array);
	for (int i = 0; i < n; i++) {
		struct lcpfs_error err = { 0 };
		struct lcpfs_pool *p;
		struct cmd_target t;

		ds_target(&t, argv[i]);
		l.pool = t.pool;
		p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
		/* a pool as such means all that is in it */
		if (p && lcpfs_dataset_each(p, t.dataset, recursive || !t.is_pool, which != DS_HEADS, add, &l, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot list '%s'", argv[i]));
		cmd_target_fini(&t);
	}
	list_finish(&l);
	return status;
}
