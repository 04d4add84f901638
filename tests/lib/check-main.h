/* The main() that every unit test shares: a test file defines its suite, and nothing else. */
#pragma once

#include <check.h>

/* Defined by the test file; the runner frees it. */
Suite *test_suite(void);
