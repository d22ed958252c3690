# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# From a thousand files to a million: does the time for each stay the same? Files of 0-256 bytes, the work of a whole life of an image.
# Rows have the input "scale N"; few files are measured more often, the report takes medians.

scale_life() {
	local in=$1 src=$2 a=$work/a.img
	one "$in" build lcpfs "$a" mkfs.lcpfs -q "$a" "$src" || return
	one "$in" list lcpfs - lcpfs-ls -lR "$a:/"
	one "$in" fsck lcpfs - fsck.lcpfs -n "$a"
	one "$in" snapshot lcpfs - lcpfs-snap create -q "$a:@one"
	(cd "$work" && "$smallfiles" change scale 20 7)
	one "$in" "update, 2%" lcpfs - lcpfs-update -q "$a:/" "$src"
	(cd "$work" && "$smallfiles" change scale 20 7)
	lcpfs-snap create -q "$a:@two" || return
	one "$in" "send, 2%" lcpfs "$work/inc" lcpfs-send -q -i @one -o "$work/inc" "$a:@two"
	one "$in" "destroy a snapshot, 2%" lcpfs - lcpfs-snap destroy -q "$a:@one"
	rm -f "$a" "$work/inc"
}

# scale_rows SIZE...: a size for which memory or time is short is left out, saying so
scale_rows() {
	local n i times_each free begun one_life=0 last=1
	for n in "$@"; do
		# a page for each file, an inode and a name
		free=$(awk '/^MemAvailable/ { printf "%.0f", $2 / 1024 }' /proc/meminfo)
		if [ $((n * 6 / 1024 + 512)) -gt "$free" ]; then
			echo "scale: $n files need $((n * 6 / 1024 + 512)) MiB of memory, there are $free: left out" >&2
			continue
		fi
		if ! time_for $((one_life * n / last)); then
			echo "scale: no time is left for $n files (BENCH_SECS): left out" >&2
			continue
		fi
		begun=$SECONDS
		"$smallfiles" make "$work/scale" "$n" 1 256 || return
		sleep 1
		case $n in 1000) times_each=9 ;; 10000) times_each=7 ;; 100000) times_each=3 ;; *) times_each=1 ;; esac
		[ -n "$quick" ] && times_each=1
		for ((i = 0; i < times_each; i++)); do scale_life "scale $n" "$work/scale"; done
		rm -rf "$work/scale"
		one_life=$(((SECONDS - begun) / times_each)) last=$n
	done
}
