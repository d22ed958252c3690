# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "directories, with and without parents" {
	mkimg
	lcpfs-mkdir tank.img:/x tank.img:/x/y
	run_status 1 lcpfs-mkdir tank.img:/x
	run_status 1 lcpfs-mkdir tank.img:/p/q/r
	lcpfs-mkdir -p tank.img:/p/q/r tank.img:/x
	run_status 1 lcpfs-mkdir -p tank.img:/a/z
	run -0 lcpfs-find tank.img:/p
	[ "${#lines[@]}" -eq 3 ]
	fsck_clean
}

@test "permissions and owner" {
	mkimg
	lcpfs-mkdir -m 2750 --owner 5:6 tank.img:/x
	run -0 lcpfs-stat --json tank.img:/x
	json 'j.get("files", [j])[0]["mode"] == "2750" and j.get("files", [j])[0]["uid"] == 5 and j.get("files", [j])[0]["gid"] == 6' || json '"2750" in str(j)'
	umask 077
	lcpfs-mkdir tank.img:/y
	run -0 lcpfs-ls -ld tank.img:/y
	[[ "$output" == drwx------* ]]
	lcpfs-mkdir -p --owner 7:8 tank.img:/u/v
	run -0 lcpfs-ls -nd tank.img:/u
	[[ "$output" == *" 7 "*"8 "* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-mkdir
	run_status 2 lcpfs-mkdir -m zz tank.img:/q
	statuses lcpfs-mkdir tank.img:/q
}
