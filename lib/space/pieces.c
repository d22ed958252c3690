/* SPDX-License-Identifier: Apache-2.0 */
/* Free space for what cannot be divided, and chunks in which nothing is. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/util.h"
#include "space/space_impl.h"

struct pieces { uint64_t units; uint32_t run, want; };

static void end_run(struct pieces *n)
{
	n->units += n->run - n->run % n->want;
	n->run = 0;
}

static void count_page(struct pieces *n, const struct page *pg, uint32_t limit)
{
	for (uint32_t i = 0; i < limit; ) {
		bool whole = !(i & 7) && i + 8 <= limit;

		if (whole && pg->busy[i >> 3] == 0) {
			n->run += 8;
			i += 8;
			continue;
		}
		if (!space_bit(pg->busy, i))
			n->run++;
		else
			end_run(n);
		i += whole && pg->busy[i >> 3] == 0xff ? 8 : 1;
	}
}

/* Free units that a page not in memory has at the most. */
static uint32_t free_of(struct space *s, const struct chunk *c, uint32_t p)
{
	uint32_t n_free = SPACE_PAGE_UNITS;

	return !c->page[p] && s->peek && s->peek(s->arg, c->id, p, &n_free, NULL) ? 0 : n_free;
}

static uint64_t chunk_pieces(struct space *s, struct chunk *c, uint32_t piece, uint64_t enough)
{
	struct pieces n = { .want = MAX((uint32_t)div_up(piece, 1u << c->shift), 1u) };

	for (uint32_t p = 0; p < c->n_pages && ((n.units + n.run) << c->shift) < enough + piece; p++) {
		uint64_t base = (uint64_t)p * SPACE_PAGE_UNITS;
		struct page *pg;

		if (base >= c->units)
			break;
		if (free_of(s, c, p) && space_load_page(s, c, p, &pg, NULL) == 0)
			count_page(&n, pg, (uint32_t)MIN(SPACE_PAGE_UNITS, c->units - base));
		else
			end_run(&n);
	}
	end_run(&n);
	return n.units << c->shift;
}

uint64_t space_in_pieces(struct space *s, unsigned kinds, uint32_t piece, uint64_t enough)
{
	uint64_t sectors = 0;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = s->n_chunks; i-- > 0 && sectors < enough; ) {
		struct chunk *c = &s->chunk[i];

		if (kinds == SPACE_META ? c->kinds == SPACE_META : c->kinds & kinds)
			sectors += chunk_pieces(s, c, piece, enough - sectors);
	}
	pthread_mutex_unlock(&s->lock);
	return sectors;
}

static int is_empty(struct space *s, struct chunk *c, struct lcpfs_error *err)
{
	for (uint32_t p = 0; p < c->n_pages; p++) {
		struct page *pg;
		int rc = free_of(s, c, p) == SPACE_PAGE_UNITS ? space_load_page(s, c, p, &pg, err) : 1;

		if (rc)
			return MIN(rc, 0);
		for (uint32_t i = 0; i < SPACE_PAGE_BYTES; i++)
			if (pg->busy[i])
				return 0;
	}
	return 1;
}

int space_chunk_empty(struct space *s, uint32_t chunk, struct lcpfs_error *err)
{
	struct chunk *c;
	int rc;

	pthread_mutex_lock(&s->lock);
	c = space_find_chunk(s, chunk);
	rc = c && c->look ? is_empty(s, c, err) : 0;
	if (c && !rc)
		c->look = false;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void space_drop_chunk(struct space *s, uint32_t chunk)
{
	struct chunk *c;

	pthread_mutex_lock(&s->lock);
	c = space_find_chunk(s, chunk);
	if (c) {
		size_t at = (size_t)(c - s->chunk);

		for (uint32_t p = 0; p < c->n_pages; p++)
			free(c->page[p]);
		free(c->page);
		memmove(c, c + 1, (s->n_chunks - at - 1) * sizeof *c);
		s->n_chunks--;
	}
	pthread_mutex_unlock(&s->lock);
}
