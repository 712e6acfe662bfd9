#ifndef TABLE_H
#define TABLE_H

#include "words.h"

enum { TABLE_SLOTS = 256 };

struct entry {
    struct word word;
    unsigned count;
};

/* Words and how often each was seen. Begin with all bytes zero. */
struct table {
    struct entry entries[TABLE_SLOTS];
    size_t used;
};

/* Counts one more of the word; returns 0 if the table is full. */
int table_add(struct table *table, struct word word);

/* How often the word was seen. */
unsigned table_count(const struct table *table, struct word word);

#endif
