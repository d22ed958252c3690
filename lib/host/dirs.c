/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories are created 0700 and get what belongs to them at the very end: a default ACL would be inherited by what
 * is made inside, a mode without 'w' would forbid it, and its making changes their mtime. Only names and attributes are kept,
 * as a tree, so that a deep one costs no more than its names.
 */
#include "base/error.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(uint32_t parent, const char *name)
{
	uint64_t h = 14695981039346656037u ^ parent;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 1099511628211u;
	return (uint32_t)(h ^ h >> 32);
}

static uint32_t slot_of(const struct dirs *d, uint32_t parent, const char *name)
{
	uint32_t i = hash_of(parent, name) & (d->hash_cap - 1);

	for (; d->hash[i]; i = (i + 1) & (d->hash_cap - 1)) {
		const struct dirnode *n = &d->node[d->hash[i]];

		if (n->parent == parent && strcmp(n->name, name) == 0)
			break;
	}
	return i;
}

static int grow(struct dirs *d, struct lcpfs_error *err)
{
	uint32_t cap = d->cap ? d->cap * 2 : 64;
	uint32_t *hash = calloc((size_t)cap * 2, sizeof *hash), *old = d->hash;
	struct dirnode *node = cap > UINT32_MAX / 8 ? NULL : reallocarray(d->node, cap, sizeof *node);

	if (node)
		d->node = node;
	if (!hash || !node) {
		free(hash);
		return lcpfs_nomem(err);
	}
	d->cap = cap;
	d->hash = hash;
	d->hash_cap = cap * 2;
	for (uint32_t i = 1; i < d->n; i++)
		d->hash[slot_of(d, d->node[i].parent, d->node[i].name)] = i;
	free(old);
	return 0;
}

int host_dirs_init(struct dirs *d, struct lcpfs_error *err)
{
	int rc;

	*d = (struct dirs){ 0 };
	rc = grow(d, err);
	if (!rc)
		d->node[d->n++] = (struct dirnode){ 0 };
	return rc;
}

void host_dirs_fini(struct dirs *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		free(d->node[i].name);
		if (d->node[i].attrs)
			entry_fini(d->node[i].attrs);
		free(d->node[i].attrs);
	}
	free(d->node);
	free(d->hash);
	*d = (struct dirs){ 0 };
}

int host_dirs_get(struct dirs *d, uint32_t parent, const char *name, uint32_t *out, struct lcpfs_error *err)
{
	uint32_t slot;
	char *copy;
	int rc;

	if (d->n == d->cap && (rc = grow(d, err)))
		return rc;
	slot = slot_of(d, parent, name);
	if (d->hash[slot]) {
		*out = d->hash[slot];
		return 0;
	}
	copy = strdup(name);
	if (!copy)
		return lcpfs_nomem(err);
	*out = d->hash[slot] = d->n;
	d->node[d->n++] = (struct dirnode){ .parent = parent, .sibling = d->node[parent].child, .name = copy };
	d->node[parent].child = *out;
	return 0;
}

static int copy_attrs(struct entry *to, const struct entry *e, struct lcpfs_error *err)
{
	int rc = 0;

	*to = *e;
	to->path = to->link = NULL;
	to->xattr = NULL;
	to->n_xattr = 0;
	to->uname = e->uname ? strdup(e->uname) : NULL;
	to->gname = e->gname ? strdup(e->gname) : NULL;
	if ((e->uname && !to->uname) || (e->gname && !to->gname))
		return lcpfs_nomem(err);
	for (size_t i = 0; !rc && i < e->n_xattr; i++)
		rc = entry_add_xattr(to, e->xattr[i].name, e->xattr[i].value, e->xattr[i].len, err);
	return rc;
}

int host_dirs_set_attrs(struct dirs *d, uint32_t node, const struct entry *e, struct lcpfs_error *err)
{
	struct dirnode *n = &d->node[node];

	if (n->attrs)
		entry_fini(n->attrs);
	else if (!(n->attrs = calloc(1, sizeof *n->attrs)))
		return lcpfs_nomem(err);
	return copy_attrs(n->attrs, e, err);
}

static void restore_node(const struct dirnode *n, struct dirstack *ds, struct restore *r)
{
	struct lcpfs_error why;
	int fd = host_dirstack_top(ds)->fd;

	if (fd < 0) {
		lcpfs_fail(&why, LCPFS_EBUSY, "directory was moved; its attributes are not restored");
		warner_tell(r->w, host_dirstack_path(ds), &why);
	} else if (n->attrs) {
		host_restore_all(r, fd, "", host_dirstack_path(ds), n->attrs);
	} else if (n->made) {
		fchmod(fd, 0755);
	}
}

/* Step into the first of the directories from `node` on (a chain of siblings) that can be entered; 0 = none. */
static uint32_t step_in(struct dirs *d, uint32_t node, struct dirstack *ds, struct restore *r)
{
	for (; node; node = d->node[node].sibling) {
		const char *name = d->node[node].name;
		struct lcpfs_error why;
		int eno = host_dirstack_top(ds)->fd < 0 ? 0 : host_dirstack_push(ds, name, strlen(name));

		if (!eno && host_dirstack_top(ds)->fd >= 0)
			return node;
		if (eno) {
			lcpfs_fail_errno(&why, eno, "cannot restore the directory '%.255s'", name);
			warner_tell(r->w, host_dirstack_path(ds), &why);
		}
	}
	return 0;
}

int host_dirs_restore(struct dirs *d, int root_fd, struct restore *r, struct lcpfs_error *err)
{
	struct dirstack ds;
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	int eno = fd < 0 ? errno : host_dirstack_init(&ds, fd);
	uint32_t node = 0, next;

	if (eno)
		return lcpfs_fail_errno(err, eno, "cannot restore directories");
	next = d->node[0].child;
	for (;;) {
		next = step_in(d, next, &ds, r);
		if (next) {
			node = next;
			next = d->node[node].child;
			continue;
		}
		restore_node(&d->node[node], &ds, r);
		if (!node)
			break;
		host_dirstack_pop(&ds);
		next = d->node[node].sibling;
		node = d->node[node].parent;
	}
	host_dirstack_fini(&ds);
	return 0;
}
