// SPDX-License-Identifier: BSL-1.0
#pragma once

// An event loop with asyncio's semantics, for plain functions. Link krait::asyncio beside a backend.

#include "krait/asyncio/as_completed.hpp"
#include "krait/asyncio/await.hpp"
#include "krait/asyncio/call_graph.hpp"
#include "krait/asyncio/context.hpp"
#include "krait/asyncio/errors.hpp"
#include "krait/asyncio/event_loop.hpp"
#include "krait/asyncio/exception_group.hpp"
#include "krait/asyncio/future.hpp"
#include "krait/asyncio/gather.hpp"
#include "krait/asyncio/locks.hpp"
#include "krait/asyncio/queues.hpp"
#include "krait/asyncio/run.hpp"
#include "krait/asyncio/task.hpp"
#include "krait/asyncio/task_group.hpp"
#include "krait/asyncio/threads.hpp"
#include "krait/asyncio/timeout.hpp"
