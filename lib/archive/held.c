/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>

bool arch_held_has(const struct held *h, const char *path)
{
	for (size_t i = h->n; i-- > h->from;)
		if (!(h->v[i].flags & ENTRY_HARDLINK) && strcmp(h->v[i].path, path) == 0)
			return true;
	return false;
}

int arch_held_add(struct held *h, struct entry *e, struct lcpfs_error *err)
{
	struct entry *v;

	if (h->from > HELD_MAX) { /* what was taken leaves room */
		memmove(h->v, h->v + h->from, (h->n - h->from) * sizeof *h->v);
		h->n -= h->from;
		h->from = 0;
	}
	v = reallocarray(h->v, h->n + 1, sizeof *v);
	if (!v)
		return lcpfs_nomem(err);
	h->v = v;
	v[h->n++] = *e;
	*e = (struct entry){ 0 };
	return 0;
}

static int point_at(struct entry *e, const char *path, struct lcpfs_error *err)
{
	char *link = strdup(path);

	if (!link)
		return lcpfs_nomem(err);
	free(e->link);
	e->link = link;
	e->flags |= ENTRY_HARDLINK;
	return 0;
}

int arch_held_content(struct held *h, struct entry *e, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = h->from; !rc && i < h->n; i++) {
		struct entry *w = &h->v[i];

		if (strcmp(w->flags & ENTRY_HARDLINK ? w->link : w->path, e->link) == 0)
			rc = point_at(w, e->path, err);
	}
	free(e->link);
	e->link = NULL;
	e->flags &= ~(uint32_t)ENTRY_HARDLINK;
	return rc;
}

bool arch_held_take(struct held *h, struct entry *e)
{
	if (h->from == h->n)
		return false;
	*e = h->v[h->from++];
	return true;
}

void arch_held_fini(struct held *h)
{
	while (h->from < h->n)
		entry_fini(&h->v[h->from++]);
	free(h->v);
	*h = (struct held){ 0 };
}
