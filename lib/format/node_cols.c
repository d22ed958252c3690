/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leaf body arranged by columns, which a compressor halves where the body as it is gives it little.
 *
 * Same order as in the body, same length but for the predictor bytes:
 *   head of the body (counts, low fence, prefix)
 *   key_end, val_end          a column of le32 each, predicted by the entry before
 *   keys                      all of one length up to 8: numbers, big-endian, as the difference to the one before, in planes
 *                             of bytes, lowest first;
 *                             else as they are
 *   cols predictor bytes      one for each 4 bytes of the part of 4 * cols bytes that every value has
 *   cols columns              of le32, each as its predictor says
 *   the rest of the values    what each value has beyond that part, as it is
 * A column of n numbers is stored as n lowest bytes of the residues, n second ones, and so on. A residue is value - prediction modulo 2^32,
 * with the sign in the lowest bit.
 */
#include "format/node.h"
#include "base/error.h"
#include "base/util.h"
#include <string.h>

enum predictor { P_NONE, P_PREV, P_LEFT, P_LEFT2, P_SUM, P_RATIO, P_RATIO2, P_N };
#define ROWS_MAX (NODE_LIMIT / 8) /* two end entries each */
#define NARROW 8u                 /* columns */
#define ROWS_MIN 8u               /* fewer are not worth it */

/* A body being taken apart or put together: rows of values, the first 4 * cols bytes of each being the columns. */
struct rows {
	uint32_t n, cols;
	const uint8_t *ends, *vals;
	uint32_t *at; /* of each row in vals */
};

static uint32_t zigzag(uint32_t d) { return d << 1 ^ (0u - (d >> 31)); }
static uint32_t unzigzag(uint32_t z) { return z >> 1 ^ (0u - (z & 1)); }
static uint32_t ld(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static void st(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

static void plane_put(uint8_t *to, uint32_t n, uint32_t i, uint32_t z)
{
	to[i] = (uint8_t)z;
	to[n + i] = (uint8_t)(z >> 8);
	to[2 * (size_t)n + i] = (uint8_t)(z >> 16);
	to[3 * (size_t)n + i] = (uint8_t)(z >> 24);
}

static uint32_t plane_get(const uint8_t *from, uint32_t n, uint32_t i)
{
	return (uint32_t)from[i] | (uint32_t)from[n + i] << 8 | (uint32_t)from[2 * (size_t)n + i] << 16 | (uint32_t)from[3 * (size_t)n + i] << 24;
}

/* How two columns of sizes relate, as far as the rows went; what does not fit at all begins anew. */
struct ratio { uint64_t num, den; };

static uint32_t ratio_guess(const struct ratio *r, uint32_t base)
{
	return r->den ? (uint32_t)MIN((base * r->num + r->den - 1) / r->den, UINT32_MAX) : base;
}

static void ratio_learn(struct ratio *r, uint32_t base, uint32_t value, uint32_t residue)
{
	if (r->num >> 31 || r->den >> 31 || residue > 2 * (uint64_t)(value / 64) + 4)
		*r = (struct ratio){ 0 };
	if (base && value) {
		r->num += value;
		r->den += base;
	}
}

/* What column c of row i is expected to be; columns left of it are known, so are all of the rows before. */
static inline uint32_t guess(const struct rows *r, unsigned p, uint32_t c, uint32_t i, const struct ratio *q)
{
	const uint8_t *row = r->vals + r->at[i] + 4 * (size_t)c, *prev = i ? r->vals + r->at[i - 1] + 4 * (size_t)c : NULL;

	switch (p) {
	case P_PREV: return prev ? ld(prev) : 0;
	case P_LEFT: return ld(row - 4);
	case P_LEFT2: return ld(row - 8);
	case P_SUM: return prev ? ld(prev) + ld(prev + 4) : 0;
	case P_RATIO: return ratio_guess(q, ld(row - 4));
	case P_RATIO2: return ratio_guess(q, ld(row - 8));
	}
	return 0;
}

/*
 * Predictors look at columns that must be there. P_SUM looks right, so all columns of a row are put back before the next row; wide rows
 * do without it and are put back column by column.
 */
static bool allowed(unsigned p, uint32_t c, uint32_t cols)
{
	if (p == P_LEFT || p == P_RATIO)
		return c >= 1;
	if (p == P_LEFT2 || p == P_RATIO2)
		return c >= 2;
	return p < P_N && (p != P_SUM || (c + 1 < cols && cols <= NARROW));
}

static uint32_t ratio_base(const struct rows *r, unsigned p, uint32_t c, uint32_t i)
{
	return ld(r->vals + r->at[i] + 4 * (size_t)(c - (p == P_RATIO ? 1 : 2)));
}

/* The columns one after the other, n numbers each: predictors read them many times. */
static void columns_find(const struct rows *r, uint32_t *m)
{
	for (uint32_t i = 0; i < r->n; i++)
		for (uint32_t c = 0; c < r->cols; c++)
			m[(size_t)c * r->n + i] = ld(r->vals + r->at[i] + 4 * (size_t)c);
}

/* As guess(), of columns: v is the one to be predicted. */
static inline uint32_t column_guess(const uint32_t *v, uint32_t n, unsigned p, uint32_t i, const struct ratio *q)
{
	switch (p) {
	case P_PREV: return i ? v[i - 1] : 0;
	case P_LEFT: return (v - n)[i];
	case P_LEFT2: return (v - 2 * (size_t)n)[i];
	case P_SUM: return i ? v[i - 1] + (v + n)[i - 1] : 0;
	case P_RATIO: return ratio_guess(q, (v - n)[i]);
	case P_RATIO2: return ratio_guess(q, (v - 2 * (size_t)n)[i]);
	}
	return 0;
}

#define STRETCH 64u /* rows between looks at the sum */

/* With p known when it is compiled. */
static inline __attribute__((always_inline)) uint64_t residues_of(const uint32_t *v, uint32_t n, unsigned p, uint32_t *z, uint64_t limit)
{
	struct ratio q = { 0 };
	uint64_t bits = 0;

	for (uint32_t i = 0; i < n && bits < limit;) {
		uint32_t end = MIN(n, i + STRETCH);

		for (; i < end; i++) {
			z[i] = zigzag(v[i] - column_guess(v, n, p, i, &q));
			if (p >= P_RATIO)
				ratio_learn(&q, p == P_RATIO ? (v - n)[i] : (v - 2 * (size_t)n)[i], v[i], z[i]);
			bits += z[i] ? 32u - (unsigned)__builtin_clz(z[i]) : 0;
		}
	}
	return bits;
}

/* Residues of column v; the bits they have, or `limit` or more, and then z has not all of them. */
static uint64_t residues(const uint32_t *v, uint32_t n, unsigned p, uint32_t *z, uint64_t limit)
{
	switch (p) {
	case P_PREV: return residues_of(v, n, P_PREV, z, limit);
	case P_LEFT: return residues_of(v, n, P_LEFT, z, limit);
	case P_LEFT2: return residues_of(v, n, P_LEFT2, z, limit);
	case P_SUM: return residues_of(v, n, P_SUM, z, limit);
	case P_RATIO: return residues_of(v, n, P_RATIO, z, limit);
	case P_RATIO2: return residues_of(v, n, P_RATIO2, z, limit);
	}
	return residues_of(v, n, P_NONE, z, limit);
}

/* Most columns hardly change from row to row; only for the others are the predictors tried in turn. *z: the residues, in one of two places. */
static unsigned choose(const uint32_t *v, uint32_t n, uint32_t c, uint32_t cols, uint32_t **z, uint32_t *other)
{
	uint64_t best = residues(v, n, P_PREV, *z, UINT64_MAX);
	unsigned found = P_PREV;

	for (unsigned p = P_NONE; p < P_N && best > n; p++) {
		uint64_t bits = p != P_PREV && allowed(p, c, cols) ? residues(v, n, p, other, best) : UINT64_MAX;
		uint32_t *was = *z;

		if (bits >= best)
			continue;
		best = bits;
		found = p;
		*z = other;
		other = was;
	}
	return found;
}

static void ends_put(uint8_t *to, const uint8_t *ends, uint32_t n)
{
	uint32_t prev = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = ld(ends + 4 * (size_t)i);

		plane_put(to, n, i, zigzag(v - prev));
		prev = v;
	}
}

static void ends_get(uint8_t *ends, const uint8_t *from, uint32_t n)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < n; i++)
		st(ends + 4 * (size_t)i, v += unzigzag(plane_get(from, n, i)));
}

/* The length that all keys have, when they are numbers to us; 0: no. */
static uint32_t key_width(const uint8_t *ends, uint32_t n)
{
	uint32_t w = ld(ends);

	for (uint32_t i = 0; i < n; i++)
		if (ld(ends + 4 * (size_t)i) != w * (i + 1))
			return 0;
	return w <= 8 ? w : 0;
}

static void keys_put(uint8_t *to, const uint8_t *keys, uint32_t n, uint32_t w)
{
	uint64_t prev = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t v = 0, d;

		for (uint32_t k = 0; k < w; k++)
			v = v << 8 | keys[(size_t)i * w + k];
		d = v - prev;
		for (uint32_t k = 0; k < w; k++)
			to[(size_t)k * n + i] = (uint8_t)(d >> 8 * k);
		prev = v;
	}
}

static void keys_get(uint8_t *keys, const uint8_t *from, uint32_t n, uint32_t w)
{
	uint64_t v = 0;

	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < w; k++)
			v += (uint64_t)from[(size_t)k * n + i] << 8 * k;
		for (uint32_t k = 0; k < w; k++)
			keys[(size_t)i * w + k] = (uint8_t)(v >> 8 * (w - 1 - k));
	}
}

/* Where the rows begin and how many columns all of them have; false: the ends do not ascend to `len`. */
static bool rows_find(struct rows *r, uint32_t len)
{
	uint32_t prev = 0, least = 4 * NODE_COLS_MAX;

	for (uint32_t i = 0; i < r->n; i++) {
		uint32_t end = ld(r->ends + 4 * (size_t)i) & NODE_VAL_END;

		if (end < prev || end > len)
			return false;
		r->at[i] = prev;
		least = MIN(least, end - prev);
		prev = end;
	}
	r->cols = least / 4;
	return prev == len;
}

/* The bytes before the ends; 0: too short for what it says. */
static size_t head_len(const uint8_t *body, size_t len, uint32_t *n)
{
	size_t head;

	if (len < 10)
		return 0;
	head = 10 + ((size_t)body[4] | (size_t)body[5] << 8) + ((size_t)body[8] | (size_t)body[9] << 8);
	*n = ld(body);
	return *n && head <= len && *n <= (len - head) / 8 ? head : 0;
}

/* What row i has beyond its columns. */
static uint32_t tail_len(const struct rows *r, uint32_t i, uint32_t vals_len)
{
	return (i + 1 < r->n ? r->at[i + 1] : vals_len) - r->at[i] - 4 * r->cols;
}

unsigned node_cols_encode(const uint8_t *body, size_t len, uint8_t *out)
{
	uint32_t at[ROWS_MAX], za[ROWS_MAX], zb[ROWS_MAX], m[NODE_LIMIT / 4], n = 0, keys_len, width, vals_len;
	size_t head = len <= NODE_LIMIT ? head_len(body, len, &n) : 0;
	const uint8_t *key_ends = body + head, *keys = key_ends + 8 * (size_t)n;
	struct rows r = { .n = n, .ends = key_ends + 4 * (size_t)n, .at = at };
	uint8_t *to, *preds;

	if (!head || n < ROWS_MIN)
		return 0;
	keys_len = ld(key_ends + 4 * ((size_t)n - 1));
	if (keys_len > len - head - 8 * (size_t)n)
		return 0;
	r.vals = keys + keys_len;
	vals_len = (uint32_t)(len - (size_t)(r.vals - body));
	if (!rows_find(&r, vals_len) || r.cols < 2)
		return 0;
	memcpy(out, body, head);
	ends_put(out + head, key_ends, n);
	ends_put(out + head + 4 * (size_t)n, r.ends, n);
	to = out + (keys - body);
	width = key_width(key_ends, n);
	if (width)
		keys_put(to, keys, n, width);
	else
		memcpy(to, keys, keys_len);
	preds = to + keys_len;
	to = preds + r.cols;
	columns_find(&r, m);
	for (uint32_t c = 0; c < r.cols; c++, to += 4 * (size_t)n) {
		uint32_t *z = za;

		preds[c] = (uint8_t)choose(m + (size_t)c * n, n, c, r.cols, &z, zb);
		for (uint32_t i = 0; i < n; i++)
			plane_put(to, n, i, z[i]);
	}
	for (uint32_t i = 0; i < n; to += tail_len(&r, i++, vals_len))
		memcpy(to, r.vals + r.at[i] + 4 * (size_t)r.cols, tail_len(&r, i, vals_len));
	return r.cols;
}

static inline void value_get(const struct rows *r, uint8_t *vals, unsigned p, uint32_t c, uint32_t i, const uint8_t *from, struct ratio *q)
{
	uint32_t res = plane_get(from + 4 * (size_t)r->n * c, r->n, i), v = unzigzag(res) + guess(r, p, c, i, q);

	st(vals + r->at[i] + 4 * (size_t)c, v);
	if (p >= P_RATIO)
		ratio_learn(q, ratio_base(r, p, c, i), v, res);
}

static void column_get(const struct rows *r, uint8_t *vals, unsigned p, uint32_t c, const uint8_t *from)
{
	struct ratio q = { 0 };

	if (p == P_PREV)
		for (uint32_t i = 0; i < r->n; i++)
			value_get(r, vals, P_PREV, c, i, from, &q);
	else
		for (uint32_t i = 0; i < r->n; i++)
			value_get(r, vals, p, c, i, from, &q);
}

/* vals: where r->vals is being made. */
static int columns_get(const struct rows *r, uint8_t *vals, const uint8_t *preds, const uint8_t *from, struct lcpfs_error *err)
{
	struct ratio q[NARROW] = { 0 };

	for (uint32_t c = 0; c < r->cols; c++)
		if (!allowed(preds[c], c, r->cols))
			return lcpfs_fail(err, LCPFS_ECORRUPT, "node: predictor %u of column %u", preds[c], c);
	if (r->cols > NARROW)
		for (uint32_t c = 0; c < r->cols; c++)
			column_get(r, vals, preds[c], c, from);
	else
		for (uint32_t i = 0; i < r->n; i++)
			for (uint32_t c = 0; c < r->cols; c++)
				value_get(r, vals, preds[c], c, i, from, &q[c]);
	return 0;
}

int node_cols_decode(const uint8_t *cols, unsigned n_cols, uint8_t *body, size_t len, struct lcpfs_error *err)
{
	uint32_t at[ROWS_MAX], n = 0, keys_len, width, vals_len;
	size_t head = len <= NODE_LIMIT ? head_len(cols, len, &n) : 0;
	struct rows r = { .n = n, .at = at };
	uint8_t *key_ends = body + head, *keys = key_ends + 8 * (size_t)n, *vals;
	const uint8_t *from = cols + head;
	int rc;

	if (!head)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: columns of %u rows in %zu bytes", n, len);
	memcpy(body, cols, head);
	ends_get(key_ends, from, n);
	ends_get(key_ends + 4 * (size_t)n, from + 4 * (size_t)n, n);
	from += 8 * (size_t)n;
	r.ends = key_ends + 4 * (size_t)n;
	keys_len = ld(key_ends + 4 * ((size_t)n - 1));
	if (keys_len > len - head - 8 * (size_t)n)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: columns with keys of %u bytes", keys_len);
	r.vals = vals = keys + keys_len;
	vals_len = (uint32_t)(len - (size_t)(vals - body));
	if (!rows_find(&r, vals_len) || r.cols != n_cols)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "node: %u columns do not fit its values", n_cols);
	width = key_width(key_ends, n);
	if (width)
		keys_get(keys, from, n, width);
	else
		memcpy(keys, from, keys_len);
	from += keys_len;
	rc = columns_get(&r, vals, from, from + n_cols, err);
	from += n_cols + 4 * (size_t)n * n_cols;
	for (uint32_t i = 0; !rc && i < n; from += tail_len(&r, i++, vals_len))
		memcpy(vals + r.at[i] + 4 * (size_t)r.cols, from, tail_len(&r, i, vals_len));
	return rc;
}
