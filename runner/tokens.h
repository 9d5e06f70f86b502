// The tokenizers that a program has with it.
#ifndef CZT_RUNNER_TOKENS_H
#define CZT_RUNNER_TOKENS_H

#include "runtime/step.h"

// CLIP's, which is part of the executable, and those that a step carries.
TokenizerFiles tokens_files(Arena *arena, TokenizerFiles carried);
// Open the tokenizer of the field that an input is bound to, CLIP's where no field has that name,
// for its length. NULL with err.
Tokenizer *tokens_of_input(Arena *arena, const Step *step, const CztTensor *input, Error *err);

#endif
