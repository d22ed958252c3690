# SPDX-License-Identifier: Apache-2.0
load common

@test "a body file that mactime reads: each state once" {
	mkimg
	lcpfs-dataset create tank.img:home
	put tank.img:home:/n note
	lcpfs-snap create tank.img:@s
	put tank.img:/a changed
	lcpfs-rm tank.img:/dir/b
	before=$(sha256sum tank.img)
	run --separate-stderr -0 lcpfs-timeline tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
	[[ "$stderr" == *"nothing was written"* ]]
	printf '%s\n' "$output" | awk -F'|' 'NF != 11 || $8 !~ /^[0-9]+$/ || $4 !~ /^[a-z]\/[a-z][-rwxstST]+$/ { exit 1 }'
	[ "$(printf '%s\n' "$output" | grep -c '^0|/a|')" -eq 2 ]
	[ "$(printf '%s\n' "$output" | grep -c '^0|/link -> a|')" -eq 1 ]
	[ "$(printf '%s\n' "$output" | grep -c '^0|/dir/b (deleted)|')" -eq 1 ]
	[ "$(printf '%s\n' "$output" | grep -c '^0|home:/n|')" -eq 1 ]
	[ "$(lcpfs-timeline -q --csv --ns tank.img | cut -d, -f 1-14 | sort | uniq -d)" = "" ]
}

@test "what is in no body file: csv, json, nanoseconds" {
	mkimg
	printf x >'odd|name"'
	lcpfs-cp 'odd|name"' tank.img:
	run --separate-stderr -0 lcpfs-timeline --csv --ns tank.img
	printf '%s\n' "$output" | python3 -c '
import csv, sys
rows = list(csv.DictReader(sys.stdin))
assert any(r["path"] == "odd|name\"" for r in rows), rows
assert all("." in r["mtime"] for r in rows)'
	run --separate-stderr -0 lcpfs-timeline --json tank.img
	json 'all(e["contradictions"] == [] for e in j) and len(j) >= 5'
	run --separate-stderr -0 lcpfs-timeline tank.img
	[[ "$output" == *'/odd%7Cname"|'* ]]
}

@test "times that cannot be" {
	mkimg
	lcpfs-touch -d '2100-01-01' tank.img:/a
	run --separate-stderr -0 lcpfs-timeline --json --contradictions tank.img
	json 'j["path"] == "a" and j["contradictions"] == ["mtime-after-commit"]'
	# a copy of attributes over a file that is there takes its ctime back
	SOURCE_DATE_EPOCH=1000000000 lcpfs-chmod 600 tank.img:/dir/b
	run --separate-stderr -0 lcpfs-timeline --json --contradictions tank.img
	json 'any(e["path"] == "dir/b" and "ctime-before-change" in e["contradictions"] for e in j)'
}

@test "a dataset that was destroyed is in it" {
	mkimg
	lcpfs-dataset create tank.img:home
	put tank.img:home:/n note
	lcpfs-dataset destroy tank.img:home
	run --separate-stderr -0 lcpfs-timeline tank.img
	[[ "$output" == *'0|home:/n (deleted)|'* ]]
	run --separate-stderr -0 lcpfs-timeline tank.img:home
	[[ "$output" == *'0|home:/n (deleted)|'* ]]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-timeline
	run_status 2 lcpfs-timeline --csv --json tank.img
	run_status 2 lcpfs-timeline --ns tank.img
	run_status 2 lcpfs-timeline tank.img:@s
	run_status 1 lcpfs-timeline tank.img:none
	run_status 1 lcpfs-timeline none.img
	run_status 0 lcpfs-timeline -o out tank.img
	[ -s out ]
}
