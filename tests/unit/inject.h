/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults in what a process takes from its C library: the nth allocation, or the nth thread, fails. One file of a program (or of a library
 * that is preloaded into one) includes this; the definitions here come before those of the C library for everything that is linked. Under the address
 * sanitizer, memory comes from it. With `track` set, what is allocated and not freed is remembered by the address it was allocated from.
 */
#ifndef INJECT_H
#define INJECT_H
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

enum inject_kind { INJECT_ALLOC, INJECT_THREAD, INJECT_KINDS };
struct inject_counter {
	atomic_bool armed;
	bool sticky;                    /* everything from the nth on fails */
	atomic_ullong seen, fired;
	unsigned long long fail_at;     /* from 0 */
	void *at[24];                   /* where the first call that failed came from, innermost first */
	int depth;
};
static struct inject_counter inject[INJECT_KINDS];

/* These run before the sanitizers have begun. */
#define INJECT_PLAIN __attribute__((no_sanitize_address, no_sanitize_undefined))
#if defined(__SANITIZE_ADDRESS__)
#define INJECT_REAL(name) __interceptor_##name
#else
#define INJECT_REAL(name) __libc_##name
#endif
extern void *INJECT_REAL(malloc)(size_t n);
extern void *INJECT_REAL(calloc)(size_t n, size_t m);
extern void *INJECT_REAL(realloc)(void *p, size_t n);
extern void INJECT_REAL(free)(void *p);
#if defined(__SANITIZE_ADDRESS__)
extern void *__interceptor_aligned_alloc(size_t align, size_t n);
#define inject_aligned __interceptor_aligned_alloc
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:_dl_map_object_deps\n"; }
#else
extern void *__libc_memalign(size_t align, size_t n);
#define inject_aligned __libc_memalign
#endif

/* Code whose allocations always succeed: the dynamic linker, and libarchive and the sanitizer with what they call, which end the process themselves. */
static const char *const inject_spare[] = { "/ld-", "/libarchive.so", "/libasan.so" };
static uintptr_t inject_spared[3][2];
static void *inject_self; /* the program */

static int inject_find(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *base = strrchr(info->dlpi_name, '/');

	(void)size;
	(void)arg;
	for (unsigned k = 0; base && k < 3; k++) {
		if (strncmp(base, inject_spare[k], strlen(inject_spare[k])) != 0)
			continue;
		inject_spared[k][0] = info->dlpi_addr;
		for (unsigned i = 0; i < info->dlpi_phnum; i++)
			if (info->dlpi_phdr[i].p_type == PT_LOAD)
				inject_spared[k][1] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	}
	return 0;
}

INJECT_PLAIN static inline bool inject_spares(const void *at)
{
	for (unsigned k = 0; k < 3; k++)
		if ((uintptr_t)at >= inject_spared[k][0] && (uintptr_t)at < inject_spared[k][1])
			return true;
	return false;
}

/* ---- what is live ---- */

#define INJECT_SLOTS (1u << 18)
struct inject_live { void *p, *at; size_t n; };
static struct inject_live inject_slot[INJECT_SLOTS];
static size_t inject_n_live;
static bool inject_track;
static atomic_flag inject_lock = ATOMIC_FLAG_INIT;

INJECT_PLAIN static inline size_t inject_home(const void *p)
{
	return (size_t)(((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u >> 20) % INJECT_SLOTS;
}

INJECT_PLAIN static inline void inject_note(void *p, size_t n, void *at)
{
	size_t i = inject_home(p);

	if (!inject_track || !p || inject_spares(at))
		return;
	while (atomic_flag_test_and_set_explicit(&inject_lock, memory_order_acquire))
		;
	if (inject_n_live < INJECT_SLOTS / 2) {
		while (inject_slot[i].p)
			i = (i + 1) % INJECT_SLOTS;
		inject_slot[i] = (struct inject_live){ p, at, n };
		inject_n_live++;
	}
	atomic_flag_clear_explicit(&inject_lock, memory_order_release);
}

INJECT_PLAIN static inline void inject_drop(void *p)
{
	size_t i = inject_home(p), j;

	if (!inject_n_live || !p)
		return;
	while (atomic_flag_test_and_set_explicit(&inject_lock, memory_order_acquire))
		;
	while (inject_slot[i].p && inject_slot[i].p != p)
		i = (i + 1) % INJECT_SLOTS;
	if (inject_slot[i].p) {
		inject_n_live--;
		for (j = (i + 1) % INJECT_SLOTS; inject_slot[j].p; j = (j + 1) % INJECT_SLOTS) {
			size_t home = inject_home(inject_slot[j].p);

			if ((j - home) % INJECT_SLOTS >= (j - i) % INJECT_SLOTS) {
				inject_slot[i] = inject_slot[j];
				i = j;
			}
		}
		inject_slot[i].p = NULL;
	}
	atomic_flag_clear_explicit(&inject_lock, memory_order_release);
}

/* ---- failing ---- */

/* Some library that one of these called. */
INJECT_PLAIN static bool inject_within_spared(void)
{
	void *at[24];
	int n = backtrace(at, 24);

	for (int i = 0; i < n; i++) {
		Dl_info in = { 0 };
		bool named = dladdr(at[i], &in) && in.dli_sname;

		/* looking up users and groups is one of the C library's that ends the process */
		if (inject_spares(at[i]) || (named && (strncmp(in.dli_sname, "getpw", 5) == 0 || strncmp(in.dli_sname, "getgr", 5) == 0)))
			return true;
		/* our own code, which libarchive calls for input and output, looks after itself */
		if (i > 2 && in.dli_fbase == inject_self)
			return false;
	}
	return false;
}

INJECT_PLAIN static bool inject_due(enum inject_kind kind, void *at)
{
	struct inject_counter *c = &inject[kind];
	unsigned long long i;

	if (!atomic_load_explicit(&c->armed, memory_order_relaxed))
		return false;
	if (inject_spares(at))
		return false;
	i = atomic_fetch_add(&c->seen, 1);
	if (i != c->fail_at && !(c->sticky && i > c->fail_at))
		return false;
	if (inject_within_spared()) {
		atomic_fetch_add(&c->fired, 1);
		return false;
	}
	if (!atomic_fetch_add(&c->fired, 1))
		c->depth = backtrace(c->at, sizeof c->at / sizeof *c->at);
	errno = kind == INJECT_ALLOC ? ENOMEM : EAGAIN;
	return true;
}

/* Before anything else. */
static inline void inject_init(void)
{
	Dl_info in;

	dl_iterate_phdr(inject_find, NULL);
	inject_self = (void *)getauxval(AT_PHDR);
	if (dladdr(inject_self, &in))
		inject_self = in.dli_fbase;
	backtrace(inject->at, 1); /* it allocates the first time */
}

static inline void inject_arm(enum inject_kind kind, unsigned long long fail_at, bool sticky)
{
	struct inject_counter *c = &inject[kind];

	atomic_store(&c->seen, 0);
	atomic_store(&c->fired, 0);
	c->fail_at = fail_at;
	c->sticky = sticky;
	atomic_store(&c->armed, true);
}

/* One line: "file+0x123 file+0x456", for addr2line. */
static inline void inject_print(void *const *at, int n)
{
	printf("#");
	for (int i = 0; i < n; i++) {
		Dl_info in = { 0 };
		const char *base;

		if (!dladdr(at[i], &in) || !in.dli_fname)
			continue;
		base = strrchr(in.dli_fname, '/');
		printf(" %s+0x%zx", base ? base + 1 : in.dli_fname, (size_t)((char *)at[i] - (char *)in.dli_fbase));
	}
	printf("\n");
}

static inline void inject_disarm(void)
{
	for (unsigned k = 0; k < INJECT_KINDS; k++)
		atomic_store(&inject[k].armed, false);
}

#define INJECT_CALLER __builtin_return_address(0)

INJECT_PLAIN void *malloc(size_t n)
{
	void *p = inject_due(INJECT_ALLOC, INJECT_CALLER) ? NULL : INJECT_REAL(malloc)(n);

	inject_note(p, n, INJECT_CALLER);
	return p;
}

INJECT_PLAIN void *calloc(size_t n, size_t m)
{
	void *p = inject_due(INJECT_ALLOC, INJECT_CALLER) ? NULL : INJECT_REAL(calloc)(n, m);

	inject_note(p, n * m, INJECT_CALLER);
	return p;
}

INJECT_PLAIN void *realloc(void *old, size_t n)
{
	void *p;

	if (inject_due(INJECT_ALLOC, INJECT_CALLER))
		return NULL;
	inject_drop(old);
	p = INJECT_REAL(realloc)(old, n);
	inject_note(p, n, INJECT_CALLER);
	return p;
}

INJECT_PLAIN void *aligned_alloc(size_t align, size_t n)
{
	void *p = inject_due(INJECT_ALLOC, INJECT_CALLER) ? NULL : inject_aligned(align, n);

	inject_note(p, n, INJECT_CALLER);
	return p;
}

INJECT_PLAIN int posix_memalign(void **out, size_t align, size_t n)
{
	void *p = inject_due(INJECT_ALLOC, INJECT_CALLER) ? NULL : inject_aligned(align, n);

	inject_note(p, n, INJECT_CALLER);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

INJECT_PLAIN void free(void *p)
{
	inject_drop(p);
	INJECT_REAL(free)(p);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (inject_due(INJECT_THREAD, INJECT_CALLER))
		return EAGAIN;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(t, attr, fn, arg);
}
#endif
