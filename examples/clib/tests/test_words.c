#include "order.h"
#include "report.h"
#include "table.h"
#include "words.h"

#include <stdio.h>
#include <string.h>

static int checks;
static int failures;

static void check(int holds, const char *what)
{
    checks++;
    if (!holds) {
        failures++;
        printf("FAILED: %s\n", what);
    }
}

static struct word word(const char *text)
{
    struct word word = {text, strlen(text)};
    return word;
}

int main(void)
{
    static struct table table;
    struct word first;
    char buffer[256];

    check(word_next("  ...", &first) == NULL, "no word in a text without letters");
    check(word_next("  one two", &first) != NULL && first.length == 3, "the first word");
    check(word_equal(word("Tree"), word("tREE")), "capitals do not count");
    check(!word_equal(word("tree"), word("trees")), "the length counts");
    check(word_hash(word("Tree")) == word_hash(word("tree")), "equal words, equal hashes");

    check(report_count("the cat saw the dog; The dog ran.", &table), "a short text fits");
    check(table.used == 5, "five different words");
    check(table_count(&table, word("the")) == 3, "three of the");
    check(table_count(&table, word("bird")) == 0, "no bird");

    size_t length = report_write(&table, 3, buffer, sizeof buffer);
    check(length == strlen("3 the\n2 dog\n1 cat\n"), "the length of the report");
    check(strncmp(buffer, "3 the\n2 dog\n1 cat\n", length) == 0, "frequent first, then a to z");

    printf("%d checks, %d failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
