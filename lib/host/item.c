/* SPDX-License-Identifier: Apache-2.0 */
/* What a walk yields, and the directories that keeps open. */
#include "base/error.h"
#include "host/host_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct dirref { atomic_uint refs; int fd; };

struct dirref *host_dirref_new(int fd, struct lcpfs_error *err)
{
	struct dirref *d = malloc(sizeof *d);

	if (!d) {
		lcpfs_nomem(err);
		return NULL;
	}
	atomic_init(&d->refs, 1);
	d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (d->fd >= 0)
		return d;
	lcpfs_fail_errno(err, errno, "cannot keep a directory open");
	free(d);
	return NULL;
}

struct dirref *host_dirref_hold(struct dirref *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void host_dirref_put(struct dirref *d)
{
	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	close(d->fd);
	free(d);
}

int host_dirref_fd(const struct dirref *d)
{
	return d->fd;
}

void walk_item_init(struct walk_item *it)
{
	it->e = (struct entry){ 0 };
	it->dir = NULL;
	it->dev = 0;
	it->follow = it->opened = false;
	it->descriptors = 0;
	it->content = (struct content){ .fd = -1, .done = true };
	it->name[0] = 0;
}

void walk_item_fini(struct walk_item *it)
{
	host_content_close(&it->content);
	host_dirref_put(it->dir);
	entry_fini(&it->e);
	walk_item_init(it);
}
