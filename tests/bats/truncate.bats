# SPDX-License-Identifier: Apache-2.0
load common
load edit

size() { get "$1" | wc -c; }

@test "shorter, longer, by so much" {
	mkimg
	lcpfs-truncate -s 2 tank.img:/a
	[ "$(get tank.img:/a)" = on ]
	lcpfs-truncate -s +1K tank.img:/a
	[ "$(size tank.img:/a)" = 1026 ]
	lcpfs-truncate -s -1000 tank.img:/a
	[ "$(size tank.img:/a)" = 26 ]
	lcpfs-truncate -s -1M tank.img:/a
	[ "$(size tank.img:/a)" = 0 ]
	lcpfs-truncate -r src/dir/b tank.img:/a
	[ "$(size tank.img:/a)" = 3 ]
	fsck_clean
}

@test "a hole takes no space" {
	mkimg
	lcpfs-truncate -s 1T tank.img:/big
	[ "$(stat -c %s tank.img)" -lt 4000000 ]
	run -0 lcpfs-ls -l tank.img:/big
	[[ "$output" == *" 1099511627776 "* ]]
	lcpfs-truncate -c -s 5 tank.img:/none
	run_status 1 lcpfs-cat tank.img:/none
	fsck_clean
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-truncate tank.img:/a
	run_status 2 lcpfs-truncate -s many tank.img:/a
	run_status 2 lcpfs-truncate -s 1
	run_status 1 lcpfs-truncate -s 1 tank.img:/dir
	run_status 1 lcpfs-truncate -s 1 tank.img:/no/file
	statuses lcpfs-truncate -s 1 tank.img:/a
}
