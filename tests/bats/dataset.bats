# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "create, list, rename, destroy" {
	mkimg
	run_status 1 lcpfs-dataset create tank.img:a/b
	lcpfs-dataset create -p --set compress=lz4 tank.img:a/b
	[ "$(lcpfs-prop get tank.img:a/b compress)" = lz4 ]
	run_status 1 lcpfs-dataset create tank.img:a/b
	lcpfs-dataset create -p tank.img:a/b
	put tank.img:a/b:/f text
	lcpfs-dataset rename tank.img:a/b a/c
	[ "$(get tank.img:a/c:/f)" = text ]
	lcpfs-dataset rename tank.img:a tank.img:z
	[ "$(get tank.img:z/c:/f)" = text ]
	run -0 lcpfs-dataset list tank.img
	[ "${#lines[@]}" -eq 4 ]
	run -0 lcpfs-dataset list -p tank.img:z
	[[ "$output" == tank.img:z$'\t'*$'\t-' ]]
	run_status 1 lcpfs-dataset destroy tank.img:z
	lcpfs-dataset destroy -r tank.img:z
	run_status 1 lcpfs-ls tank.img:z
	fsck_clean
}

@test "listing as JSON, with snapshots" {
	mkimg tank.img --snapshot s
	run -0 lcpfs-dataset list -s --json tank.img
	json '[d["kind"] for d in j["datasets"]] == ["dataset", "snapshot"] and j["datasets"][1]["name"] == "@s" and j["datasets"][0]["files"] == 5'
}

@test "what is held or cloned elsewhere is not destroyed" {
	mkimg
	lcpfs-dataset create tank.img:d
	lcpfs-snap create tank.img:d@s
	lcpfs-hold add t tank.img:d@s
	run_status 1 lcpfs-dataset destroy -r tank.img:d
	lcpfs-hold release t tank.img:d@s
	lcpfs-clone tank.img:d@s c
	run_status 1 lcpfs-dataset destroy -r tank.img:d
	[[ "$output" == *"nothing was changed"* ]]
	lcpfs-dataset destroy tank.img:c
	lcpfs-dataset destroy -r tank.img:d
	fsck_clean
}

@test "names that cannot be" {
	mkimg
	for n in a//b ../x . 'a b' "$(printf 'x%.0s' $(seq 256))"; do
		run_status 1 lcpfs-dataset create "tank.img:$n"
	done
	run_status 2 lcpfs-dataset create tank.img:/x
	run_status 1 lcpfs-dataset create tank.img:
	run_status 1 lcpfs-dataset destroy -r tank.img:
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-dataset
	run_status 2 lcpfs-dataset create
	run_status 2 lcpfs-dataset create -r tank.img:d
	run_status 2 lcpfs-dataset create --set x tank.img:d
	run_status 2 lcpfs-dataset rename tank.img:d
	run_status 2 lcpfs-dataset rename tank.img:d other.img:d
	statuses lcpfs-dataset create tank.img:d
}
