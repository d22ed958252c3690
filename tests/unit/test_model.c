/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool in a file beside a model of it in memory. A writer, a process of its own, makes random changes and is killed at random moments; readers, too,
 * read while it writes. What change number i is, and whether a commit follows it, depends on the seed, i and the model alone: so every process has the model
 * of any commit. After each kill the pool is that of the last commit that was acknowledged, or of the one under way; readers see a commit, never less than
 * they saw before. LCPFS_MODEL_OPS: changes (10000), LCPFS_SEED.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/util.h"
#include "hash/hash.h"
#include "lcpfs/lcpfs.h"
#include "tap.h"

enum { SLOTS = 48, SIZE_MAX_ = 100000, SNAPS = 3, COMMIT_EVERY = 12, READERS = 2, TRIES = 8 };

/* ---- the model ---- */

struct slot { uint8_t *p; uint32_t len; bool is; };
struct model {
	struct slot s[SLOTS];
	struct { uint64_t at, digest; } snap[SNAPS];
	unsigned n_snap;
	uint64_t at; /* the last change that it has */
};
/* What the processes tell each other. */
struct shared { uint64_t acked, ops, reads, moved, commits; bool stop, writer_failed, reader_failed; char why[400]; };

static uint64_t seed;
static struct shared *sh;
static char path[200];

static uint64_t rnd_of(uint64_t i)
{
	uint64_t v[2] = { seed, i };
	uint8_t h[HASH_LEN];

	blake3(v, sizeof v, h);
	memcpy(v, h, 8);
	return v[0] | 1;
}

static bool commit_after(uint64_t i) { return (rnd_of(i) >> 20) % COMMIT_EVERY == 0; }

static uint64_t next_commit(uint64_t i)
{
	do
		i++;
	while (!commit_after(i));
	return i;
}

static void slot_path(char out[32], unsigned i) { snprintf(out, 32, "d%u/f%u", i % 4, i); }

static uint64_t file_digest(const char *name, const uint8_t *p, uint64_t len)
{
	uint8_t h[HASH_LEN];
	struct blake3 b;
	uint64_t v;

	blake3_init(&b);
	blake3_update(&b, name, strlen(name) + 1);
	blake3_update(&b, p, len);
	blake3_final(&b, 0, h, sizeof h);
	memcpy(&v, h, sizeof v);
	return v;
}

static uint64_t model_digest(const struct model *m)
{
	uint64_t sum = 0;
	char name[32];

	for (unsigned i = 0; i < SLOTS; i++) {
		slot_path(name, i);
		sum += m->s[i].is ? file_digest(name, m->s[i].p, m->s[i].len) : 0;
	}
	return sum;
}

/* ---- changes, of the model and, where ds is not NULL, of the pool ---- */

static uint8_t *room(struct slot *s)
{
	if (!s->p)
		s->p = malloc(SIZE_MAX_ + 1);
	return s->p;
}

static void resize(struct slot *s, uint32_t len)
{
	if (len > s->len)
		memset(room(s) + s->len, 0, len - s->len);
	s->len = len;
}

static int op_write(struct model *m, struct lcpfs_dataset *ds, unsigned i, uint64_t *r, bool trunc, struct lcpfs_error *err)
{
	static uint8_t data[SIZE_MAX_];
	struct slot *s = &m->s[i];
	uint32_t len = 1 + (uint32_t)(tap_rand(r) % (tap_rand(r) % 4 ? 700 : 30000)), off;
	struct lcpfs_file *f;
	char name[32];
	int rc = 0;

	if (trunc || !s->is)
		s->len = 0;
	off = (uint32_t)(tap_rand(r) % (s->len + 1 + (tap_rand(r) % 8 ? 0 : 20000)));
	off = MIN(off, SIZE_MAX_ - len);
	for (uint32_t k = 0; k < len; k++)
		data[k] = (uint8_t)(tap_rand(r) >> 60);
	if (off + len > s->len)
		resize(s, off + len);
	memcpy(room(s) + off, data, len);
	slot_path(name, i);
	if (ds) {
		rc = lcpfs_file_open(&f, ds, name, LCPFS_O_WRITE | LCPFS_O_CREATE | (trunc || !s->is ? LCPFS_O_TRUNC : 0), 0644, err);
		if (!rc) {
			rc = lcpfs_file_pwrite(f, data, len, off, err);
			rc = lcpfs_file_close(f, rc ? NULL : err) | rc;
		}
	}
	s->is = true;
	return rc;
}

static int op_reflink(struct model *m, struct lcpfs_dataset *ds, unsigned from, unsigned to, struct lcpfs_error *err)
{
	struct lcpfs_file *a, *b;
	char x[32], y[32];
	int rc = 0;

	if (!m->s[from].is || from == to)
		return 0;
	memcpy(room(&m->s[to]), room(&m->s[from]), m->s[from].len);
	m->s[to].len = m->s[from].len;
	m->s[to].is = true;
	if (!ds)
		return 0;
	slot_path(x, from);
	slot_path(y, to);
	rc = lcpfs_file_open(&a, ds, x, LCPFS_O_READ, 0, err);
	if (rc)
		return rc;
	rc = lcpfs_file_open(&b, ds, y, LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, err);
	if (!rc) {
		rc = lcpfs_reflink(a, b, err);
		rc = lcpfs_file_close(b, rc ? NULL : err) | rc;
	}
	lcpfs_file_close(a, NULL);
	return rc;
}

static int op_rename(struct model *m, struct lcpfs_dataset *ds, unsigned from, unsigned to, struct lcpfs_error *err)
{
	struct slot old = m->s[to];
	char x[32], y[32];

	if (!m->s[from].is || from == to)
		return 0;
	m->s[to] = m->s[from];
	m->s[from] = (struct slot){ .p = old.p };
	slot_path(x, from);
	slot_path(y, to);
	return ds ? lcpfs_rename(ds, x, y, 0, err) : 0;
}

static int op_snap(struct model *m, struct lcpfs_dataset *ds, struct lcpfs_error *err)
{
	char name[40];
	const char *names[] = { name };

	if (m->n_snap < SNAPS) {
		m->snap[m->n_snap].at = m->at;
		m->snap[m->n_snap++].digest = model_digest(m);
		snprintf(name, sizeof name, "@s%" PRIu64, m->at);
		return ds ? lcpfs_snap_create(lcpfs_dataset_pool(ds), names, 1, false, err) : 0;
	}
	snprintf(name, sizeof name, "@s%" PRIu64, m->snap[0].at);
	memmove(m->snap, m->snap + 1, --m->n_snap * sizeof m->snap[0]);
	return ds ? lcpfs_snap_destroy(lcpfs_dataset_pool(ds), names, 1, false, NULL, err) : 0;
}

static int change(struct model *m, struct lcpfs_dataset *ds, struct lcpfs_error *err)
{
	uint64_t r = rnd_of(++m->at);
	unsigned what = (unsigned)(tap_rand(&r) % 100), i = (unsigned)(tap_rand(&r) % SLOTS), k = (unsigned)(tap_rand(&r) % SLOTS);
	struct slot *s = &m->s[i];
	char name[32];

	slot_path(name, i);
	if (what < 52 || (!s->is && what < 75))
		return op_write(m, ds, i, &r, what < 10, err);
	if (what < 65) {
		s->is = false;
		s->len = 0;
		return ds ? lcpfs_remove(ds, name, false, err) : 0;
	}
	if (what < 75) {
		resize(s, (uint32_t)(tap_rand(&r) % (s->len * 3 / 2 + 10)) % SIZE_MAX_);
		return ds ? lcpfs_truncate(ds, name, s->len, err) : 0;
	}
	if (what < 85)
		return op_rename(m, ds, i, k, err);
	return what < 95 ? op_reflink(m, ds, i, k, err) : op_snap(m, ds, err);
}

static void advance(struct model *m, uint64_t to)
{
	while (m->at < to)
		change(m, NULL, NULL);
}

static void model_fini(struct model *m)
{
	for (unsigned i = 0; i < SLOTS; i++)
		free(m->s[i].p);
	*m = (struct model){ .n_snap = 0 };
}

/* ---- the pool ---- */

static int put_number(struct lcpfs_dataset *ds, uint64_t at, struct lcpfs_error *err)
{
	struct lcpfs_file *f;
	int rc = lcpfs_file_open(&f, ds, "at", LCPFS_O_WRITE | LCPFS_O_CREATE, 0644, err);

	if (!rc) {
		rc = lcpfs_file_pwrite(f, &at, sizeof at, 0, err);
		rc = lcpfs_file_close(f, rc ? NULL : err) | rc;
	}
	return rc;
}

struct sum { struct lcpfs_dataset *ds; uint64_t digest, at; uint8_t *buf; size_t len; };

static int take(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct sum *s = arg;

	(void)err;
	if (s->len + len > SIZE_MAX_)
		return -LCPFS_ELIMIT;
	memcpy(s->buf + s->len, data, len);
	s->len += len;
	return 0;
}

static int add(void *arg, const struct lcpfs_walk_entry *e, struct lcpfs_error *err)
{
	struct sum *s = arg;
	int rc;

	if ((e->st->mode & 0170000) != 0100000)
		return 0;
	s->len = 0;
	rc = lcpfs_content_each(s->ds, e->st->ino, take, s, err);
	if (!rc && !strcmp(e->path, "at") && s->len == 8)
		memcpy(&s->at, s->buf, 8);
	else if (!rc)
		s->digest += file_digest(e->path, s->buf, s->len);
	return rc;
}

static int digest_of(struct lcpfs_pool *p, const char *name, struct sum *s, struct lcpfs_error *err)
{
	int rc = lcpfs_dataset_open(&s->ds, p, name, err);

	s->digest = s->at = 0;
	if (rc)
		return rc;
	rc = lcpfs_walk(s->ds, "", 0, add, s, err);
	lcpfs_dataset_close(s->ds);
	return rc;
}

/* The newest commit and all its snapshots, against the model of it: 0, an error, or 1 and words. */
static int compare(struct model *m, uint32_t flags, char *why, size_t room_, struct lcpfs_error *err)
{
	struct lcpfs_open_opts o = { .flags = flags, .threads = 1, .memory_bytes = 32 << 20 };
	struct sum s = { .buf = malloc(SIZE_MAX_) };
	struct lcpfs_pool *p;
	char name[40];
	int rc = lcpfs_pool_open(&p, path, &o, err);

	if (rc) {
		free(s.buf);
		return rc;
	}
	rc = digest_of(p, "", &s, err);
	if (!rc && s.at < m->at)
		rc = snprintf(why, room_, "at %" PRIu64 ", which is before %" PRIu64, s.at, m->at) > 0;
	if (!rc) {
		advance(m, s.at);
		if (s.digest != model_digest(m) || (s.at && !commit_after(s.at)))
			rc = snprintf(why, room_, "not the model's contents at %" PRIu64, s.at) > 0;
	}
	for (unsigned i = 0; !rc && i < m->n_snap; i++) {
		snprintf(name, sizeof name, "@s%" PRIu64, m->snap[i].at);
		rc = digest_of(p, name, &s, err);
		if (!rc && s.digest != m->snap[i].digest)
			rc = snprintf(why, room_, "not the model's contents of %s", name) > 0;
	}
	lcpfs_pool_close(p, NULL);
	free(s.buf);
	return rc;
}

/* ---- the processes ---- */

static void say(bool *flag, const char *what, const char *why)
{
	snprintf(sh->why, sizeof sh->why, "%s: %.300s", what, why);
	__atomic_store_n(flag, true, __ATOMIC_SEQ_CST);
	_exit(1);
}

/* m: the model as it is in the pool; the process's own from now on. */
static void writer(struct model *m)
{
	struct lcpfs_open_opts o = { .flags = LCPFS_OPEN_RW, .threads = 1, .memory_bytes = 32 << 20 };
	struct lcpfs_error err = { 0 };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;

	if (lcpfs_pool_open(&p, path, &o, &err) || lcpfs_dataset_open(&ds, p, "", &err))
		say(&sh->writer_failed, "open", err.msg);
	for (;;) {
		if (change(m, ds, &err))
			say(&sh->writer_failed, "change", err.msg);
		__atomic_fetch_add(&sh->ops, 1, __ATOMIC_RELAXED);
		if (!commit_after(m->at))
			continue;
		if (put_number(ds, m->at, &err) || lcpfs_pool_commit(p, &err))
			say(&sh->writer_failed, "commit", err.msg);
		__atomic_store_n(&sh->acked, m->at, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&sh->commits, 1, __ATOMIC_RELAXED);
	}
}

/* What a commit used may be overwritten two commits later, so a slow reader may find a block gone: it begins again with the newest. */
static void reader(struct model *m)
{
	unsigned tries = 0;

	while (!__atomic_load_n(&sh->stop, __ATOMIC_SEQ_CST)) {
		struct lcpfs_error err = { 0 };
		uint64_t before = __atomic_load_n(&sh->acked, __ATOMIC_SEQ_CST);
		char why[200] = "";
		int rc = compare(m, LCPFS_OPEN_LIVE, why, sizeof why, &err);

		if (rc > 0)
			say(&sh->reader_failed, "reader", why);
		if (!rc) {
			__atomic_fetch_add(&sh->reads, 1, __ATOMIC_RELAXED);
			tries = 0;
		} else if (__atomic_load_n(&sh->acked, __ATOMIC_SEQ_CST) > before || tries < TRIES) {
			__atomic_fetch_add(&sh->moved, 1, __ATOMIC_RELAXED);
			tries++;
		} else {
			say(&sh->reader_failed, "a reader of a pool that nobody writes", err.msg);
		}
	}
	_exit(0);
}

static pid_t start(void (*fn)(struct model *), struct model *m)
{
	pid_t pid = fork();

	if (!pid)
		fn(m);
	return pid;
}

static bool make_pool(void)
{
	struct lcpfs_create_opts o = { .open = { .threads = 1 }, .record_bytes = 16384, .pack_bytes = 16384, .slice_max_bytes = 4096, .compress = "lz4" };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;
	bool good = !lcpfs_pool_create(&p, path, &o, NULL) && !lcpfs_dataset_open(&ds, p, "", NULL);

	for (char d[3] = "d0"; good && d[1] < '4'; d[1]++)
		good = !lcpfs_mkdir(ds, d, 0755, false, NULL);
	if (!good || put_number(ds, 0, NULL) || lcpfs_pool_commit(p, NULL))
		return false;
	lcpfs_dataset_close(ds);
	return !lcpfs_pool_close(p, NULL);
}

/* False: the rest cannot be believed. */
static bool after_kill(struct model *m, unsigned kills)
{
	uint64_t acked = __atomic_load_n(&sh->acked, __ATOMIC_SEQ_CST), problems = 0;
	struct lcpfs_open_opts o = { .threads = 1, .memory_bytes = 32 << 20 };
	struct lcpfs_check_opts co = { .data = true };
	struct lcpfs_error err = { 0 };
	char why[200] = "";
	int rc = compare(m, 0, why, sizeof why, &err);

	if (!ok_msg(!rc, "after kill %u, %" PRIu64 " acknowledged: %s%s", kills, acked, why, rc < 0 ? err.msg : "") ||
	    !ok_msg(m->at == acked || m->at == next_commit(acked), "after kill %u: at %" PRIu64 ", acknowledged %" PRIu64, kills, m->at, acked))
		return false;
	sh->acked = m->at;
	if (kills % 10 == 0)
		ok_msg(!lcpfs_fsck(path, &o, &co, &problems, &err) && !problems, "after kill %u: %" PRIu64 " problems %s", kills, problems, err.msg);
	return true;
}

TEST(killed)
{
	const char *n = getenv("LCPFS_MODEL_OPS"), *s = getenv("LCPFS_SEED");
	uint64_t want = n ? strtoull(n, NULL, 10) : 10000, r;
	struct model m = { .n_snap = 0 };
	pid_t readers[READERS];
	unsigned kills = 0;

	seed = s ? strtoull(s, NULL, 10) : 1;
	r = seed + 77;
	snprintf(path, sizeof path, "%s/lcpfs-model-%d.img", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (int)getpid());
	sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!ok(sh != MAP_FAILED) || !ok(make_pool()))
		return;
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = start(reader, &m);
	while (sh->ops < want && !sh->writer_failed && !sh->reader_failed) {
		pid_t w = start(writer, &m);

		usleep((useconds_t)(5000 + tap_rand(&r) % 60000));
		kill(w, SIGKILL);
		waitpid(w, NULL, 0);
		if (!after_kill(&m, ++kills))
			break;
	}
	sh->stop = true;
	for (unsigned i = 0; i < READERS; i++)
		waitpid(readers[i], NULL, 0);
	ok_msg(!sh->writer_failed && !sh->reader_failed, "seed %" PRIu64 ": %s", seed, sh->why);
	printf("# %" PRIu64 " changes, %" PRIu64 " commits, %u kills; readers: %" PRIu64 " whole readings, %" PRIu64 " begun again\n", sh->ops, sh->commits,
	    kills, sh->reads, sh->moved);
	model_fini(&m);
	unlink(path);
}

TAP_MAIN(T(killed))
