# Writes which revision of the sources a program is built from; run at every build, and touches the
# file only when that has changed.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git describe --always --dirty --abbrev=10 WORKING_DIRECTORY ${SOURCE_DIR}
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
  "#include \"cli/revision.h\"\n\nnamespace baiwan::cli {\n\nconst char* Version() { return \"@VERSION@\"; }\nconst char* BuildType() { return \"@BUILD_TYPE@\"; }\nconst char* Revision() { return \"@revision@\"; }\n\n}  // namespace baiwan::cli\n")
