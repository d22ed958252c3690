/* SPDX-License-Identifier: Apache-2.0 */
/* fsck: the phases in order. P4's comparison of trees comes after P5, which knows which trees are sound. */
#include "check/check_impl.h"
#include "zpl/handle.h"

/* Damage is an answer; not being able to look is a failure. */
static bool is_damage(int rc)
{
	return rc == -LCPFS_ECORRUPT || rc == -LCPFS_ECSUM || rc == -LCPFS_EIO;
}

static int trees(struct check *ck, struct lcpfs_error *err)
{
	int rc = 0;

	ck->phase = "files";
	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		rc = fsck_tree(ck, &ck->ds[i], err);
		if (!rc)
			rc = ck_flush(ck, err);
		if (!rc)
			rc = ck_tick(ck, 1, 0, err);
	}
	return rc;
}

int fsck_phases(struct check *ck, struct lcpfs_error *err)
{
	int rc = ck->result ? 0 : fsck_config(ck, err);

	ck->shallow = ck->problems;
	ck->phase = "records";
	if (!rc)
		rc = ck_load(ck, true, err);
	ck->phase = "blocks";
	if (!rc)
		rc = fsck_blocks(ck, err);
	ck->phase = "records";
	if (!rc)
		rc = fsck_records(ck, err);
	if (!rc)
		rc = trees(ck, err);
	ck->phase = "snapshots";
	if (!rc)
		rc = fsck_diffs(ck, err);
	return rc ? rc : ck_flush(ck, err);
}

/* Open for reading; dev is the pool's from now on. 1: it is a pool, and too damaged to open. */
static int open_pool(struct check *ck, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, struct lcpfs_pool **p,
                     struct lcpfs_error *err)
{
	struct lcpfs_open_opts ro = oo ? *oo : (struct lcpfs_open_opts){ 0 };
	struct lcpfs_error why = { 0 };
	int rc;

	ro.flags &= ~(uint32_t)LCPFS_OPEN_RW;
	rc = lcpfs_pool_open_dev(p, dev, &ro, &why);
	if (rc && is_damage(rc) && ck->labeled) {
		ck_report(ck, P_POOL_OPEN, NULL, "%s", why.msg);
		return 1;
	}
	if (rc && err)
		*err = why;
	return rc;
}

/* What is known before the pool is open goes on with it. */
static void take_spa(struct check *ck, struct spa *spa)
{
	struct check before = *ck;

	ck_init(ck, spa, before.o);
	ck->problems = before.problems;
	ck->plan = before.plan;
	ck->labeled = before.labeled;
}

int fsck_check(struct check *ck, struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, struct lcpfs_error *err)
{
	bool live = oo && (oo->flags & LCPFS_OPEN_LIVE);
	struct lcpfs_pool *p = NULL;
	int rc = live ? 0 : blockdev_lock(dev, false, err);

	ck->phase = "labels";
	ck->device = dev->name;
	if (!rc)
		rc = fsck_labels(ck, dev, err);
	if (rc) {
		lcpfs_blockdev_close(dev);
		return rc;
	}
	rc = open_pool(ck, dev, oo, &p, err);
	if (rc)
		return MIN(rc, 0);
	take_spa(ck, p->spa);
	rc = fsck_phases(ck, err);
	lcpfs_pool_close(p, NULL);
	ck->spa = NULL;
	return rc;
}

int lcpfs_fsck_dev(struct lcpfs_blockdev *dev, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems,
                   struct lcpfs_error *err)
{
	struct check *ck = malloc(sizeof *ck);
	int rc;

	*problems = 0;
	if (!ck) {
		lcpfs_blockdev_close(dev);
		return lcpfs_nomem(err);
	}
	ck_init(ck, NULL, o);
	rc = fsck_check(ck, dev, oo, err);
	*problems = ck->problems;
	ck_fini(ck);
	free(ck);
	return rc;
}

int lcpfs_fsck(const char *path, const struct lcpfs_open_opts *oo, const struct lcpfs_check_opts *o, uint64_t *problems,
               struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_blockdev_open(&dev, path, 0, err);

	*problems = 0;
	return rc ? rc : lcpfs_fsck_dev(dev, oo, o, problems, err);
}
