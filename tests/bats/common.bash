# SPDX-License-Identifier: Apache-2.0
# What the bats files share. Each test runs in a fresh folder with the commands in PATH.
#
#   sample [--no-image]   rootfs/ home/ etc.tar rootfs.tar.zst and tank.img here (tests/tools/sample)
#   mkimg [IMG [OPT...]]  an image (tank.img) of a small tree: /a (one), /dir/b (two), /link -> a
#   put TARGET TEXT       TEXT becomes a file of a pool
#   get TARGET            contents of a file
#   fsck_clean [IMG]      fails unless fsck and scrub find nothing
#   json EXPR             evaluates a Python expression over the JSON in $output (`j`), fails unless true
#   run_status N CMD...   run, and fail unless it ends with status N, showing what it said

bats_require_minimum_version 1.5.0
export LC_ALL=C.UTF-8 TZ=UTC
TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export TESTS_DIR
[ -z "$LCPFS_BIN" ] || export PATH="$LCPFS_BIN:$PATH"

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	umask 022
	unset SOURCE_DATE_EPOCH NO_COLOR
}

sample() { "$TESTS_DIR/tools/sample" "$@"; }

mkimg() {
	local img=${1:-tank.img}
	[ $# -eq 0 ] || shift
	mkdir -p src/dir
	printf one >src/a
	printf two >src/dir/b
	ln -sf a src/link
	mkfs.lcpfs -q "$@" "$img" src
}

put() { printf %s "$2" | lcpfs-cp - "$1"; }
get() { lcpfs-cat "$1"; }

fsck_clean() {
	local img=${1:-tank.img}
	fsck.lcpfs -n "$img" || return 1
	lcpfs-scrub -q "$img"
}

json() {
	printf '%s' "$output" | python3 -c '
import json, sys
text = sys.stdin.read()
try:
    j = json.loads(text)
except ValueError:
    j = [json.loads(l) for l in text.splitlines()]
sys.exit(0 if eval(sys.argv[1]) else "not true of: " + text)' "$1"
}

run_status() {
	local want=$1
	shift
	run "$@"
	[ "$status" -eq "$want" ] && return 0
	echo "status $status, expected $want: $*"
	echo "$output"
	return 1
}
