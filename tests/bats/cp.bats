# SPDX-License-Identifier: Apache-2.0
load common

@test "files into an image: into a directory, under a new name, over an old one" {
	mkimg
	echo new >n
	lcpfs-cp n tank.img:/dir
	[ "$(get tank.img:/dir/n)" = new ]
	lcpfs-cp n tank.img:/other
	[ "$(get tank.img:/other)" = new ]
	lcpfs-cp n tank.img:/a
	[ "$(get tank.img:/a)" = new ]
	lcpfs-cp n src/a tank.img:
	[ "$(get tank.img:/n)" = new ]
	[ "$(get tank.img:/a)" = one ]
}

@test "trees, with and without -r, merged and renamed" {
	mkimg
	mkdir -p t/u
	echo 1 >t/u/f
	run_status 1 lcpfs-cp t tank.img:/dir
	[[ "$output" == *"-r copies it"* ]]
	lcpfs-cp -r t tank.img:/dir
	[ "$(get tank.img:/dir/t/u/f)" = 1 ]
	lcpfs-cp -a t tank.img:/fresh
	[ "$(get tank.img:/fresh/u/f)" = 1 ]
	lcpfs-cp -aT t tank.img:/dir
	[ "$(get tank.img:/dir/u/f)" = 1 ]
	[ "$(get tank.img:/dir/b)" = two ]
	lcpfs-cp -a t/. tank.img:/dir/t
	[ "$(get tank.img:/dir/t/u/f)" = 1 ]
	lcpfs-cp -a -t tank.img:/dir/u t/u
	[ "$(get tank.img:/dir/u/u/f)" = 1 ]
}

@test "out of an image, everything kept" {
	sample
	lcpfs-cp -a tank.img:/ out
	diff -r rootfs out
	[ "$(stat -c %i out/bin/hello)" = "$(stat -c %i out/bin/hello2)" ]
	[ "$(stat -c %Y out/etc)" = "$(stat -c %Y rootfs/etc)" ]
	[ "$(stat -c %b out/var/sparse)" -lt 100 ]
	lcpfs-cp tank.img:home@mon:/ann/notes.txt .
	[ "$(cat notes.txt)" = "a note" ]
	lcpfs-cp tank.img:/etc/fstab named
	cmp named rootfs/etc/fstab
	mkdir d
	lcpfs-cp -a tank.img:/etc tank.img:/bin d
	diff -r rootfs/etc d/etc
	diff -r rootfs/bin d/bin
}

@test "between datasets and between pools" {
	sample
	lcpfs-cp -a tank.img:home:/bob tank.img:/var
	[ "$(get tank.img:/var/bob/todo)" = another ]
	mkfs.lcpfs -q other.img
	lcpfs-cp -a tank.img:/etc other.img:/config
	[ "$(get other.img:/config/hostname)" = sample ]
}

@test "standard input, owner and mode" {
	mkimg
	printf text | lcpfs-cp --chmod 640 --owner 3:4 - tank.img:/dir/in
	run -0 lcpfs-stat -c '%a %u %g %s' tank.img:/dir/in
	[ "$output" = "640 3 4 4" ]
	lcpfs-cp --chmod u=rwx,go=rx --owner 5 src/a tank.img:/b
	run -0 lcpfs-stat -c '%a %u' tank.img:/b
	[ "$output" = "755 5" ]
	run_status 1 lcpfs-cp - tank.img:/dir
}

@test "one failed source: nothing is stored" {
	mkimg
	run_status 1 lcpfs-cp src/a nosuch tank.img:/dir
	[[ "$output" == *nosuch* ]]
	run_status 1 lcpfs-ls tank.img:/dir/a
	run -0 lcpfs-cp -n src/a tank.img:/dir
	[[ "$output" == "would copy 'src/a' -> 'tank.img:/dir/a'" ]]
	run_status 1 lcpfs-ls tank.img:/dir/a
	run -0 lcpfs-cp -n tank.img:/a hostcopy
	[ ! -e hostcopy ]
}

@test "refusals" {
	mkimg
	mkdir x
	run_status 1 lcpfs-cp src/a x
	[[ "$output" == *"neither"* ]]
	run_status 1 lcpfs-cp src/a src/dir/b tank.img:/a
	run_status 1 lcpfs-cp -T src/a tank.img:/dir
	run_status 1 lcpfs-cp src/a missing.img:/x
	run_status 2 lcpfs-cp src/a
	run_status 1 lcpfs-cp src/a tank.img:/no/such/dir
}

@test "set-user-ID bits come out only when asked for" {
	mkdir src
	: >src/su
	chmod 4755 src/su
	mkfs.lcpfs -q tank.img src
	run_status 3 lcpfs-cp tank.img:/su plain
	[ ! -u plain ]
	lcpfs-cp --special tank.img:/su kept
	[ -u kept ]
}

@test "a file that is an archive stays one" {
	sample
	lcpfs-cp etc.tar tank.img:/var
	lcpfs-cat tank.img:/var/etc.tar | cmp - etc.tar
}

@test "contents are shared, with whoever is in the pool" {
	mkimg tank.img --record 64K
	seq 1 200000 >big
	lcpfs-cp big tank.img:/big
	lcpfs-dataset create tank.img:o
	lcpfs-snap create tank.img@s
	before=$(stat -c %s tank.img)
	lcpfs-cp --reflink tank.img:/big tank.img:/twin
	lcpfs-cp --reflink=always tank.img:/big tank.img:o:/big
	lcpfs-cp -a --reflink=auto tank.img:@s: tank.img:o:/of-s
	cmp big <(get tank.img:o:/big)
	cmp big <(get tank.img:o:/of-s/big)
	[ "$(get tank.img:o:/of-s/dir/b)" = two ]
	[ "$(stat -c %s tank.img)" -lt $((before + 40000)) ]
	put tank.img:o:/x changed
	lcpfs-cp --range 0:7:100 tank.img:o:/x tank.img:o:/big
	[ "$(get tank.img:o:/big | head -c 107 | tail -c 7)" = changed ]
	cmp big <(get tank.img:/big)
	lcpfs-truncate -s 100000 tank.img:/twin
	lcpfs-rm tank.img:/big
	cmp <(head -c 100000 big) <(get tank.img:/twin)
	cmp big <(get tank.img:o:/of-s/big)
	fsck_clean
	lcpfs-dataset destroy tank.img:o
	lcpfs-rm tank.img:/twin
	cmp big <(get tank.img:@s:/big)
	fsck_clean
}

@test "a range of a file, at any alignment" {
	mkimg tank.img --record 64K
	seq 1 200000 >big
	lcpfs-cp big tank.img:/big
	chmod 600 big
	lcpfs-cp --range 100000:500001 tank.img:/big tank.img:/same
	cmp <(tail -c +100001 big | head -c 500001) <(get tank.img:/same | tail -c +100001)
	[ "$(get tank.img:/same | head -c 100000 | tr -d '\0' | wc -c)" = 0 ]
	lcpfs-cp --range=1000000::5 tank.img:/big tank.img:/tail
	cmp <(tail -c +1000001 big) <(get tank.img:/tail | tail -c +6)
	lcpfs-cp --range 64K:128K:0 tank.img:/big tank.img:/tail
	cmp <(tail -c +65537 big | head -c 131072) <(get tank.img:/tail | head -c 131072)
	lcpfs-cp --range 0:100K:1M tank.img:/big tank.img:/big
	cmp <(head -c 102400 big) <(get tank.img:/big | tail -c +1048577 | head -c 102400)
	run_status 1 lcpfs-cp --range 0:100K:50K tank.img:/big tank.img:/big
	run_status 1 lcpfs-cp --range 2G:1 tank.img:/big tank.img:/other
	run_status 1 lcpfs-ls tank.img:/other
	run_status 2 lcpfs-cp --range 12 tank.img:/big tank.img:/other
	run_status 2 lcpfs-cp --range 1:2:3:4 tank.img:/big tank.img:/other
	fsck_clean
}

@test "what cannot be shared" {
	mkimg
	mkfs.lcpfs -q b.img
	run_status 1 lcpfs-cp --reflink tank.img:/a b.img:/a
	[[ "$output" == *"one pool"* ]]
	run_status 1 lcpfs-cp --reflink=always src/a tank.img:/x
	run_status 1 lcpfs-cp --range 0:1 src/a tank.img:/x
	run_status 1 lcpfs-ls tank.img:/x
	lcpfs-cp --reflink=auto tank.img:/a b.img:/a
	[ "$(get b.img:/a)" = one ]
	lcpfs-cp --reflink=never tank.img:/a tank.img:/a2
	run_status 2 lcpfs-cp --reflink=sometimes tank.img:/a tank.img:/a3
	run_status 2 lcpfs-cp --range 0:1 tank.img:/a tank.img:/dir/b tank.img:/dir
	run_status 1 lcpfs-cp --reflink - tank.img:/x
	run -0 lcpfs-info tank.img
	[[ "$output" != *reflink* ]]
	fsck_clean
}

@test "out of an image, the same with one thread and with eight" {
	sample
	head -c 9000000 /dev/urandom >rootfs/big
	truncate -s 20M rootfs/big
	for i in $(seq 300); do echo "$i" >"rootfs/etc/n$i"; done
	ln rootfs/big rootfs/etc/a
	lcpfs-update -q tank.img rootfs
	lcpfs-cp -a -j1 tank.img:/ one
	lcpfs-cp -a -j8 tank.img:/ eight
	diff -r --no-dereference rootfs one
	(cd one && find . -printf '%p %y %m %s %n %U %G %T@ %l %b\n' | sort) >one.list
	(cd eight && find . -printf '%p %y %m %s %n %U %G %T@ %l %b\n' | sort) >eight.list
	diff one.list eight.list
	diff -r --no-dereference one eight
	# what is in the way is told the same way
	mkdir -p bad1/etc/n150 bad8/etc/n150
	run_status 1 lcpfs-cp -a -j1 tank.img:/etc/. bad1/etc
	said=$output
	run_status 1 lcpfs-cp -a -j8 tank.img:/etc/. bad8/etc
	[ "$output" = "$said" ]
}

# A disk of 8 MiB for what is extracted, gone with the command.
on_small_disk() {
	unshare -rm sh -c 'mkdir -p small; mount -t tmpfs -o size=8m,nr_inodes="$1" none small || exit 99; shift; "$@"; s=$?; find small -type f | wc -l >left; exit $s' \
		sh "$@"
}

@test "a disk that is full ends an extraction, whatever the threads" {
	unshare -rm true 2>/dev/null || skip "no namespaces here"
	mkdir many
	for i in $(seq 400); do head -c 50000 /dev/urandom >many/$i; done
	head -c 20000000 /dev/urandom >big
	mkfs.lcpfs -q tank.img many
	lcpfs-cp big tank.img:/big
	on_small_disk 0 true || skip "no tmpfs here"
	export -f on_small_disk
	for j in 1 2 5; do
		run_status 1 timeout 60 bash -c 'on_small_disk "$@"' sh 0 lcpfs-cp -q -a -j $j tank.img:/ small/out
		[[ "$output" == *"cannot write: No space left on device"* ]]
		[ "$(wc -l <<<"$output")" -eq 1 ]
		[ "$(cat left)" -lt 200 ]
		run_status 1 timeout 60 bash -c 'on_small_disk "$@"' sh 0 lcpfs-cp -q -j $j tank.img:/big small/out
		[[ "$output" == *"No space left on device"* ]]
		[ "$(cat left)" -eq 0 ]
		# names run out, not bytes
		run_status 1 timeout 60 bash -c 'on_small_disk "$@"' sh 50 lcpfs-cp -q -a -j $j tank.img:/ small/out
		[[ "$output" == *"cannot create: No space left on device"* ]]
	done
}
