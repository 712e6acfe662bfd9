#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

/* A word of a text: where it begins and how long it is. */
struct word {
    const char *start;
    size_t length;
};

/* Finds the next word at or after `text`; returns where it ends, or NULL if there is none. */
const char *word_next(const char *text, struct word *found);

/* Whether two words are the same, capitals not counted. */
int word_equal(struct word a, struct word b);

/* The same number for words that are equal. */
unsigned long word_hash(struct word word);

#endif
