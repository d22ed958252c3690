# SPDX-License-Identifier: Apache-2.0
load common
load edit

history() {
	mkimg
	lcpfs-touch -d @1000 tank.img:/a
	lcpfs-snap create tank.img:@s1
	lcpfs-snap create tank.img:@s2
	put tank.img:/a second
	lcpfs-touch -d @2000 tank.img:/a
	lcpfs-snap create tank.img:@s3
	lcpfs-rm tank.img:/a
	lcpfs-snap create tank.img:@s4
	put tank.img:/a third
	lcpfs-touch -d @3000 tank.img:/a
}

@test "every version once, the oldest first" {
	history
	run -0 lcpfs-versions -p tank.img:/a
	[ "${#lines[@]}" -eq 3 ]
	[ "${lines[0]}" = $'1970-01-01T00:16:40.000000000Z\t3\t-rw-r--r--\ts1,s2' ]
	[ "${lines[1]}" = $'1970-01-01T00:33:20.000000000Z\t6\t-rw-r--r--\ts3' ]
	[ "${lines[2]}" = $'1970-01-01T00:50:00.000000000Z\t5\t-rw-r--r--\t(now)' ]
	run -0 lcpfs-versions --json tank.img:/a
	json '[v["snapshots"] for v in j["versions"]] == [["s1", "s2"], ["s3"], []] and [v["current"] for v in j["versions"]] == [False, False, True]'
}

@test "same size and time, other contents" {
	mkimg
	lcpfs-touch -d @1 tank.img:/a
	lcpfs-snap create tank.img:@s
	put tank.img:/a two
	lcpfs-touch -d @1 tank.img:/a
	run -0 lcpfs-versions -p tank.img:/a
	[ "${#lines[@]}" -eq 2 ]
	put tank.img:/a one
	lcpfs-touch -d @1 tank.img:/a
	run -0 lcpfs-versions -p tank.img:/a
	[ "${#lines[@]}" -eq 1 ]
}

@test "put back in place, or out" {
	history
	lcpfs-xattr set tank.img:/a user.x new
	lcpfs-versions --restore s3 tank.img:/a
	[ "$(get tank.img:/a)" = second ]
	lcpfs-versions --restore @s1 -o out tank.img:/a
	[ "$(cat out)" = one ]
	run_status 1 lcpfs-versions --restore s4 tank.img:/a
	run_status 1 lcpfs-versions --restore none tank.img:/a
	lcpfs-rm -r tank.img:/dir
	lcpfs-versions --restore s1 tank.img:/dir/b
	[ "$(get tank.img:/dir/b)" = two ]
	run_status 1 lcpfs-versions --restore s1 tank.img:/dir
	fsck_clean
}

@test "exit status" {
	history
	run_status 2 lcpfs-versions
	run_status 2 lcpfs-versions tank.img
	run_status 2 lcpfs-versions -o x tank.img:/a
	run_status 2 lcpfs-versions tank.img:@s1:/a
	run_status 1 lcpfs-versions tank.img:/never
	hold_pool tank.img
	run_status 4 lcpfs-versions tank.img:/a
	release_pool
	statuses lcpfs-versions --restore s1 tank.img:/a
}
