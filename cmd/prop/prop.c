/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-prop: properties of datasets. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"
#include "common/edit.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-prop",
	.synopsis = "lcpfs-prop list [-p] [--json] [--live] [-j N] [--memory SIZE] TARGET\n"
	            "lcpfs-prop get [--json] [--live] [-j N] [--memory SIZE] TARGET NAME ...\n"
	            "lcpfs-prop set [-nqv] [-j N] [--memory SIZE] TARGET NAME=VALUE ...\n"
	            "lcpfs-prop inherit [-nqv] [-j N] [--memory SIZE] TARGET NAME ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON | CMD_O_PARSABLE,
};
static const char *const heads[] = { "Property", "Value", "Source" };
static struct cmd_table table;
static struct cmd_json json;

static int add(void *arg, const char *prop, const char *value, const char *source, struct lcpfs_error *err)
{
	(void)arg;
	(void)err;
	if (cmd.json) {
		cmd_json_object(&json, NULL);
		cmd_json_name(&json, "name", prop);
		cmd_json_name(&json, "value", value);
		cmd_json_name(&json, "source", source);
		cmd_json_end(&json);
	} else if (arg) { /* a listing */
		cmd_table_add(&table, "%s", prop);
		cmd_table_add(&table, "%s", value);
		cmd_table_add(&table, "%s", source);
	} else {
		puts(value);
	}
	return 0;
}

static int show(const char *text, char *names[], int n)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *p;
	struct cmd_target t;
	int status = CMD_OK;

	ds_target(&t, text);
	p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
	if (p && !names && lcpfs_prop_get(p, t.dataset, NULL, add, &table, &err))
		status = cmd_fail(&err, "cannot read the properties of '%s'", text);
	for (int i = 0; p && i < n; i++)
		if (lcpfs_prop_get(p, t.dataset, names[i], add, NULL, &err))
			status = cmd_worse(status, cmd_fail(&err, "cannot read '%s' of '%s'", names[i], text));
	cmd_target_fini(&t);
	return status;
}

static int shown(const char *text, char *names[], int n)
{
	int status;

	cmd_table_init(&table, 3, heads, "lll");
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_name(&json, "target", text);
		cmd_json_array(&json, "properties");
	}
	status = show(text, names, n);
	if (cmd.json)
		cmd_json_finish(&json);
	else if (table.rows)
		cmd_table_print(&table, stdout);
	return status;
}

static int list(char *argv[], int n)
{
	(void)n;
	return shown(argv[0], NULL, 0);
}

static int get(char *argv[], int n) { return shown(argv[0], argv + 1, n - 1); }

static int change(struct lcpfs_pool *p, const struct cmd_target *t, const char *name, const char *value)
{
	struct lcpfs_error err = { 0 };

	if (lcpfs_prop_set(p, t->dataset, name, value, &err))
		return cmd_fail(&err, "cannot set '%s' of '%s'", name, t->text);
	cmd_did("%sset '%s' of '%s' %s%s", cmd.dry_run ? "would have " : "", name, t->text, value ? "to " : "back", value ? value : "");
	return CMD_OK;
}

static int change_all(char *argv[], int n, bool inherit)
{
	struct cmd_target t;
	int status = CMD_OK;
	struct lcpfs_pool *p;

	ds_head_target(&t, argv[0]);
	p = cmd_pool(&t, LCPFS_OPEN_RW, &status);
	for (int i = 1; p && i < n; i++) {
		size_t len = inherit ? strlen(argv[i]) : strcspn(argv[i], "=");
		char *name;
		if (!inherit && !argv[i][len])
			cmd_usage("'%s' is not NAME=VALUE", argv[i]);
		name = cmd_printf("%.*s", (int)len, argv[i]);
		status = cmd_worse(status, change(p, &t, name, inherit ? NULL : argv[i] + len + 1));
		free(name);
	}
	cmd_target_fini(&t);
	return ds_commit(status);
}

static int set(char *argv[], int n) { return change_all(argv, n, false); }
static int inherit(char *argv[], int n) { return change_all(argv, n, true); }

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "list", "", 1, 1, list }, { "get", "", 2, -1, get }, { "set", "", 2, -1, set }, { "inherit", "", 2, -1, inherit },
	};

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, "", argc, argv));
}
