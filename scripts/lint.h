/*
 * lint.h - read by clang-tidy before every source (Makefile, "lint"): tells its analyzer what it
 * cannot see across files, that the functions of err.h never return 0 or more. Without it every
 * `return err_set(...)` looks like a success that left the outputs unset.
 */
#include "lib/base/err.h"

#define TOLD_NEGATIVE(call)                                                                        \
    __extension__({                                                                                \
        int told_ = (call);                                                                        \
        if (told_ >= 0)                                                                            \
            __builtin_unreachable();                                                               \
        told_;                                                                                     \
    })
#define err_set(...)  TOLD_NEGATIVE(err_set(__VA_ARGS__))
#define err_sys(...)  TOLD_NEGATIVE(err_sys(__VA_ARGS__))
#define err_wrap(...) TOLD_NEGATIVE(err_wrap(__VA_ARGS__))
#define err_next(...) TOLD_NEGATIVE(err_next(__VA_ARGS__))
