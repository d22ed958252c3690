/* SPDX-License-Identifier: Apache-2.0 */
/* Findings of scrub and fsck, printed. */
#ifndef CMD_COMMON_PROBLEMS_H
#define CMD_COMMON_PROBLEMS_H
#include "common/cmd.h"

struct problems { const char *pool; uint64_t n; bool quiet; };
/* An lcpfs_problem_fn; arg: a struct problems. A line on standard output, or a JSON object. */
void problem_show(void *arg, const struct lcpfs_problem *p);
/* "safe", "lossy" or "none". */
const char *problem_class(const struct lcpfs_problem_kind *k);
#endif
