/* SPDX-License-Identifier: Apache-2.0 */
/* history: what the state of older roots and snapshots was, and bringing it back. */
#ifndef HISTORY_H
#define HISTORY_H
#include "lcpfs/history.h"
#include "zpl/handle.h"
#endif
