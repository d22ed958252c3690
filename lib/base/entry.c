/* SPDX-License-Identifier: Apache-2.0 */
#include "base/entry.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void entry_fini(struct entry *e)
{
	for (size_t i = 0; i < e->n_xattr; i++) {
		free(e->xattr[i].name);
		free(e->xattr[i].value);
	}
	free(e->xattr);
	free(e->path);
	free(e->link);
	free(e->uname);
	free(e->gname);
	*e = (struct entry){ 0 };
}

int entry_add_xattr(struct entry *e, const char *name, const void *value, size_t len, struct lcpfs_error *err)
{
	struct entry_xattr *a = realloc(e->xattr, (e->n_xattr + 1) * sizeof *a);

	if (!a)
		return lcpfs_nomem(err);
	e->xattr = a;
	a += e->n_xattr;
	a->name = strdup(name);
	a->value = malloc(len ? len : 1);
	a->len = len;
	if (!a->name || !a->value) {
		free(a->name);
		free(a->value);
		return lcpfs_nomem(err);
	}
	if (len)
		memcpy(a->value, value, len);
	e->n_xattr++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry_xattr *)a)->name, ((const struct entry_xattr *)b)->name);
}

void entry_sort_xattr(struct entry *e)
{
	if (e->n_xattr > 1)
		qsort(e->xattr, e->n_xattr, sizeof *e->xattr, by_name);
}

#define COPY_CHUNK ((size_t)1 << 20)

static int copy_content(struct entry_source *s, struct entry_sink *k, uint8_t *buf, uint64_t *bytes, struct lcpfs_error *err)
{
	for (;;) {
		uint64_t off = 0;
		size_t got = 0;
		int rc = s->ops->read(s, buf, COPY_CHUNK, &off, &got, err);

		if (rc || !got)
			return rc;
		rc = k->ops->write(k, off, buf, got, err);
		if (rc)
			return rc;
		*bytes += got;
	}
}

static int copy_one(struct entry_source *s, struct entry_sink *k, const struct entry *e, uint8_t *buf, uint64_t *bytes,
                    struct lcpfs_error *err)
{
	int rc = k->ops->begin(k, e, err);

	if (!rc && S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK))
		rc = copy_content(s, k, buf, bytes, err);
	if (!rc)
		rc = k->ops->end(k, err);
	return rc;
}

int entry_copy(struct entry_source *s, struct entry_sink *k, bool (*tick)(void *arg, uint64_t entries, uint64_t bytes),
               void *arg, struct lcpfs_error *err)
{
	uint8_t *buf = malloc(COPY_CHUNK);
	uint64_t entries = 0, bytes = 0;
	int rc = buf ? 0 : lcpfs_nomem(err);

	while (!rc) {
		struct entry e = { 0 };

		rc = s->ops->next(s, &e, err);
		if (!rc)
			rc = copy_one(s, k, &e, buf, &bytes, err);
		entry_fini(&e);
		entries++;
		if (!rc && tick && tick(arg, entries, bytes))
			rc = lcpfs_fail(err, LCPFS_ECANCEL, "interrupted");
	}
	free(buf);
	return rc == 1 ? k->ops->finish(k, err) : rc;
}
