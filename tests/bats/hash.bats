# SPDX-License-Identifier: Apache-2.0
load common

# Names that lists must escape, and files of all sizes.
odd_tree() {
	mkdir -p src/dir
	printf one >src/a
	: >src/empty
	printf nl >"src/dir/x
y\\z"
	printf cr >src/dir/$'c\rr'
	head -c 3000000 /dev/urandom >src/big
	ln -sf a src/link
	mkfs.lcpfs -q --snapshot s "$@" tank.img src
}

@test "lists that the usual tools accept" {
	odd_tree
	for a in md5 sha1 sha256 sha512 b3; do
		lcpfs-hash -q -a "$a" tank.img:@s >list
		[ "$(grep -c . list)" -eq 5 ]
		! command -v "${a}sum" >/dev/null || (cd src && "${a}sum" -c --quiet ../list)
	done
	lcpfs-hash -q -a md5,sha256,b3 -o sums tank.img
	(cd src && md5sum -c --quiet ../sums.md5 && sha256sum -c --quiet ../sums.sha256)
	lcpfs-hash -q -a sha256 --format tag tank.img >list
	(cd src && sha256sum -c --quiet ../list)
	lcpfs-hash -q -0 tank.img:/dir >list
	[ "$(tr -d '\n' <list | tr '\0' '\n' | grep -c .)" -eq 2 ]
}

@test "the same list for any number of threads" {
	odd_tree
	lcpfs-hash -q -j 1 -a md5,b3 tank.img >one
	lcpfs-hash -q -j 7 -a md5,b3 tank.img >seven
	cmp one seven
}

@test "hashdeep and JSON" {
	odd_tree
	run --separate-stderr -0 lcpfs-hash --format hashdeep tank.img
	[ "${lines[0]}" = '%%%% HASHDEEP-1.0' ]
	[ "${lines[1]}" = '%%%% size,md5,sha256,filename' ]
	[[ "$output" == *"3,$(md5sum <src/a | cut -c 1-32),$(sha256sum <src/a | cut -c 1-64),a"* ]]
	run --separate-stderr -0 lcpfs-hash --json -a md5,b3 tank.img
	json '[f for f in j if f["path"] == "big"][0]["size"] == 3000000 and all("md5" in f and "blake3" in f for f in j)'
}

@test "checking a list against the image" {
	odd_tree
	(cd src && find . -type f -exec sha256sum {} +) >list
	run --separate-stderr -0 lcpfs-hash -c list tank.img
	[ "${#lines[@]}" -ge 5 ]
	(cd src && find . -type f -exec b3sum {} +) >list.b3
	lcpfs-hash -q -a b3 -c list.b3 tank.img
	lcpfs-hash -q --format hashdeep -o hd tank.img:/big
	lcpfs-hash -q -c hd tank.img
	put tank.img:/a other
	lcpfs-rm tank.img:/empty
	run --separate-stderr lcpfs-hash -q -c list tank.img
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 2 ]
	[[ "$output" == *"a: FAILED"* && "$output" == *"empty: FAILED open or read"* ]]
	lcpfs-hash -q -c list tank.img:@s
}

@test "exit status" {
	odd_tree --compress off
	run_status 2 lcpfs-hash
	run_status 2 lcpfs-hash -a crc tank.img
	run_status 2 lcpfs-hash --format hashdeep -a b3 tank.img
	run_status 2 lcpfs-hash --format sums -a md5,b3 tank.img
	run_status 2 lcpfs-hash -c list --json tank.img
	run_status 1 lcpfs-hash tank.img:/none
	run_status 1 lcpfs-hash -c none tank.img
	run_status 1 lcpfs-hash none.img
	python3 - <<-'END'
		big = open("src/big", "rb").read()
		img = bytearray(open("tank.img", "rb").read())
		at = img.index(big[500000:500064])
		img[at] ^= 1
		open("tank.img", "wb").write(img)
	END
	run_status 6 lcpfs-hash -q tank.img
	[[ "$output" == *"cannot read 'big'"* ]]
	[[ "$output" == *"  a"* ]]
}
