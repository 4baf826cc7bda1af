// Carries the precompiled header alone.
