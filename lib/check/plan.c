/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check_impl.h"
#include <string.h>

size_t ck_plan_most = SIZE_MAX;

void ck_plan_init(struct ck_plan *p, enum lcpfs_repair_class most, size_t budget)
{
	*p = (struct ck_plan){ .most = most, .max = MIN(MAX(budget / 8 / sizeof(struct ck_fix), (size_t)4096), ck_plan_most) };
}

void ck_plan_fini(struct ck_plan *p)
{
	free(p->fix);
	buf_fini(&p->bytes);
}

bool ck_plan_wants(const struct check *ck, enum problem_id id, const struct ck_ds *ds)
{
	if (ck->lost_records && ck_kinds[id].phase == 4)
		return false;
	return ck->plan && ck_kinds[id].cls <= ck->plan->most && (!ds || (ds->rec.kind != DS_SNAPSHOT && ds->rec.kind != DS_HIDDEN && ds->rec.state != DS_RECEIVING));
}

/* NULL: the plan is full, or memory is out, which is the same. */
static struct ck_fix *add(struct check *ck, enum ck_fix_kind kind, const struct ck_ds *ds)
{
	struct ck_plan *p = ck->plan;
	struct ck_fix *f = p->n < p->max && p->bytes.len < p->max * sizeof *f ? CK_PUSH(p->fix, p->n, p->cap) : NULL;

	if (f)
		*f = (struct ck_fix){ .kind = (uint8_t)kind, .ds = ds ? ds->rec.id : 0, .at = p->bytes.len };
	return f;
}

static void add_bytes(struct check *ck, struct ck_fix *f, const void *key, size_t klen, const void *val, size_t vlen)
{
	struct buf *b = f ? &ck->plan->bytes : NULL;

	if (!b)
		return;
	if (klen > KEY_MAX || vlen > VAL_MAX || !buf_reserve(b, klen + vlen)) {
		ck->plan->n--;
		return;
	}
	buf_add(b, key, klen);
	if (vlen)
		buf_add(b, val, vlen);
	f->klen = (uint16_t)klen;
	f->vlen = (uint32_t)vlen;
}

void ck_plan_put(struct check *ck, enum problem_id id, const struct ck_ds *ds, const void *key, size_t klen, const void *val, size_t vlen, unsigned flags)
{
	struct ck_fix *f = ck_plan_wants(ck, id, ds) ? add(ck, FIX_PUT, ds) : NULL;

	if (f)
		f->flags = (uint8_t)flags;
	add_bytes(ck, f, key, klen, val, vlen);
}

void ck_plan_del(struct check *ck, enum problem_id id, const struct ck_ds *ds, const void *key, size_t klen, unsigned flags)
{
	struct ck_fix *f = ck_plan_wants(ck, id, ds) ? add(ck, FIX_DEL, ds) : NULL;

	if (f)
		f->flags = (uint8_t)flags;
	add_bytes(ck, f, key, klen, NULL, 0);
}

void ck_plan_drop(struct check *ck, enum problem_id id, const struct ck_ds *ds, unsigned level, const void *key, size_t klen)
{
	struct ck_fix *f = ck_plan_wants(ck, id, ds) ? add(ck, FIX_DROP, ds) : NULL;

	if (f)
		f->level = (uint8_t)level;
	add_bytes(ck, f, key, klen, NULL, 0);
}

void ck_plan_set(struct check *ck, enum problem_id id, const struct ck_ds *ds, enum ck_fix_kind kind, enum ck_field field, uint64_t a, uint64_t b)
{
	struct ck_fix *f = ck_plan_wants(ck, id, ds) ? add(ck, kind, ds) : NULL;

	if (!f)
		return;
	f->field = (uint8_t)field;
	f->a = a;
	f->b = b;
}

void ck_plan_rec(struct check *ck, enum problem_id id, const struct ck_ds *d, enum ck_field field, uint64_t value)
{
	ck_plan_set(ck, id, NULL, FIX_REC, field, d->rec.id, value);
}

void ck_plan_copy(struct check *ck, const struct blkptr *bp)
{
	struct ck_fix *f = ck_plan_wants(ck, P_BLOCK_COPY, NULL) ? add(ck, FIX_COPY, NULL) : NULL;
	uint8_t raw[PTR_LEN];

	ptr_encode(bp, raw);
	add_bytes(ck, f, raw, sizeof raw, NULL, 0);
}

void ck_plan_told(struct check *ck, enum problem_id id)
{
	bool label = id <= P_CONFIG_COUNT && id != P_UBER_ROOT && id != P_POOL_OPEN;

	/* opening for writing goes back to the older commit */
	if (ck->plan && (id == P_UBER_ROOT || id == P_UBER_LOST) && !ck_plan_wants(ck, id, NULL))
		ck->plan->forbidden = true;
	if ((id > P_CONFIG_COUNT && id < P_SPACE_LEAK) || id > P_SPACE_TOTAL || !ck_plan_wants(ck, id, NULL))
		return;
	ck->plan->labels |= label && id != P_UBER_PREV && id != P_CONFIG_PREV;
	ck->plan->commit = true;
}
