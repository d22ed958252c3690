/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that name datasets and snapshots rather than paths. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"

void ds_target(struct cmd_target *t, const char *text)
{
	cmd_target(t, text);
	if (t->has_path && *t->path)
		cmd_usage("'%s' names a path, not a dataset (write POOL:DATASET)", text);
}

void ds_snap_target(struct cmd_target *t, const char *text)
{
	ds_target(t, text);
	if (!strchr(t->dataset, '@'))
		cmd_usage("'%s' names no snapshot (write POOL:DATASET@SNAP)", text);
}

void ds_head_target(struct cmd_target *t, const char *text)
{
	ds_target(t, text);
	if (strchr(t->dataset, '@'))
		cmd_usage("'%s' names a snapshot, not a dataset", text);
}

char *ds_second(const struct cmd_target *first, const char *text)
{
	struct cmd_target t;
	char *name, *head, *snap;

	if (*text == '@') { /* of the same dataset */
		cmd_snap_split(first->dataset, &head, &snap);
		name = cmd_printf("%s%s", head, text);
		free(head);
		free(snap);
		return name;
	}
	if (!strchr(text, ':'))
		return cmd_strdup(text);
	ds_target(&t, text);
	if (strcmp(t.pool, first->pool))
		cmd_usage("'%s' is in another pool than '%s'", text, first->text);
	name = cmd_strdup(t.dataset);
	cmd_target_fini(&t);
	return name;
}

char *ds_full_name(const char *pool, const char *name)
{
	return *name ? cmd_printf("%s:%s", pool, name) : cmd_strdup(pool);
}

int ds_each(char *argv[], int n, ds_fn *fn)
{
	int status = CMD_OK;

	for (int i = 0; i < n; i++) {
		struct cmd_target t;
		struct lcpfs_pool *p;

		ds_target(&t, argv[i]);
		p = cmd_pool(&t, LCPFS_OPEN_RW, &status);
		if (p)
			status = cmd_worse(status, fn(p, &t));
		cmd_target_fini(&t);
	}
	return ds_commit(status);
}

int ds_commit(int status)
{
	if (status == CMD_OK)
		return cmd_commit();
	cmd_note("nothing was changed");
	return status;
}

void ds_time_name(char out[40], const char *prefix)
{
	struct lcpfs_time now = cmd_now();
	char text[40];
	size_t n = (size_t)snprintf(out, 40, "%s", prefix);

	/* 2024-05-01T12:00:00... without what names cannot hold */
	cmd_time_rfc3339(text, &now);
	for (const char *s = text; *s && *s != '.' && n < 38; s++)
		if (*s != '-' && *s != ':')
			out[n++] = *s;
	snprintf(out + n, 40 - n, "Z");
}

static int seen(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err)
{
	(void)arg;
	(void)info;
	(void)err;
	return 0;
}

bool ds_exists(struct lcpfs_pool *p, const char *name) { return !lcpfs_dataset_info(p, name, seen, NULL, NULL); }

char *ds_free_snap(struct lcpfs_pool *p, const char *head, const char *prefix)
{
	char base[40];
	char *name;

	ds_time_name(base, prefix);
	name = cmd_printf("%s@%s", head, base);
	for (unsigned i = 2; ds_exists(p, name); i++) {
		free(name);
		name = cmd_printf("%s@%s-%u", head, base, i);
	}
	return name;
}

const char *ds_would(void) { return cmd.dry_run ? "would have " : ""; }

int ds_rename(struct cmd_target *from, char *to, ds_rename_fn *fn)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(from, LCPFS_OPEN_RW, &status);

	if (p && fn(p, from->dataset, to, &err))
		status = cmd_fail(&err, "cannot rename '%s' to '%s'", from->text, to);
	else if (p)
		cmd_did("%srenamed '%s' to '%s'", ds_would(), from->text, to);
	free(to);
	cmd_target_fini(from);
	return ds_commit(status);
}
