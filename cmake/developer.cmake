# SPDX-License-Identifier: BSL-1.0
# What krait's own code is built with. Nothing of it reaches a user's build.

set(KRAIT_TOP_LEVEL OFF)
if(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
  set(KRAIT_TOP_LEVEL ON)
endif()

add_library(krait_developer INTERFACE)
if(KRAIT_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  option(KRAIT_WERROR "Treat warnings as errors" OFF)
  # To compile faster: std::move() and the like are no calls without optimisation either, and garbage is collected late.
  target_compile_options(krait_developer INTERFACE
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:--param=ggc-min-heapsize=524288>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,12>>:-ffold-simple-inlines>)
  # -fstack-clash-protection: a frame larger than the guard must not step over it.
  target_compile_options(krait_developer INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-fstack-clash-protection>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${KRAIT_WERROR}>>:-Werror>
    # GCC's optimiser sees things in std::optional and std::string that are not there: with which flags, and where, it wanders.
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-error=maybe-uninitialized;-Wno-error=array-bounds;-Wno-error=stringop-overflow>
    # doctest counts its tests by __COUNTER__, which Clang 22 takes for an extension.
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,22>>:-Wno-c2y-extensions>
    # Boost.Asio has fences, of which GCC says that ThreadSanitizer does not know them.
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-tsan>
    # GCC 12 sees overlapping copies in std::string's operator+ (its bug 105651).
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
endif()

# krait_backend_library(VARIABLE BACKEND): the library that users of this backend link.
function(krait_backend_library variable backend)
  set(${variable} krait::krait PARENT_SCOPE)
  if(backend STREQUAL native)
    set(${variable} krait::native PARENT_SCOPE)
  endif()
endfunction()

# krait_program(NAME SOURCE...): one program per backend, NAME_fcontext and NAME_native.
function(krait_program name)
  foreach(backend IN LISTS KRAIT_BACKENDS)
    krait_backend_library(library ${backend})
    add_executable(${name}_${backend} ${ARGN})
    target_link_libraries(${name}_${backend} PRIVATE ${library} krait_developer)
  endforeach()
endfunction()
