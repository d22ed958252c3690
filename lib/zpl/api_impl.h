/* SPDX-License-Identifier: Apache-2.0 */
/* What the public calls on files share. */
#ifndef ZPL_API_IMPL_H
#define ZPL_API_IMPL_H
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "zpl/handle.h"

struct lcpfs_file {
	struct lcpfs_dataset *ds;
	uint64_t ino;
	uint32_t flags; /* LCPFS_O_* */
};

/* A name that may be about to be made or removed. */
struct api_name { uint64_t dir, ino; const char *last; size_t len; };

struct itime api_now(void);
/* For calls that change: allowed at all, and where the name is. */
int api_name(struct lcpfs_dataset *ds, const char *path, struct api_name *n, struct lcpfs_error *err);
/* A new file of this type and permissions (less the mask, or with what is inherited), owned as the handle says. */
int api_create(struct lcpfs_dataset *ds, const struct api_name *n, uint32_t mode, uint64_t rdev, const char *target, uint64_t *ino,
               struct lcpfs_error *err);
int api_flags(uint32_t flags, uint32_t known, struct lcpfs_error *err);
/* The path in front of the message. */
int api_at(struct lcpfs_error *err, int rc, const char *path);
/* mtime and ctime (ctime alone) are now. */
int api_touch(struct lcpfs_dataset *ds, uint64_t ino, bool mtime, struct lcpfs_error *err);
/* The access ACL, if there is one, follows the permissions (api_acl.c). */
int api_acl_chmod(struct lcpfs_dataset *ds, uint64_t ino, uint32_t mode, struct lcpfs_error *err);
/* What a new file in a directory gets: with a default ACL there *mode loses what that does not give, else what the umask takes away. */
struct api_acl { uint8_t *access; void *dflt; size_t len; }; /* NULL: none; len is that of both */
int api_acl_inherit(struct lcpfs_dataset *ds, uint64_t dir, const struct inode *d, uint32_t *mode, struct api_acl *out, struct lcpfs_error *err);
int api_acl_apply(struct lcpfs_dataset *ds, uint64_t ino, const struct api_acl *a, struct lcpfs_error *err);
void api_acl_fini(struct api_acl *a);
#endif
