#include "words.h"

#include <ctype.h>

const char *word_next(const char *text, struct word *found)
{
    while (*text != '\0' && !isalpha((unsigned char)*text)) {
        text++;
    }
    if (*text == '\0') {
        return NULL;
    }
    found->start = text;
    while (isalpha((unsigned char)*text)) {
        text++;
    }
    found->length = (size_t)(text - found->start);
    return text;
}
