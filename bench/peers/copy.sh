# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# The plain folder: what cp, ls and rsync take when nothing is packed, compressed or checked.

copy_before() {
	local in=$1 src=$2
	peer copy rsync rsync || return
	kind=orientation one "$in" extract "cp -a of the folder" - cp -a "$src" "$work/copy"
	kind=orientation again "$in" list "ls -lR of the folder" - ls -lR "$work/copy"
	times=100 kind=orientation one "$in" "cat one file" "cat from the folder" - cat "$work/copy/$3"
}
copy_after() {
	local in=$1 src=$2
	[ -d "$work/copy" ] || return
	one "$in" "update, 2%" "rsync to a folder" - rsync -aH --delete "$src/" "$work/copy/"
	rm -rf "$work/copy"
}
