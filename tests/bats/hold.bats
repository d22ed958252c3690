# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "held snapshots stay" {
	mkimg tank.img --snapshot s
	lcpfs-hold add one tank.img:@s
	lcpfs-hold add two tank.img:@s
	run_status 1 lcpfs-hold add one tank.img:@s
	run_status 1 lcpfs-snap destroy tank.img:@s
	[[ "$output" == *held* ]]
	run -0 lcpfs-hold list -p tank.img
	[ "$output" = $'tank.img:@s\tone\ntank.img:@s\ttwo' ]
	run -0 lcpfs-hold list --json tank.img:@s
	json '[h["tag"] for h in j["holds"]] == ["one", "two"]'
	lcpfs-hold release one tank.img:@s
	run_status 1 lcpfs-hold release one tank.img:@s
	run_status 1 lcpfs-snap destroy tank.img:@s
	lcpfs-hold release two tank.img:@s
	lcpfs-snap destroy tank.img:@s
	run -0 lcpfs-hold list tank.img
	[ -z "$output" ]
	fsck_clean
}

@test "exit status" {
	mkimg tank.img --snapshot s
	run_status 2 lcpfs-hold
	run_status 2 lcpfs-hold add tag
	run_status 1 lcpfs-hold add 'bad tag' tank.img:@s
	run_status 1 lcpfs-hold add tag tank.img:
	statuses lcpfs-hold add tag tank.img:@s
}
