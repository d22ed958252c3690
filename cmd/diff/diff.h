/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-diff: two trees, or two files. */
#ifndef CMD_DIFF_DIFF_H
#define CMD_DIFF_DIFF_H
#include "common/cmd.h"

/* What went wrong is 2 here: 1 means that they differ. */
enum { DIFF_SAME = 0, DIFF_DIFFERS = 1, DIFF_TROUBLE = 2 };
int diff_status(int status);

/* Compare the contents of two regular files with diff(1); labels name them. */
struct diff_file { struct lcpfs_dataset *ds; const char *path, *label; struct lcpfs_stat st; };
int diff_contents(const struct diff_file *a, const struct diff_file *b, bool quiet);
#endif
