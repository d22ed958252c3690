# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# tar and zstd: one stream, read from its start for every question.

tar_before() {
	local in=$1 src=$2 t=$work/t.tar.zst
	peer tar zstd tar zstd || return
	one "$in" build "tar | zstd -3" "$t" sh -c 'tar -C "$1" -cf - . | zstd -q -3 -T"$3" -o "$2"' sh "$src" "$t" "$(nproc)"
	again "$in" list "tar | zstd -3" - sh -c 'zstd -q -d -c "$1" | tar -tvf -' sh "$t"
	mkdir "$work/x"
	one "$in" extract "tar | zstd -3" "$work/x" sh -c 'zstd -q -d -c "$1" | tar -C "$2" -xpf -' sh "$t" "$work/x"
	rm -rf "$work/x"
	times=10 one "$in" "cat one file" "tar | zstd -3" - sh -c 'zstd -q -d -c "$1" | tar -xOf - "./$2"' sh "$t" "$3"
	one "$in" "to a tar" "zstd -d" - sh -c 'zstd -q -d -c "$1" >/dev/null' sh "$t"
	again "$in" "verify all" "zstd -t" - zstd -q -t "$t"
	peer bsdtar libarchive-tools bsdtar && again "$in" list "bsdtar of the tar.zst" - bsdtar -tvf "$t"
	rm -f "$t"
}
