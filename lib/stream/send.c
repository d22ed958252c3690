/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs_send: which snapshots go into a stream, where it begins, its first and last frames. */
#include "stream_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct member {
	char *name, *rel;     /* dataset; below the package's root */
	struct dsrec to, from; /* from.id 0: full */
};
struct plan {
	struct spa *spa;
	const struct lcpfs_send_opts *o;
	const char *snap, *base;  /* names after '@'; base NULL: full */
	struct member *m;
	uint32_t n, cap;
	uint64_t ckpt_bytes;
	uint8_t uuid[16];
	struct stream_token token; /* kind 0: none */
};

static void plan_fini(struct plan *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		free(p->m[i].name);
		free(p->m[i].rel);
	}
	free(p->m);
}

static int lookup_snap(struct spa *s, const char *dataset, const char *snap, struct dsrec *out, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc;

	buf_printf(&b, "%s@%s", dataset, snap);
	rc = b.failed ? lcpfs_nomem(err) : dmu_lookup(s, (const char *)b.data, out, err);
	buf_fini(&b);
	return rc;
}

/* Does the history of `to` pass through `base`? Only then do equal numbers mean equal contents. */
static int check_ancestor(struct spa *s, const struct dsrec *to, const struct dsrec *base, struct lcpfs_error *err)
{
	struct dsrec r = *to;

	while (r.prev_snap) {
		int rc;

		if (r.prev_snap == base->id)
			return 0;
		rc = dmu_rec_get(s, r.prev_snap, &r, err);
		if (rc)
			return rc;
	}
	return lcpfs_fail(err, LCPFS_EINVAL, "the base snapshot is not an earlier state of the one to send");
}

static int plan_add(struct plan *p, const char *name, const char *rel, const struct dsrec *to, const struct dsrec *from,
                    struct lcpfs_error *err)
{
	struct member *m;

	if (p->n == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 8;

		m = realloc(p->m, cap * sizeof *m);
		if (!m)
			return lcpfs_nomem(err);
		p->m = m;
		p->cap = cap;
	}
	m = &p->m[p->n++];
	*m = (struct member){ .name = strdup(name), .rel = strdup(rel), .to = *to };
	if (from)
		m->from = *from;
	return m->name && m->rel ? 0 : lcpfs_nomem(err);
}

/* The base of a dataset below the root of a package: its snapshot of that name, when it has one that fits. */
static bool find_base(struct plan *p, const char *name, const struct dsrec *to, struct dsrec *from)
{
	return p->base && !lookup_snap(p->spa, name, p->base, from, NULL) && from->id != to->id &&
	       !check_ancestor(p->spa, to, from, NULL);
}

struct walk { struct plan *p; const char *name, *rel; };

static int plan_below(struct plan *p, const char *name, const char *rel, uint64_t id, struct lcpfs_error *err);

static int plan_child(void *arg, const char *last, const struct dsrec *r, struct lcpfs_error *err)
{
	struct walk *w = arg;
	struct buf name = { 0 }, rel = { 0 };
	struct dsrec to, from;
	int rc = 0;

	if (r->kind != DS_FS && r->kind != DS_BRANCH)
		return 0;
	buf_printf(&name, "%s%s%s", w->name, w->name[0] ? "/" : "", last);
	buf_printf(&rel, "%s%s%s", w->rel, w->rel[0] ? "/" : "", last);
	if (name.failed || rel.failed)
		rc = lcpfs_nomem(err);
	/* one without this snapshot is left out, what is below it is not */
	if (!rc && !lookup_snap(w->p->spa, (const char *)name.data, w->p->snap, &to, NULL)) {
		bool has = find_base(w->p, (const char *)name.data, &to, &from);

		rc = plan_add(w->p, (const char *)name.data, (const char *)rel.data, &to, has ? &from : NULL, err);
	}
	if (!rc)
		rc = plan_below(w->p, (const char *)name.data, (const char *)rel.data, r->id, err);
	buf_fini(&name);
	buf_fini(&rel);
	return rc;
}

static int plan_below(struct plan *p, const char *name, const char *rel, uint64_t id, struct lcpfs_error *err)
{
	struct walk w = { p, name, rel };

	return dmu_each(p->spa, id, false, plan_child, &w, err);
}

/* The base as the caller named it: "ds@a" or "@a", which means the same dataset. */
static int root_base(struct plan *p, const char *name, const struct dsrec *to, struct dsrec *from, struct lcpfs_error *err)
{
	const char *base = p->o->base, *at = strchr(base, '@');
	int rc;

	if (!at || !at[1])
		return lcpfs_fail(err, LCPFS_EINVAL, "base '%s' is not a snapshot", base);
	p->base = at + 1;
	rc = at == base ? lookup_snap(p->spa, name, at + 1, from, err) : dmu_lookup(p->spa, base, from, err);
	if (!rc && from->id == to->id)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "base '%s' is the snapshot to send", base);
	if (!rc)
		rc = check_ancestor(p->spa, to, from, err);
	return rc ? lcpfs_within(err, rc, "base '%s'", base) : 0;
}

static int plan_make(struct plan *p, const char *snap, struct lcpfs_error *err)
{
	const char *at = strchr(snap, '@');
	struct dsrec to, from;
	char *name;
	int rc;

	if (!at || !at[1])
		return lcpfs_fail(err, LCPFS_EINVAL, "'%s' is not a snapshot", snap);
	name = strndup(snap, (size_t)(at - snap));
	if (!name)
		return lcpfs_nomem(err);
	p->snap = at + 1;
	rc = dmu_lookup(p->spa, snap, &to, err);
	if (!rc && p->o->base)
		rc = root_base(p, name, &to, &from, err);
	if (!rc)
		rc = plan_add(p, name, "", &to, p->o->base ? &from : NULL, err);
	if (!rc && p->o->recursive)
		rc = plan_below(p, name, "", to.parent, err);
	free(name);
	return rc;
}

static int encode_package(const struct plan *p, struct buf *out, struct lcpfs_error *err)
{
	struct frame_package pk = { .n = p->n, .m = calloc(p->n, sizeof *pk.m) };

	if (!pk.m)
		return lcpfs_nomem(err);
	for (uint32_t i = 0; i < p->n; i++)
		pk.m[i] = (struct frame_member){ p->m[i].from.id ? p->m[i].from.guid : 0, p->m[i].to.guid, p->m[i].rel,
			(char *)(uintptr_t)p->snap };
	frame_package_encode(&pk, out);
	free(pk.m);
	return out->failed ? lcpfs_nomem(err) : 0;
}

/* The same snapshots and options give the same stream, byte for byte; so also the same uuid. */
static int derive_uuid(struct plan *p, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = encode_package(p, &b, err);
	uint8_t hash[HASH_LEN];

	buf_printf(&b, "lcpfs stream");
	buf_le64(&b, p->ckpt_bytes);
	buf_u8(&b, p->o->props);
	buf_u8(&b, p->o->recursive);
	if (!rc && b.failed)
		rc = lcpfs_nomem(err);
	if (!rc) {
		blake3(b.data, b.len, hash);
		memcpy(p->uuid, hash, sizeof p->uuid);
		p->uuid[6] = (uint8_t)((p->uuid[6] & 15) | 128); /* version 8: own scheme */
		p->uuid[8] = (uint8_t)((p->uuid[8] & 63) | 128);
	}
	buf_fini(&b);
	return rc;
}

static int take_token(struct plan *p, struct lcpfs_error *err)
{
	int rc = p->o->resume ? token_decode(&p->token, p->o->resume, err) : 0;

	p->ckpt_bytes = p->token.kind ? p->token.ckpt_bytes : p->o->ckpt_bytes ? MAX(p->o->ckpt_bytes, CKPT_MIN) : CKPT_DEFAULT;
	return rc;
}

static int check_token(const struct plan *p, struct lcpfs_error *err)
{
	if (!p->token.kind)
		return 0;
	if (memcmp(p->token.uuid, p->uuid, sizeof p->uuid) || p->token.index >= p->n)
		return lcpfs_fail(err, LCPFS_EINVAL, "the token belongs to another stream: send the same snapshots with the same options");
	return 0;
}

static int add_prop(void *arg, const char *name, const char *value, struct lcpfs_error *err)
{
	struct frame_begin *b = arg;
	struct frame_prop *p;

	if (strncmp(name, "hold:", 5) == 0 || name[0] == '.')
		return 0;
	p = realloc(b->props, (b->n_props + 1) * sizeof *p);
	if (!p)
		return lcpfs_nomem(err);
	b->props = p;
	p[b->n_props++] = (struct frame_prop){ strdup(name), strdup(value) };
	return p[b->n_props - 1].name && p[b->n_props - 1].value ? 0 : lcpfs_nomem(err);
}

static int fill_begin(const struct plan *p, uint32_t index, struct frame_begin *b, struct lcpfs_error *err)
{
	const struct member *m = &p->m[index];
	struct buf from = { 0 };
	const char *at;
	int rc = 0;

	*b = (struct frame_begin){ .major = FRAME_MAJOR, .minor = FRAME_MINOR, .kind = FRAME_KIND_LOGICAL, .index = index, .count = p->n,
		.created_s = m->to.created_s, .created_ns = m->to.created_ns, .to = m->to.guid, .family = m->to.family, .ckpt_bytes = p->ckpt_bytes, .est = m->from.id ? 0 : m->to.ref_psize };
	memcpy(b->uuid, p->uuid, sizeof b->uuid);
	if (spa_columns(p->spa))
		b->flags |= BEGIN_COLUMNS;
	if (m->from.id) {
		b->flags |= BEGIN_INCREMENTAL;
		b->from = m->from.guid;
		rc = dmu_full_name(p->spa, m->from.id, &from, err);
	}
	buf_u8(&from, 0);
	if (!rc && from.failed)
		rc = lcpfs_nomem(err);
	at = rc ? NULL : strchr((const char *)from.data, '@');
	b->from_snap = strdup(at ? at + 1 : "");
	b->dataset = strdup(m->name);
	b->rel = strdup(m->rel);
	b->to_snap = strdup(p->snap);
	buf_fini(&from);
	if (!rc && (!b->from_snap || !b->dataset || !b->rel || !b->to_snap))
		rc = lcpfs_nomem(err);
	if (!rc && (p->o->props || p->o->recursive)) {
		b->flags |= BEGIN_PROPS;
		rc = dmu_prop_each(p->spa, m->to.parent, add_prop, b, err);
	}
	return rc;
}

/* Nothing for a file that has its BEGIN; the special one for a pool; else the plain one. */
static int send_begin(const struct plan *p, uint32_t index, struct stream_out *out, struct lcpfs_error *err)
{
	bool resumed = p->token.kind && p->token.index == index;
	struct frame_begin b;
	struct buf buf = { 0 };
	int rc;

	if (resumed && p->token.kind == TOKEN_FILE && p->token.pos.klen)
		return 0;
	rc = fill_begin(p, index, &b, err);
	if (!rc && resumed && p->token.kind == TOKEN_POOL) {
		b.flags |= BEGIN_RESUMED;
		b.pos = p->token.pos;
		frame_begin_encode(&b, &buf);
		rc = out_resumed(out, &buf, err);
	} else if (!rc) {
		frame_begin_encode(&b, &buf);
		rc = out_buf(out, FRAME_BEGIN, &buf, err);
	}
	frame_begin_fini(&b);
	buf_fini(&buf);
	return rc;
}

static int send_end(struct sender *s, uint32_t index, struct lcpfs_error *err)
{
	struct frame_pos pos = { .seq = s->out->seq, .counts = s->out->counts };
	struct buf b = { 0 };
	int rc;

	memcpy(pos.running, s->out->running, sizeof pos.running);
	frame_end_encode(index, &pos, &b);
	rc = out_buf(s->out, FRAME_END, &b, err);
	buf_fini(&b);
	return rc;
}

/* Made packs are compressed as the dataset is. */
static int codec_of(struct spa *s, uint64_t id, struct codec_spec *out, struct lcpfs_error *err)
{
	char *value = NULL, *source = NULL;
	int rc = dmu_prop_get(s, id, "compress", &value, &source, err);

	*out = (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 };
	if (rc == -LCPFS_ENOENT || rc == -LCPFS_ENODATA)
		rc = 0;
	if (!rc && value && value[0])
		rc = codec_parse(value, out, err);
	free(value);
	free(source);
	return rc;
}

static int send_member(struct plan *p, uint32_t index, struct stream_out *out, struct lcpfs_error *err)
{
	struct sender s = { .spa = p->spa, .out = out, .base = p->m[index].from.root, .ckpt_bytes = p->ckpt_bytes };
	int rc = dmu_open_id(p->spa, p->m[index].to.id, &s.ds, err);

	if (!rc)
		rc = codec_of(p->spa, p->m[index].to.parent, &s.spec, err);
	if (!rc)
		rc = send_begin(p, index, out, err);
	out->counts = (struct frame_counts){ 0 };
	if (p->token.kind && p->token.index == index) {
		s.from = p->token.pos;
		out->counts = s.from.counts;
	}
	s.mark = out->bytes;
	if (!rc)
		rc = send_tree(&s, err);
	if (!rc)
		rc = out_flush(out, err);
	if (!rc)
		rc = send_end(&s, index, err);
	dmu_close(s.ds);
	buf_fini(&s.batch);
	free(s.win);
	return rc ? lcpfs_within(err, rc, "'%s@%s'", p->m[index].name, p->snap) : 0;
}

static int send_package(const struct plan *p, struct stream_out *out, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	int rc = encode_package(p, &b, err);

	if (!rc)
		rc = out_buf(out, FRAME_PACKAGE, &b, err);
	buf_fini(&b);
	return rc;
}

static int send_all(struct plan *p, struct stream_out *out, struct lcpfs_error *err)
{
	uint32_t first = 0;
	int rc = out_init(out, p->spa->zio, p->spa->threads, err);

	for (uint32_t i = 0; i < p->n; i++)
		out->total += p->m[i].from.id ? 0 : p->m[i].to.ref_psize;
	if (p->token.kind) {
		first = p->token.index;
		out->seq = p->token.pos.seq;
		memcpy(out->running, p->token.pos.running, sizeof out->running);
	} else if (!rc && p->o->recursive) {
		rc = send_package(p, out, err);
	}
	for (uint32_t i = first; i < p->n && !rc; i++)
		rc = send_member(p, i, out, err);
	out_fini(out);
	return rc;
}

int lcpfs_send(struct lcpfs_pool *p, const char *snap, const struct lcpfs_send_opts *o, lcpfs_write_fn *write, void *write_arg,
               uint64_t *bytes, struct lcpfs_error *err)
{
	static const struct lcpfs_send_opts defaults;
	struct plan plan = { .spa = p->spa, .o = o ? o : &defaults };
	struct stream_out out = { .write = write, .arg = write_arg, .progress = plan.o->progress, .progress_arg = plan.o->arg };
	int rc = plan_make(&plan, snap, err);

	if (!rc)
		rc = take_token(&plan, err);
	if (!rc)
		rc = derive_uuid(&plan, err);
	if (!rc)
		rc = check_token(&plan, err);
	if (!rc)
		rc = send_all(&plan, &out, err);
	plan_fini(&plan);
	if (bytes)
		*bytes = out.bytes;
	return rc ? lcpfs_within(err, rc, "cannot send '%s'", snap) : 0;
}
