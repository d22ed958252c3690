# SPDX-License-Identifier: Apache-2.0
load common

@test "contents, several files, through symlinks" {
	mkimg
	run -0 lcpfs-cat tank.img:/a tank.img:/dir/b tank.img:/link
	[ "$output" = onetwoone ]
}

@test "large and sparse files come out whole" {
	mkdir src
	head -c 3000001 /dev/urandom >src/r
	truncate -s 5M src/s
	printf end >>src/s
	mkfs.lcpfs -q tank.img src
	lcpfs-cat tank.img:/r | cmp - src/r
	lcpfs-cat tank.img:/s | cmp - src/s
}

@test "-o appears only when everything worked" {
	mkimg
	lcpfs-cat -o out tank.img:/a
	[ "$(cat out)" = one ]
	run_status 1 lcpfs-cat -o out2 tank.img:/a tank.img:/nope
	[ ! -e out2 ]
	[ -z "$(find . -name 'out*.tmp*')" ]
	run_status 1 lcpfs-cat -o /nonexistent/x tank.img:/a
}

@test "directories and devices have no contents" {
	mkimg
	run_status 1 lcpfs-cat tank.img:/dir
	[[ "$output" == *"is a directory"* ]]
	run_status 2 lcpfs-cat
}

@test "a long file is read ahead: the same with any threads, and damage is told" {
	head -c 9000001 /dev/urandom >r
	truncate -s 15M r
	seq 300000 >>r
	mkfs.lcpfs -q tank.img
	lcpfs-cp r tank.img:/r
	for j in 1 2 7; do
		lcpfs-cat -j $j tank.img:/r | cmp - r
		lcpfs-cat -j $j --live tank.img:/r | cmp - r
	done
	lcpfs-cat -j 3 --memory 32M tank.img:/r tank.img:/r | cmp - <(cat r r)
	printf 'damage' | dd of=tank.img bs=1 seek=5000000 conv=notrunc status=none
	for j in 1 4; do
		run_status 6 lcpfs-cat -j $j -o out tank.img:/r
		[[ "$output" == *"cannot read 'tank.img:/r'"*"checksum mismatch"* ]]
		[ ! -e out ]
	done
}
