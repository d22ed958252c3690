# SPDX-License-Identifier: Apache-2.0
load common

@test "files into an image: into a directory, under a new name, over an old one" {
	mkimg
	echo new >n
	lcpfs-cp n tank.img:/dir
	[ "$(get tank.img:/dir/n)" = new ]
	lcpfs-cp n tank.img:/other
	[ "$(get tank.img:/other)" = new ]
	lcpfs-cp n tank.img:/a
	[ "$(get tank.img:/a)" = new ]
	lcpfs-cp n src/a tank.img:
	[ "$(get tank.img:/n)" = new ]
	[ "$(get tank.img:/a)" = one ]
}

@test "trees, with and without -r, merged and renamed" {
	mkimg
	mkdir -p t/u
	echo 1 >t/u/f
	run_status 1 lcpfs-cp t tank.img:/dir
	[[ "$output" == *"-r copies it"* ]]
	lcpfs-cp -r t tank.img:/dir
	[ "$(get tank.img:/dir/t/u/f)" = 1 ]
	lcpfs-cp -a t tank.img:/fresh
	[ "$(get tank.img:/fresh/u/f)" = 1 ]
	lcpfs-cp -aT t tank.img:/dir
	[ "$(get tank.img:/dir/u/f)" = 1 ]
	[ "$(get tank.img:/dir/b)" = two ]
	lcpfs-cp -a t/. tank.img:/dir/t
	[ "$(get tank.img:/dir/t/u/f)" = 1 ]
	lcpfs-cp -a -t tank.img:/dir/u t/u
	[ "$(get tank.img:/dir/u/u/f)" = 1 ]
}

@test "out of an image, everything kept" {
	sample
	lcpfs-cp -a tank.img:/ out
	diff -r rootfs out
	[ "$(stat -c %i out/bin/hello)" = "$(stat -c %i out/bin/hello2)" ]
	[ "$(stat -c %Y out/etc)" = "$(stat -c %Y rootfs/etc)" ]
	[ "$(stat -c %b out/var/sparse)" -lt 100 ]
	lcpfs-cp tank.img:home@mon:/ann/notes.txt .
	[ "$(cat notes.txt)" = "a note" ]
	lcpfs-cp tank.img:/etc/fstab named
	cmp named rootfs/etc/fstab
	mkdir d
	lcpfs-cp -a tank.img:/etc tank.img:/bin d
	diff -r rootfs/etc d/etc
	diff -r rootfs/bin d/bin
}

@test "between datasets and between pools" {
	sample
	lcpfs-cp -a tank.img:home:/bob tank.img:/var
	[ "$(get tank.img:/var/bob/todo)" = another ]
	mkfs.lcpfs -q other.img
	lcpfs-cp -a tank.img:/etc other.img:/config
	[ "$(get other.img:/config/hostname)" = sample ]
}

@test "standard input, owner and mode" {
	mkimg
	printf text | lcpfs-cp --chmod 640 --owner 3:4 - tank.img:/dir/in
	run -0 lcpfs-stat -c '%a %u %g %s' tank.img:/dir/in
	[ "$output" = "640 3 4 4" ]
	lcpfs-cp --chmod u=rwx,go=rx --owner 5 src/a tank.img:/b
	run -0 lcpfs-stat -c '%a %u' tank.img:/b
	[ "$output" = "755 5" ]
	run_status 1 lcpfs-cp - tank.img:/dir
}

@test "one failed source: nothing is stored" {
	mkimg
	run_status 1 lcpfs-cp src/a nosuch tank.img:/dir
	[[ "$output" == *nosuch* ]]
	run_status 1 lcpfs-ls tank.img:/dir/a
	run -0 lcpfs-cp -n src/a tank.img:/dir
	[[ "$output" == "would copy 'src/a' -> 'tank.img:/dir/a'" ]]
	run_status 1 lcpfs-ls tank.img:/dir/a
	run -0 lcpfs-cp -n tank.img:/a hostcopy
	[ ! -e hostcopy ]
}

@test "refusals" {
	mkimg
	mkdir x
	run_status 1 lcpfs-cp src/a x
	[[ "$output" == *"neither"* ]]
	run_status 1 lcpfs-cp src/a src/dir/b tank.img:/a
	run_status 1 lcpfs-cp -T src/a tank.img:/dir
	run_status 1 lcpfs-cp src/a missing.img:/x
	run_status 2 lcpfs-cp src/a
	run_status 1 lcpfs-cp src/a tank.img:/no/such/dir
}

@test "set-user-ID bits come out only when asked for" {
	mkdir src
	: >src/su
	chmod 4755 src/su
	mkfs.lcpfs -q tank.img src
	run_status 3 lcpfs-cp tank.img:/su plain
	[ ! -u plain ]
	lcpfs-cp --special tank.img:/su kept
	[ -u kept ]
}

@test "a file that is an archive stays one" {
	sample
	lcpfs-cp etc.tar tank.img:/var
	lcpfs-cat tank.img:/var/etc.tar | cmp - etc.tar
}
