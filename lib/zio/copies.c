/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies: which of them is right, only the pointer's hash tells. What is found bad is told of in every case, and put right when the pool is
 * open for writing: in place, with the very bytes that the pointer names, so a power cut in between leaves a bad copy as before.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "zio/zio_impl.h"

int zio_verify(const struct blkptr *bp, const uint8_t *stored, struct lcpfs_error *err)
{
	const struct hash_algo *h = hash_by_id(bp->csum);
	uint8_t hash[HASH_LEN];

	if (!h)
		return lcpfs_fail(err, LCPFS_EUNSUP, "checksum %u", bp->csum);
	h->digest(stored, bp->psize, hash);
	if (memcmp(hash, bp->hash, HASH_LEN) != 0)
		return lcpfs_fail(err, LCPFS_ECSUM, "block %u:%u (%u bytes): checksum mismatch", ptr_chunk(bp), ptr_sector(bp), bp->psize);
	return 0;
}

static int read_copy(struct zio *z, const struct blkptr *bp, unsigned copy, uint8_t *buf, struct lcpfs_error *err)
{
	int rc = vdev_read_copy(z->vdev, bp->addr, copy, buf, round_up(bp->psize, SECTOR), err);

	return rc ? rc : zio_verify(bp, buf, err);
}

static bool is_damage(int rc)
{
	return rc == -LCPFS_EIO || rc == -LCPFS_ECSUM;
}

/* stored: the right bytes, with whole sectors. */
static bool rewrite(struct zio *z, const struct blkptr *bp, unsigned copy, uint8_t *stored)
{
	size_t padded = round_up(bp->psize, SECTOR);
	struct lcpfs_error why = { 0 };
	int rc;

	memset(stored + bp->psize, 0, padded - bp->psize);
	rc = vdev_write_copy(z->vdev, bp->addr, copy, stored, padded, &why);
	if (rc)
		log_msg(LCPFS_LOG_WARN, "zio", "block %u:%u: copy %u cannot be rewritten: %s", ptr_chunk(bp), ptr_sector(bp), copy + 1, why.msg);
	return !rc;
}

static void count(struct zio *z, unsigned bad, unsigned mended)
{
	pthread_mutex_lock(&z->out_lock);
	z->stats.bad_copies += bad;
	z->stats.mended_copies += mended;
	pthread_mutex_unlock(&z->out_lock);
}

static void found_bad(struct zio *z, const struct blkptr *bp, unsigned copy, uint8_t *good, const struct lcpfs_error *why)
{
	bool mended = vdev_may_write(z->vdev) && rewrite(z, bp, copy, good);

	log_msg(LCPFS_LOG_WARN, "zio", "copy %u: %s: another copy is good%s", copy + 1, why->msg, mended ? ", rewritten" : "");
	count(z, 1, mended);
}

int zio_other_copy(struct zio *z, const struct blkptr *bp, uint8_t *buf, int rc, struct lcpfs_error *err)
{
	struct lcpfs_error first = *err;
	unsigned copies = is_damage(rc) ? vdev_copies(z->vdev, bp->addr) : 0;

	for (unsigned i = 1; i < copies; i++) {
		if (read_copy(z, bp, i, buf, err))
			continue;
		/* copies before this one were all bad */
		for (unsigned k = 0; k < i; k++)
			found_bad(z, bp, k, buf, &first);
		return 0;
	}
	*err = first;
	return rc;
}

/* Bits of the copies that are bad; *good one that is not, and its bytes in buf; -1: none. *first says what is wrong with the first bad one. */
static unsigned look(struct zio *z, const struct blkptr *bp, uint8_t *buf, unsigned copies, int *good, int *rc, struct lcpfs_error *first)
{
	uint8_t *spare = malloc(round_up(bp->psize, SECTOR));
	unsigned bad = 0;

	*good = -1;
	*rc = spare ? 0 : lcpfs_nomem(first);
	for (unsigned i = 0; spare && i < copies; i++) {
		struct lcpfs_error why = { 0 };
		int r = read_copy(z, bp, i, *good < 0 ? buf : spare, &why);

		if (!r && *good < 0)
			*good = (int)i;
		if (r && !bad) {
			*first = why;
			*rc = r;
		}
		bad |= r ? 1u << i : 0;
	}
	free(spare);
	return bad;
}

int zio_check_copies(struct zio *z, const struct blkptr *bp, bool mend, struct zio_copies *out, struct lcpfs_error *err)
{
	struct lcpfs_error first = { 0 };
	uint8_t *buf;
	int rc, good;

	*out = (struct zio_copies){ .n = vdev_copies(z->vdev, bp->addr) };
	if (bp->suite || out->n < 2)
		return 0;
	buf = malloc(round_up(bp->psize, SECTOR));
	if (!buf)
		return lcpfs_nomem(err);
	out->bad = look(z, bp, buf, out->n, &good, &rc, &first);
	if (good >= 0 && rc != -LCPFS_ENOMEM) {
		rc = 0;
		for (unsigned i = 0; i < out->n; i++)
			if (out->bad >> i & 1 && mend && rewrite(z, bp, i, buf))
				out->mended |= 1u << i;
		count(z, (unsigned)__builtin_popcount(out->bad), (unsigned)__builtin_popcount(out->mended));
	}
	free(buf);
	if (rc && err)
		*err = first;
	return rc;
}
