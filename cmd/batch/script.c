/* SPDX-License-Identifier: Apache-2.0 */
/* batch: reading a script. Lines are split into words as a shell does, without expansions; a line that begins with '{' is a JSON object. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "batch/batch.h"

struct text { char *p; size_t len, cap; };

static int put(struct text *t, int c, struct lcpfs_error *err)
{
	if (t->len + 2 > MAX_LINE)
		return cmd_err(err, LCPFS_ELIMIT, "the line is too long");
	if (t->len + 2 > t->cap)
		t->p = cmd_realloc(t->p, t->cap = t->cap ? 2 * t->cap : 64, 1);
	if (!c)
		return cmd_err(err, LCPFS_EINVAL, "a NUL byte");
	t->p[t->len++] = (char)c;
	t->p[t->len] = 0;
	return 0;
}

static int next(struct script *s)
{
	int c = getc(s->f);

	s->line += c == '\n';
	return c;
}

static void back(struct script *s, int c)
{
	if (c == EOF)
		return;
	ungetc(c, s->f);
	s->line -= c == '\n';
}

static int hex(int c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* After a backslash within $'...'. */
static int escaped(struct script *s, struct text *t, struct lcpfs_error *err)
{
	static const char from[] = "ntrabfve\\'\"", to[] = "\n\t\r\a\b\f\v\033\\'\"";
	int c = next(s), hi, lo;
	const char *at = c > 0 ? strchr(from, c) : NULL;

	if (at)
		return put(t, to[at - from], err);
	if (c != 'x')
		return cmd_err(err, LCPFS_EINVAL, "unknown escape within $'...'");
	hi = hex(next(s));
	lo = hex(next(s));
	return hi < 0 || lo < 0 ? cmd_err(err, LCPFS_EINVAL, "\\x needs two hex digits") : put(t, hi << 4 | lo, err);
}

/* Up to the closing quote; kind: ' or ", '$' for $'...'. */
static int quoted(struct script *s, struct text *t, int kind, struct lcpfs_error *err)
{
	int close = kind == '$' ? '\'' : kind, rc = 0;

	while (!rc) {
		int c = next(s);
		if (c == EOF)
			return cmd_err(err, LCPFS_EINVAL, "a quote is not closed");
		if (c == close)
			return 0;
		if (c == '\\' && kind == '$') {
			rc = escaped(s, t, err);
			continue;
		}
		if (c == '\\' && kind == '"') {
			int d = next(s);
			if (d == '\n')
				continue;
			if (d == EOF || !strchr("\\\"$`", d))
				back(s, d);
			else
				c = d;
		}
		rc = put(t, c, err);
	}
	return rc;
}

/* One word, from its first character on. */
static int word(struct script *s, struct text *t, struct lcpfs_error *err)
{
	int rc = 0;

	t->p = cmd_strdup("");
	for (int c = next(s); !rc; c = next(s)) {
		if (c == EOF || isspace(c)) {
			back(s, c);
			return 0;
		}
		if (c == '$') {
			int d = next(s);
			if (d == '\'') {
				rc = quoted(s, t, '$', err);
				continue;
			}
			back(s, d);
		}
		if (c == '\'' || c == '"') {
			rc = quoted(s, t, c, err);
			continue;
		}
		if (c == '\\' && (c = next(s)) == '\n')
			continue;
		if (c == EOF)
			return cmd_err(err, LCPFS_EINVAL, "the script ends in a backslash");
		rc = put(t, c, err);
	}
	return rc;
}

static void skip_line(struct script *s)
{
	int c;

	while ((c = next(s)) != EOF && c != '\n')
		;
}

/* The words of the rest of a line. */
static int split(struct script *s, struct words *w, struct lcpfs_error *err)
{
	for (;;) {
		struct text t = { 0 };
		int c = next(s), rc;

		if (c == EOF || c == '\n')
			return 0;
		if (isspace(c))
			continue;
		if (c == '#') {
			skip_line(s);
			return 0;
		}
		back(s, c);
		rc = word(s, &t, err);
		w->v = cmd_realloc(w->v, w->n + 1, sizeof *w->v);
		w->v[w->n++] = t.p;
		if (rc)
			return rc;
	}
}

static int json_line(struct script *s, struct request *r, struct lcpfs_error *err)
{
	struct text t = { 0 };
	int rc = 0, c;

	while (!rc && (c = next(s)) != EOF && c != '\n')
		rc = put(&t, c, err);
	if (!rc)
		rc = request_of_json(r, t.p, err);
	free(t.p);
	return rc;
}

static int shell_line(struct script *s, struct request *r, struct lcpfs_error *err)
{
	struct words w = { 0 };
	int rc = split(s, &w, err);

	if (!rc)
		rc = request_of_words(r, &w, err);
	for (size_t i = 0; i < w.n; i++)
		free(w.v[i]);
	free(w.v);
	return rc;
}

int script_next(struct script *s, struct request *r, struct lcpfs_error *err)
{
	int c;

	memset(r, 0, sizeof *r);
	for (;;) {
		c = next(s);
		if (c == EOF)
			return ferror(s->f) ? cmd_err(err, LCPFS_EIO, "cannot read") : 1;
		if (c == '#')
			skip_line(s);
		else if (!isspace(c))
			break;
	}
	s->first_line = s->line;
	back(s, c);
	return c == '{' ? json_line(s, r, err) : shell_line(s, r, err);
}
