#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images in parts, and a part of a bigger file as an image: for reading.

load common

big() {
	mkdir -p src
	head -c 700000 /dev/urandom >src/random
	seq 1 100000 >src/seq
	echo small >src/small
	mkfs.lcpfs -q tank.img src
}

@test "an image in parts is read by the name of the first" {
	big
	split -b 256K -d -a 3 tank.img tank.img.
	run_status 0 lcpfs-ls tank.img.000:/
	lcpfs-cat tank.img.000:/random | cmp - src/random
	run_status 0 fsck.lcpfs -n tank.img.000
	for i in 005 004 003 002 001 000; do
		[ ! -e tank.img.$i ] || mv tank.img.$i "one.$(printf %03d $((10#$i + 1)))"
	done
	lcpfs-cat one.001:/seq | cmp - src/seq
}

@test "parts are not written to" {
	big
	split -b 256K -d -a 3 tank.img tank.img.
	run_status 1 lcpfs-rm tank.img.000:/small
	[[ "$output" = *"can only be read"* ]]
	cat tank.img.0* | cmp - tank.img
}

@test "a part that is missing is named, and the rest is read" {
	big
	split -b 256K -d -a 3 tank.img tank.img.
	rm tank.img.002
	run lcpfs-cat tank.img.000:/random
	[ "$status" -ne 0 ]
	[[ "$output" = *"tank.img.002: this part is missing"* ]]
	run_status 3 lcpfs-salvage --json tank.img.000 out
	json 'j["salvage"]["unreadable_bytes"] > 0 and any(l["path"] == "random" for l in j["losses"])'
	[ "$(cat out/small)" = small ]
}

@test "pools that only have such names are pools of their own" {
	mkimg tank.000
	mkimg tank.001
	run_status 0 lcpfs-rm tank.000:/a
	run_status 0 lcpfs-cat tank.001:/a
	[ "$output" = one ]
}

@test "an image inside a bigger file: offset=" {
	big
	size=$(stat -c %s tank.img)
	{ head -c 1M /dev/urandom; cat tank.img; head -c 1M /dev/urandom; } >disk
	for name in offset=1M:disk offset=2048s:disk "offset=1M+$size:disk" "offset=1048576:./disk"; do
		lcpfs-cat "$name:/random" | cmp - src/random
		run_status 0 lcpfs-scrub -q "$name"
	done
	run_status 0 lcpfs-salvage "offset=1M:disk" out
	diff -r src out
	run_status 1 lcpfs-rm offset=1M:disk:/small
	[[ "$output" = *"can only be read"* ]]
	run_status 1 lcpfs-ls offset=1G:disk:/
	[[ "$output" = *"behind the end"* ]]
	run_status 1 lcpfs-ls offset=1Q:disk:/
	[[ "$output" = *"is wanted"* ]]
}
