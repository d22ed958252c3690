/* SPDX-License-Identifier: Apache-2.0 */
/* JSON out. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "common/cmd.h"

/* Length of the UTF-8 sequence at s (no surrogates, no overlong forms, at most U+10FFFF), 0: none. */
static unsigned utf8_len(const char *str)
{
	const unsigned char *s = (const unsigned char *)str;
	unsigned n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool cmd_is_utf8(const char *s)
{
	while (*s) {
		unsigned n = utf8_len(s);
		if (!n)
			return false;
		s += n;
	}
	return true;
}

/* How much of s, most often all of it, goes out as it is. */
static unsigned plain_len(const char *s)
{
	unsigned n = 0;

	while (s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

static void put_string(FILE *f, const char *s)
{
	putc_unlocked('"', f);
	while (*s) {
		unsigned char c;
		unsigned n = plain_len(s);

		if (n) {
			fwrite_unlocked(s, 1, n, f);
			s += n;
			continue;
		}
		c = (unsigned char)*s;
		n = utf8_len(s);
		if (!n)
			fputs("\\ufffd", f);
		else if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c == '\t')
			fputs("\\t", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fwrite(s, 1, n, f);
		s += n ? n : 1;
	}
	putc_unlocked('"', f);
}

static void lead(struct cmd_json *j, const char *key)
{
	if (!j->first[j->depth])
		putc_unlocked(',', j->f);
	j->first[j->depth] = false;
	if (key) {
		put_string(j->f, key);
		putc_unlocked(':', j->f);
	}
}

static void open_level(struct cmd_json *j, char open, char close)
{
	putc_unlocked(open, j->f);
	if (j->depth < 31)
		j->depth++;
	j->first[j->depth] = true;
	j->close[j->depth] = close;
}

void cmd_json_start(struct cmd_json *j, FILE *f)
{
	memset(j, 0, sizeof *j);
	j->f = f;
	j->first[0] = true;
	open_level(j, '{', '}');
	cmd_json_u64(j, "version", 1);
}

void cmd_json_object(struct cmd_json *j, const char *key)
{
	lead(j, key);
	open_level(j, '{', '}');
}

void cmd_json_array(struct cmd_json *j, const char *key)
{
	lead(j, key);
	open_level(j, '[', ']');
}

void cmd_json_end(struct cmd_json *j)
{
	if (!j->depth)
		return;
	putc_unlocked(j->close[j->depth], j->f);
	j->depth--;
}

void cmd_json_finish(struct cmd_json *j)
{
	while (j->depth)
		cmd_json_end(j);
	putc('\n', j->f);
}

void cmd_json_str(struct cmd_json *j, const char *key, const char *s)
{
	lead(j, key);
	if (s)
		put_string(j->f, s);
	else
		fputs("null", j->f);
}

void cmd_json_b64(struct cmd_json *j, const char *key, const void *p, size_t len)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = p;

	lead(j, key);
	putc('"', j->f);
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)s[i] << 16 | (i + 1 < len ? (uint32_t)s[i + 1] << 8 : 0) | (i + 2 < len ? s[i + 2] : 0u);
		putc(abc[v >> 18], j->f);
		putc(abc[v >> 12 & 63], j->f);
		putc(i + 1 < len ? abc[v >> 6 & 63] : '=', j->f);
		putc(i + 2 < len ? abc[v & 63] : '=', j->f);
	}
	putc('"', j->f);
}

void cmd_json_name(struct cmd_json *j, const char *key, const char *name)
{
	char b64[64];

	cmd_json_str(j, key, name);
	if (!name || cmd_is_utf8(name))
		return;
	snprintf(b64, sizeof b64, "%s_b64", key);
	cmd_json_b64(j, b64, name, strlen(name));
}

void cmd_json_u64(struct cmd_json *j, const char *key, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;

	lead(j, key);
	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	fwrite_unlocked(digits + at, 1, sizeof digits - at, j->f);
}

void cmd_json_i64(struct cmd_json *j, const char *key, int64_t v)
{
	lead(j, key);
	fprintf(j->f, "%" PRId64, v);
}

void cmd_json_bool(struct cmd_json *j, const char *key, bool v)
{
	lead(j, key);
	fputs(v ? "true" : "false", j->f);
}

void cmd_json_time(struct cmd_json *j, const char *key, const struct lcpfs_time *t)
{
	char buf[40];

	cmd_time_rfc3339(buf, t);
	cmd_json_str(j, key, buf);
}

void cmd_json_stat(struct cmd_json *j, const struct lcpfs_stat *st)
{
	char mode[8];

	snprintf(mode, sizeof mode, "%04o", st->mode & 07777);
	cmd_json_str(j, "type", cmd_type_name(st->mode));
	cmd_json_str(j, "mode", mode);
	cmd_json_u64(j, "uid", st->uid);
	cmd_json_u64(j, "gid", st->gid);
	cmd_json_u64(j, "nlink", st->nlink);
	cmd_json_u64(j, "size", st->size);
	cmd_json_u64(j, "stored", st->stored);
	cmd_json_u64(j, "ino", st->ino);
	cmd_json_u64(j, "xattrs", st->n_xattr);
	if (S_ISCHR(st->mode) || S_ISBLK(st->mode)) {
		cmd_json_u64(j, "major", st->rdev_major);
		cmd_json_u64(j, "minor", st->rdev_minor);
	}
	cmd_json_time(j, "mtime", &st->mtime);
	cmd_json_time(j, "ctime", &st->ctime);
	cmd_json_time(j, "atime", &st->atime);
	cmd_json_time(j, "btime", &st->btime);
}
