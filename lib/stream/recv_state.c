/* SPDX-License-Identifier: Apache-2.0 */
/* What the pool remembers of receives under way: a record beside each hidden dataset, as of its last checkpoint. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdlib.h>

#define STATE_VERSION 1u

static void put_text(struct buf *b, const char *s)
{
	buf_le16(b, (uint16_t)strlen(s));
	buf_add(b, s, strlen(s));
}

static char *take_text(struct cur *c)
{
	uint16_t n = cur_le16(c);
	const uint8_t *p = cur_bytes(c, n);

	return p && !memchr(p, 0, n) ? strndup((const char *)p, n) : NULL;
}

int recv_state_put(struct spa *s, const struct recv_state *st, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	uint8_t key[POOL_KEY_MAX];
	int rc;

	buf_u8(&b, STATE_VERSION);
	buf_u8(&b, st->flags);
	buf_add(&b, st->uuid, sizeof st->uuid);
	buf_le64(&b, st->from);
	buf_le64(&b, st->to);
	buf_le32(&b, st->index);
	buf_le32(&b, st->count);
	buf_le64(&b, (uint64_t)st->created_s);
	buf_le32(&b, st->created_ns);
	buf_le64(&b, st->ckpt_bytes);
	frame_pos_encode(&st->pos, &b);
	put_text(&b, st->target);
	put_text(&b, st->rel);
	put_text(&b, st->snap);
	if (b.failed)
		rc = lcpfs_nomem(err);
	else if (b.len > VAL_MAX)
		rc = lcpfs_fail(err, LCPFS_ENAMETOOLONG, "names of the stream are too long");
	else
		rc = btree_put(s->pool_tree, key, key_u64(key, TBL_RECV, st->hidden), b.data, b.len, NULL, 0, 0, err);
	s->changed = true;
	buf_fini(&b);
	return rc;
}

int recv_state_del(struct spa *s, uint64_t hidden, struct lcpfs_error *err)
{
	uint8_t key[POOL_KEY_MAX];
	int rc = btree_del(s->pool_tree, key, key_u64(key, TBL_RECV, hidden), 0, err);

	s->changed = true;
	return rc < 0 ? rc : 0;
}

void recv_state_fini(struct recv_state *st)
{
	free(st->target);
	free(st->rel);
	free(st->snap);
	st->target = st->rel = st->snap = NULL;
}

static int state_decode(struct recv_state *out, uint64_t hidden, const uint8_t *val, size_t len, struct lcpfs_error *err)
{
	struct recv_state st = { .hidden = hidden };
	struct cur c = cur_of(val, len);
	unsigned version = cur_u8(&c);
	const uint8_t *uuid;
	int rc;

	st.flags = cur_u8(&c);
	uuid = cur_bytes(&c, sizeof st.uuid);
	if (version != STATE_VERSION || !uuid)
		return lcpfs_fail(err, LCPFS_EUNSUP, "receive %" PRIu64 ": record of version %u", hidden, version);
	memcpy(st.uuid, uuid, sizeof st.uuid);
	st.from = cur_le64(&c);
	st.to = cur_le64(&c);
	st.index = cur_le32(&c);
	st.count = cur_le32(&c);
	st.created_s = (int64_t)cur_le64(&c);
	st.created_ns = cur_le32(&c);
	st.ckpt_bytes = cur_le64(&c);
	rc = frame_pos_decode(&st.pos, &c, err);
	if (rc)
		return rc;
	st.target = take_text(&c);
	st.rel = st.target ? take_text(&c) : NULL;
	st.snap = st.rel ? take_text(&c) : NULL;
	if (!st.snap || cur_left(&c) || !st.ckpt_bytes || st.index >= st.count) {
		recv_state_fini(&st);
		return lcpfs_fail(err, LCPFS_ECORRUPT, "receive %" PRIu64 ": its record makes no sense", hidden);
	}
	*out = st;
	return 0;
}

static int by_index(const void *a, const void *b)
{
	uint32_t x = ((const struct recv_state *)a)->index, y = ((const struct recv_state *)b)->index;

	return (x > y) - (x < y);
}

static int list_add(struct recv_state **list, size_t *n, const struct recv_state *st, struct lcpfs_error *err)
{
	struct recv_state *p = realloc(*list, (*n + 1) * sizeof *p);

	if (!p)
		return lcpfs_nomem(err);
	p[(*n)++] = *st;
	*list = p;
	return 0;
}

int recv_state_list(struct spa *s, const char *target, struct recv_state **out, size_t *n, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	uint8_t key[POOL_KEY_MAX];
	struct recv_state st;
	int rc = btree_seek(s->pool_tree, &c, key, key_u64(key, TBL_RECV, 0), err);

	*out = NULL;
	*n = 0;
	for (; rc == 0 && c.item.key[0] == TBL_RECV; rc = btree_next(&c, err)) {
		rc = c.item.klen == 9 ? state_decode(&st, be64_load(c.item.key + 1), c.item.val, c.item.vlen, err) :
		                        lcpfs_fail(err, LCPFS_ECORRUPT, "record of a receive: bad key");
		if (rc)
			break;
		if (strcmp(st.target, target) == 0)
			rc = list_add(out, n, &st, err);
		else
			recv_state_fini(&st);
		if (rc) {
			recv_state_fini(&st);
			break;
		}
	}
	btree_cursor_close(&c);
	if (rc < 0) {
		recv_state_list_free(*out, *n);
		*out = NULL;
		*n = 0;
		return rc;
	}
	if (*n)
		qsort(*out, *n, sizeof **out, by_index);
	return 0;
}

void recv_state_list_free(struct recv_state *st, size_t n)
{
	for (size_t i = 0; st && i < n; i++)
		recv_state_fini(&st[i]);
	free(st);
}

/* Properties wait on the hidden dataset until it gets its name. */
static int first_prop(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	(void)value;
	*(char **)arg = strdup(name);
	return *(char **)arg ? 1 : lcpfs_nomem(err);
}

static int drop_props(struct spa *s, uint64_t id, struct lcpfs_error *err)
{
	for (;;) {
		char *name = NULL;
		int rc = dmu_prop_each(s, id, first_prop, &name, err);

		if (rc >= 0 && !name)
			return 0;
		if (rc >= 0)
			rc = dmu_prop_set(s, id, name, NULL, err);
		free(name);
		if (rc < 0)
			return rc;
	}
}

int recv_state_drop(struct spa *s, const struct recv_state *st, struct lcpfs_error *err)
{
	struct dataset *ds;
	int rc = drop_props(s, st->hidden, err);

	if (!rc)
		rc = recv_state_del(s, st->hidden, err);
	if (!rc)
		rc = dmu_open_id(s, st->hidden, &ds, err);
	return rc ? rc : dmu_hidden_drop(s, ds, err);
}

/* The newest dataset under way, and how many; LCPFS_ENOENT when there is none that can go on. */
static int newest(struct spa *s, const char *target, struct recv_state **list, size_t *n, struct lcpfs_error *err)
{
	int rc = recv_state_list(s, target, list, n, err);

	if (!rc && !*n)
		rc = lcpfs_fail(err, LCPFS_ENOENT, "no receive into '%s' is under way", target);
	return rc;
}

int lcpfs_recv_token(struct lcpfs_pool *p, const char *target, char **token, struct lcpfs_error *err)
{
	struct stream_token t = { .kind = TOKEN_POOL };
	struct recv_state *list = NULL, *last;
	size_t n = 0;
	int rc = newest(p->spa, target ? target : "", &list, &n, err);

	*token = NULL;
	if (!rc && !(list[n - 1].flags & RECV_RESUMABLE))
		rc = lcpfs_fail(err, LCPFS_ENOENT, "the receive into '%s' was not made resumable", target ? target : "");
	if (!rc) {
		last = &list[n - 1];
		memcpy(t.uuid, last->uuid, sizeof t.uuid);
		t.index = last->index + (last->flags & RECV_DONE ? 1 : 0);
		t.ckpt_bytes = last->ckpt_bytes;
		t.pos = last->pos;
		rc = token_encode(token, &t, err);
	}
	recv_state_list_free(list, n);
	return rc;
}

int lcpfs_recv_abort(struct lcpfs_pool *p, const char *target, struct lcpfs_error *err)
{
	struct recv_state *list = NULL;
	size_t n = 0;
	int rc = spa_may_write(p->spa, err);

	if (!rc)
		rc = newest(p->spa, target ? target : "", &list, &n, err);
	for (size_t i = 0; i < n && !rc; i++)
		rc = recv_state_drop(p->spa, &list[i], err);
	recv_state_list_free(list, n);
	return rc ? rc : spa_commit(p->spa, err);
}
