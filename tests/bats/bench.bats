#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The benchmark itself: a run of seconds, its JSON, table and charts. What the figures are is not looked at.
load common

bench() {
	BENCH=tiny BENCH_DIR=$PWD BENCH_RESULTS=$PWD/results B=${LCPFS_BIN:+$LCPFS_BIN/..} "$TESTS_DIR/../bench/run" >out 2>err
}
well_formed() { python3 -c 'import sys, xml.dom.minidom; [xml.dom.minidom.parse(f) for f in sys.argv[1:]]' "$@"; }

@test "bench: a tiny run without peers has every work, scaling and targets" {
	BENCH_PEERS=tar bench || { cat err; false; }
	! grep '^failed' err
	output=$(cat results/latest.json)
	json 'j["version"] == 2 and j["mode"] == "tiny" and j["inputs"]["small"]["entries"] > 300'
	json '{r["work"] for r in j["rows"] if r["tool"] == "lcpfs" and r["runs"]} >= {"list", "extract", "cat one file", "verify all", "fsck", "snapshot", "clone",
	      "send, full", "receive, full", "update, 2%", "send, 2%", "receive, 2%", "destroy a snapshot, 2%"}'
	json 'all(r["seconds"] > 0 and r["peak_kib"] > 0 for r in j["rows"] if r["runs"])'
	json '[p["files"] for p in j["scaling"][0]["points"]] == [100, 1000]'
	json 'any(t["met"] is not None for t in j["targets"]) and any(t["met"] is None for t in j["targets"])'
	well_formed results/*.svg
	[ "$(ls results)" = "$(printf '%s\n' build.svg latest.json latest.md main.svg scale.svg small.svg tree.svg)" ]
	cmp out results/latest.md
	# the same JSON, the same bytes
	mkdir again
	"$TESTS_DIR/../bench/charts" results/latest.json again
	cp results/latest.* again
	diff -r results again
}

@test "bench: a peer that is not installed is named with its package" {
	mkdir bin
	ln -s /usr/bin/* /usr/sbin/* bin/ 2>/dev/null || true
	ln -sf "$(command -v python3)" bin/python3
	rm -f bin/borg*
	PATH=$LCPFS_BIN:$PWD/bin BENCH_PEERS=borg bench || { cat err; false; }
	grep -q 'apt-get install borgbackup' err
	output=$(cat results/latest.json)
	json 'j["missing"] == [{"name": "borg", "package": "borgbackup", "install": "apt-get install borgbackup"}]'
}

@test "bench: the table and charts of bench/results are those of its JSON" {
	local b=$TESTS_DIR/../bench f
	mkdir a
	"$b/charts" "$b/results/latest.json" a
	for f in a/*.svg; do cmp "$f" "$b/results/${f#a/}"; done
	"$b/table" "$b/results/latest.json" | cmp - "$b/results/latest.md"
}
