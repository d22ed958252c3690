/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deterministic inputs for benchmarks and stress runs.
 *   smallfiles make DIR COUNT [SEED [MAX]] COUNT files of 0 to MAX (4096) bytes, 100 in a directory, 100 directories in one
 *   smallfiles change DIR PERMILLE [SEED]  edit PERMILLE of 1000 regular files below DIR in place; the same call again undoes it
 * A third each is prose, records as JSON, and log lines: words of a made-up vocabulary, the frequent ones as frequent as in English.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOCABULARY 8192u
#define FILE_MAX 4096u
#define ROTATED 64u /* bytes of a file that an edit touches */

static uint64_t state;
static char words[VOCABULARY][16];
static unsigned permille, longest = FILE_MAX;

static uint64_t rnd(void)
{
	state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = state;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void die(const char *what)
{
	fprintf(stderr, "smallfiles: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Words of one to four syllables; the first, frequent ones are short. */
static void make_words(void)
{
	static const char *const onset[] = { "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "th", "st", "tr", "pr", "" };
	static const char *const rime[] = { "a", "e", "i", "o", "u", "an", "en", "in", "on", "er", "ar", "or", "at", "ed", "is", "es", "al", "ing", "ion", "ent" };

	for (unsigned i = 0; i < VOCABULARY; i++) {
		unsigned syllables = i < 60 ? 1 : i < 600 ? 1 + (unsigned)(rnd() % 2) : 2 + (unsigned)(rnd() % 2);
		size_t len = 0;

		for (unsigned s = 0; s < syllables; s++) {
			const char *first = onset[rnd() % 20];

			len += (size_t)snprintf(words[i] + len, sizeof words[i] - len, "%s%s", first, rime[rnd() % 20]);
		}
	}
}

/* Log-uniform ranks: the share of a word falls with its rank, as Zipf has it. */
static const char *word(void)
{
	uint64_t r = rnd();
	unsigned bits = (unsigned)(r & 15) % 14;

	return words[((1u << bits) - 1 + (unsigned)((r >> 8) & ((1u << bits) - 1))) % VOCABULARY];
}

static size_t prose(char *out, size_t room)
{
	size_t len = 0;
	unsigned n = 5 + (unsigned)(rnd() % 15);

	for (unsigned i = 0; i < n && len < room; i++) {
		const char *next = word(), *after = rnd() % 6 ? " " : ", ";
		size_t at = len;
		int w = snprintf(out + len, room - len, "%s%s", next, i + 1 < n ? after : *after == ' ' ? ". " : ".\n\n");

		if (!i && out[at] >= 'a' && out[at] <= 'z')
			out[at] = (char)(out[at] - 'a' + 'A');
		len += (size_t)w;
	}
	return len;
}

/* The words of a line, drawn in order: that of a call's arguments is the compiler's. */
static void draw(const char *w[7])
{
	for (unsigned i = 0; i < 7; i++)
		w[i] = word();
}

static size_t record(char *out, size_t room)
{
	const char *w[7];
	uint64_t r = rnd();

	draw(w);
	return (size_t)snprintf(out, room,
	    "{\"id\": %llu, \"name\": \"%s %s\", \"status\": \"%s\", \"size\": %u, \"tags\": [\"%s\", \"%s\"], \"note\": \"%s %s %s\"}\n",
	    (unsigned long long)(r % 1000000), w[0], w[1], (r >> 24) % 3 ? "active" : "closed", (unsigned)(r >> 48), w[2], w[3], w[4], w[5], w[6]);
}

static size_t log_line(char *out, size_t room)
{
	const char *w[7];
	uint64_t r = rnd();

	draw(w);
	return (size_t)snprintf(out, room, "2024-%02u-%02uT%02u:%02u:%02uZ host%u %s[%u]: %s %s %s=%u\n", (unsigned)(1 + r % 12),
	    (unsigned)(1 + (r >> 8) % 28), (unsigned)((r >> 16) % 24), (unsigned)((r >> 24) % 60), (unsigned)((r >> 32) % 60),
	    (unsigned)((r >> 40) % 20), r & 64 ? "kernel" : "daemon", (unsigned)((r >> 48) % 30000), w[0], w[1], w[2], (unsigned)(r % 1000));
}

static void write_file(const char *path, unsigned kind, size_t want)
{
	char text[FILE_MAX + 1024];
	size_t len = 0;
	struct timespec at[2];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die(path);
	while (len < want)
		len += kind == 0 ? prose(text + len, 1024) : kind == 1 ? record(text + len, 1024) : log_line(text + len, 1024);
	if (write(fd, text, want) != (ssize_t)want)
		die(path);
	at[0].tv_sec = at[1].tv_sec = 1700000000 + (time_t)(rnd() % 10000000);
	at[0].tv_nsec = at[1].tv_nsec = (long)(rnd() % 1000000000);
	futimens(fd, at);
	close(fd);
}

static void make(const char *dir, unsigned long count)
{
	char path[4096];

	make_words();
	if (mkdir(dir, 0755) && errno != EEXIST)
		die(dir);
	for (unsigned long i = 0; i < count; i++) {
		static const char *const ext[] = { "txt", "json", "log" };
		unsigned kind = (unsigned)(rnd() % 3);

		if (i % 10000 == 0) {
			snprintf(path, sizeof path, "%s/%s-%lu", dir, words[100 + i / 10000 % 4000], i / 10000);
			if (mkdir(path, 0755))
				die(path);
		}
		if (i % 100 == 0) {
			snprintf(path, sizeof path, "%s/%s-%lu/%03lu", dir, words[100 + i / 10000 % 4000], i / 10000, i / 100 % 100);
			if (mkdir(path, 0755))
				die(path);
		}
		snprintf(path, sizeof path, "%s/%s-%lu/%03lu/%s-%02lu.%s", dir, words[100 + i / 10000 % 4000], i / 10000, i / 100 % 100,
		    words[rnd() % VOCABULARY], i % 100, ext[kind]);
		write_file(path, kind, (size_t)(rnd() % (longest + 1)));
	}
}

/* Whether a file is edited follows from its path, so that a second call finds the same ones; rot13 undoes itself. */
static int change(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char part[ROTATED];
	uint64_t h = state;
	ssize_t n;
	int fd;

	(void)ftw;
	for (const char *p = path; *p; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	h ^= h >> 29;
	if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size < ROTATED || h % 1000 >= permille)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		die(path);
	n = pread(fd, part, sizeof part, st->st_size / 2);
	for (ssize_t i = 0; i < n; i++) {
		int c = part[i] | 32;

		if (c >= 'a' && c <= 'z')
			part[i] = (char)(part[i] + (c < 'n' ? 13 : -13));
	}
	if (n < 0 || pwrite(fd, part, (size_t)n, st->st_size / 2) != n)
		die(path);
	close(fd);
	return 0;
}

int main(int argc, char *argv[])
{
	if (argc < 4 || (strcmp(argv[1], "make") && strcmp(argv[1], "change"))) {
		fprintf(stderr, "usage: smallfiles make DIR COUNT [SEED [MAX]] | change DIR PERMILLE [SEED]\n");
		return 2;
	}
	state = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	if (argc > 5 && strtoul(argv[5], NULL, 10) < FILE_MAX)
		longest = (unsigned)strtoul(argv[5], NULL, 10);
	if (!strcmp(argv[1], "make"))
		return make(argv[2], strtoul(argv[3], NULL, 10)), 0;
	permille = (unsigned)strtoul(argv[3], NULL, 10);
	if (nftw(argv[2], change, 64, FTW_PHYS))
		die(argv[2]);
	return 0;
}
