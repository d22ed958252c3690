/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-cat: the contents of files, one after the other. */
#include <sys/stat.h>
#include "common/cmd.h"

static const struct cmd_spec spec = {
	.name = "lcpfs-cat",
	.synopsis = "lcpfs-cat [-o FILE] [--json] [--live] [-j N] [--memory SIZE] TARGET ...",
	.shared = CMD_O_READ | CMD_O_OUTPUT | CMD_O_JSON,
};

static int put(void *out, const void *data, size_t len, struct lcpfs_error *err)
{
	return cmd_out_write(out, data, len, err);
}

static int cat(const char *text, struct cmd_out *out)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct lcpfs_stat st;
	struct cmd_target t;
	int rc, status = CMD_OK;

	cmd_target(&t, text);
	ds = cmd_dataset(&t, LCPFS_OPEN_RO, &status);
	if (ds) {
		rc = lcpfs_stat(ds, t.path, LCPFS_FOLLOW, &st, &err);
		if (!rc && S_ISDIR(st.mode))
			rc = cmd_err(&err, LCPFS_EISDIR, "it is a directory");
		else if (!rc && !S_ISREG(st.mode))
			rc = cmd_err(&err, LCPFS_EINVAL, "it is a %s and has no contents", cmd_type_name(st.mode));
		if (!rc)
			rc = lcpfs_content_each(ds, st.ino, put, out, &err);
		if (rc)
			status = cmd_fail(&err, "cannot read '%s'", text);
	}
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	struct lcpfs_error err = { 0 };
	struct cmd_out out;
	int status = CMD_OK;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		;
	if (optind == argc)
		cmd_usage("no TARGET given");
	if (cmd.output)
		cmd_catch_signals();
	if (cmd_out_open(&out, cmd.output, &err))
		return cmd_finish(cmd_fail(&err, NULL));
	for (; optind < argc; optind++)
		status = cmd_worse(status, cat(argv[optind], &out));
	if (status)
		cmd_out_abort(&out);
	else if (cmd_out_commit(&out, &err))
		status = cmd_fail(&err, NULL);
	return cmd_finish(status);
}
