// A sound shared library that is something else.
extern "C" __attribute__((visibility("default"))) int answer() {
  return 42;
}
