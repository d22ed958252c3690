/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of resumption: base64 (RFC 4648, with padding) of u8 version, u8 kind, uuid, u32 index, u64 ckpt_bytes, position, 8 bytes of BLAKE3. */
#include "stream_impl.h"
#include <stdlib.h>

#define TOKEN_VERSION 1u
#define TOKEN_MAX 2048u

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64(const uint8_t *p, size_t n)
{
	char *out = malloc((n + 2) / 3 * 4 + 1), *to = out;

	for (size_t i = 0; out && i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? p[i + 1] : 0u) << 8 | (i + 2 < n ? p[i + 2] : 0u);

		*to++ = alphabet[v >> 18];
		*to++ = alphabet[v >> 12 & 63];
		*to++ = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
		*to++ = i + 2 < n ? alphabet[v & 63] : '=';
	}
	if (out)
		*to = 0;
	return out;
}

static int unbase64(const char *s, struct buf *out)
{
	uint32_t v = 0;
	unsigned have = 0;

	for (; *s && *s != '='; s++) {
		const char *at = strchr(alphabet, *s);

		if (!at)
			return -1;
		v = v << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8)
			buf_u8(out, (uint8_t)(v >> (have -= 8)));
	}
	return s[strspn(s, "=")] ? -1 : 0;
}

int token_encode(char **out, const struct stream_token *t, struct lcpfs_error *err)
{
	struct buf b = { 0 };
	uint8_t hash[HASH_LEN];

	buf_u8(&b, TOKEN_VERSION);
	buf_u8(&b, t->kind);
	buf_add(&b, t->uuid, sizeof t->uuid);
	buf_le32(&b, t->index);
	buf_le64(&b, t->ckpt_bytes);
	frame_pos_encode(&t->pos, &b);
	blake3(b.data, b.failed ? 0 : b.len, hash);
	buf_add(&b, hash, 8);
	*out = b.failed ? NULL : base64(b.data, b.len);
	buf_fini(&b);
	return *out ? 0 : lcpfs_nomem(err);
}

static int take_token(struct stream_token *t, struct cur *c, struct lcpfs_error *err)
{
	unsigned version = cur_u8(c);
	const uint8_t *uuid;

	if (version != TOKEN_VERSION)
		return lcpfs_fail(err, LCPFS_EUNSUP, "token: version %u", version);
	t->kind = cur_u8(c);
	uuid = cur_bytes(c, sizeof t->uuid);
	if (uuid)
		memcpy(t->uuid, uuid, sizeof t->uuid);
	t->index = cur_le32(c);
	t->ckpt_bytes = cur_le64(c);
	if (c->bad || !t->ckpt_bytes || (t->kind != TOKEN_POOL && t->kind != TOKEN_FILE))
		return lcpfs_fail(err, LCPFS_EINVAL, "token: makes no sense");
	return frame_pos_decode(&t->pos, c, err);
}

int token_decode(struct stream_token *out, const char *text, struct lcpfs_error *err)
{
	struct stream_token t = { 0 };
	struct buf b = { 0 };
	uint8_t hash[HASH_LEN];
	struct cur c;
	int rc = 0;

	if (strlen(text) > TOKEN_MAX || unbase64(text, &b) || b.failed || b.len < 8)
		rc = lcpfs_fail(err, LCPFS_EINVAL, "token: not one of lcpfs");
	if (!rc) {
		blake3(b.data, b.len - 8, hash);
		if (memcmp(hash, b.data + b.len - 8, 8))
			rc = lcpfs_fail(err, LCPFS_EINVAL, "token: damaged or cut short");
	}
	if (!rc) {
		c = cur_of(b.data, b.len - 8);
		rc = take_token(&t, &c, err);
	}
	buf_fini(&b);
	if (!rc)
		*out = t;
	return rc;
}
