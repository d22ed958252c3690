/* SPDX-License-Identifier: Apache-2.0 */
/* Where a stream may go, and giving what arrived its name: all datasets of the stream in one commit. */
#include "base/log.h"
#include "stream_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int recv_target_name(const char *target, const char *rel, struct buf *out, struct lcpfs_error *err)
{
	buf_printf(out, "%s%s%s", target, target[0] && rel[0] ? "/" : "", rel);
	return out->failed ? lcpfs_nomem(err) : 0;
}

struct find_guid { uint64_t guid; struct dsrec *out; bool found; };

static int match_guid(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	struct find_guid *f = arg;

	(void)name;
	(void)err;
	if (r->guid != f->guid)
		return 0;
	*f->out = *r;
	f->found = true;
	return 1;
}

int stream_find_guid(struct spa *s, const char *name, uint64_t guid, struct dsrec *out, struct lcpfs_error *err)
{
	struct find_guid f = { guid, out, false };
	struct dsrec r;
	int rc = dmu_lookup(s, name, &r, err);

	if (!rc)
		rc = dmu_each(s, r.id, true, match_guid, &f, err);
	if (rc < 0 || f.found)
		return rc < 0 ? rc : 0;
	while (r.prev_snap) { /* a clone's base may be its origin */
		rc = dmu_rec_get(s, r.prev_snap, &r, err);
		if (rc)
			return rc;
		if (r.guid == guid) {
			*out = r;
			return 0;
		}
	}
	return -LCPFS_ENOENT;
}

static bool same_root(const struct dsrec *a, const struct dsrec *b)
{
	return ptr_is_null(&a->root) ? ptr_is_null(&b->root) : ptr_same(&a->root, &b->root);
}

static bool may_replace(const struct receiver *r)
{
	return r->o->force || r->o->keep;
}

static int count_one(void *arg, const char *name, const struct dsrec *r, struct lcpfs_error *err)
{
	(void)name;
	(void)r;
	(void)err;
	*(bool *)arg = true;
	return 1;
}

/* A full stream takes the place of a head that has nothing in it. */
static int check_full(struct receiver *r, const char *name, const struct dsrec *head, struct lcpfs_error *err)
{
	bool snaps = false;
	int rc = dmu_each(r->spa, head->id, true, count_one, &snaps, err);

	if (rc < 0 || may_replace(r))
		return rc < 0 ? rc : 0;
	if (snaps || head->prev_snap || head->n_inodes > 1)
		return lcpfs_fail(err, LCPFS_EEXIST, "dataset '%s' is not empty: receive elsewhere, or consent to replacing it", name);
	return 0;
}

static int check_incremental(struct receiver *r, const char *name, const struct dsrec *head, const struct recv_state *st, uint64_t *base,
                             struct lcpfs_error *err)
{
	struct dsrec b;
	int rc = stream_find_guid(r->spa, name, st->from, &b, err);

	if (rc == -LCPFS_ENOENT)
		return lcpfs_fail(err, LCPFS_ENOENT, "'%s' has no snapshot with guid %016" PRIx64 " ('@%s') to apply it to", name, st->from,
		    r->in.begin.from_snap ? r->in.begin.from_snap : "?");
	if (rc)
		return rc;
	if (!same_root(head, &b) && !may_replace(r))
		return lcpfs_fail(err, LCPFS_EEXIST, "'%s' has changed since the snapshot the stream starts from: keep or drop that first",
		    name);
	*base = b.id;
	return 0;
}

static int check_snap_free(struct receiver *r, const char *name, const struct recv_state *st, struct lcpfs_error *err)
{
	struct buf full = { 0 };
	struct dsrec other;
	int rc;

	buf_printf(&full, "%s@%s", name, st->snap);
	rc = full.failed ? lcpfs_nomem(err) : dmu_lookup(r->spa, (const char *)full.data, &other, err);
	if (!rc)
		rc = lcpfs_fail(err, LCPFS_EEXIST, other.guid == st->to ? "'%s' is there already" :
		    "another snapshot '%s' is there already", (const char *)full.data);
	else if (rc == -LCPFS_ENOENT)
		rc = 0;
	buf_fini(&full);
	if (!rc && stream_find_guid(r->spa, name, st->to, &other, NULL) == 0)
		rc = lcpfs_fail(err, LCPFS_EEXIST, "'%s' has this snapshot already, under another name", name);
	return rc;
}

/* An open head would lose its tree. */
static bool is_open(struct spa *s, uint64_t id)
{
	for (struct spa_client *c = s->clients; c; c = c->next)
		if (c->order == id)
			return container_of(c, struct dataset, client)->refs;
	return false;
}

static int check_existing(struct receiver *r, const char *name, const struct dsrec *head, const struct recv_state *st, uint64_t *base,
                          struct lcpfs_error *err)
{
	int rc;

	if (head->kind != DS_FS && head->kind != DS_BRANCH)
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is no dataset to receive into", name);
	if (is_open(r->spa, head->id))
		return lcpfs_fail(err, LCPFS_EBUSY, "'%s' is open", name);
	rc = check_snap_free(r, name, st, err);
	if (rc)
		return rc;
	return st->from ? check_incremental(r, name, head, st, base, err) : check_full(r, name, head, err);
}

int recv_target_check(struct receiver *r, const struct recv_state *st, uint64_t *base, struct lcpfs_error *err)
{
	struct buf name = { 0 };
	struct dsrec head;
	int rc = recv_target_name(st->target, st->rel, &name, err);

	*base = 0;
	if (!rc && !config_name_ok(st->snap, strlen(st->snap), NAME_MAX_BYTES - 1))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "the stream's snapshot has a bad name");
	if (r->loose) {
		buf_fini(&name);
		return rc;
	}
	if (!rc)
		rc = dmu_lookup(r->spa, (const char *)name.data, &head, err);
	if (!rc)
		rc = check_existing(r, (const char *)name.data, &head, st, base, err);
	else if (rc == -LCPFS_ENOENT && !st->from)
		rc = 0; /* it will be made */
	buf_fini(&name);
	return rc;
}

static int give_prop(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	struct frame_prop **list = arg, *p = *list;
	size_t n = 0;

	while (p && p[n].name)
		n++;
	p = realloc(*list, (n + 2) * sizeof *p);
	if (!p)
		return lcpfs_nomem(err);
	*list = p;
	p[n] = (struct frame_prop){ strdup(name), strdup(value) };
	p[n + 1] = (struct frame_prop){ 0 };
	return p[n].name && p[n].value ? 0 : lcpfs_nomem(err);
}

/* One that this version does not know is no reason to refuse what came with it. */
static int set_prop(struct receiver *r, const char *name, const struct frame_prop *p, struct lcpfs_error *err)
{
	int rc = lcpfs_prop_set(r->pool, name, p->name, p->value, err);

	if (rc == -LCPFS_EINVAL)
		log_msg(LCPFS_LOG_WARN, "stream", "property '%s' of '%s' is not taken over", p->name, name);
	return rc == -LCPFS_EINVAL ? 0 : rc;
}

/* Properties go from the hidden dataset to the head. */
static int move_props(struct receiver *r, const char *name, uint64_t hidden, struct lcpfs_error *err)
{
	struct frame_prop *list = NULL;
	int rc = dmu_prop_each(r->spa, hidden, give_prop, &list, err);

	for (struct frame_prop *p = list; p && p->name; p++) {
		if (!rc && p->value)
			rc = set_prop(r, name, p, err);
		if (!rc)
			rc = dmu_prop_set(r->spa, hidden, p->name, NULL, err);
		free(p->name);
		free(p->value);
	}
	free(list);
	return rc;
}

static int head_of(struct receiver *r, const char *name, struct dsrec *head, struct lcpfs_error *err)
{
	int rc = dmu_lookup(r->spa, name, head, err);

	if (rc != -LCPFS_ENOENT)
		return rc;
	rc = lcpfs_dataset_create(r->pool, name, true, err);
	return rc ? rc : dmu_lookup(r->spa, name, head, err);
}

static int publish_one(struct receiver *r, const struct recv_state *st, uint64_t base, struct lcpfs_error *err)
{
	struct buf name = { 0 };
	struct dsrec head, b = { 0 };
	struct dataset *hidden;
	uint64_t snap = 0;
	bool moved = false;
	int rc = recv_target_name(st->target, st->rel, &name, err);

	if (!rc)
		rc = head_of(r, (const char *)name.data, &head, err);
	if (!rc && base)
		rc = dmu_rec_get(r->spa, base, &b, err);
	if (!rc)
		moved = base ? !same_root(&head, &b) : head.n_inodes > 1;
	if (!rc)
		rc = move_props(r, (const char *)name.data, st->hidden, err);
	if (!rc)
		rc = recv_state_del(r->spa, st->hidden, err);
	if (!rc)
		rc = dmu_open_id(r->spa, st->hidden, &hidden, err);
	if (!rc)
		rc = dmu_hidden_publish(r->spa, hidden, head.id, st->snap, st->to, &snap, err);
	if (!rc)
		rc = dmu_rec_get(r->spa, snap, &b, err);
	b.created_s = st->created_s;
	b.created_ns = st->created_ns;
	if (!rc)
		rc = dmu_rec_put(r->spa, &b, err);
	if (!rc)
		rc = dmu_rebase(r->spa, head.id, snap, moved ? r->o->keep : NULL, err);
	buf_fini(&name);
	return rc;
}

static int full_snap_name(const struct recv_state *st, char **out, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = recv_target_name(st->target, st->rel, &b, err);

	buf_printf(&b, "@%s", st->snap);
	if (rc || b.failed) {
		buf_fini(&b);
		return lcpfs_nomem(err);
	}
	*out = (char *)b.data;
	return 0;
}

int recv_publish(struct receiver *r, struct lcpfs_error *err)
{
	uint64_t *base = calloc(r->n_done ? r->n_done : 1, sizeof *base);
	int rc = base ? 0 : lcpfs_nomem(err);

	for (size_t i = 0; i < r->n_done && !rc; i++)
		rc = recv_target_check(r, &r->done[i], &base[i], err);
	if (!rc)
		rc = full_snap_name(&r->done[0], &r->snap_name, err);
	/* from here on what fails leaves a handle that must not commit */
	r->publishing = !rc;
	for (size_t i = 0; i < r->n_done && !rc; i++)
		rc = publish_one(r, &r->done[i], base[i], err);
	if (!rc)
		rc = spa_commit(r->spa, err);
	free(base);
	return rc;
}
