// SPDX-License-Identifier: BSD-3-Clause
//
// The archive and the tree: what is unpacked, how paths are walked, and the rules and errors of every change, as on
// Linux.
#include "HostKernel.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <gtest/gtest.h>
#include <map>

using namespace osv;
using namespace osv::test;

namespace {

/// Writes newc archives.
class Archive {
public:
  void add(std::string name, unsigned mode, std::string data = {}, unsigned inode = 0, unsigned links = 1) {
    char header[111];
    snprintf(header, sizeof header, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
             inode ? inode : ++next, mode, 0, 0, links, 1234, static_cast<unsigned>(data.size()), 0, 0, 0, 0,
             static_cast<unsigned>(name.size() + 1), 0);
    bytes += header + name + '\0';
    pad();
    bytes += data;
    pad();
  }
  std::string finish() {
    add("TRAILER!!!", 0);
    return bytes;
  }

private:
  void pad() { bytes.resize((bytes.size() + 3) / 4 * 4); }
  std::string bytes;
  unsigned next = 100;
};

std::string sample() {
  Archive a;
  a.add(".", 040755);
  a.add("dir", 040700);
  a.add("dir/file", 0100644, "contents");
  a.add("./dir/sub/deep", 0100600, "made its directories");
  a.add("link", 0120777, "dir/file");
  a.add("absolute", 0120777, "/dir");
  a.add("loop1", 0120777, "loop2");
  a.add("loop2", 0120777, "loop1");
  a.add("dangling", 0120777, "dir/new");
  a.add("hard1", 0100644, "", 7, 2);
  a.add("hard2", 0100644, "shared", 7, 2);
  a.add("fifo", 010600);
  return a.finish();
}

class Tree : public testing::Test {
protected:
  static void SetUpTestSuite() {
    bringUp();
    static std::string archive = sample();
    static osv::abi::ImageHeader image = {};
    image.rootfs = {reinterpret_cast<uint64_t>(archive.data()), archive.size()};
    ASSERT_TRUE(initVfs(image));
  }
  void SetUp() override {
    fs = createFsContext().take();
    fs->umask = 0;
    ASSERT_TRUE(makeDirectory(*fs, cwd(), "/tmp/t", 0777)) << "left over";
    place("/tmp/t");
    fs->setCwd(found.entry);
  }
  void TearDown() override {
    fs->setCwd(rootDentry());
    removeAll("/tmp/t");
    delete fs;
  }
  void removeAll(std::string path) {
    for (;;) {
      place(path.c_str());
      uint64_t cookie = 2;
      DirectoryEntry e;
      if (!found.entry->inode->nextEntry(&cookie, e))
        break;
      std::string child = path + "/" + std::string(e.name, e.nameLength);
      if (e.type == 4)
        removeAll(child);
      else
        ASSERT_TRUE(removeName(*fs, cwd(), child));
    }
    found = {};
    ASSERT_TRUE(removeDirectory(*fs, cwd(), path));
  }
  Ref<Dentry> cwd() { return fs->cwd(); }
  Errno place(const char *path, unsigned how = kFollow) {
    found = {};
    return code(walk(*fs, cwd(), path, how, found));
  }
  template <typename T> static Errno code(const Result<T> &r) { return r.ok() ? Errno{} : r.error(); }
  Errno open(const char *path, int flags, unsigned mode = 0666) {
    auto r = openPath(*fs, cwd(), path, flags, mode);
    if (r)
      file = r.take();
    return code(r);
  }
  std::string pathOfPlace() {
    char text[300];
    return {text, pathOf(*found.entry, text)};
  }
  std::string read(const char *path) { return open(path, O_RDONLY) == Errno{} ? readText(*file, 1000) : "?"; }
  Errno make(const char *path) { return open(path, O_CREAT | O_EXCL | O_WRONLY); }
  Errno mkdir(const char *path) { return code(makeDirectory(*fs, cwd(), path, 0777)); }
  Errno rename(const char *a, const char *b, unsigned flags = 0) {
    return code(renamePath(*fs, cwd(), a, cwd(), b, flags));
  }
  Errno unlink(const char *path) { return code(removeName(*fs, cwd(), path)); }
  Errno rmdir(const char *path) { return code(removeDirectory(*fs, cwd(), path)); }

  FsContext *fs = nullptr;
  Place found;
  Ref<File> file;
};
constexpr Errno kOk{};

TEST_F(Tree, UnpacksTheArchive) {
  EXPECT_EQ(read("/dir/file"), "contents");
  EXPECT_EQ(read("/dir/sub/deep"), "made its directories");
  EXPECT_EQ(read("/hard1"), "shared");
  struct stat s;
  ASSERT_TRUE(file->stat(s));
  EXPECT_EQ(s.st_nlink, 2u);
  EXPECT_EQ(s.st_mtime, 1234u);
  EXPECT_EQ(s.st_mode, 0100644u);
  uint64_t inode = s.st_ino;
  EXPECT_EQ(read("/hard2"), "shared");
  ASSERT_TRUE(file->stat(s));
  EXPECT_EQ(s.st_ino, inode);
  EXPECT_EQ(place("/fifo"), kOk);
  EXPECT_EQ(found.entry->inode->type(), 010000u);
  EXPECT_EQ(read("/etc/hosts").substr(0, 9), "127.0.0.1");
}

TEST_F(Tree, RefusesBrokenArchives) {
  std::string good = sample();
  auto root = [] {
    auto *dir = osv::make<Directory>(FsKind::Root, 0755u).take();
    return Dentry::create({}, {}, Ref<Inode>(Ref<Directory>::adopt(dir))).take();
  };
  for (size_t n = 1; n < good.size() - 4; n++) {
    Ref<Dentry> r = root();
    auto result = unpackCpio(*r, {reinterpret_cast<const uint8_t *>(good.data()), n});
    // The rest of a broken tree is dropped entry by entry: only whether it is refused counts here.
    if (n <= good.size() - 124)
      EXPECT_EQ(code(result), Errno::Inval) << n;
    r.leak();
  }
}

TEST_F(Tree, WalksPaths) {
  EXPECT_EQ(place("/dir/../dir/./file"), kOk);
  EXPECT_EQ(pathOfPlace(), "/dir/file");
  EXPECT_EQ(place("/../../dir"), kOk);
  EXPECT_EQ(pathOfPlace(), "/dir");
  EXPECT_EQ(place("/link"), kOk);
  EXPECT_EQ(pathOfPlace(), "/dir/file");
  EXPECT_EQ(place("/link", 0), kOk);
  EXPECT_EQ(pathOfPlace(), "/link");
  EXPECT_EQ(place("/absolute/file"), kOk);
  EXPECT_EQ(pathOfPlace(), "/dir/file");
  EXPECT_EQ(place("/absolute/", 0), kOk);
  EXPECT_EQ(pathOfPlace(), "/dir");
  EXPECT_EQ(place("//dir//file"), kOk);
  EXPECT_EQ(place("/"), kOk);
  EXPECT_EQ(pathOfPlace(), "/");
  EXPECT_EQ(place(""), Errno::NoEnt);
  EXPECT_EQ(place("/nothing"), Errno::NoEnt);
  EXPECT_EQ(place("/dir/file/"), Errno::NotDir);
  EXPECT_EQ(place("/dir/file/x"), Errno::NotDir);
  EXPECT_EQ(place("/link/"), Errno::NotDir);
  EXPECT_EQ(place("/loop1"), Errno::Loop);
  EXPECT_EQ(place("/loop1", 0), kOk);
  EXPECT_EQ(place("/dangling"), Errno::NoEnt);
  EXPECT_EQ(place(std::string(256, 'x').c_str()), Errno::NameTooLong);
  EXPECT_EQ(place("/link", kFollow | kNoSymlinks), Errno::Loop);
  found = {};
  EXPECT_EQ(code(walk(*fs, rootDentry(), "../dir", kBeneath, found)), Errno::XDev);
  EXPECT_EQ(code(walk(*fs, rootDentry(), "/dir", kBeneath, found)), Errno::XDev);
}

TEST_F(Tree, Opens) {
  EXPECT_EQ(open("new", O_RDONLY), Errno::NoEnt);
  EXPECT_EQ(open("new", O_CREAT | O_RDWR, 0640), kOk);
  EXPECT_EQ(file->flags, O_RDWR | O_LARGEFILE);
  EXPECT_EQ(file->inode()->mode, 0100640u);
  EXPECT_EQ(open("new", O_CREAT | O_EXCL | O_RDWR), Errno::Exist);
  EXPECT_EQ(open("new/", O_CREAT | O_RDWR), Errno::NotDir);
  EXPECT_EQ(open("none/", O_CREAT | O_RDWR), Errno::IsDir);
  EXPECT_EQ(open(".", O_RDWR), Errno::IsDir);
  EXPECT_EQ(open(".", O_RDONLY), kOk);
  EXPECT_EQ(open("new", O_RDONLY | O_DIRECTORY), Errno::NotDir);
  EXPECT_EQ(open("/link", O_RDONLY | O_NOFOLLOW), Errno::Loop);
  EXPECT_EQ(open("/link", O_PATH | O_NOFOLLOW), kOk);
  EXPECT_TRUE(file->isPath());
  EXPECT_EQ(open("/loop1", O_CREAT | O_EXCL | O_RDWR), Errno::Exist);
  ASSERT_TRUE(makeSymlink(*fs, cwd(), "to-created", "created"));
  EXPECT_EQ(open("to-created", O_CREAT | O_RDWR), kOk) << "a dangling link is created through";
  EXPECT_EQ(place("created", 0), kOk);
  EXPECT_TRUE(found.entry->inode->isRegular());
}

TEST_F(Tree, TruncatesAndAppends) {
  ASSERT_EQ(open("f", O_CREAT | O_RDWR), kOk);
  ASSERT_TRUE(writeText(*file, "hello"));
  Ref<File> append;
  ASSERT_EQ(open("f", O_WRONLY | O_APPEND), kOk);
  ASSERT_TRUE(writeText(*file, " world"));
  EXPECT_EQ(read("f"), "hello world");
  ASSERT_EQ(open("f", O_RDWR | O_TRUNC), kOk);
  EXPECT_EQ(readText(*file, 10), "");
}

TEST_F(Tree, KeepsOpenFilesAfterUnlink) {
  ASSERT_EQ(open("f", O_CREAT | O_RDWR), kOk);
  ASSERT_TRUE(writeText(*file, "still here"));
  ASSERT_EQ(unlink("f"), kOk);
  EXPECT_EQ(place("f"), Errno::NoEnt);
  char path[100];
  EXPECT_EQ(std::string(path, pathOf(*file->dentry, path)), "/tmp/t/f (deleted)");
  ASSERT_TRUE(file->seek(0, SEEK_SET));
  EXPECT_EQ(readText(*file, 100), "still here");
  EXPECT_EQ(file->inode()->links, 0u);
}

TEST_F(Tree, Removes) {
  ASSERT_EQ(mkdir("d"), kOk);
  ASSERT_EQ(make("d/f"), kOk);
  EXPECT_EQ(unlink("d"), Errno::IsDir);
  EXPECT_EQ(rmdir("d"), Errno::NotEmpty);
  EXPECT_EQ(rmdir("d/f"), Errno::NotDir);
  EXPECT_EQ(unlink("d/f/"), Errno::NotDir);
  EXPECT_EQ(unlink("d/."), Errno::IsDir);
  EXPECT_EQ(rmdir("d/."), Errno::Inval);
  EXPECT_EQ(rmdir("d/.."), Errno::NotEmpty);
  EXPECT_EQ(rmdir("/"), Errno::Busy);
  EXPECT_EQ(rmdir("/dev"), Errno::Busy);
  EXPECT_EQ(unlink("d/f"), kOk);
  EXPECT_EQ(unlink("d/f"), Errno::NoEnt);
  EXPECT_EQ(rmdir("d/"), kOk);
  EXPECT_EQ(mkdir("/tmp"), Errno::Exist);
  EXPECT_EQ(mkdir("a/b"), Errno::NoEnt);
  EXPECT_EQ(mkdir("."), Errno::Exist);
  EXPECT_EQ(mkdir("d2/"), kOk);
}

TEST_F(Tree, CountsDirectoryLinks) {
  ASSERT_EQ(mkdir("d"), kOk);
  ASSERT_EQ(mkdir("d/e"), kOk);
  place("d");
  EXPECT_EQ(found.entry->inode->links, 3u);
  ASSERT_EQ(mkdir("x"), kOk);
  ASSERT_EQ(rename("d/e", "x/e"), kOk);
  EXPECT_EQ(found.entry->inode->links, 2u);
  place("x");
  EXPECT_EQ(found.entry->inode->links, 3u);
  ASSERT_EQ(rmdir("x/e"), kOk);
  EXPECT_EQ(found.entry->inode->links, 2u);
}

TEST_F(Tree, Renames) {
  ASSERT_EQ(make("a"), kOk);
  ASSERT_TRUE(writeText(*file, "A"));
  ASSERT_EQ(make("b"), kOk);
  ASSERT_TRUE(writeText(*file, "B"));
  ASSERT_EQ(mkdir("d"), kOk);
  ASSERT_EQ(mkdir("d/e"), kOk);
  EXPECT_EQ(rename("a", "b", RENAME_NOREPLACE), Errno::Exist);
  EXPECT_EQ(rename("a", "b", RENAME_EXCHANGE), kOk);
  EXPECT_EQ(read("a"), "B");
  EXPECT_EQ(read("b"), "A");
  EXPECT_EQ(rename("a", "b"), kOk);
  EXPECT_EQ(read("b"), "B");
  EXPECT_EQ(place("a"), Errno::NoEnt);
  EXPECT_EQ(rename("a", "c"), Errno::NoEnt);
  EXPECT_EQ(rename("b", "d"), Errno::IsDir);
  EXPECT_EQ(rename("d", "b"), Errno::NotDir);
  EXPECT_EQ(rename("d", "d/e/f"), Errno::Inval);
  EXPECT_EQ(rename("d/e", "d"), Errno::NotEmpty);
  EXPECT_EQ(rename("b", "x/"), Errno::NotDir);
  EXPECT_EQ(rename("b", "d/b"), kOk);
  EXPECT_EQ(rename("d/b", "d/b"), kOk);
  EXPECT_EQ(rename("d", "e/"), kOk);
  EXPECT_EQ(read("e/b"), "B");
  EXPECT_EQ(rename(".", "y"), Errno::Busy);
  EXPECT_EQ(rename("e", "/proc/e"), Errno::XDev);
  EXPECT_EQ(rename("/dev", "z"), Errno::Busy);
  EXPECT_EQ(rename("e", "z", RENAME_EXCHANGE), Errno::NoEnt);
  // A hard link to the same inode: nothing happens, both stay.
  place("e/b");
  ASSERT_TRUE(makeLink(*fs, cwd(), "b2", found.entry->inode));
  EXPECT_EQ(rename("b2", "e/b"), kOk);
  EXPECT_EQ(place("b2"), kOk);
}

TEST_F(Tree, Links) {
  ASSERT_EQ(make("a"), kOk);
  place("a");
  Ref<Inode> inode = found.entry->inode;
  EXPECT_EQ(code(makeLink(*fs, cwd(), "a", inode)), Errno::Exist);
  EXPECT_EQ(code(makeLink(*fs, cwd(), "b", inode)), kOk);
  EXPECT_EQ(inode->links, 2u);
  EXPECT_EQ(unlink("a"), kOk);
  EXPECT_EQ(inode->links, 1u);
  EXPECT_EQ(unlink("b"), kOk);
  EXPECT_EQ(code(makeLink(*fs, cwd(), "c", inode)), Errno::NoEnt) << "the last name is gone";
  place(".");
  EXPECT_EQ(code(makeLink(*fs, cwd(), "d", found.entry->inode)), Errno::Perm);
  ASSERT_EQ(open(".", O_TMPFILE | O_RDWR), kOk);
  EXPECT_EQ(code(makeLink(*fs, cwd(), "named", Ref<Inode>::share(file->inode()))), kOk)
      << "O_TMPFILE gets its first name";
}

TEST_F(Tree, ReadsDirectories) {
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; i++)
    ASSERT_EQ(make(("f" + std::to_string(i)).c_str()), kOk);
  ASSERT_EQ(open(".", O_RDONLY | O_DIRECTORY), kOk);
  Ref<File> dir = file;
  for (int round = 0;; round++) {
    char buffer[500];
    IoBuffer io = IoBuffer::kernel(buffer, sizeof buffer);
    auto n = dir->readDirectory(io);
    ASSERT_TRUE(n);
    if (*n == 0)
      break;
    for (size_t at = 0; at < *n;) {
      seen[buffer + at + 19]++;
      at += *reinterpret_cast<uint16_t *>(buffer + at + 16);
    }
    if (round == 3) { // changes during the scan do not disturb it
      ASSERT_EQ(unlink("f0"), kOk);
      ASSERT_EQ(make("late"), kOk);
    }
  }
  for (int i = 0; i < 200; i++)
    EXPECT_EQ(seen["f" + std::to_string(i)], 1);
  EXPECT_EQ(seen["."] + seen[".."], 2);
  char small[16];
  IoBuffer io = IoBuffer::kernel(small, sizeof small);
  ASSERT_TRUE(dir->seek(0, SEEK_SET));
  EXPECT_EQ(code(dir->readDirectory(io)), Errno::Inval);
}

} // namespace
