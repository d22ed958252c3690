/* SPDX-License-Identifier: Apache-2.0 */
/* A dataset's state: made when first needed, flushed at commits, freed with the dataset. And a new, empty head. */
#include "zpl/zpl_impl.h"
#include <stdlib.h>
#include <sys/stat.h>
#include "format/node.h"

int zpl_state(struct dataset *ds, struct zpl **out, struct lcpfs_error *err)
{
	struct zpl *z = ds->zpl;

	if (!z) {
		z = calloc(1, sizeof *z);
		if (!z)
			return lcpfs_nomem(err);
		z->ds = ds;
		z->codec = (struct codec_spec){ .id = CODEC_ZSTD, .level = 3 };
		z->tail = &z->head;
		pthread_mutex_init(&z->lock, NULL);
		pthread_cond_init(&z->came, NULL);
		ds->zpl = z;
	}
	*out = z;
	return 0;
}

static void state_close(struct dataset *ds)
{
	struct zpl *z = ds->zpl;

	if (!z)
		return;
	jobs_drop(z);
	open_forget(z);
	zi_drop_all(z);
	btree_cursor_close(&z->at_name);
	btree_cursor_close(&z->at_inode);
	free(z->pack.mem);
	free(z->pack.ent);
	free(z->lowered);
	free(z->late);
	pthread_mutex_destroy(&z->lock);
	pthread_cond_destroy(&z->came);
	free(z);
	ds->zpl = NULL;
}

void zpl_init(void)
{
	static const struct zpl_hooks hooks = { .flush = zpl_commit, .close = state_close };

	dmu_set_zpl_hooks(&hooks);
}

void zpl_set_codec(struct dataset *ds, struct codec_spec c)
{
	struct zpl *z = NULL;
	int rc = zpl_state(ds, &z, NULL);

	if (!rc)
		z->codec = c;
}

size_t zpl_waiting_bytes(const struct zpl *z)
{
	return z->job_bytes + z->pack.len + (z->open.dirty ? z->open.len : 0);
}

int zpl_begin(struct dataset *ds, enum spa_admit kind, uint64_t extra, struct lcpfs_error *err)
{
	struct zpl *z;
	int rc = spa_may_write(ds->spa, err);

	if (!rc && !ds->writable)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%s' is read-only", ds->name ? ds->name : "");
	if (!rc)
		rc = zpl_state(ds, &z, err);
	if (rc)
		return rc;
	rc = spa_admit(ds->spa, kind, extra + zpl_waiting_bytes(z), err);
	/* what waits takes less once it is compressed */
	if (rc == -LCPFS_ENOSPC && zpl_waiting_bytes(z)) {
		rc = zpl_flush(ds, err);
		if (!rc)
			rc = spa_admit(ds->spa, kind, extra, err);
	}
	if (!rc)
		dmu_dirty(ds);
	return rc;
}

int zpl_lost(struct dataset *ds, int rc, const struct lcpfs_error *err)
{
	return spa_spoilt(ds->spa, rc, err);
}

static bool half_way(int rc)
{
	return rc == -LCPFS_ENOMEM || rc == -LCPFS_EIO || rc == -LCPFS_ECSUM || rc == -LCPFS_ECORRUPT;
}

int zpl_end(struct dataset *ds, uint64_t mark, int rc, struct lcpfs_error *err)
{
	size_t share = ds->spa->memory / 4;

	if (!rc && btree_dirty_bytes(ds->tree) > share)
		rc = btree_shed(ds->tree, share / 2, err);
	return half_way(rc) && btree_edits(ds->tree) != mark ? zpl_lost(ds, rc, err) : rc;
}

void zpl_count_block(struct dataset *ds, const struct blkptr *bp, int sign)
{
	ds->rec.ref_psize += (uint64_t)sign * ptr_charge(bp);
	ds->rec.ref_lsize += (uint64_t)sign * bp->lsize;
	ds->rec.ref_blocks += (uint64_t)sign;
	ds->rec_dirty = true;
}

void zpl_count_inode(struct dataset *ds, int sign)
{
	ds->rec.n_inodes += (uint64_t)sign;
	ds->info.n_files += (uint64_t)sign;
	ds->rec_dirty = ds->info_dirty = true;
}

static int put_info(struct dataset *ds, struct lcpfs_error *err)
{
	uint8_t key[9], raw[DSINFO_LEN];
	size_t klen = item_key(key, ITEM_DSINFO, 0);
	int rc;

	dsinfo_encode(&ds->info, raw);
	rc = btree_put(ds->tree, key, klen, raw, sizeof raw, NULL, 0, 0, err);
	if (!rc)
		ds->info_dirty = false;
	return rc;
}

int zpl_flush(struct dataset *ds, struct lcpfs_error *err)
{
	int rc = 0;

	if (ds->zpl) {
		rc = open_flush(ds, err);
		if (!rc)
			rc = pack_close(ds, err);
		if (!rc)
			rc = jobs_reap_all(ds, err);
		if (!rc)
			rc = late_settle(ds, err);
		if (!rc)
			rc = zi_flush(ds, err);
	}
	if (!rc && ds->info_dirty)
		rc = put_info(ds, err);
	return rc;
}

int zpl_format(struct dataset *ds, const struct zpl_params *p, uint32_t mode, uint32_t uid, uint32_t gid, struct itime t,
               struct lcpfs_error *err)
{
	struct inode root = {
		.mode = S_IFDIR | (mode & 07777), .uid = uid, .gid = gid, .nlink = 2, .parent = INO_ROOT, .gen = ds->spa->txg,
		.atime = t, .mtime = t, .ctime = t, .btime = t,
	};
	struct zpl *z;
	int rc = zpl_state(ds, &z, err);

	if (rc)
		return rc;
	z->codec = p->codec;
	ds->info = (struct dsinfo){
		.next_seq = MAX(ds->info.next_seq, SEQ_FIRST), .group = ds->rec.group, .node_size = NODE_TARGET,
		.record_size = p->record_bytes, .pack_size = p->pack_bytes, .slice_max = p->slice_max,
	};
	dmu_dirty(ds);
	rc = zi_new(ds, INO_ROOT, &root, NULL, 0, err);
	if (rc)
		return rc;
	zpl_count_inode(ds, 1);
	return put_info(ds, err);
}

int zpl_name_check(const char *name, size_t len, struct lcpfs_error *err)
{
	if (len > NAME_MAX_BYTES)
		return lcpfs_fail(err, LCPFS_ENAMETOOLONG, "a name of %zu bytes; at most %u", len, NAME_MAX_BYTES);
	if (!len || (len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return lcpfs_fail(err, LCPFS_EINVAL, "'%.*s' cannot be a name", (int)len, name);
	if (memchr(name, '/', len) || memchr(name, 0, len))
		return lcpfs_fail(err, LCPFS_EINVAL, "a name with '/' or NUL in it");
	return 0;
}
