/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that turned out to have the content of another one of the same dataset, both still being made. Nothing is flushed for it: what a slice
 * on its way is charged becomes known later, and the second file has it from then on.
 */
#include "zpl/zpl_impl.h"
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LATE_MAX 4096u

/* Charges that are known by now; the others stay. */
int late_settle(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	uint32_t left = 0;

	for (uint32_t k = 0; k < z->n_late; k++) {
		struct late l = z->late[k];
		struct slice s;
		struct zi *e;
		int rc = slice_lookup(ds, l.data_id, &s, err);

		if (rc == 1)
			z->late[left++] = l;
		if (!rc) {
			rc = zi_get(ds, l.ino, &e, err);
			/* removed, or written anew since */
			if (rc == -LCPFS_ENOENT || (!rc && e->i.data_id != l.data_id))
				continue;
		}
		if (rc < 0)
			return rc;
		if (!rc) {
			e->i.psize = s.charge;
			e->dirty = true;
		}
	}
	z->n_late = left;
	return 0;
}

static int late_add(struct dataset *ds, uint64_t ino, uint64_t data_id, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	int rc = z->n_late == z->cap_late && z->n_late >= LATE_MAX ? late_settle(ds, err) : 0;

	if (rc)
		return rc;
	if (z->n_late == z->cap_late) {
		uint32_t cap = z->cap_late ? z->cap_late * 2 : 256;
		struct late *p = realloc(z->late, cap * sizeof *p);

		if (!p)
			return lcpfs_nomem(err);
		z->late = p;
		z->cap_late = cap;
	}
	z->late[z->n_late++] = (struct late){ ino, data_id };
	return 0;
}

static bool under_way(const struct dataset *ds, uint64_t data_id)
{
	return pack_find(ds->zpl, data_id) || jobs_have(ds->zpl, data_id);
}

int zpl_twin(struct dataset *ds, uint64_t from, uint64_t to, struct lcpfs_error *err)
{
	struct inode i, old;
	struct zi *e;
	uint64_t mark = btree_edits(ds->tree);
	int rc = zpl_begin(ds, ADMIT_NORMAL, 0, err);

	if (!rc)
		rc = zpl_inode_get(ds, from, &i, err);
	if (!rc)
		rc = zpl_inode_get(ds, to, &old, err);
	if (!rc && (!S_ISREG(i.mode) || !S_ISREG(old.mode) || !i.data_id || !i.size || open_is(ds->zpl, from)))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "inode %" PRIu64 " has no content to share", from);
	if (rc || i.data_id == old.data_id)
		return rc;
	if (open_is(ds->zpl, to))
		open_forget(ds->zpl);
	rc = content_share(ds, i.data_id, err);
	if (!rc && old.size)
		rc = content_drop(ds, old.data_id, err);
	if (!rc)
		rc = zi_get(ds, to, &e, err);
	if (rc)
		return zpl_end(ds, mark, rc, err);
	e->i.data_id = i.data_id;
	e->i.size = i.size;
	e->i.psize = i.psize;
	e->i.flags = (e->i.flags & ~(uint32_t)INODE_SLICED) | (i.flags & INODE_SLICED);
	e->i.rec_shift = i.rec_shift;
	e->dirty = true;
	if (i.flags & INODE_SLICED && under_way(ds, i.data_id))
		rc = late_add(ds, to, i.data_id, err);
	return zpl_end(ds, mark, rc, err);
}
