/* SPDX-License-Identifier: Apache-2.0 */
/* What a target gives the fuzzer, or driver.c, and what it gets from them. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);                                           /* may be missing */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);       /* may be missing */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
#endif
