/* SPDX-License-Identifier: Apache-2.0 */
/* Commands whose first operand is a verb: "lcpfs-snap create ...". */
#include <stdlib.h>
#include <string.h>
#include "common/edit.h"

void cmd_sub_used(char used[32], int ch)
{
	size_t n = strlen(used);

	if (n < 31 && !strchr(used, ch))
		used[n] = (char)ch;
}

static _Noreturn void does_not_go(char letter, const char *verb)
{
	if (cmd.spec->letters && strchr(cmd.spec->letters, letter))
		cmd_usage("option '-%c' does not go with '%s'", letter, verb);
	for (const struct option *o = cmd.spec->longs; o && o->name; o++)
		if (o->val == letter)
			cmd_usage("option '--%s' does not go with '%s'", o->name, verb);
	cmd_usage("an option does not go with '%s'", verb);
}

static _Noreturn void no_verb(const struct cmd_sub *subs, size_t n, const char *verb)
{
	char names[200] = "";

	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(names);
		snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", subs[i].name);
	}
	if (!verb)
		cmd_usage("nothing to do: one of %s is needed", names);
	cmd_usage("'%s' is none of %s", verb, names);
}

int cmd_sub(const struct cmd_sub *subs, size_t n, const char *used, int argc, char *argv[])
{
	const char *verb = optind < argc ? argv[optind] : NULL;
	int count = argc - optind - 1;

	for (size_t i = 0; verb && i < n; i++) {
		if (strcmp(subs[i].name, verb))
			continue;
		for (const char *u = used; *u; u++)
			if (!strchr(subs[i].letters, *u))
				does_not_go(*u, verb);
		if (count < subs[i].min)
			cmd_usage("'%s' needs %s%d operand%s", verb, subs[i].max == subs[i].min ? "" : "at least ", subs[i].min, subs[i].min == 1 ? "" : "s");
		if (subs[i].max >= 0 && count > subs[i].max)
			cmd_usage("'%s' takes no more than %d operand%s ('%s')", verb, subs[i].max, subs[i].max == 1 ? "" : "s",
			    argv[optind + 1 + subs[i].max]);
		return subs[i].run(argv + optind + 1, count);
	}
	no_verb(subs, n, verb);
}
