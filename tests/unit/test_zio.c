/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline: order, sameness for any number of threads, reading what is not on the device yet, and failures that stay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "blockdev/blockdev.h"
#include "hash/hash.h"
#include "tap.h"
#include "zio/zio_impl.h"

struct rig {
	struct lcpfs_blockdev *ram;
	struct faultdev fault;
	struct vdev *v;
	struct space *s;
	struct zio *z;
	struct lcpfs_error err;
};

static int sync_chunks(struct rig *r)
{
	const struct config *c = vdev_config(r->v);
	int rc = 0;

	for (uint32_t i = 0; i < c->n_chunks && !rc; i++)
		rc = space_set_chunk(r->s, c->chunks[i].id, c->chunks[i].col_units * (UNIT / SECTOR), c->chunks[i].ashift, SPACE_ANY, &r->err);
	return rc;
}

static int grow(void *arg, unsigned kinds, uint32_t sectors, struct lcpfs_error *err)
{
	struct rig *r = arg;
	uint32_t chunk;
	int rc = vdev_grow(r->v, kinds == SPACE_META ? CLASS_META : CLASS_DATA, (uint64_t)sectors * SECTOR, 1, &chunk, err);

	return rc ? rc : sync_chunks(r);
}

/* Writes from the fail_at-th on fail, from the moment that `kinds` is set. */
static int rig_open(struct rig *r, unsigned threads, size_t window)
{
	struct vdev_create c = { .name = "rig", .uuid = { 1 }, .dev_uuid = { 2 }, .epoch_id = { 3 }, .csum = 1, .label_count = 1 };
	struct zio_opts o = { .threads = threads, .window_bytes = window, .csum = 1, .columns = true };
	int rc;

	memset(r, 0, sizeof *r);
	rc = lcpfs_ramdisk_create(&r->ram, "rig", 0, LCPFS_DEV_IMAGE, &r->err);
	if (rc)
		return rc;
	faultdev_init(&r->fault, r->ram, 0, 0, true, LCPFS_EIO);
	rc = vdev_create(&r->v, &r->fault.dev, &c, &r->err);
	r->s = space_create(NULL, NULL, NULL);
	if (!rc)
		rc = zio_create(&r->z, r->v, r->s, &o, &r->err);
	if (!rc) {
		zio_set_txg(r->z, 5);
		zio_set_grow(r->z, grow, r);
	}
	return rc;
}

static void rig_close(struct rig *r)
{
	zio_destroy(r->z);
	space_destroy(r->s);
	vdev_close(r->v);
	lcpfs_blockdev_close(r->ram);
}

/* ---- many blocks ---- */

#define N 400
struct result { struct blkptr bp[N]; unsigned order[N], n; int rc; };
struct told { struct result *r; unsigned i; };

static void came(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct told *t = arg;

	(void)why;
	if (rc)
		t->r->rc = rc;
	else
		t->r->bp[t->i] = *bp;
	t->r->order[t->r->n++] = t->i;
}

static uint8_t *content(unsigned i, size_t *len)
{
	uint64_t rng = i + 1;
	uint8_t *p;

	*len = 1 + tap_rand(&rng) % (i % 50 == 0 ? 3u << 20 : 60000);
	p = malloc(*len);
	for (size_t k = 0; k < *len; k++)
		p[k] = i % 3 ? (uint8_t)(k >> 6) : (uint8_t)tap_rand(&rng);
	return p;
}

static struct codec_spec spec_of(unsigned i)
{
	static const struct codec_spec all[] = { { .id = CODEC_ZSTD, .level = 3 }, { .id = CODEC_LZ4, .level = 0 }, { .id = CODEC_NONE, .level = 0 } };

	return all[i % 3];
}

static int write_all(struct rig *r, struct told *told, struct result *res)
{
	int rc = 0;

	for (unsigned i = 0; i < N && !rc; i++) {
		size_t len;
		uint8_t *p = content(i, &len);

		told[i] = (struct told){ res, i };
		rc = zio_submit(r->z, PTR_DATA, spec_of(i), p, len, came, &told[i], &r->err);
	}
	return rc;
}

static bool reads_back(struct rig *r, const struct blkptr *bp, unsigned i)
{
	size_t len, head;
	uint8_t *want = content(i, &len), *got = malloc(len);
	bool good = bp->lsize == len && zio_read(r->z, bp, got, &r->err) == 0 && memcmp(want, got, len) == 0;

	head = len / 3 + 1;
	memset(got, 0, len);
	good = good && zio_read_head(r->z, bp, got, head, &r->err) == 0 && memcmp(want, got, head) == 0;
	free(want);
	free(got);
	return good;
}

static void hash_device(struct lcpfs_blockdev *d, uint8_t out[HASH_LEN])
{
	uint64_t size = blockdev_size(d);
	uint8_t *buf = malloc(size);

	blockdev_read(d, 0, buf, size, NULL);
	blake3(buf, size, out);
	free(buf);
}

static bool all_read(struct rig *r, const struct result *res)
{
	for (unsigned i = 0; i < N; i++)
		if (!reads_back(r, &res->bp[i], i))
			return false;
	return true;
}

TEST(any_number_of_threads)
{
	struct result *first = calloc(1, sizeof *first), *res = calloc(1, sizeof *res);
	struct told *told = calloc(N, sizeof *told);
	uint8_t hash[2][HASH_LEN];

	for (unsigned threads = 1; threads <= 8; threads++) {
		struct rig r;
		unsigned i = 0;

		memset(res, 0, sizeof *res);
		if (!ok_msg(rig_open(&r, threads, threads % 3 ? 0 : 64 << 20) == 0, "%s", r.err.msg))
			break;
		ok(write_all(&r, told, res) == 0 && zio_wait(r.z, &r.err) == 0 && res->rc == 0);
		ok_msg(all_read(&r, res), "before the push: %s", r.err.msg);
		ok(zio_push(r.z, &r.err) == 0);
		ok_msg(all_read(&r, res), "after the push: %s", r.err.msg);
		while (i < N && res->order[i] == i)
			i++;
		ok_msg(i == N && res->n == N, "%u threads: call %u was for block %u", threads, i, i < N ? res->order[i] : 0);
		hash_device(r.ram, hash[threads > 1]);
		if (threads == 1)
			*first = *res;
		ok_msg(memcmp(first->bp, res->bp, sizeof res->bp) == 0, "%u threads: other addresses", threads);
		ok_msg(threads == 1 || memcmp(hash[0], hash[1], HASH_LEN) == 0, "%u threads: other bytes", threads);
		rig_close(&r);
	}
	free(first);
	free(res);
	free(told);
}

/* Blocks freed while others are on their way: where those go must not depend on who was first. */
TEST(frees_meanwhile)
{
	struct blkptr *first = calloc(N, sizeof *first);

	for (unsigned threads = 1; threads <= 8; threads++) {
		struct result *res = calloc(2, sizeof *res);
		struct told *told = calloc(2 * N, sizeof *told);
		struct rig r;

		if (!ok_msg(rig_open(&r, threads, 64 << 20) == 0, "%s", r.err.msg))
			break;
		ok(write_all(&r, told, &res[0]) == 0 && zio_wait(r.z, &r.err) == 0);
		for (unsigned i = 0; i < N; i++) {
			size_t len;
			uint8_t *p = content(i, &len);
			const struct blkptr *old = &res[0].bp[i];

			told[N + i] = (struct told){ &res[1], i };
			ok(zio_submit(r.z, PTR_DATA, spec_of(i), p, len, came, &told[N + i], &r.err) == 0);
			ok(space_free(r.s, old->addr, (uint32_t)div_up(old->psize, SECTOR), true, true, &r.err) == 0);
			if (i % 40 == 39)
				ok(zio_wait(r.z, &r.err) == 0);
		}
		ok(zio_wait(r.z, &r.err) == 0);
		if (threads == 1)
			memcpy(first, res[1].bp, sizeof res[1].bp);
		ok_msg(memcmp(first, res[1].bp, sizeof res[1].bp) == 0, "%u threads: other addresses", threads);
		ok_msg(all_read(&r, &res[1]), "%s", r.err.msg);
		rig_close(&r);
		free(res);
		free(told);
	}
	free(first);
}

/* ---- failures ---- */

static int submit_one(struct rig *r, struct result *res, struct told *t, unsigned i)
{
	size_t len;
	uint8_t *p = content(i, &len);

	*t = (struct told){ res, i };
	return zio_submit(r->z, PTR_DATA, spec_of(i), p, len, came, t, &r->err);
}

static int write_node(struct rig *r, struct blkptr *bp)
{
	static const uint8_t body[300] = { 1, 2, 3 };

	return zio_write_node(r->z, true, 0, 77, NULL, 0, body, sizeof body, bp, &r->err);
}

#define NODES 40u

struct node_done { struct blkptr bp; int rc; unsigned order; unsigned *n; };

static void node_came(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct node_done *d = arg;

	(void)why;
	d->rc = rc;
	d->bp = *bp;
	d->order = (*d->n)++;
}

/* A pointer (to nothing), and a body that depends on i. */
static void node_bytes(unsigned i, uint8_t *to, uint32_t body_len)
{
	uint64_t rng = i + 1;

	for (uint32_t k = 0; k < PTR_LEN + body_len; k++)
		to[k] = (uint8_t)(k % 3 ? k / 64 : tap_rand(&rng));
}

/* Queued on any number of threads a node is what it is when written at once. */
TEST(queued_nodes)
{
	static uint8_t mem[NODES][PTR_LEN + 9000];
	struct node_done d[NODES];
	struct blkptr want[NODES];

	for (unsigned threads = 0; threads <= 4; threads++) {
		unsigned n = 0;
		struct rig r;

		is_int(rig_open(&r, threads, 0), 0);
		for (unsigned i = 0; i < NODES; i++) {
			uint32_t body_len = 300 + i * 200, nptr = i % 2;
			const uint8_t *ptrs = mem[i] + (nptr ? 0 : PTR_LEN);

			node_bytes(i, mem[i], body_len);
			d[i] = (struct node_done){ .rc = 1, .n = &n };
			if (!threads)
				is_int(zio_write_node(r.z, true, 0, 77, ptrs, nptr, mem[i] + PTR_LEN, body_len, &want[i], &r.err), 0);
			else
				is_int(zio_submit_node(r.z, true, 0, 77, ptrs, nptr, body_len, node_came, &d[i], &r.err), 0);
		}
		is_int(zio_wait(r.z, &r.err), 0);
		for (unsigned i = 0; threads && i < NODES; i++) {
			uint8_t a[PTR_LEN], b[PTR_LEN];

			ptr_encode(&d[i].bp, a);
			ptr_encode(&want[i], b);
			ok(!d[i].rc && d[i].order == i && !memcmp(a, b, sizeof a));
		}
		rig_close(&r);
	}
}

TEST(a_queued_node_without_room)
{
	unsigned n = 0;
	struct node_done d = { .rc = 1, .n = &n };
	static uint8_t mem[500];
	struct blkptr bp;
	struct rig r;

	is_int(rig_open(&r, 2, 0), 0);
	zio_set_grow(r.z, NULL, NULL);
	is_int(zio_submit_node(r.z, true, 0, 77, mem, 0, sizeof mem, node_came, &d, &r.err), 0);
	is_int(zio_wait(r.z, &r.err), 0);
	is_int(d.rc, -LCPFS_ENOSPC);
	zio_set_grow(r.z, grow, &r);
	is_int(write_node(&r, &bp), 0);
	rig_close(&r);
}

TEST(failures_stay)
{
	for (unsigned threads = 1; threads <= 4; threads += 3) {
		struct result *res = calloc(1, sizeof *res);
		struct told told[N + 4];
		struct blkptr bp;
		struct rig r;
		char first[480];
		unsigned calls;
		int rc;

		is_int(rig_open(&r, threads, 0), 0);
		is_int(submit_one(&r, res, &told[0], 1), 0);
		is_int(zio_wait(r.z, &r.err), 0);
		r.fault.fail_at = 0;
		r.fault.seen = 0;
		r.fault.kinds = FAULT_WRITE;
		rc = write_all(&r, told + 4, res);
		ok(rc == 0 || rc == -LCPFS_EIO);
		is_int(zio_wait(r.z, &r.err), -LCPFS_EIO);
		memcpy(first, r.err.msg, sizeof first);
		is_int(res->rc, -LCPFS_EIO);
		r.fault.kinds = 0; /* the device is well again, the pipeline is not */
		calls = res->n;
		is_int(submit_one(&r, res, &told[1], 2), -LCPFS_EIO);
		is_int(res->n, calls); /* refused: done is not called */
		is_str(r.err.msg, first);
		is_int(zio_push(r.z, NULL), 0);
		is_int(write_node(&r, &bp), -LCPFS_EIO);
		is_int(zio_wait(r.z, &r.err), -LCPFS_EIO);
		rig_close(&r);
		free(res);
	}
}

/* What is in the out buffer belongs to others: when a node's writing loses it, nothing may be committed any more. */
TEST(a_lost_buffer_is_not_forgotten)
{
	struct result *res = calloc(1, sizeof *res);
	struct told told[2];
	struct blkptr bp;
	struct rig r;

	is_int(rig_open(&r, 1, 0), 0);
	is_int(submit_one(&r, res, &told[0], 1), 0);
	r.fault.kinds = FAULT_WRITE;
	while (write_node(&r, &bp) == 0)
		;
	r.fault.kinds = 0;
	is_int(zio_wait(r.z, &r.err), -LCPFS_EIO);
	is_int(write_node(&r, &bp), -LCPFS_EIO);
	rig_close(&r);

	/* to find no room loses nothing */
	is_int(rig_open(&r, 1, 0), 0);
	zio_set_grow(r.z, NULL, NULL);
	is_int(write_node(&r, &bp), -LCPFS_ENOSPC);
	zio_set_grow(r.z, grow, &r);
	is_int(write_node(&r, &bp), 0);
	rig_close(&r);
	free(res);
}

/* ---- damage and hostile pointers ---- */

static void damage(struct rig *r, const struct blkptr *bp, size_t at)
{
	uint8_t sector[SECTOR];
	uint64_t addr = bp->addr + at / SECTOR;

	vdev_read(r->v, addr, sector, sizeof sector, NULL);
	sector[at % SECTOR] ^= 1;
	vdev_write(r->v, addr, sector, sizeof sector, NULL);
}

TEST(damaged_blocks)
{
	struct result *res = calloc(1, sizeof *res);
	struct told *told = calloc(N, sizeof *told);
	uint8_t *buf = malloc(17 << 20), *pb;
	uint64_t rng = 3;
	uint32_t nptr;
	struct blkptr bp;
	struct rig r;

	is_int(rig_open(&r, 2, 0), 0);
	ok(write_all(&r, told, res) == 0 && zio_wait(r.z, &r.err) == 0 && write_node(&r, &bp) == 0);
	is_int(zio_read_node(r.z, &bp, &pb, &nptr, &r.err), 0);
	free(pb);
	is_int(zio_push(r.z, &r.err), 0);
	for (unsigned i = 0; i < 50; i++) {
		damage(&r, &res->bp[i], tap_rand(&rng) % res->bp[i].psize);
		is_int(zio_read(r.z, &res->bp[i], buf, &r.err), -LCPFS_ECSUM);
		is_int(zio_read_head(r.z, &res->bp[i], buf, 1, &r.err), -LCPFS_ECSUM);
		is_int(zio_read_stored(r.z, &res->bp[i], buf, &r.err), -LCPFS_ECSUM);
	}
	damage(&r, &bp, 50);
	is_int(zio_read_node(r.z, &bp, &pb, &nptr, &r.err), -LCPFS_ECSUM);
	bp.kind = PTR_DATA;
	is_int(zio_read_node(r.z, &bp, &pb, &nptr, &r.err), -LCPFS_ECORRUPT);
	rig_close(&r);
	free(buf);
	free(res);
	free(told);
}

TEST(hostile_pointers)
{
	struct result *res = calloc(1, sizeof *res);
	struct told told;
	uint8_t *buf = malloc(17 << 20);
	struct blkptr bp;
	struct rig r;

	is_int(rig_open(&r, 1, 0), 0);
	is_int(submit_one(&r, res, &told, 1), 0); /* lies in the out buffer */
	bp = res->bp[1];
	bp.psize = bp.lsize = 16 << 20; /* begins there and goes far beyond */
	bp.comp = CODEC_NONE;
	ok(zio_read(r.z, &bp, buf, &r.err) < 0);
	bp = res->bp[1];
	bp.lsize += 7;
	ok(zio_read(r.z, &bp, buf, &r.err) == -LCPFS_ECORRUPT);
	bp = res->bp[1];
	bp.comp = CODEC_NONE;
	is_int(zio_read(r.z, &bp, buf, &r.err), -LCPFS_ECORRUPT);
	bp = res->bp[1];
	bp.suite = 1;
	is_int(zio_read(r.z, &bp, buf, &r.err), -LCPFS_ENOKEY);
	bp = res->bp[1];
	bp.csum = 9;
	is_int(zio_read(r.z, &bp, buf, &r.err), -LCPFS_EUNSUP);
	bp = res->bp[1];
	bp.addr = ptr_addr(9, 0);
	is_int(zio_read(r.z, &bp, buf, &r.err), -LCPFS_ECORRUPT);
	rig_close(&r);
	free(buf);
	free(res);
}

TEST(received_blocks)
{
	struct result *res = calloc(1, sizeof *res);
	struct told told;
	uint8_t *stored = malloc(1 << 20);
	struct blkptr bp;
	struct rig r;

	is_int(rig_open(&r, 3, 0), 0);
	is_int(submit_one(&r, res, &told, 1), 0);
	is_int(zio_wait(r.z, &r.err), 0);
	is_int(zio_read_stored(r.z, &res->bp[1], stored, &r.err), 0);
	bp = res->bp[1];
	bp.addr = 0;
	is_int(zio_write_stored(r.z, stored, &bp, &r.err), 0);
	ok(bp.addr != res->bp[1].addr && bp.birth == 5);
	ok(reads_back(&r, &bp, 1));
	rig_close(&r);
	free(stored);
	free(res);
}

TAP_MAIN(T(any_number_of_threads), T(frees_meanwhile), T(queued_nodes), T(a_queued_node_without_room), T(failures_stay), T(a_lost_buffer_is_not_forgotten), T(damaged_blocks),
         T(hostile_pointers), T(received_blocks))
