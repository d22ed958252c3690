/* SPDX-License-Identifier: Apache-2.0 */
#include "check/refs.h"
#include <inttypes.h>

size_t refs_count_max = SIZE_MAX;

void refs_fini(struct refs *r)
{
	free(r->v);
}

static int by_addr(const void *a, const void *b)
{
	const struct ref_count *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static void merge(struct refs *r)
{
	size_t k = 0;

	if (r->n)
		qsort(r->v, r->n, sizeof *r->v, by_addr);
	for (size_t i = 0; i < r->n; i++) {
		if (k && r->v[k - 1].addr == r->v[i].addr) {
			r->v[k - 1].n += r->v[i].n;
			r->v[k - 1].differ |= r->v[i].differ || r->v[i].hash != r->v[k - 1].hash;
		} else {
			r->v[k++] = r->v[i];
		}
	}
	r->n = k;
}

/* The upper half is left to the next window. A page has fewer blocks than the table has room for. */
static void give_up_half(struct refs *r, struct claims *m)
{
	uint64_t page = claims_page_of(m, r->v[r->n / 2].addr);

	claims_shrink(m, MAX(page, m->from + 1));
	while (r->n && claims_page_of(m, r->v[r->n - 1].addr) >= m->to)
		r->n--;
}

int refs_add(struct refs *r, struct claims *m, const struct blkptr *bp, struct lcpfs_error *err)
{
	uint64_t page = claims_page_of(m, bp->addr);
	struct ref_count *to;

	/* counted where it begins */
	if (page < m->from || page >= m->to)
		return 0;
	if (r->n >= r->max) {
		merge(r);
		if (r->n > r->max / 2)
			give_up_half(r, m);
		if (page >= m->to)
			return 0;
	}
	to = CK_PUSH(r->v, r->n, r->cap);
	if (!to)
		return lcpfs_nomem(err);
	*to = (struct ref_count){ bp->addr, 1, (uint32_t)le_load(bp->hash, 4), false };
	return 0;
}

static void plan_count(struct check *ck, uint64_t addr, uint64_t n)
{
	uint8_t key[9], val[REF_LEN];
	size_t klen = key_u64(key, TBL_REF, addr);

	ref_encode(n, val);
	if (n)
		ck_plan_put(ck, P_REF_COUNT, NULL, key, klen, val, sizeof val, 0);
	else
		ck_plan_del(ck, P_REF_COUNT, NULL, key, klen, 0);
}

struct compare { struct refs *r; struct check *ck; bool lost; size_t at; };

/* `said`: of the record, 0 without one. */
static void judge(struct compare *c, uint64_t addr, uint64_t said, const struct ref_count *got)
{
	struct ck_where w = { .addr = addr };
	uint64_t n = got ? got->n : 0;

	if (got && got->differ)
		ck_report(c->ck, P_BLOCK_SHARED, &w, "%u:%u, by pointers that expect different contents", (uint32_t)(addr >> 32), (uint32_t)addr);
	if (n == said || (c->lost && n < said))
		return;
	ck_report(c->ck, P_REF_COUNT, &w, "%u:%u: %" PRIu64 " beyond the first, counted %" PRIu64, (uint32_t)(addr >> 32), (uint32_t)addr, said, n);
	plan_count(c->ck, addr, n);
}

/* Those counted before `addr`, which have no record. */
static void unsaid(struct compare *c, uint64_t addr)
{
	for (; c->at < c->r->n && c->r->v[c->at].addr < addr; c->at++)
		judge(c, c->r->v[c->at].addr, 0, &c->r->v[c->at]);
}

static int on_record(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct compare *c = arg;
	uint64_t addr = it->klen == 9 ? be64_load(it->key + 1) : 0, said = 0;
	const struct ref_count *got;

	(void)err;
	if (!addr)
		return 0;
	unsaid(c, addr);
	got = c->at < c->r->n && c->r->v[c->at].addr == addr ? &c->r->v[c->at++] : NULL;
	/* what makes no sense was told of when the tables were loaded */
	if (ref_decode(&said, it->key, it->klen, it->val, it->vlen, NULL))
		plan_count(c->ck, addr, got ? got->n : 0);
	else
		judge(c, addr, said, got);
	return 0;
}

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	struct compare *c = arg;

	(void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	c->lost = true;
	return 0;
}

int refs_compare(struct refs *r, struct check *ck, const struct claims *m, bool lost, struct lcpfs_error *err)
{
	struct compare c = { .r = r, .ck = ck, .lost = lost };
	struct ck_walk w = { .item = on_record, .bad = pass_over, .arg = &c };
	uint64_t end = claims_addr_of(m, m->to);
	uint8_t from[9], to[9];
	int rc;

	merge(r);
	w.from = (struct ck_key){ from, key_u64(from, TBL_REF, m->from ? claims_addr_of(m, m->from) : 0) };
	w.to = (struct ck_key){ to, end == UINT64_MAX ? 1 : key_u64(to, TBL_REF, end) };
	if (end == UINT64_MAX)
		to[0] = TBL_REF + 1;
	rc = ck_walk(ck, &ck->ub.pool_root, &w, err);
	if (!rc)
		unsaid(&c, UINT64_MAX);
	r->n = 0;
	return rc;
}
