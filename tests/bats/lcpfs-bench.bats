# SPDX-License-Identifier: Apache-2.0
# lcpfs-bench: that every test runs and what is printed; the rates are not looked at.
load common

quick() { lcpfs-bench --seconds 0.001 --size 64M --memory 32M -j 2 "$@"; }

@test "a table for people, lines for scripts" {
	run -0 quick hash
	[[ "$output" == *"BLAKE3"*"lcpfs "*"zstd "*"TEST"*"WHAT"*"blake3 portable"*"sha256"*"x libcrypto"* ]]
	run -0 quick -p memory hash
	[ "$(cut -f1 <<<"$output" | sort -u)" = $'hash\nmemory' ]
	[ -z "$(awk -F'\t' 'NF != 8 || $3 !~ /^[12]$/ || $4 !~ /^[0-9]+$/ || $5 != "bytes/s"' <<<"$output")" ]
}

@test "JSON names machine, versions and settings" {
	run -0 quick --json hash kdf arc
	json 'j["version"] == 1 and j["machine"]["cpus"] > 0 and j["software"]["lcpfs"] and j["settings"]["threads"] == 2'
	json '{r["test"] for r in j["results"]} == {"hash", "kdf", "arc"} and all(r["rate"] > 0 for r in j["results"])'
	json '{r["unit"] for r in j["results"]} == {"bytes/s", "op/s"} and j["settings"]["corpus"] == "synthetic"'
}

@test "codecs on the built-in data and on a file" {
	run -0 quick --json codec
	json '{r["name"].split()[2] for r in j["results"]} == {"text", "binary", "zeros", "random"}'
	json '{r["name"].split()[0] for r in j["results"]} == {"lz4", "zstd:1", "zstd:3", "zstd:9", "zstd:15", "lzma:1", "lzma:6"}'
	json 'all(r["size_ratio_thousandths"] == 1000 for r in j["results"] if "compress random" in r["name"])'
	json 'all(2000 < r["size_ratio_thousandths"] < 8000 for r in j["results"] if r["name"] == "zstd:3 compress text")'
	json 'all(r["rate"] > 0 and r.get("beside_rate", 1) > 0 for r in j["results"])'
	seq 100000 >f
	run -0 quick --json --corpus f codec
	json '{r["name"].split()[2] for r in j["results"]} == {"file"} and j["settings"]["corpus"] == "file"'
	run_status 1 quick --corpus nope codec
	[[ "$output" == *"run test 'codec': nope: cannot be opened"* ]]
}

@test "pools in memory and in a file" {
	run -0 quick --json ram
	json '{r["name"] for r in j["results"]} >= {"write, off, random", "read, lz4, text", "write, zstd:3, text", "random 4K reads"}'
	mkdir d
	run -0 quick --json --dir d file
	json 'all(r["test"] == "file" and r["rate"] > 0 for r in j["results"])'
	[ -z "$(ls d)" ]
	run_status 1 quick --dir none file
}

@test "a wrong command line, an interruption" {
	run_status 2 quick nope
	[[ "$output" == *"no test 'nope'"* ]]
	run_status 2 quick file
	run_status 2 lcpfs-bench --seconds 0
	run_status 2 lcpfs-bench --size 1M
	lcpfs-bench --seconds 20 -p hash >out 2>err &
	pid=$!
	sleep 0.5
	kill -TERM $pid
	wait $pid && false
	[ ! -s out ]
}
