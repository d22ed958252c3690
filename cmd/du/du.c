/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lcpfs-du: how much space trees take in the pool.
 * One walk; a stack holds the totals of the directories that are open, and a directory is printed when the walk leaves it. An inode of
 * several names counts once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/cmd.h"

static const struct option longs[] = {
	{ "summarize", no_argument, NULL, 's' }, { "human-readable", no_argument, NULL, 'h' }, { "all", no_argument, NULL, 'a' },
	{ "max-depth", required_argument, NULL, 'd' }, { "bytes", no_argument, NULL, 'b' }, { "total", no_argument, NULL, 'c' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-du",
	.synopsis = "lcpfs-du [-abchps0] [-d DEPTH] [--json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_READ | CMD_O_JSON | CMD_O_NUL | CMD_O_PARSABLE,
	.letters = "shad:bc",
	.longs = longs,
};
static struct { bool human, all, apparent, total; unsigned max_depth; } o = { .max_depth = UINT32_MAX };
static struct cmd_json json;

/* Inode numbers of files with several names, seen once already: open addressing, a power of two of places, 0 = empty. */
struct seen { uint64_t *v; size_t n, cap; };

static bool seen_before(struct seen *s, uint64_t ino)
{
	size_t i;

	if (s->n * 2 >= s->cap) {
		struct seen old = *s;
		s->cap = old.cap ? old.cap * 2 : 256;
		s->v = cmd_alloc(s->cap * sizeof *s->v);
		s->n = 0;
		for (size_t k = 0; k < old.cap; k++)
			if (old.v[k])
				seen_before(s, old.v[k]);
		free(old.v);
	}
	for (i = ino * 0x9e3779b97f4a7c15u & (s->cap - 1); s->v[i]; i = (i + 1) & (s->cap - 1))
		if (s->v[i] == ino)
			return true;
	s->v[i] = ino;
	s->n++;
	return false;
}

struct level { char *path; uint64_t bytes, entries; };
struct walk {
	const struct cmd_target *t;
	struct level *v;
	size_t n, cap;
	struct seen seen;
	uint64_t total;
};

static void print_size(uint64_t bytes)
{
	char buf[16];

	if (o.human && !cmd.parsable)
		printf("%s\t", cmd_human(buf, bytes));
	else if (o.apparent || cmd.parsable)
		printf("%" PRIu64 "\t", bytes);
	else
		printf("%" PRIu64 "\t", (bytes + 1023) / 1024);
}

static void print_line(const struct walk *w, const char *path, uint64_t bytes, uint64_t entries)
{
	if (cmd.json) {
		cmd_json_object(&json, NULL);
		cmd_json_name(&json, "path", path);
		cmd_json_str(&json, "dataset", w->t->dataset);
		cmd_json_u64(&json, "bytes", bytes);
		cmd_json_u64(&json, "entries", entries);
		cmd_json_end(&json);
		return;
	}
	print_size(bytes);
	printf("%s:", w->t->pool);
	if (w->t->has_dataset)
		printf("%s:", w->t->dataset);
	putchar('/');
	cmd_put_name(path);
	cmd_put_eol();
}

/* Directories deeper than `depth` end here. */
static void leave(struct walk *w, size_t depth)
{
	while (w->n > depth) {
		struct level *l = &w->v[--w->n];
		if (w->n <= o.max_depth)
			print_line(w, l->path, l->bytes, l->entries);
		if (w->n) {
			w->v[w->n - 1].bytes += l->bytes;
			w->v[w->n - 1].entries += l->entries;
		} else {
			w->total += l->bytes;
		}
		free(l->path);
	}
}

static void enter(struct walk *w, const char *path, uint64_t bytes)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 32;
		w->v = cmd_realloc(w->v, w->cap, sizeof *w->v);
	}
	w->v[w->n++] = (struct level){ cmd_strdup(path), bytes, 1 };
}

static int visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct walk *w = arg;
	uint64_t bytes = o.apparent ? e->st->size : e->st->stored;

	(void)err;
	leave(w, e->depth);
	if (S_ISDIR(e->st->mode)) {
		enter(w, e->path, bytes);
		return 0;
	}
	if (e->st->nlink > 1 && seen_before(&w->seen, e->st->ino))
		return 0;
	if (!w->n) {
		w->total += bytes;
		print_line(w, e->path, bytes, 1);
		return 0;
	}
	w->v[w->n - 1].bytes += bytes;
	w->v[w->n - 1].entries++;
	if (o.all && e->depth <= o.max_depth)
		print_line(w, e->path, bytes, 1);
	return 0;
}

static int usage_of(const char *text, uint64_t *total)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct walk w = { 0 };
	struct lcpfs_dataset *ds;
	struct cmd_target t;

	cmd_target(&t, text);
	w.t = &t;
	ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (ds && lcpfs_walk(ds, t.path, 0, visit, &w, &err) < 0)
		status = cmd_fail(&err, "cannot walk '%s'", text);
	leave(&w, 0);
	*total += w.total;
	free(w.v);
	free(w.seen.v);
	cmd_target_fini(&t);
	return status;
}

static void print_total(uint64_t total)
{
	if (cmd.json) {
		cmd_json_end(&json);
		cmd_json_u64(&json, "total", total);
		return;
	}
	if (!o.total)
		return;
	print_size(total);
	fputs("total", stdout);
	cmd_put_eol();
}

static void option(int ch)
{
	switch (ch) {
	case 's': o.max_depth = 0; break;
	case 'h': o.human = true; break;
	case 'a': o.all = true; break;
	case 'b': o.apparent = true; break;
	case 'c': o.total = true; break;
	default: o.max_depth = (unsigned)cmd_number("-d", optarg, 0, UINT32_MAX - 1); break;
	}
}

int main(int argc, char *argv[])
{
	uint64_t total = 0;
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "entries");
	}
	for (; optind < argc; optind++)
		status = cmd_worse(status, usage_of(argv[optind], &total));
	print_total(total);
	if (cmd.json)
		cmd_json_finish(&json);
	return cmd_finish(status);
}
