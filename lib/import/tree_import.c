/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that fill a dataset. */
#include "import/run.h"
#include "archive/archive.h"
#include "base/error.h"
#include "base/log.h"
#include "host/host.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * "SECONDS GROUP SEQ INO" of the last import of a host directory into the directory INO. GROUP and SEQ are the dataset's next
 * number after it: a rollback or a clone changes them, and then the time says nothing of the contents.
 */
#define UPDATE_PROP "user:lcpfs.update"
#define CLOCK_SLACK_S 2 /* the coarsest clock of a host file system */

struct fill {
	struct run run;
	struct dataset *ds;
	uint64_t root;
	struct ds_sink_opts so;
	struct entry_sink *sink;
};

static void now_deleting(void *arg)
{
	((struct run *)arg)->phase = "removing";
}

static int fill_begin(struct fill *f, struct lcpfs_dataset *ds, const char *path, const struct lcpfs_tree_opts *o, const char *phase,
                      struct lcpfs_error *err)
{
	struct inode in;
	int rc = run_begin(&f->run, o, phase, err);

	f->ds = ds->ds;
	if (!rc && !f->ds->writable)
		rc = lcpfs_fail(err, LCPFS_EROFS, "'%.200s' cannot be changed", f->ds->name ? f->ds->name : "");
	if (!rc)
		rc = spa_may_write(f->ds->spa, err);
	if (rc)
		return rc;
	rc = zpl_resolve(f->ds, path, true, &f->root, err);
	if (!rc)
		rc = zpl_inode_get(f->ds, f->root, &in, err);
	if (!rc && !S_ISDIR(in.mode))
		rc = lcpfs_fail(err, LCPFS_ENOTDIR, "not a directory");
	if (rc)
		return lcpfs_within(err, rc, "/%.200s", path + strspn(path, "/"));
	o = f->run.o;
	f->so = (struct ds_sink_opts){ .exact = o->flags & LCPFS_TREE_DELETE, .warn = run_told, .warn_arg = &f->run, .deleting = now_deleting };
	if (o->flags & LCPFS_TREE_DUPLICATES)
		f->so.twins_bytes = f->ds->spa->memory / 8;
	f->so.root_now = o->flags & LCPFS_TREE_BASENAME || o->as;
	now_get(&f->so.now.sec, &f->so.now.nsec);
	return 0;
}

/* Owns src. */
static int fill_from(struct fill *f, struct entry_source *src, bool archive, uint64_t *compared, struct lcpfs_error *err)
{
	int rc = ds_sink_open(&f->sink, f->ds, f->root, &f->so, err);

	if (rc) {
		src->ops->close(src);
		return rc;
	}
	f->run.ds_sink = f->sink;
	rc = run_copy(&f->run, src, archive, f->sink, err);
	ds_sink_counts(f->sink, &f->run.st.changed, &f->run.st.removed, compared);
	f->sink->ops->close(f->sink);
	f->run.ds_sink = NULL;
	return rc;
}

static int fill_archive(struct fill *f, int fd, const char *name, struct lcpfs_error *err)
{
	struct arch_source_opts ao = { .exclude = f->run.o->exclude, .warn = run_told_source, .warn_arg = &f->run };
	struct entry_source *src;
	uint64_t compared;
	int rc = arch_source_open(&src, fd, name, &ao, err);

	/* contents are compared whatever the times say: archives made to be reproducible have one time for all */
	return rc ? rc : fill_from(f, src, true, &compared, err);
}

/* Times of the last import say which contents need not be read again. */
static int trust_from_prop(struct fill *f, struct lcpfs_error *err)
{
	char *value = NULL, *source = NULL;
	uint64_t seq, ino;
	uint32_t group;
	int64_t sec;
	int rc = dmu_prop_get(f->ds->spa, f->ds->rec.id, UPDATE_PROP, &value, &source, err);

	if (rc == -LCPFS_ENOENT || rc == -LCPFS_ENODATA)
		return 0;
	if (!rc && value && source && strcmp(source, "local") == 0 &&
	    sscanf(value, "%" SCNd64 " %" SCNu32 " %" SCNu64 " %" SCNu64, &sec, &group, &seq, &ino) == 4 && ino == f->root &&
	    group == f->ds->rec.group && seq <= f->ds->info.next_seq && sec > INT64_MIN + CLOCK_SLACK_S) {
		f->so.trust = true;
		f->so.trust_before = (struct itime){ .sec = sec - CLOCK_SLACK_S };
	}
	free(value);
	free(source);
	return rc;
}

static int set_prop(struct fill *f, struct lcpfs_error *err)
{
	char value[120];

	snprintf(value, sizeof value, "%" PRId64 " %" PRIu32 " %" PRIu64 " %" PRIu64, f->so.now.sec, f->ds->rec.group,
	    f->ds->info.next_seq, f->root);
	return dmu_prop_set(f->ds->spa, f->ds->rec.id, UPDATE_PROP, value, err);
}

static int fill_host(struct fill *f, const char *source, bool is_dir, struct lcpfs_error *err)
{
	const struct lcpfs_tree_opts *o = f->run.o;
	struct host_source_opts ho = { .exclude = o->exclude, .warn = run_told_source, .warn_arg = &f->run };
	bool timed = is_dir && !f->so.root_now && !(o->flags & LCPFS_TREE_REPRODUCIBLE);
	struct entry_source *src;
	uint64_t compared = 0;
	int rc = timed && !(o->flags & LCPFS_TREE_CHECKSUM) ? trust_from_prop(f, err) : 0;

	if (f->ds->spa->threads > 1)
		ho.flags |= HOST_AHEAD;
	if (f->so.trust)
		ho.flags |= HOST_XATTR_LATER;
	if (o->flags & LCPFS_TREE_ONE_FS)
		ho.flags |= HOST_ONE_FS;
	if (o->flags & LCPFS_TREE_BASENAME && !o->as)
		ho.flags |= HOST_BASENAME;
	if (!rc)
		rc = host_source_open(&src, source, &ho, err);
	if (!rc)
		rc = fill_from(f, src, false, &compared, err);
	if (!rc && timed && !f->run.st.warnings && f->run.st.changed + f->run.st.removed + compared)
		rc = set_prop(f, err);
	return rc;
}

/* A file that is to be unpacked. */
static int fill_file(struct fill *f, const char *source, const struct stat *st, struct lcpfs_error *err)
{
	int fd = open(source, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return lcpfs_fail_errno(err, errno, "cannot open '%.200s'", source);
	if (S_ISREG(st->st_mode) && !arch_probe(fd))
		rc = lcpfs_fail(err, LCPFS_EINVAL, "'%.200s' is neither a directory nor an archive", source);
	else
		rc = fill_archive(f, fd, source, err);
	close(fd);
	return rc;
}

int lcpfs_tree_import(struct lcpfs_dataset *ds, const char *path, const char *source, const struct lcpfs_tree_opts *o,
                      struct lcpfs_tree_stats *stats, struct lcpfs_error *err)
{
	struct fill f;
	struct stat st;
	int rc;

	if (strcmp(source, "-") == 0)
		return lcpfs_tree_import_fd(ds, path, STDIN_FILENO, "standard input", o, stats, err);
	rc = fill_begin(&f, ds, path, o, "storing", err);
	if (!rc && stat(source, &st))
		rc = lcpfs_fail_errno(err, errno, "cannot open '%.200s'", source);
	if (!rc && (S_ISDIR(st.st_mode) || f.so.root_now))
		rc = fill_host(&f, source, S_ISDIR(st.st_mode), err);
	else if (!rc)
		rc = fill_file(&f, source, &st, err);
	return run_end(&f.run, rc, stats, err);
}

int lcpfs_tree_import_fd(struct lcpfs_dataset *ds, const char *path, int fd, const char *name, const struct lcpfs_tree_opts *o,
                         struct lcpfs_tree_stats *stats, struct lcpfs_error *err)
{
	struct fill f;
	int rc = fill_begin(&f, ds, path, o, "storing", err);

	if (!rc)
		rc = fill_archive(&f, fd, name, err);
	return run_end(&f.run, rc, stats, err);
}

/* Whether directory `ino` is `above` or lies below it. */
static int is_within(struct dataset *ds, uint64_t ino, uint64_t above, bool *yes, struct lcpfs_error *err)
{
	unsigned steps = 0;
	struct inode in;

	for (*yes = false; ino != above; ino = in.parent) {
		int rc = ino == INO_ROOT ? 1 : zpl_inode_get(ds, ino, &in, err);

		if (rc)
			return rc == 1 ? 0 : rc;
		if (++steps > 1000000)
			return lcpfs_fail(err, LCPFS_ECORRUPT, "directories that are their own parents");
	}
	*yes = true;
	return 0;
}

static int refuse_own_copy(const struct fill *f, struct dataset *from, uint64_t ino, const char *base, struct lcpfs_error *err)
{
	const char *name = f->run.o->as ? f->run.o->as : base;
	bool within = false;
	uint64_t there;
	int rc;

	if (from->rec.id != f->ds->rec.id || from->spa != f->ds->spa)
		return 0;
	rc = is_within(f->ds, f->root, ino, &within, err);
	if (!rc && within)
		return lcpfs_fail(err, LCPFS_EINVAL, "a directory cannot be copied into itself");
	if (rc || !*name || zpl_lookup(f->ds, f->root, name, strlen(name), &there, NULL, NULL))
		return rc;
	return there == ino ? lcpfs_fail(err, LCPFS_EINVAL, "'%.200s' would be copied onto itself", name) : 0;
}

static int set_share(struct fill *f, struct dataset *from, struct lcpfs_error *err)
{
	uint32_t flags = f->run.o->flags;
	bool one_pool = from->spa == f->ds->spa;

	if (!one_pool && flags & LCPFS_TREE_REFLINK_ONLY)
		return lcpfs_fail(err, LCPFS_EXDEV, "contents can be shared within one pool only");
	if (one_pool && flags & (LCPFS_TREE_REFLINK | LCPFS_TREE_REFLINK_ONLY))
		f->so.share = from;
	return 0;
}

int lcpfs_tree_copy(struct lcpfs_dataset *from, const char *path, struct lcpfs_dataset *to, const char *to_path,
                    const struct lcpfs_tree_opts *o, struct lcpfs_tree_stats *stats, struct lcpfs_error *err)
{
	struct entry_source *src;
	struct fill f;
	char *base = NULL;
	uint64_t ino, compared;
	int rc = fill_begin(&f, to, to_path, o, "copying", err);

	if (!rc)
		rc = tree_operand(from, path, f.run.o, &ino, &base, err);
	if (!rc)
		rc = refuse_own_copy(&f, from->ds, ino, base, err);
	if (!rc)
		rc = set_share(&f, from->ds, err);
	if (!rc)
		rc = tree_source(&src, &f.run, from, ino, base, err);
	if (!rc)
		rc = fill_from(&f, src, false, &compared, err);
	free(base);
	return run_end(&f.run, rc, stats, err);
}
