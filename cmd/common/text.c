/* SPDX-License-Identifier: Apache-2.0 */
/* Text out: sizes, names, tables. */
#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/cmd.h"

const char *cmd_human(char out[16], uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned u = 0;
	uint64_t div = 1;

	while (u < 6 && bytes / div >= 1024) {
		u++;
		div <<= 10;
	}
	if (!u) {
		snprintf(out, 16, "%" PRIu64, bytes);
		return out;
	}
	/* tenths, rounded up; 10 and more without a tenth */
	__uint128_t tenths = ((__uint128_t)bytes * 10 + div - 1) / div;
	uint64_t whole = bytes / div + (bytes % div != 0);
	if (tenths < 100)
		snprintf(out, 16, "%u.%u%c", (unsigned)tenths / 10, (unsigned)tenths % 10, units[u]);
	else if (whole == 1024 && u < 6)
		snprintf(out, 16, "1.0%c", units[u + 1]);
	else
		snprintf(out, 16, "%" PRIu64 "%c", whole, units[u]);
	return out;
}

const char *cmd_bytes(char out[24], uint64_t bytes)
{
	if (!cmd.parsable)
		return cmd_human(out, bytes);
	snprintf(out, 24, "%" PRIu64, bytes);
	return out;
}

static bool to_terminal(void)
{
	static int known = -1;

	if (known < 0)
		known = isatty(STDOUT_FILENO);
	return known && !cmd.nul;
}

static bool has_control(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0))
			return true;
	}
	return false;
}

/* Into `out`: name as the shell reads it back. 4 bytes per byte and 8 more are enough. */
static void quote(char *out, const char *name)
{
	bool dollar = has_control(name) || !cmd_is_utf8(name);
	bool ascii_only = dollar;

	if (!dollar && *name && !strpbrk(name, " !\"#$&'()*;<=>?[\\]^`{|}~")) {
		memcpy(out, name, strlen(name) + 1);
		return;
	}
	out += snprintf(out, 6, dollar ? "$'" : "'");
	for (const char *s = name; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (dollar && (c < 0x20 || c == 0x7f || (ascii_only && c >= 0x80)))
			out += snprintf(out, 6, "\\%03o", c);
		else if (c == '\'')
			out += snprintf(out, 6, dollar ? "\\'" : "'\\''");
		else if (dollar && c == '\\')
			out += snprintf(out, 6, "\\\\");
		else
			*out++ = (char)c;
	}
	*out++ = '\'';
	*out = 0;
}

void cmd_put_name(const char *name)
{
	char *buf;

	if (!to_terminal()) {
		fputs_unlocked(name, stdout);
		return;
	}
	buf = cmd_alloc(strlen(name) * 4 + 8);
	quote(buf, name);
	fputs(buf, stdout);
	free(buf);
}

static size_t cells(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

size_t cmd_name_width(const char *name)
{
	char *buf;
	size_t n;

	if (!to_terminal())
		return cells(name);
	buf = cmd_alloc(strlen(name) * 4 + 8);
	quote(buf, name);
	n = cells(buf);
	free(buf);
	return n;
}

void cmd_put_eol(void) { putchar_unlocked(cmd.nul ? 0 : '\n'); }

void cmd_table_init(struct cmd_table *t, unsigned cols, const char *const *head, const char *align)
{
	memset(t, 0, sizeof *t);
	t->cols = cols;
	t->head = head;
	t->align = align;
}

/* `rows` counts cells until the table is printed. */
void cmd_table_add(struct cmd_table *t, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	if (t->rows == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cell = cmd_realloc(t->cell, t->cap, sizeof *t->cell);
	}
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = cmd_strdup("");
	va_end(ap);
	t->cell[t->rows++] = s;
}

static void put_padded(FILE *f, const char *s, size_t width, char align, bool last)
{
	size_t pad = width - cells(s);

	if (align == 'r')
		fprintf(f, "%*s", (int)pad, "");
	fputs(s, f);
	if (align != 'r' && !last)
		fprintf(f, "%*s", (int)pad, "");
	if (!last)
		fputs("  ", f);
}

static void print_aligned(const struct cmd_table *t, FILE *f)
{
	size_t *width = cmd_alloc(t->cols * sizeof *width);

	for (unsigned c = 0; c < t->cols; c++)
		width[c] = t->head ? cells(t->head[c]) : 0;
	for (unsigned i = 0; i < t->rows; i++)
		if (cells(t->cell[i]) > width[i % t->cols])
			width[i % t->cols] = cells(t->cell[i]);
	for (unsigned c = 0; t->head && c < t->cols; c++)
		put_padded(f, t->head[c], width[c], t->align[c], c + 1 == t->cols);
	if (t->head)
		putc('\n', f);
	for (unsigned i = 0; i < t->rows; i++) {
		bool last = (i + 1) % t->cols == 0;
		put_padded(f, t->cell[i], width[i % t->cols], t->align[i % t->cols], last);
		if (last)
			putc('\n', f);
	}
	free(width);
}

void cmd_table_print(struct cmd_table *t, FILE *f)
{
	if (!cmd.parsable)
		print_aligned(t, f);
	for (unsigned i = 0; i < t->rows; i++) {
		if (cmd.parsable)
			fprintf(f, "%s%c", t->cell[i], (i + 1) % t->cols ? '\t' : '\n');
		free(t->cell[i]);
	}
	free(t->cell);
	t->cell = NULL;
	t->rows = t->cap = 0;
}
