# SPDX-License-Identifier: Apache-2.0
load common

@test "there and back: a tree survives archive and image" {
	sample
	lcpfs-tar -c -f out.tar tank.img
	mkdir x
	tar -C x -xpf out.tar
	diff -r rootfs x
	[ "$(stat -c %i x/bin/hello)" = "$(stat -c %i x/bin/hello2)" ]
	[ "$(readlink x/bin/hi)" = hello ]
	[ "$(stat -c %Y x/etc/fstab)" = "$(stat -c %Y rootfs/etc/fstab)" ]
}

@test "compression by option and by name; formats" {
	mkimg
	lcpfs-tar -c --zstd tank.img >a
	[ "$(zstd -dc <a | tar -tf - | grep -c .)" -ge 4 ]
	lcpfs-tar -cz -f b.bin tank.img
	gzip -dc <b.bin | tar -tf - >/dev/null
	lcpfs-tar -c -f c.tar.xz tank.img
	xz -t c.tar.xz
	lcpfs-tar -c -f d.zip tank.img
	run -0 lcpfs-tar -t -f d.zip
	[[ "$output" == *dir/b* ]]
	lcpfs-tar cf e.tar tank.img
	run -0 lcpfs-tar tvf e.tar
	[[ "$output" == *"link -> a"* ]]
}

@test "extract into a directory of an image, with overrides" {
	sample
	lcpfs-tar -x -f etc.tar --owner 7:8 --chmod go= -C empty tank.img:/var
	run -0 lcpfs-stat -c '%u %g %a' tank.img:/var/empty/etc/fstab
	[ "$output" = "7 8 600" ]
	[ "$(get tank.img:/var/empty/etc/hostname)" = sample ]
	tar -C rootfs -cf - bin | lcpfs-tar -x tank.img:/var
	[ "$(get tank.img:/var/bin/hi)" = "$(cat rootfs/bin/hello)" ]
}

@test "a truncated archive changes nothing" {
	sample
	head -c 3000 etc.tar >cut.tar
	cp tank.img before.img
	run lcpfs-tar -x -f cut.tar tank.img:/var
	[ "$status" -ne 0 ]
	[[ "$output" == *cut.tar* ]]
	run_status 1 lcpfs-ls tank.img:/var/etc
	run -0 lcpfs-tar -x -n -f etc.tar tank.img:/var
	run_status 1 lcpfs-ls tank.img:/var/etc
}

@test "excludes, snapshots, JSON lists, usage" {
	sample
	lcpfs-tar -c -f x.tar --exclude 'etc/ssh' --exclude '*.md' tank.img:@mon
	run -0 lcpfs-tar -t -f x.tar
	[[ "$output" == *etc/fstab* ]]
	[[ "$output" != *ssh* ]]
	run -0 lcpfs-tar -t --json -f etc.tar
	json 'any(e["path"] == "etc/fstab" and e["size"] == 29 for e in j["entries"])'
	run_status 2 lcpfs-tar tank.img
	run_status 2 lcpfs-tar -c -x tank.img
	run_status 1 lcpfs-tar -t -f nosuch.tar
}

@test "what an archive has no place for is status 3" {
	mkdir src
	: >src/f
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("src/s")'
	mkfs.lcpfs -q t.img src
	run_status 3 lcpfs-tar -c -f t.tar t.img
	[ -s t.tar ]
}

@test "the archive is the same for any number of threads" {
	sample
	head -c 9000000 /dev/urandom >rootfs/big
	truncate -s 20M rootfs/big
	for i in $(seq 300); do echo "$i" >"rootfs/etc/n$i"; done
	lcpfs-update -q tank.img rootfs
	lcpfs-tar -c -j1 -f one.tar tank.img
	lcpfs-tar -c -j8 -f eight.tar tank.img
	cmp one.tar eight.tar
	lcpfs-tar -c -j8 --memory 32M -f little.tar tank.img
	cmp one.tar little.tar
	mkdir out
	tar -C out -xf one.tar
	diff -r --no-dereference rootfs out
}
