/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose block it is: for each dataset and snapshot that refers to a damaged block, the files it is part of. Addresses lead to contents
 * (extents; slices of a pack), contents to inodes, inodes to paths.
 */
#include "check/check_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct content { uint64_t data_id, off, len; size_t dmg; bool found; };
struct pack { uint64_t id; size_t dmg; bool found; };

struct owner {
	struct check *ck;
	struct damage *dmg;
	size_t n_dmg;
	struct ck_ds *ds;
	struct content *c; size_t n_c, cap_c;
	struct pack *p; size_t n_p, cap_p;
};

static int dmg_cmp(const void *a, const void *b)
{
	const struct damage *x = a, *y = b;

	if (x->bp.addr != y->bp.addr)
		return x->bp.addr < y->bp.addr ? -1 : 1;
	return (x->bp.birth > y->bp.birth) - (x->bp.birth < y->bp.birth);
}

static struct damage *find(const struct owner *o, uint64_t addr, uint64_t birth)
{
	struct damage key = { .bp = { .addr = addr, .birth = birth } };

	return bsearch(&key, o->dmg, o->n_dmg, sizeof *o->dmg, dmg_cmp);
}

const char *ck_tree_name(const struct check *ck, uint32_t ds)
{
	return ds == CK_POOL ? "the pool tree" : ds == CK_SPACE ? "the space tree" : ds < ck->n_ds ? ck->ds[ds].name : "?";
}

static enum problem_id problem_of(const struct damage *d)
{
	return d->undecoded ? P_BLOCK_DECODE : ck_problem_of(&d->bp, d->rc);
}

static void tell(struct owner *o, struct damage *d, struct ck_where *w, const char *what)
{
	w->ds = o->ds;
	w->stays = d->bp.kind != PTR_NODE;
	w->addr = d->bp.addr;
	d->told = true;
	if (d->counted != o->ds)
		o->ds->bad++;
	d->counted = o->ds;
	ck_report(o->ck, problem_of(d), w, "%s%s%s", d->why, what[0] ? ", " : "", what);
}

static int on_node(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, struct lcpfs_error *err)
{
	struct owner *o = arg;
	struct damage *d = find(o, bp->addr, bp->birth);
	struct ck_where w = { 0 };
	char range[200];

	(void)err;
	if (d && d->bp.kind == PTR_NODE) {
		ck_range_text(low, high, false, range, sizeof range);
		/* of files, those it begins with can be told */
		if (low->len >= 9 && low->p[0] >= ITEM_INODE && low->p[0] <= ITEM_DIRENT)
			w.ino = be64_load(low->p + 1);
		o->ds->unsound = true;
		tell(o, d, &w, range);
		return 1;
	}
	return !bp->level && (bp->flags & PTR_NOPTR);
}

static int pass_over(void *arg, const struct blkptr *bp, const struct ck_key *low, const struct ck_key *high, int rc,
                     const struct lcpfs_error *why, struct lcpfs_error *err)
{
	(void)arg, (void)bp, (void)low, (void)high, (void)rc, (void)why, (void)err;
	return 0;
}

static int add_content(struct owner *o, uint64_t id, uint64_t off, uint64_t len, size_t dmg, struct lcpfs_error *err)
{
	struct content *c = CK_PUSH(o->c, o->n_c, o->cap_c);

	if (!c)
		return lcpfs_nomem(err);
	*c = (struct content){ .data_id = id, .off = off, .len = len, .dmg = dmg };
	return 0;
}

static int on_data(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct owner *o = arg;
	struct damage *d = NULL;
	struct pack *p;

	for (unsigned i = 0; i < it->nptr && !d; i++)
		d = find(o, ptr_raw_addr(it->ptrs + (size_t)i * PTR_LEN), ptr_raw_birth(it->ptrs + (size_t)i * PTR_LEN));
	if (!d)
		return 0;
	if (it->key[0] == ITEM_EXTENT && it->klen == 17)
		return add_content(o, be64_load(it->key + 1), be64_load(it->key + 9), it->vlen == 4 ? le_load(it->val, 4) : 0,
		    (size_t)(d - o->dmg), err);
	if (it->key[0] != ITEM_PACK || it->klen != 9)
		return 0;
	p = CK_PUSH(o->p, o->n_p, o->cap_p);
	if (!p)
		return lcpfs_nomem(err);
	*p = (struct pack){ .id = be64_load(it->key + 1), .dmg = (size_t)(d - o->dmg) };
	return 0;
}

static int on_slice(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	struct owner *o = arg;
	struct slice s;
	size_t lo = 0, hi = o->n_p;

	if (it->klen != 9 || slice_decode(&s, it->val, it->vlen, NULL))
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->p[mid].id < s.pack_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == o->n_p || o->p[lo].id != s.pack_id)
		return 0;
	o->p[lo].found = true;
	return add_content(o, be64_load(it->key + 1), 0, s.len, o->p[lo].dmg, err);
}

static int content_cmp(const void *a, const void *b)
{
	const struct content *x = a, *y = b;

	if (x->data_id != y->data_id)
		return x->data_id < y->data_id ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static void tell_contents(struct owner *o, uint64_t data_id, uint64_t ino, const char *what)
{
	size_t lo = 0, hi = o->n_c;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->c[mid].data_id < data_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < o->n_c && o->c[lo].data_id == data_id; lo++) {
		struct ck_where w = { .ino = ino, .offset = o->c[lo].off, .length = o->c[lo].len };

		o->c[lo].found = true;
		tell(o, &o->dmg[o->c[lo].dmg], &w, what);
	}
}

static int on_inode(void *arg, const struct bt_item *it, struct lcpfs_error *err)
{
	char what[300];
	struct inode i;

	(void)err;
	if (it->klen == 9 && it->key[0] == ITEM_INODE && !inode_decode(&i, it->val, it->vlen, NULL, NULL, NULL) && i.data_id)
		tell_contents(arg, i.data_id, be64_load(it->key + 1), "");
	if (it->key[0] == ITEM_XATTR && it->klen > 10 && it->vlen == 17 && it->val[0] == 1) {
		snprintf(what, sizeof what, "value of attribute '%.*s'", it->klen - 10, it->key + 10);
		tell_contents(arg, le_load(it->val + 1, 8), be64_load(it->key + 1), what);
	}
	return 0;
}

static int walk_types(struct owner *o, uint8_t first, uint8_t last,
                      int (*item)(void *arg, const struct bt_item *it, struct lcpfs_error *err), struct lcpfs_error *err)
{
	struct ck_walk w = { .item = item, .bad = pass_over, .arg = o };
	uint8_t range[2];

	ck_walk_types(&w, first, last, range);
	return ck_walk(o->ck, &o->ds->rec.root, &w, err);
}

/* Damage that leads to no file of this dataset: its content is unknown, or belongs to nobody. */
static void tell_rest(struct owner *o)
{
	char what[60];

	for (size_t i = 0; i < o->n_c; i++) {
		struct ck_where w = { .offset = o->c[i].off, .length = o->c[i].len };

		snprintf(what, sizeof what, "content %" PRIu64 " of no file that is known", o->c[i].data_id);
		if (!o->c[i].found)
			tell(o, &o->dmg[o->c[i].dmg], &w, what);
	}
	for (size_t i = 0; i < o->n_p; i++) {
		struct ck_where w = { 0 };

		snprintf(what, sizeof what, "pack %" PRIu64 " without known files", o->p[i].id);
		if (!o->p[i].found)
			tell(o, &o->dmg[o->p[i].dmg], &w, what);
	}
}

static int of_dataset(struct owner *o, struct lcpfs_error *err)
{
	struct ck_walk w = { .node = on_node, .item = on_data, .bad = pass_over, .arg = o };
	int rc = ck_walk(o->ck, &o->ds->rec.root, &w, err);

	if (!rc && o->n_p)
		rc = walk_types(o, ITEM_SLICE, ITEM_SLICE, on_slice, err);
	if (!rc && o->n_c) {
		qsort(o->c, o->n_c, sizeof *o->c, content_cmp);
		rc = walk_types(o, ITEM_INODE, ITEM_XATTR, on_inode, err);
	}
	if (!rc)
		tell_rest(o);
	return rc ? rc : ck_flush(o->ck, err);
}

int owner_report(struct check *ck, struct damage *dmg, size_t n, struct lcpfs_error *err)
{
	struct owner o = { .ck = ck, .dmg = dmg, .n_dmg = n };
	int rc = 0;

	if (!n)
		return 0;
	qsort(dmg, n, sizeof *dmg, dmg_cmp);
	for (size_t i = 0; !rc && i < ck->n_ds; i++) {
		o.ds = &ck->ds[i];
		o.n_c = o.n_p = 0;
		rc = of_dataset(&o, err);
	}
	for (size_t i = 0; !rc && i < n; i++) {
		struct ck_where w = { .addr = dmg[i].bp.addr, .stays = true };

		if (!dmg[i].told)
			ck_report(ck, problem_of(&dmg[i]), &w, "%s, in %s", dmg[i].why, ck_tree_name(ck, dmg[i].ds));
	}
	free(o.c);
	free(o.p);
	return rc;
}
