/* SPDX-License-Identifier: Apache-2.0 */
/* Modes: chmod's language, and ls's letters. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/cmd.h"

static const struct { char c; uint32_t mask; } whos[] = { { 'u', 04700 }, { 'g', 02070 }, { 'o', 01007 }, { 'a', 07777 } };
static const struct { char c; uint32_t bits; } perms[] = { { 'r', 0444 }, { 'w', 0222 }, { 'x', 0111 }, { 's', 06000 }, { 't', 01000 } };

static _Noreturn void bad_mode(const char *what, const char *text)
{
	cmd_usage("%s: '%s' is no mode (write 644, u+rwX, go-w, D755,F644)", what, text);
}

static struct cmd_mode_op *new_op(const char *what, const char *text, struct cmd_mode *m)
{
	if (m->n == sizeof m->ops / sizeof *m->ops)
		cmd_usage("%s: '%s' has too many clauses", what, text);
	memset(&m->ops[m->n], 0, sizeof m->ops[0]);
	return &m->ops[m->n++];
}

/* What follows + - or =: letters, or one of u g o. Returns the end. */
static const char *parse_perms(const char *s, struct cmd_mode_op *op)
{
	if (*s && strchr("ugo", *s)) {
		op->from = *s;
		return s + 1;
	}
	for (;; s++) {
		size_t i;
		if (*s == 'X') {
			op->cond_x = true;
			continue;
		}
		for (i = 0; i < 5 && perms[i].c != *s; i++)
			;
		if (i == 5)
			return s;
		op->bits |= perms[i].bits & op->who;
	}
}

static const char *parse_symbolic(const char *what, const char *text, const char *s, char targets, struct cmd_mode *m)
{
	uint32_t who = 0;

	for (; *s && strchr("ugoa", *s); s++)
		for (size_t i = 0; i < 4; i++)
			if (whos[i].c == *s)
				who |= whos[i].mask;
	if (!*s || !strchr("+-=", *s))
		bad_mode(what, text);
	while (*s && strchr("+-=", *s)) {
		struct cmd_mode_op *op = new_op(what, text, m);
		op->op = *s;
		op->targets = targets;
		op->who = who ? who : 07777;
		s = parse_perms(s + 1, op);
	}
	return s;
}

static const char *parse_octal(const char *what, const char *text, const char *s, char targets, struct cmd_mode *m)
{
	struct cmd_mode_op *op = new_op(what, text, m);
	char *end;
	unsigned long v = strtoul(s, &end, 8);

	if (v > 07777 || end - s > 5)
		bad_mode(what, text);
	*op = (struct cmd_mode_op){ .op = '=', .targets = targets, .who = 07777, .bits = (uint32_t)v };
	return end;
}

void cmd_mode(const char *what, const char *text, struct cmd_mode *out)
{
	const char *s = text;

	out->n = 0;
	for (;;) {
		char targets = 0;
		if (*s == 'D' || *s == 'F')
			targets = *s++;
		s = *s >= '0' && *s <= '7' ? parse_octal(what, text, s, targets, out) : parse_symbolic(what, text, s, targets, out);
		if (!*s)
			return;
		if (*s++ != ',')
			bad_mode(what, text);
	}
}

static uint32_t copied_bits(char from, uint32_t mode, uint32_t who)
{
	uint32_t rwx = (from == 'u' ? mode >> 6 : from == 'g' ? mode >> 3 : mode) & 7;

	return (rwx * 0111) & who;
}

uint32_t cmd_mode_apply(const struct cmd_mode *m, uint32_t mode)
{
	bool dir = S_ISDIR(mode);

	for (unsigned i = 0; i < m->n; i++) {
		const struct cmd_mode_op *op = &m->ops[i];
		uint32_t bits = op->bits;
		if (op->targets && (op->targets == 'D') != dir)
			continue;
		if (op->from)
			bits |= copied_bits(op->from, mode, op->who);
		if (op->cond_x && (dir || (mode & 0111)))
			bits |= 0111 & op->who;
		if (op->op == '=')
			mode &= ~op->who;
		mode = op->op == '-' ? mode & ~bits : mode | bits;
	}
	return mode & 07777;
}

bool cmd_mode_masks(const struct cmd_mode *m, bool dir, uint32_t *set, uint32_t *clear)
{
	*set = *clear = 0;
	for (unsigned i = 0; i < m->n; i++) {
		const struct cmd_mode_op *op = &m->ops[i];
		uint32_t bits = op->bits;
		if (op->targets && (op->targets == 'D') != dir)
			continue;
		if (op->from || (op->cond_x && !dir))
			return false;
		if (op->cond_x)
			bits |= 0111 & op->who;
		if (op->op == '=') {
			*clear |= op->who;
			*set &= ~op->who;
		}
		if (op->op == '-') {
			*clear |= bits;
			*set &= ~bits;
		} else {
			*set |= bits;
		}
	}
	return true;
}

static char type_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	case S_IFCHR: return 'c';
	case S_IFBLK: return 'b';
	case S_IFREG: return '-';
	default: return '?';
	}
}

void cmd_mode_string(char out[11], uint32_t mode)
{
	out[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		out[1 + i] = mode >> (8 - i) & 1 ? "rwx"[i % 3] : '-';
	if (mode & S_ISUID)
		out[3] = mode & 0100 ? 's' : 'S';
	if (mode & S_ISGID)
		out[6] = mode & 0010 ? 's' : 'S';
	if (mode & S_ISVTX)
		out[9] = mode & 0001 ? 't' : 'T';
	out[10] = 0;
}

const char *cmd_type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symlink";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	case S_IFCHR: return "char";
	case S_IFBLK: return "block";
	default: return "file";
	}
}
