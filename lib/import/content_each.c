/* SPDX-License-Identifier: Apache-2.0 */
/* A file's whole content, in order: of a short file, or where it may change, by plain reads; else read ahead. */
#include <stdlib.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/util.h"
#include "import/import.h"
#include "zpl/handle.h"

#define CHUNK (1u << 20)
#define AHEAD_MIN (4 * MiB) /* shorter files are over before a thread has started */

struct taker {
	lcpfs_content_take *take;
	void *arg;
	int rc;                  /* of damage, which ends it */
	struct lcpfs_error why;
};

static int plain(struct dataset *ds, uint64_t ino, uint64_t size, struct taker *t, struct lcpfs_error *err)
{
	size_t len = (size_t)MIN(size + 1, (uint64_t)CHUNK), got;
	uint8_t *buf = malloc(len);
	uint64_t off = 0;
	int rc = buf ? 0 : lcpfs_nomem(err);

	while (!rc) {
		rc = zpl_read(ds, ino, off, buf, len, &got, err);
		if (!rc && got)
			rc = t->take(t->arg, buf, got, err);
		off += got;
		if (rc || got < len)
			break;
	}
	free(buf);
	return rc;
}

static int zeros(struct taker *t, uint64_t len, struct lcpfs_error *err)
{
	static const uint8_t zero[64 * KiB];
	int rc = 0;

	while (!rc && len) {
		size_t n = (size_t)MIN(len, (uint64_t)sizeof zero);

		rc = t->take(t->arg, zero, n, err);
		len -= n;
	}
	return rc;
}

static void damaged(void *arg, const char *path, const struct lcpfs_error *why)
{
	struct taker *t = arg;

	(void)path;
	if (!t->rc) {
		t->rc = -why->code;
		t->why = *why;
	}
}

static int views(struct entry_source *a, const struct entry *e, struct taker *t, struct lcpfs_error *err)
{
	uint64_t pos = 0;
	int rc = 0;

	while (!rc) {
		const void *data;
		uint64_t off = 0;
		size_t got = 0;

		rc = a->ops->view(a, &data, &off, &got, err);
		if (!rc && t->rc && err)
			*err = t->why;
		if (!rc)
			rc = t->rc;
		if (rc || !got)
			break;
		rc = zeros(t, off - pos, err);
		if (!rc)
			rc = t->take(t->arg, data, got, err);
		pos = off + got;
	}
	return rc ? rc : zeros(t, e->size - pos, err);
}

static int ahead(struct dataset *ds, uint64_t ino, struct taker *t, struct lcpfs_error *err)
{
	struct ds_source_opts so = { .whole = true, .warn = damaged, .warn_arg = t };
	struct ahead_opts ao = { .threads = ahead_threads(ds->spa->threads, ds->spa->memory), .window_bytes = ahead_window(ds->spa->memory),
		.warn = damaged, .warn_arg = t };
	struct entry_source *src, *a;
	struct entry e = { 0 };
	int rc = ds_source_open(&src, ds, ino, &so, err);

	if (rc)
		return rc;
	rc = ahead_open(&a, src, &ao, err);
	if (rc) {
		src->ops->close(src);
		return rc;
	}
	rc = a->ops->next(a, &e, err);
	if (!rc)
		rc = views(a, &e, t, err);
	else if (rc == 1)
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "the file cannot be read");
	entry_fini(&e);
	a->ops->close(a);
	return rc;
}

int lcpfs_content_each(struct lcpfs_dataset *ds, uint64_t ino, lcpfs_content_take *take, void *arg, struct lcpfs_error *err)
{
	struct taker t = { .take = take, .arg = arg };
	struct inode in;
	int rc = zpl_inode_get(ds->ds, ino, &in, err);

	if (!rc && S_ISDIR(in.mode))
		rc = lcpfs_fail(err, LCPFS_EISDIR, "is a directory");
	else if (!rc && !S_ISREG(in.mode))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "not a regular file");
	if (rc)
		return rc;
	if (in.size < AHEAD_MIN || in.flags & INODE_SLICED || ds->ds->writable || ahead_threads(ds->ds->spa->threads, ds->ds->spa->memory) < 2)
		return plain(ds->ds, ino, in.size, &t, err);
	return ahead(ds->ds, ino, &t, err);
}
