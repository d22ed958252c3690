/* SPDX-License-Identifier: Apache-2.0 */
/* Every finding of scrub and fsck: its phase, stable code, and the sentence that begins its text. Codes are never reused. */
#ifndef CHECK_PROBLEMS_H
#define CHECK_PROBLEMS_H

#define CHECK_PROBLEMS(X) \
	X(LABEL_FRONT, 0, "label-front", "the label at the begin of the device is damaged") \
	X(LABEL_BACK, 0, "label-back", "the label at the end of the device is damaged") \
	X(LABEL_DIFFER, 0, "label-differ", "the two labels disagree") \
	X(UBER_DIFFER, 0, "uber-differ", "two different uberblocks have the same txg") \
	X(UBER_FRONT, 0, "uber-front", "the front label lacks the newest uberblock") \
	X(UBER_BACK, 0, "uber-back", "the back label has no valid uberblock") \
	X(UBER_PREV, 0, "uber-prev", "the uberblock before the newest one is missing or makes no sense") \
	X(UBER_ROOT, 0, "uber-root", "the newest commit does not open") \
	X(UBER_EPOCH, 0, "uber-epoch", "uberblock and config disagree about the epoch") \
	X(POOL_OPEN, 0, "pool-open", "no commit of this pool opens") \
	X(CONFIG_COPY, 1, "config-copy", "a copy of the config is damaged") \
	X(CONFIG_PREV, 1, "config-prev", "the config of the commit before the newest one is damaged") \
	X(CONFIG_COUNT, 1, "config-count", "uberblock and config disagree about the devices") \
	X(BLOCK_CSUM, 2, "block-csum", "checksum mismatch") \
	X(BLOCK_IO, 2, "block-io", "a block cannot be read") \
	X(BLOCK_ADDR, 2, "block-addr", "a pointer leads outside of every chunk") \
	X(BLOCK_SHARED, 2, "block-shared", "a block is used twice") \
	X(BLOCK_MANY, 2, "block-many", "more damage than is listed") \
	X(NODE_BAD, 2, "node-bad", "a tree node makes no sense") \
	X(PTR_BIRTH, 2, "ptr-birth", "a tree is younger than it can be") \
	X(SPACE_LEAK, 3, "space-leak", "space is marked used and belongs to nothing") \
	X(SPACE_FREE, 3, "space-free", "space in use is marked free") \
	X(SPACE_NODE, 3, "space-node", "a node of the space tree lies on used space") \
	X(SPACE_PAGE, 3, "space-page", "a bitmap page makes no sense") \
	X(SPACE_TREE, 3, "space-tree", "the space tree is damaged") \
	X(SPACE_PREV, 3, "space-prev", "the space tree of the commit before the newest one is damaged") \
	X(SPACE_TOTAL, 3, "space-total", "the uberblock's totals are wrong") \
	X(REF_COUNT, 3, "ref-count", "the number of references to a block is wrong") \
	X(POOL_ITEM, 4, "pool-item", "an item of the pool tree makes no sense") \
	X(DS_ROOT, 4, "ds-root", "there is no root dataset") \
	X(DS_PARENT, 4, "ds-parent", "a dataset's parent is missing or makes no sense") \
	X(DS_PREV, 4, "ds-prev", "the previous snapshot is missing or makes no sense") \
	X(DS_CHILDREN, 4, "ds-children", "the number of successors is wrong") \
	X(DS_GUID, 4, "ds-guid", "a guid is used twice") \
	X(DS_HEIGHT, 4, "ds-height", "the record has the wrong height of the tree") \
	X(NAME_DANGLING, 4, "name-dangling", "a name leads to no dataset that belongs there") \
	X(NAME_MISSING, 4, "name-missing", "a dataset or snapshot has no name") \
	X(NAME_BAD, 4, "name-bad", "a name is not allowed") \
	X(SNAPTXG_BAD, 4, "snaptxg-bad", "an entry of the snapshot list leads to no snapshot that belongs there") \
	X(SNAPTXG_MISSING, 4, "snaptxg-missing", "a snapshot is missing in the snapshot list") \
	X(DEAD_STRAY, 4, "dead-stray", "counters of a dataset that does not exist") \
	X(DEAD_SUM, 4, "dead-sum", "the counters disagree with what only this snapshot holds") \
	X(PROP_STRAY, 4, "prop-stray", "properties of a dataset that does not exist") \
	X(PTR_OLD, 4, "ptr-old", "a block is older than the previous snapshot, which does not have it") \
	X(ITEM_BAD, 5, "item-bad", "an item makes no sense") \
	X(DSINFO_MISSING, 5, "dsinfo-missing", "the dataset has no header item") \
	X(DSINFO_SEQ, 5, "dsinfo-seq", "the next number was given out already") \
	X(DSINFO_FILES, 5, "dsinfo-files", "the number of files in the header is wrong") \
	X(REF_COUNTS, 5, "ref-counts", "the record's counters are wrong") \
	X(SLICE_NO_PACK, 5, "slice-no-pack", "a slice lies in no pack") \
	X(SLICE_RANGE, 5, "slice-range", "a slice lies outside its pack's contents") \
	X(SLICE_OVERLAP, 5, "slice-overlap", "two slices overlap") \
	X(PACK_COUNT, 5, "pack-count", "the pack's counters disagree with its slices") \
	X(PACK_TABLE, 5, "pack-table", "the pack's own table disagrees with its slices") \
	X(EXTENT_OVERLAP, 5, "extent-overlap", "two extents overlap") \
	X(EXTENT_END, 5, "extent-end", "content beyond the end of the file") \
	X(INODE_NO_SLICE, 5, "inode-no-slice", "the content of a small file is missing") \
	X(INODE_SIZE, 5, "inode-size", "size and content disagree") \
	X(INODE_SLICED, 5, "inode-sliced", "the inode does not know how its content is kept") \
	X(INODE_PSIZE, 5, "inode-psize", "the stored size of the inode is wrong") \
	X(INODE_NLINK, 5, "inode-nlink", "the number of links is wrong") \
	X(INODE_PARENT, 5, "inode-parent", "the inode names another directory than the one it is in") \
	X(INODE_ORPHAN, 5, "inode-orphan", "a file or directory has no name") \
	X(LINK_DIRENT, 5, "link-dirent", "the list of a file's links disagrees with the directories") \
	X(LINK_STRAY, 5, "link-stray", "a link of a file that does not exist or has no second name") \
	X(CONTENT_ORPHAN, 5, "content-orphan", "content that belongs to no file") \
	X(CONTENT_TWICE, 5, "content-twice", "a content is kept both as a slice and as extents") \
	X(DATAREF_COUNT, 5, "dataref-count", "the number of files that share a content is wrong") \
	X(DIRENT_NO_INODE, 5, "dirent-no-inode", "a name leads to no file") \
	X(DIRENT_NO_DIR, 5, "dirent-no-dir", "a name in a directory that does not exist") \
	X(DIRENT_TYPE, 5, "dirent-type", "a directory has another type for a file than its inode") \
	X(DIR_TWICE, 5, "dir-twice", "a directory has two names") \
	X(DIR_LOOP, 5, "dir-loop", "a directory is not below the root") \
	X(DIR_NLINK, 5, "dir-nlink", "the number of links of a directory is wrong") \
	X(ROOT_DIR, 5, "root-dir", "the root directory is missing or makes no sense") \
	X(XATTR_NO_INODE, 5, "xattr-no-inode", "an attribute of a file that does not exist") \
	X(XATTR_COUNT, 5, "xattr-count", "the number of attributes is wrong") \
	X(XATTR_DATA, 5, "xattr-data", "the value of an attribute is missing or has another size") \
	X(ORPHAN_STRAY, 5, "orphan-stray", "an unfinished removal of a file that does not exist")

enum problem_id {
#define X(id, phase, code, text) P_##id,
	CHECK_PROBLEMS(X)
#undef X
	P_N
};
#endif
