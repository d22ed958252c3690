/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-undelete: what snapshots and older roots still have of deleted files, and bringing it back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "undelete/undelete.h"

enum { L_LIST = 256, L_TO, L_HOST, L_SINCE };
static const struct option longs[] = {
	{ "list", no_argument, NULL, L_LIST }, { "to", required_argument, NULL, L_TO }, { "extract", required_argument, NULL, L_HOST },
	{ "since", required_argument, NULL, L_SINCE }, { "recursive", no_argument, NULL, 'r' }, { "all", no_argument, NULL, 'a' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-undelete",
	.synopsis = "lcpfs-undelete --list [-pq] [--since TIME] [--json] [--live] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-undelete [-anqrv] [--since TIME] [--to DIR] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-undelete [-anqrv] [--since TIME] --extract DIR [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_PARSABLE | CMD_O_JSON,
	.letters = "ar",
	.longs = longs,
};

struct wish {
	const struct cmd_target *t;
	const char *path;          /* without slashes around it; "" all */
	const struct lcpfs_time *since;
	bool list, below, found, refused;
	struct cmd_table table;
	struct cmd_json j;
	struct back back;
	int status;
};

static char *source_of(const struct lcpfs_deleted *d)
{
	return d->snap ? cmd_printf("@%s", d->snap) : cmd_printf("commit %" PRIu64, d->txg);
}

static void show_json(struct wish *w, const struct lcpfs_deleted *d)
{
	cmd_json_object(&w->j, NULL);
	cmd_json_str(&w->j, "dataset", w->t->dataset);
	cmd_json_name(&w->j, "path", d->path);
	cmd_json_stat(&w->j, d->st);
	cmd_json_u64(&w->j, "txg", d->txg);
	cmd_json_str(&w->j, "snapshot", d->snap);
	cmd_json_time(&w->j, "last_seen", &d->last_seen);
	cmd_json_time(&w->j, "gone_by", &d->gone_by);
	cmd_json_bool(&w->j, "contents_lost", d->lost);
	cmd_json_end(&w->j);
}

static void show_row(struct wish *w, const struct lcpfs_deleted *d)
{
	char gone[64], made[64], buf[24], *from = source_of(d);

	cmd_time_rfc3339(gone, &d->gone_by);
	cmd_time_rfc3339(made, &d->st->mtime);
	if (!cmd.parsable) {
		cmd_time_local(gone, &d->gone_by, "%Y-%m-%d %H:%M:%S");
		cmd_time_local(made, &d->st->mtime, "%Y-%m-%d %H:%M:%S");
	}
	cmd_table_add(&w->table, "%s", gone);
	cmd_table_add(&w->table, "%s", made);
	cmd_table_add(&w->table, "%s", cmd_bytes(buf, d->st->size));
	cmd_table_add(&w->table, "%s", d->lost ? "lost" : from);
	cmd_table_add(&w->table, "%s%s", d->path, S_ISDIR(d->st->mode) ? "/" : "");
	free(from);
}

static int restore(struct wish *w, const struct lcpfs_deleted *d, struct lcpfs_error *err)
{
	char *to = NULL, *from;
	int rc;

	if (d->lost) {
		w->status = cmd_worse(w->status, CMD_PARTIAL);
		cmd_fail_code(LCPFS_EPARTIAL, "'/%s' is left out: its contents are overwritten", d->path);
		return 0;
	}
	if (cmd.dry_run && w->back.host >= 0) {
		cmd_did("would have brought back '/%s'", d->path);
		return 0;
	}
	rc = back_one(&w->back, d, &to, err);
	if (rc == -LCPFS_EPARTIAL) {
		w->status = cmd_worse(w->status, CMD_PARTIAL);
		rc = 0;
	}
	if (!rc && to) {
		from = source_of(d);
		cmd_did("%sbrought back '/%s' from %s%s%s%s", ds_would(), d->path, from, strcmp(to, d->path) ? " as '" : "", strcmp(to, d->path) ? to : "",
		    strcmp(to, d->path) ? "'" : "");
		free(from);
	}
	free(to);
	return rc;
}

static int on_deleted(void *arg, const struct lcpfs_deleted *d, struct lcpfs_error *err)
{
	struct wish *w = arg;

	w->found = true;
	if (w->list) {
		if (cmd.json)
			show_json(w, d);
		else
			show_row(w, d);
		return 0;
	}
	if (!w->below && S_ISDIR(d->st->mode))
		return cmd_err(err, LCPFS_EISDIR, "'/%s' is a directory: -r brings back what was in it, too", d->path);
	if (!w->below && strcmp(d->path, w->path))
		return 0;
	return restore(w, d, err);
}

static char *trimmed(const char *path)
{
	char *p = cmd_strdup(path + strspn(path, "/"));

	for (size_t n = strlen(p); n && p[n - 1] == '/'; n--)
		p[n - 1] = 0;
	return p;
}

static int look(struct wish *w, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK, rc;
	struct lcpfs_dataset *ds = w->list || w->back.host >= 0 ? cmd_dataset(t, LCPFS_OPEN_RO, &status) : edit_dataset(t, &status);
	char *path = trimmed(t->path);

	w->t = t;
	w->path = path;
	w->found = false;
	w->back.to = w->back.host >= 0 ? NULL : ds;
	rc = ds ? lcpfs_deleted_each(lcpfs_dataset_pool(ds), t->dataset, path, w->since, on_deleted, w, &err) : 0;
	if (ds && !rc && !w->list)
		rc = back_end(&w->back, &err);
	if (rc)
		status = cmd_fail(&err, w->list ? "cannot list what was deleted of '%s'" : "cannot bring back '%s'", t->text);
	else if (ds && !w->found && !w->list)
		status = cmd_fail_code(LCPFS_ENOENT, "nothing deleted at '%s' is known to snapshots or older roots", t->text);
	free(path);
	return status;
}

static int open_host(struct wish *w, const char *dir)
{
	w->back.host = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->back.host_name = dir;
	return w->back.host < 0 ? cmd_fail_errno(errno, "cannot open '%s'", dir) : CMD_OK;
}

static int each(struct wish *w, char *argv[], int n)
{
	int status = CMD_OK;

	for (int i = 0; i < n && (w->list || status == CMD_OK); i++) {
		struct cmd_target t;

		cmd_target(&t, argv[i]);
		if (strchr(t.dataset, '@'))
			cmd_usage("'%s' is in a snapshot: name the file in the dataset", t.text);
		if (!w->list && !w->below && !t.path[strspn(t.path, "/")])
			cmd_usage("'%s' names no file (-r brings back all that was deleted)", t.text);
		status = cmd_worse(status, look(w, &t));
		cmd_target_fini(&t);
	}
	return status;
}

static int list(struct wish *w, char *argv[], int n)
{
	static const char *const heads[] = { "Gone by", "Modified", "Size", "From", "Path" };
	int status;

	if (cmd.json) {
		cmd_json_start(&w->j, stdout);
		cmd_json_bool(&w->j, "written", false);
		cmd_json_array(&w->j, "deleted");
	} else {
		cmd_table_init(&w->table, 5, heads, "llrll");
	}
	status = each(w, argv, n);
	if (cmd.json)
		cmd_json_finish(&w->j);
	else
		cmd_table_print(&w->table, stdout);
	cmd_note("pools were only read: nothing was written");
	return status;
}

static int bring_back(struct wish *w, char *argv[], int n, const char *host)
{
	int status = host ? open_host(w, host) : CMD_OK;

	if (!status)
		status = each(w, argv, n);
	if (!status && !host)
		status = edit_commit(status);
	else if (!host)
		cmd_note("nothing was changed");
	if (!status && !cmd.dry_run)
		cmd_note("%" PRIu64 " brought back", w->back.n);
	return cmd_worse(status, w->status);
}

int main(int argc, char *argv[])
{
	const char *to = NULL, *host = NULL;
	struct wish w = { .status = CMD_OK };
	struct lcpfs_time since;
	int ch, status;

	cmd_init(&spec);
	back_init(&w.back);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		w.list |= ch == L_LIST;
		w.below |= ch == 'r';
		w.back.versions |= ch == 'a';
		to = ch == L_TO ? optarg : to;
		host = ch == L_HOST ? optarg : host;
		if (ch == L_SINCE) {
			since = cmd_time("--since", optarg);
			w.since = &since;
		}
	}
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (w.list ? to || host || w.below || w.back.versions : cmd.json || cmd.parsable)
		cmd_usage("--list takes --since, -p and --json, and only it takes the last two");
	if (to && host)
		cmd_usage("--to and --extract exclude each other");
	w.back.prefix = to ? to + strspn(to, "/") : "";
	cmd_catch_signals();
	status = w.list ? list(&w, argv + optind, argc - optind) : bring_back(&w, argv + optind, argc - optind, host);
	back_fini(&w.back);
	return cmd_finish(status);
}
