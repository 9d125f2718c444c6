# SPDX-License-Identifier: BSL-1.0
include(CMakePackageConfigHelpers)

install(TARGETS krait_archive krait krait_native EXPORT krait
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

# pkg-config: krait and krait-native.
set(KRAIT_PC_NAME krait)
set(KRAIT_PC_SWITCHING "Boost.Context")
set(KRAIT_PC_CFLAGS "")
set(KRAIT_PC_LIBS "-lboost_context")
configure_file(cmake/krait.pc.in krait.pc @ONLY)
set(KRAIT_PC_NAME krait-native)
if(KRAIT_NATIVE_SOURCE)
  set(KRAIT_PC_SWITCHING "its own assembly")
  set(KRAIT_PC_CFLAGS "-DKRAIT_NATIVE")
  set(KRAIT_PC_LIBS "")
endif()
configure_file(cmake/krait.pc.in krait-native.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/krait.pc ${CMAKE_CURRENT_BINARY_DIR}/krait-native.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
