# SPDX-License-Identifier: Apache-2.0
load common
load edit

owner() { lcpfs-ls -nd "$1" | awk '{ print $3 ":" $4 }'; }

@test "owner, group, both, names" {
	mkimg
	lcpfs-chown 5:6 tank.img:/a
	[ "$(owner tank.img:/a)" = 5:6 ]
	lcpfs-chown :7 tank.img:/a
	[ "$(owner tank.img:/a)" = 5:7 ]
	lcpfs-chown root tank.img:/a
	[ "$(owner tank.img:/a)" = 0:7 ]
	run_status 2 lcpfs-chown no-such-user tank.img:/a
	[[ "$output" == *"no user"* ]]
}

@test "symlinks: followed, or with -h not" {
	mkimg
	lcpfs-chown 5:6 tank.img:/link
	[ "$(owner tank.img:/a)" = 5:6 ]
	[ "$(owner tank.img:/link)" != 5:6 ]
	lcpfs-chown -h 8:9 tank.img:/link
	[ "$(owner tank.img:/link)" = 8:9 ]
	[ "$(owner tank.img:/a)" = 5:6 ]
}

@test "trees, where links themselves change" {
	mkimg
	lcpfs-ln -s /a tank.img:/dir/up
	lcpfs-chown -R 3:4 tank.img:/dir
	[ "$(owner tank.img:/dir/b)" = 3:4 ]
	[ "$(owner tank.img:/dir/up)" = 3:4 ]
	[ "$(owner tank.img:/a)" != 3:4 ]
	lcpfs-chown --reference=tank.img:/dir tank.img:/a
	[ "$(owner tank.img:/a)" = 3:4 ]
	fsck_clean
}

@test "a program loses its privilege" {
	mkimg
	lcpfs-chmod 6755 tank.img:/a
	lcpfs-chown 3 tank.img:/a
	run -0 lcpfs-ls -l tank.img:/a
	[[ "$output" == "-rwxr-xr-x "* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-chown
	run_status 2 lcpfs-chown 1:1
	run_status 2 lcpfs-chown : tank.img:/a
	run_status 1 lcpfs-chown 1 tank.img:/none
	statuses lcpfs-chown 11:12 tank.img:/a
}
