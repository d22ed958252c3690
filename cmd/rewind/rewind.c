/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-rewind: the states that earlier commits left, and a dataset made of one. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "rewind/rewind.h"

enum { L_LIST = 256, L_DATA };
static const struct option longs[] = {
	{ "list", no_argument, NULL, L_LIST }, { "data", no_argument, NULL, L_DATA }, { "recursive", no_argument, NULL, 'R' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-rewind",
	.synopsis = "lcpfs-rewind --list [-pqRv] [--data] [--json] [--live] [-j N] [--memory SIZE] TARGET\n"
	            "lcpfs-rewind [-nqRv] [-j N] [--memory SIZE] TARGET TXG|TIME NAME",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_PARSABLE | CMD_O_JSON,
	.letters = "R",
	.longs = longs,
};

struct job {
	const struct cmd_target *t;
	struct lcpfs_pool *pool, *old;
	const char *name;
	bool below;
	struct lcpfs_branch_stats st;
};

/* ---- which roots may be meant: the one of a number, or those not later than a time, newest first ---- */

struct roots { uint64_t *txg; struct lcpfs_time *time; size_t n; uint64_t want; struct lcpfs_time until; };

static bool later(const struct lcpfs_time *a, const struct lcpfs_time *b)
{
	return a->sec != b->sec ? a->sec > b->sec : a->nsec > b->nsec;
}

static int on_root(void *arg, const struct lcpfs_root *r, struct lcpfs_error *err)
{
	struct roots *w = arg;

	(void)err;
	if (w->want ? r->txg != w->want : r->abandoned || later(&r->time, &w->until))
		return 0;
	w->txg = cmd_realloc(w->txg, w->n + 1, sizeof *w->txg);
	w->time = cmd_realloc(w->time, w->n + 1, sizeof *w->time);
	w->txg[w->n] = r->txg;
	w->time[w->n++] = r->time;
	return 0;
}

static void roots_of(struct roots *w, const char *text)
{
	if (text[strspn(text, "0123456789")])
		w->until = cmd_time("TIME", text);
	else
		w->want = cmd_number("TXG", text, 1, UINT64_MAX);
}

/* ---- the branch ---- */

/* The name of the new dataset for `from` of the older root. */
static char *new_name(const struct job *b, const char *from)
{
	const char *rel = from + strlen(b->t->dataset);

	rel += *rel == '/';
	return *rel ? cmd_printf("%s/%s", b->name, rel) : cmd_strdup(b->name);
}

static int branch_one(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct job *b = arg;
	struct lcpfs_branch_stats st = { 0 };
	char *to = new_name(b, i->name);
	int rc = lcpfs_root_branch(b->pool, b->old, i->name, to, &st, err);

	b->st.shared_blocks += st.shared_blocks;
	b->st.shared_bytes += st.shared_bytes;
	b->st.copied_blocks += st.copied_blocks;
	b->st.copied_bytes += st.copied_bytes;
	if (!rc) {
		char old[24], more[24];
		cmd_did("%smade '%s:%s' (%s shared, %s copied)", ds_would(), b->t->pool, to, cmd_bytes(old, st.shared_bytes),
		    cmd_bytes(more, st.copied_bytes));
	}
	free(to);
	return rc;
}

static int branch(struct job *b, uint64_t txg, struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .threads = cmd.threads, .memory_bytes = cmd.memory_bytes };
	int rc = lcpfs_root_open(&b->old, b->pool, txg, &o, err);

	if (rc)
		return rc;
	if (b->below)
		rc = lcpfs_dataset_each(b->old, b->t->dataset, true, false, branch_one, b, err);
	else
		rc = branch_one(b, &(struct lcpfs_ds_info){ .name = b->t->dataset }, err);
	lcpfs_pool_close(b->old, NULL);
	return rc;
}

static bool overwritten(int rc) { return rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT || rc == -LCPFS_EIO; }

static int rewind_to(struct job *b, const struct roots *w, const char *when)
{
	struct lcpfs_error err = { 0 };
	char date[64];
	size_t i = 0;
	int rc = 0, status;

	if (!w->n)
		return cmd_fail_code(LCPFS_ENOENT, "no root of '%s' is there any more (lcpfs-rewind --list shows those that are)", when);
	for (; i < w->n; i++) {
		rc = branch(b, w->txg[i], &err);
		/* of several datasets some may have been made already */
		if (!overwritten(rc) || i + 1 == w->n || b->st.shared_blocks + b->st.copied_blocks)
			break;
		cmd_note("commit %" PRIu64 " is partly overwritten: taking an earlier one", w->txg[i]);
	}
	if (rc)
		return cmd_fail(&err, "cannot make '%s' of commit %" PRIu64, b->name, w->txg[i]);
	status = ds_commit(CMD_OK);
	cmd_time_local(date, &w->time[i], "%Y-%m-%d %H:%M:%S");
	if (!status && !cmd.dry_run)
		cmd_note("'%s:%s' is '%s' as commit %" PRIu64 " of %s left it", b->t->pool, b->name, b->t->text, w->txg[i], date);
	return status;
}

static int make(const struct cmd_target *t, const char *when, const char *name, bool below)
{
	struct job b = { .t = t, .below = below };
	struct lcpfs_error err = { 0 };
	struct roots w = { 0 };
	char *to = ds_second(t, name);
	int status = CMD_OK;

	roots_of(&w, when);
	b.name = to;
	b.pool = cmd_pool(t, LCPFS_OPEN_RW, &status);
	if (b.pool && lcpfs_root_each(b.pool, 0, on_root, &w, &err))
		status = cmd_fail(&err, "cannot list the roots of '%s'", t->pool);
	if (b.pool && !status)
		status = rewind_to(&b, &w, when);
	free(w.txg);
	free(w.time);
	free(to);
	return status;
}

int main(int argc, char *argv[])
{
	bool list = false, data = false, below = false;
	struct rewind_scope scope;
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		list |= ch == L_LIST;
		data |= ch == L_DATA;
		below |= ch == 'R';
	}
	if (argc - optind != (list ? 1 : 3))
		cmd_usage(list ? "one TARGET is needed" : "TARGET, the number or time of a commit, and a NAME are needed");
	if (!list && (data || cmd.json || cmd.live || cmd.parsable))
		cmd_usage("--data, --json, --live and -p go with --list");
	ds_target(&t, argv[optind]);
	if (list && strchr(t.dataset, '@'))
		cmd_usage("'%s' names a snapshot: it does not change", t.text);
	scope = (struct rewind_scope){ t.dataset, !t.is_pool, below };
	cmd_catch_signals();
	status = list ? rewind_list(&t, &scope, data) : make(&t, argv[optind + 1], argv[optind + 2], below);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
