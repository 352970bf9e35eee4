// SPDX-License-Identifier: BSD-3-Clause
//
// Regular files, directories and symbolic links with their permissions and modification times; owner and group become
// root, since the program runs as root. Symbolic links are stored, never followed. Entries are sorted by name, and
// inode numbers are counted from 1, so the same tree gives the same bytes.
//
// The format (cpio(5), "new ASCII"): a header of "070701" and 13 numbers of 8 hex digits, the name with its NUL,
// padding to 4, the contents, padding to 4; the entry "TRAILER!!!" ends it.
#include "rewriter/link/RootFs.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;

namespace osv::link {

namespace {

class Packer {
public:
  explicit Packer(Context &ctx) : ctx(ctx) {}

  Error pack(const std::string &root) {
    struct stat st;
    if (::stat(root.c_str(), &st) != 0)
      return failed(root, errno);
    if (!S_ISDIR(st.st_mode))
      return findingError(DiagId::RootFs, "--root '" + root + "' is not a directory");
    add(".", st, {});
    if (Error error = packDirectory(root, ""))
      return error;
    add("TRAILER!!!", {}, {});
    return Error::success();
  }

private:
  static Error failed(const Twine &path, int error) {
    return findingError(DiagId::RootFs,
                        "cannot pack '" + path + "': " + std::error_code(error, std::generic_category()).message());
  }

  Error packDirectory(const std::string &path, const std::string &prefix) {
    std::vector<std::string> names;
    std::error_code ec;
    for (sys::fs::directory_iterator it(path, ec, /*follow_symlinks=*/false), end; !ec && it != end; it.increment(ec))
      names.push_back(sys::path::filename(it->path()).str());
    if (ec)
      return failed(path, ec.value());
    llvm::sort(names);
    for (const std::string &name : names)
      if (Error error = packEntry(path + "/" + name, prefix + name))
        return error;
    return Error::success();
  }

  Error packEntry(const std::string &path, const std::string &name) {
    struct stat st;
    if (::lstat(path.c_str(), &st) != 0)
      return failed(path, errno);
    if (S_ISDIR(st.st_mode)) {
      add(name, st, {});
      return packDirectory(path, name + "/");
    }
    if (S_ISLNK(st.st_mode)) {
      std::string target(size_t(st.st_size) + 1, '\0');
      ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
      if (length < 0)
        return failed(path, errno);
      target.resize(length);
      add(name, st, arrayRefFromStringRef(target));
      return Error::success();
    }
    if (!S_ISREG(st.st_mode)) {
      ctx.diag.report(
          Finding(DiagId::RootFsSkipped, "'" + path + "' is no file, directory or symbolic link; not packed"));
      return Error::success();
    }
    auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!buffer)
      return failed(path, buffer.getError().value());
    if ((*buffer)->getBufferSize() > UINT32_MAX)
      return findingError(DiagId::RootFs, "cannot pack '" + path + "': larger than 4 GiB");
    add(name, st, arrayRefFromStringRef((*buffer)->getBuffer()));
    return Error::success();
  }

  void add(StringRef name, const struct stat &st, ArrayRef<uint8_t> contents) {
    bool isDir = S_ISDIR(st.st_mode);
    bool isTrailer = st.st_mode == 0;
    const uint32_t fields[13] = {isTrailer ? 0 : ++inode,
                                 uint32_t(st.st_mode),
                                 0, // uid
                                 0, // gid
                                 isDir ? 2u : 1u,
                                 uint32_t(st.st_mtime),
                                 uint32_t(contents.size()),
                                 0, // device of the file system, major and minor
                                 0,
                                 0, // device number
                                 0,
                                 uint32_t(name.size() + 1),
                                 0}; // checksum: not in this variant
    std::string header = "070701";
    raw_string_ostream os(header);
    for (uint32_t field : fields)
      os << format_hex_no_prefix(field, 8, /*Upper=*/true);
    os << name << '\0';
    put(arrayRefFromStringRef(header));
    put(contents);
  }

  void put(ArrayRef<uint8_t> bytes) {
    append_range(ctx.rootfs, bytes);
    ctx.rootfs.resize(alignTo(ctx.rootfs.size(), 4));
  }

  Context &ctx;
  uint32_t inode = 0;
};

} // namespace

Error packRootFs(Context &ctx) {
  if (ctx.opts.root.empty())
    return Error::success();
  return Packer(ctx).pack(ctx.opts.root);
}

} // namespace osv::link
