# How every folder under src/ becomes a library and a test program.
#
#   baiwan_library(NAME DEPS dep...)      all *.cc of this folder (and of the SUBDIRS named), tests left out
#   baiwan_tests(NAME LABEL label DEPS …) all *_test.cc of the same folders, as one program, each case known to ctest;
#                                         the target tests_LABEL builds all programs of a label
#
# Sources are found by pattern, so that a new file needs no edit here.

add_library(baiwan_flags INTERFACE)
target_include_directories(baiwan_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(baiwan_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow
  -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these from inside libstdc++ at -O2; clang and the sanitizers watch the same mistakes.
  target_compile_options(baiwan_flags INTERFACE -Wno-restrict -Wno-stringop-overflow
    -Wno-array-bounds -Wno-maybe-uninitialized -Wno-stringop-overread)
endif()
if(BAIWAN_PLANTED)
  target_compile_definitions(baiwan_flags INTERFACE BAIWAN_PLANTED)
endif()
if(BAIWAN_SANITIZE)
  target_compile_options(baiwan_flags INTERFACE -fsanitize=${BAIWAN_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(baiwan_flags INTERFACE -fsanitize=${BAIWAN_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND BAIWAN_SANITIZE MATCHES "thread")
    target_compile_options(baiwan_flags INTERFACE -Wno-tsan)
  endif()
endif()

# `./dev test` has this many of ctest's places for each core, and three more. A test takes a core's places; one of
# the fleet, which waits more than it works, takes a single place: so those run beside the others.
set(BAIWAN_TEST_PLACES 4)

function(_baiwan_sources OUT_SOURCES OUT_TESTS)
  set(patterns)
  foreach(dir . ${ARGN})
    list(APPEND patterns ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  set(${OUT_SOURCES} ${sources} PARENT_SCOPE)
  set(${OUT_TESTS} ${tests} PARENT_SCOPE)
endfunction()

function(baiwan_library NAME)
  cmake_parse_arguments(ARG "" "" "DEPS;SUBDIRS" ${ARGN})
  _baiwan_sources(sources tests ${ARG_SUBDIRS})
  if(sources)
    add_library(${NAME} STATIC ${sources})
    target_link_libraries(${NAME} PUBLIC baiwan_flags ${ARG_DEPS})
  else()
    add_library(${NAME} INTERFACE)
    target_link_libraries(${NAME} INTERFACE baiwan_flags ${ARG_DEPS})
  endif()
endfunction()

function(baiwan_tests NAME)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "DEPS;SUBDIRS" ${ARGN})
  _baiwan_sources(sources tests ${ARG_SUBDIRS})
  if(NOT tests)
    return()
  endif()
  add_executable(${NAME} ${tests})
  # A test runs once and is compiled often: of all its time most goes into optimising what gains nothing by it.
  if(BAIWAN_SANITIZE)
    target_compile_options(${NAME} PRIVATE -O0)
  else()
    target_compile_options(${NAME} PRIVATE -O1)
  endif()
  target_link_libraries(${NAME} PRIVATE baiwan_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(NOT TARGET tests_${ARG_LABEL})
    add_custom_target(tests_${ARG_LABEL})
  endif()
  add_dependencies(tests_${ARG_LABEL} ${NAME})
  include(GoogleTest)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  gtest_discover_tests(${NAME} DISCOVERY_MODE PRE_TEST NO_PRETTY_TYPES NO_PRETTY_VALUES
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${BAIWAN_TEST_PLACES})
endfunction()
