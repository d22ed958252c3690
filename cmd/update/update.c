/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-update: make a dataset equal to a source, writing only what changed; the old state can stay as a snapshot. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "common/cmd.h"

enum { L_DELETE = 256, L_NO_DELETE, L_SNAPSHOT, L_CHECKSUM, L_REPRODUCIBLE };
static const struct option longs[] = {
	{ "snapshot", required_argument, NULL, L_SNAPSHOT }, { "delete", no_argument, NULL, L_DELETE }, { "no-delete", no_argument, NULL, L_NO_DELETE },
	{ "checksum", no_argument, NULL, L_CHECKSUM }, { "reproducible", no_argument, NULL, L_REPRODUCIBLE }, CMD_TREE_LONGS, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-update",
	.synopsis = "lcpfs-update [-nqv] [--snapshot NAME] [--no-delete] [--checksum] [--reproducible] [--exclude PATTERN] [--one-file-system]\n"
	            "    [--owner OWNER[:GROUP]] [--all-root] [--chmod MODE] [--progress[=WHEN]] [--json] [-j N] [--memory SIZE] TARGET SOURCE",
	.shared = CMD_O_WRITE | CMD_O_PROGRESS | CMD_O_JSON,
	.letters = "",
	.longs = longs,
};
static struct cmd_tree tree;
static const char *snapshot;

static void option(int ch)
{
	switch (ch) {
	case L_SNAPSHOT: snapshot = optarg; break;
	case L_DELETE: tree.opts.flags |= LCPFS_TREE_DELETE; break;
	case L_NO_DELETE: tree.opts.flags &= ~(uint32_t)LCPFS_TREE_DELETE; break;
	case L_CHECKSUM: tree.opts.flags |= LCPFS_TREE_CHECKSUM; break;
	case L_REPRODUCIBLE: tree.opts.flags |= LCPFS_TREE_REPRODUCIBLE; break;
	default: cmd_tree_option(&tree, ch, optarg); break;
	}
}

static void report(const struct lcpfs_tree_stats *st)
{
	struct cmd_json j;

	cmd_progress_end();
	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_u64(&j, "entries", st->entries);
		cmd_json_u64(&j, "changed", st->changed);
		cmd_json_u64(&j, "removed", st->removed);
		cmd_json_u64(&j, "bytes", st->bytes);
		cmd_json_u64(&j, "warnings", st->warnings);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	} else if (cmd.verbose || cmd.dry_run) {
		printf("%s%" PRIu64 " of %" PRIu64 " entries changed, %" PRIu64 " removed\n", cmd.dry_run ? "would be: " : "", st->changed, st->entries,
		    st->removed);
	}
}

static int keep_old(struct lcpfs_pool *p, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	char *name = cmd_printf("%s@%s", t->dataset, snapshot);
	const char *names[] = { name };
	int status = CMD_OK;

	if (lcpfs_snap_create(p, names, 1, false, &err))
		status = cmd_fail(&err, "cannot keep the old state as '%s:%s'", t->pool, name);
	free(name);
	return status;
}

static int update(const struct cmd_target *t, const char *source)
{
	struct lcpfs_tree_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	int rc, status = CMD_OK;
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RW, &status);

	if (p && snapshot)
		status = keep_old(p, t);
	ds = p && !status ? cmd_dataset(t, LCPFS_OPEN_RW, &status) : NULL;
	if (!ds)
		return status;
	rc = lcpfs_tree_import(ds, t->path, source, &tree.opts, &st, &err);
	if (rc)
		status = cmd_fail(&err, "cannot update '%s' from '%s'", t->text, source);
	if (rc && rc != -LCPFS_EPARTIAL)
		return status;
	status = cmd_worse(status, cmd_commit());
	if (!status || status == CMD_PARTIAL)
		report(&st);
	return status;
}

int main(int argc, char *argv[])
{
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	cmd_tree_init(&tree);
	tree.opts.flags |= LCPFS_TREE_DELETE;
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (argc - optind != 2)
		cmd_usage("TARGET and SOURCE are needed");
	cmd_target(&t, argv[optind]);
	if (strchr(t.dataset, '@'))
		cmd_usage("'%s' is a snapshot and never changes", t.text);
	cmd_catch_signals();
	status = update(&t, argv[optind + 1]);
	cmd_target_fini(&t);
	cmd_tree_fini(&tree);
	return cmd_finish(status);
}
