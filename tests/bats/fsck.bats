# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "clean" {
	sample
	run -0 fsck.lcpfs -n tank.img
	[ "$output" = "tank.img: clean" ]
	run -0 fsck.lcpfs tank.img
	[ "$output" = "tank.img: clean" ]
	run -0 fsck.lcpfs -n --data --json tank.img
	json 'j["fsck"]["problems"] == 0 and j["fsck"]["data"]'
	before=$(sha256sum tank.img)
	fsck.lcpfs -y -f tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
}

@test "it runs on what cannot be written" {
	sample
	chmod 444 tank.img
	run_status 0 fsck.lcpfs -n tank.img
}

@test "problems are status 4" {
	spoiled
	run_status 0 fsck.lcpfs -n tank.img
	run_status 4 fsck.lcpfs -n --data tank.img
	[[ "$output" == *"tank.img:/r: "* && "$output" == *"1 problem"* ]]
	run_status 4 fsck.lcpfs --data --json tank.img
	[[ "$output" == *'"code":'* ]]
}

@test "exit status" {
	sample
	run_status 16 fsck.lcpfs
	run_status 16 fsck.lcpfs --nonsense
	run_status 16 fsck.lcpfs -n -y tank.img
	run_status 8 fsck.lcpfs -n /no/such.img
	hold_pool tank.img
	run_status 8 fsck.lcpfs -n tank.img
	release_pool
	run_status 8 fsck.lcpfs -n /no/such.img tank.img
	run_status 0 fsck.lcpfs --help
}

@test "numbers of references are repaired" {
	xz -dc "$TESTS_DIR/images/damaged-refs/image.xz" >a.img
	cp a.img b.img
	run_status 4 fsck.lcpfs a.img
	[[ "$output" == *"[ref-count]"*"[ref-count]"*"a.img: 2 problems" ]]
	cmp a.img b.img
	run_status 1 fsck.lcpfs -p a.img
	[[ "$output" == *"a.img: 2 problems, 2 repaired, 0 left" ]]
	run_status 0 fsck.lcpfs -p a.img
	[ "$output" = "a.img: clean" ]
	fsck_clean a.img
	cmp <(seq 1 70000) <(get a.img:/numbers)
	cmp <(seq 1 70000) <(get a.img:o:/numbers)
	cmp <(seq 1 70000) <(get a.img:/twin)
	lcpfs-dataset destroy a.img:o
	fsck_clean a.img
	run_status 1 fsck.lcpfs -y --json b.img
	json 'j[-1]["fsck"]["repaired"] == 2 and j[-1]["fsck"]["problems"] == 0 and j[0]["problem"]["repairable"]'
	run_status 16 fsck.lcpfs -y --live b.img
}

@test "what cannot be repaired is left" {
	spoiled
	run_status 4 fsck.lcpfs -y --data tank.img
	[[ "$output" == *"1 problem" ]]
}

@test "the manual lists the problems as they are" {
	awk '/^\.Sh PROBLEMS/ { on = 1; next } /^\.Sh/ { on = 0 } on' "$TESTS_DIR/../man/fsck.lcpfs.8" >man.txt
	fsck.lcpfs --problems | "$TESTS_DIR/../tools/problems-man" >own.txt
	diff man.txt own.txt
	[ "$(fsck.lcpfs --problems | cut -f1 | sort -u | wc -l)" = "$(fsck.lcpfs --problems | wc -l)" ]
}

@test "a plan, a repair, and back" {
	xz -dc "$TESTS_DIR/images/damaged-refs/image.xz" >a.img
	run_status 4 fsck.lcpfs -n -v a.img
	[[ "$output" == *"a.img: would set the number to what was counted: 2 x ref-count, safe"* ]]
	[[ "$output" == *"	safe: set the number to what was counted"* ]]
	run_status 8 fsck.lcpfs --undo a.img
	[[ "$output" == *"nothing to undo"* ]]
	run_status 1 fsck.lcpfs -p a.img
	[[ "$output" == *"a.img: going to set the number to what was counted"* ]]
	fsck_clean a.img
	run_status 1 fsck.lcpfs --undo a.img
	[[ "$output" == "a.img: back at commit "* ]]
	run_status 4 fsck.lcpfs a.img
	[[ "$output" == *"[ref-count]"*"[ref-count]"*"a.img: 2 problems" ]]
	run_status 1 fsck.lcpfs -y a.img
	lcpfs-mkdir a.img:/new
	run_status 8 fsck.lcpfs --undo a.img
	[[ "$output" == *"other commits followed"* ]]
	fsck_clean a.img
	run_status 16 fsck.lcpfs --undo -y a.img
}

@test "the space tree made anew" {
	sample
	run_status 0 fsck.lcpfs --rebuild-space tank.img
	fsck_clean tank.img
	run_status 1 fsck.lcpfs --undo --json tank.img
	json '"txg" in j["undo"]'
	fsck_clean tank.img
}
