/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of every command: options, operands, messages, exit status, output.
 *
 * A command looks like this:
 *
 *     static const struct cmd_spec spec = {
 *             .name = "lcpfs-size",
 *             .synopsis = "lcpfs-size [-p] [--json] TARGET ...",
 *             .shared = CMD_O_PARSABLE | CMD_O_JSON,
 *             .letters = "k",                        // its own options, as for getopt
 *     };
 *
 *     int main(int argc, char *argv[])
 *     {
 *             int ch, status = CMD_OK;
 *
 *             cmd_init(&spec);
 *             while ((ch = cmd_opt(argc, argv)) != -1)
 *                     if (ch == 'k') ...
 *             if (optind == argc)
 *                     cmd_usage("no TARGET given");
 *             for (; optind < argc; optind++)
 *                     status = cmd_worse(status, show(argv[optind]));
 *             return cmd_finish(status);
 *     }
 *
 * Rules kept here so that no command has to: options mean the same everywhere, one handle per pool however often operands name it,
 * messages are one clean line (or JSON object) on stderr, standard output is closed and checked at the end.
 * A command is one process with one thread of its own, so the state is global.
 */
#ifndef CMD_COMMON_CMD_H
#define CMD_COMMON_CMD_H
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "lcpfs/lcpfs.h"

/* ---- exit status ---- */
enum {
	CMD_OK = 0,
	CMD_FAILED = 1,   /* or, for diff and verify: differences found */
	CMD_USAGE = 2,    /* wrong command line */
	CMD_PARTIAL = 3,  /* done in part, and said what was left out */
	CMD_BUSY = 4,     /* the pool is in use by another process */
	CMD_NOKEY = 5,    /* key missing or wrong */
	CMD_DAMAGED = 6,  /* damaged data met */
};
/* The status for a code (LCPFS_E*, positive or negative; 0: CMD_OK). */
int cmd_status(int code);
/* The graver of two: done < in part < failed < usage < in use < no key < damaged. */
int cmd_worse(int a, int b);

/* ---- options ---- */
/* Options with one meaning in the whole set; a command names those it takes. --help and --version are always there. */
enum {
	CMD_O_DRY_RUN = 1,    /* -n, --dry-run */
	CMD_O_VERBOSE = 2,    /* -v, --verbose */
	CMD_O_QUIET = 4,      /* -q, --quiet */
	CMD_O_FORCE = 8,      /* -f, --force */
	CMD_O_PARSABLE = 16,  /* -p, --parsable */
	CMD_O_JSON = 32,      /* --json */
	CMD_O_NUL = 64,       /* -0, --null */
	CMD_O_THREADS = 128,  /* -j N, --threads=N */
	CMD_O_MEMORY = 256,   /* --memory=SIZE */
	CMD_O_OUTPUT = 512,   /* -o FILE, --output=FILE */
	CMD_O_PROGRESS = 1024, /* --progress[=auto|always|never|json] */
	CMD_O_LIVE = 2048,    /* --live: read a pool that another process has open for writing */
	CMD_O_READ = CMD_O_THREADS | CMD_O_MEMORY | CMD_O_LIVE,      /* what a command that only reads takes */
	CMD_O_WRITE = CMD_O_DRY_RUN | CMD_O_VERBOSE | CMD_O_QUIET | CMD_O_THREADS | CMD_O_MEMORY, /* ... and one that changes a pool */
};
struct cmd_spec {
	const char *name;             /* "lcpfs-ls", begins every message */
	const char *synopsis;         /* as in the page's SYNOPSIS; several lines separated by '\n' */
	unsigned shared;              /* CMD_O_* */
	const char *letters;          /* its own short options for getopt, NULL: none; they win over shared ones of the same letter */
	const struct option *longs;   /* its own long options, ended by zeros; NULL: none. val: the letter, or >= 256 */
};
enum cmd_progress_kind { CMD_PROGRESS_AUTO, CMD_PROGRESS_ALWAYS, CMD_PROGRESS_NEVER, CMD_PROGRESS_JSON };
/* What the shared options said. */
struct cmd {
	const struct cmd_spec *spec;
	bool dry_run, quiet, force, parsable, json, nul, live;
	int verbose;
	unsigned threads;             /* 0: not given */
	uint64_t memory_bytes;        /* 0: not given */
	const char *output;           /* NULL: not given */
	enum cmd_progress_kind progress;
};
extern struct cmd cmd;

void cmd_init(const struct cmd_spec *spec);
/* The next of the command's own options (its argument in optarg), -1 after the last. Handles shared ones; does not return for a wrong one. */
int cmd_opt(int argc, char *argv[]);
/* Also parses options after operands unless set before the first cmd_opt: then the first operand ends the options. */
extern bool cmd_opts_first;
/* One shared option (its letter, or CMD_L_*) set by hand, for commands that do not use getopt. */
enum { CMD_L_JSON = 256 * 4, CMD_L_MEMORY, CMD_L_PROGRESS, CMD_L_LIVE, CMD_L_HELP, CMD_L_VERSION };
void cmd_shared_opt(int which, const char *arg);
/* "lcpfs-x: WORDS", the synopsis, exit status 2. */
_Noreturn void cmd_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For commands whose status is another one (fsck), and for scripts, where the words come from a line of a file: the hook may exit itself. */
extern int cmd_usage_status;
extern void (*cmd_on_usage)(const char *text);
/* The synopsis on standard output, exit status 0. */
_Noreturn void cmd_help(void);

/* ---- words: sizes, numbers, times, modes, owners ---- */
/* Each exits with status 2 and says what is wrong with `text` (`what`: "--size", "-j"), so they are for the command line only. */
uint64_t cmd_size(const char *what, const char *text);            /* "64K", "1.5G", "4096", "16MiB": bytes, IEC */
uint64_t cmd_number(const char *what, const char *text, uint64_t min, uint64_t max);
struct lcpfs_time cmd_time(const char *what, const char *text);
/* The same, false when `text` is none. `now` is what relative times count from. Forms: "now", "today", "yesterday", "@1700000000.5",
 * RFC 3339, "2024-05-01[ T]12:00[:30[.5]]" and "2024-05-01" (local time), "12:00", "2 days ago", "1 hour 30 min ago". */
bool cmd_time_parse(const char *text, struct lcpfs_time now, struct lcpfs_time *out);
bool cmd_size_parse(const char *text, uint64_t *out);
struct lcpfs_time cmd_now(void);                                  /* SOURCE_DATE_EPOCH, or the clock */
void cmd_time_rfc3339(char out[40], const struct lcpfs_time *t);  /* UTC, nanoseconds: 2024-05-01T12:00:00.000000000Z */
void cmd_time_local(char out[64], const struct lcpfs_time *t, const char *fmt); /* strftime in local time; NULL: "%Y-%m-%d %H:%M" */

/* "OWNER[:[GROUP]]" or ":GROUP", names of this host or numbers; ~0: not given ("OWNER:" also means only the owner). */
void cmd_owner(const char *what, const char *text, uint32_t *uid, uint32_t *gid);
/* User and group name of this host for an id, or the number; valid until the next call. */
const char *cmd_user_name(uint32_t uid);
const char *cmd_group_name(uint32_t gid);

/* A change of mode as chmod(1) takes it ("0644", "u+rwX,go=", "g=u"); a clause may begin with D (directories) or F (the rest). */
struct cmd_mode_op { char op, targets, from; bool cond_x; uint32_t who, bits; };
struct cmd_mode { struct cmd_mode_op ops[16]; unsigned n; };
void cmd_mode(const char *what, const char *text, struct cmd_mode *out);
uint32_t cmd_mode_apply(const struct cmd_mode *m, uint32_t mode);  /* with the type bits; returns permissions 0..07777 */
/* The change as "(mode & ~clear) | set" for files or directories; false: not of that form (X of files, g=u). */
bool cmd_mode_masks(const struct cmd_mode *m, bool dir, uint32_t *set, uint32_t *clear);
void cmd_mode_string(char out[11], uint32_t mode);                 /* "-rwxr-xr-x" */
const char *cmd_type_name(uint32_t mode);                          /* "file", "directory", "symlink", "fifo", "socket", "char", "block" */

/* ---- operands ---- */
/*
 * TARGET = POOL [ ':' [DATASET] [ '@' SNAP ] [ ':' PATH ] ], or POOL ':' '/' PATH. POOL is the longest part before a ':' that exists
 * as a file or device, or a "ram:NAME"; when nothing exists, what is before the first ':'.
 */
struct cmd_target {
	const char *text;     /* as given */
	char *pool;
	char *dataset;        /* "home/ann@mon"; "" the root dataset */
	char *path;           /* "" when none was given */
	bool is_pool;         /* a ':' followed POOL; without it `text` may as well be a host path */
	bool has_dataset;     /* DATASET or SNAP was given */
	bool has_path;
};
void cmd_target(struct cmd_target *t, const char *text);
void cmd_target_fini(struct cmd_target *t);
/* The part of a dataset name before '@' and after it (NULL: none); both malloc'ed. */
void cmd_snap_split(const char *dataset, char **head, char **snap);

/*
 * Open what an operand names; `flags` LCPFS_OPEN_*. NULL: failed, the message is out and *status (may be NULL) is made worse. Handles are
 * shared and closed by cmd_finish. Whoever wants to write a pool and also read it opens it for writing first.
 */
struct lcpfs_pool *cmd_pool(const struct cmd_target *t, uint32_t flags, int *status);
struct lcpfs_dataset *cmd_dataset(const struct cmd_target *t, uint32_t flags, int *status);
/* lcpfs_pool_info of the pool open at `path`; a growing image gets the free space of its file system as what is available. */
int cmd_pool_info(struct lcpfs_pool *p, const char *path, struct lcpfs_pool_info *out, struct lcpfs_error *err);
/* Another dataset or snapshot of an open pool, cached in the same way; err set when NULL. */
struct lcpfs_dataset *cmd_dataset_of(struct lcpfs_pool *p, const char *name, struct lcpfs_error *err);
/* Close the cached handles of a dataset, before it is destroyed, renamed or rolled back; name NULL: all of the pool. */
void cmd_dataset_drop(struct lcpfs_pool *p, const char *name);
/* What was opened for writing becomes permanent, pool by pool; with -n nothing happens. Prints failures; returns a status. */
int cmd_commit(void);
/* Close all pools (what was not committed is dropped); a status. cmd_finish does it too. */
int cmd_close_all(void);
/* Open options from -j, --memory, --live. */
void cmd_open_opts(struct lcpfs_open_opts *o, uint32_t flags);

/* ---- messages ---- */
/* "lcpfs-x: cannot WORDS: MSG" on stderr (a JSON object with --json); returns the status for err->code. fmt NULL: only MSG. */
int cmd_fail(const struct lcpfs_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a reason of our own: code is LCPFS_E*. */
int cmd_fail_code(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for errno `eno`: "WORDS: No such file or directory", in lower case. */
int cmd_fail_errno(int eno, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line on stderr that is no failure; not with -q. */
void cmd_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line on stdout for a thing done: with -v, or -n ("would " in front is the caller's). */
void cmd_did(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Fill *err from inside a callback; returns -code. */
int cmd_err(struct lcpfs_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An lcpfs_warn for trees: prints the line; the call itself then ends as PARTIAL. */
void cmd_tree_warn(void *arg, const char *path, const struct lcpfs_error *why);
/* Close pools, then standard output, and report what did not reach it. Returns the exit status. */
int cmd_finish(int status);

/* From now on SIGINT, SIGTERM and SIGHUP set cmd_interrupted, and a second one ends the process after removing cmd_temp_file. */
void cmd_catch_signals(void);
extern volatile sig_atomic_t cmd_interrupted;
void cmd_temp_file(const char *path); /* NULL: no longer; `path` must stay valid */

/* An lcpfs_progress_fn for long calls: shows progress as --progress says (arg: unused) and stops the call when interrupted. */
bool cmd_progress(void *arg, const struct lcpfs_progress *p);
void cmd_progress_end(void); /* clears the line; before other output */

/* ---- output ---- */
/* JSON to a stream; commas and nesting are kept here. key NULL: inside an array. */
struct cmd_json { FILE *f; unsigned depth; bool first[32]; char close[32]; };
void cmd_json_start(struct cmd_json *j, FILE *f);                  /* {"version":1 */
void cmd_json_finish(struct cmd_json *j);                          /* closes all and ends the line */
void cmd_json_object(struct cmd_json *j, const char *key);
void cmd_json_array(struct cmd_json *j, const char *key);
void cmd_json_end(struct cmd_json *j);
void cmd_json_str(struct cmd_json *j, const char *key, const char *s); /* NULL: null. Bytes that are no UTF-8 become U+FFFD */
/* A name or path: as _str, and when it is no UTF-8 also "KEY_b64" with the exact bytes. */
void cmd_json_name(struct cmd_json *j, const char *key, const char *name);
void cmd_json_b64(struct cmd_json *j, const char *key, const void *p, size_t len);
void cmd_json_u64(struct cmd_json *j, const char *key, uint64_t v);
void cmd_json_i64(struct cmd_json *j, const char *key, int64_t v);
void cmd_json_bool(struct cmd_json *j, const char *key, bool v);
void cmd_json_time(struct cmd_json *j, const char *key, const struct lcpfs_time *t); /* RFC 3339 string */
void cmd_json_stat(struct cmd_json *j, const struct lcpfs_stat *st); /* "type", "mode", "size", ... into the open object */
/* One object per line: start, members, finish. */

/* Columns: collected, then printed aligned with a heading, or as tab-separated lines without one (-p). */
struct cmd_table { unsigned cols, rows, cap; char **cell; const char *const *head; const char *align; };
/* `head`: one heading per column; `align`: 'l' or 'r' per column. */
void cmd_table_init(struct cmd_table *t, unsigned cols, const char *const *head, const char *align);
void cmd_table_add(struct cmd_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* the next cell */
void cmd_table_print(struct cmd_table *t, FILE *f);                /* and forget */

const char *cmd_human(char out[16], uint64_t bytes);               /* "1.5K", "12M", rounded up as du -h does; returns out */
const char *cmd_bytes(char out[24], uint64_t bytes);               /* exact with -p, else human */
/* A name on stdout: raw when it is no terminal or with -0; quoted for the shell when it holds anything odd. */
void cmd_put_name(const char *name);
size_t cmd_name_width(const char *name);                           /* terminal cells cmd_put_name takes */
void cmd_put_eol(void);                                            /* newline, or NUL with -0 */
bool cmd_is_utf8(const char *s);

/* An output file that appears when it is complete: written as a temporary beside it. path NULL or "-": standard output. */
struct cmd_out { FILE *f; char *tmp, *path; };
int cmd_out_open(struct cmd_out *o, const char *path, struct lcpfs_error *err);
int cmd_out_write(void *out, const void *data, size_t len, struct lcpfs_error *err); /* an lcpfs_write_fn */
int cmd_out_commit(struct cmd_out *o, struct lcpfs_error *err);    /* flush, sync, rename; on failure nothing stays behind */
void cmd_out_abort(struct cmd_out *o);                             /* after commit: nothing */

/* ---- trees ---- */
/* What mkfs, update, cp and tar share: options that become an lcpfs_tree_opts with warnings and progress of the frame. */
enum { CMD_T_EXCLUDE = 2048, CMD_T_OWNER, CMD_T_CHMOD, CMD_T_ALL_ROOT, CMD_T_ONE_FS };
/* Rows for a command's long options. */
#define CMD_TREE_LONGS                                                                                                       \
	{ "exclude", required_argument, NULL, CMD_T_EXCLUDE }, { "owner", required_argument, NULL, CMD_T_OWNER },            \
	{ "chmod", required_argument, NULL, CMD_T_CHMOD }, { "all-root", no_argument, NULL, CMD_T_ALL_ROOT },                 \
	{ "one-file-system", no_argument, NULL, CMD_T_ONE_FS }
struct cmd_tree { struct lcpfs_tree_opts opts; char **exclude; size_t n_exclude; };
void cmd_tree_init(struct cmd_tree *t);
bool cmd_tree_option(struct cmd_tree *t, int ch, const char *arg);      /* false: not one of these */
void cmd_tree_exclude(struct cmd_tree *t, const char *pattern);
void cmd_tree_owner(struct cmd_tree *t, const char *what, const char *text);
void cmd_tree_chmod(struct cmd_tree *t, const char *what, const char *text);
void cmd_tree_fini(struct cmd_tree *t);

/* Memory; these end the process when there is none. */
void *cmd_alloc(size_t len);                                       /* zeroed */
void *cmd_realloc(void *p, size_t n, size_t size);
char *cmd_strdup(const char *s);
char *cmd_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "a/b" from "a" and "b"; "" and slashes at the seam are dropped. */
char *cmd_path_join(const char *dir, const char *name);
const char *cmd_basename(const char *path);                        /* after the last '/', "" when it ends in one */
#endif
