/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on stderr. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "common/cmd.h"

static bool shown;
static double started;

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool wanted(void)
{
	if (cmd.progress == CMD_PROGRESS_NEVER)
		return false;
	if (cmd.progress == CMD_PROGRESS_AUTO)
		return !cmd.quiet && !cmd.json && isatty(STDERR_FILENO);
	return true;
}

static void show_json(const struct lcpfs_progress *p, double rate)
{
	struct cmd_json j;

	cmd_json_start(&j, stderr);
	cmd_json_object(&j, "progress");
	cmd_json_str(&j, "phase", p->phase);
	cmd_json_u64(&j, "entries", p->entries);
	cmd_json_u64(&j, "bytes", p->bytes);
	if (p->total_bytes)
		cmd_json_u64(&j, "total_bytes", p->total_bytes);
	cmd_json_u64(&j, "bytes_per_second", (uint64_t)rate);
	cmd_json_finish(&j);
}

static void show_line(const struct lcpfs_progress *p, double rate)
{
	char done[16], per_second[16], total[16];

	fprintf(stderr, "\r\033[K%s: %s", p->phase ? p->phase : "working", cmd_human(done, p->bytes));
	if (p->total_bytes)
		fprintf(stderr, " of %s", cmd_human(total, p->total_bytes));
	if (p->entries)
		fprintf(stderr, ", %" PRIu64 " entries", p->entries);
	fprintf(stderr, ", %s/s", cmd_human(per_second, (uint64_t)rate));
	if (p->total_bytes > p->bytes && rate >= 1) {
		uint64_t left = (uint64_t)((double)(p->total_bytes - p->bytes) / rate);
		fprintf(stderr, ", %" PRIu64 ":%02" PRIu64 " left", left / 60, left % 60);
	}
	fflush(stderr);
	shown = true;
}

bool cmd_progress(void *arg, const struct lcpfs_progress *p)
{
	double now = seconds(), took;

	(void)arg;
	if (!started)
		started = now;
	took = now - started;
	if (wanted()) {
		double rate = took > 0.05 ? (double)p->bytes / took : 0;
		if (cmd.progress == CMD_PROGRESS_JSON)
			show_json(p, rate);
		else
			show_line(p, rate);
	}
	return cmd_interrupted;
}

void cmd_progress_end(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
