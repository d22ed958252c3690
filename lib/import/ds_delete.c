/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the source lacked goes away. A name stays when its inode was seen; that of a file with several names when the name
 * itself was. What the source could not read in full was told to ds_sink_keep and stays, with all below it.
 */
#include "import/import.h"
#include "base/error.h"
#include <dirent.h>
#include <string.h>

#define BATCH_BYTES 65536u /* of names to be removed before the tree is changed */

struct sweep {
	struct ds_sink *k;
	struct inoset kept, entered;
	struct buf dirs;     /* uint64_t: still to be swept */
	uint64_t dir;
	struct buf doomed;   /* u8 is_dir, u16 length, name */
	struct buf last;
};

static int keep_one(struct sweep *s, const char *path, struct lcpfs_error *err)
{
	uint64_t dir, ino;
	const char *last;
	int rc = sink_lookup(s->k, path, &dir, &ino, &last, err);

	if (rc == -LCPFS_ENOENT)
		return 0;
	if (!rc)
		rc = inoset_add(&s->kept, ino, NULL, err);
	while (!rc) { /* the way to it stays too; the root was seen */
		struct inode in;
		bool had;

		rc = inoset_add(&s->k->seen, dir, &had, err);
		if (!rc && had)
			break;
		if (!rc)
			rc = zpl_inode_get(s->k->ds, dir, &in, err);
		if (!rc)
			dir = in.parent;
	}
	return rc;
}

static int keep_all(struct sweep *s, struct lcpfs_error *err)
{
	const char *p = (const char *)s->k->keep.data, *end = p + s->k->keep.len;
	int rc = s->k->keep.failed ? lcpfs_nomem(err) : 0;

	for (; !rc && p < end; p += strlen(p) + 1)
		rc = keep_one(s, p, err);
	return rc;
}

static bool stays(const struct sweep *s, const char *name, size_t len, uint64_t ino)
{
	const struct ds_sink *k = s->k;

	if (inoset_has(&s->kept, ino))
		return true;
	if (!inoset_has(&k->seen, ino))
		return false;
	return !inoset_has(&k->linked, ino) || inomap_get(&k->names, s->dir, name, len);
}

static int sweep_name(void *arg, const char *name, size_t len, uint64_t ino, uint8_t type, struct lcpfs_error *err)
{
	struct sweep *s = arg;

	buf_reset(&s->last);
	buf_add(&s->last, name, len);
	if (stays(s, name, len, ino)) {
		bool had = true;
		int rc = type == DT_DIR && !inoset_has(&s->kept, ino) ? inoset_add(&s->entered, ino, &had, err) : 0;

		if (rc)
			return rc;
		if (!had)
			buf_add(&s->dirs, &ino, sizeof ino);
	} else {
		buf_u8(&s->doomed, type == DT_DIR);
		buf_le16(&s->doomed, (uint16_t)len);
		buf_add(&s->doomed, name, len);
	}
	if (s->last.failed || s->dirs.failed || s->doomed.failed)
		return lcpfs_nomem(err);
	return s->doomed.len >= BATCH_BYTES;
}

static int remove_doomed(struct sweep *s, struct lcpfs_error *err)
{
	struct cur c = cur_of(s->doomed.data, s->doomed.len);
	struct dataset *ds = s->k->ds;
	int rc = 0;

	while (!rc && cur_left(&c)) {
		bool is_dir = cur_u8(&c);
		size_t len = cur_le16(&c);
		const char *name = (const char *)cur_bytes(&c, len);
		uint64_t before = ds->info.n_files;

		rc = (is_dir ? zpl_remove_tree : zpl_unlink)(ds, s->dir, name, len, NULL, err);
		s->k->removed += before > ds->info.n_files ? before - ds->info.n_files : 1;
	}
	buf_reset(&s->doomed);
	return rc;
}

/* The tree must not be changed during a visit, so names are gathered, then removed. */
static int sweep_dir(struct sweep *s, struct lcpfs_error *err)
{
	struct buf after = { 0 };
	bool more = false;
	int rc;

	do {
		buf_reset(&after);
		if (more)
			buf_add(&after, s->last.data, s->last.len);
		if (after.failed) {
			rc = lcpfs_nomem(err);
			break;
		}
		rc = zpl_dir_each(s->k->ds, s->dir, more ? (const char *)after.data : NULL, after.len, sweep_name, s, err);
		more = rc > 0 || s->doomed.len >= BATCH_BYTES;
		if (rc >= 0)
			rc = remove_doomed(s, err);
	} while (!rc && more);
	buf_fini(&after);
	return rc;
}

int sink_delete_unseen(struct ds_sink *k, struct lcpfs_error *err)
{
	struct sweep s = { .k = k };
	int rc = keep_all(&s, err);

	if (!inoset_has(&s.kept, k->level[0].ino))
		buf_add(&s.dirs, &k->level[0].ino, sizeof k->level[0].ino);
	while (!rc && s.dirs.len) {
		s.dirs.len -= sizeof s.dir;
		memcpy(&s.dir, s.dirs.data + s.dirs.len, sizeof s.dir);
		rc = sweep_dir(&s, err);
	}
	if (!rc && s.dirs.failed)
		rc = lcpfs_nomem(err);
	inoset_fini(&s.kept);
	inoset_fini(&s.entered);
	buf_fini(&s.dirs);
	buf_fini(&s.doomed);
	buf_fini(&s.last);
	return rc;
}
