/* SPDX-License-Identifier: Apache-2.0 */
/* Scrub: read every block, name what is damaged, remember how far it came. */
#include "base/log.h"
#include "check/check_impl.h"
#include "zpl/handle.h"
#include <inttypes.h>
#include <string.h>

/* Blocks are in use that a commit of this pool would have to read or could write over. */
static bool pool_damaged(const struct scan *s)
{
	for (size_t i = 0; i < s->n_dmg; i++)
		if (s->dmg[i].ds == CK_POOL || s->dmg[i].ds == CK_SPACE)
			return true;
	return s->bad > s->n_dmg;
}

static int since_txg(const struct check *ck, const char *name, uint64_t *txg, struct lcpfs_error *err)
{
	for (size_t i = 0; name && i < ck->n_ds; i++)
		if (ck->ds[i].rec.kind == DS_SNAPSHOT && ck->ds[i].name && !strcmp(ck->ds[i].name, name)) {
			*txg = ck->ds[i].rec.created_txg;
			return 0;
		}
	return name ? lcpfs_fail(err, LCPFS_ENOENT, "no snapshot '%s'", name) : 0;
}

static int check_opts(const struct check *ck, struct lcpfs_error *err)
{
	const struct lcpfs_check_opts *o = ck->o;

	if (o->record && (o->since || o->nodes_only || o->from))
		return lcpfs_fail(err, LCPFS_EINVAL, "only a scrub of everything is recorded");
	if (o->record && ck->spa->changed)
		return lcpfs_fail(err, LCPFS_EBUSY, "%s has changes that are not committed", ck->spa->name);
	return o->record || o->mend ? spa_may_write(ck->spa, err) : 0;
}

/* The pass that this run goes on with, or a new one. */
static void begin_pass(const struct check *ck, struct scan *s, struct scanrec *r)
{
	if (!(r->flags & SCAN_UNDER_WAY) || ck->o->restart || !(r->flags & SCAN_DECODES) != !s->decode) {
		r->flags = (uint8_t)((r->flags & SCAN_DONE_DECODED) | SCAN_UNDER_WAY | (s->decode ? SCAN_DECODES : 0));
		r->next = r->bytes = r->bad = 0;
		r->txg = ck->ub.txg;
		now_get(&r->started_s, &(uint32_t){ 0 });
	}
	s->from = r->next;
}

static void end_run(const struct scan *s, struct scanrec *r)
{
	r->bytes += s->bytes;
	r->bad += s->bad;
	r->next = s->next;
	if (s->next)
		return;
	r->done_txg = r->txg;
	r->done_bytes = r->bytes;
	r->done_bad = r->bad;
	now_get(&r->done_s, &(uint32_t){ 0 });
	r->flags = r->flags & SCAN_DECODES ? SCAN_DONE_DECODED : 0;
	r->txg = r->bytes = r->bad = 0;
	r->started_s = 0;
}

static int run(struct check *ck, struct scan *s, struct scanrec *r, struct lcpfs_error *err)
{
	const struct lcpfs_check_opts *o = ck->o;
	int rc = since_txg(ck, o->since, &s->since, err);

	if (!rc && o->record)
		rc = scan_state_get(ck->spa, r, err);
	s->from = o->from;
	if (o->record)
		begin_pass(ck, s, r);
	s->start_ns = ck_now_ns();
	s->deadline_ns = o->budget_ms ? s->start_ns + o->budget_ms * 1000000 : 0;
	s->budget_bytes = o->budget_bytes;
	s->rate = o->rate;
	ck->phase = "scrub";
	ck->total_bytes = (ck->ub.total_sectors - MIN(ck->ub.free_sectors, ck->ub.total_sectors)) * SECTOR;
	if (!rc)
		rc = scan_run(s, true, err);
	ck->phase = "owners";
	ck->total_bytes = 0;
	return rc ? rc : owner_report(ck, s->dmg, s->n_dmg, err);
}

/* A pool whose own trees are damaged is not written to. */
static int record(struct check *ck, const struct scan *s, struct scanrec *r, bool *recorded, struct lcpfs_error *err)
{
	bool whole = !s->next, restarted = !s->from;
	int rc;

	if (!ck->o->record || pool_damaged(s))
		return 0;
	end_run(s, r);
	rc = scan_state_put(ck, r, restarted, whole, err);
	*recorded = !rc;
	return rc;
}

static int scrub(struct check *ck, struct lcpfs_scrub_stats *st, struct lcpfs_error *err)
{
	struct scan s = { .ck = ck, .data = !ck->o->nodes_only, .verify = true, .decode = ck->o->decode, .mend = ck->o->mend, .ordered = true };
	struct scanrec r = { 0 };
	bool recorded = false;
	int rc = check_opts(ck, err);

	if (!rc)
		rc = ck_load(ck, false, err);
	if (!rc)
		rc = run(ck, &s, &r, err);
	scan_report_copies(&s);
	if (!rc && s.bad > s.n_dmg)
		ck_report(ck, P_BLOCK_MANY, NULL, "%" PRIu64 " more blocks", s.bad - s.n_dmg);
	if (s.mended && !rc)
		rc = vdev_flush(ck->spa->vdev, err);
	if (!rc)
		rc = record(ck, &s, &r, &recorded, err);
	if (st)
		*st = (struct lcpfs_scrub_stats){ s.blocks, s.bytes, s.bad, ck->n_ds, s.bad_copies, s.mended, s.next, recorded };
	if (!rc && s.bad)
		rc = lcpfs_fail(err, LCPFS_ECSUM, "%s: %" PRIu64 " of %" PRIu64 " blocks are damaged", ck->spa->name, s.bad, s.blocks);
	else if (!rc && s.bad_copies > s.mended)
		rc = lcpfs_fail(err, LCPFS_ECSUM, "%s: %" PRIu64 " copies of blocks are damaged, others of them are good", ck->spa->name, s.bad_copies - s.mended);
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
