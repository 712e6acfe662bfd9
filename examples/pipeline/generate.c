/* Writes readings of five sensors as comma-separated values, some of them damaged: the same
 * bytes on every machine. */
#include <stdio.h>

static unsigned long state = 20260101UL;

/* A linear congruential generator with the constants of "Numerical Recipes", 32 bits. */
static unsigned next(unsigned below)
{
    state = (state * 1664525UL + 1013904223UL) & 0xffffffffUL;
    return (unsigned)((state >> 16) % below);
}

int main(void)
{
    static const char *const sensors[] = {"attic", "cellar", "garden", "kitchen", "workshop"};

    puts("minute,sensor,celsius");
    for (unsigned minute = 0; minute < 400; minute++) {
        const char *sensor = sensors[next(5)];
        unsigned tenths = 50 + next(250);
        switch (next(40)) {
        case 0:
            printf("%u,%s,\n", minute, sensor);
            break;
        case 1:
            printf("%u,%s,broken\n", minute, sensor);
            break;
        case 2:
            printf("%u,%s,%u.0\n", minute, sensor, 900 + next(90));
            break;
        default:
            printf("%u,%s,%u.%u\n", minute, sensor, tenths / 10, tenths % 10);
        }
    }
    return 0;
}
