/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the commands that move whole trees. */
#include <stdlib.h>
#include <string.h>
#include "common/cmd.h"

void cmd_tree_init(struct cmd_tree *t)
{
	memset(t, 0, sizeof *t);
	t->opts.warn = cmd_tree_warn;
	t->opts.progress = cmd_progress;
}

void cmd_tree_exclude(struct cmd_tree *t, const char *pattern)
{
	t->exclude = cmd_realloc(t->exclude, t->n_exclude + 2, sizeof *t->exclude);
	t->exclude[t->n_exclude++] = cmd_strdup(pattern);
	t->exclude[t->n_exclude] = NULL;
	t->opts.exclude = (const char *const *)t->exclude;
}

void cmd_tree_owner(struct cmd_tree *t, const char *what, const char *text)
{
	cmd_owner(what, text, &t->opts.uid, &t->opts.gid);
	t->opts.flags &= ~(uint32_t)(LCPFS_TREE_UID | LCPFS_TREE_GID);
	if (t->opts.uid != UINT32_MAX)
		t->opts.flags |= LCPFS_TREE_UID;
	if (t->opts.gid != UINT32_MAX)
		t->opts.flags |= LCPFS_TREE_GID;
}

void cmd_tree_chmod(struct cmd_tree *t, const char *what, const char *text)
{
	struct cmd_mode m;

	cmd_mode(what, text, &m);
	if (!cmd_mode_masks(&m, false, &t->opts.mode_set, &t->opts.mode_clear) ||
	    !cmd_mode_masks(&m, true, &t->opts.dir_mode_set, &t->opts.dir_mode_clear))
		cmd_usage("%s: '%s': X for files and copies as in g=u do not work here", what, text);
}

bool cmd_tree_option(struct cmd_tree *t, int ch, const char *arg)
{
	switch (ch) {
	case CMD_T_EXCLUDE: cmd_tree_exclude(t, arg); break;
	case CMD_T_OWNER: cmd_tree_owner(t, "--owner", arg); break;
	case CMD_T_CHMOD: cmd_tree_chmod(t, "--chmod", arg); break;
	case CMD_T_ALL_ROOT: cmd_tree_owner(t, "--all-root", "0:0"); break;
	case CMD_T_ONE_FS: t->opts.flags |= LCPFS_TREE_ONE_FS; break;
	default: return false;
	}
	return true;
}

void cmd_tree_fini(struct cmd_tree *t)
{
	for (size_t i = 0; i < t->n_exclude; i++)
		free(t->exclude[i]);
	free(t->exclude);
}
