/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub: read every block, name what is damaged. */
#include "check/check_impl.h"
#include "zpl/handle.h"
#include <inttypes.h>

static int scrub(struct check *ck, struct lcpfs_scrub_stats *st, struct lcpfs_error *err)
{
	struct scan s = { .ck = ck, .data = true, .verify = true, .decode = ck->o->decode };
	int rc = ck_load(ck, false, err);

	ck->phase = "scrub";
	if (!rc)
		rc = scan_run(&s, true, err);
	if (!rc) {
		ck->phase = "owners";
		rc = owner_report(ck, s.dmg, s.n_dmg, err);
	}
	scan_report_copies(&s);
	if (!rc && s.bad > s.n_dmg)
		ck_report(ck, P_BLOCK_MANY, NULL, "%" PRIu64 " more blocks", s.bad - s.n_dmg);
	if (st)
		*st = (struct lcpfs_scrub_stats){ s.blocks, s.bytes, s.bad, ck->n_ds };
	if (!rc && s.bad)
		rc = lcpfs_fail(err, LCPFS_ECSUM, "%s: %" PRIu64 " of %" PRIu64 " blocks are damaged", ck->spa->name, s.bad, s.blocks);
	else if (!rc && s.bad_copies)
		rc = lcpfs_fail(err, LCPFS_ECSUM, "%s: %" PRIu64 " copies of blocks are damaged, others of them are good", ck->spa->name, s.bad_copies);
	scan_fini(&s);
	return rc;
}

int lcpfs_scrub(struct lcpfs_pool *p, const struct lcpfs_check_opts *o, struct lcpfs_scrub_stats *st, struct lcpfs_error *err)
{
	struct check *ck = malloc(sizeof *ck);
	int rc;

	if (st)
		*st = (struct lcpfs_scrub_stats){ 0 };
	if (!ck)
		return lcpfs_nomem(err);
	ck_init(ck, p->spa, o);
	rc = scrub(ck, st, err);
	ck_fini(ck);
	free(ck);
	return rc;
}
