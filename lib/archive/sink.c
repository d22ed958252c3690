/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink. A pax header holds the map of a sparse file, so the map must be known before the content is written:
 *   DIRECT  the header is out, content goes straight through, gaps as zeros
 *   SPOOL   content is put aside until its end; chosen at first for every file, left for DIRECT once SPOOL_MEMORY
 *           bytes came without a gap and the entry does not speak of holes
 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include "base/util.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ZEROS ((size_t)64 << 20) /* libarchive looks at none of a hole's bytes: mapped, never touched */
#define CHUNK ((size_t)1 << 20)

enum state { SKIP, SPOOL, DIRECT };

struct sink {
	struct entry_sink base;
	struct archive *a;
	struct archive_entry *ae;
	char *name;
	struct warner w;
	bool is_pax, keeps_xattr, done;
	enum state state;
	const struct entry *cur;
	struct spool spool;
	uint64_t pos;   /* DIRECT: bytes written */
	uint8_t *chunk;
	const void *zeros;
};

static int fail_here(struct sink *k, struct lcpfs_error *err)
{
	const char *msg = archive_error_string(k->a);
	int eno = archive_errno(k->a), rc;

	if (eno == ENOSPC || eno == EPIPE || eno == EIO || eno == EFBIG || eno == EDQUOT)
		rc = lcpfs_fail_errno(err, eno, "cannot write");
	else
		rc = lcpfs_fail(err, LCPFS_EIO, "%.200s", msg ? msg : "cannot write");
	return k->cur ? lcpfs_within(err, rc, "%.150s: '" MEMBER_SHOWN "'", k->name, k->cur->path)
	              : lcpfs_within(err, rc, "%.150s", k->name);
}

static void tell(struct sink *k, const char *text)
{
	struct lcpfs_error why;

	lcpfs_fail(&why, LCPFS_EUNSUP, "%s", text);
	warner_tell(&k->w, k->cur->path, &why);
}

/* The header as it stands in ae. A member that the format cannot hold is told and left out. */
static int put_header(struct sink *k, enum state next, struct lcpfs_error *err)
{
	int r = archive_write_header(k->a, k->ae);
	const char *msg = archive_error_string(k->a);
	struct lcpfs_error why;

	k->state = r <= ARCHIVE_FAILED ? SKIP : next;
	k->pos = 0;
	if (r == ARCHIVE_OK || (r == ARCHIVE_WARN && arch_names_is_charset_warning(msg)))
		return 0;
	if (r == ARCHIVE_FATAL)
		return fail_here(k, err);
	lcpfs_fail(&why, LCPFS_EUNSUP, "%s%.300s", r == ARCHIVE_FAILED ? "left out: " : "", msg ? msg : "stored in part");
	warner_tell(&k->w, k->cur->path, &why);
	return 0;
}

static int put_data(struct sink *k, const void *p, uint64_t len, struct lcpfs_error *err)
{
	const uint8_t *b = p;

	while (len && k->state == DIRECT) {
		la_ssize_t n = archive_write_data(k->a, b, (size_t)MIN(len, (uint64_t)INT32_MAX));

		if (n <= 0)
			return fail_here(k, err);
		b += n;
		len -= (uint64_t)n;
		k->pos += (uint64_t)n;
	}
	return 0;
}

static int put_hole(struct sink *k, uint64_t to, struct lcpfs_error *err)
{
	int rc = 0;

	if (to > k->pos && !k->zeros) {
		void *z = mmap(NULL, ZEROS, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (z == MAP_FAILED)
			return lcpfs_nomem(err);
		k->zeros = z;
	}
	while (!rc && k->state == DIRECT && k->pos < to)
		rc = put_data(k, k->zeros, MIN(to - k->pos, (uint64_t)ZEROS), err);
	return rc;
}

static int put_spooled(struct sink *k, struct lcpfs_error *err)
{
	uint64_t at = 0;
	int rc = 0;

	for (size_t i = 0; !rc && i < k->spool.n; i++) {
		const struct spool_range *r = &k->spool.range[i];

		rc = put_hole(k, r->off, err);
		for (uint64_t done = 0; !rc && done < r->len;) {
			size_t n = (size_t)MIN(r->len - done, (uint64_t)CHUNK);

			rc = arch_spool_get(&k->spool, at, k->chunk, n, err);
			if (!rc)
				rc = put_data(k, k->chunk, n, err);
			done += n;
			at += n;
		}
	}
	return rc;
}

/* The whole file is put aside: its map, its header, its content. */
static int put_file(struct sink *k, struct lcpfs_error *err)
{
	uint64_t end = arch_spool_end(&k->spool), size = k->cur->size;
	int rc;

	if (k->is_pax && (!arch_spool_is_dense(&k->spool) || size - end >= 4096)) {
		for (size_t i = 0; i < k->spool.n; i++)
			archive_entry_sparse_add_entry(k->ae, (int64_t)k->spool.range[i].off, (int64_t)k->spool.range[i].len);
		if (!k->spool.n)
			archive_entry_sparse_add_entry(k->ae, 0, 0);
	}
	rc = put_header(k, DIRECT, err);
	if (!rc)
		rc = put_spooled(k, err);
	return rc ? rc : put_hole(k, size, err);
}

static int go_direct(struct sink *k, struct lcpfs_error *err)
{
	int rc = put_header(k, DIRECT, err);

	if (!rc)
		rc = put_spooled(k, err);
	arch_spool_reset(&k->spool);
	return rc;
}

static int sink_begin(struct entry_sink *base, const struct entry *e, struct lcpfs_error *err)
{
	struct sink *k = (struct sink *)base;
	bool content = S_ISREG(e->mode) && !(e->flags & ENTRY_HARDLINK) && e->size;
	locale_t old;
	int rc;

	k->cur = e;
	k->state = SKIP;
	arch_spool_reset(&k->spool);
	if (S_ISSOCK(e->mode)) {
		tell(k, "a socket has no place in an archive; left out");
		return 0;
	}
	if (e->size > INT64_MAX)
		return lcpfs_fail(err, LCPFS_ELIMIT, "%.150s: '" MEMBER_SHOWN "': size is too large", k->name, e->path);
	old = uselocale(arch_names_locale(true));
	rc = arch_member_write(k->ae, e, k->keeps_xattr, &k->w, err);
	if (rc)
		lcpfs_within(err, rc, "%.150s: '" MEMBER_SHOWN "'", k->name, e->path);
	else if (content)
		k->state = SPOOL;
	else
		rc = put_header(k, SKIP, err);
	uselocale(old);
	return rc;
}

static int write_piece(struct sink *k, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	int rc = 0;

	if (k->state == SPOOL && off == 0 && len == k->cur->size)
		rc = put_header(k, DIRECT, err); /* all at once: no need to put it aside */
	else if (k->state == SPOOL && !(k->cur->flags & ENTRY_HOLES) && arch_spool_is_dense(&k->spool) &&
	    off == arch_spool_end(&k->spool) &&
	         k->spool.bytes + len > SPOOL_MEMORY)
		rc = go_direct(k, err);
	if (rc || k->state == SKIP)
		return rc;
	if (k->state == SPOOL)
		return arch_spool_add(&k->spool, off, buf, len, err);
	if (off < k->pos)
		return lcpfs_fail(err, LCPFS_EINVAL, "content out of order");
	rc = put_hole(k, off, err);
	return rc ? rc : put_data(k, buf, len, err);
}

static int sink_write(struct entry_sink *base, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct sink *k = (struct sink *)base;
	uint64_t end;
	locale_t old;
	int rc;

	if (k->state == SKIP)
		return 0;
	if (add_overflow(off, len, &end) || end > k->cur->size)
		return lcpfs_fail(err, LCPFS_EINVAL, "%.150s: '" MEMBER_SHOWN "': content beyond its size of %" PRIu64, k->name,
		    k->cur->path, k->cur->size);
	old = uselocale(arch_names_locale(true));
	rc = write_piece(k, off, buf, len, err);
	uselocale(old);
	return rc;
}

static int sink_end(struct entry_sink *base, struct lcpfs_error *err)
{
	struct sink *k = (struct sink *)base;
	locale_t old = uselocale(arch_names_locale(true));
	int rc = 0;

	if (k->state == SPOOL)
		rc = put_file(k, err);
	else if (k->state == DIRECT)
		rc = put_hole(k, k->cur->size, err);
	if (!rc && k->state == DIRECT && archive_write_finish_entry(k->a) < ARCHIVE_WARN)
		rc = fail_here(k, err);
	uselocale(old);
	k->state = SKIP;
	k->cur = NULL;
	return rc;
}

static int sink_finish(struct entry_sink *base, struct lcpfs_error *err)
{
	struct sink *k = (struct sink *)base;

	k->cur = NULL;
	if (archive_write_close(k->a) != ARCHIVE_OK)
		return fail_here(k, err);
	k->done = true;
	return 0;
}

static void sink_close(struct entry_sink *base)
{
	struct sink *k = (struct sink *)base;

	if (!k)
		return;
	if (k->a && !k->done)
		archive_write_fail(k->a); /* no trailer: what is there must not look whole */
	archive_write_free(k->a);
	archive_entry_free(k->ae);
	arch_spool_fini(&k->spool);
	if (k->zeros)
		munmap((void *)(uintptr_t)k->zeros, ZEROS);
	free(k->chunk);
	free(k->name);
	free(k);
}

static const struct entry_sink_ops sink_ops = { sink_begin, sink_write, sink_end, sink_finish, sink_close, NULL, NULL };

static int add_filter(struct sink *k, const char *filter, struct lcpfs_error *err)
{
	if (!filter)
		return 0;
	if (archive_write_add_filter_by_name(k->a, filter) != ARCHIVE_OK) /* a warning means an external program */
		return lcpfs_fail(err, LCPFS_EUNSUP, "no archive filter '%.40s'", filter);
	if (strcmp(filter, "gzip") == 0)
		archive_write_set_filter_option(k->a, "gzip", "timestamp", NULL);
	return 0;
}

static int set_up(struct sink *k, int fd, const struct arch_sink_opts *o, struct lcpfs_error *err)
{
	const char *format = o->format ? o->format : "pax";
	int rc;

	k->is_pax = strcmp(format, "pax") == 0 || strcmp(format, "posix") == 0;
	k->keeps_xattr = k->is_pax;
	if (archive_write_set_format_by_name(k->a, format) != ARCHIVE_OK)
		return lcpfs_fail(err, LCPFS_EUNSUP, "no archive format '%.40s'", format);
	rc = add_filter(k, o->filter, err);
	if (rc)
		return rc;
	if (k->is_pax) /* the spelling that GNU tar and star know, and not a second time in libarchive's own */
		archive_write_set_format_option(k->a, "pax", "xattrheader", "SCHILY");
	archive_write_set_bytes_per_block(k->a, 65536);
	archive_write_set_bytes_in_last_block(k->a, 1);
	return archive_write_open_fd(k->a, fd) == ARCHIVE_OK ? 0 : fail_here(k, err);
}

int arch_sink_open(struct entry_sink **out, int fd, const char *name, const struct arch_sink_opts *o,
                   struct lcpfs_error *err)
{
	static const struct arch_sink_opts none;
	struct sink *k = calloc(1, sizeof *k);
	locale_t old;
	int rc;

	*out = NULL;
	if (!k)
		return lcpfs_nomem(err);
	o = o ? o : &none;
	k->base.ops = &sink_ops;
	k->w = (struct warner){ .fn = o->warn, .arg = o->warn_arg };
	arch_spool_init(&k->spool);
	k->name = strdup(name);
	k->chunk = malloc(CHUNK);
	k->a = archive_write_new();
	k->ae = archive_entry_new();
	old = uselocale(arch_names_locale(true));
	rc = k->name && k->chunk && k->a && k->ae ? set_up(k, fd, o, err) : lcpfs_nomem(err);
	uselocale(old);
	if (rc) {
		sink_close(&k->base);
		return rc;
	}
	*out = &k->base;
	return 0;
}

uint64_t arch_sink_warnings(const struct entry_sink *k)
{
	return ((const struct sink *)k)->w.count;
}
