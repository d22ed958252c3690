# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "a new name, into a directory, over a file" {
	mkimg
	lcpfs-mv tank.img:/a tank.img:/c
	lcpfs-mv tank.img:/c tank.img:/link tank.img:/dir
	[ "$(get tank.img:/dir/c)" = one ]
	lcpfs-mv -T tank.img:/dir/c tank.img:/dir/b
	[ "$(get tank.img:/dir/b)" = one ]
	run -0 lcpfs-ls tank.img:/dir
	[ "$output" = "b"$'\n'"link" ]
	run_status 1 lcpfs-mv tank.img:/dir tank.img:/dir/b/x
	run_status 1 lcpfs-mv -T tank.img:/dir tank.img:/dir/in
	fsck_clean
}

@test "between datasets: copied with everything, then removed" {
	sample
	lcpfs-xattr set tank.img:/etc/fstab user.k v
	lcpfs-mv -v tank.img:/etc tank.img:/bin tank.img:home:
	[ "$(lcpfs-xattr get tank.img:home:/etc/fstab user.k)" = v ]
	run -0 lcpfs-ls -l tank.img:home:/bin/hello
	[[ "$output" == "-rwxr-xr-x 2 "* ]]
	run_status 1 lcpfs-ls tank.img:/etc
	fsck_clean
}

@test "between pools" {
	mkimg
	mkfs.lcpfs -q --size 16M b.img
	lcpfs-mv tank.img:/dir b.img:/d2
	[ "$(get b.img:/d2/b)" = two ]
	run_status 1 lcpfs-ls tank.img:/dir
	run_status 1 lcpfs-mv tank.img:/a tank.img:/none b.img:
	[ "$(get tank.img:/a)" = one ]
	run_status 1 lcpfs-cat b.img:/a
	lcpfs-mkdir b.img:/full
	put b.img:/full/f x
	run_status 1 lcpfs-mv -T tank.img:/a b.img:/full
	fsck_clean
	fsck_clean b.img
}

@test "what is in the way stays with --no-clobber" {
	mkimg
	lcpfs-dataset create tank.img:d
	put tank.img:d:/a old
	run_status 1 lcpfs-mv --no-clobber tank.img:/a tank.img:/dir/b
	run_status 1 lcpfs-mv --no-clobber tank.img:/a tank.img:d:
	[ "$(get tank.img:d:/a)" = old ]
	lcpfs-mv tank.img:/a tank.img:d:
	[ "$(get tank.img:d:/a)" = one ]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-mv tank.img:/a
	run_status 2 lcpfs-mv tank.img:/a /tmp/x
	run_status 1 lcpfs-mv src/a tank.img:/q
	run_status 1 lcpfs-mv tank.img: tank.img:/q
	statuses lcpfs-mv tank.img:/a tank.img:/q
}

@test "damaged data do not leave the pool; within it they are not looked at" {
	spoiled
	mkfs.lcpfs -q b.img
	run lcpfs-mv tank.img:/r b.img:
	[ "$status" -eq 6 ] || [ "$status" -eq 1 ]
	run -0 lcpfs-ls tank.img:/r
	run -0 lcpfs-ls b.img:
	[ -z "$output" ]
	lcpfs-dataset create tank.img:d
	lcpfs-mv tank.img:/r tank.img:d:
	run_status 6 lcpfs-cat tank.img:d:/r
	run -0 fsck.lcpfs -n tank.img
}

@test "between datasets contents move without a copy" {
	mkimg
	head -c 3000000 /dev/urandom >big
	lcpfs-cp big tank.img:/big
	lcpfs-dataset create tank.img:o
	before=$(stat -c %s tank.img)
	lcpfs-mv tank.img:/big tank.img:o:
	cmp big <(get tank.img:o:/big)
	[ "$(stat -c %s tank.img)" -lt $((before + 40000)) ]
	run -0 lcpfs-info tank.img
	[[ "$output" != *reflink* ]]
	fsck_clean
}
