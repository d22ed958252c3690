/* SPDX-License-Identifier: Apache-2.0 */
/* The new pool's datasets, one after the other as one source of entries; and what is to be told of each file on its way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "archive/archive.h"
#include "host/host.h"
#include "import/run.h"
#include "salvage/salvage_impl.h"

struct out_source {
	struct entry_source src;
	struct sal *s;
	size_t next;               /* head */
	struct head *h;            /* whose source is open */
	struct dataset **ds;
	struct entry_source **of;  /* by head: contents are good until they are closed */
	struct inoset left_out;
	struct run *run;
};

void sal_lost(struct sal *s, const struct lcpfs_loss *l)
{
	s->st.losses++;
	if (!strcmp(l->what, "data"))
		s->st.lost_bytes += l->length;
	if (s->o.lost)
		s->o.lost(s->o.arg, l);
}

static void tell(struct sal *s, const struct head *h, const char *what, const char *path, uint64_t ino, const char *text)
{
	const struct lcpfs_loss l = { .what = what, .dataset = h->name, .path = path, .ino = ino, .text = text };

	sal_lost(s, &l);
}

static const char *base_of(const struct sal *s, const struct head *h) { return s->o.dataset ? "" : h->name; }

/* Names that lead nowhere, and parts of which nothing is known. */
static int tell_head(struct sal *s, struct head *h, struct dataset *ds, struct lcpfs_error *err)
{
	struct buf path = { 0 };

	for (size_t i = 0; i < h->n_gone; i++) {
		buf_reset(&path);
		if (zpl_path_of(ds, h->gone[i].dir, &path, NULL)) {
			buf_reset(&path);
			buf_printf(&path, "#%" PRIu64, h->gone[i].dir);
		}
		buf_printf(&path, "%s%s", path.len ? "/" : "", h->gone[i].name);
		if (path.failed)
			break;
		tell(s, h, "file", (const char *)path.data, 0, "lost: only the name is known");
	}
	if (h->holes.len)
		tell(s, h, "tree", NULL, 0, (const char *)h->holes.data);
	if (path.failed) {
		buf_fini(&path);
		return lcpfs_nomem(err);
	}
	buf_fini(&path);
	return 0;
}

static int open_head(struct out_source *o, struct lcpfs_error *err)
{
	struct sal *s = o->s;
	size_t i = o->next++;
	struct ds_source_opts so = { .base = base_of(s, &s->head[i]), .warn = run_told_source, .warn_arg = o->run };
	int rc;

	o->h = &s->head[i];
	inoset_fini(&o->left_out);
	o->left_out = (struct inoset){ 0 };
	if (o->h->empty) {
		tell(s, o->h, "dataset", NULL, 0, "nothing of it was found");
		return 0;
	}
	if (o->h->nameless)
		tell(s, o->h, "name", NULL, 0, "the record of this dataset is lost, with its name; clones of it that were not written to cannot be told");
	rc = dmu_open(s->spa, o->h->inner, &o->ds[i], err);
	if (!rc)
		rc = tell_head(s, o->h, o->ds[i], err);
	if (!rc)
		rc = ds_source_open(&o->of[i], o->ds[i], INO_ROOT, &so, err);
	s->st.datasets += !rc;
	return rc;
}

static struct entry_source *current(struct out_source *o) { return o->next ? o->of[o->next - 1] : NULL; }

static void tell_ranges(struct sal *s, const struct head *h, const char *path, uint64_t ino, const struct loss *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t len = l[i].len;
		char text[96];

		if (l[i].kind == LOSS_XATTR) {
			snprintf(text, sizeof text, "%" PRIu64 " extended attribute%s lost", len, len == 1 ? " is" : "s are");
			tell(s, h, "xattr", path, ino, text);
			continue;
		}
		if (l[i].kind == LOSS_UNVERIFIED) {
			tell(s, h, "unverified", path, ino, "the content comes from a damaged block and may be wrong");
			continue;
		}
		/* neighbours are one */
		while (i + 1 < n && l[i + 1].kind == LOSS_LOST && l[i + 1].off == l[i].off + l[i].len)
			len += l[++i].len;
		snprintf(text, sizeof text, "%" PRIu64 " bytes at %" PRIu64 " are lost and read as zeros", len, l[i].off + l[i].len - len);
		const struct lcpfs_loss loss = { .what = "data", .dataset = h->name, .path = path, .ino = ino,
			.offset = l[i].off + l[i].len - len, .length = len, .text = text };
		sal_lost(s, &loss);
	}
}

/* What is to be told of this file. 1: it is left out. */
static int tell_entry(struct out_source *o, const struct entry *e, struct lcpfs_error *err)
{
	struct head *h = o->h;
	const char *path = e->path + strlen(base_of(o->s, h));
	bool whole = o->s->o.flags & LCPFS_SALVAGE_WHOLE, lost = false;
	const struct loss *l;
	size_t n;

	path += *path == '/' && path != e->path;
	if (e->flags & ENTRY_HARDLINK)
		return inoset_has(&o->left_out, e->ino);
	l = loss_of(h->iloss, h->n_iloss, e->ino, &n);
	for (size_t i = 0; i < n; i++)
		lost |= l[i].kind == LOSS_LOST;
	if (lost && whole) {
		tell(o->s, h, "incomplete", path, e->ino, "left out: not all of its content was found");
		return inoset_add(&o->left_out, e->ino, NULL, err) ? -LCPFS_ENOMEM : 1;
	}
	if (S_ISREG(e->mode))
		o->s->st.bytes += e->size; /* what counts when nothing is written */
	tell_ranges(o->s, h, path, e->ino, l, n);
	if (inoset_has(&h->guessed, e->ino) && !(e->ino == INO_LOST_FOUND && inoset_has(&h->guessed, INO_LOST_FOUND)))
		tell(o->s, h, "attributes", path, e->ino, "mode, owner, times and attributes are lost");
	if (inoset_has(&h->unnamed, e->ino))
		tell(o->s, h, "name", path, e->ino, "its name is lost");
	if (inoset_has(&h->old, e->ino))
		tell(o->s, h, "old", path, e->ino, "what is newest of it is lost: this may be an older version");
	return 0;
}

static int out_next(struct entry_source *src, struct entry *e, struct lcpfs_error *err)
{
	struct out_source *o = (struct out_source *)src;

	for (;;) {
		struct entry_source *cur = current(o);
		int rc = cur ? cur->ops->next(cur, e, err) : 1;

		if (!rc)
			rc = tell_entry(o, e, err);
		else if (rc == 1 && o->next == o->s->n_head)
			return 1;
		else if (rc == 1 && (rc = open_head(o, err)) == 0)
			continue;
		if (rc != 1)
			return rc;
		entry_fini(e);
	}
}

static int out_read(struct entry_source *src, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct entry_source *cur = current((struct out_source *)src);

	return cur->ops->read(cur, buf, len, off, got, err);
}

static int out_detach(struct entry_source *src, struct entry_content **out, struct lcpfs_error *err)
{
	struct entry_source *cur = current((struct out_source *)src);

	return cur->ops->detach(cur, out, err);
}

static void out_close(struct entry_source *src)
{
	struct out_source *o = (struct out_source *)src;

	for (size_t i = 0; i < o->next; i++) {
		if (o->of[i])
			o->of[i]->ops->close(o->of[i]);
		dmu_close(o->ds[i]);
	}
	inoset_fini(&o->left_out);
	free(o->of);
	free(o->ds);
	free(o);
}

static const struct entry_source_ops out_ops = { out_next, out_read, out_close, out_detach, NULL };

static int out_open(struct entry_source **out, struct sal *s, struct run *run, struct lcpfs_error *err)
{
	struct out_source *o = calloc(1, sizeof *o);

	if (o) {
		o->of = calloc(s->n_head, sizeof *o->of);
		o->ds = calloc(s->n_head, sizeof *o->ds);
	}
	if (!o || !o->of || !o->ds) {
		if (o) {
			free(o->of);
			free(o->ds);
		}
		free(o);
		return lcpfs_nomem(err);
	}
	o->src.ops = &out_ops;
	o->s = s;
	o->run = run;
	*out = &o->src;
	return 0;
}

/* ---- where they go ---- */

static int none_begin(struct entry_sink *k, const struct entry *e, struct lcpfs_error *err)
{
	(void)k, (void)e, (void)err;
	return 1;
}

static int none_end(struct entry_sink *k, struct lcpfs_error *err)
{
	(void)k, (void)err;
	return 0;
}

static void none_close(struct entry_sink *k)
{
	(void)k;
}

static int open_sink(struct sal *s, struct run *r, const char *target, int fd, struct entry_sink **sink, struct lcpfs_error *err)
{
	static const struct entry_sink_ops none_ops = { .begin = none_begin, .end = none_end, .finish = none_end, .close = none_close };
	static struct entry_sink none = { &none_ops };
	struct host_sink_opts ho = { .threads = r->threads, .warn = run_told, .warn_arg = r };
	struct arch_sink_opts ao = { .warn = run_told, .warn_arg = r };
	int rc;

	if (s->o.flags & LCPFS_SALVAGE_NO_OWNER)
		ho.flags |= HOST_SINK_NO_OWNER;
	if (s->o.flags & LCPFS_SALVAGE_OVERWRITE)
		ho.flags |= HOST_SINK_OVERWRITE;
	*sink = &none;
	if (!target && fd < 0)
		r->threads = 0; /* contents are not read */
	if (!target && fd >= 0)
		return arch_sink_open(sink, fd, "archive", &ao, err);
	rc = target ? host_sink_open(sink, target, &ho, err) : 0;
	if (!rc && target)
		r->host_sink = *sink;
	return rc;
}

int output_run(struct sal *s, const char *target, int fd, struct lcpfs_error *err)
{
	const struct lcpfs_tree_opts to = { .warn = s->o.warn, .progress = s->o.progress, .arg = s->o.arg };
	struct entry_source *src = NULL;
	struct entry_sink *sink;
	struct run r;
	int rc = run_begin(&r, &to, "extracting", err);

	r.threads = (unsigned)MAX(MIN(s->spa->threads, s->spa->memory / (8 * MiB)), 1);
	r.window_bytes = s->spa->memory / 8;
	if (!rc)
		rc = open_sink(s, &r, target, fd, &sink, err);
	if (rc)
		return rc;
	rc = out_open(&src, s, &r, err);
	if (!rc)
		rc = run_copy(&r, src, false, sink, err);
	sink->ops->close(sink);
	s->st.entries = r.st.entries;
	s->st.files = r.st.files;
	if (target || fd >= 0)
		s->st.bytes = r.st.bytes;
	s->st.warnings = r.st.warnings;
	return rc;
}
