#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lcpfs-format(5) against the commands: tools/read-image.py follows the page and shares no code with the library.
load common.bash

reader() { "$TESTS_DIR/tools/read-image.py" "$@"; }

setup_file() {
	command -v python3 >/dev/null || skip "no python3"
	command -v zstd >/dev/null || skip "no zstd"
}

listing() { lcpfs-find "$1" -mindepth 1 -printf '%y %s %p\n' | sed 's| [^ ]*:/| /|' | LC_ALL=C sort; }

same_lists() {
	reader "$1" ${2:+"$2"} | LC_ALL=C sort >by-page
	listing "$1:${2:-}${3:-/}" >by-command
	[ -s by-page ]
	diff by-page by-command
}

same_contents() {
	find "$2" -type f -printf '%P\n' | while read -r f; do
		reader -c "/$f" "$1" | cmp - "$2/$f" || exit 1
	done
}

@test "the page's reader sees the files that the commands see" {
	sample
	same_lists tank.img
	same_lists tank.img home :/
	same_lists tank.img home@mon :/
	same_lists tank.img @mon :/
}

@test "and the same contents, whatever the options" {
	sample --no-image
	for options in '' '--compress off' '--compress zstd:12 --profile rw' '--checksum sha256 --labels 1' '--profile archive --size 64M'; do
		# shellcheck disable=SC2086
		mkfs.lcpfs -fq $options a.img rootfs
		same_contents a.img rootfs
		reader --verify a.img >/dev/null
	done
}

@test "contents of many records, and pieces of files" {
	mkdir src
	head -c 3000000 /dev/urandom >src/random
	yes 'a line that compresses' | head -c 5000001 >src/text
	truncate -s 9M src/hole
	printf end >>src/hole
	: >src/empty
	mkfs.lcpfs -q --record 256K a.img src
	same_contents a.img src
	same_lists a.img
}

@test "changes and snapshots" {
	mkimg
	lcpfs-snap create tank.img:@one
	put tank.img:/a changed
	[ "$(reader -c /a tank.img)" = changed ]
	[ "$(reader -c /a tank.img @one)" = one ]
	lcpfs-rm tank.img:/dir/b
	same_lists tank.img
	same_lists tank.img @one :/
}

@test "the space tree has just what the trees reach" {
	sample
	lcpfs-update -q tank.img "$TESTS_DIR"
	run -0 reader -s tank.img
	read -r map tree uber <<<"$output"
	[ "$map" -gt 0 ] && [ "$map" -eq "$tree" ] && [ "$map" -eq "$uber" ]
}

@test "a damaged front header: the back one will do" {
	mkimg
	printf damage | dd of=tank.img bs=1 seek=4100 conv=notrunc status=none
	[ "$(reader -c /a tank.img)" = one ]
}

@test "of two copies of a node one is enough" {
	mkimg
	for start in $(lcpfs-dump tank.img config | awk '$1 == "chunk" && $8 == 2 { sub(/.*:/, "", $(NF - 1)); print $(NF - 1) }'); do
		dd if=/dev/zero of=tank.img bs=64K seek="$start" count=1 conv=notrunc status=none
	done
	[ "$(reader -c /a tank.img)" = one ]
	[ "$(get tank.img:/a 2>/dev/null)" = one ]
}

@test "a newest commit that does not open: the one before it" {
	mkimg
	put tank.img:/c three
	python3 - "$TESTS_DIR/tools/read-image.py" <<'END'
import importlib.util, sys
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("reader", sys.argv[1])
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)
image = reader.Image("tank.img", False)
root = image.uber.pool
with open("tank.img", "r+b") as f:
    for start in image.chunks[root.addr >> 32][0]:
        f.seek(start + (root.addr & 0xffffffff) * 512 + 70)
        f.write(b"XXXXXXXX")
END
	[ "$(reader -c /a tank.img)" = one ]
	run reader -c /c tank.img
	[ "$status" -ne 0 ]
	[ "$(get tank.img:/a 2>/dev/null)" = one ]
	run_status 1 get tank.img:/c
}

@test "a damaged block is refused by both" {
	mkdir src
	yes 'find me here' | head -c 200000 >src/text
	mkfs.lcpfs -q --compress off a.img src
	at=$(grep -abo 'find me here' a.img | sed -n '100{s/:.*//;p}')
	printf X | dd of=a.img bs=1 seek="$at" conv=notrunc status=none
	run_status 6 lcpfs-cat a.img:/text
	run reader --verify -c /text a.img
	[ "$status" -ne 0 ]
	[[ "$output" == *"wrong checksum"* ]]
}

@test "attributes" {
	mkdir src
	touch src/f
	setfattr -n user.colour -v blue src/f 2>/dev/null || skip "no attributes here"
	mkfs.lcpfs -q a.img src
	[ "$(reader -x /f a.img)" = user.colour=626c7565 ]
}

@test "streams: frames, hashes and counts are as the page says" {
	mkimg
	lcpfs-snap create tank.img:@one
	put tank.img:/new "more content"
	lcpfs-snap create tank.img:@two
	lcpfs-send tank.img:@one >full
	lcpfs-send -i @one tank.img:@two >difference
	run -0 reader -t full
	[[ "${lines[0]}" == "0 BEGIN"*" @one" ]]
	[[ "$output" == *PACK* ]]
	[[ "${lines[-1]}" == *END* ]]
	run -0 reader -t difference
	[[ "${lines[0]}" == *" @two from @one" ]]
	[[ "${lines[-1]}" == *END* ]]
	head -c -4 full >short
	run reader -t short
	[ "$status" -ne 0 ]
}
