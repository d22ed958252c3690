/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs_recv: a stream into hidden clones, checkpoint by checkpoint, and what is left when it breaks off. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

static int fill_state(struct receiver *r, const struct frame_begin *b, struct lcpfs_error *err)
{
	struct recv_state *st = &r->st;

	recv_state_fini(st);
	*st = (struct recv_state){ .flags = r->o->resumable ? RECV_RESUMABLE : 0, .from = b->from, .to = b->to, .index = b->index,
		.count = b->count, .created_s = b->created_s, .created_ns = b->created_ns, .ckpt_bytes = b->ckpt_bytes };
	memcpy(st->uuid, b->uuid, sizeof st->uuid);
	st->target = strdup(r->target);
	st->rel = strdup(b->rel);
	st->snap = strdup(b->to_snap);
	return st->target && st->rel && st->snap ? 0 : lcpfs_nomem(err);
}

/* Numbers of new packs: above the highest in the tree. */
static int first_pack(struct receiver *r, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[KEY_MAX];
	int rc = btree_seek_le(r->ds->tree, &c, key, item_key(key, ITEM_PACK, UINT64_MAX), err);

	r->st.next_pack = SEQ_FIRST;
	if (!rc && c.item.klen == 9 && c.item.key[0] == ITEM_PACK)
		r->st.next_pack = MAX(SEQ_FIRST, stream_key_object(c.item.key) + 1);
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static int hide_props(struct receiver *r, const struct frame_begin *b, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < b->n_props && !rc; i++)
		if (strncmp(b->props[i].name, "hold:", 5) != 0 && b->props[i].name[0] != '.')
			rc = dmu_prop_set(r->spa, r->st.hidden, b->props[i].name, b->props[i].value, err);
	return rc;
}

static int new_hidden(struct receiver *r, const struct frame_begin *b, struct lcpfs_error *err)
{
	struct dsrec head;
	struct buf name = { 0 };
	uint64_t base, parent = DS_ROOT_ID;
	int rc = recv_target_check(r, &r->st, &base, err);

	if (!rc)
		rc = recv_target_name(r->st.target, r->st.rel, &name, err);
	if (!rc && dmu_lookup(r->spa, (const char *)name.data, &head, NULL) == 0)
		parent = head.id;
	buf_fini(&name);
	if (!rc)
		rc = dmu_hidden_create(r->spa, base, parent, &r->ds, err);
	if (rc)
		return rc;
	r->st.hidden = r->ds->rec.id;
	rc = hide_props(r, b, err);
	return rc ? rc : first_pack(r, err);
}

/* A new stream: what an older one left in the way goes, or is asked about. */
static int clear_old(struct receiver *r, struct lcpfs_error *err)
{
	struct recv_state *list;
	size_t n;
	int rc = recv_state_list(r->spa, r->target, &list, &n, err);

	for (size_t i = 0; i < n && !rc; i++)
		if (list[i].flags & RECV_RESUMABLE)
			rc = lcpfs_fail(err, LCPFS_EBUSY, "a receive into '%s' is under way: resume it or give it up", r->target);
	for (size_t i = 0; i < n && !rc; i++)
		rc = recv_state_drop(r->spa, &list[i], err);
	recv_state_list_free(list, n);
	return rc;
}

/* Is this the state that the sender goes on from? */
static int check_resumed(const struct recv_state *last, const struct frame_begin *b, struct lcpfs_error *err)
{
	uint32_t index = last->index + (last->flags & RECV_DONE ? 1 : 0);

	if (index != b->index || last->pos.seq != b->pos.seq || last->pos.klen != b->pos.klen ||
	    memcmp(last->pos.running, b->pos.running, sizeof b->pos.running) ||
	    memcmp(last->pos.key, b->pos.key, b->pos.klen))
		return lcpfs_fail(err, LCPFS_EINVAL, "the stream does not go on where the receive stopped: send with its token");
	return 0;
}

static int adopt(struct receiver *r, struct recv_state *list, size_t n, const struct frame_begin *b, struct lcpfs_error *err)
{
	struct recv_state *last = &list[n - 1];
	bool fresh = last->flags & RECV_DONE;
	int rc = check_resumed(last, b, err);

	for (size_t i = 0; i < n && !rc; i++)
		if (list[i].index != i || (!(list[i].flags & RECV_DONE) && i + 1 < n) || memcmp(list[i].uuid, b->uuid, sizeof b->uuid))
			rc = lcpfs_fail(err, LCPFS_EINVAL, "the receive under way is of another stream");
	if (!rc && !fresh) {
		r->st.hidden = last->hidden;
		r->st.pos = last->pos;
		rc = dmu_open_id(r->spa, last->hidden, &r->ds, err);
		if (!rc)
			rc = first_pack(r, err);
	}
	if (rc)
		return rc;
	r->done = calloc(n, sizeof *r->done);
	if (!r->done)
		return lcpfs_nomem(err);
	r->n_done = fresh ? n : n - 1;
	memcpy(r->done, list, r->n_done * sizeof *list);
	memset(list, 0, r->n_done * sizeof *list); /* their strings moved */
	r->keep_state = r->o->resumable;
	return fresh ? new_hidden(r, b, err) : 0;
}

static int resume(struct receiver *r, const struct frame_begin *b, struct lcpfs_error *err)
{
	struct recv_state *list;
	size_t n;
	int rc = recv_state_list(r->spa, r->target, &list, &n, err);

	if (!rc && !n)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "a resumed stream, but no receive into '%s' is under way", r->target);
	if (!rc)
		rc = adopt(r, list, n, b, err);
	recv_state_list_free(list, n);
	return rc;
}

static int recv_begin(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	const struct frame_begin *b = &in->begin;
	struct receiver *r = arg;
	int rc = fill_state(r, b, err);

	if (!rc && b->flags & BEGIN_COLUMNS)
		rc = spa_columns_need(r->spa, err);
	if (rc)
		return rc;
	r->pack.open = false;
	if (b->flags & BEGIN_RESUMED)
		return resume(r, b, err);
	if (b->index == 0)
		rc = clear_old(r, err);
	return rc ? rc : new_hidden(r, b, err);
}

static int recv_item(void *arg, const struct frame_item *i, const struct pack_ent *slice, struct lcpfs_error *err)
{
	return apply_item(arg, i, slice, err);
}

static int recv_extent(void *arg, const struct frame_extent *e, struct lcpfs_error *err)
{
	return apply_extent(arg, e, err);
}

static int recv_pack(void *arg, const struct frame_block *b, struct lcpfs_error *err)
{
	return apply_pack(arg, b, err);
}

static int save(struct receiver *r, struct lcpfs_error *err)
{
	int rc = recv_state_put(r->spa, &r->st, err);

	if (!rc)
		rc = spa_commit(r->spa, err);
	if (!rc)
		r->keep_state = r->o->resumable;
	return rc;
}

static int recv_ckpt(void *arg, struct stream_in *in, const struct frame_pos *after, struct lcpfs_error *err)
{
	struct receiver *r = arg;
	int rc = apply_pack_close(r, err);

	(void)in;
	if (rc)
		return rc;
	r->st.pos = *after;
	return save(r, err);
}

static int recv_end(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct receiver *r = arg;
	struct recv_state *p;
	int rc = apply_pack_close(r, err);

	if (!rc && r->loose)
		rc = apply_fill_gaps(r, err);
	if (!rc)
		rc = apply_check_tree(r, err);
	if (rc)
		return rc;
	in_pos(in, &r->st.pos);
	r->st.pos.counts = (struct frame_counts){ 0 };
	r->st.flags |= RECV_DONE;
	p = realloc(r->done, (r->n_done + 1) * sizeof *p);
	if (!p)
		return lcpfs_nomem(err);
	r->done = p;
	rc = r->st.count > 1 ? save(r, err) : 0;
	if (rc)
		return rc;
	r->done[r->n_done++] = r->st;
	r->st = (struct recv_state){ 0 };
	dmu_close(r->ds);
	r->ds = NULL;
	return 0;
}

/* The stream broke off: keep the last checkpoint, or drop everything. Its failure is the one to report. */
static void give_up(struct receiver *r)
{
	int rc = apply_pack_close(r, NULL);
	bool mid = r->ds != NULL, has = mid && r->st.pos.klen;

	dmu_close(r->ds);
	r->ds = NULL;
	if (!rc && mid && !(r->keep_state && has))
		rc = recv_state_drop(r->spa, &r->st, NULL);
	for (size_t i = 0; i < r->n_done && !rc && !r->keep_state; i++)
		rc = recv_state_drop(r->spa, &r->done[i], NULL);
	if (!rc && r->spa->changed)
		spa_commit(r->spa, NULL);
}

static int dry_begin(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct receiver *r = arg;
	uint64_t base;
	int rc = fill_state(r, &in->begin, err);

	return rc ? rc : recv_target_check(r, &r->st, &base, err);
}

static int dry_end(void *arg, struct stream_in *in, struct lcpfs_error *err)
{
	struct receiver *r = arg;
	struct buf b = { 0 };
	int rc;

	(void)in;
	if (r->snap_name)
		return 0;
	rc = recv_target_name(r->st.target, r->st.rel, &b, err);
	buf_printf(&b, "@%s", r->st.snap);
	if (rc || b.failed) {
		buf_fini(&b);
		return lcpfs_nomem(err);
	}
	r->snap_name = (char *)b.data;
	return 0;
}

static int run_dry(struct receiver *r, struct lcpfs_error *err)
{
	static const struct stream_ops ops = { .begin = dry_begin, .end = dry_end };

	return in_run(&r->in, &ops, r, err);
}

int recv_run(struct receiver *r, struct lcpfs_error *err)
{
	static const struct stream_ops ops = { .begin = recv_begin, .item = recv_item, .extent = recv_extent, .pack = recv_pack,
		.ckpt = recv_ckpt, .end = recv_end };
	struct lcpfs_error mine = { 0 }, *why = err ? err : &mine;
	int rc = spa_may_write(r->spa, err);

	if (!rc && r->spa->changed)
		rc = spa_commit(r->spa, err);
	if (rc)
		return rc;
	/*
	 * Their hash is verified. Decoding each only to drop it would take most of the time, and protects nobody: who can forge that hash can
	 * as well send content that decodes to anything.
	 */
	r->in.contents_unseen = true;
	rc = in_run(&r->in, &ops, r, err);
	if (!rc)
		rc = recv_publish(r, why);
	if (rc && r->publishing && !r->spa->dead) {
		/* half of it has its name: what this handle knows must never be committed */
		r->spa->dead = rc;
		r->spa->dead_err = *why;
	} else if (rc && !r->spa->dead) {
		give_up(r);
	}
	return rc;
}

void recv_fini(struct receiver *r)
{
	dmu_close(r->ds);
	in_fini(&r->in);
	recv_state_fini(&r->st);
	recv_state_list_free(r->done, r->n_done);
	free(r->snap_name);
}

int lcpfs_recv(struct lcpfs_pool *p, const struct lcpfs_recv_opts *o, lcpfs_read_fn *read, void *read_arg, char **snap,
               struct lcpfs_error *err)
{
	static const struct lcpfs_recv_opts defaults;
	struct receiver r = { .pool = p, .spa = p->spa, .o = o ? o : &defaults };
	int rc = in_init(&r.in, read, read_arg, err);

	r.target = r.o->target ? r.o->target : "";
	r.in.threads = p->spa->threads;
	r.in.progress = r.o->progress;
	r.in.progress_arg = r.o->arg;
	if (snap)
		*snap = NULL;
	if (!rc)
		rc = r.o->dry_run ? run_dry(&r, err) : recv_run(&r, err);
	if (!rc && snap) {
		*snap = r.snap_name;
		r.snap_name = NULL;
	}
	recv_fini(&r);
	return rc ? lcpfs_within(err, rc, "cannot receive into '%s'", r.target) : 0;
}
