/* SPDX-License-Identifier: Apache-2.0 */
/* find: an expression is a tree of nodes, built once, evaluated for every file. */
#ifndef CMD_FIND_H
#define CMD_FIND_H
#include "common/cmd.h"

/* The file at hand. */
struct subject {
	const struct cmd_target *t;
	struct lcpfs_dataset *ds;
	const struct lcpfs_walk_entry *e;
	bool prune, quit;
	int *status;
};

struct node;
typedef bool eval_fn(const struct node *n, struct subject *s);
struct node {
	eval_fn *eval;
	struct node *a, *b;        /* ! -a -o */
	const char *text;          /* pattern, format */
	char cmp;                  /* number tests: '+' '-' or '='; -perm: '-' '/' or '=' */
	uint64_t num, unit;
	struct lcpfs_time time;
	uint32_t types;            /* -type: bit per S_IFMT >> 12 */
};

struct plan {
	struct node *root;
	unsigned mindepth, maxdepth;
	bool depth_first;          /* -depth */
	bool has_action;
};
/* Parse argv[0..argc); ends the process when it is no expression. */
void find_parse(struct plan *p, int argc, char *argv[]);

/* The tests and actions (eval.c, print.c). */
eval_fn find_and, find_or, find_not, find_true, find_false;
eval_fn find_name, find_iname, find_path, find_ipath, find_type, find_size, find_days, find_minutes, find_newer, find_perm;
eval_fn find_uid, find_gid, find_links, find_inum, find_empty, find_prune, find_quit;
eval_fn find_print, find_print0, find_printf, find_ls, find_json;
/* Checks a -printf format; ends the process when it is wrong. */
void find_check_format(const char *format);
char *find_shown_path(const struct subject *s); /* "a.img:/etc/fstab"; malloc'ed */
#endif
