#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# lcpfs-salvage: files out of damaged pools, and the truth about what is lost.

load common

# zero IMG OFFSET LEN: zeros over a part of an image
zero() { head -c "$3" /dev/zero | dd of="$1" bs=65536 seek="$2" oflag=seek_bytes conv=notrunc status=none; }
# place IMG PATH OFFSET: where in the image the record of a file at this offset lies
place() {
	local at unit
	at=$(lcpfs-dump "$1" "path::$2" | sed -n "s/^EXTENT [0-9]* at $3: .*\[1:\([0-9]*\) .*/\1/p")
	unit=$(lcpfs-dump "$1" config | sed -n 's/^chunk 1 .* 1:\([0-9]*\)$/\1/p')
	echo $((unit * 65536 + at * 512))
}
# the trees SRC and OUT are alike, but for directories' times and files matching the pattern
alike() { [ -z "$(rsync -aHAXn --checksum --itemize-changes --delete ${3:+--exclude="$3"} "$1/" "$2/" | tee /dev/stderr)" ]; }

tree() {
	mkdir -p src/dir/sub src/empty
	for i in $(seq 1 200); do seq "$i" $((i * 7 % 900 + i)) >"src/dir/f$i"; done
	seq 1 300000 >src/big
	head -c 3000000 /dev/urandom >src/random
	truncate -s 5M src/sparse
	printf middle | dd of=src/sparse bs=1 seek=2000000 conv=notrunc status=none
	ln src/dir/f1 src/hard
	ln -s dir/f2 src/link
	mkfifo src/fifo
	setfattr -n user.note -v something src/big || true
	chmod 2751 src/dir/sub
	touch -d '2001-02-03 04:05:06.789' src/big src/dir/sub
}

@test "a whole pool: everything with every attribute, and nothing written to it" {
	tree
	mkfs.lcpfs -q tank.img src
	chmod 444 tank.img
	before=$(sha256sum <tank.img)
	run_status 0 lcpfs-salvage -v tank.img out
	[[ "$output" = *"nothing was written to it"* ]]
	alike src out
	[ "$(sha256sum <tank.img)" = "$before" ]
}

@test "labels gone, front and back" {
	tree
	mkfs.lcpfs -q tank.img src
	zero tank.img 0 65536
	truncate -s -65536 tank.img
	run_status 0 lcpfs-salvage tank.img out
	alike src out
	mkfs.lcpfs -q two.img src
	size=$(stat -c %s two.img)
	zero two.img $((size - 262144)) 262144
	run_status 0 lcpfs-salvage two.img out2
	alike src out2
}

@test "no label, no uberblock, no config is left: chunks are found by checksums" {
	tree
	mkfs.lcpfs -q tank.img src
	zero tank.img 0 393216
	zero tank.img $(($(stat -c %s tank.img) - 393216)) 393216
	run_status 0 lcpfs-salvage --json tank.img out
	json 'j["salvage"]["scanned"] and j["salvage"]["txg"] == 0 and j["salvage"]["pool_written"] is False'
	alike src out
}

@test "a part of a file is a hole and is named; --whole leaves the file out" {
	mkdir src
	head -c 3000000 /dev/urandom >src/random
	echo small >src/small
	mkfs.lcpfs -q tank.img src
	zero tank.img "$(place tank.img /random 1048576)" 4096
	run_status 3 lcpfs-salvage --json tank.img out
	json 'len(j["losses"]) == 1 and j["losses"][0]["what"] == "data" and j["losses"][0]["path"] == "random"'
	json 'j["losses"][0]["offset"] == 1048576 and j["losses"][0]["length"] == 1048576'
	cmp -n 1048576 src/random out/random
	cmp -i 2097152 src/random out/random
	cmp -i 1048576:0 -n 1048576 out/random /dev/zero
	[ "$(cat out/small)" = small ]
	run_status 3 lcpfs-salvage --whole --json tank.img out2
	json 'j["losses"][0]["what"] == "incomplete"'
	[ ! -e out2/random ]
	[ "$(cat out2/small)" = small ]
}

@test "datasets below their names, snapshots when asked for, one alone, as an archive" {
	sample
	zero tank.img 0 65536
	run_status 0 lcpfs-salvage tank.img out
	[ -d out/home ]
	[ ! -e out/home@mon ]
	diff -r --no-dereference home out/home
	run_status 0 lcpfs-salvage --snapshots tank.img all
	[ -d all/home@mon ] && [ -d all/@mon ]
	run_status 0 lcpfs-salvage tank.img:home one
	diff -r --no-dereference home one
	lcpfs-salvage tank.img:home - >home.tar
	mkdir untar
	tar -xf home.tar -C untar
	diff -r --no-dereference home untar
	run_status 1 lcpfs-salvage tank.img:nothing none
	[[ "$output" = *"no dataset 'nothing'"* ]]
}

@test "the records of datasets are lost: trees are told apart by their numbers" {
	sample
	lcpfs-cp -q -a rootfs tank.img:home:/more
	# every node of the pool tree, by its magic and the number of its tree
	python3 - tank.img <<'P'
import struct, sys
b = bytearray(open(sys.argv[1], 'rb').read())
for i in range(0, len(b) - 64, 512):
    if b[i:i + 4] == b'LNOD' and struct.unpack_from('<Q', b, i + 28)[0] == 1:
        n, body = struct.unpack_from('<II', b, i + 8)
        b[i:i + 64 + 96 * n + body] = bytes(64 + 96 * n + body)
open(sys.argv[1], 'wb').write(b)
P
	run_status 3 lcpfs-salvage --json tank.img out
	json 'j["salvage"]["datasets"] == 2 and all(l["what"] == "name" and l["path"] is None for l in j["losses"])'
	[ "$(echo out/dataset-* | wc -w)" = 2 ]
	for d in out/dataset-*; do
		if [ -e "$d/more" ]; then diff -r --no-dereference rootfs "$d/more"; else diff -r --no-dereference rootfs "$d"; fi
	done
}

@test "nothing is there: status 1; wrong use: 2; in use: 4" {
	head -c 1M /dev/urandom >noise
	run_status 1 lcpfs-salvage noise out
	[[ "$output" = *"nothing of a pool was found"* ]]
	: >nothing
	run_status 1 lcpfs-salvage nothing out
	run_status 2 lcpfs-salvage noise
	run_status 2 lcpfs-salvage noise:/path out
	mkimg
	run_status 0 lcpfs-salvage -n tank.img
	[ ! -e out/a ]
	exec 9<>tank.img
	flock -x 9 true
	python3 - <<'P' &
import fcntl, struct, time
f = open("tank.img", "r+b")
fcntl.fcntl(f, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 1, 0))
open("locked", "w").close()
time.sleep(20)
P
	pid=$!
	while [ ! -e locked ]; do sleep 0.1; done
	run_status 4 lcpfs-salvage tank.img out
	run_status 0 lcpfs-salvage --live tank.img out
	kill $pid
}

@test "roots and names gone: small files are found in their packs" {
	tree
	mkfs.lcpfs -q tank.img src
	last=$(lcpfs-dump tank.img tree: | sed -n 's/.*\[1:\([0-9]*\) birth.* psize \([0-9]*\) .*/\1 \2/p' | sort -n | tail -n 1)
	unit=$(lcpfs-dump tank.img config | sed -n 's/^chunk 1 .* 1:\([0-9]*\)$/\1/p')
	truncate -s $((unit * 65536 + ${last% *} * 512 + ${last#* } + 512)) tank.img
	zero tank.img 0 $((unit * 65536))
	run_status 3 lcpfs-salvage --json tank.img out
	json 'all(l["what"] in ("name", "attributes", "unverified", "tree") for l in j["losses"])'
	for i in 1 50 200; do
		sum=$(sha256sum <src/dir/f$i)
		sha256sum out/lost+found/* | grep -q "${sum%% *}"
	done
}

@test "64 KiB of zeros anywhere, a cut, and 2 MiB gone cost what lay there" {
	tree
	mkfs.lcpfs -q tank.img src
	size=$(stat -c %s tank.img)
	run "$TESTS_DIR/tools/salvage-check" src tank.img work every:262144 cut:$((size * 6 / 10)) 0:2097152 $((size - 2097152)):2097152
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "an image of more than a few MiB that lost its end or its begin has all names" {
	tree
	for i in 1 2 3 4 5; do head -c 2000000 /dev/urandom >"src/dir/sub/random$i"; done
	mkfs.lcpfs -q tank.img src
	size=$(stat -c %s tank.img)
	run "$TESTS_DIR/tools/salvage-check" src tank.img work cut:$((size * 6 / 10)) cut:$((size - 2097152)) 0:2097152 \
		393216:2097152 $((size - 2097152)):2097152
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" = *" 0 where nodes are lost with all copies" ]]
}
