/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, exit status, signals. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/cmd.h"

volatile sig_atomic_t cmd_interrupted;
static const char *volatile temp_file;

int cmd_status(int code)
{
	switch (code < 0 ? -code : code) {
	case 0: return CMD_OK;
	case LCPFS_EBUSY: return CMD_BUSY;
	case LCPFS_ENOKEY: return CMD_NOKEY;
	case LCPFS_ECSUM:
	case LCPFS_ECORRUPT: return CMD_DAMAGED;
	case LCPFS_EPARTIAL: return CMD_PARTIAL;
	default: return CMD_FAILED;
	}
}

/* "Done in part" is the mildest: whatever else failed must not hide behind it. */
static int gravity(int status)
{
	return status == CMD_PARTIAL ? 1 : status == CMD_OK ? 0 : status + 1;
}

int cmd_worse(int a, int b) { return gravity(a) > gravity(b) ? a : b; }

static const char *code_name(int code)
{
	switch (code < 0 ? -code : code) {
#define X(name, num, text) case num: return #name;
	LCPFS_ERRORS(X)
#undef X
	default: return "UNKNOWN";
	}
}

/* A message holds names from hostile images: whatever could steer a terminal becomes visible instead. */
static void put_clean(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool c1 = c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0;
		if (c < 0x20 || c == 0x7f || c1)
			fprintf(f, "\\%03o", c);
		else
			putc(c, f);
	}
}

static void message_json(int code, const char *text)
{
	struct cmd_json j;

	cmd_json_start(&j, stderr);
	cmd_json_object(&j, code ? "error" : "note");
	if (code) {
		cmd_json_str(&j, "code", code_name(code));
		cmd_json_u64(&j, "status", (uint64_t)cmd_status(code));
	}
	cmd_json_str(&j, "command", cmd.spec->name);
	cmd_json_name(&j, "message", text);
	cmd_json_finish(&j);
}

static void message(int code, const char *text)
{
	cmd_progress_end();
	fflush(stdout);
	if (cmd.json) {
		message_json(code, text);
		return;
	}
	fprintf(stderr, "%s: ", cmd.spec->name);
	put_clean(stderr, text);
	putc('\n', stderr);
}

static void format(char out[1024], const char *fmt, va_list ap)
{
	vsnprintf(out, 1024, fmt, ap);
}

int cmd_fail(const struct lcpfs_error *err, const char *fmt, ...)
{
	char words[1024] = "", text[1600];
	const char *msg = err->msg[0] ? err->msg : lcpfs_strerror(err->code);
	va_list ap;

	if (fmt) {
		va_start(ap, fmt);
		format(words, fmt, ap);
		va_end(ap);
	}
	snprintf(text, sizeof text, "%s%s%s", words, fmt ? ": " : "", msg);
	if (cmd.verbose && err->file)
		snprintf(text + strlen(text), sizeof text - strlen(text), " (%s:%d)", err->file, err->line);
	message(err->code ? err->code : LCPFS_EIO, text);
	return cmd_status(err->code ? err->code : LCPFS_EIO);
}

int cmd_fail_code(int code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	message(code, text);
	return cmd_status(code);
}

int cmd_fail_errno(int eno, const char *fmt, ...)
{
	char words[1024], text[1200], why[96];
	va_list ap;

	va_start(ap, fmt);
	format(words, fmt, ap);
	va_end(ap);
	snprintf(why, sizeof why, "%s", strerror(eno));
	if (isupper((unsigned char)why[0]) && !isupper((unsigned char)why[1]))
		why[0] = (char)tolower((unsigned char)why[0]);
	snprintf(text, sizeof text, "%s: %s", words, why);
	message(eno == ENOENT ? LCPFS_ENOENT : eno == ENOSPC ? LCPFS_ENOSPC : LCPFS_EIO, text);
	return CMD_FAILED;
}

void cmd_note(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (cmd.quiet)
		return;
	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	message(0, text);
}

void cmd_did(const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	if ((!cmd.verbose && !cmd.dry_run) || cmd.quiet || cmd.json)
		return;
	cmd_progress_end();
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (isatty(STDOUT_FILENO))
		put_clean(stdout, text);
	else
		fputs(text, stdout);
	putchar('\n');
}

int cmd_err(struct lcpfs_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->code = code;
		err->file = NULL;
		err->line = 0;
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof err->msg, fmt, ap);
		va_end(ap);
	}
	return -code;
}

void cmd_tree_warn(void *arg, const char *path, const struct lcpfs_error *why)
{
	char text[2200];

	(void)arg;
	if (cmd.quiet)
		return;
	snprintf(text, sizeof text, "'%s': %s", path, why->msg);
	message(why->code, text);
}

int cmd_finish(int status)
{
	bool bad;

	cmd_progress_end();
	status = cmd_worse(status, cmd_close_all());
	errno = 0;
	bad = ferror(stdout) | (fflush(stdout) != 0);
	if ((fclose(stdout) || bad) && errno != EBADF) {
		cmd_fail_errno(errno ? errno : EIO, "cannot write standard output");
		status = cmd_worse(status, CMD_FAILED);
	}
	return status;
}

static void on_signal(int sig)
{
	if (!cmd_interrupted) {
		cmd_interrupted = sig;
		return;
	}
	if (temp_file)
		unlink(temp_file);
	signal(sig, SIG_DFL);
	raise(sig);
}

void cmd_catch_signals(void)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER };
	struct sigaction old;

	for (unsigned i = 0; i < 3; i++)
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(sigs[i], &sa, NULL);
}

void cmd_temp_file(const char *path) { temp_file = path; }

static _Noreturn void no_memory(void)
{
	fprintf(stderr, "%s: out of memory\n", cmd.spec->name);
	if (temp_file)
		unlink(temp_file);
	exit(CMD_FAILED);
}

void *cmd_alloc(size_t len)
{
	void *p = calloc(1, len ? len : 1);

	if (!p)
		no_memory();
	return p;
}

void *cmd_realloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	if (!p)
		no_memory();
	return p;
}

char *cmd_strdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		no_memory();
	return p;
}

char *cmd_printf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		no_memory();
	va_end(ap);
	return s;
}

char *cmd_path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	while (n && dir[n - 1] == '/')
		n--;
	while (*name == '/')
		name++;
	if (!n && *dir == '/')
		return cmd_printf("/%s", name);
	if (!*dir || !*name)
		return cmd_printf("%.*s%s", (int)n, dir, name);
	return cmd_printf("%.*s/%s", (int)n, dir, name);
}

const char *cmd_basename(const char *path)
{
	const char *s = strrchr(path, '/');

	return s ? s + 1 : path;
}
