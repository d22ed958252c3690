/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-dataset: make, list, rename and destroy datasets. */
#include <stdlib.h>
#include <string.h>
#include "common/datasets.h"
#include "common/edit.h"

static const struct option longs[] = {
	{ "parents", no_argument, NULL, 'P' }, { "parsable", no_argument, NULL, 'A' }, { "recursive", no_argument, NULL, 'r' },
	{ "snapshots", no_argument, NULL, 's' }, { "set", required_argument, NULL, 'S' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-dataset",
	.synopsis = "lcpfs-dataset create [-npqv] [--set PROP=VALUE] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-dataset list [-prs] [--json] [--live] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-dataset rename [-nqv] [-j N] [--memory SIZE] TARGET NAME\n"
	            "lcpfs-dataset destroy [-nqrv] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON,
	.letters = "prs",
	.longs = longs,
};
enum { MAX_SET = 32 };
static bool parents, recursive, snaps;
static const char *sets[MAX_SET];
static unsigned n_sets;

static int set_all(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < n_sets && !rc; i++) {
		const char *eq = strchr(sets[i], '=');
		char *prop = cmd_printf("%.*s", (int)(eq - sets[i]), sets[i]);
		rc = lcpfs_prop_set(p, name, prop, eq + 1, err);
		free(prop);
	}
	return rc;
}

static int create_one(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int rc;

	if (parents && ds_exists(p, t->dataset))
		return CMD_OK;
	rc = lcpfs_dataset_create(p, t->dataset, parents, &err);
	if (!rc)
		rc = set_all(p, t->dataset, &err);
	if (!rc)
		cmd_did("%screated '%s'", ds_would(), t->text);
	return rc ? cmd_fail(&err, "cannot create '%s'", t->text) : CMD_OK;
}

static int create(char *argv[], int n) { return ds_each(argv, n, create_one); }

static int list(char *argv[], int n) { return ds_list("datasets", argv, n, recursive, snaps ? DS_ALL : DS_HEADS); }

static int rename_to(char *argv[], int n)
{
	struct cmd_target t;

	(void)n;
	ds_head_target(&t, argv[0]);
	return ds_rename(&t, ds_second(&t, argv[1]), lcpfs_dataset_rename);
}

static int destroy_one(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };

	if (strchr(t->dataset, '@'))
		return cmd_fail_code(LCPFS_EINVAL, "cannot destroy '%s': it is a snapshot (lcpfs-snap destroy)", t->text);
	if (lcpfs_dataset_destroy(p, t->dataset, recursive, &err))
		return cmd_fail(&err, "cannot destroy '%s'", t->text);
	cmd_did("%sdestroyed '%s'", ds_would(), t->text);
	return CMD_OK;
}

static int destroy(char *argv[], int n) { return ds_each(argv, n, destroy_one); }

static void add_set(const char *text)
{
	if (!strchr(text, '=') || *text == '=')
		cmd_usage("--set: '%s' is not PROP=VALUE", text);
	if (n_sets == MAX_SET)
		cmd_usage("--set: more than %d", MAX_SET);
	sets[n_sets++] = text;
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "create", "pPS", 1, -1, create }, { "list", "pArs", 1, -1, list }, { "rename", "", 2, 2, rename_to }, { "destroy", "r", 1, -1, destroy },
	};
	char used[32] = "";
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		cmd_sub_used(used, ch);
		switch (ch) {
		case 'p': parents = cmd.parsable = true; break; /* create has parents, list columns */
		case 'P': parents = true; break;
		case 'A': cmd.parsable = true; break;
		case 'r': recursive = true; break;
		case 's': snaps = true; break;
		case 'S': add_set(optarg); break;
		}
	}
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, used, argc, argv));
}
