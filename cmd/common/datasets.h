/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands for datasets and snapshots share. */
#ifndef CMD_COMMON_DATASETS_H
#define CMD_COMMON_DATASETS_H
#include "common/cmd.h"

/* Operands that name a dataset or snapshot; a path, or the other kind, is a wrong command line. */
void ds_target(struct cmd_target *t, const char *text);
void ds_snap_target(struct cmd_target *t, const char *text);
void ds_head_target(struct cmd_target *t, const char *text);
/* A second name in the pool of the first operand: "POOL:NAME", "NAME", or "@SNAP" of the same dataset; malloc'ed. */
char *ds_second(const struct cmd_target *first, const char *text);
/* "POOL:NAME" as it can be given as an operand; malloc'ed. */
char *ds_full_name(const char *pool, const char *name);

/* Call `fn` on every operand with its pool open for writing, then commit when all went well. */
typedef int ds_fn(struct lcpfs_pool *p, const struct cmd_target *t);
int ds_each(char *argv[], int n, ds_fn *fn);
int ds_commit(int status);

/* Rename `from` (text as it was given) to `to`, malloc'ed; both are let go of here. */
typedef int ds_rename_fn(struct lcpfs_pool *p, const char *from, const char *to, struct lcpfs_error *err);
int ds_rename(struct cmd_target *from, char *to, ds_rename_fn *fn);

bool ds_exists(struct lcpfs_pool *p, const char *name);
/* A name of now ("PREFIX20240501T120000Z"), and a snapshot HEAD@... of such a name that does not exist yet, malloc'ed. */
void ds_time_name(char out[40], const char *prefix);
char *ds_free_snap(struct lcpfs_pool *p, const char *head, const char *prefix);

/* List the operands as a table, or as a JSON document with the array `array` (ds_list.c): the status. */
enum ds_which { DS_HEADS, DS_ALL, DS_SNAPS };
int ds_list(const char *array, char *argv[], int n, bool recursive, enum ds_which which);
/* "would have " in a dry run, else "". */
const char *ds_would(void);
#endif
