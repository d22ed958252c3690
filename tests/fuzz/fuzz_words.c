/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the command line: operands, sizes, times, modes, ranges, values. Wrong ones end the command, here by a jump. */
#include <setjmp.h>
#include "fuzz.h"
#include "common/edit.h"
#include <stdlib.h>
#include <string.h>

static const struct cmd_spec spec = { .name = "fuzz", .synopsis = "fuzz" };
static jmp_buf out;

static void wrong(const char *text)
{
	if (!text || !*text)
		abort();
	longjmp(out, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	setenv("TZ", "UTC", 1);
	cmd_init(&spec);
	return 0;
}

static void target(const char *text)
{
	struct cmd_target t;
	char *head, *snap;

	cmd_target(&t, text);
	if (!t.pool || !*t.pool || !t.dataset || !t.path || strncmp(text, t.pool, strlen(t.pool)))
		abort();
	cmd_snap_split(t.dataset, &head, &snap);
	if (strlen(head) + (snap ? strlen(snap) + 1 : 0) != strlen(t.dataset))
		abort();
	free(head);
	free(snap);
	cmd_target_fini(&t);
}

static void value(const char *text)
{
	void *v = NULL;
	size_t n = 0;

	if (!edit_value_parse(text, &v, &n))
		return;
	for (const char *f = "hb"; *f; f++) {
		char *print = edit_value_print(v, n, *f);
		void *again = NULL;
		size_t m = 0;

		if (!edit_value_parse(print, &again, &m) || m != n || (n && memcmp(v, again, n)))
			abort();
		free(again);
		free(print);
	}
	free(v);
}

static void word(uint8_t kind, const char *text)
{
	static const struct lcpfs_time now = { 1714564800, 500 };
	struct cmd_mode m;
	struct edit_size es;
	struct edit_range er;
	struct lcpfs_time t;
	uint64_t size;

	switch (kind % 8) {
	case 0: target(text); break;
	case 1: cmd_size_parse(text, &size); break;
	case 2:
		if (cmd_time_parse(text, now, &t) && t.nsec >= 1000000000)
			abort();
		break;
	case 3:
		cmd_mode("-m", text, &m);
		if (cmd_mode_apply(&m, 0100644) > 07777)
			abort();
		break;
	case 4: edit_size_parse(text, &es); break;
	case 5: edit_range_parse(text, &er); break;
	case 6: value(text); break;
	default: cmd_number("-n", text, 1, 1000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	if (!text || !len) {
		free(text);
		return 0;
	}
	memcpy(text, data + 1, len - 1);
	text[len - 1] = 0;
	cmd_on_usage = wrong;
	if (!setjmp(out))
		word(data[0], text);
	cmd_on_usage = NULL;
	free(text);
	return 0;
}
