/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-diff: what differs between two snapshots, datasets or pools, or between two files. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "diff/diff.h"

enum { L_NAME_ONLY = 256, L_IGNORE_TIMES };
static const struct option longs[] = {
	{ "name-only", no_argument, NULL, L_NAME_ONLY }, { "ignore-times", no_argument, NULL, L_IGNORE_TIMES }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-diff",
	.synopsis = "lcpfs-diff [-0pqv] [--name-only] [--ignore-times] [--json] [--live] [-j N] [--memory SIZE] A [B]",
	.shared = CMD_O_READ | CMD_O_NUL | CMD_O_PARSABLE | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_JSON,
	.longs = longs,
};
static bool name_only;
static uint32_t flags;
static const char *below = "";       /* only this path and what is below it */
static bool any;

int diff_status(int status) { return status == CMD_FAILED || status == CMD_USAGE || status == CMD_PARTIAL ? DIFF_TROUBLE : status; }

static const struct { uint32_t bit; const char *name; } changes[] = {
	{ LCPFS_CHG_CONTENT, "content" }, { LCPFS_CHG_MODE, "mode" }, { LCPFS_CHG_OWNER, "owner" }, { LCPFS_CHG_TIME, "time" },
	{ LCPFS_CHG_XATTR, "xattr" }, { LCPFS_CHG_TYPE, "type" }, { LCPFS_CHG_TARGET, "target" }, { LCPFS_CHG_LINKS, "links" },
};

static void words(char out[96], uint32_t changed)
{
	size_t n = 0;

	*out = 0;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		if (changed & changes[i].bit)
			n += (size_t)snprintf(out + n, 96 - n, "%s%s", n ? "," : "", changes[i].name);
}

static void show_json(const struct lcpfs_diff *d)
{
	struct cmd_json j;
	char kind[2] = { d->kind, 0 };

	cmd_json_start(&j, stdout);
	cmd_json_str(&j, "kind", kind);
	cmd_json_name(&j, "path", d->path);
	if (d->from)
		cmd_json_name(&j, "from", d->from);
	cmd_json_str(&j, "type", cmd_type_name(d->mode));
	cmd_json_array(&j, "changed");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		if (d->changed & changes[i].bit)
			cmd_json_str(&j, NULL, changes[i].name);
	cmd_json_end(&j);
	cmd_json_u64(&j, "old_size", d->old_size);
	cmd_json_u64(&j, "new_size", d->new_size);
	cmd_json_finish(&j);
}

static void put_path(const char *path, uint32_t mode)
{
	putchar('/');
	cmd_put_name(path);
	if (S_ISDIR(mode) && *path && !cmd.nul && !cmd.parsable)
		putchar('/');
}

static void show_text(const struct lcpfs_diff *d)
{
	char changed[96];

	words(changed, d->changed);
	printf("%c\t", d->kind);
	if (cmd.parsable)
		printf("%s\t%llu\t%llu\t", *changed ? changed : "-", (unsigned long long)d->old_size, (unsigned long long)d->new_size);
	if (d->from) {
		put_path(d->from, d->mode);
		fputs(cmd.parsable || cmd.nul ? "\t" : " -> ", stdout);
	}
	put_path(d->path, d->mode);
	if (cmd.verbose && *changed)
		printf("\t(%s)", changed);
	cmd_put_eol();
}

static bool within(const char *path)
{
	size_t n = strlen(below);

	return !n || (path && !strncmp(path, below, n) && (!path[n] || path[n] == '/'));
}

static int visit(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	(void)arg;
	if (ferror(stdout))
		return cmd_err(err, LCPFS_EIO, "cannot write standard output");
	if (!within(d->path) && !within(d->from))
		return 0;
	any = true;
	if (cmd.quiet)
		return 1;
	if (cmd.json) {
		show_json(d);
	} else if (name_only) {
		cmd_put_name(*d->path ? d->path : ".");
		cmd_put_eol();
	} else {
		show_text(d);
	}
	return 0;
}

/* "/a//./b/" as diffs name it: "a/b". */
static char *plain(const char *path)
{
	char *out = cmd_alloc(strlen(path) + 1), *o = out;

	while (*path) {
		size_t n = strcspn(path, "/");
		if (n && !(n == 1 && *path == '.')) {
			if (o != out)
				*o++ = '/';
			memcpy(o, path, n);
			o += n;
		}
		path += n + (path[n] == '/');
	}
	*o = 0;
	return out;
}

static int trees(struct diff_file *a, struct diff_file *b)
{
	struct lcpfs_error err = { 0 };
	char *pa = plain(a->path), *pb = plain(b->path);
	int status = DIFF_SAME;

	below = pb;
	if (strcmp(pa, pb))
		status = diff_status(cmd_fail_code(LCPFS_EINVAL, "cannot compare '%s' with '%s': directories are compared at the same path", a->label, b->label));
	else if (lcpfs_diff(a->ds, b->ds, flags, visit, NULL, NULL, &err))
		status = diff_status(cmd_fail(&err, "cannot compare '%s' with '%s'", a->label, b->label));
	below = "";
	free(pa);
	free(pb);
	return status ? status : any ? DIFF_DIFFERS : DIFF_SAME;
}

/* An absent path is an empty tree, as long as the other side has it. */
static int look(struct diff_file *f, bool *there)
{
	struct lcpfs_error err = { 0 };
	int rc = lcpfs_stat(f->ds, f->path, LCPFS_FOLLOW, &f->st, &err);

	*there = !rc;
	if (!rc || rc == -LCPFS_ENOENT)
		return CMD_OK;
	return cmd_fail(&err, "cannot read '%s'", f->label);
}

static int compare(struct cmd_target *ta, struct cmd_target *tb)
{
	struct diff_file a = { .path = ta->path, .label = ta->text }, b = { .path = tb->path, .label = tb->text };
	bool in_a, in_b;
	int status = CMD_OK;

	a.ds = cmd_dataset(ta, LCPFS_OPEN_RO, &status);
	b.ds = a.ds ? cmd_dataset(tb, LCPFS_OPEN_RO, &status) : NULL;
	if (!b.ds)
		return diff_status(status);
	status = look(&a, &in_a);
	if (!status)
		status = look(&b, &in_b);
	if (status)
		return diff_status(status);
	if (!in_a && !in_b)
		return diff_status(cmd_fail_code(LCPFS_ENOENT, "neither '%s' nor '%s' exists", a.label, b.label));
	if (in_a && in_b && *a.path && S_ISREG(a.st.mode) && S_ISREG(b.st.mode) && !cmd.json && !name_only && !cmd.parsable && !cmd.nul)
		return diff_contents(&a, &b, cmd.quiet);
	return trees(&a, &b);
}

/* One operand: a snapshot, compared with what its dataset is now. */
static char *now_of(const struct cmd_target *a)
{
	char *head, *snap, *text;

	cmd_snap_split(a->dataset, &head, &snap);
	if (!snap)
		cmd_usage("no B given, and '%s' is no snapshot", a->text);
	text = cmd_printf("%s:%s%s%s", a->pool, head, a->has_path && *head ? ":" : "", a->has_path ? a->path : "");
	if (a->has_path && !*head && *a->path != '/') {
		free(text);
		text = cmd_printf("%s:/%s", a->pool, a->path);
	}
	free(head);
	free(snap);
	return text;
}

int main(int argc, char *argv[])
{
	struct cmd_target a, b;
	char *text;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		if (ch == L_NAME_ONLY)
			name_only = true;
		else
			flags |= LCPFS_DIFF_IGNORE_TIMES;
	if (argc - optind < 1 || argc - optind > 2)
		cmd_usage(argc == optind ? "no A given" : "at most A and B are compared");
	cmd_target(&a, argv[optind]);
	text = argc - optind == 2 ? cmd_strdup(argv[optind + 1]) : now_of(&a);
	cmd_target(&b, text);
	if (a.has_path && !b.has_path) { /* the same path of B */
		free(b.path);
		b.path = cmd_strdup(a.path);
	}
	status = compare(&a, &b);
	cmd_target_fini(&a);
	cmd_target_fini(&b);
	free(text);
	ch = cmd_finish(CMD_OK);
	return ch ? diff_status(ch) : status;
}
