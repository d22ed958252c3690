/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-hash: sums of the files of a dataset or snapshot, in the lists that the usual tools read, and checking such lists. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "list.h"

enum { L_FORMAT = 256 };
static const struct option longs[] = {
	{ "algorithm", required_argument, NULL, 'a' }, { "check", required_argument, NULL, 'c' }, { "format", required_argument, NULL, L_FORMAT }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-hash",
	.synopsis = "lcpfs-hash [-0q] [-a NAME[,NAME...]] [--format FORM] [-o FILE] [--json] [--live] [-j N] [--memory SIZE] TARGET\n"
	            "lcpfs-hash -c LIST [-q] [-a NAME] [--live] [-j N] [--memory SIZE] TARGET",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_JSON | CMD_O_OUTPUT | CMD_O_NUL,
	.letters = "a:c:",
	.longs = longs,
};

struct work {
	const struct algo *use[ALGOS_MAX];
	const char *names[ALGOS_MAX];
	unsigned n;
	enum form form;
	struct cmd_out out[ALGOS_MAX];     /* the first one only, unless each sum has a file of its own */
	bool apart;
	struct crew *crew;
	struct lcpfs_dataset *ds;
	size_t skip;                       /* of paths: what lies above TARGET */
	/* checking */
	struct line *lines;
	size_t n_lines, next, bad, missing, malformed;
	int status;
};

static void use_algo(struct work *w, const struct algo *a)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->use[i] == a)
			return;
	w->names[w->n] = a->name;
	w->use[w->n++] = a;
}

static void use_algos(struct work *w, const char *text)
{
	for (size_t n; *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		if (!algo_by_name(text, n))
			cmd_usage("-a: unknown sum '%.*s': md5, sha1, sha256, sha512 or blake3", (int)n, text);
		use_algo(w, algo_by_name(text, n));
	}
}

static enum form form_of(const char *text)
{
	static const char *const names[] = { "sums", "tag", "hashdeep" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(text, names[i]))
			return (enum form)i;
	cmd_usage("--format: '%s' is not sums, tag or hashdeep", text);
}

/* ---- the crew ---- */

static int start(struct work *w, crew_done *done, struct lcpfs_error *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = cmd.threads ? cmd.threads : cpus > 0 ? (unsigned)cpus : 1;
	uint64_t memory = cmd.memory_bytes ? cmd.memory_bytes : 256u << 20;

	return crew_create(&w->crew, w->names, w->n, threads, (size_t)(memory / 4), done, w, err);
}

/* A file that cannot be read is named and left out; anything else ends the run. */
static int feed(struct work *w, uint64_t ino, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	int rc = crew_file(w->crew, w->ds, ino, path, &why);

	if (rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT || rc == -LCPFS_EIO || rc == -LCPFS_ENOKEY) {
		w->status = cmd_worse(w->status, cmd_fail(&why, "cannot read '%s'", path));
		return 0;
	}
	if (rc)
		*err = why;
	return rc ? rc : cmd_interrupted ? cmd_err(err, LCPFS_ECANCEL, "interrupted") : 0;
}

/* ---- lists ---- */

static int show_json(struct work *w, const char *path, uint64_t size, const struct sums *s)
{
	struct cmd_json j;

	cmd_json_start(&j, w->out[0].f);
	cmd_json_name(&j, "path", path);
	cmd_json_u64(&j, "size", size);
	for (unsigned i = 0; i < w->n; i++)
		cmd_json_str(&j, w->use[i]->name, s->hex[i]);
	cmd_json_finish(&j);
	return 0;
}

static int show(void *arg, const char *path, uint64_t size, const struct sums *s, struct lcpfs_error *err)
{
	struct work *w = arg;
	char end = cmd.nul ? 0 : '\n';

	if (cmd.json)
		return show_json(w, path, size, s);
	if (w->form == FORM_HASHDEEP)
		fprintf(w->out[0].f, "%" PRIu64, size);
	for (unsigned i = 0; i < w->n; i++) {
		FILE *f = w->out[w->apart ? i : 0].f;
		if (w->form == FORM_HASHDEEP)
			fprintf(f, ",%s", s->hex[i]);
		else if (w->form == FORM_TAG)
			list_put_tag(f, w->use[i], s->hex[i], path, end);
		else
			list_put_sum(f, s->hex[i], path, end);
	}
	if (w->form == FORM_HASHDEEP)
		fprintf(w->out[0].f, ",%s%c", path, end);
	return ferror(w->out[0].f) ? cmd_err(err, LCPFS_EIO, "the output cannot be written") : 0;
}

static int on_entry(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct work *w = arg;
	const char *path = e->path + (strlen(e->path) > w->skip ? w->skip : 0);

	if (!S_ISREG(e->st->mode))
		return 0;
	return feed(w, e->st->ino, path + strspn(path, "/"), err);
}

static int open_lists(struct work *w, struct lcpfs_error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < (w->apart ? w->n : 1) && !rc; i++) {
		char *name = w->apart ? cmd_printf("%s.%s", cmd.output, w->use[i]->suffix) : NULL;
		rc = cmd_out_open(&w->out[i], name ? name : cmd.output, err);
		free(name);
	}
	if (rc || w->form != FORM_HASHDEEP)
		return rc;
	fputs("%%%% HASHDEEP-1.0\n%%%% size", w->out[0].f);
	for (unsigned i = 0; i < w->n; i++)
		fprintf(w->out[0].f, ",%s", w->use[i]->name);
	fputs(",filename\n## made by lcpfs-hash\n##\n", w->out[0].f);
	return 0;
}

static size_t length_above(struct lcpfs_dataset *ds, const char *path)
{
	const char *p = path + strspn(path, "/"), *slash;
	struct lcpfs_stat st;
	size_t n = strlen(p);

	while (n && p[n - 1] == '/')
		n--;
	if (lcpfs_stat(ds, path, 0, &st, NULL) || S_ISDIR(st.mode))
		return n;
	slash = strrchr(p, '/');
	return slash ? (size_t)(slash - p) : 0;
}

static int make_list(struct work *w, const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int rc;

	w->ds = cmd_dataset(t, LCPFS_OPEN_RO, &w->status);
	if (!w->ds)
		return w->status;
	w->skip = length_above(w->ds, t->path);
	w->apart = w->n > 1 && w->form == FORM_SUMS && cmd.output && !cmd.json;
	rc = open_lists(w, &err);
	if (!rc)
		rc = start(w, show, &err);
	if (!rc)
		rc = lcpfs_walk(w->ds, t->path, 0, on_entry, w, &err);
	if (!rc)
		rc = crew_wait(w->crew, &err);
	crew_destroy(w->crew);
	for (unsigned i = 0; i < ALGOS_MAX; i++) {
		if (!rc && w->out[i].f)
			rc = cmd_out_commit(&w->out[i], &err);
		else
			cmd_out_abort(&w->out[i]);
	}
	if (rc)
		return cmd_worse(w->status, cmd_fail(&err, "cannot hash '%s'", t->text));
	cmd_note("'%s' was only read: nothing was written", t->pool);
	return w->status;
}

/* ---- checking ---- */

static int read_list(struct work *w, const char *name, const struct algo *untagged)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "r") : stdin;
	struct list_form lf = { .n = 0 };
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return cmd_fail_errno(errno, "cannot open '%s'", name);
	while ((n = getline(&text, &cap, f)) > 0) {
		struct line line;
		bool comment;
		if (text[n - 1] == '\n')
			text[n - 1] = 0;
		if (!list_parse(&lf, text, untagged, &line, &comment)) {
			w->malformed += !comment;
			continue;
		}
		w->lines = cmd_realloc(w->lines, w->n_lines + 1, sizeof *w->lines);
		w->lines[w->n_lines++] = line;
		for (size_t i = 0; i < ALGOS_MAX; i++)
			if (*line.hex[i])
				use_algo(w, &algos[i]);
	}
	free(text);
	if (f != stdin)
		fclose(f);
	return CMD_OK;
}

static void tell(struct work *w, const char *path, const char *word, bool bad)
{
	w->bad += bad;
	if (bad || !cmd.quiet)
		printf("%s: %s\n", path, word);
}

/* Results come in the order of lines; those that could not be read are not among them. */
static int compare(void *arg, const char *path, uint64_t size, const struct sums *s, struct lcpfs_error *err)
{
	struct work *w = arg;
	const struct line *l;
	bool same = true;

	(void)size, (void)err;
	while (strcmp(w->lines[w->next].name, path))
		w->next++;
	l = &w->lines[w->next++];
	for (unsigned i = 0; i < w->n; i++) {
		const char *want = l->hex[w->use[i] - algos];
		same &= !*want || !strcmp(want, s->hex[i]);
	}
	tell(w, path, same ? "OK" : "FAILED", !same);
	return 0;
}

static int check_line(struct work *w, const struct cmd_target *t, const struct line *l, struct lcpfs_error *err)
{
	char *path = cmd_path_join(t->path, l->name);
	struct lcpfs_stat st;
	int rc = lcpfs_stat(w->ds, path, LCPFS_FOLLOW, &st, NULL);

	if (rc || !S_ISREG(st.mode)) {
		rc = crew_wait(w->crew, err);
		tell(w, l->name, "FAILED open or read", true);
		w->missing++;
	} else {
		rc = feed(w, st.ino, l->name, err);
	}
	free(path);
	return rc;
}

static int check(struct work *w, const struct cmd_target *t, const char *name)
{
	const struct algo *untagged = w->n ? w->use[0] : NULL;
	struct lcpfs_error err = { 0 };
	int rc;

	w->n = 0;
	w->ds = cmd_dataset(t, LCPFS_OPEN_RO, &w->status);
	if (!w->ds || (w->status = read_list(w, name, untagged)))
		return w->status;
	if (!w->n_lines)
		return cmd_fail_code(LCPFS_EINVAL, "'%s' has no line with a sum", name);
	rc = start(w, compare, &err);
	for (size_t i = 0; i < w->n_lines && !rc; i++)
		rc = check_line(w, t, &w->lines[i], &err);
	if (!rc)
		rc = crew_wait(w->crew, &err);
	crew_destroy(w->crew);
	for (size_t i = 0; i < w->n_lines; i++)
		free(w->lines[i].name);
	free(w->lines);
	if (rc)
		return cmd_fail(&err, "cannot check '%s'", t->text);
	if (w->malformed)
		cmd_note("%zu lines of '%s' are not understood", w->malformed, name);
	if (w->bad)
		w->status = cmd_worse(w->status, cmd_fail_code(LCPFS_EINVAL, "%zu of %zu files do not match the list", w->bad, w->n_lines));
	return w->status;
}

int main(int argc, char *argv[])
{
	const char *list = NULL, *form = NULL;
	struct work w = { .status = CMD_OK };
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		if (ch == 'a')
			use_algos(&w, optarg);
		list = ch == 'c' ? optarg : list;
		form = ch == L_FORMAT ? optarg : form;
	}
	if (argc - optind != 1)
		cmd_usage("one TARGET is needed");
	if (list && (form || cmd.output || cmd.json || cmd.nul || w.n > 1))
		cmd_usage("-c takes one -a at most, and no options of lists");
	w.form = form ? form_of(form) : w.n > 1 && !cmd.output ? FORM_TAG : FORM_SUMS;
	if (!w.n && !list)
		use_algos(&w, w.form == FORM_HASHDEEP ? "md5,sha256" : "sha256");
	for (unsigned i = 0; i < w.n && w.form == FORM_HASHDEEP; i++)
		if (w.use[i] > &algos[2])
			cmd_usage("hashdeep knows md5, sha1 and sha256 only");
	if (w.n > 1 && w.form == FORM_SUMS && !cmd.output && !cmd.json)
		cmd_usage("several sums in this form need -o, which makes a file of each");
	cmd_target(&t, argv[optind]);
	cmd_catch_signals();
	status = list ? check(&w, &t, list) : make_list(&w, &t);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
