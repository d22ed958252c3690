/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the command line: sizes, times, modes, operands, JSON. */
#include "common/json.c"
#include "common/mode.c"
#include "common/msg.c"
#include "common/opts.c"
#include "common/parse.c"
#include "common/progress.c"
#include "common/target.c"
#include "common/text.c"
#include "common/time.c"
#include "tap.h"

static const struct cmd_spec unit_spec = { .name = "test", .synopsis = "test" };

__attribute__((constructor)) static void prepare(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
	cmd_init(&unit_spec);
}

TEST(sizes)
{
	static const struct { const char *text; bool good; uint64_t v; } t[] = {
		{ "0", true, 0 }, { "4096", true, 4096 }, { "64K", true, 65536 }, { "64KiB", true, 65536 }, { "1.5G", true, 1610612736 },
		{ "16E", false, 0 }, { "15E", true, 15ull << 60 }, { "18446744073709551615", true, UINT64_MAX }, { "18446744073709551616", false, 0 },
		{ "", false, 0 }, { "-1", false, 0 }, { "1.5", false, 0 }, { "K", false, 0 }, { "1KB", false, 0 }, { "1 K", false, 0 }, { "0.5k", true, 512 },
		{ "1.K", false, 0 }, { "7B", true, 7 }, { "0x10", false, 0 },
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		uint64_t v = 0;
		bool good = cmd_size_parse(t[i].text, &v);
		ok_msg(good == t[i].good && (!good || v == t[i].v), "size '%s'", t[i].text);
	}
}

TEST(times)
{
	static const struct lcpfs_time now = { 1714564800, 500 }; /* 2024-05-01 12:00 UTC */
	static const struct { const char *text; bool good; int64_t sec; uint32_t nsec; } t[] = {
		{ "@1700000000", true, 1700000000, 0 }, { "@1.25", true, 1, 250000000 }, { "@-1.5", true, -2, 500000000 }, { "@", false, 0, 0 },
		{ "2024-05-01T12:00:00Z", true, 1714564800, 0 }, { "2024-05-01T14:00:00+02:00", true, 1714564800, 0 },
		{ "2024-05-01T12:00:00.5Z", true, 1714564800, 500000000 }, { "2024-05-01 12:00", true, 1714564800, 0 },
		{ "2024-05-01", true, 1714521600, 0 }, { "2024-02-30", false, 0, 0 }, { "2024-13-01", false, 0, 0 }, { "2024-05-01 25:00", false, 0, 0 },
		{ "12:00", true, 1714564800, 0 }, { "now", true, 1714564800, 500 }, { "yesterday", true, 1714478400, 500 },
		{ "2 days ago", true, 1714392000, 500 }, { "1 hour 30 min ago", true, 1714559400, 500 }, { "a week ago", true, 1713960000, 500 },
		{ "1 month ago", true, 1711972800, 500 }, { "2 days", false, 0, 0 }, { "ago", true, 1714564800, 500 }, { "two days ago", false, 0, 0 },
		{ "", false, 0, 0 }, { "1969-12-31T23:59:59Z", true, -1, 0 },
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct lcpfs_time v = { 0 };
		bool good = cmd_time_parse(t[i].text, now, &v);
		ok_msg(good == t[i].good && (!good || (v.sec == t[i].sec && v.nsec == t[i].nsec)), "time '%s' (%lld)", t[i].text, (long long)v.sec);
	}
}

TEST(modes)
{
	static const struct { const char *text; uint32_t from, to; } t[] = {
		{ "644", S_IFREG | 0777, 0644 }, { "u+x", S_IFREG | 0644, 0744 }, { "go-rwx", S_IFREG | 0755, 0700 }, { "a=r", S_IFREG | 0777, 0444 },
		{ "u+s", S_IFREG | 0755, 04755 }, { "g=u", S_IFREG | 0741, 0771 }, { "+X", S_IFREG | 0644, 0644 }, { "+X", S_IFREG | 0744, 0755 },
		{ "+X", S_IFDIR | 0600, 0711 }, { "D755,F644", S_IFDIR | 0700, 0755 }, { "D755,F644", S_IFREG | 0700, 0644 },
		{ "u=rw,go=r", S_IFREG | 0777, 0644 }, { "+t", S_IFDIR | 0755, 01755 }, { "u-w+x", S_IFREG | 0600, 0500 },
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct cmd_mode m;
		uint32_t set, clear;
		cmd_mode("mode", t[i].text, &m);
		ok_msg(cmd_mode_apply(&m, t[i].from) == t[i].to, "mode %s of %o", t[i].text, t[i].from);
		if (cmd_mode_masks(&m, S_ISDIR(t[i].from), &set, &clear))
			ok_msg((((t[i].from & 07777) & ~clear) | set) == t[i].to, "the same by masks");
	}
}

TEST(mode_string)
{
	char s[11];

	cmd_mode_string(s, S_IFREG | 04755);
	ok_msg(!strcmp(s, "-rwsr-xr-x"), "set-user-ID");
	cmd_mode_string(s, S_IFDIR | 01776);
	ok_msg(!strcmp(s, "drwxrwxrwT"), "sticky without x");
}

TEST(targets)
{
	static const struct { const char *text, *pool, *dataset, *path; } t[] = {
		{ "no.img", "no.img", "", "" }, { "no.img:/etc", "no.img", "", "/etc" }, { "no.img:home/ann", "no.img", "home/ann", "" },
		{ "no.img:home@mon:/x:y", "no.img", "home@mon", "/x:y" }, { "no.img:@mon:/x", "no.img", "@mon", "/x" }, { "no.img::x", "no.img", "", "x" },
		{ "ram:a:/x", "ram:a", "", "/x" }, { "no.img:", "no.img", "", "" },
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct cmd_target g;
		cmd_target(&g, t[i].text);
		ok_msg(!strcmp(g.pool, t[i].pool) && !strcmp(g.dataset, t[i].dataset) && !strcmp(g.path, t[i].path), "operand %s", t[i].text);
		cmd_target_fini(&g);
	}
}

TEST(text)
{
	static const struct { uint64_t v; const char *text; } t[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1.0K" }, { 1536, "1.5K" }, { 1537, "1.6K" }, { 10239, "10K" }, { 10241, "11K" },
		{ 1048575, "1.0M" }, { UINT64_MAX, "16E" },
	};
	char buf[64];

	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		ok_msg(!strcmp(cmd_human(buf, t[i].v), t[i].text), "%llu is %s (%s)", (unsigned long long)t[i].v, t[i].text, buf);
	quote(buf, "plain-name_1.txt");
	ok_msg(!strcmp(buf, "plain-name_1.txt"), "a plain name stays");
	quote(buf, "it's");
	ok_msg(!strcmp(buf, "'it'\\''s'"), "a quote");
	quote(buf, "a\033\\b\377");
	ok_msg(!strcmp(buf, "$'a\\033\\\\b\\377'"), "control bytes: %s", buf);
	quote(buf, "");
	ok_msg(!strcmp(buf, "''"), "an empty name");
}

TEST(json)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct cmd_json j;

	cmd_json_start(&j, f);
	cmd_json_array(&j, "a");
	cmd_json_name(&j, NULL, "x\"\\\n\x01");
	cmd_json_object(&j, NULL);
	cmd_json_name(&j, "n", "\xff\xc0\x80z");
	cmd_json_finish(&j);
	fclose(f);
	ok_msg(!strcmp(text, "{\"version\":1,\"a\":[\"x\\\"\\\\\\n\\u0001\",{\"n\":\"\\ufffd\\ufffd\\ufffdz\",\"n_b64\":\"/8CAeg==\"}]}\n"), "%s", text);
	free(text);
	ok_msg(cmd_is_utf8("gr\xc3\xbc\xc3\x9f"), "UTF-8");
	ok_msg(!cmd_is_utf8("\xed\xa0\x80") && !cmd_is_utf8("\xf4\x90\x80\x80") && !cmd_is_utf8("\xe0\x80\x80"), "surrogates, too large, overlong");
}

TEST(status)
{
	ok_msg(cmd_status(-LCPFS_EBUSY) == 4 && cmd_status(LCPFS_ENOKEY) == 5 && cmd_status(-LCPFS_ECSUM) == 6 && cmd_status(LCPFS_ECORRUPT) == 6 &&
	    cmd_status(LCPFS_EPARTIAL) == 3 && cmd_status(LCPFS_ECANCEL) == 1 && !cmd_status(0), "codes become statuses");
	ok_msg(cmd_worse(CMD_PARTIAL, CMD_FAILED) == CMD_FAILED && cmd_worse(CMD_OK, CMD_PARTIAL) == CMD_PARTIAL, "failed outweighs in part");
}

TAP_MAIN(T(sizes), T(times), T(modes), T(mode_string), T(targets), T(text), T(json), T(status))
