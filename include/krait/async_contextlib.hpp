// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asynchronous context managers: those whose entering and leaving may have to wait. Python: `async
// with`, and the asynchronous half of contextlib.
//
// A stackful coroutine may await from any depth of calls, also from within `with`. So an asynchronous
// manager, together with the awaiter of the coroutine that is to wait, is a manager like any other
// (`awaited`), and whatever is made for those does: `with`, `entered`, and exit_stack, which so is
// AsyncExitStack as well:
//
//     krait::exit_stack stack;
//     auto& db = stack.enter_context(krait::awaited(co, connect("proto://db.somedomain.net")));

#include "krait/contextlib.hpp"
#include "krait/contextlib/aclosing.hpp"
#include "krait/contextlib/async_context_decorator.hpp"
#include "krait/contextlib/async_with.hpp"
#include "krait/contextlib/asynccontextmanager.hpp"
