# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "back, and what was there is kept" {
	mkimg tank.img --snapshot s
	put tank.img:/a later
	SOURCE_DATE_EPOCH=1700000000 lcpfs-rollback -q tank.img:@s
	[ "$(get tank.img:/a)" = one ]
	[ "$(get tank.img:@before-rollback-20231114T221320Z:/a)" = later ]
	put tank.img:/a again
	SOURCE_DATE_EPOCH=1700000000 lcpfs-rollback -q tank.img:@s
	[ "$(get tank.img:@before-rollback-20231114T221320Z-2:/a)" = again ]
	fsck_clean
}

@test "a rollback can be rolled back" {
	mkimg tank.img --snapshot s
	put tank.img:/a later
	lcpfs-snap create tank.img:@t
	lcpfs-rollback --keep k tank.img:@s
	lcpfs-rollback --discard tank.img:@k
	[ "$(get tank.img:/a)" = later ]
	lcpfs-rollback --discard tank.img:@s
	lcpfs-rollback --keep z tank.img:@t
	[ "$(get tank.img:/a)" = later ]
	fsck.lcpfs -n --data tank.img
	lcpfs-snap destroy tank.img:@z tank.img:@k
	fsck.lcpfs -n --data tank.img
}

@test "newer snapshots stay" {
	mkimg tank.img --snapshot s
	put tank.img:/a 2
	lcpfs-snap create tank.img:@t
	lcpfs-rollback --discard tank.img:@s
	[ "$(get tank.img:@t:/a)" = 2 ]
	run -0 lcpfs-snap list -p tank.img
	[ "${#lines[@]}" -eq 2 ]
	fsck_clean
}

@test "exit status" {
	mkimg tank.img --snapshot s
	put tank.img:/a 2
	run_status 2 lcpfs-rollback tank.img:
	run_status 2 lcpfs-rollback --keep x --discard tank.img:@s
	run_status 1 lcpfs-rollback tank.img:@none
	run_status 1 lcpfs-rollback --keep s tank.img:@s
	statuses lcpfs-rollback tank.img:@s
}
