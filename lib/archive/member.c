/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between libarchive's entry and ours.
 * Times before 1970: a pax header says "-1.5" for a second and a half before it. libarchive reads (and writes) the sign
 * as that of the seconds only, so that such a value is -1 s and +0.5 s to it; both ways are put right here. Between -1 and 0
 * libarchive cannot say a time: it is rounded to -1 s, and told.
 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include "base/exclude.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NS 1000000000
#define TARGET_MAX 4095u
#define NAME_CODED_MAX 765u /* 255 bytes, each written as %XX */

static int leave_out(struct member_ctx *m, const char *raw, const struct lcpfs_error *why)
{
	struct lcpfs_error e = *why;

	lcpfs_within(&e, -e.code, "left out");
	warner_tell(m->w, raw ? raw : "?", &e);
	return 1;
}

static int left_out(struct member_ctx *m, const char *raw, const char *text)
{
	struct lcpfs_error why;

	lcpfs_fail(&why, LCPFS_EUNSUP, "%s", text);
	return leave_out(m, raw, &why);
}

static void read_time(struct entry *e, uint32_t flag, struct entry_time *t, int is_set, int64_t sec, long nsec,
                      bool pax)
{
	if (!is_set || sec == INT64_MIN || nsec < 0 || nsec >= NS)
		return;
	if (pax && sec < 0 && nsec > 0) {
		sec--;
		nsec = NS - nsec;
	}
	*t = (struct entry_time){ sec, (uint32_t)nsec };
	e->flags |= flag;
}

static void read_times(struct archive_entry *ae, struct entry *e, bool pax)
{
	read_time(e, ENTRY_HAS_ATIME, &e->atime, archive_entry_atime_is_set(ae), archive_entry_atime(ae),
	    archive_entry_atime_nsec(ae), pax);
	read_time(e, ENTRY_HAS_MTIME, &e->mtime, archive_entry_mtime_is_set(ae), archive_entry_mtime(ae),
	    archive_entry_mtime_nsec(ae), pax);
	read_time(e, ENTRY_HAS_CTIME, &e->ctime, archive_entry_ctime_is_set(ae), archive_entry_ctime(ae),
	    archive_entry_ctime_nsec(ae), pax);
	read_time(e, ENTRY_HAS_BTIME, &e->btime, archive_entry_birthtime_is_set(ae), archive_entry_birthtime(ae),
	    archive_entry_birthtime_nsec(ae), pax);
}

static uint32_t read_id(struct member_ctx *m, const struct entry *e, int64_t id, const char *what)
{
	struct lcpfs_error why;

	if (id >= 0 && id < UINT32_MAX)
		return (uint32_t)id;
	lcpfs_fail(&why, LCPFS_ELIMIT, "%s %lld is out of range, 65534 instead", what, (long long)id);
	warner_tell(m->w, e->path, &why);
	return 65534;
}

/* pax has each attribute in up to two spellings, and an archive may say anything twice: one of a name stays. */
static void drop_twice(struct entry *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_xattr; i++) {
		if (n && strcmp(e->xattr[n - 1].name, e->xattr[i].name) == 0) {
			free(e->xattr[i].name);
			free(e->xattr[i].value);
		} else {
			e->xattr[n++] = e->xattr[i];
		}
	}
	e->n_xattr = n;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In a pax keyword '%', '=' and what is not printable stand as %XX; libarchive undoes it for its own spelling only. */
static void decode_name(char *name)
{
	char *to = name;

	for (; *name; name++, to++) {
		int hi = *name == '%' ? hex(name[1]) : -1, lo = hi >= 0 ? hex(name[2]) : -1;

		*to = *name;
		if (lo >= 0 && hi + lo > 0) {
			*to = (char)(hi << 4 | lo);
			name += 2;
		}
	}
	*to = 0;
}

static int read_xattrs(struct member_ctx *m, struct archive_entry *ae, struct entry *e, struct lcpfs_error *err)
{
	struct lcpfs_error why;
	const char *name;
	const void *value;
	size_t len;
	int rc = 0;

	archive_entry_xattr_reset(ae);
	while (!rc && archive_entry_xattr_next(ae, &name, &value, &len) == ARCHIVE_OK) {
		if (name && *name && strlen(name) <= NAME_CODED_MAX) {
			rc = entry_add_xattr(e, name, value, len, err);
			if (!rc && m->tar)
				decode_name(e->xattr[e->n_xattr - 1].name);
			continue;
		}
		lcpfs_fail(&why, LCPFS_ENAMETOOLONG, "an extended attribute has an impossible name; left out");
		warner_tell(m->w, e->path, &why);
	}
	if (!rc)
		rc = arch_acl_read(ae, e, m->w, err);
	entry_sort_xattr(e);
	drop_twice(e);
	return rc;
}

static int copy_text(char **to, const char *from, struct lcpfs_error *err)
{
	if (!from || !*from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : lcpfs_nomem(err);
}

/* The file type; a zip made elsewhere may say none. 0: one we have no place for. */
static uint32_t read_type(struct archive_entry *ae, const char *raw)
{
	uint32_t type = archive_entry_filetype(ae);

	switch (type) {
	case 0:
		return *raw && raw[strlen(raw) - 1] == '/' ? S_IFDIR : S_IFREG;
	case AE_IFREG:
	case AE_IFDIR:
	case AE_IFLNK:
	case AE_IFIFO:
	case AE_IFSOCK:
	case AE_IFCHR:
	case AE_IFBLK:
		return type;
	}
	return 0;
}

/* Hard link or symlink: where to. 1: left out. */
static int read_link(struct member_ctx *m, struct archive_entry *ae, const char *raw, struct entry *e,
                     struct lcpfs_error *err)
{
	const char *hard = archive_entry_hardlink(ae), *sym = archive_entry_symlink(ae);
	struct lcpfs_error why = { 0 };
	bool absolute;

	if (hard) {
		e->link = arch_names_normalise(hard, &absolute, &why);
		if (why.code == LCPFS_ENOMEM)
			return lcpfs_nomem(err);
		if (!e->link || !*e->link)
			return left_out(m, raw, "hard link to an unsafe path");
		if (strcmp(e->link, e->path) == 0)
			return left_out(m, raw, "hard link to itself");
		e->flags |= ENTRY_HARDLINK;
		return 0;
	}
	if (!S_ISLNK(e->mode))
		return 0;
	if (!sym || !*sym)
		return left_out(m, raw, "symbolic link without a target");
	if (strlen(sym) > TARGET_MAX)
		return left_out(m, raw, "symbolic link with a target longer than 4095 bytes");
	return copy_text(&e->link, sym, err);
}

/* Path, type and mode. 1: left out. */
static int read_name(struct member_ctx *m, struct archive_entry *ae, const char *raw, struct entry *e,
                     struct lcpfs_error *err)
{
	struct lcpfs_error why = { 0 };
	bool absolute;
	uint32_t type;

	e->path = arch_names_normalise(raw, &absolute, &why);
	if (why.code == LCPFS_ENOMEM)
		return lcpfs_nomem(err);
	if (!e->path)
		return leave_out(m, raw, &why);
	if (exclude_match_tree(m->exclude, e->path))
		return 1;
	type = read_type(ae, raw);
	if (!type)
		return left_out(m, raw, "a type of file that has no place here");
	if (!*e->path && type != S_IFDIR)
		return left_out(m, raw, "the root of the archive is not a directory");
	e->mode = type | (archive_entry_perm(ae) & 07777);
	if (absolute && !m->told_absolute) {
		m->told_absolute = true;
		lcpfs_fail(&why, LCPFS_EINVAL, "the leading '/' of member names is removed");
		warner_tell(m->w, raw, &why);
	}
	return 0;
}

static int read_rest(struct member_ctx *m, struct archive_entry *ae, const char *raw, struct entry *e,
                     struct lcpfs_error *err)
{
	int rc;

	if (S_ISREG(e->mode) && archive_entry_is_data_encrypted(ae))
		return left_out(m, raw, "its content is encrypted");
	if (archive_entry_size_is_set(ae) && archive_entry_size(ae) < 0)
		return left_out(m, raw, "its size is negative");
	e->size = S_ISREG(e->mode) ? (uint64_t)archive_entry_size(ae) : 0;
	e->uid = read_id(m, e, archive_entry_uid(ae), "uid");
	e->gid = read_id(m, e, archive_entry_gid(ae), "gid");
	e->nlink = archive_entry_nlink(ae);
	e->rdev_major = S_ISCHR(e->mode) || S_ISBLK(e->mode) ? (uint32_t)archive_entry_rdevmajor(ae) : 0;
	e->rdev_minor = S_ISCHR(e->mode) || S_ISBLK(e->mode) ? (uint32_t)archive_entry_rdevminor(ae) : 0;
	read_times(ae, e, m->tar);
	rc = copy_text(&e->uname, archive_entry_uname(ae), err);
	if (!rc)
		rc = copy_text(&e->gname, archive_entry_gname(ae), err);
	if (!rc && !(e->flags & ENTRY_HARDLINK))
		rc = read_xattrs(m, ae, e, err);
	return rc;
}

int arch_member_read(struct member_ctx *m, struct archive_entry *ae, struct entry *e, struct lcpfs_error *err)
{
	const char *name = archive_entry_pathname(ae);
	char *raw;
	int rc;

	if (!name)
		name = archive_entry_pathname_utf8(ae);
	raw = strdup(name ? name : ""); /* the next question to ae may move it */
	if (!raw)
		return lcpfs_nomem(err);
	rc = read_name(m, ae, raw, e, err);
	if (!rc)
		rc = read_link(m, ae, raw, e, err);
	if (!rc)
		rc = read_rest(m, ae, raw, e, err);
	free(raw);
	return rc;
}

/* ---- the way out ---- */

static void set_time(struct archive_entry *ae, void (*set)(struct archive_entry *, time_t, long),
                     struct entry_time t, bool *rounded)
{
	int64_t sec = t.sec;
	long nsec = (long)t.nsec;

	if (sec == -1 && nsec) {
		nsec = 0;
		*rounded = true;
	} else if (sec < 0 && nsec) {
		sec++;
		nsec = NS - nsec;
	}
	set(ae, sec, nsec);
}

static void write_times(struct archive_entry *ae, const struct entry *e, struct warner *w)
{
	struct lcpfs_error why;
	bool rounded = false;

	if (e->flags & ENTRY_HAS_ATIME)
		set_time(ae, archive_entry_set_atime, e->atime, &rounded);
	if (e->flags & ENTRY_HAS_MTIME)
		set_time(ae, archive_entry_set_mtime, e->mtime, &rounded);
	if (e->flags & ENTRY_HAS_CTIME)
		set_time(ae, archive_entry_set_ctime, e->ctime, &rounded);
	/* no btime: libarchive's keyword for it makes GNU tar complain of every member, and no host restores it */
	if (rounded) {
		lcpfs_fail(&why, LCPFS_EUNSUP, "a time within the second before 1970 is rounded");
		warner_tell(w, e->path, &why);
	}
}

static void write_xattr(struct archive_entry *ae, const struct entry *e, const struct entry_xattr *x, struct warner *w)
{
	bool is_acl = strcmp(x->name, ACL_ACCESS) == 0 || strcmp(x->name, ACL_DEFAULT) == 0;
	struct lcpfs_error why;

	if (!is_acl) {
		archive_entry_xattr_add_entry(ae, x->name, x->value, x->len);
	} else if (!arch_acl_write(ae, x)) {
		lcpfs_fail(&why, LCPFS_ECORRUPT, "its ACL makes no sense; left out");
		warner_tell(w, e->path, &why);
	}
}

static void write_xattrs(struct archive_entry *ae, const struct entry *e, bool keeps_xattr, struct warner *w)
{
	struct lcpfs_error why;

	if (!e->n_xattr || e->flags & ENTRY_HARDLINK)
		return;
	if (!keeps_xattr) {
		lcpfs_fail(&why, LCPFS_EUNSUP, "this archive format has no extended attributes and ACLs; left out");
		warner_tell(w, e->path, &why);
		return;
	}
	/* libarchive puts what was added last first */
	for (size_t i = e->n_xattr; i-- > 0;)
		write_xattr(ae, e, &e->xattr[i], w);
}

int arch_member_write(struct archive_entry *ae, const struct entry *e, bool keeps_xattr, struct warner *w,
                      struct lcpfs_error *err)
{
	archive_entry_clear(ae);
	archive_entry_copy_pathname(ae, *e->path ? e->path : ".");
	archive_entry_set_mode(ae, e->mode);
	archive_entry_set_uid(ae, e->uid);
	archive_entry_set_gid(ae, e->gid);
	if (e->uname)
		archive_entry_copy_uname(ae, e->uname);
	if (e->gname)
		archive_entry_copy_gname(ae, e->gname);
	if (e->nlink)
		archive_entry_set_nlink(ae, e->nlink);
	archive_entry_set_size(ae, S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK) ? (int64_t)e->size : 0);
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		archive_entry_set_rdevmajor(ae, e->rdev_major);
		archive_entry_set_rdevminor(ae, e->rdev_minor);
	}
	if (e->flags & ENTRY_HARDLINK)
		archive_entry_copy_hardlink(ae, e->link);
	else if (S_ISLNK(e->mode))
		archive_entry_copy_symlink(ae, e->link);
	if ((e->flags & ENTRY_HARDLINK || S_ISLNK(e->mode)) && !e->link)
		return lcpfs_fail(err, LCPFS_EINVAL, "a link without a target");
	write_times(ae, e, w);
	write_xattrs(ae, e, keeps_xattr, w);
	return 0;
}
