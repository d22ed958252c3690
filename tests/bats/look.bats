# SPDX-License-Identifier: Apache-2.0
# du, tree, info, df, dump
load common

@test "du: sums, depth, hard links once" {
	mkdir -p src/d/e
	head -c 100000 /dev/urandom >src/d/e/r
	ln src/d/e/r src/d/hard
	mkfs.lcpfs -q tank.img src
	run -0 lcpfs-du -b tank.img
	[ "$output" = $'100000\ttank.img:/d/e\n100000\ttank.img:/d\n100000\ttank.img:/' ]
	run -0 lcpfs-du -sb tank.img
	[ "$output" = $'100000\ttank.img:/' ]
	run -0 lcpfs-du -bd 1 tank.img
	[ "${#lines[@]}" = 2 ]
	run -0 lcpfs-du -bc tank.img:/d tank.img:/d/e
	[ "${lines[${#lines[@]} - 1]}" = $'200000\ttotal' ]
	run -0 lcpfs-du -ab tank.img:/d/e
	[ "${lines[0]}" = $'100000\ttank.img:/d/e/r' ]
	run -0 lcpfs-du -sp tank.img
	[ "${output%%	*}" -ge 100000 ]
	run -0 lcpfs-du -s --json tank.img
	json 'len(j["entries"]) == 1 and j["total"] >= 100000'
	run_status 1 lcpfs-du tank.img:/nope
}

@test "tree draws what is there" {
	mkimg
	: >src/dir/z
	lcpfs-update -q tank.img src
	run -0 lcpfs-tree tank.img
	[ "$output" = $'tank.img\n├── a\n├── dir\n│   ├── b\n│   └── z\n└── link -> a\n\n1 directory, 4 files' ]
	run -0 lcpfs-tree -L 1 -d tank.img
	[ "$output" = $'tank.img\n└── dir\n\n1 directory' ]
	run -0 lcpfs-tree --json tank.img
	json 'j["directories"] == 1 and j["entries"][2]["path"] == "dir/b" and j["entries"][2]["depth"] == 2'
}

@test "tree: a thousand levels" {
	mkdir src
	(cd src && for _ in $(seq 1000); do mkdir d && cd d || exit 1; done)
	mkfs.lcpfs -q tank.img src
	run -0 lcpfs-tree tank.img
	[[ "$output" == *"1000 directories, 0 files" ]]
	run -0 lcpfs-ls -R tank.img
	run -0 lcpfs-find tank.img
	[ "${#lines[@]}" = 1001 ]
}

@test "info and df" {
	mkimg tank.img -L sample -U 5e1d2f3c-7a68-4b1e-9c0f-2d4b6a8c0e10
	run -0 lcpfs-info -p tank.img
	[[ "$output" == *$'pool\tsample'* ]]
	[[ "$output" == *$'uuid\t5e1d2f3c-7a68-4b1e-9c0f-2d4b6a8c0e10'* ]]
	run -0 lcpfs-info --json tank.img
	json 'j["pools"][0]["pool"] == "sample" and j["pools"][0]["datasets"] == 1'
	run -0 lcpfs-info --codecs tank.img
	[[ "$output" == *DATASET*RATIO*/*off* ]]
	run -0 lcpfs-info -p --codecs tank.img
	[[ "$output" == *$'codec\t\toff\t1\t'* ]]
	run -0 lcpfs-info --json --codecs tank.img
	json 'j["pools"][0]["codecs"][0]["codec"] == "off" and j["pools"][0]["codecs"][0]["blocks"] == 1'
	run -0 lcpfs-df tank.img
	[[ "${lines[0]}" == Pool* ]]
	run -0 lcpfs-df -p tank.img
	[[ "$output" == tank.img$'\t'* ]]
	run -0 lcpfs-df --json tank.img
	json 'j["pools"][0]["used_bytes"] > 0 and j["pools"][0]["available_bytes"] < 2**60'
	run_status 1 lcpfs-df nosuch.img
	run_status 2 lcpfs-df
}

@test "dump shows structures" {
	mkimg
	run -0 lcpfs-dump tank.img
	[ -n "$output" ]
	run -0 lcpfs-dump --json tank.img labels
	json '(j if isinstance(j, dict) else j[0])["what"] == "labels"'
	run -0 lcpfs-dump -o out tank.img path::/a
	[ -s out ]
	run_status 1 lcpfs-dump tank.img nosuchthing
}
