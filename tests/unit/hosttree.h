/* SPDX-License-Identifier: Apache-2.0 */
/* A tree with everything strange that a file system allows, and a comparison of two trees. */
#ifndef HOSTTREE_H
#define HOSTTREE_H
#include "host/host.h"
#include "tap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A new directory of this test; free() the name after ht_remove. */
static inline char *ht_dir(void)
{
	const char *base = getenv("TMPDIR");
	char name[400];

	snprintf(name, sizeof name, "%s/lcpfs-test.XXXXXX", base ? base : "/var/tmp");
	if (!mkdtemp(name)) {
		perror(name);
		exit(1);
	}
	return strdup(name);
}

static inline void ht_remove(char *dir)
{
	char cmd[500];

	snprintf(cmd, sizeof cmd, "chmod -R u+rwX '%s' 2>/dev/null; rm -rf '%s'", dir, dir);
	if (system(cmd))
		fprintf(stderr, "# cannot remove %s\n", dir);
	free(dir);
}

static inline char *ht_join(const char *a, const char *b)
{
	size_t n = strlen(a) + strlen(b) + 2;
	char *out = malloc(n);

	snprintf(out, n, "%s/%s", a, b);
	return out;
}

static inline int ht_open(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline void ht_write(int dirfd, const char *name, off_t off, const void *data, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ok_msg(fd >= 0 && pwrite(fd, data, len, off) == (ssize_t)len, "write %s: %s", name, strerror(errno));
	close(fd);
}

static inline void ht_size(int dirfd, const char *name, off_t size)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ok_msg(fd >= 0 && ftruncate(fd, size) == 0, "truncate %s", name);
	close(fd);
}

static inline void ht_random(int dirfd, const char *name, off_t off, size_t len)
{
	uint64_t seed = (uint64_t)len ^ 77, *p = malloc(len + 8);

	for (size_t i = 0; i < len / 8 + 1; i++)
		p[i] = tap_rand(&seed) | 1;
	ht_write(dirfd, name, off, p, len);
	free(p);
}

static inline void ht_times(int dirfd, const char *name, int64_t at, long an, int64_t mt, long mn)
{
	struct timespec ts[2] = { { at, an }, { mt, mn } };

	ok_msg(utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW) == 0, "times of %s", name);
}

static inline bool ht_xattr(int dirfd, const char *name, const char *key, const void *v, size_t len)
{
	char p[600];

	snprintf(p, sizeof p, "/proc/self/fd/%d/%s", dirfd, name);
	return lsetxattr(p, key, v, len, 0) == 0;
}

static inline void ht_make_names(int d)
{
	char longest[256];

	memset(longest, 'n', 255);
	longest[255] = 0;
	ht_write(d, "plain", 0, "hello\n", 6);
	ht_write(d, "empty", 0, "", 0);
	ht_write(d, longest, 0, "x", 1);
	ht_write(d, "new\nline", 0, "nl", 2);
	ht_write(d, "-rf", 0, "-", 1);
	ht_write(d, " space ", 0, "s", 1);
	ht_write(d, "...", 0, ".", 1);
	ht_write(d, "\xff\xfe raw", 0, "raw", 3);
	ht_write(d, "e\xcc\x81 decomposed", 0, "nfd", 3);
	ht_write(d, "\xc3\xa9 composed", 0, "nfc", 3);
	ht_write(d, "back\\slash=%41", 0, "b", 1);
}

static inline void ht_make_types(int d)
{
	int sub;

	ok(symlinkat("nowhere/\nat all", d, "dangling") == 0);
	ok(symlinkat("/etc/passwd", d, "absolute") == 0);
	ok(mkfifoat(d, "fifo", 0620) == 0);
	ok(mkdirat(d, "sub", 0755) == 0 && mkdirat(d, "sub/empty dir", 01777) == 0 && mkdirat(d, "sub/closed", 0755) == 0);
	sub = openat(d, "sub", O_RDONLY | O_DIRECTORY);
	ht_write(sub, "closed/inside", 0, "in", 2);
	ok(linkat(d, "plain", sub, "link of plain", 0) == 0 && linkat(d, "plain", d, "zz another", 0) == 0);
	ok(linkat(d, "dangling", sub, "link of a symlink", 0) == 0);
	ok(fchmodat(sub, "closed", 0555, 0) == 0 && fchmodat(sub, "empty dir", 01777, 0) == 0);
	if (geteuid() == 0) {
		ok(mknodat(d, "chr", S_IFCHR | 0600, makedev(1, 3)) == 0);
		ok(mknodat(d, "blk", S_IFBLK | 0640, makedev(300, 70000)) == 0);
	}
	close(sub);
}

static inline void ht_make_holes(int d)
{
	ht_random(d, "hole middle", 0, 4096);
	ht_random(d, "hole middle", (2 << 20) + 5, 10000);
	ht_size(d, "hole middle", 10 << 20);
	ht_size(d, "hole only", 5 << 20);
	ht_random(d, "hole first", 1 << 20, 7);
	ht_size(d, "zeros", 100);
	ht_random(d, "dense large", 0, (6 << 20) + 3);
	ht_random(d, "sparse large", 0, 5 << 20);
	ht_random(d, "sparse large", 20 << 20, 1 << 20);
	for (int i = 0; i < 50; i++)
		ht_random(d, "many holes", (off_t)i * 65536 + 8192, 4096);
}

/* An ACL as the kernel stores it: owner rwx, user 1234 rw, group r, group 77 rx, mask rwx, other none. */
static const uint8_t ht_acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0xd2, 4, 0, 0, 4, 0, 4,
    0, 255, 255, 255, 255,
	8, 0, 5, 0, 77, 0, 0, 0, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

static inline void ht_make_attrs(int d)
{
	static const uint8_t caps[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	char *big = malloc(60000);

	memset(big, 'B', 60000);
	ht_write(d, "attributes", 0, "a", 1);
	if (!ht_xattr(d, "attributes", "user.small", "\0\n=", 3))
		printf("# no user attributes here\n");
	ht_xattr(d, "attributes", "user.empty", "", 0);
	if (!ht_xattr(d, "attributes", "user.big", big, 60000))
		ht_xattr(d, "attributes", "user.big", big, 3000);
	ht_xattr(d, "sub", "user.on a dir", "d", 1);
	ht_xattr(d, "sub", "user.%41=\xc3\xa9\n", "odd", 3);
	if (!ht_xattr(d, "attributes", "system.posix_acl_access", ht_acl, sizeof ht_acl))
		printf("# no ACLs here\n");
	ht_xattr(d, "sub", "system.posix_acl_access", ht_acl, sizeof ht_acl);
	ht_xattr(d, "sub", "system.posix_acl_default", ht_acl, sizeof ht_acl);
	ht_write(d, "setuid", 0, "#!", 2);
	ht_write(d, "none", 0, "0", 1);
	ok(fchmodat(d, "none", 0, 0) == 0 || geteuid() != 0);
	if (geteuid() == 0) {
		ok(fchownat(d, "setuid", 12345, 54321, 0) == 0 && fchownat(d, "dangling", 12345, 54321, AT_SYMLINK_NOFOLLOW) == 0);
		ht_xattr(d, "dangling", "trusted.t", "t", 1);
		ht_write(d, "capable", 0, "c", 1);
		ok(ht_xattr(d, "capable", "security.capability", caps, sizeof caps));
		ok(fchmodat(d, "setuid", 06755, 0) == 0);
	} else {
		fchmodat(d, "none", 0400, 0);
	}
	free(big);
}

static inline void ht_make_times(int d)
{
	ht_times(d, "plain", 1000000000, 123456789, 1, 1);
	ht_times(d, "empty", -86400, 250000000, -1000000, 999999999);
	ht_times(d, "dangling", 5, 6, -7, 800000000);
	ht_times(d, "attributes", -2, 0, -2, 500000000);
	ht_times(d, "zeros", 4102444800, 7, 4102444801, 8);
	ht_times(d, "sub/closed", 3, 4, -3, 400000000);
	ht_times(d, "sub/empty dir", 77, 0, 78, 1);
	ht_times(d, "sub", 3, 4, 33, 44);
	ht_times(d, "deep", 55, 1, 56, 2);
}

/* n directories in each other under `deep`, with a file at the bottom. */
static inline void ht_make_deep(int d, const char *name, int n, size_t name_len)
{
	char part[256];
	int fd;

	memset(part, 'd', name_len);
	part[name_len] = 0;
	ok(mkdirat(d, name, 0755) == 0);
	fd = openat(d, name, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < n; i++) {
		int next;

		mkdirat(fd, part, 0750);
		next = openat(fd, part, O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	ht_write(fd, "bottom", 0, "deep", 4);
	ht_times(fd, "bottom", 1, 2, 3, 4);
	close(fd);
}

static inline void ht_make(const char *path)
{
	int d = ht_open(path);

	umask(022);
	ht_make_names(d);
	ht_make_types(d);
	ht_make_holes(d);
	ht_make_attrs(d);
	ht_make_deep(d, "deep", 60, 100);
	ht_make_times(d);
	ht_times(d, ".", 10, 11, 12, 13);
	close(d);
}

static inline void ht_say(void *arg, const char *path, const struct lcpfs_error *why)
{
	(void)arg;
	printf("# warning: %.100s: %s\n", path, why->msg);
}

#define HT_SOCKET 1u  /* the one that is compared may lack sockets */
#define HT_NO_ATIME 2u

static inline bool ht_same_time(struct entry_time a, struct entry_time b)
{
	return a.sec == b.sec && a.nsec == b.nsec;
}

static inline void ht_same_xattrs(const struct entry *a, const struct entry *b)
{
	ok_msg(a->n_xattr == b->n_xattr, "%.60s: %zu attributes, wanted %zu", a->path, b->n_xattr, a->n_xattr);
	for (size_t i = 0; i < a->n_xattr && i < b->n_xattr; i++) {
		is_str(b->xattr[i].name, a->xattr[i].name);
		if (ok_msg(a->xattr[i].len == b->xattr[i].len, "%s: length of %s", a->path, a->xattr[i].name))
			is_mem(b->xattr[i].value, a->xattr[i].value, a->xattr[i].len);
	}
}

static inline void ht_same_attrs(const struct entry *a, const struct entry *b, unsigned flags)
{
	const char *p = a->path;
	bool hard = a->flags & ENTRY_HARDLINK;

	is_str(b->path, a->path);
	ok_msg(a->mode == b->mode, "%.60s: mode %o, wanted %o", p, b->mode, a->mode);
	ok_msg(a->uid == b->uid && a->gid == b->gid, "%.60s: owner", p);
	ok_msg(a->size == b->size, "%.60s: size", p);
	ok_msg(a->rdev_major == b->rdev_major && a->rdev_minor == b->rdev_minor, "%.60s: device", p);
	ok_msg(ht_same_time(a->mtime, b->mtime), "%.60s: mtime %lld.%09u, wanted %lld.%09u", p, (long long)b->mtime.sec,
	    b->mtime.nsec,
	    (long long)a->mtime.sec, a->mtime.nsec);
	if (!(flags & HT_NO_ATIME) && !S_ISLNK(a->mode)) /* reading a symlink changes its atime */
		ok_msg(ht_same_time(a->atime, b->atime), "%.60s: atime %lld.%09u, wanted %lld.%09u", p, (long long)b->atime.sec,
		    b->atime.nsec, (long long)a->atime.sec, a->atime.nsec);
	ok_msg(hard == !!(b->flags & ENTRY_HARDLINK), "%.60s: hard link", p);
	ok_msg(!a->link == !b->link, "%.60s: a target", p);
	if (a->link && b->link)
		is_str(b->link, a->link);
	ht_same_xattrs(a, b);
}

/* Content with its holes, as one summary: a hash, the bytes that lie in data. */
struct ht_sum {
	uint64_t hash, data;
};

static inline struct ht_sum ht_content(struct entry_source *s, const struct entry *e)
{
	struct ht_sum sum = { 1469598103934665603u, 0 };
	uint8_t *buf = malloc(1 << 20);
	uint64_t off, at = 0;
	size_t got;

	while (s->ops->read(s, buf, 1 << 20, &off, &got, NULL) == 0 && got) {
		ok_msg(off >= at && off + got <= e->size, "%.60s: order of content", e->path);
		for (size_t i = 0; i < got; i++)
			if (buf[i])
				sum.hash = (sum.hash ^ buf[i] ^ (off + i) << 8) * 1099511628211u;
		sum.data += got;
		at = off + got;
	}
	free(buf);
	return sum;
}

/* Both trees have the same entries with the same attributes and content, and as many holes in b. */
static inline int ht_compare(const char *path_a, const char *path_b, unsigned flags)
{
	struct host_source_opts o = { .warn = ht_say };
	struct entry_source *a, *b;
	int n = 0;

	if (!ok(host_source_open(&a, path_a, &o, NULL) == 0) || !ok(host_source_open(&b, path_b, &o, NULL) == 0))
		return 0;
	for (;; n++) {
		struct entry ea, eb;
		int ra, rb = b->ops->next(b, &eb, NULL);

		do
			ra = a->ops->next(a, &ea, NULL);
		while (ra == 0 && flags & HT_SOCKET && S_ISSOCK(ea.mode) && (entry_fini(&ea), true));
		if (!ok_msg(ra == rb, "entry %d: %d and %d", n, ra, rb) || ra) {
			if (!ra)
				entry_fini(&ea);
			if (!rb)
				entry_fini(&eb);
			break;
		}
		ht_same_attrs(&ea, &eb, flags);
		if (S_ISREG(ea.mode) && S_ISREG(eb.mode) && !(ea.flags & ENTRY_HARDLINK)) {
			struct ht_sum sa = ht_content(a, &ea), sb = ht_content(b, &eb);

			ok_msg(sa.hash == sb.hash, "%.60s: content", ea.path);
			ok_msg(sb.data <= sa.data, "%.60s: %llu bytes of data, wanted %llu", ea.path, (unsigned long long)sb.data,
			    (unsigned long long)sa.data);
		}
		entry_fini(&ea);
		entry_fini(&eb);
	}
	is_int(host_source_warnings(a) + host_source_warnings(b), 0);
	a->ops->close(a);
	b->ops->close(b);
	return n;
}
#endif
