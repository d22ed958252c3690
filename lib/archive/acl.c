/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX ACLs. The kernel's attribute, little-endian:
 *   offset  size  field
 *      0      4   version  2
 *      4      8n  entries: tag(2), permissions(2), id(4; all ones where the tag has none), by ascending tag and id
 */
#include "archive/archive_impl.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/util.h"
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ACL_VERSION 2
#define NO_ID UINT32_MAX
#define ACL_MAX 8191 /* what fits the kernel's 64 KiB of an attribute */

enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

static const struct {
	uint16_t kernel;
	int libarchive;
} tags[] = {
	{ TAG_USER_OBJ, ARCHIVE_ENTRY_ACL_USER_OBJ }, { TAG_USER, ARCHIVE_ENTRY_ACL_USER },
	{ TAG_GROUP_OBJ, ARCHIVE_ENTRY_ACL_GROUP_OBJ }, { TAG_GROUP, ARCHIVE_ENTRY_ACL_GROUP },
	{ TAG_MASK, ARCHIVE_ENTRY_ACL_MASK }, { TAG_OTHER, ARCHIVE_ENTRY_ACL_OTHER },
};

struct ace {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	struct ace *v;
	size_t n;
	unsigned seen;  /* tags */
	bool lost_name; /* an entry whose user or group does not exist here was dropped */
};

static int by_tag(const void *a, const void *b)
{
	const struct ace *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* The id of a named entry: the archive's number, or this host's for the name. */
static uint32_t id_of(uint16_t tag, int qual, const char *name)
{
	struct passwd pw, *u = NULL;
	struct group gr, *g = NULL;
	char b[16384];

	if (qual != -1)
		return (uint32_t)qual;
	if (!name || !*name)
		return NO_ID;
	if (tag == TAG_USER)
		return getpwnam_r(name, &pw, b, sizeof b, &u) == 0 && u ? u->pw_uid : NO_ID;
	return getgrnam_r(name, &gr, b, sizeof b, &g) == 0 && g ? g->gr_gid : NO_ID;
}

static void add_ace(struct acl *acl, int tag, int perm, int qual, const char *name)
{
	uint16_t t = 0;
	uint32_t id = NO_ID;

	for (size_t i = 0; i < ARRAY_LEN(tags); i++)
		t = tags[i].libarchive == tag ? tags[i].kernel : t;
	if (t == TAG_USER || t == TAG_GROUP) {
		id = id_of(t, qual, name);
		acl->lost_name |= id == NO_ID;
	} else if (acl->seen & t) {
		return;
	}
	if (!t || ((t == TAG_USER || t == TAG_GROUP) && id == NO_ID))
		return;
	acl->seen |= t;
	acl->v[acl->n++] = (struct ace){ t, (uint16_t)(perm & 7), id };
}

/* The kernel wants a mask where there are named entries: the union of what it limits. */
static void add_mask(struct acl *acl)
{
	uint16_t all = 0;

	if (acl->seen & TAG_MASK || !(acl->seen & (TAG_USER | TAG_GROUP)))
		return;
	for (size_t i = 0; i < acl->n; i++)
		if (acl->v[i].tag & (TAG_USER | TAG_GROUP | TAG_GROUP_OBJ))
			all |= acl->v[i].perm;
	acl->seen |= TAG_MASK;
	acl->v[acl->n++] = (struct ace){ TAG_MASK, all, NO_ID };
}

static void drop_twice(struct acl *acl)
{
	size_t n = 0;

	for (size_t i = 0; i < acl->n; i++)
		if (!n || by_tag(&acl->v[n - 1], &acl->v[i]) != 0)
			acl->v[n++] = acl->v[i];
	acl->n = n;
}

static int put_xattr(struct entry *e, const char *name, const struct acl *acl, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc;

	buf_le32(&b, ACL_VERSION);
	for (size_t i = 0; i < acl->n; i++) {
		buf_le16(&b, acl->v[i].tag);
		buf_le16(&b, acl->v[i].perm);
		buf_le32(&b, acl->v[i].id);
	}
	rc = b.failed ? lcpfs_nomem(err) : entry_add_xattr(e, name, b.data, b.len, err);
	buf_fini(&b);
	return rc;
}

/*
 * libarchive takes the group bits of the mode for the owning group's entry; in stat(2) they are the mask.
 */
static void mode_from_mask(struct entry *e, const struct acl *acl)
{
	for (size_t i = 0; i < acl->n; i++)
		if (acl->v[i].tag == TAG_MASK)
			e->mode = (e->mode & ~070u) | (uint32_t)acl->v[i].perm << 3;
}

static void tell(struct warner *w, const struct entry *e, const char *text)
{
	struct lcpfs_error why;

	lcpfs_fail(&why, LCPFS_EUNSUP, "%s", text);
	warner_tell(w, e->path, &why);
}

static int read_one(struct archive_entry *ae, int type, const char *xattr, struct entry *e, struct warner *w,
                    struct lcpfs_error *err)
{
	const unsigned base = TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER;
	int count = archive_entry_acl_reset(ae, type), rc = 0;
	int got_type, perm, tag, qual;
	struct acl acl = { 0 };
	const char *name;

	if (count <= 0 || (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && count <= 3))
		return 0;
	if (count > ACL_MAX - 1) {
		tell(w, e, "its ACL has too many entries; left out");
		return 0;
	}
	acl.v = calloc((size_t)count + 4, sizeof *acl.v);
	if (!acl.v)
		return lcpfs_nomem(err);
	for (int i = 0; i < count + 3 && archive_entry_acl_next(ae, type, &got_type, &perm, &tag, &qual,
	    &name) == ARCHIVE_OK; i++)
		add_ace(&acl, tag, perm, qual, name);
	add_mask(&acl);
	qsort(acl.v, acl.n, sizeof *acl.v, by_tag);
	drop_twice(&acl);
	if (acl.lost_name)
		tell(w, e, "its ACL names users or groups that do not exist here; they are left out");
	if ((acl.seen & base) != base) {
		tell(w, e, "its ACL is incomplete; left out");
	} else {
		rc = put_xattr(e, xattr, &acl, err);
		if (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
			mode_from_mask(e, &acl);
	}
	free(acl.v);
	return rc;
}

int arch_acl_read(struct archive_entry *ae, struct entry *e, struct warner *w, struct lcpfs_error *err)
{
	int types = archive_entry_acl_types(ae), rc = 0;

	if (types & ARCHIVE_ENTRY_ACL_TYPE_NFS4)
		tell(w, e, "its NFSv4 ACL has no place here; left out");
	if (S_ISLNK(e->mode))
		return 0;
	if (types & ARCHIVE_ENTRY_ACL_TYPE_ACCESS)
		rc = read_one(ae, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ACL_ACCESS, e, w, err);
	if (!rc && types & ARCHIVE_ENTRY_ACL_TYPE_DEFAULT && S_ISDIR(e->mode))
		rc = read_one(ae, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, ACL_DEFAULT, e, w, err);
	return rc;
}

bool arch_acl_write(struct archive_entry *ae, const struct entry_xattr *x)
{
	int type = strcmp(x->name, ACL_ACCESS) == 0 ? ARCHIVE_ENTRY_ACL_TYPE_ACCESS : ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	struct cur c = cur_of(x->value, x->len);

	if (cur_le32(&c) != ACL_VERSION || c.bad || cur_left(&c) % 8 || cur_left(&c) / 8 > ACL_MAX)
		return false;
	while (cur_left(&c)) {
		uint16_t tag = cur_le16(&c), perm = cur_le16(&c);
		uint32_t id = cur_le32(&c);
		int t = 0;

		for (size_t i = 0; i < ARRAY_LEN(tags); i++)
			t = tags[i].kernel == tag ? tags[i].libarchive : t;
		if (!t || perm > 7)
			return false;
		if (tag != TAG_USER && tag != TAG_GROUP)
			id = NO_ID;
		archive_entry_acl_add_entry(ae, type, perm, t, (int)id, NULL);
	}
	return true;
}
