/* SPDX-License-Identifier: Apache-2.0 */
/* batch: what the verbs do. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "batch/batch.h"
#include "common/datasets.h"

struct lcpfs_pool *batch_pool;
const char *batch_dataset;

/* "/x" and "x" are paths of the script's dataset, "home:/x" one of another. */
static struct lcpfs_dataset *place(const char *text, const char **path, struct lcpfs_error *err)
{
	const char *colon = *text == '/' ? NULL : strchr(text, ':');
	char *name = colon ? cmd_printf("%.*s", (int)(colon - text), text) : cmd_strdup(batch_dataset);
	struct lcpfs_dataset *ds = cmd_dataset_of(batch_pool, name, err);
	mode_t mask = umask(0);

	umask(mask);
	if (ds && !strchr(name, '@'))
		lcpfs_dataset_set_ids(ds, geteuid(), getegid(), mask);
	*path = colon ? colon + 1 : text;
	free(name);
	return ds;
}

/* "@mon" is a snapshot of the script's dataset; malloc'ed. */
static char *full(const char *name) { return *name == '@' ? cmd_printf("%s%s", batch_dataset, name) : cmd_strdup(name); }

static struct edit_owner owner_of(const struct request *r)
{
	struct edit_owner o = EDIT_KEEP_OWNER;

	if (r->opt['o'])
		cmd_owner("owner", r->opt['o'], &o.uid, &o.gid);
	return o;
}

static unsigned flags_of(const struct request *r)
{
	return (r->opt['r'] || r->opt['R'] ? EDIT_RECURSIVE : 0) | (r->opt['f'] ? EDIT_FORCE : 0) | (r->opt['h'] ? EDIT_NO_FOLLOW : 0) |
	    (r->opt['c'] ? EDIT_NO_CREATE : 0) | (r->opt['p'] ? EDIT_PARENTS : 0) | (r->opt['s'] ? EDIT_SYMBOLIC : 0);
}

/* -m and -o on what was just made. */
static int finish(struct lcpfs_dataset *ds, const char *path, const struct request *r, struct lcpfs_error *err)
{
	struct edit_owner o = owner_of(r);
	struct cmd_mode m;
	int rc = 0;

	if (r->opt['o'])
		rc = edit_chown(ds, path, EDIT_NO_FOLLOW, o, err);
	if (!rc && r->opt['m']) {
		cmd_mode("mode", r->opt['m'], &m);
		rc = edit_chmod(ds, path, 0, &m, err);
	}
	return rc;
}

/* ---- contents ---- */

static int do_put(const struct request *r, struct lcpfs_error *err)
{
	struct lcpfs_tree_opts o = { .warn = cmd_tree_warn, .progress = cmd_progress };
	char *dir, *name;
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[1], &path, err);
	int rc = ds ? edit_need_name(path, err) : -err->code;

	edit_split(path, &dir, &name);
	o.as = name;
	if (!rc)
		rc = lcpfs_tree_import(ds, dir, r->arg[0], &o, NULL, err);
	cmd_progress_end();
	if (!rc)
		rc = finish(ds, path, r, err);
	free(dir);
	free(name);
	return rc;
}

static int do_write(const struct request *r, struct lcpfs_error *err)
{
	const char *path, *text = r->arg[1];
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);
	struct lcpfs_file *f = NULL;
	void *value = NULL;
	size_t len = strlen(text);
	int rc = ds ? 0 : -err->code;

	if (!rc && r->opt['b']) {
		char *coded = cmd_printf("0s%s", text);
		if (!edit_value_parse(coded, &value, &len))
			rc = cmd_err(err, LCPFS_EINVAL, "the text is no base64");
		free(coded);
	}
	if (!rc)
		rc = lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | (r->opt['a'] ? 0 : LCPFS_O_TRUNC), 0666, err);
	if (!rc && len)
		rc = lcpfs_file_pwrite(f, value ? value : text, len, r->opt['a'] ? lcpfs_file_size(f) : 0, err);
	if (f && lcpfs_file_close(f, rc ? NULL : err) && !rc)
		rc = -err->code;
	free(value);
	return rc ? rc : finish(ds, path, r, err);
}

static int do_cp(const struct request *r, struct lcpfs_error *err)
{
	struct lcpfs_tree_opts o = { .warn = cmd_tree_warn, .progress = cmd_progress };
	const char *from, *to;
	struct edit_range range;
	struct lcpfs_dataset *src = place(r->arg[0], &from, err), *dst = src ? place(r->arg[1], &to, err) : NULL;
	char *dir, *name;
	int rc;

	if (!dst)
		return -err->code;
	rc = edit_need_name(to, err);
	edit_split(to, &dir, &name);
	o.as = name;
	if (r->opt['l'])
		o.flags |= LCPFS_TREE_REFLINK_ONLY;
	if (!rc && r->opt['g'] && !edit_range_parse(r->opt['g'], &range))
		rc = cmd_err(err, LCPFS_EINVAL, "'%s' is no range (OFFSET:LENGTH or OFFSET:LENGTH:TO)", r->opt['g']);
	if (!rc)
		rc = r->opt['g'] ? edit_share_range(src, from, dst, to, &range, err) : lcpfs_tree_copy(src, from, dst, dir, &o, NULL, err);
	cmd_progress_end();
	free(dir);
	free(name);
	return rc ? rc : finish(dst, to, r, err);
}

/* ---- names and attributes ---- */

static int do_mkdir(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);
	struct cmd_mode m;

	if (r->opt['m'])
		cmd_mode("mode", r->opt['m'], &m);
	return ds ? edit_mkdir(ds, path, flags_of(r), r->opt['m'] ? &m : NULL, owner_of(r), err) : -err->code;
}

static int do_rm(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);

	return ds ? edit_rm(ds, path, flags_of(r) | (r->opt['d'] ? EDIT_EMPTY_DIR : 0), err) : -err->code;
}

static int do_mv(const struct request *r, struct lcpfs_error *err)
{
	const char *from, *to;
	struct lcpfs_dataset *a = place(r->arg[0], &from, err), *b = a ? place(r->arg[1], &to, err) : NULL;

	if (!b)
		return -err->code;
	if (a != b)
		return cmd_err(err, LCPFS_EXDEV, "'%s' is in another dataset than '%s' (cp, then rm)", r->arg[1], r->arg[0]);
	return edit_mv(a, from, to, r->opt['k'], err);
}

static int do_ln(const struct request *r, struct lcpfs_error *err)
{
	const char *target = r->arg[0], *path;
	struct lcpfs_dataset *ds = place(r->arg[1], &path, err), *other;

	if (!ds)
		return -err->code;
	if (r->opt['s'])
		return edit_ln(ds, target, path, flags_of(r), owner_of(r), err);
	other = place(r->arg[0], &target, err);
	if (!other)
		return -err->code;
	if (other != ds)
		return cmd_err(err, LCPFS_EXDEV, "a hard link does not cross datasets");
	return edit_ln(ds, target, path, flags_of(r), owner_of(r), err);
}

static int do_chmod(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[1], &path, err);
	struct cmd_mode m;

	cmd_mode("mode", r->arg[0], &m);
	return ds ? edit_chmod(ds, path, flags_of(r), &m, err) : -err->code;
}

static int do_chown(const struct request *r, struct lcpfs_error *err)
{
	struct edit_owner o;
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[1], &path, err);

	cmd_owner("owner", r->arg[0], &o.uid, &o.gid);
	return ds ? edit_chown(ds, path, flags_of(r), o, err) : -err->code;
}

static int do_touch(const struct request *r, struct lcpfs_error *err)
{
	struct lcpfs_time t = r->opt['d'] ? cmd_time("time", r->opt['d']) : cmd_now();
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);

	return ds ? edit_touch(ds, path, flags_of(r), r->opt['m'] && !r->opt['a'] ? NULL : &t, r->opt['a'] && !r->opt['m'] ? NULL : &t, owner_of(r), err)
	          : -err->code;
}

static int do_truncate(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);
	struct edit_size size;

	if (!r->opt['s'] || !edit_size_parse(r->opt['s'], &size))
		return cmd_err(err, LCPFS_EINVAL, "truncate needs -s SIZE (4096, 64K, +1M, -512)");
	return ds ? edit_truncate(ds, path, flags_of(r), &size, err) : -err->code;
}

static int do_xattr_set(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);
	void *value;
	size_t len;
	int rc;

	if (!ds)
		return -err->code;
	if (!edit_value_parse(r->arg[2], &value, &len))
		return cmd_err(err, LCPFS_EINVAL, "'%s' is no value (text, 0x and hex digits, 0s and base64)", r->arg[2]);
	rc = lcpfs_xattr_set(ds, path, r->opt['h'] ? 0 : LCPFS_FOLLOW, r->arg[1], value, len, err);
	free(value);
	return rc;
}

static int do_xattr_rm(const struct request *r, struct lcpfs_error *err)
{
	const char *path;
	struct lcpfs_dataset *ds = place(r->arg[0], &path, err);

	return ds ? lcpfs_xattr_remove(ds, path, r->opt['h'] ? 0 : LCPFS_FOLLOW, r->arg[1], err) : -err->code;
}

/* ---- snapshots and datasets ---- */

static int do_snap_create(const struct request *r, struct lcpfs_error *err)
{
	char *name = full(r->arg[0]);
	const char *names[] = { name };
	int rc = lcpfs_snap_create(batch_pool, names, 1, r->opt['r'], err);

	free(name);
	return rc;
}

static int do_snap_destroy(const struct request *r, struct lcpfs_error *err)
{
	char *name = full(r->arg[0]);
	const char *names[] = { name };
	int rc;

	cmd_dataset_drop(batch_pool, name);
	rc = lcpfs_snap_destroy(batch_pool, names, 1, r->opt['r'], NULL, err);
	free(name);
	return rc;
}

static int do_dataset_create(const struct request *r, struct lcpfs_error *err)
{
	return r->opt['p'] && ds_exists(batch_pool, r->arg[0]) ? 0 : lcpfs_dataset_create(batch_pool, r->arg[0], r->opt['p'], err);
}

static int do_dataset_rename(const struct request *r, struct lcpfs_error *err)
{
	cmd_dataset_drop(batch_pool, NULL);
	return lcpfs_dataset_rename(batch_pool, r->arg[0], r->arg[1], err);
}

static int do_dataset_destroy(const struct request *r, struct lcpfs_error *err)
{
	cmd_dataset_drop(batch_pool, NULL);
	return lcpfs_dataset_destroy(batch_pool, r->arg[0], r->opt['r'], err);
}

static int do_clone(const struct request *r, struct lcpfs_error *err)
{
	char *snap = full(r->arg[0]);
	int rc = lcpfs_clone(batch_pool, snap, r->arg[1], err);

	free(snap);
	return rc;
}

static int do_prop_set(const struct request *r, struct lcpfs_error *err)
{
	return lcpfs_prop_set(batch_pool, r->arg[0], r->arg[1], r->arg[2], err);
}

const struct verb verbs[] = {
	{ "put", "m:/mode o:/owner", "host path", do_put },
	{ "write", "a/append b/base64 m:/mode o:/owner", "path text", do_write },
	{ "cp", "r/recursive l/reflink g:/range m:/mode o:/owner", "from to", do_cp },
	{ "mkdir", "p/parents m:/mode o:/owner", "path", do_mkdir },
	{ "rm", "r/recursive f/force d/dir", "path", do_rm },
	{ "mv", "k/no-clobber", "from to", do_mv },
	{ "ln", "s/symbolic f/force o:/owner", "target path", do_ln },
	{ "chmod", "R/recursive", "mode path", do_chmod },
	{ "chown", "R/recursive h/no-dereference", "owner path", do_chown },
	{ "touch", "a/atime m/mtime c/no-create d:/time h/no-dereference o:/owner", "path", do_touch },
	{ "truncate", "c/no-create s:/size", "path", do_truncate },
	{ "xattr set", "h/no-dereference", "path name value", do_xattr_set },
	{ "xattr rm", "h/no-dereference", "path name", do_xattr_rm },
	{ "snap create", "r/recursive", "name", do_snap_create },
	{ "snap destroy", "r/recursive", "name", do_snap_destroy },
	{ "dataset create", "p/parents", "name", do_dataset_create },
	{ "dataset rename", "", "from to", do_dataset_rename },
	{ "dataset destroy", "r/recursive", "name", do_dataset_destroy },
	{ "clone", "", "snap name", do_clone },
	{ "prop set", "", "dataset name value", do_prop_set },
	{ NULL, NULL, NULL, NULL },
};
