/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE3: the tree
 * Input is cut into chunks of 1024 bytes, each hashed to a chaining value (CV); CVs are joined in pairs to the root of
 * a binary tree in which every left subtree is a whole power of two of chunks. The hasher keeps one CV per whole
 * subtree, largest first: the set bits of the number of chunks so far.
 *
 * Invariants
 *  (1) A CV is joined with its right neighbour only once more input is known to follow, because the last join is the
 *      root and is made with other flags. So after an update the two topmost CVs may still be unjoined.
 *  (2) The chunk under way holds at least one byte whenever the stack is empty or fully joined; a full chunk waits in
 *      chunk_buf until more input comes, as it might be the last.
 *  (3) Input that is at hand in whole subtrees goes to the kernels directly, up to BATCH chunks at a time.
 */
#include <string.h>
#include "base/le.h"
#include "base/util.h"
#include "hash/blake3_impl.h"
#include "hash/hash.h"

#define BATCH 128 /* chunks; wide enough that the widest kernel also joins parents at full width */

static const uint32_t iv[8] = {
	BLAKE3_IV0, BLAKE3_IV1, BLAKE3_IV2, BLAKE3_IV3, BLAKE3_IV4, BLAKE3_IV5, BLAKE3_IV6, BLAKE3_IV7,
};

static void words_load(uint32_t w[8], const uint8_t bytes[32])
{
	for (unsigned i = 0; i < 8; i++)
		w[i] = (uint32_t)le_load(bytes + 4 * i, 4);
}

static void words_store(uint8_t bytes[32], const uint32_t w[8])
{
	for (unsigned i = 0; i < 8; i++)
		le_store(bytes + 4 * i, 4, w[i]);
}

/* One block; at most 64 bytes of it count. */
static void compress(uint32_t cv[8], const uint8_t *block, uint8_t len, uint64_t counter, uint8_t flags)
{
	struct blake3_place at = { counter, len, flags, 0, 0 };

	blake3_kernels()->blocks(cv, block, 1, at);
}

static void init(struct blake3 *b, const uint32_t key[8], uint8_t flags)
{
	memcpy(b->key, key, sizeof b->key);
	memcpy(b->chunk_cv, key, sizeof b->chunk_cv);
	b->flags = flags;
	b->cv_stack_len = 0;
	b->chunk_counter = 0;
	b->chunk_buf_len = 0;
	b->blocks_compressed = 0;
}

void blake3_init(struct blake3 *b)
{
	init(b, iv, 0);
}

void blake3_init_keyed(struct blake3 *b, const uint8_t key[32])
{
	uint32_t w[8];

	words_load(w, key);
	init(b, w, BLAKE3_KEYED);
}

void blake3_init_derive(struct blake3 *b, const void *context, size_t len)
{
	uint8_t key[32];
	uint32_t w[8];

	init(b, iv, BLAKE3_DERIVE_CONTEXT);
	blake3_update(b, context, len);
	blake3_final(b, 0, key, sizeof key);
	words_load(w, key);
	init(b, w, BLAKE3_DERIVE_MATERIAL);
}

/* The chunk under way. */

static size_t chunk_len(const struct blake3 *b)
{
	return (size_t)b->blocks_compressed * BLAKE3_BLOCK + b->chunk_buf_len;
}

static uint8_t chunk_start(const struct blake3 *b)
{
	return b->blocks_compressed ? 0 : BLAKE3_CHUNK_START;
}

static void chunk_blocks(struct blake3 *b, const uint8_t *p, size_t n)
{
	struct blake3_place at = { b->chunk_counter, BLAKE3_BLOCK, b->flags, chunk_start(b), 0 };

	blake3_kernels()->blocks(b->chunk_cv, p, n, at);
	b->blocks_compressed += (uint8_t)n;
}

/* Take len > 0 bytes, which the chunk has room for. */
static void chunk_update(struct blake3 *b, const uint8_t *p, size_t len)
{
	while (len) {
		size_t k = MIN(len, (size_t)(BLAKE3_BLOCK - b->chunk_buf_len));

		if (b->chunk_buf_len == BLAKE3_BLOCK) {
			chunk_blocks(b, b->chunk_buf, 1);
			b->chunk_buf_len = 0;
			continue;
		}
		if (b->chunk_buf_len == 0 && len > BLAKE3_BLOCK) {
			k = (len - 1) / BLAKE3_BLOCK * BLAKE3_BLOCK; /* (2) */
			chunk_blocks(b, p, k / BLAKE3_BLOCK);
		} else {
			memcpy(b->chunk_buf + b->chunk_buf_len, p, k);
			b->chunk_buf_len += (uint8_t)k;
		}
		p += k;
		len -= k;
	}
}

static void chunk_reset(struct blake3 *b)
{
	memcpy(b->chunk_cv, b->key, sizeof b->chunk_cv);
	b->chunk_buf_len = 0;
	b->blocks_compressed = 0;
}

/* The stack of subtrees. */

/* Join what is whole, now that more input than `chunks` chunks is known to follow. */
static void stack_join(struct blake3 *b, uint64_t chunks)
{
	unsigned want = (unsigned)__builtin_popcountll(chunks);

	while (b->cv_stack_len > want) {
		uint8_t *left = b->cv_stack + 32 * (b->cv_stack_len - 2);
		uint32_t cv[8];

		memcpy(cv, b->key, sizeof cv);
		compress(cv, left, BLAKE3_BLOCK, 0, b->flags | BLAKE3_PARENT);
		words_store(left, cv);
		b->cv_stack_len--;
	}
}

/* Push the CV of a subtree that begins at chunk `first`. */
static void stack_push(struct blake3 *b, const uint8_t cv[32], uint64_t first)
{
	stack_join(b, first);
	memcpy(b->cv_stack + 32 * b->cv_stack_len++, cv, 32);
}

/* The whole chunk under way is not the last. */
static void chunk_end(struct blake3 *b)
{
	uint8_t cv[32];

	compress(b->chunk_cv, b->chunk_buf, BLAKE3_BLOCK, b->chunk_counter, b->flags | chunk_start(b) | BLAKE3_CHUNK_END);
	words_store(cv, b->chunk_cv);
	stack_push(b, cv, b->chunk_counter++);
	chunk_reset(b);
}

/* Push a subtree of n chunks, a power of two up to BATCH: as its two halves, so that it may turn out to be the root. */
static void subtree(struct blake3 *b, const uint8_t *p, size_t n)
{
	uint8_t cvs[BATCH * 32];
	struct blake3_job job = { b->key, b->chunk_counter, b->flags, true };
	blake3_many_fn *many = blake3_kernels()->many;
	uint64_t first = b->chunk_counter;

	many(p, n, job, cvs);
	job.counter = 0;
	job.chunks = false;
	for (size_t k = n; k > 2; k /= 2)
		many(cvs, k / 2, job, cvs);
	stack_push(b, cvs, first);
	if (n > 1)
		stack_push(b, cvs + 32, first + n / 2);
	b->chunk_counter += n;
}

/* The largest subtree that may begin at chunk `first` with `chunks` > 0 whole chunks at hand. */
static size_t subtree_size(uint64_t first, size_t chunks)
{
	size_t n = BATCH;

	while (n > chunks || first % n)
		n /= 2;
	return n;
}

void blake3_update(struct blake3 *b, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len && chunk_len(b)) {
		size_t k = MIN(len, BLAKE3_CHUNK - chunk_len(b));

		chunk_update(b, p, k);
		p += k;
		len -= k;
		if (len)
			chunk_end(b);
	}
	while (len > BLAKE3_CHUNK) {
		size_t n = subtree_size(b->chunk_counter, len / BLAKE3_CHUNK);

		subtree(b, p, n);
		p += n * BLAKE3_CHUNK;
		len -= n * BLAKE3_CHUNK;
	}
	if (len) {
		stack_join(b, b->chunk_counter);
		chunk_update(b, p, len);
	}
}

/* Output: the last compression of the tree, repeated with a counter for as many bytes as are wanted. */

struct output {
	uint32_t cv[8];
	uint8_t block[BLAKE3_BLOCK], len, flags;
	uint64_t counter;
};

static void output_root(struct output *o, const struct blake3 *b)
{
	unsigned n = b->cv_stack_len;

	memset(o, 0, sizeof *o);
	if (chunk_len(b) || n == 0) {
		memcpy(o->cv, b->chunk_cv, sizeof o->cv);
		memcpy(o->block, b->chunk_buf, b->chunk_buf_len);
		o->len = b->chunk_buf_len;
		o->flags = b->flags | chunk_start(b) | BLAKE3_CHUNK_END;
		o->counter = b->chunk_counter;
	} else { /* (1): the two topmost are unjoined */
		n -= 2;
		memcpy(o->cv, b->key, sizeof o->cv);
		memcpy(o->block, b->cv_stack + 32 * n, BLAKE3_BLOCK);
		o->len = BLAKE3_BLOCK;
		o->flags = b->flags | BLAKE3_PARENT;
	}
	while (n--) {
		compress(o->cv, o->block, o->len, o->counter, o->flags);
		memcpy(o->block, b->cv_stack + 32 * n, 32);
		words_store(o->block + 32, o->cv);
		memcpy(o->cv, b->key, sizeof o->cv);
		o->len = BLAKE3_BLOCK;
		o->flags = b->flags | BLAKE3_PARENT;
		o->counter = 0;
	}
}

void blake3_final(const struct blake3 *b, uint64_t seek, void *out, size_t out_len)
{
	struct output o;
	uint8_t block[BLAKE3_BLOCK], *p = out;

	output_root(&o, b);
	if (seek == 0 && out_len == HASH_LEN) { /* these bytes are the chaining value */
		compress(o.cv, o.block, o.len, 0, o.flags | BLAKE3_ROOT);
		words_store(out, o.cv);
		return;
	}
	while (out_len) {
		size_t skip = seek % BLAKE3_BLOCK, k = MIN(out_len, BLAKE3_BLOCK - skip);

		blake3_compress_out(o.cv, o.block, o.len, seek / BLAKE3_BLOCK, o.flags | BLAKE3_ROOT, block);
		memcpy(p, block + skip, k);
		p += k;
		seek += k;
		out_len -= k;
	}
}

/*
 * In one go
 * With all input at hand the chunks of the last, uneven subtree go to the kernels together.
 */

/* The CV of a chunk of up to 1024 bytes; `root` is BLAKE3_ROOT when it is all. */
static void chunk_cv(const uint32_t key[8], const uint8_t *p, size_t len, uint64_t counter, uint8_t root, uint8_t out[32])
{
	struct blake3_place at = { counter, BLAKE3_BLOCK, 0, BLAKE3_CHUNK_START, 0 };
	blake3_blocks_fn *blocks = blake3_kernels()->blocks;
	size_t n = len ? (len - 1) / BLAKE3_BLOCK : 0, rest = len - n * BLAKE3_BLOCK;
	uint8_t block[BLAKE3_BLOCK] = { 0 };
	uint32_t cv[8];

	memcpy(cv, key, sizeof cv);
	if (rest == BLAKE3_BLOCK) {
		n++;
		at.last = BLAKE3_CHUNK_END | root;
	}
	if (n) {
		blocks(cv, p, n, at);
		at.first = 0;
	}
	if (rest < BLAKE3_BLOCK) {
		at.len = (uint8_t)rest;
		at.last = BLAKE3_CHUNK_END | root;
		if (rest)
			memcpy(block, p + n * BLAKE3_BLOCK, rest);
		blocks(cv, block, 1, at);
	}
	words_store(out, cv);
}

/*
 * One CV, or with `pair` two side by side, of the 1 to BATCH chunks that the input ends with; the last may be a part.
 * Level by level an odd last CV moves up as it is, which makes the same tree as powers of two from the left.
 */
static void last_subtree(const struct blake3 *b, const uint8_t *p, size_t len, bool pair, uint8_t cvs[BATCH * 32])
{
	const struct blake3_kernels *k = blake3_kernels();
	struct blake3_job job = { b->key, b->chunk_counter, b->flags, true };
	size_t n = len / BLAKE3_CHUNK, rest = len % BLAKE3_CHUNK;

	if (n)
		k->many(p, n, job, cvs);
	if (rest) {
		chunk_cv(b->key, p + n * BLAKE3_CHUNK, rest, b->chunk_counter + n, 0, cvs + 32 * n);
		n++;
	}
	job.counter = 0;
	job.chunks = false;
	for (; n > (pair ? 2 : 1); n = (n + 1) / 2) {
		k->many(cvs, n / 2, job, cvs);
		if (n % 2)
			memcpy(cvs + 32 * (n / 2), cvs + 32 * (n - 1), 32);
	}
}

void blake3(const void *data, size_t len, uint8_t out[HASH_LEN])
{
	const uint8_t *p = data;
	uint8_t cvs[BATCH * 32];
	struct blake3 b;
	uint32_t cv[8];

	if (len <= BLAKE3_CHUNK) {
		chunk_cv(iv, p, len, 0, BLAKE3_ROOT, out);
		return;
	}
	init(&b, iv, 0);
	for (; len > BATCH * BLAKE3_CHUNK; p += BATCH * BLAKE3_CHUNK, len -= BATCH * BLAKE3_CHUNK)
		subtree(&b, p, BATCH);
	stack_join(&b, b.chunk_counter);
	last_subtree(&b, p, len, b.cv_stack_len == 0, cvs);
	for (unsigned n = b.cv_stack_len; n; n--) {
		memcpy(cvs + 32, cvs, 32);
		memcpy(cvs, b.cv_stack + 32 * (n - 1), 32);
		if (n > 1) {
			memcpy(cv, iv, sizeof cv);
			compress(cv, cvs, BLAKE3_BLOCK, 0, BLAKE3_PARENT);
			words_store(cvs, cv);
		}
	}
	memcpy(cv, iv, sizeof cv);
	compress(cv, cvs, BLAKE3_BLOCK, 0, BLAKE3_PARENT | BLAKE3_ROOT);
	words_store(out, cv);
}
