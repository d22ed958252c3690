/* SPDX-License-Identifier: Apache-2.0 */
/* The source: a walk, by itself or on a thread ahead, and the contents and attributes of what it yielded last. */
#include "base/error.h"
#include "base/util.h"
#include "host/host_impl.h"
#include <stdlib.h>

struct source {
	struct entry_source base;
	struct entry_later later;
	struct warner w;
	uint32_t flags;
	struct walk *walk;   /* one of the two */
	struct ahead *ahead;
	struct attrs_reader reader;
	struct walk_item it; /* yielded last; its e is the caller's */
	struct entry *cur;
};

static int source_next(struct entry_source *base, struct entry *e, struct lcpfs_error *err)
{
	struct source *s = (struct source *)base;
	int rc;

	*e = (struct entry){ 0 };
	walk_item_fini(&s->it);
	s->cur = NULL;
	rc = s->ahead ? host_ahead_next(s->ahead, &s->it, &s->w, err) : host_walk_next(s->walk, &s->it, err);
	if (rc) {
		walk_item_fini(&s->it);
		return rc;
	}
	*e = s->it.e;
	s->it.e = (struct entry){ 0 };
	if (s->flags & HOST_XATTR_LATER && !(e->flags & ENTRY_HARDLINK)) {
		e->flags |= ENTRY_XATTR_LATER;
		e->later = &s->later;
	}
	s->cur = e;
	return 0;
}

static int source_xattr(struct entry_later *l, struct entry *out, struct lcpfs_error *err)
{
	struct source *s = (struct source *)((char *)l - offsetof(struct source, later));
	const struct walk_item *it = &s->it;
	char *own = out->path;
	int rc;

	out->path = s->cur->path; /* warnings name it */
	rc = host_attrs_xattr(&s->reader, host_dirref_fd(it->dir), it->name, it->follow, it->dev, out, &s->w, err);
	out->path = own;
	return rc;
}

static void tell_unread(struct source *s, const struct lcpfs_error *why)
{
	s->cur->flags |= ENTRY_DATA_UNREAD;
	warner_tell(&s->w, s->cur->path, why);
}

static int open_content(struct source *s, struct lcpfs_error *why)
{
	struct walk_item *it = &s->it;

	if (it->opened)
		return 0;
	it->opened = true;
	return host_content_open_expected(&it->content, host_dirref_fd(it->dir), it->name, it->follow, why);
}

static int source_read(struct entry_source *base, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct source *s = (struct source *)base;
	struct lcpfs_error why = { 0 };
	int rc;

	*off = 0;
	*got = 0;
	if (!s->cur || !S_ISREG(s->cur->mode))
		return lcpfs_fail(err, LCPFS_EINVAL, "no regular file to read from");
	rc = open_content(s, &why);
	if (!rc)
		rc = host_content_read(&s->it.content, buf, len, off, got, &why);
	if (rc)
		tell_unread(s, &why);
	return 0;
}

static void source_close(struct entry_source *base)
{
	struct source *s = (struct source *)base;

	if (!s)
		return;
	walk_item_fini(&s->it);
	host_ahead_close(s->ahead);
	host_walk_close(s->walk);
	host_attrs_reader_fini(&s->reader);
	free(s);
}

static const struct entry_source_ops source_ops = { source_next, source_read, source_close, NULL, NULL };

/* The walk's warnings, when it is not ahead. */
static void told_here(void *arg, const char *path, const struct lcpfs_error *why)
{
	warner_tell(&((struct source *)arg)->w, path, why);
}

static int start(struct source *s, const char *path, const struct host_source_opts *o, struct lcpfs_error *err)
{
	struct warner here = { .fn = told_here, .arg = s }, there = { .fn = host_ahead_told };
	struct walk *w;
	int rc;

	if (!(o->flags & HOST_AHEAD))
		return host_walk_open(&s->walk, path, o, here, err);
	rc = host_ahead_open(&s->ahead, err);
	there.arg = s->ahead;
	if (!rc)
		rc = host_walk_open(&w, path, o, there, err);
	return rc ? rc : host_ahead_start(s->ahead, w, err);
}

int host_source_open(struct entry_source **out, const char *path, const struct host_source_opts *o, struct lcpfs_error *err)
{
	static const struct host_source_opts none;
	struct source *s;
	int rc;

	*out = NULL;
	o = o ? o : &none;
	if (o->flags & ~(HOST_ONE_FS | HOST_BASENAME | HOST_AHEAD | HOST_XATTR_LATER))
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown flags for a host tree");
	s = calloc(1, sizeof *s);
	if (!s)
		return lcpfs_nomem(err);
	s->base.ops = &source_ops;
	s->later.xattr = source_xattr;
	s->flags = o->flags;
	s->w = (struct warner){ .fn = o->warn, .arg = o->warn_arg };
	walk_item_init(&s->it);
	rc = start(s, path, o, err);
	if (rc) {
		source_close(&s->base);
		return rc;
	}
	*out = &s->base;
	return 0;
}

uint64_t host_source_warnings(const struct entry_source *s)
{
	return ((const struct source *)s)->w.count;
}
