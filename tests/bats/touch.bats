# SPDX-License-Identifier: Apache-2.0
load common
load edit

times() { lcpfs-stat --json "$1" | python3 -c 'import json, sys
j = json.load(sys.stdin)
j = next((v[0] for v in j.values() if isinstance(v, list)), j)
print(j["atime"], j["mtime"])'; }

@test "new files and old ones" {
	mkimg
	lcpfs-touch --owner 5:6 tank.img:/new
	run -0 lcpfs-ls -n tank.img:/new
	[[ "$output" == "-rw-r--r-- 1 5 6 0 "* ]]
	SOURCE_DATE_EPOCH=1000 lcpfs-touch tank.img:/a
	[ "$(times tank.img:/a)" = "1970-01-01T00:16:40.000000000Z 1970-01-01T00:16:40.000000000Z" ]
	[ "$(get tank.img:/a)" = one ]
	lcpfs-touch -c tank.img:/none
	run_status 1 lcpfs-cat tank.img:/none
	run_status 1 lcpfs-touch tank.img:/no/dir
}

@test "certain times, one of them, and a reference" {
	mkimg
	lcpfs-touch -d 2020-01-02T03:04:05.5Z tank.img:/a
	lcpfs-touch -a -d @0 tank.img:/a
	[ "$(times tank.img:/a)" = "1970-01-01T00:00:00.000000000Z 2020-01-02T03:04:05.500000000Z" ]
	lcpfs-touch -m -d @7 tank.img:/a
	[ "$(times tank.img:/a)" = "1970-01-01T00:00:00.000000000Z 1970-01-01T00:00:07.000000000Z" ]
	lcpfs-touch -r tank.img:/a tank.img:/dir/b
	[ "$(times tank.img:/dir/b)" = "$(times tank.img:/a)" ]
	touch -d @9 ref
	lcpfs-touch -m -r ref tank.img:/a
	[[ "$(times tank.img:/a)" == *" 1970-01-01T00:00:09.000000000Z" ]]
	lcpfs-touch -h -d @5 tank.img:/link
	[[ "$(times tank.img:/a)" == *"00:00:09"* ]]
	fsck_clean
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-touch
	run_status 2 lcpfs-touch -d whenever tank.img:/a
	run_status 2 lcpfs-touch -d @1 -r x tank.img:/a
	statuses lcpfs-touch -d @5 tank.img:/a
}
