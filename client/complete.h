/* Words for the shell's completion: `liongatectl --complete WORD...` prints those that may stand in
 * the place of the last WORD. The scripts in completions/ call nothing else, so that
 * what they offer comes from the tables that the commands are parsed by.
 *
 * Thread: main. */
#pragma once

#include "client/context.h"

/* `words` are what stands behind the program's name, as the program would get them; the last one is
 * being typed. What is offered are whole words, `--option=value` if that is being typed;
 * candidates.h has the form. */
int complete_run(Context *ctx, char **words, int n_words) _must_check_;
