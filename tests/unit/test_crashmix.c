/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash matrix: a random mix of every change, recorded. After every event, and for seeded subsets (whole writes, and writes torn at any of
 * their 512-byte sectors) of what a cache held between two flushes, the pool opens at a state that was committed, none older than the last
 * acknowledged one; that content is right, fsck finds nothing, the root before it can be read, and work goes on from there. Also with a label
 * lost or stale. LCPFS_SEED, LCPFS_CRASH_SEGMENTS (parts of a run), LCPFS_CRASH_SUBSETS (per window between flushes), LCPFS_CRASH_ALL (every event).
 */
#include "crashmix.h"
#include "format/label.h"

#define STATES_MAX 64
#define ROOTS_MAX 64

struct state { uint8_t hash[HASH_LEN]; uint64_t txg; size_t acked_at; };
struct counts { unsigned commits, prefixes, subsets, labels, roots, resumed; };
struct segment {
	struct crashdev *rec;
	struct lcpfs_blockdev *below, *sure; /* sure: all up to the last flush before the window that is looked at */
	struct state state[STATES_MAX];
	unsigned n_states;
	bool disk;                           /* no image: back labels at every commit */
	bool absent;                         /* before the first commit there is no pool */
	uint64_t rng;
	struct counts *n;
};

static const struct lcpfs_open_opts rw = { .flags = LCPFS_OPEN_RW, .threads = 1 }, ro = { .flags = LCPFS_OPEN_RO, .threads = 1 };

static unsigned env_number(const char *name, unsigned def)
{
	const char *v = getenv(name);

	return v ? (unsigned)strtoul(v, NULL, 10) : def;
}

/* ---- a part of a run ---- */

static int note_state(struct segment *g, struct mix *m)
{
	struct state *s = &g->state[g->n_states];
	struct lcpfs_pool_info info;
	int rc = pool_digest(m->p, s->hash, &m->err);

	if (!rc)
		rc = lcpfs_pool_info(m->p, &info, &m->err);
	s->txg = info.txg;
	s->acked_at = g->rec ? crashdev_events(g->rec) : 0;
	g->n_states++;
	g->n->commits++;
	return rc;
}

static int commit(struct segment *g, struct mix *m)
{
	int rc = lcpfs_pool_commit(m->p, &m->err);

	return rc ? rc : note_state(g, m);
}

static int changes(struct segment *g, struct mix *m)
{
	unsigned n = 12 + mix_rnd(m, 10);
	int rc = g->absent ? mix_begin(m) : 0;

	for (unsigned i = 0; i < n && !rc && g->n_states + 4 < STATES_MAX; i++) {
		const struct mix_op *op = mix_choose(m);

		if (op->commits)
			rc = commit(g, m);
		if (!rc)
			rc = mix_run(m, op);
		if (rc)
			printf("# %s\n", op->name);
		if (!rc && (op->commits || mix_rnd(m, 3)))
			rc = commit(g, m);
	}
	return rc ? rc : commit(g, m);
}

/* ---- looking at one device ---- */

static bool known(const struct segment *g, const uint8_t *hash, size_t cut)
{
	unsigned from = 0;

	for (unsigned i = 0; i < g->n_states; i++)
		if (g->state[i].acked_at <= cut)
			from = i;
	for (unsigned i = from; i < g->n_states; i++)
		if (memcmp(g->state[i].hash, hash, HASH_LEN) == 0)
			return true;
	return false;
}

struct roots { uint64_t txg[ROOTS_MAX]; unsigned n; };

static int see_root(void *arg, const struct lcpfs_root *r, struct lcpfs_error *err)
{
	struct roots *l = arg;

	(void)err;
	if (l->n < ROOTS_MAX && !r->abandoned)
		l->txg[l->n++] = r->txg;
	return 0;
}

/* The commit before the one in force can be read whole, and is what it was. */
static bool older_root(struct segment *g, struct lcpfs_pool *p, size_t cut)
{
	struct roots l = { .n = 0 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *old = NULL;
	uint8_t hash[HASH_LEN];
	bool good = true;
	int rc = lcpfs_root_each(p, 0, see_root, &l, &err);

	if (rc || l.n < 2)
		return ok_msg(!rc, "cut %zu: roots: %s", cut, err.msg);
	rc = lcpfs_root_open(&old, p, l.txg[1], NULL, &err);
	if (!rc)
		rc = pool_digest(old, hash, &err);
	lcpfs_pool_close(old, NULL);
	if (!ok_msg(!rc, "cut %zu: the root of %llu, before %llu: %s", cut, (unsigned long long)l.txg[1], (unsigned long long)l.txg[0], err.msg))
		return false;
	g->n->roots++;
	for (unsigned i = 0; i < g->n_states && good; i++)
		if (g->state[i].txg == l.txg[1])
			good = ok_msg(memcmp(g->state[i].hash, hash, HASH_LEN) == 0, "cut %zu: the root of %llu has changed", cut, (unsigned long long)l.txg[1]);
	return good;
}

/* Work goes on: a change, a commit, and all is clean. */
static bool resumes(struct segment *g, struct lcpfs_blockdev *d, size_t cut)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *p = NULL;
	struct faultdev view;
	int rc;

	faultdev_init(&view, d, 0, 0, false, 0);
	rc = lcpfs_pool_open_dev(&p, &view.dev, &rw, &err);
	for (unsigned i = 0; i < 3 && !rc; i++) {
		rc = put_file(p, "", "after", 60000, i, &err);
		if (!rc || rc == -LCPFS_EISDIR)
			rc = lcpfs_pool_commit(p, &err);
	}
	if (!rc)
		rc = lcpfs_pool_close(p, &err);
	else
		lcpfs_pool_close(p, NULL);
	g->n->resumed++;
	return ok_msg(!rc, "cut %zu: going on: %s", cut, err.msg) && ok_msg(dev_clean(d), "cut %zu: going on leaves problems", cut);
}

enum look { WHOLE = 1, FSCK = 2, GO_ON = 4 };

static bool good_device(struct segment *g, struct lcpfs_blockdev *d, size_t cut, unsigned look)
{
	struct lcpfs_error err = { 0 };
	struct lcpfs_pool *p = NULL;
	struct faultdev view;
	uint8_t hash[HASH_LEN];
	bool good;
	int rc;

	faultdev_init(&view, d, 0, 0, false, 0);
	rc = lcpfs_pool_open_dev(&p, &view.dev, &ro, &err);
	if (rc && g->absent && cut < g->state[1].acked_at)
		return true;
	if (!rc)
		rc = pool_digest(p, hash, &err);
	good = ok_msg(!rc, "cut %zu of %zu: %s", cut, crashdev_events(g->rec), err.msg) &&
	    ok_msg(known(g, hash, cut), "cut %zu of %zu: a state that was never committed, or older than the acknowledged one", cut, crashdev_events(g->rec));
	if (good && look & WHOLE)
		good = older_root(g, p, cut);
	lcpfs_pool_close(p, NULL);
	/* until the first commit of a disk has ended, or the first close of an image, the back label is there in parts */
	if (g->absent && (g->disk ? cut < g->state[1].acked_at : cut >= g->state[g->n_states - 1].acked_at && cut < crashdev_events(g->rec)))
		look &= ~(unsigned)(FSCK | GO_ON);
	if (good && look & FSCK)
		good = ok_msg(dev_clean(d), "cut %zu: fsck finds problems", cut);
	return good && look & GO_ON ? resumes(g, d, cut) : good;
}

/* ---- which writes made it ---- */

struct chance { uint64_t *rng; unsigned keep; bool prefix; size_t end; };

static bool keep_sector(void *arg, size_t s)
{
	struct chance *c = arg;

	return c->prefix ? s < c->end : (tap_rand(c->rng) >> 20) % 8 < c->keep;
}

static bool one_subset(struct segment *g, size_t from, size_t to, unsigned i)
{
	struct lcpfs_blockdev *d = clone_ram(g->sure);
	struct chance c = { .rng = &g->rng, .keep = 1 + i % 7 };
	uint64_t before = g->rng;
	struct lcpfs_error err = { 0 };
	bool good;
	int rc = 0;

	for (size_t e = from; e < to && !rc; e++) {
		size_t n = crashdev_sectors(g->rec, e);
		unsigned how = (unsigned)(tap_rand(&g->rng) >> 20) % 64;

		if (how % 8 >= c.keep)
			continue;
		c.prefix = how & 32;
		c.end = n ? (size_t)(tap_rand(&g->rng) >> 20) % (n + 1) : 0;
		rc = crashdev_apply(g->rec, e, n && how < 24 ? keep_sector : NULL, &c, d, &err);
	}
	good = ok_msg(!rc, "replay: %s", err.msg) &&
	    good_device(g, d, to - 1, (i % 4 == 0 ? WHOLE : 0) | (i % 2 ? 0 : FSCK) | (i % 16 == 5 ? GO_ON : 0));
	if (!good)
		printf("# events %zu to %zu, subset %u, rng %llu\n", from, to, i, (unsigned long long)before);
	lcpfs_blockdev_close(d);
	g->n->subsets++;
	return good;
}

/* ---- labels ---- */

#define RING_MAX (256u * 4096)

static void wipe(struct lcpfs_blockdev *d, uint64_t off, size_t len)
{
	static const uint8_t zero[RING_MAX];

	blockdev_write(d, off, zero, len, NULL);
}

/* As it was when this part of the run began. */
static void set_back(struct lcpfs_blockdev *d, struct lcpfs_blockdev *from, uint64_t off, size_t len)
{
	static uint8_t old[RING_MAX];

	if (blockdev_read(from, off, old, len, NULL) == 0)
		blockdev_write(d, off, old, len, NULL);
}

static bool lost_label(struct segment *g, struct lcpfs_blockdev *base, size_t cut, unsigned which, bool closed)
{
	struct lcpfs_blockdev *d = clone_ram(g->sure);
	uint64_t size = blockdev_size(d), back;
	uint8_t raw[LABEL_LEN];
	struct label l;
	size_t ring;
	bool both = g->disk || closed; /* the back label is as new as the front one */
	bool good = ok(blockdev_read(d, LABEL_LEN, raw, sizeof raw, NULL) == 0 && label_decode(&l, raw, NULL) == 0);

	ring = MIN((size_t)RING_MAX, (size_t)(label_slot_bytes(l.sector_shift) * l.ring_slots));
	back = size - label_front_bytes(l.sector_shift, l.ring_slots, l.cfg_len);
	switch (which) {
	case 0: /* the back label */
		wipe(d, size - 4096, 4096);
		good = good_device(g, d, cut, WHOLE);
		break;
	case 1: /* the front header */
		wipe(d, 4096, 4096);
		good = !both || good_device(g, d, cut, WHOLE);
		break;
	case 2: /* the front ring */
		wipe(d, UNIT, ring);
		good = !closed || good_device(g, d, cut, WHOLE);
		break;
	case 3: /* an old front ring */
		set_back(d, base, UNIT, ring);
		good = !closed || good_device(g, d, cut, WHOLE);
		break;
	default: /* an old back ring */
		if (both && size == blockdev_size(base))
			set_back(d, base, back, ring);
		good = good_device(g, d, cut, WHOLE);
		break;
	}
	if (!good)
		printf("# label case %u%s\n", which, closed ? ", closed" : "");
	lcpfs_blockdev_close(d);
	g->n->labels++;
	return good;
}

/* ---- all cuts ---- */

static bool one_window(struct segment *g, struct lcpfs_blockdev *base, size_t from, size_t to, unsigned subsets)
{
	struct lcpfs_blockdev *prefix = clone_ram(g->sure);
	struct lcpfs_error err = { 0 };
	unsigned step = getenv("LCPFS_CRASH_ALL") ? 1 : 7;
	bool last = to == crashdev_events(g->rec), good = true;

	for (size_t e = from; e < to && good; e++) {
		good = ok_msg(crashdev_apply(g->rec, e, NULL, NULL, prefix, &err) == 0, "replay: %s", err.msg);
		if (good && ((e - from) % step == 0 || e + 1 == to)) {
			struct lcpfs_blockdev *d = clone_ram(prefix);

			good = good_device(g, d, e + 1, FSCK | (e + 1 == to ? WHOLE : 0));
			lcpfs_blockdev_close(d);
			g->n->prefixes++;
		}
	}
	for (unsigned i = 0; i < subsets && good && to > from; i++)
		good = one_subset(g, from, to, i);
	lcpfs_blockdev_close(g->sure);
	g->sure = prefix;
	if (good && (last || step == 1 || (tap_rand(&g->rng) >> 20) % 8 == 0) && !g->absent)
		for (unsigned w = 0; w < 5 && good; w++)
			good = lost_label(g, base, to, w, last);
	return good;
}

static bool check_segment(struct segment *g, struct lcpfs_blockdev *base)
{
	size_t n = crashdev_events(g->rec), from = 0;
	unsigned subsets = env_number("LCPFS_CRASH_SUBSETS", 2);
	bool good = true;

	g->sure = clone_ram(base);
	for (size_t e = 0; e < n && good; e++)
		if (crashdev_is_flush(g->rec, e) || e + 1 == n) {
			good = one_window(g, base, from, e + 1, subsets);
			from = e + 1;
		}
	lcpfs_blockdev_close(g->sure);
	return good;
}

static bool one_segment(struct mix *m, struct lcpfs_blockdev *disk, const struct lcpfs_create_opts *create, struct counts *n)
{
	struct segment g = { .disk = !(disk->flags & LCPFS_DEV_IMAGE), .absent = create, .rng = m->rng, .n = n };
	struct lcpfs_blockdev *base = clone_ram(disk);
	bool good;
	int rc = crashdev_create(&g.rec, disk, &m->err);

	if (!rc && create) {
		rc = lcpfs_pool_create_dev(&m->p, crashdev_dev(g.rec), create, &m->err);
		g.n_states = 1;
	} else if (!rc) {
		rc = lcpfs_pool_open_dev(&m->p, crashdev_dev(g.rec), &rw, &m->err);
		if (!rc)
			rc = note_state(&g, m);
	}
	if (!rc)
		rc = changes(&g, m);
	if (!rc)
		rc = lcpfs_pool_close(m->p, &m->err);
	else
		lcpfs_pool_close(m->p, NULL);
	good = ok_msg(!rc, "%s: %s", m->what ? m->what : "", m->err.msg) && check_segment(&g, base);
	crashdev_destroy(g.rec);
	lcpfs_blockdev_close(base);
	return good;
}

static void run_on(const char *name, uint64_t size, uint32_t flags, uint32_t sector, const struct lcpfs_create_opts *o)
{
	struct lcpfs_blockdev *disk = NULL;
	struct counts n = { 0 };
	unsigned segments = env_number("LCPFS_CRASH_SEGMENTS", 4), seed = env_number("LCPFS_SEED", 1);
	struct mix m;
	bool good = mix_init(&m, seed) && ok(lcpfs_ramdisk_create(&disk, name, size, flags, NULL) == 0);

	if (good && sector)
		disk->sector = sector;
	for (unsigned i = 0; i < segments && good; i++)
		good = one_segment(&m, disk, i ? NULL : o, &n);
	printf("# %s, seed %u: %u changes (%u refused), %u commits; %u prefixes, %u subsets, %u labels, %u older roots, %u went on\n", name, seed, m.n_ops,
	    m.n_refused, n.commits, n.prefixes, n.subsets, n.labels, n.roots, n.resumed);
	lcpfs_blockdev_close(disk);
	mix_fini(&m);
}

TEST(image)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };

	run_on("image", 0, LCPFS_DEV_IMAGE, 0, &o);
}

TEST(fixed_image)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true, .size_bytes = 12 << 20 };

	run_on("fixed image", 0, LCPFS_DEV_IMAGE, 0, &o);
}

TEST(disk)
{
	static const struct lcpfs_create_opts o = { .open = { .flags = LCPFS_OPEN_RW, .threads = 1 }, .reproducible = true };

	run_on("disk", 24 << 20, 0, 4096, &o);
}

TAP_MAIN(T(image), T(fixed_image), T(disk))
