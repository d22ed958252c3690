# SPDX-License-Identifier: Apache-2.0
load common
load edit

# The number of the commit before N others.
before() { lcpfs-rewind --list -pq tank.img | sed -n "$((1 + $1))p" | cut -f 1; }

@test "the list names the roots and what changed since" {
	mkimg
	put tank.img:/a changed
	lcpfs-batch tank.img <<-'END'
		touch /new
		rm /dir/b
	END
	run --separate-stderr -0 lcpfs-rewind --list -p tank.img
	[ "${#lines[@]}" -eq 3 ]
	[[ "$stderr" == *"nothing was written"* ]]
	[[ "${lines[0]}" == 3$'\t'*$'\t'now$'\t'0$'\t'0$'\t'0 ]]
	run -0 lcpfs-rewind --list -qv tank.img
	[[ "$output" == *"+ /new"* ]]
	[[ "$output" == *"- /dir/b"* ]]
	[[ "$output" == *"M /a"* ]]
	run --separate-stderr -0 lcpfs-rewind --list --json -v tank.img
	json 'j["written"] is False and len(j["roots"]) == 3 and j["roots"][0]["current"]'
	json 'any(c["change"] == "deleted" and c["path"] == "dir/b" for c in j["roots"][1]["changes"])'
	json '[r["txg"] for r in j["roots"]] == [3, 2, 1]'
}

@test "listing writes nothing" {
	mkimg
	put tank.img:/a changed
	before=$(sha256sum tank.img)
	chmod 400 tank.img
	lcpfs-rewind --list tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
}

@test "a dataset of an earlier commit" {
	mkimg
	lcpfs-xattr set tank.img:/a user.x y
	lcpfs-prop set tank.img: user:kept=yes
	lcpfs-rm -r tank.img:/dir
	put tank.img:/a changed
	run -0 lcpfs-rewind -v tank.img "$(before 2)" was
	[[ "$output" == *shared* ]]
	[ "$(get tank.img:was:/a)" = one ]
	[ "$(get tank.img:was:/dir/b)" = two ]
	[ "$(lcpfs-xattr get --raw tank.img:was:/a user.x)" = y ]
	lcpfs-prop get tank.img:was user:kept | grep -q yes
	[ "$(get tank.img:/a)" = changed ]
	fsck.lcpfs -n --data tank.img
	put tank.img:was:/a third
	put tank.img:/a fourth
	[ "$(get tank.img:was:/a)" = third ]
	fsck_clean
	lcpfs-dataset destroy tank.img:was
	fsck.lcpfs -n --data tank.img
}

@test "by time; a dataset that was destroyed; with those below" {
	mkimg
	lcpfs-dataset create tank.img:home
	lcpfs-dataset create tank.img:home/ann
	put tank.img:home/ann:/x ann
	sleep 1.1
	lcpfs-dataset destroy -r tank.img:home
	lcpfs-rewind -R tank.img:home '1 second ago' old
	[ "$(get tank.img:old/ann:/x)" = ann ]
	fsck_clean
	run_status 1 lcpfs-rewind tank.img '1 hour ago' never
}

@test "what is overwritten is refused, and nothing changes" {
	mkdir src
	head -c 400000 /dev/urandom >src/big
	mkfs.lcpfs -q tank.img src
	lcpfs-rm tank.img:/big
	put tank.img:/f 1
	run -0 lcpfs-rewind --list -pq tank.img
	[[ "$output" == *"contents overwritten"* ]]
	before=$(sha256sum tank.img)
	run_status 6 lcpfs-rewind tank.img 1 was
	[ "$(sha256sum tank.img)" = "$before" ]
}

@test "exit status" {
	mkimg
	put tank.img:/a 2
	run_status 2 lcpfs-rewind tank.img
	run_status 2 lcpfs-rewind --json tank.img 1 x
	run_status 2 lcpfs-rewind tank.img 'no time' x
	run_status 1 lcpfs-rewind tank.img 4711 x
	lcpfs-dataset create tank.img:taken
	run_status 1 lcpfs-rewind tank.img "$(before 1)" taken
	statuses lcpfs-rewind tank.img "$(before 1)" x
}
