# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "no damage" {
	sample
	run -0 lcpfs-scrub tank.img
	[[ "$output" == "tank.img: "*"no damage" ]]
	run -0 lcpfs-scrub -q tank.img
	[ -z "$output" ]
	run -0 lcpfs-scrub --json tank.img
	json 'j["scrub"]["bad_blocks"] == 0 and j["scrub"]["blocks"] > 0'
}

@test "damage is named by file" {
	spoiled
	run_status 6 lcpfs-scrub tank.img
	[[ "$output" == *"tank.img:/r: bytes "* ]]
	run_status 6 lcpfs-scrub --json tank.img
	[[ "$output" == *'"path":"'*'"bad_blocks":1'* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-scrub
	run_status 2 lcpfs-scrub tank.img:/a
	run_status 1 lcpfs-scrub /no/such.img
	hold_pool tank.img
	run_status 4 lcpfs-scrub tank.img
	run_status 0 lcpfs-scrub --live tank.img
	release_pool
}
