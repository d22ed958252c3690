/* SPDX-License-Identifier: Apache-2.0 */
/* Changing files by path: the changes. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/edit.h"

static const char *would(void) { return cmd.dry_run ? "would have " : ""; }

static int show_removed(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	(void)arg;
	(void)err;
	cmd_did("%sremoved '%s'", would(), e->path);
	return 0;
}

int edit_rm(struct lcpfs_dataset *ds, const char *path, unsigned flags, struct lcpfs_error *err)
{
	struct lcpfs_stat st;
	int rc = edit_need_name(path, err);

	if (!rc)
		rc = lcpfs_stat(ds, path, 0, &st, err);
	if ((flags & EDIT_FORCE) && (rc == -LCPFS_ENOENT || rc == -LCPFS_ENOTDIR))
		return 0;
	if (!rc && S_ISDIR(st.mode) && !(flags & (EDIT_RECURSIVE | EDIT_EMPTY_DIR)))
		rc = cmd_err(err, LCPFS_EISDIR, "it is a directory (-r removes it and what is in it)");
	if (!rc && (cmd.verbose || cmd.dry_run))
		rc = lcpfs_walk(ds, path, flags & EDIT_RECURSIVE ? LCPFS_WALK_POST : 0, show_removed, NULL, err);
	return rc ? rc : lcpfs_remove(ds, path, flags & EDIT_RECURSIVE, err);
}

static int give(struct lcpfs_dataset *ds, const char *path, struct edit_owner o, struct lcpfs_error *err)
{
	return o.uid == UINT32_MAX && o.gid == UINT32_MAX ? 0 : lcpfs_chown(ds, path, 0, o.uid, o.gid, err);
}

/* Makes what is missing above path; those directories get the owner too. */
static int make_parents(struct lcpfs_dataset *ds, const char *path, struct edit_owner owner, struct lcpfs_error *err)
{
	char *dir, *name;
	int rc = 0;

	edit_split(path, &dir, &name);
	free(name);
	if (!edit_is_root(dir) && !edit_mode_of(ds, dir, true)) {
		rc = make_parents(ds, dir, owner, err);
		if (!rc)
			rc = lcpfs_mkdir(ds, dir, 0777, false, err);
		if (!rc)
			rc = give(ds, dir, owner, err);
	}
	free(dir);
	return rc;
}

int edit_mkdir(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct cmd_mode *mode, struct edit_owner owner,
               struct lcpfs_error *err)
{
	bool there = edit_mode_of(ds, path, true);
	int rc = there || !(flags & EDIT_PARENTS) ? 0 : make_parents(ds, path, owner, err);

	if (there && (flags & EDIT_PARENTS) && S_ISDIR(edit_mode_of(ds, path, true)))
		return 0;
	if (!rc)
		rc = lcpfs_mkdir(ds, path, 0777, false, err);
	if (!rc && mode)
		rc = lcpfs_chmod(ds, path, 0, cmd_mode_apply(mode, S_IFDIR | 0777), err);
	if (!rc)
		rc = give(ds, path, owner, err);
	if (!rc)
		cmd_did("%smade directory '%s'", would(), path);
	return rc;
}

int edit_ln(struct lcpfs_dataset *ds, const char *target, const char *path, unsigned flags, struct edit_owner owner, struct lcpfs_error *err)
{
	struct lcpfs_stat a, b;
	int rc = edit_need_name(path, err);
	bool there = !rc && !lcpfs_stat(ds, path, 0, &b, NULL);

	if (!rc && !(flags & EDIT_SYMBOLIC))
		rc = lcpfs_stat(ds, target, 0, &a, err);
	if (!rc && !(flags & EDIT_SYMBOLIC) && S_ISDIR(a.mode))
		rc = cmd_err(err, LCPFS_EISDIR, "a directory has only one name (-s makes a symlink)");
	if (!rc && there && (flags & EDIT_FORCE)) {
		if (!(flags & EDIT_SYMBOLIC) && a.ino == b.ino)
			return 0;
		rc = S_ISDIR(b.mode) ? cmd_err(err, LCPFS_EISDIR, "a directory is in the way") : lcpfs_remove(ds, path, false, err);
	}
	if (!rc)
		rc = flags & EDIT_SYMBOLIC ? lcpfs_symlink(ds, target, path, err) : lcpfs_link(ds, target, path, err);
	if (!rc && (flags & EDIT_SYMBOLIC))
		rc = give(ds, path, owner, err);
	if (!rc)
		cmd_did("%slinked '%s' %s '%s'", would(), path, flags & EDIT_SYMBOLIC ? "->" : "=>", target);
	return rc;
}

/* ---- chmod and chown ---- */

static int chmod_one(void *arg, struct lcpfs_dataset *ds, const char *path, uint32_t type, struct lcpfs_error *err)
{
	const struct cmd_mode *m = arg;
	struct lcpfs_stat st;
	uint32_t mode;
	int rc;

	if (S_ISLNK(type))
		return 0;
	rc = lcpfs_stat(ds, path, LCPFS_FOLLOW, &st, err);
	if (rc)
		return rc;
	mode = cmd_mode_apply(m, st.mode);
	if (mode == (st.mode & 07777))
		return 0;
	cmd_did("%schanged mode of '%s' from %04o to %04o", would(), path, st.mode & 07777, mode);
	return lcpfs_chmod(ds, path, LCPFS_FOLLOW, mode, err);
}

int edit_chmod(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct cmd_mode *mode, struct lcpfs_error *err)
{
	struct cmd_mode m = *mode;

	return flags & EDIT_RECURSIVE ? edit_walk(ds, path, chmod_one, &m, err) : chmod_one(&m, ds, path, 0, err);
}

struct chown_arg { struct edit_owner owner; uint32_t flags; };

static int chown_one(void *arg, struct lcpfs_dataset *ds, const char *path, uint32_t type, struct lcpfs_error *err)
{
	const struct chown_arg *c = arg;
	struct lcpfs_stat st;
	int rc = lcpfs_stat(ds, path, c->flags, &st, err);

	(void)type;
	if (rc)
		return rc;
	cmd_did("%schanged owner of '%s' from %u:%u to %u:%u", would(), path, st.uid, st.gid, c->owner.uid == UINT32_MAX ? st.uid : c->owner.uid,
	    c->owner.gid == UINT32_MAX ? st.gid : c->owner.gid);
	return lcpfs_chown(ds, path, c->flags, c->owner.uid, c->owner.gid, err);
}

/* In trees a symlink itself changes, never what it points at: that may be anywhere. */
int edit_chown(struct lcpfs_dataset *ds, const char *path, unsigned flags, struct edit_owner owner, struct lcpfs_error *err)
{
	struct chown_arg c = { owner, flags & (EDIT_NO_FOLLOW | EDIT_RECURSIVE) ? 0 : LCPFS_FOLLOW };

	return flags & EDIT_RECURSIVE ? edit_walk(ds, path, chown_one, &c, err) : chown_one(&c, ds, path, 0, err);
}

/* ---- touch, truncate, mv ---- */

int edit_touch(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct lcpfs_time *atime, const struct lcpfs_time *mtime,
               struct edit_owner owner, struct lcpfs_error *err)
{
	uint32_t follow = flags & EDIT_NO_FOLLOW ? 0 : LCPFS_FOLLOW;
	struct lcpfs_file *f = NULL;
	struct lcpfs_stat st;
	int rc = lcpfs_stat(ds, path, follow, &st, err);

	if (rc == -LCPFS_ENOENT && (flags & (EDIT_NO_CREATE | EDIT_NO_FOLLOW)))
		return 0;
	if (rc == -LCPFS_ENOENT) {
		rc = lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0666, err);
		if (!rc)
			rc = lcpfs_file_close(f, err);
		if (!rc)
			rc = give(ds, path, owner, err);
	}
	if (!rc)
		rc = lcpfs_utimens(ds, path, follow, atime, mtime, err);
	if (!rc)
		cmd_did("%stouched '%s'", would(), path);
	return rc;
}

bool edit_size_parse(const char *text, struct edit_size *out)
{
	out->op = *text == '+' || *text == '-' ? *text : '=';
	return cmd_size_parse(text + (out->op != '='), &out->bytes);
}

int edit_truncate(struct lcpfs_dataset *ds, const char *path, unsigned flags, const struct edit_size *size, struct lcpfs_error *err)
{
	struct lcpfs_stat st = { 0 };
	uint64_t bytes = size->bytes;
	int rc = lcpfs_stat(ds, path, LCPFS_FOLLOW, &st, err);

	if (rc == -LCPFS_ENOENT && (flags & EDIT_NO_CREATE))
		return 0;
	if (rc == -LCPFS_ENOENT) {
		struct lcpfs_file *f;
		rc = lcpfs_file_open(&f, ds, path, LCPFS_O_WRITE | LCPFS_O_CREATE, 0666, err);
		if (!rc)
			rc = lcpfs_file_close(f, err);
		st.mode = S_IFREG;
	}
	if (!rc && !S_ISREG(st.mode))
		rc = cmd_err(err, S_ISDIR(st.mode) ? LCPFS_EISDIR : LCPFS_EINVAL, "it is a %s", cmd_type_name(st.mode));
	if (!rc && size->op == '+' && __builtin_add_overflow(st.size, bytes, &bytes))
		rc = cmd_err(err, LCPFS_ELIMIT, "the size would be too large");
	if (size->op == '-')
		bytes = st.size > bytes ? st.size - bytes : 0;
	if (!rc)
		rc = lcpfs_truncate(ds, path, bytes, err);
	if (!rc)
		cmd_did("%sset the size of '%s' from %llu to %llu", would(), path, (unsigned long long)st.size, (unsigned long long)bytes);
	return rc;
}

int edit_mv(struct lcpfs_dataset *ds, const char *from, const char *to, bool no_replace, struct lcpfs_error *err)
{
	int rc = edit_need_name(from, err);

	if (!rc)
		rc = edit_need_name(to, err);
	if (!rc)
		rc = lcpfs_rename(ds, from, to, no_replace ? LCPFS_RENAME_NOREPLACE : 0, err);
	if (!rc)
		cmd_did("%srenamed '%s' -> '%s'", would(), from, to);
	return rc;
}

bool edit_range_parse(const char *text, struct edit_range *out)
{
	const char *colon = strchr(text, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
	char *off, *len;
	bool good;

	*out = (struct edit_range){ 0 };
	if (!colon)
		return false;
	off = cmd_printf("%.*s", (int)(colon - text), text);
	len = second ? cmd_printf("%.*s", (int)(second - colon - 1), colon + 1) : cmd_strdup(colon + 1);
	out->to_end = !*len;
	good = cmd_size_parse(off, &out->off) && (out->to_end || cmd_size_parse(len, &out->len));
	out->to = out->off;
	if (second)
		good = good && cmd_size_parse(second + 1, &out->to);
	free(off);
	free(len);
	return good;
}

int edit_share_range(struct lcpfs_dataset *from_ds, const char *from, struct lcpfs_dataset *to_ds, const char *to, const struct edit_range *r,
                     struct lcpfs_error *err)
{
	struct lcpfs_file *f = NULL, *t = NULL;
	struct lcpfs_stat st;
	uint64_t len = r->len;
	int rc = lcpfs_stat(from_ds, from, LCPFS_FOLLOW, &st, err);

	if (!rc)
		rc = lcpfs_file_open(&f, from_ds, from, LCPFS_O_READ, 0, err);
	if (!rc)
		rc = lcpfs_file_open(&t, to_ds, to, LCPFS_O_WRITE | LCPFS_O_CREATE, st.mode & 0777, err);
	if (!rc && r->to_end)
		len = lcpfs_file_size(f) - (r->off < lcpfs_file_size(f) ? r->off : lcpfs_file_size(f));
	if (!rc)
		rc = lcpfs_reflink_range(f, r->off, len, t, r->to, err);
	lcpfs_file_close(f, NULL);
	lcpfs_file_close(t, NULL);
	return rc;
}
