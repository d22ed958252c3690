/* SPDX-License-Identifier: Apache-2.0 */
/* The roots, and what is different since. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "rewind/rewind.h"

struct head { uint64_t id; char *name; bool met; };
struct list {
	struct lcpfs_pool *pool;
	const struct rewind_scope *scope;
	struct head *now;      /* datasets of the present */
	size_t n_now;
	struct cmd_json j;
	struct cmd_table t;
	/* of the root at hand */
	struct lcpfs_pool *old;
	const char *in;        /* dataset */
	uint64_t created, deleted, changed, renamed, ds_created, ds_destroyed;
	unsigned depth;        /* of JSON inside the root */
};

bool rewind_in_scope(const struct rewind_scope *s, const char *name)
{
	size_t n = strlen(s->dataset);

	if (s->all || !strcmp(name, s->dataset))
		return true;
	return s->below && (!n || (!strncmp(name, s->dataset, n) && name[n] == '/'));
}

static int note_now(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct list *l = arg;

	(void)err;
	if (!rewind_in_scope(l->scope, i->name))
		return 0;
	l->now = cmd_realloc(l->now, l->n_now + 1, sizeof *l->now);
	l->now[l->n_now++] = (struct head){ .id = i->id, .name = cmd_strdup(i->name) };
	return 0;
}

/* ---- changes from then to now ---- */

static void show_change(struct list *l, char kind, const char *path, const char *from)
{
	static const char *const words[] = { ['+'] = "created", ['-'] = "deleted", ['M'] = "changed", ['R'] = "renamed" };

	if (cmd.verbose && cmd.json) {
		cmd_json_object(&l->j, NULL);
		cmd_json_str(&l->j, "change", words[(int)kind]);
		cmd_json_str(&l->j, "dataset", l->in);
		if (path)
			cmd_json_name(&l->j, "path", path);
		if (from)
			cmd_json_name(&l->j, "from", from);
		cmd_json_end(&l->j);
	} else if (cmd.verbose) {
		printf("%s%c%s%s%s/%s", cmd.parsable ? "" : "    ", kind, cmd.parsable ? "\t" : " ", l->in, *l->in ? ":" : "", path ? path : "");
		if (from)
			printf("%s/%s", cmd.parsable ? "\t" : " (was ", from);
		puts(from && !cmd.parsable ? ")" : "");
	}
}

static int on_change(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	struct list *l = arg;

	(void)err;
	l->created += d->kind == LCPFS_DIFF_ADDED;
	l->deleted += d->kind == LCPFS_DIFF_REMOVED;
	l->changed += d->kind == LCPFS_DIFF_MODIFIED;
	l->renamed += d->kind == LCPFS_DIFF_RENAMED;
	show_change(l, d->kind, d->path, d->from);
	return 0;
}

static int compare(struct list *l, const struct lcpfs_ds_info *then, struct lcpfs_error *err)
{
	struct lcpfs_dataset *a = NULL, *b;
	size_t i = 0;
	int rc;

	if (!rewind_in_scope(l->scope, then->name))
		return 0;
	while (i < l->n_now && l->now[i].id != then->id)
		i++;
	l->in = then->name;
	if (i == l->n_now) {
		l->ds_destroyed++;
		show_change(l, LCPFS_DIFF_REMOVED, NULL, NULL);
		return 0;
	}
	l->now[i].met = true;
	b = cmd_dataset_of(l->pool, l->now[i].name, err);
	rc = b ? lcpfs_dataset_open(&a, l->old, then->name, err) : -err->code;
	if (!rc)
		rc = lcpfs_diff(a, b, 0, on_change, l, NULL, err);
	lcpfs_dataset_close(a);
	return rc;
}

static int on_then(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	return compare(arg, i, err);
}

static int differences(struct list *l, uint64_t txg, struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .threads = cmd.threads, .memory_bytes = cmd.memory_bytes };
	int rc = lcpfs_root_open(&l->old, l->pool, txg, &o, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < l->n_now; i++)
		l->now[i].met = false;
	rc = lcpfs_dataset_each(l->old, "", true, false, on_then, l, err);
	for (size_t i = 0; !rc && i < l->n_now; i++) {
		l->ds_created += !l->now[i].met;
		l->in = l->now[i].name;
		if (!l->now[i].met)
			show_change(l, LCPFS_DIFF_ADDED, NULL, NULL);
	}
	lcpfs_pool_close(l->old, NULL);
	return rc;
}

/* ---- a root ---- */

/* Its names can be told. */
static bool has_names(const struct lcpfs_root *r) { return r->state == LCPFS_ROOT_COMPLETE || r->state == LCPFS_ROOT_CONTENTS; }

static const char *state_word(const struct lcpfs_root *r)
{
	static const char *const words[] = { "unchecked", "complete", "contents overwritten", "overwritten", "gone" };

	return r->current ? (r->state == LCPFS_ROOT_COMPLETE ? "now" : "now, damaged") : words[r->state];
}

static void show_json_head(struct list *l, const struct lcpfs_root *r)
{
	static const char *const words[] = { "unchecked", "complete", "contents", "partly", "gone" };

	cmd_json_object(&l->j, NULL);
	cmd_json_u64(&l->j, "txg", r->txg);
	cmd_json_time(&l->j, "time", &r->time);
	cmd_json_str(&l->j, "state", words[r->state]);
	cmd_json_bool(&l->j, "current", r->current);
	cmd_json_bool(&l->j, "abandoned", r->abandoned);
	cmd_json_u64(&l->j, "bad_blocks", r->bad_blocks);
	if (r->why)
		cmd_json_str(&l->j, "reason", r->why);
	if (cmd.verbose && has_names(r))
		cmd_json_array(&l->j, "changes");
}

static void show_json_tail(struct list *l, const struct lcpfs_root *r)
{
	if (has_names(r)) {
		if (cmd.verbose)
			cmd_json_end(&l->j);
		cmd_json_u64(&l->j, "created", l->created);
		cmd_json_u64(&l->j, "deleted", l->deleted);
		cmd_json_u64(&l->j, "changed", l->changed);
		cmd_json_u64(&l->j, "renamed", l->renamed);
		cmd_json_u64(&l->j, "datasets_created", l->ds_created);
		cmd_json_u64(&l->j, "datasets_destroyed", l->ds_destroyed);
	}
	cmd_json_end(&l->j);
}

static void add_row(struct list *l, const struct lcpfs_root *r)
{
	char date[64];

	cmd_time_rfc3339(date, &r->time);
	if (!cmd.parsable)
		cmd_time_local(date, &r->time, "%Y-%m-%d %H:%M:%S");
	cmd_table_add(&l->t, "%" PRIu64, r->txg);
	cmd_table_add(&l->t, "%s", date);
	cmd_table_add(&l->t, "%s%s", state_word(r), r->abandoned ? ", abandoned" : "");
	if (!has_names(r)) {
		for (int i = 0; i < 3; i++)
			cmd_table_add(&l->t, "-");
		return;
	}
	cmd_table_add(&l->t, "%" PRIu64, l->created + l->ds_created);
	cmd_table_add(&l->t, "%" PRIu64, l->deleted + l->ds_destroyed);
	cmd_table_add(&l->t, "%" PRIu64, l->changed + l->renamed);
}

static const char *const heads[] = { "Commit", "Time", "State", "Created", "Deleted", "Changed" };

static int on_root(void *arg, const struct lcpfs_root *r, struct lcpfs_error *err)
{
	struct list *l = arg;
	int rc = 0;

	l->created = l->deleted = l->changed = l->renamed = l->ds_created = l->ds_destroyed = 0;
	if (cmd.json) {
		show_json_head(l, r);
	} else if (cmd.verbose) {
		char date[64];
		cmd_time_rfc3339(date, &r->time);
		printf(cmd.parsable ? "%" PRIu64 "\t%s\t%s%s\n" : "%" PRIu64 "  %s  %s%s\n", r->txg, date, state_word(r), r->abandoned ? ", abandoned" : "");
	}
	if (has_names(r) && !r->current)
		rc = differences(l, r->txg, err);
	if (!rc && cmd.json)
		show_json_tail(l, r);
	else if (!rc && !cmd.verbose)
		add_row(l, r);
	return rc;
}

int rewind_list(const struct cmd_target *t, const struct rewind_scope *s, bool data)
{
	struct list l = { .scope = s };
	struct lcpfs_error err = { 0 };
	int rc, status = CMD_OK;

	l.pool = cmd_pool(t, LCPFS_OPEN_RO, &status);
	if (!l.pool)
		return status;
	rc = lcpfs_dataset_each(l.pool, "", true, false, note_now, &l, &err);
	if (cmd.json) {
		cmd_json_start(&l.j, stdout);
		cmd_json_name(&l.j, "pool", t->pool);
		cmd_json_bool(&l.j, "written", false);
		cmd_json_array(&l.j, "roots");
	} else {
		cmd_table_init(&l.t, 6, heads, "rllrrr");
	}
	if (!rc)
		rc = lcpfs_root_each(l.pool, LCPFS_ROOT_CHECK | LCPFS_ROOT_CHECK_OLD | (data ? LCPFS_ROOT_CHECK_DATA : 0), on_root, &l, &err);
	if (!rc && cmd.json)
		cmd_json_finish(&l.j);
	else if (!cmd.json && !cmd.verbose)
		cmd_table_print(&l.t, stdout);
	if (rc)
		status = cmd_fail(&err, "cannot list the roots of '%s'", t->pool);
	else
		cmd_note("'%s' was only read: nothing was written", t->pool);
	for (size_t i = 0; i < l.n_now; i++)
		free(l.now[i].name);
	free(l.now);
	return status;
}
