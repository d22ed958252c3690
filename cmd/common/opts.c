/* SPDX-License-Identifier: Apache-2.0 */
/* Options: the shared table, merged with a command's own. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/cmd.h"

struct cmd cmd;
bool cmd_opts_first;
int cmd_usage_status = CMD_USAGE;
void (*cmd_on_usage)(const char *text);

static const struct { unsigned bit; int letter; struct option opt; } shared[] = {
	{ CMD_O_DRY_RUN, 'n', { "dry-run", no_argument, NULL, 'n' } },
	{ CMD_O_VERBOSE, 'v', { "verbose", no_argument, NULL, 'v' } },
	{ CMD_O_QUIET, 'q', { "quiet", no_argument, NULL, 'q' } },
	{ CMD_O_FORCE, 'f', { "force", no_argument, NULL, 'f' } },
	{ CMD_O_PARSABLE, 'p', { "parsable", no_argument, NULL, 'p' } },
	{ CMD_O_NUL, '0', { "null", no_argument, NULL, '0' } },
	{ CMD_O_THREADS, 'j', { "threads", required_argument, NULL, 'j' } },
	{ CMD_O_OUTPUT, 'o', { "output", required_argument, NULL, 'o' } },
	{ CMD_O_JSON, 0, { "json", no_argument, NULL, CMD_L_JSON } },
	{ CMD_O_MEMORY, 0, { "memory", required_argument, NULL, CMD_L_MEMORY } },
	{ CMD_O_PROGRESS, 0, { "progress", optional_argument, NULL, CMD_L_PROGRESS } },
	{ CMD_O_LIVE, 0, { "live", no_argument, NULL, CMD_L_LIVE } },
	{ ~0u, 'h', { "help", no_argument, NULL, CMD_L_HELP } },
	{ ~0u, 0, { "version", no_argument, NULL, CMD_L_VERSION } },
};
#define N_SHARED (sizeof shared / sizeof *shared)
enum { MAX_LONGS = 64 };
static struct option longs[MAX_LONGS];
static char letters[160];

static void log_line(void *arg, int level, const char *layer, const char *msg)
{
	(void)arg;
	if (level <= LCPFS_LOG_WARN)
		cmd_note("%s: %s", layer, msg);
	else if (cmd.verbose > 1)
		cmd_note("%s: %s", layer, msg);
}

void cmd_init(const struct cmd_spec *spec)
{
	static const struct lcpfs_hooks hooks = { .log = log_line };

	memset(&cmd, 0, sizeof cmd);
	cmd.spec = spec;
	lcpfs_set_hooks(&hooks);
}

static bool own_letter(int c)
{
	return c && cmd.spec->letters && strchr(cmd.spec->letters, c);
}

static bool own_long(const char *name)
{
	for (const struct option *o = cmd.spec->longs; o && o->name; o++)
		if (!strcmp(o->name, name))
			return true;
	return false;
}

static void merge(void)
{
	size_t nl = 0, len = 0;

	letters[len++] = cmd_opts_first ? '+' : ':';
	if (cmd_opts_first)
		letters[len++] = ':';
	for (const struct option *o = cmd.spec->longs; o && o->name && nl < MAX_LONGS - N_SHARED - 1; o++)
		longs[nl++] = *o;
	for (size_t i = 0; i < N_SHARED; i++) {
		if (!(cmd.spec->shared & shared[i].bit) && shared[i].bit != ~0u)
			continue;
		if (!own_long(shared[i].opt.name))
			longs[nl++] = shared[i].opt;
		if (!shared[i].letter || own_letter(shared[i].letter))
			continue;
		letters[len++] = (char)shared[i].letter;
		if (shared[i].opt.has_arg == required_argument)
			letters[len++] = ':';
	}
	if (cmd.spec->letters)
		snprintf(letters + len, sizeof letters - len, "%s", cmd.spec->letters);
}

static void set_progress(const char *arg)
{
	static const char *const names[] = { "auto", "always", "never", "json" };

	cmd.progress = CMD_PROGRESS_ALWAYS;
	if (!arg)
		return;
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(arg, names[i])) {
			cmd.progress = (enum cmd_progress_kind)i;
			return;
		}
	cmd_usage("--progress: '%s' is none of auto, always, never, json", arg);
}

_Noreturn static void version(void)
{
	printf("%s (lcpfs) %s\n", cmd.spec->name, lcpfs_version());
	exit(cmd_finish(CMD_OK));
}

static uint64_t memory_size(const char *arg)
{
	uint64_t v = cmd_size("--memory", arg);

	if (v < 32 << 20)
		cmd_usage("--memory: at least 32M is needed");
	return v;
}

void cmd_shared_opt(int which, const char *arg)
{
	switch (which) {
	case 'n': cmd.dry_run = true; break;
	case 'v': cmd.verbose++; break;
	case 'q': cmd.quiet = true; break;
	case 'f': cmd.force = true; break;
	case 'p': cmd.parsable = true; break;
	case '0': cmd.nul = true; break;
	case 'j': cmd.threads = (unsigned)cmd_number("-j", arg, 1, 1024); break;
	case 'o': cmd.output = arg; break;
	case CMD_L_JSON: cmd.json = true; break;
	case CMD_L_MEMORY: cmd.memory_bytes = memory_size(arg); break;
	case CMD_L_PROGRESS: set_progress(arg); break;
	case CMD_L_LIVE: cmd.live = true; break;
	case 'h':
	case CMD_L_HELP: cmd_help();
	case CMD_L_VERSION: version();
	default: cmd_usage("unknown option");
	}
}

static bool is_shared(int ch)
{
	if (ch >= CMD_L_JSON && ch <= CMD_L_VERSION)
		return true;
	return ch < 256 && !own_letter(ch) && strchr("nvqfp0joh", ch);
}

int cmd_opt(int argc, char *argv[])
{
	int ch;

	if (!letters[0])
		merge();
	for (;;) {
		opterr = 0;
		ch = getopt_long(argc, argv, letters, longs, NULL);
		if (ch == ':')
			cmd_usage("option '%s' needs an argument", argv[optind - 1]);
		if (ch == '?' && optopt && optopt < 256)
			cmd_usage("unknown option '-%c'", optopt);
		if (ch == '?')
			cmd_usage("unknown or ambiguous option '%s'", argv[optind - 1]);
		if (ch == -1 || !is_shared(ch))
			return ch;
		cmd_shared_opt(ch, optarg);
	}
}

static void print_synopsis(FILE *f)
{
	const char *s = cmd.spec->synopsis;
	const char *lead = "usage: ";

	while (*s) {
		int n = (int)strcspn(s, "\n");
		fprintf(f, "%s%.*s\n", lead, n, s);
		lead = "       ";
		s += n + (s[n] == '\n');
	}
}

void cmd_help(void)
{
	print_synopsis(stdout);
	exit(cmd_finish(CMD_OK));
}

void cmd_usage(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (cmd_on_usage)
		cmd_on_usage(text);
	fprintf(stderr, "%s: %s\n", cmd.spec->name, text);
	print_synopsis(stderr);
	exit(cmd_usage_status);
}
