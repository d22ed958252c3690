/* SPDX-License-Identifier: Apache-2.0 */
/* mkfs.lcpfs: make a pool and fill it. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "mkfs/mkfs.h"

enum {
	L_COMPRESS = 256, L_CHECKSUM, L_RECORD, L_PACK, L_SLICE, L_PROFILE, L_DATASET, L_SNAPSHOT, L_REPRODUCIBLE, L_SIZE, L_LABELS, L_NO_VERIFY,
	L_VERIFY, L_NO_DUPLICATES, L_COPIES,
};
static const struct option longs[] = {
	{ "compress", required_argument, NULL, L_COMPRESS }, { "checksum", required_argument, NULL, L_CHECKSUM },
	{ "label", required_argument, NULL, 'L' }, { "uuid", required_argument, NULL, 'U' }, { "record", required_argument, NULL, L_RECORD },
	{ "pack", required_argument, NULL, L_PACK }, { "slice", required_argument, NULL, L_SLICE }, { "profile", required_argument, NULL, L_PROFILE },
	{ "dataset", required_argument, NULL, L_DATASET }, { "snapshot", required_argument, NULL, L_SNAPSHOT },
	{ "reproducible", no_argument, NULL, L_REPRODUCIBLE }, { "size", required_argument, NULL, L_SIZE },
	{ "copies", required_argument, NULL, L_COPIES }, { "labels", required_argument, NULL, L_LABELS }, { "no-verify", no_argument, NULL, L_NO_VERIFY },
	{ "verify", required_argument, NULL, L_VERIFY }, { "no-duplicates", no_argument, NULL, L_NO_DUPLICATES }, CMD_TREE_LONGS, { 0 },
};
static const struct cmd_spec spec = {
	.name = "mkfs.lcpfs",
	.synopsis =
	    "mkfs.lcpfs [-fnqv] [-L NAME] [-U UUID] [--profile PROFILE] [--compress CODEC] [--checksum NAME]\n"
	    "    [--record SIZE] [--pack SIZE] [--slice SIZE] [--size SIZE] [--copies N] [--labels N]\n"
	    "    [--dataset NAME[=SOURCE]] [--snapshot NAME]\n"
	    "    [--owner OWNER[:GROUP]] [--all-root] [--chmod MODE] [--exclude PATTERN] [--one-file-system] [--reproducible]\n"
	    "    [--no-duplicates] [--verify HOW] [--no-verify] [--progress[=WHEN]] [--json] [-j N] [--memory SIZE] IMAGE [SOURCE ...]",
	.shared = CMD_O_WRITE | CMD_O_FORCE | CMD_O_JSON | CMD_O_PROGRESS | CMD_O_PARSABLE,
	.letters = "L:U:",
	.longs = longs,
};
static struct mkfs m = { .verify = true };

/* What is best for a purpose, measured on source trees and small files; the first is the default. */
static const struct profile { const char *name, *compress; uint32_t record, pack, slice; } profiles[] = {
	{ "default", "zstd:3", 1 << 20, 2 << 20, 256 << 10 },
	{ "fast", "lz4", 1 << 20, 1 << 20, 128 << 10 },
	{ "small", "zstd:5", 2 << 20, 2 << 20, 256 << 10 },
	{ "archive", "zstd:3", 4 << 20, 4 << 20, 4 << 20 },
	{ "rw", "zstd:3", 128 << 10, 128 << 10, 16 << 10 },
};

static uint32_t block_size(const char *what, const char *text)
{
	uint64_t v = cmd_size(what, text);

	if (!v || v & (v - 1) || v > 16 << 20)
		cmd_usage("%s: '%s' is no power of two up to 16M", what, text);
	return (uint32_t)v;
}

static void set_uuid(const char *text)
{
	static uint8_t uuid[16];
	unsigned n = 0;

	for (const char *s = text; *s; s++) {
		bool dash = n == 8 || n == 12 || n == 16 || n == 20;
		if (*s == '-' && dash && s[-1] != '-')
			continue;
		if (!isxdigit((unsigned char)*s) || n == 32)
			cmd_usage("-U: '%s' is no UUID (write 8-4-4-4-12 hexadecimal digits)", text);
		uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | (isdigit((unsigned char)*s) ? *s - '0' : tolower((unsigned char)*s) - 'a' + 10));
		n++;
	}
	if (n != 32 || strlen(text) != 36)
		cmd_usage("-U: '%s' is no UUID (write 8-4-4-4-12 hexadecimal digits)", text);
	m.create.uuid = uuid;
}

static void add_source(char *dataset, const char *path)
{
	m.sources = cmd_realloc(m.sources, m.n_sources + 1, sizeof *m.sources);
	m.sources[m.n_sources++] = (struct source){ dataset, path };
}

static void add_dataset(const char *text)
{
	const char *eq = strchr(text, '=');
	char *name = eq ? cmd_printf("%.*s", (int)(eq - text), text) : cmd_strdup(text);

	if (!*name || strchr(name, '@'))
		cmd_usage("--dataset: '%s' is no NAME=SOURCE", text);
	add_source(name, eq && eq[1] ? eq + 1 : NULL);
}

/* A profile gives what the options leave open, wherever it stands. */
static void apply_profile(const char *name)
{
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
		const struct profile *p = &profiles[i];

		if (strcmp(p->name, name))
			continue;
		if (!m.create.compress)
			m.create.compress = p->compress;
		if (!m.create.record_bytes)
			m.create.record_bytes = p->record;
		if (!m.create.pack_bytes)
			m.create.pack_bytes = p->pack;
		if (!m.create.slice_max_bytes)
			m.create.slice_max_bytes = p->slice < m.create.pack_bytes ? p->slice : m.create.pack_bytes;
		return;
	}
	cmd_usage("--profile: '%s' is none of default, fast, small, archive, rw", name);
}

static const char *profile = "default";

static void set_verify(const char *how)
{
	if (strcmp(how, "hash") && strcmp(how, "decode"))
		cmd_usage("--verify: '%s' is none of hash, decode", how);
	m.verify = true;
	m.decode = !strcmp(how, "decode");
}

static void option(int ch)
{
	switch (ch) {
	case 'L': m.create.name = optarg; break;
	case 'U': set_uuid(optarg); break;
	case L_COMPRESS: m.create.compress = optarg; break;
	case L_CHECKSUM: m.create.checksum = optarg; break;
	case L_RECORD: m.create.record_bytes = block_size("--record", optarg); break;
	case L_PACK: m.create.pack_bytes = block_size("--pack", optarg); break;
	case L_SLICE: m.create.slice_max_bytes = block_size("--slice", optarg); break;
	case L_PROFILE: profile = optarg; break;
	case L_DATASET: add_dataset(optarg); break;
	case L_SNAPSHOT: m.snapshot = optarg; break;
	case L_SIZE: m.create.size_bytes = cmd_size("--size", optarg); break;
	case L_COPIES: m.create.copies = (unsigned)cmd_number("--copies", optarg, 1, 2); break;
	case L_LABELS: m.create.labels = (unsigned)cmd_number("--labels", optarg, 1, 2); break;
	case L_NO_VERIFY: m.verify = false; break;
	case L_VERIFY: set_verify(optarg); break;
	case L_NO_DUPLICATES: m.tree.opts.flags &= ~(uint32_t)LCPFS_TREE_DUPLICATES; break;
	case L_REPRODUCIBLE:
		m.create.reproducible = true;
		m.tree.opts.flags |= LCPFS_TREE_REPRODUCIBLE;
		break;
	default: cmd_tree_option(&m.tree, ch, optarg); break;
	}
}

static void report(void)
{
	struct cmd_json j;
	char size[16];

	cmd_progress_end();
	if (cmd.json) {
		cmd_json_start(&j, stdout);
		cmd_json_name(&j, "path", m.image);
		cmd_json_u64(&j, "bytes", m.bytes);
		cmd_json_u64(&j, "entries", m.total.entries);
		cmd_json_u64(&j, "files", m.total.files);
		cmd_json_u64(&j, "content_bytes", m.total.bytes);
		cmd_json_u64(&j, "warnings", m.total.warnings);
		cmd_json_u64(&j, "verified_blocks", m.blocks);
		cmd_json_bool(&j, "dry_run", cmd.dry_run);
		cmd_json_finish(&j);
	} else if (cmd.parsable && !cmd.quiet && (cmd.dry_run || cmd.verbose)) {
		printf("%" PRIu64 "\t%" PRIu64 "\t%s\n", m.bytes, m.total.entries, m.image);
	} else if (!cmd.quiet && (cmd.dry_run || cmd.verbose)) {
		printf("%s%s: %" PRIu64 " bytes (%s), %" PRIu64 " entries\n", cmd.dry_run ? "would make " : "", m.image, m.bytes, cmd_human(size, m.bytes),
		    m.total.entries);
		if (cmd.verbose)
			printf("codecs: %s\n", lcpfs_codec_versions());
	}
}

static int make(void)
{
	struct stat st;

	if (cmd.dry_run)
		return mkfs_dry(&m);
	if (!stat(m.image, &st) && S_ISBLK(st.st_mode))
		return mkfs_device(&m);
	return mkfs_image(&m);
}

int main(int argc, char *argv[])
{
	int ch, status;

	cmd_init(&spec);
	cmd_tree_init(&m.tree);
	m.tree.opts.flags |= LCPFS_TREE_DUPLICATES;
	while ((ch = cmd_opt(argc, argv)) != -1)
		option(ch);
	if (optind == argc)
		cmd_usage("no IMAGE given");
	apply_profile(profile);
	m.image = argv[optind++];
	for (; optind < argc; optind++)
		add_source(cmd_strdup(""), argv[optind]);
	cmd_open_opts(&m.create.open, LCPFS_OPEN_RW);
	cmd_catch_signals();
	status = make();
	if (status == CMD_OK || status == CMD_PARTIAL)
		report();
	for (size_t i = 0; i < m.n_sources; i++)
		free(m.sources[i].dataset);
	free(m.sources);
	cmd_tree_fini(&m.tree);
	return cmd_finish(status);
}
