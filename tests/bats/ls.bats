# SPDX-License-Identifier: Apache-2.0
load common

make() {
	mkdir -p src/sub/deep
	printf 1234567 >src/big
	printf 1 >src/small
	: >src/.hidden
	printf x >src/sub/deep/f
	ln -s big src/link
	chmod 4755 src/small
	touch -d @1700000000 src/big
	touch -d @1700000100 src/small
	mkfs.lcpfs -q tank.img src
}

@test "names sorted, dot files with -a and -A" {
	make
	run -0 lcpfs-ls tank.img
	[ "$output" = $'big\nlink\nsmall\nsub' ]
	run -0 lcpfs-ls -A tank.img
	[ "${lines[0]}" = .hidden ]
	run -0 lcpfs-ls -a tank.img
	[ "${lines[0]}" = . ]
	[ "${lines[1]}" = .. ]
}

@test "-l shows mode, size, time and link target" {
	make
	run -0 lcpfs-ls -ln tank.img
	[[ "${lines[0]}" =~ ^-rw-r--r--\ 1\ [0-9]+\ [0-9]+\ .*7\ 2023-11-14\ 22:13\ big$ ]]
	[[ "${lines[1]}" == l*"link -> big" ]]
	[[ "${lines[2]}" == -rwsr-xr-x* ]]
}

@test "sorting by size and time, reversed" {
	make
	run -0 lcpfs-ls -S tank.img:/
	[ "${lines[0]}" = big ]
	run -0 lcpfs-ls -Sr tank.img
	[ "${lines[${#lines[@]} - 1]}" = big ]
	touch -d @1900000000 src/big
	lcpfs-update -q tank.img src
	run -0 lcpfs-ls -t tank.img
	[ "${lines[0]}" = big ]
}

@test "-R, -d, -F, -i, -h" {
	make
	run -0 lcpfs-ls -R tank.img
	[[ "$output" == *$'tank.img:/sub/deep:\nf' ]]
	run -0 lcpfs-ls -d tank.img:/sub
	[ "$output" = tank.img:/sub ]
	run -0 lcpfs-ls -F tank.img
	[[ "$output" == *'link@'*'small*'*'sub/'* ]]
	run -0 lcpfs-ls -i tank.img:/small
	[[ "$output" =~ ^[0-9]+\ tank.img:/small$ ]]
	head -c 3000 /dev/zero >src/k
	lcpfs-update -q tank.img src
	run -0 lcpfs-ls -lh tank.img:/k
	[[ "$output" == *" 3.0K "* ]]
}

@test "-0 and JSON carry any name" {
	mkdir src
	: >"src/$(printf 'new\nline')"
	: >"src/$(printf 'bad\377utf')"
	mkfs.lcpfs -q tank.img src
	lcpfs-ls -0 tank.img >out
	printf 'bad\377utf\0new\nline\0' | cmp - out
	run -0 lcpfs-ls --json tank.img
	json 'j["entries"][0]["name"] == "bad\ufffdutf" and __import__("base64").b64decode(j["entries"][0]["name_b64"]) == b"bad\xffutf"'
	json 'j["entries"][1]["name"] == "new\nline" and "name_b64" not in j["entries"][1]'
}

@test "a missing operand fails, the others are listed" {
	make
	run_status 1 lcpfs-ls tank.img:/nope tank.img:/sub
	[[ "$output" == *nope* ]]
	[[ "$output" == *deep* ]]
}
