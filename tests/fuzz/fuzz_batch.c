/* SPDX-License-Identifier: Apache-2.0 */
/* A script of lcpfs-batch: read, and carried out in a pool in memory that is dropped afterwards. What would read the host's files is only read. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "batch/batch.h"
#include "common/datasets.h"
#include "lcpfs/lcpfs.h"

static const struct cmd_spec spec = { .name = "fuzz", .synopsis = "fuzz" };
static jmp_buf out;

static void wrong(const char *text)
{
	(void)text;
	longjmp(out, 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const snaps[] = { "@one" };
	struct lcpfs_create_opts co = { .open = { .threads = 1 }, .reproducible = true };
	struct lcpfs_dataset *ds;
	struct lcpfs_pool *p;

	(void)argc, (void)argv;
	setenv("TZ", "UTC", 1);
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	cmd_init(&spec);
	if (lcpfs_pool_create(&p, "ram:fuzz", &co, NULL) || lcpfs_dataset_open(&ds, p, "", NULL) || lcpfs_mkdir(ds, "a/b", 0755, true, NULL) ||
	    lcpfs_snap_create(p, snaps, 1, false, NULL) || lcpfs_pool_commit(p, NULL))
		abort();
	lcpfs_dataset_close(ds);
	lcpfs_pool_close(p, NULL);
	return 0;
}

static void requests(struct script *s)
{
	for (unsigned n = 0; n < 200; n++) {
		struct lcpfs_error err = { 0 };
		struct request r;
		int rc = script_next(s, &r, &err);

		if (!rc && strcmp(r.verb->name, "put"))
			rc = r.verb->fn(&r, &err);
		if (rc < 0 && !err.msg[0])
			abort();
		request_fini(&r);
		if (rc)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct script s = { .name = "fuzz", .line = 1, .first_line = 1 };
	struct cmd_target t = { .text = "ram:fuzz:", .pool = (char *)"ram:fuzz", .dataset = (char *)"", .path = (char *)"", .is_pool = true };

	s.f = len ? fmemopen((void *)data, len, "r") : NULL;
	if (!s.f)
		return 0;
	cmd.threads = 1;
	batch_dataset = "";
	batch_pool = cmd_pool(&t, LCPFS_OPEN_RW, NULL);
	if (!batch_pool)
		abort();
	cmd_on_usage = wrong;
	if (!setjmp(out))
		requests(&s);
	cmd_on_usage = NULL;
	fclose(s.f);
	cmd_close_all();
	return 0;
}
