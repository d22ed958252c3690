/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-cp: copy files and trees between the host and pools, and between pools, with everything that belongs to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cp/cp.h"

enum { L_SPECIAL = 256, L_NO_OWNER, L_REFLINK, L_RANGE };
static const struct option longs[] = {
	{ "archive", no_argument, NULL, 'a' }, { "recursive", no_argument, NULL, 'r' }, { "preserve", optional_argument, NULL, 'p' },
	{ "no-target-directory", no_argument, NULL, 'T' }, { "target-directory", required_argument, NULL, 't' },
	{ "special", no_argument, NULL, L_SPECIAL }, { "no-owner", no_argument, NULL, L_NO_OWNER },
	{ "reflink", optional_argument, NULL, L_REFLINK }, { "range", required_argument, NULL, L_RANGE }, CMD_TREE_LONGS, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-cp",
	.synopsis = "lcpfs-cp [OPTION ...] [-T] SOURCE DEST\n"
	            "lcpfs-cp [OPTION ...] SOURCE ... DIRECTORY\n"
	            "lcpfs-cp [OPTION ...] -t DIRECTORY SOURCE ...\n"
	            "lcpfs-cp [OPTION ...] --range OFFSET:LENGTH[:TO] SOURCE DEST",
	.shared = CMD_O_WRITE | CMD_O_PROGRESS | CMD_O_LIVE,
	.letters = "arRpTt:",
	.longs = longs,
};
struct cp_opts cp;

static void set_reflink(const char *when)
{
	static const char *const names[] = { "never", "auto", "always" };

	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(when, names[i])) {
			cp.reflink = (enum cp_reflink)i;
			return;
		}
	cmd_usage("--reflink: '%s' is none of always, auto, never", when);
}

static void set_range(const char *text)
{
	if (!edit_range_parse(text, &cp.range))
		cmd_usage("--range: '%s' is no range (write OFFSET:LENGTH or OFFSET:LENGTH:TO)", text);
	cp.ranged = true;
}

static void option(int ch)
{
	switch (ch) {
	case 'a': cp.recursive = cp.special = true; break;
	case 'r': case 'R': cp.recursive = true; break;
	case 'p': break; /* attributes are always kept */
	case 'T': cp.no_dir = true; break;
	case 't': cp.into = optarg; break;
	case L_SPECIAL: cp.special = true; break;
	case L_REFLINK: set_reflink(optarg ? optarg : "always"); break;
	case L_RANGE: set_range(optarg); break;
	case L_NO_OWNER: cp.no_owner = true; break;
	default: cmd_tree_option(&cp.tree, ch, optarg); break;
	}
}

/* Where one source goes. `dir` and `name` are malloc'ed. */
struct goal { char *dir, *name; };

static void split_path(const char *path, struct goal *g)
{
	char *s = cmd_strdup(path), *slash;
	size_t n = strlen(s);

	while (n > 1 && s[n - 1] == '/')
		s[--n] = 0;
	slash = strrchr(s, '/');
	g->name = cmd_strdup(slash ? slash + 1 : s);
	g->dir = !slash ? cmd_strdup("") : slash == s ? cmd_strdup("/") : cmd_printf("%.*s", (int)(slash - s), s);
	free(s);
}

static bool no_name(const char *name) { return !*name || !strcmp(name, ".") || !strcmp(name, ".."); }

static const char *path_in(const struct place *p) { return p->t.is_pool ? p->t.path : p->text; }

/* The name a copy of `src` gets, NULL: none ("dir/.", a whole dataset), so that what is in it is copied. */
static char *own_name(const struct place *src)
{
	struct goal g;

	split_path(path_in(src), &g);
	free(g.dir);
	if (!no_name(g.name))
		return g.name;
	free(g.name);
	return NULL;
}

static int resolve(struct goal *g, const struct place *src, const struct place *dst, bool is_dir)
{
	const char *path = path_in(dst);
	size_t n = strlen(path);

	memset(g, 0, sizeof *g);
	if (is_dir) {
		g->dir = cmd_strdup(path);
		g->name = own_name(src);
		return CMD_OK;
	}
	if (n > 1 && path[n - 1] == '/' && !S_ISDIR(place_mode(src, path_in(src), false)))
		return cmd_fail_code(LCPFS_ENOTDIR, "cannot copy to '%s': it is no directory", dst->text);
	split_path(path, g);
	if (!no_name(g->name))
		return CMD_OK;
	/* -T and the root of a dataset: the trees are merged */
	free(g->name);
	free(g->dir);
	g->name = NULL;
	g->dir = cmd_strdup(path);
	return CMD_OK;
}

static int check_source(const struct place *src, uint32_t mode)
{
	if (!mode)
		return cmd_fail_code(LCPFS_ENOENT, "cannot copy '%s': no such file or directory", src->text);
	if (S_ISDIR(mode) && !cp.recursive)
		return cmd_fail_code(LCPFS_EISDIR, "cannot copy '%s': it is a directory (-r copies it)", src->text);
	return CMD_OK;
}

static int check_goal(const struct place *src, uint32_t mode, const struct place *dst, const struct goal *g)
{
	char *path;
	uint32_t there;

	if (!g->name)
		return S_ISDIR(mode) ? CMD_OK : cmd_fail_code(LCPFS_EISDIR, "cannot copy '%s' over a directory", src->text);
	path = cmd_path_join(*g->dir || dst->t.is_pool ? g->dir : ".", g->name);
	there = place_mode(dst, path, false);
	free(path);
	if (there && S_ISDIR(there) != S_ISDIR(mode))
		return cmd_fail_code(S_ISDIR(there) ? LCPFS_EISDIR : LCPFS_ENOTDIR, "cannot copy '%s': '%s' there is %s directory", src->text,
		    g->name, S_ISDIR(there) ? "a" : "no");
	return CMD_OK;
}

static int copy(const char *text, const struct place *dst, bool is_dir)
{
	struct place src = { 0 };
	struct goal g = { 0 };
	uint32_t mode;
	int status;

	if (!strcmp(text, "-") && (cp.ranged || cp.reflink == REFLINK_ALWAYS))
		return cmd_fail_code(LCPFS_EXDEV, "standard input cannot share its content");
	if (!strcmp(text, "-"))
		return is_dir || !dst->t.is_pool ? cmd_fail_code(LCPFS_EINVAL, "standard input needs the name of a file in a pool")
		                                 : copy_stdin(dst, dst->t.path);
	status = place_open(&src, text, LCPFS_OPEN_RO);
	mode = status ? 0 : place_mode(&src, path_in(&src), false);
	if (!status)
		status = check_source(&src, mode);
	if (!status)
		status = resolve(&g, &src, dst, is_dir);
	if (!status)
		status = check_goal(&src, mode, dst, &g);
	if (!status)
		status = copy_one(&src, dst, *g.dir || dst->t.is_pool ? g.dir : ".", g.name);
	free(g.dir);
	free(g.name);
	place_fini(&src);
	return status;
}

static int copy_all(char *argv[], int n, const char *to)
{
	struct place dst = { 0 };
	int status = place_open(&dst, to, LCPFS_OPEN_RW);
	bool is_dir;

	if (status)
		goto out;
	is_dir = !cp.no_dir && S_ISDIR(place_mode(&dst, path_in(&dst), true));
	if (!is_dir && (n > 1 || cp.into)) {
		status = cmd_fail_code(LCPFS_ENOTDIR, "cannot copy into '%s': it is no directory", to);
		goto out;
	}
	for (int i = 0; i < n && !cmd_interrupted; i++)
		status = cmd_worse(status, copy(argv[i], &dst, is_dir));
	if (cmd_interrupted)
		status = cmd_worse(status, CMD_FAILED);
	/* one failed source undoes all that goes into a pool; what was only left out does not */
	else if (status == CMD_OK || status == CMD_PARTIAL)
		status = cmd_worse(status, cmd_commit());
	else if (dst.t.is_pool)
		cmd_note("nothing was copied: the pool '%s' is unchanged", dst.t.pool);
out:
	place_fini(&dst);
	return status;
}

int main(int argc, char *argv[])
{
	int ch, n, status;

	cmd_init(&spec);
	cmd_tree_init(&cp.tree);
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	n = argc - optind - !cp.into;
	if (n < 1)
		cmd_usage(cp.into || argc == optind ? "no SOURCE given" : "no DEST given");
	if (cp.ranged && (cp.into || n > 1))
		cmd_usage("--range goes with one SOURCE and DEST");
	if (cp.no_dir && (cp.into || n > 1))
		cmd_usage("-T goes with one SOURCE and DEST");
	cmd_catch_signals();
	status = copy_all(argv + optind, n, cp.into ? cp.into : argv[argc - 1]);
	cmd_tree_fini(&cp.tree);
	return cmd_finish(status);
}
