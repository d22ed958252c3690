# SPDX-License-Identifier: Apache-2.0
load common
MAN=$TESTS_DIR/../man

words() { sed 's/.\x08//g' | tr -s ' \t\n' ' ' | sed 's/[][]/ & /g; s/  */ /g; s/^ //; s/ $//'; }

@test "pages are clean" {
	run -0 mandoc -T lint -W warning "$MAN"/*.[1-8]
	[ -z "$output" ]
}

@test "every command has a page, with every section, and -h prints its synopsis" {
	for c in "$LCPFS_BIN"/*lcpfs*; do
		n=${c##*/}
		page=$(ls "$MAN/$n".[18])
		for s in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
			grep -q "^.Sh $s" "$page" || { echo "$page: no $s"; false; }
		done
		a=$(mandoc -T ascii "$page" | sed 's/.\x08//g' | sed -n '/^SYNOPSIS/,/^[A-Z]/p' | sed '1d;$d' | words)
		b=$("$n" --help | sed 's/^usage: //' | words)
		[ "$a" = "$b" ] || { printf '%s:\n%s\n-h:\n%s\n' "$page" "$a" "$b"; false; }
	done
}

@test "references between pages lead somewhere" {
	for r in $(sed -n 's/^\.Xr \(\(lcpfs[-a-z]*\|mkfs\.lcpfs\|fsck\.lcpfs\)\) \([0-9]\).*/\1.\3/p' "$MAN"/*.[1-8] | sort -u); do
		[ -e "$MAN/$r" ] || { echo "no page $r"; false; }
	done
}

@test "the examples run" {
	for p in "$MAN"/*.[18] "$MAN"/lcpfs-recovery.7; do
		run timeout 60 "$TESTS_DIR/tools/man-examples" "$p"
		[ "$status" -eq 0 ] || { echo "${p##*/}: $output"; false; }
	done
}

@test "completions are made and parse" {
	"$TESTS_DIR/../tools/completions" "$PWD/share"
	for f in share/bash-completion/completions/*; do
		bash -n "$f"
	done
	grep -q -- --compress share/bash-completion/completions/mkfs.lcpfs
	"$TESTS_DIR/../tools/completions" --remove "$PWD/share"
	[ -z "$(find share -type f)" ]
}
