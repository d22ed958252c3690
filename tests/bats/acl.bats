# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "permissions are a list of their own" {
	mkimg
	run -0 lcpfs-acl get --numeric tank.img:/a
	[ "${lines[0]}" = "# file: tank.img:/a" ]
	[ "${lines[3]} ${lines[4]} ${lines[5]}" = "user::rw- group::r-- other::r--" ]
}

@test "add, with a mask and permissions that follow" {
	mkimg
	lcpfs-acl add u:1234:rw tank.img:/a
	run -0 lcpfs-acl get --numeric tank.img:/a
	[[ "$output" == *"user:1234:rw-"*"group::r--"*"mask::rw-"* ]]
	run -0 lcpfs-ls -l tank.img:/a
	[[ "$output" == "-rw-rw-r--"* ]]
	lcpfs-acl add g:7:r,m::r tank.img:/a
	run -0 lcpfs-acl get --numeric tank.img:/a
	[[ "$output" == *"user:1234:rw-"*"#effective:r--"* ]]
	lcpfs-chmod 606 tank.img:/a
	run -0 lcpfs-acl get --numeric tank.img:/a
	[[ "$output" == *"mask::---"*"other::rw-"* ]]
	fsck_clean
}

@test "set, from a file as getfacl writes it, and rm" {
	mkimg
	lcpfs-acl set u::rwx,g::rx,o::-,u:5:rwx,d:u:6:rx tank.img:/dir
	run -0 lcpfs-acl get --json --numeric tank.img:/dir
	json 'j["access"] == ["user::rwx","user:5:rwx","group::r-x","mask::rwx","other::---"] and "user:6:r-x" in j["default"]'
	lcpfs-acl get --numeric tank.img:/dir >list
	lcpfs-mkdir tank.img:/copy
	lcpfs-acl set --from list tank.img:/copy
	diff <(lcpfs-acl get --numeric tank.img:/copy | tail -n +2) <(tail -n +2 list)
	lcpfs-acl rm -d tank.img:/copy
	run -0 lcpfs-acl get --numeric tank.img:/copy
	[[ "$output" != *default* && "$output" == *user:5:rwx* ]]
	lcpfs-acl rm tank.img:/copy
	run -0 lcpfs-acl get --numeric tank.img:/copy
	[[ "$output" != *user:5* && "$output" == *group::r-x* ]]
	run -0 lcpfs-xattr list tank.img:/copy
	[ -z "$output" ]
	fsck_clean
}

@test "what is made in a directory inherits its default entries" {
	local name
	mkimg
	umask 077
	lcpfs-acl add d:u:5:rwx,d:g:7:r,d:o::r tank.img:/dir
	lcpfs-touch tank.img:/dir/new
	lcpfs-mkdir -p tank.img:/dir/sub/deep
	lcpfs-ln -s new tank.img:/dir/link
	run -0 lcpfs-acl get --numeric tank.img:/dir/new
	[[ "$output" == *"user::rw-"*"user:5:rwx"*"group:7:r--"*"mask::rw-"*"other::r--"* ]]
	[[ "$output" != *default* ]]
	run -0 lcpfs-acl get --numeric tank.img:/dir/sub/deep
	[[ "$output" == *"user:5:rwx"*"mask::rwx"*"other::r--"*"default:user:5:rwx"*"default:mask::rwx"*"default:other::r--"* ]]
	diff <(lcpfs-acl get --numeric tank.img:/dir | grep ^default) <(lcpfs-acl get --numeric tank.img:/dir/sub/deep | grep ^default)
	lcpfs-mkdir -m 750 tank.img:/dir/closed
	run -0 lcpfs-acl get --numeric tank.img:/dir/closed
	[[ "$output" == *"mask::r-x"*"other::---"* ]]
	run -0 lcpfs-xattr list -P tank.img:/dir/link
	[ -z "$output" ]
	# the owner, the group and the others alone are permissions, not a list
	lcpfs-mkdir tank.img:/plain
	lcpfs-acl set u::rwx,g::rx,o::-,d:u::rwx,d:g::rx,d:o::- tank.img:/plain
	lcpfs-touch tank.img:/plain/file
	run -0 lcpfs-xattr list tank.img:/plain/file
	[ -z "$output" ]
	run -0 lcpfs-ls -l tank.img:/plain/file
	[[ "$output" == "-rw-r-----"* ]]
	# a host that knows ACLs gives the same
	mkdir host
	chmod 755 host
	if setfacl -m d:u:5:rwx,d:g:7:r,d:o::r host 2>/dev/null; then
		touch host/new
		mkdir host/sub
		for name in new sub; do
			diff <(getfacl -n "host/$name" | sed '/^#/d;s/\t.*//') \
				<(lcpfs-acl get --numeric "tank.img:/dir/$name" | sed '/^#/d;s/\t.*//')
		done
	fi
	fsck_clean
}

@test "trees" {
	mkimg
	lcpfs-acl add -R u:5:rX,d:u:5:r tank.img:/dir && false
	lcpfs-acl add -R u:5:r,d:u:5:r tank.img:/dir
	run -0 lcpfs-acl get -R --numeric tank.img:/dir
	[ "$(grep -c '^user:5:r--' <<<"$output")" -eq 2 ]
	[ "$(grep -c '^default:user:5:r--' <<<"$output")" -eq 1 ]
	run_status 1 lcpfs-acl add d:u:5:r tank.img:/a
	[[ "$output" == *"only directories"* ]]
}

@test "out to the host and back" {
	mkimg
	touch probe
	setfacl -m u:5:r probe 2>/dev/null || skip "no ACLs here"
	lcpfs-acl add u:5:rwx tank.img:/a
	lcpfs-cp tank.img:/a out
	run -0 getfacl -n out
	[[ "$output" == *user:5:rwx* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-acl
	run_status 2 lcpfs-acl add nonsense tank.img:/a
	run_status 2 lcpfs-acl add u:5:r
	run_status 1 lcpfs-acl get tank.img:/none
	statuses lcpfs-acl add u:5:rwx tank.img:/a
}
