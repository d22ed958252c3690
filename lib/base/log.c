/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/error.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static struct lcpfs_hooks hooks;

void lcpfs_set_hooks(const struct lcpfs_hooks *h)
{
	hooks = h ? *h : (struct lcpfs_hooks){ 0 };
}

void log_msg(int level, const char *layer, const char *fmt, ...)
{
	char text[480];
	va_list ap;

	if (!hooks.log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	hooks.log(hooks.arg, level, layer, text);
}

void now_get(int64_t *sec, uint32_t *nsec)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct timespec ts;

	if (hooks.now) {
		hooks.now(hooks.arg, sec, nsec);
		return;
	}
	if (epoch && *epoch) {
		*sec = strtoll(epoch, NULL, 10);
		*nsec = 0;
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	*sec = ts.tv_sec;
	*nsec = (uint32_t)ts.tv_nsec;
}

int random_bytes(void *buf, size_t len, struct lcpfs_error *err)
{
	uint8_t *p = buf;

	if (hooks.random)
		return hooks.random(hooks.arg, buf, len) ? lcpfs_fail(err, LCPFS_EIO, "no random bytes") : 0;
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno != EINTR)
			return lcpfs_fail_errno(err, errno, "no random bytes");
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

struct thread {
	void (*fn)(void *arg);
	void *arg, *handle;
	pthread_t id;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;

	t->fn(t->arg);
	return NULL;
}

int thread_start(struct thread **out, void (*fn)(void *arg), void *arg, struct lcpfs_error *err)
{
	struct thread *t = calloc(1, sizeof *t);
	int rc;

	if (!t)
		return lcpfs_nomem(err);
	t->fn = fn;
	t->arg = arg;
	rc = hooks.spawn ? hooks.spawn(hooks.arg, fn, arg, &t->handle) : pthread_create(&t->id, NULL, run_thread, t);
	if (rc) {
		free(t);
		return lcpfs_fail(err, LCPFS_ENOMEM, "cannot start a thread");
	}
	*out = t;
	return 0;
}

void thread_join(struct thread *t)
{
	if (!t)
		return;
	if (hooks.join)
		hooks.join(hooks.arg, t->handle);
	else if (!hooks.spawn)
		pthread_join(t->id, NULL);
	free(t);
}

unsigned cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}
