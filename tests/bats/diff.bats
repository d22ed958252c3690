# SPDX-License-Identifier: Apache-2.0
load common
load edit

# a before and an after
history() {
	mkimg
	lcpfs-snap create tank.img:@s
	put tank.img:/a changed
	lcpfs-chmod 600 tank.img:/dir/b
	lcpfs-mv tank.img:/link tank.img:/dir/moved
	lcpfs-mkdir tank.img:/new
	put tank.img:/new/f x
}

@test "what was added, removed, changed, renamed" {
	history
	run_status 1 lcpfs-diff tank.img:@s
	[[ "$output" == *$'M\t/a'* && "$output" == *$'M\t/dir/b'* && "$output" == *$'R\t/link -> /dir/moved'* && "$output" == *$'+\t/new/'* && "$output" == *$'+\t/new/f'* ]]
	run_status 1 lcpfs-diff -v tank.img:@s tank.img
	[[ "$output" == *$'M\t/a\t(content'* && "$output" == *$'M\t/dir/b\t(mode)'* ]]
	run_status 1 lcpfs-diff tank.img: tank.img:@s
	[[ "$output" == *$'-\t/new/f'* ]]
	run_status 0 lcpfs-diff tank.img:@s tank.img:@s
	[ -z "$output" ]
}

@test "names only, NUL, tabs, JSON, below a path, quietly" {
	history
	run_status 1 lcpfs-diff --name-only tank.img:@s
	[[ "$output" == *$'\nnew/f'* ]]
	[ "$(lcpfs-diff --name-only -0 tank.img:@s tank.img: | xargs -0 echo)" != "" ]
	run_status 1 lcpfs-diff -p tank.img:@s
	[[ "$output" == *$'M\tcontent'*$'\t3\t7\t/a'* && "$output" == *$'R\t'*$'\t/link\t/dir/moved'* ]]
	run_status 1 lcpfs-diff --json tank.img:@s
	json 'any(e["kind"] == "R" and e["from"] == "link" for e in j) and all(e["version"] == 1 for e in j)'
	run_status 1 lcpfs-diff tank.img:@s:/dir
	[[ "$output" == *dir/b* && "$output" != *new* ]]
	run_status 1 lcpfs-diff -q tank.img:@s
	[ -z "$output" ]
	lcpfs-touch tank.img:/a
	lcpfs-snap create tank.img:@t
	lcpfs-touch -d @1 tank.img:/a
	run_status 0 lcpfs-diff --ignore-times tank.img:@t
	run_status 1 lcpfs-diff tank.img:@t
}

@test "two pools" {
	mkimg
	mkfs.lcpfs -q b.img src
	run_status 0 lcpfs-diff --ignore-times tank.img b.img
	put b.img:/a other
	run_status 1 lcpfs-diff tank.img b.img
	[[ "$output" == *$'M\t/a'* ]]
}

@test "the contents of a file" {
	mkimg
	printf 'a\nb\n' | lcpfs-cp - tank.img:/t
	lcpfs-snap create tank.img:@s
	printf 'a\nc\n' | lcpfs-cp - tank.img:/t
	run_status 1 lcpfs-diff tank.img:@s:/t
	[[ "$output" == "--- tank.img:@s:/t"*"+++ tank.img:/t"*"-b"*"+c" ]]
	lcpfs-touch tank.img:/t
	run_status 0 lcpfs-diff tank.img:/t tank.img:/t
	printf '\0' | lcpfs-cp - tank.img:/t
	run_status 1 lcpfs-diff tank.img:@s:/t tank.img:/t
	[ "$output" = "Binary files tank.img:@s:/t and tank.img:/t differ" ]
	run_status 1 lcpfs-diff tank.img:/a tank.img:/dir/b
	[[ "$output" == *"+two"* ]]
}

@test "exit status" {
	mkimg tank.img --snapshot s
	run_status 2 lcpfs-diff
	run_status 2 lcpfs-diff tank.img
	run_status 2 lcpfs-diff tank.img tank.img:none
	run_status 2 lcpfs-diff tank.img:/no tank.img:@s:/no
	run_status 2 lcpfs-diff tank.img:/dir tank.img:/other
	hold_pool tank.img
	run_status 4 lcpfs-diff tank.img:@s
	run_status 0 lcpfs-diff --live tank.img:@s
	release_pool
}

@test "damaged contents" {
	spoiled
	run_status 6 lcpfs-diff tank.img:/r tank.img:/r
}
