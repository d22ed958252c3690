/* SPDX-License-Identifier: Apache-2.0 */
/* An output file that appears when it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/cmd.h"

static int fail_errno(struct lcpfs_error *err, int eno, const char *what, const char *path)
{
	int code = eno == ENOENT ? LCPFS_ENOENT : eno == ENOSPC || eno == EDQUOT ? LCPFS_ENOSPC : eno == EACCES || eno == EPERM ? LCPFS_EPERM : LCPFS_EIO;

	return cmd_err(err, code, "%s '%s': %s", what, path, strerror(eno));
}

int cmd_out_open(struct cmd_out *o, const char *path, struct lcpfs_error *err)
{
	struct stat st;
	mode_t mask;
	int fd;

	memset(o, 0, sizeof *o);
	if (!path || !strcmp(path, "-")) {
		o->f = stdout;
		return 0;
	}
	/* a pipe or device is written in place: there is nothing to rename over */
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		o->f = fopen(path, "wb");
		o->path = cmd_strdup(path);
		return o->f ? 0 : fail_errno(err, errno, "cannot write", path);
	}
	o->path = cmd_strdup(path);
	o->tmp = cmd_printf("%s.tmp-XXXXXX", path);
	fd = mkstemp(o->tmp);
	if (fd < 0) {
		int rc = fail_errno(err, errno, "cannot create", path);
		free(o->tmp);
		o->tmp = NULL;
		return rc;
	}
	cmd_temp_file(o->tmp);
	mask = umask(0);
	umask(mask);
	fchmod(fd, 0666 & ~mask);
	o->f = fdopen(fd, "wb");
	return o->f ? 0 : cmd_err(err, LCPFS_ENOMEM, "out of memory");
}

int cmd_out_write(void *out, const void *data, size_t len, struct lcpfs_error *err)
{
	struct cmd_out *o = out;

	if (cmd_interrupted)
		return cmd_err(err, LCPFS_ECANCEL, "interrupted");
	if (fwrite(data, 1, len, o->f) != len)
		return fail_errno(err, errno, "cannot write", o->path ? o->path : "standard output");
	return 0;
}

static int sync_dir(const char *path)
{
	char *dir = cmd_strdup(path);
	char *slash = strrchr(dir, '/');
	int fd, rc;

	if (slash)
		slash[slash == dir] = 0;
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

int cmd_out_commit(struct cmd_out *o, struct lcpfs_error *err)
{
	int rc = 0;

	if (!o->path) {
		if (fflush(o->f))
			rc = fail_errno(err, errno, "cannot write", "standard output");
		return rc;
	}
	if (fflush(o->f) || (o->tmp && fsync(fileno(o->f))))
		rc = fail_errno(err, errno, "cannot write", o->path);
	if (fclose(o->f) && !rc)
		rc = fail_errno(err, errno, "cannot write", o->path);
	o->f = NULL;
	if (!rc && o->tmp && rename(o->tmp, o->path))
		rc = fail_errno(err, errno, "cannot rename to", o->path);
	if (!rc && o->tmp) {
		cmd_temp_file(NULL);
		free(o->tmp);
		o->tmp = NULL;
		sync_dir(o->path);
	}
	cmd_out_abort(o);
	return rc;
}

void cmd_out_abort(struct cmd_out *o)
{
	if (o->f && o->path)
		fclose(o->f);
	if (o->tmp) {
		unlink(o->tmp);
		cmd_temp_file(NULL);
	}
	free(o->tmp);
	free(o->path);
	memset(o, 0, sizeof *o);
}
