/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes are put back in this order: owner (a change of owner clears setuid and capabilities), extended attributes
 * (while the mode still lets us write), mode, times.
 */
#include "base/error.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

void host_restore_init(struct restore *r, uint32_t flags, struct warner *w)
{
	*r = (struct restore){ .flags = flags, .w = w, .euid = geteuid(), .egid = getegid() };
	r->owner = !(flags & HOST_SINK_NO_OWNER) && (flags & HOST_SINK_OWNER || r->euid == 0);
}

void host_restore_fini(struct restore *r)
{
	free(r->uname);
	free(r->gname);
	r->uname = r->gname = NULL;
}

static void warn(struct restore *r, const char *path, int eno, const char *what)
{
	struct lcpfs_error why;

	lcpfs_fail_errno(&why, eno, "%s", what);
	warner_tell(r->w, path, &why);
}

/* The host's number of a name from an archive, or the archive's number. */
static uint32_t uid_of(struct restore *r, const struct entry *e)
{
	struct passwd pw, *found = NULL;
	char b[4096];

	if (!e->uname || !*e->uname || r->flags & HOST_SINK_NUMERIC)
		return e->uid;
	if (r->uname && strcmp(r->uname, e->uname) == 0)
		return r->uname_id == UINT32_MAX ? e->uid : r->uname_id;
	getpwnam_r(e->uname, &pw, b, sizeof b, &found);
	free(r->uname);
	r->uname = strdup(e->uname);
	r->uname_id = found ? found->pw_uid : UINT32_MAX;
	return found ? found->pw_uid : e->uid;
}

static uint32_t gid_of(struct restore *r, const struct entry *e)
{
	struct group gr, *found = NULL;
	char b[16384];

	if (!e->gname || !*e->gname || r->flags & HOST_SINK_NUMERIC)
		return e->gid;
	if (r->gname && strcmp(r->gname, e->gname) == 0)
		return r->gname_id == UINT32_MAX ? e->gid : r->gname_id;
	getgrnam_r(e->gname, &gr, b, sizeof b, &found);
	free(r->gname);
	r->gname = strdup(e->gname);
	r->gname_id = found ? found->gr_gid : UINT32_MAX;
	return found ? found->gr_gid : e->gid;
}

bool host_restore_is_owner(struct restore *r, const struct entry *e, const struct dirlevel *l)
{
	return l->owner_known && l->uid == uid_of(r, e) && l->gid == gid_of(r, e);
}

/* Returns the mode bits that must go because the owner they speak of is not the one wanted. */
static uint32_t restore_owner(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e)
{
	int flags = *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
	uint32_t lost = 0;

	if (r->owner) {
		if (fchownat(dirfd, name, uid_of(r, e), gid_of(r, e), flags) == 0)
			return 0;
		warn(r, path, errno, "cannot restore the owner");
		return S_ISUID | S_ISGID;
	}
	if (!S_ISDIR(e->mode)) {
		lost |= e->uid == r->euid ? 0 : S_ISUID;
		lost |= e->gid == r->egid ? 0 : S_ISGID;
	}
	return lost;
}

static void restore_xattrs(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e)
{
	bool has_acl = false, has_default = false;
	char what[200];

	for (size_t i = 0; i < e->n_xattr && !(r->flags & HOST_SINK_NO_XATTR); i++) {
		const struct entry_xattr *x = &e->xattr[i];

		has_acl |= strcmp(x->name, ACL_ACCESS) == 0;
		has_default |= strcmp(x->name, ACL_DEFAULT) == 0;
		if (host_xattr_set(dirfd, name, x->name, x->value, x->len) == 0)
			continue;
		snprintf(what, sizeof what, "cannot restore extended attribute '%.100s'", x->name);
		warn(r, path, errno, what);
	}
	if (!r->strip_acl || S_ISLNK(e->mode))
		return;
	if (!has_acl)
		host_xattr_remove(dirfd, name, ACL_ACCESS);
	if (S_ISDIR(e->mode) && !has_default)
		host_xattr_remove(dirfd, name, ACL_DEFAULT);
}

static uint32_t safe_mode(struct restore *r, const char *path, const struct entry *e)
{
	uint32_t mode = e->mode & 07777, drop = 0;
	struct lcpfs_error why;

	if (r->flags & HOST_SINK_SAFE)
		drop = mode & (S_ISDIR(e->mode) ? S_ISUID | S_ISGID : S_ISUID | S_ISGID | S_ISVTX);
	if (drop) {
		lcpfs_fail(&why, LCPFS_EPERM, "setuid, setgid or sticky bit dropped");
		warner_tell(r->w, path, &why);
	}
	return mode & ~drop;
}

static void restore_mode(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e,
                         uint32_t lost)
{
	uint32_t mode = safe_mode(r, path, e);
	struct lcpfs_error why;

	if (S_ISLNK(e->mode))
		return;
	if (mode & lost) {
		lcpfs_fail(&why, LCPFS_EPERM, "setuid or setgid dropped, because the owner is not restored");
		warner_tell(r->w, path, &why);
		mode &= ~lost;
	}
	if (*name ? fchmodat(dirfd, name, mode, AT_SYMLINK_NOFOLLOW) : fchmod(dirfd, mode))
		warn(r, path, errno, "cannot restore the mode");
}

static struct timespec stamp(const struct entry_time *t, bool known)
{
	if (!known)
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	return (struct timespec){ .tv_sec = t->sec, .tv_nsec = t->nsec < 1000000000 ? (long)t->nsec : 0 };
}

void host_restore_times(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e)
{
	struct timespec ts[2] = {
		stamp(&e->atime, e->flags & ENTRY_HAS_ATIME),
		stamp(&e->mtime, e->flags & ENTRY_HAS_MTIME),
	};

	if (*name ? utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW) : futimens(dirfd, ts))
		warn(r, path, errno, "cannot restore the times");
}

void host_restore_all(struct restore *r, int dirfd, const char *name, const char *path, const struct entry *e)
{
	uint32_t lost = restore_owner(r, dirfd, name, path, e);

	restore_xattrs(r, dirfd, name, path, e);
	restore_mode(r, dirfd, name, path, e, lost);
	host_restore_times(r, dirfd, name, path, e);
}
