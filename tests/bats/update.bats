# SPDX-License-Identifier: Apache-2.0
load common

@test "the dataset becomes the source; the old state stays as a snapshot" {
	mkimg
	echo changed >src/a
	rm src/dir/b
	: >src/new
	run -0 lcpfs-update -v --snapshot old tank.img src
	[[ "$output" == *"1 removed"* ]]
	run -0 lcpfs-ls -R tank.img
	[[ "$output" == *new* ]]
	[[ "$output" != *$'\nb' ]]
	[ "$(get tank.img:/a)" = changed ]
	[ "$(get tank.img:@old:/a)" = one ]
	[ "$(get tank.img:@old:/dir/b)" = two ]
}

@test "an equal source changes nothing" {
	mkimg
	run -0 lcpfs-update --json tank.img src
	json 'j["removed"] == 0'
	run -0 lcpfs-update --json tank.img src
	json 'j["changed"] == 0 and j["removed"] == 0 and j["entries"] >= 4'
}

@test "--no-delete, -n, --checksum, archives" {
	sample
	rm rootfs/etc/fstab
	run -0 lcpfs-update -n tank.img rootfs
	[[ "$output" == "would be: "*"1 removed" ]]
	run -0 lcpfs-ls tank.img:/etc/fstab
	lcpfs-update -q --no-delete tank.img rootfs
	run -0 lcpfs-ls tank.img:/etc/fstab
	lcpfs-update -q --checksum tank.img rootfs
	run_status 1 lcpfs-ls tank.img:/etc/fstab
	zstd -dc rootfs.tar.zst | lcpfs-update -q tank.img -
	run -0 lcpfs-ls tank.img:/etc/fstab
}

@test "the same bytes with any number of threads" {
	sample
	export SOURCE_DATE_EPOCH=1700000000
	mkfs.lcpfs -q -U 11111111-2222-3333-4444-555555555555 one.img rootfs
	cp one.img eight.img
	rm -r rootfs/etc
	mkdir -p rootfs/new/deep
	for i in {1..300}; do
		echo "$i changes" >"rootfs/new/$i"
	done
	lcpfs-update -q -j1 one.img rootfs
	lcpfs-update -q -j8 eight.img rootfs
	cmp one.img eight.img
	lcpfs-cp -q -a -T one.img:/ out
	diff -r --no-dereference rootfs out
}

@test "refusals leave everything as it is" {
	mkimg
	run_status 1 lcpfs-update tank.img nosuch
	run_status 1 lcpfs-update tank.img:nods src
	run_status 2 lcpfs-update tank.img:@snap src
	run_status 2 lcpfs-update tank.img
	lcpfs-update -q --snapshot s tank.img src
	run_status 1 lcpfs-update --snapshot s tank.img src
}
