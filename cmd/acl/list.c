/* SPDX-License-Identifier: Apache-2.0 */
/* acl: lists. The kernel's form: le32 version 2, then entries of le16 tag, le16 permissions, le32 id. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "acl/acl.h"

enum { VERSION = 2, HEAD = 4, ENTRY = 8 };
struct ace { uint32_t tag, perm, id; };

static uint32_t le(const uint8_t *p, unsigned n) { return p[0] | (uint32_t)p[1] << 8 | (n == 4 ? (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0); }

static void put_le(uint8_t *p, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static bool named(uint32_t tag) { return tag == ACL_USER || tag == ACL_GROUP; }

static int ace_get(acl_entry_t e, struct ace *out)
{
	acl_permset_t perms;
	acl_tag_t tag;
	id_t *id;

	if (acl_get_tag_type(e, &tag) || acl_get_permset(e, &perms))
		return -1;
	*out = (struct ace){ (uint32_t)tag, 0, UINT32_MAX };
	out->perm = (acl_get_perm(perms, ACL_READ) ? 4u : 0) | (acl_get_perm(perms, ACL_WRITE) ? 2u : 0) | (acl_get_perm(perms, ACL_EXECUTE) ? 1u : 0);
	if (!named(out->tag))
		return 0;
	id = acl_get_qualifier(e);
	if (!id)
		return -1;
	out->id = *id;
	acl_free(id);
	return 0;
}

static int ace_set(acl_entry_t e, const struct ace *a)
{
	acl_permset_t perms;

	if (acl_set_tag_type(e, (acl_tag_t)a->tag) || (named(a->tag) && acl_set_qualifier(e, &a->id)) || acl_get_permset(e, &perms) ||
	    acl_clear_perms(perms))
		return -1;
	if ((a->perm & 4 && acl_add_perm(perms, ACL_READ)) || (a->perm & 2 && acl_add_perm(perms, ACL_WRITE)) ||
	    (a->perm & 1 && acl_add_perm(perms, ACL_EXECUTE)))
		return -1;
	return acl_set_permset(e, perms);
}

static acl_entry_t find(acl_t acl, uint32_t tag, uint32_t id)
{
	acl_entry_t e;
	struct ace a;

	for (int rc = acl_get_entry(acl, ACL_FIRST_ENTRY, &e); rc == 1; rc = acl_get_entry(acl, ACL_NEXT_ENTRY, &e))
		if (!ace_get(e, &a) && a.tag == tag && (!named(tag) || a.id == id))
			return e;
	return NULL;
}

static int put(acl_t *acl, const struct ace *a)
{
	acl_entry_t e = find(*acl, a->tag, a->id);

	if (!e && acl_create_entry(acl, &e))
		return -1;
	return ace_set(e, a);
}

acl_t acl_decode(const void *bytes, size_t len, struct lcpfs_error *err)
{
	const uint8_t *p = bytes;
	acl_t acl;

	if (len < HEAD || (len - HEAD) % ENTRY || le(p, 4) != VERSION) {
		cmd_err(err, LCPFS_ECORRUPT, "its access control list makes no sense");
		return NULL;
	}
	acl = acl_init((int)((len - HEAD) / ENTRY));
	for (size_t at = HEAD; acl && at < len; at += ENTRY) {
		struct ace a = { le(p + at, 2), le(p + at + 2, 2), le(p + at + 4, 4) };
		if (put(&acl, &a)) {
			acl_free(acl);
			acl = NULL;
		}
	}
	if (acl && !acl_valid(acl))
		return acl;
	if (acl)
		acl_free(acl);
	cmd_err(err, LCPFS_ECORRUPT, "its access control list makes no sense");
	return NULL;
}

static int by_tag(const void *a, const void *b)
{
	const struct ace *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

int acl_encode(acl_t acl, void **bytes, size_t *len, struct lcpfs_error *err)
{
	int n = acl_entries(acl), rc = 0;
	struct ace *v = cmd_alloc((size_t)(n < 0 ? 0 : n) * sizeof *v);
	acl_entry_t e;
	uint8_t *out;
	int i = 0;

	for (int more = acl_get_entry(acl, ACL_FIRST_ENTRY, &e); more == 1 && i < n && !rc; more = acl_get_entry(acl, ACL_NEXT_ENTRY, &e))
		rc = ace_get(e, &v[i++]);
	if (n < 0 || rc || i != n) {
		free(v);
		return cmd_err(err, LCPFS_EINVAL, "the access control list cannot be stored");
	}
	qsort(v, (size_t)n, sizeof *v, by_tag);
	*len = HEAD + ENTRY * (size_t)n;
	*bytes = out = cmd_alloc(*len);
	put_le(out, VERSION, 4);
	for (i = 0; i < n; i++) {
		put_le(out + HEAD + ENTRY * i, v[i].tag, 2);
		put_le(out + HEAD + ENTRY * i + 2, v[i].perm, 2);
		put_le(out + HEAD + ENTRY * i + 4, v[i].id, 4);
	}
	free(v);
	return 0;
}

static int bad(struct lcpfs_error *err, const char *why)
{
	return cmd_err(err, LCPFS_EINVAL, "bad access control list: %s", why);
}

int acl_merge(acl_t *to, acl_t from, acl_t base, struct lcpfs_error *err)
{
	static const uint32_t needed[] = { ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER };
	bool has_mask = find(from, ACL_MASK, 0), extended = false;
	acl_entry_t e;
	struct ace a;

	if (!*to && !(*to = acl_init(4)))
		return bad(err, "no memory");
	for (int rc = acl_get_entry(from, ACL_FIRST_ENTRY, &e); rc == 1; rc = acl_get_entry(from, ACL_NEXT_ENTRY, &e))
		if (ace_get(e, &a) || put(to, &a))
			return bad(err, "an entry cannot be used");
	for (unsigned i = 0; i < 3; i++)
		if (!find(*to, needed[i], 0) && (!(e = find(base, needed[i], 0)) || ace_get(e, &a) || put(to, &a)))
			return bad(err, "an entry is missing");
	for (int rc = acl_get_entry(*to, ACL_FIRST_ENTRY, &e); rc == 1; rc = acl_get_entry(*to, ACL_NEXT_ENTRY, &e))
		extended |= !ace_get(e, &a) && named(a.tag);
	if (!has_mask && (extended || find(*to, ACL_MASK, 0)) && acl_calc_mask(to))
		return bad(err, "no memory");
	return acl_valid(*to) ? bad(err, "entries contradict each other") : 0;
}

/* ---- files ---- */

static int load(struct lcpfs_dataset *ds, const char *path, const char *name, acl_t *out, struct lcpfs_error *err)
{
	struct lcpfs_error e = { 0 };
	void *bytes;
	size_t len;
	int rc = lcpfs_xattr_get(ds, path, LCPFS_FOLLOW, name, &bytes, &len, &e);

	*out = NULL;
	if (rc == -LCPFS_ENODATA)
		return 0;
	if (rc) {
		if (err)
			*err = e;
		return rc;
	}
	*out = acl_decode(bytes, len, err);
	free(bytes);
	return *out ? 0 : -LCPFS_ECORRUPT;
}

int acl_load(struct lcpfs_dataset *ds, const char *path, struct acl_pair *out, struct lcpfs_error *err)
{
	struct lcpfs_stat st;
	int rc = lcpfs_stat(ds, path, LCPFS_FOLLOW, &st, err);

	memset(out, 0, sizeof *out);
	if (!rc)
		rc = load(ds, path, XATTR_ACCESS, &out->access, err);
	if (!rc && S_ISDIR(st.mode))
		rc = load(ds, path, XATTR_DEFAULT, &out->def, err);
	if (!rc && !out->access && !(out->access = acl_from_mode(st.mode & 0777)))
		rc = cmd_err(err, LCPFS_ENOMEM, "out of memory");
	out->mode = rc ? 0 : st.mode;
	return rc;
}

static int store_one(struct lcpfs_dataset *ds, const char *path, const char *name, acl_t acl, struct lcpfs_error *err)
{
	void *bytes;
	size_t len;
	int rc;

	if (!acl) {
		rc = lcpfs_xattr_remove(ds, path, LCPFS_FOLLOW, name, NULL);
		return rc == -LCPFS_ENODATA ? 0 : rc ? cmd_err(err, -rc, "%s", lcpfs_strerror(rc)) : 0;
	}
	rc = acl_encode(acl, &bytes, &len, err);
	if (!rc) {
		rc = lcpfs_xattr_set(ds, path, LCPFS_FOLLOW, name, bytes, len, err);
		free(bytes);
	}
	return rc;
}

static uint32_t perm_of(acl_t acl, uint32_t tag)
{
	acl_entry_t e = find(acl, tag, 0);
	struct ace a = { 0 };

	return e && !ace_get(e, &a) ? a.perm : 0;
}

/* The mode shows the owner, the mask (without one the group) and the others. */
int acl_store(struct lcpfs_dataset *ds, const char *path, const struct acl_pair *p, struct lcpfs_error *err)
{
	uint32_t group = perm_of(p->access, find(p->access, ACL_MASK, 0) ? ACL_MASK : ACL_GROUP_OBJ);
	uint32_t mode = perm_of(p->access, ACL_USER_OBJ) << 6 | group << 3 | perm_of(p->access, ACL_OTHER);
	bool extended = acl_entries(p->access) > 3;
	int rc = lcpfs_chmod(ds, path, LCPFS_FOLLOW, (p->mode & 07000) | mode, err);

	if (!rc)
		rc = store_one(ds, path, XATTR_ACCESS, extended ? p->access : NULL, err);
	if (!rc && S_ISDIR(p->mode))
		rc = store_one(ds, path, XATTR_DEFAULT, p->def, err);
	return rc;
}

void acl_pair_fini(struct acl_pair *p)
{
	if (p->access)
		acl_free(p->access);
	if (p->def)
		acl_free(p->def);
}

/* ---- text ---- */

static char *append(char *list, const char *s, size_t n)
{
	char *out = cmd_printf("%s%.*s\n", list ? list : "", (int)n, s);

	free(list);
	return out;
}

static acl_t parse(char *text)
{
	acl_t acl = text ? acl_from_text(text) : NULL;

	if (text && !acl)
		cmd_usage("bad access control list: %.*s (write u::rwx,u:ann:r-x,default:g::r-x)", (int)strcspn(text, "\n"), text);
	free(text);
	return acl;
}

void acl_text_parse(struct acl_text *t, const char *text)
{
	char *access = NULL, *def = NULL;

	while (*text) {
		size_t skip = strspn(text, " \t\n,"), n = strcspn(text += skip, ",\n"), len = n;
		const char *hash = memchr(text, '#', n);

		if (hash)
			len = (size_t)(hash - text);
		while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
			len--;
		if (len > 8 && !strncmp(text, "default:", 8))
			def = append(def, text + 8, len - 8);
		else if (len > 2 && !strncmp(text, "d:", 2))
			def = append(def, text + 2, len - 2);
		else if (len)
			access = append(access, text, len);
		text += hash ? strcspn(text, "\n") : n;
	}
	t->access = parse(access);
	t->def = parse(def);
}

void acl_text_fini(struct acl_text *t)
{
	if (t->access)
		acl_free(t->access);
	if (t->def)
		acl_free(t->def);
}
