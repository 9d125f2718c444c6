// SPDX-License-Identifier: BSL-1.0
#pragma once

// Context managers, and the statement that uses them. Python: `with`, and its module contextlib.

#include "krait/contextlib/context_decorator.hpp"
#include "krait/contextlib/context_manager.hpp"
#include "krait/contextlib/contextmanager.hpp"
#include "krait/contextlib/exit_stack.hpp"
#include "krait/contextlib/managers.hpp"
#include "krait/contextlib/with.hpp"
