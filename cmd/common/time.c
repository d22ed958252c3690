/* SPDX-License-Identifier: Apache-2.0 */
/* Times: the common forms of date -d, and printing. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "common/cmd.h"

struct lcpfs_time cmd_now(void)
{
	const char *sde = getenv("SOURCE_DATE_EPOCH");
	struct timespec ts;

	if (sde && isdigit((unsigned char)*sde))
		return (struct lcpfs_time){ strtoll(sde, NULL, 10), 0 };
	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct lcpfs_time){ ts.tv_sec, (uint32_t)ts.tv_nsec };
}

static const char *skip_space(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* ".123" as nanoseconds, digits beyond the ninth dropped; *s moves past them. */
static uint32_t fraction(const char **s)
{
	uint32_t ns = 0, unit = 100000000;

	if ((**s != '.' && **s != ',') || !isdigit((unsigned char)(*s)[1]))
		return 0;
	for (++*s; isdigit((unsigned char)**s); ++*s, unit /= 10)
		ns += unit * (uint32_t)(**s - '0');
	return ns;
}

static bool parse_epoch(const char *s, struct lcpfs_time *out)
{
	char *end;
	const char *p;
	bool neg = s[1] == '-';

	errno = 0;
	out->sec = strtoll(s + 1, &end, 10);
	if (end == s + 1 || errno)
		return false;
	p = end;
	out->nsec = fraction(&p);
	if (neg && out->nsec) {
		out->sec--;
		out->nsec = 1000000000 - out->nsec;
	}
	return !*p;
}

static const struct { const char *name; int64_t sec; int months; } units[] = {
	{ "second", 1, 0 }, { "sec", 1, 0 }, { "minute", 60, 0 }, { "min", 60, 0 }, { "hour", 3600, 0 },
	{ "day", 86400, 0 }, { "week", 7 * 86400, 0 }, { "fortnight", 14 * 86400, 0 }, { "month", 0, 1 }, { "year", 0, 12 },
};

static int find_unit(const char *s, size_t len)
{
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);
		if (!strncasecmp(s, units[i].name, n) && (len == n || (len == n + 1 && tolower((unsigned char)s[n]) == 's')))
			return (int)i;
	}
	return -1;
}

/* Days and months count on the calendar, so that "1 day ago" across a change of the clock is the same hour. */
static void go_back(struct lcpfs_time *t, int64_t sec, int64_t days, int64_t months)
{
	time_t s = (time_t)t->sec;
	struct tm tm;

	if ((days || months) && localtime_r(&s, &tm)) {
		tm.tm_mday -= (int)days;
		tm.tm_mon -= (int)months;
		tm.tm_isdst = -1;
		t->sec = mktime(&tm);
	}
	t->sec -= sec;
}

/* "2 days ago", "1 hour 30 min ago", "an hour ago". */
static bool parse_ago(const char *s, struct lcpfs_time *t)
{
	int64_t sec = 0, days = 0, months = 0;

	for (s = skip_space(s); strcasecmp(s, "ago");) {
		long long n = 1;
		size_t len;
		char *end;
		int u;

		if (isdigit((unsigned char)*s)) {
			n = strtoll(s, &end, 10);
			s = skip_space(end);
		} else if (!strncasecmp(s, "an ", 3) || !strncasecmp(s, "a ", 2)) {
			s = skip_space(s + strcspn(s, " "));
		} else {
			return false;
		}
		for (len = 0; isalpha((unsigned char)s[len]); len++)
			;
		u = find_unit(s, len);
		if (u < 0 || n > 1000000000)
			return false;
		if (units[u].sec && units[u].sec % 86400 == 0)
			days += n * (units[u].sec / 86400);
		else
			sec += n * units[u].sec;
		months += n * units[u].months;
		s = skip_space(s + len);
	}
	if (days > 1000000 || months > 100000)
		return false;
	go_back(t, sec, days, months);
	return true;
}

/* "Z", "+02:00", "-0530" or nothing (local time). */
static bool parse_zone(const char *s, struct tm *tm, int64_t *out)
{
	int h, m, used = 0;
	struct tm utc = *tm;

	if (!*s) {
		tm->tm_isdst = -1;
		*out = mktime(tm);
		return true;
	}
	*out = timegm(&utc);
	if (!strcasecmp(s, "z") || !strcasecmp(s, "utc"))
		return true;
	if (*s != '+' && *s != '-')
		return false;
	if ((sscanf(s + 1, "%2d:%2d%n", &h, &m, &used) != 2 && sscanf(s + 1, "%2d%2d%n", &h, &m, &used) != 2) || s[1 + used] ||
	    h > 23 || m > 59 || h < 0 || m < 0)
		return false;
	*out -= (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

/* "HH:MM[:SS[.frac]]"; *s moves past it. */
static bool parse_clock(const char **s, struct tm *tm, uint32_t *nsec)
{
	int used = 0;

	if (sscanf(*s, "%2d:%2d%n", &tm->tm_hour, &tm->tm_min, &used) != 2)
		return false;
	*s += used;
	used = 0;
	tm->tm_sec = 0;
	if (sscanf(*s, ":%2d%n", &tm->tm_sec, &used) == 1) {
		*s += used;
		*nsec = fraction(s);
	}
	return tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec < 61;
}

static bool parse_date(const char *s, struct lcpfs_time *out)
{
	struct tm tm = { .tm_isdst = -1 };
	struct tm check;
	int used = 0;

	if (sscanf(s, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &used) != 3)
		return false;
	s += used;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	check = tm;
	timegm(&check);
	if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon)
		return false;
	out->nsec = 0;
	if (*s == 'T' || *s == 't' || *s == ' ') {
		s++;
		if (!parse_clock(&s, &tm, &out->nsec))
			return false;
	}
	return parse_zone(skip_space(s), &tm, &out->sec);
}

static bool parse_today_clock(const char *s, struct lcpfs_time now, struct lcpfs_time *out)
{
	time_t t = (time_t)now.sec;
	struct tm tm;

	out->nsec = 0;
	if (!localtime_r(&t, &tm) || !parse_clock(&s, &tm, &out->nsec) || *s)
		return false;
	tm.tm_isdst = -1;
	out->sec = mktime(&tm);
	return true;
}

bool cmd_time_parse(const char *text, struct lcpfs_time now, struct lcpfs_time *out)
{
	text = skip_space(text);
	*out = now;
	if (!strcasecmp(text, "now") || !strcasecmp(text, "today"))
		return true;
	if (!strcasecmp(text, "yesterday")) {
		go_back(out, 0, 1, 0);
		return true;
	}
	if (*text == '@')
		return parse_epoch(text, out);
	return parse_date(text, out) || parse_today_clock(text, now, out) || (*out = now, parse_ago(text, out));
}

struct lcpfs_time cmd_time(const char *what, const char *text)
{
	struct lcpfs_time t;

	if (!cmd_time_parse(text, cmd_now(), &t))
		cmd_usage("%s: '%s' is no time (write 2024-05-01T12:00:00Z, \"2024-05-01 12:00\", @1700000000, \"2 days ago\")", what, text);
	return t;
}

void cmd_time_rfc3339(char out[40], const struct lcpfs_time *t)
{
	time_t s = (time_t)t->sec;
	char date[28];
	struct tm tm;

	if (!gmtime_r(&s, &tm) || tm.tm_year > 8099 || tm.tm_year < -1900) {
		snprintf(out, 40, "@%lld.%09u", (long long)t->sec, t->nsec % 1000000000);
		return;
	}
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, 40, "%s.%09uZ", date, t->nsec % 1000000000);
}

#define QUARTER 900 /* seconds: clocks of today change, and are apart, by whole quarters of an hour */

/*
 * "2024-05-01 12:07". The quarters met last are kept, as neighbours in a listing are often of the same day or hour; where the local clock is
 * off by something else there is no such shortcut.
 */
static bool minute_text(char out[64], time_t s)
{
	static struct { time_t begin; char text[32]; uint8_t len; } seen[64];
	time_t begin = s - ((s % QUARTER) + QUARTER) % QUARTER;
	unsigned slot = (unsigned)(begin / QUARTER) % 64, minute;
	struct tm tm, last;
	size_t n;

	if (!seen[slot].len || seen[slot].begin != begin) {
		time_t end = begin + QUARTER - 1;

		if (!localtime_r(&begin, &tm) || !localtime_r(&end, &last) || tm.tm_gmtoff != last.tm_gmtoff || tm.tm_gmtoff % QUARTER)
			return false;
		n = strftime(seen[slot].text, sizeof seen[slot].text, "%Y-%m-%d %H:%M", &tm);
		seen[slot].len = (uint8_t)n;
		seen[slot].begin = begin;
		if (!n)
			return false;
	}
	n = seen[slot].len;
	memcpy(out, seen[slot].text, n + 1);
	minute = (unsigned)(s - begin) / 60 + (unsigned)(out[n - 2] - '0') * 10 + (unsigned)(out[n - 1] - '0');
	out[n - 2] = (char)('0' + minute / 10);
	out[n - 1] = (char)('0' + minute % 10);
	return true;
}

void cmd_time_local(char out[64], const struct lcpfs_time *t, const char *fmt)
{
	time_t s = (time_t)t->sec;
	struct tm tm;

	if (!fmt && minute_text(out, s))
		return;
	if (!localtime_r(&s, &tm) || !strftime(out, 64, fmt ? fmt : "%Y-%m-%d %H:%M", &tm))
		snprintf(out, 64, "@%lld", (long long)t->sec);
}
