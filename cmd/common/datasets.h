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

bool ds_exists(struct lcpfs_pool *p, const char *name);
/* A name of now ("PREFIX20240501T120000Z"), and a snapshot HEAD@... of such a name that does not exist yet, malloc'ed. */
void ds_time_name(char out[40], const char *prefix);
char *ds_free_snap(struct lcpfs_pool *p, const char *head, const char *prefix);

/* A listing of datasets as a table or JSON document (ds_list.c). */
struct ds_list { struct cmd_table table; struct cmd_json json; const char *pool; bool only_snaps; };
void ds_list_start(struct ds_list *l, const char *array);
int ds_list_add(struct ds_list *l, struct lcpfs_pool *p, const char *pool, const char *name, bool recursive, bool snaps, struct lcpfs_error *err);
void ds_list_finish(struct ds_list *l);
#endif
