/* SPDX-License-Identifier: Apache-2.0 */
/* Findings of scrub and fsck, printed. */
#include "common/problems.h"
#include <inttypes.h>

const char *problem_class(const struct lcpfs_problem_kind *k)
{
	return k->cls == LCPFS_REPAIR_SAFE ? "safe" : k->cls == LCPFS_REPAIR_LOSSY ? "lossy" : "none";
}

static void show_json(const struct problems *pr, const struct lcpfs_problem *p)
{
	struct cmd_json j;

	cmd_json_start(&j, stdout);
	cmd_json_object(&j, "problem");
	cmd_json_name(&j, "pool", pr->pool);
	cmd_json_str(&j, "code", p->code);
	cmd_json_u64(&j, "phase", p->phase);
	if (p->dataset)
		cmd_json_name(&j, "dataset", p->dataset);
	if (p->path)
		cmd_json_name(&j, "path", p->path);
	if (p->ino)
		cmd_json_u64(&j, "ino", p->ino);
	if (p->length) {
		cmd_json_u64(&j, "offset", p->offset);
		cmd_json_u64(&j, "length", p->length);
	}
	if (p->addr)
		cmd_json_u64(&j, "addr", p->addr);
	cmd_json_name(&j, "text", p->text);
	cmd_json_bool(&j, "repairable", p->repairable);
	if (p->kind) {
		cmd_json_str(&j, "class", problem_class(p->kind));
		cmd_json_str(&j, "repair", p->kind->repair);
		cmd_json_str(&j, "note", p->kind->note);
	}
	if (p->device)
		cmd_json_name(&j, "device", p->device);
	if (p->follows)
		cmd_json_bool(&j, "follows", true);
	cmd_json_finish(&j);
}

/* As an operand that the other commands take, so that it can be copied. */
static void show_place(const struct problems *pr, const struct lcpfs_problem *p)
{
	cmd_put_name(pr->pool);
	if (p->dataset) {
		putchar(':');
		if (*p->dataset || !p->path)
			fputs(p->dataset, stdout);
	}
	if (p->path) {
		fputs(p->dataset && *p->dataset ? ":/" : p->dataset ? "/" : ":/", stdout);
		cmd_put_name(*p->path == '/' ? p->path + 1 : p->path);
	}
}

void problem_show(void *arg, const struct lcpfs_problem *p)
{
	struct problems *pr = arg;

	pr->n++;
	if (pr->quiet)
		return;
	cmd_progress_end();
	if (cmd.json) {
		show_json(pr, p);
		return;
	}
	show_place(pr, p);
	if (p->length)
		printf(": bytes %" PRIu64 " to %" PRIu64, p->offset, p->offset + p->length - 1);
	printf(": %s [%s]\n", p->text, p->code);
}
