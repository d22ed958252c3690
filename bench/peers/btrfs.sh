# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# btrfs, twice: btrfs-progs on an image, without a mount; and mounted by the kernel (root, a loop device, our own mount namespace).
# Work of the kernel's own threads (compression, checksums) is in the seconds, not in the CPU seconds.

btrfs_image() {
	local in=$1 src=$2 i=$work/i.btrfs
	: >"$i"
	if mkfs.btrfs --help 2>&1 | grep -q -e --compress; then
		sparse=1 one "$in" build "btrfs image zstd:3" "$i" mkfs.btrfs -q --compress zstd:3 --rootdir "$src" --shrink "$i"
	else
		sparse=1 one "$in" build "btrfs image, plain" "$i" mkfs.btrfs -q --rootdir "$src" --shrink "$i"
	fi
	again "$in" fsck "btrfs check" - btrfs check "$i"
	again "$in" "verify all" "btrfs check" - btrfs check --check-data-csum "$i"
	mkdir "$work/x"
	one "$in" extract "btrfs restore" "$work/x" btrfs restore -smSx "$i" "$work/x"
	rm -rf "$work/x" "$i"
}

# m: the file system with the subvolume `a`; n: where streams are received
mounted_start() {
	local bytes=$1 d
	[ "$(id -u)" = 0 ] && [ -n "${BENCH_OWN_MOUNTS:-}" ] || return
	for d in m n; do
		mkdir -p "$work/$d"
		rm -f "$work/$d.btrfs"
		truncate -s $((bytes * 3 + (1 << 30))) "$work/$d.btrfs"
		mkfs.btrfs -q "$work/$d.btrfs" >/dev/null 2>&1 && mount -o loop,compress=zstd:3,noatime "$work/$d.btrfs" "$work/$d" 2>/dev/null || return
	done
	btrfs -q subvolume create "$work/m/a"
}
mounted_stop() {
	local d
	for d in m n; do
		mountpoint -q "$work/$d" && umount "$work/$d"
		rm -rf "${work:?}/$d.btrfs"
	done
	return 0
}
remount() { umount "$work/m" && mount -o loop,compress=zstd:3,noatime "$work/m.btrfs" "$work/m"; }

mounted_before() {
	local in=$1 src=$2 m=$work/m t="btrfs mounted zstd:3" packed=
	btrfs send --help 2>&1 | grep -q -e --compressed-data && packed="--proto 2 --compressed-data"
	sparse=1 one "$in" build "$t" "$m.btrfs" sh -c 'cp -a "$1/." "$2/a" && sync -f "$2"' sh "$src" "$m"
	remount
	kind=orientation one "$in" list "ls -lR of mounted btrfs" - ls -lR "$m/a"
	remount
	one "$in" extract "cp -a of mounted btrfs" "$work/x" cp -a "$m/a" "$work/x"
	rm -rf "$work/x"
	again "$in" "verify all" "btrfs scrub, mounted" - btrfs -q scrub start -B "$m"
	one "$in" snapshot "btrfs mounted" - sh -c 'btrfs -q subvolume snapshot -r "$1/a" "$1/one" && btrfs filesystem sync "$1"' sh "$m"
	# shellcheck disable=SC2086
	one "$in" "send, full" "btrfs mounted" "$work/full.b" btrfs -q send $packed -f "$work/full.b" "$m/one"
	one "$in" "receive, full" "btrfs mounted" - sh -c 'btrfs -q receive -f "$1" "$2" && btrfs filesystem sync "$2"' sh "$work/full.b" "$work/n"
	rm -f "$work/full.b"
}
mounted_after() {
	local in=$1 src=$2 m=$work/m packed=
	btrfs send --help 2>&1 | grep -q -e --compressed-data && packed="--proto 2 --compressed-data"
	one "$in" "update, 2%" "rsync to mounted btrfs" - sh -c 'rsync -aH --delete "$1/" "$2/a/" && sync -f "$2"' sh "$src" "$m"
	btrfs -q subvolume snapshot -r "$m/a" "$m/two" && btrfs filesystem sync "$m"
	# shellcheck disable=SC2086
	one "$in" "send, 2%" "btrfs mounted" "$work/inc.b" btrfs -q send $packed -p "$m/one" -f "$work/inc.b" "$m/two"
	one "$in" "receive, 2%" "btrfs mounted" - sh -c 'btrfs -q receive -f "$1" "$2" && btrfs filesystem sync "$2"' sh "$work/inc.b" "$work/n"
	one "$in" clone "btrfs mounted" - sh -c 'btrfs -q subvolume snapshot "$1/two" "$1/branch" && btrfs filesystem sync "$1"' sh "$m"
	# without `subvolume sync`, which looks once a second whether the cleaner is done: what that does later is not counted
	note="the cleaner goes on afterwards" one "$in" "destroy a snapshot, 2%" "btrfs mounted" - btrfs -q subvolume delete -c "$m/one"
	rm -f "$work/inc.b"
	mounted_stop
}

btrfs_before() {
	local in=$1 src=$2 w
	first_round || return
	peer btrfs btrfs-progs mkfs.btrfs btrfs || return
	btrfs_image "$in" "$src"
	if mounted_start "$(du -s --block-size=1 "$src" | cut -f 1)"; then
		mounted_before "$in" "$src"
		return
	fi
	mounted_stop
	for w in build snapshot "send, full" "receive, full" "send, 2%" "receive, 2%" "update, 2%" clone "destroy a snapshot, 2%"; do
		without "$in" "$w" "btrfs mounted" "needs a mounted btrfs"
	done
}
btrfs_after() { mountpoint -q "$work/m" 2>/dev/null && mounted_after "$1" "$2"; }
