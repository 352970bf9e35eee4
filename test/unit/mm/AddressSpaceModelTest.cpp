// SPDX-License-Identifier: BSD-3-Clause
//
// Random mmap, munmap, mprotect, mremap, madvise and accesses against a model that keeps one record a page: what is
// mapped, with which rights, and which byte the page shows. The areas must be those that the model's records make when
// equal neighbours are merged. The seed is printed; OSV_SEED and OSV_OPS choose others.
#include "HostSpace.h"
#include "gtest/gtest.h"
#include <cstdlib>
#include <map>
#include <memory>
#include <random>

using namespace osv;
using namespace osv::test;

namespace {

constexpr VAddr kBase{0x7e00'0000'0000 - 3 * kLargePageSize};
constexpr size_t kPages = 6 * 512;
constexpr size_t kProbe = 5; ///< the byte of each page that is written and compared

/// What several mappings can show: a file or a shared anonymous mapping.
struct ModelObject {
  size_t pages;
  std::map<size_t, int> bytes;
};

struct ModelPage {
  bool mapped = false;
  int prot = 0;
  bool shared = false;
  std::shared_ptr<ModelObject> object;
  size_t index = 0;
  int own = -1; ///< private copy

  int value() const {
    if (own >= 0)
      return own;
    if (!object)
      return 0;
    auto it = object->bytes.find(index);
    return it == object->bytes.end() ? 0 : it->second;
  }
  bool beyondEnd() const { return own < 0 && object && index >= object->pages; }
  bool continues(const ModelPage &p) const {
    return mapped && p.mapped && prot == p.prot && shared == p.shared && object == p.object &&
           (!object || index == p.index + 1);
  }
};

class Model {
public:
  explicit Model(uint64_t seed) : rng(seed) {
    for (auto &file : files) {
      file.kernel = Ref<MemoryObject>::adopt(new HostFile(64));
      file.model = std::make_shared<ModelObject>(ModelObject{64, {}});
    }
  }

  void step() {
    switch (rng() % 16) {
    case 0:
    case 1:
    case 2:
      return mapSome();
    case 3:
    case 4:
      return unmapSome();
    case 5:
    case 6:
    case 7:
      return protectSome();
    case 8:
    case 9:
      return remapSome();
    case 10:
      return adviseSome();
    default:
      return touchSome();
    }
  }

  /// Compares everything. Reading a page may make it resident; that must not be visible.
  void verify() {
    std::string expected;
    for (size_t i = 0; i < kPages;) {
      if (!pages[i].mapped) {
        i++;
        continue;
      }
      size_t end = i + 1;
      while (end < kPages && pages[end].continues(pages[end - 1]))
        end++;
      char line[80];
      int prot = pages[i].prot;
      snprintf(line, sizeof line, "%08llx-%08llx %c%c%c%c\n", (unsigned long long)at(i).value,
               (unsigned long long)at(end).value, prot & 1 ? 'r' : '-', prot & 2 ? 'w' : '-', prot & 4 ? 'x' : '-',
               pages[i].shared ? 's' : 'p');
      expected += line;
      i = end;
    }
    ASSERT_EQ(space.describe(), expected);
    for (size_t i = 0; i < kPages; i++)
      ASSERT_EQ(space.read(at(i) + kProbe), expectedRead(i)) << "page " << i;
  }

  HostSpace space;

private:
  struct Range {
    size_t first, count;
  };
  Range someRange() {
    size_t first = rng() % kPages;
    size_t longest = rng() % 8 ? 12 : 1200;
    return {first, std::min(kPages - first, 1 + rng() % longest)};
  }
  int someProt() {
    const int prots[] = {PROT_NONE,
                         PROT_READ,
                         PROT_READ | PROT_WRITE,
                         PROT_READ | PROT_WRITE,
                         PROT_READ | PROT_EXEC,
                         PROT_READ | PROT_WRITE | PROT_EXEC,
                         PROT_WRITE};
    return prots[rng() % 7];
  }
  static VAddr at(size_t page) { return kBase + page * kPageSize; }
  int expectedRead(size_t i) const {
    const ModelPage &p = pages[i];
    return p.mapped && p.prot && !p.beyondEnd() ? p.value() : -1;
  }

  void mapSome() {
    Range r = someRange();
    int prot = someProt();
    int flags = MAP_FIXED | (rng() % 4 ? MAP_PRIVATE : MAP_SHARED);
    ModelPage page;
    page.mapped = true;
    page.prot = prot;
    page.shared = flags & MAP_SHARED;
    Ref<MemoryObject> object;
    if (rng() % 3 == 0) {
      auto &file = files[rng() % 2];
      object = file.kernel;
      page.object = file.model;
      page.index = rng() % 60;
    } else {
      flags |= MAP_ANONYMOUS;
      if (page.shared)
        page.object = std::make_shared<ModelObject>(ModelObject{r.count, {}});
    }
    auto v = space.map(at(r.first), r.count * kPageSize, prot, flags, object, page.index * kPageSize);
    ASSERT_TRUE(v.ok());
    ASSERT_EQ(*v, at(r.first));
    for (size_t i = r.first; i < r.first + r.count; i++, page.index++)
      pages[i] = page;
    for (size_t i = r.first; !page.object && i < r.first + r.count; i++)
      pages[i].index = 0;
  }

  void unmapSome() {
    Range r = someRange();
    ASSERT_TRUE(space.unmap(at(r.first), r.count * kPageSize).ok());
    for (size_t i = r.first; i < r.first + r.count; i++)
      pages[i] = {};
  }

  void protectSome() {
    Range r = someRange();
    int prot = someProt();
    auto result = space.protect(at(r.first), r.count * kPageSize, prot);
    for (size_t i = r.first; i < r.first + r.count; i++) {
      if (!pages[i].mapped) {
        ASSERT_EQ(result.error(), Errno::NoMem);
        return;
      }
      pages[i].prot = prot;
    }
    ASSERT_TRUE(result.ok());
  }

  void adviseSome() {
    Range r = someRange();
    bool hole = false;
    for (size_t i = r.first; i < r.first + r.count; i++) {
      hole |= !pages[i].mapped;
      if (!pages[i].shared)
        pages[i].own = -1;
    }
    auto result = space.advise(at(r.first), r.count * kPageSize, MADV_DONTNEED);
    ASSERT_EQ(result.ok(), !hole);
  }

  /// Moves, grows or shrinks part of one area.
  void remapSome() {
    Range r = someRange();
    if (!pages[r.first].mapped)
      return;
    size_t run = r.first + 1;
    while (run < kPages && pages[run].continues(pages[run - 1]))
      run++;
    r.count = std::min(r.count, run - r.first);
    size_t newCount = rng() % 3 ? r.count : 1 + rng() % (2 * r.count);
    size_t to = rng() % kPages;
    if (to + newCount > kPages)
      return;
    bool overlapping = r.first < to + newCount && to < r.first + r.count;
    bool keep = rng() % 4 == 0 && newCount == r.count;
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (keep ? MREMAP_DONTUNMAP : 0);
    auto v = space.remap(at(r.first), r.count * kPageSize, newCount * kPageSize, flags, at(to));
    if (overlapping) {
      ASSERT_EQ(v.error(), Errno::Inval);
      return;
    }
    ASSERT_TRUE(v.ok()) << int(v.error());
    std::vector<ModelPage> moved(pages + r.first, pages + r.first + std::min(r.count, newCount));
    while (moved.size() < newCount) {
      ModelPage p = moved.back();
      p.own = -1;
      if (p.object)
        p.index++;
      moved.push_back(p);
    }
    for (size_t i = r.first; i < r.first + r.count; i++) {
      if (keep)
        pages[i].own = -1;
      else
        pages[i] = {};
    }
    std::copy(moved.begin(), moved.end(), pages + to);
  }

  void touchSome() {
    size_t first = rng() % kPages, count = rng() % 16 ? 1 : 1 + rng() % 700; // long walks get large pages
    for (size_t i = first; i < std::min(kPages, first + count); i++) {
      ModelPage &p = pages[i];
      if (rng() % 3 == 0) {
        ASSERT_EQ(space.read(at(i) + kProbe), expectedRead(i));
        continue;
      }
      bool allowed = p.mapped && (p.prot & PROT_WRITE) && !p.beyondEnd();
      auto byte = static_cast<unsigned char>(rng());
      ASSERT_EQ(space.write(at(i) + kProbe, byte), allowed);
      if (!allowed)
        continue;
      if (p.shared)
        p.object->bytes[p.index] = byte;
      else
        p.own = byte;
    }
  }

  struct File {
    Ref<MemoryObject> kernel;
    std::shared_ptr<ModelObject> model;
  };
  std::mt19937_64 rng;
  File files[2];
  ModelPage pages[kPages];
};

uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, nullptr, 0) : otherwise;
}

TEST(AddressSpaceModelTest, agreesOnRandomOperations) {
  bringUpMemory();
  (void)zeroPage();
  uint64_t before = memoryStats().freePages;
  uint64_t seed = setting("OSV_SEED", 20261123), ops = setting("OSV_OPS", 120000);
  printf("seed %llu, %llu operations\n", (unsigned long long)seed, (unsigned long long)ops);
  auto model = std::make_unique<Model>(seed);
  for (uint64_t i = 0; i < ops; i++) {
    model->step();
    if (i % 1024 == 0 && !testing::Test::HasFatalFailure())
      model->verify();
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << "seed " << seed << ", operation " << i;
  }
  model->verify();
  model.reset();
  EXPECT_EQ(memoryStats().freePages, before);
}

} // namespace
