// Counts what operator new holds, in a program of one thread.
#include "memory.h"

#include <cstdlib>
#include <new>

#include <malloc.h>

namespace {
std::size_t held = 0, base = 0, peak = 0;

void* take(std::size_t size) {
  void* const block = std::malloc(size == 0 ? 1 : size);
  if (!block) throw std::bad_alloc();
  held += malloc_usable_size(block);
  peak = held > peak ? held : peak;
  return block;
}

void give(void* block) {
  if (!block) return;
  held -= malloc_usable_size(block);
  std::free(block);
}
}  // namespace

void* operator new(std::size_t size) {
  return take(size);
}
void* operator new[](std::size_t size) {
  return take(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept try {
  return take(size);
} catch (const std::bad_alloc&) {
  return nullptr;
}
void operator delete(void* block, const std::nothrow_t&) noexcept {
  give(block);
}
void operator delete(void* block) noexcept {
  give(block);
}
void operator delete[](void* block) noexcept {
  give(block);
}
void operator delete(void* block, std::size_t) noexcept {
  give(block);
}
void operator delete[](void* block, std::size_t) noexcept {
  give(block);
}

namespace marginalia::fuzz {

void reset_peak() {
  base = peak = held;
}

std::size_t peak_bytes() {
  return peak - base;
}

}  // namespace marginalia::fuzz
