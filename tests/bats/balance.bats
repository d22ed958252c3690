# SPDX-License-Identifier: Apache-2.0
load common
load edit

tree() {
	mkdir -p src/d
	seq 1 60000 >src/numbers
	for i in $(seq 1 200); do seq "$i" 300 >src/d/f"$i"; done
	head -c 300000 /dev/urandom >src/random
	mkfs.lcpfs -q --compress lz4 tank.img src
}

used() { lcpfs-info -p "$1" | sed -n 's/^used\t//p'; }

@test "recompress: smaller, and the same to everybody" {
	tree
	cp tank.img before.img
	run -0 lcpfs-balance -n --recompress zstd:9 tank.img
	[[ "$output" == "tank.img: "*"would be tried"*"about"* ]]
	cmp tank.img before.img
	run -0 lcpfs-balance --recompress zstd:9 tank.img
	[[ "$output" == "tank.img: "*" rewritten, "* ]]
	[ "$(used tank.img)" -lt "$(used before.img)" ]
	run -0 lcpfs-diff before.img tank.img
	[ -z "$output" ]
	fsck_clean
	run -0 lcpfs-info -p --codecs tank.img
	[[ "$output" == *$'codec\t\tzstd\t'* && "$output" != *$'codec\t\tlz4\t'* ]]
	run -0 lcpfs-prop get tank.img compress
	[[ "$output" == *lz4* ]]
	run -0 lcpfs-balance --json --recompress auto:small tank.img
	json 'j["datasets"][0]["dataset"] == "" and j["datasets"][0]["new_bytes"] <= j["datasets"][0]["old_bytes"]'
	lcpfs-cp -a tank.img:/ out
	diff -r src out
	fsck_clean
}

@test "what snapshots hold stays; a stream after it is right" {
	tree
	lcpfs-snap create tank.img:@a
	seq 1 50000 | lcpfs-cp - tank.img:/later
	run -0 lcpfs-balance --recompress lzma:1 tank.img
	[[ "$output" == *" held by snapshots" ]]
	lcpfs-snap create tank.img:@b
	lcpfs-send tank.img:@a >full
	mkfs.lcpfs -q two.img
	lcpfs-recv two.img:x <full
	lcpfs-snap destroy -q tank.img:@b
	lcpfs-clone tank.img:@a tank.img:c
	run -0 lcpfs-balance --recompress lzma:1 tank.img:c
	fsck_clean
	lcpfs-snap create tank.img:@c
	lcpfs-send -i @a tank.img:@c >inc
	lcpfs-recv two.img:x <inc
	run -0 lcpfs-diff tank.img:@c two.img:x
	[ -z "$output" ]
	fsck_clean two.img
}

@test "packs are put together" {
	mkimg
	for i in $(seq 1 12); do
		seq "$i" 4000 | lcpfs-cp - tank.img:/f"$i"
	done
	for i in 1 2 3 5 6 7 9 10 11; do lcpfs-rm tank.img:/f"$i"; done
	run -0 lcpfs-balance tank.img
	fsck_clean
	run -0 lcpfs-balance tank.img
	[[ "$output" != *emptied* ]]
	[ "$(get tank.img:/f12 | head -n 1)" = 12 ]
	fsck_clean
}

@test "killed at any point" {
	tree
	for s in 0.002 0.005 0.01 0.02; do
		lcpfs-balance -q --recompress lzma:6 tank.img &
		sleep "$s"
		kill -9 $! || true
		wait $! || true
		fsck_clean
	done
	lcpfs-cp -a tank.img:/ out
	diff -r src out
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-balance
	run_status 2 lcpfs-balance tank.img:/a
	run_status 1 lcpfs-balance --recompress zstd:77 tank.img
	[[ "$output" == *"zstd has levels -7 to 19"* ]]
	run_status 1 lcpfs-balance tank.img:nosuch
	run_status 1 lcpfs-balance /no/such.img
	hold_pool tank.img
	run_status 4 lcpfs-balance tank.img
	release_pool
}
