# Writes the commit of a source tree into a source file, at build time:
#   cmake -D SOURCE=... -D TEMPLATE=... -D OUTPUT=... -P commit.cmake
# A tree that is no checkout has none. The file is left alone where nothing has changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
