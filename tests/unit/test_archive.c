/* SPDX-License-Identifier: Apache-2.0 */
#include "archive/archive_impl.h"
#include "hosttree.h"
#include <dirent.h>
#include <sys/wait.h>

struct counts {
	struct entry_sink base;
	unsigned entries, links, unsafe;
	uint64_t bytes, size;
	struct entry last;
};

static bool is_safe(const char *p)
{
	if (!*p)
		return true;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (!n || n > 255 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static int count_begin(struct entry_sink *base, const struct entry *e, struct lcpfs_error *err)
{
	struct counts *c = (struct counts *)base;

	(void)err;
	c->entries++;
	c->size = e->size;
	c->links += !!(e->flags & ENTRY_HARDLINK);
	c->unsafe += !e->path || !is_safe(e->path) || (e->flags & ENTRY_HARDLINK && (!e->link || !*e->link ||
	    !is_safe(e->link))) ||
	             (S_ISLNK(e->mode) && !e->link);
	for (size_t i = 1; i < e->n_xattr; i++)
		c->unsafe += strcmp(e->xattr[i - 1].name, e->xattr[i].name) >= 0;
	return 0;
}

static int count_write(struct entry_sink *base, uint64_t off, const void *buf, size_t len, struct lcpfs_error *err)
{
	struct counts *c = (struct counts *)base;

	(void)buf;
	(void)err;
	c->unsafe += off > c->size || len > c->size - off;
	c->bytes += len;
	return 0;
}

static int count_end(struct entry_sink *base, struct lcpfs_error *err)
{
	(void)base;
	(void)err;
	return 0;
}

static const struct entry_sink_ops count_ops = { count_begin, count_write, count_end, count_end, NULL, NULL, NULL };

static bool too_much(void *arg, uint64_t entries, uint64_t bytes)
{
	(void)arg;
	return entries > 1000000 || bytes > (uint64_t)1 << 30;
}

/* Run an archive into k; the code, and the message in err. */
static int run(int fd, const char *name, struct entry_sink *k, uint64_t *warnings, struct lcpfs_error *err)
{
	struct entry_source *s;
	int rc = arch_source_open(&s, fd, name, NULL, err);

	*warnings = 0;
	if (rc)
		return rc;
	rc = entry_copy(s, k, too_much, NULL, err);
	*warnings = arch_source_warnings(s);
	s->ops->close(s);
	return rc;
}

static int run_counting(int fd, const char *name, struct counts *c, uint64_t *warnings, struct lcpfs_error *err)
{
	*c = (struct counts){ .base = { &count_ops } };
	return run(fd, name, &c->base, warnings, err);
}

static void one_vector(const char *dir, const char *name, const char *into)
{
	char path[800];
	struct host_sink_opts o = { .flags = HOST_SINK_SAFE | HOST_SINK_OVERWRITE | HOST_SINK_NO_OWNER };
	struct lcpfs_error err = { 0 };
	struct entry_sink *k;
	struct counts c;
	uint64_t warnings;
	int fd, rc;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!ok_msg(fd >= 0, "%s: %s", path, strerror(errno)))
		return;
	alarm(120);
	arch_probe(fd);
	is_int(lseek(fd, 0, SEEK_CUR), 0);
	rc = run_counting(fd, name, &c, &warnings, &err);
	ok_msg(!c.unsafe, "%s: %u unsafe things", name, c.unsafe);
	ok_msg(rc >= 0 || err.msg[0], "%s: a failure with words", name);
	ok_msg(rc == 0 || strstr(err.msg, name) || rc == -LCPFS_ECANCEL, "%s: the message names it: %s", name, err.msg);
	if (getenv("VERBOSE"))
		printf("# %s: %d, %u entries, %llu bytes, %llu warnings: %s\n", name, rc, c.entries, (unsigned long long)c.bytes,
		    (unsigned long long)warnings, err.msg);
	lseek(fd, 0, SEEK_SET);
	if (ok(host_sink_open(&k, into, &o, NULL) == 0)) {
		run(fd, name, k, &warnings, NULL);
		k->ops->close(k);
	}
	alarm(0);
	close(fd);
}

static void vectors_in(const char *sub, unsigned at_least)
{
	char *top = ht_dir(), *into = ht_join(top, "into"), dir[500], cmd[600];
	struct dirent *de;
	unsigned n = 0, beside = 0;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/data/%s", tap_data(), sub);
	snprintf(cmd, sizeof cmd, "chmod -R u+rwX '%s' && rm -rf '%s'", into, into);
	d = opendir(dir);
	if (!ok_msg(d != NULL, "%s", dir))
		return;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.' || !strcmp(de->d_name, "README.md") || !strcmp(de->d_name, "MANIFEST.tsv"))
			continue;
		one_vector(dir, de->d_name, into);
		n++;
		if (system(cmd))
			ok_msg(false, "cannot clean after %s", de->d_name);
	}
	closedir(d);
	ok_msg(n >= at_least, "%u files in %s", n, dir);
	d = opendir(top);
	while ((de = readdir(d)))
		beside += de->d_name[0] != '.';
	is_int(beside, 0);
	closedir(d);
	free(into);
	ht_remove(top);
}

TEST(vectors_tar) { vectors_in("tar", 54); }
TEST(vectors_libarchive) { vectors_in("libarchive", 100); }
TEST(vectors_fuzz_tar) { vectors_in("fuzz-tar", 96); }
TEST(vectors_fuzz_zip) { vectors_in("fuzz-zip", 173); }

/* Host tree to archive. */
static int pack(const char *from, const char *file, const char *format, const char *filter, uint64_t *warnings)
{
	struct arch_sink_opts o = { .format = format, .filter = filter, .warn = format ? NULL : ht_say };
	struct lcpfs_error err = { 0 };
	struct entry_source *s;
	struct entry_sink *k;
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

	rc = host_source_open(&s, from, NULL, &err);
	if (rc)
		return rc;
	rc = arch_sink_open(&k, fd, file, &o, &err);
	if (!rc) {
		rc = entry_copy(s, k, NULL, NULL, &err);
		*warnings = arch_sink_warnings(k);
		k->ops->close(k);
	}
	if (rc)
		printf("# pack: %s\n", err.msg);
	s->ops->close(s);
	close(fd);
	return rc;
}

static int unpack(int fd, const char *to, uint64_t *warnings)
{
	struct host_sink_opts ko = { .flags = HOST_SINK_NUMERIC, .warn = ht_say };
	struct arch_source_opts o = { .warn = ht_say };
	struct lcpfs_error err = { 0 };
	struct entry_source *s;
	struct entry_sink *k;
	int rc = arch_source_open(&s, fd, "test", &o, &err);

	if (rc)
		return rc;
	rc = host_sink_open(&k, to, &ko, &err);
	if (!rc) {
		rc = entry_copy(s, k, NULL, NULL, &err);
		*warnings = arch_source_warnings(s) + host_sink_warnings(k);
		k->ops->close(k);
	}
	if (rc)
		printf("# unpack: %s\n", err.msg);
	s->ops->close(s);
	return rc;
}

static void there_and_back(const char *filter)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b"), *file = ht_join(top, "tar");
	uint64_t warnings = 99;
	struct stat st;
	int fd;

	mkdir(a, 0755);
	ht_make(a);
	is_int(pack(a, file, NULL, filter, &warnings), 0);
	is_int(warnings, 0);
	ok(stat(file, &st) == 0 && st.st_size < 20 << 20); /* the holes took no room */
	fd = open(file, O_RDONLY | O_CLOEXEC);
	ok(arch_probe(fd));
	is_int(unpack(fd, b, &warnings), 0);
	is_int(warnings, 0);
	ok(ht_compare(a, b, 0) > 80);
	close(fd);
	free(a);
	free(b);
	free(file);
	ht_remove(top);
}

TEST(pax_and_back) { there_and_back(NULL); }
TEST(pax_zstd_and_back) { there_and_back("zstd"); }
TEST(pax_gzip_and_back) { there_and_back("gzip"); }

TEST(through_a_pipe)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b"), *file = ht_join(top, "tar"), cmd[600];
	uint64_t warnings = 99;
	FILE *f;

	mkdir(a, 0755);
	ht_make(a);
	is_int(pack(a, file, NULL, NULL, &warnings), 0);
	snprintf(cmd, sizeof cmd, "cat '%s'", file);
	f = popen(cmd, "r");
	is_int(unpack(fileno(f), b, &warnings), 0);
	pclose(f);
	is_int(warnings, 0);
	ok(ht_compare(a, b, 0) > 80);
	free(a);
	free(b);
	free(file);
	ht_remove(top);
}

static bool same_bytes(const char *a, const char *b)
{
	char cmd[1100];

	snprintf(cmd, sizeof cmd, "cmp '%s' '%s'", a, b);
	return system(cmd) == 0;
}

TEST(deterministic)
{
	static const char *const filters[] = { NULL, "gzip", "zstd" };
	char *top = ht_dir(), *a = ht_join(top, "a"), *one = ht_join(top, "1"), *two = ht_join(top, "2");
	uint64_t warnings;
	int d;

	mkdir(a, 0755);
	d = ht_open(a);
	ht_make_names(d);
	ht_make_holes(d);
	close(d);
	setenv("TZ", "UTC", 1);
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
		pid_t child;

		is_int(pack(a, one, NULL, filters[i], &warnings), 0);
		child = fork(); /* another process, zone, and a second later */
		if (!child) {
			setenv("TZ", "Asia/Tokyo", 1);
			if (i == 1)
				sleep(1);
			_exit(pack(a, two, NULL, filters[i], &warnings) != 0);
		}
		waitpid(child, NULL, 0);
		ok_msg(same_bytes(one, two), "same bytes through %s", filters[i] ? filters[i] : "nothing");
	}
	free(a);
	free(one);
	free(two);
	ht_remove(top);
}

TEST(sockets_and_poor_formats)
{
	static const struct {
		const char *format;
		int rc;
	} is[] = { { "ustar", 0 }, { "gnutar", 0 }, { "cpio", 0 }, { "zip", 0 }, { "nonsense", -LCPFS_EUNSUP } };
	char *top = ht_dir(), *a = ht_join(top, "a"), *file = ht_join(top, "out");
	struct arch_sink_opts o = { 0 };
	struct entry e = { .path = (char *)"sock", .mode = S_IFSOCK | 0755 };
	struct entry_sink *k;
	uint64_t warnings;
	int fd = open(file, O_RDWR | O_CREAT, 0600);

	ok(arch_sink_open(&k, fd, file, &o, NULL) == 0);
	is_int(k->ops->begin(k, &e, NULL), 0);
	is_int(k->ops->end(k, NULL), 0);
	is_int(k->ops->finish(k, NULL), 0);
	is_int(arch_sink_warnings(k), 1);
	k->ops->close(k);
	close(fd);
	mkdir(a, 0755);
	ht_make(a);
	for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
		struct lcpfs_error err = { 0 };
		struct counts c;

		is_int(pack(a, file, is[i].format, NULL, &warnings), is[i].rc);
		if (is[i].rc)
			continue;
		ok_msg(warnings > 0, "%s cannot hold all", is[i].format);
		fd = open(file, O_RDONLY);
		is_int(run_counting(fd, file, &c, &warnings, &err), 0);
		ok_msg(c.entries >= 20 && !c.unsafe, "%s: %u entries, %u unsafe: %s", is[i].format, c.entries, c.unsafe, err.msg);
		close(fd);
	}
	free(a);
	free(file);
	ht_remove(top);
}

/* A cut anywhere is an error, or at least told. */
TEST(cut_short)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *file = ht_join(top, "tar");
	struct stat st;
	uint64_t warnings;
	int d, fd, silent = 0, cuts = 0;

	mkdir(a, 0755);
	d = ht_open(a);
	ht_make_names(d);
	ht_random(d, "some", 0, 20000);
	close(d);
	is_int(pack(a, file, NULL, NULL, &warnings), 0);
	fd = open(file, O_RDWR);
	fstat(fd, &st);
	for (off_t len = st.st_size - 1024; len >= 0; len -= 256) {
		struct lcpfs_error err = { 0 };
		struct counts c;
		int rc;

		ok(ftruncate(fd, len) == 0);
		lseek(fd, 0, SEEK_SET);
		rc = run_counting(fd, "cut", &c, &warnings, &err);
		silent += rc == 0 && warnings == 0;
		if (rc == 0 && warnings == 0)
			printf("# cut at %lld is not noticed\n", (long long)len);
		if (rc && rc != -LCPFS_ETRUNC && rc != -LCPFS_ECORRUPT)
			ok_msg(false, "cut at %lld: %d %s", (long long)len, rc, err.msg);
		cuts++;
	}
	is_int(silent, 0);
	ok(cuts > 100);
	close(fd);
	free(a);
	free(file);
	ht_remove(top);
}

/* One member of the newc cpio format. */
static void newc(int fd, const char *name, unsigned ino, unsigned mode, unsigned nlink, const char *data)
{
	char head[112];
	size_t len = strlen(data), n = strlen(name) + 1;

	snprintf(head, sizeof head, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ino, mode, 0, 0,
	    nlink, 5, (unsigned)len, 0, 1,
	    0, 0, (unsigned)n, 0);
	ok(write(fd, head, 110) == 110 && write(fd, name, n) == (ssize_t)n);
	ok(write(fd, "\0\0\0", (4 - (110 + n) % 4) % 4) >= 0);
	ok(write(fd, data, len) == (ssize_t)len && write(fd, "\0\0\0", (4 - len % 4) % 4) >= 0);
}

TEST(cpio_content_with_the_last_name)
{
	char *top = ht_dir(), *file = ht_join(top, "cpio"), *to = ht_join(top, "to"), *one = ht_join(to, "one"),
	    *empty = ht_join(to, "e2");
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	struct stat st;
	uint64_t warnings;

	newc(fd, ".", 1, S_IFDIR | 0755, 2, "");
	newc(fd, "one", 7, S_IFREG | 0644, 3, "");
	newc(fd, "e1", 8, S_IFREG | 0600, 2, "");
	newc(fd, "two", 7, S_IFREG | 0644, 3, "");
	newc(fd, "plain", 9, S_IFREG | 0644, 1, "abc");
	newc(fd, "three", 7, S_IFREG | 0644, 3, "content");
	newc(fd, "e2", 8, S_IFREG | 0600, 2, "");
	newc(fd, "TRAILER!!!", 0, 0, 1, "");
	lseek(fd, 0, SEEK_SET);
	is_int(unpack(fd, to, &warnings), 0);
	is_int(warnings, 0);
	ok(stat(one, &st) == 0 && st.st_size == 7 && st.st_nlink == 3);
	ok(stat(empty, &st) == 0 && st.st_size == 0 && st.st_nlink == 2);
	close(fd);
	free(file);
	free(to);
	free(one);
	free(empty);
	ht_remove(top);
}

/* The text that other tars read. */
TEST(pax_spelling)
{
	struct entry_xattr acl = { (char *)"system.posix_acl_access", (uint8_t *)(uintptr_t)ht_acl, sizeof ht_acl };
	struct entry e = { .path = (char *)"f", .mode = S_IFREG | 0674, .flags = ENTRY_HAS_MTIME, .mtime = { -2,
	    500000000 }, .xattr = &acl, .n_xattr = 1 };
	char *top = ht_dir(), *file = ht_join(top, "tar"), *text = calloc(1, 65536);
	int fd = open(file, O_RDWR | O_CREAT, 0600), found = 0;
	struct entry_source *s;
	struct entry_sink *k;
	struct entry got;

	ok(arch_sink_open(&k, fd, file, NULL, NULL) == 0);
	ok(k->ops->begin(k, &e, NULL) == 0 && k->ops->end(k, NULL) == 0 && k->ops->finish(k, NULL) == 0);
	k->ops->close(k);
	lseek(fd, 0, SEEK_SET);
	for (ssize_t n = read(fd, text, 65535); n > 0; n--)
		found |= memcmp(text + n, "mtime=-1.5\n", 11) == 0 ? 1 : memcmp(text + n, "SCHILY.acl.access=", 18) == 0 ? 2 : 0;
	is_int(found, 3);
	lseek(fd, 0, SEEK_SET);
	ok(arch_source_open(&s, fd, "t", NULL, NULL) == 0);
	is_int(s->ops->next(s, &got, NULL), 0);
	ok(got.mtime.sec == -2 && got.mtime.nsec == 500000000);
	is_int(got.mode & 07777, 0770); /* the ACL's owner, mask and others */
	ok(got.n_xattr == 1 && got.xattr[0].len == sizeof ht_acl);
	is_mem(got.xattr[0].value, ht_acl, sizeof ht_acl);
	entry_fini(&got);
	s->ops->close(s);
	close(fd);
	free(file);
	free(text);
	ht_remove(top);
}

TEST(names)
{
	static const struct {
		const char *raw, *want;
		bool absolute;
	} is[] = {
		{ "a", "a", false }, { "./a//b/", "a/b", false }, { "/etc/passwd", "etc/passwd", true }, { ".", "", false },
		    { "./", "", false },
		{ "//", "", true }, { "../a", NULL, false }, { "a/../b", NULL, false }, { "a/..", NULL, false }, { "", NULL, false },
		{ "...", "...", false }, { "a/.b", "a/.b", false },
	};

	for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
		struct lcpfs_error why = { 0 };
		bool absolute;
		char *got = arch_names_normalise(is[i].raw, &absolute, &why);

		ok_msg(!got == !is[i].want && (!got || !strcmp(got, is[i].want)), "'%s' gives '%s'", is[i].raw,
		    got ? got : "nothing");
		ok_msg(absolute == is[i].absolute, "'%s' absolute", is[i].raw);
		ok_msg(got || why.msg[0], "'%s': a reason", is[i].raw);
		free(got);
	}
}

TEST(spool)
{
	static uint8_t in[3 << 20], out[3 << 20];
	uint64_t seed = 5;
	struct spool s;

	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)tap_rand(&seed);
	arch_spool_init(&s);
	ok(arch_spool_is_dense(&s) && arch_spool_end(&s) == 0);
	ok(arch_spool_add(&s, 100, in, 50, NULL) == 0 && arch_spool_is_dense(&s)); /* a small gap is zeros */
	ok(arch_spool_add(&s, 200, in, sizeof in, NULL) == 0 && s.fd < 0);
	ok(arch_spool_add(&s, 50 << 20, in, sizeof in, NULL) == 0 && s.fd >= 0 && s.n == 2 && !arch_spool_is_dense(&s));
	is_int(arch_spool_add(&s, 5, in, 1, NULL), -LCPFS_ECORRUPT);
	is_int(arch_spool_add(&s, UINT64_MAX - 5, in, 10, NULL), -LCPFS_ECORRUPT);
	ok(arch_spool_get(&s, 200, out, sizeof out, NULL) == 0 && memcmp(in, out, sizeof in) == 0);
	ok(arch_spool_get(&s, 200 + sizeof in, out, sizeof out, NULL) == 0 && memcmp(in, out, sizeof in) == 0);
	ok(arch_spool_get(&s, 100, out, 100, NULL) == 0 && memcmp(in, out, 50) == 0 && out[50] == 0 && out[99] == 0);
	is_int(arch_spool_end(&s), (50 << 20) + sizeof in);
	arch_spool_reset(&s);
	ok(arch_spool_end(&s) == 0 && s.fd < 0);
	arch_spool_fini(&s);
}

TAP_MAIN(T(names), T(spool), T(vectors_tar), T(vectors_libarchive), T(vectors_fuzz_tar), T(vectors_fuzz_zip),
         T(pax_and_back),
         T(pax_zstd_and_back), T(pax_gzip_and_back), T(through_a_pipe), T(deterministic),
             T(sockets_and_poor_formats), T(cut_short),
         T(cpio_content_with_the_last_name), T(pax_spelling))
