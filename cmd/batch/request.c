/* SPDX-License-Identifier: Apache-2.0 */
/* batch: requests out of words and out of JSON objects. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "batch/batch.h"

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

/* Walks "p/parents m:/mode"; by letter when name is NULL. */
static char option(const struct verb *v, char letter, const char *name, size_t len, bool *has_arg)
{
	for (const char *s = v->opts; *s; s += strcspn(s, " "), s += *s == ' ') {
		const char *slash = strchr(s, '/') + 1;
		*has_arg = s[1] == ':';
		if (name ? strcspn(slash, " ") == len && !strncmp(slash, name, len) : *s == letter)
			return *s;
	}
	return 0;
}

char verb_option(const struct verb *v, const char *name, size_t len, bool *has_arg) { return option(v, 0, name, len, has_arg); }

void request_fini(struct request *r)
{
	for (size_t i = 0; i < 128; i++)
		free(r->opt[i]);
	for (unsigned i = 0; i < MAX_ARGS; i++)
		free(r->arg[i]);
	memset(r, 0, sizeof *r);
}

static void set_opt(struct request *r, char letter, const char *value)
{
	free(r->opt[(unsigned char)letter]);
	r->opt[(unsigned char)letter] = cmd_strdup(value);
}

static unsigned count_args(const struct verb *v)
{
	unsigned n = *v->args != 0;

	for (const char *s = v->args; *s; s++)
		n += *s == ' ';
	return n;
}

static int check_args(const struct request *r, struct lcpfs_error *err)
{
	if (r->n_args == count_args(r->verb))
		return 0;
	return cmd_err(err, LCPFS_EINVAL, "needs %s", r->verb->args);
}

/* ---- words ---- */

/* The value of an option: the rest of its word, or the next one. */
static const char *value_of(const char *rest, const struct words *w, size_t *i)
{
	if (*rest)
		return rest;
	return *i + 1 < w->n ? w->v[++*i] : NULL;
}

static int long_option(struct request *r, const struct words *w, size_t *i, struct lcpfs_error *err)
{
	const char *name = w->v[*i] + 2, *value = "";
	size_t len = strcspn(name, "=");
	bool has_arg;
	char letter = verb_option(r->verb, name, len, &has_arg);

	if (letter && has_arg)
		value = name[len] ? name + len + 1 : value_of("", w, i);
	if (!letter || (!has_arg && name[len]))
		return cmd_err(err, LCPFS_EINVAL, "unknown option '%s'", w->v[*i]);
	if (!value)
		return cmd_err(err, LCPFS_EINVAL, "option '--%s' needs an argument", name);
	set_opt(r, letter, value);
	return 0;
}

static int short_options(struct request *r, const struct words *w, size_t *i, struct lcpfs_error *err)
{
	for (const char *s = w->v[*i] + 1; *s; s++) {
		bool has_arg;
		const char *value;
		char letter = option(r->verb, *s, NULL, 0, &has_arg);

		if (!letter)
			return cmd_err(err, LCPFS_EINVAL, "unknown option '-%c'", *s);
		if (!has_arg) {
			set_opt(r, letter, "");
			continue;
		}
		value = value_of(s + 1, w, i);
		if (!value)
			return cmd_err(err, LCPFS_EINVAL, "option '-%c' needs an argument", letter);
		set_opt(r, letter, value);
		return 0;
	}
	return 0;
}

/* "snap create" is one verb of two words. */
static int find_verb(struct request *r, const struct words *w, size_t *i, struct lcpfs_error *err)
{
	char *two = w->n > 1 ? cmd_printf("%s %s", w->v[0], w->v[1]) : NULL;

	r->verb = two ? verb_find(two) : NULL;
	free(two);
	*i = 2;
	if (r->verb)
		return 0;
	r->verb = verb_find(w->v[0]);
	*i = 1;
	return r->verb ? 0 : cmd_err(err, LCPFS_EINVAL, "unknown verb '%s'", w->v[0]);
}

int request_of_words(struct request *r, const struct words *w, struct lcpfs_error *err)
{
	bool options = true;
	size_t i = 0;
	int rc = find_verb(r, w, &i, err);

	for (; !rc && i < w->n; i++) {
		const char *s = w->v[i];
		if (options && !strcmp(s, "--"))
			options = false;
		else if (options && s[0] == '-' && s[1] == '-')
			rc = long_option(r, w, &i, err);
		else if (options && s[0] == '-' && s[1])
			rc = short_options(r, w, &i, err);
		else if (r->n_args == MAX_ARGS)
			rc = cmd_err(err, LCPFS_EINVAL, "needs %s", r->verb->args);
		else
			r->arg[r->n_args++] = cmd_strdup(s);
	}
	return rc ? rc : check_args(r, err);
}

/* ---- JSON: one flat object of strings, numbers and booleans ---- */

struct json { const char *s; struct lcpfs_error *err; };

static int bad(struct json *j, const char *what) { return cmd_err(j->err, LCPFS_EINVAL, "bad JSON: %s", what); }

static void space(struct json *j) { j->s += strspn(j->s, " \t\r\n"); }

static int expect(struct json *j, char c)
{
	char what[20];

	space(j);
	if (*j->s == c) {
		j->s++;
		return 0;
	}
	snprintf(what, sizeof what, "'%c' expected", c);
	return bad(j, what);
}

static int code_unit(struct json *j, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, j->s++) {
		int c = *j->s, d = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (d < 0)
			return bad(j, "\\u needs four hex digits");
		*out = *out << 4 | (uint32_t)d;
	}
	return 0;
}

static char *utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 63));
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	}
	return o;
}

/* After "\u". */
static int unicode(struct json *j, char **o)
{
	uint32_t c, low;

	if (code_unit(j, &c))
		return -LCPFS_EINVAL;
	if (!c)
		return bad(j, "\\u0000 fits no name or text");
	if (c >= 0xdc00 && c < 0xe000)
		return bad(j, "half a surrogate pair");
	if (c >= 0xd800 && c < 0xdc00) {
		if (j->s[0] != '\\' || j->s[1] != 'u')
			return bad(j, "half a surrogate pair");
		j->s += 2;
		if (code_unit(j, &low))
			return -LCPFS_EINVAL;
		if (low < 0xdc00 || low >= 0xe000)
			return bad(j, "half a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*o = utf8(*o, c);
	return 0;
}

/* A string, malloc'ed: it never grows by decoding. */
static int string(struct json *j, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *o;

	*out = NULL;
	if (expect(j, '"'))
		return -LCPFS_EINVAL;
	o = *out = cmd_alloc(strlen(j->s) + 1);
	while (*j->s != '"') {
		const char *at;
		if (!*j->s || (unsigned char)*j->s < 0x20)
			return bad(j, "a string is not closed");
		if (*j->s != '\\') {
			*o++ = *j->s++;
			continue;
		}
		j->s += 2;
		at = j->s[-1] ? strchr(from, j->s[-1]) : NULL;
		if (at)
			*o++ = to[at - from];
		else if (j->s[-1] != 'u')
			return bad(j, "unknown escape");
		else if (unicode(j, &o))
			return -LCPFS_EINVAL;
	}
	j->s++;
	return 0;
}

/* A value as text; *is_bool and *on for true and false. */
static int value(struct json *j, char **out, bool *is_bool, bool *on)
{
	size_t n;

	space(j);
	*is_bool = false;
	if (*j->s == '"')
		return string(j, out);
	*out = NULL;
	*on = !strncmp(j->s, "true", 4);
	*is_bool = *on || !strncmp(j->s, "false", 5);
	if (*is_bool) {
		j->s += *on ? 4 : 5;
		return 0;
	}
	n = strspn(j->s, "-0123456789");
	if (!n)
		return bad(j, "a value is a string, a whole number, true or false");
	*out = cmd_printf("%.*s", (int)n, j->s);
	j->s += n;
	return 0;
}

struct member { char *key, *text; bool is_bool, on; };
enum { MAX_MEMBERS = 16 };

static int object(struct json *j, struct member *m, unsigned *n)
{
	if (expect(j, '{'))
		return -LCPFS_EINVAL;
	space(j);
	if (*j->s == '}') {
		j->s++;
		return 0;
	}
	for (;;) {
		if (*n == MAX_MEMBERS)
			return bad(j, "too many members");
		(*n)++;
		if (string(j, &m[*n - 1].key) || expect(j, ':') || value(j, &m[*n - 1].text, &m[*n - 1].is_bool, &m[*n - 1].on))
			return -LCPFS_EINVAL;
		space(j);
		if (*j->s == '}')
			break;
		if (expect(j, ','))
			return -LCPFS_EINVAL;
	}
	j->s++;
	return 0;
}

/* The place of an operand in verb->args by name, -1: none. */
static int arg_index(const struct verb *v, const char *key)
{
	size_t len = strlen(key);
	int i = 0;

	for (const char *s = v->args; *s; s += strcspn(s, " "), s += *s == ' ', i++)
		if (strcspn(s, " ") == len && !strncmp(s, key, len))
			return i;
	return -1;
}

static int use(struct request *r, const struct member *m, struct lcpfs_error *err)
{
	int at = arg_index(r->verb, m->key);
	bool has_arg;
	char letter = at < 0 ? verb_option(r->verb, m->key, strlen(m->key), &has_arg) : 0;

	if (!strcmp(m->key, "op"))
		return 0;
	if (at < 0 && !letter)
		return cmd_err(err, LCPFS_EINVAL, "unknown member '%s'", m->key);
	if (m->is_bool != (letter && !has_arg))
		return cmd_err(err, LCPFS_EINVAL, "member '%s' is %s", m->key, m->is_bool ? "a string" : "true or false");
	if (at >= 0 && r->arg[at])
		return cmd_err(err, LCPFS_EINVAL, "member '%s' twice", m->key);
	if (at >= 0) {
		r->arg[at] = cmd_strdup(m->text);
		r->n_args++;
	} else if (!m->is_bool || m->on) {
		set_opt(r, letter, m->is_bool ? "" : m->text);
	}
	return 0;
}

int request_of_json(struct request *r, const char *text, struct lcpfs_error *err)
{
	struct json j = { text, err };
	struct member m[MAX_MEMBERS] = { 0 };
	unsigned n = 0;
	int rc = object(&j, m, &n);

	space(&j);
	if (!rc && *j.s)
		rc = bad(&j, "something follows the object");
	for (unsigned i = 0; i < n && !rc; i++)
		if (!strcmp(m[i].key, "op") && m[i].text && !(r->verb = verb_find(m[i].text)))
			rc = cmd_err(err, LCPFS_EINVAL, "unknown verb '%s'", m[i].text);
	if (!rc && !r->verb)
		rc = cmd_err(err, LCPFS_EINVAL, "no member 'op'");
	for (unsigned i = 0; i < n && !rc; i++)
		rc = use(r, &m[i], err);
	for (unsigned i = 0; i < n; i++) {
		free(m[i].key);
		free(m[i].text);
	}
	return rc ? rc : check_args(r, err);
}
