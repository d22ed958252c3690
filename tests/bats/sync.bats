# SPDX-License-Identifier: Apache-2.0
load common
load edit

pools() {
	sample
	mkfs.lcpfs -q --size 16M b.img
}

@test "the first time everything, then what changed" {
	pools
	SOURCE_DATE_EPOCH=1700000000 lcpfs-sync tank.img:home b.img
	run_status 0 lcpfs-diff tank.img:home b.img:home@sync-20231114T221320Z
	put tank.img:home:/new text
	run -0 lcpfs-sync --json tank.img:home b.img
	json 'j["base"] == "home@sync-20231114T221320Z" and j["bytes"] < 3000'
	run_status 0 lcpfs-diff tank.img:home b.img:home
	run -0 lcpfs-sync -v tank.img:home@mon b.img:only
	[[ "$output" == *"'home@mon' as a whole"* ]]
	run -0 lcpfs-sync -v tank.img:home@mon b.img:only
	[[ "$output" == *"there already"* ]]
	fsck.lcpfs -n --data b.img
	fsck_clean
}

@test "the root dataset, several datasets, within one pool" {
	pools
	lcpfs-sync tank.img:@mon b.img:
	run_status 0 lcpfs-diff tank.img:@mon b.img
	lcpfs-sync -R tank.img: b.img:all
	run_status 0 lcpfs-diff tank.img:home b.img:all/home
	put tank.img:home:/x y
	lcpfs-sync -R tank.img: b.img:all
	[ "$(get b.img:all/home:/x)" = y ]
	lcpfs-sync tank.img:home tank.img:copy
	put tank.img:home:/x z
	lcpfs-sync tank.img:home tank.img:copy
	[ "$(get tank.img:copy:/x)" = z ]
	fsck.lcpfs -n --data b.img
	fsck.lcpfs -n --data tank.img
}

@test "changes at the other side need consent" {
	pools
	lcpfs-sync tank.img:home b.img
	put b.img:home:/mine x
	put tank.img:home:/x y
	run_status 1 lcpfs-sync tank.img:home b.img
	[ "$(get b.img:home:/mine)" = x ]
	lcpfs-sync --keep was tank.img:home b.img
	[ "$(get b.img:home@was:/mine)" = x ]
	[ "$(get b.img:home:/x)" = y ]
	fsck_clean b.img
}

@test "a dry run takes no snapshot" {
	pools
	a=$(sha256sum tank.img b.img)
	run -0 lcpfs-sync -n tank.img:home b.img
	[[ "$output" == "would have sent "*bytes ]]
	[ "$(sha256sum tank.img b.img)" = "$a" ]
}

@test "what broke off goes on" {
	pools
	mkdir many
	for i in $(seq 30); do head -c 150000 /dev/urandom >many/$i; done
	lcpfs-cp -r many tank.img:home:
	lcpfs-snap create tank.img:home@s
	lcpfs-send --checkpoint 4K tank.img:home@s | head -c 3000000 >cut
	run_status 1 lcpfs-recv -s b.img:home cut
	run -0 lcpfs-sync -v tank.img:home@s b.img
	[[ "$output" == *"resumed 'home@s'"* && "$output" == *"there already"* ]]
	run_status 0 lcpfs-diff tank.img:home@s b.img:home
	run_status 1 lcpfs-recv -s b.img:other cut
	lcpfs-snap destroy tank.img:home@s
	run -0 lcpfs-sync tank.img:home b.img:other
	[[ "$output" == *"starts again"* ]]
	run_status 0 lcpfs-diff tank.img:home b.img:other
	fsck.lcpfs -n --data b.img
}

@test "exit status" {
	pools
	run_status 2 lcpfs-sync tank.img:home
	run_status 2 lcpfs-sync tank.img:home tank.img:home
	run_status 2 lcpfs-sync tank.img:home b.img:@s
	run_status 1 lcpfs-sync tank.img:none b.img
	run_status 1 lcpfs-sync tank.img:home@none b.img
	run_status 1 lcpfs-sync tank.img:home /no/such.img
	hold_pool b.img
	run_status 4 lcpfs-sync tank.img:home b.img
	release_pool
}

@test "damaged contents" {
	spoiled
	mkfs.lcpfs -q --size 16M b.img
	lcpfs-snap create tank.img:@s
	run_status 6 lcpfs-sync tank.img:@s b.img:c
	run_status 1 lcpfs-ls b.img:c
	fsck_clean b.img
}
