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
