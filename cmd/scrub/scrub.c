/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-scrub: read every block of pools, every frame of stored streams, and name what is damaged. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/infile.h"
#include "common/problems.h"

enum { L_SINCE = 256, L_METADATA, L_THOROUGH, L_BUDGET, L_RATE, L_RECORD, L_RESTART, L_RESUME, L_REPAIR };
static const struct option longs[] = {
	{ "since", required_argument, NULL, L_SINCE }, { "metadata", no_argument, NULL, L_METADATA },
	{ "thorough", no_argument, NULL, L_THOROUGH }, { "budget", required_argument, NULL, L_BUDGET },
	{ "rate", required_argument, NULL, L_RATE }, { "record", no_argument, NULL, L_RECORD },
	{ "restart", no_argument, NULL, L_RESTART }, { "repair", no_argument, NULL, L_REPAIR }, { "resume", required_argument, NULL, L_RESUME }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-scrub",
	.synopsis = "lcpfs-scrub [-qv] [--metadata | --thorough] [--since SNAP] [--budget AMOUNT] [--rate SIZE] [--resume PLACE]\n"
	            "    [--record [--restart]] [--repair] [--json] [--progress[=WHEN]] [--live] [-j N] [--memory SIZE] POOL|STREAM ...",
	.shared = CMD_O_READ | CMD_O_QUIET | CMD_O_VERBOSE | CMD_O_PROGRESS | CMD_O_JSON,
	.longs = longs,
};
static struct lcpfs_check_opts opts = { .map = true, .problem = problem_show, .progress = cmd_progress };
static struct { unsigned pools, streams, damaged, partial, failed; } all;
static double deadline;
static uint64_t bytes_left; /* of --budget; 0: there is none, 1: spent */

static double clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void spend(uint64_t bytes)
{
	if (bytes_left)
		bytes_left = bytes_left > bytes ? bytes_left - bytes : 1;
}

/* ---- what the options say ---- */

/* A time as "90s", "10m", "2h", "1d", or a size as "500M", "2G". */
static void take_budget(const char *text)
{
	static const struct { char unit; unsigned secs; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	for (unsigned i = 0; i < 4; i++)
		if (text[0] >= '0' && text[0] <= '9' && end[0] == units[i].unit && !end[1] && n && n <= 1000000000) {
			deadline = clock_now() + (double)n * units[i].secs;
			return;
		}
	bytes_left = cmd_size("--budget", text);
	if (!bytes_left)
		cmd_usage("--budget: '%s' is nothing", text);
}

static uint64_t take_place(const char *text)
{
	char *end;
	unsigned long chunk = strtoul(text, &end, 10), sector = 0;
	bool ok = text[0] >= '0' && text[0] <= '9' && *end == ':' && end[1] >= '0' && end[1] <= '9';

	if (ok)
		sector = strtoul(end + 1, &end, 10);
	if (!ok || *end || chunk > UINT32_MAX || sector > UINT32_MAX)
		cmd_usage("--resume: '%s' is no place that a scrub named", text);
	return (uint64_t)chunk << 32 | sector;
}

static void place_text(char out[24], uint64_t addr)
{
	snprintf(out, 24, "%u:%u", (unsigned)(addr >> 32), (unsigned)addr);
}

/* ---- reports ---- */

static void report_json(const char *pool, const struct lcpfs_scrub_stats *st)
{
	struct cmd_json j;
	char place[24];

	cmd_json_start(&j, stdout);
	cmd_json_object(&j, "scrub");
	cmd_json_name(&j, "pool", pool);
	cmd_json_u64(&j, "blocks", st->blocks);
	cmd_json_u64(&j, "bytes", st->bytes);
	cmd_json_u64(&j, "bad_blocks", st->bad_blocks);
	cmd_json_u64(&j, "bad_copies", st->bad_copies);
	cmd_json_u64(&j, "repaired_copies", st->mended_copies);
	cmd_json_u64(&j, "datasets", st->datasets);
	cmd_json_bool(&j, "complete", !st->next);
	if (st->next) {
		place_text(place, st->next);
		cmd_json_str(&j, "next", place);
	}
	cmd_json_bool(&j, "recorded", st->recorded);
	cmd_json_finish(&j);
}

static void report(const char *pool, const struct lcpfs_scrub_stats *st)
{
	char size[16], place[24];

	if (cmd.json) {
		report_json(pool, st);
		return;
	}
	if (!cmd.quiet) {
		printf("%s: %" PRIu64 " blocks, %s, of %" PRIu64 " datasets and snapshots: ", pool, st->blocks, cmd_human(size, st->bytes), st->datasets);
		if (st->bad_blocks)
			printf("%" PRIu64 " damaged\n", st->bad_blocks);
		else if (st->bad_copies)
			printf("%" PRIu64 " bad copies, %" PRIu64 " repaired\n", st->bad_copies, st->mended_copies);
		else
			puts(st->next ? "no damage so far" : "no damage");
	}
	if (!st->next)
		return;
	place_text(place, st->next);
	cmd_note(st->recorded ? "'%s': stopped at %s, where the next --record goes on" : "'%s': stopped at %s (--resume %s goes on there)",
	    pool, place, place);
}

static void report_all(void)
{
	struct cmd_json j;

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_object(&j, "summary");
		cmd_json_u64(&j, "pools", all.pools);
		cmd_json_u64(&j, "streams", all.streams);
		cmd_json_u64(&j, "damaged", all.damaged);
		cmd_json_u64(&j, "partial", all.partial);
		cmd_json_u64(&j, "failed", all.failed);
		cmd_json_finish(&j);
	} else if (!cmd.quiet) {
		printf("%u pool%s, %u stream%s: %u damaged, %u read in part, %u failed\n", all.pools, all.pools == 1 ? "" : "s", all.streams,
		    all.streams == 1 ? "" : "s", all.damaged, all.partial, all.failed);
	}
}

/* ---- streams ---- */

static bool is_stream(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[4] = "";
	struct stat st;
	bool yes = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && pread(fd, magic, sizeof magic, 0) == sizeof magic &&
	           !memcmp(magic, "LSTR", sizeof magic);

	if (fd >= 0)
		close(fd);
	return yes;
}

static void report_stream(const char *path, const struct lcpfs_stream_info *i, bool good)
{
	struct cmd_json j;
	char size[16];

	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_object(&j, "stream");
		cmd_json_name(&j, "file", path);
		cmd_json_u64(&j, "frames", i->frames);
		cmd_json_u64(&j, "blocks", i->blocks);
		cmd_json_u64(&j, "bytes", i->bytes);
		cmd_json_bool(&j, "complete", good);
		cmd_json_finish(&j);
	} else if (good && !cmd.quiet) {
		printf("%s: %" PRIu64 " frames, %s, of a stream: no damage\n", path, i->frames, cmd_human(size, i->bytes));
	}
}

static int scrub_stream(const char *path)
{
	struct lcpfs_stream_info info = { 0 };
	struct lcpfs_error err = { 0 };
	struct in_file in;
	int status = in_open(&in, path), rc;

	if (status)
		return status;
	rc = lcpfs_stream_verify(in_read, &in, &info, &err);
	report_stream(path, &info, !rc);
	if (rc)
		status = cmd_fail(&err, "'%s' is no whole stream", path);
	in_close(&in);
	spend(info.bytes);
	return status;
}

/* ---- pools ---- */

static int scrub_pool(const struct cmd_target *t)
{
	struct problems pr = { .pool = t->pool };
	struct lcpfs_scrub_stats st = { 0 };
	struct lcpfs_error err = { 0 };
	int rc, status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, opts.record || opts.mend ? LCPFS_OPEN_RW : LCPFS_OPEN_RO, &status);

	if (!p)
		return status;
	opts.arg = &pr;
	opts.budget_bytes = bytes_left;
	opts.budget_ms = deadline > 0 ? (uint64_t)((deadline - clock_now()) * 1000) + 1 : 0;
	rc = lcpfs_scrub(p, &opts, &st, &err);
	cmd_progress_end();
	if (!rc || rc == -LCPFS_ECSUM)
		report(t->pool, &st);
	if (rc)
		status = cmd_fail(&err, "'%s'", t->pool);
	if (opts.record && !st.recorded && rc == -LCPFS_ECSUM)
		cmd_note("'%s': nothing is recorded, because blocks of the pool itself are damaged", t->pool);
	if (st.next)
		status = cmd_worse(status, CMD_PARTIAL);
	spend(st.bytes);
	return status;
}

static bool budget_spent(void)
{
	return bytes_left == 1 || (deadline > 0 && clock_now() >= deadline);
}

static int scrub(const char *text, bool first)
{
	struct cmd_target t;
	bool stream;
	int status;

	cmd_target(&t, text);
	if (t.has_dataset || t.has_path)
		cmd_usage("'%s': a scrub is of a whole pool", text);
	stream = is_stream(t.pool);
	if (!first && budget_spent()) {
		cmd_note("'%s' is not read: the budget is spent", t.pool);
		status = CMD_PARTIAL;
	} else {
		status = stream ? scrub_stream(t.pool) : scrub_pool(&t);
	}
	all.streams += stream;
	all.pools += !stream;
	all.damaged += status == CMD_DAMAGED;
	all.partial += status == CMD_PARTIAL;
	all.failed += status != CMD_OK && status != CMD_DAMAGED && status != CMD_PARTIAL;
	cmd_target_fini(&t);
	return status;
}

static void take_opt(int ch)
{
	switch (ch) {
	case L_SINCE: opts.since = optarg + (optarg[0] == ':'); break;
	case L_METADATA: opts.nodes_only = true; break;
	case L_THOROUGH: opts.decode = true; break;
	case L_BUDGET: take_budget(optarg); break;
	case L_RATE:
		opts.rate = cmd_size("--rate", optarg);
		if (!opts.rate)
			cmd_usage("--rate: nothing would ever be read");
		break;
	case L_REPAIR: opts.mend = true; break;
	case L_RECORD: opts.record = true; break;
	case L_RESTART: opts.restart = true; break;
	case L_RESUME: opts.from = take_place(optarg); break;
	}
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK, n;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		take_opt(ch);
	n = argc - optind;
	if (!n)
		cmd_usage("no POOL given");
	if (opts.nodes_only && opts.decode)
		cmd_usage("--metadata and --thorough exclude each other");
	if (opts.record && (opts.since || opts.nodes_only || opts.from || cmd.live))
		cmd_usage("--record is for a scrub of everything (no --since, --metadata, --resume, --live)");
	if (opts.mend && cmd.live)
		cmd_usage("--repair needs the pool for itself (no --live)");
	if (opts.restart && !opts.record)
		cmd_usage("--restart is for what --record keeps");
	if (opts.from && n > 1)
		cmd_usage("--resume is for one POOL");
	cmd_catch_signals();
	for (int i = 0; i < n && !cmd_interrupted; i++)
		status = cmd_worse(status, scrub(argv[optind + i], i == 0));
	if (n > 1 && !cmd_interrupted)
		report_all();
	return cmd_finish(status);
}
