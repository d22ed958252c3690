/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs_stream_load: a stream in a pool on a RAM disk, to be looked at with the calls for datasets. */
#include "stream_impl.h"
#include <stdio.h>
#include <stdlib.h>

static int new_pool(struct lcpfs_pool **out, struct lcpfs_error *err)
{
	struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW }, .name = "stream", .labels = 1, .copies = 1, .reproducible = true };
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_ramdisk_create(&dev, "stream", 0, LCPFS_DEV_IMAGE, err);

	return rc ? rc : lcpfs_pool_create_dev(out, dev, &o, err);
}

static void fill_info(struct lcpfs_stream_info *info, const struct stream_in *in)
{
	const struct frame_begin *b = &in->begin; /* of the last dataset; it names the stream as well as the first does */

	*info = (struct lcpfs_stream_info){ .complete = in->complete, .frames = in->frames, .bytes = in->bytes, .items = in->total.items,
		.blocks = in->total.blocks, .block_bytes = in->total.block_bytes, .incremental = b->from != 0, .from_guid = b->from,
		.to_guid = b->to };
	snprintf(info->dataset, sizeof info->dataset, "%s", b->dataset ? b->dataset : "");
	snprintf(info->from, sizeof info->from, "%s", b->from_snap ? b->from_snap : "");
	snprintf(info->to, sizeof info->to, "%s", b->to_snap ? b->to_snap : "");
	stream_uuid_print(in->uuid, info->uuid);
}

int lcpfs_stream_load(lcpfs_read_fn *read, void *read_arg, struct lcpfs_pool **pool, struct lcpfs_stream_info *info,
                      struct lcpfs_error *err)
{
	static const struct lcpfs_recv_opts opts = { .force = true };
	struct receiver r = { .o = &opts, .target = "", .loose = true };
	struct lcpfs_pool *p = NULL;
	int rc = new_pool(&p, err);

	*pool = NULL;
	if (rc)
		return rc;
	r.pool = p;
	r.spa = p->spa;
	rc = in_init(&r.in, read, read_arg, err);
	if (!rc)
		rc = recv_run(&r, err);
	if (!rc && info)
		fill_info(info, &r.in);
	recv_fini(&r);
	if (rc)
		lcpfs_pool_close(p, NULL);
	else
		*pool = p;
	return rc;
}
