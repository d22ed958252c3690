/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-find: files of an image by what they are, with the expressions of find(1). */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "find/find.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-find",
	.synopsis = "lcpfs-find [-0] [--json] [--live] [-j N] [--memory SIZE] TARGET ... [EXPRESSION]",
	.shared = CMD_O_READ | CMD_O_NUL | CMD_O_JSON,
};
static struct plan plan;

static int visit(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct subject *s = arg;

	(void)err;
	s->e = e;
	s->prune = false;
	if (e->depth >= plan.mindepth && e->depth <= plan.maxdepth)
		plan.root->eval(plan.root, s);
	if ((s->prune || e->depth >= plan.maxdepth) && e->descend)
		*e->descend = false;
	return s->quit;
}

static int find(const char *text, bool *quit)
{
	struct lcpfs_error err = { 0 };
	int status = CMD_OK;
	struct subject s = { .status = &status };
	struct cmd_target t;

	cmd_target(&t, text);
	s.t = &t;
	s.ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (s.ds && lcpfs_walk(s.ds, t.path, plan.depth_first ? LCPFS_WALK_POST : 0, visit, &s, &err) < 0)
		status = cmd_worse(status, cmd_fail(&err, "cannot walk '%s'", text));
	*quit = s.quit;
	cmd_target_fini(&t);
	return status;
}

/* Options are read by hand: getopt would take -name for a row of letters. */
static const char *value_of(char *argv[], int *i, const char *name)
{
	size_t n = strlen(name);

	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	if (!argv[*i + 1])
		cmd_usage("option '%s' needs an argument", name);
	return argv[++*i];
}

static bool option(char *argv[], int *i)
{
	const char *a = argv[*i];

	if (!strcmp(a, "-0") || !strcmp(a, "--null"))
		cmd_shared_opt('0', NULL);
	else if (!strcmp(a, "--json"))
		cmd_shared_opt(CMD_L_JSON, NULL);
	else if (!strcmp(a, "--live"))
		cmd_shared_opt(CMD_L_LIVE, NULL);
	else if (!strcmp(a, "-h") || !strcmp(a, "--help"))
		cmd_shared_opt(CMD_L_HELP, NULL);
	else if (!strcmp(a, "--version"))
		cmd_shared_opt(CMD_L_VERSION, NULL);
	else if (!strcmp(a, "-j"))
		cmd_shared_opt('j', value_of(argv, i, "-j"));
	else if (!strncmp(a, "--threads", 9))
		cmd_shared_opt('j', value_of(argv, i, "--threads"));
	else if (!strncmp(a, "--memory", 8))
		cmd_shared_opt(CMD_L_MEMORY, value_of(argv, i, "--memory"));
	else if (!strncmp(a, "--", 2))
		cmd_usage("unknown option '%s'", a);
	else
		return false;
	return true;
}

static bool starts_expression(const char *a)
{
	return (a[0] == '-' && a[1]) || !strcmp(a, "(") || !strcmp(a, "!");
}

int main(int argc, char *argv[])
{
	int i, first, status = CMD_OK;
	bool quit = false;

	cmd_init(&spec);
	for (i = 1; i < argc && option(argv, &i); i++)
		;
	for (first = i; i < argc && !starts_expression(argv[i]); i++)
		;
	if (i == first)
		cmd_usage("no TARGET given");
	find_parse(&plan, argc - i, argv + i);
	for (int k = first; k < i && !quit; k++)
		status = cmd_worse(status, find(argv[k], &quit));
	return cmd_finish(status);
}
