/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks on their way through the pipeline, and what their addresses do to the tree when they come back. */
#include "zpl/rewrite.h"
#include <inttypes.h>
#include <stdlib.h>

/* On a thread of zio's. */
static void job_came(void *arg, int rc, const struct blkptr *bp, const struct lcpfs_error *why)
{
	struct job *j = arg;
	struct zpl *z = j->z;

	pthread_mutex_lock(&z->lock);
	j->rc = rc;
	if (!rc)
		j->bp = *bp;
	else if (why && !z->why.code)
		z->why = *why;
	j->done = true;
	pthread_cond_signal(&z->came);
	pthread_mutex_unlock(&z->lock);
}

static void job_free(struct job *j)
{
	if (j) {
		free(j->ent);
		free(j);
	}
}

static void job_wait(struct job *j)
{
	pthread_mutex_lock(&j->z->lock);
	while (!j->done)
		pthread_cond_wait(&j->z->came, &j->z->lock);
	pthread_mutex_unlock(&j->z->lock);
}

static struct job *job_pop(struct zpl *z)
{
	struct job *j = z->head;

	z->head = j->next;
	if (!z->head)
		z->tail = &z->head;
	z->n_jobs--;
	z->job_bytes -= j->bytes;
	return j;
}

/* A slice's share of its pack, as the counters have it. */
static uint32_t slice_charge(uint32_t len, const struct blkptr *pack)
{
	return (uint32_t)MAX(div_up((uint64_t)len * ptr_charge(pack), pack->lsize), 1);
}

static int put_slice(struct dataset *ds, const struct job *j, const struct pack_ent *e, struct lcpfs_error *err)
{
	struct slice s = { j->pack_id, e->off, e->len, e->from ? e->charge : slice_charge(e->len, &j->bp) };
	uint8_t key[9], raw[SLICE_LEN];
	int rc;

	slice_encode(&s, raw);
	rc = btree_put(ds->tree, key, item_key(key, ITEM_SLICE, e->data_id), raw, sizeof raw, NULL, 0, e->from ? 0 : BT_NEW, err);
	if (!rc && e->from)
		rc = pack_lower(ds, e->from, e->len, err);
	return rc;
}

/* After the slices: each of the two goes through the tree in its order. */
static int charge_inodes(struct dataset *ds, const struct job *j, struct lcpfs_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < j->n; i++) {
		const struct pack_ent *e = &j->ent[i];

		if (e->ino && !e->from)
			rc = zi_add_psize(ds, e->ino, e->data_id, slice_charge(e->len, &j->bp), err);
	}
	return rc;
}

/* 0: yes; 1: what was moved is not where it was moved from any more. */
static int still_there(struct dataset *ds, const struct pack_ent *e, struct lcpfs_error *err)
{
	struct slice old;
	int rc = e->from ? slice_lookup(ds, e->data_id, &old, err) : 0;

	return rc || !e->from ? rc : old.pack_id != e->from;
}

static int apply_pack(struct dataset *ds, const struct job *j, struct lcpfs_error *err)
{
	uint8_t key[9], val[8];
	uint64_t live = 0;
	uint32_t n = 0;
	int rc;

	for (uint32_t i = 0; i < j->n; i++) {
		rc = still_there(ds, &j->ent[i], err);

		if (rc == 1)
			continue;
		if (!rc)
			rc = put_slice(ds, j, &j->ent[i], err);
		if (rc)
			return rc;
		live += j->ent[i].len;
		n++;
	}
	if (!n)
		return spa_free(ds->spa, &j->bp, err);
	rc = charge_inodes(ds, j, err);
	if (rc)
		return rc;
	le_store(val, 4, live);
	le_store(val + 4, 4, n);
	zpl_count_block(ds, &j->bp, 1);
	return btree_put(ds->tree, key, item_key(key, ITEM_PACK, j->pack_id), val, sizeof val, &j->bp, 1, BT_NEW, err);
}

/* The record that is replaced leaves the counters; its pointer is given up by the put. */
static int uncount_old(struct dataset *ds, const uint8_t *key, size_t klen, uint64_t *charge, struct lcpfs_error *err)
{
	struct bt_cursor c = { 0 };
	struct blkptr old;
	int rc = btree_get(ds->tree, &c, key, klen, err);

	*charge = 0;
	if (!rc && c.item.nptr == 1) {
		rc = ptr_decode(&old, c.item.ptrs, err);
		if (!rc) {
			zpl_count_block(ds, &old, -1);
			*charge = ptr_charge(&old);
		}
	}
	btree_cursor_close(&c);
	return rc < 0 ? rc : 0;
}

static int apply_record(struct dataset *ds, const struct job *j, struct lcpfs_error *err)
{
	uint8_t key[17], val[4];
	size_t klen = item_key_u64(key, ITEM_EXTENT, j->data_id, j->off);
	uint64_t old = 0;
	int rc = j->fresh ? 0 : uncount_old(ds, key, klen, &old, err);

	if (rc)
		return rc;
	le_store(val, 4, j->bp.lsize);
	zpl_count_block(ds, &j->bp, 1);
	rc = btree_put(ds->tree, key, klen, val, sizeof val, &j->bp, 1, j->fresh ? BT_NEW : 0, err);
	if (!rc && j->ino)
		rc = zi_add_psize(ds, j->ino, j->data_id, (int64_t)(ptr_charge(&j->bp) - old), err);
	return rc;
}

static int reap_one(struct dataset *ds, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct job *j = z->head;
	int rc;

	job_wait(j);
	job_pop(z);
	rc = j->rc;
	if (rc && err)
		*err = z->why;
	if (!rc)
		rc = j->re ? rewrite_apply(ds, j, err) : j->pack_id ? apply_pack(ds, j, err) : apply_record(ds, j, err);
	job_free(j);
	return zpl_lost(ds, rc, err);
}

int jobs_reap_all(struct dataset *ds, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && ds->zpl->head)
		rc = reap_one(ds, err);
	return rc;
}

int jobs_reap_for(struct dataset *ds, uint64_t data_id, struct lcpfs_error *err)
{
	int rc = 0;

	while (!rc && jobs_have(ds->zpl, data_id))
		rc = reap_one(ds, err);
	return rc;
}

static void unlink_last(struct zpl *z, struct job *j)
{
	struct job **p = &z->head;

	while (*p != j)
		p = &(*p)->next;
	*p = NULL;
	z->tail = p;
	z->n_jobs--;
	z->job_bytes -= j->bytes;
}

/* j is owned by the queue, buf by the pipeline. */
#define SHORT_MEAN 4096u /* bytes a file in a pack, on average: one of many short files */

static int submit(struct dataset *ds, struct job *j, unsigned flags, void *buf, size_t from, size_t len, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;
	struct codec_spec codec = flags & INODE_NOCOMPRESS ? (struct codec_spec){ .id = CODEC_NONE } : z->codec;
	int rc;

	codec.many = j->n && len / j->n <= SHORT_MEAN;
	j->z = z;
	j->bytes = len;
	*z->tail = j;
	z->tail = &j->next;
	z->n_jobs++;
	z->job_bytes += len;
	rc = zio_submit_from(ds->spa->zio, PTR_DATA, codec, buf, from, len, job_came, j, err);
	/* refused at the door it never comes back */
	if (rc) {
		unlink_last(z, j);
		job_free(j);
	}
	while (!rc && z->n_jobs > JOBS_MAX)
		rc = reap_one(ds, err);
	return rc ? zpl_lost(ds, rc, err) : zpl_end(ds, 0, 0, err);
}

int job_submit_record(struct dataset *ds, uint64_t ino, uint64_t data_id, uint64_t off, void *buf, size_t len, bool fresh,
                      struct lcpfs_error *err)
{
	struct job *j = calloc(1, sizeof *j);
	struct zi *e = NULL;
	int rc = j ? 0 : lcpfs_nomem(err);

	if (!rc && ino)
		rc = zi_get(ds, ino, &e, err);
	if (rc) {
		free(buf);
		free(j);
		return zpl_lost(ds, rc, err);
	}
	ds->zpl->wrote += len;
	j->ino = ino;
	j->data_id = data_id;
	j->off = off;
	j->fresh = fresh;
	return submit(ds, j, e ? e->i.flags : 0, buf, 0, len, err);
}

int job_submit_pack(struct dataset *ds, uint64_t pack_id, struct pack_ent *ent, uint32_t n, void *buf, size_t from, size_t len,
                    struct lcpfs_error *err)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j) {
		free(buf);
		free(ent);
		return zpl_lost(ds, lcpfs_nomem(err), err);
	}
	j->pack_id = pack_id;
	j->ent = ent;
	j->n = n;
	return submit(ds, j, 0, buf, from, len, err);
}

int job_submit_rewrite(struct dataset *ds, struct rewrite *re, bool pack, uint64_t id, uint64_t off, const struct blkptr *old, void *buf,
                       struct lcpfs_error *err)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j) {
		free(buf);
		return lcpfs_nomem(err);
	}
	j->re = re;
	j->old = *old;
	if (pack)
		j->pack_id = id;
	else
		j->data_id = id;
	j->off = off;
	return submit(ds, j, 0, buf, 0, old->lsize, err);
}

bool jobs_have(const struct zpl *z, uint64_t data_id)
{
	for (const struct job *j = z->head; j; j = j->next) {
		if (j->data_id == data_id)
			return true;
		for (uint32_t i = 0; i < j->n; i++)
			if (j->ent[i].data_id == data_id)
				return true;
	}
	return false;
}

void jobs_drop(struct zpl *z)
{
	while (z->head) {
		job_wait(z->head);
		job_free(job_pop(z));
	}
}
