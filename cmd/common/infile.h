/* SPDX-License-Identifier: Apache-2.0 */
/* Streams as input: a file or standard input. */
#ifndef CMD_COMMON_INFILE_H
#define CMD_COMMON_INFILE_H
#include "common/cmd.h"

struct in_file { int fd; const char *name; };
/* path NULL or "-": standard input, which must not be a terminal. Returns a status; the message is out. */
int in_open(struct in_file *in, const char *path);
int in_read(void *in, void *buf, size_t len, size_t *got, struct lcpfs_error *err); /* an lcpfs_read_fn */
void in_close(struct in_file *in);
#endif
