// SPDX-License-Identifier: BSL-1.0
// Of the targets whose precompiled header the test programs share: a library needs a source.
