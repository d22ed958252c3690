/* SPDX-License-Identifier: Apache-2.0 */
/* A host tree made by several threads: the same as by one, and as entry by entry. */
#include "host/host_impl.h"
#include "hosttree.h"
#include "base/buf.h"
#include <sys/resource.h>

/* ---- a source that gives contents away: what a host source reads, in memory ---- */

struct chunk { uint64_t off; size_t len; uint8_t *data; };
struct held { struct entry_content c; struct chunk v[1000]; bool bad; };
struct giver { struct entry_source s; struct entry_source *from; bool big, bad; };

static int held_read(struct entry_content *c, size_t i, struct entry_scratch *s, uint64_t *off, const void **data, size_t *len,
                     struct lcpfs_error *why)
{
	const struct chunk *x = &((struct held *)c)->v[i];
	uint8_t *copy = entry_scratch_part(s, x->len);

	if (((struct held *)c)->bad) {
		why->code = LCPFS_ECSUM;
		snprintf(why->msg, sizeof why->msg, "bad piece at %d", (int)x->off);
		return 1;
	}
	memcpy(copy, x->data, x->len);
	*off = x->off;
	*len = x->len;
	*data = copy;
	return 0;
}

static void held_free(struct entry_content *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(((struct held *)c)->v[i].data);
	free(c);
}

static const struct entry_content_ops held_ops = { held_read, held_free };

static int give_next(struct entry_source *s, struct entry *e, struct lcpfs_error *err)
{
	return ((struct giver *)s)->from->ops->next(((struct giver *)s)->from, e, err);
}

/* In pieces of at most 5000 bytes, later ones longer. */
static int give_detach(struct entry_source *s, struct entry_content **out, struct lcpfs_error *err)
{
	struct giver *g = (struct giver *)s;
	struct held *h = calloc(1, sizeof *h);
	size_t got = 1;
	int rc = 0;

	h->c.ops = &held_ops;
	h->bad = g->bad;
	while (!rc && got) {
		struct chunk *x = &h->v[h->c.n];
		size_t max = h->c.n < 63 ? 5000 : 1 << 20;

		x->data = malloc(max);
		rc = g->from->ops->read(g->from, x->data, max, &x->off, &got, err);
		x->len = got;
		h->c.bytes += got;
		h->c.n += got != 0;
		if (!got)
			free(x->data);
	}
	if (g->big && h->c.n > 1)
		h->c.bytes += 5 << 20; /* so that its pieces become jobs */
	h->c.group = h->c.n ? h->c.bytes % 3 : 0;
	*out = &h->c;
	return rc;
}

static void give_close(struct entry_source *s) { ((struct giver *)s)->from->ops->close(((struct giver *)s)->from); }

static const struct entry_source_ops give_ops = { give_next, NULL, give_close, give_detach, NULL };

static void note(void *arg, const char *path, const struct lcpfs_error *why) { buf_printf(arg, "%s: %s\n", path, why->msg); }

/* Copies; what was told, and a failure, end up in `said`. */
static int give(const char *from, const char *to, unsigned threads, uint32_t flags, bool big, bool bad, struct buf *said)
{
	struct host_source_opts so = { .warn = note, .warn_arg = said };
	struct host_sink_opts ko = { .flags = flags, .warn = note, .warn_arg = said, .threads = threads };
	struct giver g = { .s.ops = &give_ops, .big = big, .bad = bad };
	struct lcpfs_error err = { 0 };
	struct entry_sink *k = NULL;
	int rc = host_source_open(&g.from, from, &so, &err);

	if (!rc)
		rc = host_sink_open(&k, to, &ko, &err);
	if (!rc)
		rc = entry_copy(&g.s, k, NULL, NULL, &err);
	if (rc)
		buf_printf(said, "failed: %s\n", err.msg);
	if (g.from)
		give_close(&g.s);
	if (k)
		k->ops->close(k);
	buf_u8(said, 0);
	return rc;
}

struct place { char *top, *a, *b; };

static struct place place(void)
{
	struct place p = { .top = ht_dir() };

	p.a = ht_join(p.top, "a");
	p.b = ht_join(p.top, "b");
	mkdir(p.a, 0755);
	return p;
}

static void place_end(struct place *p)
{
	free(p->a);
	free(p->b);
	ht_remove(p->top);
}

static void equal_tree(unsigned threads, bool big, bool acl)
{
	struct place p = place();
	struct buf said = { 0 };

	ht_make(p.a);
	if (acl) {
		mkdir(p.b, 0755);
		if (setxattr(p.b, "system.posix_acl_default", ht_acl, sizeof ht_acl, 0))
			printf("# no ACLs here\n");
	}
	is_int(give(p.a, p.b, threads, 0, big, false, &said), 0);
	is_str((char *)said.data, "");
	ok(ht_compare(p.a, p.b, 0) > 70);
	buf_fini(&said);
	place_end(&p);
}

TEST(strange_tree)
{
	for (unsigned threads = 1; threads <= 8; threads += 7) {
		equal_tree(threads, false, false);
		equal_tree(threads, true, false);
		equal_tree(threads, false, true);
		equal_tree(threads, true, true);
	}
}

TEST(other_masks)
{
	mode_t old = umask(077);

	equal_tree(2, false, false);
	umask(0);
	equal_tree(2, true, false);
	umask(old);
}

TEST(many_files)
{
	struct place p = place();
	struct buf said = { 0 };
	char name[64];
	int d = ht_open(p.a);

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "d%02d", i);
		mkdirat(d, name, i % 3 ? 0755 : 0555);
		for (int k = 0; k < 60; k++) {
			snprintf(name, sizeof name, "d%02d/f%d", i, k);
			ht_random(d, name, 0, (size_t)(i * k));
		}
		snprintf(name, sizeof name, "d%02d/link", i);
		ok(linkat(d, "d00/f7", d, name, 0) == 0);
	}
	is_int(give(p.a, p.b, 8, 0, false, false, &said), 0);
	is_int(ht_compare(p.a, p.b, 0), 1 + 40 * 62);
	buf_reset(&said);
	/* over what is there: the same again, or refused by the first file in order */
	is_int(give(p.a, p.b, 8, HOST_SINK_OVERWRITE, true, false, &said), geteuid() ? -LCPFS_EPERM : 0);
	buf_reset(&said);
	is_int(give(p.a, p.b, 8, 0, false, false, &said), -LCPFS_EEXIST);
	is_str((char *)said.data, "failed: d00/f0: already exists\n");
	buf_fini(&said);
	close(d);
	place_end(&p);
}

/* What is told does not depend on the number of threads, nor its order. */
static void same_words(uint32_t flags, bool big, bool bad, bool way)
{
	struct buf one = { 0 }, eight = { 0 };
	struct place p = place();
	char *c = ht_join(p.top, "c");
	int d, rc;

	ht_make(p.a);
	d = ht_open(p.a);
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof name, "suid%02d", i);
		ht_random(d, name, 0, 100);
		fchmodat(d, name, 06755, 0);
	}
	for (int i = 0; way && i < 2; i++) {
		char *in = ht_join(i ? c : p.b, "suid30");

		ok(mkdir(i ? c : p.b, 0755) == 0 && mkdir(in, 0755) == 0);
		free(in);
	}
	rc = give(p.a, p.b, 1, flags, big, bad, &one);
	is_int(give(p.a, c, 8, flags, big, bad, &eight), rc);
	is_str((char *)eight.data, (char *)one.data);
	ok(one.len > 1000 || way);
	is_int(rc, way ? -LCPFS_EISDIR : 0);
	if (!way)
		ok(ht_compare(p.b, c, 0) > 100);
	buf_fini(&one);
	buf_fini(&eight);
	close(d);
	free(c);
	place_end(&p);
}

TEST(warnings_in_order)
{
	same_words(HOST_SINK_SAFE, false, false, false);
	same_words(0, false, true, false);
	same_words(HOST_SINK_SAFE, true, true, false);
	same_words(HOST_SINK_OVERWRITE | HOST_SINK_SAFE, false, false, true);
	same_words(HOST_SINK_OVERWRITE, true, true, true);
}

TEST(deep_with_few_descriptors)
{
	struct place p = place();
	struct buf said = { 0 };
	struct rlimit old, few;
	int d = ht_open(p.a);

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 200;
	ht_make_deep(d, "deep", 2000, 1);
	ht_write(d, "z after", 0, "z", 1);
	setrlimit(RLIMIT_NOFILE, &few);
	is_int(give(p.a, p.b, 8, 0, false, false, &said), 0);
	is_int(ht_compare(p.a, p.b, 0), 2004);
	setrlimit(RLIMIT_NOFILE, &old);
	buf_fini(&said);
	close(d);
	place_end(&p);
}

TAP_MAIN(T(strange_tree), T(other_masks), T(many_files), T(warnings_in_order), T(deep_with_few_descriptors))
