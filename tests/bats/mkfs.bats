# SPDX-License-Identifier: Apache-2.0
load common

U=5e1d2f3c-7a68-4b1e-9c0f-2d4b6a8c0e10

@test "a directory, an archive, a pipe, nothing" {
	sample --no-image
	mkfs.lcpfs d.img rootfs
	mkfs.lcpfs t.img rootfs.tar.zst
	zstd -dc rootfs.tar.zst | mkfs.lcpfs p.img -
	mkfs.lcpfs e.img
	for i in d t p; do
		lcpfs-cp -a $i.img:/ $i.out
		diff -r rootfs $i.out
	done
	run -0 lcpfs-ls -A e.img
	[ -z "$output" ]
}

@test "later sources go over earlier ones" {
	mkdir a b
	echo 1 >a/x
	echo 1 >a/y
	echo 2 >b/x
	mkfs.lcpfs t.img a b
	[ "$(get t.img:/x)$(get t.img:/y)" = 21 ]
}

@test "datasets, first snapshot, label, uuid" {
	sample --no-image
	mkfs.lcpfs -L sys -U $U --dataset home=home --dataset data/empty --snapshot first t.img rootfs
	[ "$(get t.img:home@first:/ann/notes.txt)" = "a note" ]
	[ "$(get t.img:@first:/etc/hostname)" = sample ]
	run -0 lcpfs-info -p t.img
	[[ "$output" == *$'pool\tsys'*"$U"*$'datasets\t4'*$'snapshots\t4'* ]]
	run_status 2 mkfs.lcpfs -U 123 x.img
	run_status 2 mkfs.lcpfs --dataset =home x.img
}

@test "codecs, checksums, profiles and sizes give the same contents" {
	sample --no-image
	for o in "--compress off" "--compress lz4" "--compress lzma:6" "--compress zstd:19" "--compress lz4:9" "--compress auto:fast" "--compress auto" "--compress auto:small" "--checksum sha256" "--profile archive" "--profile default" "--profile fast" "--profile small" \
		"--profile rw" "--record 64K --pack 64K --slice 16K" "--labels 1" "--size 4M" "-j 1" "--memory 32M"; do
		# shellcheck disable=SC2086
		mkfs.lcpfs -f $o t.img rootfs
		rm -rf out
		lcpfs-cp -a t.img:/ out
		diff -r rootfs out
	done
	run_status 1 mkfs.lcpfs -f --compress nosuch t.img rootfs
	run_status 1 mkfs.lcpfs -f --compress zstd:20 t.img rootfs
	[[ "$output" == *"zstd has levels -7 to 19"* ]]
	run_status 2 mkfs.lcpfs -f --profile nosuch t.img rootfs
	run_status 2 mkfs.lcpfs -f --record 5000 t.img rootfs
	mkfs.lcpfs -f --size 4M t.img rootfs
	[ "$(stat -c %s t.img)" = 4194304 ]
}

@test "a codec chosen by content is the same for any number of threads" {
	mkdir src
	seq 1 100000 >src/text
	head -c 1500000 /dev/urandom >src/random
	head -c 3000000 "$(command -v bash)" >src/program
	for k in auto auto:small; do
		for j in 1 8; do
			SOURCE_DATE_EPOCH=1700000000 mkfs.lcpfs -f -U $U --reproducible --compress $k -j $j $j.img src
		done
		cmp 1.img 8.img
		lcpfs-cp -a 1.img:/ out
		diff -r src out
		rm -rf out
		run -0 lcpfs-prop list -p 1.img
		[[ "$output" == *"compress"*"$k"* ]]
	done
}

@test "owner, mode, exclude" {
	sample --no-image
	mkfs.lcpfs --owner 11:12 --chmod D750,F640 --exclude etc/ssh --exclude 'README*' t.img rootfs
	run -0 lcpfs-find t.img -mindepth 1 ! '(' -uid 11 -gid 12 ')'
	[ -z "$output" ]
	run -0 lcpfs-find t.img -mindepth 1 -type d ! -perm 750 -o -type f ! -perm 640
	[ -z "$output" ]
	run -0 lcpfs-find t.img -name ssh -o -name README
	[ -z "$output" ]
	mkfs.lcpfs -f --all-root t.img rootfs
	run -0 lcpfs-find t.img -mindepth 1 ! '(' -uid 0 -gid 0 ')'
	[ -z "$output" ]
}

@test "--reproducible: the same bytes twice, for any number of threads" {
	sample --no-image
	export SOURCE_DATE_EPOCH=1700000000
	mkfs.lcpfs --reproducible -U $U a.img rootfs
	sleep 1
	cp -a rootfs again
	mkfs.lcpfs --reproducible -U $U -j 4 b.img again
	mkfs.lcpfs --reproducible -U $U -j 1 c.img again
	cmp a.img b.img
	cmp a.img c.img
}

@test "an existing file is kept unless -f" {
	mkimg
	cp tank.img before
	run_status 1 mkfs.lcpfs tank.img src
	[[ "$output" == *"-f replaces it"* ]]
	cmp tank.img before
	mkfs.lcpfs -f tank.img src
	mkdir d
	run_status 1 mkfs.lcpfs -f d src
}

@test "a failure leaves nothing behind, and an old image as it was" {
	mkimg
	cp tank.img before
	run_status 1 mkfs.lcpfs -f tank.img nosuch
	cmp tank.img before
	run_status 1 mkfs.lcpfs new.img nosuch
	head -c 5000 /dev/urandom >junk
	run mkfs.lcpfs new.img junk
	[ "$status" -ne 0 ]
	run_status 1 mkfs.lcpfs /nonexistent/x.img src
	[ ! -e new.img ]
	[ -z "$(find . -name '*.tmp*')" ]
}

@test "a signal leaves nothing behind" {
	mkimg
	mkfifo pipe
	mkfs.lcpfs int.img - <pipe &
	pid=$!
	exec 8>pipe
	sleep 0.5
	[ -n "$(find . -name 'int.img.tmp*')" ]
	kill -TERM $pid
	exec 8>&-
	run wait $pid
	rc=0
	wait $pid || rc=$?
	[ "$rc" -ne 0 ]
	[ ! -e int.img ]
	[ -z "$(find . -name 'int.img*')" ]
}

@test "-n says the size and makes nothing" {
	sample --no-image
	run -0 mkfs.lcpfs -n -p t.img rootfs
	bytes=${output%%	*}
	[ ! -e t.img ]
	mkfs.lcpfs t.img rootfs
	[ "$bytes" = "$(stat -c %s t.img)" ]
	run -0 mkfs.lcpfs --json -f t.img rootfs
	json 'j["bytes"] > 0 and j["entries"] > 10 and j["verified_blocks"] >= 0 and not j["dry_run"]'
}

@test "an image inside its own source is left out" {
	mkimg
	mkfs.lcpfs src/self.img src
	run -0 lcpfs-ls src/self.img
	[ "$output" = $'a\ndir\nlink' ]
}

@test "unreadable files are named, status 3, and the image is good" {
	[ "$(id -u)" -ne 0 ] || skip "root reads everything"
	mkimg
	chmod 000 src/a
	run_status 3 mkfs.lcpfs t.img src
	[[ "$output" == *a* ]]
	[ "$(get t.img:/dir/b)" = two ]
}

@test "a block device that holds something is refused" {
	command -v losetup >/dev/null && command -v mkfs.ext4 >/dev/null || skip "no loop devices"
	truncate -s 64M disk
	mkfs.ext4 -q disk
	dev=$(losetup -f --show disk 2>/dev/null) || skip "no loop devices"
	mkdir src
	echo 1 >src/a
	run mkfs.lcpfs "$dev" src
	s1=$status o1=$output
	run mkfs.lcpfs -f "$dev" src
	s2=$status
	run lcpfs-cat "$dev:/a"
	losetup -d "$dev"
	[ "$s1" -eq 1 ]
	[[ "$o1" == *ext4* ]]
	[ "$s2" -eq 0 ]
	[ "$output" = 1 ]
}

@test "equal files are stored once" {
	mkdir -p src/a src/b
	head -c 3000000 /dev/urandom >src/a/big
	head -c 150000 /dev/urandom >src/a/mid
	for i in 1 2 3 4 5 6; do head -c $((i * 700)) /dev/urandom >src/a/small$i; done
	cp -r src/a/. src/b
	head -c 2999999 src/a/big >src/b/less
	printf x >>src/b/less
	truncate -s 500000 src/a/hole src/b/hole
	echo tail >>src/a/hole
	ln src/a/mid src/b/link
	mkfs.lcpfs once.img src
	mkfs.lcpfs --no-duplicates twice.img src
	[ $(($(stat -c %s twice.img) - $(stat -c %s once.img))) -gt 2900000 ]
	fsck_clean once.img
	for i in once.img twice.img; do
		rm -rf out
		lcpfs-cp -a $i:/ out
		diff -r src out
	done
	# charged as if each had its own
	[ "$(lcpfs-du -s once.img:/b/big | cut -f1)" = "$(lcpfs-du -s twice.img:/b/big | cut -f1)" ]
	lcpfs-cp src/a/small4 once.img:/b/small3
	cmp <(lcpfs-cat once.img:/a/small3) src/a/small3
	cmp <(lcpfs-cat once.img:/b/small3) src/a/small4
	fsck_clean once.img
	tar -C src -cf src.tar .
	mkfs.lcpfs tar.img src.tar
	[ "$(stat -c %s tar.img)" -lt $(($(stat -c %s once.img) + 60000)) ]
	fsck_clean tar.img
}

@test "the image does not depend on threads or what the processor has" {
	export SOURCE_DATE_EPOCH=1700000000
	mkfs.lcpfs -U 01234567-89ab-cdef-0123-456789abcdef --reproducible one.img /usr/include/linux
	for j in 1 2 8; do
		mkfs.lcpfs -f -j $j -U 01234567-89ab-cdef-0123-456789abcdef --reproducible t.img /usr/include/linux
		cmp one.img t.img
	done
	for simd in portable sse41 avx2 avx512; do
		LCPFS_SIMD=$simd mkfs.lcpfs -f -U 01234567-89ab-cdef-0123-456789abcdef --reproducible t.img /usr/include/linux
		cmp one.img t.img
	done
}

@test "reading back" {
	sample --no-image
	mkfs.lcpfs --verify decode t.img rootfs
	mkfs.lcpfs -f --verify=hash t.img rootfs
	run_status 2 mkfs.lcpfs -f --verify no t.img rootfs
}

@test "metadata once or twice" {
	mkdir src
	seq 3000 >src/numbers
	mkfs.lcpfs -q one.img --copies 1 src
	mkfs.lcpfs -q two.img src
	[ "$(lcpfs-info -p one.img | sed -n 's/^copies\t//p')" = 0 ]
	[ "$(lcpfs-info -p two.img | sed -n 's/^copies\t//p')" = 65536 ]
	[[ "$(lcpfs-info two.img)" == *"copies       64K (65536 bytes, "*"% of the device)"* ]]
	lcpfs-info --json two.img | python3 -c 'import json, sys; p = json.load(sys.stdin)["pools"][0]; assert p["copies_bytes"] == 65536 and p["copies_permille"] == 63, p'
	[ "$(stat -c %s two.img)" -le 1048576 ]
	# each 64 KiB in turn: only where the content lies it is lost, and fsck puts right what is not content
	lost=0
	for ((at = 0; at < 16; at++)); do
		cp two.img hurt.img
		dd if=/dev/zero of=hurt.img bs=64K seek="$at" count=1 conv=notrunc status=none
		[ "$(lcpfs-ls -1 hurt.img:/ 2>/dev/null)" = numbers ]
		lcpfs-cat hurt.img:/numbers 2>/dev/null | cmp -s - src/numbers || ((lost += 1))
		fsck.lcpfs -p hurt.img >/dev/null 2>&1 || [ $? -eq 1 ]
		fsck.lcpfs -n hurt.img >/dev/null
	done
	[ "$lost" -eq 1 ]
	run_status 2 mkfs.lcpfs --copies 3 three.img src
}
