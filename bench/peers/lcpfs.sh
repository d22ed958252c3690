# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# lcpfs itself. Kept from before the change to after it: a.img with @one, b.img which received it.

lcpfs_build() {
	local in=$1 src=$2 option
	for option in --compress=lz4 --compress=auto --profile=archive; do
		mkfs.lcpfs -n -q "$option" "$work/l.img" 2>/dev/null || continue
		one "$in" build "lcpfs ${option#*=}" "$work/l.img" mkfs.lcpfs -q $option "$work/l.img" "$src"
		rm -f "$work/l.img"
	done
	one "$in" build "lcpfs zstd:3" "$work/a.img" mkfs.lcpfs -q "$work/a.img" "$src"
}
lcpfs_read() {
	local in=$1 file=$2 a=$work/a.img
	again "$in" list lcpfs - lcpfs-ls -lR "$a:/"
	one "$in" extract lcpfs "$work/o" lcpfs-cp -q -a -T "$a:/" "$work/o"
	rm -rf "$work/o"
	times=100 one "$in" "cat one file" lcpfs - lcpfs-cat "$a:/$file"
	one "$in" "to a tar" lcpfs - sh -c 'lcpfs-tar -c -f - "$1:/" >/dev/null' sh "$a"
	again "$in" "verify all" lcpfs - lcpfs-scrub -q "$a"
	have b3sum && kind=orientation again "$in" "verify all" "b3sum of the image" - b3sum "$a"
	lcpfs-scrub --json "$a" 2>/dev/null | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' >"$work/scrubbed.$in"
	again "$in" fsck lcpfs - fsck.lcpfs -n "$a"
}
lcpfs_before() {
	local in=$1 src=$2 a=$work/a.img b=$work/b.img
	lcpfs_build "$in" "$src" || return
	lcpfs_read "$in" "$3"
	one "$in" snapshot lcpfs - lcpfs-snap create -q "$a:@one"
	one "$in" "send, full" lcpfs "$work/full" lcpfs-send -q -o "$work/full" "$a:@one" || return
	mkfs.lcpfs -q "$b"
	one "$in" "receive, full" lcpfs "$b" sh -c 'lcpfs-recv -q -f "$1" <"$2"' sh "$b" "$work/full"
	rm -f "$work/full"
}
lcpfs_after() {
	local in=$1 src=$2 a=$work/a.img b=$work/b.img
	[ -e "$a" ] || return
	one "$in" "update, 2%" lcpfs - lcpfs-update -q "$a:/" "$src"
	lcpfs-snap create -q "$a:@two" || return
	one "$in" "send, 2%" lcpfs "$work/inc" lcpfs-send -q -i @one -o "$work/inc" "$a:@two" &&
		one "$in" "receive, 2%" lcpfs - sh -c 'lcpfs-recv -q -f "$1" <"$2"' sh "$b" "$work/inc"
	one "$in" clone lcpfs - lcpfs-clone -q "$a:@two" branch
	one "$in" "destroy a snapshot, 2%" lcpfs - lcpfs-snap destroy -q "$a:@one"
	rm -f "$work/inc" "$a" "$b"
}
