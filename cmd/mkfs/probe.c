/* SPDX-License-Identifier: Apache-2.0 */
/* mkfs: what is on a device that shall be overwritten. */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "mkfs/mkfs.h"

static const char *value(blkid_probe pr, const char *name)
{
	const char *v = NULL;

	return blkid_probe_lookup_value(pr, name, &v, NULL) ? NULL : v;
}

static int refuse(const char *path, blkid_probe pr)
{
	const char *type = value(pr, "TYPE"), *table = value(pr, "PTTYPE"), *label = value(pr, "LABEL");

	if (type)
		return cmd_fail_code(LCPFS_EEXIST, "cannot make '%s': it holds %s%s%s%s (-f overwrites it)", path, type, label ? " '" : "", label ? label : "",
		    label ? "'" : "");
	return cmd_fail_code(LCPFS_EEXIST, "cannot make '%s': it holds a partition table (%s; -f overwrites it)", path, table ? table : "unknown");
}

static int wipe(const char *path, blkid_probe pr)
{
	while (!blkid_do_probe(pr))
		if (blkid_do_wipe(pr, 0))
			return cmd_fail_errno(errno ? errno : EIO, "cannot remove the old signatures of '%s'", path);
	return CMD_OK;
}

static int look(const char *path, blkid_probe pr)
{
	int found;

	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC);
	if (cmd.force)
		return wipe(path, pr);
	found = blkid_do_fullprobe(pr);
	if (found == 1)
		return CMD_OK;
	if (found < 0)
		return cmd_fail_code(LCPFS_EIO, "cannot make '%s': what is on it cannot be told (-f overwrites it)", path);
	return refuse(path, pr);
}

int mkfs_probe(const char *path)
{
	/* O_EXCL on a block device: the kernel refuses when it is mounted or part of something */
	int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	blkid_probe pr;
	int status;

	if (fd < 0 && errno == EBUSY)
		return cmd_fail_code(LCPFS_EBUSY, "cannot make '%s': it is mounted or in use", path);
	if (fd < 0)
		return cmd_fail_errno(errno, "cannot open '%s'", path);
	pr = blkid_new_probe();
	if (!pr || blkid_probe_set_device(pr, fd, 0, 0))
		status = cmd_fail_code(LCPFS_EIO, "cannot make '%s': it cannot be examined", path);
	else
		status = look(path, pr);
	blkid_free_probe(pr);
	close(fd);
	return status;
}
