/* SPDX-License-Identifier: Apache-2.0 */
/* Which datasets there are: by the pool tree, and where that is lost, by the numbers that nodes carry of the tree they were written for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

#define GUID_FIRST 3u /* 1 and 2 are the pool's own trees */
#define DEPTH_MAX 64u /* of names */

struct rec { struct dsrec r; bool old; };
struct name { uint64_t parent, id; char text[NAME_MAX_BYTES + 1]; };
struct pool_items {
	struct sal *s;
	struct rec *rec;
	struct name *name;
	size_t n_rec, cap_rec, n_name, cap_name;
};

static struct rec *rec_of(const struct pool_items *p, uint64_t id)
{
	for (size_t i = 0; i < p->n_rec; i++)
		if (p->rec[i].r.id == id)
			return &p->rec[i];
	return NULL;
}

static int take_rec(struct pool_items *p, const struct gather_item *it, struct lcpfs_error *err)
{
	struct dsrec r;
	int rc;

	if (it->klen != 9 || it->nptr > 1 || dsrec_decode(&r, it->val, it->vlen, it->nptr ? it->ptrs : NULL, NULL))
		return 0;
	if (r.id != be64_load(it->key + 1) || rec_of(p, r.id))
		return 0;
	rc = sal_room(&p->rec, p->n_rec, &p->cap_rec, sizeof *p->rec, err);
	if (!rc)
		p->rec[p->n_rec++] = (struct rec){ r, it->old };
	return rc;
}

static int take_name(struct pool_items *p, const struct gather_item *it, struct lcpfs_error *err)
{
	size_t len = it->klen - (size_t)9;
	const char *text = (const char *)it->key + 9;
	struct name *n;
	int rc;

	if (it->klen <= 9 || it->vlen != 8 || !config_name_ok(text + (*text == '@'), len - (*text == '@'), NAME_MAX_BYTES))
		return 0;
	for (size_t i = 0; i < p->n_name; i++)
		if (p->name[i].id == le_load(it->val, 8))
			return 0;
	rc = sal_room(&p->name, p->n_name, &p->cap_name, sizeof *p->name, err);
	if (rc)
		return rc;
	n = &p->name[p->n_name++];
	*n = (struct name){ .parent = be64_load(it->key + 1), .id = le_load(it->val, 8) };
	memcpy(n->text, text, len);
	return 0;
}

static int take_item(void *arg, const struct gather_item *it, struct lcpfs_error *err)
{
	if (it->klen && it->key[0] == TBL_DS)
		return take_rec(arg, it, err);
	return it->klen && it->key[0] == TBL_NAME ? take_name(arg, it, err) : 0;
}

/* "home/ann@mon" into buf; false: some part of it is lost. */
static bool full_name(const struct pool_items *p, uint64_t id, unsigned depth, struct buf *out)
{
	const struct name *n = NULL;

	if (id == DS_ROOT_ID)
		return true;
	for (size_t i = 0; !n && i < p->n_name; i++)
		if (p->name[i].id == id)
			n = &p->name[i];
	if (!n || depth == DEPTH_MAX || !full_name(p, n->parent, depth + 1, out))
		return false;
	if (out->len && n->text[0] != '@')
		buf_u8(out, '/');
	buf_add(out, n->text, strlen(n->text));
	return !out->failed;
}

static int add_head(struct sal *s, const struct rec *r, uint64_t guid, const char *name, struct lcpfs_error *err)
{
	struct head *h;
	int rc = sal_room(&s->head, s->n_head, &s->cap_head, sizeof *h, err);

	if (rc)
		return rc;
	h = &s->head[s->n_head];
	*h = (struct head){ .guid = guid, .name = name ? strdup(name) : NULL };
	if (r) {
		h->rec = r->r;
		h->id = r->r.id;
	}
	if (!name) {
		h->nameless = true;
		h->name = malloc(32);
		if (h->name)
			snprintf(h->name, 32, "dataset-%016" PRIx64, guid);
	}
	if (!h->name)
		return lcpfs_nomem(err);
	snprintf(h->inner, sizeof h->inner, "d%zu", s->n_head++);
	return 0;
}

/* Nodes of what this one came from, as they were then. */
static void note_origins(struct head *h, const struct pool_items *p)
{
	const struct dsrec *r = &h->rec;

	h->n_origin = 0;
	for (unsigned i = 0; r && i < HEAD_ORIGINS; i++) {
		const struct rec *snap = r->kind == DS_SNAPSHOT ? rec_of(p, r->id) : rec_of(p, r->prev_snap);
		const struct rec *of = snap ? rec_of(p, snap->r.parent) : NULL;

		if (of)
			h->origin[h->n_origin++] = (struct gather_guid){ of->r.guid, snap->r.created_txg };
		r = snap ? &snap->r : NULL;
		if (r) {
			const struct rec *before = rec_of(p, r->prev_snap);

			r = before && before->r.created_txg < snap->r.created_txg ? &before->r : NULL;
		}
	}
}

static bool wanted(const struct sal *s, const struct dsrec *r, const char *name)
{
	if (s->o.dataset)
		return name && strcmp(name, s->o.dataset) == 0;
	return r->kind == DS_FS || (r->kind == DS_SNAPSHOT && s->o.flags & LCPFS_SALVAGE_SNAPSHOTS);
}

static int add_known(struct sal *s, const struct pool_items *p, struct lcpfs_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < p->n_rec; i++) {
		const struct rec *r = &p->rec[i];
		struct buf name = { 0 };
		bool named = full_name(p, r->r.id, 0, &name);

		buf_u8(&name, 0);
		if (name.failed)
			rc = lcpfs_nomem(err);
		else if (wanted(s, &r->r, named ? (const char *)name.data : NULL))
			rc = add_head(s, r, r->r.guid, named ? (const char *)name.data : NULL, err);
		else
			r = NULL;
		if (!rc && r) {
			s->head[s->n_head - 1].rec_old = r->old;
			note_origins(&s->head[s->n_head - 1], p);
		}
		buf_fini(&name);
	}
	return rc;
}

/* Trees that nodes were written for and no record is there of. */
static int add_unknown(struct sal *s, const struct pool_items *p, struct lcpfs_error *err)
{
	size_t first = s->n_head;
	int rc = 0;

	for (size_t i = 0; !rc && i < s->n_found; i++) {
		uint64_t guid = s->found[i].guid;
		bool known = guid < GUID_FIRST || (i && guid == s->found[i - 1].guid);

		for (size_t k = 0; !known && k < p->n_rec; k++)
			known = p->rec[k].r.guid == guid;
		for (size_t k = first; !known && k < s->n_head; k++)
			known = s->head[k].guid == guid;
		if (!known)
			rc = add_head(s, NULL, guid, NULL, err);
	}
	/* the only one is the root dataset */
	if (!rc && s->n_head == 1 && first == 0)
		s->head[0].name[0] = 0;
	return rc;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct head *)x)->name, ((const struct head *)y)->name);
}

static int newest_first(const void *x, const void *y)
{
	const struct found_uber *a = x, *b = y;

	return a->ub.txg != b->ub.txg ? (a->ub.txg < b->ub.txg ? 1 : -1) : (a->off > b->off) - (a->off < b->off);
}

/* The pool's uuid: of a label, else of the uberblock that lies first. An image may have others inside its files. */
static void choose_pool(struct sal *s)
{
	const uint64_t place[2] = { LABEL_LEN, s->size >= LABEL_LEN ? round_down(s->size, UNIT) - LABEL_LEN : 0 };
	uint8_t raw[LABEL_LEN];
	struct label l;
	size_t n = 0, first = 0;

	for (unsigned i = 0; i < 2 && !s->have_uuid; i++) {
		media_read(s, place[i], raw, sizeof raw);
		if (!label_decode(&l, raw, NULL)) {
			memcpy(s->uuid, l.pool_uuid, 16);
			s->have_uuid = true;
		}
	}
	for (size_t i = 1; i < s->n_uber; i++)
		if (s->uber[i].off < s->uber[first].off)
			first = i;
	if (!s->have_uuid && s->n_uber) {
		memcpy(s->uuid, s->uber[first].ub.pool_uuid, 16);
		s->have_uuid = true;
	}
	for (size_t i = 0; i < s->n_uber; i++)
		if (!memcmp(s->uber[i].ub.pool_uuid, s->uuid, 16))
			s->uber[n++] = s->uber[i];
	s->n_uber = n;
	if (n)
		qsort(s->uber, n, sizeof *s->uber, newest_first);
}

static int find_roots(struct sal *s, struct lcpfs_error *err)
{
	int rc = scan_labels(s, err);

	if (!rc)
		choose_pool(s);
	if (!rc)
		rc = map_configs(s, err);
	if (!rc && (!s->n_uber || !s->have_config || s->o.flags & LCPFS_SALVAGE_SCAN)) {
		rc = scan_all(s, err);
		if (!rc)
			choose_pool(s);
		if (!rc)
			rc = map_configs(s, err);
	}
	return rc;
}

int heads_find(struct sal *s, struct lcpfs_error *err)
{
	struct pool_items p = { .s = s };
	struct gather g = { .s = s, .item = take_item, .arg = &p };
	int rc = find_roots(s, err);

	gather_guid_add(&g, 1, UINT64_MAX);
	if (!rc)
		rc = gather_run(&g, s->n_uber ? &s->uber[0].ub.pool_root : NULL, err);
	s->pool_whole = !g.lost_nodes;
	if (s->n_uber && !g.root_lost)
		s->st.txg = s->uber[0].ub.txg;
	if (!rc)
		rc = add_known(s, &p, err);
	if (!rc && !s->pool_whole && !s->o.dataset)
		rc = add_unknown(s, &p, err);
	if (!rc && s->n_head)
		qsort(s->head, s->n_head, sizeof *s->head, by_name);
	/* packs have contents with numbers, if no names */
	if (!rc && !s->n_head && !s->o.dataset) {
		rc = scan_all(s, err);
		if (!rc && s->n_frame)
			rc = add_head(s, NULL, 0, "", err);
	}
	gather_fini(&g);
	free(p.rec);
	free(p.name);
	if (!rc && !s->n_head)
		rc = s->o.dataset ? lcpfs_fail(err, LCPFS_ENOENT, "%s: no dataset '%s' was found", s->dev->name, s->o.dataset) :
		    lcpfs_fail(err, LCPFS_ECORRUPT, "%s: nothing of a pool was found", s->dev->name);
	return rc;
}

void heads_fini(struct sal *s)
{
	for (size_t i = 0; i < s->n_head; i++) {
		struct head *h = &s->head[i];

		free(h->name);
		free(h->loss);
		free(h->iloss);
		for (size_t k = 0; k < h->n_gone; k++)
			free(h->gone[k].name);
		free(h->gone);
		inoset_fini(&h->old);
		inoset_fini(&h->guessed);
		inoset_fini(&h->unnamed);
		buf_fini(&h->holes);
	}
	free(s->head);
	s->head = NULL;
	s->n_head = 0;
}
