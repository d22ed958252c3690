# SPDX-License-Identifier: Apache-2.0
# Images and streams that released versions wrote open for ever, and hold what they held (tests/images/make-golden).
load common

# One hash over the contents of all files, in the order of their names.
sum_of() {
	lcpfs-find "$1" -type f -printf '%P\0' | sort -z | while IFS= read -r -d '' f; do lcpfs-cat "$1:/$f"; done | b3sum --no-names
}

contents() {
	local t
	for t in "$1" "$1:@first" "$1:@second" "$1:clone" "$1:home/ann"; do
		printf '== %s\n' "${t#"$1"}"
		lcpfs-find "$t" -printf '%y %m %U %G %n %s %P\n' | sort
		sum_of "$t"
	done
}

@test "every golden image opens, is clean and holds what it held" {
	for g in "$TESTS_DIR"/images/golden-*/; do
		xz -dc "$g/image.xz" >g.img
		run -0 fsck.lcpfs -n --data g.img
		run -0 lcpfs-scrub g.img
		contents g.img >contents
		diff "$g/contents" contents
		lcpfs-dataset list -r -s g.img >datasets
		diff "$g/datasets" datasets
		rm g.img
	done
}

@test "every golden image can be changed, and its snapshots keep what they held" {
	for g in "$TESTS_DIR"/images/golden-*/; do
		xz -dc "$g/image.xz" >g.img
		printf more | lcpfs-cp - g.img:/a
		lcpfs-snap create g.img@third
		fsck_clean g.img
		sum_of g.img:@first >sum
		grep -qxf sum "$g/contents"
		rm g.img
	done
}

@test "every golden stream verifies and is received" {
	for g in "$TESTS_DIR"/images/golden-*/; do
		xz -dc "$g/full.lcs.xz" >full.lcs
		xz -dc "$g/incremental.lcs.xz" >incremental.lcs
		lcpfs-stream verify full.lcs
		lcpfs-stream verify incremental.lcs
		mkfs.lcpfs -q copy.img
		lcpfs-recv copy.img <full.lcs
		lcpfs-recv copy.img <incremental.lcs
		fsck_clean copy.img
		sum_of copy.img:@second >sum
		grep -qxf sum "$g/contents"
		rm copy.img
	done
}
