# SPDX-License-Identifier: Apache-2.0
load common
load edit

@test "a script of everything" {
	sample
	cat >s <<'END'
# what an installer does
mkdir -p -m 750 /opt/app
put rootfs/etc/fstab /opt/app/fstab -m 600 -o 5:6
put rootfs/usr /opt/usr
write /opt/app/conf "key = 'value'
second"
write -a /opt/app/conf $'\tthird\x21\n'
write --base64 -m 400 /opt/app/bin AP8Q
ln -s ../conf /opt/app/link; 
ln /opt/app/conf /opt/app/conf2
chmod -R go-rwx /opt/usr
chown 7:8 /opt/app/conf
xattr set /opt/app/conf user.a 0x4142
touch -d @0 /opt/app/conf
truncate -s 2 /opt/app/bin
snap create @batch
rm -r /bin
mv /usr /usr2
cp @mon:/bin /bin2
dataset create -p x/y
write x/y:/f\ 1 'in x/y'
clone home@mon h2
prop set home user:k v
END
	sed -i 's/link; $/link/' s
	run -0 lcpfs-batch -v tank.img s
	[[ "$output" == *"carried out 21 requests" ]]
	[ "$(get tank.img:/opt/app/conf2)" = $'key = \'value\'\nsecond\tthird!' ]
	[ "$(lcpfs-xattr get tank.img:/opt/app/conf user.a)" = AB ]
	run -0 lcpfs-ls -nR tank.img:/opt/app
	[[ "$output" == *"-rw------- 1 5 6 29 "* && "$output" == *"-r-------- 1 "*" 2 "*" bin"* ]]
	run -0 lcpfs-ls tank.img:@batch:/
	[[ "$output" == *bin*opt*usr* ]]
	run -0 lcpfs-ls tank.img
	[[ "$output" == *bin2*usr2* ]]
	[ "$(get 'tank.img:x/y:/f 1')" = "in x/y" ]
	[ "$(get tank.img:h2:/ann/notes.txt)" = "a note" ]
	fsck_clean
}

@test "JSON lines" {
	mkimg
	cat >s <<'END'
{"op":"mkdir","path":"/p/q","parents":true,"mode":"700"}
{ "op" : "write", "path":"/p/\u00e4\ud83d\ude00", "text":"tab\there \"q\"\n" }

{"op":"rm","path":"/dir","recursive":true,"force":false}
{"op":"truncate","path":"/a","size":1}
{"op":"xattr set","path":"/a","name":"user.x","value":"1"}
END
	run -0 lcpfs-batch --json tank.img s
	json 'j["requests"] == 5'
	[ "$(get tank.img:/p/ä😀)" = $'tab\there "q"' ]
	[ "$(get tank.img:/a)" = o ]
	run_status 1 lcpfs-ls tank.img:/dir
}

# reject MESSAGE LINE...
reject() {
	local before want=$1
	shift
	before=$(sha256sum tank.img)
	run_status 1 lcpfs-batch tank.img <(printf '%s\n' 'mkdir /zz' "$@")
	[[ "$output" == *"$want"* ]] || { echo "$output"; return 1; }
	[[ "$output" == *"nothing was changed"* ]]
	[ "$(sha256sum tank.img)" = "$before" ] || { run_status 1 lcpfs-ls tank.img:/zz; fsck_clean; }
	run_status 1 lcpfs-ls tank.img:/zz
}

@test "all or nothing, and the line is named" {
	mkimg
	reject ":4: rm: " '' '# c' 'rm /none'
	reject ":2: unknown verb 'frob'" 'frob /a'
	reject ":2: chmod: unknown option '-z'" 'chmod -z 1 /a'
	reject ":2: mode: 'zz' is no mode" 'chmod zz /a'
	reject ":2: owner: no user" 'chown no-such-user /a'
	reject ":2: time: 'x' is no time" 'touch -d x /a'
	reject ":2: mkdir: needs path" 'mkdir'
	reject ":2: mkdir: needs path" 'mkdir a b'
	reject ":2: a quote is not closed" 'mkdir "a' 'b'
	reject ":2: put: " 'put /no/such/file /x'
	reject ":2: truncate: " 'truncate /a'
	reject ":2: write: " 'write -b /x "*"'
	reject ":2: bad JSON" '{"op":"mkdir","path":"/q"'
	reject ":2: bad JSON" '{"op":"mkdir","path":"/q"} x'
	reject ":2: bad JSON" '{"op":"mkdir","path":"\u0000"}'
	reject ":2: bad JSON" '{"op":"mkdir","path":"\ud800x"}'
	reject ":2: bad JSON" '{"op":"mkdir","path":["/q"]}'
	reject ":2: mkdir: unknown member 'zz'" '{"op":"mkdir","path":"/q","zz":true}'
	reject ":2: no member 'op'" '{"path":"/q"}'
	reject ":2: mkdir: member 'parents' is true or false" '{"op":"mkdir","path":"/q","parents":"yes"}'
	reject ":2: ln: a hard link does not cross" 'dataset create d' 'ln /a d:/a' || reject ":3: ln: " 'dataset create d' 'ln /a d:/a'
	reject ":3: mv: " 'dataset create d' 'mv /a d:/a'
	fsck_clean
}

@test "exit status" {
	mkimg
	echo 'mkdir /q' >s
	run_status 2 lcpfs-batch
	run_status 2 lcpfs-batch tank.img s t
	run_status 2 lcpfs-batch tank.img:@x s
	run_status 1 lcpfs-batch tank.img /no/such/script
	statuses lcpfs-batch tank.img s
}

@test "cp shares contents, whole or a stretch" {
	mkimg tank.img --record 64K
	seq 1 100000 >big
	cat >s <<'END'
put big /big
dataset create o
cp -l /big o:/big
cp --range 64K:128K:7 /big o:/part
snap create @s
cp -r --reflink @s:/dir o:/dir
END
	lcpfs-batch -q tank.img s
	printf '%s\n' '{"op":"cp","reflink":true,"from":"/big","to":"/twin"}' '{"op":"cp","range":"0:10","from":"/big","to":"/ten"}' | lcpfs-batch -q tank.img
	cmp big <(get tank.img:o:/big)
	cmp big <(get tank.img:/twin)
	cmp <(head -c 10 big) <(get tank.img:/ten)
	cmp <(tail -c +65537 big | head -c 131072) <(get tank.img:o:/part | tail -c +8)
	[ "$(get tank.img:o:/dir/b)" = two ]
	run_status 1 lcpfs-batch tank.img - <<<'cp -g 5 /big /x'
	fsck_clean
}
