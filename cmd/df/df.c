/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-df: how full pools are. */
#include <inttypes.h>
#include "common/cmd.h"

static const struct option longs[] = { { "human-readable", no_argument, NULL, 'h' }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-df",
	.synopsis = "lcpfs-df [-hp] [--json] [--live] [-j N] [--memory SIZE] POOL ...",
	.shared = CMD_O_READ | CMD_O_JSON | CMD_O_PARSABLE,
	.letters = "h",
	.longs = longs,
};
static const char *const heads_kib[] = { "Pool", "1K-blocks", "Used", "Available", "Use%" };
static const char *const heads_human[] = { "Pool", "Size", "Used", "Available", "Use%" };
static struct cmd_json json;
static struct cmd_table table;
static bool human;

static void add_bytes(uint64_t v)
{
	char buf[24];

	if (cmd.parsable || human)
		cmd_table_add(&table, "%s", cmd_bytes(buf, v));
	else
		cmd_table_add(&table, "%" PRIu64, v / 1024 + (v % 1024 != 0));
}

static void show_json(const char *name, const struct lcpfs_pool_info *i)
{
	cmd_json_object(&json, NULL);
	cmd_json_name(&json, "path", name);
	cmd_json_str(&json, "pool", i->name);
	cmd_json_u64(&json, "total_bytes", i->total_bytes);
	cmd_json_u64(&json, "used_bytes", i->used_bytes);
	cmd_json_u64(&json, "available_bytes", i->avail_bytes);
	cmd_json_end(&json);
}

static int df(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool_info i;
	struct cmd_target t;
	int status = CMD_OK;
	struct lcpfs_pool *p;

	cmd_target(&t, text);
	p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
	if (p && cmd_pool_info(p, t.pool, &i, &err)) {
		status = cmd_fail(&err, "cannot read '%s'", t.pool);
	} else if (p && cmd.json) {
		show_json(t.pool, &i);
	} else if (p) {
		uint64_t all = i.used_bytes + i.avail_bytes;
		cmd_table_add(&table, "%s", t.pool);
		add_bytes(i.total_bytes);
		add_bytes(i.used_bytes);
		add_bytes(i.avail_bytes);
		cmd_table_add(&table, "%u%%", all ? (unsigned)(((__uint128_t)i.used_bytes * 100 + all - 1) / all) : 0);
	}
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int status = CMD_OK;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		human = true;
	if (optind == argc)
		cmd_usage("no POOL given");
	cmd_table_init(&table, 5, human ? heads_human : heads_kib, "lrrrr");
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "pools");
	}
	for (; optind < argc; optind++)
		status = cmd_worse(status, df(argv[optind]));
	if (cmd.json)
		cmd_json_finish(&json);
	else if (table.rows)
		cmd_table_print(&table, stdout);
	return cmd_finish(status);
}
