# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "files, links and empty directories" {
	mkimg
	lcpfs-mkdir tank.img:/empty
	lcpfs-rm tank.img:/link
	[ "$(get tank.img:/a)" = one ]
	run_status 1 lcpfs-rm tank.img:/empty
	[[ "$output" == *"-r removes it"* ]]
	lcpfs-rm -d tank.img:/empty
	run_status 1 lcpfs-rm -d tank.img:/dir
	lcpfs-rm tank.img:/a
	run -0 lcpfs-ls tank.img
	[ "$output" = dir ]
	fsck_clean
}

@test "trees, said one by one" {
	mkimg
	run -0 lcpfs-rm -rv tank.img:/dir
	[ "$output" = "removed 'dir/b'"$'\n'"removed 'dir'" ]
	run_status 1 lcpfs-ls tank.img:/dir
}

@test "one that is missing keeps the others; -f does not mind" {
	mkimg
	run_status 1 lcpfs-rm tank.img:/a tank.img:/none
	[[ "$output" == *"nothing was changed"* ]]
	[ "$(get tank.img:/a)" = one ]
	lcpfs-rm -f tank.img:/a tank.img:/none tank.img:/a/b
	run_status 1 lcpfs-cat tank.img:/a
}

@test "roots, dots and snapshots are refused" {
	mkimg tank.img --snapshot s
	run_status 1 lcpfs-rm -r tank.img
	run_status 1 lcpfs-rm -r tank.img:/
	run_status 1 lcpfs-rm -r tank.img:/dir/..
	run_status 1 lcpfs-rm -rf tank.img:@s:/dir
	[[ "$output" == *"never changes"* ]]
	[ "$(get tank.img:/dir/b)" = two ]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-rm
	statuses lcpfs-rm -r tank.img:/dir
}
