/* Memory that runs out when the test says so. Works on what is linked with --wrap=realloc, which is
 * what every Buf grows by. */
#pragma once

/* The next `n` reallocations succeed, and those after them fail. Negative: all succeed. */
void fault_realloc_after(int n);
