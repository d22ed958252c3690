/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every finding of scrub and fsck: phase, stable code, class of its repair, the sentence that begins its text; what a repair does (behind "would"),
 * and what a person should know. Codes are never reused.
 *
 * SAFE: it follows from other data, nothing is lost. LOSSY: something is lost, or moved, and only here. NONE: it cannot be repaired, and the
 * note says what to do.
 */
#ifndef CHECK_PROBLEMS_H
#define CHECK_PROBLEMS_H

#define CHECK_PROBLEMS(X) \
	X(LABEL_FRONT, 0, "label-front", SAFE, "the label at the begin of the device is damaged", \
	  "write the label again, from the one at the end", "the pool opens by the other label meanwhile") \
	X(LABEL_BACK, 0, "label-back", SAFE, "the label at the end of the device is damaged", \
	  "write the label again, from the one at the begin", "the pool opens by the other label meanwhile") \
	X(LABEL_DIFFER, 0, "label-differ", SAFE, "the two labels disagree", \
	  "write the label at the end again, from the one at the begin", "the one at the begin is believed") \
	X(UBER_DIFFER, 0, "uber-differ", SAFE, "two different uberblocks have the same txg", \
	  "copy the ring of uberblocks from the front label to the back label", \
	  "a copy of the pool may have been written apart from this one; the one at the begin is believed") \
	X(UBER_FRONT, 0, "uber-front", SAFE, "the front label lacks the newest uberblock", \
	  "commit anew, which writes it into both labels", "the newest commit is found by the back label alone") \
	X(UBER_BACK, 0, "uber-back", SAFE, "the back label has no valid uberblock", \
	  "copy the ring of uberblocks from the front label to the back label", "the second copy is missing until then") \
	X(UBER_PREV, 0, "uber-prev", SAFE, "the uberblock before the newest one is missing or makes no sense", \
	  "commit anew, so that there are two good ones", "there is no commit to fall back to until then") \
	X(UBER_ROOT, 0, "uber-root", LOSSY, "the newest commit does not open", \
	  "make the newest commit that opens the one in force", "what was written after that commit is lost") \
	X(UBER_LOST, 0, "uber-lost", LOSSY, "an uberblock newer than the newest valid one is damaged in both labels", \
	  "make the newest commit that opens the one in force", "what was written after that commit is lost") \
	X(UBER_EPOCH, 0, "uber-epoch", SAFE, "uberblock and config disagree about the epoch", \
	  "commit anew, with the epoch of the config", "the device may be taken for one that was written apart") \
	X(POOL_OPEN, 0, "pool-open", NONE, "no commit of this pool opens", \
	  "", "lcpfs-salvage gets out what can be read, without the roots") \
	X(CONFIG_COPY, 1, "config-copy", SAFE, "a copy of the config is damaged", \
	  "write the config again into all labels", "the other copy is used meanwhile") \
	X(CONFIG_PREV, 1, "config-prev", SAFE, "the config of the commit before the newest one is damaged", \
	  "commit anew, so that there are two good ones", "there is no commit to fall back to until then") \
	X(CONFIG_COUNT, 1, "config-count", SAFE, "uberblock and config disagree about the devices", \
	  "commit anew, with the number of the config", "the config is believed") \
	X(BLOCK_CSUM, 2, "block-csum", LOSSY, "checksum mismatch", \
	  "drop the unreadable part of a dataset's tree, and put right what refers to it", \
	  "contents of files are not touched, bring them back from a snapshot, a stream or a copy; what is damaged in a snapshot or in the pool tree stays: destroy the snapshot, go back to an older commit, or use lcpfs-salvage") \
	X(BLOCK_IO, 2, "block-io", LOSSY, "a block cannot be read", \
	  "drop the unreadable part of a dataset's tree, and put right what refers to it", \
	  "try first to read it elsewhere, or to copy the whole device; else as with block-csum") \
	X(BLOCK_COPY, 2, "block-copy", SAFE, "of two copies of a block one is damaged", \
	  "write the damaged copy again from the good one", "the good copy is used meanwhile") \
	X(BLOCK_ADDR, 2, "block-addr", LOSSY, "a pointer leads outside of every chunk", \
	  "drop the pointer: a hole in the file, or contents of small files that are lost", "in a snapshot it stays: destroy the snapshot") \
	X(BLOCK_DECODE, 2, "block-decode", NONE, "a block does not decode, though its checksum is right", \
	  "", "it was wrong when it was written; bring the contents back from a snapshot, a stream or a copy") \
	X(BLOCK_SHARED, 2, "block-shared", LOSSY, "a block is used twice", \
	  "drop the pointer that finds something else there than it should: a hole in the file, or contents of small files that are lost", \
	  "where both find what they should, or one is a snapshot's, it stays: copy the files named out, check and remove them") \
	X(BLOCK_MANY, 2, "block-many", NONE, "more damage than is listed", \
	  "", "repair what is listed, then check again") \
	X(NODE_BAD, 2, "node-bad", LOSSY, "a tree node makes no sense", \
	  "drop the part of a dataset's tree below it, and put right what refers to it", "as with block-csum") \
	X(PTR_BIRTH, 2, "ptr-birth", NONE, "a tree is younger than it can be", \
	  "", "copy the files of this dataset or snapshot out, then destroy it") \
	X(SPACE_LEAK, 3, "space-leak", SAFE, "space is marked used and belongs to nothing", \
	  "make the bitmaps anew from what is reachable", "no harm but the space") \
	X(SPACE_FREE, 3, "space-free", SAFE, "space in use is marked free", \
	  "make the bitmaps anew from what is reachable", "do not write to the pool before: it could go over what is in use") \
	X(SPACE_NODE, 3, "space-node", SAFE, "a node of the space tree lies on used space", \
	  "make the space tree anew from what is reachable", "do not write to the pool before") \
	X(SPACE_PAGE, 3, "space-page", SAFE, "a bitmap page makes no sense", \
	  "make the bitmaps anew from what is reachable", "opening for writing does the same") \
	X(SPACE_TREE, 3, "space-tree", SAFE, "the space tree is damaged", \
	  "make the space tree anew from what is reachable", "opening for writing does the same") \
	X(SPACE_PREV, 3, "space-prev", SAFE, "the space tree of the commit before the newest one is damaged", \
	  "commit anew, so that there are two good ones", "it goes away by itself with the next commit") \
	X(SPACE_TOTAL, 3, "space-total", SAFE, "the uberblock's totals are wrong", \
	  "count again", "only what is told of free space is wrong") \
	X(REF_COUNT, 3, "ref-count", SAFE, "the number of references to a block is wrong", \
	  "set the number to what was counted", "with too few of them a block that is in use would come free") \
	X(POOL_ITEM, 4, "pool-item", LOSSY, "an item of the pool tree makes no sense", \
	  "remove the item", "a dataset's record is not removed: what lies below it would be lost, use lcpfs-salvage") \
	X(DS_ROOT, 4, "ds-root", NONE, "there is no root dataset", \
	  "", "go back to an older commit, or use lcpfs-salvage") \
	X(DS_PARENT, 4, "ds-parent", LOSSY, "a dataset's parent is missing or makes no sense", \
	  "put the dataset below the root dataset, named lost-ID", "a snapshot whose dataset is missing stays as it is") \
	X(DS_PREV, 4, "ds-prev", SAFE, "the previous snapshot is missing or makes no sense", \
	  "set the number that the record has of its previous snapshot", \
	  "where there is no such snapshot it stays: copy the files out, then destroy the dataset or snapshot") \
	X(DS_CHILDREN, 4, "ds-children", SAFE, "the number of successors is wrong", \
	  "set the number to what was counted", "it decides about what may be destroyed") \
	X(DS_GUID, 4, "ds-guid", LOSSY, "a guid is used twice", \
	  "give the later one a new guid", "incremental streams from it need a full one first") \
	X(DS_HEIGHT, 4, "ds-height", SAFE, "the record has the wrong height of the tree", \
	  "set it to what the tree has", "") \
	X(NAME_DANGLING, 4, "name-dangling", SAFE, "a name leads to no dataset that belongs there", \
	  "remove the name", "a dataset that has no other name gets one, lost-ID") \
	X(NAME_MISSING, 4, "name-missing", SAFE, "a dataset or snapshot has no name", \
	  "name it lost-ID", "rename it when it is known what it was") \
	X(NAME_BAD, 4, "name-bad", LOSSY, "a name is not allowed", \
	  "name it lost-ID", "rename it when it is known what it was") \
	X(SNAPTXG_BAD, 4, "snaptxg-bad", SAFE, "an entry of the snapshot list leads to no snapshot that belongs there", \
	  "remove the entry", "") \
	X(SNAPTXG_MISSING, 4, "snaptxg-missing", SAFE, "a snapshot is missing in the snapshot list", \
	  "add the entry", "") \
	X(DEAD_STRAY, 4, "dead-stray", SAFE, "counters of a dataset that does not exist", \
	  "remove the counters", "") \
	X(DEAD_SUM, 4, "dead-sum", SAFE, "the counters disagree with what only this snapshot holds", \
	  "set the counters to what was counted", "a snapshot whose counters are wrong cannot be destroyed") \
	X(PROP_STRAY, 4, "prop-stray", SAFE, "properties of a dataset that does not exist", \
	  "remove the properties", "") \
	X(PTR_OLD, 4, "ptr-old", NONE, "a block is older than the previous snapshot, which does not have it", \
	  "", "no harm but that its space never comes free: writing the file anew and destroying the older snapshots ends it") \
	X(ITEM_BAD, 5, "item-bad", LOSSY, "an item makes no sense", \
	  "remove the item, and put right what refers to it", "it may have been made by a newer version: then use that") \
	X(DSINFO_MISSING, 5, "dsinfo-missing", SAFE, "the dataset has no header item", \
	  "make one, with sizes from the properties", "") \
	X(DSINFO_SEQ, 5, "dsinfo-seq", SAFE, "the next number was given out already", \
	  "set it above all that are in use", "new files could take the place of others") \
	X(DSINFO_FILES, 5, "dsinfo-files", SAFE, "the number of files in the header is wrong", \
	  "set the number to what was counted", "") \
	X(REF_COUNTS, 5, "ref-counts", SAFE, "the record's counters are wrong", \
	  "set the counters to what was counted", "only what is told of sizes is wrong") \
	X(SLICE_NO_PACK, 5, "slice-no-pack", LOSSY, "a slice lies in no pack", \
	  "remove the slice: the file has a hole instead", "the content of a small file is lost") \
	X(SLICE_RANGE, 5, "slice-range", LOSSY, "a slice lies outside its pack's contents", \
	  "set its place to what the pack's own table says, or remove it where that has none", "") \
	X(SLICE_OVERLAP, 5, "slice-overlap", LOSSY, "two slices overlap", \
	  "set their places to what the pack's own table says, or remove them where that has none", "") \
	X(PACK_COUNT, 5, "pack-count", SAFE, "the pack's counters disagree with its slices", \
	  "set the counters to what was counted", "with too few of them contents that are in use would come free") \
	X(PACK_TABLE, 5, "pack-table", LOSSY, "the pack's own table disagrees with its slices", \
	  "set the places of the slices to what the table says, or remove them where that has none", "a pack that has no table stays as it is") \
	X(EXTENT_OVERLAP, 5, "extent-overlap", LOSSY, "two extents overlap", \
	  "remove the older one", "what it had beyond the other reads as zeros") \
	X(EXTENT_END, 5, "extent-end", LOSSY, "content beyond the end of the file", \
	  "remove what begins beyond the end; set the size where an extent goes over it", "") \
	X(INODE_NO_SLICE, 5, "inode-no-slice", LOSSY, "the content of a small file is missing", \
	  "make the file one hole of the same size", "the content is lost: bring it back from a snapshot or a copy") \
	X(INODE_SIZE, 5, "inode-size", LOSSY, "size and content disagree", \
	  "set the size to what the content has", "") \
	X(INODE_SLICED, 5, "inode-sliced", SAFE, "the inode does not know how its content is kept", \
	  "set it to how the content is kept", "") \
	X(INODE_FLAGS, 5, "inode-flags", SAFE, "the inode has flags that mean nothing", \
	  "clear them", "they may be a newer version's: then use that") \
	X(INODE_PSIZE, 5, "inode-psize", SAFE, "the stored size of the inode is wrong", \
	  "set it to what was counted", "") \
	X(INODE_NLINK, 5, "inode-nlink", SAFE, "the number of links is wrong", \
	  "set the number to what was counted", "with too few of them a file would go with one of its names") \
	X(INODE_PARENT, 5, "inode-parent", SAFE, "the inode names another directory than the one it is in", \
	  "set it to the directory that has the name", "") \
	X(INODE_ORPHAN, 5, "inode-orphan", LOSSY, "a file or directory has no name", \
	  "put it into /lost+found, named #INO", "rename it when it is known what it was") \
	X(LINK_DIRENT, 5, "link-dirent", SAFE, "the list of a file's links disagrees with the directories", \
	  "make the list anew from the directories", "") \
	X(LINK_STRAY, 5, "link-stray", SAFE, "a link of a file that does not exist or has no second name", \
	  "remove the entry of the list", "") \
	X(CONTENT_ORPHAN, 5, "content-orphan", LOSSY, "content that belongs to no file", \
	  "remove the content", "lcpfs-salvage gets it out before") \
	X(CONTENT_TWICE, 5, "content-twice", LOSSY, "a content is kept both as a slice and as extents", \
	  "remove the one that the file does not use", "") \
	X(DATAREF_COUNT, 5, "dataref-count", SAFE, "the number of files that share a content is wrong", \
	  "set the number to what was counted", "with too few of them the content would go with one of the files") \
	X(DIRENT_NO_INODE, 5, "dirent-no-inode", LOSSY, "a name leads to no file", \
	  "remove the name", "the file is lost: bring it back from a snapshot or a copy") \
	X(DIRENT_NO_DIR, 5, "dirent-no-dir", LOSSY, "a name in a directory that does not exist", \
	  "remove the name; the file goes to /lost+found when it has no other", "") \
	X(DIRENT_TYPE, 5, "dirent-type", SAFE, "a directory has another type for a file than its inode", \
	  "set it to the inode's", "") \
	X(DIR_TWICE, 5, "dir-twice", LOSSY, "a directory has two names", \
	  "remove the name that the directory does not know", "") \
	X(DIR_LOOP, 5, "dir-loop", LOSSY, "a directory is not below the root", \
	  "cut the circle: one of its directories goes to /lost+found", "") \
	X(DIR_NLINK, 5, "dir-nlink", SAFE, "the number of links of a directory is wrong", \
	  "set the number to what was counted", "") \
	X(ROOT_DIR, 5, "root-dir", LOSSY, "the root directory is missing or makes no sense", \
	  "make a new one, mode 0755 of user 0; names in it come back", "") \
	X(XATTR_NO_INODE, 5, "xattr-no-inode", LOSSY, "an attribute of a file that does not exist", \
	  "remove the attribute", "") \
	X(XATTR_COUNT, 5, "xattr-count", SAFE, "the number of attributes is wrong", \
	  "set the number to what was counted", "") \
	X(XATTR_DATA, 5, "xattr-data", LOSSY, "the value of an attribute is missing or has another size", \
	  "set the size to what there is of it, or remove the attribute", "") \
	X(ORPHAN_STRAY, 5, "orphan-stray", SAFE, "an unfinished removal of a file that does not exist", \
	  "remove the entry", "")

enum problem_id {
#define X(id, phase, code, cls, text, does, note) P_##id,
	CHECK_PROBLEMS(X)
#undef X
	P_N
};
#endif
