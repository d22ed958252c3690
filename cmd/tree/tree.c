/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcpfs-tree: directories drawn as a tree.
 * The directories that are open lie on a stack of frames, not on the C stack: how deep an image goes is the image's choice.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/cmd.h"

static const struct option longs[] = {
	{ "all", no_argument, NULL, 'a' }, { "dirs-only", no_argument, NULL, 'd' }, { "level", required_argument, NULL, 'L' },
	{ "size", no_argument, NULL, 's' }, { "human-readable", no_argument, NULL, 'h' }, { "classify", no_argument, NULL, 'F' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-tree",
	.synopsis = "lcpfs-tree [-adFhs] [-L DEPTH] [--json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_READ | CMD_O_JSON,
	.letters = "adL:shF",
	.longs = longs,
};
static struct { bool all, dirs, size, human, classify; unsigned depth; } o = { .depth = UINT32_MAX };
static struct cmd_json json;
static uint64_t n_dirs, n_files;
static const char *bar = "|   ", *tee = "|-- ", *ell = "`-- ";

struct entry { char *name; uint32_t mode; uint64_t size; };
struct frame { char *path; struct entry *v; size_t n, cap, next; };
struct stack { struct frame *v; size_t n, cap; };

static int collect(void *arg, const struct lcpfs_dirent *de, struct lcpfs_error *err)
{
	struct frame *f = arg;

	(void)err;
	if ((de->name[0] == '.' && !o.all) || (o.dirs && !S_ISDIR(de->type)))
		return 0;
	if (f->n == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 16;
		f->v = cmd_realloc(f->v, f->cap, sizeof *f->v);
	}
	f->v[f->n++] = (struct entry){ cmd_strdup(de->name), de->st->mode, de->st->size };
	return 0;
}

static void push(struct stack *s, char *path)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->v = cmd_realloc(s->v, s->cap, sizeof *s->v);
	}
	memset(&s->v[s->n], 0, sizeof *s->v);
	s->v[s->n++].path = path;
}

static void pop(struct stack *s)
{
	struct frame *f = &s->v[--s->n];

	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].name);
	free(f->v);
	free(f->path);
}

static void put_label(struct lcpfs_dataset *ds, const struct frame *f, const struct entry *e)
{
	char buf[16];

	if (o.human)
		printf("[%4s]  ", cmd_human(buf, e->size));
	else if (o.size)
		printf("[%11" PRIu64 "]  ", e->size);
	cmd_put_name(e->name);
	if (S_ISLNK(e->mode)) {
		char *path = cmd_path_join(f->path, e->name), *target = NULL;
		if (!lcpfs_readlink(ds, path, &target, NULL)) {
			fputs(" -> ", stdout);
			cmd_put_name(target);
		}
		free(target);
		free(path);
	} else if (o.classify && S_ISDIR(e->mode)) {
		putchar('/');
	} else if (o.classify && S_ISREG(e->mode) && (e->mode & 0111)) {
		putchar('*');
	}
	putchar('\n');
}

static void put_entry(struct lcpfs_dataset *ds, const struct stack *s, const struct entry *e)
{
	const struct frame *top = &s->v[s->n - 1];

	if (cmd.json) {
		char *path = cmd_path_join(top->path, e->name);
		cmd_json_object(&json, NULL);
		cmd_json_name(&json, "path", path);
		cmd_json_u64(&json, "depth", s->n);
		cmd_json_str(&json, "type", cmd_type_name(e->mode));
		cmd_json_u64(&json, "size", e->size);
		cmd_json_end(&json);
		free(path);
		return;
	}
	for (size_t i = 0; i + 1 < s->n; i++)
		fputs(s->v[i].next < s->v[i].n ? bar : "    ", stdout);
	fputs(top->next < top->n ? tee : ell, stdout);
	put_label(ds, top, e);
}

static int read_top(struct lcpfs_dataset *ds, struct stack *s)
{
	struct lcpfs_error err = { 0 };
	struct frame *f = &s->v[s->n - 1];

	if (lcpfs_readdir(ds, f->path, true, collect, f, &err) < 0)
		return cmd_fail(&err, "cannot list '%s'", f->path);
	return CMD_OK;
}

static int draw(struct lcpfs_dataset *ds, const char *path)
{
	struct stack s = { 0 };
	int status;

	push(&s, cmd_strdup(path));
	status = read_top(ds, &s);
	while (s.n) {
		struct frame *f = &s.v[s.n - 1];
		struct entry *e;
		if (f->next == f->n) {
			pop(&s);
			continue;
		}
		e = &f->v[f->next++];
		put_entry(ds, &s, e);
		*(S_ISDIR(e->mode) ? &n_dirs : &n_files) += 1;
		if (S_ISDIR(e->mode) && s.n < o.depth) {
			push(&s, cmd_path_join(f->path, e->name));
			status = cmd_worse(status, read_top(ds, &s));
		}
	}
	free(s.v);
	return status;
}

static int tree(const char *text)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct lcpfs_stat st;
	struct cmd_target t;
	int status = CMD_OK;

	cmd_target(&t, text);
	ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (ds && lcpfs_stat(ds, t.path, LCPFS_FOLLOW, &st, &err)) {
		status = cmd_fail(&err, "cannot list '%s'", text);
	} else if (ds) {
		if (!cmd.json) {
			cmd_put_name(text);
			putchar('\n');
		}
		if (S_ISDIR(st.mode))
			status = draw(ds, t.path);
	}
	cmd_target_fini(&t);
	return status;
}

static void option(int ch)
{
	switch (ch) {
	case 'a': o.all = true; break;
	case 'd': o.dirs = true; break;
	case 's': o.size = true; break;
	case 'h': o.human = true; break;
	case 'F': o.classify = true; break;
	default: o.depth = (unsigned)cmd_number("-L", optarg, 1, UINT32_MAX); break;
	}
}

static void start(void)
{
	if (setlocale(LC_CTYPE, "") && !strcmp(nl_langinfo(CODESET), "UTF-8")) {
		bar = "│   ";
		tee = "├── ";
		ell = "└── ";
	}
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "entries");
	}
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (optind == argc)
		cmd_usage("no TARGET given");
	start();
	for (; optind < argc; optind++)
		status = cmd_worse(status, tree(argv[optind]));
	if (cmd.json) {
		cmd_json_end(&json);
		cmd_json_u64(&json, "directories", n_dirs);
		cmd_json_u64(&json, "files", n_files);
		cmd_json_finish(&json);
	} else {
		printf("\n%" PRIu64 " director%s", n_dirs, n_dirs == 1 ? "y" : "ies");
		if (!o.dirs)
			printf(", %" PRIu64 " file%s", n_files, n_files == 1 ? "" : "s");
		putchar('\n');
	}
	return cmd_finish(status);
}
