# SPDX-License-Identifier: Apache-2.0
load common

make() {
	mkdir -p src/one/two src/empty
	printf 12345 >src/file.c
	: >src/one/EMPTY.C
	head -c 5000 /dev/zero >src/one/two/big
	ln src/file.c src/hard
	ln -s file.c src/sym
	chmod 600 src/one/two/big
	chmod 4755 src/file.c
	find src -exec touch -h -d '3 days ago' {} +
	touch -d '1 hour ago' src/one/two/big
	mkfs.lcpfs -q tank.img src
}

# The same expression on the host and in the image finds the same.
same() {
	local a b
	a=$(cd src && find . "$@" | sed 's/^\.\/*/\//' | LC_ALL=C sort)
	b=$(lcpfs-find tank.img "$@" | sed 's/^tank.img://' | LC_ALL=C sort)
	[ "$a" = "$b" ] || { echo "find $*"; diff <(echo "$a") <(echo "$b"); }
}

@test "tests and operators find what find(1) finds" {
	make
	same
	same -type f
	same -type d,l
	same -name '*.c'
	same -iname '*.c'
	same -empty
	same -type f -size +1k
	same -type f -size -2
	same -size 5c
	same -perm 600
	same -perm -4000
	same -perm /022
	same -type f -links 2
	same -mtime +1
	same -mmin -120
	same -uid "$(id -u)" -type f
	same -user "$(id -un)"
	same ! -type d
	same -type d -o -name hard
	same '(' -type d -o -name hard ')' -name 'h*'
	same -not -name one -a -type d
	same -maxdepth 1
	same -mindepth 2
	same -newermt '2 days ago'
	same -path '*two*'
	same -false -o -true
	same -newer "$PWD/src/file.c"
}

@test "-prune, -quit, -depth" {
	make
	run -0 lcpfs-find tank.img -name one -prune -o -print
	[[ "$output" != *two* ]]
	run -0 lcpfs-find tank.img -type f -print -quit
	[ "${#lines[@]}" = 1 ]
	run -0 lcpfs-find tank.img:/one -depth
	[ "${lines[${#lines[@]} - 1]}" = tank.img:/one ]
}

@test "-printf, -ls, -print0, -0, JSON" {
	make
	[ "$(lcpfs-find tank.img:/one -type f -name big -printf '%f %P %s %m %y %d\n')" = "big two/big 5000 600 f 2" ]
	[ "$(lcpfs-find tank.img -name sym -printf '%l')" = file.c ]
	[ "$(lcpfs-find tank.img -name big -printf '%h')" = tank.img:/one/two ]
	run -0 lcpfs-find tank.img -name sym -ls
	[[ "$output" == *"sym -> file.c" ]]
	lcpfs-find tank.img -type f -print0 >a
	lcpfs-find -0 tank.img -type f >b
	cmp a b
	[ "$(tr -cd '\0' <a | wc -c)" = 4 ]
	lcpfs-find tank.img -name big -print0 | xargs -0 lcpfs-cat | cmp - src/one/two/big
	run -0 lcpfs-find --json tank.img -name big
	json 'j["path"] == "one/two/big" and j["size"] == 5000 and j["version"] == 1'
}

@test "wrong expressions are named" {
	mkimg
	run_status 2 lcpfs-find
	run_status 2 lcpfs-find tank.img -nosuch
	[[ "$output" == *"-nosuch"* ]]
	run_status 2 lcpfs-find tank.img -name
	run_status 2 lcpfs-find tank.img '(' -type f
	run_status 2 lcpfs-find tank.img -type q
	run_status 2 lcpfs-find tank.img -printf '%Q'
	run_status 1 lcpfs-find tank.img:/nope
}
