/* SPDX-License-Identifier: Apache-2.0 */
/* Trees between host, archives and datasets. */
#include "tap.h"
#include "archive/archive.h"
#include "base/error.h"
#include "host/host.h"
#include "import/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define MB ((size_t)1 << 20)

struct place {
	char dir[64];
	struct lcpfs_pool *pool;
	struct lcpfs_dataset *h;
	struct dataset *ds;
	struct lcpfs_error err;
	struct lcpfs_tree_stats st;
};

static void place_open(struct place *p)
{
	struct lcpfs_blockdev *dev = NULL;

	*p = (struct place){ 0 };
	strcpy(p->dir, "/tmp/lcpfs-import-XXXXXX");
	ok(mkdtemp(p->dir) != NULL);
	is_int(lcpfs_ramdisk_create(&dev, "ram", 256 * MB, LCPFS_DEV_IMAGE, &p->err), 0);
	ok_msg(!lcpfs_pool_create_dev(&p->pool, dev, NULL, &p->err), "create: %s", p->err.msg);
	ok_msg(!lcpfs_dataset_open(&p->h, p->pool, "", &p->err), "open: %s", p->err.msg);
	p->ds = p->h->ds;
}

static void place_close(struct place *p)
{
	char cmd[100];

	lcpfs_dataset_close(p->h);
	ok_msg(!lcpfs_pool_close(p->pool, &p->err), "close: %s", p->err.msg);
	snprintf(cmd, sizeof cmd, "rm -rf %s", p->dir);
	is_int(system(cmd), 0);
}

static const char *in(const struct place *p, const char *rel)
{
	static char out[4][4400];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(out[i], sizeof out[i], "%s/%s", p->dir, rel);
	return out[i];
}

static void put(const char *path, const void *data, size_t len, off_t at)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	ok(fd >= 0 && pwrite(fd, data, len, at) == (ssize_t)len);
	close(fd);
}

static void put_text(const char *path, const char *text)
{
	unlink(path);
	put(path, text, strlen(text), 0);
}

static void set_mtime(const char *path, int64_t sec, long nsec)
{
	struct timespec t[2] = { { sec + 5, 7 }, { sec, nsec } };

	is_int(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static void put_random(const char *path, size_t len, uint64_t seed)
{
	uint8_t *d = malloc(len);

	for (size_t i = 0; i < len; i++)
		d[i] = (uint8_t)tap_rand(&seed);
	put(path, d, len, 0);
	free(d);
}

/* A file that may already be something else: then nothing. Never through a symlink. */
static void put_random_at(const char *path, size_t len, uint64_t seed)
{
	struct stat st;

	if (lstat(path, &st) ? errno != ENOENT : !S_ISREG(st.st_mode))
		return;
	if (close(open(path, O_WRONLY | O_CREAT, 0644)) == 0)
		put_random(path, len, seed);
}

/* One of everything. */
static void build_tree(const struct place *p, const char *top)
{
	char name[300], path[600];

	is_int(mkdir(in(p, top), 0750), 0);
	snprintf(path, sizeof path, "%s/%s", p->dir, top);
	is_int(chdir(path), 0);
	is_int(mkdir("d", 0755), 0);
	is_int(mkdir("d/empty", 01777), 0);
	is_int(mkdir("d/deep", 0700), 0);
	put_text("d/deep/small", "hello\n");
	put("d/empty file", "", 0, 0);
	put_random("big", 3 * MB + 12345, 42);
	put_random("mid", 200000, 43);
	put("sparse", "x", 1, 5 * MB);
	put("sparse", "y", 1, 2 * MB);
	is_int(truncate("sparse", 7 * MB + 1), 0);
	put("hole only", "", 0, 0);
	is_int(truncate("hole only", 2 * MB), 0);
	is_int(symlink("../nowhere/at all", "d/link"), 0);
	is_int(mkfifo("fifo", 0600), 0);
	put_text("one", "linked");
	is_int(link("one", "d/two"), 0);
	is_int(link("one", "zz"), 0);
	put_text("od\nd \xff\xfe name", "odd");
	memset(name, 'n', 255);
	name[255] = 0;
	put_text(name, "long");
	put_text("setuid", "s");
	is_int(chmod("setuid", 04755), 0);
	setxattr("mid", "user.colour", "blue", 4, 0);
	setxattr("d", "user.empty", "", 0, 0);
	set_mtime("d/link", -5, 999999999);
	set_mtime("mid", 1234567890, 123456789);
	set_mtime("d/deep", 1000000000, 5);
	set_mtime("d", 1000000001, 6);
	is_int(chdir("/"), 0);
}

static uint8_t *slurp(struct entry_source *s, const struct entry *e)
{
	uint8_t *all = calloc(1, e->size + 1), *piece = malloc(MB);
	uint64_t off = 0;
	size_t got = 0;

	while (!s->ops->read(s, piece, MB, &off, &got, NULL) && got && off + got <= e->size)
		memcpy(all + off, piece, got);
	is_int(got, 0);
	free(piece);
	return all;
}

static bool same_xattrs(struct entry *a, struct entry *b)
{
	entry_sort_xattr(a);
	entry_sort_xattr(b);
	if (a->n_xattr != b->n_xattr)
		return false;
	for (size_t i = 0; i < a->n_xattr; i++)
		if (strcmp(a->xattr[i].name, b->xattr[i].name) || a->xattr[i].len != b->xattr[i].len ||
		    memcmp(a->xattr[i].value, b->xattr[i].value, a->xattr[i].len))
			return false;
	return true;
}

static void same_entry(struct entry_source *sa, struct entry *a, struct entry_source *sb, struct entry *b)
{
	uint8_t *da, *db;

	is_str(a->path, b->path);
	is_int(a->flags & ENTRY_HARDLINK, b->flags & ENTRY_HARDLINK);
	if (a->link || b->link)
		is_str(a->link, b->link);
	ok_msg(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid, "%s: mode %o %o", a->path, a->mode, b->mode);
	if (a->flags & ENTRY_HARDLINK)
		return;
	ok_msg(a->mtime.sec == b->mtime.sec && a->mtime.nsec == b->mtime.nsec, "%s: mtime %lld %lld", a->path,
	    (long long)a->mtime.sec, (long long)b->mtime.sec);
	ok_msg(same_xattrs(a, b), "%s: attributes", a->path);
	if (!S_ISREG(a->mode) || !S_ISREG(b->mode))
		return;
	is_int(a->size, b->size);
	if (a->size != b->size)
		return;
	da = slurp(sa, a);
	db = slurp(sb, b);
	ok_msg(!memcmp(da, db, a->size), "%s: contents", a->path);
	free(da);
	free(db);
}

/* Both sources yield the same; closes them. Number of entries. */
static unsigned same_trees(struct entry_source *a, struct entry_source *b)
{
	unsigned n = 0;

	for (int ra = 0, rb = 0; !ra && !rb;) {
		struct entry ea = { 0 }, eb = { 0 };

		ra = a->ops->next(a, &ea, NULL);
		rb = b->ops->next(b, &eb, NULL);
		is_int(ra, rb);
		if (!ra && !rb) {
			same_entry(a, &ea, b, &eb);
			n++;
		}
		entry_fini(&ea);
		entry_fini(&eb);
	}
	a->ops->close(a);
	b->ops->close(b);
	return n;
}

static struct entry_source *host_tree(const char *path)
{
	struct entry_source *s = NULL;

	is_int(host_source_open(&s, path, NULL, NULL), 0);
	return s;
}

static struct entry_source *ds_tree(const struct place *p, const char *path)
{
	struct ds_source_opts o = { 0 };
	struct entry_source *s = NULL;
	uint64_t ino = 0;

	is_int(zpl_resolve(p->ds, path, true, &ino, NULL), 0);
	is_int(ds_source_open(&s, p->ds, ino, &o, NULL), 0);
	return s;
}

static int import(struct place *p, const char *source, uint32_t flags)
{
	struct lcpfs_tree_opts o = { .flags = flags };
	int rc = lcpfs_tree_import(p->h, "", source, &o, &p->st, &p->err);

	if (rc)
		printf("# import: %s\n", p->err.msg);
	return rc;
}

static struct inode inode_at(const struct place *p, const char *path)
{
	struct inode i = { 0 };
	uint64_t ino = 0;

	if (!zpl_resolve(p->ds, path, false, &ino, NULL))
		zpl_inode_get(p->ds, ino, &i, NULL);
	return i;
}

static bool exists(const struct place *p, const char *path)
{
	return inode_at(p, path).mode != 0;
}

TEST(host_pool_host)
{
	struct place p;
	unsigned n;

	place_open(&p);
	build_tree(&p, "src");
	is_int(import(&p, in(&p, "src"), 0), 0);
	n = same_trees(host_tree(in(&p, "src")), ds_tree(&p, ""));
	is_int(p.st.entries, n);
	is_int(p.st.changed, n);
	is_int(inode_at(&p, "one").nlink, 3);
	is_int(lcpfs_pool_commit(p.pool, NULL), 0);
	is_int(lcpfs_tree_export(p.h, "", in(&p, "out"), NULL, &p.st, &p.err), 0);
	is_int(p.st.entries, n);
	is_int(same_trees(host_tree(in(&p, "src")), host_tree(in(&p, "out"))), n);
	/* a part, and a single file under another name */
	is_int(lcpfs_tree_export(p.h, "/d/deep", in(&p, "part"), NULL, NULL, &p.err), 0);
	is_int(same_trees(host_tree(in(&p, "src/d/deep")), host_tree(in(&p, "part"))), 2);
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_BASENAME, .as = "renamed" };
	is_int(lcpfs_tree_export(p.h, "/d/deep/small", in(&p, "part"), &o, NULL, &p.err), 0);
	is_int(access(in(&p, "part/renamed"), F_OK), 0);
	place_close(&p);
}

TEST(through_an_archive)
{
	struct place p, q;
	unsigned n;
	int fd;

	place_open(&p);
	place_open(&q);
	build_tree(&p, "src");
	is_int(import(&p, in(&p, "src"), 0), 0);
	n = (unsigned)p.st.entries;
	fd = open(in(&p, "a.tar"), O_RDWR | O_CREAT, 0644);
	ok_msg(!lcpfs_tree_archive(p.h, "", fd, NULL, NULL, NULL, &p.st, &p.err), "archive: %s", p.err.msg);
	is_int(p.st.entries, n);
	close(fd);
	is_int(import(&q, in(&p, "a.tar"), 0), 0);
	is_int(same_trees(ds_tree(&p, ""), ds_tree(&q, "")), n);
	is_int(import(&q, in(&p, "a.tar"), LCPFS_TREE_DELETE), 0); /* again: nothing changes */
	is_int(q.st.changed, 0);
	is_int(q.st.removed, 0);
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_BASENAME };
	is_int(lcpfs_tree_import(q.h, "d", in(&p, "a.tar"), &o, &q.st, &q.err), 0); /* as the file it is */
	ok(S_ISREG(inode_at(&q, "d/a.tar").mode));
	is_int(lcpfs_tree_import(q.h, "", in(&p, "src/mid"), NULL, &q.st, &q.err), -LCPFS_EINVAL);
	place_close(&q);
	place_close(&p);
}

static void now_later(void *arg, int64_t *sec, uint32_t *nsec)
{
	*sec = time(NULL) + *(int *)arg;
	*nsec = 0;
}

TEST(update_changes_what_differs)
{
	struct place p;
	uint64_t mid, big, sparse;

	place_open(&p);
	build_tree(&p, "src");
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	mid = inode_at(&p, "mid").data_id;
	big = inode_at(&p, "big").data_id;
	sparse = inode_at(&p, "sparse").data_id;
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	is_int(p.st.changed, 0);
	is_int(p.st.removed, 0);
	is_int(inode_at(&p, "big").data_id, big);

	put(in(&p, "src/big"), "changed", 7, 3 * MB);          /* same size */
	put(in(&p, "src/sparse"), "in a hole", 9, 3 * MB);
	set_mtime(in(&p, "src/mid"), 77, 0);                   /* only the time */
	put_text(in(&p, "src/d/deep/small"), "longer than it was\n");
	put_text(in(&p, "src/new"), "new");
	is_int(unlink(in(&p, "src/fifo")), 0);
	is_int(mkdir(in(&p, "src/fifo"), 0755), 0);            /* another type */
	is_int(unlink(in(&p, "src/zz")), 0);                   /* one of three names */
	put_text(in(&p, "src/zz"), "apart");
	is_int(unlink(in(&p, "src/d/link")), 0);
	is_int(rename(in(&p, "src/d/empty"), in(&p, "src/d/moved")), 0);
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	is_int(p.st.removed, 2); /* d/link, d/empty */
	is_int(inode_at(&p, "mid").data_id, mid);
	ok(inode_at(&p, "big").data_id != big);
	ok(inode_at(&p, "sparse").data_id != sparse);
	is_int(inode_at(&p, "one").nlink, 2);
	same_trees(host_tree(in(&p, "src")), ds_tree(&p, ""));
	place_close(&p);
}

TEST(update_knows_old_files)
{
	struct place p;
	int later = 10;
	struct lcpfs_hooks hooks = { .arg = &later, .now = now_later };

	place_open(&p);
	lcpfs_set_hooks(&hooks);
	build_tree(&p, "src");
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	ok(p.st.bytes > 0);
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	is_int(p.st.bytes, 0);
	is_int(p.st.changed, 0);
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE | LCPFS_TREE_CHECKSUM), 0);
	ok(p.st.bytes > 0);
	is_int(p.st.changed, 0);
	put(in(&p, "src/big"), "q", 1, 100);
	is_int(import(&p, in(&p, "src"), LCPFS_TREE_DELETE), 0);
	is_int(p.st.changed, 1);
	same_trees(host_tree(in(&p, "src")), ds_tree(&p, ""));
	lcpfs_set_hooks(NULL);
	place_close(&p);
}

/* Every so-manyth of n small files gets content and times of this seed. */
static void write_many(const struct place *p, unsigned n, unsigned every, uint64_t seed)
{
	char name[32];

	for (unsigned i = 0; i < n; i += every) {
		snprintf(name, sizeof name, "s/%05u", i);
		put_random(in(p, name), 6000 + i % 7, seed + i);
		set_mtime(in(p, name), 1000 + (int64_t)seed, i);
	}
}

static uint64_t data_sum(const struct place *p, unsigned n)
{
	uint64_t sum = 0;
	char name[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%05u", i);
		sum = sum * 31 + inode_at(p, name).data_id;
	}
	return sum;
}

TEST(touched_or_changed)
{
	enum { N = 1200 };
	char name[32];
	struct place p;
	uint64_t sum;

	place_open(&p);
	is_int(mkdir(in(&p, "s"), 0755), 0);
	write_many(&p, N, 1, 1);
	is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
	sum = data_sum(&p, N);
	for (unsigned i = 0; i < N; i++) { /* every file has a new time and the old content */
		snprintf(name, sizeof name, "s/%05u", i);
		set_mtime(in(&p, name), 5, i);
	}
	is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
	is_int(p.st.changed, N);
	is_int(data_sum(&p, N), sum);
	for (unsigned every = 1; every < 4; every++) { /* some or all changed: whether compared or not, the outcome is the same */
		write_many(&p, N, every, 100 + every);
		is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
		is_int(p.st.changed, (N + every - 1) / every);
		is_int(same_trees(host_tree(in(&p, "s")), ds_tree(&p, "")), N + 1);
	}
	place_close(&p);
}

TEST(links_part_and_join)
{
	struct place p;

	place_open(&p);
	is_int(mkdir(in(&p, "s"), 0755), 0);
	put_text(in(&p, "s/a"), "same");
	is_int(link(in(&p, "s/a"), in(&p, "s/b")), 0);
	is_int(link(in(&p, "s/a"), in(&p, "s/c")), 0);
	is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
	is_int(inode_at(&p, "a").nlink, 3);
	/* equal in all but being linked */
	is_int(unlink(in(&p, "s/b")), 0);
	put_text(in(&p, "s/b"), "same");
	is_int(unlink(in(&p, "s/c")), 0);
	is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
	is_int(inode_at(&p, "a").nlink, 1);
	is_int(inode_at(&p, "b").nlink, 1);
	ok(!exists(&p, "c"));
	is_int(p.st.removed, 1);
	/* and joined again */
	is_int(unlink(in(&p, "s/b")), 0);
	is_int(link(in(&p, "s/a"), in(&p, "s/b")), 0);
	is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
	is_int(inode_at(&p, "a").nlink, 2);
	/* a name that the source does not have keeps its content when the others change */
	is_int(unlink(in(&p, "s/b")), 0);
	put_text(in(&p, "s/a"), "SAME");
	is_int(import(&p, in(&p, "s"), 0), 0);
	is_int(inode_at(&p, "b").nlink, 1);
	ok(inode_at(&p, "b").data_id != inode_at(&p, "a").data_id);
	place_close(&p);
}

/* A source of made-up entries. */
struct made { const char *path; uint32_t mode; const char *text; /* content, target, or other name when `hard` */ bool hard; };
struct made_source { struct entry_source src; const struct made *m; size_t n, i; bool done; };

static int made_next(struct entry_source *src, struct entry *e, struct lcpfs_error *err)
{
	struct made_source *s = (struct made_source *)src;
	const struct made *m = &s->m[s->i];

	(void)err;
	if (s->i++ == s->n)
		return 1;
	*e = (struct entry){ .path = strdup(m->path), .mode = m->mode, .flags = ENTRY_HAS_MTIME };
	e->mtime = (struct entry_time){ 1000, 4000000000u };
	if (m->hard)
		e->flags |= ENTRY_HARDLINK;
	if (m->hard || S_ISLNK(m->mode))
		e->link = strdup(m->text);
	else if (S_ISREG(m->mode))
		e->size = strlen(m->text);
	s->done = false;
	return 0;
}

static int made_read(struct entry_source *src, void *buf, size_t len, uint64_t *off, size_t *got, struct lcpfs_error *err)
{
	struct made_source *s = (struct made_source *)src;

	(void)len;
	(void)err;
	*off = 0;
	*got = s->done ? 0 : strlen(s->m[s->i - 1].text);
	memcpy(buf, s->m[s->i - 1].text, *got);
	s->done = true;
	return 0;
}

static void made_close(struct entry_source *src)
{
	(void)src;
}

static int store_made(struct place *p, const struct made *m, size_t n, uint32_t flags)
{
	static const struct entry_source_ops ops = { made_next, made_read, made_close, NULL, NULL };
	struct made_source s = { .src.ops = &ops, .m = m, .n = n };
	struct lcpfs_tree_opts o = { .flags = flags };
	struct ds_sink_opts so = { .warn = run_told, .exact = flags & LCPFS_TREE_DELETE };
	struct entry_sink *sink;
	struct run r;
	int rc = run_begin(&r, &o, "storing", &p->err);

	so.warn_arg = &r;
	is_int(ds_sink_open(&sink, p->ds, INO_ROOT, &so, &p->err), 0);
	rc = run_copy(&r, &s.src, true, sink, &p->err);
	sink->ops->close(sink);
	return run_end(&r, rc, &p->st, &p->err);
}

static bool holds(const struct place *p, const char *path, const char *text)
{
	char buf[64] = { 0 };
	uint64_t ino;
	size_t got = 0;

	return !zpl_resolve(p->ds, path, false, &ino, NULL) && !zpl_read(p->ds, ino, 0, buf, sizeof buf - 1, &got, NULL) &&
	    got == strlen(text) && !memcmp(buf, text, got);
}

#define REG (S_IFREG | 0644)
#define DIR_ (S_IFDIR | 0755)
#define LNK (S_IFLNK | 0777)

TEST(hostile_entries)
{
	char long_name[300], long_target[5000];
	struct place p;

	memset(long_name, 'l', sizeof long_name);
	long_name[256] = 0;
	memset(long_target, 't', sizeof long_target);
	long_target[4096] = 0;
	const struct made m[] = {
		{ "../escape", REG, "x", false }, { "a/../../b", REG, "x", false }, { "/abs", REG, "x", false }, { "a//b", REG, "x", false },
		{ "./dot", REG, "x", false }, { long_name, REG, "x", false }, { "sym", LNK, long_target, false }, { "sym2", LNK, "", false },
		{ "what", 0, "", false }, { "", REG, "root is a file", false }, { "", REG, "a", true },
		{ "self", REG, "self/below", true }, { "up", REG, "../../etc/passwd", true },
		{ "good", REG, "good", false }, { "dir", DIR_, NULL, false }, { "hard dir", REG, "dir", true },
		{ "through", LNK, "dir", false }, { "through/x", REG, "x", false }, { "good/x", REG, "x", false },
		{ "good", REG, "good", true },
	};
	place_open(&p);
	is_int(store_made(&p, m, sizeof m / sizeof *m, 0), -LCPFS_EPARTIAL);
	is_int(p.st.warnings, 16);
	ok(holds(&p, "good", "good"));
	is_int(inode_at(&p, "good").mtime.nsec, 999999999);
	ok(S_ISLNK(inode_at(&p, "through").mode));
	ok(!exists(&p, "dir/x"));
	ok(!exists(&p, "escape") && !exists(&p, "b") && !exists(&p, "abs") && !exists(&p, "hard dir"));
	place_close(&p);
}

TEST(the_last_one_wins)
{
	static const struct made m[] = {
		{ "x/y/file", REG, "first", false },           /* parents are made */
		{ "x/y/file", REG, "second", false }, { "x/y/other", REG, "other", false }, { "x/y/file", REG, "third!", false },
		{ "f", REG, "file", false }, { "f", DIR_, NULL, false }, { "f/in", REG, "in", false },
		{ "g", DIR_, NULL, false }, { "g/h/i", REG, "deep", false }, { "g", REG, "file", false },
		{ "s", LNK, "x", false }, { "s", DIR_, NULL, false }, { "s/t", REG, "t", false },
		{ "k", REG, "k1", false }, { "l", REG, "k", true }, { "k", REG, "k2", false },
		{ "x", S_IFDIR | 0700, NULL, false },
		{ "l", REG, "l", true },
	};
	static const struct made lost[] = { { "b", REG, "nowhere/to be found", true } };
	struct place p;

	place_open(&p);
	is_int(store_made(&p, m, sizeof m / sizeof *m, 0), 0);
	is_int(p.st.warnings, 0);
	ok(holds(&p, "x/y/file", "third!"));
	ok(holds(&p, "x/y/other", "other"));
	ok(holds(&p, "f/in", "in"));
	ok(holds(&p, "g", "file"));
	ok(holds(&p, "s/t", "t"));
	ok(holds(&p, "k", "k2"));
	ok(holds(&p, "l", "k1"));
	is_int(inode_at(&p, "x").mode, S_IFDIR | 0700);
	is_int(inode_at(&p, "x/y").mode, S_IFDIR | 0755);
	is_int(store_made(&p, lost, 1, 0), -LCPFS_ENOENT);
	ok(strstr(p.err.msg, "'b'") && strstr(p.err.msg, "nowhere/to be found"));
	place_close(&p);
}

TEST(removals)
{
	struct made *m = calloc(6000, sizeof *m);
	static char names[6000][12];
	struct place p;

	place_open(&p);
	for (int i = 0; i < 6000; i++) {
		snprintf(names[i], sizeof names[i], "%c/%05d", i % 2 ? 'a' : 'b', i);
		m[i] = (struct made){ names[i], REG, "t", false };
	}
	is_int(store_made(&p, m, 6000, 0), 0);
	is_int(store_made(&p, m, 2, LCPFS_TREE_DELETE), 0);
	is_int(p.st.entries, 2);
	ok(exists(&p, "b/00000") && exists(&p, "a/00001") && !exists(&p, "a/00003"));
	is_int(store_made(&p, m, 1, LCPFS_TREE_DELETE), 0);
	ok(!exists(&p, "a"));
	/* what the source could not give stays */
	static const struct made some[] = { { "q/w", REG, "t", false }, { "q/e", REG, "t", false }, { "z", REG, "t", false } };
	static const struct made bad[] = { { "q/w", 0, "t", false } };
	is_int(store_made(&p, some, 3, 0), 0);
	is_int(store_made(&p, bad, 1, LCPFS_TREE_DELETE), -LCPFS_EPARTIAL);
	ok(exists(&p, "q/w") && !exists(&p, "q/e") && !exists(&p, "z"));
	place_close(&p);
	free(m);
}

TEST(pool_to_pool)
{
	struct place p, q;
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_BASENAME };
	unsigned n;

	place_open(&p);
	place_open(&q);
	build_tree(&p, "src");
	is_int(import(&p, in(&p, "src"), 0), 0);
	is_int(lcpfs_tree_copy(p.h, "/", q.h, "", NULL, &q.st, &q.err), 0);
	n = same_trees(ds_tree(&p, ""), ds_tree(&q, ""));
	is_int(q.st.entries, n);
	is_int(lcpfs_tree_copy(p.h, "/", q.h, "", NULL, &q.st, &q.err), 0);
	is_int(q.st.changed, 0);
	/* inside one dataset */
	is_int(lcpfs_tree_copy(q.h, "d", q.h, "d/empty", &o, &q.st, &q.err), -LCPFS_EINVAL);
	is_int(lcpfs_tree_copy(q.h, "d", q.h, "", &o, &q.st, &q.err), -LCPFS_EINVAL);
	o.as = "e";
	is_int(lcpfs_tree_copy(q.h, "d", q.h, "", &o, &q.st, &q.err), 0);
	same_trees(ds_tree(&q, "d"), ds_tree(&q, "e"));
	is_int(lcpfs_tree_copy(q.h, "big", q.h, "e", &o, &q.st, &q.err), 0);
	is_int(inode_at(&q, "e/e").size, 3 * MB + 12345);
	o.as = "no/good";
	is_int(lcpfs_tree_copy(q.h, "big", q.h, "e", &o, &q.st, &q.err), -LCPFS_EINVAL);
	is_int(lcpfs_tree_copy(q.h, "big", q.h, "mid", NULL, &q.st, &q.err), -LCPFS_ENOTDIR);
	is_int(lcpfs_tree_copy(q.h, "nothing", q.h, "", NULL, &q.st, &q.err), -LCPFS_ENOENT);
	place_close(&q);
	place_close(&p);
}

TEST(overrides)
{
	static const char *const exclude[] = { "*.o", "d/deep", NULL };
	struct lcpfs_tree_opts o = { .flags = LCPFS_TREE_UID | LCPFS_TREE_GID | LCPFS_TREE_REPRODUCIBLE, .uid = 7, .gid = 8, .exclude = exclude,
		.mode_clear = 07000, .mode_set = 0444, .dir_mode_clear = 0777, .dir_mode_set = 0711 };
	struct place p;
	struct inode i;

	place_open(&p);
	build_tree(&p, "src");
	put_text(in(&p, "src/x.o"), "object");
	setenv("SOURCE_DATE_EPOCH", "1234567000", 1);
	is_int(lcpfs_tree_import(p.h, "", in(&p, "src"), &o, &p.st, &p.err), 0);
	ok(!exists(&p, "x.o") && !exists(&p, "d/deep") && exists(&p, "d/empty"));
	i = inode_at(&p, "setuid");
	is_int(i.mode, S_IFREG | 0755);
	is_int(i.uid, 7);
	is_int(i.gid, 8);
	is_int(i.mtime.sec, 1234567000);
	is_int(i.ctime.sec, 1234567000);
	is_int(i.btime.sec, 0);
	i = inode_at(&p, "d");
	is_int(i.mode, S_IFDIR | 0711);
	is_int(i.mtime.sec, 1000000001);
	is_int(i.mtime.nsec, 6);
	is_int(i.ctime.nsec, 6);
	is_int(i.atime.nsec, 6);
	setenv("SOURCE_DATE_EPOCH", "tomorrow", 1);
	is_int(lcpfs_tree_import(p.h, "", in(&p, "src"), &o, &p.st, &p.err), -LCPFS_EINVAL);
	unsetenv("SOURCE_DATE_EPOCH");
	o.flags = 1u << 31;
	is_int(lcpfs_tree_import(p.h, "", in(&p, "src"), &o, &p.st, &p.err), -LCPFS_EINVAL);
	place_close(&p);
}

/* One random change somewhere in `top`: names a-f on two levels. */
static void change_something(const char *top, uint64_t *seed)
{
	char a[300], b[300];
	uint64_t r = tap_rand(seed);
	bool deep_a = r >> 8 & 1, deep_b = r >> 9 & 1;

	snprintf(a, sizeof a, "%s/%c%s%c", top, 'a' + (int)(r >> 16) % 3, deep_a ? "/" : "", 'a' + (int)(r >> 24) % 6);
	snprintf(b, sizeof b, "%s/%c%s%c", top, 'a' + (int)(r >> 32) % 3, deep_b ? "/" : "", 'a' + (int)(r >> 40) % 6);
	switch (r % 9) {
	case 0: case 1: mkdir(a, 0755); break;
	case 2: case 3: if (access(a, F_OK)) put_random_at(a, r >> 50, r); break;
	case 4: if (!rename(a, b)) break; /* fall through */
	case 5: if (link(a, b)) remove(b); break;
	case 6: chmod(a, 0600 | (r >> 20 & 077)); break;
	case 7: if (symlink(b, a)) put_random_at(a, 1 + (r >> 60), r); break;
	case 8: remove(a); break;
	}
}

TEST(random_updates)
{
	uint64_t seed = 20240607;
	struct place p;

	printf("# seed %llu\n", (unsigned long long)seed);
	place_open(&p);
	is_int(mkdir(in(&p, "s"), 0755), 0);
	for (int c = 'a'; c < 'd'; c++) {
		char name[8] = { 's', '/', (char)c, 0 };

		is_int(mkdir(in(&p, name), 0755), 0);
	}
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 12; i++)
			change_something(in(&p, "s"), &seed);
		is_int(import(&p, in(&p, "s"), LCPFS_TREE_DELETE), 0);
		same_trees(host_tree(in(&p, "s")), ds_tree(&p, ""));
		if (round % 8 == 7)
			is_int(lcpfs_pool_commit(p.pool, &p.err), 0);
	}
	ok(p.st.entries > 8); /* the changes leave something */
	place_close(&p);
}

static bool stop_now(void *arg, const struct lcpfs_progress *p)
{
	(void)arg;
	return p->entries >= 1;
}

static int count_member(void *arg, const char *path, const struct lcpfs_stat *st, const char *target, bool hardlink, struct lcpfs_error *err)
{
	(void)err;
	if (strcmp(path, "d/link") == 0) {
		is_str(target, "../nowhere/at all");
		ok(!hardlink && S_ISLNK(st->mode));
	}
	++*(unsigned *)arg;
	return 0;
}

TEST(cancel_and_list)
{
	struct lcpfs_tree_opts o = { .progress = stop_now };
	unsigned n = 0;
	struct place p;
	int fd;

	place_open(&p);
	build_tree(&p, "src");
	is_int(lcpfs_tree_import(p.h, "", in(&p, "src"), &o, &p.st, &p.err), -LCPFS_ECANCEL);
	is_int(import(&p, in(&p, "src"), 0), 0);
	fd = open(in(&p, "a.tar"), O_RDWR | O_CREAT, 0644);
	is_int(lcpfs_tree_archive(p.h, "d", fd, NULL, "gzip", NULL, &p.st, &p.err), 0);
	lseek(fd, 0, SEEK_SET);
	is_int(lcpfs_archive_list(fd, "a.tar", count_member, &n, &p.err), 0);
	lseek(fd, 0, SEEK_SET);
	n = 0;
	is_int(lcpfs_tree_archive(p.h, "", fd, NULL, NULL, NULL, &p.st, &p.err), 0);
	lseek(fd, 0, SEEK_SET);
	is_int(lcpfs_archive_list(fd, "a.tar", count_member, &n, &p.err), 0);
	is_int(n, p.st.entries);
	close(fd);
	place_close(&p);
}

TEST(sets)
{
	struct inoset s = { 0 };
	struct inomap m = { 0 };
	bool had;

	for (uint64_t i = 1; i < 5000; i++)
		is_int(inoset_add(&s, i << 40 | 7, &had, NULL) || had, 0);
	ok(inoset_has(&s, 77ull << 40 | 7) && !inoset_has(&s, 77));
	is_int(inoset_add(&s, 77ull << 40 | 7, &had, NULL) || !had, 0);
	for (uint64_t i = 1; i < 3000; i += 3)
		is_int(inoset_add(&s, i, &had, NULL) || had, 0);
	for (uint64_t i = 0; i < 3000; i++)
		ok_msg(inoset_has(&s, i) == (i % 3 == 1), "%llu", (unsigned long long)i);
	for (uint64_t i = 0; i < 1000; i++)
		is_int(inomap_put(&m, i, "ab", i % 3, i % 2 ? "odd" : NULL, NULL), 0);
	is_str(inomap_get(&m, 1, "ab", 1), "odd");
	is_str(inomap_get(&m, 4, "ab", 1), "");
	ok(!inomap_get(&m, 4, "ab", 2) && !inomap_get(&m, 4, "x", 1));
	inoset_fini(&s);
	inomap_fini(&m);
	ok(import_name_ok("..a", 3) && !import_name_ok("..", 2) && !import_name_ok("a/b", 3) && !import_name_ok("a\0b", 3) && !import_name_ok("", 0));
}

TAP_MAIN(T(sets), T(host_pool_host), T(through_an_archive), T(update_changes_what_differs), T(update_knows_old_files), T(touched_or_changed), T(links_part_and_join),
         T(hostile_entries), T(the_last_one_wins), T(removals), T(random_updates), T(pool_to_pool), T(overrides), T(cancel_and_list))
