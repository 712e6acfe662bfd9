#include "words.h"

#include <ctype.h>

int word_equal(struct word a, struct word b)
{
    if (a.length != b.length) {
        return 0;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (tolower((unsigned char)a.start[i]) != tolower((unsigned char)b.start[i])) {
            return 0;
        }
    }
    return 1;
}
