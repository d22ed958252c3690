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

static void *at_least(uint8_t **p, size_t *cap, size_t len)
{
	if (len > *cap) {
		free(*p);
		*p = malloc(len);
		*cap = *p ? len : 0;
	}
	return *p;
}

void *entry_scratch_reserve(struct entry_scratch *s, size_t len)
{
	s->key[0] = s->key[1] = 0;
	return at_least(&s->data, &s->cap, len);
}

void *entry_scratch_part(struct entry_scratch *s, size_t len)
{
	return at_least(&s->part, &s->part_cap, len);
}

void entry_scratch_release(struct entry_scratch *s)
{
	if (s->held)
		s->release(s->held);
	s->held = NULL;
}

void entry_scratch_fini(struct entry_scratch *s)
{
	entry_scratch_release(s);
	free(s->data);
	free(s->part);
	*s = (struct entry_scratch){ 0 };
}

#define COPY_CHUNK ((size_t)1 << 20)

struct copy {
	struct entry_source *s;
	struct entry_sink *k;
	bool (*tick)(void *arg, uint64_t entries, uint64_t bytes);
	void *arg;
	uint64_t entries, bytes;
	uint8_t *buf;
};

static int tick(struct copy *c, struct lcpfs_error *err)
{
	if (c->tick && c->tick(c->arg, c->entries, c->bytes))
		return lcpfs_fail(err, LCPFS_ECANCEL, "interrupted");
	return 0;
}

static int put_whole(struct copy *c, const uint8_t *buf, size_t len, struct lcpfs_error *err)
{
	int rc = c->k->ops->whole(c->k, buf, len, err);

	c->bytes += len;
	return rc ? rc : tick(c, err);
}

static int put(struct copy *c, uint64_t off, const uint8_t *buf, size_t len, struct lcpfs_error *err)
{
	int rc = len ? c->k->ops->write(c->k, off, buf, len, err) : 0;

	c->bytes += len;
	return rc || !len ? rc : tick(c, err);
}

/* Where pieces lie already they go on from there. */
static int copy_views(struct copy *c, struct lcpfs_error *err)
{
	for (;;) {
		const void *data;
		uint64_t off = 0;
		size_t got = 0;
		int rc = c->s->ops->view(c->s, &data, &off, &got, err);

		if (!rc)
			rc = put(c, off, data, got, err);
		if (rc || !got)
			return rc;
	}
}

/* Pieces that follow each other go on together: how a content is cut up should depend on what it is, not on where it came from. */
static int copy_content(struct copy *c, struct lcpfs_error *err)
{
	uint64_t from = 0;
	size_t have = 0;
	bool whole = c->k->ops->whole;

	for (;;) {
		uint64_t off = 0;
		size_t got = 0;
		int rc = c->s->ops->read(c->s, c->buf + have, COPY_CHUNK - have, &off, &got, err);

		if (!rc && have && !got && whole && !from)
			return put_whole(c, c->buf, have, err);
		if (!rc && have && (!got || off != from + have)) {
			rc = put(c, from, c->buf, have, err);
			if (!rc && got)
				rc = put(c, off, c->buf + have, got, err);
			have = 0;
			whole = false;
		} else if (!rc && got) {
			from = have ? from : off;
			have += got;
		}
		if (!rc && have == COPY_CHUNK) {
			rc = put(c, from, c->buf, have, err);
			have = 0;
			whole = false;
		}
		if (rc || !got)
			return rc;
	}
}

static int copy_one(struct copy *c, const struct entry *e, struct lcpfs_error *err)
{
	int rc = c->k->ops->begin(c->k, e, err);

	if (!rc && S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK))
		rc = c->s->ops->view ? copy_views(c, err) : copy_content(c, err);
	return rc < 0 ? rc : c->k->ops->end(c->k, err);
}

static int give_one(struct copy *c, struct entry *e, struct lcpfs_error *err)
{
	struct entry_content *content = NULL;
	int rc = 0;

	if (S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK))
		rc = c->s->ops->detach(c->s, &content, err);
	c->bytes += content ? content->bytes : 0;
	return rc ? rc : c->k->ops->take(c->k, e, content, err);
}

int entry_copy(struct entry_source *s, struct entry_sink *k, bool (*tick_fn)(void *arg, uint64_t entries, uint64_t bytes),
               void *arg, struct lcpfs_error *err)
{
	struct copy c = { .s = s, .k = k, .tick = tick_fn, .arg = arg, .buf = malloc(COPY_CHUNK) };
	bool give = s->ops->detach && k->ops->take;
	int rc = c.buf ? 0 : lcpfs_nomem(err);

	while (!rc) {
		struct entry e = { 0 };

		rc = s->ops->next(s, &e, err);
		if (!rc)
			rc = give ? give_one(&c, &e, err) : copy_one(&c, &e, err);
		entry_fini(&e);
		c.entries++;
		if (!rc)
			rc = tick(&c, err);
	}
	free(c.buf);
	return rc == 1 ? k->ops->finish(k, err) : rc;
}
