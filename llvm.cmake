# SPDX-License-Identifier: BSD-3-Clause
# Finds LLVM/Clang/LLD 19, and sets the compile flags of everything that runs on the host (`osv_host_target`).
find_package(LLVM 19.1 REQUIRED CONFIG PATHS /usr/lib/llvm-19/lib/cmake/llvm)
find_package(LLD REQUIRED CONFIG PATHS /usr/lib/llvm-19/lib/cmake/lld)
find_package(zydis REQUIRED CONFIG)
list(APPEND CMAKE_MODULE_PATH ${LLVM_CMAKE_DIR})
set(LLVM_TABLEGEN_EXE ${LLVM_TOOLS_BINARY_DIR}/llvm-tblgen)
include(TableGen)
set(OSV_LIT /usr/lib/llvm-19/build/utils/lit/lit.py CACHE FILEPATH "the lit test driver")

# Flags for host code: warnings are errors, LLVM's no-RTTI ABI, LLVM's headers as system headers.
function(osv_host_target target)
  # After the standard library's directories: libc++abi-19-dev puts a <cxxabi.h> among LLVM's headers.
  target_compile_options(${target} PRIVATE "SHELL:-idirafter ${LLVM_INCLUDE_DIRS}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime)
  target_compile_definitions(${target} PRIVATE ${LLVM_DEFINITIONS})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -Wno-unused-parameter -fno-rtti -fno-exceptions)
  target_link_options(${target} PRIVATE -fuse-ld=lld-19)
endfunction()
