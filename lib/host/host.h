/* SPDX-License-Identifier: Apache-2.0 */
/* host: reading and creating trees of the operating system, with every attribute and without being led outside. */
#ifndef HOST_H
#define HOST_H
#include "base/entry.h"

struct host_source_opts {
	uint32_t flags;             /* HOST_* below */
	const char *const *exclude; /* NULL-terminated shell patterns (fnmatch, no FNM_PATHNAME) on the relative path or the last component */
	entry_warn_fn *warn;        /* what could not be read in full; NULL = silent */
	void *warn_arg;
};
#define HOST_ONE_FS 1u    /* do not descend into other file systems */
#define HOST_BASENAME 2u  /* a file, or a directory without trailing slash: entries are named under its last component */
#define HOST_AHEAD 4u        /* directories and attributes are read on a thread of its own while the caller works */
#define HOST_XATTR_LATER 8u  /* extended attributes come as ENTRY_XATTR_LATER */

/*
 * A directory tree (or one file) as a source. Order: byte-wise sorted names, depth first: a directory, then what is in it.
 * Directories of millions of entries and paths beyond PATH_MAX work (openat one component at a time; descriptors are
 * bounded whatever the depth). Never follows a symlink below `path` (path itself may be one). Content by SEEK_DATA/
 * SEEK_HOLE, by size from fstat of the open fd: a file that shrinks or grows is retried once, then what was read is
 * kept and named. The second and later names of an inode come as ENTRY_HARDLINK. Unreadable things are named through
 * warn and left out. Atime is not changed where O_NOATIME is permitted. stx_btime is kept where the host has it.
 */
int host_source_open(struct entry_source **out, const char *path, const struct host_source_opts *o, struct lcpfs_error *err);
/* How many things `warn` was told; the caller's exit status is 3 when not 0. */
uint64_t host_source_warnings(const struct entry_source *s);

struct host_sink_opts {
	uint32_t flags;      /* HOST_SINK_* */
	unsigned threads;    /* for entries that are given away (take); 0: one */
	entry_warn_fn *warn;
	void *warn_arg;
};
#define HOST_SINK_OWNER 1u     /* restore uid and gid (default only when root) */
#define HOST_SINK_NO_OWNER 2u
#define HOST_SINK_SAFE 4u      /* what an archive is given: drop setuid/setgid/sticky-on-files and device nodes, saying so */
#define HOST_SINK_NO_XATTR 8u
#define HOST_SINK_OVERWRITE 16u /* existing non-directories are replaced; without it they are an error, LCPFS_EEXIST */
#define HOST_SINK_NUMERIC 32u

/*
 * Create entries beneath the directory `path` (made when absent). Every component is resolved with openat2
 * RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS (an own component walk where the kernel lacks it), so no symlink that was there
 * before or came with the entries can lead outside. Missing parents are made (0755). A file never permits more than it will
 * when complete; directory times and modes are set in finish. All-zero and absent ranges become holes.
 * Restores, where permitted: owner, mode with setuid and sticky, nanosecond atime and mtime (also of symlinks),
 * every xattr, ACLs, capabilities (after the owner), fifos, sockets, devices, hard links. What is not is named through warn.
 */
int host_sink_open(struct entry_sink **out, const char *path, const struct host_sink_opts *o, struct lcpfs_error *err);
/* A warning of the caller's, told when what was given before it is done: for an order that does not depend on threads. */
void host_sink_tell(struct entry_sink *k, const char *path, const struct lcpfs_error *why);
uint64_t host_sink_warnings(const struct entry_sink *k);
#endif
