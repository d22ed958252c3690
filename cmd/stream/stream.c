/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-stream: look at a stored stream. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/edit.h"
#include "common/infile.h"

enum { PIECE = 1 << 20 };
static const struct option longs[] = { { "truncate", no_argument, NULL, 'T' }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-stream",
	.synopsis = "lcpfs-stream verify [-qv] [--json] [FILE]\n"
	            "lcpfs-stream ls [-0l] [--json] FILE [PATH]\n"
	            "lcpfs-stream cat [-o OUT] FILE PATH ...\n"
	            "lcpfs-stream dump [FILE]\n"
	            "lcpfs-stream token [-q] [--truncate] [--json] FILE",
	.shared = CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_JSON | CMD_O_NUL | CMD_O_OUTPUT,
	.letters = "l",
	.longs = longs,
};
static bool longer, cut;

/* ---- verify, dump, token ---- */

static void show_info(const char *name, const struct lcpfs_stream_info *i)
{
	char size[16];

	printf("%s: '%s@%s'", name, i->dataset, i->to);
	if (i->incremental)
		printf(" since '@%s'", i->from);
	printf(", %" PRIu64 " items, %" PRIu64 " blocks, %s, complete\n", i->items, i->blocks, cmd_human(size, i->bytes));
}

static void show_info_json(const char *name, const struct lcpfs_stream_info *i)
{
	struct cmd_json j;

	cmd_json_start(&j, stdout);
	cmd_json_name(&j, "file", name);
	cmd_json_bool(&j, "complete", i->complete);
	cmd_json_str(&j, "uuid", i->uuid);
	cmd_json_name(&j, "dataset", i->dataset);
	cmd_json_name(&j, "snapshot", i->to);
	cmd_json_bool(&j, "incremental", i->incremental);
	if (i->incremental)
		cmd_json_name(&j, "from", i->from);
	cmd_json_u64(&j, "frames", i->frames);
	cmd_json_u64(&j, "bytes", i->bytes);
	cmd_json_u64(&j, "items", i->items);
	cmd_json_u64(&j, "blocks", i->blocks);
	cmd_json_u64(&j, "block_bytes", i->block_bytes);
	cmd_json_finish(&j);
}

static int verify(char *argv[], int n)
{
	struct lcpfs_stream_info info = { 0 };
	struct lcpfs_error err = { 0 };
	struct in_file in;
	int status = in_open(&in, n ? argv[0] : NULL);

	if (status)
		return status;
	if (lcpfs_stream_verify(in_read, &in, &info, &err))
		status = cmd_fail(&err, "'%s' is no whole stream", in.name);
	if (cmd.json)
		show_info_json(in.name, &info);
	else if (!status && !cmd.quiet)
		show_info(in.name, &info);
	in_close(&in);
	return status;
}

static int put_line(void *arg, const char *line, struct lcpfs_error *err)
{
	(void)arg;
	return puts(line) < 0 ? cmd_err(err, LCPFS_EIO, "cannot write standard output") : 0;
}

static int dump(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	struct in_file in;
	int status = in_open(&in, n ? argv[0] : NULL);

	if (!status && lcpfs_stream_dump(in_read, &in, put_line, NULL, &err))
		status = cmd_fail(&err, "'%s'", in.name);
	in_close(&in);
	return status;
}

static int token(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	uint64_t good = 0;
	char *text = NULL;
	struct in_file in;
	struct cmd_json j;
	int status = in_open(&in, argv[0]);

	(void)n;
	if (!status && lcpfs_stream_resume_point(in_read, &in, &good, &text, &err))
		status = cmd_fail(&err, "cannot resume '%s'", argv[0]);
	else if (!status && !text && !cmd.json)
		status = good ? cmd_fail_code(LCPFS_EEXIST, "'%s' is complete: there is nothing to resume", argv[0])
		              : cmd_fail_code(LCPFS_ETRUNC, "'%s' ends before its first checkpoint: send it again from the start", argv[0]);
	in_close(&in);
	if (!status && text && cut && truncate(argv[0], (off_t)good))
		status = cmd_fail_errno(errno, "cannot shorten '%s'", argv[0]);
	if (!status && cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_str(&j, "token", text);
		cmd_json_u64(&j, "good_bytes", good);
		cmd_json_finish(&j);
	} else if (!status) {
		puts(text);
		cmd_note("the first %" PRIu64 " bytes of '%s' are good%s", good, argv[0], cut ? ", the rest was cut off" : "");
	}
	free(text);
	return status;
}

/* ---- ls, cat: the stream in a pool on a RAM disk ---- */

struct loaded { struct lcpfs_pool *pool; struct lcpfs_dataset *ds; const char *path; char *name; };

/* FILE, then the dataset that PATH ("/x" or "DATASET:/x") is in. */
static int load(struct lcpfs_pool **pool, const char *file)
{
	struct lcpfs_error err = { 0 };
	struct in_file in;
	int status = in_open(&in, file);

	*pool = NULL;
	if (!status && lcpfs_stream_load(in_read, &in, pool, NULL, &err))
		status = cmd_fail(&err, "cannot load '%s'", in.name);
	in_close(&in);
	return status;
}

static int enter(struct loaded *l, struct lcpfs_pool *pool, const char *file, const char *path)
{
	const char *colon = *path == '/' ? NULL : strchr(path, ':');
	struct lcpfs_error err = { 0 };

	l->pool = pool;
	l->name = colon ? cmd_printf("%.*s", (int)(colon - path), path) : cmd_strdup("");
	l->path = colon ? colon + 1 : path;
	return lcpfs_dataset_open(&l->ds, pool, l->name, &err) ? cmd_fail(&err, "cannot open '%s' of '%s'", path, file) : CMD_OK;
}

static void leave(struct loaded *l)
{
	lcpfs_dataset_close(l->ds);
	free(l->name);
}

static int show_entry(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	const char *dataset = arg;
	struct cmd_json j;
	char mode[11], date[64];

	(void)err;
	if (cmd.json) {
		cmd_json_start(&j, stdout);
		if (*dataset)
			cmd_json_name(&j, "dataset", dataset);
		cmd_json_name(&j, "path", e->path);
		cmd_json_stat(&j, e->st);
		cmd_json_finish(&j);
		return 0;
	}
	if (longer) {
		cmd_mode_string(mode, e->st->mode);
		cmd_time_local(date, &e->st->mtime, NULL);
		printf("%s %3u %6u %6u %12" PRIu64 " %s ", mode, e->st->nlink, e->st->uid, e->st->gid, e->st->size, date);
	}
	if (*dataset)
		printf("%s:", dataset);
	putchar('/');
	cmd_put_name(e->path);
	cmd_put_eol();
	return 0;
}

struct lister { struct lcpfs_pool *pool; };

static int show_dataset(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct lister *l = arg;
	struct lcpfs_dataset *ds;
	int rc = lcpfs_dataset_open(&ds, l->pool, i->name, err);

	if (rc)
		return rc;
	rc = lcpfs_walk(ds, "", 0, show_entry, (void *)(uintptr_t)i->name, err);
	lcpfs_dataset_close(ds);
	return rc;
}

static int list(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	struct lister l = { 0 };
	struct loaded at = { 0 };
	int rc = 0, status = load(&l.pool, argv[0]);

	if (!status && n > 1)
		status = enter(&at, l.pool, argv[0], argv[1]);
	if (!status)
		rc = n > 1 ? lcpfs_walk(at.ds, at.path, 0, show_entry, at.name, &err) : lcpfs_dataset_each(l.pool, "", true, false, show_dataset, &l, &err);
	if (rc)
		status = cmd_fail(&err, "cannot list '%s'", argv[0]);
	leave(&at);
	lcpfs_pool_close(l.pool, NULL);
	return status;
}

static int copy(struct lcpfs_file *f, struct cmd_out *out, struct lcpfs_error *err)
{
	char *buf = cmd_alloc(PIECE);
	size_t got = PIECE;
	int rc = 0;

	for (uint64_t off = 0; !rc && got == PIECE; off += PIECE) {
		rc = lcpfs_file_pread(f, buf, PIECE, off, &got, err);
		if (!rc)
			rc = cmd_out_write(out, buf, got, err);
	}
	free(buf);
	return rc;
}

static int cat_one(struct lcpfs_pool *pool, const char *file, const char *path, struct cmd_out *out)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_file *f = NULL;
	struct loaded at = { 0 };
	int status = enter(&at, pool, file, path), rc;

	if (!status) {
		rc = lcpfs_file_open(&f, at.ds, at.path, LCPFS_O_READ, 0, &err);
		if (!rc)
			rc = copy(f, out, &err);
		if (rc)
			status = cmd_fail(&err, "cannot read '%s' of '%s'", path, file);
	}
	lcpfs_file_close(f, NULL);
	leave(&at);
	return status;
}

static int cat(char *argv[], int n)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *pool;
	struct cmd_out out = { 0 };
	int status = load(&pool, argv[0]);

	if (!status && cmd_out_open(&out, cmd.output, &err))
		status = cmd_fail(&err, NULL);
	for (int i = 1; i < n && !status; i++)
		status = cat_one(pool, argv[0], argv[i], &out);
	if (status)
		cmd_out_abort(&out);
	else if (cmd_out_commit(&out, &err))
		status = cmd_fail(&err, NULL);
	lcpfs_pool_close(pool, NULL);
	return status;
}

int main(int argc, char *argv[])
{
	static const struct cmd_sub subs[] = {
		{ "verify", "", 0, 1, verify }, { "ls", "l", 1, 2, list }, { "cat", "", 2, -1, cat }, { "dump", "", 0, 1, dump }, { "token", "T", 1, 1, token },
	};
	char used[32] = "";
	int ch;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		cmd_sub_used(used, ch);
		if (ch == 'l')
			longer = true;
		else
			cut = true;
	}
	cmd_catch_signals();
	return cmd_finish(cmd_sub(subs, sizeof subs / sizeof *subs, used, argc, argv));
}
