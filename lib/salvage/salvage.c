/* SPDX-License-Identifier: Apache-2.0 */
/* Salvage from begin to end. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "salvage/salvage_impl.h"

#define KNOWN_FLAGS 63u
#define MEMORY_DEFAULT (256 * MiB)

static pthread_once_t once = PTHREAD_ONCE_INIT;

static int begin(struct sal *s, struct lcpfs_blockdev *dev, const struct lcpfs_salvage_opts *o, struct lcpfs_error *err)
{
	pthread_once(&once, zpl_init);
	*s = (struct sal){ .dev = dev, .size = blockdev_size(dev) };
	if (o)
		s->o = *o;
	if (s->o.flags & ~KNOWN_FLAGS)
		return lcpfs_fail(err, LCPFS_EINVAL, "unknown flags for a salvage: %#x", s->o.flags & ~KNOWN_FLAGS);
	if (!s->o.memory_bytes)
		s->o.memory_bytes = MEMORY_DEFAULT;
	s->max_found = MIN(s->o.memory_bytes / 2 / (sizeof *s->found + 2 * sizeof **s->by_hash), (uint64_t)UINT32_MAX);
	s->codec = codec_ctx_create();
	return s->codec ? 0 : lcpfs_nomem(err);
}

static void end(struct sal *s)
{
	overlay_close(s);
	heads_fini(s);
	if (s->have_config)
		config_fini(&s->config);
	codec_ctx_destroy(s->codec);
	free(s->block);
	free(s->found);
	free(s->by_hash[0]);
	free(s->by_hash[1]);
	free(s->uber);
	free(s->cfg);
	free(s->chunk);
	free(s->frame);
	free(s->carved);
	inoset_fini(&s->used);
}

static int rebuild(struct sal *s, struct lcpfs_error *err)
{
	size_t had = 0;
	int rc = heads_find(s, err);

	if (!rc)
		rc = overlay_create(s, err);
	for (size_t i = 0; !rc && i < s->n_head; i++) {
		rc = rebuild_head(s, &s->head[i], err);
		had += !s->head[i].empty;
	}
	if (!rc && !had)
		return lcpfs_fail(err, LCPFS_ECORRUPT, "%s: nothing of its files was found", s->dev->name);
	return rc ? rc : overlay_reopen(s, err);
}

int lcpfs_salvage_dev(struct lcpfs_blockdev *dev, const char *target, int fd, const struct lcpfs_salvage_opts *o,
                      struct lcpfs_salvage_stats *st, struct lcpfs_error *err)
{
	struct sal s;
	int rc = begin(&s, dev, o, err);

	if (!rc && !s.o.live)
		rc = blockdev_lock(dev, false, err);
	if (!rc)
		rc = rebuild(&s, err);
	if (!rc)
		rc = output_run(&s, target, fd, err);
	end(&s);
	if (st)
		*st = s.st;
	if (rc || !(s.st.losses || s.st.warnings))
		return rc;
	return lcpfs_fail(err, LCPFS_EPARTIAL, "%s: not everything could be had: %" PRIu64 " losses, %" PRIu64 " files written", dev->name,
	    s.st.losses, s.st.files);
}

int lcpfs_salvage(const char *pool, const char *target, int fd, const struct lcpfs_salvage_opts *o, struct lcpfs_salvage_stats *st,
                  struct lcpfs_error *err)
{
	struct lcpfs_blockdev *dev;
	int rc = lcpfs_blockdev_open(&dev, pool, 0, err);

	if (rc)
		return rc;
	rc = lcpfs_salvage_dev(dev, target, fd, o, st, err);
	lcpfs_blockdev_close(dev);
	return rc;
}
