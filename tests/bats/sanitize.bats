# SPDX-License-Identifier: Apache-2.0
load common

@test "an image for a bug report: the form stays, what is private goes" {
	mkimg tank.img --snapshot firstsnap
	printf 'very private words' >src/secretname.txt
	ln -s secrettarget/x src/pointer
	lcpfs-update -q tank.img src
	lcpfs-xattr set tank.img:/a user.hidden confidential
	lcpfs-dataset create tank.img:privateds
	put tank.img:privateds:/innerfile x
	lcpfs-clone tank.img:@firstsnap tank.img:twin
	lcpfs-rm tank.img:twin:/dir/b
	before=$(sha256sum tank.img)
	lcpfs-dump --sanitize -o bug.img tank.img
	[ "$(sha256sum tank.img)" = "$before" ]
	fsck.lcpfs -n --data bug.img
	[ "$(lcpfs-find tank.img | wc -l)" -eq "$(lcpfs-find bug.img | wc -l)" ]
	[ "$(lcpfs-dataset list -p bug.img | wc -l)" -eq 3 ]
	[ "$(lcpfs-snap list -p bug.img | wc -l)" -eq 1 ]
	[ "$(lcpfs-ls -R --json bug.img | grep -o '"size":[0-9]*' | sort)" = "$(lcpfs-ls -R --json tank.img | grep -o '"size":[0-9]*' | sort)" ]
	{ for w in pool space tree: tree:"$(lcpfs-dataset list -p bug.img | sed -n 2p | cut -f 1 | cut -d: -f 2)"; do lcpfs-dump bug.img "$w"; done; cat bug.img; } >all
	for w in secretname secrettarget pointer hidden confidential private innerfile firstsnap twin; do
		run ! grep -aq "$w" all
	done
}

@test "names stay as different as they were, and attributes as many" {
	mkdir src
	(cd src && for a in a b c d e f g h 0 1 2 9 A Z; do : >"$a"; for b in x y z; do : >"$a$b"; done; done; : >$'\xc3\xa4' >$'\xc3\xb6'; : >'.dot' >'a b')
	mkfs.lcpfs -q tank.img src
	lcpfs-xattr set tank.img:/a user.x 1
	lcpfs-xattr set tank.img:/a user.y 2
	lcpfs-dump --sanitize -o bug.img tank.img
	fsck.lcpfs -n --data bug.img
	[ "$(lcpfs-ls tank.img | awk '{ print length }' | sort | uniq -c)" = "$(lcpfs-ls bug.img | awk '{ print length }' | sort | uniq -c)" ]
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-dump --sanitize tank.img
	run_status 2 lcpfs-dump --sanitize -o x tank.img labels
	run_status 1 lcpfs-dump --sanitize -o x none.img
	[ ! -e x ]
}
