/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs: runs lcpfs-VERB, lists the verbs, opens their pages. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/cmd.h"

static const struct cmd_spec spec = {
	.name = "lcpfs",
	.synopsis = "lcpfs [--help | --version]\nlcpfs VERB [ARGUMENT ...]\nlcpfs help VERB",
};

static const struct { const char *job, *verbs; } jobs[] = {
	{ "build and fill", "mkfs cp tar update rm mv mkdir ln chmod chown touch truncate xattr acl batch" },
	{ "look", "ls cat stat find du tree info df dump" },
	{ "keep history", "snap clone promote rollback diff versions hold dataset prop" },
	{ "move", "send recv stream sync" },
	{ "look back", "rewind undelete timeline hash" },
	{ "keep healthy", "scrub fsck salvage bench balance" },
};

/* mkfs and fsck carry the names that mkfs -t and fsck look for. */
static char *program_of(const char *verb)
{
	bool swapped = !strcmp(verb, "mkfs") || !strcmp(verb, "fsck");

	return swapped ? cmd_printf("%s.lcpfs", verb) : cmd_printf("lcpfs-%s", verb);
}

/* The folder this program lies in, NULL: not known. */
static char *own_dir(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	if (n <= 0)
		return NULL;
	path[n] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return cmd_strdup(path);
}

/* A program beside this one, or only its name (looked up in PATH). */
static char *locate(const char *program)
{
	char *dir = own_dir();
	char *beside = dir ? cmd_path_join(dir, program) : NULL;

	free(dir);
	if (beside && !access(beside, X_OK))
		return beside;
	free(beside);
	return cmd_strdup(program);
}

static void list_verbs(void)
{
	fputs("usage: lcpfs VERB [ARGUMENT ...]\n\n", stdout);
	for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
		int column = printf("%-16s", jobs[i].job);
		for (const char *s = jobs[i].verbs; *s;) {
			size_t n = strcspn(s, " ");
			if (column + 1 + (int)n > 78)
				column = printf("\n%-16s", "") - 1;
			column += printf(" %.*s", (int)n, s);
			s += n + (s[n] == ' ');
		}
		putchar('\n');
	}
	fputs("\n'lcpfs help VERB' opens the page of a verb, 'lcpfs VERB -h' shows how it is called.\n", stdout);
}

static int run(char *argv[])
{
	char *program, *path;
	int status;

	if (strchr(argv[0], '/'))
		return cmd_finish(cmd_fail_code(LCPFS_EINVAL, "'%s' is no verb", argv[0]));
	program = program_of(argv[0]);
	path = locate(program);
	argv[0] = program;
	execvp(path, argv);
	status = CMD_USAGE;
	if (errno != ENOENT)
		status = cmd_fail_errno(errno, "cannot run '%s'", path);
	else
		cmd_fail_code(LCPFS_ENOENT, "no verb '%s' ('lcpfs' alone lists them)", program + (strncmp(program, "lcpfs-", 6) ? 0 : 6));
	free(path);
	free(program);
	return cmd_finish(status);
}

static int help(const char *verb)
{
	char *page;

	if (!verb) {
		list_verbs();
		return cmd_finish(CMD_OK);
	}
	page = strcmp(verb, "lcpfs") ? program_of(verb) : cmd_strdup("lcpfs");
	execlp("man", "man", page, (char *)NULL);
	return cmd_finish(cmd_fail_errno(errno, "cannot run man(1) to show '%s'", page));
}

int main(int argc, char *argv[])
{
	cmd_init(&spec);
	cmd_opts_first = true;
	while (cmd_opt(argc, argv) != -1)
		;
	if (optind == argc)
		return help(NULL);
	if (!strcmp(argv[optind], "help"))
		return help(argv[optind + 1]);
	return run(argv + optind);
}
