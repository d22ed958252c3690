/* SPDX-License-Identifier: Apache-2.0 */
/* The source: members of an archive in its order. */
#include "archive/archive_impl.h"
#include "base/error.h"
#include "base/util.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FAILURES_MAX 1000  /* members in a row that cannot be read before the archive is given up */
#define EMPTY_MAX 1000000u /* pieces in a row without a byte */

struct source {
	struct entry_source base;
	struct arch_input in;
	struct archive *a;
	char *name;
	struct warner w;
	struct member_ctx ctx;
	struct held held;
	struct spool spool; /* content of a member whose size is known only at its end */
	bool at_end;
	int broken;         /* the error that ended the reading */
	struct lcpfs_error why;
	/* the member just yielded */
	char *path;
	bool readable, spooled, data_end;
	uint64_t size, end; /* end: of what was read so far */
	const uint8_t *piece;
	size_t piece_len;
	uint64_t piece_off, spool_pos;
	size_t range;
};

static int fail_member(struct source *s, int rc, struct lcpfs_error *err)
{
	return s->path ? lcpfs_within(err, rc, "%.150s: member '" MEMBER_SHOWN "'", s->name, s->path)
	               : lcpfs_within(err, rc, "%.150s", s->name);
}

/* From here on every call fails the same way. */
static int give_up(struct source *s, int rc, struct lcpfs_error *err)
{
	s->broken = rc;
	if (err)
		s->why = *err;
	return rc;
}

static void tell(struct source *s, const char *path, int code, const char *text)
{
	struct lcpfs_error why;

	lcpfs_fail(&why, code, "%s", text);
	warner_tell(&s->w, path ? path : s->name, &why);
}

static bool is_tar(const struct source *s)
{
	return (archive_format(s->a) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

/* tar ends in blocks of zeros; where the input ended before them, something may be missing. */
static void check_tail(struct source *s)
{
	if (is_tar(s) && archive_filter_bytes(s->a, 0) <= archive_read_header_position(s->a))
		tell(s, NULL, LCPFS_ETRUNC, "has no end-of-archive mark; it may have been cut short");
}

/* The next block that libarchive has. 1: no more. */
static int next_piece(struct source *s, struct lcpfs_error *err)
{
	for (unsigned empty = 0; empty < EMPTY_MAX; empty++) {
		const void *p = NULL;
		size_t len = 0;
		la_int64_t off = 0;
		int r = archive_read_data_block(s->a, &p, &len, &off);

		if (r == ARCHIVE_RETRY)
			continue;
		if (r == ARCHIVE_EOF) {
			s->end = MAX(s->end, off > 0 ? (uint64_t)off : 0);
			return 1;
		}
		if (r != ARCHIVE_OK)
			return arch_input_fail(&s->in, s->a, err);
		if (!len)
			continue;
		if (off < 0 || (uint64_t)off < s->end || len > (size_t)INT64_MAX || off > INT64_MAX - (la_int64_t)len)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "content out of order at byte %lld", (long long)off);
		s->piece = p;
		s->piece_len = len;
		s->piece_off = (uint64_t)off;
		s->end = (uint64_t)off + len;
		return 0;
	}
	return lcpfs_fail(err, LCPFS_ECORRUPT, "content without end or bytes");
}

static int spool_all(struct source *s, struct entry *e, struct lcpfs_error *err)
{
	int rc;

	arch_spool_reset(&s->spool);
	while ((rc = next_piece(s, err)) == 0) {
		rc = arch_spool_add(&s->spool, s->piece_off, s->piece, s->piece_len, err);
		if (rc)
			return rc;
	}
	s->piece_len = 0;
	e->size = s->end;
	return rc < 0 ? rc : 0;
}

/* cpio: see held.c. 1: waits, ask for the next member. */
static int hold_back(struct source *s, struct archive_entry *ae, struct entry *e, struct lcpfs_error *err)
{
	bool link = e->flags & ENTRY_HARDLINK, has_data = archive_entry_size_is_set(ae) && archive_entry_size(ae) > 0;
	int rc;

	if ((archive_format(s->a) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_CPIO || !S_ISREG(e->mode))
		return 0;
	if (link ? !arch_held_has(&s->held, e->link) : e->nlink < 2 || has_data)
		return 0;
	if (link && has_data) {
		e->size = (uint64_t)archive_entry_size(ae);
		return arch_held_content(&s->held, e, err);
	}
	rc = arch_held_add(&s->held, e, err);
	return rc ? rc : 1;
}

/* What has to be known before the member can be yielded. 1: not yielded (now). */
static int prepare(struct source *s, struct archive_entry *ae, struct entry *e, struct lcpfs_error *err)
{
	bool regular = S_ISREG(e->mode) && archive_entry_filetype(ae) != AE_IFDIR;
	int rc = hold_back(s, ae, e, err);

	if (rc)
		return rc;
	regular = regular && !(e->flags & ENTRY_HARDLINK);
	if (e->flags & ENTRY_HARDLINK && archive_entry_size_is_set(ae) && archive_entry_size(ae) > 0 && !is_tar(s))
		tell(s, e->path, LCPFS_EUNSUP, "content stored with a hard link is left out");
	free(s->path);
	s->path = strdup(e->path);
	if (!s->path)
		return lcpfs_nomem(err);
	s->readable = regular;
	s->spooled = regular && !archive_entry_size_is_set(ae);
	if (s->spooled)
		rc = spool_all(s, e, err);
	s->size = e->size;
	if (regular && archive_entry_sparse_count(ae) > 0)
		e->flags |= ENTRY_HOLES;
	return rc;
}

static void forget_member(struct source *s)
{
	free(s->path);
	s->path = NULL;
	s->readable = s->spooled = s->data_end = false;
	s->size = s->end = s->piece_off = s->spool_pos = 0;
	s->piece = NULL;
	s->piece_len = s->range = 0;
}

/* A member that libarchive could parse in part or not at all. 1: go on with the next. */
static int judge_header(struct source *s, int r, unsigned *failures, struct archive_entry *ae, struct lcpfs_error *err)
{
	const char *msg = archive_error_string(s->a);
	struct lcpfs_error why;

	if (r == ARCHIVE_OK || (r == ARCHIVE_WARN && arch_names_is_charset_warning(msg)))
		return 0;
	if (r == ARCHIVE_FATAL || ++*failures > FAILURES_MAX)
		return arch_input_fail(&s->in, s->a, err);
	if (r == ARCHIVE_RETRY)
		return 1;
	arch_input_fail(&s->in, s->a, &why);
	if (r == ARCHIVE_WARN) {
		const char *path = archive_entry_pathname(ae);

		warner_tell(&s->w, path ? path : s->name, &why);
		return 0;
	}
	lcpfs_within(&why, 0, "a member is left out");
	warner_tell(&s->w, s->name, &why);
	return 1;
}

static int next_member(struct source *s, struct entry *e, struct lcpfs_error *err)
{
	unsigned failures = 0;

	for (;;) {
		struct archive_entry *ae = NULL;
		int r, rc;

		forget_member(s);
		if (s->held.n - s->held.from > HELD_MAX && arch_held_take(&s->held, e))
			return 0;
		r = archive_read_next_header(s->a, &ae);
		if (r == ARCHIVE_EOF) {
			check_tail(s);
			return 1;
		}
		rc = judge_header(s, r, &failures, ae, err);
		if (rc == 1)
			continue;
		s->ctx.tar = is_tar(s);
		if (!rc)
			rc = arch_member_read(&s->ctx, ae, e, err);
		if (!rc)
			rc = prepare(s, ae, e, err);
		if (rc <= 0)
			return rc;
		entry_fini(e);
	}
}

static int source_next(struct entry_source *base, struct entry *e, struct lcpfs_error *err)
{
	struct source *s = (struct source *)base;
	locale_t old;
	int rc = 0;

	*e = (struct entry){ 0 };
	if (s->broken) {
		if (err)
			*err = s->why;
		return s->broken;
	}
	old = uselocale(arch_names_locale(s->in.unicode));
	if (!s->at_end)
		rc = next_member(s, e, err);
	if (rc == 1)
		s->at_end = true;
	if (s->at_end)
		rc = arch_held_take(&s->held, e) ? 0 : 1;
	uselocale(old);
	if (rc < 0) {
		entry_fini(e);
		return give_up(s, fail_member(s, rc, err), err);
	}
	return rc;
}

static int read_spooled(struct source *s, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	const struct spool_range *r;
	uint64_t n;
	int rc;

	if (s->range >= s->spool.n)
		return 0;
	r = &s->spool.range[s->range];
	n = MIN((uint64_t)len, r->off + r->len - MAX(s->piece_off, r->off));
	*off = MAX(s->piece_off, r->off);
	rc = arch_spool_get(&s->spool, s->spool_pos, buf, (size_t)n, err);
	if (rc)
		return rc;
	*got = (size_t)n;
	s->spool_pos += n;
	s->piece_off = *off + n;
	if (s->piece_off == r->off + r->len)
		s->range++;
	return 0;
}

static int read_pieces(struct source *s, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	int rc;

	if (!s->piece_len && !s->data_end) {
		rc = next_piece(s, err);
		if (rc < 0)
			return rc;
		s->data_end = rc == 1;
		if (s->end > s->size)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "content goes beyond its size of %" PRIu64 " bytes", s->size);
		/* tar may end in a hole, and tells a cut itself */
		if (s->data_end && s->end < s->size && !is_tar(s))
			return lcpfs_fail(err, LCPFS_ETRUNC, "content ends at byte %" PRIu64 " of %" PRIu64, s->end, s->size);
	}
	if (s->data_end)
		return 0;
	*got = MIN(len, s->piece_len);
	*off = s->piece_off;
	memcpy(buf, s->piece, *got);
	s->piece += *got;
	s->piece_len -= *got;
	s->piece_off += *got;
	return 0;
}

static int source_read(struct entry_source *base, void *buf, size_t len, uint64_t *off, size_t *got,
                       struct lcpfs_error *err)
{
	struct source *s = (struct source *)base;
	locale_t old;
	int rc;

	*off = 0;
	*got = 0;
	if (s->broken) {
		if (err)
			*err = s->why;
		return s->broken;
	}
	if (!s->readable) /* also the names that cpio's content was waited for */
		return 0;
	old = uselocale(arch_names_locale(s->in.unicode));
	rc = s->spooled ? read_spooled(s, buf, len, off, got, err) : read_pieces(s, buf, len, off, got, err);
	uselocale(old);
	return rc ? give_up(s, fail_member(s, rc, err), err) : 0;
}

static void source_close(struct entry_source *base)
{
	struct source *s = (struct source *)base;

	if (!s)
		return;
	archive_read_free(s->a);
	arch_input_close(&s->in);
	arch_held_fini(&s->held);
	arch_spool_fini(&s->spool);
	free(s->path);
	free(s->name);
	free(s);
}

static const struct entry_source_ops source_ops = { source_next, source_read, source_close, NULL, NULL };

static int open_reader(struct source *s, int fd, struct lcpfs_error *err)
{
	locale_t old;
	int rc = arch_input_open(&s->in, fd, err);

	if (rc)
		return rc;
	old = uselocale(arch_names_locale(s->in.unicode));
	s->a = arch_input_reader(&s->in, false, err);
	uselocale(old);
	return s->a ? 0 : err ? -err->code : -LCPFS_ECORRUPT;
}

int arch_source_open(struct entry_source **out, int fd, const char *name, const struct arch_source_opts *o,
                     struct lcpfs_error *err)
{
	static const struct arch_source_opts none;
	struct source *s = calloc(1, sizeof *s);
	struct lcpfs_error local;
	int rc;

	*out = NULL;
	o = o ? o : &none;
	err = err ? err : &local;
	if (!s)
		return lcpfs_nomem(err);
	s->base.ops = &source_ops;
	arch_spool_init(&s->spool);
	s->name = strdup(name);
	s->w = (struct warner){ .fn = o->warn, .arg = o->warn_arg };
	s->ctx = (struct member_ctx){ .exclude = o->exclude, .w = &s->w };
	rc = s->name ? open_reader(s, fd, err) : lcpfs_nomem(err);
	if (rc) {
		lcpfs_within(err, rc, "%.150s", name);
		source_close(&s->base);
		return rc;
	}
	*out = &s->base;
	return 0;
}

uint64_t arch_source_warnings(const struct entry_source *s)
{
	return ((const struct source *)s)->w.count;
}
