/* SPDX-License-Identifier: Apache-2.0 */
/* find: from words to the tree. Grammar: or := and { -o and }; and := not { [-a] not }; not := { ! } primary. */
#include <ctype.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "find/find.h"

struct parser { struct plan *p; char **v; int n, i; };

static struct node *parse_or(struct parser *ps);

static struct node *new_node(eval_fn *eval)
{
	struct node *n = cmd_alloc(sizeof *n);

	n->eval = eval;
	return n;
}

static struct node *pair(eval_fn *eval, struct node *a, struct node *b)
{
	struct node *n = new_node(eval);

	n->a = a;
	n->b = b;
	return n;
}

static const char *peek(const struct parser *ps) { return ps->i < ps->n ? ps->v[ps->i] : NULL; }

static bool accept(struct parser *ps, const char *a, const char *b)
{
	const char *w = peek(ps);

	if (!w || (strcmp(w, a) && (!b || strcmp(w, b))))
		return false;
	ps->i++;
	return true;
}

static const char *argument(struct parser *ps, const char *what)
{
	if (ps->i == ps->n)
		cmd_usage("%s needs an argument", what);
	return ps->v[ps->i++];
}

/* "+N", "-N" or "N". */
static const char *comparison(struct node *n, const char *text)
{
	n->cmp = *text == '+' || *text == '-' ? *text++ : '=';
	return text;
}

static void arg_number(struct parser *ps, struct node *n, const char *what)
{
	n->num = cmd_number(what, comparison(n, argument(ps, what)), 0, UINT64_MAX);
	n->time = cmd_now();
}

static void arg_size(struct parser *ps, struct node *n, const char *what)
{
	static const struct { char c; uint64_t unit; } units[] = {
		{ 'c', 1 }, { 'w', 2 }, { 'b', 512 }, { 'k', 1024 }, { 'K', 1024 }, { 'M', 1 << 20 }, { 'G', 1 << 30 }, { 'T', 1ull << 40 },
	};
	const char *text = comparison(n, argument(ps, what));
	char *digits = cmd_strdup(text);
	size_t len = strlen(digits);

	n->unit = 512;
	for (size_t i = 0; len && i < sizeof units / sizeof *units; i++)
		if (digits[len - 1] == units[i].c) {
			n->unit = units[i].unit;
			digits[len - 1] = 0;
			break;
		}
	n->num = cmd_number(what, digits, 0, UINT64_MAX);
	free(digits);
}

static void arg_type(struct parser *ps, struct node *n, const char *what)
{
	static const struct { char c; uint32_t mode; } types[] = {
		{ 'f', S_IFREG }, { 'd', S_IFDIR }, { 'l', S_IFLNK }, { 'p', S_IFIFO }, { 's', S_IFSOCK }, { 'c', S_IFCHR }, { 'b', S_IFBLK },
	};
	const char *text = argument(ps, what);

	for (const char *s = text; *s; s++) {
		size_t i;
		if (*s == ',' && s != text)
			continue;
		for (i = 0; i < 7 && types[i].c != *s; i++)
			;
		if (i == 7)
			cmd_usage("%s: '%s' is none of f d l p s c b", what, text);
		n->types |= 1u << (types[i].mode >> 12);
	}
}

static void arg_perm(struct parser *ps, struct node *n, const char *what)
{
	const char *text = argument(ps, what);
	struct cmd_mode m;

	n->cmp = *text == '-' || *text == '/' ? *text++ : '=';
	cmd_mode(what, text, &m);
	n->num = cmd_mode_apply(&m, 0);
}

static void arg_text(struct parser *ps, struct node *n, const char *what) { n->text = argument(ps, what); }

static void arg_user(struct parser *ps, struct node *n, const char *what)
{
	uint32_t uid, gid;

	cmd_owner(what, argument(ps, what), &uid, &gid);
	n->cmp = '=';
	n->num = uid;
}

static void arg_group(struct parser *ps, struct node *n, const char *what)
{
	char *text = cmd_printf(":%s", argument(ps, what));
	uint32_t uid, gid;

	cmd_owner(what, text, &uid, &gid);
	n->cmp = '=';
	n->num = gid;
	free(text);
}

static void arg_time(struct parser *ps, struct node *n, const char *what) { n->time = cmd_time(what, argument(ps, what)); }

/* The time of a file: TARGET, or a host path when it holds no ':'. */
static void arg_newer(struct parser *ps, struct node *n, const char *what)
{
	const char *text = argument(ps, what);
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct cmd_target t;
	struct lcpfs_stat st;
	struct stat hs;
	int status = CMD_OK;

	cmd_target(&t, text);
	if (!t.is_pool) {
		if (stat(text, &hs))
			cmd_usage("%s: no file '%s'", what, text);
		n->time = (struct lcpfs_time){ hs.st_mtim.tv_sec, (uint32_t)hs.st_mtim.tv_nsec };
	} else {
		ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
		if (ds && lcpfs_stat(ds, t.path, LCPFS_FOLLOW, &st, &err))
			status = cmd_fail(&err, "cannot stat '%s'", text);
		if (status)
			exit(cmd_finish(status));
		n->time = st.mtime;
	}
	cmd_target_fini(&t);
}

static void arg_format(struct parser *ps, struct node *n, const char *what)
{
	n->text = argument(ps, what);
	find_check_format(n->text);
}

static const struct primary {
	const char *name;
	eval_fn *eval;
	void (*arg)(struct parser *ps, struct node *n, const char *what);
	char which; /* of the time tests: m a c B */
	bool action;
} primaries[] = {
	{ "-name", find_name, arg_text, 0, false }, { "-iname", find_iname, arg_text, 0, false },
	{ "-path", find_path, arg_text, 0, false }, { "-wholename", find_path, arg_text, 0, false },
	{ "-ipath", find_ipath, arg_text, 0, false }, { "-type", find_type, arg_type, 0, false },
	{ "-size", find_size, arg_size, 0, false }, { "-perm", find_perm, arg_perm, 0, false },
	{ "-mtime", find_days, arg_number, 'm', false }, { "-atime", find_days, arg_number, 'a', false },
	{ "-ctime", find_days, arg_number, 'c', false }, { "-mmin", find_minutes, arg_number, 'm', false },
	{ "-amin", find_minutes, arg_number, 'a', false }, { "-cmin", find_minutes, arg_number, 'c', false },
	{ "-newer", find_newer, arg_newer, 'm', false }, { "-newermt", find_newer, arg_time, 'm', false },
	{ "-newerat", find_newer, arg_time, 'a', false }, { "-newerct", find_newer, arg_time, 'c', false },
	{ "-newerBt", find_newer, arg_time, 'B', false },
	{ "-user", find_uid, arg_user, 0, false }, { "-group", find_gid, arg_group, 0, false },
	{ "-uid", find_uid, arg_number, 0, false }, { "-gid", find_gid, arg_number, 0, false },
	{ "-links", find_links, arg_number, 0, false }, { "-inum", find_inum, arg_number, 0, false },
	{ "-empty", find_empty, NULL, 0, false }, { "-prune", find_prune, NULL, 0, false },
	{ "-true", find_true, NULL, 0, false }, { "-false", find_false, NULL, 0, false },
	{ "-quit", find_quit, NULL, 0, true }, { "-print", find_print, NULL, 0, true },
	{ "-print0", find_print0, NULL, 0, true }, { "-printf", find_printf, arg_format, 0, true },
	{ "-ls", find_ls, NULL, 0, true },
};

/* What is true for the whole search wherever it stands. */
static bool global(struct parser *ps)
{
	if (accept(ps, "-maxdepth", NULL))
		ps->p->maxdepth = (unsigned)cmd_number("-maxdepth", argument(ps, "-maxdepth"), 0, UINT32_MAX);
	else if (accept(ps, "-mindepth", NULL))
		ps->p->mindepth = (unsigned)cmd_number("-mindepth", argument(ps, "-mindepth"), 0, UINT32_MAX);
	else if (accept(ps, "-depth", NULL))
		ps->p->depth_first = true;
	else
		return false;
	return true;
}

static struct node *parse_primary(struct parser *ps)
{
	const char *w = peek(ps);
	struct node *n;

	if (!w)
		cmd_usage("the expression ends too early");
	if (accept(ps, "(", "\\(")) {
		n = parse_or(ps);
		if (!accept(ps, ")", "\\)"))
			cmd_usage("a '(' has no ')'");
		return n;
	}
	if (global(ps))
		return new_node(find_true);
	for (size_t i = 0; i < sizeof primaries / sizeof *primaries; i++) {
		if (strcmp(w, primaries[i].name))
			continue;
		ps->i++;
		n = new_node(primaries[i].eval);
		if (primaries[i].arg)
			primaries[i].arg(ps, n, w);
		if (primaries[i].which)
			n->types = (unsigned char)primaries[i].which;
		ps->p->has_action |= primaries[i].action && primaries[i].eval != find_quit;
		return n;
	}
	cmd_usage("unknown test or action '%s'", w);
}

static struct node *parse_not(struct parser *ps)
{
	bool negate = false;
	struct node *n;

	while (accept(ps, "!", "-not"))
		negate = !negate;
	n = parse_primary(ps);
	return negate ? pair(find_not, n, NULL) : n;
}

static struct node *parse_and(struct parser *ps)
{
	struct node *n = parse_not(ps);

	for (;;) {
		const char *w = peek(ps);
		if (!w || !strcmp(w, ")") || !strcmp(w, "-o") || !strcmp(w, "-or"))
			return n;
		accept(ps, "-a", "-and");
		n = pair(find_and, n, parse_not(ps));
	}
}

static struct node *parse_or(struct parser *ps)
{
	struct node *n = parse_and(ps);

	while (accept(ps, "-o", "-or"))
		n = pair(find_or, n, parse_and(ps));
	return n;
}

void find_parse(struct plan *p, int argc, char *argv[])
{
	struct parser ps = { p, argv, argc, 0 };

	p->maxdepth = UINT32_MAX;
	p->root = argc ? parse_or(&ps) : new_node(find_true);
	if (ps.i < argc)
		cmd_usage("'%s' does not fit here", argv[ps.i]);
	if (!p->has_action)
		p->root = pair(find_and, p->root, new_node(cmd.json ? find_json : find_print));
}
