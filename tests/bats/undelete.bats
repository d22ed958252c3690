# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "a deleted file comes back from an older root, with all that belongs to it" {
	mkimg
	lcpfs-batch tank.img <<-'END'
		xattr set /dir/b user.x y
		chmod 640 /dir/b
		chown 1000:1001 /dir/b
	END
	was=$(lcpfs-stat --json tank.img:/dir/b | sed 's/"ino":[0-9]*//; s/"ctime":"[^"]*"//; s/"btime":"[^"]*"//; s/"gen":[0-9]*//; s/"stored":[0-9]*//; s/"atime":"[^"]*"//')
	lcpfs-rm tank.img:/dir/b
	run --separate-stderr -0 lcpfs-undelete --list -p tank.img
	[ "${#lines[@]}" -eq 1 ]
	[[ "${lines[0]}" == *$'\t'3$'\t'commit*$'\t'dir/b ]]
	[[ "$stderr" == *"nothing was written"* ]]
	lcpfs-undelete tank.img:/dir/b
	[ "$(get tank.img:/dir/b)" = two ]
	is=$(lcpfs-stat --json tank.img:/dir/b | sed 's/"ino":[0-9]*//; s/"ctime":"[^"]*"//; s/"btime":"[^"]*"//; s/"gen":[0-9]*//; s/"stored":[0-9]*//; s/"atime":"[^"]*"//')
	[ "$is" = "$was" ]
	[ "$(lcpfs-xattr get --raw tank.img:/dir/b user.x)" = y ]
	fsck.lcpfs -n --data tank.img
}

@test "from a snapshot, long after; nothing is overwritten" {
	head -c 300000 /dev/urandom >big
	mkimg
	lcpfs-cp big tank.img:/big
	lcpfs-snap create tank.img:@s
	lcpfs-rm tank.img:/big
	for i in 1 2 3 4 5; do put "tank.img:/f$i" "$i"; done
	put tank.img:/big another
	lcpfs-undelete tank.img:/big
	[ "$(get tank.img:/big)" = another ]
	lcpfs-cat tank.img:/big.undeleted | cmp - big
	# what came back shares the blocks of the snapshot
	fsck.lcpfs -n --data tank.img
}

@test "a directory, with those above it, to another place and to the host" {
	mkimg
	lcpfs-batch tank.img <<-'END'
		mkdir /dir/sub
		chmod 750 /dir
	END
	put tank.img:/dir/sub/c deep
	lcpfs-rm -r tank.img:/dir
	run_status 1 lcpfs-undelete tank.img:/dir
	mkdir host
	lcpfs-undelete -r --extract host tank.img
	[ "$(cat host/dir/sub/c)" = deep ]
	[ "$(stat -c %a host/dir)" = 750 ]
	lcpfs-undelete --to back tank.img:/dir/sub/c
	[ "$(get tank.img:/back/dir/sub/c)" = deep ]
	lcpfs-undelete -r tank.img
	[ "$(get tank.img:/dir/b)" = two ]
	[ "$(lcpfs-stat --json tank.img:/dir | grep -c '"mode":"0750"')" = 1 ]
	fsck_clean
}

@test "a symlink of one state does not lead out of the folder in another" {
	mkdir src host outside
	mkfs.lcpfs -q tank.img src
	put tank.img:/x/f inside 2>/dev/null || { lcpfs-mkdir tank.img:/x; put tank.img:/x/f inside; }
	lcpfs-snap create tank.img:@a
	lcpfs-rm -r tank.img:/x
	lcpfs-ln -s "$PWD/outside" tank.img:/x
	lcpfs-snap create tank.img:@b
	lcpfs-rm tank.img:/x
	run lcpfs-undelete -ra --extract host tank.img
	[ ! -e outside/f ]
}

@test "versions, time, and what is lost" {
	head -c 400000 /dev/urandom >big
	mkimg
	lcpfs-cp big tank.img:/big
	lcpfs-rm tank.img:/big
	put tank.img:/f 1
	run -3 lcpfs-undelete -r tank.img
	[[ "$output" == *overwritten* ]]
	run --separate-stderr -0 lcpfs-undelete --list -p --since '1 hour ago' tank.img
	[ "${#lines[@]}" -ge 1 ]
	run --separate-stderr -0 lcpfs-undelete --list -p --since @4000000000 tank.img
	[ "${#lines[@]}" -eq 0 ]
	run --separate-stderr -0 lcpfs-undelete --list --json tank.img
	json 'j["written"] is False and all(d["path"] for d in j["deleted"])'
}

@test "exit status" {
	mkimg
	put tank.img:/gone x
	lcpfs-snap create tank.img:@s
	lcpfs-rm tank.img:/gone
	run_status 2 lcpfs-undelete tank.img
	run_status 2 lcpfs-undelete --to x --extract . tank.img:/gone
	run_status 2 lcpfs-undelete tank.img:@s:/gone
	run_status 1 lcpfs-undelete tank.img:/never
	statuses lcpfs-undelete tank.img:/gone
}
