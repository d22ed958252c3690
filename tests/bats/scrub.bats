# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "no damage" {
	sample
	run -0 lcpfs-scrub tank.img
	[[ "$output" == "tank.img: "*"no damage" ]]
	run -0 lcpfs-scrub -q tank.img
	[ -z "$output" ]
	run -0 lcpfs-scrub --json tank.img
	json 'j["scrub"]["bad_blocks"] == 0 and j["scrub"]["blocks"] > 0'
}

@test "damage is named by file" {
	spoiled
	run_status 6 lcpfs-scrub tank.img
	[[ "$output" == *"tank.img:/r: bytes "* ]]
	run_status 6 lcpfs-scrub --json tank.img
	[[ "$output" == *'"path":"'*'"bad_blocks":1'* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-scrub
	run_status 2 lcpfs-scrub tank.img:/a
	run_status 1 lcpfs-scrub /no/such.img
	hold_pool tank.img
	run_status 4 lcpfs-scrub tank.img
	run_status 0 lcpfs-scrub --live tank.img
	release_pool
}

# 40 blocks of contents that do not compress, and a place in the last of them
blocks() {
	mkdir -p src
	head -c 655360 /dev/urandom >src/big
	tail -c 16384 src/big | head -c 64 >mark
	mkfs.lcpfs -q -f --compress off --record 16K tank.img src
}
spoil_mark() {
	python3 - tank.img mark <<'P'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.find(open(sys.argv[2], "rb").read())
assert at > 0
data[at] ^= 1
open(sys.argv[1], "wb").write(data)
P
}
# one bit of the nth node that has the pointers asked for (0: a leaf of names and attributes)
spoil_node() {
	python3 - tank.img "$1" <<'P'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at, found = 0, []
while True:
    at = data.find(b"LNOD", at)
    if at < 0:
        break
    if at % 512 == 0:
        found.append(at)
    at += 4
data[found[int(sys.argv[2])] + 60] ^= 1
open(sys.argv[1], "wb").write(data)
P
}

@test "--metadata reads nodes only" {
	blocks
	spoil_mark
	run_status 6 lcpfs-scrub tank.img
	[[ "$output" == *"tank.img:/big: bytes 638976 to 655359: "*"[block-csum]"* ]]
	run_status 0 lcpfs-scrub --metadata tank.img
	run_status 2 lcpfs-scrub --metadata --thorough tank.img
	blocks
	spoil_node 0
	run_status 6 lcpfs-scrub --metadata tank.img
}

@test "--since reads what was written after a snapshot" {
	blocks
	lcpfs-snap create tank.img:@one
	head -c 30000 /dev/urandom >new
	lcpfs-cp new tank.img:/new
	spoil_mark
	run_status 6 lcpfs-scrub tank.img
	run_status 0 lcpfs-scrub --since @one tank.img
	[[ "$output" == *", 3"[0-9]K,* ]] || [[ "$output" == *", 4"[0-9]K,* ]]
	head -c 64 new >mark
	spoil_mark
	run_status 6 lcpfs-scrub --since @one tank.img
	[[ "$output" == *"tank.img:/new: bytes 0 to "* ]]
	run_status 1 lcpfs-scrub --since @two tank.img
	[[ "$output" == *"no snapshot '@two'"* ]]
}

@test "--thorough: a damaged block is found, a whole pool is whole" {
	sample
	run_status 0 lcpfs-scrub --thorough tank.img
	rm tank.img
	spoiled
	run_status 6 lcpfs-scrub --thorough tank.img
}

@test "--budget stops, --resume goes on" {
	local place blocks=0 runs=1
	blocks
	spoil_mark
	run_status 3 lcpfs-scrub --json --budget 100K tank.img
	json 'j["scrub"]["complete"] is False and j["scrub"]["bad_blocks"] == 0 and not j["scrub"]["recorded"]'
	place=$(sed -n 's/.*"next":"\([0-9:]*\)".*/\1/p' <<<"$output")
	while [ -n "$place" ]; do
		run lcpfs-scrub --json --budget 100K --resume "$place" tank.img
		[ "$status" -eq 3 ] || [ "$status" -eq 6 ]
		place=$(sed -n 's/.*"next":"\([0-9:]*\)".*/\1/p' <<<"$output")
		runs=$((runs + 1))
		[ $runs -lt 20 ]
	done
	[ "$status" -eq 6 ]
	[ $runs -ge 6 ]
	[[ "$output" == *'"path":"big"'* ]]
	run_status 0 lcpfs-scrub --budget 1h src/../tank.img --since @none || [ "$status" -eq 1 ]
	for bad in 0 10x x -5m; do run_status 2 lcpfs-scrub --budget "$bad" tank.img; done
	for bad in 7 7: :7 a:b 99999999999:1; do run_status 2 lcpfs-scrub --resume "$bad" tank.img; done
}

@test "--budget is for all operands" {
	blocks
	cp tank.img b.img
	run_status 3 lcpfs-scrub --budget 100K tank.img b.img
	[[ "$output" == *"'b.img' is not read: the budget is spent"* ]]
	[[ "$output" == *"2 pools, 0 streams: 0 damaged, 2 read in part, 0 failed" ]]
	run_status 0 lcpfs-scrub --budget 1h tank.img b.img
}

@test "nothing is written without --record" {
	local before
	blocks
	before=$(sha256sum tank.img)
	lcpfs-scrub -q tank.img
	run_status 3 lcpfs-scrub -q --budget 50K tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
	run -0 lcpfs-info tank.img
	[[ "$output" == *"never recorded"* ]]
}

@test "--record: the pool knows how far it came and what was found" {
	local runs=0
	blocks
	lcpfs-dataset create tank.img:home
	put tank.img:home:/x hello
	lcpfs-scrub -q --record tank.img
	run -0 lcpfs-info --json --verified tank.img
	json 'j["pools"][0]["verified"]["damaged"] == 0 and all("verified" in d and not d["changed"] for d in j["pools"][0]["verified_datasets"])'
	spoil_mark
	put tank.img:home:/y more
	lcpfs-dataset create tank.img:late
	while run lcpfs-scrub --json --record --budget 150K tank.img; [[ "$output" == *'"complete":false'* ]]; do
		run lcpfs-info tank.img
		[[ "$output" == *"scrubbing "* ]]
		runs=$((runs + 1))
		[ $runs -lt 20 ]
	done
	[ $runs -ge 3 ]
	run -0 lcpfs-info --json --verified tank.img
	json '"scrubbing" not in j["pools"][0] and j["pools"][0]["verified"]["damaged"] == 1'
	json '{d["dataset"]: d["damaged"] for d in j["pools"][0]["verified_datasets"]} == {"": 1, "home": 0, "late": 0}'
	run -0 lcpfs-info -p --verified tank.img
	[[ "$output" == *$'verified_dataset\t\t'*$'\t1\tno'* ]]
	put tank.img:home:/z again
	run -0 lcpfs-info -p --verified tank.img
	[[ "$output" == *$'verified_dataset\thome\t'*$'\t0\tyes'* ]]
	run_status 0 fsck.lcpfs -n tank.img
	run_status 0 lcpfs-dump tank.img pool
	[[ "$output" == *"SCAN 0 = "*"SCAN 1 = 1 damaged blocks"* ]]
	lcpfs-rm tank.img:/big
	run_status 0 lcpfs-scrub --record tank.img
	run_status 0 lcpfs-dump tank.img pool
	[[ "$output" != *"SCAN 1"* ]]
	run_status 2 lcpfs-scrub --record --since @a tank.img
	run_status 2 lcpfs-scrub --restart tank.img
	hold_pool tank.img
	run_status 4 lcpfs-scrub --record tank.img
	release_pool
}

@test "--record --restart begins again" {
	blocks
	run_status 3 lcpfs-scrub -q --record --budget 400K tank.img
	run_status 3 lcpfs-scrub -q --record --restart --budget 400K tank.img
	run_status 0 lcpfs-scrub -q --record --budget 400K tank.img
}

@test "--record with any node damaged: found, and found again after it" {
	local i n first
	blocks
	cp tank.img whole.img
	n=$(grep -abo LNOD tank.img | wc -l)
	[ "$n" -ge 3 ]
	for ((i = 0; i < n; i++)); do
		cp whole.img tank.img
		spoil_node "$i" || break # the name inside something else
		run lcpfs-scrub --record tank.img
		first=$status
		[ "$first" -eq 6 ] || [ "$first" -eq 0 ]
		run lcpfs-scrub tank.img
		[ "$status" -eq "$first" ] || [ "$status" -eq 0 ] # a copy that was read for writing is whole again
	done
	[ "$i" -ge 3 ]
}

@test "--rate" {
	local from to
	blocks
	from=$(date +%s%N)
	lcpfs-scrub -q --rate 1M tank.img
	to=$(date +%s%N)
	[ $(((to - from) / 1000000)) -ge 400 ]
	run_status 2 lcpfs-scrub --rate 0 tank.img
}

@test "images and streams in one call" {
	sample
	lcpfs-snap create tank.img:@s
	lcpfs-send -q -o good.lcs tank.img:@s
	blocks
	cp good.lcs bad.lcs
	printf XY | dd of=bad.lcs bs=1 seek=$(($(stat -c %s bad.lcs) / 2)) conv=notrunc status=none
	head -c -100 good.lcs >short.lcs
	run_status 0 lcpfs-scrub tank.img good.lcs
	[[ "$output" == *"good.lcs: "*" of a stream: no damage"*"1 pool, 1 stream: 0 damaged, 0 read in part, 0 failed" ]]
	run_status 6 lcpfs-scrub tank.img bad.lcs good.lcs
	[[ "$output" == *"'bad.lcs' is no whole stream"* ]]
	[[ "$output" == *"1 pool, 2 streams: 1 damaged, "* ]]
	run_status 1 lcpfs-scrub short.lcs
	[[ "$output" == *"ends "* ]]
	run lcpfs-scrub --json tank.img bad.lcs 2>/dev/null
	json 'j[-1]["summary"]["damaged"] == 1 and any("stream" in x and not x["stream"]["complete"] for x in j)'
	run_status 0 lcpfs-scrub -q tank.img good.lcs
	[ -z "$output" ]
}

@test "--repair writes a bad copy again" {
	local i left=0 repaired=0
	blocks
	cp tank.img whole.img
	for i in 0 1 2 3 4 5; do
		cp whole.img tank.img
		spoil_node "$i"
		run lcpfs-scrub tank.img
		[ "$status" -eq 6 ] || continue
		[[ "$output" == *"[block-copy]"* ]] || continue
		left=$((left + 1))
		run_status 0 lcpfs-scrub --repair --json tank.img
		# what is read to open the pool is whole by then
		[[ "$output" != *'"repaired_copies":1'* ]] || repaired=$((repaired + 1))
		run_status 0 lcpfs-scrub tank.img
		[[ "$output" == *"no damage" ]]
	done
	[ "$left" -ge 2 ]
	[ "$repaired" -ge 1 ]
	run_status 2 lcpfs-scrub --repair --live tank.img
}
