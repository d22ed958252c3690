/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-versions: every version of a file that the snapshots hold. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/datasets.h"
#include "common/edit.h"

enum { L_RESTORE = 256, PIECE = 1 << 20 };
static const struct option longs[] = { { "restore", required_argument, NULL, L_RESTORE }, { 0 } };
static const struct cmd_spec spec = {
	.name = "lcpfs-versions",
	.synopsis = "lcpfs-versions [-p] [--json] [--live] [-j N] [--memory SIZE] TARGET\n"
	            "lcpfs-versions [-nqv] [-j N] [--memory SIZE] --restore SNAP TARGET\n"
	            "lcpfs-versions [-j N] [--memory SIZE] --restore SNAP -o FILE TARGET",
	.shared = CMD_O_WRITE | CMD_O_LIVE | CMD_O_PARSABLE | CMD_O_JSON | CMD_O_OUTPUT,
	.longs = longs,
};

/* A version, and the snapshots that hold it; "" stands for the dataset as it is now. */
struct version { struct lcpfs_stat st; struct lcpfs_dataset *ds; char **snaps; size_t n; };
struct history { struct lcpfs_pool *pool; const char *path; struct version *v; size_t n; };

static int same_contents(struct lcpfs_dataset *a, uint64_t ino_a, struct lcpfs_dataset *b, uint64_t ino_b, bool *same, struct lcpfs_error *err)
{
	struct lcpfs_file *fa = NULL, *fb = NULL;
	char *ba = cmd_alloc(PIECE), *bb = cmd_alloc(PIECE);
	size_t na = PIECE, nb = PIECE;
	int rc = lcpfs_file_open_ino(&fa, a, ino_a, err);

	if (!rc)
		rc = lcpfs_file_open_ino(&fb, b, ino_b, err);
	*same = true;
	for (uint64_t off = 0; !rc && *same && na == PIECE && nb == PIECE; off += PIECE) {
		rc = lcpfs_file_pread(fa, ba, PIECE, off, &na, err);
		if (!rc)
			rc = lcpfs_file_pread(fb, bb, PIECE, off, &nb, err);
		if (!rc)
			*same = na == nb && !memcmp(ba, bb, na);
	}
	lcpfs_file_close(fa, NULL);
	lcpfs_file_close(fb, NULL);
	free(ba);
	free(bb);
	return rc;
}

static bool same_time(const struct lcpfs_time *a, const struct lcpfs_time *b) { return a->sec == b->sec && a->nsec == b->nsec; }

/* Equal attributes may be forged or restored: unless the inode did not change at all, the contents are compared. */
static int same_version(const struct version *v, struct lcpfs_dataset *ds, const struct lcpfs_stat *st, const char *path, bool *same,
                        struct lcpfs_error *err)
{
	const struct lcpfs_stat *o = &v->st;
	char *ta = NULL, *tb = NULL;
	int rc = 0;

	*same = o->mode == st->mode && o->uid == st->uid && o->gid == st->gid && o->size == st->size && same_time(&o->mtime, &st->mtime);
	if (!*same || (o->ino == st->ino && o->gen == st->gen && same_time(&o->ctime, &st->ctime)))
		return 0;
	if (S_ISREG(st->mode))
		return same_contents(v->ds, o->ino, ds, st->ino, same, err);
	if (S_ISLNK(st->mode)) {
		rc = lcpfs_readlink(v->ds, path, &ta, err);
		if (!rc)
			rc = lcpfs_readlink(ds, path, &tb, err);
		*same = !rc && !strcmp(ta, tb);
		free(ta);
		free(tb);
	}
	return rc;
}

static void add_snap(struct version *v, const char *name)
{
	v->snaps = cmd_realloc(v->snaps, v->n + 1, sizeof *v->snaps);
	v->snaps[v->n++] = cmd_strdup(name);
}

/* One snapshot, or the head with the name "". Names are what follows '@'. */
static int look(struct history *h, const char *full, const char *name, struct lcpfs_error *err)
{
	struct lcpfs_dataset *ds = cmd_dataset_of(h->pool, full, err);
	struct lcpfs_stat st;
	bool same = false;
	int rc;

	if (!ds)
		return -err->code;
	rc = lcpfs_stat(ds, h->path, 0, &st, NULL);
	if (rc == -LCPFS_ENOENT || rc == -LCPFS_ENOTDIR)
		return 0;
	rc = lcpfs_stat(ds, h->path, 0, &st, err);
	/* an older version may have come back: all are compared, the newest first */
	for (size_t i = h->n; i-- && !rc;) {
		rc = same_version(&h->v[i], ds, &st, h->path, &same, err);
		if (!rc && same) {
			add_snap(&h->v[i], name);
			return 0;
		}
	}
	if (rc)
		return rc;
	h->v = cmd_realloc(h->v, h->n + 1, sizeof *h->v);
	h->v[h->n] = (struct version){ .st = st, .ds = ds };
	add_snap(&h->v[h->n++], name);
	return 0;
}

static int each(void *arg, const struct lcpfs_ds_info *i, struct lcpfs_error *err)
{
	return i->kind == LCPFS_DS_SNAPSHOT ? look(arg, i->name, strchr(i->name, '@') + 1, err) : 0;
}

static void show_json(const char *target, const struct history *h)
{
	struct cmd_json j;

	cmd_json_start(&j, stdout);
	cmd_json_name(&j, "target", target);
	cmd_json_array(&j, "versions");
	for (size_t i = 0; i < h->n; i++) {
		bool now = false;
		cmd_json_object(&j, NULL);
		cmd_json_stat(&j, &h->v[i].st);
		cmd_json_array(&j, "snapshots");
		for (size_t k = 0; k < h->v[i].n; k++) {
			if (*h->v[i].snaps[k])
				cmd_json_str(&j, NULL, h->v[i].snaps[k]);
			else
				now = true;
		}
		cmd_json_end(&j);
		cmd_json_bool(&j, "current", now);
		cmd_json_end(&j);
	}
	cmd_json_finish(&j);
}

static char *snaps_of(const struct version *v)
{
	char *all = cmd_strdup("");

	for (size_t k = 0; k < v->n; k++) {
		char *longer = cmd_printf("%s%s%s", all, k ? "," : "", *v->snaps[k] ? v->snaps[k] : "(now)");
		free(all);
		all = longer;
	}
	return all;
}

static void show_table(const struct history *h)
{
	static const char *const heads[] = { "Modified", "Size", "Mode", "Snapshots" };
	struct cmd_table t;

	cmd_table_init(&t, 4, heads, "lrll");
	for (size_t i = 0; i < h->n; i++) {
		const struct version *v = &h->v[i];
		char date[64], mode[11], buf[24], *snaps = snaps_of(v);

		cmd_time_rfc3339(date, &v->st.mtime);
		if (!cmd.parsable)
			cmd_time_local(date, &v->st.mtime, "%Y-%m-%d %H:%M:%S");
		cmd_mode_string(mode, v->st.mode);
		cmd_table_add(&t, "%s", date);
		cmd_table_add(&t, "%s", cmd_bytes(buf, v->st.size));
		cmd_table_add(&t, "%s", mode);
		cmd_table_add(&t, "%s", snaps);
		free(snaps);
	}
	cmd_table_print(&t, stdout);
}

static void history_fini(struct history *h)
{
	for (size_t i = 0; i < h->n; i++) {
		for (size_t k = 0; k < h->v[i].n; k++)
			free(h->v[i].snaps[k]);
		free(h->v[i].snaps);
	}
	free(h->v);
}

static int list(const struct cmd_target *t)
{
	struct history h = { .path = t->path };
	struct lcpfs_error err = { 0 };
	int rc, status = CMD_OK;

	h.pool = cmd_pool(t, LCPFS_OPEN_RO, &status);
	if (!h.pool)
		return status;
	rc = lcpfs_dataset_each(h.pool, t->dataset, false, true, each, &h, &err);
	if (!rc)
		rc = look(&h, t->dataset, "", &err);
	if (rc)
		status = cmd_fail(&err, "cannot read the history of '%s'", t->text);
	else if (!h.n)
		status = cmd_fail_code(LCPFS_ENOENT, "no snapshot holds '%s'", t->text);
	else if (cmd.json)
		show_json(t->text, &h);
	else
		show_table(&h);
	history_fini(&h);
	return status;
}

/* ---- bringing one back ---- */

static int put_back(struct lcpfs_dataset *from, struct lcpfs_dataset *to, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_tree_opts o = { .warn = cmd_tree_warn };
	struct lcpfs_stat st;
	char *dir, *name;
	int rc = lcpfs_stat(from, path, 0, &st, err);

	if (!rc && S_ISDIR(st.mode))
		rc = cmd_err(err, LCPFS_EISDIR, "it is a directory (lcpfs-cp -a copies it out of the snapshot)");
	edit_split(path, &dir, &name);
	if (!rc && !edit_is_root(dir))
		rc = edit_mkdir(to, dir, EDIT_PARENTS, NULL, (struct edit_owner)EDIT_KEEP_OWNER, err);
	o.as = name;
	if (!rc)
		rc = lcpfs_tree_copy(from, path, to, dir, &o, NULL, err);
	free(dir);
	free(name);
	return rc;
}

static int write_out(struct lcpfs_dataset *from, const char *path, struct lcpfs_error *err)
{
	struct lcpfs_file *f = NULL;
	char *buf = cmd_alloc(PIECE);
	struct cmd_out out = { 0 };
	size_t got = PIECE;
	int rc = lcpfs_file_open(&f, from, path, LCPFS_O_READ, 0, err);

	if (!rc)
		rc = cmd_out_open(&out, cmd.output, err);
	for (uint64_t off = 0; !rc && got == PIECE; off += PIECE) {
		rc = lcpfs_file_pread(f, buf, PIECE, off, &got, err);
		if (!rc)
			rc = cmd_out_write(&out, buf, got, err);
	}
	if (!rc)
		rc = cmd_out_commit(&out, err);
	else
		cmd_out_abort(&out);
	lcpfs_file_close(f, NULL);
	free(buf);
	return rc;
}

static int restore(const struct cmd_target *t, const char *snap)
{
	struct lcpfs_error err = { 0 };
	int rc = 0, status = CMD_OK;
	struct lcpfs_pool *p = cmd_pool(t, cmd.output ? LCPFS_OPEN_RO : LCPFS_OPEN_RW, &status);
	struct lcpfs_dataset *from, *to = p && !cmd.output ? edit_dataset(t, &status) : NULL;
	char *name;

	if (!p || status)
		return status;
	name = cmd_printf("%s@%s", t->dataset, snap + (*snap == '@'));
	from = cmd_dataset_of(p, name, &err);
	if (!from)
		rc = -err.code;
	else
		rc = cmd.output ? write_out(from, t->path, &err) : put_back(from, to, t->path, &err);
	if (rc)
		status = cmd_fail(&err, "cannot restore '%s' from '@%s'", t->text, snap + (*snap == '@'));
	else if (!cmd.output)
		cmd_did("%srestored '%s' from '@%s'", cmd.dry_run ? "would have " : "", t->text, snap + (*snap == '@'));
	free(name);
	return cmd.output ? status : edit_commit(status);
}

int main(int argc, char *argv[])
{
	const char *snap = NULL;
	struct cmd_target t;
	int status;

	cmd_init(&spec);
	while (cmd_opt(argc, argv) != -1)
		snap = optarg;
	if (argc - optind != 1)
		cmd_usage("one TARGET is needed");
	if (cmd.output && !snap)
		cmd_usage("-o goes with --restore");
	cmd_target(&t, argv[optind]);
	if (strchr(t.dataset, '@'))
		cmd_usage("'%s' is in a snapshot: name the file in the dataset", t.text);
	if (edit_is_root(t.path))
		cmd_usage("'%s' names no file", t.text);
	cmd_catch_signals();
	status = snap ? restore(&t, snap) : list(&t);
	cmd_target_fini(&t);
	return cmd_finish(status);
}
