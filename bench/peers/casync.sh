# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# casync: an index and a store of chunks. First round only. Its default is xz; zstd is asked for.

casync_before() {
	local in=$1 src=$2
	first_round || return
	peer casync casync casync || return
	mkdir "$work/casync"
	one "$in" build "casync zstd" "$work/casync" casync make --compression=zstd --store="$work/casync/s" "$work/casync/one.caidx" "$src"
	again "$in" list casync - casync list --store="$work/casync/s" "$work/casync/one.caidx"
	mkdir "$work/x"
	one "$in" extract casync "$work/x" casync extract --store="$work/casync/s" "$work/casync/one.caidx" "$work/x"
	rm -rf "$work/x"
}
casync_after() {
	local in=$1 src=$2
	[ -d "$work/casync" ] || return
	one "$in" "update, 2%" casync - casync make --compression=zstd --store="$work/casync/s" "$work/casync/two.caidx" "$src"
	rm -rf "$work/casync"
}
