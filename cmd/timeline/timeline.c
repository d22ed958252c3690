/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-timeline: every state of every file, of snapshots and older roots, as one list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/datasets.h"

enum { L_CSV = 256, L_NS, L_ODD };
static const struct option longs[] = {
	{ "csv", no_argument, NULL, L_CSV }, { "ns", no_argument, NULL, L_NS }, { "contradictions", no_argument, NULL, L_ODD }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-timeline",
	.synopsis = "lcpfs-timeline [-q] [--csv | --json] [--contradictions] [--ns] [-o FILE] [--live] [-j N] [--memory SIZE] TARGET",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_JSON | CMD_O_OUTPUT,
	.longs = longs,
};
static bool csv, ns, only_odd;

static const struct { uint32_t bit; const char *word; } odd[] = {
	{ LCPFS_TIME_MTIME_FUTURE, "mtime-after-commit" }, { LCPFS_TIME_CTIME_FUTURE, "ctime-after-commit" },
	{ LCPFS_TIME_BTIME_FUTURE, "btime-after-commit" }, { LCPFS_TIME_CTIME_BEFORE_BIRTH, "ctime-before-btime" },
	{ LCPFS_TIME_CTIME_BEFORE_CHANGE, "ctime-before-change" },
};

static void put_odd(FILE *f, uint32_t bits)
{
	const char *sep = "";

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (bits & odd[i].bit) {
			fprintf(f, "%s%s", sep, odd[i].word);
			sep = " ";
		}
}

static void put_time(FILE *f, const struct lcpfs_time *t)
{
	fprintf(f, "%" PRId64, t->sec);
	if (ns)
		fprintf(f, ".%09" PRIu32, t->nsec);
}

/* "home:/ann/x"; the root dataset's paths begin with '/'. */
static char *full_path(const struct lcpfs_timeline *e)
{
	return cmd_printf("%s%s/%s", e->dataset, *e->dataset ? ":" : "", e->path);
}

/* ---- body file ---- */

/* As mactime reads lines: fields end at '|', control characters have no place. */
static void put_field(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '|')
			fputs("%7C", f);
		else
			fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '^' : *s, f);
	}
}

static char type_letter(uint32_t mode)
{
	return S_ISREG(mode) ? 'r' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : S_ISCHR(mode) ? 'c' : S_ISBLK(mode) ? 'b' : S_ISFIFO(mode) ? 'p' : 's';
}

static void show_body(FILE *f, const struct lcpfs_timeline *e)
{
	const struct lcpfs_stat *st = e->st;
	char *path = full_path(e), mode[11];

	cmd_mode_string(mode, st->mode);
	fputs("0|", f);
	put_field(f, path);
	if (e->target) {
		fputs(" -> ", f);
		put_field(f, e->target);
	}
	if (e->deleted)
		fputs(" (deleted)", f);
	fprintf(f, "|%" PRIu64 "|%c/%c%s|%" PRIu32 "|%" PRIu32 "|%" PRIu64, st->ino, type_letter(st->mode), type_letter(st->mode), mode + 1, st->uid,
	    st->gid, st->size);
	for (int i = 0; i < 4; i++) {
		fputc('|', f);
		put_time(f, i == 0 ? &st->atime : i == 1 ? &st->mtime : i == 2 ? &st->ctime : &st->btime);
	}
	fputc('\n', f);
	free(path);
}

/* ---- comma-separated ---- */

static void put_quoted(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static const char csv_head[] =
    "dataset,path,target,inode,gen,mode,uid,gid,nlink,size,atime,mtime,ctime,btime,txg,snapshot,commit_time,deleted,contradictions\n";

static void show_csv(FILE *f, const struct lcpfs_timeline *e)
{
	const struct lcpfs_stat *st = e->st;
	const struct lcpfs_time *const times[] = { &st->atime, &st->mtime, &st->ctime, &st->btime };
	char mode[11];

	cmd_mode_string(mode, st->mode);
	put_quoted(f, e->dataset);
	fputc(',', f);
	put_quoted(f, e->path);
	fputc(',', f);
	put_quoted(f, e->target ? e->target : "");
	fprintf(f, ",%" PRIu64 ",%" PRIu64 ",%s,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu64, st->ino, st->gen, mode, st->uid, st->gid, st->nlink,
	    st->size);
	for (int i = 0; i < 4; i++) {
		fputc(',', f);
		put_time(f, times[i]);
	}
	fprintf(f, ",%" PRIu64 ",%s,", e->txg, e->snap ? e->snap : "");
	put_time(f, &e->commit);
	fprintf(f, ",%s,", e->deleted ? "yes" : "no");
	put_odd(f, e->contradictions);
	fputc('\n', f);
}

static void show_json(FILE *f, const struct lcpfs_timeline *e)
{
	struct cmd_json j;

	cmd_json_start(&j, f);
	cmd_json_str(&j, "dataset", e->dataset);
	cmd_json_name(&j, "path", e->path);
	if (e->target)
		cmd_json_name(&j, "target", e->target);
	cmd_json_stat(&j, e->st);
	cmd_json_u64(&j, "gen", e->st->gen);
	cmd_json_u64(&j, "txg", e->txg);
	cmd_json_str(&j, "snapshot", e->snap);
	cmd_json_time(&j, "commit_time", &e->commit);
	cmd_json_bool(&j, "deleted", e->deleted);
	cmd_json_array(&j, "contradictions");
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (e->contradictions & odd[i].bit)
			cmd_json_str(&j, NULL, odd[i].word);
	cmd_json_finish(&j);
}

static int show(void *arg, const struct lcpfs_timeline *e, struct lcpfs_error *err)
{
	FILE *f = arg;

	if (only_odd && !e->contradictions)
		return 0;
	if (cmd.json)
		show_json(f, e);
	else if (csv)
		show_csv(f, e);
	else
		show_body(f, e);
	return ferror(f) ? cmd_err(err, LCPFS_EIO, "the output cannot be written") : cmd_interrupted ? cmd_err(err, LCPFS_ECANCEL, "interrupted") : 0;
}

static int timeline(const struct cmd_target *t)
{
	struct lcpfs_error err = { 0 };
	int rc, status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, LCPFS_OPEN_RO, &status);
	struct cmd_out out = { 0 };

	if (!p)
		return status;
	rc = cmd_out_open(&out, cmd.output, &err);
	if (!rc && csv)
		fputs(csv_head, out.f);
	if (!rc)
		rc = lcpfs_timeline(p, t->is_pool ? t->dataset : NULL, show, out.f, &err);
	if (!rc)
		rc = cmd_out_commit(&out, &err);
	else
		cmd_out_abort(&out);
	if (rc)
		return cmd_fail(&err, "cannot make a timeline of '%s'", t->text);
	cmd_note("'%s' was only read: nothing was written", t->pool);
	return CMD_OK;
}

int main(int argc, char *argv[])
{
	struct cmd_target t;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		csv |= ch == L_CSV;
		ns |= ch == L_NS;
		only_odd |= ch == L_ODD;
	}
	if (argc - optind != 1)
		cmd_usage("one TARGET is needed");
	if (csv && cmd.json)
		cmd_usage("--csv and --json exclude each other");
	if (ns && !csv && !cmd.json)
		cmd_usage("--ns goes with --csv or --json: a body file has whole seconds");
	ds_head_target(&t, argv[optind]);
	cmd_catch_signals();
	status = timeline(&t);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
