# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# erofs-utils: images for the kernel. zstd came with 1.8, dump.erofs --cat with 1.8.3.

erofs_before() {
	local in=$1 src=$2 e=$work/e.erofs version
	peer erofs erofs-utils mkfs.erofs fsck.erofs dump.erofs || return
	version=$(fsck.erofs -V 2>/dev/null | head -n 1 | grep -o '[0-9][0-9.]*')
	if mkfs.erofs --help 2>&1 | grep -q zstd; then
		one "$in" build "erofs zstd:3" "$e" mkfs.erofs --quiet -z zstd,level=3 -C 131072 "$e" "$src"
		rm -f "$e"
	else
		without "$in" build "erofs zstd:3" "erofs-utils $version has no zstd"
	fi
	one "$in" build "erofs lz4" "$e" mkfs.erofs --quiet -z lz4 "$e" "$src"
	one "$in" extract "erofs lz4" "$work/x" fsck.erofs --extract="$work/x" --preserve "$e"
	again "$in" fsck "erofs lz4" - fsck.erofs "$e"
	if dump.erofs --help 2>&1 | grep -q -e '--cat'; then
		times=100 one "$in" "cat one file" "erofs lz4" - dump.erofs --cat --path="/$3" "$e"
	else
		without "$in" "cat one file" "erofs lz4" "erofs-utils $version has no dump.erofs --cat"
	fi
	rm -rf "$work/x" "$e"
}
