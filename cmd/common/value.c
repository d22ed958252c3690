/* SPDX-License-Identifier: Apache-2.0 */
/* Values of extended attributes, in the forms of getfattr and setfattr. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "common/edit.h"

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_hex(const char *s, uint8_t *out, size_t *len)
{
	size_t n = strlen(s);

	if (n % 2)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	*len = n / 2;
	return true;
}

static bool parse_base64(const char *s, uint8_t *out, size_t *len)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (; *s && *s != '='; s++) {
		const char *d = strchr(digits64, *s);
		if (!d)
			return false;
		acc = acc << 6 | (uint32_t)(d - digits64);
		bits += 6;
		if (bits >= 8)
			out[n++] = (uint8_t)(acc >> (bits -= 8));
	}
	*len = n;
	return bits < 6 && !s[strspn(s, "=")] && strlen(s) <= 2;
}

/* In double quotes \ooo is a byte and \x stands for x, as getfattr writes it. */
static void parse_quoted(const char *s, size_t n, uint8_t *out, size_t *len)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && i + 3 < n && s[i + 1] >= '0' && s[i + 1] <= '3' && hex_digit(s[i + 2]) < 8 && hex_digit(s[i + 2]) >= 0 &&
		    hex_digit(s[i + 3]) < 8 && hex_digit(s[i + 3]) >= 0) {
			out[at++] = (uint8_t)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 | (s[i + 3] - '0'));
			i += 3;
		} else {
			if (s[i] == '\\' && i + 1 < n)
				i++;
			out[at++] = (uint8_t)s[i];
		}
	}
	*len = at;
}

bool edit_value_parse(const char *text, void **value, size_t *len)
{
	size_t n = strlen(text);
	uint8_t *out = cmd_alloc(n + 1);
	bool ok = true;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		ok = parse_hex(text + 2, out, len);
	} else if (text[0] == '0' && (text[1] == 's' || text[1] == 'S')) {
		ok = parse_base64(text + 2, out, len);
	} else if (n > 1 && text[0] == '"' && text[n - 1] == '"') {
		parse_quoted(text + 1, n - 2, out, len);
	} else {
		memcpy(out, text, n);
		*len = n;
	}
	if (!ok)
		free(out);
	else
		*value = out;
	return ok;
}

static bool is_text(const uint8_t *p, size_t len)
{
	char *s;
	bool ok;

	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	s = cmd_printf("%.*s", (int)len, (const char *)p);
	ok = cmd_is_utf8(s);
	free(s);
	return ok;
}

static char *print_text(const uint8_t *p, size_t len)
{
	char *out = cmd_alloc(4 * len + 3), *o = out;

	*o++ = '"';
	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f) {
			o += snprintf(o, 5, "\\%03o", p[i]);
			continue;
		}
		if (p[i] == '"' || p[i] == '\\')
			*o++ = '\\';
		*o++ = (char)p[i];
	}
	*o++ = '"';
	*o = 0;
	return out;
}

static char *print_base64(const uint8_t *p, size_t len)
{
	char *out = cmd_alloc(2 + (len + 2) / 3 * 4 + 1), *o = out;

	*o++ = '0';
	*o++ = 's';
	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < len ? p[i + 1] : 0) << 8 | (i + 2 < len ? p[i + 2] : 0);
		*o++ = digits64[v >> 18];
		*o++ = digits64[v >> 12 & 63];
		*o++ = i + 1 < len ? digits64[v >> 6 & 63] : '=';
		*o++ = i + 2 < len ? digits64[v & 63] : '=';
	}
	*o = 0;
	return out;
}

static char *print_hex(const uint8_t *p, size_t len)
{
	char *out = cmd_alloc(2 * len + 3);

	out[0] = '0';
	out[1] = 'x';
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 + 2 * i, 3, "%02x", p[i]);
	return out;
}

char *edit_value_print(const void *value, size_t len, char form)
{
	if (!form)
		form = is_text(value, len) ? 't' : 'b';
	return form == 't' ? print_text(value, len) : form == 'h' ? print_hex(value, len) : print_base64(value, len);
}
