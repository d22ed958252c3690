/* SPDX-License-Identifier: Apache-2.0 */
/* Valid objects for the fuzz targets to begin with, cut out of a small image and a stream of it.  Usage: seeds CORPUS_FOLDER */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/buf.h"
#include "codec/codec.h"
#include "format/frame.h"
#include "format/label.h"
#include "format/node.h"
#include "sample.h"
#include "zio/zio.h"

static const char *corpus;
static unsigned count;
static struct codec_ctx *codec;

/* A folder that is not there belongs to a target that is not built. */
static void save(const char *target, const void *head, size_t head_len, const void *data, size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", corpus, target);
	if (access(path, W_OK))
		return;
	snprintf(path, sizeof path, "%s/%s/seed-%04u", corpus, target, count++);
	f = fopen(path, "wb");
	if (!f || fwrite(head, 1, head_len, f) != head_len || fwrite(data, 1, len, f) != len || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static void save_config(const struct memory *m, const struct uberblock *u)
{
	const uint8_t *blob = m->p + 64 * 1024 + 16 * 4096 + u->cfg_slot * 65536;
	size_t n = le_load(blob, 4);
	uint8_t *plain = malloc(n + 1);

	if (blob[4])
		must(codec_decompress(codec, blob[4], blob + 8, u->cfg_len - 8, plain, n, NULL));
	else
		memcpy(plain, blob + 8, n);
	save("config", NULL, 0, plain, n);
	free(plain);
}

static void save_items(const struct node_body *b)
{
	struct node_item it;
	uint8_t klen;

	for (uint32_t i = 0; i < b->nitems; i++) {
		struct buf one = { 0 };

		node_body_item(b, i, &it);
		if (it.klen > 255 || i % 5)
			continue;
		klen = (uint8_t)it.klen;
		buf_add(&one, it.key, it.klen);
		buf_add(&one, it.val, it.vlen);
		save("item", &klen, 1, one.data, one.len);
		buf_fini(&one);
	}
}

static void save_node(const uint8_t *p, size_t room)
{
	size_t len = NODE_HDR + le_load(p + 8, 4) * PTR_LEN + le_load(p + 12, 4);
	struct node_hdr h;
	struct node_body b;
	uint8_t head[3], *body;

	if (len > room || node_hdr_decode(&h, p, len, NULL))
		return;
	head[0] = (h.level ? 0 : 1) | 2;
	le_store(head + 1, 2, h.nptr);
	save("node", head, sizeof head, p, len);
	body = malloc(h.body_len + 1);
	p += NODE_HDR + (size_t)h.nptr * PTR_LEN;
	must(zio_node_body(codec, &h, p, body, NULL));
	head[0] &= 1;
	save("node", head, sizeof head, body, h.body_len);
	if (!h.level && !node_body_decode(&b, body, h.body_len, true, h.nptr, NULL))
		save_items(&b);
	free(body);
}

static void save_image(const struct memory *m)
{
	struct uberblock u, newest = { 0 };
	struct label l;

	for (uint64_t off = 0; off + 4096 <= m->len; off += 512) {
		if (le_load(m->p + off, 4) == NODE_MAGIC)
			save_node(m->p + off, m->len - off);
		if (off % 4096)
			continue;
		if (!label_decode(&l, m->p + off, NULL))
			save("label", NULL, 0, m->p + off, 4096);
		if (uberblock_decode(&u, m->p + off, NULL))
			continue;
		save("uberblock", NULL, 0, m->p + off, 4096);
		if (u.txg > newest.txg)
			newest = u;
	}
	save_config(m, &newest);
}

static int collect(void *arg, const void *data, size_t len, struct lcpfs_error *err)
{
	(void)err;
	buf_add(arg, data, len);
	return 0;
}

static void save_stream(struct lcpfs_pool *p, const char *snap, const char *from, bool recursive)
{
	struct lcpfs_send_opts o = { .base = from, .recursive = recursive, .ckpt_bytes = 65536 };
	struct buf out = { 0 };
	uint8_t head[2];
	uint64_t bytes;

	must(lcpfs_send(p, snap, &o, collect, &out, &bytes, NULL));
	for (head[0] = 0; head[0] < 8; head[0] += head[0] ? 2 : 3)
		save("stream", head, 1, out.data, out.len);
	for (size_t at = 0; at + FRAME_HDR <= out.len;) {
		struct frame_hdr h;

		must(frame_hdr_decode(&h, out.data + at, NULL));
		le_store(head, 2, h.type);
		save("frame", head, 2, out.data + at + FRAME_HDR, h.len);
		at += frame_stored_len(h.len);
	}
	buf_fini(&out);
}

/* Of each kind one: what, n, then where, item, at and bytes (fuzz_image.c). */
static void save_edits(void)
{
	uint8_t e[33] = { 0 };

	save("image", NULL, 0, e, 1);
	for (uint8_t what = 0; what < 11; what++)
		for (uint8_t head = 0; head < 4; head++) {
			e[0] = head;
			e[1] = what;
			e[2] = 1;
			e[3] = e[5] = (uint8_t)(what * 7 + head);
			e[9] = 0xff;
			memcpy(e + 17, e + 1, 16);
			e[19] = 1;
			save("image", NULL, 0, e, sizeof e);
		}
}

static void save_texts(void)
{
	static const char *const scripts[] = {
		"mkdir -p /x/y\nwrite /x/f 'some text'\nmv /x/f /x/y/g\nrm -r /x\n", "ln -s target /l\nchmod u+rwX,go= /a\nchown 0:0 /a\n",
		"touch -d '2 days ago' /t\ntruncate -s +4K /t\nxattr set /t user.a 0x0102\nxattr rm /t user.a\n",
		"snap create @s\nsnap destroy @s\ndataset create -p d/e\ndataset rename d x\ndataset destroy -r x\n", "clone @one c\nprop set '' user:x y\n",
		"{\"verb\": \"mkdir\", \"path\": \"/j\\u00e4\", \"parents\": true}\n{\"verb\":\"write\",\"path\":\"/j/f\",\"text\":\"aGk=\",\"base64\":true}\n",
		"write /a/f x\ncp -r /a /c\ncp --range 0:1:5 /a/f /c/f\ncp -l /a/f /a/g\n", "# a comment\n\n  mkdir $'\\x41\\n' \\\n -m 0700\n",
	};
	static const char *const words[] = { "pool.img:home@snap:/path/to", "1pool:", "0ram:x@y:/z", "0offset=1M+2M:img:/x", "\001" "1.5GiB",
		"\002" "2024-05-01T12:00:00.5+02:00", "\002" "1 hour 30 min ago", "\003u+rwX,g=u,Do-x", "\004+4K", "\005" "4K:1M:2G", "\006" "0sAQID", "\006" "0x0102",
		"\006\"a\\001b\"", "\007" "17" };

	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
		save("batch", NULL, 0, scripts[i], strlen(scripts[i]));
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		save("words", NULL, 0, words[i], strlen(words[i]));
}

/* Of one folder, so that they are small. */
static void save_archives(struct lcpfs_pool *p)
{
	static const char *const formats[] = { "pax", "ustar", "gnutar", "cpio", "zip" };
	struct lcpfs_dataset *ds;

	must(lcpfs_dataset_open(&ds, p, "", NULL));
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		static uint8_t data[1 << 17];
		int fd = memfd_create("seed", 0);
		uint8_t head = i < 3;
		ssize_t n;

		/* what the format cannot hold is left out */
		lcpfs_tree_archive(ds, "etc", fd, formats[i], NULL, NULL, NULL, NULL);
		n = pread(fd, data, sizeof data, 0);
		save("archive", &head, 1, data, n > 0 ? (size_t)n : 0);
		close(fd);
	}
	lcpfs_dataset_close(ds);
}

int main(int argc, char *argv[])
{
	struct memory m = { 0 };
	struct lcpfs_pool *p;

	if (argc != 2)
		return fprintf(stderr, "usage: seeds CORPUS_FOLDER\n"), 2;
	corpus = argv[1];
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	codec = codec_ctx_create();
	sample_pool(&m, NULL);
	save_image(&m);
	save_edits();
	save_texts();
	must(lcpfs_pool_open_dev(&p, memory_dev(&m, false), NULL, NULL));
	save_stream(p, "@one", NULL, false);
	save_stream(p, "@two", "@one", false);
	save_archives(p);
	must(lcpfs_pool_close(p, NULL));
	free(m.p);
	codec_ctx_destroy(codec);
	return 0;
}
