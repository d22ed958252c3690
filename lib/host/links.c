/* SPDX-License-Identifier: Apache-2.0 */
/* A table from (device, inode) to the first path; open addressing, entries leave it once their last name was met. */
#include "base/error.h"
#include "host/host_impl.h"
#include <stdlib.h>
#include <string.h>

struct link_slot {
	dev_t dev;
	ino_t ino;
	uint32_t left; /* names not yet met */
	char *path;    /* NULL: free */
};

static size_t slot_of(const struct links *t, dev_t dev, ino_t ino)
{
	uint64_t h = ((uint64_t)ino ^ (uint64_t)dev << 40) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 20) & (t->cap - 1);

	while (t->slot[i].path && (t->slot[i].ino != ino || t->slot[i].dev != dev))
		i = (i + 1) & (t->cap - 1);
	return i;
}

static int grow(struct links *t, struct lcpfs_error *err)
{
	struct links bigger = { .cap = t->cap ? t->cap * 2 : 64 };

	bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
	if (!bigger.slot)
		return lcpfs_nomem(err);
	for (size_t i = 0; i < t->cap; i++) {
		const struct link_slot *s = &t->slot[i];

		if (s->path)
			bigger.slot[slot_of(&bigger, s->dev, s->ino)] = *s;
	}
	bigger.n = t->n;
	free(t->slot);
	*t = bigger;
	return 0;
}

/* Free slot i and move back what was displaced by it, so that searches find no gap. */
static void forget(struct links *t, size_t i)
{
	free(t->slot[i].path);
	t->slot[i].path = NULL;
	t->n--;
	for (size_t j = (i + 1) & (t->cap - 1); t->slot[j].path; j = (j + 1) & (t->cap - 1)) {
		struct link_slot moved = t->slot[j];

		t->slot[j].path = NULL;
		t->slot[slot_of(t, moved.dev, moved.ino)] = moved;
	}
}

int host_links_seen(struct links *t, dev_t dev, ino_t ino, uint32_t nlink, const char *path, char **first,
                    struct lcpfs_error *err)
{
	struct link_slot *s;
	size_t i;
	int rc;

	*first = NULL;
	if (t->n + 1 > t->cap / 2 && (rc = grow(t, err)))
		return rc;
	i = slot_of(t, dev, ino);
	s = &t->slot[i];
	if (s->path) {
		*first = strdup(s->path);
		if (!*first)
			return lcpfs_nomem(err);
		if (s->left <= 1)
			forget(t, i);
		else
			s->left--;
		return 0;
	}
	*s = (struct link_slot){ .dev = dev, .ino = ino, .left = nlink - 1, .path = strdup(path) };
	if (!s->path)
		return lcpfs_nomem(err);
	t->n++;
	return 0;
}

void host_links_fini(struct links *t)
{
	for (size_t i = 0; i < t->cap; i++)
		free(t->slot[i].path);
	free(t->slot);
	*t = (struct links){ 0 };
}
