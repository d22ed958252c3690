# shellcheck shell=bash disable=SC2016,SC2154
# SPDX-License-Identifier: Apache-2.0
# What the files of bench/ share: one measured command is one line of $raw.
#   input  work  tool  kind  seconds  user+sys  peak_KiB  status  bytes  note         (tabs between, - for nothing)
# kind: lcpfs, peer, or orientation (other work, shown for scale). A row without figures has the status - and says why.

have() { command -v "$1" >/dev/null; }

# one INPUT WORK TOOL OUTPUT COMMAND...: run the command and add its row. The bytes are those of OUTPUT (file or folder, - for none).
# From the environment: kind=orientation; times=N (mean of up to N cold processes); sparse=1 (bytes are those allocated); note=TEXT.
one() {
	local input=$1 job=$2 tool=$3 output=$4 bytes=- line k=${kind:-peer}
	shift 4
	case $tool in lcpfs*) k=lcpfs ;; esac
	rm -f "$work/line"
	MEASURE_TIMES=${times:-1} MEASURE_ENOUGH=$enough MEASURE_SECS=$row_secs "$measure" "$work/line" "$@" >"$work/out" 2>"$work/err" </dev/null
	line=$(cat "$work/line")
	case $line in
	*"	0") ;;
	*) echo "failed: $input: $job: $tool: $(tail -n 1 "$work/err")" >&2 ;;
	esac
	if [ "$output" != - ] && [ -e "$output" ]; then
		if [ -n "${sparse:-}" ]; then bytes=$(du -s --block-size=1 "$output" | cut -f 1); else bytes=$(du -sb "$output" | cut -f 1); fi
	fi
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$input" "$job" "$tool" "$k" "$line" "$bytes" "${note:--}" |
		awk -F '\t' -v OFS='\t' '{ print $1, $2, $3, $4, $5, $6 + $7, $8, $9, $10, $11 }' >>"$raw"
	[ "${line##*	}" = 0 ]
}

# work that changes nothing: the mean of up to five runs, which a slow tool does not need
again() { times=5 enough=1 one "$@"; }

# without INPUT WORK TOOL WHY: a row that could not be measured here, once
without() {
	[ "${round:-1}" = 1 ] && printf '%s\t%s\t%s\tpeer\t-\t-\t-\t-\t-\t%s\n' "$1" "$2" "$3" "$4" >>"$raw"
	return 0
}

# peer NAME PACKAGE PROGRAM...: whether NAME takes part; one that is not installed is written down with its package.
peer() {
	local name=$1 package=$2 p
	shift 2
	case " ${BENCH_PEERS-$all_peers} " in *" $name "*) ;; *) return 1 ;; esac
	for p in "$@"; do
		have "$p" && continue
		grep -qxsF "$name	$package" "$work/missing" || printf '%s\t%s\n' "$name" "$package" >>"$work/missing"
		return 1
	done
}

first_round() { [ "$round" = 1 ]; }
