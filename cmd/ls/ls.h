/* SPDX-License-Identifier: Apache-2.0 */
/* ls: what its files share. */
#ifndef CMD_LS_H
#define CMD_LS_H
#include "common/cmd.h"

struct ls_opts {
	bool all, almost_all, dir_itself, recursive, one, longs, human, inode, numeric, reverse, classify;
	char sort; /* 'n'ame, 't'ime, 'S'ize */
};
extern struct ls_opts ls;

/* Texts stand one after another in items.text, at `name` and `target`. */
struct item {
	size_t name;    /* as shown */
	size_t target;  /* symlink, with -l or --json; else 0 */
	struct lcpfs_stat st;
};
struct items { struct item *v; size_t n, cap; char *text; size_t len, text_cap; };

/* target may be NULL. */
void items_add(struct items *l, const char *name, const struct lcpfs_stat *st, const char *target);
void items_target(struct items *l, size_t i, const char *target);
void items_clear(struct items *l); /* memory is kept */
static inline const char *item_name(const struct items *l, const struct item *it) { return l->text + it->name; }
static inline const char *item_target(const struct items *l, const struct item *it) { return it->target ? l->text + it->target : NULL; }
void items_sort(struct items *l);
void items_fini(struct items *l);

/* Fill in the targets of symlinks that lack them; dir: the directory the names are in, NULL: they are in `paths` of the same order. */
int show_targets(struct lcpfs_dataset *ds, const char *dir, struct items *l);
void show_items(const struct items *l);                                    /* as text */
void show_json(struct cmd_json *j, const char *dir, const struct items *l); /* as members of the open array; dir may be NULL */
#endif
