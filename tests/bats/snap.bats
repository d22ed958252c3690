# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "a snapshot stays what it was" {
	mkimg
	lcpfs-snap create tank.img:@one
	put tank.img:/a changed
	lcpfs-rm -r tank.img:/dir
	[ "$(get tank.img:@one:/a)" = one ]
	[ "$(get tank.img:@one:/dir/b)" = two ]
	[ "$(get tank.img:/a)" = changed ]
	fsck_clean
}

@test "several at one moment, or none" {
	mkimg
	lcpfs-dataset create -p tank.img:a/b
	lcpfs-snap create tank.img:@s tank.img:a@s
	run_status 1 lcpfs-snap create tank.img:@t tank.img:a@s
	run_status 1 lcpfs-ls tank.img:@t
	lcpfs-snap create -r tank.img:@all
	run -0 lcpfs-snap list -p tank.img
	[ "$(cut -f1 <<<"$output" | tr '\n' ' ')" = "tank.img:@s tank.img:@all tank.img:a@s tank.img:a@all tank.img:a/b@all " ]
	run -0 lcpfs-snap list --json tank.img:a
	json '[s["name"] for s in j["snapshots"]] == ["a@s", "a@all"]'
	fsck_clean
}

@test "destroy: one, a range, all below; what comes free" {
	mkimg
	lcpfs-dataset create tank.img:d
	for i in 1 2 3 4; do
		head -c 200000 /dev/urandom | lcpfs-cp - tank.img:d:/f
		lcpfs-snap create tank.img:d@s$i
	done
	run -0 lcpfs-snap destroy -n --json tank.img:d@s2%s3
	json '400000 < j["freed_bytes"] < 410000 and j["dry_run"]'
	lcpfs-snap destroy tank.img:d@s2%s3
	run -0 lcpfs-snap list -p tank.img:d
	[ "${#lines[@]}" -eq 2 ]
	run_status 1 lcpfs-snap destroy tank.img:d@s1 tank.img:d@none
	lcpfs-snap destroy tank.img:d@%
	run -0 lcpfs-snap list -p tank.img:d
	[ -z "$output" ]
	lcpfs-snap create -r tank.img:@r
	lcpfs-snap destroy -r tank.img:@r
	run -0 lcpfs-snap list -p tank.img
	[ -z "$output" ]
	fsck_clean
}

@test "rename" {
	mkimg tank.img --snapshot s
	lcpfs-dataset create tank.img:d
	lcpfs-snap create tank.img:d@s
	lcpfs-snap rename -r tank.img:@s t
	[ "$(get tank.img:@t:/a)" = one ]
	lcpfs-ls tank.img:d@t
	lcpfs-snap rename tank.img:@t @u
	lcpfs-snap rename tank.img:@u tank.img:@v
	[ "$(get tank.img:@v:/a)" = one ]
	run_status 1 lcpfs-snap rename tank.img:d@t s/x
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-snap
	run_status 2 lcpfs-snap create tank.img
	run_status 2 lcpfs-snap create tank.img:/a
	run_status 2 lcpfs-snap rename tank.img:@a
	run_status 1 lcpfs-snap destroy tank.img:@none
	mkimg other.img
	run_status 2 lcpfs-snap create tank.img:@x other.img:@x
	statuses lcpfs-snap create tank.img:@x
}
