# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# restic: deduplicated backups; it always encrypts, and compresses since 0.14. First round only.

restic_before() {
	local in=$1 src=$2
	first_round || return
	peer restic restic restic || return
	export RESTIC_REPOSITORY=$work/restic RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=$work/restic-cache
	restic -q init --repository-version 2 >/dev/null 2>&1 || without "$in" build "restic zstd" "restic before 0.14 does not compress"
	[ -d "$work/restic" ] || return
	one "$in" build "restic zstd" "$work/restic" sh -c 'cd "$1" && restic -q backup .' sh "$src"
	again "$in" list restic - restic -q ls -l latest
	one "$in" extract restic "$work/x" restic -q restore latest --target "$work/x"
	rm -rf "$work/x"
	times=5 one "$in" "cat one file" restic - restic -q dump latest "/$3"
	again "$in" "verify all" restic - restic -q check --read-data
}
restic_after() {
	local in=$1 src=$2 id
	[ -d "$work/restic" ] || return
	id=$(restic -q snapshots --json latest | sed -n 's/.*"short_id":"\([^"]*\)".*/\1/p')
	one "$in" "update, 2%" restic - sh -c 'cd "$1" && restic -q backup .' sh "$src"
	one "$in" "destroy a snapshot, 2%" restic - restic -q forget --prune "$id"
	rm -rf "$work/restic" "$work/restic-cache"
}
