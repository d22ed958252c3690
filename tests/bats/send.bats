# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "the same stream every time, as long as foretold" {
	sample
	lcpfs-send -o a.lcs tank.img:@mon
	lcpfs-send tank.img:@mon >b.lcs
	cmp a.lcs b.lcs
	[ "$(lcpfs-send -n tank.img:@mon)" = "$(stat -c %s a.lcs)" ]
	run -0 lcpfs-send -n --json tank.img:@mon
	json "j['bytes'] == $(stat -c %s a.lcs)"
	lcpfs-stream verify a.lcs
}

@test "what changed is all that is sent" {
	mkimg
	head -c 1000000 /dev/urandom | lcpfs-cp - tank.img:/big
	lcpfs-snap create tank.img:@a
	put tank.img:/a changed
	lcpfs-rm tank.img:/dir/b
	lcpfs-snap create tank.img:@b
	[ "$(lcpfs-send -n tank.img:@b)" -gt 1000000 ]
	[ "$(lcpfs-send -n -i @a tank.img:@b)" -lt 3000 ]
	[ "$(lcpfs-send -n -i tank.img:@a tank.img:@b)" -lt 3000 ]
	run_status 1 lcpfs-send -i @none tank.img:@b
	run_status 1 lcpfs-send -n -i @b tank.img:@a
}

@test "a tree of datasets, with properties" {
	mkimg
	lcpfs-dataset create -p --set user:k=v tank.img:d/e
	put tank.img:d/e:/f x
	lcpfs-snap create -r tank.img:d@s
	lcpfs-send -R -o r.lcs tank.img:d@s
	mkfs.lcpfs -q --size 16M b.img
	lcpfs-recv b.img:copy r.lcs
	[ "$(get b.img:copy/e:/f)" = x ]
	[ "$(lcpfs-prop get b.img:copy/e user:k)" = v ]
	fsck_clean b.img
}

@test "exit status" {
	mkimg tank.img --snapshot s
	run_status 2 lcpfs-send
	run_status 2 lcpfs-send tank.img
	run_status 2 lcpfs-send -i s tank.img:@s
	run_status 2 lcpfs-send tank.img:@s tank.img:@s
	run_status 1 lcpfs-send -o x tank.img:@none
	[ ! -e x ]
	run_status 1 lcpfs-send -o /no/such/dir/x tank.img:@s
	run_status 1 lcpfs-send --resume nonsense -o x tank.img:@s
	# where a terminal can be made
	! script -qec true /dev/null >/dev/null 2>&1 || run_status 2 script -qec 'lcpfs-send tank.img:@s' /dev/null
	hold_pool tank.img
	run_status 4 lcpfs-send -o x tank.img:@s
	release_pool
	run_status 0 sh -c 'lcpfs-send tank.img:@s >out'
	run_status 1 sh -c 'lcpfs-send tank.img:@s >/dev/full'
}

@test "damaged contents are not sent as whole" {
	spoiled
	lcpfs-snap create tank.img:@s
	run_status 6 lcpfs-send -o x tank.img:@s
	[ ! -e x ]
}
