/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the archive. The first block is looked at before libarchive sees it, to know how its names are stored (names.c).
 *
 * What is not asked for: filters that libarchive would hand to an external program (lrzip, lzop, grzip), and mtree, whose
 * members name files of the host to be read.
 */
#include "archive/archive_impl.h"
#include "base/error.h"
#include "base/util.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)256 << 10)
#define PEEK ((size_t)64 << 10) /* an ISO 9660 image says so at 32 KiB */

static ssize_t read_some(struct arch_input *in, void *to, size_t len)
{
	ssize_t n;

	do
		n = read(in->fd, to, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		in->eno = errno;
	return n;
}

static bool has_unicode_names(const uint8_t *p, size_t len)
{
	static const struct {
		const char *magic;
		size_t len, at;
	} is[] = {
		{ "PK\3\4", 4, 0 }, { "PK\5\6", 4, 0 }, { "PK\7\10", 4, 0 }, { "PK00", 4, 0 }, { "7z\274\257\47\34", 6, 0 },
		{ "Rar!", 4, 0 }, { "MSCF", 4, 0 }, { "xar!", 4, 0 }, { "MZ", 2, 0 }, { "\177ELF", 4, 0 },
		{ "CD001", 5, 32769 },
	};

	for (size_t i = 0; i < ARRAY_LEN(is); i++)
		if (len >= is[i].at + is[i].len && memcmp(p + is[i].at, is[i].magic, is[i].len) == 0)
			return true;
	return false;
}

int arch_input_open(struct arch_input *in, int fd, struct lcpfs_error *err)
{
	struct stat st;

	*in = (struct arch_input){ .fd = fd, .pending = true };
	if (fstat(fd, &st))
		return lcpfs_fail_errno(err, errno, "cannot read");
	in->seekable = S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) >= 0;
	in->block = malloc(BLOCK);
	if (!in->block)
		return lcpfs_nomem(err);
	while (in->first < PEEK) {
		ssize_t n = read_some(in, in->block + in->first, BLOCK - in->first);

		if (n < 0)
			return lcpfs_fail_errno(err, in->eno, "cannot read");
		if (n == 0)
			break;
		in->first += (size_t)n;
	}
	in->unicode = has_unicode_names(in->block, in->first);
	return in->first ? 0 : lcpfs_fail(err, LCPFS_ETRUNC, "is empty, not an archive");
}

void arch_input_close(struct arch_input *in)
{
	free(in->block);
	in->block = NULL;
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **out)
{
	struct arch_input *in = arg;
	ssize_t n = (ssize_t)in->first;

	*out = in->block;
	if (in->pending)
		in->pending = false;
	else
		n = read_some(in, in->block, BLOCK);
	if (n < 0)
		archive_set_error(a, in->eno, "cannot read");
	return n;
}

static la_int64_t on_skip(struct archive *a, void *arg, la_int64_t bytes)
{
	struct arch_input *in = arg;
	off_t at, end;

	(void)a;
	if (!in->seekable || in->pending || bytes <= 0)
		return 0;
	at = lseek(in->fd, 0, SEEK_CUR);
	end = lseek(in->fd, 0, SEEK_END);
	if (at < 0 || end < at)
		return 0;
	bytes = MIN(bytes, (la_int64_t)(end - at)); /* not beyond the end: a truncated archive must be noticed */
	return lseek(in->fd, at + bytes, SEEK_SET) < 0 ? 0 : bytes;
}

static la_int64_t on_seek(struct archive *a, void *arg, la_int64_t off, int whence)
{
	struct arch_input *in = arg;
	off_t at;

	if (in->pending && whence == SEEK_CUR)
		off -= (la_int64_t)in->first;
	at = lseek(in->fd, off, whence);
	in->pending = false;
	if (at >= 0)
		return at;
	archive_set_error(a, errno, "cannot seek");
	return ARCHIVE_FATAL;
}

static void support(struct archive *a, bool probe)
{
	static int (*const filter[])(struct archive *) = {
		archive_read_support_filter_bzip2, archive_read_support_filter_compress, archive_read_support_filter_gzip,
		archive_read_support_filter_lz4, archive_read_support_filter_lzip, archive_read_support_filter_lzma,
		archive_read_support_filter_xz, archive_read_support_filter_zstd, archive_read_support_filter_uu,
		archive_read_support_filter_rpm,
	};
	static int (*const format[])(struct archive *) = {
		archive_read_support_format_tar, archive_read_support_format_cpio, archive_read_support_format_7zip,
		archive_read_support_format_ar, archive_read_support_format_cab, archive_read_support_format_iso9660,
		archive_read_support_format_lha, archive_read_support_format_rar, archive_read_support_format_rar5,
		archive_read_support_format_warc, archive_read_support_format_xar, archive_read_support_format_zip_streamable,
	};

	for (size_t i = 0; i < ARRAY_LEN(filter); i++)
		filter[i](a);
	for (size_t i = 0; i < ARRAY_LEN(format); i++)
		format[i](a);
	if (!probe)
		archive_read_support_format_zip_seekable(a);
}

struct archive *arch_input_reader(struct arch_input *in, bool probe, struct lcpfs_error *err)
{
	struct archive *a = archive_read_new();

	if (!a) {
		lcpfs_nomem(err);
		return NULL;
	}
	support(a, probe);
	archive_read_set_callback_data(a, in);
	archive_read_set_read_callback(a, on_read);
	if (in->seekable) {
		archive_read_set_skip_callback(a, on_skip);
		archive_read_set_seek_callback(a, on_seek);
	}
	if (archive_read_open1(a) == ARCHIVE_OK)
		return a;
	arch_input_fail(in, a, err);
	archive_read_free(a);
	return NULL;
}

/* libarchive has one errno for damage of every kind; its words tell a cut from a wrong byte. */
int arch_input_fail(const struct arch_input *in, struct archive *a, struct lcpfs_error *err)
{
	static const char *const cut[] = { "truncated", "unexpected end", "premature end", "end-of-file", "ends early" };
	static const char *const unsup[] = { "encrypt", "passphrase", "unsupported", "not supported" };
	const char *msg = archive_error_string(a);
	int code = LCPFS_ECORRUPT;

	if (in->eno)
		return lcpfs_fail_errno(err, in->eno, "cannot read");
	if (archive_errno(a) == ENOMEM)
		return lcpfs_fail(err, LCPFS_ENOMEM, "%.300s", msg ? msg : "out of memory");
	for (size_t i = 0; msg && i < ARRAY_LEN(unsup); i++)
		code = strcasestr(msg, unsup[i]) ? LCPFS_EUNSUP : code;
	for (size_t i = 0; msg && i < ARRAY_LEN(cut); i++)
		code = strcasestr(msg, cut[i]) ? LCPFS_ETRUNC : code;
	return lcpfs_fail(err, code, "%.300s", msg ? msg : "damaged or cut short");
}

bool arch_probe(int fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	struct archive_entry *ae;
	struct arch_input in;
	struct archive *a = NULL;
	locale_t old;
	bool yes = false;

	if (at < 0)
		return false;
	if (arch_input_open(&in, fd, NULL) == 0) {
		old = uselocale(arch_names_locale(in.unicode));
		a = arch_input_reader(&in, true, NULL);
		yes = a && archive_read_next_header(a, &ae) >= ARCHIVE_WARN;
		archive_read_free(a);
		uselocale(old);
	}
	arch_input_close(&in);
	lseek(fd, at, SEEK_SET);
	return yes;
}
