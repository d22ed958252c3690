/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-salvage: files out of a pool that does not open any more. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "common/cmd.h"
#include "lcpfs/salvage.h"

enum { L_SNAPSHOTS = 256, L_WHOLE, L_SCAN, L_CARVE, L_NO_OWNER };
static const struct option longs[] = {
	{ "snapshots", no_argument, NULL, L_SNAPSHOTS }, { "whole", no_argument, NULL, L_WHOLE }, { "scan", no_argument, NULL, L_SCAN },
	{ "carve", no_argument, NULL, L_CARVE }, { "no-owner", no_argument, NULL, L_NO_OWNER }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-salvage",
	.synopsis = "lcpfs-salvage [-fnqv] [--snapshots] [--whole] [--scan] [--carve] [--no-owner] [--json] [--progress[=WHEN]] [--live]\n"
	            "              [-j N] [--memory SIZE] POOL[:DATASET[@SNAP]] DIR|-",
	.shared = CMD_O_READ | CMD_O_DRY_RUN | CMD_O_VERBOSE | CMD_O_QUIET | CMD_O_FORCE | CMD_O_JSON | CMD_O_PROGRESS,
	.longs = longs,
};

struct telling { struct cmd_json j; const char *pool; };

static void lost(void *arg, const struct lcpfs_loss *l)
{
	struct telling *t = arg;

	cmd_progress_end();
	if (cmd.json) {
		cmd_json_object(&t->j, NULL);
		cmd_json_str(&t->j, "what", l->what);
		cmd_json_str(&t->j, "dataset", l->dataset);
		cmd_json_name(&t->j, "path", l->path);
		if (l->ino)
			cmd_json_u64(&t->j, "ino", l->ino);
		if (l->length) {
			cmd_json_u64(&t->j, "offset", l->offset);
			cmd_json_u64(&t->j, "length", l->length);
		}
		cmd_json_str(&t->j, "text", l->text);
		cmd_json_end(&t->j);
		return;
	}
	/* not with -q either could it be left out: it is what the command has to say */
	fprintf(stderr, "%s:%s%s%s%s: %s\n", t->pool, l->dataset ? l->dataset : "", l->dataset && *l->dataset ? ":" : "", l->path ? "/" : "",
	    l->path ? l->path : "", l->text);
}

static void warn(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct telling *t = arg;
	const struct lcpfs_loss l = { .what = "written", .path = path, .text = why->msg };

	if (cmd.json)
		lost(t, &l);
	else
		cmd_tree_warn(NULL, path, why);
}

static void report(struct telling *t, const struct lcpfs_salvage_stats *st)
{
	char size[16];

	if (cmd.json) {
		cmd_json_end(&t->j);
		cmd_json_object(&t->j, "salvage");
		cmd_json_name(&t->j, "pool", t->pool);
		cmd_json_u64(&t->j, "txg", st->txg);
		cmd_json_bool(&t->j, "scanned", st->scanned);
		cmd_json_u64(&t->j, "nodes_found", st->nodes);
		cmd_json_u64(&t->j, "datasets", st->datasets);
		cmd_json_u64(&t->j, "entries", st->entries);
		cmd_json_u64(&t->j, "files", st->files);
		cmd_json_u64(&t->j, "bytes", st->bytes);
		cmd_json_u64(&t->j, "losses", st->losses);
		cmd_json_u64(&t->j, "lost_bytes", st->lost_bytes);
		cmd_json_u64(&t->j, "unreadable_bytes", st->unreadable_bytes);
		cmd_json_bool(&t->j, "pool_written", false);
		cmd_json_end(&t->j);
	} else if (!cmd.quiet) {
		cmd_note("%" PRIu64 " files (%" PRIu64 " entries, %s) of %" PRIu64 " dataset%s%s; %" PRIu64 " losses", st->files, st->entries,
		    cmd_human(size, st->bytes), st->datasets, st->datasets == 1 ? "" : "s", cmd.dry_run ? " could be had" : "", st->losses);
	}
	if (cmd.verbose)
		cmd_note("'%s' was only read: nothing was written to it", t->pool);
}

static uint32_t flags;

static int salvage(const struct cmd_target *t, const char *target)
{
	struct telling tell = { .pool = t->pool };
	struct lcpfs_salvage_opts o = { .flags = flags, .threads = cmd.threads, .memory_bytes = cmd.memory_bytes, .live = cmd.live,
		.dataset = t->is_pool ? t->dataset : NULL, .lost = lost, .warn = warn, .progress = cmd_progress, .arg = &tell };
	bool archive = target && !strcmp(target, "-");
	struct lcpfs_salvage_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	int rc;

	if (cmd.force)
		o.flags |= LCPFS_SALVAGE_OVERWRITE;
	if (cmd.json) {
		cmd_json_start(&tell.j, archive && !cmd.dry_run ? stderr : stdout);
		cmd_json_array(&tell.j, "losses");
	}
	rc = lcpfs_salvage(t->pool, archive || cmd.dry_run ? NULL : target, archive && !cmd.dry_run ? STDOUT_FILENO : -1, &o, &st, &err);
	cmd_progress_end();
	report(&tell, &st);
	if (cmd.json)
		cmd_json_finish(&tell.j);
	if (!rc)
		return CMD_OK;
	if (rc == -LCPFS_EPARTIAL)
		return cmd.json ? CMD_PARTIAL : cmd_fail(&err, NULL);
	/* damage is what the command is for: having nothing to show is its failure */
	cmd_fail(&err, "cannot salvage '%s'", t->pool);
	return rc == -LCPFS_EBUSY ? CMD_BUSY : CMD_FAILED;
}

int main(int argc, char *argv[])
{
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		switch (ch) {
		case L_SNAPSHOTS: flags |= LCPFS_SALVAGE_SNAPSHOTS; break;
		case L_WHOLE: flags |= LCPFS_SALVAGE_WHOLE; break;
		case L_SCAN: flags |= LCPFS_SALVAGE_SCAN; break;
		case L_CARVE: flags |= LCPFS_SALVAGE_CARVE; break;
		case L_NO_OWNER: flags |= LCPFS_SALVAGE_NO_OWNER; break;
		}
	}
	if (argc - optind != 2 && !(cmd.dry_run && argc - optind == 1))
		cmd_usage("a POOL and a DIR (or -) are needed");
	if (argc - optind == 2 && !strcmp(argv[optind + 1], "-") && !cmd.dry_run && isatty(STDOUT_FILENO))
		cmd_usage("an archive is not written to a terminal");
	cmd_target(&t, argv[optind]);
	if (t.has_path)
		cmd_usage("'%s': a pool or a dataset is salvaged, not a path", argv[optind]);
	cmd_catch_signals();
	status = salvage(&t, argc - optind == 2 ? argv[optind + 1] : NULL);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
