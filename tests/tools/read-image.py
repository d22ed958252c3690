#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read an lcpfs image with nothing but lcpfs-format(5): a check that the page says everything.

usage: read-image.py [--verify] IMAGE [DATASET[@SNAP]]            a line per file: type, size, path
       read-image.py [--verify] -c PATH IMAGE [DATASET[@SNAP]]    the content of a file
       read-image.py [--verify] -x PATH IMAGE [DATASET[@SNAP]]    a line per attribute: name=value in hex
       read-image.py [--verify] -s IMAGE                          sectors that are in use, counted in two ways
       read-image.py -t STREAM                                    a line per frame of a stream

Blocks that are not stored plain are decoded with zstd(1); lz4 and lzma2 are not known here. Labels, uberblocks, config
and frames are always verified; --verify does it for every block, slowly.
"""
import bisect
import hashlib
import itertools
import os
import struct
import subprocess
import sys

SECTOR, UNIT, MASK = 512, 65536, 0xffffffff


class Bad(Exception):
    pass


def need(ok, text):
    if not ok:
        raise Bad(text)


# ---- BLAKE3, as its specification has it ----

IV = (0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def compress(cv, block, counter, length, flags):
    m = list(struct.unpack('<16I', block))
    v = list(cv) + list(IV[:4]) + [counter & MASK, counter >> 32, length, flags]
    for r in range(7):
        for i, (a, b, c, d) in enumerate(MIX):
            for x, right, left in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = v[a] + v[b] + x & MASK
                t = v[d] ^ v[a]
                v[d] = (t >> right | t << 32 - right) & MASK
                v[c] = v[c] + v[d] & MASK
                t = v[b] ^ v[c]
                v[b] = (t >> left | t << 32 - left) & MASK
        m = [m[k] for k in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    def chunk(part, counter, root):
        blocks = [part[i:i + 64] for i in range(0, len(part), 64)] or [b'']
        cv = IV
        for i, b in enumerate(blocks):
            flags = (1 if i == 0 else 0) | ((2 | root) if i == len(blocks) - 1 else 0)
            cv = compress(cv, b.ljust(64, b'\0'), counter, len(b), flags)
        return cv

    def tree(lo, n, root):
        if n == 1:
            return chunk(data[lo * 1024:lo * 1024 + 1024], lo, root)
        left = 1 << (n - 1).bit_length() - 1
        words = tree(lo, left, 0) + tree(lo + left, n - left, 0)
        return compress(IV, struct.pack('<16I', *words), 0, 64, 4 | root)

    return struct.pack('<8I', *tree(0, max(1, (len(data) + 1023) // 1024), 8))


def unzstd(data, size):
    out = subprocess.run(['zstd', '-dcq'], input=data, stdout=subprocess.PIPE, check=True).stdout
    need(len(out) == size, 'a block decodes to another length')
    return out


def decode(codec, data, size):
    if codec == 0:
        need(len(data) == size, 'a plain block of another length')
        return data
    need(codec == 2, 'codec %d is not known here' % codec)
    return unzstd(data, size)


# ---- the device ----

def unplane(planes, n):
    return [sum(planes[k * n + i] << 8 * k for k in range(len(planes) // n)) for i in range(n)]


def residue(r):
    return r >> 1 if r % 2 == 0 else -(r + 1 >> 1)


def ends_of(planes, n):
    out = [0]
    for r in unplane(planes, n):
        out.append((out[-1] + residue(r)) % 2 ** 32)
    return out[1:]


class Ratio:
    """Predictors 5 and 6."""
    def __init__(self, base):
        self.base, self.a, self.b = base, 0, 0

    def guess(self, i):
        x = self.base(i)
        return min(-(-x * self.a // self.b), 2 ** 32 - 1) if self.b else x

    def learn(self, i, value, r):
        if max(self.a, self.b) >= 2 ** 31 or r > 2 * (value // 64) + 4:
            self.a = self.b = 0
        if value and self.base(i):
            self.a += value
            self.b += self.base(i)


def from_columns(b, c):
    """The body that is arranged in b by c columns."""
    n, n_prefix, _, n_low = struct.unpack_from('<IHHH', b)
    at = 10 + n_prefix + n_low
    ends = [ends_of(b[at + 4 * n * k:at + 4 * n * (k + 1)], n) for k in (0, 1)]
    out = b[:at] + struct.pack('<%dI' % (2 * n), *ends[0], *ends[1])
    at += 8 * n
    n_keys, wide = ends[0][-1], ends[0][0]
    keys = b[at:at + n_keys]
    if wide <= 8 and all(e == wide * (i + 1) for i, e in enumerate(ends[0])):
        total, keys_out = 0, []
        for d in unplane(keys, n) if wide else []:
            total = (total + d) % 256 ** wide
            keys_out.append(total.to_bytes(wide, 'big'))
        keys = b''.join(keys_out)
    at += n_keys
    how, at = b[at:at + c], at + c
    planes = [b[at + 4 * n * k:at + 4 * n * (k + 1)] for k in range(c)]
    at += 4 * n * c
    rows = [[0] * c for _ in range(n)]
    ratios = [Ratio(lambda i, k=k: rows[i][k - (1 if how[k] == 5 else 2)]) for k in range(c)]
    residues = [unplane(p, n) for p in planes]
    for i, row in enumerate(rows):
        up = rows[i - 1] if i else [0] * (c + 1)
        for k in range(c):
            need(how[k] <= 6 and (how[k] != 4 or (c <= 8 and k + 1 < c)), 'node: predictor')
            g = (0, up[k], row[k - 1], row[k - 2], up[k] + up[k + 1] if how[k] == 4 else 0, 0, 0)[how[k]] \
                if how[k] < 5 else ratios[k].guess(i)
            row[k] = (g + residue(residues[k][i])) % 2 ** 32
            if how[k] >= 5:
                ratios[k].learn(i, row[k], residues[k][i])
    vals, last = [], 0
    for row, end in zip(rows, ends[1]):
        end &= 0xfffffff
        rest = end - last - 4 * c
        vals.append(struct.pack('<%dI' % c, *row) + b[at:at + rest])
        at, last = at + rest, end
    return out + keys + b''.join(vals)


class Ptr:
    def __init__(self, raw):
        self.addr, = struct.unpack_from('<Q', raw)
        self.birth = int.from_bytes(raw[8:14], 'little')
        self.kind, self.level, self.flags = raw[14] & 15, raw[14] >> 4, raw[15]
        self.lsize, self.psize, self.codec, _, self.csum, suite = struct.unpack_from('<IIBBBB', raw, 16)
        self.hash = raw[32:64]
        need(suite == 0 and not self.flags & ~31, 'a pointer of a newer version')
        need(self.addr or not any(raw), 'a null pointer with content')


class Uber:
    def __init__(self, raw):
        need(raw[:8] == b'LCPFSUBR' and blake3(raw[:4064]) == raw[4064:], 'no uberblock')
        need(struct.unpack_from('<H', raw, 8)[0] == 1, 'a newer format')
        self.uuid = raw[16:32]
        self.txg, = struct.unpack_from('<Q', raw, 32)
        self.cfg_len, self.cfg_slot = struct.unpack_from('<IB', raw, 80)
        self.cfg_hash = raw[88:120]
        self.pool, self.space = Ptr(raw[120:216]), Ptr(raw[216:312])
        self.total, self.free = struct.unpack_from('<QQ', raw, 344)
        self.floor, = struct.unpack_from('<Q', raw, 368)


class Image:
    def __init__(self, path, verify):
        self.f, self.verify, self.cache, self.nodes = open(path, 'rb'), True, {}, {}
        h = self.header(4096) or self.search(os.fstat(self.f.fileno()).st_size)
        need(h, 'no label')
        self.shift, _, self.slots = struct.unpack_from('<BBI', h, 50)
        self.cfg_bytes, = struct.unpack_from('<Q', h, 72)
        self.slot_bytes = max(4096, 1 << self.shift)
        self.ubers = []
        for i in range(self.slots):
            try:
                u = Uber(self.at(UNIT + i * self.slot_bytes, 4096))
            except Bad:
                continue
            if u.uuid == h[16:32] and u.txg % self.slots == i:
                self.ubers.append(u)
        self.choose(sorted(self.ubers, key=lambda u: -u.txg))
        self.verify = verify

    def at(self, off, n):
        self.f.seek(off)
        data = self.f.read(n)
        need(len(data) == n, 'the image ends early')
        return data

    def header(self, off):
        raw = self.at(off, 4096)
        return raw if raw[:8] == b'LCPFSDEV' and blake3(raw[:4064]) == raw[4064:] else None

    def search(self, size):
        for end in range(size // UNIT * UNIT, 0, -UNIT):
            h = self.header(end - 4096)
            if h and struct.unpack_from('<Q', h, 136)[0] == end:
                return h
        return None

    def choose(self, ubers):
        why = 'no uberblock'
        for u in ubers:
            if u.txg < ubers[0].floor:
                break
            try:
                self.config(u)
                if u.pool.addr:
                    self.node(u.pool)
                self.uber = u
                return
            except Bad as e:
                why = str(e)
        raise Bad(why)

    def config(self, u):
        off = UNIT + self.slots * self.slot_bytes + u.cfg_slot * self.cfg_bytes
        stored = self.at(off, u.cfg_len)
        need(blake3(stored) == u.cfg_hash, 'config: wrong hash')
        plain = decode(stored[4], stored[8:], struct.unpack_from('<I', stored)[0])
        self.chunks, at = {}, 0
        while at < len(plain):
            kind, flags, n = struct.unpack_from('<HHI', plain, at)
            p = plain[at + 8:at + 8 + n]
            at += 8 + n
            if kind == 3:
                need(p in (b'columns', b'copies', b'reflink'), 'feature %s is not known' % p.decode())
            elif kind == 18:
                number, _, profile, width, _, ashift = struct.unpack_from('<IHBBBB', p)
                need(profile == 1 and width in (1, 2), 'a chunk of several columns')
                first = [int.from_bytes(p[34 + 8 * i:40 + 8 * i], 'little') * UNIT for i in range(width)]
                self.chunks[number] = (first, struct.unpack_from('<I', p, 12)[0] * UNIT, ashift)
            elif kind not in (1, 2, 4, 5, 6, 16, 17, 19):
                need(not flags & 1, 'config: record %d is of a newer version' % kind)

    def stored(self, p):
        need(p.addr >> 32 in self.chunks, 'a block in no chunk')
        starts, length, _ = self.chunks[p.addr >> 32]
        off = (p.addr & MASK) * SECTOR
        need(off + p.psize <= length, 'a block outside its chunk')
        for start in starts:
            data = self.at(start + off, p.psize)
            if not self.verify and p.csum != 2 and len(starts) == 1:
                return data
            h = blake3(data) if p.csum == 1 else hashlib.sha256(data).digest()
            if h == p.hash:
                return data
        raise Bad('a block with a wrong checksum')

    def block(self, p):
        need(p.kind == 2, 'not a data block')
        if p.addr not in self.cache:
            if len(self.cache) > 32:
                self.cache.clear()
            self.cache[p.addr] = decode(p.codec, self.stored(p), p.lsize)
        return self.cache[p.addr]

    def node(self, p):
        """(items, pointers): items are (key, value, its pointers)"""
        if (p.addr, p.birth) not in self.nodes:
            if len(self.nodes) > 256:
                self.nodes.clear()
            self.nodes[p.addr, p.birth] = self.parse(p)
        return self.nodes[p.addr, p.birth]

    def parse(self, p):
        raw = self.stored(p)
        magic, version, level, _, codec, nptr, n_stored, n_plain = struct.unpack_from('<4sBBBBIII', raw)
        need(magic == b'LNOD' and version == 1 and level == p.level and p.kind == 1, 'not the node that was meant')
        head = 64 + 96 * nptr
        need(head + n_stored == p.psize and n_plain == p.lsize, 'node: lengths')
        body = decode(codec, raw[head:], n_plain + raw[48])
        if raw[48]:
            body = from_columns(body, raw[48])
        ptrs = [Ptr(raw[64 + 96 * i:160 + 96 * i]) for i in range(nptr)]
        n, n_prefix, _, n_low = struct.unpack_from('<IHHH', body)
        prefix = body[10 + n_low:10 + n_low + n_prefix]
        at = 10 + n_low + n_prefix
        ends = struct.unpack_from('<%dI' % n, body, at)
        at += 4 * n
        vals = struct.unpack_from('<%dI' % n, body, at) if level == 0 else ()
        at += 4 * len(vals)
        keys_at, vals_at = at, at + (ends[-1] if n else 0)
        items, k, v, used = [], 0, 0, 0
        for i in range(n):
            key = prefix + body[keys_at + k:keys_at + ends[i]]
            k = ends[i]
            if level:
                items.append((key, None, ptrs[i:i + 1]))
                continue
            end, own = vals[i] & 0xfffffff, vals[i] >> 28
            items.append((key, body[vals_at + v:vals_at + end], ptrs[used:used + own]))
            v, used = end, used + own
        need(level or (vals_at + v == len(body) and used == nptr), 'node: body')
        return items, ptrs

    def items(self, root, prefix=b''):
        """All items whose key begins with prefix, in order."""
        if not root.addr:
            return
        items, _ = self.node(root)
        keys = [i[0] for i in items]
        if root.level:
            first = max(0, bisect.bisect_right(keys, prefix) - 1)
            for key, _, (child,) in items[first:]:
                if key > prefix and not key.startswith(prefix):
                    return
                yield from self.items(child, prefix)
        else:
            for item in items[bisect.bisect_left(keys, prefix):]:
                if not item[0].startswith(prefix):
                    return
                yield item

    def get(self, root, key):
        for item in self.items(root, key):
            return item if item[0] == key else None
        return None

    def reach(self, root, with_data):
        """Every pointer of a tree."""
        if root.addr:
            yield root
            items, ptrs = self.node(root)
            for p in ptrs:
                if root.level:
                    yield from self.reach(p, with_data)
                elif with_data:
                    yield p


# ---- datasets ----

def key(kind, number, rest=b''):
    return struct.pack('>BQ', kind, number) + rest


class Dataset:
    def __init__(self, image, name):
        self.image, number = image, 1
        head, _, snap = name.partition('@')
        for level in head.split('/') if head else []:
            number = self.below(number, level)
        if snap:
            number = self.below(number, '@' + snap)
        record = image.get(image.uber.pool, key(1, number))
        need(record, 'no record of dataset %d' % number)
        self.root = record[2][0] if record[2] else Ptr(bytes(96))

    def below(self, parent, name):
        item = self.image.get(self.image.uber.pool, key(2, parent, name.encode()))
        need(item, 'no dataset %s' % name)
        return struct.unpack('<Q', item[1])[0]

    def inode(self, ino):
        item = self.image.get(self.root, key(0x20, ino))
        need(item, 'no inode %d' % ino)
        return item[1]

    def names(self, ino):
        for k, v, _ in self.image.items(self.root, key(0x30, ino)):
            yield os.fsdecode(k[9:]), struct.unpack_from('<Q', v)[0]

    def walk(self, ino=1, path=''):
        for name, child in self.names(ino):
            raw = self.inode(child)
            mode, size = struct.unpack_from('<I', raw)[0], struct.unpack_from('<Q', raw, 16)[0]
            kind = {1: 'p', 2: 'c', 4: 'd', 6: 'b', 8: 'f', 10: 'l', 12: 's'}[mode >> 12]
            yield kind, size, path + '/' + name
            if kind == 'd':
                yield from self.walk(child, path + '/' + name)

    def find(self, path):
        ino = 1
        for name in path.split('/'):
            if name:
                item = self.image.get(self.root, key(0x30, ino, os.fsencode(name)))
                need(item, '%s: no such file' % path)
                ino, = struct.unpack_from('<Q', item[1])
        return ino

    def content(self, number, size, sliced):
        if sliced:
            pack, off, n, _ = struct.unpack('<QIII', self.image.get(self.root, key(0x10, number))[1])
            need(n == size, 'a slice of another length')
            item = self.image.get(self.root, key(0x12, pack))
            plain = self.image.block(item[2][0])
            self.check_pack(plain, number, off, n)
            return plain[off:off + n]
        out = bytearray(size)
        for k, v, ptrs in self.image.items(self.root, key(0x11, number)):
            off, n = struct.unpack('>Q', k[9:])[0], struct.unpack('<I', v)[0]
            plain = self.image.block(ptrs[0])
            need(len(plain) == n, 'an extent of another length')
            if off < size:
                out[off:off + n] = plain[:size - off]
        return bytes(out)

    def check_pack(self, plain, number, off, n):
        magic, count = struct.unpack_from('<4sI', plain)
        at, table = 8 + 12 * count, plain[8:8 + 12 * count]
        need(magic in (b'LPAK', b'LPAC'), 'not a pack')
        if magic == b'LPAC':
            numbers = [d % 2 ** 64 for d in itertools.accumulate(unplane(table[:8 * count], count))]
            entries = zip(numbers, unplane(table[8 * count:], count))
        else:
            entries = struct.iter_unpack('<QI', table)
        for one, length in entries:
            if one == number:
                need((at, length) == (off, n), 'pack and slice disagree')
            at += length
        need(at == len(plain), 'a pack of another length')

    def cat(self, path):
        raw = self.inode(self.find(path))
        size, number = struct.unpack_from('<Q', raw, 16)[0], struct.unpack_from('<Q', raw, 40)[0]
        flags, = struct.unpack_from('<I', raw, 104)
        need(struct.unpack_from('<I', raw)[0] >> 12 == 8, '%s: not a file' % path)
        return self.content(number, size, bool(flags & 4)) if size else b''

    def xattrs(self, path):
        prefix = {1: b'user.', 2: b'trusted.', 3: b'security.', 4: b'system.', 15: b''}
        for k, v, _ in self.image.items(self.root, key(0x22, self.find(path))):
            value = v[1:]
            if v[0]:
                number, size = struct.unpack('<QQ', value)
                value = self.content(number, size, self.image.get(self.root, key(0x10, number)) is not None)
            yield os.fsdecode(prefix[k[9]] + k[10:]), value


# ---- space ----

def page_used(v):
    free, how = struct.unpack_from('<IB', v)
    if how == 2:
        at, total, used, run, shift, on = 5, 0, 0, 0, 0, False
        while at < len(v):
            run |= (v[at] & 127) << shift
            shift += 7
            if v[at] < 128:
                used, total, run, shift, on = used + (run if on else 0), total + run, 0, 0, not on
            at += 1
        need(total == 32768, 'a page of another length')
    else:
        used = {0: 0, 1: 32768, 3: sum(bin(b).count('1') for b in v[5:])}[how]
    need(used + free == 32768, 'a page that counts wrong')
    return used


def space(image):
    by_map = 0
    for k, v, _ in image.items(image.uber.space, b'\x40'):
        by_map += page_used(v) << image.chunks[struct.unpack('>I', k[1:5])[0]][2] - 9
    seen = {}
    for p in image.reach(image.uber.pool, False):
        seen[p.addr] = p
    for _, v, ptrs in image.items(image.uber.pool, b'\x01'):
        for p in ptrs:
            for q in image.reach(p, True):
                seen[q.addr] = q
    by_tree = 0
    for p in seen.values():
        unit = 1 << image.chunks[p.addr >> 32][2]
        by_tree += (p.psize + unit - 1) // unit * unit // SECTOR
    return by_map, by_tree, image.uber.total - image.uber.free


# ---- streams ----

TYPES = {1: 'PACKAGE', 2: 'BEGIN', 5: 'ITEMS', 6: 'EXTENT', 7: 'PACK', 12: 'CKPT', 13: 'END'}


def position(p):
    return struct.unpack_from('<Q', p)[0], p[8:40], struct.unpack_from('<QQQ', p, 40)


def begin(p):
    names, at = [], 88
    for _ in range(4):
        n, = struct.unpack_from('<H', p, at)
        names.append(os.fsdecode(p[at + 2:at + 2 + n]))
        at += 2 + n
    features, props = struct.unpack_from('<II', p, at)
    need(struct.unpack_from('<H', p)[0] == 1 and features == 0, 'a stream of a newer version')
    flags, = struct.unpack_from('<I', p, 8)
    need(not flags & 4, 'a stream that goes on from another')
    return '%s@%s%s' % (names[0], names[3], ' from @' + names[2] if flags & 1 else '')


def frames(f):
    running, counts, seq = bytes(32), [0, 0, 0], 0
    while True:
        head = f.read(40)
        if not head:
            return
        magic, kind, flags, number, n = struct.unpack_from('<4sHHQQ', head)
        need(magic == b'LSTR' and number == seq and n <= 20 << 20, 'not the next frame')
        p = f.read(n + -n % 8)
        need(len(p) == n + -n % 8 and not any(p[n:]), 'a frame is cut short')
        p = p[:n]
        need(blake3(head[:24] + p)[:16] == head[24:], 'frame %d: wrong hash' % number)
        more = ''
        if kind == 2:
            counts, more = [0, 0, 0], begin(p)
        elif kind == 5:
            count, plain, codec = struct.unpack_from('<IIB', p)
            more = items_of(decode(codec, p[16:], plain), count)
            counts[0] += count
        elif kind in (6, 7):
            lsize, psize, codec, csum = struct.unpack_from('<IIBB', p, 24 * (kind == 6))
            stored = p[48 + 24 * (kind == 6):]
            h = blake3(stored) if csum == 1 else hashlib.sha256(stored).digest()
            need(len(stored) == psize and h == p[16 + 24 * (kind == 6):][:32], 'a block with a wrong checksum')
            decode(codec, stored, lsize)
            counts[1], counts[2] = counts[1] + 1, counts[2] + psize
            more = '%d of %d bytes' % (lsize, psize)
        elif kind in (12, 13):
            at = position(p[4 * (kind == 13):])
            need(at == (seq, running, tuple(counts)), 'frames are missing')
        else:
            need(kind in TYPES or not flags & 1, 'frame type %d is of a newer version' % kind)
        yield seq, TYPES.get(kind, '?'), n, more
        running, seq = blake3(running + head[24:40]), seq + 1


def items_of(batch, count):
    at, kinds = 0, {}
    for _ in range(count):
        op, nk, nv = struct.unpack_from('<BHH', batch, at)
        kinds[(op, batch[at + 5])] = kinds.get((op, batch[at + 5]), 0) + 1
        at += 5 + nk + nv
    need(at == len(batch), 'items of another length')
    return ' '.join('%s%02x:%d' % ('?+-'[op], kind, n) for (op, kind), n in sorted(kinds.items()))


def main(argv):
    verify = '--verify' in argv
    argv = [a for a in argv if a != '--verify']
    job, path = (argv.pop(0), None) if argv and argv[0] in ('-c', '-x', '-s', '-t') else (None, None)
    if job in ('-c', '-x') and argv:
        path = argv.pop(0)
    if not 1 <= len(argv) <= 2:
        sys.exit(__doc__)
    if job == '-t':
        with open(argv[0], 'rb') as f:
            for frame in frames(f):
                print(*frame)
        return
    image = Image(argv[0], verify)
    if job == '-s':
        print(*space(image))
        return
    ds = Dataset(image, argv[1] if len(argv) > 1 else '')
    if job == '-c':
        sys.stdout.buffer.write(ds.cat(path))
    elif job == '-x':
        for name, value in ds.xattrs(path):
            print('%s=%s' % (name, value.hex()))
    else:
        for kind, size, name in ds.walk():
            sys.stdout.buffer.write(b'%s %d %s\n' % (kind.encode(), size, os.fsencode(name)))


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (Bad, OSError, struct.error, KeyError, IndexError, TypeError, subprocess.CalledProcessError) as e:
        sys.exit('read-image.py: %s' % e)
