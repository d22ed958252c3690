/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-tar: a tree of an image as an archive, an archive into an image, and what an archive holds. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/cmd.h"

enum { L_ZSTD = 256, L_FORMAT };
static const struct option longs[] = {
	{ "create", no_argument, NULL, 'c' }, { "extract", no_argument, NULL, 'x' }, { "list", no_argument, NULL, 't' },
	{ "file", required_argument, NULL, 'f' }, { "directory", required_argument, NULL, 'C' }, { "gzip", no_argument, NULL, 'z' },
	{ "xz", no_argument, NULL, 'J' }, { "zstd", no_argument, NULL, L_ZSTD }, { "format", required_argument, NULL, L_FORMAT },
	CMD_TREE_LONGS, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-tar",
	.synopsis = "lcpfs-tar -c [-qvzJ] [--zstd] [--format FORMAT] [-C DIR] [-f ARCHIVE] [--exclude PATTERN] TARGET\n"
	            "lcpfs-tar -x [-nqv] [-C DIR] [-f ARCHIVE] [--exclude PATTERN] [--owner OWNER[:GROUP]] [--chmod MODE] TARGET\n"
	            "lcpfs-tar -t [-v] [-0 | --json] [-f ARCHIVE]",
	.shared = CMD_O_WRITE | CMD_O_PROGRESS | CMD_O_LIVE | CMD_O_NUL | CMD_O_JSON,
	.letters = "cxtf:C:zJ",
	.longs = longs,
};
static const char *archive, *dir, *format, *filter;
static char mode;
static struct cmd_tree tree;

static void set_mode(int ch)
{
	if (mode && mode != ch)
		cmd_usage("only one of -c, -x and -t");
	mode = (char)ch;
}

static void option(int ch)
{
	switch (ch) {
	case 'c': case 'x': case 't': set_mode(ch); break;
	case 'f': archive = optarg; break;
	case 'C': dir = optarg; break;
	case 'z': filter = "gzip"; break;
	case 'J': filter = "xz"; break;
	case L_ZSTD: filter = "zstd"; break;
	case L_FORMAT: format = optarg; break;
	default: cmd_tree_option(&tree, ch, optarg); break;
	}
}

/* ".tar.zst" says what -z and the like would; the archive's own name decides as tar -a does. */
static void filter_from_name(void)
{
	static const struct { const char *end, *filter; } ends[] = {
		{ ".gz", "gzip" }, { ".tgz", "gzip" }, { ".xz", "xz" }, { ".txz", "xz" }, { ".zst", "zstd" }, { ".tzst", "zstd" },
	};
	size_t n = archive ? strlen(archive) : 0;

	for (size_t i = 0; !filter && i < sizeof ends / sizeof *ends; i++) {
		size_t m = strlen(ends[i].end);
		if (n > m && !strcmp(archive + n - m, ends[i].end))
			filter = ends[i].filter;
	}
	if (!format && n > 4 && !strcmp(archive + n - 4, ".zip"))
		format = "zip";
	if (!format && n > 5 && !strcmp(archive + n - 5, ".cpio"))
		format = "cpio";
}

static int say_what(const char *verb, const struct lcpfs_tree_stats *st)
{
	cmd_progress_end();
	if (cmd.verbose)
		cmd_note("%s: %" PRIu64 " entries, %" PRIu64 " bytes", verb, st->entries, st->bytes);
	return CMD_OK;
}

static int create(const struct cmd_target *t, const char *path)
{
	struct lcpfs_tree_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct cmd_out out;
	int rc, status = CMD_OK;

	if ((!archive || !strcmp(archive, "-")) && isatty(STDOUT_FILENO))
		cmd_usage("an archive is not written to a terminal (-f ARCHIVE)");
	filter_from_name();
	ds = cmd_dataset(t, LCPFS_OPEN_RO, &status);
	if (!ds)
		return status;
	if (cmd_out_open(&out, archive, &err))
		return cmd_fail(&err, NULL);
	rc = lcpfs_tree_archive(ds, path, fileno(out.f), format, filter, &tree.opts, &st, &err);
	if (rc)
		status = cmd_fail(&err, "cannot archive '%s'", t->text);
	/* what could be written in part is kept, as tar keeps it: the status says so */
	if (rc && rc != -LCPFS_EPARTIAL)
		cmd_out_abort(&out);
	else if (cmd_out_commit(&out, &err))
		status = cmd_fail(&err, NULL);
	return status ? status : say_what("written", &st);
}

static int open_archive(void)
{
	if (!archive || !strcmp(archive, "-")) {
		archive = "-";
		return STDIN_FILENO;
	}
	return open(archive, O_RDONLY | O_CLOEXEC);
}

static int extract(const struct cmd_target *t, const char *path)
{
	struct lcpfs_tree_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	int rc, fd, status = CMD_OK;

	fd = open_archive();
	if (fd < 0)
		return cmd_fail_errno(errno, "cannot open '%s'", archive);
	ds = cmd_dataset(t, LCPFS_OPEN_RW, &status);
	if (!ds)
		return status;
	rc = lcpfs_tree_import_fd(ds, path, fd, archive, &tree.opts, &st, &err);
	if (rc)
		status = cmd_fail(&err, "cannot extract into '%s'", t->text);
	if (!rc || rc == -LCPFS_EPARTIAL)
		status = cmd_worse(status, cmd_commit());
	return status ? status : say_what("extracted", &st);
}

/* ---- -t ---- */

static void list_long(const struct lcpfs_stat *st)
{
	char text[11], when[64];

	cmd_mode_string(text, st->mode);
	cmd_time_local(when, &st->mtime, NULL);
	printf("%s %u/%u %10" PRIu64 " %s ", text, st->uid, st->gid, st->size, when);
}

static int list_entry(void *arg, const char *path, const struct lcpfs_stat *st, const char *target, bool hardlink, struct lcpfs_error *err)
{
	(void)err;
	if (cmd.json) {
		cmd_json_object(arg, NULL);
		cmd_json_name(arg, "path", path);
		cmd_json_stat(arg, st);
		if (target)
			cmd_json_name(arg, hardlink ? "link_to" : "target", target);
		cmd_json_end(arg);
		return 0;
	}
	if (cmd.verbose)
		list_long(st);
	cmd_put_name(path);
	if (cmd.verbose && target) {
		fputs(hardlink ? " link to " : " -> ", stdout);
		cmd_put_name(target);
	}
	cmd_put_eol();
	return 0;
}

static int list(void)
{
	struct lcpfs_error err = { 0 };
	int fd = open_archive(), status = CMD_OK;
	struct cmd_json j;

	if (fd < 0)
		return cmd_fail_errno(errno, "cannot open '%s'", archive);
	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_array(&j, "entries");
	}
	if (lcpfs_archive_list(fd, archive, list_entry, &j, &err) < 0)
		status = cmd_fail(&err, "cannot list '%s'", archive);
	if (cmd.json)
		cmd_json_finish(&j);
	return status;
}

static int work(const char *text)
{
	struct cmd_target t;
	char *path;
	int status;

	cmd_target(&t, text);
	path = cmd_path_join(t.path, dir ? dir : "");
	status = mode == 'c' ? create(&t, path) : extract(&t, path);
	free(path);
	cmd_target_fini(&t);
	return status;
}

int main(int argc, char *argv[])
{
	int ch, status;

	cmd_init(&spec);
	cmd_tree_init(&tree);
	if (argc > 1 && argv[1][0] != '-' && argv[1][strspn(argv[1], "cxtfzJv")] == 0 && strpbrk(argv[1], "cxt"))
		argv[1] = cmd_printf("-%s", argv[1]);
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (!mode)
		cmd_usage("one of -c, -x and -t is needed");
	if (argc - optind != (mode != 't'))
		cmd_usage(mode == 't' ? "-t takes no TARGET" : "exactly one TARGET is needed");
	cmd_catch_signals();
	status = mode == 't' ? list() : work(argv[optind]);
	cmd_tree_fini(&tree);
	return cmd_finish(status);
}
