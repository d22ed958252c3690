# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# borg: deduplicated archives, here without encryption. First round only: it is the slowest.

borg_before() {
	local in=$1 src=$2 r=$work/borg
	first_round || return
	peer borg borgbackup borg || return
	export BORG_BASE_DIR=$work/borg-home BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
	borg init -e none "$r" >/dev/null 2>&1 || return
	one "$in" build "borg zstd:3" "$r" sh -c 'cd "$2" && borg create --compression zstd,3 "$1::one" .' sh "$r" "$src"
	again "$in" list borg - borg list "$r::one"
	mkdir "$work/x"
	one "$in" extract borg "$work/x" sh -c 'cd "$2" && borg extract "$1::one"' sh "$r" "$work/x"
	rm -rf "$work/x"
	times=5 one "$in" "cat one file" borg - borg extract --stdout "$r::one" "$3"
	again "$in" "verify all" borg - borg check --verify-data "$r"
}
borg_after() {
	local in=$1 src=$2 r=$work/borg
	[ -d "$r" ] || return
	one "$in" "update, 2%" borg - sh -c 'cd "$2" && borg create --compression zstd,3 "$1::two" .' sh "$r" "$src"
	one "$in" "destroy a snapshot, 2%" borg - sh -c 'borg delete "$1::one" && borg compact "$1"' sh "$r"
	rm -rf "$r" "$work/borg-home"
}
