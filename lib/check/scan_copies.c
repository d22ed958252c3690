/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are stored more than once: which of their copies are bad. */
#include "check/scan_impl.h"

bool scan_note_copy(struct scan *s, const struct blkptr *bp, uint32_t ds, const struct zio_copies *c)
{
	struct copy_damage *d;

	s->bad_copies += (unsigned)__builtin_popcount(c->bad);
	s->mended += (unsigned)__builtin_popcount(c->mended);
	if (s->n_copy >= DAMAGE_MAX)
		return true;
	d = CK_PUSH(s->copy, s->n_copy, s->cap_copy);
	if (d)
		*d = (struct copy_damage){ *bp, ds, c->bad, c->mended };
	return d;
}

int scan_copies(struct scan *s, const struct blkptr *bp, uint32_t ds, struct lcpfs_error *err)
{
	struct zio_copies c;
	int rc = zio_check_copies(s->ck->spa->zio, bp, s->mend, &c, err);

	/* what no copy has is found, and told of, by whoever reads it */
	if (rc || !c.bad)
		return rc == -LCPFS_ENOMEM ? rc : 0;
	return scan_note_copy(s, bp, ds, &c) ? 0 : lcpfs_nomem(err);
}

static int copy_cmp(const void *a, const void *b)
{
	const struct copy_damage *x = a, *y = b;

	return (x->bp.addr > y->bp.addr) - (x->bp.addr < y->bp.addr);
}

void scan_report_copies(struct scan *s)
{
	if (s->n_copy)
		qsort(s->copy, s->n_copy, sizeof *s->copy, copy_cmp);
	for (size_t i = 0; i < s->n_copy; i++) {
		const struct copy_damage *d = &s->copy[i];
		struct ck_where w = { .ds = d->ds < s->ck->n_ds ? &s->ck->ds[d->ds] : NULL, .addr = d->bp.addr, .length = ptr_charge(&d->bp) };

		/* trees of two commits share nodes */
		if (i && d[-1].bp.addr == d->bp.addr)
			continue;
		ck_report(s->ck, P_BLOCK_COPY, &w, "%u:%u, %u bytes, copy %d, in %s%s", ptr_chunk(&d->bp), ptr_sector(&d->bp), d->bp.psize,
		    __builtin_ctz(d->bad) + 1, ck_tree_name(s->ck, d->ds),
		    d->mended == d->bad ? "; written again from the good one" : "");
		ck_plan_copy(s->ck, &d->bp);
	}
}
