/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exclude: leaving out paths by shell pattern.
 * A pattern matches the whole relative path or its last component (fnmatch without FNM_PATHNAME, so '*' crosses '/').
 * `patterns` is NULL-terminated and may be NULL. The root ("") is never excluded.
 */
#ifndef BASE_EXCLUDE_H
#define BASE_EXCLUDE_H
#include <stdbool.h>

/* For a walk that does not descend into what it leaves out. */
bool exclude_match(const char *const *patterns, const char *path);
/* For entries in any order: true too when a directory above `path` matches. */
bool exclude_match_tree(const char *const *patterns, const char *path);
#endif
