/* SPDX-License-Identifier: Apache-2.0 */
/* cp: the four directions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cp/cp.h"

enum { CHUNK = 1 << 20 };

int place_open(struct place *p, const char *text, uint32_t flags)
{
	int status = CMD_OK;

	p->text = text;
	cmd_target(&p->t, text);
	if (p->t.is_pool)
		p->ds = cmd_dataset(&p->t, flags, &status);
	return status;
}

void place_fini(struct place *p) { cmd_target_fini(&p->t); }

uint32_t place_mode(const struct place *p, const char *path, bool follow)
{
	struct lcpfs_stat st;
	struct stat hs;

	if (p->t.is_pool)
		return lcpfs_stat(p->ds, path, follow ? LCPFS_FOLLOW : 0, &st, NULL) ? 0 : st.mode;
	return (follow ? stat(path, &hs) : lstat(path, &hs)) ? 0 : hs.st_mode;
}

static char *host_path(const char *dir, const char *name)
{
	return name ? cmd_path_join(dir, name) : cmd_strdup(dir);
}

static void say(const struct place *src, const struct place *dst, const char *dir, const char *name)
{
	char *path = host_path(dir, name);

	if (dst->t.is_pool)
		cmd_did("%s'%s' -> '%s:%s%s/%s'", cmd.dry_run ? "would copy " : "", src->text, dst->t.pool, dst->t.dataset, dst->t.has_dataset ? ":" : "",
		    path + strspn(path, "/"));
	else
		cmd_did("%s'%s' -> '%s'", cmd.dry_run ? "would copy " : "", src->text, path);
	free(path);
}

static int to_host(const struct place *src, const char *dir, const struct lcpfs_tree_opts *o, struct lcpfs_error *err)
{
	struct lcpfs_tree_opts host = *o;

	host.flags |= LCPFS_TREE_OVERWRITE;
	if (!cp.special)
		host.flags |= LCPFS_TREE_SAFE;
	if (cp.no_owner)
		host.flags |= LCPFS_TREE_NO_OWNER;
	return lcpfs_tree_export(src->ds, src->t.path, dir, &host, NULL, err);
}

static int copy_range(const struct place *src, const struct place *dst, const char *dir, const char *name)
{
	struct lcpfs_error err = { 0 };
	char *path = host_path(dir, name);
	int rc = edit_share_range(src->ds, src->t.path, dst->ds, path, &cp.range, &err);

	free(path);
	return rc ? cmd_fail(&err, "cannot share '%s'", src->text) : CMD_OK;
}

int copy_one(const struct place *src, const struct place *dst, const char *dir, const char *name)
{
	struct lcpfs_tree_opts o = cp.tree.opts;
	struct lcpfs_error err = { 0 };
	int rc;

	if (!src->t.is_pool && !dst->t.is_pool)
		return cmd_fail_code(LCPFS_EINVAL, "cannot copy '%s': neither it nor the destination is in a pool (a pool is written POOL:PATH)", src->text);
	if (!(src->t.is_pool && dst->t.is_pool) && (cp.ranged || cp.reflink == REFLINK_ALWAYS))
		return cmd_fail_code(LCPFS_EXDEV, "cannot share '%s': both it and the destination must be in one pool", src->text);
	say(src, dst, dir, name);
	if (cp.ranged)
		return copy_range(src, dst, dir, name);
	o.as = name;
	if (cp.reflink)
		o.flags |= cp.reflink == REFLINK_ALWAYS ? LCPFS_TREE_REFLINK_ONLY : LCPFS_TREE_REFLINK;
	if (src->t.is_pool && dst->t.is_pool)
		rc = lcpfs_tree_copy(src->ds, src->t.path, dst->ds, dir, &o, NULL, &err);
	else if (dst->t.is_pool)
		rc = lcpfs_tree_import(dst->ds, dir, src->text, &o, NULL, &err);
	else if (cmd.dry_run)
		rc = 0;
	else
		rc = to_host(src, dir, &o, &err);
	cmd_progress_end();
	return rc ? cmd_fail(&err, "cannot copy '%s'", src->text) : CMD_OK;
}

/* ---- standard input ---- */

static int read_all(struct lcpfs_file *f, struct lcpfs_error *err)
{
	char *buf = cmd_alloc(CHUNK);
	uint64_t off = 0;
	int rc = 0;

	for (;;) {
		size_t got = fread(buf, 1, CHUNK, stdin);
		if (got)
			rc = lcpfs_file_pwrite(f, buf, got, off, err);
		off += got;
		if (!rc && cmd_interrupted)
			rc = cmd_err(err, LCPFS_ECANCEL, "interrupted");
		if (!rc && ferror(stdin))
			rc = cmd_err(err, LCPFS_EIO, "cannot read standard input");
		if (rc || got < CHUNK)
			break;
	}
	free(buf);
	return rc;
}

static int overrides(const struct place *dst, const char *path, struct lcpfs_error *err)
{
	const struct lcpfs_tree_opts *o = &cp.tree.opts;
	struct lcpfs_stat st;
	int rc = 0;

	if (o->flags & (LCPFS_TREE_UID | LCPFS_TREE_GID))
		rc = lcpfs_chown(dst->ds, path, LCPFS_FOLLOW, o->flags & LCPFS_TREE_UID ? o->uid : UINT32_MAX,
		    o->flags & LCPFS_TREE_GID ? o->gid : UINT32_MAX, err);
	if (!rc && (o->mode_set || o->mode_clear))
		rc = lcpfs_stat(dst->ds, path, LCPFS_FOLLOW, &st, err);
	if (!rc && (o->mode_set || o->mode_clear))
		rc = lcpfs_chmod(dst->ds, path, LCPFS_FOLLOW, ((st.mode & ~o->mode_clear) | o->mode_set) & 07777, err);
	return rc;
}

int copy_stdin(const struct place *dst, const char *path)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_file *f = NULL;
	int rc = lcpfs_file_open(&f, dst->ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE | LCPFS_O_TRUNC, 0666, &err);

	cmd_did("%sstandard input -> '%s'", cmd.dry_run ? "would copy " : "", dst->text);
	if (!rc)
		rc = read_all(f, &err);
	if (f && lcpfs_file_close(f, rc ? NULL : &err) && !rc)
		rc = -1;
	if (!rc)
		rc = overrides(dst, path, &err);
	return rc ? cmd_fail(&err, "cannot write '%s'", dst->text) : CMD_OK;
}
