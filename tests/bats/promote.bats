# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "the clone takes the history" {
	mkimg
	lcpfs-dataset create tank.img:d
	put tank.img:d:/f 1
	lcpfs-snap create tank.img:d@s1
	put tank.img:d:/f 2
	lcpfs-snap create tank.img:d@s2
	lcpfs-clone tank.img:d@s1 c
	put tank.img:c:/f 3
	run_status 1 lcpfs-dataset destroy -r tank.img:d
	lcpfs-promote tank.img:c
	run -0 lcpfs-snap list -p tank.img
	[ "$(cut -f1 <<<"$output" | tr '\n' ' ')" = "tank.img:c@s1 tank.img:d@s2 " ]
	[ "$(get tank.img:c@s1:/f)" = 1 ]
	fsck_clean
	lcpfs-dataset destroy -r tank.img:d
	lcpfs-dataset rename tank.img:c d
	[ "$(get tank.img:d:/f)" = 3 ]
	fsck_clean
}

@test "exit status" {
	mkimg tank.img --snapshot s
	lcpfs-clone tank.img:@s c
	run_status 2 lcpfs-promote
	run_status 1 lcpfs-promote tank.img:
	statuses lcpfs-promote tank.img:c
}
