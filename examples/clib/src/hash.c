#include "words.h"

#include <ctype.h>

/* FNV-1a over the small letters. */
unsigned long word_hash(struct word word)
{
    unsigned long hash = 2166136261UL;
    for (size_t i = 0; i < word.length; i++) {
        hash ^= (unsigned long)tolower((unsigned char)word.start[i]);
        hash = hash * 16777619UL & 0xffffffffUL;
    }
    return hash;
}
