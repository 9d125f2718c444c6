// SPDX-License-Identifier: BSL-1.0
#pragma once

// All of krait.

#if __cplusplus < 202002L
#error "krait needs C++20: compile with -std=c++20"
#endif

#include "krait/async_contextlib.hpp"
#include "krait/async_generator.hpp"
#include "krait/async_iteration.hpp"
#include "krait/asyncgen_hooks.hpp"
#include "krait/awaitable.hpp"
#include "krait/contextlib.hpp"
#include "krait/coroutine.hpp"
#include "krait/exceptions.hpp"
#include "krait/generator.hpp"
#include "krait/hooks.hpp"
#include "krait/inspect.hpp"
#include "krait/iter.hpp"
#include "krait/none.hpp"
#include "krait/stack.hpp"
#include "krait/step.hpp"
#include "krait/this_thread.hpp"
#include "krait/yielder.hpp"
