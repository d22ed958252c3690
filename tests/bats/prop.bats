# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "set, inherited, back again" {
	mkimg
	lcpfs-dataset create -p tank.img:a/b
	[ "$(lcpfs-prop get tank.img:a/b compress)" = zstd:3 ]
	lcpfs-prop set tank.img:a compress=lz4 'user:note=x = y'
	[ "$(lcpfs-prop get tank.img:a/b compress user:note)" = $'lz4\nx = y' ]
	run -0 lcpfs-prop list -p tank.img:a/b
	[[ "$output" == *$'compress\tlz4\tinherited from a\n'* ]]
	run -0 lcpfs-prop list --json tank.img:a
	json '{"name": "compress", "value": "lz4", "source": "local"} in j["properties"]'
	lcpfs-prop inherit tank.img:a compress
	[ "$(lcpfs-prop get tank.img:a/b compress)" = zstd:3 ]
	fsck_clean
}

@test "compression is used for what is written next" {
	mkimg
	head -c 400000 /dev/zero | tr '\0' a >big
	lcpfs-prop set tank.img: compress=off record=65536
	lcpfs-cp big tank.img:/plain
	run -0 lcpfs-stat --json tank.img:/plain
	[[ "$output" =~ \"stored\":([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 400000 ]
	lcpfs-prop set tank.img: compress=zstd:1
	lcpfs-cp big tank.img:/packed
	run -0 lcpfs-stat --json tank.img:/packed
	[[ "$output" =~ \"stored\":([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -lt 40000 ]
	fsck_clean
}

@test "what cannot be is refused" {
	mkimg tank.img --snapshot s
	run_status 1 lcpfs-prop set tank.img: compress=gzip
	run_status 1 lcpfs-prop set tank.img: record=1000
	run_status 1 lcpfs-prop set tank.img: colour=red
	run_status 1 lcpfs-prop set tank.img: user:a=1 colour=red
	run_status 1 lcpfs-prop get tank.img: user:a
	run_status 2 lcpfs-prop set tank.img:@s user:a=1
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-prop
	run_status 2 lcpfs-prop get tank.img
	run_status 2 lcpfs-prop set tank.img compress
	statuses lcpfs-prop set tank.img: user:k=v
}
