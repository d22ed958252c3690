/* SPDX-License-Identifier: Apache-2.0 */
/* Inside lcpfs-rewind. */
#ifndef CMD_REWIND_H
#define CMD_REWIND_H
#include "common/datasets.h"

/* Which datasets are meant: all of the pool, one, or one with those below it. */
struct rewind_scope { const char *dataset; bool all, below; };
bool rewind_in_scope(const struct rewind_scope *s, const char *name);

int rewind_list(const struct cmd_target *t, const struct rewind_scope *s, bool data);
#endif
