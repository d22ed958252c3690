/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs-acl: lists of access, between the kernel's bytes, libacl and files of a pool. */
#ifndef CMD_ACL_ACL_H
#define CMD_ACL_ACL_H
#include <acl/libacl.h>
#include <sys/acl.h>
#include "common/edit.h"

#define XATTR_ACCESS "system.posix_acl_access"
#define XATTR_DEFAULT "system.posix_acl_default"

/* The kernel's bytes as a list; NULL with *err set. */
acl_t acl_decode(const void *bytes, size_t len, struct lcpfs_error *err);
/* And back, malloc'ed. */
int acl_encode(acl_t acl, void **bytes, size_t *len, struct lcpfs_error *err);

/* The text of setfacl: entries separated by commas or newlines, "default:" in front of those for new files; either may be NULL: none given. */
struct acl_text { acl_t access, def; };
void acl_text_parse(struct acl_text *t, const char *text);
void acl_text_fini(struct acl_text *t);

/* What a file has; access is made of the mode when there is no list, def is NULL. */
struct acl_pair { acl_t access, def; uint32_t mode; };
int acl_load(struct lcpfs_dataset *ds, const char *path, struct acl_pair *out, struct lcpfs_error *err);
int acl_store(struct lcpfs_dataset *ds, const char *path, const struct acl_pair *p, struct lcpfs_error *err);
void acl_pair_fini(struct acl_pair *p);

/* Entries of `from` replace those of the same kind in *to, which is made when NULL. Entries every list needs come from `base`; a mask is computed unless given. */
int acl_merge(acl_t *to, acl_t from, acl_t base, struct lcpfs_error *err);
#endif
