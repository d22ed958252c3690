# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# e2fsprogs: an ext4 image filled without a mount. Not compressed; the bytes are those allocated.

ext4_before() {
	local in=$1 src=$2 e=$work/e.ext4 entries kib
	first_round || return
	peer ext4 e2fsprogs mke2fs e2fsck debugfs || return
	entries=$(find "$src" | wc -l)
	kib=$(find "$src" -type f -printf '%s\n' | awk -v n="$entries" '{ s += int(($1 + 4095) / 4096) * 4 } END { printf "%.0f", s * 1.05 + n + 131072 }')
	sparse=1 one "$in" build "ext4, plain" "$e" mke2fs -q -t ext4 -F -N $((entries + 1000)) -d "$src" "$e" "${kib}k"
	again "$in" fsck "e2fsck, ext4" - e2fsck -fn "$e"
	times=100 one "$in" "cat one file" "debugfs, ext4" - debugfs -R "cat \"/$3\"" "$e"
	mkdir "$work/x"
	one "$in" extract "debugfs, ext4" "$work/x" debugfs -R "rdump / $work/x" "$e"
	rm -rf "$work/x" "$e"
}
