/* SPDX-License-Identifier: Apache-2.0 */
/* The frames that say what a stream is: PACKAGE and BEGIN. */
#include "base/error.h"
#include "base/util.h"
#include "format/frame.h"
#include <stdlib.h>

#define NAME_LEVEL_MAX 255u
#define PROP_NAME_MAX 255u
#define PROPS_MAX 65536u

static void put_str(struct buf *out, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	buf_le16(out, (uint16_t)n);
	buf_add(out, s, n);
}

/* A string without zero bytes, at most `max` long, malloc'ed; NULL (and c->bad unless out of memory) when there is none. */
static char *take_str(struct cur *c, size_t max)
{
	uint16_t n = cur_le16(c);
	const uint8_t *p = cur_bytes(c, n);
	char *s;

	if (!p || n > max || memchr(p, 0, n)) {
		c->bad = true;
		return NULL;
	}
	s = malloc((size_t)n + 1);
	if (s) {
		memcpy(s, p, n);
		s[n] = 0;
	}
	return s;
}

static int str_trouble(const struct cur *c, const char *what, struct lcpfs_error *err)
{
	return c->bad ? lcpfs_fail(err, LCPFS_ECORRUPT, "%s frame: makes no sense", what) : lcpfs_nomem(err);
}

void frame_package_encode(const struct frame_package *p, struct buf *out)
{
	buf_le32(out, p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		buf_le64(out, p->m[i].from);
		buf_le64(out, p->m[i].to);
		put_str(out, p->m[i].rel);
		put_str(out, p->m[i].snap);
	}
}

int frame_package_decode(struct frame_package *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct frame_package p = { 0 };
	struct cur c = cur_of(data, len);
	uint32_t n = cur_le32(&c);
	int rc = 0;

	if (c.bad || !n || n > cur_left(&c) / 20)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "PACKAGE frame: %u datasets in %zu bytes", n, len);
	p.m = calloc(n, sizeof *p.m);
	if (!p.m)
		return lcpfs_nomem(err);
	for (; p.n < n && !rc; p.n++) {
		struct frame_member *m = &p.m[p.n];

		m->from = cur_le64(&c);
		m->to = cur_le64(&c);
		m->rel = take_str(&c, FRAME_NAME_MAX);
		m->snap = m->rel ? take_str(&c, NAME_LEVEL_MAX) : NULL;
		if (!m->snap)
			rc = str_trouble(&c, "PACKAGE", err);
	}
	if (!rc && cur_left(&c))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "PACKAGE frame: %zu bytes too many", cur_left(&c));
	if (rc)
		frame_package_fini(&p);
	else
		*out = p;
	return rc;
}

void frame_package_fini(struct frame_package *p)
{
	for (uint32_t i = 0; p->m && i < p->n; i++) {
		free(p->m[i].rel);
		free(p->m[i].snap);
	}
	free(p->m);
	*p = (struct frame_package){ 0 };
}

void frame_begin_encode(const struct frame_begin *b, struct buf *out)
{
	buf_le16(out, b->major);
	buf_le16(out, b->minor);
	buf_le32(out, b->kind);
	buf_le32(out, b->flags);
	buf_add(out, b->uuid, sizeof b->uuid);
	buf_le64(out, b->from);
	buf_le64(out, b->to);
	buf_le64(out, b->family);
	buf_le64(out, b->est);
	buf_le64(out, b->ckpt_bytes);
	buf_le32(out, b->index);
	buf_le32(out, b->count);
	buf_le64(out, (uint64_t)b->created_s);
	buf_le32(out, b->created_ns);
	put_str(out, b->dataset);
	put_str(out, b->rel);
	put_str(out, b->from_snap);
	put_str(out, b->to_snap);
	buf_le32(out, 0); /* features: none yet */
	buf_le32(out, b->n_props);
	for (uint32_t i = 0; i < b->n_props; i++) {
		put_str(out, b->props[i].name);
		put_str(out, b->props[i].value);
	}
	if (b->flags & BEGIN_RESUMED)
		frame_pos_encode(&b->pos, out);
}

static int take_props(struct frame_begin *b, struct cur *c, struct lcpfs_error *err)
{
	uint32_t n = cur_le32(c);

	if (c->bad || n > PROPS_MAX || n > cur_left(c) / 4)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "BEGIN frame: %u properties", n);
	b->props = calloc(n ? n : 1, sizeof *b->props);
	if (!b->props)
		return lcpfs_nomem(err);
	while (b->n_props < n) {
		struct frame_prop *p = &b->props[b->n_props++];

		p->name = take_str(c, PROP_NAME_MAX);
		p->value = p->name ? take_str(c, UINT16_MAX) : NULL;
		if (!p->value)
			return str_trouble(c, "BEGIN", err);
	}
	return 0;
}

/* Features of a newer version change what frames mean: the first one names itself. */
static int refuse_features(struct cur *c, struct lcpfs_error *err)
{
	uint32_t n = cur_le32(c);
	char *name;
	int rc;

	if (!n)
		return c->bad ? lcpfs_fail(err, LCPFS_ECORRUPT, "BEGIN frame: ends early") : 0;
	name = take_str(c, 255);
	rc = lcpfs_fail(err, LCPFS_EUNSUP, "stream needs feature '%s'", name ? name : "?");
	free(name);
	return rc;
}

static int check_begin(const struct frame_begin *b, struct lcpfs_error *err)
{
	if (b->kind != FRAME_KIND_LOGICAL || (b->flags & ~BEGIN_FLAGS_ALL))
		return lcpfs_fail(err, LCPFS_EUNSUP, "stream of kind %u, flags %#x", b->kind, b->flags);
	if (!b->to || !b->count || b->index >= b->count || !b->ckpt_bytes || !b->to_snap[0] ||
	    !(b->flags & BEGIN_INCREMENTAL) != !b->from || b->from == b->to || b->created_ns >= 1000000000)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "BEGIN frame: makes no sense");
	return 0;
}

static int take_names(struct frame_begin *b, struct cur *c, struct lcpfs_error *err)
{
	b->dataset = take_str(c, FRAME_NAME_MAX);
	b->rel = b->dataset ? take_str(c, FRAME_NAME_MAX) : NULL;
	b->from_snap = b->rel ? take_str(c, NAME_LEVEL_MAX) : NULL;
	b->to_snap = b->from_snap ? take_str(c, NAME_LEVEL_MAX) : NULL;
	return b->to_snap ? 0 : str_trouble(c, "BEGIN", err);
}

static int take_begin(struct frame_begin *b, struct cur *c, struct lcpfs_error *err)
{
	const uint8_t *uuid;
	uint32_t kind;
	int rc;

	b->major = cur_le16(c);
	b->minor = cur_le16(c);
	if (!c->bad && b->major != FRAME_MAJOR)
		return lcpfs_fail(err, LCPFS_EUNSUP, "stream of version %u.%u", b->major, b->minor);
	kind = cur_le32(c);
	b->kind = kind > UINT8_MAX ? 0 : (uint8_t)kind;
	b->flags = cur_le32(c);
	uuid = cur_bytes(c, sizeof b->uuid);
	if (uuid)
		memcpy(b->uuid, uuid, sizeof b->uuid);
	b->from = cur_le64(c);
	b->to = cur_le64(c);
	b->family = cur_le64(c);
	b->est = cur_le64(c);
	b->ckpt_bytes = cur_le64(c);
	b->index = cur_le32(c);
	b->count = cur_le32(c);
	b->created_s = (int64_t)cur_le64(c);
	b->created_ns = cur_le32(c);
	rc = take_names(b, c, err);
	if (!rc)
		rc = check_begin(b, err);
	if (!rc)
		rc = refuse_features(c, err);
	if (!rc)
		rc = take_props(b, c, err);
	if (!rc && (b->flags & BEGIN_RESUMED))
		rc = frame_pos_decode(&b->pos, c, err);
	return rc;
}

int frame_begin_decode(struct frame_begin *out, const uint8_t *data, size_t len, struct lcpfs_error *err)
{
	struct frame_begin b = { 0 };
	struct cur c = cur_of(data, len);
	int rc = take_begin(&b, &c, err);

	/* a newer minor may add fields at the end */
	if (!rc && b.minor == FRAME_MINOR && cur_left(&c))
		rc = lcpfs_fail(err, LCPFS_ECORRUPT, "BEGIN frame: %zu bytes too many", cur_left(&c));
	if (rc)
		frame_begin_fini(&b);
	else
		*out = b;
	return rc;
}

void frame_begin_fini(struct frame_begin *b)
{
	free(b->dataset);
	free(b->rel);
	free(b->from_snap);
	free(b->to_snap);
	for (uint32_t i = 0; b->props && i < b->n_props; i++) {
		free(b->props[i].name);
		free(b->props[i].value);
	}
	free(b->props);
	*b = (struct frame_begin){ 0 };
}
