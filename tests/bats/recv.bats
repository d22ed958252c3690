# SPDX-License-Identifier: Apache-2.0
load common
load edit

two_pools() {
	sample
	mkfs.lcpfs -q --size 16M b.img
}

@test "whole, then what changed" {
	two_pools
	lcpfs-send tank.img:home@mon | lcpfs-recv -v b.img:copy
	run_status 0 lcpfs-diff tank.img:home@mon b.img:copy@mon
	put tank.img:home:/new text
	lcpfs-rm -r tank.img:home:/bob
	lcpfs-snap create tank.img:home@tue
	run -0 bash -c 'lcpfs-send -i @mon tank.img:home@tue | lcpfs-recv --json b.img:copy'
	json 'j["snapshot"] == "b.img:copy@tue"'
	run_status 0 lcpfs-diff tank.img:home b.img:copy
	fsck.lcpfs -n --data b.img
}

@test "the root dataset" {
	two_pools
	lcpfs-send tank.img:@mon | lcpfs-recv b.img
	run_status 0 lcpfs-diff tank.img:@mon b.img
	fsck_clean b.img
}

@test "a changed target is not overwritten without consent" {
	two_pools
	lcpfs-send tank.img:home@mon | lcpfs-recv b.img:c
	put b.img:c:/mine x
	lcpfs-snap create tank.img:home@tue
	lcpfs-send -o i.lcs -i @mon tank.img:home@tue
	run_status 1 lcpfs-recv b.img:c i.lcs
	[[ "$output" == *"changed since"* ]]
	[ "$(get b.img:c:/mine)" = x ]
	lcpfs-recv --keep was b.img:c i.lcs
	[ "$(get b.img:c@was:/mine)" = x ]
	run_status 1 lcpfs-cat b.img:c:/mine
	run_status 1 lcpfs-recv b.img:c i.lcs
	lcpfs-snap create tank.img:@other
	lcpfs-send tank.img:@other | lcpfs-recv -f b.img:c
	run_status 0 lcpfs-diff tank.img:@other b.img:c
	fsck_clean b.img
}

@test "a dry run changes nothing and says the same" {
	two_pools
	lcpfs-send -o m.lcs tank.img:home@mon
	before=$(sha256sum b.img)
	run -0 lcpfs-recv -n b.img:c m.lcs
	[ "$output" = "would have received 'b.img:c@mon'" ]
	[ "$(sha256sum b.img)" = "$before" ]
	head -c 500 m.lcs >cut
	run_status 1 lcpfs-recv -n b.img:c cut
	[ "$(sha256sum b.img)" = "$before" ]
}

@test "a stream that breaks off leaves nothing" {
	two_pools
	lcpfs-send -o m.lcs tank.img:@mon
	for n in 1 100 700 "$(($(stat -c %s m.lcs) - 1))"; do
		head -c "$n" m.lcs >cut
		run_status 1 lcpfs-recv b.img:c cut
		run_status 1 lcpfs-ls b.img:c
		run_status 1 lcpfs-recv --token b.img:c
	done
	fsck_clean b.img
}

@test "... or goes on where it stopped" {
	two_pools
	mkdir many
	for i in $(seq 30); do head -c 150000 /dev/urandom >many/$i; done
	lcpfs-cp -r many tank.img:
	lcpfs-snap create tank.img:@s
	lcpfs-send --checkpoint 4K -o whole tank.img:@s
	head -c 3000000 whole >cut
	run_status 1 lcpfs-recv -s b.img:c cut
	t=$(lcpfs-recv --token b.img:c)
	run_status 1 lcpfs-ls b.img:c
	run_status 4 lcpfs-recv b.img:c whole
	lcpfs-send --resume "$t" -o rest tank.img:@s
	[ "$(stat -c %s rest)" -lt 3000000 ]
	lcpfs-recv -s b.img:c rest
	run_status 0 lcpfs-diff tank.img:@s b.img:c
	fsck.lcpfs -n --data b.img
	run_status 1 lcpfs-recv -s b.img:d cut
	lcpfs-recv --abort b.img:d
	run_status 1 lcpfs-recv --token b.img:d
	fsck.lcpfs -n --data b.img
}

@test "a changed byte anywhere is noticed" {
	two_pools
	lcpfs-send -o m.lcs tank.img:home@mon
	size=$(stat -c %s m.lcs)
	for ((i = 0; i < size; i += 37)); do
		cp m.lcs bad
		python3 -c 'import sys; f = open("bad", "r+b"); i = int(sys.argv[1]); f.seek(i); b = f.read(1)[0]; f.seek(i); f.write(bytes([b ^ 64]))' "$i"
		run lcpfs-recv b.img:c bad
		[ "$status" -eq 6 ] || [ "$status" -eq 1 ]
		run_status 1 lcpfs-ls b.img:c
	done
	fsck_clean b.img
}

@test "exit status" {
	two_pools
	lcpfs-send -o m.lcs tank.img:home@mon
	run_status 2 lcpfs-recv
	run_status 2 lcpfs-recv b.img:@x m.lcs
	run_status 2 lcpfs-recv --token --abort b.img
	run_status 2 lcpfs-recv --token -f b.img
	run_status 1 lcpfs-recv b.img:c /no/such
	run_status 0 lcpfs-recv b.img:new/parent m.lcs
	head -c 5000 /dev/urandom >junk
	run lcpfs-recv b.img:c junk
	[ "$status" -eq 6 ] || [ "$status" -eq 1 ]
	hold_pool b.img
	run_status 4 lcpfs-recv b.img:c m.lcs
	release_pool
	run_status 0 lcpfs-recv b.img:c m.lcs
}
