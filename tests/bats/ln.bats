# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "hard links" {
	mkimg
	lcpfs-ln tank.img:/a tank.img:/a2
	lcpfs-ln tank.img:/a tank.img:/dir
	run -0 lcpfs-ls -l tank.img:/a
	[[ "$output" == "-rw-r--r-- 3 "* ]]
	[ "$(get tank.img:/dir/a)" = one ]
	run_status 1 lcpfs-ln tank.img:/a tank.img:/a2
	run_status 1 lcpfs-ln tank.img:/dir tank.img:/d2
	run_status 1 lcpfs-ln tank.img:/dir/b tank.img:/a2
	lcpfs-ln -f tank.img:/dir/b tank.img:/a2
	lcpfs-ln -f tank.img:/dir/b tank.img:/a2
	[ "$(get tank.img:/a2)" = two ]
	fsck_clean
}

@test "symlinks" {
	mkimg
	lcpfs-ln -s --owner 5:6 ../a tank.img:/dir/up
	[ "$(get tank.img:/dir/up)" = one ]
	run -0 lcpfs-ls -n tank.img:/dir/up
	[[ "$output" == *" 5 "*"-> ../a" ]]
	lcpfs-ln -sf dir tank.img:/link
	lcpfs-ln -sT /nowhere tank.img:/dir/x
	run_status 1 lcpfs-ln -sfT y tank.img:/dir
	fsck_clean
}

@test "across datasets there is no hard link" {
	mkimg
	lcpfs-dataset create tank.img:d
	run_status 1 lcpfs-ln tank.img:/a tank.img:d:/a
	[[ "$output" == *"another dataset"* ]]
	run_status 1 lcpfs-ln src/a tank.img:/z
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-ln tank.img:/a
	run_status 2 lcpfs-ln --owner 1:1 tank.img:/a tank.img:/b
	run_status 2 lcpfs-ln -s x y
	statuses lcpfs-ln -s x tank.img:/q
}
