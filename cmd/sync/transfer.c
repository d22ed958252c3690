/* SPDX-License-Identifier: Apache-2.0 */
/* sync: from send to receive. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/infile.h"
#include "sync/sync.h"

/* What the sending thread works on; `gone`: the receiver stopped taking, its failure is the one to report. */
struct sender { const struct side *src; const char *snap; const struct lcpfs_send_opts *o; int fd, rc; bool gone; struct lcpfs_error err; };

static int pipe_write(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	struct sender *s = arg;
	const char *p = data;

	while (len) {
		ssize_t n = write(s->fd, p, len);
		if (n < 0 && errno == EINTR && !cmd_interrupted)
			continue;
		if (n < 0) {
			s->gone = errno == EPIPE || cmd_interrupted;
			return cmd_err(err, cmd_interrupted ? LCPFS_ECANCEL : LCPFS_EIO, "cannot pass the stream on: %s", strerror(errno));
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static void *run_sender(void *arg)
{
	struct sender *s = arg;

	s->rc = lcpfs_send(s->src->pool, s->snap, s->o, pipe_write, s, NULL, &s->err);
	close(s->fd);
	return NULL;
}

static int report(const struct sender *s, const struct side *dst, int recv_rc, const struct lcpfs_error *recv_err)
{
	cmd_progress_end();
	if (s->rc && !s->gone)
		return cmd_fail(&s->err, "cannot send '%s:%s'", s->src->pool_name, s->snap);
	return recv_rc ? cmd_fail(recv_err, "'%s'", dst->pool_name) : CMD_OK;
}

static int through_pipe(struct sender *s, const struct side *dst, const struct lcpfs_recv_opts *ro)
{
	struct lcpfs_error err = { 0 };
	struct in_file in = { .name = "the stream" };
	pthread_t thread;
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC))
		return cmd_fail_errno(errno, "cannot make a pipe");
	fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* fewer switches; the default works too */
	in.fd = fds[0];
	s->fd = fds[1];
	rc = pthread_create(&thread, NULL, run_sender, s);
	if (rc) {
		close(fds[0]);
		close(fds[1]);
		return cmd_fail_errno(rc, "cannot start a thread");
	}
	rc = lcpfs_recv(dst->pool, ro, in_read, &in, NULL, &err);
	close(fds[0]);
	pthread_join(thread, NULL);
	return report(s, dst, rc, &err);
}

/* Within one pool reading and changing do not mix. */
static int through_file(struct sender *s, const struct side *dst, const struct lcpfs_recv_opts *ro)
{
	struct lcpfs_error err = { 0 };
	struct in_file in = { .name = "the stream" };
	FILE *f = tmpfile();
	int rc = 0;

	if (!f)
		return cmd_fail_errno(errno, "cannot make a temporary file");
	s->fd = in.fd = fileno(f);
	s->rc = lcpfs_send(s->src->pool, s->snap, s->o, pipe_write, s, NULL, &s->err);
	if (!s->rc && lseek(in.fd, 0, SEEK_SET))
		rc = cmd_err(&err, LCPFS_EIO, "cannot read a temporary file: %s", strerror(errno));
	if (!s->rc && !rc)
		rc = lcpfs_recv(dst->pool, ro, in_read, &in, NULL, &err);
	fclose(f);
	s->gone = false;
	return report(s, dst, rc, &err);
}

int transfer(const struct side *src, const struct side *dst, const char *snap, const struct lcpfs_send_opts *so, const struct lcpfs_recv_opts *ro)
{
	struct sender s = { .src = src, .snap = snap, .o = so };

	signal(SIGPIPE, SIG_IGN);
	return src->pool == dst->pool ? through_file(&s, dst, ro) : through_pipe(&s, dst, ro);
}
