# SPDX-License-Identifier: Apache-2.0
load common
load edit

mode() { lcpfs-ls -ld "$1" | cut -c1-10; }

@test "octal and symbolic modes" {
	mkimg
	lcpfs-chmod 600 tank.img:/a
	[ "$(mode tank.img:/a)" = -rw------- ]
	lcpfs-chmod g+r,o=r,u+s tank.img:/a
	[ "$(mode tank.img:/a)" = -rwSr--r-- ]
	run -0 lcpfs-chmod -v a+x,u-s tank.img:/a
	[ "$output" = "changed mode of '/a' from 4644 to 0755" ]
	lcpfs-chmod g-w tank.img:/link
	[ "$(mode tank.img:/a)" = -rwxr-xr-x ]
	run -0 lcpfs-chmod -v 755 tank.img:/a
	[ -z "$output" ]
}

@test "trees, by kind, and from a reference" {
	mkimg
	lcpfs-chmod -R D700,F640 tank.img:/
	[ "$(mode tank.img:/dir)" = drwx------ ]
	[ "$(mode tank.img:/dir/b)" = -rw-r----- ]
	lcpfs-chmod -R a+rX tank.img:/
	[ "$(mode tank.img:/dir)" = drwxr-xr-x ]
	[ "$(mode tank.img:/dir/b)" = -rw-r--r-- ]
	chmod 711 src/a
	lcpfs-chmod --reference=src/a tank.img:/a
	[ "$(mode tank.img:/a)" = -rwx--x--x ]
	lcpfs-chmod --reference=tank.img:/a tank.img:/dir/b
	[ "$(mode tank.img:/dir/b)" = -rwx--x--x ]
	fsck_clean
}

@test "exit status" {
	mkimg
	run_status 2 lcpfs-chmod
	run_status 2 lcpfs-chmod 755
	run_status 2 lcpfs-chmod 999 tank.img:/a
	run_status 1 lcpfs-chmod 755 tank.img:/none
	run_status 1 lcpfs-chmod --reference=/no/such tank.img:/a
	run_status 2 lcpfs-chmod --no-such-option
	statuses lcpfs-chmod 700 tank.img:/a
}
