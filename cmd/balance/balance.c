/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-balance: write blocks anew: for another compression, or to put together what deletions have left of packs. */
#include <inttypes.h>
#include <stdlib.h>
#include "common/cmd.h"

enum { L_RECOMPRESS = 256, L_PACKS };
static const struct option longs[] = {
	{ "recompress", required_argument, NULL, L_RECOMPRESS }, { "packs", no_argument, NULL, L_PACKS }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-balance",
	.synopsis = "lcpfs-balance [-nqv] [--recompress CODEC[:LEVEL]] [--packs] [--json] [--progress[=WHEN]] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_JSON | CMD_O_PROGRESS,
	.longs = longs,
};
static struct lcpfs_balance_opts opts;
static struct cmd_json json;

/* The datasets to do: names of heads. */
struct names { char **v; size_t n; };

static int add_name(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct names *l = arg;

	(void)err;
	l->v = cmd_realloc(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = cmd_strdup(i->name);
	return 0;
}

static void warn(void *arg, const char *path, const struct lcpfs_error *why)
{
	(void)path;
	cmd_progress_end();
	cmd_note("%s: left as it is: %s", (const char *)arg, why->msg);
}

static void report_json(const char *pool, const char *name, const struct lcpfs_balance_stats *st)
{
	cmd_json_object(&json, NULL);
	cmd_json_name(&json, "pool", pool);
	cmd_json_name(&json, "dataset", name);
	cmd_json_u64(&json, "blocks", st->blocks);
	cmd_json_u64(&json, "bytes", st->bytes);
	cmd_json_u64(&json, "rewritten_blocks", st->rewritten);
	cmd_json_u64(&json, "old_bytes", st->old_bytes);
	cmd_json_u64(&json, "new_bytes", st->new_bytes);
	cmd_json_u64(&json, "kept_blocks", st->kept_blocks);
	cmd_json_u64(&json, "held_blocks", st->held_blocks);
	cmd_json_u64(&json, "held_bytes", st->held_bytes);
	cmd_json_u64(&json, "shared_blocks", st->shared_blocks);
	cmd_json_u64(&json, "shared_bytes", st->shared_bytes);
	cmd_json_u64(&json, "packs_merged", st->packs);
	cmd_json_u64(&json, "unreadable_blocks", st->unreadable);
	cmd_json_u64(&json, "commits", st->commits);
	cmd_json_end(&json);
}

static void report_text(const char *pool, const char *name, const struct lcpfs_balance_stats *st)
{
	char a[16], b[16];

	printf("%s%s%s: %" PRIu64 " blocks, %s", pool, *name ? ":" : "", name, st->blocks, cmd_human(a, st->bytes));
	if (opts.recompress)
		printf("; %" PRIu64 " %s, %s -> %s%s", st->rewritten, cmd.dry_run ? "would be tried" : "rewritten", cmd_human(a, st->old_bytes),
		    cmd.dry_run ? "about " : "", cmd_human(b, st->new_bytes));
	if (st->packs)
		printf("; %" PRIu64 " packs %s", st->packs, cmd.dry_run ? "would be emptied into others" : "emptied into others");
	if (st->held_blocks)
		printf("; %" PRIu64 " blocks, %s, held by snapshots", st->held_blocks, cmd_human(a, st->held_bytes));
	if (st->shared_blocks)
		printf("; %" PRIu64 " blocks, %s, shared", st->shared_blocks, cmd_human(a, st->shared_bytes));
	if (st->unreadable)
		printf("; %" PRIu64 " unreadable", st->unreadable);
	putchar('\n');
}

static int one(struct lcpfs_pool *p, const char *pool, const char *name)
{
	struct lcpfs_balance_stats st;
	struct lcpfs_error err = { 0 };
	int rc;

	opts.arg = (void *)(uintptr_t)pool;
	rc = lcpfs_balance(p, name, &opts, &st, &err);
	cmd_progress_end();
	if (cmd.json)
		report_json(pool, name, &st);
	else if (!cmd.quiet)
		report_text(pool, name, &st);
	return rc ? cmd_fail(&err, "balance '%s%s%s'", pool, *name ? ":" : "", name) : CMD_OK;
}

static int balance(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct names l = { 0 };
	struct cmd_target t;
	int status = CMD_OK;
	struct lcpfs_pool *p;

	cmd_target(&t, text);
	if (t.has_path)
		cmd_usage("'%s': a pool or a dataset is balanced, not a path", text);
	p = cmd_pool(&t, cmd.dry_run ? LCPFS_OPEN_RO : LCPFS_OPEN_RW, &status);
	if (p && lcpfs_dataset_each(p, t.dataset, !t.has_dataset, false, add_name, &l, &err) < 0)
		status = cmd_fail(&err, "find '%s'", text);
	for (size_t i = 0; i < l.n; i++) {
		if (status == CMD_OK || status == CMD_PARTIAL)
			status = cmd_worse(status, one(p, t.pool, l.v[i]));
		free(l.v[i]);
	}
	free(l.v);
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		switch (ch) {
		case L_RECOMPRESS: opts.recompress = optarg; break;
		case L_PACKS: opts.packs = true; break;
		}
	if (optind == argc)
		cmd_usage("no TARGET given");
	opts.packs |= !opts.recompress;
	opts.dry_run = cmd.dry_run;
	opts.warn = warn;
	opts.progress = cmd_progress;
	cmd_catch_signals();
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "datasets");
	}
	for (; optind < argc && !cmd_interrupted; optind++)
		status = cmd_worse(status, balance(argv[optind]));
	if (cmd.json)
		cmd_json_finish(&json);
	return cmd_finish(status);
}
