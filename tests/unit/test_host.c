/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exclude.h"
#include "host/host_impl.h"
#include "hosttree.h"
#include <dirent.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Copy a host tree; returns the warnings of both sides, or a negative code. */
static int copy(const char *from, const char *to, uint32_t source_flags, uint32_t sink_flags,
                const char *const *exclude)
{
	struct host_source_opts so = { .flags = source_flags, .exclude = exclude, .warn = ht_say };
	struct host_sink_opts ko = { .flags = sink_flags, .warn = ht_say };
	struct entry_source *s = NULL;
	struct entry_sink *k = NULL;
	struct lcpfs_error err = { 0 };
	int rc = host_source_open(&s, from, &so, &err);

	if (!rc)
		rc = host_sink_open(&k, to, &ko, &err);
	if (!rc)
		rc = entry_copy(s, k, NULL, NULL, &err);
	if (rc)
		printf("# copy: %s\n", err.msg);
	else
		rc = (int)(host_source_warnings(s) + host_sink_warnings(k));
	if (s)
		s->ops->close(s);
	if (k)
		k->ops->close(k);
	return rc;
}

static void add_socket(const char *dir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", dir);
	ok(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
	close(fd);
}

static void copy_and_compare(uint32_t flags)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");

	mkdir(a, 0755);
	add_socket(a);
	ht_make(a);
	is_int(copy(a, b, flags, 0, NULL), 0);
	ok(ht_compare(a, b, 0) > 80);
	free(a);
	free(b);
	ht_remove(top);
}

TEST(strange_tree)
{
	copy_and_compare(0);
	copy_and_compare(HOST_AHEAD);
}

TEST(old_kernel)
{
	host_beneath_use_openat2(false);
	host_xattr_use_at(false);
	copy_and_compare(0);
	host_beneath_use_openat2(true);
	host_xattr_use_at(true);
}

TEST(ten_thousand_levels)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");
	struct rlimit old, few;
	int d;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 200;
	mkdir(a, 0755);
	d = ht_open(a);
	ht_make_deep(d, "deep", 10000, 1);
	ht_write(d, "z after", 0, "z", 1);
	setrlimit(RLIMIT_NOFILE, &few);
	is_int(copy(a, b, 0, 0, NULL), 0);
	is_int(ht_compare(a, b, 0), 10004);
	is_int(copy(a, b, HOST_AHEAD, HOST_SINK_OVERWRITE, NULL), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	close(d);
	free(a);
	free(b);
	ht_remove(top);
}

TEST(moved_while_walking)
{
	char *top = ht_dir(), *from = ht_join(top, "in"), *to = ht_join(top, "out"), *moved = ht_join(to, "moved");
	struct host_source_opts o = { .warn = ht_say };
	struct entry_source *s;
	struct entry e;
	char path[1024] = "";
	int d, n = 0, rc;

	mkdir(from, 0755);
	mkdir(to, 0755);
	d = ht_open(from);
	ht_make_deep(d, "a", DIRSTACK_WINDOW + 20, 1);
	ht_write(d, "a/d/lost", 0, "l", 1);
	ht_write(d, "a/z", 0, "z", 1);
	ht_write(d, "last", 0, "l", 1);
	ok(host_source_open(&s, from, &o, NULL) == 0);
	while ((rc = s->ops->next(s, &e, NULL)) == 0) {
		if (++n == DIRSTACK_WINDOW + 15) /* the way back up is cut: what lies deeper now hangs in another directory */
			ok(renameat(d, "a/d/d/d", AT_FDCWD, moved) == 0 && renameat(d, "a/d", d, "a/e") == 0);
		snprintf(path, sizeof path, "%s", e.path);
		entry_fini(&e);
	}
	is_int(rc, 1);
	is_str(path, "last");
	is_int(host_source_warnings(s), 1);
	s->ops->close(s);
	close(d);
	free(from);
	free(to);
	free(moved);
	ht_remove(top);
}

TEST(many_names)
{
	char *top = ht_dir(), name[32], last[32] = "";
	struct entry_source *s;
	struct entry e;
	int d = ht_open(top), n = 0;

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "%05d", (i * 7919) % 20000);
		close(openat(d, name, O_WRONLY | O_CREAT, 0644));
	}
	ok(host_source_open(&s, top, NULL, NULL) == 0);
	while (s->ops->next(s, &e, NULL) == 0) {
		if (strcmp(last, e.path) >= 0 && n)
			ok_msg(false, "order at %s", e.path);
		snprintf(last, sizeof last, "%s", e.path);
		entry_fini(&e);
		n++;
	}
	is_int(n, 20001);
	s->ops->close(s);
	close(d);
	ht_remove(top);
}

TEST(exclude)
{
	static const char *const pat[] = { "*.o", "sub/x*", "cache", NULL };
	static const struct {
		const char *path;
		bool match, tree;
	} is[] = {
		{ "", false, false }, { "a.o", true, true }, { "d/a.o", true, true }, { "a.c", false, false }, { "sub/xy",
		    true, true },
		{ "xy", false, false }, { "cache", true, true }, { "d/cache", true, true }, { "d/cache/f", false, true },
		{ "cached", false, false },
	};
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");
	int d;

	for (size_t i = 0; i < sizeof is / sizeof *is; i++) {
		ok_msg(exclude_match(pat, is[i].path) == is[i].match, "match %s", is[i].path);
		ok_msg(exclude_match_tree(pat, is[i].path) == is[i].tree, "tree %s", is[i].path);
	}
	mkdir(a, 0755);
	d = ht_open(a);
	mkdirat(d, "cache", 0755);
	ht_write(d, "cache/file", 0, "", 0);
	ht_write(d, "keep", 0, "", 0);
	is_int(copy(a, b, 0, 0, pat), 0);
	close(d);
	d = ht_open(b);
	ok(faccessat(d, "keep", F_OK, 0) == 0 && faccessat(d, "cache", F_OK, 0) != 0);
	close(d);
	free(a);
	free(b);
	ht_remove(top);
}

static void expect_first(const char *path, uint32_t flags, const char *want, uint32_t type)
{
	struct host_source_opts o = { .flags = flags };
	struct entry_source *s;
	struct entry e;

	if (!ok(host_source_open(&s, path, &o, NULL) == 0))
		return;
	ok(s->ops->next(s, &e, NULL) == 0);
	is_str(e.path, want);
	is_int(e.mode & S_IFMT, type);
	entry_fini(&e);
	s->ops->close(s);
}

TEST(operands)
{
	char *top = ht_dir(), path[500];
	int d = ht_open(top);
	struct entry_source *s;

	mkdirat(d, "dir", 0755);
	ht_write(d, "dir/file", 0, "f", 1);
	symlinkat("dir/file", d, "to file");
	symlinkat("dir", d, "to dir");
	snprintf(path, sizeof path, "%s/dir/file", top);
	expect_first(path, HOST_BASENAME, "file", S_IFREG);
	expect_first(path, 0, "", S_IFREG);
	snprintf(path, sizeof path, "%s/dir", top);
	expect_first(path, HOST_BASENAME, "dir", S_IFDIR);
	expect_first(path, 0, "", S_IFDIR);
	snprintf(path, sizeof path, "%s/dir/", top);
	expect_first(path, HOST_BASENAME, "", S_IFDIR);
	snprintf(path, sizeof path, "%s/dir/.", top);
	expect_first(path, HOST_BASENAME, "", S_IFDIR);
	snprintf(path, sizeof path, "%s/to file", top);
	expect_first(path, HOST_BASENAME, "to file", S_IFREG);
	snprintf(path, sizeof path, "%s/to dir", top);
	expect_first(path, HOST_BASENAME, "to dir", S_IFDIR);
	snprintf(path, sizeof path, "%s/none", top);
	is_int(host_source_open(&s, path, NULL, NULL), -LCPFS_ENOENT);
	close(d);
	ht_remove(top);
}

/* What the walk told of and what is read are not the same: longer, or of another time. What was told of is read. */
static void expect_told(bool longer)
{
	char *top = ht_dir();
	struct host_source_opts o = { .warn = NULL };
	struct timespec t[2] = { { 1, 0 }, { 1, 5 } };
	struct entry_source *s;
	struct entry e;
	uint8_t buf[4096];
	uint64_t off;
	size_t got;
	int d = ht_open(top);

	ht_random(d, "f", 0, 1000);
	ok(host_source_open(&s, top, &o, NULL) == 0);
	ok(s->ops->next(s, &e, NULL) == 0);
	entry_fini(&e);
	ok(s->ops->next(s, &e, NULL) == 0);
	if (longer)
		ht_size(d, "f", 1500);
	else
		ok(utimensat(d, "f", t, 0) == 0);
	ok(s->ops->read(s, buf, sizeof buf, &off, &got, NULL) == 0);
	is_int(got, 1000);
	ok(s->ops->read(s, buf, sizeof buf, &off, &got, NULL) == 0 && got == 0);
	ok(e.flags & ENTRY_DATA_UNREAD);
	is_int(host_source_warnings(s), 1);
	entry_fini(&e);
	s->ops->close(s);
	close(d);
	ht_remove(top);
}

TEST(changes_before_read)
{
	expect_told(true);
	expect_told(false);
}

TEST(shrinks_while_read)
{
	char *top = ht_dir();
	struct host_source_opts o = { .warn = NULL };
	struct entry_source *s;
	struct entry e;
	uint8_t buf[4096];
	uint64_t off;
	size_t got;
	int d = ht_open(top);

	ht_random(d, "f", 0, 10000);
	ok(host_source_open(&s, top, &o, NULL) == 0);
	ok(s->ops->next(s, &e, NULL) == 0);
	entry_fini(&e);
	ok(s->ops->next(s, &e, NULL) == 0);
	is_int(e.size, 10000);
	ok(s->ops->read(s, buf, sizeof buf, &off, &got, NULL) == 0 && got == 4096);
	ht_size(d, "f", 5000);
	ok(s->ops->read(s, buf, sizeof buf, &off, &got, NULL) == 0);
	is_int(off + got, 5000);
	ok(s->ops->read(s, buf, sizeof buf, &off, &got, NULL) == 0 && got == 0);
	ok(e.flags & ENTRY_DATA_UNREAD);
	is_int(host_source_warnings(s), 1);
	entry_fini(&e);
	s->ops->close(s);
	close(d);
	ht_remove(top);
}

/* One entry into a sink. */
static int put(struct entry_sink *k, const char *path, uint32_t mode, const char *link, uint32_t flags)
{
	struct entry e = { .path = (char *)path, .mode = mode, .link = (char *)link, .flags = flags,
	    .size = S_ISREG(mode) && !flags ? 4 : 0,
		.uid = geteuid(), .gid = getegid() };
	struct lcpfs_error err = { 0 };
	int rc = k->ops->begin(k, &e, &err);

	if (!rc && e.size)
		rc = k->ops->write(k, 0, "evil", 4, &err);
	return rc ? rc : k->ops->end(k, &err);
}

static void escapes_with(uint32_t flags)
{
	char *top = ht_dir(), *in = ht_join(top, "in"), *out = ht_join(top, "out"), *victim = ht_join(out, "victim"), abs[600];
	struct host_sink_opts o = { .flags = flags };
	struct entry_sink *k;
	struct stat st;
	int d, files = 0;
	struct dirent *de;
	DIR *dir;

	mkdir(in, 0755);
	mkdir(out, 0755);
	d = ht_open(out);
	ht_write(d, "victim", 0, "good", 4);
	ok(fchmodat(d, "victim", 0644, 0) == 0);
	ok(symlinkat(out, ht_open(in), "before") == 0);
	ok(host_sink_open(&k, in, &o, NULL) == 0);
	snprintf(abs, sizeof abs, "%s/x", out);
	is_int(put(k, "a", S_IFLNK | 0777, "../out", 0), 0);
	ok(put(k, "a/x", S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "a/d/x", S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "before/x", S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "before/x", S_IFDIR | 0755, NULL, 0) < 0);
	ok(put(k, "a/x", S_IFLNK | 0777, "y", 0) < 0);
	ok(put(k, "../out/x", S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "b/../../out/x", S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "..", S_IFDIR | 0777, NULL, 0) < 0);
	ok(put(k, ".", S_IFDIR | 0777, NULL, 0) < 0);
	ok(put(k, "b/./x", S_IFREG | 0777, NULL, 0) < 0);
	ok(put(k, "b//x", S_IFREG | 0777, NULL, 0) < 0);
	ok(put(k, "b/", S_IFDIR | 0777, NULL, 0) < 0);
	ok(put(k, abs, S_IFREG | 0644, NULL, 0) < 0);
	ok(put(k, "", S_IFREG | 0644, NULL, 0) < 0);
	is_int(put(k, "v", S_IFLNK | 0777, victim, 0), 0);
	/* a file where a symlink is: replaced, or refused, never written through */
	ok((put(k, "v", S_IFREG | 0644, NULL, 0) == 0) == !!(flags & HOST_SINK_OVERWRITE));
	ok((put(k, "a", S_IFDIR | 0700, NULL, 0) == 0) == !!(flags & HOST_SINK_OVERWRITE));
	/* hard links outward */
	put(k, "h1", S_IFREG | 0644, "before/victim", ENTRY_HARDLINK);
	ok(put(k, "h2", S_IFREG | 0644, "../out/victim", ENTRY_HARDLINK) < 0);
	ok(put(k, "h3", S_IFREG | 0644, victim, ENTRY_HARDLINK) < 0);
	is_int(k->ops->finish(k, NULL), 0);
	k->ops->close(k);
	ok(fstatat(d, "victim", &st, 0) == 0 && st.st_size == 4 && st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
	dir = fdopendir(d);
	while ((de = readdir(dir)))
		files += de->d_name[0] != '.';
	is_int(files, 1);
	closedir(dir);
	free(in);
	free(out);
	free(victim);
	ht_remove(top);
}

TEST(escapes)
{
	escapes_with(0);
	escapes_with(HOST_SINK_OVERWRITE);
	host_beneath_use_openat2(false);
	escapes_with(HOST_SINK_OVERWRITE);
	host_beneath_use_openat2(true);
}

TEST(existing)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");
	int d;

	mkdir(a, 0755);
	mkdir(b, 0755);
	ht_make(a);
	is_int(copy(a, b, 0, 0, NULL), 0);
	is_int(copy(a, b, 0, 0, NULL), -LCPFS_EEXIST);
	if (geteuid() == 0) { /* others cannot replace what is in a directory without 'w' */
		is_int(copy(a, b, 0, HOST_SINK_OVERWRITE, NULL), 0);
		ht_compare(a, b, 0);
	}
	d = ht_open(b);
	ok(unlinkat(d, "empty", 0) == 0 && mkdirat(d, "empty", 0755) == 0);
	is_int(copy(a, b, 0, HOST_SINK_OVERWRITE, NULL), -LCPFS_EISDIR);
	close(d);
	free(a);
	free(b);
	ht_remove(top);
}

TEST(default_acl_of_target)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");

	mkdir(a, 0755);
	mkdir(b, 0755);
	ht_make(a);
	if (setxattr(b, "system.posix_acl_default", ht_acl, sizeof ht_acl, 0))
		printf("# no ACLs here\n");
	is_int(copy(a, b, 0, 0, NULL), 0);
	ht_compare(a, b, 0);
	free(a);
	free(b);
	ht_remove(top);
}

TEST(safe)
{
	char *top = ht_dir(), *b = ht_join(top, "b"), *f = ht_join(b, "f");
	struct host_sink_opts o = { .flags = HOST_SINK_SAFE };
	struct entry_sink *k;
	struct stat st;

	ok(host_sink_open(&k, b, &o, NULL) == 0);
	is_int(put(k, "f", S_IFREG | 07755, NULL, 0), 0);
	is_int(host_sink_warnings(k), 1);
	is_int(put(k, "dev", S_IFBLK | 0600, NULL, 0), 0);
	is_int(host_sink_warnings(k), 2);
	is_int(put(k, "to dev", S_IFBLK | 0600, "dev", ENTRY_HARDLINK), 0);
	is_int(host_sink_warnings(k), 3);
	is_int(put(k, "d", S_IFDIR | 01777, NULL, 0), 0);
	is_int(k->ops->finish(k, NULL), 0);
	k->ops->close(k);
	ok(stat(f, &st) == 0 && (st.st_mode & 07777) == 0755);
	free(b);
	free(f);
	ht_remove(top);
}

TEST(aborted)
{
	char *top = ht_dir(), *f = ht_join(top, "f");
	struct entry e = { .path = (char *)"f", .mode = S_IFREG | 0644, .size = 10 };
	struct entry_sink *k;

	ok(host_sink_open(&k, top, NULL, NULL) == 0);
	ok(k->ops->begin(k, &e, NULL) == 0 && k->ops->write(k, 0, "12345", 5, NULL) == 0);
	ok(access(f, F_OK) == 0);
	is_int(k->ops->write(k, 5, "123456", 6, NULL), -LCPFS_EINVAL);
	k->ops->close(k);
	ok(access(f, F_OK) != 0);
	free(f);
	ht_remove(top);
}

TEST(unreadable)
{
	char *top = ht_dir(), *a = ht_join(top, "a"), *b = ht_join(top, "b");
	int d;

	mkdir(a, 0755);
	d = ht_open(a);
	ht_write(d, "closed", 0, "x", 1);
	ht_write(d, "open", 0, "x", 1);
	mkdirat(d, "closed dir", 0755);
	fchmodat(d, "closed", 0, 0);
	fchmodat(d, "closed dir", 0, 0);
	is_int(copy(a, b, 0, 0, NULL), geteuid() == 0 ? 0 : 2);
	is_int(copy(a, b, HOST_AHEAD, HOST_SINK_OVERWRITE, NULL), geteuid() == 0 ? 0 : 2);
	close(d);
	d = ht_open(b);
	ok(faccessat(d, "open", F_OK, 0) == 0);
	ok(geteuid() == 0 || faccessat(d, "closed", F_OK, 0) != 0);
	close(d);
	free(a);
	free(b);
	ht_remove(top);
}

static int take_later(struct entry *e)
{
	int rc = e->flags & ENTRY_XATTR_LATER ? e->later->xattr(e->later, e, NULL) : 0;

	e->flags &= ~(uint32_t)ENTRY_XATTR_LATER;
	entry_sort_xattr(e);
	return rc;
}

static void tell_path(void *arg, const char *path, const struct lcpfs_error *why)
{
	snprintf(arg, 500, "%.200s: %.200s", path, why->msg);
}

/* The entries of both, the warnings of both between them, and the contents of one. */
static int same_walk(const char *top, uint32_t flags)
{
	char told[2][500] = { "", "" };
	struct host_source_opts o = { .warn = tell_path, .warn_arg = told[0] }, p = { .flags = flags, .warn = tell_path, .warn_arg = told[1] };
	struct entry_source *a, *b;
	int n = 0, ra = 0;

	ok(!host_source_open(&a, top, &o, NULL) && !host_source_open(&b, top, &p, NULL));
	while (!ra) {
		struct entry e, f;

		ra = a->ops->next(a, &e, NULL);
		is_int(b->ops->next(b, &f, NULL), ra);
		is_str(told[0], told[1]);
		if (ra)
			break;
		is_int(take_later(&f), 0);
		ok_msg(!strcmp(e.path, f.path) && e.flags == f.flags && e.mode == f.mode && e.uid == f.uid && e.gid == f.gid && e.size == f.size &&
		    e.nlink == f.nlink && e.rdev_minor == f.rdev_minor && e.mtime.nsec == f.mtime.nsec && e.ctime.nsec == f.ctime.nsec &&
		    e.n_xattr == f.n_xattr && !strcmp(e.link ? e.link : "", f.link ? f.link : ""), "%s", e.path);
		for (size_t i = 0; i < e.n_xattr; i++)
			ok(!strcmp(e.xattr[i].name, f.xattr[i].name) && e.xattr[i].len == f.xattr[i].len &&
			    !memcmp(e.xattr[i].value, f.xattr[i].value, e.xattr[i].len));
		entry_fini(&e);
		entry_fini(&f);
		n++;
	}
	is_int(ra, 1);
	is_int(b->ops->next(b, &(struct entry){ 0 }, NULL), 1); /* and it stays at the end */
	is_int(host_source_warnings(a), host_source_warnings(b));
	a->ops->close(a);
	b->ops->close(b);
	return n;
}

TEST(ahead)
{
	char *top = ht_dir(), name[40];
	struct host_source_opts o = { .flags = HOST_AHEAD };
	struct entry_source *s;
	struct entry e;
	int d;

	ht_make(top);
	d = ht_open(top);
	for (int i = 0; i < 300; i++) { /* more directories than descriptors may be under way, and names than fit */
		snprintf(name, sizeof name, "many%d", i);
		mkdirat(d, name, 0755);
		for (int k = 0; k < 6; k++) {
			snprintf(name, sizeof name, "many%d/%d", i, k);
			ht_write(d, name, 0, name, (size_t)k);
		}
	}
	ok(same_walk(top, HOST_AHEAD) > 2100);
	ok(same_walk(top, HOST_AHEAD | HOST_XATTR_LATER) > 2100);
	ok(same_walk(top, HOST_XATTR_LATER) > 2100);
	for (int stop = 0; stop < 700; stop += 37) { /* given up on the way */
		ok(host_source_open(&s, top, &o, NULL) == 0);
		for (int i = 0; i < stop && s->ops->next(s, &e, NULL) == 0; i++)
			entry_fini(&e);
		s->ops->close(s);
	}
	close(d);
	ht_remove(top);
}

TAP_MAIN(T(strange_tree), T(ahead), T(old_kernel), T(ten_thousand_levels), T(moved_while_walking), T(many_names),
         T(exclude), T(operands), T(changes_before_read),
         T(shrinks_while_read), T(escapes), T(existing), T(default_acl_of_target), T(safe), T(aborted), T(unreadable))
