// SPDX-License-Identifier: BSD-3-Clause
//
// The part of UserPtr.h that is not worth inlining.
#include "kernel/lib/UserPtr.h"
#include <algorithm>

namespace osv {

Result<size_t> copyStringFromUser(std::span<char> out, VAddr src) {
  // Up to the end of the range that the string may lie in: it can end just below an excluded address.
  uint64_t limit = out.size();
  if (src >= arch::kUserMax)
    return Errno::Fault;
  limit = std::min(limit, arch::kUserMax - src);
  if (src < arch::kernelImageStart())
    limit = std::min(limit, arch::kernelImageStart() - src);
  else if (src < arch::kernelImageEnd())
    return Errno::Fault;
  long n = arch::osv_user_strnlen(reinterpret_cast<const char *>(src.value), limit);
  if (n < 0)
    return Errno::Fault;
  if (static_cast<uint64_t>(n) == limit)
    return limit == out.size() ? Errno::NameTooLong : Errno::Fault;
  TRY(copyFromUser(out.data(), src, static_cast<size_t>(n)));
  out[static_cast<size_t>(n)] = '\0'; // the program may change it meanwhile: never trust its NUL
  return static_cast<size_t>(n);
}

} // namespace osv
