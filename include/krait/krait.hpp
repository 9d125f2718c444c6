// SPDX-License-Identifier: BSL-1.0
#pragma once

// All of krait.

#include "krait/contextlib.hpp"
#include "krait/exceptions.hpp"
#include "krait/generator.hpp"
#include "krait/stack.hpp"
#include "krait/step.hpp"
#include "krait/yielder.hpp"
