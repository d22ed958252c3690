# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# squashfs-tools: images that are built once. No checksums to verify, nothing to update: a changed tree is built anew.

squashfs_before() {
	local in=$1 src=$2 s=$work/s.sq
	peer squashfs squashfs-tools mksquashfs unsquashfs sqfscat || return
	one "$in" build "squashfs lz4" "$s" mksquashfs "$src" "$s" -comp lz4 -noappend -quiet -no-progress
	one "$in" build "squashfs zstd:3" "$s" mksquashfs "$src" "$s" -comp zstd -Xcompression-level 3 -noappend -quiet -no-progress
	again "$in" list squashfs - unsquashfs -lls "$s"
	one "$in" extract squashfs "$work/x" unsquashfs -q -n -d "$work/x" "$s"
	times=100 one "$in" "cat one file" squashfs - sqfscat "$s" "$3"
	rm -rf "$work/x" "$s"
}
