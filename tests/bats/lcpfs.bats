# SPDX-License-Identifier: Apache-2.0
load common

@test "lcpfs lists the verbs by job" {
	run -0 lcpfs
	[[ "$output" == *"build and fill"*"mkfs"*"look"*"ls"* ]]
	run -0 lcpfs help
	[[ "$output" == *"keep history"* ]]
}

@test "lcpfs VERB runs lcpfs-VERB, mkfs and fsck by their own names" {
	mkdir src
	echo hello >src/a
	lcpfs mkfs -q t.img src
	run -0 lcpfs ls t.img
	[ "$output" = a ]
	run -0 lcpfs --version
	[[ "$output" == "lcpfs (lcpfs) "* ]]
}

@test "an unknown verb is a wrong command line" {
	run_status 2 lcpfs nosuchverb
	[[ "$output" == *"no verb 'nosuchverb'"* ]]
	run_status 2 lcpfs --nosuch
}

@test "every command prints its synopsis and version, and refuses what it does not know" {
	for c in "$LCPFS_BIN"/*lcpfs*; do
		n=${c##*/}
		run -0 "$n" --help
		[[ "$output" == "usage: $n"* ]]
		run -0 "$n" --version
		[[ "$output" == "$n (lcpfs) "* ]]
		[ "$n" = fsck.lcpfs ] || run_status 2 "$n" --no-such-option
	done
}

@test "a full disk under standard output is a failure" {
	mkimg
	run_status 1 sh -c 'lcpfs-ls tank.img >/dev/full'
	[[ "$output" == *"standard output"* ]]
	run_status 1 sh -c 'lcpfs-cat tank.img:/a >/dev/full'
}

@test "operands: pool, dataset, snapshot, path, names with colons" {
	mkdir -p src home
	echo r >src/a
	echo h >home/b
	mkfs.lcpfs -q --dataset home/ann=home --snapshot mon 'odd:name.img' src
	for t in 'odd:name.img:/a' 'odd:name.img::a' 'odd:name.img:@mon:/a' 'odd:name.img:@mon:a'; do
		run -0 lcpfs-cat "$t"
		[ "$output" = r ]
	done
	run -0 lcpfs-cat odd:name.img:home/ann@mon:/b
	[ "$output" = h ]
	run_status 1 lcpfs-ls odd:name.img:a
	[[ "$output" == *"begins with '/'"* ]]
	run_status 1 lcpfs-ls odd:name.img:home@tue
	run_status 1 lcpfs-ls missing.img:/a
	run_status 2 lcpfs-ls :/a
}

@test "errors are JSON objects with --json, and hold no raw control bytes without" {
	mkimg
	run_status 1 lcpfs-cat --json tank.img:/nope
	json 'j["error"]["code"] == "NOENT" and j["error"]["status"] == 1 and j["version"] == 1'
	run_status 1 lcpfs-cat $'tank.img:/x\e[31m'
	[[ "$output" != *$'\e'* ]]
	[[ "$output" == *'\033'* ]]
}

@test "a pool in use ends with status 4" {
	mkimg
	mkfifo pipe
	lcpfs-tar -x tank.img:/dir <pipe &
	exec 9>pipe
	for _ in $(seq 50); do
		run lcpfs-ls tank.img
		[ "$status" -eq 4 ] && break
		sleep 0.1
	done
	[ "$status" -eq 4 ]
	run -0 lcpfs-ls --live tank.img
	exec 9>&-
	wait || true
	run -0 lcpfs-ls tank.img
}

@test "what is no pool is said to be none" {
	head -c 200000 /dev/zero >zero.img
	run lcpfs-ls zero.img
	[ "$status" -ne 0 ]
	[[ "$output" == *zero.img* ]]
	run_status 1 lcpfs-ls /nonexistent/x.img
}

@test "damaged contents end with status 6 and are not printed" {
	mkdir src
	head -c 300000 /dev/urandom >src/r
	printf 'findme-%s-findme' "$(head -c 60000 /dev/zero | tr '\0' x)" >>src/r
	mkfs.lcpfs -q --compress off tank.img src
	off=$(grep -abo findme tank.img | head -n 1 | cut -d: -f1)
	printf BAD | dd of=tank.img bs=1 seek="$off" conv=notrunc status=none
	run_status 6 sh -c 'lcpfs-cat tank.img:/r >out'
	[ "$(stat -c %s out)" -lt 300000 ]
	run_status 6 lcpfs-cp tank.img:/r hostcopy || [ "$status" -eq 3 ]
}
