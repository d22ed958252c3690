/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of lists: md5sum and its like, the same with tags, hashdeep. */
#include "list.h"
#include <stdlib.h>
#include <string.h>

const struct algo algos[ALGOS_MAX] = {
	{ "md5", "MD5", "md5", 32 }, { "sha1", "SHA1", "sha1", 40 }, { "sha256", "SHA256", "sha256", 64 },
	{ "sha512", "SHA512", "sha512", 128 }, { "blake3", "BLAKE3", "b3", 64 },
};

const struct algo *algo_by_name(const char *name, size_t len)
{
	if (len > 3 && !strncmp(name + len - 3, "sum", 3))
		len -= 3;
	for (size_t i = 0; i < ALGOS_MAX; i++)
		if ((strlen(algos[i].name) == len && !strncmp(algos[i].name, name, len)) ||
		    (strlen(algos[i].suffix) == len && !strncmp(algos[i].suffix, name, len)))
			return &algos[i];
	return NULL;
}

/* ---- writing ---- */

static void put_name(FILE *f, const char *name, bool escape)
{
	for (; *name; name++) {
		if (escape && *name == '\n')
			fputs("\\n", f);
		else if (escape && *name == '\\')
			fputs("\\\\", f);
		else
			fputc(*name, f);
	}
}

void list_put_sum(FILE *f, const char *sum, const char *name, char end)
{
	bool escape = end && strpbrk(name, "\\\n");

	fprintf(f, "%s%s  ", escape ? "\\" : "", sum);
	put_name(f, name, escape);
	fputc(end, f);
}

void list_put_tag(FILE *f, const struct algo *a, const char *sum, const char *name, char end)
{
	bool escape = end && strpbrk(name, "\\\n");

	fprintf(f, "%s%s (", escape ? "\\" : "", a->tag);
	put_name(f, name, escape);
	fprintf(f, ") = %s%c", sum, end);
}

/* ---- reading ---- */

static char *unescaped(const char *s, bool escaped)
{
	char *out = cmd_alloc(strlen(s) + 1), *to = out;

	for (; *s; s++) {
		if (escaped && *s == '\\' && (s[1] == 'n' || s[1] == '\\' || s[1] == 'r')) {
			s++;
			*to++ = *s == 'n' ? '\n' : *s == 'r' ? '\r' : '\\';
		} else {
			*to++ = *s;
		}
	}
	return out;
}

static bool take_hex(struct line *out, size_t i, const char *hex, size_t len)
{
	if (len != algos[i].hex)
		return false;
	for (size_t k = 0; k < len; k++)
		out->hex[i][k] = (char)(hex[k] >= 'A' && hex[k] <= 'F' ? hex[k] + 32 : hex[k]);
	return true;
}

/* "SHA256 (name) = hex" */
static bool parse_tag(char *text, bool escaped, struct line *out)
{
	char *open = strstr(text, " ("), *close = NULL;

	for (char *at = open; at && (at = strstr(at + 1, ") = "));)
		close = at;
	if (!open || !close)
		return false;
	for (size_t i = 0; i < ALGOS_MAX; i++)
		if (strlen(algos[i].tag) == (size_t)(open - text) && !strncmp(text, algos[i].tag, (size_t)(open - text))) {
			if (!take_hex(out, i, close + 4, strlen(close + 4)))
				return false;
			*close = 0;
			out->name = unescaped(open + 2, escaped);
			return true;
		}
	return false;
}

/* What a sum without a name for it is follows from its length, or from what was asked for. */
static bool parse_sum(char *text, bool escaped, const struct algo *untagged, struct line *out)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF"), i = 0;

	if (untagged && untagged->hex == n)
		i = (size_t)(untagged - algos);
	else
		while (i < ALGOS_MAX && algos[i].hex != n)
			i++;
	if (i == ALGOS_MAX || text[n] != ' ' || (text[n + 1] != ' ' && text[n + 1] != '*') || !take_hex(out, i, text, n))
		return false;
	out->name = unescaped(text + n + 2, escaped);
	return true;
}

static void parse_columns(struct list_form *lf, char *text)
{
	char *save = NULL;

	lf->hashdeep = true;
	lf->n = 0;
	for (char *w = strtok_r(text, ", ", &save); w && lf->n < ALGOS_MAX + 2; w = strtok_r(NULL, ", ", &save)) {
		const struct algo *a = algo_by_name(w, strlen(w));
		lf->column[lf->n++] = a ? (int)(a - algos) : -1;
	}
}

static bool parse_hashdeep(const struct list_form *lf, char *text, struct line *out)
{
	for (unsigned i = 0; i + 1 < lf->n; i++) {
		char *comma = strchr(text, ',');
		if (!comma)
			return false;
		if (lf->column[i] >= 0 && !take_hex(out, (size_t)lf->column[i], text, (size_t)(comma - text)))
			return false;
		text = comma + 1;
	}
	out->name = cmd_strdup(text);
	return true;
}

bool list_parse(struct list_form *lf, char *text, const struct algo *untagged, struct line *out, bool *comment)
{
	bool escaped = *text == '\\';

	*out = (struct line){ 0 };
	*comment = !*text || *text == '#' || !strncmp(text, "%%%%", 4);
	if (!strncmp(text, "%%%% size", 9))
		parse_columns(lf, text + 5);
	if (*comment)
		return false;
	if (lf->hashdeep)
		return parse_hashdeep(lf, text, out);
	return parse_tag(text + escaped, escaped, out) || parse_sum(text + escaped, escaped, untagged, out);
}
