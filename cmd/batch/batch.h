/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-batch: scripts, their lines, and what they do. */
#ifndef CMD_BATCH_BATCH_H
#define CMD_BATCH_BATCH_H
#include "common/edit.h"

enum { MAX_ARGS = 4, MAX_LINE = 64 << 20 };

/* One request: a verb with what it was given. */
struct request {
	const struct verb *verb;
	char *opt[128];          /* by letter; "" for those without an argument; NULL: not given */
	char *arg[MAX_ARGS];
	unsigned n_args;
};
typedef int verb_fn(const struct request *r, struct lcpfs_error *err);
/* opts: "p/parents m:/mode": letter, ':' when it has an argument, long name. args: "host path". */
struct verb { const char *name, *opts, *args; verb_fn *fn; };
extern const struct verb verbs[];
const struct verb *verb_find(const char *name);

/* A script being read. All calls below: 0, 1 at the end, or -LCPFS_E*. */
struct script { FILE *f; const char *name; unsigned line, first_line; };
struct words { char **v; size_t n; };
/* The next request; first_line is where it begins. */
int script_next(struct script *s, struct request *r, struct lcpfs_error *err);
void request_fini(struct request *r);
/* From words as a shell would split them, and from the text of a JSON object. */
int request_of_words(struct request *r, const struct words *w, struct lcpfs_error *err);
int request_of_json(struct request *r, const char *text, struct lcpfs_error *err);
/* The letter of an option of a verb by its long name, 0: none; *has_arg. */
char verb_option(const struct verb *v, const char *name, size_t len, bool *has_arg);

/* Where the verbs work. */
extern struct lcpfs_pool *batch_pool;
extern const char *batch_dataset;
#endif
