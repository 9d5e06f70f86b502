// What the tests use of Criterion, for builds with ThreadSanitizer, under which Criterion's own
// runner cannot start: it maps an address range that the sanitizer needs. Every test still runs in
// a process of its own, forked before any thread exists. tests/CMakeLists.txt takes this folder in
// place of the library when CZT_TSAN is on; all other builds use Criterion.
#ifndef CZT_SUPPORT_CRITERION_H
#define CZT_SUPPORT_CRITERION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test_params {
    size_t size;
    void *params;
    size_t length;
};

typedef struct SupportOptions {
    void (*init)(void), (*fini)(void);
} SupportOptions;

// A test, or a suite's options (run and run_with are NULL then).
typedef struct SupportTest {
    const char *suite, *name;
    SupportOptions options;
    void (*run)(void);
    void (*run_with)(void *param);
    struct criterion_test_params (*params)(void);
    struct SupportTest *next;
} SupportTest;

// Put it on the list that support/criterion/main.c runs.
void support_add(SupportTest *test);
// Count a failure and print it; a fatal one ends the test's process.
void support_fail(bool fatal, const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#define SUPPORT_ADD(id, ...)                                                                       \
    __attribute__((constructor)) static void id##_add(void)                                        \
    {                                                                                              \
        static SupportTest id##_test = {__VA_ARGS__};                                              \
        support_add(&id##_test);                                                                   \
    }

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_impl(void);                                                     \
    SUPPORT_ADD(suite_##_##name_, .suite = #suite_, .name = #name_,                                \
                .run = suite_##_##name_##_impl, .options = {__VA_ARGS__})                          \
    static void suite_##_##name_##_impl(void)
#define TestSuite(suite_, ...)                                                                     \
    SUPPORT_ADD(suite_##_suite, .suite = #suite_, .options = {__VA_ARGS__})                        \
    typedef int suite_##_suite_end

#define SUPPORT_CHECK(fatal, good, what, ...)                                                      \
    ((good) ? (void)0 : support_fail(fatal, __FILE__, __LINE__, what, " " __VA_ARGS__))
#define SUPPORT_ABOUT(fatal, a, op, b, ...)                                                        \
    SUPPORT_CHECK(fatal, (a)op(b), #a " " #op " " #b, __VA_ARGS__)
#define SUPPORT_TEXT(fatal, a, op, b, ...)                                                         \
    SUPPORT_CHECK(fatal, strcmp(a, b) op 0, #a " " #op " " #b, __VA_ARGS__)
#define SUPPORT_NEAR(fatal, a, b, by, ...)                                                         \
    SUPPORT_CHECK(fatal, fabs((double)(a) - (double)(b)) <= (double)(by), #a " near " #b,          \
                  __VA_ARGS__)
#define SUPPORT_BYTES(fatal, a, b, n, ...)                                                         \
    SUPPORT_CHECK(fatal, memcmp(a, b, n) == 0, #a " bytes of " #b, __VA_ARGS__)

#define cr_assert(x, ...) SUPPORT_CHECK(true, x, #x, __VA_ARGS__)
#define cr_assert_not(x, ...) SUPPORT_CHECK(true, !(x), "not " #x, __VA_ARGS__)
#define cr_assert_fail(...) SUPPORT_CHECK(true, false, "fail", __VA_ARGS__)
#define cr_assert_null(x, ...) SUPPORT_ABOUT(true, x, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(x, ...) SUPPORT_ABOUT(true, x, !=, NULL, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) SUPPORT_ABOUT(true, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) SUPPORT_ABOUT(true, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) SUPPORT_ABOUT(true, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) SUPPORT_ABOUT(true, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) SUPPORT_ABOUT(true, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) SUPPORT_ABOUT(true, a, >=, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) SUPPORT_TEXT(true, a, ==, b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) SUPPORT_TEXT(true, a, !=, b, __VA_ARGS__)
#define cr_assert_float_eq(a, b, by, ...) SUPPORT_NEAR(true, a, b, by, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) SUPPORT_BYTES(true, a, b, n, __VA_ARGS__)
#define cr_expect(x, ...) SUPPORT_CHECK(false, x, #x, __VA_ARGS__)
#define cr_expect_not(x, ...) SUPPORT_CHECK(false, !(x), "not " #x, __VA_ARGS__)
#define cr_expect_null(x, ...) SUPPORT_ABOUT(false, x, ==, NULL, __VA_ARGS__)
#define cr_expect_not_null(x, ...) SUPPORT_ABOUT(false, x, !=, NULL, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) SUPPORT_ABOUT(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) SUPPORT_ABOUT(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) SUPPORT_ABOUT(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) SUPPORT_ABOUT(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) SUPPORT_ABOUT(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) SUPPORT_ABOUT(false, a, >=, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) SUPPORT_TEXT(false, a, ==, b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) SUPPORT_TEXT(false, a, !=, b, __VA_ARGS__)
#define cr_expect_float_eq(a, b, by, ...) SUPPORT_NEAR(false, a, b, by, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) SUPPORT_BYTES(false, a, b, n, __VA_ARGS__)
#define cr_log_error(...) fprintf(stderr, "" __VA_ARGS__)

#endif
