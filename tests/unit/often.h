/* ck_assert_msg for what is asked millions of times: Check notes every assertion in a file, which
 * costs far more than most of them; this one only when it does not hold. */
#ifndef TESTS_UNIT_OFTEN_H
#define TESTS_UNIT_OFTEN_H

#include <check.h>

#define assert_often(holds, ...) ((holds) ? (void)0 : ck_abort_msg(__VA_ARGS__))

#endif
