/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows: a stretch of an image file mapped into memory, for reading once without a copy
 * Touching a page of a mapping that the file no longer has, or that the disk cannot read, raises SIGBUS. While windows
 * are in use that signal is handled: the page is replaced by zeros, and the caller, whose checksum then does not match,
 * reads the block the ordinary way and gets the error of that. Other SIGBUS go where they went before.
 */
#include "blockdev/blockdev_impl.h"
#include "base/util.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOWS_MAX 64

/* What is mapped now, for the handler; start 0: free. */
static struct slot { _Atomic uintptr_t start; _Atomic size_t len; _Atomic bool lost; } slots[WINDOWS_MAX];
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned guards;
static struct sigaction before;
static uintptr_t page;

static struct slot *find(uintptr_t addr)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		uintptr_t start = atomic_load(&slots[i].start);

		if (start > 1 && addr >= start && addr - start < atomic_load(&slots[i].len))
			return &slots[i];
	}
	return NULL;
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(sig, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(sig);
	} else {
		sigaction(sig, &before, NULL);
		if (info->si_code <= 0) /* sent, not met: the instruction will not raise it again */
			raise(sig);
	}
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved = errno;
	struct slot *s = info->si_code > 0 ? find(addr) : NULL;

	if (!s || mmap((void *)(addr & ~(page - 1)), page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		pass_on(sig, info, context);
	else
		atomic_store(&s->lost, true);
	errno = saved;
}

void blockdev_guard(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	pthread_mutex_lock(&guard_lock);
	if (guards++ == 0) {
		page = (uintptr_t)sysconf(_SC_PAGESIZE);
		sigemptyset(&sa.sa_mask);
		sigaction(SIGBUS, &sa, &before);
	}
	pthread_mutex_unlock(&guard_lock);
}

void blockdev_unguard(void)
{
	struct sigaction now;

	pthread_mutex_lock(&guard_lock);
	/* somebody who set a handler after us keeps it */
	if (--guards == 0 && sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		sigaction(SIGBUS, &before, NULL);
	pthread_mutex_unlock(&guard_lock);
}

static struct slot *slot_take(void)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		uintptr_t none = 0;

		if (atomic_compare_exchange_strong(&slots[i].start, &none, 1))
			return &slots[i];
	}
	return NULL;
}

static void slot_give(struct slot *s)
{
	atomic_store(&s->start, 0);
}

/* What is not in memory is read in larger steps than a fault takes; the first and the last page tell. */
static bool resident(uint8_t *base, size_t len)
{
	unsigned char first = 0, last = 0;

	return mincore(base, page, &first) == 0 && mincore(base + (len - 1) / page * page, page, &last) == 0 && (first & last & 1);
}

bool blockdev_map(struct lcpfs_blockdev *d, uint64_t off, size_t len, struct blockdev_window *w)
{
	uint64_t size = blockdev_size(d), start, head;
	struct slot *s;
	uint8_t *base;
	int fd = blockdev_file_fd(d);

	if (fd < 0 || !guards || !len || off > size || len > size - off)
		return false;
	start = round_down(off, page);
	head = off - start;
	s = slot_take();
	if (!s)
		return false;
	base = mmap(NULL, head + len, PROT_READ, MAP_SHARED, fd, (off_t)start);
	if (base == MAP_FAILED || !resident(base, head + len)) {
		if (base != MAP_FAILED)
			munmap(base, head + len);
		slot_give(s);
		return false;
	}
	atomic_store(&s->lost, false);
	atomic_store(&s->len, head + len);
	atomic_store(&s->start, (uintptr_t)base);
#ifdef MADV_POPULATE_READ
	(void)madvise(base, head + len, MADV_POPULATE_READ); /* one call instead of many faults; those do where it fails */
#endif
	*w = (struct blockdev_window){ base + head, base, head + len, s };
	return true;
}

bool blockdev_unmap(struct blockdev_window *w)
{
	struct slot *s = w->slot;
	bool whole = !atomic_load(&s->lost);

	slot_give(s);
	munmap(w->base, w->mapped);
	return whole;
}
