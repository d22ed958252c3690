/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-ls: list directories and files of an image. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ls/ls.h"

static const struct option longs[] = {
	{ "all", no_argument, NULL, 'a' }, { "almost-all", no_argument, NULL, 'A' }, { "directory", no_argument, NULL, 'd' },
	{ "recursive", no_argument, NULL, 'R' }, { "human-readable", no_argument, NULL, 'h' }, { "inode", no_argument, NULL, 'i' },
	{ "numeric-uid-gid", no_argument, NULL, 'n' }, { "reverse", no_argument, NULL, 'r' }, { "classify", no_argument, NULL, 'F' },
	{ 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-ls",
	.synopsis = "lcpfs-ls [-aAdFhilnrRSt1] [-0 | --json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_READ | CMD_O_NUL | CMD_O_JSON,
	.letters = "aAdRlhintSrF1",
	.longs = longs,
};
struct ls_opts ls = { .sort = 'n' };
static struct cmd_json json;
static bool many, printed;

static void option(int ch)
{
	switch (ch) {
	case 'a': ls.all = ls.almost_all = true; break;
	case 'A': ls.almost_all = true; break;
	case 'd': ls.dir_itself = true; break;
	case 'R': ls.recursive = true; break;
	case 'l': ls.longs = true; break;
	case 'h': ls.human = true; break;
	case 'i': ls.inode = true; break;
	case 'n': ls.longs = ls.numeric = true; break;
	case 'r': ls.reverse = true; break;
	case 'F': ls.classify = true; break;
	case '1': ls.one = true; break;
	default: ls.sort = (char)ch; break;
	}
}

static int collect(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	(void)err;
	if (de->name[0] != '.' || ls.almost_all)
		items_add(arg, de->name, de->st, ls.longs || cmd.json ? de->target : NULL);
	return cmd_interrupted;
}

static void add_dots(struct lcpfs_dataset *ds, const char *path, struct items *l)
{
	struct lcpfs_stat st;
	char *up;

	if (!ls.all || lcpfs_stat(ds, path, LCPFS_FOLLOW, &st, NULL))
		return;
	items_add(l, ".", &st, NULL);
	up = cmd_path_join(path, "..");
	if (!lcpfs_stat(ds, up, 0, &st, NULL))
		items_add(l, "..", &st, NULL);
	free(up);
}

/* Directories still to list, the next one last. */
struct pending { struct todo { char *path; uint64_t ino; } *v; size_t n, cap; };

static void push(struct pending *p, char *path, uint64_t ino)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->v = cmd_realloc(p->v, p->cap, sizeof *p->v);
	}
	p->v[p->n++] = (struct todo){ path, ino };
}

static void push_subdirs(struct pending *p, const char *path, const struct items *l)
{
	for (size_t i = l->n; i-- > 0;) {
		const char *name = item_name(l, &l->v[i]);

		if (S_ISDIR(l->v[i].st.mode) && strcmp(name, ".") && strcmp(name, ".."))
			push(p, cmd_path_join(path, name), l->v[i].st.ino);
	}
}

static void heading(const struct cmd_target *t, const char *path)
{
	char *shown;

	if (printed)
		cmd_put_eol();
	printed = true;
	if (!many && !ls.recursive)
		return;
	fputs(t->pool, stdout);
	putchar(':');
	if (t->has_dataset)
		printf("%s:", t->dataset);
	shown = cmd_printf("/%s", path + strspn(path, "/"));
	cmd_put_name(shown);
	free(shown);
	putchar(':');
	cmd_put_eol();
}

static int list_dir(const struct cmd_target *t, struct lcpfs_dataset *ds, const struct todo *dir, struct items *l, struct pending *more)
{
	struct lcpfs_error err = { 0 };
	const char *path = dir->path;
	int status = CMD_OK;

	items_clear(l);
	add_dots(ds, path, l);
	if (lcpfs_readdir_ino(ds, dir->ino, true, collect, l, &err) < 0)
		status = cmd_fail(&err, "cannot list '%s:%s:%s'", t->pool, t->dataset, path);
	items_sort(l);
	status = cmd_worse(status, show_targets(ds, path, l));
	if (cmd.json) {
		show_json(&json, path, l);
	} else if (!status || l->n) {
		heading(t, path);
		show_items(l);
	}
	if (ls.recursive)
		push_subdirs(more, path, l);
	return status;
}

static int list_tree(const struct cmd_target *t, struct lcpfs_dataset *ds, uint64_t ino)
{
	struct pending p = { 0 };
	struct items l = { 0 };
	int status = CMD_OK;

	push(&p, cmd_strdup(t->path), ino);
	while (p.n) {
		struct todo dir = p.v[--p.n];

		status = cmd_worse(status, list_dir(t, ds, &dir, &l, &p));
		free(dir.path);
	}
	items_fini(&l);
	free(p.v);
	return status;
}

/* As ls does: a symlink named on the command line is followed, unless its own data are asked for. */
static int stat_operand(struct lcpfs_dataset *ds, const char *path, struct lcpfs_stat *st, struct lcpfs_error *err)
{
	size_t n = strlen(path);
	bool follow = (!ls.longs && !ls.dir_itself && !ls.classify) || (n && path[n - 1] == '/');

	if (follow && !lcpfs_stat(ds, path, LCPFS_FOLLOW, st, NULL))
		return 0;
	return lcpfs_stat(ds, path, 0, st, err);
}

static int one_file(const struct cmd_target *t, struct lcpfs_dataset *ds, const struct lcpfs_stat *st)
{
	struct lcpfs_error err = { 0 };
	struct items l = { 0 };
	char *target = NULL;
	int status = CMD_OK;

	items_add(&l, cmd.json ? t->path : t->text, st, NULL);
	if (S_ISLNK(st->mode) && (ls.longs || cmd.json) && lcpfs_readlink(ds, t->path, &target, &err))
		status = cmd_fail(&err, "cannot read the link '%s'", t->text);
	if (target)
		items_target(&l, 0, target);
	free(target);
	if (cmd.json)
		show_json(&json, NULL, &l);
	else
		show_items(&l);
	printed = true;
	items_fini(&l);
	return status;
}

static int list(const char *text)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_dataset *ds;
	struct lcpfs_stat st;
	struct cmd_target t;

	cmd_target(&t, text);
	ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (ds && stat_operand(ds, t.path, &st, &err))
		status = cmd_fail(&err, "cannot list '%s'", text);
	else if (ds && S_ISDIR(st.mode) && !ls.dir_itself)
		status = list_tree(&t, ds, st.ino);
	else if (ds)
		status = one_file(&t, ds, &st);
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (optind == argc)
		cmd_usage("no TARGET given");
	setvbuf(stdout, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, 1 << 17);
	many = argc - optind > 1;
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "entries");
	}
	for (; optind < argc; optind++)
		status = cmd_worse(status, list(argv[optind]));
	if (cmd.json)
		cmd_json_finish(&json);
	return cmd_finish(status);
}
