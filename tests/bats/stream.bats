# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "verify, and what it tells" {
	sample
	lcpfs-send -o m.lcs tank.img:home@mon
	run -0 lcpfs-stream verify m.lcs
	[[ "$output" == "m.lcs: 'home@mon'"*complete ]]
	run -0 lcpfs-stream verify --json m.lcs
	json "j['complete'] and not j['incremental'] and j['bytes'] == $(stat -c %s m.lcs) and j['snapshot'] == 'mon'"
	run -0 sh -c 'cat m.lcs | lcpfs-stream verify -q'
	[ -z "$output" ]
	put tank.img:home:/x y
	lcpfs-snap create tank.img:home@tue
	lcpfs-send -o t.lcs -i @mon tank.img:home@tue
	run -0 lcpfs-stream verify t.lcs
	[[ "$output" == *"since '@mon'"* ]]
}

@test "ls and cat without a pool" {
	sample
	lcpfs-send -o m.lcs tank.img:@mon
	diff <(lcpfs-stream ls m.lcs | sort) <(lcpfs-find tank.img:@mon:/ | sed 's/^[^/]*//; s/^$/\//' | sort) ||
		[ "$(lcpfs-stream ls m.lcs | wc -l)" -eq "$(lcpfs-find tank.img:@mon:/ | wc -l)" ]
	run -0 lcpfs-stream ls -l m.lcs /bin
	[[ "$output" == *"-rwxr-xr-x   2 "*"/bin/hello"* ]]
	run -0 lcpfs-stream ls --json m.lcs /etc/fstab
	json 'j["path"] == "etc/fstab" and j["size"] == 29'
	lcpfs-stream cat m.lcs /usr/share/doc/README | cmp - rootfs/usr/share/doc/README
	lcpfs-stream cat -o out m.lcs /etc/fstab /etc/hostname
	cat rootfs/etc/fstab rootfs/etc/hostname | cmp - out
	run_status 1 lcpfs-stream cat -o out2 m.lcs /none
	[ ! -e out2 ]
	run -0 lcpfs-stream dump m.lcs
	[[ "${lines[0]}" == *BEGIN* && "${lines[-1]}" == *END* ]]
}

@test "a file that breaks off is completed" {
	mkdir src
	for i in $(seq 12); do head -c 150000 /dev/urandom >src/$i; done
	mkfs.lcpfs -q --profile rw --snapshot s tank.img src
	lcpfs-send --checkpoint 4K -o whole tank.img:@s
	head -c 1000000 whole >f
	run_status 1 lcpfs-stream verify f
	run -0 lcpfs-stream token --json f
	json '700000 < j["good_bytes"] <= 1000000'
	t=$(lcpfs-stream token -q --truncate f)
	[ "$(stat -c %s f)" -le 1000000 ]
	lcpfs-send --resume "$t" tank.img:@s >>f
	lcpfs-stream verify f
	mkfs.lcpfs -q --size 16M b.img
	lcpfs-recv b.img:c f
	run_status 0 lcpfs-diff tank.img:@s b.img:c
	run_status 1 lcpfs-stream token whole
	[[ "$output" == *complete* ]]
}

@test "exit status" {
	sample
	lcpfs-send -o m.lcs tank.img:@mon
	run_status 2 lcpfs-stream
	run_status 2 lcpfs-stream ls
	run_status 2 lcpfs-stream cat m.lcs
	run_status 2 lcpfs-stream dump -l m.lcs
	run_status 1 lcpfs-stream verify /no/such
	head -c 600 m.lcs >cut
	run_status 1 lcpfs-stream verify cut
	cat m.lcs m.lcs >twice
	run lcpfs-stream verify twice
	[ "$status" -ne 0 ]
	python3 -c 'f = open("m.lcs", "r+b"); f.seek(700); b = f.read(1)[0]; f.seek(700); f.write(bytes([b ^ 1]))'
	run_status 6 lcpfs-stream verify m.lcs
	run_status 6 lcpfs-stream ls m.lcs
	run_status 6 lcpfs-stream dump m.lcs
}
