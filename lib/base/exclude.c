/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exclude.h"
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool exclude_match(const char *const *patterns, const char *path)
{
	const char *last;

	if (!patterns || !*patterns || !*path)
		return false;
	last = strrchr(path, '/');
	last = last ? last + 1 : path;
	for (; *patterns; patterns++)
		if (fnmatch(*patterns, path, 0) == 0 || (last != path && fnmatch(*patterns, last, 0) == 0))
			return true;
	return false;
}

bool exclude_match_tree(const char *const *patterns, const char *path)
{
	bool hit = false;
	char *copy;

	if (!patterns || !*patterns)
		return false;
	if (exclude_match(patterns, path))
		return true;
	copy = strdup(path);
	if (!copy)
		return false;
	for (char *p = strchr(copy, '/'); p && !hit; p = strchr(p + 1, '/')) {
		*p = 0;
		hit = exclude_match(patterns, copy);
		*p = '/';
	}
	free(copy);
	return hit;
}
