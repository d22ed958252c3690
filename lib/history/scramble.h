/* SPDX-License-Identifier: Apache-2.0 */
/* Names made unreadable: a secret one-to-one mapping of names of one length and form, so that what was different stays different. */
#ifndef HISTORY_SCRAMBLE_H
#define HISTORY_SCRAMBLE_H
#include <stddef.h>
#include <stdint.h>

struct scramble { uint64_t key[4]; };
/* The key is random and never leaves memory. */
void scramble_init(struct scramble *s, const uint8_t seed[32]);
/*
 * In place. Letters and digits become others, bytes from 0x80 up others of those; the rest, as '.' and '/', stays. `tweak`: names in one directory are mapped
 * by one of many mappings. Equal names with equal tweak become equal.
 */
void scramble_name(const struct scramble *s, uint64_t tweak, uint8_t *name, size_t len);
#endif
