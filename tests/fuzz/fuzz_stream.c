/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole stream. Hashes are put in order first, so that mutations reach what lies behind them: header hashes and sequence numbers of all frames, the
 * running hash in CKPT and END, block hashes in PACK and EXTENT. Then it is verified; as its first byte says, loaded into a pool (bit 0), and received
 * into one that has what an incremental one begins with (bits 1 and 2: as what). What was received leaves the pool sound.
 */
#include <stdlib.h>
#include <string.h>
#include "base/le.h"
#include "base/util.h"
#include "format/frame.h"
#include "hash/hash.h"
#include "fuzz.h"
#include "sample.h"

static struct memory whole; /* a pool that has what the streams come from */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	sample_pool(&whole, NULL);
	return 0;
}

struct in { const uint8_t *p; size_t len, at; };

static int read_mem(void *arg, void *buf, size_t len, size_t *got, struct lcpfs_error *err)
{
	struct in *in = arg;

	(void)err;
	*got = MIN(len, in->len - in->at);
	if (*got)
		memcpy(buf, in->p + in->at, *got);
	in->at += *got;
	return 0;
}

/* The hash of a block, at `at` in its frame's payload, of the bytes behind it. */
static void fix_block(uint8_t *payload, size_t len, size_t at)
{
	if (len > at + PACK_FRAME_HDR) {
		payload[at + 9] = HASH_BLAKE3;
		le_store(payload + at + 4, 4, len - at - PACK_FRAME_HDR);
		blake3(payload + at + PACK_FRAME_HDR, len - at - PACK_FRAME_HDR, payload + at + 16);
	}
}

static void fix_payload(const struct frame_hdr *h, uint8_t *payload, uint64_t seq, const uint8_t running[32])
{
	size_t at = h->type == FRAME_END ? 4 : 0;

	if (h->type == FRAME_PACK)
		fix_block(payload, h->len, 0);
	if (h->type == FRAME_EXTENT)
		fix_block(payload, h->len, 24);
	if ((h->type == FRAME_CKPT || h->type == FRAME_END) && h->len >= at + 40) {
		le_store(payload + at, 8, seq);
		memcpy(payload + at + 8, running, 32);
	}
}

static void fix_frames(uint8_t *p, size_t len)
{
	uint8_t running[32] = { 0 }, both[48];
	uint64_t seq = 0;

	while (len >= FRAME_HDR) {
		struct frame_hdr h;
		struct blake3 b;

		le_store(p, 4, FRAME_MAGIC);
		le_store(p + 6, 2, le_load(p + 6, 2) & FRAME_F_CRITICAL);
		le_store(p + 8, 8, seq);
		le_store(p + 16, 8, MIN(le_load(p + 16, 8), len - FRAME_HDR));
		if (frame_hdr_decode(&h, p, NULL))
			return;
		fix_payload(&h, p + FRAME_HDR, seq, running);
		blake3_init(&b);
		blake3_update(&b, p, 24);
		blake3_update(&b, p + FRAME_HDR, h.len);
		blake3_final(&b, 0, p + 24, 16);
		memcpy(both, running, 32);
		memcpy(both + 32, p + 24, 16);
		blake3(both, sizeof both, running);
		if (frame_stored_len(h.len) > len)
			return;
		memset(p + FRAME_HDR + h.len, 0, frame_stored_len(h.len) - FRAME_HDR - h.len);
		len -= frame_stored_len(h.len);
		p += frame_stored_len(h.len);
		seq++;
	}
}

static int no_line(void *arg, const char *line, struct lcpfs_error *err)
{
	(void)arg, (void)line, (void)err;
	return 0;
}

static int look(void *arg, const struct lcpfs_diff *d, struct lcpfs_error *err)
{
	(void)arg, (void)d, (void)err;
	return 0;
}

/* Read all of what was loaded: the difference of a dataset and itself by way of its snapshot. */
static void load(struct in *in)
{
	struct lcpfs_dataset *ds = NULL;
	struct lcpfs_pool *pool;
	struct lcpfs_stream_info info;
	bool differs;

	if (lcpfs_stream_load(read_mem, in, &pool, &info, NULL))
		return;
	if (!lcpfs_dataset_open(&ds, pool, "", NULL))
		lcpfs_diff(ds, ds, 0, look, NULL, &differs, NULL);
	lcpfs_dataset_close(ds);
	lcpfs_pool_close(pool, NULL);
}

/* What a sender says of its own files is its own to say; it must not damage the pool. */
static void on_problem(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	if (p->phase < 5)
		abort();
}

static void receive(struct in *in, bool into_root)
{
	struct lcpfs_recv_opts o = { .target = into_root ? "" : "copy/new", .force = true };
	struct lcpfs_open_opts oo = { .flags = LCPFS_OPEN_RW, .threads = 1, .memory_bytes = 32 << 20 };
	struct lcpfs_check_opts co = { .data = true, .problem = on_problem };
	struct memory m = { .p = malloc(whole.len), .len = whole.len };
	struct lcpfs_pool *p;
	uint64_t problems = 0;

	memcpy(m.p, whole.p, whole.len);
	must(lcpfs_pool_open_dev(&p, memory_dev(&m, true), &oo, NULL));
	lcpfs_recv(p, &o, read_mem, in, NULL, NULL);
	must(lcpfs_pool_close(p, NULL));
	oo.flags = 0;
	must(lcpfs_fsck_dev(memory_dev(&m, false), &oo, &co, &problems, NULL));
	free(m.p);
}

/* Frame n of a stream that begins at p, or the end; *len of it. */
static size_t frame_at(const uint8_t *p, size_t size, unsigned n, size_t *len)
{
	size_t at = 0;

	for (;; n--) {
		uint64_t stored = size - at >= FRAME_HDR ? frame_stored_len(MIN(le_load(p + at + 16, 8), (uint64_t)size)) : 0;

		*len = (size_t)MIN(stored, (uint64_t)(size - at));
		if (!n || !*len)
			return at;
		at += *len;
	}
}

/* A frame's type or payload, a frame twice, or without one. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	size_t at, len;

	if (size < 1 + FRAME_HDR)
		return LLVMFuzzerMutate(data, size, max);
	at = 1 + frame_at(data + 1, size - 1, (seed >> 4) % 40, &len);
	switch (len <= FRAME_HDR ? 7 : seed % 8) {
	case 0:
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	case 1:
		if (size + len > max)
			break;
		memmove(data + at + len, data + at, size - at);
		return size + len;
	case 2:
		data[at + 4] = (uint8_t)(seed >> 12 & 15);
		break;
	case 7:
		data[0] = (uint8_t)(seed >> 8);
		break;
	default:
		at += FRAME_HDR + (seed >> 16) % (len - FRAME_HDR);
		LLVMFuzzerMutate(data + at, MIN(size - at, (size_t)8), MIN(size - at, (size_t)8));
	}
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct lcpfs_stream_info info;
	struct in in = { .len = len ? len - 1 : 0 };
	uint8_t *copy = malloc(len + 1);
	uint64_t good;
	char *token = NULL;

	if (!copy || !len) {
		free(copy);
		return 0;
	}
	memcpy(copy, data + 1, len - 1);
	fix_frames(copy, len - 1);
	in.p = copy;
	lcpfs_stream_verify(read_mem, &in, &info, NULL);
	in.at = 0;
	lcpfs_stream_dump(read_mem, &in, no_line, NULL, NULL);
	in.at = 0;
	lcpfs_stream_resume_point(read_mem, &in, &good, &token, NULL);
	free(token);
	in.at = 0;
	if (data[0] & 1)
		load(&in);
	in.at = 0;
	if (data[0] & 2)
		receive(&in, data[0] & 4);
	free(copy);
	return 0;
}
