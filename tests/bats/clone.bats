# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "a clone goes its own way" {
	mkimg tank.img --snapshot s
	lcpfs-clone tank.img:@s c
	put tank.img:c:/a mine
	put tank.img:/a theirs
	[ "$(get tank.img:c:/a) $(get tank.img:/a) $(get tank.img:@s:/a)" = "mine theirs one" ]
	[ "$(get tank.img:c:/dir/b)" = two ]
	run -0 lcpfs-dataset list -p tank.img:c
	[[ "$output" == *$'\t@s' ]]
	lcpfs-dataset destroy tank.img:c
	lcpfs-snap destroy tank.img:@s
	fsck_clean
}

@test "exit status" {
	mkimg tank.img --snapshot s
	run_status 2 lcpfs-clone tank.img:@s
	run_status 2 lcpfs-clone tank.img: c
	run_status 1 lcpfs-clone tank.img:@none c
	run_status 1 lcpfs-clone tank.img:@s no/parent
	statuses lcpfs-clone tank.img:@s c
	run_status 1 lcpfs-clone tank.img:@s c
}
