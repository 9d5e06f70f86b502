// What the members of a shard's samples look like, for a graph that is to be written.
#ifndef CZT_CLI_MEMBERS_H
#define CZT_CLI_MEMBERS_H

#include "base/diag.h"
#include "base/vec.h"

typedef struct MemberLook {
    const char *extension; // "seg.png"
    const char *name;      // of a field: "seg"
    const char *role;      // "image", "tokens", "class_map", ..; NULL: nothing is known to read it
    int64_t samples;       // that have it
    // Of those that were looked at:
    double low, high;          // values, but for 255 in a class map
    bool has_255, whole;       // a stored 255; whole numbers, as in a picture of 16 bits
    int64_t length;            // of a vector
    const char *shape, *dtype; // of an array: "[4, 3]", "f32"
    // Of boxes: as annotations; a third or fourth number below the first or second; one above 1.
    bool annotations, backward, pixels;
    VEC(const char *) names; // of classes, in the order in which they were met
} MemberLook;

typedef struct ShardLook {
    const char *shard;
    int64_t samples;         // that were looked at
    VEC(MemberLook) members; // in the order of the first sample that has them
} ShardLook;

// Look at the first samples of the first shard that a pattern names.
bool members_look(Arena *arena, const char *pattern, ShardLook *out, Error *err);

#endif
