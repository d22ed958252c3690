/* SPDX-License-Identifier: Apache-2.0 */
/* From paths to inodes and back. */
#include "zpl/zpl_impl.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LINKS_MAX 40u
#define DEPTH_MAX 65536u

/* What is left to walk: text[at..], and where we are. */
struct walk {
	struct dataset *ds;
	char *text;
	size_t at;
	uint64_t here;
	bool dir;       /* that is a directory: the entry says so, and its inode need not be read */
	unsigned links;
};

/* The next component; 0 length: the end. *last: nothing but slashes after it. */
static const char *component(struct walk *w, size_t *len, bool *last)
{
	const char *p = w->text + w->at;
	size_t n;

	p += strspn(p, "/");
	n = strcspn(p, "/");
	*len = n;
	*last = !p[n + strspn(p + n, "/")];
	w->at = (size_t)(p - w->text) + n;
	return p;
}

/* The target takes the link's place in the text. */
static int splice(struct walk *w, uint64_t link, struct lcpfs_error *err)
{
	char *target, *text = NULL;
	size_t n, rest = strlen(w->text + w->at);
	int rc;

	if (++w->links > LINKS_MAX)
		return lcpfs_fail(err, LCPFS_ELOOP, "more than %u symbolic links", LINKS_MAX);
	rc = zpl_readlink(w->ds, link, &target, err);
	if (rc)
		return rc;
	n = strlen(target);
	text = malloc(n + rest + 1);
	if (text) {
		memcpy(text, target, n);
		memcpy(text + n, w->text + w->at, rest + 1);
		if (*target == '/') {
			w->here = INO_ROOT;
			w->dir = true;
		}
		free(w->text);
		w->text = text;
		w->at = 0;
	}
	free(target);
	return text ? 0 : lcpfs_nomem(err);
}

static int step(struct walk *w, const char *name, size_t len, bool follow, struct lcpfs_error *err)
{
	struct zi *zi;
	uint64_t ino;
	uint8_t type;
	bool up = len == 2 && name[0] == '.' && name[1] == '.';
	int rc = w->dir && !up ? 0 : zpl_dir_get(w->ds, w->here, &zi, err);

	if (rc || (len == 1 && name[0] == '.'))
		return rc;
	if (up) {
		w->here = w->here == INO_ROOT ? INO_ROOT : zi->i.parent;
		w->dir = false;
		return 0;
	}
	rc = zpl_lookup(w->ds, w->here, name, len, &ino, &type, err);
	if (rc)
		return rc;
	if (type == DT_LNK && follow)
		return splice(w, ino, err);
	w->here = ino;
	w->dir = type == DT_DIR;
	return 0;
}

static int resolve(struct dataset *ds, const char *path, size_t path_len, bool follow, uint64_t *ino, struct lcpfs_error *err)
{
	struct walk w = { .ds = ds, .text = strndup(path, path_len), .here = INO_ROOT, .dir = true };
	int rc = w.text ? 0 : lcpfs_nomem(err);

	while (!rc) {
		size_t len;
		bool last;
		const char *name = component(&w, &len, &last);

		if (!len)
			break;
		rc = step(&w, name, len, !last || follow, err);
	}
	free(w.text);
	*ino = w.here;
	return rc;
}

int zpl_resolve(struct dataset *ds, const char *path, bool follow, uint64_t *ino, struct lcpfs_error *err)
{
	int rc = resolve(ds, path, strlen(path), follow, ino, err);

	return rc ? lcpfs_within(err, rc, "%s", path) : 0;
}

int zpl_resolve_parent(struct dataset *ds, const char *path, uint64_t *dir, const char **last, size_t *last_len, uint64_t *ino, struct lcpfs_error *err)
{
	size_t end = strlen(path), start;
	struct zi *zi;
	int rc;

	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; )
		start--;
	rc = zpl_name_check(path + start, end - start, err);
	if (!rc)
		rc = resolve(ds, path, start, true, dir, err);
	if (!rc)
		rc = zpl_dir_get(ds, *dir, &zi, err);
	if (rc)
		return lcpfs_within(err, rc, "%s", path);
	*last = path + start;
	*last_len = end - start;
	rc = zpl_lookup(ds, *dir, *last, *last_len, ino, NULL, err);
	if (rc == -LCPFS_ENOENT) {
		*ino = 0;
		return 0;
	}
	return rc ? lcpfs_within(err, rc, "%s", path) : 0;
}

/* One step up: the directory ino is in, and its name there in front of what rev has (written backwards). */
static int step_up(struct dataset *ds, uint64_t *ino, struct buf *rev, struct lcpfs_error *err)
{
	uint8_t name[NAME_MAX_BYTES + 1];
	uint64_t parent;
	struct inode i;
	size_t len;
	int rc = zpl_inode_get(ds, *ino, &i, err);

	if (rc)
		return rc;
	parent = i.parent;
	rc = !S_ISDIR(i.mode) && i.nlink > 1 ? zpl_first_link(ds, *ino, &parent, name, &len, err) : 1;
	if (rc == 1)
		rc = zpl_name_in(ds, parent, *ino, name, &len, err);
	if (rc)
		return rc;
	if (rev->len)
		buf_u8(rev, '/');
	while (len)
		buf_u8(rev, name[--len]);
	*ino = parent;
	return rev->failed ? lcpfs_nomem(err) : 0;
}

int zpl_path_of(struct dataset *ds, uint64_t ino, struct buf *out, struct lcpfs_error *err)
{
	struct buf rev = { 0 };
	unsigned depth = 0;
	int rc = 0;

	while (!rc && ino != INO_ROOT) {
		rc = step_up(ds, &ino, &rev, err);
		if (!rc && ++depth > DEPTH_MAX)
			rc = lcpfs_fail(err, LCPFS_ECORRUPT, "inode %" PRIu64 ": more than %u directories above it", ino, DEPTH_MAX);
	}
	while (!rc && rev.len)
		buf_u8(out, rev.data[--rev.len]);
	buf_fini(&rev);
	return !rc && out->failed ? lcpfs_nomem(err) : rc;
}
