# SPDX-License-Identifier: Apache-2.0
load common

@test "formats agree with stat(1)" {
	mkimg
	for f in a dir link; do
		for c in %s %a %f %h %u %g %A %Y %y; do
			[ "$f" = dir ] && [[ $c == %s || $c == %h ]] && continue
			[ "$(lcpfs-stat -c "$c" "tank.img:/$f")" = "$(stat -c "$c" "src/$f")" ]
		done
	done
	run -0 lcpfs-stat --printf '%n|%s\n' tank.img:/a tank.img:/dir/b
	[ "$output" = $'/a|3\n/dir/b|3' ]
	run_status 2 lcpfs-stat -c %Q tank.img:/a
}

@test "text and JSON; -L follows" {
	mkimg
	run -0 lcpfs-stat tank.img:/link
	[[ "$output" == *"link -> a"* ]]
	run -0 lcpfs-stat --json tank.img:/link
	json 'j["entries"][0]["type"] == "symlink" and j["entries"][0]["target"] == "a" and j["version"] == 1'
	run -0 lcpfs-stat -L --json tank.img:/link
	json 'j["entries"][0]["type"] == "file" and j["entries"][0]["size"] == 3'
	run_status 1 lcpfs-stat tank.img:/nope
}

@test "extended attributes are in the JSON" {
	mkdir src
	: >src/x
	setfattr -n user.color -v red src/x 2>/dev/null || skip "no user attributes here"
	mkfs.lcpfs -q tank.img src
	run -0 lcpfs-stat --json tank.img:/x
	json 'j["entries"][0]["xattr"] == [{"name": "user.color", "value_b64": "cmVk"}]'
}
