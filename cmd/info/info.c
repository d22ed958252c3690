/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-info: what a pool is: identity, age, space, features, datasets. */
#include <inttypes.h>
#include <string.h>
#include "common/cmd.h"

enum { L_CODECS = 256, L_VERIFIED };
static const struct option longs[] = { { "codecs", no_argument, NULL, L_CODECS }, { "verified", no_argument, NULL, L_VERIFIED }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-info",
	.synopsis = "lcpfs-info [-p] [--codecs] [--verified] [--json] [--live] [-j N] [--memory SIZE] POOL ...",
	.shared = CMD_O_READ | CMD_O_JSON | CMD_O_PARSABLE,
	.longs = longs,
};
static struct cmd_json json;
static bool codecs, verified;
struct counts { uint64_t datasets, snapshots, files; };

static int count(void *arg, const struct lcpfs_ds_info *info, struct lcpfs_error *err)
{
	struct counts *c = arg;

	(void)err;
	if (info->kind == LCPFS_DS_SNAPSHOT) {
		c->snapshots++;
	} else {
		c->datasets++;
		c->files += info->n_files;
	}
	return 0;
}

static void uuid_text(char out[37], const uint8_t u[16])
{
	char *p = out;

	for (int i = 0; i < 16; i++)
		p += snprintf(p, 37 - (size_t)(p - out), "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
}

static void line(const char *key, const char *value)
{
	if (cmd.parsable)
		printf("%s\t%s\n", key, value);
	else
		printf("%-12s %s\n", key, value);
}

static void line_u64(const char *key, uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof buf, "%" PRIu64, v);
	line(key, buf);
}

static void line_bytes(const char *key, uint64_t v)
{
	char buf[24], both[64];

	if (cmd.parsable) {
		line_u64(key, v);
		return;
	}
	snprintf(both, sizeof both, "%s (%" PRIu64 " bytes)", cmd_human(buf, v), v);
	line(key, both);
}

/* What the second copies of metadata take, and what part of the device that is. */
static void show_copies(const struct lcpfs_pool_info *i)
{
	char buf[16], both[96];
	double percent = i->device_bytes ? 100.0 * (double)i->copies_bytes / (double)i->device_bytes : 0;

	if (cmd.parsable) {
		line_u64("copies", i->copies_bytes);
		return;
	}
	snprintf(both, sizeof both, "%s (%" PRIu64 " bytes, %.2f%% of the device)", cmd_human(buf, i->copies_bytes), i->copies_bytes, percent);
	line("copies", both);
}

static const char *const feature_kind[] = { "incompat", "ro_compat", "compat" };

static void features_text(struct lcpfs_pool *p)
{
	const char *f;

	for (unsigned kind = 0; kind < 3; kind++)
		for (unsigned i = 0; (f = lcpfs_pool_feature(p, kind, i)); i++)
			line(feature_kind[kind], f);
}

/* The last whole scrub that was recorded, and how far the one under way is. */
static void scrub_text(const struct lcpfs_scrub_state *sc)
{
	struct lcpfs_time when = { sc->done_s, 0 }, began = { sc->started_s, 0 };
	char t[64], text[128], size[24];

	cmd_time_local(t, &when, cmd.parsable ? "%s" : "%Y-%m-%d %H:%M:%S %z");
	if (!sc->done_txg)
		line("verified", cmd.parsable ? "" : "never recorded");
	else if (cmd.parsable)
		line("verified", t);
	else if (sc->done_bad_blocks)
		snprintf(text, sizeof text, "%s, %" PRIu64 " damaged blocks", t, sc->done_bad_blocks), line("verified", text);
	else
		snprintf(text, sizeof text, "%s, no damage", t), line("verified", text);
	if (sc->done_txg && cmd.parsable)
		line_u64("damaged", sc->done_bad_blocks);
	if (!sc->under_way || cmd.parsable)
		return;
	cmd_time_local(t, &began, "%Y-%m-%d %H:%M:%S %z");
	snprintf(text, sizeof text, "since %s, %s so far", t, cmd_human(size, sc->bytes));
	line("scrubbing", text);
}

static void scrub_json(const struct lcpfs_scrub_state *sc)
{
	struct lcpfs_time when = { sc->done_s, 0 }, began = { sc->started_s, 0 };

	if (sc->done_txg) {
		cmd_json_object(&json, "verified");
		cmd_json_time(&json, "time", &when);
		cmd_json_u64(&json, "txg", sc->done_txg);
		cmd_json_u64(&json, "bytes", sc->done_bytes);
		cmd_json_u64(&json, "damaged", sc->done_bad_blocks);
		cmd_json_bool(&json, "decoded", sc->decoded);
		cmd_json_end(&json);
	}
	if (sc->under_way) {
		cmd_json_object(&json, "scrubbing");
		cmd_json_time(&json, "began", &began);
		cmd_json_u64(&json, "bytes", sc->bytes);
		cmd_json_u64(&json, "damaged", sc->bad_blocks);
		cmd_json_end(&json);
	}
}

static void show_text(struct lcpfs_pool *p, const char *name, const struct lcpfs_pool_info *i, const struct counts *c,
                      const struct lcpfs_scrub_state *sc)
{
	struct lcpfs_time when = { i->time_s, 0 };
	char uuid[37], t[64];

	uuid_text(uuid, i->uuid);
	cmd_time_local(t, &when, cmd.parsable ? "%s" : "%Y-%m-%d %H:%M:%S %z");
	line("pool", i->name);
	line("path", name);
	line("uuid", uuid);
	line("kind", i->image ? "image" : "disk");
	line_u64("txg", i->txg);
	line("written", t);
	scrub_text(sc);
	line("checksum", i->checksum);
	line_bytes("device", i->device_bytes);
	line_bytes("total", i->total_bytes);
	line_bytes("used", i->used_bytes);
	line_bytes("available", i->avail_bytes);
	show_copies(i);
	line_u64("devices", i->n_devices);
	line_u64("chunks", i->n_chunks);
	line_u64("datasets", c->datasets);
	line_u64("snapshots", c->snapshots);
	line_u64("inodes", c->files);
	features_text(p);
	line("library", lcpfs_version());
	line("codecs", lcpfs_codec_versions());
}

static void json_space(const struct lcpfs_pool_info *i)
{
	cmd_json_u64(&json, "device_bytes", i->device_bytes);
	cmd_json_u64(&json, "total_bytes", i->total_bytes);
	cmd_json_u64(&json, "used_bytes", i->used_bytes);
	cmd_json_u64(&json, "available_bytes", i->avail_bytes);
	cmd_json_u64(&json, "copies_bytes", i->copies_bytes);
	cmd_json_u64(&json, "copies_permille", i->device_bytes ? (i->copies_bytes * 1000 + i->device_bytes / 2) / i->device_bytes : 0);
	cmd_json_u64(&json, "devices", i->n_devices);
	cmd_json_u64(&json, "chunks", i->n_chunks);
}

static void show_json(struct lcpfs_pool *p, const char *name, const struct lcpfs_pool_info *i, const struct counts *c,
                      const struct lcpfs_scrub_state *sc)
{
	struct lcpfs_time when = { i->time_s, 0 };
	const char *f;
	char uuid[37];

	uuid_text(uuid, i->uuid);
	cmd_json_object(&json, NULL);
	cmd_json_str(&json, "pool", i->name);
	cmd_json_name(&json, "path", name);
	cmd_json_str(&json, "uuid", uuid);
	cmd_json_str(&json, "kind", i->image ? "image" : "disk");
	cmd_json_u64(&json, "txg", i->txg);
	cmd_json_time(&json, "written", &when);
	scrub_json(sc);
	cmd_json_str(&json, "checksum", i->checksum);
	json_space(i);
	cmd_json_u64(&json, "datasets", c->datasets);
	cmd_json_u64(&json, "snapshots", c->snapshots);
	cmd_json_u64(&json, "inodes", c->files);
	cmd_json_object(&json, "features");
	for (unsigned kind = 0; kind < 3; kind++) {
		cmd_json_array(&json, feature_kind[kind]);
		for (unsigned k = 0; (f = lcpfs_pool_feature(p, kind, k)); k++)
			cmd_json_str(&json, NULL, f);
		cmd_json_end(&json);
	}
	cmd_json_end(&json);
}

/* What datasets are compressed with: a row per dataset or snapshot and codec. */
struct uses { struct lcpfs_pool *p; const char *name; struct cmd_table t; };

static int use_row(void *arg, const struct lcpfs_codec_use *u, struct lcpfs_error *err)
{
	struct uses *l = arg;
	char logical[24], stored[24];
	double ratio = (double)u->logical_bytes / (double)u->stored_bytes;

	(void)err;
	if (cmd.json) {
		cmd_json_object(&json, NULL);
		cmd_json_name(&json, "dataset", l->name);
		cmd_json_str(&json, "codec", u->codec);
		cmd_json_u64(&json, "blocks", u->blocks);
		cmd_json_u64(&json, "logical_bytes", u->logical_bytes);
		cmd_json_u64(&json, "stored_bytes", u->stored_bytes);
		cmd_json_end(&json);
		return 0;
	}
	if (cmd.parsable)
		cmd_table_add(&l->t, "codec");
	cmd_table_add(&l->t, "%s", *l->name || cmd.parsable ? l->name : "/");
	cmd_table_add(&l->t, "%s", u->codec);
	cmd_table_add(&l->t, "%" PRIu64, u->blocks);
	cmd_table_add(&l->t, "%s", cmd_bytes(logical, u->logical_bytes));
	cmd_table_add(&l->t, "%s", cmd_bytes(stored, u->stored_bytes));
	cmd_table_add(&l->t, "%.2f", ratio);
	return 0;
}

static int uses_of(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct uses *l = arg;

	l->name = i->name;
	return lcpfs_codec_each(l->p, i->name, use_row, l, err);
}

static int show_codecs(struct lcpfs_pool *p, struct lcpfs_error *err)
{
	static const char *const head[] = { "DATASET", "CODEC", "BLOCKS", "LOGICAL", "STORED", "RATIO" };
	static const char *const none[] = { "", "", "", "", "", "", "" };
	struct uses l = { .p = p };
	int rc;

	if (cmd.json)
		cmd_json_array(&json, "codecs");
	else if (cmd.parsable)
		cmd_table_init(&l.t, 7, none, "lllrrrr");
	else
		cmd_table_init(&l.t, 6, head, "llrrrr");
	rc = lcpfs_dataset_each(p, "", true, true, uses_of, &l, err);
	if (cmd.json)
		cmd_json_end(&json);
	else
		cmd_table_print(&l.t, stdout);
	return rc;
}

/* What the last recorded scrub says of each dataset and snapshot. */
static int verified_row(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	struct lcpfs_scrub_of_dataset s;
	struct uses *l = arg;
	struct lcpfs_time when;
	char t[64];
	int rc = lcpfs_scrub_of_dataset(l->p, i->name, &s, err);

	when = (struct lcpfs_time){ s.verified_s, 0 };
	cmd_time_local(t, &when, cmd.parsable ? "%s" : NULL);
	if (rc)
		return rc;
	if (cmd.json) {
		cmd_json_object(&json, NULL);
		cmd_json_name(&json, "dataset", i->name);
		if (s.verified_s)
			cmd_json_time(&json, "verified", &when);
		cmd_json_u64(&json, "damaged", s.bad_blocks);
		cmd_json_bool(&json, "changed", s.changed);
		cmd_json_end(&json);
		return 0;
	}
	if (cmd.parsable)
		cmd_table_add(&l->t, "verified_dataset");
	cmd_table_add(&l->t, "%s", *i->name || cmd.parsable ? i->name : "/");
	cmd_table_add(&l->t, "%s", s.verified_s ? t : "-");
	cmd_table_add(&l->t, "%" PRIu64, s.bad_blocks);
	cmd_table_add(&l->t, "%s", !s.verified_s ? "-" : s.changed ? "yes" : "no");
	return 0;
}

static int show_verified(struct lcpfs_pool *p, struct lcpfs_error *err)
{
	static const char *const head[] = { "DATASET", "VERIFIED", "DAMAGED", "CHANGED" };
	static const char *const none[] = { "", "", "", "", "" };
	struct uses l = { .p = p };
	int rc;

	if (cmd.json)
		cmd_json_array(&json, "verified_datasets");
	else if (cmd.parsable)
		cmd_table_init(&l.t, 5, none, "lllrl");
	else
		cmd_table_init(&l.t, 4, head, "llrl");
	rc = lcpfs_dataset_each(p, "", true, true, verified_row, &l, err);
	if (cmd.json)
		cmd_json_end(&json);
	else
		cmd_table_print(&l.t, stdout);
	return rc;
}

static int info(const char *text)
{
	struct lcpfs_scrub_state sc;
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool_info i;
	struct counts c = { 0 };
	struct cmd_target t;
	int status = CMD_OK;
	struct lcpfs_pool *p;

	cmd_target(&t, text);
	p = cmd_pool(&t, LCPFS_OPEN_RO, &status);
	if (p && (cmd_pool_info(p, t.pool, &i, &err) || lcpfs_dataset_each(p, "", true, true, count, &c, &err) < 0 ||
	          lcpfs_scrub_state(p, &sc, &err)))
		status = cmd_fail(&err, "cannot read '%s'", t.pool);
	else if (p && cmd.json)
		show_json(p, t.pool, &i, &c, &sc);
	else if (p)
		show_text(p, t.pool, &i, &c, &sc);
	if (p && status == CMD_OK && codecs && show_codecs(p, &err) < 0)
		status = cmd_fail(&err, "read '%s'", t.pool);
	if (p && status == CMD_OK && verified && show_verified(p, &err) < 0)
		status = cmd_fail(&err, "read '%s'", t.pool);
	if (p && status == CMD_OK && cmd.json)
		cmd_json_end(&json);
	cmd_target_fini(&t);
	return status;
}

static void take_opt(int ch)
{
	codecs |= ch == L_CODECS;
	verified |= ch == L_VERIFIED;
}

int main(int argc, char *argv[])
{
	int ch, status = CMD_OK;

	cmd_init(&spec);
	while ((ch = cmd_opt(argc, argv)) != -1)
		take_opt(ch);
	if (optind == argc)
		cmd_usage("no POOL given");
	if (cmd.json) {
		cmd_json_start(&json, stdout);
		cmd_json_array(&json, "pools");
	}
	for (bool first = true; optind < argc; optind++, first = false) {
		if (!first && !cmd.json)
			putchar('\n');
		status = cmd_worse(status, info(argv[optind]));
	}
	if (cmd.json)
		cmd_json_finish(&json);
	return cmd_finish(status);
}
