/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-bench: how fast the parts of the library are on this machine. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "bench/bench.h"
#include "hash/hash.h"

#define MEMORY_DEFAULT (256u << 20)
#define SIZE_DEFAULT (512u << 20)
#define SIZE_LEAST (64u << 20)

enum { OPT_CORPUS = 256, OPT_DIR, OPT_SECONDS, OPT_SIZE };
static const struct option longs[] = {
	{ "corpus", required_argument, NULL, OPT_CORPUS }, { "dir", required_argument, NULL, OPT_DIR },
	{ "seconds", required_argument, NULL, OPT_SECONDS }, { "size", required_argument, NULL, OPT_SIZE }, { 0 },
};
static const struct cmd_spec spec = {
	.name = "lcpfs-bench",
	.synopsis = "lcpfs-bench [--json | -p] [-q] [--progress[=WHEN]] [-j N] [--memory SIZE] [--seconds S] [--size SIZE] [--corpus FILE] [--dir DIR] [TEST ...]",
	.shared = CMD_O_JSON | CMD_O_PARSABLE | CMD_O_QUIET | CMD_O_THREADS | CMD_O_MEMORY | CMD_O_PROGRESS,
	.longs = longs,
};
static const struct { const char *name; int (*run)(struct bench *b, struct lcpfs_error *err); } tests[] = {
	{ "memory", bench_memory }, { "hash", bench_hash }, { "codec", bench_codec }, { "kdf", bench_kdf },
	{ "arc", bench_arc }, { "ram", bench_ram }, { "file", bench_file },
};
#define TESTS (sizeof tests / sizeof *tests)

static struct cmd_table table;
static struct cmd_json json;
static uint64_t results;

static void cell_rate(const struct result *r)
{
	if (cmd.parsable)
		cmd_table_add(&table, "%.0f", r->rate);
	else if (r->unit == BENCH_BYTES)
		cmd_table_add(&table, r->rate < 99.95e6 ? "%.1f MB/s" : "%.0f MB/s", r->rate / 1e6);
	else if (r->rate < 10e6)
		cmd_table_add(&table, "%.0f op/s", r->rate);
	else
		cmd_table_add(&table, "%.1f M op/s", r->rate / 1e6);
}

static void add_row(const struct result *r)
{
	cmd_table_add(&table, "%s", r->test);
	cmd_table_add(&table, "%s", r->name);
	cmd_table_add(&table, "%u", r->threads);
	cell_rate(r);
	if (cmd.parsable)
		cmd_table_add(&table, "%s", r->unit == BENCH_BYTES ? "bytes/s" : "op/s");
	if (r->size_ratio > 0)
		cmd_table_add(&table, "%.2f", r->size_ratio);
	else
		cmd_table_add(&table, "-");
	if (r->beside > 0)
		cmd_table_add(&table, cmd.parsable ? "%.3f\t%s" : "%.2f x %s", r->rate / r->beside, r->beside_name);
	else
		cmd_table_add(&table, cmd.parsable ? "-\t-" : "");
}

static void add_object(const struct result *r)
{
	cmd_json_object(&json, NULL);
	cmd_json_str(&json, "test", r->test);
	cmd_json_str(&json, "name", r->name);
	cmd_json_str(&json, "unit", r->unit == BENCH_BYTES ? "bytes/s" : "op/s");
	cmd_json_u64(&json, "threads", r->threads);
	cmd_json_u64(&json, "rate", (uint64_t)r->rate);
	if (r->size_ratio > 0)
		cmd_json_u64(&json, "size_ratio_thousandths", (uint64_t)(r->size_ratio * 1000));
	if (r->beside > 0) {
		cmd_json_str(&json, "beside", r->beside_name);
		cmd_json_u64(&json, "beside_rate", (uint64_t)r->beside);
	}
	cmd_json_end(&json);
}

void bench_result(const struct result *r)
{
	if (cmd_interrupted)
		return; /* cut short, it says nothing */
	results++;
	if (cmd.json)
		add_object(r);
	else
		add_row(r);
}

/* The processor as the kernel names it. */
static void cpu_model(char out[128])
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, 128, "unknown");
	while (f && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		snprintf(out, 128, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

static void machine(const struct bench *b)
{
	struct utsname u;
	char cpu[128];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	cpu_model(cpu);
	uname(&u);
	if (!cmd.json) {
		if (!cmd.parsable && !cmd.quiet)
			printf("%s, %ld processors, %s %s, BLAKE3 %s\nlcpfs %s, %s, %s\n%.2g s each, the best of three; data made by rule%s\n\n", cpu, cpus,
			    u.sysname, u.machine, blake3_impl(), lcpfs_version(), lcpfs_codec_versions(), OpenSSL_version(OPENSSL_VERSION), b->seconds,
			    b->corpus ? ", but for the file" : "");
		return;
	}
	cmd_json_object(&json, "machine");
	cmd_json_str(&json, "cpu", cpu);
	cmd_json_u64(&json, "cpus", cpus > 0 ? (uint64_t)cpus : 0);
	cmd_json_str(&json, "arch", u.machine);
	cmd_json_str(&json, "kernel", u.release);
	cmd_json_str(&json, "blake3", blake3_impl());
	cmd_json_end(&json);
	cmd_json_object(&json, "software");
	cmd_json_str(&json, "lcpfs", lcpfs_version());
	cmd_json_str(&json, "codecs", lcpfs_codec_versions());
	cmd_json_str(&json, "libcrypto", OpenSSL_version(OPENSSL_VERSION));
	cmd_json_end(&json);
	cmd_json_object(&json, "settings");
	cmd_json_u64(&json, "threads", b->threads);
	cmd_json_u64(&json, "memory_bytes", b->memory_bytes);
	cmd_json_u64(&json, "size_bytes", b->size_bytes);
	cmd_json_u64(&json, "milliseconds", (uint64_t)(b->seconds * 1000));
	cmd_json_str(&json, "corpus", b->corpus ? "file" : "synthetic");
	cmd_json_end(&json);
}

static double seconds(const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0.001 && s <= 3600))
		cmd_usage("--seconds: '%s' is not a time from 0.001 to 3600", text);
	return s;
}

static unsigned chosen(int argc, char *argv[], const struct bench *b)
{
	unsigned mask = 0;

	for (int i = optind; i < argc; i++) {
		size_t t = 0;

		while (t < TESTS && strcmp(tests[t].name, argv[i]) != 0)
			t++;
		if (t == TESTS)
			cmd_usage("no test '%s': memory, hash, codec, kdf, arc, ram or file", argv[i]);
		mask |= 1u << t;
	}
	if (optind == argc)
		mask = b->dir ? (1u << TESTS) - 1 : (1u << (TESTS - 1)) - 1;
	if (mask >> (TESTS - 1) & 1 && !b->dir)
		cmd_usage("test 'file' needs --dir");
	return mask;
}

static int run(struct bench *b, unsigned mask)
{
	int status = CMD_OK;

	for (size_t t = 0; t < TESTS && !cmd_interrupted; t++) {
		struct lcpfs_progress now = { .entries = results, .phase = tests[t].name };
		struct lcpfs_error err = { 0 };

		if (!(mask >> t & 1))
			continue;
		cmd_progress(NULL, &now);
		if (tests[t].run(b, &err)) {
			cmd_progress_end();
			status = cmd_worse(status, cmd_fail(&err, "run test '%s'", tests[t].name));
		}
	}
	cmd_progress_end();
	return cmd_interrupted ? cmd_worse(status, CMD_FAILED) : status;
}

int main(int argc, char *argv[])
{
	static const char *const head[] = { "TEST", "WHAT", "THREADS", "RATE", "RATIO", "BESIDE" };
	static const char *const parsable[] = { "TEST", "WHAT", "THREADS", "RATE", "UNIT", "RATIO", "BESIDE" };
	struct bench b = { .memory_bytes = MEMORY_DEFAULT, .size_bytes = SIZE_DEFAULT, .seconds = 0.15 };
	unsigned mask;
	int ch, status;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1) {
		switch (ch) {
		case OPT_CORPUS: b.corpus = optarg; break;
		case OPT_DIR: b.dir = optarg; break;
		case OPT_SECONDS: b.seconds = seconds(optarg); break;
		default: b.size_bytes = cmd_size("--size", optarg) & ~(uint64_t)0xfffff;
		}
	}
	if (b.size_bytes < SIZE_LEAST || b.size_bytes > (uint64_t)1 << 40)
		cmd_usage("--size: from 64M to 1T");
	b.threads = cmd.threads ? cmd.threads : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (cmd.memory_bytes)
		b.memory_bytes = cmd.memory_bytes;
	mask = chosen(argc, argv, &b);
	cmd_catch_signals();
	if (cmd.json)
		cmd_json_start(&json, stdout);
	machine(&b);
	if (cmd.json)
		cmd_json_array(&json, "results");
	else
		cmd_table_init(&table, cmd.parsable ? 7 : 6, cmd.parsable ? parsable : head, cmd.parsable ? "llrrlrl" : "llrrrl");
	status = run(&b, mask);
	if (cmd.json)
		cmd_json_finish(&json);
	else
		cmd_table_print(&table, stdout);
	return cmd_finish(status);
}
