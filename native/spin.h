#ifndef LATHE_SPIN_H_
#define LATHE_SPIN_H_

namespace lathe {

// Looks at a condition for some 20 us: what is awaited often comes at once, and waking a thread that sleeps takes as
// long as a small operation.
template <typename F>
bool Spin(const F &holds) {
  for (int i = 0; i < 1000; i++) {
    if (holds()) return true;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  return false;
}

}  // namespace lathe

#endif  // LATHE_SPIN_H_
