// Records of any bytes (zip, .npy, JSON) and stored augmentations: no crash, and a part or an
// error.
#include "runtime/augment.h"
#include "runtime/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

static void check_part(const KeyPath *path, const int64_t *draws, const uint8_t *data, size_t size)
{
    RecordRoom room = {0};
    Error err = {0};
    const void *at = NULL;
    size_t bytes = 0;
    bool ok = record_part(path, draws, data, size, &room, &at, &bytes, &err);
    check(ok != err.set);
    uint64_t sum = 0; // all of it can be read
    for (size_t i = 0; ok && i < bytes; i++) sum += ((const uint8_t *)at)[i];
    check(sum <= 255 * (uint64_t)bytes);
    record_free(&room);
}

// An augmentation is done to a small picture and its label.
static void check_replay(const json_t *list)
{
    enum { H = 6, W = 5 };
    Replay replay;
    Error err = {0};
    uint8_t pixels[H * W * 3] = {0}, valid[H * W];
    uint32_t label[H * W] = {0};
    Scratch scratch = {0};
    memset(valid, 1, sizeof valid);
    bool ok = replay_read(list, true, &replay, &err);
    check(ok != err.set);
    for (uint32_t i = 0; ok && i < replay.nops; i++)
        check(augment_pixels(&replay.ops[i], pixels, H, W, &scratch));
    if (ok) check(augment_label(replay.ops, replay.nops, H, W, label, valid, H, W, &scratch));
    scratch_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t draws[] = {1};
    static const KeyTerm terms[] = {{0, 1}};
    static const KeyStep named[] = {{.name = "a"}, {.base = 1, .terms = terms, .nterms = 1}, {0}};
    Error err = {0};
    for (uint32_t n = 1; n <= 3; n++) check_part(&(KeyPath){named, n}, draws, data, size);
    for (uint32_t n = 1; n <= 2; n++) check_part(&(KeyPath){named + 1, n}, draws, data, size);
    json_t *json = record_json(&(KeyPath){0}, draws, data, size, &err);
    check(!json == err.set);
    if (json) check_replay(json);
    json_decref(json);
    return 0;
}
