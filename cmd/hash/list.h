/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of sums: writing them, and reading them again. */
#ifndef CMD_HASH_LIST_H
#define CMD_HASH_LIST_H
#include "sums.h"

enum form { FORM_SUMS, FORM_TAG, FORM_HASHDEEP };
struct algo { const char *name, *tag, *suffix; unsigned hex; };
extern const struct algo algos[ALGOS_MAX];
const struct algo *algo_by_name(const char *name, size_t len); /* also "b3", "md5sum"...; NULL: none */

/* A name as coreutils writes it: with a backslash before the line, and in it, where it needs that. */
void list_put_sum(FILE *f, const char *sum, const char *name, char end);
void list_put_tag(FILE *f, const struct algo *a, const char *sum, const char *name, char end);

/* A line of a list: which sums, of which name; name is malloc'ed. False: no such line. */
struct line { char *name; char hex[ALGOS_MAX][HEX_MAX]; };
struct list_form { int column[ALGOS_MAX + 2]; unsigned n; bool hashdeep; }; /* of hashdeep: what the columns are; zero at first */
bool list_parse(struct list_form *lf, char *text, const struct algo *untagged, struct line *out, bool *comment);
#endif
