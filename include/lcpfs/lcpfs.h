/* SPDX-License-Identifier: Apache-2.0 */
/* lcpfs: everything of the library. */
#ifndef LCPFS_H
#define LCPFS_H
#include "lcpfs/balance.h"
#include "lcpfs/blockdev.h"
#include "lcpfs/check.h"
#include "lcpfs/dataset.h"
#include "lcpfs/error.h"
#include "lcpfs/file.h"
#include "lcpfs/hash.h"
#include "lcpfs/history.h"
#include "lcpfs/hooks.h"
#include "lcpfs/pool.h"
#include "lcpfs/salvage.h"
#include "lcpfs/stream.h"
#include "lcpfs/tree.h"
#endif
