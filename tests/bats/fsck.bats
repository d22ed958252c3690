# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "clean" {
	sample
	run -0 fsck.lcpfs -n tank.img
	[ "$output" = "tank.img: clean" ]
	run -0 fsck.lcpfs tank.img
	[[ "$output" == *"does not repair"* ]]
	run -0 fsck.lcpfs -n --data --json tank.img
	json 'j["fsck"]["problems"] == 0 and j["fsck"]["data"]'
	before=$(sha256sum tank.img)
	fsck.lcpfs -y -f tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
}

@test "it runs on what cannot be written" {
	sample
	chmod 444 tank.img
	run_status 0 fsck.lcpfs -n tank.img
}

@test "problems are status 4" {
	spoiled
	run_status 0 fsck.lcpfs -n tank.img
	run_status 4 fsck.lcpfs -n --data tank.img
	[[ "$output" == *"tank.img:/r: "* && "$output" == *"1 problem"* ]]
	run_status 4 fsck.lcpfs --data --json tank.img
	[[ "$output" == *'"code":'* ]]
}

@test "exit status" {
	sample
	run_status 16 fsck.lcpfs
	run_status 16 fsck.lcpfs --nonsense
	run_status 16 fsck.lcpfs -n -y tank.img
	run_status 8 fsck.lcpfs -n /no/such.img
	hold_pool tank.img
	run_status 8 fsck.lcpfs -n tank.img
	release_pool
	run_status 8 fsck.lcpfs -n /no/such.img tank.img
	run_status 0 fsck.lcpfs --help
}
