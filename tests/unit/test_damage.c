/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The damage matrix: every field of every structure of a small pool, turned over, zeroed, set to ones, exchanged with its neighbour's and put back to what
 * it was in an older copy; with the hashes above it as they were, and with all of them made right. Then everything is read and checked: there is a problem
 * or an error, or what was read is what was written; or the field holds what is a user's own (a time, a byte of a file), which no check can know.
 * Repair comes after: what it leaves is clean, or said to be left; the second time nothing is left to do, and what reads without an error reads so again.
 * LCPFS_DAMAGE=all: the whole matrix, else a sample of it. LCPFS_DAMAGE_AT=N: only number N, with what is found.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>
#include "damage.h"
#include "format/inode.h"
#include "lcpfs/check.h"

enum how { FLIP_LOW, FLIP_HIGH, ZERO, ONES, SWAP, OLDER, HOWS };
static const char *const how_name[] = { "lowest bit", "highest bit", "zero", "ones", "neighbour's", "older" };
/* FREE: any value is as good as another. SAME: of these two may be another's, as good (a pointer that is exchanged). */
enum { FREE = 1 };
struct field { uint16_t at, len; const char *name; unsigned flags; };

static struct rig rig;
static uint64_t good_hash;
static char now[200]; /* the case, for a crash */
static long only = -1, stride = 1, number;
static struct { unsigned long run, found, read_error, unused, own, decode, repaired, left, refused, skipped, silent; } count;

/* ---- one case ---- */

static int open_rig(struct lcpfs_blockdev **out, const char *rest, uint32_t flags, void *arg, struct lcpfs_error *err)
{
	(void)rest, (void)arg, (void)err;
	*out = memory_dev(&rig.work, flags & LCPFS_DEV_OPEN_RW);
	return 0;
}

static void on_problem(void *arg, const struct lcpfs_problem *p)
{
	(void)arg;
	if (only >= 0)
		printf("#   %s [%s] %s: %s\n", p->code, p->dataset ? p->dataset : "-", p->path ? p->path : "-", p->text);
}

static void check_memory(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	if (u.ru_maxrss > 256 << 10 && !strstr(now, "(memory)")) {
		ok_msg(false, "%ld %s: %ld KiB", number, now, u.ru_maxrss);
		exit(1);
	}
}

static const struct lcpfs_open_opts small = { .threads = 1, .memory_bytes = 32 << 20 };

/* Twice: what the first leaves, the second finds; and where nothing is left, all reads. */
static void repair(void)
{
	struct lcpfs_check_opts o = { .data = true, .repair = LCPFS_REPAIR_LOSSY, .problem = on_problem };
	struct lcpfs_repair_stats a = { 0 }, b = { 0 };
	struct lcpfs_error err = { 0 };
	uint64_t hash = 0;
	int rc = lcpfs_fsck_repair("rig:x", &small, &o, NULL, &a, &err);

	if (only >= 0)
		printf("#   repair: rc %d %s, found %" PRIu64 " fixed %" PRIu64 " left %" PRIu64 "\n", rc, err.msg, a.found, a.fixed, a.left);
	if (rc) {
		count.refused++;
		ok_msg(err.code, "%s: repair fails without a reason", now);
		return;
	}
	rc = lcpfs_fsck_repair("rig:x", &small, &o, NULL, &b, &err);
	if (only >= 0)
		printf("#   again: rc %d %s, found %" PRIu64 " fixed %" PRIu64 " left %" PRIu64 "\n", rc, err.msg, b.found, b.fixed, b.left);
	ok_msg(!rc, "%ld %s: the second repair fails: %s", number, now, err.msg);
	ok_msg(b.found == a.left, "%ld %s: the first repair leaves %" PRIu64 ", the second finds %" PRIu64, number, now, a.left, b.found);
	ok_msg(b.left <= b.found, "%ld %s: the second repair leaves %" PRIu64 " of %" PRIu64, number, now, b.left, b.found);
	*(b.left ? &count.left : &count.repaired) += 1;
	if (!b.left)
		ok_msg(read_all(memory_dev(&rig.work, false), &hash) == 0, "%ld %s: clean after a repair, and does not read", number, now);
}

/* Contents that do not decode and have the right hash: a check reads no further than the hash, a scrub does when it is asked to. */
static bool finds_decode(void)
{
	struct lcpfs_check_opts o = { .data = true, .decode = true };
	struct lcpfs_scrub_stats st = { 0 };
	struct lcpfs_pool *p;
	int rc;

	if (lcpfs_pool_open_dev(&p, memory_dev(&rig.work, false), &small, NULL))
		return true;
	rc = lcpfs_scrub(p, &o, &st, NULL);
	lcpfs_pool_close(p, NULL);
	return rc && st.bad_blocks;
}

/* own: what is read may differ, without a problem. */
static void look(bool fixed, bool own)
{
	struct lcpfs_check_opts o = { .data = true, .problem = on_problem };
	struct lcpfs_error err = { 0 };
	uint64_t problems = 0, hash = 0;
	unsigned errors;
	int rc;

	alarm(30);
	errors = read_all(memory_dev(&rig.work, false), &hash);
	rc = lcpfs_fsck_dev(memory_dev(&rig.work, false), &small, &o, &problems, &err);
	count.run++;
	count.read_error += errors != 0;
	if (only >= 0)
		printf("# %ld %s: %u errors, same %d, fsck rc %d %s, problems %" PRIu64 "\n", number, now, errors, hash == good_hash, rc, err.msg, problems);
	if (rc || problems)
		count.found++;
	else if (errors && finds_decode())
		count.decode++;
	else if (errors)
		ok_msg(false, "%ld %s: clean, and %u errors when read", number, now, errors);
	else if (hash == good_hash)
		count.unused++;
	else if (own && fixed)
		count.own++;
	else
		count.silent++, ok_msg(false, "%ld %s: what is read differs, and nobody says so", number, now);
	if (rc || problems)
		repair();
	alarm(0);
	check_memory();
}

static bool wanted(void)
{
	number++;
	return only >= 0 ? number == only : number % stride == 0;
}

static void named(bool fixed, enum how how, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void named(bool fixed, enum how how, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	n = (size_t)vsnprintf(now, sizeof now, fmt, ap);
	va_end(ap);
	snprintf(now + MIN(n, sizeof now - 1), sizeof now - MIN(n, sizeof now - 1), ", %s%s", how_name[how], fixed ? ", hashes right" : "");
}

/* False: that is what it is already. other: the neighbour's, or the older one; NULL: there is none. */
static bool spoil(uint8_t *p, size_t n, enum how how, const uint8_t *other)
{
	uint8_t was[4096];

	n = MIN(n, sizeof was);
	memcpy(was, p, n);
	if (!n || (how >= SWAP && !other))
		return false;
	if (how == FLIP_LOW)
		p[0] ^= 1;
	else if (how == FLIP_HIGH)
		p[n - 1] ^= 0x80;
	else if (how == ZERO)
		memset(p, 0, n);
	else if (how == ONES)
		memset(p, 0xff, n);
	else
		memcpy(p, other, n);
	return memcmp(was, p, n) != 0;
}

static void go(bool fixed, bool own)
{
	if (fixed && !rig_fix(&rig)) {
		count.skipped++;
		return;
	}
	look(fixed, own);
}

/* ---- labels, uberblocks, the config ---- */

static const struct field label_fields[] = {
	{ 0, 8, "magic", 0 }, { 8, 2, "major", 0 }, { 10, 2, "minor", 0 }, { 12, 4, "length", 0 }, { 16, 16, "pool uuid", 0 }, { 32, 16, "device uuid", 0 },
	{ 48, 2, "device id", 0 }, { 50, 1, "sector shift", 0 }, { 51, 1, "labels", 0 }, { 52, 4, "ring slots", 0 }, { 56, 8, "ring", 0 }, { 64, 8, "config", 0 },
	{ 72, 8, "config length", 0 }, { 80, 48, "reserved", 0 }, { 128, 8, "data", 0 }, { 136, 8, "size", 0 }, { 144, 8, "region", 0 }, { 152, 8, "region length", 0 },
	{ 160, 8, "created", FREE }, { 168, 64, "rest", 0 },
};
static const struct field uber_fields[] = {
	{ 0, 8, "magic", 0 }, { 8, 2, "major", 0 }, { 10, 2, "minor", 0 }, { 12, 4, "length", 0 }, { 16, 16, "pool uuid", 0 }, { 32, 8, "txg", 0 },
	{ 40, 8, "time", FREE }, { 48, 4, "nanoseconds", FREE }, { 52, 4, "flags", 0 }, { 56, 16, "epoch", 0 }, { 72, 8, "config generation", 0 },
	{ 80, 4, "config length", 0 }, { 84, 1, "config slot", 0 }, { 85, 3, "zeros", 0 }, { 88, 32, "config hash", 0 }, { 120, 8, "pool root address", 0 },
	{ 128, 6, "pool root birth", 0 }, { 134, 1, "pool root kind", 0 }, { 135, 1, "pool root flags", 0 }, { 136, 4, "pool root length", 0 },
	{ 140, 4, "pool root stored", 0 }, { 144, 8, "pool root codecs", 0 }, { 152, 32, "pool root hash", 0 }, { 184, 32, "pool root keys", 0 },
	{ 120, 96, "pool root", 0 }, { 216, 8, "space root address", 0 }, { 224, 6, "space root birth", 0 }, { 232, 4, "space root length", 0 },
	{ 236, 4, "space root stored", 0 }, { 248, 32, "space root hash", 0 }, { 216, 96, "space root", 0 }, { 312, 32, "intent log", 0 }, { 344, 8, "total", 0 },
	{ 352, 8, "free", 0 }, { 360, 8, "next guid", 0 }, { 368, 8, "rewind floor", 0 }, { 376, 8, "txg before", 0 }, { 384, 8, "txg before that", 0 },
	{ 392, 2, "devices", 0 }, { 394, 64, "rest", 0 },
};

static bool is_uber(unsigned i) { return !memcmp(rig.whole.p + rig.headers[i], "LCPFSUBR", 8); }

static uint64_t uber_txg(unsigned i)
{
	struct uberblock u;

	return uberblock_decode(&u, rig.whole.p + rig.headers[i], NULL) ? 0 : u.txg;
}

/* The header i, or with both the other of the same kind and txg too. */
static bool spoil_header(unsigned i, const struct field *f, enum how how, bool both)
{
	bool any = false;

	for (unsigned k = 0; k < rig.n_headers; k++) {
		unsigned next = (k + 1) % rig.n_headers;

		if (k != i && !(both && is_uber(k) == is_uber(i) && uber_txg(k) == uber_txg(i)))
			continue;
		if (how >= SWAP && (is_uber(next) != is_uber(i) || how == OLDER))
			continue;
		any |= spoil(rig.work.p + rig.headers[k] + f->at, f->len, how, rig.whole.p + rig.headers[next] + f->at);
	}
	return any;
}

static void header_case(unsigned i, const struct field *f, enum how how, unsigned mode)
{
	bool fixed = mode & 1, both = mode & 2;

	if (!wanted())
		return;
	rig_reset(&rig);
	if (!spoil_header(i, f, how, both))
		return;
	if (fixed)
		rig_headers(&rig);
	named(fixed, how, "%s %u (txg %" PRIu64 ")%s: %s", is_uber(i) ? "uberblock" : "label", i, uber_txg(i), both ? " and the other" : "", f->name);
	/* another uuid, or a txg that is not in its slot: this one is not of the pool */
	look(fixed, f->flags & FREE);
}

TEST(headers)
{
	for (unsigned i = 0; i < rig.n_headers; i++) {
		const struct field *f = is_uber(i) ? uber_fields : label_fields;
		size_t n = is_uber(i) ? ARRAY_LEN(uber_fields) : ARRAY_LEN(label_fields);

		if (is_uber(i) && uber_txg(i) + 3 < rig.newest)
			continue;
		for (size_t k = 0; k < n; k++)
			for (enum how how = 0; how < OLDER; how++)
				for (unsigned mode = 0; mode < 4; mode++)
					header_case(i, &f[k], how, mode);
	}
	ok(count.run);
}

/* A pool may be of any size, and what it needs of memory to be written grows with it: not what is tried here. */
static bool is_huge(const uint8_t *plain)
{
	struct config c;
	bool huge = false;

	if (config_decode(&c, plain, rig.plain_len, NULL))
		return false;
	for (uint32_t i = 0; i < c.n_chunks; i++)
		huge |= c.chunks[i].col_units > 1u << 16;
	config_fini(&c);
	return huge;
}

TEST(config)
{
	static uint8_t plain[65536];

	for (uint32_t at = 0; at < rig.plain_len; at++)
		for (enum how how = 0; how < SWAP; how++) {
			if (!wanted())
				continue;
			rig_reset(&rig);
			memcpy(plain, rig.plain, rig.plain_len);
			if (!spoil(plain + at, MIN(4u, rig.plain_len - at), how, NULL) || is_huge(plain))
				continue;
			rig_set_config(&rig, plain, rig.plain_len);
			named(true, how, "config: byte %u", at);
			look(true, true);
		}
	for (uint32_t at = 0; at < rig.ub.cfg_len; at += 7)
		for (enum how how = 0; how < SWAP; how++) {
			if (!wanted())
				continue;
			rig_reset(&rig);
			if (!spoil(rig.work.p + rig_config_off(&rig.ub) + at, MIN(4u, rig.ub.cfg_len - at), how, NULL))
				continue;
			named(false, how, "config slot: byte %u", at);
			look(false, false);
		}
}

/* ---- blocks ---- */

static const struct field node_fields[] = {
	{ 0, 4, "magic", 0 }, { 4, 1, "version", 0 }, { 5, 1, "level", 0 }, { 6, 1, "flags", 0 }, { 7, 1, "codec", 0 }, { 8, 4, "pointers", 0 }, { 12, 4, "stored", 0 },
	{ 16, 4, "body", 0 }, { 20, 8, "birth", 0 }, { 28, 8, "tree", 0 }, { 36, 8, "sequence", 0 }, { 44, 4, "crc", 0 }, { 48, 1, "columns", 0 }, { 49, 15, "zeros", 0 },
};
static const struct field ptr_fields[] = {
	{ 0, 4, "sector", 0 }, { 4, 4, "chunk", 0 }, { 8, 6, "birth", 0 }, { 14, 1, "kind", 0 }, { 15, 1, "flags", 0 }, { 16, 4, "length", 0 }, { 20, 4, "stored", 0 },
	{ 24, 1, "codec", 0 }, { 25, 1, "dictionary", 0 }, { 26, 1, "checksum", 0 }, { 27, 1, "suite", 0 }, { 28, 4, "key and zeros", 0 }, { 32, 32, "hash", 0 },
	{ 64, 32, "keys", 0 }, { 0, 96, "all", FREE },
};
static const char *const tree_name[] = { "pool", "space", "dataset" };

static const char *block_name(unsigned i)
{
	static char s[80];
	const struct rig_block *b = &rig.blocks[i];

	snprintf(s, sizeof s, "block %u (%s%s, level %u)", i, tree_name[b->tree], b->head ? " node" : " contents", b->bp.level);
	return s;
}

/* Stored bytes; how: SWAP takes those of the block before. copies: bits. */
static void stored_case(unsigned i, uint32_t at, uint32_t len, const char *what, enum how how, bool fixed, unsigned copies, bool own)
{
	const struct rig_block *b = &rig.blocks[i], *o = i ? &rig.blocks[i - 1] : b;
	uint8_t bytes[128];

	len = MIN(len, MIN(b->bp.psize - at, (uint32_t)sizeof bytes));
	if (!wanted())
		return;
	rig_reset(&rig);
	memcpy(bytes, rig.whole.p + b->off[0] + at, len);
	if (!spoil(bytes, len, how, how == SWAP && at + len <= o->bp.psize ? rig.whole.p + o->off[0] + at : NULL))
		return;
	rig_poke(&rig, i, at, bytes, len, copies);
	named(fixed, how, "%s%s: %s at %u", block_name(i), copies == 1 && b->copies > 1 ? ", first copy" : "", what, at);
	go(fixed, own);
}

static void every_way(unsigned i, uint32_t at, uint32_t len, const char *what, bool own)
{
	for (enum how how = 0; how < OLDER; how++) {
		stored_case(i, at, len, what, how, false, 3, own);
		stored_case(i, at, len, what, how, false, 1, own);
		stored_case(i, at, len, what, how, true, 3, own);
	}
}

static void pointers(unsigned i)
{
	const struct rig_block *b = &rig.blocks[i];
	uint32_t n = (b->head - NODE_HDR) / PTR_LEN;

	for (uint32_t p = 0; p < n; p += n > 4 ? n / 3 : 1)
		for (size_t k = 0; k < ARRAY_LEN(ptr_fields); k++) {
			char what[40];

			snprintf(what, sizeof what, "pointer %u: %s", p, ptr_fields[k].name);
			every_way(i, NODE_HDR + p * PTR_LEN + ptr_fields[k].at, ptr_fields[k].len, what, ptr_fields[k].flags & FREE);
		}
}

TEST(blocks)
{
	for (unsigned i = 0; i < rig.n_blocks; i++) {
		const struct rig_block *b = &rig.blocks[i];

		if (b->old || (!b->head && i % 4))
			continue;
		for (size_t k = 0; b->head && k < ARRAY_LEN(node_fields); k++)
			every_way(i, node_fields[k].at, node_fields[k].len, node_fields[k].name, false);
		if (b->head)
			pointers(i);
		for (enum how how = 0; how < OLDER; how++)
			for (uint32_t k = 0; k < 4; k++) {
				stored_case(i, b->head + (b->bp.psize - b->head) * k / 4, 4, "body", how, false, 3, false);
				/* a codec's output: what it decodes to then may be another name or time */
				stored_case(i, b->head + (b->bp.psize - b->head) * k / 4, 4, "body", how, true, 3, true);
			}
	}
}

/* ---- items ---- */

#define F(at, len, name) { at, len, name, 0 }
#define U(at, len, name) { at, len, name, FREE }
static const struct field inode_fields[] = { U(0, 2, "mode"), F(2, 2, "mode, upper half"), U(4, 4, "uid"), U(8, 4, "gid"), F(12, 4, "nlink"), U(16, 8, "size"),
	F(24, 8, "psize"), F(32, 8, "parent"), F(40, 8, "data_id"), U(48, 8, "rdev"), U(56, 8, "atime"), U(64, 8, "mtime"), U(72, 8, "ctime"), U(80, 8, "btime"),
	U(88, 16, "nanoseconds"), U(104, 1, "flags"), U(104, 4, "all flags"), F(108, 4, "project"), F(112, 8, "gen"), F(120, 4, "record, codec, place"), F(124, 4, "n_xattr"),
	F(128, 4, "symlink's head"), U(132, 4, "symlink") };
static const struct field dsinfo_fields[] = { F(0, 8, "next_seq"), F(8, 4, "group"), F(12, 4, "unicode"), F(16, 4, "node size"), F(20, 4, "record size"),
	F(24, 4, "pack size"), F(28, 4, "slice size"), F(32, 8, "files"), F(40, 24, "zeros") };
static const struct field slice_fields[] = { F(0, 8, "pack"), F(8, 4, "offset"), F(12, 4, "length"), F(16, 4, "charge") };
static const struct field extent_fields[] = { F(0, 4, "length") };
static const struct field pack_fields[] = { F(0, 4, "live bytes"), F(4, 4, "live slices") };
static const struct field xattr_fields[] = { F(0, 1, "how"), U(1, 8, "value"), U(9, 8, "value's size") };
static const struct field xattr_big_fields[] = { F(0, 1, "how"), F(1, 8, "data_id"), U(9, 8, "size") };
static const struct field dirent_fields[] = { F(0, 8, "ino"), F(8, 1, "type") };
static const struct field dataref_fields[] = { F(0, 8, "sharers") };
static const struct field rec_fields[] = { F(0, 8, "id"), U(8, 8, "guid"), F(16, 8, "family"), F(24, 1, "kind"), F(25, 1, "state"), F(26, 2, "flags"),
	F(28, 4, "children"), F(32, 8, "parent"), F(40, 8, "snapshot before"), F(48, 8, "its txg"), F(56, 8, "zeros"), F(64, 8, "hint"), F(72, 8, "created"),
	U(80, 8, "time"), F(88, 4, "group"), F(92, 1, "height"), F(93, 1, "keygen"), F(94, 2, "zeros"), F(96, 32, "ids"), F(128, 8, "ref psize"),
	F(136, 8, "ref lsize"), F(144, 8, "ref blocks"), F(152, 8, "inodes"), F(160, 8, "log"), U(168, 32, "quotas"), U(200, 4, "nanoseconds"), F(204, 20, "zeros") };
static const struct field u64_fields[] = { F(0, 8, "id") };
static const struct field dead_fields[] = { F(0, 8, "blocks"), F(8, 8, "psize") };
static const struct field prop_fields[] = { U(0, 8, "value") };
static const struct field ref_fields[] = { F(0, 8, "references"), F(8, 1, "flags") };
static const struct field page_fields[] = { F(0, 4, "free units"), F(4, 1, "encoding"), F(5, 2, "runs"), F(7, 8, "runs, further") };
static const struct field other_fields[] = { F(0, 8, "first"), F(8, 8, "second"), F(16, 8, "third"), F(24, 8, "fourth"), F(32, 32, "fifth") };

struct kind { enum rig_tree tree; uint8_t type; const char *name; const struct field *f; size_t n; bool key_free; };
#define K(tree, type, name, fields, key_free) { tree, type, name, fields, ARRAY_LEN(fields), key_free }
static const struct kind kinds[] = {
	K(RIG_DS, ITEM_DSINFO, "DSINFO", dsinfo_fields, false), K(RIG_DS, ITEM_SLICE, "SLICE", slice_fields, false),
	K(RIG_DS, ITEM_EXTENT, "EXTENT", extent_fields, true), K(RIG_DS, ITEM_PACK, "PACK", pack_fields, false),
	K(RIG_DS, ITEM_INODE, "INODE", inode_fields, false), K(RIG_DS, ITEM_LINK, "LINK", other_fields, false),
	K(RIG_DS, ITEM_XATTR, "XATTR", xattr_fields, true), K(RIG_DS, ITEM_DIRENT, "DIRENT", dirent_fields, true),
	K(RIG_DS, ITEM_DATAREF, "DATAREF", dataref_fields, false), K(RIG_DS, ITEM_ORPHAN, "ORPHAN", other_fields, false),
	K(RIG_POOL, TBL_DS, "DS", rec_fields, false), K(RIG_POOL, TBL_NAME, "NAME", u64_fields, true),
	K(RIG_POOL, TBL_SNAPTXG, "SNAPTXG", u64_fields, false), K(RIG_POOL, TBL_DEAD, "DEAD", dead_fields, false),
	K(RIG_POOL, TBL_PROP, "PROP", prop_fields, true), K(RIG_POOL, TBL_RECV, "RECV", other_fields, false),
	K(RIG_POOL, TBL_REF, "REF", ref_fields, false), K(RIG_POOL, TBL_FREEQ, "FREEQ", other_fields, false),
	K(RIG_SPACE, TBL_PAGE, "PAGE", page_fields, false),
};

static const struct kind *kind_of(enum rig_tree tree, uint8_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].tree == tree && kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

/* The value of the same key in another leaf, with another value; NULL: none. */
static const uint8_t *older_value(unsigned block, const struct node_item *it)
{
	static struct rig_items other;
	static uint8_t val[VAL_MAX];

	for (unsigned i = 0; i < rig.n_blocks; i++) {
		if (i == block || rig.blocks[i].tree != rig.blocks[block].tree || !rig_items(&rig, i, &other))
			continue;
		for (uint32_t k = 0; k < other.n; k++) {
			const struct node_item *o = &other.v[k];

			if (o->klen == it->klen && o->vlen == it->vlen && !memcmp(o->key, it->key, it->klen) && memcmp(o->val, it->val, it->vlen)) {
				memcpy(val, o->val, o->vlen);
				return val;
			}
		}
	}
	return NULL;
}

static struct rig_items items;

static void value_case(unsigned block, uint32_t i, const struct kind *k, const struct field *f, enum how how)
{
	static uint8_t val[VAL_MAX];
	const struct node_item *it, *next;
	const uint8_t *other = NULL;

	if (!wanted())
		return;
	rig_reset(&rig);
	rig_items(&rig, block, &items);
	it = &items.v[i];
	next = i + 1 < items.n ? it + 1 : i ? it - 1 : it;
	if (f->at >= it->vlen)
		return;
	if (how == SWAP && next->key[0] == it->key[0] && next->vlen >= f->at + f->len)
		other = next->val + f->at;
	if (how == OLDER) {
		uint8_t key[KEY_MAX];
		struct node_item copy = *it;

		memcpy(key, it->key, it->klen);
		copy.key = key;
		other = older_value(block, &copy);
		other = other ? other + f->at : NULL;
		rig_items(&rig, block, &items);
	}
	memcpy(val, it->val, it->vlen);
	if (!spoil(val + f->at, MIN((uint32_t)f->len, it->vlen - f->at), how, other))
		return;
	items.v[i].val = val;
	rig_put_items(&rig, block, &items);
	named(true, how, "block %u (%s) %s %u: %s", block, tree_name[rig.blocks[block].tree], k->name, i, f->name);
	go(true, f->flags & FREE);
}

/* Keys stay in order, or the node is wrong, which is found too. */
static void key_case(unsigned block, uint32_t i, const struct kind *k, unsigned at, enum how how)
{
	uint8_t key[KEY_MAX];

	if (!wanted())
		return;
	rig_reset(&rig);
	rig_items(&rig, block, &items);
	memcpy(key, items.v[i].key, items.v[i].klen);
	if (at >= items.v[i].klen || !spoil(key + at, 1, how, NULL))
		return;
	items.v[i].key = key;
	rig_put_items(&rig, block, &items);
	named(true, how, "block %u (%s) %s %u: byte %u of its key", block, tree_name[rig.blocks[block].tree], k->name, i, at);
	/* what DEAD says of snapshots before the last one is looked at when they are destroyed, which it then refuses */
	go(true, (k->key_free && at >= 9) || (k->type == TBL_DEAD && k->tree == RIG_POOL));
}

static void gone_case(unsigned block, uint32_t i, const struct kind *k)
{
	if (!wanted())
		return;
	rig_reset(&rig);
	rig_items(&rig, block, &items);
	if (items.v[i].nptr)
		return;
	memmove(&items.v[i], &items.v[i + 1], (items.n - i - 1) * sizeof items.v[0]);
	items.n--;
	rig_put_items(&rig, block, &items);
	named(true, ZERO, "block %u (%s) %s %u: gone", block, tree_name[rig.blocks[block].tree], k->name, i);
	go(true, k->type == TBL_PROP && k->tree == RIG_POOL);
}

static void item_cases(unsigned block, uint32_t i, const struct kind *k)
{
	unsigned klen;

	for (size_t f = 0; f < k->n; f++)
		for (enum how how = 0; how < HOWS; how++)
			value_case(block, i, k, &k->f[f], how);
	rig_items(&rig, block, &items);
	klen = items.v[i].klen;
	for (unsigned at = 0; at < klen; at += at < 9 ? 4 : klen > 20 ? klen / 2 : 3)
		for (enum how how = 0; how < SWAP; how++)
			key_case(block, i, k, at, how);
	gone_case(block, i, k);
}

/* Of each kind the first, some in the middle and the last of each leaf. */
TEST(items)
{
	for (unsigned b = 0; b < rig.n_blocks; b++) {
		unsigned seen[256] = { 0 };
		uint32_t n;

		if (rig.blocks[b].old || !rig_items(&rig, b, &items))
			continue;
		n = items.n;
		for (uint32_t i = 0; i < n; i++) {
			const struct kind *k;
			uint8_t type;

			rig_items(&rig, b, &items);
			type = items.v[i].key[0];
			k = kind_of(rig.blocks[b].tree, type);
			ok_msg(k, "block %u: an item of type %u without a row", b, type);
			if (type == ITEM_XATTR && k && k->tree == RIG_DS && items.v[i].val[0] == 1) {
				static const struct kind big = K(RIG_DS, ITEM_XATTR, "XATTR (large)", xattr_big_fields, true);

				k = &big;
			}
			if (k && (seen[type]++ < 3 || i % 37 == 0))
				item_cases(b, i, k);
		}
	}
}

/* Tables of packs, and their contents. */
TEST(packs)
{
	for (unsigned b = 0; b < rig.n_blocks; b++) {
		const struct rig_block *k = &rig.blocks[b];

		if (k->head || k->old || memcmp(k->body, "LPA", 3))
			continue;
		for (uint32_t at = 0; at < k->body_len; at += at < 64 ? 4 : k->body_len / 8)
			for (enum how how = 0; how < SWAP; how++) {
				uint32_t n = (uint32_t)le_load(k->body + 4, 4);

				if (!wanted())
					continue;
				rig_reset(&rig);
				if (!spoil(rig_edit(&rig, b) + at, MIN(4u, k->body_len - at), how, NULL))
					continue;
				named(true, how, "%s: pack, byte %u", block_name(b), at);
				go(true, at + 4 > PACK_HDR + n * PACK_ENT);
			}
	}
}

/* ---- all ---- */

static void counted(void)
{
	if (count.run)
		printf("# %ld cases, %lu run: %lu found, %lu of them when read, and %lu by scrub --decode; %lu unused, %lu a user's own, %lu silent; repair: "
		       "%lu clean, %lu with something left, %lu refused; %lu skipped\n", number, count.run, count.found, count.read_error, count.decode,
		    count.unused, count.own, count.silent, count.repaired, count.left, count.refused, count.skipped);
}

static void stuck(int sig)
{
	char line[300];
	int n = snprintf(line, sizeof line, "not ok - signal %d in case %ld: %s\n", sig, number, now);

	if (write(1, line, (size_t)n) < 0)
		_exit(3);
	_exit(2);
}

__attribute__((constructor)) static void prepare(void)
{
	const char *all = getenv("LCPFS_DAMAGE"), *at = getenv("LCPFS_DAMAGE_AT");
	struct memory m = { 0 };

	damage_pool(&m);
	rig_init(&rig, &m);
	rig_init_old(&rig);
	only = at ? atol(at) : -1;
	stride = all && !strcmp(all, "all") ? 1 : all ? atol(all) : 53;
	must(lcpfs_blockdev_register("rig", open_rig, NULL, NULL));
	read_all(memory_dev(&rig.work, false), &good_hash);
	signal(SIGALRM, stuck);
	atexit(counted);
#ifndef __SANITIZE_ADDRESS__
	signal(SIGSEGV, stuck);
	signal(SIGABRT, stuck);
	signal(SIGFPE, stuck);
#endif
}

TEST(sound)
{
	struct lcpfs_check_opts o = { .data = true, .problem = on_problem };
	uint64_t problems = 1, hash = 0;

	is_int(read_all(memory_dev(&rig.work, false), &hash), 0);
	ok(hash == good_hash);
	is_int(lcpfs_fsck_dev(memory_dev(&rig.work, false), &small, &o, &problems, NULL), 0);
	is_int(problems, 0);
	printf("# image of %" PRIu64 " bytes, %u blocks, %u headers\n", rig.whole.len, rig.n_blocks, rig.n_headers);
}

TAP_MAIN(T(sound), T(headers), T(config), T(blocks), T(items), T(packs))
