/* SPDX-License-Identifier: Apache-2.0 */
/* diff: the contents of two files. Texts are shown by diff(1), which gets them as files without a name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "diff/diff.h"

enum { PIECE = 1 << 17 };

static int open_file(struct lcpfs_file **f, const struct diff_file *d)
{
	struct lcpfs_error err = { 0 };

	return lcpfs_file_open_ino(f, d->ds, d->st.ino, &err) ? cmd_fail(&err, "cannot read '%s'", d->label) : CMD_OK;
}

static int read_piece(struct lcpfs_file *f, const struct diff_file *d, char *buf, uint64_t off, size_t *got)
{
	struct lcpfs_error err = { 0 };

	return lcpfs_file_pread(f, buf, PIECE, off, got, &err) ? cmd_fail(&err, "cannot read '%s'", d->label) : CMD_OK;
}

/* Do they differ, and are both text, as far as the comparison went? */
static int compare(const struct diff_file *a, const struct diff_file *b, bool *differ, bool *text)
{
	struct lcpfs_file *fa = NULL, *fb = NULL;
	char *ba = cmd_alloc(PIECE), *bb = cmd_alloc(PIECE);
	size_t na = PIECE, nb = PIECE;
	int status = open_file(&fa, a);

	if (!status)
		status = open_file(&fb, b);
	*differ = a->st.size != b->st.size;
	*text = true;
	for (uint64_t off = 0; !status && (off == 0 || !*differ) && na == PIECE && nb == PIECE; off += PIECE) {
		status = read_piece(fa, a, ba, off, &na);
		if (!status)
			status = read_piece(fb, b, bb, off, &nb);
		if (status)
			break;
		*differ |= na != nb || memcmp(ba, bb, na);
		*text = *text && !memchr(ba, 0, na) && !memchr(bb, 0, nb);
	}
	lcpfs_file_close(fa, NULL);
	lcpfs_file_close(fb, NULL);
	free(ba);
	free(bb);
	return status;
}

/* A copy that vanishes when it is closed. */
static int spool(const struct diff_file *d, FILE **out)
{
	struct lcpfs_file *f = NULL;
	char *buf = cmd_alloc(PIECE);
	size_t got = PIECE;
	int status = open_file(&f, d);

	*out = tmpfile();
	if (!*out && !status)
		status = cmd_fail_errno(errno, "cannot make a temporary file");
	for (uint64_t off = 0; !status && got == PIECE; off += PIECE) {
		status = read_piece(f, d, buf, off, &got);
		if (!status && fwrite(buf, 1, got, *out) != got)
			status = cmd_fail_errno(errno, "cannot write a temporary file");
	}
	if (!status && fflush(*out))
		status = cmd_fail_errno(errno, "cannot write a temporary file");
	lcpfs_file_close(f, NULL);
	free(buf);
	return status;
}

_Noreturn static void child(const struct diff_file *a, const struct diff_file *b, FILE *fa, FILE *fb)
{
	char pa[32], pb[32];

	snprintf(pa, sizeof pa, "/dev/fd/%d", dup(fileno(fa)));
	snprintf(pb, sizeof pb, "/dev/fd/%d", dup(fileno(fb)));
	execlp("diff", "diff", "-u", "--label", a->label, "--label", b->label, "--", pa, pb, (char *)NULL);
	_exit(127);
}

static int run_diff(const struct diff_file *a, const struct diff_file *b, FILE *fa, FILE *fb)
{
	int st = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cmd_fail_errno(errno, "cannot start diff(1)");
	if (!pid)
		child(a, b, fa, fb);
	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(st) && WEXITSTATUS(st) < 2)
		return WEXITSTATUS(st);
	if (WIFEXITED(st) && WEXITSTATUS(st) == 127)
		return diff_status(cmd_fail_code(LCPFS_ENOENT, "cannot run diff(1)"));
	return DIFF_TROUBLE;
}

int diff_contents(const struct diff_file *a, const struct diff_file *b, bool quiet)
{
	FILE *fa = NULL, *fb = NULL;
	bool differ, text;
	int status = compare(a, b, &differ, &text);

	if (status)
		return diff_status(status);
	if (!differ)
		return DIFF_SAME;
	if (quiet)
		return DIFF_DIFFERS;
	if (!text) {
		printf("Binary files %s and %s differ\n", a->label, b->label);
		return DIFF_DIFFERS;
	}
	status = spool(a, &fa);
	if (!status)
		status = spool(b, &fb);
	status = status ? diff_status(status) : run_diff(a, b, fa, fb);
	if (fa)
		fclose(fa);
	if (fb)
		fclose(fb);
	return status;
}
