#pragma once

/// Before a function whose inner loops the compiler can vectorise: compiles it for several
/// instruction sets, one of which is chosen when the library is loaded. Sanitizers do not go with
/// that, nor does clang with functions of templates.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define MARGINALIA_KERNEL \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MARGINALIA_KERNEL
#endif
