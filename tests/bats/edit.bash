# SPDX-License-Identifier: Apache-2.0
# For the commands that change: what every one of them has to do alike.
#
#   hold_pool IMG / release_pool   another process has the pool open for writing
#   statuses CMD ARG...            the command with these arguments (which would do) ends with 4 while the pool is held, changes nothing with -n,
#                                  and a wrong option is a wrong command line
#   spoiled                        tank.img with file /r (compress off) whose contents are damaged

hold_pool() {
	mkfifo hold
	lcpfs-batch "$1" hold 3>&- &
	exec 9>hold
	for _ in $(seq 50); do
		lcpfs-ls "$1" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	return 1
}

release_pool() {
	exec 9>&-
	wait
	rm hold
}

statuses() {
	local before
	run_status 2 "$1" --no-such-option
	[[ "$output" == *usage:* ]]
	run_status 0 "$1" --help
	hold_pool tank.img
	run_status 4 "$@"
	release_pool
	before=$(sha256sum tank.img)
	run_status 0 "$1" -n "${@:2}"
	[ "$(sha256sum tank.img)" = "$before" ]
	run_status 0 "$@"
	[ "$(sha256sum tank.img)" != "$before" ]
	fsck_clean
}

spoiled() {
	mkdir -p src
	head -c 300000 /dev/urandom >src/r
	printf 'findme-%s-findme' "$(head -c 60000 /dev/zero | tr '\0' x)" >>src/r
	mkfs.lcpfs -q --compress off tank.img src
	printf BAD | dd of=tank.img bs=1 seek="$(grep -abo findme tank.img | head -n 1 | cut -d: -f1)" conv=notrunc status=none
}
