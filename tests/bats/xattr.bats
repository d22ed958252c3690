# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "text, hex, base64 and files, both ways" {
	mkimg
	lcpfs-xattr set tank.img:/a user.text 'hello "you"'
	lcpfs-xattr set tank.img:/a user.hex 0x00ff10
	lcpfs-xattr set tank.img:/a user.b64 0sAP8Q
	lcpfs-xattr set tank.img:/a user.oct '"a\000\134b"'
	printf 'x\0y' | lcpfs-xattr set --from - tank.img:/a user.raw
	[ "$(lcpfs-xattr get tank.img:/a user.text)" = 'hello "you"' ]
	[ "$(lcpfs-xattr get tank.img:/a user.hex)" = 0sAP8Q ]
	[ "$(lcpfs-xattr get -e hex tank.img:/a user.b64)" = 0x00ff10 ]
	[ "$(lcpfs-xattr get -e text tank.img:/a user.oct)" = '"a\000\\b"' ]
	[ "$(lcpfs-xattr get --raw tank.img:/a user.raw | od -An -c | tr -d ' ')" = 'x\0y' ]
	run -0 lcpfs-xattr get tank.img:/a
	[ "${lines[0]}" = user.b64=0sAP8Q ]
	[ "${lines[4]}" = 'user.text="hello \"you\""' ]
	run -0 lcpfs-xattr list tank.img:/a
	[ "${#lines[@]}" -eq 5 ]
	run -0 lcpfs-xattr get --json tank.img:/a user.text
	json 'j["xattrs"][0]["value"] == "hello \"you\"" and j["xattrs"][0]["size"] == 11'
	fsck_clean
}

@test "long values" {
	mkimg
	head -c 60000 /dev/urandom >v
	lcpfs-xattr set --from v tank.img:/a user.big
	lcpfs-xattr get --raw tank.img:/a user.big | cmp - v
	lcpfs-xattr set tank.img:/a user.big small
	[ "$(lcpfs-xattr get tank.img:/a user.big)" = small ]
	fsck_clean
}

@test "create, replace, remove; links" {
	mkimg
	lcpfs-xattr set tank.img:/link user.x 1
	[ "$(lcpfs-xattr get tank.img:/a user.x)" = 1 ]
	run_status 1 lcpfs-xattr set --create tank.img:/a user.x 2
	run_status 1 lcpfs-xattr set --replace tank.img:/a user.y 2
	lcpfs-xattr set --replace tank.img:/a user.x 2
	lcpfs-xattr set -P tank.img:/link trusted.l 3
	run -0 lcpfs-xattr list -P tank.img:/link
	[ "$output" = trusted.l ]
	run_status 1 lcpfs-xattr rm tank.img:/a user.x user.none
	[ "$(lcpfs-xattr get tank.img:/a user.x)" = 2 ]
	lcpfs-xattr rm tank.img:/a user.x
	run_status 1 lcpfs-xattr get tank.img:/a user.x
	fsck_clean
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-xattr
	run_status 2 lcpfs-xattr frob tank.img:/a
	run_status 2 lcpfs-xattr set tank.img:/a user.x
	run_status 2 lcpfs-xattr set tank.img:/a user.x 0xabc
	run_status 2 lcpfs-xattr list --raw tank.img:/a
	run_status 2 lcpfs-xattr get -e morse tank.img:/a
	statuses lcpfs-xattr set tank.img:/a user.x 1
}
