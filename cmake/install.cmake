# SPDX-License-Identifier: BSL-1.0
include(CMakePackageConfigHelpers)

install(TARGETS ${KRAIT_LIBRARIES} EXPORT krait
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/krait DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/krait)
install(EXPORT krait NAMESPACE krait:: FILE krait-targets.cmake DESTINATION ${package_dir})
configure_package_config_file(cmake/krait-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/krait-config.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/krait-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/krait-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/krait-config-version.cmake
        DESTINATION ${package_dir})

# For gdb, which the library tells of this place (src/debugger/debugger.cpp). Below /usr, gdb trusts it.
install(FILES src/debugger/krait-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load)
install(DIRECTORY src/debugger/krait_gdb DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load FILES_MATCHING PATTERN "*.py")

# pkg-config: krait and krait-native; krait-asyncio beside one of them, before it.
function(install_pkg_config name what cflags libs)
  set(KRAIT_PC_NAME ${name})
  set(KRAIT_PC_WHAT "${what}")
  set(KRAIT_PC_CFLAGS "${cflags}")
  set(KRAIT_PC_LIBS "${libs}")
  configure_file(cmake/krait.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
if(TARGET krait)
  install_pkg_config(krait "stacks are switched by Boost.Context" "" "-lkrait -lboost_context")
endif()
if(KRAIT_NATIVE_SOURCE)
  install_pkg_config(krait-native "stacks are switched by its own assembly" "-DKRAIT_NATIVE" "-lkrait")
else()
  install_pkg_config(krait-native "stacks are switched by Boost.Context" "" "-lkrait -lboost_context")
endif()
if(KRAIT_HAS_ASYNCIO)
  install_pkg_config(krait-asyncio "the event loop, to be named before krait or krait-native" "" "-lkrait_asyncio -pthread")
endif()
