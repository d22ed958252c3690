/* SPDX-License-Identifier: Apache-2.0 */
/* Streams as input: a file or standard input. */
#include "common/infile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int in_open(struct in_file *in, const char *path)
{
	*in = (struct in_file){ .fd = STDIN_FILENO, .name = path && strcmp(path, "-") ? path : "standard input" };
	if (in->name == path)
		in->fd = open(path, O_RDONLY | O_CLOEXEC);
	else if (isatty(STDIN_FILENO))
		cmd_usage("a stream does not come from a terminal: give a FILE or a pipe");
	return in->fd < 0 ? cmd_fail_errno(errno, "cannot read '%s'", path) : CMD_OK;
}

int in_read(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct in_file *in = arg;
	ssize_t n;

	do {
		if (cmd_interrupted)
			return cmd_err(err, LCPFS_ECANCEL, "interrupted");
		n = read(in->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return cmd_err(err, LCPFS_EIO, "cannot read %s: %s", in->name, strerror(errno));
	*got = (size_t)n;
	return 0;
}

void in_close(struct in_file *in)
{
	if (in->fd > STDIN_FILENO)
		close(in->fd);
}
