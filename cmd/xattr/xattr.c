/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-xattr: extended attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/edit.h"

enum { MAX_VALUE = 16 << 20 };
static const struct option longs[] = {
	{ "encoding", required_argument, NULL, 'e' }, { "no-dereference", no_argument, NULL, 'P' }, { "raw", no_argument, NULL, 'w' },
	{ "from", required_argument, NULL, 'F' }, { "create", no_argument, NULL, 'C' }, { "replace", no_argument, NULL, 'X' }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-xattr",
	.synopsis = "lcpfs-xattr list [-0P] [--json] [--live] [-j N] [--memory SIZE] TARGET ...\n"
	            "lcpfs-xattr get [-P] [-e FORM | --raw] [--json] [--live] [-j N] [--memory SIZE] TARGET [NAME ...]\n"
	            "lcpfs-xattr set [-nPqv] [--create | --replace] [-j N] [--memory SIZE] TARGET NAME VALUE\n"
	            "lcpfs-xattr set [-nPqv] [--create | --replace] [-j N] [--memory SIZE] --from FILE TARGET NAME\n"
	            "lcpfs-xattr rm [-nPqv] [-j N] [--memory SIZE] TARGET NAME ...",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_JSON | CMD_O_NUL,
	.letters = "e:P",
	.longs = longs,
};
static uint32_t follow = LCPFS_FOLLOW, set_flags;
static char form;
static bool raw;
static const char *from_file;

struct attr { char *name; void *value; size_t len; };
struct attrs { struct attr *v; size_t n; };

static int collect(void *arg, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	struct attrs *l = arg;
	struct attr *a;

	(void)err;
	l->v = cmd_realloc(l->v, l->n + 1, sizeof *l->v);
	a = &l->v[l->n++];
	a->name = cmd_strdup(name);
	a->value = cmd_alloc(len + 1);
	memcpy(a->value, value, len);
	a->len = len;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct attr *)a)->name, ((const struct attr *)b)->name);
}

static void attrs_fini(struct attrs *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].name);
		free(l->v[i].value);
	}
	free(l->v);
}

static void show_json(const char *text, const struct attrs *l, bool values)
{
	struct cmd_json j;

	cmd_json_start(&j, stdout);
	cmd_json_name(&j, "path", text);
	cmd_json_array(&j, "xattrs");
	for (size_t i = 0; i < l->n; i++) {
		cmd_json_object(&j, NULL);
		cmd_json_name(&j, "name", l->v[i].name);
		cmd_json_u64(&j, "size", l->v[i].len);
		if (values && !memchr(l->v[i].value, 0, l->v[i].len) && cmd_is_utf8(l->v[i].value))
			cmd_json_str(&j, "value", l->v[i].value);
		if (values)
			cmd_json_b64(&j, "value_b64", l->v[i].value, l->v[i].len);
		cmd_json_end(&j);
	}
	cmd_json_finish(&j);
}

/* All attributes of a file, sorted. */
static int read_all(const struct cmd_target *t, struct attrs *l)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct lcpfs_dataset *ds = cmd_dataset(t, LCPFS_OPEN_RO, &status);

	if (ds && lcpfs_xattr_each(ds, t->path, follow, collect, l, &err))
		status = cmd_fail(&err, "cannot read the attributes of '%s'", t->text);
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_name);
	return status;
}

static int list(char *argv[], int n)
{
	int status = CMD_OK;

	for (int i = 0; i < n; i++) {
		struct attrs l = { 0 };
		struct cmd_target t;
		cmd_target(&t, argv[i]);
		status = cmd_worse(status, read_all(&t, &l));
		if (cmd.json)
			show_json(argv[i], &l, false);
		for (size_t k = 0; k < l.n && !cmd.json; k++) {
			if (n > 1)
				printf("%s\t", argv[i]);
			cmd_put_name(l.v[k].name);
			cmd_put_eol();
		}
		attrs_fini(&l);
		cmd_target_fini(&t);
	}
	return status;
}

static void show_value(const struct attr *a, bool with_name)
{
	char *text = raw ? NULL : edit_value_print(a->value, a->len, form);
	bool plain = text && !form && text[0] == '"' && !with_name;

	if (with_name)
		printf("%s=", a->name);
	if (raw || plain) /* one value, readable: as it is */
		fwrite(a->value, 1, a->len, stdout);
	else
		fputs(text, stdout);
	if (!raw)
		putchar('\n');
	free(text);
}

/* Keep what is named; a name that is missing fails. */
static int pick(struct attrs *l, char *names[], int n, const char *text)
{
	struct attrs out = { 0 };
	int status = CMD_OK;

	for (int i = 0; i < n; i++) {
		size_t k = 0;
		while (k < l->n && strcmp(l->v[k].name, names[i]))
			k++;
		if (k == l->n)
			status = cmd_fail_code(LCPFS_ENODATA, "'%s' has no attribute '%s'", text, names[i]);
		else
			collect(&out, l->v[k].name, l->v[k].value, l->v[k].len, NULL);
	}
	attrs_fini(l);
	*l = out;
	return status;
}

static int get(char *argv[], int n)
{
	struct attrs l = { 0 };
	struct cmd_target t;
	int status;

	if (raw && n != 2)
		cmd_usage("--raw needs one NAME");
	cmd_target(&t, argv[0]);
	status = read_all(&t, &l);
	if (!status && n > 1)
		status = pick(&l, argv + 1, n - 1, argv[0]);
	if (cmd.json)
		show_json(argv[0], &l, true);
	for (size_t i = 0; i < l.n && !cmd.json; i++)
		show_value(&l.v[i], n != 2);
	attrs_fini(&l);
	cmd_target_fini(&t);
	return status;
}

static int read_file(const char *path, void **value, size_t *len)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *buf;

	if (!f)
		return cmd_fail_errno(errno, "cannot read '%s'", path);
	buf = cmd_alloc(MAX_VALUE + 1);
	*len = fread(buf, 1, MAX_VALUE + 1, f);
	*value = buf;
	if (ferror(f))
		return cmd_fail_errno(errno, "cannot read '%s'", path);
	if (f != stdin)
		fclose(f);
	return *len > MAX_VALUE ? cmd_fail_code(LCPFS_ELIMIT, "'%s' is too long for an attribute", path) : CMD_OK;
}

static int set(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct cmd_target t;
	void *value = NULL;
	size_t len = 0;
	int status = CMD_OK;

	if (!from_file == (n == 2))
		cmd_usage(from_file ? "VALUE and --from exclude each other" : "no VALUE given");
	if (from_file)
		status = read_file(from_file, &value, &len);
	else if (!edit_value_parse(argv[2], &value, &len))
		cmd_usage("'%s' is no value (write text, 0x and hex digits, 0s and base64)", argv[2]);
	cmd_target(&t, argv[0]);
	ds = status ? NULL : edit_dataset(&t, &status);
	if (ds && lcpfs_xattr_set(ds, t.path, follow | set_flags, argv[1], value, len, &err))
		status = cmd_fail(&err, "cannot set '%s' of '%s'", argv[1], argv[0]);
	else if (ds)
		cmd_did("%sset '%s' of '%s'", cmd.dry_run ? "would have " : "", argv[1], argv[0]);
	free(value);
	cmd_target_fini(&t);
	return edit_commit(status);
}

static int rm(char *argv[], int n)
{
	struct lcpfs_dataset *ds;
	struct cmd_target t;
	int status = CMD_OK;

	cmd_target(&t, argv[0]);
	ds = edit_dataset(&t, &status);
	for (int i = 1; ds && i < n; i++) {
		struct lcpfs_error err = { 0 };
		if (lcpfs_xattr_remove(ds, t.path, follow, argv[i], &err))
			status = cmd_fail(&err, "cannot remove '%s' of '%s'", argv[i], argv[0]);
		else
			cmd_did("%sremoved '%s' of '%s'", cmd.dry_run ? "would have " : "", argv[i], argv[0]);
	}
	cmd_target_fini(&t);
	return edit_commit(status);
}

static char encoding(const char *name)
{
	if (!strcmp(name, "text"))
		return 't';
	if (!strcmp(name, "hex"))
		return 'h';
	if (!strcmp(name, "base64"))
		return 'b';
	cmd_usage("-e: '%s' is none of text, hex, base64", name);
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "list", "P", 1, -1, list }, { "get", "Pew", 1, -1, get }, { "set", "PFCX", 2, 3, set }, { "rm", "P", 2, -1, rm },
	};
	char used[32] = "";
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		cmd_sub_used(used, ch);
		switch (ch) {
		case 'e': form = encoding(optarg); break;
		case 'P': follow = 0; break;
		case 'w': raw = true; break;
		case 'F': from_file = optarg; break;
		case 'C': set_flags = LCPFS_XATTR_CREATE; break;
		case 'X': set_flags = LCPFS_XATTR_REPLACE; break;
		}
	}
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, used, argc, argv));
}
