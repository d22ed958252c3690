/* SPDX-License-Identifier: Apache-2.0 */
/* archive: tar, pax, GNU sparse, cpio, zip, 7z ... through libarchive, as a source and (pax only) a sink. */
#ifndef ARCHIVE_LAYER_H
#define ARCHIVE_LAYER_H
#include "base/entry.h"

struct arch_source_opts {
	const char *const *exclude; /* as host_source_opts */
	entry_warn_fn *warn;        /* members left out: unsafe paths ("..", absolute ones lose their '/', said once), targets over 4095 bytes, types we have no place for */
	void *warn_arg;
};
/*
 * Read an archive in any format and compression that libarchive knows from the descriptor fd (kept open, stays the
 * caller's); `name` is for messages. Entries come in archive order, paths normalised to entry.h's rule ("./a//b/" is
 * "a/b"); a member that would leave the tree is refused by name. Hard links as ENTRY_HARDLINK with the normalised other
 * path. xattrs: all of pax SCHILY.xattr/LIBARCHIVE.xattr, ACLs turned into system.posix_acl_access/default in the kernel's binary form,
 * file capabilities as security.capability. Truncated or damaged archives: LCPFS_ECORRUPT or LCPFS_ETRUNC naming the archive and
 * the member, never a silent end. Memory is bounded whatever the archive says of sizes.
 */
int arch_source_open(struct entry_source **out, int fd, const char *name, const struct arch_source_opts *o, struct lcpfs_error *err);
uint64_t arch_source_warnings(const struct entry_source *s);
/* True when the file open at fd (seekable; its offset is kept) begins like an archive libarchive can read. */
bool arch_probe(int fd);

struct arch_sink_opts {
	const char *format;  /* "pax" (default); "ustar", "gnutar", "cpio", "zip" as libarchive names them */
	const char *filter;  /* NULL or a libarchive filter name: "zstd", "gzip", "xz" */
	entry_warn_fn *warn; /* what the format has no place for: sockets (left out), attributes, long names ... */
	void *warn_arg;
};
/*
 * Write an archive to fd (stays the caller's). pax holds everything but sockets: holes as GNU sparse 1.0, nanosecond
 * times, xattrs, ACLs (SCHILY.acl.*), hard links. Deterministic (zip: local times, so the same TZ). Holes are known
 * before the header when the entry says ENTRY_HOLES or they show in the first 4 MiB; content that must wait for its map
 * goes to an unlinked temporary file.
 */
int arch_sink_open(struct entry_sink **out, int fd, const char *name, const struct arch_sink_opts *o, struct lcpfs_error *err);
uint64_t arch_sink_warnings(const struct entry_sink *k);
#endif
