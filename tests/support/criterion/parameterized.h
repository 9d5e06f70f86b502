// Criterion's tests over an array of parameters; see criterion.h beside this file.
#ifndef CZT_SUPPORT_PARAMETERIZED_H
#define CZT_SUPPORT_PARAMETERIZED_H

#include <criterion/criterion.h>

#define ParameterizedTestParameters(suite_, name_)                                                 \
    static struct criterion_test_params suite_##_##name_##_params(void)
#define cr_make_param_array(type, array, n)                                                        \
    ((struct criterion_test_params){sizeof(type), (void *)(array), n})
#define ParameterizedTest(param, suite_, name_, ...)                                               \
    static void suite_##_##name_##_impl(param);                                                    \
    static void suite_##_##name_##_with(void *at)                                                  \
    {                                                                                              \
        suite_##_##name_##_impl(at);                                                               \
    }                                                                                              \
    SUPPORT_ADD(suite_##_##name_, .suite = #suite_, .name = #name_,                                \
                .run_with = suite_##_##name_##_with, .params = suite_##_##name_##_params,          \
                .options = {__VA_ARGS__})                                                          \
    static void suite_##_##name_##_impl(param)

#endif
